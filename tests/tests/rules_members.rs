//! Members of organizations: who may spend, and how much in a day or month.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Barrier;
use std::thread;

use drawdown::store::Store;
use drawdown::{
    AccountKey, Body, Charge, Context, Engine, GrantCredit, GrantType, LimitPeriod, MemberLimit, Owner, PlaceHold, Role, SetMember,
    TenantPolicy,
};
use drawdown_tests::script::{Case, table, table_under};

/// `spend 3` is a charge of the organization's credit by `u1`, `keep 3` a hold.
fn spending(cases: &[Case<'_>]) {
    spending_under(&TenantPolicy::default(), cases);
}

fn spending_under(policy: &TenantPolicy, cases: &[Case<'_>]) {
    let long = |script: &str| {
        let script = script.replace("spend", "charge payer=organization:o1 user_id=u1");
        script.replace("keep", "hold payer=organization:o1 user_id=u1").replace("endow", "grant owner=organization:o1")
    };
    let cases: Vec<[String; 4]> = cases.iter().map(|(a, b, c, d)| [(*a).to_owned(), long(b), long(c), (*d).to_owned()]).collect();
    let cases: Vec<Case<'_>> = cases.iter().map(|[a, b, c, d]| (a.as_str(), b.as_str(), c.as_str(), d.as_str())).collect();
    table_under(policy, &cases);
}

fn in_zone(zone: &str) -> TenantPolicy {
    TenantPolicy { zone: zone.parse().unwrap(), ..TenantPolicy::default() }
}

#[test]
fn who_may_spend() {
    spending(&[
        ("a member charges", "endow 5; set_member", "spend 2", "ok; balance 3 of organization:o1"),
        ("a member holds", "endow 5; set_member", "keep 2", "ok; balance 3 frozen 2 of organization:o1"),
        ("a stranger charges", "endow 5", "spend 2", "denied not_a_member user_id=u1 organization_id=o1 retryable=false"),
        ("a stranger holds", "endow 5", "keep 2", "denied not_a_member"),
        ("a member of another organization", "endow 5; set_member organization_id=o2", "spend 2", "denied not_a_member"),
        ("a member in another tenant", "endow 5; set_member tenant_id=other", "spend 2", "denied not_a_member"),
        ("another member", "endow 5; set_member user_id=u2", "spend 2", "denied not_a_member"),
        ("nobody", "endow 5; set_member", "charge 2 payer=organization:o1", "denied payload_invalid field=user_id"),
        ("nobody holds", "endow 5; set_member", "hold 2 payer=organization:o1", "denied payload_invalid field=user_id"),
        ("an owner", "endow 5; set_member role=owner", "spend 2", "ok"),
        ("an administrator", "endow 5; set_member role=admin", "spend 2", "ok"),
        ("one who was removed", "endow 5; set_member; remove_member", "spend 2", "denied not_a_member"),
        ("one who came back", "endow 5; set_member; remove_member; set_member", "spend 2", "ok"),
        (
            "who was removed captures what was held",
            "endow 5; set_member; keep 2 over_capture=draw as=h; remove_member",
            "capture h 3",
            "ok captured=3",
        ),
        ("who was removed releases what was held", "endow 5; set_member; keep 2 as=h; remove_member", "release h", "ok released=2"),
        (
            "what was spent is refunded to whoever",
            "endow 5; set_member; spend 2 as=c; remove_member",
            "refund payer=organization:o1 ledger_id=@c",
            "ok refunded=2",
        ),
        ("the pool is for all", "grant 5 owner=pool", "charge 2 payer=pool user_id=u1", "ok"),
        ("before the task", "endow 5; set_member; keep 1 task_id=t; remove_member", "keep 1 task_id=t", "denied not_a_member"),
        ("before the balance", "endow 5", "spend 9", "denied not_a_member"),
        (
            "after a replay",
            "endow 5; set_member; spend 2 idempotency_key=k; remove_member",
            "spend 2 idempotency_key=k",
            "ok idempotent_replay=true",
        ),
    ]);
}

#[test]
fn members_are_set_and_removed() {
    table(&[
        ("added", "", "set_member", "ok organization_id=o1 user_id=u1 role=member limit=null changed=true"),
        ("with a limit", "", "set_member limit=10/day", r#"ok limit={"amount":"10","per":"day","unit":"credit"} changed=true"#),
        ("the same again", "set_member limit=10/day", "set_member limit=10/day", "ok changed=false"),
        ("another role", "set_member", "set_member role=admin", "ok role=admin changed=true"),
        ("the whole state: no limit is none", "set_member limit=10/day", "set_member", "ok limit=null changed=true"),
        ("another period", "set_member limit=10/day", "set_member limit=10/month", "ok changed=true"),
        ("removed", "set_member role=owner limit=10/day", "remove_member", "ok role=owner changed=true"),
        ("removed twice", "set_member; remove_member", "remove_member", "denied not_a_member"),
        ("a stranger is removed", "", "remove_member", "denied not_a_member"),
        (
            "a replay",
            "set_member idempotency_key=k; remove_member",
            "set_member idempotency_key=k",
            "ok idempotent_replay=true role=member",
        ),
        (
            "a replayed removal",
            "set_member; remove_member idempotency_key=k",
            "remove_member idempotency_key=k",
            "ok idempotent_replay=true",
        ),
        (
            "another limit under the key",
            "set_member idempotency_key=k limit=1/day",
            "set_member idempotency_key=k limit=2/day",
            "denied idempotency_conflict field=limit",
        ),
        (
            "another role under the key",
            "set_member idempotency_key=k",
            "set_member idempotency_key=k role=owner",
            "denied idempotency_conflict field=role",
        ),
        ("a limit below 0", "", "set_member limit=-1/day", "denied amount_invalid field=limit.amount"),
        ("a limit of nothing", "", "set_member limit=0/day", "ok"),
        ("a limit that is no amount", "", "set_member limit=1e400/day", "denied amount_invalid field=limit.amount"),
        ("a period that is none", "", "set_member limit=1/week", "denied payload_invalid field=limit.per"),
        ("a role that is none", "", "set_member role=boss", "denied payload_invalid field=role"),
        ("no organization", "", "set_member organization_id=-", "denied payload_invalid field=organization_id"),
        ("no operator", "", "remove_member operator=-", "denied payload_invalid field=operator"),
    ]);
}

#[test]
fn what_a_limit_counts() {
    let day = "endow 100; set_member limit=10/day; ";
    let with = |rest: &str| format!("{day}{rest}");
    spending(&[
        ("exactly met by one", &with(""), "spend 10", "ok; used 10"),
        ("exactly met by two", &with("spend 4"), "spend 6", "ok; used 10"),
        (
            "a millionth more",
            &with("spend 4"),
            "spend 6.000001",
            "denied member_limit_exceeded needed=6.000001 used=4 limit=10 per=day unit=credit user_id=u1 retry_at=+1d retryable=true",
        ),
        (
            "more than waiting can help",
            &with(""),
            "spend 10.5",
            "denied member_limit_exceeded used=0 limit=10 retry_at=null retryable=false",
        ),
        ("holds count", &with("keep 8"), "spend 3", "denied member_limit_exceeded used=8"),
        ("charges count for holds", &with("spend 8"), "keep 3", "denied member_limit_exceeded used=8"),
        ("a hold of nothing", &with("spend 10"), "keep 0", "ok"),
        ("a limit of nothing", "endow 5; set_member limit=0/day", "spend 1", "denied member_limit_exceeded retry_at=null"),
        ("a capture of all stays", &with("keep 6 as=h"), "capture h 6", "ok; used 6"),
        ("a capture of less gives back", &with("keep 6 as=h"), "capture h 2", "ok; used 2"),
        (
            "a capture of a part keeps the rest",
            &with("keep 6 as=h"),
            "capture h 2 final=false idempotency_key=k",
            "ok held=4; used 6",
        ),
        ("a capture of more adds", &with("keep 6 over_capture=draw as=h"), "capture h 9", "ok; used 9"),
        ("a capture goes beyond the limit", &with("keep 6 over_capture=draw as=h"), "capture h 16", "ok; used 16"),
        (
            "and nothing more is spent then",
            &with("keep 6 over_capture=draw as=h; capture h 16"),
            "spend 1",
            "denied member_limit_exceeded used=16",
        ),
        ("a release gives back", &with("keep 6 as=h"), "release h", "ok; used 0"),
        ("a release of a part", &with("keep 6 as=h"), "release h 2 idempotency_key=k", "ok; used 4"),
        (
            "a refund gives back nothing",
            &with("spend 6 as=c"),
            "refund payer=organization:o1 ledger_id=@c",
            "ok refunded=6; used 6",
        ),
        (
            "another member has another limit",
            &with("spend 10; set_member user_id=u2 limit=3/day"),
            "charge 3 payer=organization:o1 user_id=u2",
            "ok; used 3 by u2; used 10",
        ),
        (
            "another organization is another",
            &with("spend 10; set_member organization_id=o2; grant 5 owner=organization:o2"),
            "charge 3 payer=organization:o2 user_id=u1",
            "ok; used 3 of o2; used 10",
        ),
        ("the member's own credit is another", &with("spend 10; grant 5"), "charge 5", "ok; used 10"),
        ("another unit is not counted", &with("spend 10; endow 5 unit=UC"), "spend 5 unit=UC", "ok; used 10"),
        ("before the task", &with("keep 10 task_id=t"), "keep 1 task_id=t", "denied member_limit_exceeded"),
        ("before the balance", "endow 1; set_member limit=10/day", "spend 11", "denied member_limit_exceeded"),
        ("and then the balance", "endow 1; set_member limit=10/day", "spend 2", "denied insufficient_balance; used 0"),
    ]);
}

#[test]
fn an_expiry_gives_back_when_it_is_due() {
    spending(&[
        ("booked by the next charge", "endow 50; set_member limit=10/day; keep 10; wait 900", "spend 10", "ok; used 10"),
        (
            "not before",
            "endow 50; set_member limit=10/day; keep 10; wait 899.999999",
            "spend 1",
            "denied member_limit_exceeded used=10",
        ),
        (
            "read before it is booked",
            "endow 50; set_member limit=10/day; spend 1; keep 9; wait 900",
            "grant 1 owner=pool",
            "ok; used 1",
        ),
        (
            "booked by a settle",
            "endow 50; set_member limit=10/day; spend 1; keep 9; wait 900",
            "settle owner=organization:o1",
            "ok booked=1; used 1",
        ),
        (
            "of another member who is not named",
            "endow 50; set_member limit=10/day; set_member user_id=u2; keep 9; wait 900",
            "charge 1 payer=organization:o1 user_id=u2",
            "ok; used 0; used 1 by u2",
        ),
        (
            "and a late commit counts anew",
            "endow 50; set_member limit=10/day; keep 9 late_commit=draw as=h; wait 900",
            "capture h 4",
            "ok captured=4; used 4",
        ),
        (
            "two holds in one settlement",
            "endow 50; set_member limit=10/day; keep 4; keep 5; wait 900",
            "settle owner=organization:o1",
            "ok booked=2; used 0",
        ),
        (
            "after the member was removed",
            "endow 50; set_member limit=10/day; keep 9; remove_member; wait 900; set_member limit=10/day",
            "spend 10",
            "ok; used 10",
        ),
    ]);
}

#[test]
fn what_a_change_of_a_member_leaves() {
    spending(&[
        (
            "a lower limit keeps the use",
            "endow 50; set_member limit=10/day; spend 8; set_member limit=5/day",
            "spend 1",
            "denied member_limit_exceeded used=8 limit=5",
        ),
        (
            "a higher limit keeps the use",
            "endow 50; set_member limit=10/day; spend 8; set_member limit=12/day",
            "spend 4",
            "ok; used 12",
        ),
        (
            "what was used before there was a limit",
            "endow 50; set_member; spend 8; set_member limit=10/day",
            "spend 3",
            "denied member_limit_exceeded used=8",
        ),
        (
            "a month after a day",
            "endow 50; set_member limit=10/day; spend 8; wait 1d; spend 7; set_member limit=20/month",
            "spend 6",
            "denied member_limit_exceeded used=15",
        ),
        (
            "a day after a month",
            "endow 50; set_member limit=20/month; spend 8; wait 1d; spend 7; set_member limit=10/day",
            "spend 4",
            "denied member_limit_exceeded used=7",
        ),
        (
            "one who left and came back",
            "endow 50; set_member limit=10/day; spend 8; remove_member; set_member limit=10/day",
            "spend 3",
            "denied member_limit_exceeded used=8",
        ),
        (
            "another role",
            "endow 50; set_member limit=10/day; spend 8; set_member role=owner limit=10/day",
            "spend 3",
            "denied member_limit_exceeded used=8",
        ),
        ("no limit any more", "endow 50; set_member limit=10/day; spend 8; set_member", "spend 30", "ok; used 38"),
        (
            "another unit begins with nothing",
            "endow 50; endow 9 unit=UC; set_member limit=10/day; spend 8; set_member limit=5/day/UC",
            "spend 5 unit=UC",
            "ok; used 5",
        ),
        (
            "a hold of before the other unit does not come back",
            "endow 9 unit=UC; set_member limit=10/day; keep 4 unit=UC as=h; wait 1; set_member limit=5/day/UC; spend 3 unit=UC",
            "release h",
            "ok; used 3",
        ),
    ]);
}

#[test]
fn days_and_months_end() {
    spending(&[
        (
            "a day in UTC",
            "endow 50; set_member limit=10/day; spend 10; at 2026-01-01T23:59:59.999999Z",
            "spend 1",
            "denied member_limit_exceeded retry_at=2026-01-02T00:00:00.000000Z",
        ),
        ("the next day", "endow 50; set_member limit=10/day; spend 10; at 2026-01-02T00:00:00Z", "spend 10", "ok; used 10"),
        (
            "a month in UTC",
            "endow 50; set_member limit=10/month; spend 10; at 2026-01-31T23:59:59Z",
            "keep 1",
            "denied member_limit_exceeded retry_at=2026-02-01T00:00:00.000000Z",
        ),
        ("the next month", "endow 50; set_member limit=10/month; spend 10; at 2026-02-01T00:00:00Z", "keep 10", "ok; used 10"),
        ("a read after midnight", "endow 50; set_member limit=10/day; spend 10; at 2026-01-02T00:00:00Z", "grant 1", "ok; used 0"),
        (
            "what is released the next day is of the day before",
            "endow 50; set_member limit=10/day; keep 9 expire_in=200000 as=h; wait 1d; spend 4",
            "release h",
            "ok; used 4",
        ),
        (
            "and is of the same month",
            "endow 50; set_member limit=20/month; keep 9 expire_in=200000 as=h; wait 1d; spend 4",
            "release h",
            "ok; used 4",
        ),
        (
            "a capture of more the next day",
            "endow 50; set_member limit=10/day; keep 9 expire_in=200000 over_capture=draw as=h; wait 1d",
            "capture h 12",
            "ok; used 3",
        ),
        (
            "an expiry over midnight",
            "endow 50; set_member limit=10/day; keep 9 expire_in=90000; wait 1d; spend 4; wait 4000",
            "settle owner=organization:o1",
            "ok booked=1; used 4",
        ),
        (
            "an expiry before midnight that is booked after",
            "endow 50; set_member limit=10/day; keep 9; wait 1d; spend 2",
            "spend 8",
            "ok; used 10",
        ),
    ]);
    spending_under(
        &in_zone("Asia/Shanghai"),
        &[
            (
                "a day in Shanghai",
                "endow 50; set_member limit=10/day; spend 10; at 2026-01-01T15:59:59.999999Z",
                "spend 1",
                "denied member_limit_exceeded retry_at=2026-01-01T16:00:00.000000Z",
            ),
            ("the next day there", "endow 50; set_member limit=10/day; spend 10; at 2026-01-01T16:00:00Z", "spend 10", "ok"),
            (
                "a month there",
                "endow 50; set_member limit=10/month; spend 10; at 2026-01-31T15:59:59Z",
                "spend 1",
                "denied member_limit_exceeded retry_at=2026-01-31T16:00:00.000000Z",
            ),
            ("the next month there", "endow 50; set_member limit=10/month; spend 10; at 2026-01-31T16:00:00Z", "spend 10", "ok"),
        ],
    );
    spending_under(
        &in_zone("America/New_York"),
        &[
            (
                "the day of 23 hours begins",
                "endow 50; set_member limit=10/day; at 2026-03-08T05:00:00Z; spend 10",
                "spend 1",
                "denied member_limit_exceeded retry_at=2026-03-09T04:00:00.000000Z",
            ),
            (
                "and ends",
                "endow 50; set_member limit=10/day; at 2026-03-08T05:00:00Z; spend 10; at 2026-03-09T04:00:00Z",
                "spend 1",
                "ok",
            ),
            (
                "the day of 25 hours begins",
                "endow 50; set_member limit=10/day; at 2026-11-01T04:00:00Z; spend 10; at 2026-11-02T04:59:59Z",
                "spend 1",
                "denied member_limit_exceeded retry_at=2026-11-02T05:00:00.000000Z",
            ),
            (
                "a month with a change of the clock",
                "endow 50; set_member limit=10/month; at 2026-11-01T04:00:00Z; spend 10",
                "spend 1",
                "denied member_limit_exceeded retry_at=2026-12-01T05:00:00.000000Z",
            ),
            (
                "what is given back on the day of 25 hours",
                "endow 50; set_member limit=10/day; at 2026-11-01T04:00:00Z; keep 9 expire_in=89999; at 2026-11-02T04:59:59Z",
                "spend 10",
                "ok; used 10",
            ),
        ],
    );
}

#[test]
fn the_clock_is_never_behind_the_last_word() {
    spending(&[
        ("of the member", "endow 5; wait 9; set_member; at +5", "spend 1", "ok created_at=+9"),
        ("of another member", "endow 5; set_member; wait 9; set_member user_id=u2; at +5", "spend 1", "ok created_at=+5"),
        ("more than five seconds", "endow 5; wait 9; set_member; at +3", "spend 1", "error clock_behind"),
    ]);
}

/// In a batch, what the commands before have set and used counts.
#[test]
fn a_batch_sees_what_its_members_use() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let engine = Engine::builder().store(store).build().unwrap();
        let acme = Context::tenant("acme").unwrap();
        let owner = Owner::organization("o1").unwrap();
        let limit = |amount: &str| MemberLimit { amount: amount.parse().unwrap(), unit: None, per: LimitPeriod::Day };
        let set = |amount: &str| {
            Body::from(SetMember { limit: Some(limit(amount)), ..SetMember::new("o1", "u1", Role::Member, "ops").unwrap() })
        };
        let spend = |amount: &str| {
            let charge = Charge::new(owner.clone(), amount.parse().unwrap());
            Body::from(Charge { user_id: Some("u1".parse().unwrap()), ..charge })
        };
        let bodies = [
            GrantCredit::new(owner.clone(), GrantType::Plan, "1000".parse().unwrap()).into(),
            spend("1"),
            set("10"),
            spend("6"),
            spend("5"),
            set("11"),
            spend("5"),
            drawdown::RemoveMember::new("o1", "u1", "ops").unwrap().into(),
            spend("0.1"),
        ];
        let answers = engine.execute_many(bodies.into_iter().map(|body: Body| acme.request(body)).collect());
        let accepted: Vec<bool> = answers.iter().map(Result::is_ok).collect();
        assert_eq!(accepted, [true, false, true, true, false, true, true, true, false], "{name}");
    }
}

fn team(engine: &Engine, users: &[&str], limit: &str) -> Context {
    let acme = Context::tenant("acme").unwrap();
    let grant = GrantCredit::new(Owner::organization("o1").unwrap(), GrantType::Plan, "1000".parse().unwrap());
    engine.execute(acme.request(grant)).unwrap();
    for user in users {
        let limit = MemberLimit { amount: limit.parse().unwrap(), unit: None, per: LimitPeriod::Day };
        let member = SetMember { limit: Some(limit), ..SetMember::new("o1", user, Role::Member, "ops").unwrap() };
        engine.execute(acme.request(member)).unwrap();
    }
    acme
}

/// Many threads spend for one member, each as fast as it can, by charges and by holds that they capture or release.
fn race(engine: &Engine) {
    let acme = team(engine, &["u1", "u2"], "20");
    let barrier = Barrier::new(8);
    let spent: i64 = thread::scope(|scope| {
        let spender = |number: u32| {
            let (engine, acme, barrier) = (engine, &acme, &barrier);
            scope.spawn(move || {
                barrier.wait();
                (0..10).filter(|turn| spend(engine, acme, (number + turn) % 3)).count()
            })
        };
        let spenders: Vec<_> = (0..8).map(spender).collect();
        spenders.into_iter().map(|spender| i64::try_from(spender.join().unwrap()).unwrap()).sum()
    });
    let of = |user: &str| engine.member(&acme.tenant_id, &"o1".parse().unwrap(), &user.parse().unwrap()).unwrap();
    assert_eq!((spent, of("u1").used.to_string(), of("u2").used.to_string()), (20, "20".to_owned(), "0".to_owned()));
    let account = AccountKey::new(acme.tenant_id.clone(), Owner::organization("o1").unwrap(), "credit".parse().unwrap());
    assert_eq!(engine.balance(&account).unwrap().available.to_string(), "980");
    assert!(engine.verify().unwrap().is_clean());
}

/// Spends one unit for good, if it is allowed.
fn spend(engine: &Engine, acme: &Context, way: u32) -> bool {
    let (payer, user_id, one) = (Owner::organization("o1").unwrap(), Some("u1".parse().unwrap()), "1".parse().unwrap());
    if way == 0 {
        return engine.execute(acme.request(Charge { user_id, ..Charge::new(payer, one) })).is_ok();
    }
    let hold = engine.execute(acme.request(PlaceHold { user_id, ..PlaceHold::new(payer, one) }));
    let Ok(hold) = hold else { return false };
    engine.execute(acme.request(drawdown::CaptureHold::new(hold.hold_id, one))).is_ok()
}

#[test]
fn many_threads_never_exceed_a_limit() {
    race(&Engine::in_memory());
    let folder = tempfile::tempdir().unwrap();
    let store: std::sync::Arc<dyn Store> =
        std::sync::Arc::new(drawdown::store::sqlite::SqliteStore::open(folder.path().join("books.db")).unwrap());
    race(&Engine::builder().store(store).build().unwrap());
}

#[test]
fn eight_members_have_a_limit_each() {
    let engine = Engine::in_memory();
    let users = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let acme = team(&engine, &users, "5");
    let accepted: Vec<usize> = thread::scope(|scope| {
        let member = |user: &'static str| {
            let (engine, acme) = (&engine, &acme);
            scope.spawn(move || {
                let charge = || Charge {
                    user_id: Some(user.parse().unwrap()),
                    ..Charge::new(Owner::organization("o1").unwrap(), "1".parse().unwrap())
                };
                (0..9).filter(|_| engine.execute(acme.request(charge())).is_ok()).count()
            })
        };
        let members: Vec<_> = users.into_iter().map(member).collect();
        members.into_iter().map(|member| member.join().unwrap()).collect()
    });
    assert_eq!(accepted, [5; 8]);
}

#[test]
fn members_are_listed_and_read() {
    let engine = Engine::in_memory();
    let acme = team(&engine, &["u3", "u1", "u2"], "5");
    engine.execute(acme.request(drawdown::RemoveMember::new("o1", "u2", "ops").unwrap())).unwrap();
    let organization = "o1".parse().unwrap();
    let page = engine.members(&acme.tenant_id, &organization, None, 1_000).unwrap();
    let listed: Vec<&str> = page.members.iter().map(|member| member.user_id.as_str()).collect();
    assert_eq!((listed, page.next_cursor), (vec!["u1", "u3"], None));
    assert!(engine.members(&acme.tenant_id, &organization, None, 1_001).is_err());
    let removed = engine.member(&acme.tenant_id, &organization, &"u2".parse().unwrap()).unwrap_err();
    assert_eq!(removed.denial().unwrap().name(), "not_a_member");
    let read = engine.member(&acme.tenant_id, &organization, &"u1".parse().unwrap()).unwrap();
    assert_eq!((read.used.is_zero(), read.left.unwrap().to_string().as_str()), (true, "5"));
    assert_eq!(read.period_until.micros() - read.period_from.micros(), 86_400_000_000);
}
