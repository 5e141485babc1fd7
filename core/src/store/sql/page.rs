//! Pages of entries. A page reads chunks of bounded size along one index, and keeps what the filter admits.

use super::query::{account_row, rows_limit};
use super::statements as sql;
use super::{Row, Source, Statement, Value, codec, params};
use crate::id::{LedgerId, TaskId, TenantId};
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
        for placed in chunk {
            let (place, entry) = match placed {
                Ok(placed) => placed,
                // The page ends before a row that cannot be read: the next one begins with it, and fails.
                Err(error) if page.entries.is_empty() => return Err(error),
                Err(_) => {
                    page.next_cursor = page.entries.last().map(Entry::ledger_id);
                    return Ok(page);
                }
            };
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

/// An entry with its place, if its row can be read.
type Placed = Result<(Place, Entry), StoreError>;

/// Where a walk over entries stands.
struct Walk<'a> {
    path: Path<'a>,
    order: PageOrder,
    place: Place,
}

/// Along what.
enum Path<'a> {
    Account(i64),
    Task(&'a TenantId, &'a TaskId),
    Tenant(&'a TenantId),
}

/// After which entry: its number along an account, or its row and its operation along a task or a tenant.
#[derive(Clone, Copy)]
struct Place {
    position: i64,
    number: i64,
}

impl<'a> Walk<'a> {
    /// Stands before the first entry of the page; none where nothing can be found.
    fn begin(source: &mut dyn Source, query: &'a EntryQuery) -> Result<Option<Walk<'a>>, StoreError> {
        let order = query.order;
        let tenant_id = query.tenant_id();
        let path = match &query.scope {
            EntryScope::Account(key) => match account_row(source, key)? {
                Some((account_id, _)) => Path::Account(account_id),
                None => return Ok(None),
            },
            EntryScope::Task(tenant, task) => Path::Task(tenant, task),
            EntryScope::Tenant(tenant) => Path::Tenant(tenant),
        };
        let place = match query.cursor {
            None if order == PageOrder::Asc => Some(Place { position: 0, number: 0 }),
            None => Some(Place { position: i64::MAX, number: i64::MAX }),
            Some(cursor) => place_of(source, tenant_id, &path, cursor)?,
        };
        Ok(place.map(|place| Walk { path, order, place }))
    }

    /// The next entries, each with its place, as far as they can be read.
    fn next(&mut self, source: &mut dyn Source, limit: usize) -> Result<Vec<Placed>, StoreError> {
        let limit = rows_limit(limit);
        let ascending = self.order == PageOrder::Asc;
        let Place { position, number } = self.place;
        let statement = match &self.path {
            Path::Account(account_id) => {
                let sql = if ascending { sql::ENTRIES_ASC } else { sql::ENTRIES_DESC };
                Statement::new(sql, vec![(*account_id).into(), number.into(), limit])
            }
            Path::Task(tenant, task) => {
                let sql = if ascending { sql::TASK_ENTRIES_ASC } else { sql::TASK_ENTRIES_DESC };
                let (tenant, task) = (tenant.as_str().into(), task.as_str().into());
                Statement::new(sql, vec![tenant, task, position.into(), number.into(), limit])
            }
            Path::Tenant(tenant) => {
                let sql = if ascending { sql::TENANT_ENTRIES_ASC } else { sql::TENANT_ENTRIES_DESC };
                Statement::new(sql, vec![tenant.as_str().into(), position.into(), number.into(), limit])
            }
        };
        Ok(source.rows(&statement)?.iter().map(|row| self.placed(row)).collect())
    }

    fn placed(&self, row: Row<'_>) -> Placed {
        let number = |column| if let Value::Integer(number) = row.value(column) { number } else { 0 };
        let (entry_row, position) = (number(0), number(1));
        let entry = codec::entry(row)?;
        let number = match &self.path {
            Path::Account(_) => i64::try_from(entry.seq).unwrap_or(i64::MAX),
            Path::Task(..) | Path::Tenant(_) => entry_row,
        };
        Ok((Place { position, number }, entry))
    }
}

/// Where an entry stands on the path; none if it does not.
fn place_of(source: &mut dyn Source, tenant_id: &TenantId, path: &Path<'_>, cursor: LedgerId) -> Result<Option<Place>, StoreError> {
    let (op_id, ordinal) = cursor.operation();
    let bound = params![tenant_id.as_str(), op_id.uuid(), i64::from(ordinal)];
    let rows = source.rows(&Statement::new(sql::CURSOR, bound))?;
    let Some(found) = rows.first().map(codec::cursor).transpose()? else { return Ok(None) };
    let number = match path {
        Path::Account(account_id) => (found.account_id == *account_id).then_some(found.seq),
        Path::Task(_, task) => (found.task_id == Some(task.as_str())).then_some(found.entry_row),
        Path::Tenant(_) => Some(found.entry_row),
    };
    Ok(number.map(|number| Place { position: found.position, number }))
}
