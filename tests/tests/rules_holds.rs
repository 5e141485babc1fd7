//! Holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use drawdown_tests::script::table;

const NOBODYS: &str = "hold_id=hold_019b76da-a800-7033-837f-5ed7fe190001";

#[test]
fn a_hold_freezes_an_amount_against_exact_grants() {
    table(&[
        ("an amount", "grant 10 as=g", "hold 4", "ok frozen_amount=4 balance_after=6 frozen_after=4 draw=g:4; balance 6 frozen 4"),
        ("against several grants", "grant 3 type=trial as=a; grant 10 as=b", "hold 4", "ok draw=a:3,b:1"),
        ("all", "grant 10", "hold 10", "ok balance_after=0 frozen_after=10"),
        ("nothing: free work", "wait 0", "hold 0", "ok frozen_amount=0 balance_after=0 draw="),
        ("for 900 seconds", "grant 10", "hold 4", "ok expires_at=+900"),
        ("for 1 second", "grant 10", "hold 4 expire_in=1", "ok expires_at=+1"),
        ("for 604,800 seconds", "grant 10", "hold 4 expire_in=604800", "ok expires_at=+604800"),
        ("for 604,801 seconds", "grant 10", "hold 4 expire_in=604801", "denied payload_invalid field=expire_in given=604801"),
        ("for no second", "grant 10", "hold 4 expire_in=0", "denied payload_invalid field=expire_in given=0"),
        ("less than nothing", "grant 10", "hold -1", "denied amount_invalid field=amount given=-1"),
        (
            "what is held cannot be held again",
            "grant 10; hold 4",
            "hold 7",
            "denied insufficient_balance needed=7 available=6; balance 6 frozen 4",
        ),
        (
            "expired grants, not yet booked",
            "grant 10 expires_at=+60; wait 60",
            "hold 1",
            "denied insufficient_balance needed=1 available=0",
        ),
        ("shape goes before the balance", "wait 0", "hold 9 expire_in=0", "denied payload_invalid"),
        ("capacity of one draw", "300x grant 1", "hold 256", "ok frozen_after=256"),
    ]);
}

#[test]
fn a_task_has_one_hold() {
    table(&[
        (
            "a live one",
            "grant 10; hold 1 task_id=t as=h",
            "hold 1 task_id=t",
            "denied pre_deduct_already_processed pre_deduct_id=h status=frozen; balance 9 frozen 1",
        ),
        (
            "a captured one",
            "grant 10; hold 1 task_id=t as=h; capture h 1",
            "hold 1 task_id=t",
            "denied pre_deduct_already_processed pre_deduct_id=h status=committed",
        ),
        (
            "a captured one, of nothing",
            "grant 10; hold 1 task_id=t as=h; capture h 0",
            "hold 1 task_id=t",
            "denied pre_deduct_already_processed status=committed",
        ),
        (
            "by whomever",
            "grant 10; grant 10 owner=pool; hold 1 task_id=t as=h",
            "hold 1 task_id=t payer=pool",
            "denied pre_deduct_already_processed pre_deduct_id=h",
        ),
        ("after a cancel", "grant 10; hold 1 task_id=t as=h; release h", "hold 1 task_id=t", "ok balance_after=9"),
        (
            "after an expiry, not yet booked",
            "grant 10; hold 1 task_id=t expire_in=60; wait 60",
            "hold 2 task_id=t",
            "ok balance_after=8 frozen_after=2",
        ),
        (
            "after an expiry, booked",
            "grant 10; hold 1 task_id=t expire_in=60; wait 60; settle",
            "hold 2 task_id=t",
            "ok balance_after=8",
        ),
        (
            "a microsecond before the expiry",
            "grant 10; hold 1 task_id=t expire_in=60; wait 59.999999",
            "hold 1 task_id=t",
            "denied pre_deduct_already_processed status=frozen",
        ),
        (
            "expired in another account, not yet booked",
            "grant 10 owner=pool; grant 10; hold 1 task_id=t payer=pool expire_in=60; wait 60",
            "hold 1 task_id=t",
            "ok",
        ),
        ("another task", "grant 10; hold 1 task_id=t", "hold 1 task_id=u", "ok"),
        ("no task", "grant 10; hold 1", "hold 1", "ok frozen_after=2"),
        (
            "the same task of another tenant",
            "grant 10; hold 1 task_id=t; grant 10 tenant_id=globex",
            "hold 1 task_id=t tenant_id=globex",
            "ok",
        ),
        ("a charge of the task does not stop it", "grant 10; charge 1 task_id=t", "hold 1 task_id=t", "ok"),
        (
            "a released part leaves it live",
            "grant 10; hold 1 task_id=t as=h; release h 1 idempotency_key=k",
            "hold 1 task_id=t",
            "denied pre_deduct_already_processed status=frozen",
        ),
        (
            "one captured late, though another came and went",
            "grant 10; hold 1 task_id=t late_commit=draw expire_in=60 as=h; wait 60; hold 1 task_id=t as=i; capture h 1; release i",
            "hold 1 task_id=t",
            "denied pre_deduct_already_processed pre_deduct_id=h status=committed",
        ),
        (
            "the target goes before the balance",
            "grant 1; hold 1 task_id=t",
            "hold 99 task_id=t",
            "denied pre_deduct_already_processed",
        ),
    ]);
}

#[test]
fn a_capture_consumes_what_the_work_cost() {
    table(&[
        (
            "exactly",
            "grant 10 as=g; hold 4 as=h",
            "capture h 4",
            "ok captured=4 captured_total=4 held=0 status=committed change=0 balance_after=6 frozen_after=0 draw=g:4",
        ),
        (
            "less: the rest comes back",
            "grant 10 as=g; hold 4 as=h",
            "capture h 1",
            "ok captured=1 change=3 balance_after=9 draw=g:1; balance 9",
        ),
        (
            "nothing: all comes back",
            "grant 10; hold 4 as=h",
            "capture h 0",
            "ok captured=0 status=committed change=4 balance_after=10",
        ),
        ("it takes from the first drawn", "grant 3 type=trial as=a; grant 3 as=b; hold 5 as=h", "capture h 4", "ok draw=a:3,b:1"),
        (
            "the rest goes to the grants it came from",
            "grant 3 type=trial as=a; grant 3 as=b; hold 6 as=h; capture h 1",
            "charge 5",
            "ok draw=a:2,b:3",
        ),
        ("less than nothing", "grant 10; hold 4 as=h", "capture h -1", "denied amount_invalid field=actual_cost"),
        (
            "a grant that expired while held stays capturable",
            "grant 10 expires_at=+60 as=g; hold 4 as=h; wait 60",
            "capture h 4",
            "ok draw=g:4 balance_after=0 frozen_after=0",
        ),
        (
            "what comes back to it expires at once",
            "grant 10 expires_at=+60; hold 4 as=h; wait 60",
            "capture h 1",
            "ok captured=1 change=0 balance_after=0; balance 0",
        ),
        (
            "the same, the expiry booked before",
            "grant 10 expires_at=+60; hold 4 as=h; wait 60; settle",
            "capture h 1",
            "ok captured=1 change=0 balance_after=0; balance 0",
        ),
        (
            "what comes back from others does not",
            "grant 2 expires_at=+60; grant 10; hold 4 as=h; wait 60",
            "capture h 1",
            "ok captured=1 change=2 balance_after=10",
        ),
    ]);
}

#[test]
fn a_capture_names_a_live_hold_and_what_it_was_made_for() {
    table(&[
        ("unknown", "grant 10", &format!("capture {NOBODYS} 1"), "denied pre_deduct_not_found"),
        (
            "of another tenant",
            "grant 10; hold 4 as=h",
            "capture h 1 tenant_id=globex",
            "denied pre_deduct_not_found; balance 6 frozen 4",
        ),
        ("captured", "grant 10; hold 4 as=h; capture h 1", "capture h 1", "denied pre_deduct_already_processed status=committed"),
        ("cancelled", "grant 10; hold 4 as=h; release h", "capture h 1", "denied pre_deduct_already_processed status=cancelled"),
        (
            "expired, not yet booked",
            "grant 10; hold 4 expire_in=60 as=h; wait 60",
            "capture h 1",
            "denied pre_deduct_already_processed status=expired; balance 10",
        ),
        (
            "expired, booked",
            "grant 10; hold 4 expire_in=60 as=h; wait 60; settle",
            "capture h 1",
            "denied pre_deduct_already_processed status=expired",
        ),
        ("a microsecond before", "grant 10; hold 4 expire_in=60 as=h; wait 59.999999", "capture h 1", "ok status=committed"),
        ("its task", "grant 10; hold 4 task_id=t as=h", "capture h 1 task_id=t", "ok"),
        ("another task", "grant 10; hold 4 task_id=t as=h", "capture h 1 task_id=u", "denied payload_invalid field=task_id"),
        ("a task, where it has none", "grant 10; hold 4 as=h", "capture h 1 task_id=t", "denied payload_invalid field=task_id"),
        (
            "another template",
            "grant 10; hold 4 template_id=a as=h",
            "capture h 1 template_id=b",
            "denied payload_invalid field=template_id",
        ),
        ("another user", "grant 10; hold 4 user_id=u1 as=h", "capture h 1 user_id=u2", "denied payload_invalid field=user_id"),
        ("its user", "grant 10; hold 4 user_id=u1 as=h", "capture h 1 user_id=u1", "ok"),
        (
            "the state goes before the match",
            "grant 10; hold 4 task_id=t as=h; capture h 1",
            "capture h 1 task_id=u",
            "denied pre_deduct_already_processed",
        ),
        (
            "the match goes before the amount",
            "grant 10; hold 4 task_id=t as=h",
            "capture h 9 task_id=u",
            "denied payload_invalid field=task_id",
        ),
        ("shape goes before the target", "wait 0", &format!("capture {NOBODYS} -1"), "denied amount_invalid"),
    ]);
}

#[test]
fn a_capture_above_the_hold_follows_its_policy() {
    table(&[
        ("reject, by default", "grant 10; hold 4 as=h", "capture h 5", "denied hold_exceeded; balance 6 frozen 4"),
        ("reject, a millionth", "grant 10; hold 4 over_capture=reject as=h", "capture h 4.000001", "denied hold_exceeded"),
        (
            "draw: the excess comes from the balance",
            "grant 10 as=g; hold 4 over_capture=draw as=h",
            "capture h 5",
            "ok captured=5 change=-1 balance_after=5 frozen_after=0 draw=g:5",
        ),
        (
            "draw: in normal order, at the end",
            "grant 4 as=a; hold 4 over_capture=draw as=h; grant 1 type=trial as=b; grant 5 as=c",
            "capture h 6",
            "ok draw=a:4,b:1,c:1 balance_after=4",
        ),
        (
            "draw: within the hold's scope",
            "grant 4; grant 5 scope.app_id=x as=b; hold 9 over_capture=draw app_id=x as=h; grant 5 scope.app_id=x as=c",
            "capture h 10",
            "ok balance_after=4",
        ),
        (
            "draw: within the hold's template too",
            "grant 4; hold 4 over_capture=draw app_id=x template_id=a as=h; grant 5 scope.app_id=x scope.template_id=a as=b",
            "capture h 9",
            "ok balance_after=0",
        ),
        (
            "draw: scoped credit of another app does not help",
            "grant 4; hold 4 over_capture=draw as=h; grant 5 scope.app_id=x",
            "capture h 5",
            "denied insufficient_balance needed=1 available=0",
        ),
        (
            "draw: it falls short, the hold stays open",
            "grant 10; hold 4 over_capture=draw as=h",
            "capture h 11",
            "denied insufficient_balance needed=7 available=6; balance 6 frozen 4",
        ),
        (
            "and can be captured then",
            "grant 10; hold 4 over_capture=draw as=h; try capture h 11",
            "capture h 10",
            "ok balance_after=0",
        ),
        (
            "draw: with expired credit, not yet booked",
            "grant 4; grant 6 type=trial expires_at=+60; hold 8 over_capture=draw as=h; wait 60",
            "capture h 9",
            "ok captured=9 balance_after=1",
        ),
        (
            "draw, as a part",
            "grant 10; hold 4 over_capture=draw as=h",
            "capture h 5 final=false idempotency_key=k",
            "ok captured=5 held=0 status=frozen balance_after=5",
        ),
        (
            "the excess can be refunded with the rest",
            "grant 10; hold 4 over_capture=draw as=h; capture h 6 as=c",
            "refund ledger_id=@c",
            "ok change=6 balance_after=10",
        ),
    ]);
}

#[test]
fn parts_are_captured_and_released_as_the_work_streams() {
    table(&[
        (
            "a part is captured, the rest stays held",
            "grant 10; hold 4 as=h",
            "capture h 1 final=false idempotency_key=k",
            "ok captured=1 captured_total=1 held=3 status=frozen change=0 frozen_after=3",
        ),
        (
            "then another",
            "grant 10; hold 4 as=h; capture h 1 final=false idempotency_key=k",
            "capture h 2 final=false idempotency_key=l",
            "ok captured_total=3 held=1 frozen_after=1",
        ),
        (
            "then the last",
            "grant 10; hold 4 as=h; capture h 1 final=false idempotency_key=k",
            "capture h 2",
            "ok captured=2 captured_total=3 held=0 status=committed change=1 balance_after=7",
        ),
        (
            "all of it, and it stays open",
            "grant 10; hold 4 as=h",
            "capture h 4 final=false idempotency_key=k",
            "ok held=0 status=frozen frozen_after=0",
        ),
        (
            "more than is left",
            "grant 10; hold 4 as=h; capture h 3 final=false idempotency_key=k",
            "capture h 2",
            "denied hold_exceeded",
        ),
        (
            "a part without a key",
            "grant 10; hold 4 as=h",
            "capture h 1 final=false",
            "denied payload_invalid field=idempotency_key",
        ),
        (
            "a part is released",
            "grant 10; hold 4 as=h",
            "release h 1 idempotency_key=k",
            "ok released=1 held=3 status=frozen change=1 balance_after=7 frozen_after=3",
        ),
        (
            "the last drawn first",
            "grant 3 type=trial as=a; grant 3 as=b; hold 6 as=h; release h 4 idempotency_key=k",
            "charge 4",
            "ok draw=a:1,b:3",
        ),
        (
            "all of it, and it stays open",
            "grant 10; hold 4 as=h",
            "release h 4 idempotency_key=k",
            "ok held=0 status=frozen balance_after=10",
        ),
        (
            "more than is held",
            "grant 10; hold 4 as=h",
            "release h 4.000001 idempotency_key=k",
            "denied amount_invalid field=amount; balance 6 frozen 4",
        ),
        (
            "more than is held, a part captured",
            "grant 10; hold 4 as=h; capture h 2 final=false idempotency_key=k",
            "release h 3 idempotency_key=l",
            "denied amount_invalid",
        ),
        ("a part without a key", "grant 10; hold 4 as=h", "release h 1", "denied payload_invalid field=idempotency_key"),
        ("no part", "grant 10; hold 4 as=h", "release h 0 idempotency_key=k", "denied amount_invalid field=amount"),
        ("less than nothing", "grant 10; hold 4 as=h", "release h -1 idempotency_key=k", "denied amount_invalid"),
        (
            "cancelled after a part was captured",
            "grant 10; hold 4 as=h; capture h 1 final=false idempotency_key=k",
            "release h",
            "ok released=3 status=cancelled balance_after=9",
        ),
        (
            "expired after a part was captured",
            "grant 10; hold 4 expire_in=60 as=h; capture h 1 final=false idempotency_key=k; wait 60",
            "settle",
            "ok balance_after=9 frozen_after=0",
        ),
    ]);
}

#[test]
fn a_release_gives_a_hold_back() {
    table(&[
        (
            "all of it",
            "grant 10; hold 4 as=h",
            "release h",
            "ok released=4 held=0 status=cancelled change=4 balance_after=10 frozen_after=0",
        ),
        ("of nothing", "hold 0 as=h", "release h", "ok released=0 status=cancelled"),
        ("unknown", "grant 10", &format!("release {NOBODYS}"), "denied pre_deduct_not_found"),
        (
            "of another tenant",
            "grant 10; hold 4 as=h",
            "release h tenant_id=globex",
            "denied pre_deduct_not_found; balance 6 frozen 4",
        ),
        ("cancelled", "grant 10; hold 4 as=h; release h", "release h", "denied pre_deduct_already_processed status=cancelled"),
        ("captured", "grant 10; hold 4 as=h; capture h 4", "release h", "denied pre_deduct_already_processed status=committed"),
        (
            "expired, not yet booked",
            "grant 10; hold 4 expire_in=60 as=h; wait 60",
            "release h",
            "denied pre_deduct_already_processed status=expired; balance 10",
        ),
        (
            "expired, booked",
            "grant 10; hold 4 expire_in=60 as=h; wait 60; settle",
            "release h",
            "denied pre_deduct_already_processed status=expired",
        ),
        (
            "expired, though a late commit is allowed",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
            "release h",
            "denied pre_deduct_already_processed status=expired",
        ),
        ("another task", "grant 10; hold 4 task_id=t as=h", "release h task_id=u", "denied payload_invalid field=task_id"),
        ("another user", "grant 10; hold 4 user_id=u1 as=h", "release h user_id=u2", "denied payload_invalid field=user_id"),
        (
            "the match goes before the amount",
            "grant 10; hold 4 task_id=t as=h",
            "release h 9 idempotency_key=k task_id=u",
            "denied payload_invalid field=task_id",
        ),
        (
            "to a grant that has expired: it expires at once",
            "grant 10 expires_at=+60; hold 4 as=h; wait 60",
            "release h",
            "ok released=4 change=0 balance_after=0; balance 0",
        ),
        (
            "to a grant that expired and was booked",
            "grant 10 expires_at=+60; hold 4 as=h; wait 60; settle",
            "release h",
            "ok released=4 change=0 balance_after=0; balance 0",
        ),
        (
            "a part to a grant that has expired",
            "grant 10 expires_at=+60; hold 4 as=h; wait 60",
            "release h 1 idempotency_key=k",
            "ok released=1 change=0 held=3 frozen_after=3",
        ),
    ]);
}

#[test]
fn a_hold_can_be_extended() {
    table(&[
        (
            "from now",
            "grant 10; hold 4 as=h; wait 10",
            "extend h expire_in=900",
            "ok expires_at=+910 balance_after=6 frozen_after=4",
        ),
        ("it is open until then", "grant 10; hold 4 expire_in=60 as=h; extend h expire_in=90; wait 89.999999", "capture h 4", "ok"),
        (
            "and no longer",
            "grant 10; hold 4 expire_in=60 as=h; extend h expire_in=90; wait 90",
            "capture h 4",
            "denied pre_deduct_already_processed status=expired",
        ),
        ("at most 604,800 seconds", "grant 10; hold 4 as=h", "extend h expire_in=604800", "ok"),
        ("more", "grant 10; hold 4 as=h", "extend h expire_in=604801", "denied payload_invalid field=expire_in"),
        ("no second", "grant 10; hold 4 as=h", "extend h expire_in=0", "denied payload_invalid field=expire_in"),
        (
            "to the same time",
            "grant 10; hold 4 expire_in=60 as=h",
            "extend h expire_in=60",
            "denied payload_invalid field=expire_in",
        ),
        (
            "to an earlier time",
            "grant 10; hold 4 expire_in=60 as=h",
            "extend h expire_in=59",
            "denied payload_invalid field=expire_in",
        ),
        (
            "to 30 days after it was made",
            "grant 10; hold 4 expire_in=604800 as=h; wait 6d; extend h expire_in=604800; wait 6d; extend h expire_in=604800; wait 6d; extend h expire_in=604800; wait 5d",
            "extend h expire_in=604800",
            "ok expires_at=+30d",
        ),
        (
            "a second more",
            "grant 10; hold 4 expire_in=604800 as=h; wait 6d; extend h expire_in=604800; wait 6d; extend h expire_in=604800; wait 6d; extend h expire_in=604800; wait 5d; wait 1",
            "extend h expire_in=604800",
            "denied payload_invalid field=expire_in",
        ),
        ("unknown", "grant 10", &format!("extend {NOBODYS} expire_in=60"), "denied pre_deduct_not_found"),
        ("of another tenant", "grant 10; hold 4 as=h", "extend h expire_in=3600 tenant_id=globex", "denied pre_deduct_not_found"),
        (
            "captured",
            "grant 10; hold 4 as=h; capture h 1",
            "extend h expire_in=3600",
            "denied pre_deduct_already_processed status=committed",
        ),
        (
            "cancelled",
            "grant 10; hold 4 as=h; release h",
            "extend h expire_in=3600",
            "denied pre_deduct_already_processed status=cancelled",
        ),
        (
            "expired, not yet booked",
            "grant 10; hold 4 expire_in=60 as=h; wait 60",
            "extend h expire_in=3600",
            "denied pre_deduct_already_processed status=expired; balance 10",
        ),
        (
            "expired, though a late commit is allowed",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
            "extend h expire_in=3600",
            "denied pre_deduct_already_processed status=expired",
        ),
        (
            "the state goes before the time",
            "grant 10; hold 4 as=h; release h",
            "extend h expire_in=1",
            "denied pre_deduct_already_processed",
        ),
    ]);
}

#[test]
fn a_late_commit_draws_afresh_where_the_hold_allows_it() {
    table(&[
        (
            "not yet booked",
            "grant 10 as=g; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
            "capture h 3",
            "ok captured=3 captured_total=3 status=committed change=-3 balance_after=7 frozen_after=0 draw=g:3",
        ),
        (
            "booked",
            "grant 10 as=g; hold 4 expire_in=60 late_commit=draw as=h; wait 60; settle",
            "capture h 3",
            "ok captured=3 status=committed balance_after=7 draw=g:3",
        ),
        (
            "more than was held",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
            "capture h 9",
            "ok captured=9 balance_after=1",
        ),
        (
            "nothing",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
            "capture h 0",
            "ok captured=0 status=committed balance_after=10",
        ),
        (
            "in the order of now",
            "grant 5 as=a; hold 4 expire_in=60 late_commit=draw as=h; wait 60; grant 1 type=trial as=b",
            "capture h 3",
            "ok draw=b:1,a:2",
        ),
        (
            "for its app and template",
            "grant 4 scope.app_id=x scope.template_id=a; hold 4 app_id=x template_id=a expire_in=60 late_commit=draw as=h; wait 60",
            "capture h 4",
            "ok balance_after=0",
        ),
        (
            "from grants of now",
            "grant 5 expires_at=+60; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
            "capture h 3",
            "denied insufficient_balance needed=3 available=0",
        ),
        (
            "the balance falls short, and later it can",
            "grant 5; hold 4 expire_in=60 late_commit=draw as=h; wait 60; charge 5; try capture h 3; grant 3",
            "capture h 3",
            "ok status=committed balance_after=0",
        ),
        (
            "a part: it stays expired",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60",
            "capture h 1 final=false idempotency_key=k",
            "ok captured=1 status=expired held=0 balance_after=9",
        ),
        (
            "and can be committed then",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60; capture h 1 final=false idempotency_key=k",
            "capture h 2",
            "ok captured=2 captured_total=3 status=committed balance_after=7",
        ),
        (
            "once",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60; capture h 3",
            "capture h 3",
            "denied pre_deduct_already_processed status=committed",
        ),
        (
            "not after a cancel",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; release h; wait 60",
            "capture h 3",
            "denied pre_deduct_already_processed status=cancelled",
        ),
        (
            "the match is still asked for",
            "grant 10; hold 4 expire_in=60 late_commit=draw task_id=t as=h; wait 60",
            "capture h 3 task_id=u",
            "denied payload_invalid field=task_id",
        ),
        (
            "it can be refunded",
            "grant 10; hold 4 expire_in=60 late_commit=draw as=h; wait 60; capture h 3 as=c",
            "refund ledger_id=@c",
            "ok change=3 balance_after=10",
        ),
    ]);
}

#[test]
fn limits_of_holds() {
    table(&[
        ("10,000 open holds", "grant 10000; 9999x hold 1 expire_in=3600", "hold 1", "ok frozen_after=10000"),
        (
            "one more: capacity goes before the balance",
            "grant 10000; 10000x hold 1",
            "hold 1",
            "denied capacity_exceeded limit=open_holds allowed=10000; balance 0 frozen 10000",
        ),
        ("a hold that has ended is not open", "grant 10001; 9999x hold 1; hold 1 as=h; release h", "hold 1", "ok"),
        (
            "a hold that has expired is not open, booked or not",
            "grant 10001; 10000x hold 1 expire_in=60; wait 60",
            "hold 1",
            "ok frozen_after=1 balance_after=10000",
        ),
    ]);
}
