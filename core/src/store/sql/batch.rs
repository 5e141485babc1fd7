//! A batch as a state machine: statements out, rows in, and between them the decision.
//!
//! It begins with a lookup for each handle that the batch needs. What a lookup finds can need further ones, along immutable
//! columns; each is asked once. When no lookup is left all anchors are known, so the present is: then follow the holds that
//! are due, the decision, and the writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::audit;
use super::codec;
use super::remembered::Remembered;
use super::statements as sql;
use super::write::{Known, Writes};
use super::{Row, Rows, Statement, Value, corrupt, count, params};
use super::{licences, risk};
use crate::changes::Changes;
use crate::facts::{AccountFacts, Facts, LicenceFacts, MAX_ERASED, Needs, batch_now, holders, licences_of_holds, risk_of_holds};
use crate::id::{AuditId, GrantId, HoldId, IdempotencyKey, LedgerId, RuleId, TaskId, TenantId, UserId};
use crate::ledger::StoredOperation;
use crate::licence::{LicenceKey, TemplateKey};
use crate::map::{Map, Set};
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::risk::{RiskFacts, RiskKey};
use crate::store::{StoreError, StoreErrorKind};
use crate::time::Timestamp;

/// What a driver does next.
pub(crate) enum Step<'a> {
    /// Runs these, in order, and hands what each gave to [`BatchMachine::rows`].
    Run(Vec<Statement<'a>>),
    /// Has the batch decided, and hands what changes to [`BatchMachine::changes`].
    Decide(Box<Facts>),
    /// Commits.
    Done,
}

/// One try of a batch inside one transaction.
pub(crate) struct BatchMachine {
    /// The present, by the clock.
    clock: Timestamp,
    phase: Phase,
    /// Lookups that wait for the next step.
    queued: Vec<Lookup>,
    /// Lookups whose rows come next.
    asked: Vec<Lookup>,
    /// Lookups that several handles can lead to.
    seen: Set<Lookup>,
    known: Known,
    remembered: Remembered,
    /// Accounts that were read, to be remembered.
    read: Vec<AccountKey>,
    /// Some account has no row.
    account_is_new: bool,
    /// Operations found under a key, until their entries are read.
    replays: Map<(TenantId, IdempotencyKey), codec::OperationRow>,
    facts: Facts,
    /// How many rows each statement is to write.
    writes: Vec<u64>,
    /// How many of them, the first, insert operations.
    operations: usize,
    /// Pages of text that wait for their accounts.
    texts: Vec<(AccountKey, u64)>,
    /// Tenants and users that are asked for if any was ever blocked.
    subjects: Vec<(TenantId, Subject)>,
    /// Keys are presumed to be new.
    presumes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Follows the handles to all anchors.
    Anchors,
    /// The present is known: reads what is due.
    Due,
    /// The facts are with the batch.
    Deciding,
    /// The writes are with the driver.
    Writing,
}

/// One question about one handle.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Lookup {
    Key(TenantId, IdempotencyKey),
    EntriesOf(TenantId, IdempotencyKey),
    Account(AccountKey),
    OpenGrants(AccountKey),
    RunningRules(AccountKey),
    DueHolds(AccountKey),
    NextHold(AccountKey),
    Task(TenantId, TaskId, Closure),
    Hold(TenantId, HoldId, Closure),
    Grant(TenantId, GrantId),
    Rule(TenantId, RuleId),
    Charge(TenantId, LedgerId),
    TaskCharges(AccountKey, TaskId),
    Texts(AccountKey, u64),
    AnySubject,
    Subject(TenantId, Subject),
    Member(MemberKey),
    Licence(LicenceKey),
    Template(TemplateKey),
    LicenceUser(LicenceKey, UserId),
    DueUses(LicenceKey),
    Risk(RiskKey),
    DueRiskUses(RiskKey),
    Quote(TenantId, AuditId),
    LastPosition,
    LastAccount,
}

/// How far a hold leads, or that of a task.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Closure {
    /// It was named, or its task was, to be ended with it: to its account and its task.
    Named,
    /// Its task was named: no further.
    OfTask,
}

impl BatchMachine {
    /// A try of a batch that needs this. The clock was read after the lock was taken; what is remembered was true then.
    pub(crate) fn new(needs: &Needs, clock: Timestamp, remembered: Remembered) -> BatchMachine {
        let mut machine = BatchMachine {
            clock,
            phase: Phase::Anchors,
            queued: Vec::new(),
            asked: Vec::new(),
            seen: Set::default(),
            known: Known::default(),
            remembered,
            read: Vec::new(),
            account_is_new: false,
            replays: Map::default(),
            facts: Facts::default(),
            writes: Vec::new(),
            operations: 0,
            texts: needs.texts.clone(),
            subjects: Vec::new(),
            presumes: false,
        };
        if machine.remembered.looks_for_keys() {
            machine.queued.extend(needs.keys.iter().map(|(tenant, key)| Lookup::Key(tenant.clone(), key.clone())));
        } else {
            machine.presumes = true;
        }
        if machine.remembered.has_subjects != Some(false) {
            machine.subjects.clone_from(&needs.subjects);
        }
        needs.texts.iter().for_each(|(key, _)| machine.ask_account(key));
        needs.accounts.iter().for_each(|key| machine.ask_account(key));
        for (tasks, closure) in [(&needs.tasks, Closure::OfTask), (&needs.task_holds, Closure::Named)] {
            tasks.iter().for_each(|(tenant, task)| machine.ask(Lookup::Task(tenant.clone(), task.clone(), closure)));
        }
        needs.holds.iter().for_each(|(tenant, hold)| machine.ask(Lookup::Hold(tenant.clone(), *hold, Closure::Named)));
        needs.grants.iter().for_each(|(tenant, grant)| machine.ask(Lookup::Grant(tenant.clone(), *grant)));
        needs.rules.iter().for_each(|(tenant, rule)| machine.ask(Lookup::Rule(tenant.clone(), *rule)));
        needs.charges.iter().for_each(|(tenant, charge)| machine.ask(Lookup::Charge(tenant.clone(), *charge)));
        needs.task_charges.iter().for_each(|(key, task)| machine.ask(Lookup::TaskCharges(key.clone(), task.clone())));
        machine.ask_subjects();
        needs.members.iter().for_each(|member| machine.ask(Lookup::Member(member.clone())));
        needs.licences.iter().for_each(|licence| machine.ask(Lookup::Licence(licence.clone())));
        needs.templates.iter().for_each(|template| machine.ask(Lookup::Template(template.clone())));
        needs.risk.iter().for_each(|key| machine.ask(Lookup::Risk(key.clone())));
        needs.quotes.iter().for_each(|(tenant, quote)| machine.ask(Lookup::Quote(tenant.clone(), *quote)));
        machine
    }

    /// The first step.
    pub(crate) fn begin(&mut self) -> Result<Step<'_>, StoreError> {
        self.advance()
    }

    /// Takes what the statements of the last step gave, in their order.
    pub(crate) fn rows(&mut self, answers: &[Rows]) -> Result<Step<'_>, StoreError> {
        if self.phase == Phase::Writing {
            return self.check_written(answers).map(|()| Step::Done);
        }
        let asked = std::mem::take(&mut self.asked);
        if asked.len() != answers.len() {
            return Err(corrupt("not every statement was answered"));
        }
        for (lookup, answer) in asked.into_iter().zip(answers) {
            self.take(lookup, answer)?;
        }
        self.advance()
    }

    /// Takes what was decided.
    pub(crate) fn changes<'a>(&'a mut self, changes: &'a [Changes]) -> Result<Step<'a>, StoreError> {
        if changes.is_empty() {
            return Ok(Step::Done);
        }
        self.known.last_position = self.remembered.last_position.unwrap_or(0);
        changes.iter().for_each(|changes| self.remembered.follow(changes, &self.known.grant_rows));
        let mut writes = Writes::new(&mut self.known, changes.len());
        for changes in changes {
            writes.add(changes)?;
        }
        let statements = writes.finish()?;
        self.phase = Phase::Writing;
        self.operations = statements.iter().take_while(|statement| statement.sql.inserts_operations()).count();
        self.writes = statements.iter().map(|statement| statement.sql.rows).collect();
        Ok(Step::Run(statements))
    }

    /// Checks that each row was written, and that the feed goes on where the entries say.
    fn check_written(&self, answers: &[Rows]) -> Result<(), StoreError> {
        if !answers.iter().map(|answer| answer.written).eq(self.writes.iter().copied()) {
            return Err(corrupt("a row to be changed is not there"));
        }
        let last = self.operations.checked_sub(1).and_then(|last| answers.get(last));
        if last.is_some_and(|last| last.last_row != self.known.last_position) {
            return Err(corrupt("the feed has an operation that was not read"));
        }
        Ok(())
    }

    /// Asks once, whatever leads there.
    fn ask(&mut self, lookup: Lookup) {
        if self.seen.insert(lookup.clone()) && !self.recall(&lookup) {
            self.queued.push(lookup);
        }
    }

    /// Answers from what is remembered, if it is.
    fn recall(&mut self, lookup: &Lookup) -> bool {
        let uses = &self.remembered.uses;
        match lookup {
            Lookup::Template(template) => {
                let Some(keys) = uses.template(template).cloned() else { return false };
                self.know_template(template, keys);
            }
            Lookup::Licence(key) => {
                let Some(licence) = uses.licence(key).cloned() else { return false };
                self.facts.licences.insert(key.clone(), LicenceFacts { licence, due: BTreeMap::new() });
            }
            Lookup::LicenceUser(key, user_id) => {
                let user = (key.clone(), user_id.clone());
                let Some(used) = uses.user(&user) else { return false };
                self.facts.licence_users.extend(used.map(|used| (user, used)));
            }
            Lookup::Risk(key) => {
                let Some(count) = uses.risk(key).cloned() else { return false };
                self.facts.risk.extend(count.map(|count| (key.clone(), RiskFacts { count, due: BTreeMap::new() })));
            }
            _ => return false,
        }
        true
    }

    /// Asks for an account once, if it is not remembered.
    fn ask_account(&mut self, key: &AccountKey) {
        let Some(remembered) = self.remembered.get(key) else { return self.ask(Lookup::Account(key.clone())) };
        if self.facts.accounts.contains_key(key) {
            return;
        }
        self.known.add_account(remembered.account_id, &remembered.account);
        self.known.grant_rows.extend(remembered.grants.iter().map(|(row, grant)| (grant.id, *row)));
        self.facts.accounts.insert(Arc::clone(&remembered.account.key), remembered.facts());
        self.queue_texts(key);
    }

    /// Asks for tenants and users, if any was ever blocked.
    fn ask_subjects(&mut self) {
        match self.remembered.has_subjects {
            _ if self.subjects.is_empty() => {}
            None => self.queued.push(Lookup::AnySubject),
            Some(false) => self.subjects.clear(),
            Some(true) => self.queued.extend(self.subjects.drain(..).map(|(tenant, subject)| Lookup::Subject(tenant, subject))),
        }
    }

    /// What finds the presumed keys that none of these changes claims: those that are claimed prove to be new when they are
    /// written.
    pub(crate) fn unclaimed<'a>(&self, needs: &'a Needs, changes: &[Changes]) -> Vec<Statement<'a>> {
        let claimed = changes.iter().filter(|changes| changes.operation().key.is_some());
        if !self.presumes || claimed.clone().count() == needs.keys.len() {
            return Vec::new();
        }
        let claimed: Set<_> = claimed.map(|changes| (changes.tenant_id(), changes.operation().key.as_ref())).collect();
        let rest = needs.keys.iter().filter(|(tenant, key)| !claimed.contains(&(tenant, Some(key))));
        rest.map(|(tenant, key)| Statement::new(sql::KEY_TAKEN, params![tenant.as_str(), key.as_str()])).collect()
    }

    /// Asks for the text of an account whose row is known by now.
    fn queue_texts(&mut self, key: &AccountKey) {
        let pages = self.texts.iter().filter(|(of, _)| of == key);
        self.queued.extend(pages.map(|(_, after)| Lookup::Texts(key.clone(), *after)));
    }

    /// What is known once the batch is committed.
    pub(crate) fn into_remembered(self) -> Remembered {
        self.remembered
    }

    /// Runs what is queued; when nothing is, goes on to the next phase.
    fn advance(&mut self) -> Result<Step<'_>, StoreError> {
        if self.queued.is_empty() && self.phase == Phase::Anchors {
            self.ask_due()?;
        }
        if self.queued.is_empty() && self.phase == Phase::Due {
            // The holds that are due are known too, and with them all whose use can change.
            if self.facts.has_holds() {
                self.ask_of_holds();
            }
            self.ask_due_uses();
        }
        if self.queued.is_empty() {
            self.phase = Phase::Deciding;
            self.remember();
            return Ok(Step::Decide(Box::new(std::mem::take(&mut self.facts))));
        }
        self.asked = std::mem::take(&mut self.queued);
        let statements = self.asked.iter().map(|lookup| self.statement(lookup)).collect::<Result<_, _>>()?;
        Ok(Step::Run(statements))
    }

    /// The members who made these holds, their licences, and where they count.
    fn ask_of_holds(&mut self) {
        holders(&self.facts).into_iter().for_each(|member| self.ask(Lookup::Member(member)));
        for (key, user_id) in licences_of_holds(&self.facts) {
            user_id.into_iter().for_each(|user_id| self.ask(Lookup::LicenceUser(key.clone(), user_id)));
            if !self.facts.licences.contains_key(&key) {
                self.ask(Lookup::Licence(key));
            }
        }
        risk_of_holds(&self.facts).into_iter().for_each(|key| self.ask(Lookup::Risk(key)));
    }

    /// What comes back to the licences and the counts that are known.
    fn ask_due_uses(&mut self) {
        if !self.facts.licences.is_empty() {
            let reserved = self.facts.licences.iter().filter(|(_, known)| known.licence.reserved > 0);
            let reserved: Vec<LicenceKey> = reserved.map(|(key, _)| key.clone()).collect();
            reserved.into_iter().for_each(|key| self.ask(Lookup::DueUses(key)));
        }
        if !self.facts.risk.is_empty() {
            let reserved = self.facts.risk.iter().filter(|(_, known)| known.count.reserved > 0);
            let reserved: Vec<RiskKey> = reserved.map(|(key, _)| key.clone()).collect();
            reserved.into_iter().for_each(|key| self.ask(Lookup::DueRiskUses(key)));
        }
    }

    /// Remembers what was read.
    fn remember(&mut self) {
        if !self.presumes {
            self.remembered.looked(self.facts.replays.len());
        }
        for key in std::mem::take(&mut self.read) {
            if let (Some(account_id), Some(facts)) = (self.known.account_id(&key), self.facts.accounts.get(&key)) {
                self.remembered.learn(account_id, facts, &self.known.grant_rows);
            }
        }
    }

    /// All anchors are known: fixes the present, and asks for what depends on it and for the numbers that new rows get.
    fn ask_due(&mut self) -> Result<(), StoreError> {
        let accounts = self.facts.accounts.values().map(|facts| facts.account.last_at);
        let tasks = self.facts.tasks.values().map(|task| task.last_at);
        let subjects = self.facts.subjects.values().map(|row| row.last_at);
        let members = self.facts.members.values().map(|member| member.last_at);
        let licences = self.facts.licences.values().map(|known| known.licence.last_at);
        let risk = self.facts.risk.values().map(|known| known.count.last_at);
        let anchors = accounts.chain(tasks).chain(subjects).chain(members).chain(licences).chain(risk);
        let now = batch_now(self.clock, anchors).map_err(clock_behind)?;
        self.facts.now = now;
        self.phase = Phase::Due;
        let due = self.facts.accounts.iter().filter(|(_, facts)| facts.account.hold_due_at.is_some_and(|at| at <= now));
        for (key, _) in due {
            self.queued.extend([Lookup::DueHolds((**key).clone()), Lookup::NextHold((**key).clone())]);
        }
        if self.remembered.last_position.is_none() {
            self.queued.push(Lookup::LastPosition);
        }
        if self.account_is_new {
            self.queued.push(Lookup::LastAccount);
        }
        Ok(())
    }

    fn statement<'a>(&self, lookup: &'a Lookup) -> Result<Statement<'a>, StoreError> {
        let statement = match lookup {
            Lookup::Key(tenant, key) => Statement::new(sql::OPERATION_BY_KEY, params![tenant.as_str(), key.as_str()]),
            Lookup::EntriesOf(tenant, key) => {
                let found = self.replays.get(&(tenant.clone(), key.clone()));
                entries_of(found.ok_or_else(|| corrupt("entries were asked for without their operation"))?)
            }
            Lookup::Account(key) => Statement::new(sql::ACCOUNT, codec::key_params(key)),
            Lookup::OpenGrants(key) => Statement::new(sql::OPEN_GRANTS, params![self.account_id(key)?]),
            Lookup::RunningRules(key) => Statement::new(sql::RUNNING_RULES, params![self.account_id(key)?]),
            Lookup::DueHolds(key) => Statement::new(sql::DUE_HOLDS, params![self.account_id(key)?, self.facts.now]),
            Lookup::NextHold(key) => Statement::new(sql::NEXT_HOLD, params![self.account_id(key)?, self.facts.now]),
            Lookup::Task(tenant, task, _) => Statement::new(sql::TASK, params![tenant.as_str(), task.as_str()]),
            Lookup::Hold(tenant, hold, _) => Statement::new(sql::HOLD, params![hold.uuid(), tenant.as_str()]),
            Lookup::Grant(tenant, grant) => Statement::new(sql::GRANT, params![grant.uuid(), tenant.as_str()]),
            Lookup::Rule(tenant, rule) => Statement::new(sql::RULE, params![rule.uuid(), tenant.as_str()]),
            Lookup::Charge(tenant, charge) => {
                let (op_id, ordinal) = charge.operation();
                Statement::new(sql::CHARGE, params![tenant.as_str(), op_id.uuid(), i64::from(ordinal)])
            }
            Lookup::TaskCharges(key, task) => {
                let kind = i64::from(key.owner.kind_code());
                let owner = key.owner.id().unwrap_or_default();
                let bound = params![key.tenant_id.as_str(), task.as_str(), kind, owner, key.unit.as_str()];
                Statement::new(sql::TASK_CHARGES, bound)
            }
            Lookup::Texts(key, after) => {
                let limit = Value::Integer(i64::try_from(MAX_ERASED).unwrap_or(i64::MAX));
                Statement::new(sql::ENTRIES_ASC, vec![self.account_id(key)?.into(), count(*after), limit])
            }
            Lookup::AnySubject => Statement::new(sql::ANY_SUBJECT, Vec::new()),
            Lookup::Subject(tenant, subject) => Statement::new(sql::SUBJECT, codec::subject_name(tenant, subject)),
            Lookup::Member(key) => Statement::new(sql::MEMBER, codec::member_name(key)),
            Lookup::Licence(key) => licences::by_name(key),
            Lookup::Template(template) => licences::by_template(template),
            Lookup::LicenceUser(key, user_id) => licences::used_by(key, user_id),
            Lookup::DueUses(key) => licences::due_uses(key, self.facts.now),
            Lookup::Risk(key) => risk::by_key(key),
            Lookup::DueRiskUses(key) => risk::due_uses(key, self.facts.now),
            Lookup::Quote(tenant, quote) => audit::by_name(tenant, *quote),
            Lookup::LastPosition => Statement::new(sql::LAST_POSITION, Vec::new()),
            Lookup::LastAccount => Statement::new(sql::LAST_ACCOUNT, Vec::new()),
        };
        Ok(statement)
    }

    fn account_id(&self, key: &AccountKey) -> Result<i64, StoreError> {
        self.known.account_id(key).ok_or_else(|| corrupt(format!("the account {key} has no row")))
    }

    /// Puts what a lookup found into the facts, and asks for what follows from it.
    fn take(&mut self, lookup: Lookup, rows: &Rows) -> Result<(), StoreError> {
        match lookup {
            Lookup::Key(tenant, key) => {
                if let Some(row) = rows.first() {
                    self.replays.insert((tenant.clone(), key.clone()), codec::operation(row)?);
                    self.queued.push(Lookup::EntriesOf(tenant, key));
                }
            }
            Lookup::EntriesOf(tenant, key) => self.take_replay((tenant, key), rows)?,
            Lookup::Account(key) => {
                if let Some(row) = rows.first() {
                    let (account_id, account) = codec::account(Arc::new(key.clone()), row)?;
                    self.known.add_account(account_id, &account);
                    if account.standing.rules > 0 {
                        self.queued.push(Lookup::RunningRules(key.clone()));
                    }
                    self.queue_texts(&key);
                    self.facts.accounts.insert(Arc::clone(&account.key), AccountFacts::of(account));
                    self.queued.push(Lookup::OpenGrants(key));
                } else {
                    self.account_is_new = true;
                }
            }
            Lookup::OpenGrants(key) => {
                let facts = account_facts(&mut self.facts, &key)?;
                for row in rows.iter() {
                    let (grant_row, grant) = codec::open_grant(row)?;
                    self.known.grant_rows.insert(grant.id, grant_row);
                    facts.grants.insert(grant.id, grant);
                }
                self.read.push(key);
            }
            Lookup::RunningRules(key) => {
                let rules = rows.iter().map(|row| codec::rule(row).map(|(_, rule)| (rule.id, rule)));
                account_facts(&mut self.facts, &key)?.rules = rules.collect::<Result<_, _>>()?;
            }
            Lookup::DueHolds(key) => {
                let holds = rows.iter().map(|row| codec::hold(row).map(|(_, hold)| (hold.id, hold)));
                account_facts(&mut self.facts, &key)?.due_holds = holds.collect::<Result<_, _>>()?;
            }
            Lookup::NextHold(key) => {
                let next = codec::next_time("holds", "expires_at", rows)?;
                account_facts(&mut self.facts, &key)?.next_hold_at = next;
            }
            Lookup::Task(tenant, task_id, closure) => {
                if let Some(row) = rows.first() {
                    let (_, task) = codec::task(row)?;
                    if let Some(hold_id) = task.hold_id {
                        self.ask(Lookup::Hold(tenant.clone(), hold_id, closure));
                    }
                    self.facts.tasks.insert((tenant, task_id), task);
                }
            }
            Lookup::Hold(tenant, hold_id, closure) => {
                if let Some(row) = rows.first() {
                    let (key, hold) = codec::hold(row)?;
                    if closure == Closure::Named {
                        self.ask_account(&key);
                        if let Some(licence_id) = &hold.terms.licence_id {
                            self.ask(Lookup::Licence(LicenceKey::new(tenant.clone(), licence_id.clone())));
                        }
                        // The one that led here is known already.
                        let task = hold.terms.task_id.as_ref().map(|task_id| (tenant, task_id.clone()));
                        if let Some((tenant, task_id)) = task.filter(|task| !self.facts.tasks.contains_key(task)) {
                            self.ask(Lookup::Task(tenant, task_id, Closure::OfTask));
                        }
                    }
                    self.facts.holds.insert(hold_id, (key, hold));
                }
            }
            Lookup::Grant(_, grant_id) => {
                if let Some(row) = rows.first() {
                    let (grant_row, key, grant) = codec::grant(row)?;
                    self.known.grant_rows.insert(grant_id, grant_row);
                    self.ask_account(&key);
                    self.facts.grants.insert(grant_id, (key, grant));
                }
            }
            Lookup::Rule(_, rule_id) => {
                if let Some(row) = rows.first() {
                    let (key, rule) = codec::rule(row)?;
                    self.ask_account(&key);
                    self.facts.rules.insert(rule_id, (key, rule));
                }
            }
            Lookup::Charge(..) => {
                rows.iter().try_for_each(|row| self.take_charge(row).map(drop))?;
            }
            Lookup::TaskCharges(key, task_id) => {
                let charges = rows.iter().map(|row| self.take_charge(row)).collect::<Result<_, _>>()?;
                self.facts.task_charges.insert((key.clone(), task_id), charges);
                self.ask_account(&key);
            }
            Lookup::Texts(key, after) => {
                let entries = rows.iter().map(codec::entry).collect::<Result<Vec<_>, _>>()?;
                for hold_id in entries.iter().filter_map(|entry| entry.hold_id) {
                    self.ask(Lookup::Hold(key.tenant_id.clone(), hold_id, Closure::OfTask));
                }
                self.facts.texts.insert((key, after), entries);
            }
            Lookup::AnySubject => {
                self.remembered.has_subjects = Some(rows.first().is_some());
                self.ask_subjects();
            }
            Lookup::Subject(tenant, subject) => {
                if let Some(row) = rows.first() {
                    let row = codec::subject(&subject, row)?;
                    self.facts.subjects.insert((tenant, subject), row);
                }
            }
            Lookup::Member(key) => {
                if let Some(row) = rows.first() {
                    self.facts.members.insert(key, codec::member(row)?.1);
                }
            }
            Lookup::Licence(key) => {
                if let Some(row) = rows.first() {
                    let (key, licence) = licences::licence(&key.tenant_id, row)?;
                    self.remembered.uses.learn_licence(&key, &licence);
                    self.facts.licences.insert(key, LicenceFacts { licence, due: BTreeMap::new() });
                }
            }
            Lookup::Template(template) => {
                let named = |row| licences::name_of(row).map(|licence_id| LicenceKey::new(template.tenant_id.clone(), licence_id));
                let mut keys = rows.iter().map(named).collect::<Result<Vec<_>, _>>()?;
                keys.sort_unstable();
                self.remembered.uses.learn_template(&template, &keys);
                self.know_template(&template, keys);
            }
            Lookup::LicenceUser(key, user_id) => {
                let used = rows.first().map(licences::used).transpose()?;
                self.facts.licence_users.extend(used.map(|used| ((key.clone(), user_id.clone()), used)));
                self.remembered.uses.learn_user((key, user_id), used);
            }
            Lookup::DueUses(key) => {
                let known = self.facts.licences.get_mut(&key).ok_or_else(|| corrupt("a licence vanished while it was read"))?;
                known.due = rows.iter().map(licences::reserved).collect::<Result<_, _>>()?;
            }
            Lookup::Risk(key) => {
                let count = rows.first().map(|row| risk::counted(&key, row)).transpose()?;
                self.remembered.uses.learn_risk(&key, count.as_ref());
                self.facts.risk.extend(count.map(|count| (key, RiskFacts { count, due: BTreeMap::new() })));
            }
            Lookup::DueRiskUses(key) => {
                let known = self.facts.risk.get_mut(&key).ok_or_else(|| corrupt("a count vanished while it was read"))?;
                known.due = rows.iter().map(risk::reserved).collect::<Result<_, _>>()?;
            }
            Lookup::Quote(_, audit_id) => {
                let quote = rows.first().map(audit::quote).transpose()?.flatten();
                self.facts.quotes.extend(quote.map(|quote| (audit_id, quote)));
            }
            Lookup::LastPosition => {
                self.remembered.last_position = Some(codec::single("operations", "position", rows)?.unwrap_or(0));
            }
            Lookup::LastAccount => self.known.last_account = codec::single("accounts", "account_id", rows)?.unwrap_or(0),
        }
        Ok(())
    }

    /// Asks for these licences of a template, and how often its user used each.
    fn know_template(&mut self, template: &TemplateKey, keys: Vec<LicenceKey>) {
        for key in &keys {
            let user = template.user_id.iter().map(|user_id| Lookup::LicenceUser(key.clone(), user_id.clone()));
            user.for_each(|user| self.ask(user));
            // Many users share one: its row is read once.
            self.ask(Lookup::Licence(key.clone()));
        }
        self.facts.template_licences.insert(template.clone(), keys);
    }

    fn take_replay(&mut self, key: (TenantId, IdempotencyKey), rows: &Rows) -> Result<(), StoreError> {
        if let Some(found) = self.replays.remove(&key) {
            self.facts.replays.insert(key, Arc::new(stored(found, rows)?));
        }
        Ok(())
    }

    fn take_charge(&mut self, row: Row<'_>) -> Result<LedgerId, StoreError> {
        let charge = codec::charge(row)?;
        let ledger_id = charge.entry.ledger_id();
        let tenant_id = &charge.entry.account.tenant_id;
        for line in charge.entry.draw.lines() {
            self.ask(Lookup::Grant(tenant_id.clone(), line.grant_id));
        }
        self.ask_account(&charge.entry.account);
        self.facts.charges.insert(ledger_id, charge);
        Ok(ledger_id)
    }
}

fn account_facts<'a>(facts: &'a mut Facts, key: &AccountKey) -> Result<&'a mut AccountFacts, StoreError> {
    facts.accounts.get_mut(key).ok_or_else(|| corrupt(format!("the account {key} has no row")))
}

/// The statement that reads the entries of an operation.
pub(super) fn entries_of(found: &codec::OperationRow) -> Statement<'static> {
    let first = found.operation.first_seq;
    let end = first.saturating_add(u64::from(found.operation.entry_count));
    Statement::new(sql::ENTRIES_OF_OPERATION, params![found.account_id, count(first), count(end)])
}

/// An operation with its entries.
pub(super) fn stored(found: codec::OperationRow, rows: &Rows) -> Result<StoredOperation, StoreError> {
    let codec::OperationRow { position, operation, .. } = found;
    let entries = rows.iter().map(codec::entry).collect::<Result<Vec<_>, _>>()?;
    if entries.len() != usize::try_from(operation.entry_count).unwrap_or(usize::MAX) {
        return Err(corrupt(format!("row {position} of `operations` has not all of its entries")));
    }
    Ok(StoredOperation { operation, entries, position })
}

fn clock_behind(error: crate::Error) -> StoreError {
    let message = error.to_string();
    match error {
        crate::Error::ClockBehind { now, last_at } => StoreError::new(StoreErrorKind::ClockBehind { now, last_at }, message),
        _ => StoreError::new(StoreErrorKind::Permanent, message),
    }
}
