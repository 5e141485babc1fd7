//! Tasks: where one stands, how far its work is, and how it ended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use drawdown::TenantPolicy;
use drawdown_tests::script::{Bank, table, table_under};

#[test]
fn a_hold_accepts_a_task_and_its_end_ends_it() {
    table(&[
        (
            "accepted",
            "grant 10; wait 5; hold 4 task_id=t as=h",
            "wait 0",
            "ok; task t status=accepted progress=0 stage=null credits_delta=-4 ts=+5 next_eta=null hold_id=h charges=0; history t accepted:-4@5",
        ),
        (
            "completed by a capture",
            "grant 10; hold 4 task_id=t as=h; wait 9",
            "capture h 3",
            "ok; task t status=completed progress=100 credits_delta=1 ts=+9 hold_id=h charges=1; history t accepted:-4@0 completed:1@9",
        ),
        (
            "failed by a release",
            "grant 10; hold 4 task_id=t as=h; wait 9",
            "release h",
            "ok; task t status=failed progress=0 credits_delta=4 ts=+9 hold_id=h charges=0; history t accepted:-4@0 failed:4@9",
        ),
        (
            "failed by its expiry, not yet booked",
            "grant 10; hold 4 task_id=t as=h expire_in=60; wait 61",
            "wait 0",
            "ok; task t status=failed credits_delta=4 ts=+60 hold_id=h; history t accepted:-4@0 failed:4@60?",
        ),
        (
            "failed by its expiry, booked by another command",
            "grant 10; hold 4 task_id=t as=h expire_in=60; wait 61; charge 1",
            "wait 0",
            "ok; task t status=failed credits_delta=4 ts=+60 hold_id=h; history t accepted:-4@0 failed:4@60",
        ),
        (
            "a microsecond before its expiry",
            "grant 10; hold 4 task_id=t expire_in=60; wait 59.999999",
            "wait 0",
            "ok; task t status=accepted; history t accepted:-4@0",
        ),
        (
            "of free work",
            "hold 0 task_id=t as=h",
            "capture h 0",
            "ok; task t status=completed credits_delta=0; history t accepted:0@0 completed:0@0",
        ),
        (
            "its last step lies far behind",
            "grant 100; hold 4 task_id=t; wait 1; complete_task 3; wait 1; 150x charge 0.1 task_id=t",
            "wait 0",
            "ok; task t status=completed credits_delta=1 ts=+1 charges=151; history t accepted:-4@0 completed:1@1",
        ),
        ("unknown", "grant 10", "wait 0", "ok; task t none; history t none"),
        ("of another tenant", "grant 10; hold 4 task_id=t", "wait 0", "ok; task t in globex none; history t in globex none"),
        (
            "only ever charged: it has no state",
            "grant 10; wait 5; charge 4 task_id=t",
            "charge 1 task_id=t",
            "ok; task t status=null hold_id=null credits_delta=0 ts=+5 charges=2 progress=0; history t",
        ),
        (
            "charged beside its hold: no step",
            "grant 10; hold 4 task_id=t; wait 5",
            "charge 1 task_id=t",
            "ok; task t status=accepted credits_delta=-4 ts=+0 charges=1; history t accepted:-4@0",
        ),
    ]);
}

#[test]
fn parts_and_extensions_are_no_steps() {
    table(&[
        (
            "a part captured",
            "grant 10; hold 4 task_id=t as=h; wait 5",
            "capture h 1 final=false idempotency_key=k",
            "ok; task t status=accepted credits_delta=-4 charges=1; history t accepted:-4@0",
        ),
        (
            "a part released",
            "grant 10; hold 4 task_id=t as=h; wait 5",
            "release h 1 idempotency_key=k",
            "ok; task t status=accepted credits_delta=-4; history t accepted:-4@0",
        ),
        (
            "an extension moves the expiry, and with it the failure",
            "grant 10; hold 4 task_id=t as=h expire_in=60; wait 30; extend h expire_in=60; wait 60",
            "wait 0",
            "ok; task t status=failed ts=+90; history t accepted:-4@0 failed:4@90?",
        ),
        (
            "what is left after parts comes back with the end",
            "grant 10; hold 5 task_id=t as=h; capture h 1 final=false idempotency_key=k; release h 1 idempotency_key=l; wait 5",
            "complete_task 1",
            "ok captured_total=2 balance_after=8; task t credits_delta=2 charges=2; history t accepted:-5@0 completed:2@5",
        ),
        (
            "a refund is none",
            "grant 10; hold 4 task_id=t as=h; capture h 4; wait 5",
            "refund task_id=t",
            "ok; task t status=completed credits_delta=0 ts=+0; history t accepted:-4@0 completed:0@0",
        ),
    ]);
}

#[test]
fn what_is_said_of_the_work_is_kept_until_more_is_said() {
    table(&[
        (
            "the first word",
            "grant 10; hold 4 task_id=t as=h; wait 5",
            "advance_task",
            "ok task_id=t hold_id=h status=running stage=null progress=0 next_eta=null created_at=+5; task t status=running progress=0 credits_delta=0 ts=+5; history t accepted:-4@0 running:0:-@5",
        ),
        (
            "all of it",
            "grant 10; hold 4 task_id=t",
            "advance_task stage=rendering progress=40 next_eta=+60",
            "ok stage=rendering progress=40 next_eta=+60; task t status=running stage=rendering progress=40 next_eta=+60; balance 6 frozen 4 version 2",
        ),
        (
            "what is not said again stays",
            "grant 10; hold 4 task_id=t; advance_task stage=rendering progress=40 next_eta=+60",
            "advance_task progress=70",
            "ok stage=rendering progress=70 next_eta=+60; history t accepted:-4@0 running:40:rendering@0 running:70:rendering@0",
        ),
        (
            "it may go back",
            "grant 10; hold 4 task_id=t; advance_task progress=40",
            "advance_task progress=0 stage=again",
            "ok progress=0 stage=again",
        ),
        ("nothing of it", "grant 10; hold 4 task_id=t", "advance_task progress=0", "ok progress=0"),
        (
            "all of it is not its end",
            "grant 10; hold 4 task_id=t",
            "advance_task progress=100",
            "ok; task t status=running progress=100",
        ),
        ("the label of the hold passes through", "grant 10; hold 4 task_id=t policy_tag=eu", "advance_task", "ok policy_tag=eu"),
        (
            "what was said last is told of one that failed",
            "grant 10; hold 4 task_id=t; advance_task stage=rendering progress=40 next_eta=+60; wait 5",
            "fail_task",
            "ok; task t status=failed stage=rendering progress=40 next_eta=null ts=+5",
        ),
        (
            "and of one that is completed, but for the progress",
            "grant 10; hold 4 task_id=t; advance_task stage=rendering progress=40 next_eta=+60; wait 5",
            "complete_task",
            "ok; task t status=completed stage=rendering progress=100 next_eta=null ts=+5",
        ),
        (
            "a task to which a captured part belongs",
            "grant 10; hold 4 task_id=t as=h; capture h 1 final=false idempotency_key=k",
            "advance_task progress=25",
            "ok progress=25",
        ),
    ]);
}

#[test]
fn what_is_said_has_a_shape() {
    table(&[
        (
            "101",
            "grant 10; hold 4 task_id=t",
            "advance_task progress=101",
            "denied payload_invalid field=progress given=101 allowed=a_whole_number_from_0_to_100; task t status=accepted",
        ),
        (
            "256",
            "grant 10; hold 4 task_id=t",
            "advance_task progress=256",
            "denied payload_invalid field=progress given=256 allowed=a_whole_number_from_0_to_100",
        ),
        (
            "-1",
            "grant 10; hold 4 task_id=t",
            "advance_task progress=-1",
            "denied payload_invalid field=progress given=-1 allowed=a_whole_number_from_0_to_100",
        ),
        ("half", "grant 10; hold 4 task_id=t", "advance_task progress=0.5", "denied payload_invalid field=progress"),
        ("an empty stage", "grant 10; hold 4 task_id=t", "advance_task stage=", "denied payload_invalid field=stage"),
        ("the longest stage", "grant 10; hold 4 task_id=t", &format!("advance_task stage={}", "s".repeat(255)), "ok"),
        (
            "a stage that is too long",
            "grant 10; hold 4 task_id=t",
            &format!("advance_task stage={}", "s".repeat(256)),
            "denied payload_invalid field=stage",
        ),
        ("the shape before the target", "wait 0", "advance_task progress=101", "denied payload_invalid"),
        ("without a task", "wait 0", "advance_task task_id=-", "denied payload_invalid field=task_id"),
        (
            "a cost below nothing",
            "grant 10; hold 4 task_id=t",
            "complete_task -1",
            "denied amount_invalid field=actual_cost given=-1",
        ),
        ("no reason to fail", "grant 10; hold 4 task_id=t", "fail_task reason=-", "denied payload_invalid field=reason"),
        (
            "a version, where there is no account",
            "grant 10; hold 4 task_id=t",
            "advance_task expected_version=2",
            "denied payload_invalid field=expected_version",
        ),
    ]);
}

#[test]
fn only_a_live_task_goes_on() {
    table(&[
        ("unknown", "grant 10", "advance_task", "denied task_not_found task_id=t"),
        ("of another tenant", "grant 10; hold 4 task_id=t", "advance_task tenant_id=globex", "denied task_not_found task_id=t"),
        ("only ever charged", "grant 10; charge 4 task_id=t", "advance_task", "denied task_not_found task_id=t"),
        (
            "completed",
            "grant 10; hold 4 task_id=t as=h; complete_task",
            "advance_task",
            "denied pre_deduct_already_processed pre_deduct_id=h status=committed",
        ),
        (
            "failed",
            "grant 10; hold 4 task_id=t as=h; fail_task",
            "advance_task",
            "denied pre_deduct_already_processed pre_deduct_id=h status=cancelled",
        ),
        (
            "at its expiry, not yet booked",
            "grant 10; hold 4 task_id=t as=h expire_in=60; wait 60",
            "advance_task",
            "denied pre_deduct_already_processed pre_deduct_id=h status=expired; history t accepted:-4@0 failed:4@60?",
        ),
        (
            "a microsecond before",
            "grant 10; hold 4 task_id=t as=h expire_in=60; wait 59.999999",
            "advance_task",
            "ok; history t accepted:-4@0 running:0:-@59.999999",
        ),
        ("extended in time", "grant 10; hold 4 task_id=t as=h expire_in=60; extend h expire_in=90; wait 60", "advance_task", "ok"),
        ("its account is blocked: the work goes on", "grant 10; hold 4 task_id=t; block target=tenant", "advance_task", "ok"),
    ]);
}

#[test]
fn completing_captures_the_hold_for_the_last_time() {
    table(&[
        (
            "all that is held",
            "grant 10 as=g; hold 4 task_id=t as=h; wait 5",
            "complete_task",
            "ok hold_id=h task_id=t captured=4 captured_total=4 held=0 status=committed balance_after=6 frozen_after=0 draw=g:4; balance 6; task t status=completed credits_delta=0 charges=1; history t accepted:-4@0 completed:0@5",
        ),
        (
            "less",
            "grant 10; hold 4 task_id=t",
            "complete_task 1.5",
            "ok captured=1.5 change=2.5 balance_after=8.5; task t credits_delta=2.5",
        ),
        (
            "nothing",
            "grant 10; hold 4 task_id=t",
            "complete_task 0",
            "ok captured=0 balance_after=10; task t credits_delta=4 charges=1",
        ),
        (
            "more, refused",
            "grant 10; hold 4 task_id=t",
            "complete_task 5",
            "denied hold_exceeded needed=5 available=4; balance 6 frozen 4; task t status=accepted",
        ),
        (
            "more, drawn",
            "grant 10; hold 4 task_id=t over_capture=draw; wait 5",
            "complete_task 5",
            "ok captured=5 change=-1 balance_after=5; task t credits_delta=-1; history t accepted:-4@0 completed:-1@5",
        ),
        (
            "more than there is",
            "grant 5; hold 4 task_id=t over_capture=draw",
            "complete_task 6",
            "denied insufficient_balance needed=2 available=1; task t status=accepted",
        ),
        (
            "all that is left after parts",
            "grant 10; hold 4 task_id=t as=h; capture h 1 final=false idempotency_key=k",
            "complete_task",
            "ok captured=3 captured_total=4 balance_after=6",
        ),
        ("unknown", "grant 10", "complete_task", "denied task_not_found task_id=t"),
        (
            "of another tenant",
            "grant 10; hold 4 task_id=t",
            "complete_task tenant_id=globex",
            "denied task_not_found; balance 6 frozen 4",
        ),
        ("only ever charged", "grant 10; charge 4 task_id=t", "complete_task", "denied task_not_found task_id=t"),
        (
            "twice",
            "grant 10; hold 4 task_id=t as=h; complete_task",
            "complete_task",
            "denied pre_deduct_already_processed pre_deduct_id=h status=committed",
        ),
        (
            "after it was captured by its hold",
            "grant 10; hold 4 task_id=t as=h; capture h 4",
            "complete_task",
            "denied pre_deduct_already_processed status=committed",
        ),
        (
            "after it failed",
            "grant 10; hold 4 task_id=t; fail_task",
            "complete_task",
            "denied pre_deduct_already_processed status=cancelled",
        ),
        (
            "after its expiry",
            "grant 10; hold 4 task_id=t expire_in=60; wait 60",
            "complete_task 4",
            "denied pre_deduct_already_processed status=expired; balance 10",
        ),
        (
            "after its expiry, without a cost",
            "grant 10; hold 4 task_id=t expire_in=60; wait 60",
            "complete_task",
            "denied pre_deduct_already_processed status=expired",
        ),
        (
            "late, where the hold allows it",
            "grant 10; hold 4 task_id=t expire_in=60 late_commit=draw; wait 70",
            "complete_task 3",
            "ok captured=3 change=-3 balance_after=7; task t status=completed credits_delta=-3 ts=+70; history t accepted:-4@0 failed:4@60 completed:-3@70",
        ),
        (
            "late, without a cost: nothing is held that could say it",
            "grant 10; hold 4 task_id=t expire_in=60 late_commit=draw; wait 60",
            "complete_task",
            "denied payload_invalid field=actual_cost given=null allowed=an_amount_of_0_or_more; balance 10",
        ),
        (
            "the account is blocked: the work is done",
            "grant 10; hold 4 task_id=t; block target=tenant",
            "complete_task",
            "ok balance_after=6",
        ),
        (
            "a charge limit of the task",
            "grant 2000; hold 4 task_id=t; 1000x charge 1 task_id=t",
            "complete_task",
            "denied capacity_exceeded limit=charges_per_task; task t status=accepted",
        ),
        ("with the version that is expected", "grant 10; hold 4 task_id=t", "complete_task expected_version=2", "ok version=3"),
        (
            "with another version",
            "grant 10; hold 4 task_id=t",
            "complete_task expected_version=1",
            "denied version_conflict expected=1 version=2",
        ),
        (
            "what it cost can be refunded by the task",
            "grant 10; hold 4 task_id=t; complete_task",
            "refund task_id=t",
            "ok refunded=4 balance_after=10",
        ),
    ]);
}

#[test]
fn failing_releases_the_hold_for_good() {
    table(&[
        (
            "all of it",
            "grant 10 as=g; hold 4 task_id=t as=h; wait 5",
            "fail_task reason=crash",
            "ok hold_id=h task_id=t released=4 held=0 status=cancelled reason=crash balance_after=10 frozen_after=0; balance 10; task t status=failed credits_delta=4; history t accepted:-4@0 failed:4@5",
        ),
        (
            "what is left after a part was captured",
            "grant 10; hold 4 task_id=t as=h; capture h 1 final=false idempotency_key=k",
            "fail_task",
            "ok released=3 balance_after=9; task t status=failed credits_delta=3 charges=1",
        ),
        (
            "what comes back to a grant that has ended came back, and ended",
            "grant 10 expires_at=+60; hold 4 task_id=t; wait 60",
            "fail_task",
            "ok released=4 change=0 balance_after=0; task t credits_delta=4; history t accepted:-4@0 failed:4@60",
        ),
        ("unknown", "grant 10", "fail_task", "denied task_not_found task_id=t"),
        (
            "of another tenant",
            "grant 10; hold 4 task_id=t",
            "fail_task tenant_id=globex",
            "denied task_not_found; balance 6 frozen 4",
        ),
        (
            "after it was completed",
            "grant 10; hold 4 task_id=t as=h; complete_task",
            "fail_task",
            "denied pre_deduct_already_processed pre_deduct_id=h status=committed; balance 6",
        ),
        ("twice", "grant 10; hold 4 task_id=t; fail_task", "fail_task", "denied pre_deduct_already_processed status=cancelled"),
        (
            "after its expiry, late captures allowed or not",
            "grant 10; hold 4 task_id=t expire_in=60 late_commit=draw; wait 60",
            "fail_task",
            "denied pre_deduct_already_processed status=expired",
        ),
        ("the account is blocked", "grant 10; hold 4 task_id=t; block target=tenant", "fail_task", "ok balance_after=10"),
    ]);
}

#[test]
fn a_repetition_is_answered_as_the_first_time() {
    table(&[
        (
            "said again",
            "grant 10; hold 4 task_id=t; advance_task idempotency_key=k progress=40 stage=a; advance_task progress=70",
            "advance_task idempotency_key=k progress=40 stage=a",
            "ok progress=40 idempotent_replay=true; history t accepted:-4@0 running:40:a@0 running:70:a@0",
        ),
        (
            "said again when it has ended",
            "grant 10; hold 4 task_id=t; advance_task idempotency_key=k progress=40; complete_task",
            "advance_task idempotency_key=k progress=40",
            "ok progress=40 idempotent_replay=true; task t status=completed",
        ),
        (
            "another word under the key",
            "grant 10; hold 4 task_id=t; advance_task idempotency_key=k progress=40",
            "advance_task idempotency_key=k progress=41",
            "denied idempotency_conflict field=progress",
        ),
        (
            "no word is not 0",
            "grant 10; hold 4 task_id=t; advance_task idempotency_key=k progress=0",
            "advance_task idempotency_key=k",
            "denied idempotency_conflict field=progress",
        ),
        (
            "another stage",
            "grant 10; hold 4 task_id=t; advance_task idempotency_key=k stage=a",
            "advance_task idempotency_key=k stage=b",
            "denied idempotency_conflict field=stage",
        ),
        (
            "another time",
            "grant 10; hold 4 task_id=t; advance_task idempotency_key=k next_eta=+1",
            "advance_task idempotency_key=k next_eta=+2",
            "denied idempotency_conflict field=next_eta",
        ),
        (
            "completed again",
            "grant 10; hold 4 task_id=t; complete_task 3 idempotency_key=k; charge 1",
            "complete_task 3 idempotency_key=k",
            "ok captured=3 balance_after=7 idempotent_replay=true; balance 6; history t accepted:-4@0 completed:1@0",
        ),
        (
            "completed at another cost",
            "grant 10; hold 4 task_id=t; complete_task 3 idempotency_key=k",
            "complete_task 2 idempotency_key=k",
            "denied idempotency_conflict field=actual_cost",
        ),
        (
            "completed, then failed, under one key",
            "grant 10; hold 4 task_id=t; complete_task idempotency_key=k",
            "fail_task idempotency_key=k",
            "denied idempotency_conflict field=command",
        ),
        (
            "captured by its hold under the key",
            "grant 10; hold 4 task_id=t as=h; capture h 4 idempotency_key=k",
            "complete_task 4 idempotency_key=k",
            "denied idempotency_conflict field=command",
        ),
        (
            "failed again, and tried anew meanwhile",
            "grant 10; hold 4 task_id=t as=h; fail_task idempotency_key=k; hold 2 task_id=t",
            "fail_task idempotency_key=k",
            "ok hold_id=h released=4 balance_after=10 idempotent_replay=true; balance 8 frozen 2; task t status=accepted",
        ),
    ]);
}

#[test]
fn a_new_hold_is_a_new_run() {
    table(&[
        (
            "after a failure: nothing is known of its work yet",
            "grant 10; hold 4 task_id=t; advance_task stage=rendering progress=40 next_eta=+60; fail_task; wait 5",
            "hold 3 task_id=t as=i",
            "ok; task t status=accepted hold_id=i stage=null progress=0 next_eta=null credits_delta=-3 ts=+5; history t accepted:-4@0 running:40:rendering@0 failed:4@0 accepted:-3@5",
        ),
        (
            "what was said of the run before is not carried over",
            "grant 10; hold 4 task_id=t; advance_task stage=rendering progress=40 next_eta=+60; fail_task; hold 3 task_id=t as=i",
            "advance_task",
            "ok hold_id=i stage=null progress=0 next_eta=null",
        ),
        (
            "after an expiry, which the new hold books first",
            "grant 10; hold 4 task_id=t expire_in=60; wait 70; hold 3 task_id=t",
            "complete_task",
            "ok captured=3; history t accepted:-4@0 failed:4@60 accepted:-3@70 completed:0@70; task t charges=1",
        ),
        (
            "in another account, which cannot book the expiry of the first: it is listed when it is booked",
            "grant 10; grant 10 owner=pool; hold 4 task_id=t expire_in=60; wait 70; hold 3 task_id=t payer=pool; settle",
            "wait 0",
            "ok; task t status=accepted credits_delta=-3; history t accepted:-4@0 accepted:-3@70 failed:4@60",
        ),
        (
            "the one that is ended is the latest, whoever pays",
            "grant 10; grant 10 owner=pool; hold 4 task_id=t expire_in=60; wait 70; hold 3 task_id=t payer=pool",
            "complete_task",
            "ok captured=3; balance 7 of pool; balance 10",
        ),
        (
            "the first captured late counts before one that came and went",
            "grant 10; hold 4 task_id=t late_commit=draw expire_in=60 as=h; wait 60; hold 2 task_id=t as=i; capture h 1; release i",
            "wait 0",
            "ok; task t status=completed hold_id=h credits_delta=-1 charges=1; history t accepted:-4@0 failed:4@60 accepted:-2@60 completed:-1@60 failed:2@60",
        ),
        (
            "and says nothing of what was said of its work before, or of the other's",
            "grant 10; hold 4 task_id=t late_commit=draw expire_in=60 as=h; advance_task stage=queued progress=20; wait 60; \
             hold 2 task_id=t; advance_task stage=rendering progress=78; capture h 1",
            "wait 0",
            "ok; task t status=completed hold_id=h stage=null progress=100",
        ),
        (
            "once it is completed there is no other",
            "grant 10; hold 4 task_id=t; complete_task",
            "hold 1 task_id=t",
            "denied pre_deduct_already_processed status=committed",
        ),
    ]);
}

#[test]
fn tasks_do_not_meet() {
    table(&[
        (
            "two of one account, one of which expires with the other's command",
            "grant 10; hold 4 task_id=t expire_in=60; hold 2 task_id=u; wait 60",
            "complete_task task_id=u 1",
            "ok captured=1; history t accepted:-4@0 failed:4@60; history u accepted:-2@0 completed:1@60",
        ),
        (
            "several that expire at once",
            "grant 10; hold 4 task_id=t expire_in=60; hold 2 task_id=u expire_in=60; wait 60; settle",
            "wait 0",
            "ok; history t accepted:-4@0 failed:4@60; history u accepted:-2@0 failed:2@60",
        ),
        (
            "of one name in two tenants",
            "grant 10; grant 10 tenant_id=globex; hold 4 task_id=t; hold 2 task_id=t tenant_id=globex",
            "fail_task tenant_id=globex",
            "ok; task t status=accepted; task t in globex status=failed; history t in globex accepted:-2@0 failed:2@0",
        ),
    ]);
}

#[test]
fn several_in_one_batch_see_one_another() {
    let mut bank = Bank::in_memory();
    bank.given("grant 100").unwrap();
    bank.given("40x hold 1 task_id=task-#").unwrap();
    bank.given("40x advance_task task_id=task-# progress=#").unwrap();
    bank.given("20x complete_task task_id=task-#").unwrap();
    bank.expect_balance("balance 60 frozen 20").unwrap();
    bank.expect_balance("task task-20 status=completed").unwrap();
    bank.expect_balance("history task-21 accepted:-1@0 running:21:-@0").unwrap();
    // One task from its beginning to its end in one batch, whose account nothing else names.
    let read = |json: serde_json::Value| drawdown::Command::from_json(&json.to_string()).unwrap();
    let of_task = |command: &str, more: serde_json::Value| {
        let mut fields = serde_json::json!({"command": command, "tenant_id": "acme", "task_id": "whole"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(fields)
    };
    let hold = || of_task("hold", serde_json::json!({"payer": "user:u1", "amount": "2"}));
    let none = || serde_json::json!({});
    let commands = vec![
        hold(),
        of_task("advance_task", serde_json::json!({"progress": 50})),
        of_task("fail_task", serde_json::json!({"reason": "again"})),
        of_task("advance_task", none()),
        hold(),
        of_task("complete_task", none()),
        of_task("complete_task", none()),
    ];
    let answers: Vec<_> = bank.engine.execute_many(commands).into_iter().map(|answer| answer.is_ok()).collect();
    assert_eq!(answers, [true, true, true, false, true, true, false]);
    bank.expect_balance("history whole accepted:-2@0 running:50:-@0 failed:2@0 accepted:-2@0 completed:0@0").unwrap();
    bank.expect_balance("balance 58 frozen 20").unwrap();
    assert!(bank.engine.verify().unwrap().is_clean());
}

#[test]
fn limits_of_members_and_uses_of_licences_go_by_the_hold() {
    table(&[
        (
            "completed with less",
            "grant 20 owner=organization:o1; set_member limit=10/day; hold 6 task_id=t payer=organization:o1 user_id=u1",
            "complete_task 4",
            "ok; used 4 of o1 by u1",
        ),
        (
            "completed with more than the limit: the work is done",
            "grant 20 owner=organization:o1; set_member limit=5/day; hold 5 task_id=t payer=organization:o1 user_id=u1 over_capture=draw",
            "complete_task 8",
            "ok; used 8 of o1 by u1",
        ),
        (
            "failed",
            "grant 20 owner=organization:o1; set_member limit=10/day; hold 6 task_id=t payer=organization:o1 user_id=u1",
            "fail_task",
            "ok; used 0 of o1 by u1",
        ),
    ]);
    let licensed = TenantPolicy { licence_required: true, ..TenantPolicy::default() };
    let held = "set_licence daily_quota=5; grant 10; hold 4 task_id=t template_id=a user_id=u1";
    table_under(
        &licensed,
        &[
            ("completed: used", held, "complete_task 1", "ok; left -1 today 4 of a by u1"),
            ("completed with nothing: used", held, "complete_task 0", "ok; left -1 today 4 of a by u1"),
            ("failed: not used", held, "fail_task", "ok; left -1 today 5 of a by u1"),
            (
                "completed late: used again",
                &format!("{held} late_commit=draw expire_in=60; wait 60"),
                "complete_task 1",
                "ok; left -1 today 4 of a by u1",
            ),
            ("revoked meanwhile: the work is done", &format!("{held}; revoke_licence"), "complete_task 1", "ok captured=1"),
        ],
    );
}
