//! Bytes as a command: what is read can be written and read again, and takes effect once under its key or is refused alike.

#![no_main]

use std::str;
use std::sync::Arc;

use drawdown::testing::generate::{Made, START, Step, Wait};
use drawdown::{Charge, Command, Context, Engine, Failure, GrantCredit, GrantType, IdempotencyKey, ManualClock, Owner};
use drawdown::{PlaceHold, Receipt, Role, SetMember, Timestamp, Unit, UserId};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(command) = Command::from_json(text) else { return };
    is_read_again(&command);
    takes_effect_once(command);
});

fn is_read_again(command: &Command) {
    let fields = command.to_fields();
    let again = Command::from_fields(fields.clone()).unwrap();
    assert_eq!(&again, command);
    assert_eq!(again.fingerprint(), command.fingerprint());
    if command.check().is_ok() {
        assert_eq!(&Command::from_json(&Value::Object(fields).to_string()).unwrap(), command);
    }
}

fn takes_effect_once(command: Command) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(START).unwrap()));
    let engine = Engine::builder().clock(clock).build().unwrap();
    let made = world(&engine, &command);
    let mut command = Step { serial: 1, about: Some(0), wait: Wait::None, template: command }.command(|_| Some(made));
    // One that had to begin before now never does.
    command.context.deadline = None;
    command.context.idempotency_key.get_or_insert(IdempotencyKey::new("k").unwrap());

    let foreseen = engine.preview(command.clone());
    let first = engine.run(command.clone());
    let second = engine.run(command);
    match (&first, &second) {
        (Ok(first), Ok(second)) => {
            assert!(!first.idempotent_replay && second.idempotent_replay);
            assert_eq!(answer(first), answer(second));
            assert!(foreseen.is_ok(), "{foreseen:?}");
        }
        (Err(first @ Failure::Denied(_)), Err(second)) => {
            assert_eq!(first, second);
            assert_eq!(foreseen.as_ref().unwrap_err(), first);
        }
        _ => panic!("first {first:?}, then {second:?}"),
    }
    let report = engine.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
}

/// Credit, a hold and a charge of whoever the command names, for it to be about.
fn world(engine: &Engine, command: &Command) -> Made {
    let fields = command.to_fields();
    let named = |name: &str| fields.get(name).and_then(Value::as_str);
    let owner = named("owner").or(named("payer")).map(|owner| owner.parse::<Owner>().unwrap());
    let user = named("user_id").unwrap_or("u1");
    let owner = owner.unwrap_or_else(|| Owner::user(user).unwrap());
    let unit = named("unit").map(|unit| Unit::new(unit).unwrap());
    let context = Context { tenant_id: command.context.tenant_id.clone(), ..Context::tenant("acme").unwrap() };
    let amount = |text: &str| text.parse().unwrap();

    if let Owner::Organization(organization) = &owner {
        engine.run(context.request(SetMember::new(organization.as_str(), user, Role::Member, "ops").unwrap().into())).unwrap();
    }
    let user_id = Some(UserId::new(user).unwrap());

    let grant = GrantCredit { unit: unit.clone(), ..GrantCredit::new(owner.clone(), GrantType::Purchased, amount("1000")) };
    let hold = PlaceHold { unit: unit.clone(), user_id: user_id.clone(), ..PlaceHold::new(owner.clone(), amount("20")) };
    let charge = Charge { unit, user_id, ..Charge::new(owner, amount("10")) };
    let bodies = [grant.into(), hold.into(), charge.into()];
    let [grant, hold, charge] = bodies.map(|body| Made::of(&engine.run(context.request(body)).unwrap()));
    Made { grant_id: grant.grant_id, hold_id: hold.hold_id, ..charge }
}

/// What a receipt says, but whether it is the first.
fn answer(receipt: &Receipt) -> Value {
    let mut json = receipt.to_json();
    json.as_object_mut().unwrap().remove("idempotent_replay");
    json
}
