//! Which instant a command is decided at: the clock, or the last booking of what it locks.

use std::collections::HashMap;

use drawdown::ledger::{EntryKind, StoredOperation, Terms};
use drawdown::{AccountKey, Command, GrantId, HoldId, LedgerId, Policies, RuleId, TaskId, TenantId, Timestamp};

/// How far the contract lets an anchor be ahead of the clock: 5 s.
const MAX_AHEAD_MICROS: i64 = 5_000_000;

type TaskKey = (TenantId, TaskId);

/// When accounts and tasks were last booked, and which of them grants, holds and charges hang off.
#[derive(Default)]
pub(super) struct Anchors {
    accounts: HashMap<AccountKey, Timestamp>,
    tasks: HashMap<TaskKey, Timestamp>,
    holds: HashMap<HoldId, (AccountKey, Option<TaskId>)>,
    grants: HashMap<GrantId, AccountKey>,
    charges: HashMap<LedgerId, AccountKey>,
    rules: HashMap<RuleId, AccountKey>,
}

/// An anchor is too far ahead of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind;

impl Anchors {
    /// The instant of these commands, decided together by this clock.
    pub(super) fn instant(&self, clock: Timestamp, commands: &[&Command], policies: &Policies) -> Result<Timestamp, Behind> {
        let latest = commands.iter().flat_map(|command| self.locked(command, policies)).max().unwrap_or(Timestamp::MIN);
        if latest.micros() - clock.micros() > MAX_AHEAD_MICROS { Err(Behind) } else { Ok(clock.max(latest)) }
    }

    /// When an account was last booked.
    pub(super) fn account(&self, key: &AccountKey) -> Option<Timestamp> {
        self.accounts.get(key).copied()
    }

    /// An account was booked.
    pub(super) fn book(&mut self, key: &AccountKey, at: Timestamp) {
        let booked = self.accounts.entry(key.clone()).or_insert(at);
        *booked = at.max(*booked);
    }

    /// An operation was accepted.
    pub(super) fn learn(&mut self, stored: &StoredOperation) {
        let at = stored.operation.created_at;
        let Some(account) = &stored.operation.account else { return };
        self.book(account, at);
        let settled = usize::from(stored.operation.settled_count);
        for (place, entry) in stored.entries.iter().enumerate() {
            if let Some(grant) = entry.grant_id {
                self.grants.insert(grant, (**account).clone());
            }
            if let Some(Terms::Rule { rule_id, .. }) = &entry.terms {
                self.rules.insert(*rule_id, (**account).clone());
            }
            if let (Some(hold), EntryKind::Hold) = (entry.hold_id, entry.kind) {
                self.holds.entry(hold).or_insert_with(|| ((**account).clone(), entry.task_id.clone()));
            }
            if matches!(entry.kind, EntryKind::Charge | EntryKind::Capture) {
                self.charges.insert(entry.ledger_id(), (**account).clone());
            }
            // What time alone does to a hold leaves its task alone, and so does a refund.
            let works = !matches!(entry.kind, EntryKind::Refund | EntryKind::Reissue | EntryKind::Expire | EntryKind::Void);
            if let Some(task) = entry.task_id.as_ref().filter(|_| place >= settled && works) {
                self.tasks.insert((account.tenant_id.clone(), task.clone()), at);
            }
        }
    }

    fn locked(&self, command: &Command, policies: &Policies) -> Vec<Timestamp> {
        let needs = command.needs(policies.of(&command.context.tenant_id));
        let tenant = &command.context.tenant_id;
        let mine = |account: &&AccountKey| account.tenant_id == *tenant;
        let mut accounts: Vec<&AccountKey> = needs.accounts.iter().collect();
        accounts.extend(needs.task_charges.iter().map(|(account, _)| account));
        accounts.extend(needs.grants.iter().filter_map(|(_, id)| self.grants.get(id)).filter(mine));
        accounts.extend(needs.charges.iter().filter_map(|(_, id)| self.charges.get(id)).filter(mine));
        accounts.extend(needs.rules.iter().filter_map(|(_, id)| self.rules.get(id)).filter(mine));
        let mut tasks = needs.tasks.clone();
        for (account, task) in needs.holds.iter().filter_map(|(_, id)| self.holds.get(id)) {
            if account.tenant_id == *tenant {
                accounts.push(account);
                tasks.extend(task.iter().map(|task| (tenant.clone(), task.clone())));
            }
        }
        let of_accounts = accounts.into_iter().filter_map(|account| self.accounts.get(account));
        of_accounts.chain(tasks.iter().filter_map(|task| self.tasks.get(task))).copied().collect()
    }
}
