//! The SQL of the stores, without a connection: what is asked, in which order, and how rows are read and written.
//!
//! A batch is a state machine (`BatchMachine`) that hands out statements and takes their rows back; a question is
//! answered over a `Source` of rows. A driver of about a page runs the statements.

mod audit;
mod batch;
mod codec;
mod consumers;
mod licences;
mod page;
mod query;
mod remembered;
mod risk;
mod row;
mod rows;
mod statements;
mod uses;
mod write;

pub(crate) use audit::record;
pub(crate) use batch::{BatchMachine, Step};
pub(crate) use consumers::{acknowledge, consumer};
pub(crate) use query::answer;
pub(crate) use remembered::Remembered;
pub(crate) use rows::{Row, Rows};
pub(crate) use statements::ALL;
pub(crate) use write::forget;

use std::borrow::Cow;

use super::{StoreError, StoreErrorKind};

/// A value in a row, or bound to a parameter. Borrowed where it can be: most of them are read once and dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
    /// A blob of 16 bytes: most blobs are ids.
    Id([u8; 16]),
}

/// The text of a statement, and its number among all of them, by which a driver finds it prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sql {
    pub(crate) number: usize,
    /// How many rows it writes, if it writes.
    pub(crate) rows: u64,
    pub(crate) text: &'static str,
}

/// A statement and what is bound to its parameters, the first to `?1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement<'a> {
    pub(crate) sql: Sql,
    pub(crate) params: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    pub(crate) const fn new(sql: Sql, params: Vec<Value<'a>>) -> Statement<'a> {
        Statement { sql, params }
    }
}

/// Where a question finds its rows: one consistent state.
pub(crate) trait Source {
    /// The rows of a statement that only reads.
    fn rows(&mut self, statement: &Statement<'_>) -> Result<Rows, StoreError>;
}

/// The rows contradict themselves, or each other.
pub(crate) fn corrupt(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

impl From<i64> for Value<'_> {
    fn from(integer: i64) -> Self {
        Value::Integer(integer)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Value<'a> {
        Value::Blob(Cow::Borrowed(bytes))
    }
}

impl<'a> From<&'a [u8; 32]> for Value<'a> {
    fn from(bytes: &'a [u8; 32]) -> Value<'a> {
        Value::Blob(Cow::Borrowed(bytes))
    }
}

impl From<Vec<u8>> for Value<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Blob(Cow::Owned(bytes))
    }
}

impl From<crate::Amount> for Value<'_> {
    fn from(amount: crate::Amount) -> Self {
        Value::Integer(amount.micros())
    }
}

impl From<crate::Timestamp> for Value<'_> {
    fn from(instant: crate::Timestamp) -> Self {
        Value::Integer(instant.micros())
    }
}

impl From<uuid::Uuid> for Value<'_> {
    fn from(id: uuid::Uuid) -> Self {
        Value::Id(id.into_bytes())
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Value<'a> {
        value.map_or(Value::Null, Into::into)
    }
}

/// A count as SQL keeps it. No count of rows comes near the limit.
pub(crate) fn count(count: u64) -> Value<'static> {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A `Vec<Value>` of anything that is a [`Value`].
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::Value::from($value)),*] };
}
pub(crate) use params;
