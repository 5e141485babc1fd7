//! The SQL of the stores, without a connection: what is asked, in which order, and how rows are read and written.
//!
//! A batch is a state machine (`BatchMachine`) that hands out statements and takes their rows back; a question is
//! answered over a `Source` of rows. A driver of about a page runs the statements.

mod batch;
mod codec;
mod page;
mod query;
mod row;
mod statements;
mod write;

pub(crate) use batch::{BatchMachine, Step};
pub(crate) use query::answer;
pub(crate) use statements::ALL;
pub(crate) use write::forget;

use super::{StoreError, StoreErrorKind};

/// A value in a row, or bound to a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// The values of one row, in the order of the statement's columns.
pub(crate) type Row = Vec<Value>;

/// A statement and what is bound to its parameters, the first to `?1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<Value>,
}

impl Statement {
    pub(crate) const fn new(sql: &'static str, params: Vec<Value>) -> Statement {
        Statement { sql, params }
    }
}

/// What a statement gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The rows that it found.
    pub(crate) rows: Vec<Row>,
    /// How many rows it wrote; means nothing after one that only reads.
    pub(crate) written: u64,
}

impl Rows {
    /// Rows of a statement that only reads.
    pub(crate) const fn read(rows: Vec<Row>) -> Rows {
        Rows { rows, written: 0 }
    }
}

/// Where a question finds its rows: one consistent state.
pub(crate) trait Source {
    /// The rows of a statement that only reads.
    fn rows(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError>;
}

/// The rows contradict themselves, or each other.
pub(crate) fn corrupt(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

impl From<i64> for Value {
    fn from(integer: i64) -> Value {
        Value::Integer(integer)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Value {
        Value::Blob(bytes)
    }
}

impl From<crate::Amount> for Value {
    fn from(amount: crate::Amount) -> Value {
        Value::Integer(amount.micros())
    }
}

impl From<crate::Timestamp> for Value {
    fn from(instant: crate::Timestamp) -> Value {
        Value::Integer(instant.micros())
    }
}

impl From<uuid::Uuid> for Value {
    fn from(id: uuid::Uuid) -> Value {
        Value::Blob(id.as_bytes().to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// A count as SQL keeps it. No count of rows comes near the limit.
pub(crate) fn count(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A `Vec<Value>` of anything that is a [`Value`].
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::Value::from($value)),*] };
}
pub(crate) use params;
