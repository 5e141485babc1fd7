//! Text as an id, an owner or an instant: what is read is written as it was, in JSON as well, and what is refused is refused.

#![no_main]

use std::fmt::{Debug, Display};
use std::str::{self, FromStr};

use drawdown::event::EventCursor;
use drawdown::{
    Actor, AppId, AuditId, ConsumerName, EventId, GrantId, HoldId, IdempotencyKey, LedgerId, Operator, OrganizationId, Owner,
    PolicyTag, PriceBasis, RefundId, RequestId, Scene, TaskId, TemplateId, TenantId, Timestamp, Unit, UserId,
};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    macro_rules! texts {
        ($($id:ty),+) => {$(
            if let Some(id) = read::<$id>(text) {
                assert_eq!(id.to_string(), text);
            }
        )+};
    }
    macro_rules! derived {
        ($($id:ident),+) => {$(
            if let Some(id) = read::<$id>(text) {
                assert_eq!(id.to_string(), text);
                let (operation, ordinal) = id.operation();
                assert_eq!($id::derive(operation, ordinal), id);
                assert_eq!($id::from_uuid(id.uuid()), id);
            }
        )+};
    }
    texts!(Actor, AppId, ConsumerName, EventCursor, IdempotencyKey, Operator, OrganizationId, PolicyTag, PriceBasis);
    texts!(RequestId, Scene, TaskId, TemplateId, TenantId, Unit, UserId, Owner);
    derived!(AuditId, EventId, GrantId, HoldId, LedgerId, RefundId);
    if let Some(instant) = read::<Timestamp>(text) {
        assert_eq!(Timestamp::from_micros(instant.micros()), Some(instant));
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&instant), "{instant}");
        assert_eq!(instant.to_string().len(), Timestamp::MIN.to_string().len(), "{instant} sorts as its text does");
    }
});

/// Reads the text, as itself and as a JSON string, and holds the two and what is written to one another.
fn read<T: FromStr + Display + Debug + PartialEq + Serialize + DeserializeOwned>(text: &str) -> Option<T> {
    let read = text.parse::<T>().ok();
    let as_json = serde_json::from_value::<T>(Value::String(text.to_owned())).ok();
    assert_eq!(read, as_json, "{text:?} as text and as JSON");
    let value = read?;
    assert_eq!(value.to_string().parse::<T>().ok().as_ref(), Some(&value), "{text:?}");
    assert_eq!(serde_json::to_value(&value).unwrap(), Value::String(value.to_string()), "{text:?}");
    Some(value)
}
