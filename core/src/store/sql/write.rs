//! What a batch writes: each new operation and entry, and the last state of each row that it changed.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use super::statements as sql;
use super::{Statement, codec, corrupt, params};
use crate::amount::Amount;
use crate::changes::Changes;
use crate::credit::{Grant, Hold};
use crate::facts::{Account, Task};
use crate::id::{GrantId, HoldId, OpId, TaskId, TenantId};
use crate::owner::AccountKey;
use crate::store::StoreError;
use crate::time::Timestamp;

/// Collects the changes of a batch. A row that changes several times is written once.
pub(super) struct Writes<'a> {
    position: i64,
    last_account: i64,
    account_ids: &'a mut HashMap<AccountKey, i64>,
    /// `due_at` as it was read: an index stands on it.
    due_at: &'a HashMap<AccountKey, Option<Timestamp>>,
    appended: Vec<Statement>,
    accounts: Latest<i64, Account>,
    grants: Latest<GrantId, Grant>,
    holds: Latest<HoldId, Hold>,
    tasks: Latest<(TenantId, TaskId), Task>,
    refunded: Latest<(TenantId, OpId), Amount>,
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
        due_at: &'a HashMap<AccountKey, Option<Timestamp>>,
    ) -> Writes<'a> {
        Writes {
            position: last_position,
            last_account,
            account_ids,
            due_at,
            appended: Vec::new(),
            accounts: Latest::new(),
            grants: Latest::new(),
            holds: Latest::new(),
            tasks: Latest::new(),
            refunded: Latest::new(),
        }
    }

    /// Adds the changes of one accepted command.
    pub(super) fn add(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let account_id = self.account_id(changes)?;
        if changes.is_recorded() {
            self.position = self.position.checked_add(1).ok_or_else(|| corrupt("the feed has no position left"))?;
            let operation = codec::operation_params(self.position, account_id, &changes.operation);
            self.appended.push(Statement::new(sql::OPERATION_INSERT, operation));
        }
        for entry in &changes.entries {
            let entry = codec::entry_params(self.position, account_id, entry);
            self.appended.push(Statement::new(sql::ENTRY_INSERT, entry));
        }
        self.accounts.put(account_id, changes.account_is_new, account_id, changes.account.clone());
        for (grants, is_new) in [(&changes.new_grants, true), (&changes.changed_grants, false)] {
            grants.iter().for_each(|grant| self.grants.put(grant.id, is_new, account_id, grant.clone()));
        }
        for (holds, is_new) in [(&changes.new_holds, true), (&changes.changed_holds, false)] {
            holds.iter().for_each(|hold| self.holds.put(hold.id, is_new, account_id, hold.clone()));
        }
        let tenant_id = changes.tenant_id();
        if let Some((task_id, task)) = &changes.task {
            self.tasks.put((tenant_id.clone(), task_id.clone()), false, account_id, task.clone());
        }
        for (ledger_id, refunded) in &changes.refunded {
            let (op_id, _) = ledger_id.operation();
            self.refunded.put((tenant_id.clone(), op_id), false, account_id, *refunded);
        }
        Ok(())
    }

    /// The number of the account's row; a new one if the account is new.
    fn account_id(&mut self, changes: &Changes) -> Result<i64, StoreError> {
        let key: &Arc<AccountKey> = &changes.account.key;
        if let Some(account_id) = self.account_ids.get(&**key) {
            return Ok(*account_id);
        }
        if !changes.account_is_new {
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
            statements.push(account(account_id, &pending, self.due_at));
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
        statements
    }
}

fn account(account_id: i64, pending: &Pending<Account>, due_at: &HashMap<AccountKey, Option<Timestamp>>) -> Statement {
    let account = &pending.row;
    let mut bound = codec::account_params(account_id, account);
    if pending.is_new {
        bound.extend(params![account.due_at]);
        bound.extend(codec::key_params(&account.key));
        return Statement::new(sql::ACCOUNT_INSERT, bound);
    }
    if due_at.get(&*account.key) == Some(&account.due_at) {
        return Statement::new(sql::ACCOUNT_UPDATE, bound);
    }
    bound.extend(params![account.due_at]);
    Statement::new(sql::ACCOUNT_UPDATE_DUE, bound)
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
