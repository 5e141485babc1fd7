//! Grants and the order in which they are consumed, and who owns them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use drawdown::{AccountKey, ConsumptionOrder, GrantType, Payer, TenantPolicy};
use drawdown_tests::script::{Bank, table, table_under};

#[test]
fn who_pays() {
    table(&[
        ("a user's account", "grant 5", "charge 2", "ok change=-2 balance_after=3; balance 3 of user:u1; balance 0 of user:u2"),
        ("the pool", "grant 5 owner=pool", "charge 2 payer=pool", "ok balance_after=3; balance 3 of pool; balance 0"),
        (
            "an organization",
            "set_member; grant 5 owner=organization:o1",
            "charge 2 payer=organization:o1 user_id=u1",
            "ok; balance 3 of organization:o1",
        ),
        (
            "a user and an organization of one name are two",
            "grant 5 owner=organization:u1",
            "charge 1",
            "denied insufficient_balance",
        ),
        ("by policy the user", "grant 5", "charge 2 payer=- user_id=u1", "ok balance_after=3"),
        (
            "a payer goes before the user",
            "grant 5 owner=pool",
            "charge 2 payer=pool user_id=u1",
            "ok; balance 3 of pool; balance 0",
        ),
        ("nobody", "grant 5", "charge 2 payer=-", "denied owner_invalid"),
        ("nobody, of a hold", "grant 5", "hold 2 payer=-", "denied owner_invalid"),
        ("nobody, of a refund", "grant 5; charge 2 as=c", "refund ledger_id=@c payer=-", "denied owner_invalid"),
        (
            "another tenant's account of the same owner",
            "grant 5",
            "charge 1 tenant_id=globex",
            "denied insufficient_balance available=0",
        ),
        ("shape goes before the owner", "grant 5", "charge 0 payer=-", "denied amount_invalid"),
        ("the owner goes before the balance", "wait 0", "charge 9 payer=-", "denied owner_invalid"),
    ]);
    let pool = TenantPolicy { payer: Payer::Tenant, ..TenantPolicy::default() };
    table_under(
        &pool,
        &[
            (
                "by policy the pool",
                "grant 5 owner=pool",
                "charge 2 payer=- user_id=u1",
                "ok balance_after=3; balance 3 of pool; balance 0",
            ),
            ("by policy the pool, without a user", "grant 5 owner=pool", "charge 2 payer=-", "ok; balance 3 of pool"),
            ("a payer goes before the policy", "grant 5", "charge 2", "ok; balance 3"),
        ],
    );
}

#[test]
fn a_grant_lives_from_its_effective_time_to_its_expiry() {
    table(&[
        ("at once", "wait 0", "grant 10 as=g", "ok change=10 balance_after=10 effective_at=+0 expires_at=null"),
        (
            "later: it is not in the balance",
            "wait 0",
            "grant 10 effective_at=+60",
            "ok change=0 balance_after=0 effective_at=+60; balance 0",
        ),
        (
            "a microsecond before it begins",
            "grant 10 effective_at=+60; at +59.999999",
            "charge 1",
            "denied insufficient_balance available=0",
        ),
        ("when it begins", "grant 10 effective_at=+60; at +60", "charge 1", "ok balance_after=9"),
        ("a microsecond before it ends", "grant 10 expires_at=+60; at +59.999999", "charge 1", "ok balance_after=9"),
        (
            "when it ends",
            "grant 10 expires_at=+60; at +60",
            "charge 1",
            "denied insufficient_balance needed=1 available=0; balance 0",
        ),
        (
            "its whole life passed while nobody wrote",
            "grant 10 effective_at=+60 expires_at=+90; at +100",
            "grant 1",
            "ok balance_after=1",
        ),
        ("it can have begun before now", "at +60", "grant 10 effective_at=-60", "ok change=10 effective_at=-60 balance_after=10"),
        ("an expiry of now", "at +60", "grant 10 expires_at=+60", "denied payload_invalid field=expires_at"),
        ("an expiry before now", "at +60", "grant 10 expires_at=+59", "denied payload_invalid field=expires_at"),
        (
            "an expiry when it begins",
            "wait 0",
            "grant 10 effective_at=+60 expires_at=+60",
            "denied payload_invalid field=expires_at",
        ),
        (
            "an expiry before it begins",
            "wait 0",
            "grant 10 effective_at=+60 expires_at=+59",
            "denied payload_invalid field=expires_at",
        ),
        (
            "an expiry that passed, though it began before",
            "at +60",
            "grant 10 effective_at=+0 expires_at=+30",
            "denied payload_invalid field=expires_at",
        ),
        ("nothing", "wait 0", "grant 0", "denied amount_invalid field=amount given=0"),
        ("less than nothing", "wait 0", "grant -1", "denied amount_invalid field=amount given=-1"),
        ("shape goes before the expiry", "at +60", "grant 0 expires_at=+0", "denied amount_invalid"),
    ]);
}

#[test]
fn grants_are_drawn_in_one_order() {
    table(&[
        (
            "types in their order",
            "grant 1 type=import as=i; grant 1 type=adjustment as=a; grant 1 type=refund as=r; grant 1 type=plan as=p; grant 1 as=b; grant 1 type=invite as=v; grant 1 type=campaign as=c; grant 1 type=new_user as=n; grant 1 type=trial as=t",
            "charge 9",
            "ok draw=t:1,n:1,c:1,v:1,b:1,p:1,r:1,a:1,i:1",
        ),
        (
            "then the lower priority number",
            "grant 1 priority=1 as=a; grant 1 as=b; grant 1 priority=-1 as=c",
            "charge 3",
            "ok draw=c:1,b:1,a:1",
        ),
        (
            "the type goes before the priority",
            "grant 1 type=plan priority=-9 as=a; grant 1 priority=9 as=b",
            "charge 2",
            "ok draw=b:1,a:1",
        ),
        ("then scoped before unscoped", "grant 1 as=a; grant 1 scope.app_id=x as=b", "charge 2 app_id=x", "ok draw=b:1,a:1"),
        (
            "the priority goes before the scope",
            "grant 1 scope.app_id=x priority=1 as=a; grant 1 as=b",
            "charge 2 app_id=x",
            "ok draw=b:1,a:1",
        ),
        (
            "then the soonest expiry, none last",
            "grant 1 as=a; grant 1 expires_at=+90 as=b; grant 1 expires_at=+60 as=c",
            "charge 3",
            "ok draw=c:1,b:1,a:1",
        ),
        (
            "the scope goes before the expiry",
            "grant 1 expires_at=+60 as=a; grant 1 scope.app_id=x as=b",
            "charge 2 app_id=x",
            "ok draw=b:1,a:1",
        ),
        (
            "then the earliest effective time",
            "at +60; grant 1 as=a; grant 1 effective_at=+30 as=b; grant 1 effective_at=+10 as=c",
            "charge 3",
            "ok draw=c:1,b:1,a:1",
        ),
        (
            "the expiry goes before the effective time",
            "at +60; grant 1 expires_at=+90 effective_at=+10 as=a; grant 1 expires_at=+80 as=b",
            "charge 2",
            "ok draw=b:1,a:1",
        ),
        ("a part of the last one", "grant 2 type=trial as=a; grant 5 as=b", "charge 4", "ok draw=a:2,b:2 balance_after=3"),
        ("a hold draws in the same order", "grant 2 as=a; grant 5 type=trial as=b", "hold 6", "ok draw=b:5,a:1"),
        (
            "an amended expiry counts",
            "grant 1 expires_at=+60 as=a; grant 1 expires_at=+70 as=b; amend a expires_at=+80",
            "charge 2",
            "ok draw=b:1,a:1",
        ),
        ("a minus draws in the same order", "grant 2 as=a; grant 5 type=trial as=b", "adjust -6", "ok draw=b:5,a:1 change=-6"),
    ]);
    let listed = ConsumptionOrder::new(vec![GrantType::Plan, GrantType::Purchased]).unwrap();
    table_under(
        &TenantPolicy { consumption_order: listed, ..TenantPolicy::default() },
        &[(
            "listed types first, the others after",
            "grant 1 type=trial as=t; grant 1 as=b; grant 1 type=plan as=p; grant 1 type=import as=i",
            "charge 4",
            "ok draw=p:1,b:1,t:1,i:1",
        )],
    );
    assert_eq!(ConsumptionOrder::new(vec![GrantType::Plan, GrantType::Plan]).unwrap_err().name(), "payload_invalid");
}

/// Where nothing else differs, whichever was given first.
#[test]
fn of_grants_alike_the_lower_id_is_drawn_first() {
    let mut bank = Bank::in_memory();
    let mut made: Vec<String> = (0..6).map(|_| bank.run("grant 1").unwrap()["grant_id"].as_str().unwrap().to_owned()).collect();
    made.sort_unstable();
    let drawn: Vec<String> =
        (0..6).map(|_| bank.run("charge 1").unwrap()["draw"][0]["grant_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(drawn, made);
}

/// The last instant that there is comes before never.
#[test]
fn a_grant_that_ends_with_the_last_instant_is_drawn_before_one_that_never_ends() {
    table(&[
        (
            "though its id is higher or lower",
            "grant 1 effective_at=-9 as=a; grant 1 expires_at=9999-12-31T23:59:59.999999Z as=b",
            "charge 2",
            "ok draw=b:1,a:1",
        ),
        (
            "whichever is given first",
            "grant 1 effective_at=-9 expires_at=9999-12-31T23:59:59.999999Z as=a; grant 1 effective_at=-10 as=b",
            "charge 2",
            "ok draw=a:1,b:1",
        ),
    ]);
}

#[test]
fn an_explanation_says_what_would_be_drawn_and_why_in_that_order() {
    let mut bank = Bank::in_memory();
    for statement in [
        "grant 2 as=last",
        "grant 2 type=trial priority=1 as=trial",
        "grant 2 expires_at=+600 as=soon",
        "grant 2 priority=-1 as=low",
        "grant 2 scope.app_id=x as=scoped",
        "grant 2 effective_at=+60 as=pending",
        "grant 2 scope.app_id=y as=foreign",
        "grant 2 type=trial priority=-1 as=held",
        "hold 2",
    ] {
        bank.given(statement).unwrap();
    }
    let account = AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap());
    let explained = bank.engine.explain(&account, "7".parse().unwrap(), Some(&"x".parse().unwrap()), None).unwrap();
    let why = |grant: &drawdown::ExplainedGrant| grant.before_next_by.map_or("nothing", drawdown::Criterion::as_str);
    let lines: Vec<String> = explained.grants.iter().map(|grant| format!("{} {}", grant.take, why(grant))).collect();
    assert_eq!(lines, ["2 type", "2 priority", "2 scope", "1 expiry", "0 nothing"]);
    let mut unusable: Vec<&str> = explained.unusable.iter().map(|grant| grant.why.as_str()).collect();
    unusable.sort_unstable();
    assert_eq!(unusable, ["held", "out_of_scope", "pending"]);
    assert_eq!((explained.available.to_string(), explained.missing.to_string()), ("10".to_owned(), "0".to_owned()));
    // The charge itself does what was explained.
    let charged = bank.run("charge 7 app_id=x");
    bank.expect(&charged, "ok draw=trial:2,low:2,scoped:2,soon:1").unwrap();
}

#[test]
fn a_scope_pays_for_what_it_names() {
    table(&[
        ("its app", "grant 5 scope.app_id=x", "charge 1 app_id=x", "ok balance_after=4"),
        ("another app", "grant 5 scope.app_id=x", "charge 1 app_id=y", "denied insufficient_balance needed=1 available=0"),
        ("no app", "grant 5 scope.app_id=x", "charge 1", "denied insufficient_balance available=0; balance 5"),
        ("its template", "grant 5 scope.template_id=a", "charge 1 template_id=a", "ok"),
        ("another template", "grant 5 scope.template_id=a", "charge 1 template_id=b", "denied insufficient_balance"),
        ("both, both named", "grant 5 scope.app_id=x scope.template_id=a", "charge 1 app_id=x template_id=a", "ok"),
        ("both, one named", "grant 5 scope.app_id=x scope.template_id=a", "charge 1 app_id=x", "denied insufficient_balance"),
        (
            "available is what could pay for this command",
            "grant 5 scope.app_id=x; grant 2",
            "charge 3",
            "denied insufficient_balance needed=3 available=2; balance 7",
        ),
        ("a hold likewise", "grant 5 scope.app_id=x; grant 2", "hold 3", "denied insufficient_balance needed=3 available=2"),
        (
            "a minus draws only unscoped grants",
            "grant 5 scope.app_id=x; grant 2",
            "adjust -3",
            "denied insufficient_balance needed=3 available=2",
        ),
        ("ids are compared as bytes", "grant 5 scope.app_id=x", "charge 1 app_id=X", "denied insufficient_balance"),
    ]);
}

#[test]
fn a_grant_can_be_taken_back() {
    table(&[
        ("the rest is forfeited at once", "grant 5 as=g; charge 2", "void g", "ok forfeited=3 balance_after=0; balance 0"),
        (
            "a held part stays capturable",
            "grant 5 as=g; hold 2 as=h; void g",
            "capture h 2",
            "ok captured=2 balance_after=0 frozen_after=0",
        ),
        ("only the unheld rest", "grant 5 as=g; hold 2", "void g", "ok forfeited=3 balance_after=0 frozen_after=2"),
        (
            "what is released from it is forfeited",
            "grant 5 as=g; hold 2 as=h; void g",
            "release h",
            "ok released=2 change=0 balance_after=0; balance 0",
        ),
        ("and what a capture leaves", "grant 5 as=g; hold 2 as=h; void g", "capture h 1", "ok captured=1 change=0; balance 0"),
        (
            "and what a hold leaves that expires",
            "grant 5 as=g; hold 2 expire_in=60; void g; wait 60",
            "settle",
            "ok balance_after=0 frozen_after=0; balance 0",
        ),
        (
            "before it begins",
            "grant 5 effective_at=+60 as=g; void g; wait 60",
            "charge 1",
            "denied insufficient_balance; balance 0",
        ),
        ("before it begins nothing is lost", "grant 5 effective_at=+60 as=g", "void g", "ok forfeited=0"),
        ("used up", "grant 5 as=g; charge 5", "void g", "ok forfeited=0"),
        ("twice", "grant 5 as=g; void g", "void g", "denied payload_invalid field=grant_id"),
        ("expired, not yet booked", "grant 5 expires_at=+60 as=g; wait 60", "void g", "denied payload_invalid field=grant_id"),
        ("expired, booked", "grant 5 expires_at=+60 as=g; wait 60; settle", "void g", "denied payload_invalid field=grant_id"),
        ("unknown", "wait 0", "void grant_id=grt_019b76da-a800-7033-837f-5ed7fe190001", "denied grant_not_found"),
        ("of another tenant", "grant 5 as=g", "void g tenant_id=globex", "denied grant_not_found; balance 5"),
    ]);
}

#[test]
fn an_expiry_can_be_moved_to_later() {
    table(&[
        ("later", "grant 5 expires_at=+60 as=g; amend g expires_at=+90; wait 60", "charge 1", "ok balance_after=4"),
        ("until then", "grant 5 expires_at=+60 as=g; amend g expires_at=+90; wait 90", "charge 1", "denied insufficient_balance"),
        ("its answer", "grant 5 expires_at=+60 as=g", "amend g expires_at=+90", "ok expires_at=+90 balance_after=5"),
        ("to the same time", "grant 5 expires_at=+60 as=g", "amend g expires_at=+60", "denied payload_invalid field=expires_at"),
        ("to an earlier time", "grant 5 expires_at=+60 as=g", "amend g expires_at=+59", "denied payload_invalid field=expires_at"),
        ("of a grant that never expires", "grant 5 as=g", "amend g expires_at=+60", "denied payload_invalid"),
        (
            "expired, not yet booked",
            "grant 5 expires_at=+60 as=g; wait 60",
            "amend g expires_at=+90",
            "denied payload_invalid field=grant_id; balance 0",
        ),
        (
            "expired, booked",
            "grant 5 expires_at=+60 as=g; wait 60; settle",
            "amend g expires_at=+90",
            "denied payload_invalid field=grant_id",
        ),
        ("voided", "grant 5 expires_at=+60 as=g; void g", "amend g expires_at=+90", "denied payload_invalid field=grant_id"),
        ("before it begins", "grant 5 effective_at=+10 expires_at=+60 as=g", "amend g expires_at=+90", "ok expires_at=+90"),
        ("unknown", "wait 0", "amend grant_id=grt_019b76da-a800-7033-837f-5ed7fe190001 expires_at=+90", "denied grant_not_found"),
        ("of another tenant", "grant 5 expires_at=+60 as=g", "amend g expires_at=+90 tenant_id=globex", "denied grant_not_found"),
    ]);
}

#[test]
fn an_operator_corrects_a_balance() {
    table(&[
        ("plus", "wait 0", "adjust 5", "ok change=5 balance_after=5"),
        (
            "plus is drawn as an adjustment",
            "adjust 5; grant 1 type=refund as=r; grant 1 type=import as=i",
            "charge 1",
            "ok draw=r:1",
        ),
        ("minus", "grant 5", "adjust -2", "ok change=-2 balance_after=3"),
        ("minus all", "grant 5", "adjust -5", "ok balance_after=0"),
        ("never below zero", "grant 5", "adjust -5.000001", "denied insufficient_balance needed=5.000001 available=5; balance 5"),
        (
            "held credit is not there to be taken",
            "grant 5; hold 3",
            "adjust -3",
            "denied insufficient_balance needed=3 available=2",
        ),
        ("expired, not yet booked", "grant 5 expires_at=+60; wait 60", "adjust -1", "denied insufficient_balance available=0"),
        ("nothing", "grant 5", "adjust 0", "denied amount_invalid field=amount"),
        ("a correction is no charge", "grant 5; adjust -2 as=a", "refund ledger_id=@a", "denied refund_not_allowed"),
    ]);
}

#[test]
fn limits_of_grants() {
    table(&[
        ("1,000 open grants", "999x grant 1", "grant 1", "ok balance_after=1000"),
        ("one more", "1000x grant 1", "grant 1", "denied capacity_exceeded allowed=1000; balance 1000"),
        ("one more that begins later", "1000x grant 1", "grant 1 effective_at=+60", "denied capacity_exceeded"),
        ("one more correction", "1000x grant 1", "adjust 1", "denied capacity_exceeded"),
        ("a grant that is used up is not open", "1000x grant 1; charge 1", "grant 1", "ok balance_after=1000"),
        (
            "a grant that has expired is not open, booked or not",
            "1000x grant 1 expires_at=+60; wait 60",
            "grant 1",
            "ok balance_after=1",
        ),
        ("a voided grant is not open", "999x grant 1; grant 1 as=g; void g", "grant 1", "ok"),
        ("256 grants a draw", "300x grant 1", "charge 256", "ok balance_after=44"),
        (
            "one more, though the balance covers it",
            "300x grant 1",
            "charge 256.000001",
            "denied capacity_exceeded allowed=256; balance 300",
        ),
        ("of a hold likewise", "300x grant 1", "hold 257", "denied capacity_exceeded allowed=256"),
        ("of a minus likewise", "300x grant 1", "adjust -257", "denied capacity_exceeded allowed=256"),
        ("that fall short as well", "300x grant 1", "charge 301", "denied capacity_exceeded limit=grants_per_draw allowed=256"),
        (
            "though a credit limit would pay the rest",
            "300x grant 1; set_credit_limit 100",
            "charge 301",
            "denied capacity_exceeded limit=grants_per_draw",
        ),
        ("256 that fall short", "256x grant 1", "charge 257", "denied insufficient_balance needed=257 available=256"),
        ("256 and a credit limit", "256x grant 1; set_credit_limit 5", "charge 257", "ok balance_after=-1; balance -1 owed 1"),
        (
            "a refund that opens grants again",
            "10x grant 1; charge 10 as=c; 991x grant 1",
            "refund ledger_id=@c",
            "denied capacity_exceeded limit=open_grants allowed=1000; balance 991",
        ),
        ("one that opens the last", "10x grant 1; charge 10 as=c; 990x grant 1", "refund ledger_id=@c", "ok balance_after=1000"),
        (
            "a part of it",
            "10x grant 1; charge 10 as=c; 991x grant 1",
            "refund 9 ledger_id=@c idempotency_key=k",
            "ok balance_after=1000",
        ),
        (
            "a refund of what was repaid",
            "set_credit_limit 5; charge 3 as=c; grant 3; 1000x grant 1",
            "refund ledger_id=@c",
            "denied capacity_exceeded limit=open_grants",
        ),
        (
            "what a hold gives back was open all the time",
            "10x grant 1; hold 10 as=h; 990x grant 1",
            "release h",
            "ok balance_after=1000",
        ),
    ]);
}
