//! What a batch writes: each new operation and entry, and the last state of each row that it changed.

use std::hash::Hash;

use super::statements as sql;
use super::{Sql, Statement, Value, audit, codec, corrupt, count, licences, params, risk};
use crate::amount::Amount;
use crate::audit::AuditRecord;
use crate::changes::{Changes, Erased};
use crate::credit::{Grant, Hold, Member, Rule, Standing};
use crate::facts::{Account, SubjectRow, Task};
use crate::id::{GrantId, HoldId, LedgerId, OpId, RuleId, TaskId, TenantId, UserId};
use crate::ledger::ChainHash;
use crate::licence::{Licence, LicenceKey, LicenceUse};
use crate::map::Map;
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::risk::{RiskCount, RiskKey, RiskUse};
use crate::store::StoreError;
use crate::time::Timestamp;

/// What removes the stored answer of an operation.
pub(crate) fn forget<'a>(tenant_id: &'a TenantId, op_id: OpId) -> Statement<'a> {
    Statement::new(sql::OPERATION_FORGET, params![tenant_id.as_str(), op_id.uuid()])
}

/// What was read of the rows that a batch can change.
#[derive(Default)]
pub(super) struct Known {
    pub(super) last_position: i64,
    pub(super) last_account: i64,
    accounts: Map<AccountKey, KnownAccount>,
    pub(super) grant_rows: Map<GrantId, i64>,
}

struct KnownAccount {
    account_id: i64,
    /// As it was read: an index stands on it.
    due_at: Option<Timestamp>,
    /// As it was read: it hardly ever changes.
    standing: Standing,
}

impl Known {
    pub(super) fn add_account(&mut self, account_id: i64, account: &Account) {
        self.accounts
            .insert((*account.key).clone(), KnownAccount { account_id, due_at: account.due_at, standing: account.standing });
    }

    /// The number of the account's row.
    pub(super) fn account_id(&self, key: &AccountKey) -> Option<i64> {
        self.accounts.get(key).map(|known| known.account_id)
    }
}

/// Collects the changes of a batch. A row that changes several times is written once.
pub(super) struct Writes<'a> {
    known: &'a mut Known,
    operations: Inserts<'a, { codec::OPERATION_VALUES }>,
    entries: Inserts<'a, { codec::ENTRY_VALUES }>,
    accounts: Latest<i64, &'a Account>,
    grants: Latest<GrantId, &'a Grant>,
    /// Made for the first that there is.
    others: Option<Box<Others<'a>>>,
}

/// What a charge changes none of, as a rule.
#[derive(Default)]
struct Others<'a> {
    holds: Latest<HoldId, &'a Hold>,
    rules: Latest<RuleId, &'a Rule>,
    tasks: Latest<(&'a TenantId, &'a TaskId), &'a Task>,
    refunded: Latest<(&'a TenantId, OpId), Amount>,
    subjects: Latest<(&'a TenantId, &'a Subject), &'a SubjectRow>,
    members: Latest<&'a MemberKey, &'a Member>,
    licences: Latest<&'a LicenceKey, &'a Licence>,
    licence_uses: Latest<HoldId, &'a (LicenceKey, Option<LicenceUse>)>,
    licence_users: Latest<&'a (LicenceKey, UserId), u64>,
    risk: Latest<&'a RiskKey, &'a RiskCount>,
    risk_uses: Latest<HoldId, &'a (RiskKey, Option<RiskUse>)>,
    audit: Vec<&'a AuditRecord>,
    /// Run last: what is erased may have been written in this batch.
    erased: Vec<Statement<'a>>,
}

/// New rows of a table, each of so many values.
struct Inserts<'a, const VALUES: usize> {
    rows: usize,
    /// The values of [`sql::ROWS`] rows each; of the last fewer, perhaps.
    groups: Vec<Vec<Value<'a>>>,
}

impl<'a, const VALUES: usize> Inserts<'a, VALUES> {
    fn new(rows: usize) -> Inserts<'a, VALUES> {
        Inserts { rows: 0, groups: Vec::with_capacity(rows.div_ceil(sql::ROWS)) }
    }

    fn push(&mut self, row: [Value<'a>; VALUES]) {
        if self.rows.is_multiple_of(sql::ROWS) {
            self.groups.push(Vec::with_capacity(sql::ROWS * VALUES));
        }
        if let Some(group) = self.groups.last_mut() {
            group.extend(row);
        }
        self.rows += 1;
    }

    /// What inserts them: `several` at a time, and the rest by `one` each.
    fn add_statements(self, statements: &mut Vec<Statement<'a>>, one: Sql, several: Sql) {
        for mut group in self.groups {
            if group.len() == sql::ROWS * VALUES {
                statements.push(Statement::new(several, group));
                continue;
            }
            while !group.is_empty() {
                let rest = group.split_off(VALUES.min(group.len()));
                statements.push(Statement::new(one, group));
                group = rest;
            }
        }
    }
}

/// The last state of each row, in the order in which they were first touched.
struct Latest<K, R> {
    order: Vec<K>,
    rows: Map<K, Pending<R>>,
}

/// A row to be written.
struct Pending<R> {
    is_new: bool,
    account_id: i64,
    row: R,
}

impl<K, R> Default for Latest<K, R> {
    fn default() -> Latest<K, R> {
        Latest { order: Vec::new(), rows: Map::default() }
    }
}

impl<K: Clone + Eq + Hash, R> Latest<K, R> {
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
    /// For about so many commands.
    pub(super) fn new(known: &'a mut Known, commands: usize) -> Writes<'a> {
        Writes {
            known,
            operations: Inserts::new(commands),
            entries: Inserts::new(commands),
            accounts: Latest::default(),
            grants: Latest::default(),
            others: None,
        }
    }

    /// Adds the changes of one accepted command.
    pub(super) fn add(&mut self, changes: &'a Changes) -> Result<(), StoreError> {
        let account_id = changes.account.as_ref().map(|account| self.account_id(account, changes.account_is_new)).transpose()?;
        if changes.is_recorded() {
            let position = self.known.last_position.checked_add(1).ok_or_else(|| corrupt("the feed has no position left"))?;
            self.known.last_position = position;
            self.operations.push(codec::operation_params(account_id, changes.operation()));
        }
        if let (Some(account), Some(account_id)) = (&changes.account, account_id) {
            self.add_account(changes, account, account_id);
        }
        if Others::has_any(changes) {
            self.others.get_or_insert_default().add(changes, account_id);
        }
        Ok(())
    }

    /// Adds what an operation booked in its account.
    fn add_account(&mut self, changes: &'a Changes, account: &'a Account, account_id: i64) {
        for entry in changes.entries() {
            self.entries.push(codec::entry_params(self.known.last_position, account_id, entry));
        }
        self.accounts.put(account_id, changes.account_is_new, account_id, account);
        for (grants, is_new) in [(&changes.new_grants, true), (&changes.changed_grants, false)] {
            grants.iter().for_each(|grant| self.grants.put(grant.id, is_new, account_id, grant));
        }
    }

    /// The number of the account's row; a new one if the account is new.
    fn account_id(&mut self, account: &Account, is_new: bool) -> Result<i64, StoreError> {
        let key = &*account.key;
        if let Some(account_id) = self.known.account_id(key) {
            return Ok(account_id);
        }
        if !is_new {
            return Err(corrupt(format!("the account {key} has no row")));
        }
        let account_id = self.known.last_account.checked_add(1).ok_or_else(|| corrupt("no account can be added"))?;
        self.known.last_account = account_id;
        self.known.accounts.insert(key.clone(), KnownAccount { account_id, due_at: None, standing: Standing::default() });
        Ok(account_id)
    }

    /// The statements, in the order in which they run.
    pub(super) fn finish(self) -> Result<Vec<Statement<'a>>, StoreError> {
        let mut statements = Vec::with_capacity(self.operations.rows + self.entries.rows + 4);
        self.operations.add_statements(&mut statements, sql::OPERATION_INSERT, sql::OPERATIONS_INSERT.of_several());
        self.entries.add_statements(&mut statements, sql::ENTRY_INSERT, sql::ENTRIES_INSERT.of_several());
        for (account_id, pending) in self.accounts.into_rows() {
            add_account_statements(&mut statements, account_id, &pending, self.known);
        }
        for (grant_id, pending) in self.grants.into_rows() {
            statements.push(grant(&pending, self.known.grant_rows.get(&grant_id).copied())?);
        }
        if let Some(others) = self.others {
            others.add_statements(&mut statements);
        }
        Ok(statements)
    }
}

impl<'a> Others<'a> {
    /// Whether there is anything of it in these changes.
    fn has_any(changes: &Changes) -> bool {
        // Each field is named, so that none is forgotten.
        let Changes {
            stored: _,
            account: _,
            account_is_new: _,
            new_grants: _,
            changed_grants: _,
            new_holds,
            changed_holds,
            new_rules,
            changed_rules,
            task,
            refunded,
            subjects,
            members,
            licences,
            risk,
            erased,
            audit,
        } = changes;
        !(new_holds.is_empty() && changed_holds.is_empty() && new_rules.is_empty() && changed_rules.is_empty())
            || task.is_some()
            || !(refunded.is_empty() && subjects.is_empty() && members.is_empty() && audit.is_empty())
            || !(licences.is_empty() && risk.is_empty() && erased.is_empty())
    }

    /// Adds them.
    fn add(&mut self, changes: &'a Changes, account_id: Option<i64>) {
        if let Some(account_id) = account_id {
            self.add_of_account(changes, account_id);
        }
        let tenant_id = changes.tenant_id();
        if let Some((task_id, task)) = &changes.task {
            self.tasks.put((tenant_id, task_id), false, 0, task);
        }
        for (ledger_id, refunded) in &changes.refunded {
            let (op_id, _) = ledger_id.operation();
            self.refunded.put((tenant_id, op_id), false, 0, *refunded);
        }
        for (subject, row) in &changes.subjects {
            self.subjects.put((tenant_id, subject), false, 0, row);
        }
        for (key, member) in &changes.members {
            self.members.put(key, false, 0, member);
        }
        self.add_licences(changes);
        self.add_risk(changes);
        self.audit.extend(&changes.audit);
    }

    /// Adds what is kept beside an account.
    fn add_of_account(&mut self, changes: &'a Changes, account_id: i64) {
        self.add_erased(&changes.erased, changes.tenant_id(), account_id);
        for (holds, is_new) in [(&changes.new_holds, true), (&changes.changed_holds, false)] {
            holds.iter().for_each(|hold| self.holds.put(hold.id, is_new, account_id, hold));
        }
        for (rules, is_new) in [(&changes.new_rules, true), (&changes.changed_rules, false)] {
            rules.iter().for_each(|rule| self.rules.put(rule.id, is_new, account_id, rule));
        }
    }

    fn add_licences(&mut self, changes: &'a Changes) {
        let rows = &changes.licences;
        rows.licences.iter().for_each(|(key, licence)| self.licences.put(key, false, 0, licence));
        for (hold_id, reserved) in &rows.uses {
            let is_new = changes.new_holds.iter().any(|hold| hold.id == *hold_id);
            self.licence_uses.put(*hold_id, is_new, 0, reserved);
        }
        rows.users.iter().for_each(|(user, used)| self.licence_users.put(user, false, 0, *used));
    }

    fn add_risk(&mut self, changes: &'a Changes) {
        changes.risk.counts.iter().for_each(|(key, row)| self.risk.put(key, false, 0, row));
        for (hold_id, reserved) in &changes.risk.uses {
            let is_new = changes.new_holds.iter().any(|hold| hold.id == *hold_id);
            self.risk_uses.put(*hold_id, is_new, 0, reserved);
        }
    }

    fn add_erased(&mut self, erased: &'a Erased, tenant_id: &'a TenantId, account_id: i64) {
        let entry = |(_, seq, hash): &'a (LedgerId, u64, ChainHash)| {
            Statement::new(sql::ENTRY_ERASE, params![account_id, count(*seq), &hash.0])
        };
        let operation = |id: &OpId| Statement::new(sql::OPERATION_ERASE, params![tenant_id.as_str(), id.uuid()]);
        self.erased.extend(erased.entries.iter().map(entry));
        self.erased.extend(erased.operations.iter().map(operation));
        self.erased.extend(erased.grants.iter().map(|id| Statement::new(sql::GRANT_ERASE, params![id.uuid()])));
        self.erased.extend(erased.holds.iter().map(|id| Statement::new(sql::HOLD_ERASE, params![id.uuid()])));
        self.erased.extend(erased.rules.iter().map(|id| Statement::new(sql::RULE_ERASE, params![id.uuid()])));
    }

    /// The statements behind those of accounts and grants.
    fn add_statements(self, statements: &mut Vec<Statement<'a>>) {
        statements.extend(self.holds.into_rows().map(|(_, pending)| hold(&pending)));
        statements.extend(self.rules.into_rows().map(|(_, pending)| rule(&pending)));
        for ((tenant_id, task_id), Pending { row: task, .. }) in self.tasks.into_rows() {
            statements.push(Statement::new(sql::TASK_UPSERT, codec::task_params(tenant_id, task_id, task)));
        }
        for ((tenant_id, op_id), pending) in self.refunded.into_rows() {
            let bound = params![tenant_id.as_str(), op_id.uuid(), pending.row];
            statements.push(Statement::new(sql::OPERATION_REFUNDED, bound));
        }
        for ((tenant_id, subject), Pending { row, .. }) in self.subjects.into_rows() {
            statements.push(Statement::new(sql::SUBJECT_UPSERT, codec::subject_params(tenant_id, subject, row)));
        }
        for (key, Pending { row: member, .. }) in self.members.into_rows() {
            statements.push(Statement::new(sql::MEMBER_UPSERT, codec::member_params(key, member)));
        }
        statements.extend(self.licences.into_rows().map(|(key, pending)| licences::write(key, pending.row)));
        for (hold_id, Pending { is_new, row: (key, reserved), .. }) in self.licence_uses.into_rows() {
            // What is reserved and used up in one batch never had a row.
            if !is_new || reserved.is_some() {
                statements.push(licences::write_use(hold_id, key, reserved.as_ref()));
            }
        }
        statements.extend(self.licence_users.into_rows().map(|(user, pending)| licences::write_user(user, pending.row)));
        statements.extend(self.risk.into_rows().map(|(key, pending)| risk::write(key, pending.row)));
        for (hold_id, Pending { is_new, row: (key, reserved), .. }) in self.risk_uses.into_rows() {
            if !is_new || reserved.is_some() {
                statements.push(risk::write_use(hold_id, key, reserved.as_ref()));
            }
        }
        // Behind the operations, after which they stand.
        statements.extend(self.audit.into_iter().map(audit::insert));
        statements.extend(self.erased);
    }
}

fn add_account_statements<'a>(statements: &mut Vec<Statement<'a>>, account_id: i64, pending: &Pending<&'a Account>, known: &Known) {
    let account = pending.row;
    let before = known.accounts.get(&*account.key);
    let mut bound = codec::account_params(account_id, account);
    if !pending.is_new && before.is_some_and(|before| before.due_at == account.due_at) {
        statements.push(Statement::new(sql::ACCOUNT_UPDATE, bound));
    } else {
        bound.extend(params![account.due_at]);
        if pending.is_new {
            bound.extend(codec::key_params(&account.key));
        }
        statements.push(Statement::new(if pending.is_new { sql::ACCOUNT_INSERT } else { sql::ACCOUNT_UPDATE_DUE }, bound));
    }
    if before.map_or_else(Standing::default, |before| before.standing) != account.standing {
        statements.push(Statement::new(sql::ACCOUNT_STANDING, codec::standing_params(account_id, &account.standing)));
    }
}

fn grant<'a>(pending: &Pending<&'a Grant>, grant_row: Option<i64>) -> Result<Statement<'a>, StoreError> {
    let grant = pending.row;
    if pending.is_new {
        let mut bound = codec::grant_params(Value::from(grant.id.uuid()), grant);
        bound.extend(codec::grant_terms_params(pending.account_id, &grant.terms));
        return Ok(Statement::new(sql::GRANT_INSERT, bound));
    }
    let grant_row = grant_row.ok_or_else(|| corrupt(format!("the grant {} is to be changed and was not read", grant.id)))?;
    Ok(Statement::new(sql::GRANT_UPDATE, codec::grant_params(Value::from(grant_row), grant)))
}

fn hold<'a>(pending: &Pending<&'a Hold>) -> Statement<'a> {
    let mut bound = codec::hold_params(pending.row);
    if !pending.is_new {
        return Statement::new(sql::HOLD_UPDATE, bound);
    }
    bound.extend(codec::hold_terms_params(pending.account_id, &pending.row.terms));
    Statement::new(sql::HOLD_INSERT, bound)
}

fn rule<'a>(pending: &Pending<&'a Rule>) -> Statement<'a> {
    let mut bound = codec::rule_params(pending.row);
    if !pending.is_new {
        return Statement::new(sql::RULE_UPDATE, bound);
    }
    bound.extend(codec::rule_terms_params(pending.account_id, &pending.row.terms));
    Statement::new(sql::RULE_INSERT, bound)
}
