//! Records of the audit.

use std::sync::Arc;

use super::books::Books;
use crate::audit::{AuditKind, AuditPage, AuditPlace, AuditQuery, AuditRecord, Audited, Quote};
use crate::facts::{Facts, Needs};
use crate::id::{AuditId, TenantId};
use crate::ledger::PageOrder;
use crate::store::{StoreError, StoreErrorKind};

impl Books {
    /// Writes records; of a refusal that is there already the count is raised.
    pub(super) fn record(&mut self, records: &[AuditRecord]) {
        for record in records {
            let known = self.by_audit_id.get(&(record.tenant_id.clone(), record.audit_id));
            match known.and_then(|index| self.audit.get_mut(*index)) {
                None => self.append_audit(record.clone()),
                Some((_, known)) if record.kind == AuditKind::Refusal => Arc::make_mut(known).count += record.count,
                Some(_) => {}
            }
        }
    }

    pub(super) fn append_audit(&mut self, record: AuditRecord) {
        self.by_audit_id.insert((record.tenant_id.clone(), record.audit_id), self.audit.len());
        self.audit.push((self.operations.len() as u64, Arc::new(record)));
    }

    pub(super) fn audit_record(&self, tenant_id: &TenantId, audit_id: AuditId) -> Option<&Arc<AuditRecord>> {
        let index = self.by_audit_id.get(&(tenant_id.clone(), audit_id))?;
        self.audit.get(*index).map(|(_, record)| record)
    }

    pub(super) fn load_quotes(&self, needs: &Needs, facts: &mut Facts) -> Result<(), StoreError> {
        for (tenant_id, audit_id) in &needs.quotes {
            let record = self.audit_record(tenant_id, *audit_id).filter(|record| record.kind == AuditKind::Quote);
            let Some(record) = record else { continue };
            let unreadable = || StoreError::new(StoreErrorKind::Corrupt, format!("the quote {audit_id} cannot be read"));
            facts.quotes.insert(*audit_id, Quote::of(record).ok_or_else(unreadable)?);
        }
        Ok(())
    }

    /// Records after this number, with theirs.
    pub(super) fn audit_after(&self, after: u64, limit: usize) -> Vec<(u64, Arc<AuditRecord>)> {
        let rows = (1..).zip(&self.audit).map(|(row, (_, record))| (row, Arc::clone(record)));
        rows.filter(|(row, _)| *row > after).take(limit).collect()
    }

    /// A page of records and operations, in the order in which they were written.
    pub(super) fn audit_page(&self, query: &AuditQuery) -> AuditPage {
        let indexes = self.by_tenant.get(&query.tenant_id).map_or(&[][..], |tenant| &tenant.operations);
        let operations = indexes.iter().filter_map(|index| {
            let place = AuditPlace { position: *index as u64 + 1, row: 0 };
            Some((place, Audited::Operation(Arc::new(self.operation(*index)?.operation.clone()))))
        });
        let records = (1..).zip(&self.audit).filter(|(_, (_, record))| record.tenant_id == query.tenant_id);
        let records =
            records.map(|(row, (position, record))| (AuditPlace { position: *position, row }, Audited::Record(Arc::clone(record))));
        let ahead = |(place, audited): &(AuditPlace, Audited)| query.is_ahead(*place) && query.filter.admits(audited);
        let mut audited: Vec<_> = operations.chain(records).filter(ahead).collect();
        audited.sort_by_key(|(place, _)| *place);
        if query.order == PageOrder::Desc {
            audited.reverse();
        }
        let more = audited.len() > query.limit;
        audited.truncate(query.limit);
        let next_cursor = audited.last().filter(|_| more).map(|(place, _)| *place);
        AuditPage { audited, next_cursor }
    }
}
