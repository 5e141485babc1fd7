//! Reading a row, column by column: what cannot be read is said with table, row and column.

use std::sync::Arc;

use uuid::Uuid;

use super::{Row, Value, corrupt};
use crate::amount::Amount;
use crate::denial::Denial;
use crate::id::TenantId;
use crate::ledger::Draw;
use crate::owner::{AccountKey, Owner};
use crate::store::StoreError;
use crate::time::Timestamp;

/// The columns of a row, taken from the first to the last. The first is the number of the row.
pub(super) struct Columns {
    table: &'static str,
    row: String,
    values: std::vec::IntoIter<Value>,
}

impl Columns {
    pub(super) fn of(table: &'static str, row: Row) -> Columns {
        let name = match row.first() {
            Some(Value::Integer(number)) => number.to_string(),
            _ => "?".to_owned(),
        };
        Columns { table, row: name, values: row.into_iter() }
    }

    /// The columns of a row that is known by a name; its number is not among them.
    pub(super) fn named(table: &'static str, name: String, row: Row) -> Columns {
        Columns { table, row: name, values: row.into_iter() }
    }

    /// The error for a column whose value means nothing.
    pub(super) fn unreadable(&self, column: &str) -> StoreError {
        corrupt(format!("`{column}` of row {} of `{}` cannot be read", self.row, self.table))
    }

    fn next(&mut self) -> Value {
        self.values.next().unwrap_or(Value::Null)
    }

    pub(super) fn optional_integer(&mut self, column: &str) -> Result<Option<i64>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Integer(integer) => Ok(Some(integer)),
            Value::Text(_) | Value::Blob(_) => Err(self.unreadable(column)),
        }
    }

    pub(super) fn integer(&mut self, column: &str) -> Result<i64, StoreError> {
        self.optional_integer(column)?.ok_or_else(|| self.unreadable(column))
    }

    /// A number of a narrower type.
    pub(super) fn number<N: TryFrom<i64>>(&mut self, column: &str) -> Result<N, StoreError> {
        N::try_from(self.integer(column)?).map_err(|_| self.unreadable(column))
    }

    pub(super) fn amount(&mut self, column: &str) -> Result<Amount, StoreError> {
        self.integer(column).map(Amount::from_micros)
    }

    pub(super) fn optional_time(&mut self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        match self.optional_integer(column)? {
            None => Ok(None),
            Some(micros) => Timestamp::from_micros(micros).map(Some).ok_or_else(|| self.unreadable(column)),
        }
    }

    pub(super) fn time(&mut self, column: &str) -> Result<Timestamp, StoreError> {
        self.optional_time(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn optional_text(&mut self, column: &str) -> Result<Option<String>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Integer(_) | Value::Blob(_) => Err(self.unreadable(column)),
        }
    }

    pub(super) fn text(&mut self, column: &str) -> Result<String, StoreError> {
        self.optional_text(column)?.ok_or_else(|| self.unreadable(column))
    }

    /// A text id, checked as it was when it came.
    pub(super) fn optional_id<I>(&mut self, column: &str, new: fn(String) -> Result<I, Denial>) -> Result<Option<I>, StoreError> {
        self.optional_text(column)?.map(new).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn id<I>(&mut self, column: &str, new: fn(String) -> Result<I, Denial>) -> Result<I, StoreError> {
        self.optional_id(column, new)?.ok_or_else(|| self.unreadable(column))
    }

    /// A word of a closed list.
    pub(super) fn word<W>(&mut self, column: &str, from_name: fn(&str) -> Option<W>) -> Result<W, StoreError> {
        let text = self.text(column)?;
        from_name(&text).ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn optional_word<W>(&mut self, column: &str, from_name: fn(&str) -> Option<W>) -> Result<Option<W>, StoreError> {
        let text = self.optional_text(column)?;
        text.map(|text| from_name(&text).ok_or_else(|| self.unreadable(column))).transpose()
    }

    pub(super) fn optional_json<J: serde::de::DeserializeOwned>(&mut self, column: &str) -> Result<Option<J>, StoreError> {
        let text = self.optional_text(column)?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn optional_bytes(&mut self, column: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Blob(bytes) => Ok(Some(bytes)),
            Value::Integer(_) | Value::Text(_) => Err(self.unreadable(column)),
        }
    }

    pub(super) fn bytes(&mut self, column: &str) -> Result<Vec<u8>, StoreError> {
        self.optional_bytes(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn optional_uuid(&mut self, column: &str) -> Result<Option<Uuid>, StoreError> {
        let bytes = self.optional_bytes(column)?;
        bytes.map(|bytes| Uuid::from_slice(&bytes)).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn uuid(&mut self, column: &str) -> Result<Uuid, StoreError> {
        self.optional_uuid(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn draw(&mut self, column: &str) -> Result<Draw, StoreError> {
        match self.optional_bytes(column)? {
            None => Ok(Draw::default()),
            Some(bytes) => Draw::from_bytes(&bytes).ok_or_else(|| self.unreadable(column)),
        }
    }

    /// The four columns of an account's name.
    pub(super) fn account_key(&mut self) -> Result<Arc<AccountKey>, StoreError> {
        let tenant_id = self.id("tenant_id", TenantId::new)?;
        self.optional_account_key(&tenant_id)?.ok_or_else(|| self.unreadable("owner_kind"))
    }

    /// The three columns that name an account of this tenant, if there is one.
    pub(super) fn optional_account_key(&mut self, tenant_id: &TenantId) -> Result<Option<Arc<AccountKey>>, StoreError> {
        let Some(kind) = self.optional_integer("owner_kind")? else {
            self.next();
            self.next();
            return Ok(None);
        };
        let owner_id = self.text("owner_id")?;
        let owner = match kind {
            0 if owner_id.is_empty() => Ok(Owner::Pool),
            1 => Owner::user(owner_id).map_err(|_| self.unreadable("owner_id")),
            2 => Owner::organization(owner_id).map_err(|_| self.unreadable("owner_id")),
            _ => Err(self.unreadable("owner_kind")),
        }?;
        let unit = self.id("unit", crate::Unit::new)?;
        Ok(Some(Arc::new(AccountKey::new(tenant_id.clone(), owner, unit))))
    }
}
