//! Verifying the audit: each record says what it said when it was written, and what names another is not alone.

use std::sync::Arc;

use super::Engine;
use super::reads::ask;
use crate::audit::{AuditKind, AuditRecord, Quote, told};
use crate::error::{Error, Failure};
use crate::id::{AuditId, OpId, TenantId};
use crate::ledger::verify::Rebuilt;
use crate::ledger::{AlertRule, Entry, Fault, FaultKind, StoredOperation, Terms, VerifyReport};
use crate::map::Map;
use crate::owner::AccountKey;
use crate::store::{Answer, Query};

/// Records and operations that are read at once.
const ROWS_A_READ: usize = 256;

impl Engine {
    /// Verifies all records of the audit, and all operations that told of a refusal.
    pub(super) fn verify_audit(&self, report: &mut VerifyReport) -> Result<(), Failure> {
        match self.verify_records(report).and_then(|()| self.verify_alerts(report)) {
            Err(Failure::Failed(Error::Corrupt(what))) => {
                report.faults.push(Fault { account: None, kind: FaultKind::Unreadable, seq: None, ledger_id: None, message: what });
                Ok(())
            }
            verified => verified,
        }
    }

    fn verify_records(&self, report: &mut VerifyReport) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let records = ask!(self, AuditAfter, Query::AuditAfter { after, limit: ROWS_A_READ })?;
            let Some((last, _)) = records.last() else { return Ok(()) };
            after = *last;
            let told = self.told_by(&records)?;
            for (_, record) in &records {
                report.audit_records += 1;
                let told = record.op_id.and_then(|op_id| told.get(&op_id));
                if let Some(what) = wrong(record, told.map(|told| &**told)) {
                    report.faults.push(fault(&record.tenant_id, record.audit_id, what));
                }
            }
        }
    }

    /// The operations that these records name.
    fn told_by(&self, records: &[(u64, Arc<AuditRecord>)]) -> Result<Map<OpId, Arc<StoredOperation>>, Failure> {
        let mut named: Map<TenantId, Vec<OpId>> = Map::default();
        for (_, record) in records {
            if let Some(op_id) = record.op_id {
                named.entry(record.tenant_id.clone()).or_default().push(op_id);
            }
        }
        let mut told = Map::default();
        for (tenant_id, op_ids) in named {
            let found = ask!(self, Operations, Query::Operations(tenant_id, op_ids))?;
            told.extend(found.into_iter().map(|stored| (stored.operation.op_id, stored)));
        }
        Ok(told)
    }

    fn verify_alerts(&self, report: &mut VerifyReport) -> Result<(), Failure> {
        let mut after = 0;
        loop {
            let alerts = ask!(self, Alerts, Query::Alerts { after, limit: ROWS_A_READ })?;
            let Some(last) = alerts.last() else { return Ok(()) };
            after = last.position;
            for stored in &alerts {
                let operation = &stored.operation;
                let refusals = operation.alerts.iter().filter(|alert| alert.rule == AlertRule::Refusal);
                for alert in refusals {
                    let named = alert.details.get("audit_id").and_then(|audit_id| audit_id.as_str()?.parse::<AuditId>().ok());
                    let Some(audit_id) = named else {
                        let named = operation.audit_id();
                        report.faults.push(fault(&operation.tenant_id, named, "tells of a refusal without its name".to_owned()));
                        continue;
                    };
                    let found = ask!(self, AuditRecords, Query::AuditRecords(operation.tenant_id.clone(), vec![audit_id]))?;
                    if !found.iter().any(|record| record.op_id == Some(operation.op_id)) {
                        let what = format!("is told of by the operation {} and is not its refusal, or not there", operation.op_id);
                        report.faults.push(fault(&operation.tenant_id, audit_id, what));
                    }
                }
            }
        }
    }

    /// The quotes that these entries name are there, and at their price.
    pub(super) fn check_quotes(&self, account: &AccountKey, entries: &[&Entry], rebuilt: &mut Rebuilt) -> Result<(), Failure> {
        let quoted: Vec<(AuditId, &Entry)> = entries.iter().filter_map(|entry| Some((quote_of(entry)?, *entry))).collect();
        if quoted.is_empty() {
            return Ok(());
        }
        let ids = quoted.iter().map(|(audit_id, _)| *audit_id).collect();
        let found = match ask!(self, AuditRecords, Query::AuditRecords(account.tenant_id.clone(), ids)) {
            Err(Failure::Failed(Error::Corrupt(what))) => {
                rebuilt.fault(FaultKind::Unreadable, None, None, what);
                return Ok(());
            }
            found => found?,
        };
        for (audit_id, entry) in quoted {
            let quote = found.iter().find(|record| record.audit_id == audit_id).and_then(|record| Quote::of(record));
            let is_at_its_price =
                quote.is_some_and(|quote| *quote.account == *account && quote.selected_cost == entry.draw.total());
            if !is_at_its_price {
                let message = format!("the entry {} names {audit_id}, which is no quote of {}", entry.seq, entry.draw.total());
                rebuilt.fault(FaultKind::WrongAudit, Some(entry.seq), Some(entry), message);
            }
        }
        Ok(())
    }
}

/// The quote that an entry was made by.
fn quote_of(entry: &Entry) -> Option<AuditId> {
    match &entry.terms {
        Some(Terms::Hold { terms, .. }) => terms.quote_id,
        Some(Terms::Price { quote_id, .. }) => *quote_id,
        _ => None,
    }
}

/// What is wrong with a record, given the operation that it names.
fn wrong(record: &AuditRecord, told_by: Option<&StoredOperation>) -> Option<String> {
    if record.hash != record.content_hash() {
        return Some("does not say what it said when it was written".to_owned());
    }
    match record.kind {
        AuditKind::Refusal => {
            let is_told = told_by.is_some_and(|stored| stored.operation.alerts.contains(&told(record)));
            (!is_told).then(|| "is a refusal of which no operation tells".to_owned())
        }
        AuditKind::Quote => Quote::of(record).is_none().then(|| "is a quote that cannot be read".to_owned()),
        AuditKind::Estimate | AuditKind::LicenceCheck => None,
    }
}

fn fault(tenant_id: &TenantId, audit_id: AuditId, what: String) -> Fault {
    let message = format!("the record {audit_id} of the tenant `{tenant_id}` {what}");
    Fault { account: None, kind: FaultKind::WrongAudit, seq: None, ledger_id: None, message }
}
