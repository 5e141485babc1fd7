//! The rows, and how they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::audit::AuditRecord;
use crate::credit::{Grant, Hold, Member, Rule};
use crate::event::{Consumer, EventCursor};
use crate::facts::{Account, SubjectRow, Task};
use crate::id::{AuditId, GrantId, HoldId, IdempotencyKey, LedgerId, OpId, RuleId, TaskId, TenantId, UserId};
use crate::ledger::{Entry, StoredOperation};
use crate::licence::{Licence, LicenceKey, LicenceUse, TemplateKey};
use crate::map::Map;
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::risk::{RiskCount, RiskKey, RiskUse};
use crate::time::Timestamp;

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) accounts: Map<Arc<AccountKey>, AccountRow>,
    /// The names of all accounts, in their order.
    pub(super) names: BTreeSet<Arc<AccountKey>>,
    pub(super) grants: Map<GrantId, (Arc<AccountKey>, Grant)>,
    pub(super) holds: Map<HoldId, (Arc<AccountKey>, Hold)>,
    pub(super) rules: Map<RuleId, (Arc<AccountKey>, Rule)>,
    pub(super) tasks: BTreeMap<(TenantId, TaskId), Task>,
    pub(super) subjects: Map<(TenantId, Subject), SubjectRow>,
    pub(super) members: BTreeMap<MemberKey, Member>,
    pub(super) licences: Map<LicenceKey, Licence>,
    /// By their templates and the users whom they are for.
    pub(super) template_licences: Map<TemplateKey, BTreeSet<LicenceKey>>,
    pub(super) licence_uses: Map<HoldId, (LicenceKey, LicenceUse)>,
    /// The first to expire first.
    pub(super) uses_of_licences: Map<LicenceKey, BTreeSet<(Timestamp, HoldId)>>,
    pub(super) licence_users: Map<(LicenceKey, UserId), u64>,
    pub(super) risk: Map<RiskKey, RiskCount>,
    pub(super) risk_uses: Map<HoldId, (RiskKey, RiskUse)>,
    /// The first to expire first.
    pub(super) risk_uses_of: Map<RiskKey, BTreeSet<(Timestamp, HoldId)>>,
    /// In the order of the feed, shared with the receipts: the position of an operation is its index and 1, whatever stands in it.
    pub(super) operations: Vec<Arc<StoredOperation>>,
    pub(super) by_op_id: Map<OpId, usize>,
    pub(super) by_tenant: Map<TenantId, TenantIndex>,
    pub(super) by_task: Map<(TenantId, TaskId), Vec<Place>>,
    /// How far those who read events have come.
    pub(super) consumers: Map<Consumer, EventCursor>,
    /// Indexes in `operations` of those that book in no account.
    pub(super) by_subject: Map<(TenantId, Subject), Vec<usize>>,
    /// Records of the audit in the order of writing, each with the last position by then.
    pub(super) audit: Vec<(u64, Arc<AuditRecord>)>,
    pub(super) by_audit_id: Map<(TenantId, AuditId), usize>,
    /// Accounts in which something becomes due.
    pub(super) due: BTreeSet<(Timestamp, Arc<AccountKey>)>,
}

/// An account with its open rows and its entries.
#[derive(Debug)]
pub(super) struct AccountRow {
    pub(super) account: Account,
    pub(super) open_grants: BTreeSet<GrantId>,
    /// The first to expire first.
    pub(super) frozen_holds: BTreeSet<(Timestamp, HoldId)>,
    pub(super) running_rules: BTreeSet<RuleId>,
    pub(super) entries: Vec<Place>,
}

/// Operations and entries of a tenant.
#[derive(Debug, Default)]
pub(super) struct TenantIndex {
    /// Indexes in `operations`.
    pub(super) operations: Vec<usize>,
    /// The indexes of those that have a key.
    pub(super) by_key: Map<IdempotencyKey, usize>,
    pub(super) entries: Vec<Place>,
}

/// Where an entry stands: the index of its operation, and its own there. Places are in the order of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) operation: usize,
    pub(super) entry: usize,
}

impl Books {
    /// The operation at an index.
    pub(super) fn operation(&self, index: usize) -> Option<&Arc<StoredOperation>> {
        self.operations.get(index)
    }

    /// The operation at an index, with its position.
    pub(super) fn placed(&self, index: usize) -> Option<Arc<StoredOperation>> {
        let stored = self.operation(index)?;
        let position = u64::try_from(index).map_or(u64::MAX, |index| index.saturating_add(1));
        Some(Arc::new(StoredOperation { position, ..StoredOperation::clone(stored) }))
    }

    /// The index of the operation under this key.
    pub(super) fn index_of_key(&self, tenant_id: &TenantId, key: &IdempotencyKey) -> Option<usize> {
        self.by_tenant.get(tenant_id)?.by_key.get(key).copied()
    }

    /// The operation and the entry at a place.
    pub(super) fn entry(&self, place: Place) -> Option<(&StoredOperation, &Entry)> {
        let stored = self.operation(place.operation)?;
        Some((stored, stored.entries.get(place.entry)?))
    }

    /// Where the entry of this name stands, if it is this tenant's.
    pub(super) fn place_of(&self, tenant_id: &TenantId, ledger_id: LedgerId) -> Option<Place> {
        let (op_id, ordinal) = ledger_id.operation();
        let operation = *self.by_op_id.get(&op_id)?;
        let stored = self.operation(operation)?;
        let entry = stored.entries.iter().position(|entry| entry.ordinal == ordinal)?;
        (stored.operation.tenant_id == *tenant_id).then_some(Place { operation, entry })
    }

    /// The grant of this name, if it is this tenant's.
    pub(super) fn grant_of(&self, tenant_id: &TenantId, grant_id: GrantId) -> Option<&(Arc<AccountKey>, Grant)> {
        self.grants.get(&grant_id).filter(|(key, _)| key.tenant_id == *tenant_id)
    }

    /// The rule of this name, if it is this tenant's.
    pub(super) fn rule_of(&self, tenant_id: &TenantId, rule_id: RuleId) -> Option<&(Arc<AccountKey>, Rule)> {
        self.rules.get(&rule_id).filter(|(key, _)| key.tenant_id == *tenant_id)
    }

    /// The hold of this name, if it is this tenant's.
    pub(super) fn hold_of(&self, tenant_id: &TenantId, hold_id: HoldId) -> Option<&(Arc<AccountKey>, Hold)> {
        self.holds.get(&hold_id).filter(|(key, _)| key.tenant_id == *tenant_id)
    }
}

impl AccountRow {
    pub(super) fn new(account: Account) -> AccountRow {
        AccountRow {
            account,
            open_grants: BTreeSet::new(),
            frozen_holds: BTreeSet::new(),
            running_rules: BTreeSet::new(),
            entries: Vec::new(),
        }
    }
}
