//! Where nobody reads what is written, amounts, rates and instants are numbers, and are read as such.

use drawdown::pricing::Rate;
use drawdown::{Amount, Timestamp};
use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

/// A number of a format that is not for people.
struct Number(i128);

impl<'de> Deserializer<'de> for Number {
    type Error = Error;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match i64::try_from(self.0) {
            Ok(small) => visitor.visit_i64(small),
            Err(_) => visitor.visit_i128(self.0),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

fn read<'de, T: Deserialize<'de>>(number: i128) -> Result<T, Error> {
    T::deserialize(Number(number))
}

fn text(read: Result<impl ToString, Error>) -> String {
    read.map_or_else(|error| error.to_string(), |value| value.to_string())
}

#[test]
fn an_amount_is_its_millionths() {
    assert_eq!(text(read::<Amount>(-2_500_000)), "-2.5");
    assert!(read::<Amount>(i128::from(i64::MAX) + 1).is_err());
}

#[test]
fn an_instant_is_its_microseconds() {
    assert_eq!(text(read::<Timestamp>(1)), "1970-01-01T00:00:00.000001Z");
    assert!(read::<Timestamp>(i128::from(i64::MAX)).is_err());
}

#[test]
fn a_rate_counts_by_its_last_place() {
    assert_eq!(text(read::<Rate>(2_500_000_000_000_000_000)), "2.5");
    assert_eq!(text(read::<Rate>(1)), "0.000000000000000001");
    assert!(read::<Rate>(-1).is_err());
    assert!(read::<Rate>(10_i128.pow(30) + 1).is_err());
}
