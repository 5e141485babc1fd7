//! Checks the changes of a batch, then puts them in their place.

use std::sync::Arc;

use super::super::{StoreError, StoreErrorKind};
use super::books::{AccountRow, Books, Place};
use crate::changes::{Changes, Erased, erase_grant, erase_hold, erase_rule};
use crate::credit::{Grant, Hold, HoldState, Rule};
use crate::event::{Consumer, EventCursor};
use crate::facts::Account;
use crate::id::{AuditId, GrantId, HoldId, IdempotencyKey, OpId, RuleId, TenantId};
use crate::ledger::StoredOperation;
use crate::licence::{LicenceRows, TemplateKey};
use crate::map::{Map, Set};
use crate::owner::AccountKey;
use crate::risk::RiskRows;

/// What the changes checked so far would add.
#[derive(Default)]
struct Ahead<'a> {
    op_ids: Set<OpId>,
    keys: Set<(&'a TenantId, &'a IdempotencyKey)>,
    seqs: Map<&'a AccountKey, u64>,
    grants: Set<GrantId>,
    holds: Set<HoldId>,
    rules: Set<RuleId>,
    audit: Set<(&'a TenantId, AuditId)>,
}

impl<'a> Ahead<'a> {
    fn add(&mut self, changes: &'a Changes) {
        if changes.is_recorded() {
            self.op_ids.insert(changes.op_id());
            self.keys.extend(changes.operation().key.as_ref().map(|key| (changes.tenant_id(), key)));
        }
        if let Some(account) = &changes.account {
            self.seqs.insert(&account.key, account.seq);
        }
    }
}

impl Books {
    /// Whether all changes of a batch can be written: after this, writing cannot fail.
    pub(super) fn check(&self, batch: &[Changes]) -> Result<(), StoreError> {
        let mut ahead = Ahead::default();
        for (after, changes) in (1..).zip(batch) {
            if changes.is_recorded() {
                self.check_unique(changes, &ahead)?;
            }
            if let Some(account) = &changes.account {
                self.check_account(changes, account, &ahead)?;
            }
            self.check_rows(changes, &mut ahead)?;
            self.check_audit(changes, &mut ahead)?;
            // Nothing comes after the last.
            if after < batch.len() {
                ahead.add(changes);
            }
        }
        Ok(())
    }

    fn check_unique(&self, changes: &Changes, ahead: &Ahead<'_>) -> Result<(), StoreError> {
        let op_id = changes.op_id();
        if self.by_op_id.contains_key(&op_id) || ahead.op_ids.contains(&op_id) {
            return Err(StoreError::new(StoreErrorKind::Conflict, format!("the operation `{op_id}` exists")));
        }
        let tenant_id = changes.tenant_id();
        let is_taken =
            |key: &&IdempotencyKey| self.index_of_key(tenant_id, key).is_some() || ahead.keys.contains(&(tenant_id, *key));
        if let Some(key) = changes.operation().key.as_ref().filter(is_taken) {
            return Err(StoreError::new(StoreErrorKind::Conflict, format!("the idempotency key `{key}` is taken")));
        }
        Ok(())
    }

    fn check_account(&self, changes: &Changes, account: &Account, ahead: &Ahead<'_>) -> Result<(), StoreError> {
        let booked = self.accounts.get(&account.key).map(|row| row.account.seq);
        let last = ahead.seqs.get(&*account.key).copied().or(booked);
        if changes.account_is_new == last.is_some() {
            return Err(StoreError::new(StoreErrorKind::Conflict, format!("the account `{}` is not as it was", account.key)));
        }
        let first = changes.operation().first_seq;
        let follow = (first..).zip(changes.entries()).all(|(seq, entry)| entry.seq == seq && entry.account == account.key);
        let end = last.unwrap_or(0).saturating_add(u64::try_from(changes.entries().len()).unwrap_or(u64::MAX));
        if !follow || first != last.unwrap_or(0).saturating_add(1) || account.seq != end {
            return Err(corrupt(format!("the entries of `{}` do not follow on one another", account.key)));
        }
        if !balances(account) {
            return Err(corrupt(format!("the totals of `{}` do not add up", account.key)));
        }
        let standing = &account.standing;
        if [standing.credit_limit, standing.debt.owed, standing.debt.held].iter().any(|amount| amount.is_negative()) {
            return Err(corrupt(format!("the credit limit or the debt of `{}` is below zero", account.key)));
        }
        Ok(())
    }

    fn check_audit<'a>(&self, changes: &'a Changes, ahead: &mut Ahead<'a>) -> Result<(), StoreError> {
        for record in &changes.audit {
            let taken = self.audit_record(&record.tenant_id, record.audit_id).is_some();
            if taken || !ahead.audit.insert((&record.tenant_id, record.audit_id)) {
                return Err(StoreError::new(StoreErrorKind::Conflict, format!("the record `{}` exists", record.audit_id)));
            }
        }
        Ok(())
    }

    fn check_rows(&self, changes: &Changes, ahead: &mut Ahead<'_>) -> Result<(), StoreError> {
        let grants = changes.new_grants.iter().chain(&changes.changed_grants);
        if let Some(grant) = grants.clone().find(|grant| grant.remaining.is_negative() || grant.held.is_negative()) {
            return Err(corrupt(format!("the grant `{}` is below zero", grant.id)));
        }
        ahead.grants.extend(changes.new_grants.iter().map(|grant| grant.id));
        ahead.holds.extend(changes.new_holds.iter().map(|hold| hold.id));
        let known_grant = |grant: &Grant| ahead.grants.contains(&grant.id) || self.grants.contains_key(&grant.id);
        let known_hold = |hold: &Hold| ahead.holds.contains(&hold.id) || self.holds.contains_key(&hold.id);
        if !changes.changed_grants.iter().all(known_grant) || !changes.changed_holds.iter().all(known_hold) {
            return Err(corrupt("a grant or hold that is not there would be changed".to_owned()));
        }
        ahead.rules.extend(changes.new_rules.iter().map(|rule| rule.id));
        let known_rule = |rule: &Rule| ahead.rules.contains(&rule.id) || self.rules.contains_key(&rule.id);
        if !changes.changed_rules.iter().all(known_rule) {
            return Err(corrupt("a rule that is not there would be changed".to_owned()));
        }
        let known_operation =
            |op_id: OpId| op_id == changes.op_id() || ahead.op_ids.contains(&op_id) || self.by_op_id.contains_key(&op_id);
        if !changes.refunded.iter().all(|(ledger_id, _)| known_operation(ledger_id.operation().0)) {
            return Err(corrupt("an operation that is not there would be refunded".to_owned()));
        }
        Ok(())
    }

    /// Writes the changes of a batch, in order.
    pub(super) fn write(&mut self, batch: Vec<Changes>) {
        for changes in batch {
            self.write_one(changes);
        }
    }

    /// Removes what is stored of answers.
    pub(super) fn forget(&mut self, tenant_id: &TenantId, op_ids: &[OpId]) {
        for index in op_ids.iter().filter_map(|op_id| self.by_op_id.get(op_id)) {
            let Some(stored) = self.operations.get_mut(*index) else { continue };
            if stored.operation.tenant_id == *tenant_id {
                let operation = &mut Arc::make_mut(stored).operation;
                (operation.answer, operation.denial) = (Some(Arc::from("")), None);
            }
        }
    }

    /// Moves a consumer on, never back; where it stands then.
    pub(super) fn acknowledge(&mut self, consumer: &Consumer, cursor: EventCursor) -> EventCursor {
        let position = self.consumers.entry(consumer.clone()).or_insert(cursor);
        *position = cursor.max(*position);
        *position
    }

    fn write_one(&mut self, changes: Changes) {
        let recorded = changes.is_recorded();
        let tenant_id = &changes.stored.operation.tenant_id;
        if let Some(account) = changes.account {
            let key = self.write_account(account);
            for grant in changes.new_grants.into_iter().chain(changes.changed_grants) {
                self.write_grant(&key, grant);
            }
            for hold in changes.new_holds.into_iter().chain(changes.changed_holds) {
                self.write_hold(&key, hold);
            }
            for rule in changes.new_rules.into_iter().chain(changes.changed_rules) {
                self.write_rule(&key, rule);
            }
        }
        if let Some((task_id, task)) = changes.task {
            self.tasks.insert((tenant_id.clone(), task_id), task);
        }
        self.subjects.extend(changes.subjects.into_iter().map(|(subject, row)| ((tenant_id.clone(), subject), row)));
        self.members.extend(changes.members);
        if !changes.licences.is_empty() {
            self.write_licences(changes.licences);
        }
        if !changes.risk.is_empty() {
            self.write_risk(changes.risk);
        }
        for (ledger_id, refunded) in changes.refunded {
            let index = self.by_op_id.get(&ledger_id.operation().0);
            if let Some(stored) = index.and_then(|index| self.operations.get_mut(*index)) {
                Arc::make_mut(stored).operation.refunded = refunded;
            }
        }
        self.erase(&changes.erased);
        if recorded {
            self.append(changes.stored);
        }
        changes.audit.into_iter().for_each(|record| self.append_audit(record));
    }

    /// Erases text, and the copies of it.
    fn erase(&mut self, erased: &Erased) {
        let of_entries = erased.entries.iter().map(|(id, ..)| id.operation().0);
        let touched: Set<OpId> = of_entries.chain(erased.operations.iter().copied()).collect();
        for index in touched.iter().filter_map(|op_id| self.by_op_id.get(op_id)) {
            if let Some(stored) = self.operations.get_mut(*index) {
                erased.apply(Arc::make_mut(stored));
            }
        }
        for id in &erased.grants {
            self.grants.get_mut(id).into_iter().for_each(|(_, grant)| erase_grant(grant));
        }
        for id in &erased.holds {
            self.holds.get_mut(id).into_iter().for_each(|(_, hold)| erase_hold(hold));
        }
        for id in &erased.rules {
            self.rules.get_mut(id).into_iter().for_each(|(_, rule)| erase_rule(rule));
        }
    }

    /// Answers with its name.
    fn write_account(&mut self, account: Account) -> Arc<AccountKey> {
        let due_at = account.due_at;
        let (key, due_before) = match self.accounts.get_mut(&account.key) {
            Some(row) => {
                let before = std::mem::replace(&mut row.account, account);
                (before.key, before.due_at)
            }
            None => {
                let key = Arc::clone(&account.key);
                self.names.insert(Arc::clone(&key));
                self.accounts.insert(Arc::clone(&key), AccountRow::new(account));
                (key, None)
            }
        };
        if due_before != due_at {
            due_before.into_iter().for_each(|at| _ = self.due.remove(&(at, Arc::clone(&key))));
            self.due.extend(due_at.map(|at| (at, Arc::clone(&key))));
        }
        key
    }

    fn write_grant(&mut self, key: &Arc<AccountKey>, grant: Grant) {
        let (id, is_open) = (grant.id, grant.is_open());
        let was_open = match self.grants.get_mut(&id) {
            Some((_, known)) => std::mem::replace(known, grant).is_open(),
            None => {
                self.grants.insert(id, (Arc::clone(key), grant));
                false
            }
        };
        if was_open == is_open {
            return;
        }
        let Some(row) = self.accounts.get_mut(key) else { return };
        if is_open {
            row.open_grants.insert(id);
        } else {
            row.open_grants.remove(&id);
        }
    }

    fn write_hold(&mut self, key: &Arc<AccountKey>, hold: Hold) {
        let now = (hold.state == HoldState::Frozen).then_some((hold.expires_at, hold.id));
        let before = self.holds.insert(hold.id, (Arc::clone(key), hold));
        let Some(row) = self.accounts.get_mut(key) else { return };
        if let Some((_, before)) = before {
            row.frozen_holds.remove(&(before.expires_at, before.id));
        }
        row.frozen_holds.extend(now);
    }

    fn write_rule(&mut self, key: &Arc<AccountKey>, rule: Rule) {
        if let Some(row) = self.accounts.get_mut(key) {
            if rule.is_running() {
                row.running_rules.insert(rule.id);
            } else {
                row.running_rules.remove(&rule.id);
            }
        }
        self.rules.insert(rule.id, (Arc::clone(key), rule));
    }

    fn write_licences(&mut self, rows: LicenceRows) {
        for (key, licence) in rows.licences {
            let terms = &licence.terms;
            let template = TemplateKey::new(key.tenant_id.clone(), terms.template_id.clone(), terms.user_id.clone());
            self.template_licences.entry(template).or_default().insert(key.clone());
            self.licences.insert(key, licence);
        }
        for (hold_id, (key, reserved)) in rows.uses {
            let uses = self.uses_of_licences.entry(key.clone()).or_default();
            if let Some((_, before)) = self.licence_uses.remove(&hold_id) {
                uses.remove(&(before.expires_at, hold_id));
            }
            if let Some(reserved) = reserved {
                uses.insert((reserved.expires_at, hold_id));
                self.licence_uses.insert(hold_id, (key, reserved));
            }
        }
        self.licence_users.extend(rows.users);
    }

    fn write_risk(&mut self, rows: RiskRows) {
        self.risk.extend(rows.counts);
        for (hold_id, (key, reserved)) in rows.uses {
            let uses = self.risk_uses_of.entry(key.clone()).or_default();
            if let Some((_, before)) = self.risk_uses.remove(&hold_id) {
                uses.remove(&(before.expires_at, hold_id));
            }
            if let Some(reserved) = reserved {
                uses.insert((reserved.expires_at, hold_id));
                self.risk_uses.insert(hold_id, (key, reserved));
            }
        }
    }

    fn append(&mut self, stored: Arc<StoredOperation>) {
        let operation = self.operations.len();
        let tenant_id = &stored.operation.tenant_id;
        self.by_op_id.insert(stored.operation.op_id, operation);
        if let Some(subject) = &stored.operation.subject {
            self.by_subject.entry((tenant_id.clone(), subject.clone())).or_default().push(operation);
        }
        let tenant = match self.by_tenant.get_mut(tenant_id) {
            Some(tenant) => tenant,
            None => self.by_tenant.entry(tenant_id.clone()).or_default(),
        };
        tenant.operations.push(operation);
        tenant.by_key.extend(stored.operation.key.clone().map(|key| (key, operation)));
        for (entry, row) in stored.entries.iter().enumerate() {
            let place = Place { operation, entry };
            tenant.entries.push(place);
            if let Some(task_id) = &row.task_id {
                self.by_task.entry((tenant_id.clone(), task_id.clone())).or_default().push(place);
            }
            if let Some(account) = self.accounts.get_mut(&row.account) {
                account.entries.push(place);
            }
        }
        self.operations.push(stored);
    }
}

/// `issued + adjusted_in = available + frozen + consumed + expired + forfeited + adjusted_out`.
fn balances(account: &Account) -> bool {
    let totals = &account.totals;
    let sum = |parts: &[crate::Amount]| parts.iter().map(|part| i128::from(part.micros())).sum::<i128>();
    sum(&[totals.issued, totals.adjusted_in])
        == sum(&[account.available, account.frozen, totals.consumed, totals.expired, totals.forfeited, totals.adjusted_out])
}

fn corrupt(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}
