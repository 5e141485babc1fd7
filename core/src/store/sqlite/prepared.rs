//! Statements on a connection, each prepared once for a batch or a question.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::error;
use crate::store::StoreError;
use crate::store::sql::{self, Rows, Source, Statement, Value};

/// The statements that were needed so far, by their numbers.
pub(super) struct PreparedStatements<'a> {
    connection: &'a Connection,
    statements: Vec<Option<Prepared<'a>>>,
}

struct Prepared<'a> {
    statement: CachedStatement<'a>,
    columns: usize,
    /// A bit for each of the first parameters: something is bound to it.
    bound: u64,
}

impl<'a> PreparedStatements<'a> {
    pub(super) fn new(connection: &'a Connection) -> PreparedStatements<'a> {
        PreparedStatements { connection, statements: sql::ALL.iter().map(|_| None).collect() }
    }

    /// Runs statements in order.
    pub(super) fn run_all(&mut self, statements: &[Statement<'_>]) -> Result<Vec<Rows>, StoreError> {
        statements.iter().map(|statement| self.run(statement)).collect()
    }

    fn run(&mut self, statement: &Statement<'_>) -> Result<Rows, StoreError> {
        let slot = self.statements.get_mut(statement.sql.number);
        let slot = slot.ok_or_else(|| sql::corrupt(format!("no statement has the number {}", statement.sql.number)))?;
        let prepared = match slot {
            Some(prepared) => prepared,
            empty => empty.insert(Prepared::new(self.connection, statement.sql.text).map_err(error::store_error)?),
        };
        let mut rows = prepared.run(&statement.params).map_err(error::store_error)?;
        rows.written = self.connection.changes();
        Ok(rows)
    }
}

impl Source for PreparedStatements<'_> {
    fn rows(&mut self, statement: &Statement<'_>) -> Result<Rows, StoreError> {
        self.run(statement)
    }
}

impl<'a> Prepared<'a> {
    fn new(connection: &'a Connection, sql: &str) -> rusqlite::Result<Prepared<'a>> {
        let statement = connection.prepare_cached(sql)?;
        Ok(Prepared { columns: statement.column_count(), statement, bound: 0 })
    }

    fn run(&mut self, params: &[Value<'_>]) -> rusqlite::Result<Rows> {
        for (at, value) in params.iter().enumerate() {
            // Most columns of most rows are empty, and a parameter begins so.
            let bit = u32::try_from(at).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0);
            if *value != Value::Null {
                self.statement.raw_bind_parameter(at + 1, bound(value))?;
                self.bound |= bit;
            } else if bit == 0 || self.bound & bit != 0 {
                self.statement.raw_bind_parameter(at + 1, bound(value))?;
                self.bound &= !bit;
            }
        }
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

fn bound<'a>(value: &'a Value<'_>) -> ToSqlOutput<'a> {
    ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(integer) => ValueRef::Integer(*integer),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
        Value::Id(id) => ValueRef::Blob(id),
    })
}
