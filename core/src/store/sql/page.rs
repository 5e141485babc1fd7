//! Pages of entries. A page reads chunks of bounded size along one index, and keeps what the filter admits.

use super::query::{all, first, rows_limit};
use super::statements as sql;
use super::{Row, Source, Statement, Value, codec, params};
use crate::id::{LedgerId, TenantId};
use crate::ledger::{Entry, EntryFilter, EntryPage, EntryQuery, EntryScope, PageOrder};
use crate::store::StoreError;

/// Entries that are read at once.
pub(super) const CHUNK: usize = 256;

/// A page of entries.
pub(super) fn entries(source: &mut dyn Source, query: &EntryQuery) -> Result<EntryPage, StoreError> {
    let Some(mut walk) = Walk::begin(source, query)? else { return Ok(EntryPage::default()) };
    let mut page = EntryPage::default();
    // One more than asked for tells whether there is a next page; a filter can pass over many.
    let size = if query.filter == EntryFilter::default() { query.limit.saturating_add(1).min(CHUNK) } else { CHUNK };
    loop {
        let chunk = walk.next(source, size)?;
        let is_last = chunk.len() < size;
        for (place, entry) in chunk {
            if is_behind(query, &entry) {
                return Ok(page);
            }
            walk.place = place;
            if !query.filter.admits(&entry) {
                continue;
            }
            if page.entries.len() >= query.limit {
                page.next_cursor = page.entries.last().map(Entry::ledger_id);
                return Ok(page);
            }
            page.entries.push(entry);
        }
        if is_last {
            return Ok(page);
        }
    }
}

/// Along an account booking times never fall, so past the end of the time asked for nothing more can come.
fn is_behind(query: &EntryQuery, entry: &Entry) -> bool {
    matches!(query.scope, EntryScope::Account(_))
        && match query.order {
            PageOrder::Asc => query.filter.to.is_some_and(|to| entry.created_at >= to),
            PageOrder::Desc => query.filter.from.is_some_and(|from| entry.created_at < from),
        }
}

/// Where a walk over entries stands.
struct Walk {
    path: Path,
    order: PageOrder,
    place: Place,
}

/// Along what.
enum Path {
    Account(i64),
    Task(Value, Value),
    Tenant(Value),
}

/// After which entry.
#[derive(Clone)]
enum Place {
    /// This sequence number, or row.
    Number(i64),
    /// This entry of this operation.
    Entry(LedgerId),
}

impl Walk {
    /// Stands before the first entry of the page; none where nothing can be found.
    fn begin(source: &mut dyn Source, query: &EntryQuery) -> Result<Option<Walk>, StoreError> {
        let order = query.order;
        let tenant_id = query.tenant_id();
        let path = match &query.scope {
            EntryScope::Account(key) => match first(source, sql::ACCOUNT, codec::key_params(key), codec::account)? {
                Some((account_id, _)) => Path::Account(account_id),
                None => return Ok(None),
            },
            EntryScope::Task(tenant, task) => Path::Task(tenant.as_str().into(), task.as_str().into()),
            EntryScope::Tenant(tenant) => Path::Tenant(tenant.as_str().into()),
        };
        let place = match (&path, query.cursor) {
            (Path::Tenant(_), cursor) => Some(Place::Entry(cursor.unwrap_or_else(|| end_of_ids(order)))),
            (_, None) => Some(Place::Number(if order == PageOrder::Asc { 0 } else { i64::MAX })),
            (path, Some(cursor)) => place_of(source, tenant_id, path, cursor)?,
        };
        Ok(place.map(|place| Walk { path, order, place }))
    }

    /// The next entries, each with its place.
    fn next(&mut self, source: &mut dyn Source, limit: usize) -> Result<Vec<(Place, Entry)>, StoreError> {
        let limit = rows_limit(limit);
        let ascending = self.order == PageOrder::Asc;
        let statement = match (&self.path, &self.place) {
            (Path::Account(account_id), Place::Number(seq)) => {
                let sql = if ascending { sql::ENTRIES_ASC } else { sql::ENTRIES_DESC };
                Statement::new(sql, vec![(*account_id).into(), (*seq).into(), limit])
            }
            (Path::Task(tenant, task), Place::Number(row)) => {
                let sql = if ascending { sql::TASK_ENTRIES_ASC } else { sql::TASK_ENTRIES_DESC };
                Statement::new(sql, vec![tenant.clone(), task.clone(), (*row).into(), limit])
            }
            (Path::Tenant(tenant), Place::Entry(ledger_id)) => {
                let sql = if ascending { sql::TENANT_ENTRIES_ASC } else { sql::TENANT_ENTRIES_DESC };
                let (op_id, ordinal) = ledger_id.operation();
                Statement::new(sql, vec![tenant.clone(), op_id.uuid().into(), i64::from(ordinal).into(), limit])
            }
            _ => return Ok(Vec::new()),
        };
        source.rows(statement)?.into_iter().map(|row| self.placed(row)).collect()
    }

    fn placed(&self, row: Row) -> Result<(Place, Entry), StoreError> {
        let entry_row = match row.first() {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        };
        let entry = codec::entry(row)?;
        let place = match &self.path {
            Path::Account(_) => Place::Number(i64::try_from(entry.seq).unwrap_or(i64::MAX)),
            Path::Task(..) => Place::Number(entry_row),
            Path::Tenant(_) => Place::Entry(entry.ledger_id()),
        };
        Ok((place, entry))
    }
}

/// Before every id, or after.
fn end_of_ids(order: PageOrder) -> LedgerId {
    LedgerId::from_uuid(match order {
        PageOrder::Asc => uuid::Uuid::nil(),
        PageOrder::Desc => uuid::Uuid::max(),
    })
}

/// Where an entry stands on the path; none if it does not.
fn place_of(source: &mut dyn Source, tenant_id: &TenantId, path: &Path, cursor: LedgerId) -> Result<Option<Place>, StoreError> {
    let (op_id, ordinal) = cursor.operation();
    let bound = params![tenant_id.as_str(), op_id.uuid(), i64::from(ordinal)];
    let found = all(source, sql::CURSOR, bound, codec::cursor)?;
    Ok(found.into_iter().next().and_then(|found| match path {
        Path::Account(account_id) => (found.account_id == *account_id).then_some(Place::Number(found.seq)),
        Path::Task(_, task) => (found.task_id == *task).then_some(Place::Number(found.entry_row)),
        Path::Tenant(_) => Some(Place::Entry(cursor)),
    }))
}
