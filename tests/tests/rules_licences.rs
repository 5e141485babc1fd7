//! Licences: how they are made, what a check answers, and which licence counts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::SqliteStore;
use drawdown::{
    Charge, Context, Engine, GrantCredit, GrantType, MAX_LICENCES, ManualClock, Owner, PlaceHold, Policies, ReasonCode, SetLicence,
    TemplateKey, TenantPolicy,
};
use drawdown_tests::script::table;

fn required() -> TenantPolicy {
    TenantPolicy { licence_required: true, ..TenantPolicy::default() }
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
    assert!(matches!(again, drawdown::decide::Decision::Denied(denial, _) if denial.name() == "template_not_found"));
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

/// Holds whose time is over count no more in what is read, although nothing has booked that yet.
#[test]
fn a_licence_is_read_as_it_stands_now() {
    let file = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at("2026-01-01T23:50:00Z".parse().unwrap()));
    let sqlite = SqliteStore::open(file.path().join("books.db")).unwrap();
    for store in [Arc::new(MemoryStore::new()) as Arc<dyn Store>, Arc::new(sqlite)] {
        clock.set("2026-01-01T23:50:00Z".parse().unwrap());
        let engine = Engine::builder().store(store).clock(clock.clone()).policies(Policies::new(required())).build().unwrap();
        let acme = Context::tenant("acme").unwrap();
        let user = Owner::user("u1").unwrap();
        engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Plan, "9".parse().unwrap()))).unwrap();
        let licence = SetLicence { total_quota: Some(5), daily_quota: Some(3), ..SetLicence::new("l1", "a", "ops").unwrap() };
        engine.execute(acme.request(licence)).unwrap();
        let template_id = Some("a".parse().unwrap());
        for expire_in in [300, 1_200] {
            let hold = PlaceHold { template_id: template_id.clone(), ..PlaceHold::new(user.clone(), "1".parse().unwrap()) };
            engine.execute(acme.request(PlaceHold { expire_in, ..hold })).unwrap();
        }
        engine.execute(acme.request(Charge { template_id, ..Charge::new(user, "1".parse().unwrap()) })).unwrap();
        let read = || {
            let view = engine.licence(&acme.tenant_id, &"l1".parse().unwrap()).unwrap();
            assert_eq!(engine.licences(&acme.tenant_id, None, None, 10).unwrap().licences, vec![view.clone()]);
            (view.used, view.reserved, view.used_today, view.remaining_quota, view.daily_remaining, view.reason_code)
        };
        assert_eq!(read(), (3, 2, 3, 2, 0, ReasonCode::DailyQuotaExceeded));
        clock.set("2026-01-01T23:55:00Z".parse().unwrap());
        assert_eq!(read(), (2, 1, 2, 3, 1, ReasonCode::Valid), "one hold is over");
        clock.set("2026-01-02T00:00:00Z".parse().unwrap());
        assert_eq!(read(), (2, 1, 0, 3, 3, ReasonCode::Valid), "another day");
        let beta = Context::tenant("beta").unwrap();
        let foreign = engine.licence(&beta.tenant_id, &"l1".parse().unwrap()).unwrap_err();
        assert_eq!(foreign.denial().unwrap().name(), "authorization_not_found");
        assert!(engine.licences(&beta.tenant_id, None, None, 10).unwrap().licences.is_empty());
    }
}
