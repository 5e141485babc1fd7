//! What a batch writes: each new operation and entry, and the last state of each row that it changed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::statements as sql;
use super::{Statement, codec, corrupt, params};
use crate::amount::Amount;
use crate::changes::Changes;
use crate::credit::{Grant, Hold, Member, Standing};
use crate::facts::{Account, SubjectRow, Task};
use crate::id::{GrantId, HoldId, OpId, TaskId, TenantId};
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::store::StoreError;
use crate::time::Timestamp;

/// Collects the changes of a batch. A row that changes several times is written once.
pub(super) struct Writes<'a> {
    position: i64,
    last_account: i64,
    account_ids: &'a mut HashMap<AccountKey, i64>,
    /// Accounts as they were read.
    loaded: &'a HashMap<AccountKey, Loaded>,
    appended: Vec<Statement>,
    accounts: Latest<i64, Account>,
    grants: Latest<GrantId, Grant>,
    holds: Latest<HoldId, Hold>,
    tasks: Latest<(TenantId, TaskId), Task>,
    refunded: Latest<(TenantId, OpId), Amount>,
    subjects: Latest<(TenantId, Subject), SubjectRow>,
    members: Latest<MemberKey, Member>,
}

/// What of an account is written only when it changes: an index stands on `due_at`, and the standing hardly ever does.
#[derive(Clone, Copy, Default)]
pub(super) struct Loaded {
    pub(super) due_at: Option<Timestamp>,
    pub(super) standing: Standing,
}

/// The last state of each row, in the order in which they were first touched.
struct Latest<K, R> {
    order: Vec<K>,
    rows: HashMap<K, Pending<R>>,
}

/// A row to be written.
struct Pending<R> {
    is_new: bool,
    account_id: i64,
    row: R,
}

impl<K: Clone + Eq + Hash, R> Latest<K, R> {
    fn new() -> Latest<K, R> {
        Latest { order: Vec::new(), rows: HashMap::new() }
    }

    fn put(&mut self, key: K, is_new: bool, account_id: i64, row: R) {
        if let Some(pending) = self.rows.get_mut(&key) {
            pending.row = row;
        } else {
            self.order.push(key.clone());
            self.rows.insert(key, Pending { is_new, account_id, row });
        }
    }

    fn into_rows(mut self) -> impl Iterator<Item = (K, Pending<R>)> {
        self.order.into_iter().filter_map(move |key| self.rows.remove(&key).map(|row| (key, row)))
    }
}

impl<'a> Writes<'a> {
    pub(super) fn new(
        last_position: i64,
        last_account: i64,
        account_ids: &'a mut HashMap<AccountKey, i64>,
        loaded: &'a HashMap<AccountKey, Loaded>,
    ) -> Writes<'a> {
        Writes {
            position: last_position,
            last_account,
            account_ids,
            loaded,
            appended: Vec::new(),
            accounts: Latest::new(),
            grants: Latest::new(),
            holds: Latest::new(),
            tasks: Latest::new(),
            refunded: Latest::new(),
            subjects: Latest::new(),
            members: Latest::new(),
        }
    }

    /// Adds the changes of one accepted command.
    pub(super) fn add(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let account_id = changes.account.as_ref().map(|account| self.account_id(account, changes.account_is_new)).transpose()?;
        if changes.is_recorded() {
            self.position = self.position.checked_add(1).ok_or_else(|| corrupt("the feed has no position left"))?;
            let operation = codec::operation_params(self.position, account_id, changes.operation());
            self.appended.push(Statement::new(sql::OPERATION_INSERT, operation));
        }
        if let (Some(account), Some(account_id)) = (&changes.account, account_id) {
            self.add_account(changes, account, account_id);
        }
        let tenant_id = changes.tenant_id();
        if let Some((task_id, task)) = &changes.task {
            self.tasks.put((tenant_id.clone(), task_id.clone()), false, 0, task.clone());
        }
        for (ledger_id, refunded) in &changes.refunded {
            let (op_id, _) = ledger_id.operation();
            self.refunded.put((tenant_id.clone(), op_id), false, 0, *refunded);
        }
        for (subject, row) in &changes.subjects {
            self.subjects.put((tenant_id.clone(), subject.clone()), false, 0, row.clone());
        }
        for (key, member) in &changes.members {
            self.members.put(key.clone(), false, 0, member.clone());
        }
        Ok(())
    }

    /// Adds what an operation booked in its account.
    fn add_account(&mut self, changes: &Changes, account: &Account, account_id: i64) {
        for entry in changes.entries() {
            let entry = codec::entry_params(self.position, account_id, entry);
            self.appended.push(Statement::new(sql::ENTRY_INSERT, entry));
        }
        self.accounts.put(account_id, changes.account_is_new, account_id, account.clone());
        for (grants, is_new) in [(&changes.new_grants, true), (&changes.changed_grants, false)] {
            grants.iter().for_each(|grant| self.grants.put(grant.id, is_new, account_id, grant.clone()));
        }
        for (holds, is_new) in [(&changes.new_holds, true), (&changes.changed_holds, false)] {
            holds.iter().for_each(|hold| self.holds.put(hold.id, is_new, account_id, hold.clone()));
        }
    }

    /// The number of the account's row; a new one if the account is new.
    fn account_id(&mut self, account: &Account, is_new: bool) -> Result<i64, StoreError> {
        let key: &Arc<AccountKey> = &account.key;
        if let Some(account_id) = self.account_ids.get(&**key) {
            return Ok(*account_id);
        }
        if !is_new {
            return Err(corrupt(format!("the account {key} has no row")));
        }
        self.last_account = self.last_account.checked_add(1).ok_or_else(|| corrupt("no account can be added"))?;
        self.account_ids.insert((**key).clone(), self.last_account);
        Ok(self.last_account)
    }

    /// The statements, in the order in which they run. Each writes one row.
    pub(super) fn finish(self) -> Vec<Statement> {
        let mut statements = self.appended;
        for (account_id, pending) in self.accounts.into_rows() {
            add_account_statements(&mut statements, account_id, &pending, self.loaded);
        }
        statements.extend(self.grants.into_rows().map(|(_, pending)| grant(&pending)));
        statements.extend(self.holds.into_rows().map(|(_, pending)| hold(&pending)));
        for ((tenant_id, task_id), Pending { row: task, .. }) in self.tasks.into_rows() {
            let hold_id = task.hold_id.map(HoldId::uuid);
            let bound = params![tenant_id.as_str(), task_id.as_str(), i64::from(task.charges), task.last_at, hold_id];
            statements.push(Statement::new(sql::TASK_UPSERT, bound));
        }
        for ((tenant_id, op_id), pending) in self.refunded.into_rows() {
            let bound = params![tenant_id.as_str(), op_id.uuid(), pending.row];
            statements.push(Statement::new(sql::OPERATION_REFUNDED, bound));
        }
        for ((tenant_id, subject), Pending { row, .. }) in self.subjects.into_rows() {
            statements.push(Statement::new(sql::SUBJECT_UPSERT, codec::subject_params(&tenant_id, &subject, &row)));
        }
        for (key, Pending { row: member, .. }) in self.members.into_rows() {
            statements.push(Statement::new(sql::MEMBER_UPSERT, codec::member_params(&key, &member)));
        }
        statements
    }
}

fn add_account_statements(
    statements: &mut Vec<Statement>,
    account_id: i64,
    pending: &Pending<Account>,
    loaded: &HashMap<AccountKey, Loaded>,
) {
    let account = &pending.row;
    let before = loaded.get(&*account.key).copied().unwrap_or_default();
    let mut bound = codec::account_params(account_id, account);
    if !pending.is_new && before.due_at == account.due_at {
        statements.push(Statement::new(sql::ACCOUNT_UPDATE, bound));
    } else {
        bound.extend(params![account.due_at]);
        if pending.is_new {
            bound.extend(codec::key_params(&account.key));
        }
        statements.push(Statement::new(if pending.is_new { sql::ACCOUNT_INSERT } else { sql::ACCOUNT_UPDATE_DUE }, bound));
    }
    if before.standing != account.standing {
        statements.push(Statement::new(sql::ACCOUNT_STANDING, codec::standing_params(account_id, &account.standing)));
    }
}

fn grant(pending: &Pending<Grant>) -> Statement {
    let mut bound = codec::grant_params(&pending.row);
    if !pending.is_new {
        return Statement::new(sql::GRANT_UPDATE, bound);
    }
    bound.extend(codec::grant_terms_params(pending.account_id, &pending.row.terms));
    Statement::new(sql::GRANT_INSERT, bound)
}

fn hold(pending: &Pending<Hold>) -> Statement {
    let mut bound = codec::hold_params(&pending.row);
    if !pending.is_new {
        return Statement::new(sql::HOLD_UPDATE, bound);
    }
    bound.extend(codec::hold_terms_params(pending.account_id, &pending.row.terms));
    Statement::new(sql::HOLD_INSERT, bound)
}
