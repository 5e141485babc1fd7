//! Reading a row, column by column: what cannot be read is said with table, row and column.

use std::borrow::Cow;
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

/// The columns of a row, taken from the first to the last.
pub(super) struct Columns<'a> {
    table: &'static str,
    name: Option<&'a str>,
    row: Row<'a>,
    at: usize,
}

impl<'a> Columns<'a> {
    /// The columns of a row; the first is its number.
    pub(super) const fn of(table: &'static str, row: Row<'a>) -> Columns<'a> {
        Columns { table, name: None, row, at: 0 }
    }

    /// The columns of a row that is known by a name; its number is not among them.
    pub(super) const fn named(table: &'static str, name: &'a str, row: Row<'a>) -> Columns<'a> {
        Columns { table, name: Some(name), row, at: 0 }
    }

    /// The error for a column whose value means nothing.
    pub(super) fn unreadable(&self, column: &str) -> StoreError {
        let row = match (self.name, self.row.value(0)) {
            (Some(name), _) => name.to_owned(),
            (None, Value::Integer(number)) => number.to_string(),
            (None, _) => "?".to_owned(),
        };
        corrupt(format!("`{column}` of row {row} of `{}` cannot be read", self.table))
    }

    fn next(&mut self) -> Value<'a> {
        let value = self.row.value(self.at);
        self.at += 1;
        value
    }

    pub(super) fn optional_integer(&mut self, column: &str) -> Result<Option<i64>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Integer(integer) => Ok(Some(integer)),
            Value::Text(_) | Value::Blob(_) | Value::Id(_) => Err(self.unreadable(column)),
        }
    }

    pub(super) fn integer(&mut self, column: &str) -> Result<i64, StoreError> {
        self.optional_integer(column)?.ok_or_else(|| self.unreadable(column))
    }

    /// A number of a narrower type.
    pub(super) fn number<N: TryFrom<i64>>(&mut self, column: &str) -> Result<N, StoreError> {
        N::try_from(self.integer(column)?).map_err(|_| self.unreadable(column))
    }

    pub(super) fn optional_number<N: TryFrom<i64>>(&mut self, column: &str) -> Result<Option<N>, StoreError> {
        let number = self.optional_integer(column)?.map(N::try_from);
        number.transpose().map_err(|_| self.unreadable(column))
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

    pub(super) fn optional_text(&mut self, column: &str) -> Result<Option<&'a str>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Text(Cow::Borrowed(text)) => Ok(Some(text)),
            Value::Integer(_) | Value::Text(_) | Value::Blob(_) | Value::Id(_) => Err(self.unreadable(column)),
        }
    }

    pub(super) fn text(&mut self, column: &str) -> Result<&'a str, StoreError> {
        self.optional_text(column)?.ok_or_else(|| self.unreadable(column))
    }

    /// A text id, checked as it was when it came.
    pub(super) fn optional_id<I>(&mut self, column: &str, new: fn(&'a str) -> Result<I, Denial>) -> Result<Option<I>, StoreError> {
        self.optional_text(column)?.map(new).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn id<I>(&mut self, column: &str, new: fn(&'a str) -> Result<I, Denial>) -> Result<I, StoreError> {
        self.optional_id(column, new)?.ok_or_else(|| self.unreadable(column))
    }

    /// A word of a closed list.
    pub(super) fn word<W>(&mut self, column: &str, from_name: fn(&str) -> Option<W>) -> Result<W, StoreError> {
        let text = self.text(column)?;
        from_name(text).ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn optional_word<W>(&mut self, column: &str, from_name: fn(&str) -> Option<W>) -> Result<Option<W>, StoreError> {
        let text = self.optional_text(column)?;
        text.map(|text| from_name(text).ok_or_else(|| self.unreadable(column))).transpose()
    }

    pub(super) fn optional_json<J: serde::de::DeserializeOwned>(&mut self, column: &str) -> Result<Option<J>, StoreError> {
        let text = self.optional_text(column)?;
        text.map(serde_json::from_str).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn json<J: serde::de::DeserializeOwned>(&mut self, column: &str) -> Result<J, StoreError> {
        self.optional_json(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn optional_bytes(&mut self, column: &str) -> Result<Option<&'a [u8]>, StoreError> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Blob(Cow::Borrowed(bytes)) => Ok(Some(bytes)),
            Value::Integer(_) | Value::Text(_) | Value::Blob(_) | Value::Id(_) => Err(self.unreadable(column)),
        }
    }

    pub(super) fn bytes(&mut self, column: &str) -> Result<&'a [u8], StoreError> {
        self.optional_bytes(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn optional_uuid(&mut self, column: &str) -> Result<Option<Uuid>, StoreError> {
        let bytes = self.optional_bytes(column)?;
        bytes.map(Uuid::from_slice).transpose().map_err(|_| self.unreadable(column))
    }

    pub(super) fn uuid(&mut self, column: &str) -> Result<Uuid, StoreError> {
        self.optional_uuid(column)?.ok_or_else(|| self.unreadable(column))
    }

    pub(super) fn draw(&mut self, column: &str) -> Result<Draw, StoreError> {
        match self.optional_bytes(column)? {
            None => Ok(Draw::default()),
            Some(bytes) => Draw::from_bytes(bytes).ok_or_else(|| self.unreadable(column)),
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
