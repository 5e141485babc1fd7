//! How far those who read events have come.

use super::query::first;
use super::row::Columns;
use super::statements as sql;
use super::{Row, Source, Statement, Value, count, params};
use crate::event::{Consumer, EventCursor};
use crate::store::StoreError;

/// What moves a consumer on.
pub(crate) fn acknowledge(consumer: &Consumer, cursor: EventCursor) -> Statement<'_> {
    let mut bound = name(consumer);
    bound.extend([count(cursor.position()), Value::Integer(i64::from(cursor.ordinal()))]);
    Statement::new(sql::CONSUMER_ADVANCE, bound)
}

/// Where a consumer stands.
pub(crate) fn consumer(source: &mut dyn Source, key: &Consumer) -> Result<Option<EventCursor>, StoreError> {
    first(source, sql::CONSUMER, name(key), |row| cursor(key, row))
}

/// No tenant's name is empty.
fn name(consumer: &Consumer) -> Vec<Value<'_>> {
    params![consumer.tenant_id.as_ref().map_or("", |tenant_id| tenant_id.as_str()), consumer.name.as_str()]
}

fn cursor(consumer: &Consumer, row: Row<'_>) -> Result<EventCursor, StoreError> {
    let mut columns = Columns::named("consumers", consumer.name.as_str(), row);
    let position = columns.number("position")?;
    let ordinal = columns.number("ordinal")?;
    Ok(EventCursor::at(position, ordinal))
}
