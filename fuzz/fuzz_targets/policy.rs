//! JSON as the policy of a tenant. What is read is written and read again as the same; and whatever it says, a short life of an account
//! under it ends in refusals that have a name and in books that verify.

#![no_main]

use std::sync::Arc;

use drawdown::{Command, Engine, Failure, IdempotencyKey, ManualClock, Policies, TenantPolicy};
use libfuzzer_sys::fuzz_target;

/// What is asked for, a second after one another.
const LIFE: [&str; 10] = [
    r#"{"tenant_id": "acme", "command": "grant", "owner": "user:u1", "type": "trial", "amount": "100", "expires_at": "2026-01-02T00:00:00Z"}"#,
    r#"{"tenant_id": "acme", "command": "grant", "owner": "user:u1", "type": "purchased", "amount": "100"}"#,
    r#"{"tenant_id": "acme", "command": "set_licence", "licence_id": "l1", "template_id": "poster", "operator": "ops"}"#,
    r#"{"tenant_id": "acme", "command": "charge", "user_id": "u1", "payer": "user:u1", "app_id": "studio", "template_id": "poster", "amount": "7"}"#,
    r#"{"tenant_id": "acme", "command": "charge", "user_id": "u1", "payer": "user:u1", "app_id": "studio", "amount": "0.000001"}"#,
    r#"{"tenant_id": "acme", "command": "hold", "user_id": "u1", "payer": "user:u1", "app_id": "studio", "task_id": "t1", "amount": "50"}"#,
    r#"{"tenant_id": "acme", "command": "hold", "user_id": "u1", "payer": "user:u1", "amount": "9", "expire_in": 2}"#,
    r#"{"tenant_id": "acme", "command": "charge", "user_id": "u1", "amount": "12.5"}"#,
    r#"{"tenant_id": "acme", "command": "charge", "user_id": "u2", "payer": "pool", "amount": "1"}"#,
    r#"{"tenant_id": "acme", "command": "settle", "owner": "user:u1"}"#,
];

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(policy) = serde_json::from_str::<TenantPolicy>(text) else { return };
    let written = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<TenantPolicy>(&written).unwrap(), policy);
    live(policy);
});

fn live(policy: TenantPolicy) {
    let clock = Arc::new(ManualClock::at("2026-01-01T15:59:57Z".parse().unwrap()));
    let Ok(engine) = Engine::builder().clock(clock.clone()).policies(Policies::new(policy)).build() else { return };
    for (second, json) in LIFE.iter().enumerate() {
        let mut command = Command::from_json(json).unwrap();
        command.context.idempotency_key = Some(IdempotencyKey::new(format!("step-{second}")).unwrap());
        match engine.run(command) {
            Ok(_) | Err(Failure::Denied(_)) => {}
            Err(Failure::Failed(error)) => panic!("{error}"),
        }
        clock.advance_seconds(1);
    }
    assert!(engine.verify().unwrap().is_clean());
}
