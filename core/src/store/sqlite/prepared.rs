//! Statements on a connection, each prepared once for a batch or a question.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::error;
use crate::store::StoreError;
use crate::store::sql::{self, Rows, Source, Sql, Statement, Value};

/// The statements that were needed so far.
pub(super) struct PreparedStatements<'a> {
    connection: &'a Connection,
    /// A batch needs a handful, so they are looked through.
    statements: Vec<Prepared<'a>>,
}

struct Prepared<'a> {
    number: usize,
    statement: CachedStatement<'a>,
    columns: usize,
    /// What stands in each parameter from the run before; nothing before the first.
    bound: Vec<Bound>,
}

/// What a parameter is bound to. It stays so until it is bound again, and most numbers of most rows are those of the row before.
#[derive(Clone, Copy)]
enum Bound {
    Null,
    Integer(i64),
    /// Short text: its length, its bytes, and zeros. Kinds and tenants are.
    Text([u8; SHORT_TEXT + 1]),
    /// Longer text, a blob, or what is bound for the first time, which are not compared.
    Bytes,
}

const SHORT_TEXT: usize = 22;

fn short_text(text: &str) -> Option<[u8; SHORT_TEXT + 1]> {
    let mut short = [0; SHORT_TEXT + 1];
    let (length, bytes) = short.split_first_mut()?;
    *length = u8::try_from(text.len()).ok()?;
    bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(short)
}

impl Bound {
    /// Whether a parameter that is bound to this need not be bound to that value.
    fn is(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Bound::Null, Value::Null) => true,
            (Bound::Integer(before), Value::Integer(now)) => before == now,
            (Bound::Text([length, bytes @ ..]), Value::Text(now)) => bytes.get(..usize::from(*length)) == Some(now.as_bytes()),
            _ => false,
        }
    }

    fn to(value: &Value<'_>) -> Bound {
        match value {
            Value::Null => Bound::Null,
            Value::Integer(integer) => Bound::Integer(*integer),
            Value::Text(text) => short_text(text).map_or(Bound::Bytes, Bound::Text),
            Value::Blob(_) | Value::Id(_) => Bound::Bytes,
        }
    }
}

impl<'a> PreparedStatements<'a> {
    pub(super) fn new(connection: &'a Connection) -> PreparedStatements<'a> {
        PreparedStatements { connection, statements: Vec::with_capacity(8) }
    }

    /// Runs statements in order.
    pub(super) fn run_all(&mut self, statements: &[Statement<'_>]) -> Result<Vec<Rows>, StoreError> {
        statements.iter().map(|statement| self.run(statement)).collect()
    }

    fn run(&mut self, statement: &Statement<'_>) -> Result<Rows, StoreError> {
        let known = self.statements.iter().position(|prepared| prepared.number == statement.sql.number);
        let at = match known {
            Some(at) => at,
            None => {
                self.statements.push(Prepared::new(self.connection, statement.sql).map_err(error::store_error)?);
                self.statements.len() - 1
            }
        };
        let prepared = self.statements.get_mut(at).ok_or_else(|| sql::corrupt("a prepared statement is lost"))?;
        let mut rows = prepared.run(&statement.params).map_err(error::store_error)?;
        rows.written = self.connection.changes();
        rows.last_row = self.connection.last_insert_rowid();
        Ok(rows)
    }
}

impl Source for PreparedStatements<'_> {
    fn rows(&mut self, statement: &Statement<'_>) -> Result<Rows, StoreError> {
        self.run(statement)
    }
}

impl<'a> Prepared<'a> {
    fn new(connection: &'a Connection, sql: Sql) -> rusqlite::Result<Prepared<'a>> {
        let statement = connection.prepare_cached(sql.text)?;
        Ok(Prepared { number: sql.number, columns: statement.column_count(), statement, bound: Vec::new() })
    }

    fn run(&mut self, params: &[Value<'_>]) -> rusqlite::Result<Rows> {
        self.bind(params)?;
        let mut found = self.statement.raw_query();
        let mut rows = Rows::new(self.columns);
        while let Some(row) = found.next()? {
            rows.begin_row();
            for column in 0..self.columns {
                match row.get_ref(column)? {
                    ValueRef::Null => rows.null(),
                    ValueRef::Integer(integer) => rows.integer(integer),
                    // No column has such numbers: bytes mean nothing there, so the reader of the row can say which it is.
                    ValueRef::Real(_) => rows.blob(&[]),
                    ValueRef::Text(text) => rows.text(text),
                    ValueRef::Blob(bytes) => rows.blob(bytes),
                }
            }
        }
        Ok(rows)
    }
}

impl Prepared<'_> {
    /// Binds what does not stand there already.
    fn bind(&mut self, params: &[Value<'_>]) -> rusqlite::Result<()> {
        if self.bound.is_empty() {
            // Nothing stands in a statement that begins, and most run once a commit: what they are bound to is not compared yet.
            for (at, value) in (1..).zip(params).filter(|(_, value)| **value != Value::Null) {
                self.statement.raw_bind_parameter(at, bound(value))?;
            }
            self.bound = params.iter().map(|value| if *value == Value::Null { Bound::Null } else { Bound::Bytes }).collect();
            return Ok(());
        }
        for (at, (value, before)) in (1..).zip(params.iter().zip(&mut self.bound)) {
            if !before.is(value) {
                self.statement.raw_bind_parameter(at, bound(value))?;
                *before = Bound::to(value);
            }
        }
        Ok(())
    }
}

fn bound<'a>(value: &'a Value<'_>) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(integer) => ValueRef::Integer(*integer),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
        Value::Id(id) => ValueRef::Blob(id),
    })
}
