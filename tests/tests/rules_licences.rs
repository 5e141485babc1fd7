//! Licences: what a check answers, which licence counts, and what holds and charges use up.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Barrier;
use std::thread;

use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;
use drawdown::{
    Charge, Context, Engine, GrantCredit, GrantType, MAX_LICENCES, Owner, Policies, ReasonCode, SetLicence, TemplateKey,
    TenantPolicy,
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
fn what_a_check_answers() {
    table(&[
        (
            "a licence without limits",
            "set_licence",
            "check",
            "ok is_authorized=true reason_code=valid remaining_quota=-1 daily_remaining=-1 valid_until=null policy_tag=null \
             requirements=[] licence_id=l1",
        ),
        (
            "all that it can say",
            "set_licence total_quota=5 daily_quota=2 valid_until=+9d policy_tag=strict",
            "check",
            "ok is_authorized=true reason_code=valid remaining_quota=5 daily_remaining=2 \
             valid_until=2026-01-10T00:00:00.000000Z policy_tag=strict",
        ),
        (
            "no licence",
            "",
            "check",
            r#"ok is_authorized=false reason_code=missing_documents requirements=["license"] remaining_quota=0 daily_remaining=0 licence_id=null"#,
        ),
        ("another tenant's", "set_licence tenant_id=other", "check", r#"ok is_authorized=false requirements=["license"]"#),
        ("another template's", "set_licence template_id=b", "check", r#"ok is_authorized=false requirements=["license"]"#),
        ("another user's", "set_licence user_id=u2", "check", r#"ok is_authorized=false requirements=["license"]"#),
        ("the user's", "set_licence user_id=u1", "check", "ok is_authorized=true"),
        ("a user's, for nobody in particular", "set_licence user_id=u1", "check user=-", "ok is_authorized=false"),
        ("for anybody, for nobody in particular", "set_licence", "check user=-", "ok is_authorized=true"),
        (
            "revoked",
            "set_licence policy_tag=strict; revoke_licence",
            "check",
            "ok is_authorized=false reason_code=revoked policy_tag=strict licence_id=l1",
        ),
        ("expired", "set_licence valid_until=+60; wait 60", "check", "ok is_authorized=false reason_code=expired"),
        (
            "a microsecond before",
            "set_licence valid_until=+60; wait 59.999999",
            "check",
            "ok is_authorized=true reason_code=valid valid_until=2026-01-01T00:01:00.000000Z",
        ),
        (
            "not valid yet",
            "set_licence valid_from=+60",
            "check",
            r#"ok is_authorized=false reason_code=missing_documents requirements=["valid_from"]"#,
        ),
        ("from that instant on", "set_licence valid_from=+60; wait 60", "check", "ok is_authorized=true requirements=[]"),
        (
            "documents are missing",
            "set_licence required_documents=consent,contract",
            "check",
            r#"ok is_authorized=false reason_code=missing_documents requirements=["consent","contract"]"#,
        ),
        (
            "one is missing, and the beginning",
            "set_licence required_documents=consent,contract valid_from=+60; submit_documents documents=contract",
            "check",
            r#"ok reason_code=missing_documents requirements=["consent","valid_from"]"#,
        ),
        (
            "all are there",
            "set_licence required_documents=consent,contract; submit_documents documents=contract,consent",
            "check",
            "ok is_authorized=true requirements=[]",
        ),
        ("nothing of the day", "set_licence daily_quota=0", "check", "ok reason_code=daily_quota_exceeded daily_remaining=0"),
        (
            "nothing at all",
            "set_licence total_quota=0 daily_quota=7",
            "check",
            "ok is_authorized=false reason_code=daily_quota_exceeded remaining_quota=0 daily_remaining=7",
        ),
        ("a check uses nothing up", "set_licence total_quota=1; check; check", "check", "ok remaining_quota=1"),
    ]);
}

#[test]
fn the_first_reason_counts() {
    let all = "set_licence valid_until=+60 required_documents=consent daily_quota=0";
    table(&[
        ("revoked before expired", &format!("{all}; revoke_licence; wait 60"), "check", "ok reason_code=revoked"),
        (
            "expired before what is missing",
            &format!("{all}; wait 60"),
            "check",
            r#"ok reason_code=expired requirements=["consent"]"#,
        ),
        ("what is missing before the quota", all, "check", "ok reason_code=missing_documents daily_remaining=0"),
        (
            "the quota at last",
            &format!("{all}; submit_documents documents=consent"),
            "check",
            "ok reason_code=daily_quota_exceeded",
        ),
    ]);
}

#[test]
fn channels() {
    table(&[
        ("all if not said", "set_licence", "check channel=external", "ok is_authorized=true"),
        ("one that is allowed", "set_licence channels=viewer,creator", "check channel=creator", "ok is_authorized=true"),
        (
            "the wrong one reads as not licensed",
            "set_licence channels=viewer,creator policy_tag=strict",
            "check channel=external",
            r#"ok reason_code=missing_documents requirements=["license"] policy_tag=null licence_id=null"#,
        ),
        ("whichever", "set_licence channels=viewer", "check", "ok is_authorized=true"),
        (
            "another licence has it",
            "set_licence channels=viewer user_id=u1; set_licence licence_id=l2 channels=creator",
            "check channel=creator",
            "ok is_authorized=true licence_id=l2",
        ),
    ]);
    using(&[("work has no channel", "licensed channels=viewer", "use", "ok licence_id=l1")]);
}

#[test]
fn which_licence_counts() {
    table(&[
        (
            "the user's own",
            "set_licence licence_id=any valid_until=+9d; set_licence licence_id=own user_id=u1 valid_until=+60",
            "check",
            "ok licence_id=own",
        ),
        (
            "the user's own, even if it is not valid",
            "set_licence licence_id=any; set_licence licence_id=own user_id=u1; revoke_licence licence_id=own",
            "check",
            "ok reason_code=revoked licence_id=own",
        ),
        (
            "one for any, for others",
            "set_licence licence_id=any; set_licence licence_id=own user_id=u1; revoke_licence licence_id=own",
            "check user=u2",
            "ok is_authorized=true licence_id=any",
        ),
        (
            "the valid one",
            "set_licence licence_id=x; revoke_licence licence_id=x; set_licence licence_id=y valid_until=+60",
            "check",
            "ok is_authorized=true licence_id=y",
        ),
        (
            "the one that ends last",
            "set_licence licence_id=x valid_until=+60; set_licence licence_id=y valid_until=+90; set_licence licence_id=z valid_until=+70",
            "check",
            "ok licence_id=y",
        ),
        (
            "the one that does not end",
            "set_licence licence_id=x valid_until=+60; set_licence licence_id=y",
            "check",
            "ok licence_id=y valid_until=null",
        ),
        (
            "of those that are not valid the one that ends last",
            "set_licence licence_id=x valid_until=+60; set_licence licence_id=y valid_until=+50; wait 60",
            "check",
            "ok reason_code=expired licence_id=x",
        ),
        ("of equals the first by name", "set_licence licence_id=y; set_licence licence_id=x", "check", "ok licence_id=x"),
    ]);
    using(&[(
        "the next when one is used up",
        "licensed licence_id=x total_quota=1; set_licence licence_id=y valid_until=+900; use",
        "use",
        "ok licence_id=y",
    )]);
}

#[test]
fn licences_are_made_and_changed() {
    table(&[
        (
            "made",
            "",
            "set_licence total_quota=5 zone=Asia/Shanghai required_documents=consent policy_tag=strict",
            r#"ok licence_id=l1 template_id=a user_id=null channels=["viewer","creator","external"] total_quota=5 daily_quota=-1
             zone=Asia/Shanghai required_documents=["consent"] submitted_documents=[] revoked=false policy_tag=strict changed=true"#,
        ),
        ("the same again", "set_licence total_quota=5", "set_licence total_quota=5", "ok changed=false"),
        ("a limit of -1 is none", "set_licence", "set_licence total_quota=-1 daily_quota=-1", "ok total_quota=-1 changed=false"),
        ("the whole state: no quota is none", "set_licence total_quota=5", "set_licence", "ok total_quota=-1 changed=true"),
        ("the zone stays", "set_licence zone=Asia/Shanghai", "set_licence", "ok zone=Asia/Shanghai changed=false"),
        ("another zone", "set_licence", "set_licence zone=Asia/Shanghai", "denied payload_invalid field=zone given=Asia/Shanghai"),
        ("another template", "set_licence", "set_licence template_id=b", "denied payload_invalid field=template_id given=b"),
        ("another user", "set_licence user_id=u1", "set_licence user_id=u2", "denied payload_invalid field=user_id given=u2"),
        ("a user for any", "set_licence", "set_licence user_id=u2", "denied payload_invalid field=user_id"),
        ("any for a user", "set_licence user_id=u1", "set_licence", "denied payload_invalid field=user_id given=nobody"),
        ("revoked", "set_licence", "revoke_licence", "ok revoked=true changed=true reason=test operator=ops"),
        ("revoked twice", "set_licence; revoke_licence", "revoke_licence", "ok revoked=true changed=false"),
        (
            "revoked for good",
            "set_licence; revoke_licence",
            "set_licence",
            "denied authorization_revoked licence_id=l1 revoked_at=+0",
        ),
        (
            "no documents for what is revoked",
            "set_licence; revoke_licence",
            "submit_documents documents=consent",
            "denied authorization_revoked",
        ),
        ("an unknown one is revoked", "", "revoke_licence", "denied authorization_not_found licence_id=l1"),
        ("a foreign one is revoked", "set_licence tenant_id=other", "revoke_licence", "denied authorization_not_found"),
        ("documents for an unknown one", "", "submit_documents documents=consent", "denied authorization_not_found"),
        (
            "documents add up",
            "set_licence; submit_documents documents=b,a",
            "submit_documents documents=c,a",
            r#"ok submitted_documents=["a","b","c"] changed=true"#,
        ),
        ("documents again", "set_licence; submit_documents documents=a", "submit_documents documents=a", "ok changed=false"),
        (
            "documents stay when the licence changes",
            "set_licence required_documents=a; submit_documents documents=a",
            "set_licence required_documents=a total_quota=3",
            r#"ok submitted_documents=["a"]"#,
        ),
        (
            "a replay",
            "set_licence idempotency_key=k; revoke_licence",
            "set_licence idempotency_key=k",
            "ok idempotent_replay=true revoked=false",
        ),
        (
            "another quota under the key",
            "set_licence idempotency_key=k total_quota=1",
            "set_licence idempotency_key=k total_quota=2",
            "denied idempotency_conflict field=total_quota",
        ),
        (
            "other documents under the key",
            "set_licence; submit_documents idempotency_key=k documents=a,b",
            "submit_documents idempotency_key=k documents=a",
            "denied idempotency_conflict field=documents",
        ),
        ("a version", "", "set_licence expected_version=0", "denied payload_invalid field=expected_version"),
    ]);
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
    let mut bank = Bank::new(std::sync::Arc::new(MemoryStore::new()), required());
    let tag_of = |bank: &mut Bank, statement: &str| {
        let refused = bank.run(statement).unwrap_err();
        refused.denial().unwrap().policy_tag().map(|tag| tag.to_string())
    };
    assert_eq!(tag_of(&mut bank, "charge 1 template_id=a policy_tag=mild"), Some("mild".to_owned()));
    bank.given("set_licence policy_tag=strict daily_quota=0").unwrap();
    assert_eq!(tag_of(&mut bank, "charge 1 template_id=a policy_tag=mild"), Some("strict".to_owned()));
}

#[test]
fn only_known_templates_exist() {
    let engine = Engine::builder().templates(["a".parse().unwrap()]).policies(Policies::new(required())).build().unwrap();
    let acme = Context::tenant("acme").unwrap();
    let user = Owner::user("u1").unwrap();
    engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Plan, "9".parse().unwrap()))).unwrap();
    let check =
        |template: &str| engine.check_licence(&TemplateKey::new("acme".parse().unwrap(), template.parse().unwrap(), None), None);
    assert_eq!(check("a").unwrap().requirements, ["license"]);
    assert_eq!(check("b").unwrap_err().denial().unwrap().name(), "template_not_found");
    let charge = |template: &str| {
        let template_id = Some(template.parse().unwrap());
        engine.execute(acme.request(Charge { template_id, ..Charge::new(user.clone(), "1".parse().unwrap()) }))
    };
    assert_eq!(charge("a").unwrap_err().denial().unwrap().name(), "authorization_missing");
    assert_eq!(charge("b").unwrap_err().denial().unwrap().name(), "template_not_found");
    let (recording, _) = {
        let template_id = Some("b".parse().unwrap());
        engine.execute_recorded(acme.request(Charge { template_id, ..Charge::new(user.clone(), "1".parse().unwrap()) }))
    };
    let again = drawdown::Recording::from_json(&recording.unwrap().to_json()).unwrap().decide();
    assert!(matches!(again, drawdown::decide::Decision::Denied(denial) if denial.name() == "template_not_found"));
}

#[test]
fn a_template_has_so_many_licences_for_one_user() {
    let engine = Engine::in_memory();
    let acme = Context::tenant("acme").unwrap();
    let licence = |name: String| acme.request(SetLicence::new(&name, "a", "ops").unwrap()).into_command();
    let made = engine.execute_many((0..MAX_LICENCES).map(|number| licence(format!("l{number}"))).collect());
    assert!(made.iter().all(Result::is_ok));
    let refused = engine.run(licence("more".to_owned())).unwrap_err();
    assert_eq!(
        (refused.denial().unwrap().name(), &refused.denial().unwrap().details()["limit"]),
        ("capacity_exceeded", &"licences".into())
    );
    assert!(engine.run(licence("l7".to_owned())).is_ok(), "one that is there can be changed");
    let own = SetLicence { user_id: Some("u1".parse().unwrap()), ..SetLicence::new("own", "a", "ops").unwrap() };
    assert!(engine.execute(acme.request(own)).is_ok(), "and a user can have one");
}

/// However many threads, engines and batches there are: a quota of 20 is used 20 times.
#[test]
fn a_quota_holds_against_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for (_, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        spend_at_once(&store);
    }
}

fn spend_at_once(store: &std::sync::Arc<dyn Store>) {
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
