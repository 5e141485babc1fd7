//! Records of the audit: rows, parameters, and pages of them and of the operations, merged in the order in which they were written.

use std::collections::VecDeque;
use std::sync::Arc;

use super::page::CHUNK;
use super::query::{all, rows_limit};
use super::row::Columns;
use super::statements as sql;
use super::{Row, Source, Sql, Statement, Value, codec, corrupt, count, params};
use crate::audit::{AuditKind, AuditOutcome, AuditPage, AuditPlace, AuditQuery, AuditRecord, Audited, Quote};
use crate::id::{Actor, AuditId, OpId, PolicyTag, RequestId, TemplateId, TenantId};
use crate::ledger::PageOrder;
use crate::owner::Subject;
use crate::store::StoreError;

/// What writes a record that is new; one whose name is taken is refused.
pub(super) fn insert(record: &AuditRecord) -> Statement<'_> {
    Statement::new(sql::AUDIT_INSERT, values(record))
}

/// What writes a record, or raises the count of the refusal that has its name.
pub(crate) fn record(record: &AuditRecord) -> Statement<'_> {
    Statement::new(sql::AUDIT_RECORD, values(record))
}

pub(super) fn by_name<'a>(tenant_id: &'a TenantId, audit_id: AuditId) -> Statement<'a> {
    Statement::new(sql::AUDIT, params![audit_id.uuid(), tenant_id.as_str()])
}

/// The quote of this row; none if it is another record.
pub(super) fn quote(row: Row<'_>) -> Result<Option<Quote>, StoreError> {
    let (_, record) = placed(row)?;
    let unreadable = || corrupt(format!("the quote {} cannot be read", record.audit_id));
    (record.kind == AuditKind::Quote).then(|| Quote::of(&record).ok_or_else(unreadable)).transpose()
}

/// Those of these records that there are.
pub(super) fn named(source: &mut dyn Source, tenant_id: &TenantId, ids: &[AuditId]) -> Result<Vec<Arc<AuditRecord>>, StoreError> {
    let mut found = Vec::new();
    for audit_id in ids {
        let rows = source.rows(&by_name(tenant_id, *audit_id))?;
        found.extend(rows.first().map(placed).transpose()?.map(|(_, record)| Arc::new(record)));
    }
    Ok(found)
}

/// Records of all tenants after this number, with theirs.
pub(super) fn after(source: &mut dyn Source, after: u64, limit: usize) -> Result<Vec<(u64, Arc<AuditRecord>)>, StoreError> {
    let found = all(source, sql::AUDIT_AFTER, vec![count(after), rows_limit(limit)], placed)?;
    Ok(found.into_iter().map(|(place, record)| (place.row, Arc::new(record))).collect())
}

/// A page of records and operations.
pub(super) fn page(source: &mut dyn Source, query: &AuditQuery) -> Result<AuditPage, StoreError> {
    if let Some(audit_id) = query.filter.audit_id {
        return one(source, query, audit_id);
    }
    let size = query.limit.saturating_add(1).min(CHUNK);
    let start = query.cursor.unwrap_or(match query.order {
        PageOrder::Asc => AuditPlace::default(),
        PageOrder::Desc => AuditPlace { position: i64::MAX as u64, row: i64::MAX as u64 },
    });
    let mut operations = Stream { of: Of::Operations, place: start, read: VecDeque::new(), is_over: false };
    let mut records = Stream { of: Of::Records, place: start, read: VecDeque::new(), is_over: false };
    let mut page = AuditPage::default();
    loop {
        operations.fill(source, query, size)?;
        records.fill(source, query, size)?;
        let first = match (operations.read.front(), records.read.front()) {
            (None, None) => return Ok(page),
            (Some((one, _)), Some((other, _))) => (one < other) == (query.order == PageOrder::Asc),
            (of_operations, _) => of_operations.is_some(),
        };
        let next = if first { operations.read.pop_front() } else { records.read.pop_front() };
        let Some((place, audited)) = next.filter(|(_, audited)| query.filter.admits(audited)) else { continue };
        if page.audited.len() >= query.limit {
            page.next_cursor = page.audited.last().map(|(place, _)| *place);
            return Ok(page);
        }
        page.audited.push((place, audited));
    }
}

/// The operation or record of this name.
fn one(source: &mut dyn Source, query: &AuditQuery, audit_id: AuditId) -> Result<AuditPage, StoreError> {
    let tenant_id = &query.tenant_id;
    let (op_id, ordinal) = audit_id.operation();
    let bound = params![tenant_id.as_str(), op_id.uuid()];
    let mut found = if ordinal == 0 { all(source, sql::OPERATION, bound, operation)? } else { Vec::new() };
    found.extend(source.rows(&by_name(tenant_id, audit_id))?.first().map(recorded).transpose()?);
    found.retain(|(place, audited)| query.filter.admits(audited) && query.is_ahead(*place));
    Ok(AuditPage { audited: found, next_cursor: None })
}

/// One of the two that are merged.
struct Stream {
    of: Of,
    /// The last that was read.
    place: AuditPlace,
    read: VecDeque<(AuditPlace, Audited)>,
    is_over: bool,
}

#[derive(Clone, Copy)]
enum Of {
    Operations,
    Records,
}

impl Stream {
    /// Reads on when nothing is left of what was read.
    fn fill(&mut self, source: &mut dyn Source, query: &AuditQuery, size: usize) -> Result<(), StoreError> {
        if !self.read.is_empty() || self.is_over {
            return Ok(());
        }
        let tenant_id = query.tenant_id.as_str();
        let AuditPlace { position, row } = self.place;
        let read = match (self.of, query.order) {
            (Of::Operations, PageOrder::Asc) => {
                all(source, sql::FEED_OF_TENANT, vec![count(position), tenant_id.into(), rows_limit(size)], operation)?
            }
            (Of::Operations, PageOrder::Desc) => {
                // What was recorded at a position comes after the operation there.
                let below = position.saturating_add(u64::from(row > 0));
                all(source, sql::OPERATIONS_DESC, vec![count(below), tenant_id.into(), rows_limit(size)], operation)?
            }
            (Of::Records, order) => {
                let sql: Sql = if order == PageOrder::Asc { sql::AUDIT_ASC } else { sql::AUDIT_DESC };
                all(source, sql, vec![tenant_id.into(), count(position), count(row), rows_limit(size)], recorded)?
            }
        };
        self.is_over = read.len() < size;
        if let Some((place, _)) = read.last() {
            self.place = *place;
        }
        self.read = read.into();
        Ok(())
    }
}

fn operation(row: Row<'_>) -> Result<(AuditPlace, Audited), StoreError> {
    let found = codec::operation(row)?;
    Ok((AuditPlace { position: found.position, row: 0 }, Audited::Operation(Arc::new(found.operation))))
}

fn recorded(row: Row<'_>) -> Result<(AuditPlace, Audited), StoreError> {
    placed(row).map(|(place, record)| (place, Audited::Record(Arc::new(record))))
}

fn placed(row: Row<'_>) -> Result<(AuditPlace, AuditRecord), StoreError> {
    let mut columns = Columns::of("audit", row);
    let (row, position) = (columns.number("audit_row")?, columns.number("position")?);
    let subject = |columns: &mut Columns<'_>| {
        let text = columns.optional_text("subject")?;
        text.map(str::parse::<Subject>).transpose().map_err(|_| columns.unreadable("subject"))
    };
    let record = AuditRecord {
        audit_id: AuditId::from_uuid(columns.uuid("audit_id")?),
        tenant_id: columns.id("tenant_id", TenantId::new)?,
        kind: columns.word("kind", AuditKind::from_name)?,
        subject: subject(&mut columns)?,
        template_id: columns.optional_id("template_id", TemplateId::new)?,
        actor: columns.optional_id("actor", Actor::new)?,
        request_id: columns.optional_id("request_id", RequestId::new)?,
        policy_tag: columns.optional_id("policy_tag", PolicyTag::new)?,
        outcome: columns.word("outcome", AuditOutcome::from_name)?,
        reason_code: columns.optional_text("reason_code")?.map(Arc::from),
        created_at: columns.time("created_at")?,
        op_id: columns.optional_uuid("op_id")?.map(OpId::from_uuid),
        count: columns.number("count")?,
        details: Arc::from(columns.text("details")?),
        hash: codec::hash(&mut columns, "hash")?,
    };
    Ok((AuditPlace { position, row }, record))
}

fn values(record: &AuditRecord) -> Vec<Value<'_>> {
    params![
        record.audit_id.uuid(),
        record.tenant_id.as_str(),
        record.kind.as_str(),
        record.subject.as_ref().map(Subject::to_string),
        record.template_id.as_ref().map(TemplateId::as_str),
        record.actor.as_ref().map(Actor::as_str),
        record.request_id.as_ref().map(RequestId::as_str),
        record.policy_tag.as_ref().map(PolicyTag::as_str),
        record.outcome.as_str(),
        record.reason_code.as_deref(),
        record.created_at,
        record.op_id.map(OpId::uuid),
        i64::try_from(record.count).unwrap_or(i64::MAX),
        &*record.details,
        &record.hash.0,
    ]
}
