//! What holds and charges with a template use of their licence, and on which day.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::{Arc, Barrier};
use std::thread;

use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::SqliteStore;
use drawdown::{
    Charge, Context, Engine, GrantCredit, GrantType, Owner, Policies, ReasonCode, SetLicence, TemplateKey, TenantPolicy,
};
use drawdown_tests::script::{Bank, Case, table, table_under};

fn required() -> TenantPolicy {
    TenantPolicy { licence_required: true, ..TenantPolicy::default() }
}

/// `use` is a charge of 1 with the template `a`, `keep` a hold.
fn using_under(policy: &TenantPolicy, cases: &[Case<'_>]) {
    let long = |script: &str| {
        let words = script.split(' ').map(|word| match word.trim_end_matches(';') {
            "use" => word.replace("use", "charge 1 template_id=a user_id=u1"),
            "keep" => word.replace("keep", "hold 1 template_id=a user_id=u1"),
            "licensed" => word.replace("licensed", "grant 100; set_licence"),
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let cases: Vec<[String; 4]> = cases.iter().map(|(a, b, c, d)| [(*a).to_owned(), long(b), long(c), (*d).to_owned()]).collect();
    let cases: Vec<Case<'_>> = cases.iter().map(|[a, b, c, d]| (a.as_str(), b.as_str(), c.as_str(), d.as_str())).collect();
    table_under(policy, &cases);
}

fn using(cases: &[Case<'_>]) {
    using_under(&required(), cases);
}

#[test]
fn work_needs_a_licence_where_the_tenant_says_so() {
    table(&[
        ("not by default", "grant 5", "charge 1 template_id=a", "ok licence_id=null"),
        ("nor for a hold", "grant 5", "hold 1 template_id=a", "ok licence_id=null quota_snapshot=null"),
        (
            "and nothing is used then",
            "grant 5; set_licence total_quota=3",
            "hold 1 template_id=a",
            "ok quota_snapshot=null; left 3",
        ),
    ]);
    using(&[
        ("a charge", "licensed", "use", "ok licence_id=l1"),
        ("a hold", "licensed", "keep", "ok licence_id=l1"),
        ("without a template", "grant 5", "charge 1", "ok licence_id=null"),
        ("a hold without a template", "grant 5", "hold 1", "ok licence_id=null quota_snapshot=null"),
        (
            "no licence for a charge",
            "grant 5",
            "use",
            r#"denied authorization_missing template_id=a reason_code=missing_documents requirements=["license"] retryable=false"#,
        ),
        ("no licence for a hold", "grant 5", "keep", r#"denied authorization_not_found requirements=["license"] retryable=false"#),
        (
            "revoked",
            "licensed; revoke_licence",
            "use",
            "denied authorization_missing reason_code=revoked licence_id=l1 retry_at=null retryable=false",
        ),
        ("revoked, a hold", "licensed; revoke_licence", "keep", "denied authorization_missing reason_code=revoked"),
        ("expired", "licensed valid_until=+60; wait 60", "keep", "denied authorization_missing reason_code=expired retry_at=null"),
        ("a microsecond before", "licensed valid_until=+60; wait 59.999999", "keep", "ok"),
        (
            "not valid yet: waiting helps",
            "licensed valid_from=+60",
            "use",
            r#"denied authorization_missing reason_code=missing_documents requirements=["valid_from"] retry_at=+60 retryable=true"#,
        ),
        (
            "documents: waiting does not help",
            "licensed valid_from=+60 required_documents=consent",
            "keep",
            r#"denied authorization_missing requirements=["consent","valid_from"] retry_at=null retryable=false"#,
        ),
        (
            "used up for today",
            "licensed daily_quota=1 total_quota=5; use",
            "keep",
            "denied daily_quota_exceeded reason_code=daily_quota_exceeded daily_remaining=0 remaining_quota=4 retry_at=+1d retryable=true",
        ),
        (
            "used up in all: waiting does not help",
            "licensed total_quota=1 daily_quota=9; use",
            "use",
            "denied daily_quota_exceeded reason_code=daily_quota_exceeded remaining_quota=0 retry_at=null retryable=false",
        ),
        (
            "tomorrow it has expired",
            "licensed daily_quota=1 valid_until=+1d; use",
            "use",
            "denied daily_quota_exceeded retry_at=null retryable=false",
        ),
        ("a day of nothing", "licensed daily_quota=0", "use", "denied daily_quota_exceeded retry_at=null retryable=false"),
        ("exactly used up", "licensed total_quota=2 daily_quota=2; use", "use", "ok; left 0 today 0"),
        (
            "who pays uses it, where nobody else acts",
            "grant 5; set_licence user_id=u1",
            "charge 1 template_id=a",
            "ok licence_id=l1",
        ),
        (
            "who acts uses it",
            "grant 5; set_licence user_id=u1",
            "charge 1 template_id=a user_id=u2",
            "denied authorization_missing",
        ),
        (
            "the pool has no user",
            "grant 5 owner=pool; set_licence user_id=u1",
            "charge 1 payer=pool template_id=a",
            "denied authorization_missing",
        ),
        ("any user, and nobody", "grant 5 owner=pool; set_licence", "charge 1 payer=pool template_id=a", "ok licence_id=l1"),
    ]);
}

#[test]
fn a_tenant_can_tell_the_total_from_the_day() {
    let policy = TenantPolicy { tells_quota_exceeded: true, ..required() };
    using_under(
        &policy,
        &[
            ("used up in all", "licensed total_quota=1; use", "check", "ok reason_code=quota_exceeded remaining_quota=0"),
            (
                "and so for work",
                "licensed total_quota=1; use",
                "use",
                "denied quota_exceeded reason_code=quota_exceeded retryable=false",
            ),
            ("in all before the day", "licensed total_quota=1 daily_quota=1; use", "keep", "denied quota_exceeded retry_at=null"),
            ("used up for today", "licensed daily_quota=1; use", "keep", "denied daily_quota_exceeded retry_at=+1d"),
        ],
    );
}

#[test]
fn the_order_of_checks() {
    using(&[
        ("after a replay", "licensed; use idempotency_key=k; revoke_licence", "use idempotency_key=k", "ok idempotent_replay=true"),
        ("after the version", "grant 5", "use expected_version=7", "denied version_conflict"),
        ("after a block", "grant 5; block target=tenant", "use", "denied blocked"),
        ("after the task", "licensed; keep task_id=t; revoke_licence", "keep task_id=t", "denied pre_deduct_already_processed"),
        ("before the balance", "set_licence; revoke_licence", "use", "denied authorization_missing"),
        ("and then the balance", "set_licence total_quota=1", "use", "denied insufficient_balance; left 1"),
    ]);
}

#[test]
fn work_takes_the_licence_that_counts() {
    using(&[
        ("work has no channel", "licensed channels=viewer", "use", "ok licence_id=l1"),
        (
            "the next when one is used up",
            "licensed licence_id=x total_quota=1; set_licence licence_id=y valid_until=+900; use",
            "use",
            "ok licence_id=y",
        ),
    ]);
}

#[test]
fn what_uses_a_licence_up() {
    using(&[
        ("a charge", "licensed total_quota=9 daily_quota=9", "use", "ok; left 8 today 8"),
        (
            "a hold reserves one",
            "licensed total_quota=9 daily_quota=9",
            "keep",
            r#"ok quota_snapshot={"template_quota":8,"user_usage":1}; left 8 today 8"#,
        ),
        ("a hold of nothing too", "licensed total_quota=9", "hold 0 template_id=a", "ok; left 8"),
        (
            "a denied one does not",
            "licensed total_quota=9; try keep expire_in=0; try charge 500 template_id=a",
            "check",
            "ok; left 9",
        ),
        (
            "a capture uses it",
            "licensed total_quota=9; keep as=h",
            "capture h 1",
            r#"ok quota_snapshot={"template_quota":8,"user_usage":1}; left 8"#,
        ),
        ("a capture of nothing", "licensed total_quota=9; keep as=h", "capture h 0", "ok; left 8"),
        ("a capture of a part", "licensed total_quota=9; keep as=h", "capture h 0.5 final=false idempotency_key=k", "ok; left 8"),
        (
            "two captures use one",
            "licensed total_quota=9; keep as=h; capture h 0.5 final=false idempotency_key=k",
            "capture h 0.5",
            "ok; left 8",
        ),
        (
            "what is left of a capture comes back, the use does not",
            "licensed total_quota=9; keep as=h; capture h 0.5 final=false idempotency_key=k",
            "release h",
            "ok; left 8",
        ),
        ("a release gives it back", "licensed total_quota=9 daily_quota=9; keep as=h", "release h", "ok; left 9 today 9"),
        ("a release of a part does not", "licensed total_quota=9; keep as=h", "release h 0.5 idempotency_key=k", "ok; left 8"),
        ("an expiry gives it back, booked", "licensed total_quota=9; keep; wait 900; charge 1", "check", "ok; left 9 today -1"),
        ("or not", "licensed total_quota=9 daily_quota=9; keep; wait 900", "check", "ok remaining_quota=9 daily_remaining=9"),
        ("not before", "licensed total_quota=9; keep; wait 899.999999", "check", "ok remaining_quota=8"),
        ("and it can be used again", "licensed total_quota=1; keep; wait 900", "use", "ok; left 0"),
        (
            "by another, whose account says nothing of the hold",
            "licensed total_quota=1; keep; grant 5 owner=user:u2; wait 900",
            "charge 1 payer=user:u2 template_id=a",
            "ok; left 0",
        ),
        (
            "what another has reserved is reserved",
            "licensed total_quota=1; keep; grant 5 owner=user:u2; wait 899",
            "charge 1 payer=user:u2 template_id=a",
            "denied daily_quota_exceeded",
        ),
        (
            "an extension keeps it",
            "licensed total_quota=9; keep as=h; extend h expire_in=3600; wait 900",
            "check",
            "ok remaining_quota=8",
        ),
        ("until its end", "licensed total_quota=9; keep as=h; extend h expire_in=3600; wait 3600", "check", "ok remaining_quota=9"),
        (
            "a late capture uses it after all",
            "licensed total_quota=1; keep late_commit=draw as=h; wait 900; charge 1",
            "capture h 1",
            "ok; left 0",
        ),
        (
            "even beyond the quota",
            "licensed total_quota=1; keep late_commit=draw as=h; wait 900; use",
            "capture h 1",
            r#"ok quota_snapshot={"template_quota":0,"user_usage":2}; left 0"#,
        ),
        ("a capture never asks again", "licensed; keep as=h; revoke_licence", "capture h 1", "ok captured=1"),
        ("a refund gives nothing back", "licensed total_quota=9; use as=c", "refund ledger_id=@c", "ok refunded=1; left 8"),
        (
            "nor of a capture",
            "licensed total_quota=9; keep task_id=t as=h; capture h 1",
            "refund task_id=t",
            "ok refunded=1; left 8",
        ),
        ("a licence without limits says so", "licensed", "keep", r#"ok quota_snapshot={"template_quota":-1,"user_usage":1}"#),
        (
            "others' use is not the user's",
            "licensed total_quota=9; use; keep; grant 5 owner=user:u2",
            "hold 1 payer=user:u2 template_id=a",
            r#"ok quota_snapshot={"template_quota":6,"user_usage":1}"#,
        ),
        (
            "a user's open holds count, and those that are due do not",
            "licensed total_quota=9; keep expire_in=60; keep; use; grant 5 owner=pool; wait 60",
            "hold 1 payer=pool template_id=a user_id=u1",
            r#"ok quota_snapshot={"template_quota":6,"user_usage":3}"#,
        ),
        ("a change of the quota keeps the use", "licensed total_quota=9; use; use", "set_licence total_quota=3", "ok; left 1"),
        ("less than was used", "licensed total_quota=9; use; use", "set_licence total_quota=1", "ok; left 0"),
        ("a quota that comes later", "licensed; use; use", "set_licence total_quota=3 daily_quota=4", "ok; left 1 today 2"),
        ("a group counts on", "licensed total_quota=9; 3x charge 1 template_id=a", "use", "ok; left 5"),
        ("as far as it goes", "licensed total_quota=3; 3x charge 1 template_id=a", "use", "denied daily_quota_exceeded"),
    ]);
}

#[test]
fn a_use_belongs_to_the_day_on_which_its_hold_was_made() {
    using(&[
        ("a new day", "licensed daily_quota=2; use; use; wait 1d", "use", "ok; today 1"),
        (
            "a microsecond before",
            "licensed daily_quota=2; use; use; at 2026-01-01T23:59:59.999999Z",
            "use",
            "denied daily_quota_exceeded retry_at=+1d",
        ),
        ("the first instant", "licensed daily_quota=2; use; use; at 2026-01-02T00:00:00Z", "use", "ok; today 1"),
        (
            "a month ends",
            "licensed daily_quota=1; at 2026-01-31T23:59:59Z; use",
            "use",
            "denied daily_quota_exceeded retry_at=2026-02-01T00:00:00.000000Z",
        ),
        (
            "a hold across midnight captured is of its day",
            "licensed daily_quota=2; at 2026-01-01T23:59:00Z; keep as=h; at 2026-01-02T00:01:00Z",
            "capture h 1",
            "ok; today 2",
        ),
        (
            "a hold across midnight released gives nothing to the next day",
            "licensed daily_quota=2 total_quota=9; at 2026-01-01T23:59:00Z; keep as=h; at 2026-01-02T00:01:00Z; use",
            "release h",
            "ok; today 1 left 8",
        ),
        (
            "a hold across midnight expired gives nothing to the next day",
            "licensed daily_quota=2 total_quota=9; at 2026-01-01T23:59:00Z; keep; at 2026-01-02T00:01:00Z; use; at 2026-01-02T00:14:00Z",
            "check",
            "ok daily_remaining=1 remaining_quota=8",
        ),
        ("an expired hold gives back on its own day", "licensed daily_quota=1; keep expire_in=60; wait 60", "use", "ok; today 0"),
        (
            "a late capture is of the day of its hold",
            "licensed daily_quota=2 total_quota=9; at 2026-01-01T23:59:00Z; keep late_commit=draw as=h; at 2026-01-02T01:00:00Z; use",
            "capture h 1",
            "ok; today 1 left 7",
        ),
        (
            "a late capture on the same day",
            "licensed daily_quota=2 total_quota=9; keep late_commit=draw as=h; wait 1000",
            "capture h 1",
            "ok; today 1 left 8",
        ),
        (
            "a hold of months ago",
            "licensed daily_quota=2 total_quota=9; keep expire_in=604800 as=h; wait 7d; use",
            "release h",
            "denied pre_deduct_already_processed status=expired; today 1 left 8",
        ),
    ]);
}

#[test]
fn a_day_is_that_of_the_licences_zone() {
    // Midnight in Shanghai is 16:00 in UTC.
    using(&[
        (
            "before midnight in Shanghai",
            "licensed daily_quota=1 zone=Asia/Shanghai; use; at 2026-01-01T15:59:59.999999Z",
            "use",
            "denied daily_quota_exceeded retry_at=2026-01-01T16:00:00.000000Z",
        ),
        (
            "at midnight in Shanghai",
            "licensed daily_quota=1 zone=Asia/Shanghai; use; at 2026-01-01T16:00:00Z",
            "use",
            "ok; today 0",
        ),
        (
            "and not at midnight in UTC",
            "licensed daily_quota=1 zone=Asia/Shanghai; at 2026-01-01T16:00:00Z; use; at 2026-01-02T00:00:00Z",
            "use",
            "denied daily_quota_exceeded retry_at=2026-01-02T16:00:00.000000Z",
        ),
        (
            "the month ends in Shanghai",
            "licensed daily_quota=1 zone=Asia/Shanghai; at 2026-02-28T15:59:59Z; use",
            "use",
            "denied daily_quota_exceeded retry_at=2026-02-28T16:00:00.000000Z",
        ),
        (
            "a day of 23 hours",
            "licensed daily_quota=1 zone=Europe/Berlin; at 2026-03-28T23:00:00Z; use",
            "use",
            "denied daily_quota_exceeded retry_at=2026-03-29T22:00:00.000000Z",
        ),
        (
            "is over after 23 hours",
            "licensed daily_quota=1 zone=Europe/Berlin; at 2026-03-28T23:00:00Z; use; at 2026-03-29T22:00:00Z",
            "use",
            "ok",
        ),
        (
            "a day of 25 hours",
            "licensed daily_quota=1 zone=Europe/Berlin; at 2026-10-24T22:00:00Z; use; at 2026-10-25T22:59:59.999999Z",
            "use",
            "denied daily_quota_exceeded retry_at=2026-10-25T23:00:00.000000Z",
        ),
        (
            "each licence has its own",
            "licensed daily_quota=1 zone=Asia/Shanghai user_id=u1; set_licence licence_id=l2 daily_quota=1 user_id=u2; \
             grant 5 owner=user:u2; use; charge 1 payer=user:u2 template_id=a; at 2026-01-01T16:00:00Z",
            "charge 1 payer=user:u2 template_id=a",
            "denied daily_quota_exceeded retry_at=+1d; today 1",
        ),
    ]);
    let shanghai = TenantPolicy { zone: "Asia/Shanghai".parse().unwrap(), ..required() };
    using_under(&shanghai, &[("the tenant's if not said", "licensed daily_quota=1; use; at 2026-01-01T16:00:00Z", "use", "ok")]);
}

#[test]
fn labels_pass_through() {
    using(&[
        ("the licence's", "licensed policy_tag=strict", "use policy_tag=mild", "ok policy_tag=strict"),
        ("else the command's", "licensed", "use policy_tag=mild", "ok policy_tag=mild"),
        ("of a hold", "licensed policy_tag=strict", "keep policy_tag=mild", "ok policy_tag=strict"),
        ("of its capture", "licensed policy_tag=strict; keep as=h", "capture h 1", "ok policy_tag=strict"),
        ("of its refund", "licensed policy_tag=strict; use as=c", "refund ledger_id=@c", "ok policy_tag=strict"),
    ]);
    let mut bank = Bank::new(Arc::new(MemoryStore::new()), required());
    let tag_of = |bank: &mut Bank, statement: &str| {
        let refused = bank.run(statement).unwrap_err();
        refused.denial().unwrap().policy_tag().map(|tag| tag.to_string())
    };
    assert_eq!(tag_of(&mut bank, "charge 1 template_id=a policy_tag=mild"), Some("mild".to_owned()));
    bank.given("set_licence policy_tag=strict daily_quota=0").unwrap();
    assert_eq!(tag_of(&mut bank, "charge 1 template_id=a policy_tag=mild"), Some("strict".to_owned()));
}

/// Within a batch what the first command settled is settled for the next: it does not come back twice.
#[test]
fn a_use_comes_back_once_in_a_batch() {
    let mut bank = Bank::new(Arc::new(MemoryStore::new()), required());
    let given = "grant 100; set_licence total_quota=2; hold 1 template_id=a expire_in=60; wait 60";
    given.split("; ").for_each(|statement| bank.given(statement).unwrap());
    let acme = Context::tenant("acme").unwrap();
    let template_id = Some("a".parse().unwrap());
    let charge = Charge { template_id, ..Charge::new(Owner::user("u1").unwrap(), "1".parse().unwrap()) };
    let answers = bank.engine.execute_many(vec![acme.request(charge).into_command(); 3]);
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false]);
}

/// However many threads, engines and batches there are: a quota of 20 is used 20 times.
#[test]
fn a_quota_holds_against_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (_, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        spend_at_once(&store);
    }
}

fn spend_at_once(store: &Arc<dyn Store>) {
    let engines: Vec<Engine> =
        (0..2).map(|_| Engine::builder().store(store.clone()).policies(Policies::new(required())).build().unwrap()).collect();
    let acme = Context::tenant("acme").unwrap();
    let licence = SetLicence { total_quota: Some(20), ..SetLicence::new("l1", "a", "ops").unwrap() };
    engines[0].execute(acme.request(licence)).unwrap();
    let begin = Barrier::new(4);
    let accepted: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (engine, acme, begin) = (&engines[worker % 2], &acme, &begin);
                scope.spawn(move || {
                    let user = Owner::user(format!("u{worker}")).unwrap();
                    engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Plan, "100".parse().unwrap()))).unwrap();
                    begin.wait();
                    let template_id = Some("a".parse().unwrap());
                    let charge = Charge { template_id, ..Charge::new(user, "1".parse().unwrap()) };
                    (0..15).filter(|_| engine.execute(acme.request(charge.clone())).is_ok()).count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(accepted, 20);
    let check = engines[1].check_licence(&TemplateKey::new("acme".parse().unwrap(), "a".parse().unwrap(), None), None).unwrap();
    assert_eq!((check.remaining_quota, check.reason_code), (0, ReasonCode::DailyQuotaExceeded));
}

/// Each engine remembers what it read and wrote; what another has written since is read again.
#[test]
fn engines_over_one_file_see_each_others_licences() {
    let folder = tempfile::tempdir().unwrap();
    let open = || -> Engine {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(folder.path().join("books.db")).unwrap());
        Engine::builder().store(store).policies(Policies::new(required())).build().unwrap()
    };
    let (one, other) = (open(), open());
    let acme = Context::tenant("acme").unwrap();
    let user = Owner::user("u1").unwrap();
    one.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Plan, "90".parse().unwrap()))).unwrap();
    let charge = |engine: &Engine| {
        let charge = Charge { template_id: Some("a".parse().unwrap()), ..Charge::new(user.clone(), "1".parse().unwrap()) };
        engine.execute(acme.request(charge)).map(|_| ()).map_err(|failure| failure.denial().unwrap().name())
    };
    let set = |engine: &Engine, name: &str, quota| {
        let licence = SetLicence { total_quota: Some(quota), ..SetLicence::new(name, "a", "ops").unwrap() };
        engine.execute(acme.request(licence)).unwrap();
    };
    assert_eq!((charge(&one), charge(&other)), (Err("authorization_missing"), Err("authorization_missing")));
    set(&one, "l1", 3);
    assert_eq!((charge(&one), charge(&other), charge(&one), charge(&other)), (Ok(()), Ok(()), Ok(()), Err("daily_quota_exceeded")));
    set(&other, "l1", 4);
    assert_eq!((charge(&one), charge(&one)), (Ok(()), Err("daily_quota_exceeded")));
    // One more for the template, by the engine that remembers how many there were.
    set(&one, "l2", 2);
    assert_eq!((charge(&one), charge(&other), charge(&one)), (Ok(()), Ok(()), Err("daily_quota_exceeded")));
    assert!(one.verify().unwrap().is_clean());
}
