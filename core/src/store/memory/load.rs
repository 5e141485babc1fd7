//! Loads what a batch is decided from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::{StoreError, StoreErrorKind};
use super::books::{AccountRow, Books, Place};
use crate::credit::{Grant, Hold, Rule};
use crate::error::Error;
use crate::facts::{
    AccountFacts, ChargeFact, Facts, LicenceFacts, MAX_ERASED, Needs, Task, batch_now, holders, licences_of_holds, risk_of_holds,
};
use crate::id::{GrantId, HoldId, LedgerId, TaskId, TenantId, UserId};
use crate::ledger::{Entry, EntryKind};
use crate::licence::{LicenceKey, TemplateKey};
use crate::map::Map;
use crate::owner::{AccountKey, MemberKey};
use crate::risk::{RiskFacts, RiskKey};
use crate::time::Timestamp;

impl Books {
    /// The facts for these needs, at the instant that the clock and the anchors make.
    pub(super) fn load(&self, needs: &Needs, clock: Timestamp) -> Result<Facts, StoreError> {
        let mut facts = Facts::default();
        let mut accounts: Vec<&AccountKey> = needs.accounts.iter().collect();
        self.load_replays(needs, &mut facts);
        self.load_holds_and_tasks(needs, &mut facts, &mut accounts);
        self.load_grants(needs, &mut facts, &mut accounts);
        self.load_charges(needs, &mut facts, &mut accounts);
        self.load_rules(needs, &mut facts, &mut accounts);
        self.load_texts(needs, &mut facts, &mut accounts);
        if !self.subjects.is_empty() {
            facts.subjects.extend(needs.subjects.iter().filter_map(|key| Some((key.clone(), self.subjects.get(key)?.clone()))));
        }
        self.load_members(needs.members.iter().cloned(), &mut facts);
        self.load_licences(needs, &mut facts);
        needs.risk.iter().for_each(|key| self.load_risk(key, &mut facts));
        self.load_quotes(needs, &mut facts)?;
        let rows: Vec<_> = accounts.into_iter().filter_map(|key| self.accounts.get(key)).collect();
        let anchors = rows.iter().map(|row| row.account.last_at).chain(facts.tasks.values().map(|task| task.last_at));
        let anchors = anchors.chain(facts.subjects.values().map(|row| row.last_at));
        let anchors = anchors.chain(facts.members.values().map(|member| member.last_at));
        let anchors = anchors.chain(facts.licences.values().map(|known| known.licence.last_at));
        let anchors = anchors.chain(facts.risk.values().map(|known| known.count.last_at));
        facts.now = batch_now(clock, anchors).map_err(clock_behind)?;
        for row in rows {
            // Several handles can lead to an account.
            let known = facts.accounts.entry(Arc::clone(&row.account.key));
            known.or_insert_with(|| self.account_facts(row, facts.now));
        }
        if facts.has_holds() {
            let made_holds = holders(&facts);
            self.load_members(made_holds, &mut facts);
            self.load_licences_of_holds(&mut facts);
            risk_of_holds(&facts).iter().for_each(|key| self.load_risk(key, &mut facts));
        }
        self.load_due_uses(&mut facts);
        self.load_due_risk_uses(&mut facts);
        Ok(facts)
    }

    fn load_risk(&self, key: &RiskKey, facts: &mut Facts) {
        if let Some(count) = self.risk.get(key) {
            let known = RiskFacts { count: count.clone(), due: BTreeMap::new() };
            facts.risk.entry(key.clone()).or_insert(known);
        }
    }

    fn load_due_risk_uses(&self, facts: &mut Facts) {
        for (key, known) in &mut facts.risk {
            let uses = self.risk_uses_of.get(key).into_iter().flatten();
            let due = uses.take_while(|(expires_at, _)| *expires_at <= facts.now);
            known.due = due.filter_map(|(_, id)| Some((*id, self.risk_uses.get(id)?.1.clone()))).collect();
        }
    }

    /// The licences that are named: by themselves, by their template, or by a hold that is named.
    fn load_licences(&self, needs: &Needs, facts: &mut Facts) {
        for template in &needs.templates {
            let for_user = template.user_id.is_some().then(|| self.template_licences.get(template)).flatten();
            let for_any = self.template_licences.get(&TemplateKey { user_id: None, ..template.clone() });
            let listed: BTreeSet<LicenceKey> = for_user.into_iter().chain(for_any).flatten().cloned().collect();
            listed.iter().for_each(|key| self.load_licence(key, template.user_id.as_ref(), facts));
            facts.template_licences.insert(template.clone(), listed.into_iter().collect());
        }
        needs.licences.iter().for_each(|key| self.load_licence(key, None, facts));
        for (tenant_id, hold_id) in self.named_holds(needs) {
            let hold = self.hold_of(tenant_id, hold_id).map(|(_, hold)| hold);
            if let Some(licence_id) = hold.and_then(|hold| hold.terms.licence_id.clone()) {
                self.load_licence(&LicenceKey::new(tenant_id.clone(), licence_id), None, facts);
            }
        }
    }

    fn load_licences_of_holds(&self, facts: &mut Facts) {
        for (key, user_id) in licences_of_holds(facts) {
            self.load_licence(&key, user_id.as_ref(), facts);
        }
    }

    /// A licence, and how often the user used it.
    fn load_licence(&self, key: &LicenceKey, user_id: Option<&UserId>, facts: &mut Facts) {
        let Some(licence) = self.licences.get(key) else { return };
        facts.licences.entry(key.clone()).or_insert_with(|| LicenceFacts { licence: licence.clone(), due: BTreeMap::new() });
        let user = user_id.map(|user_id| (key.clone(), user_id.clone()));
        facts.licence_users.extend(user.and_then(|user| self.licence_users.get(&user).map(|used| (user, *used))));
    }

    fn load_due_uses(&self, facts: &mut Facts) {
        for (key, known) in &mut facts.licences {
            let uses = self.uses_of_licences.get(key).into_iter().flatten();
            let due = uses.take_while(|(expires_at, _)| *expires_at <= facts.now);
            known.due = due.filter_map(|(_, id)| Some((*id, self.licence_uses.get(id)?.1.clone()))).collect();
        }
    }

    fn load_members(&self, keys: impl IntoIterator<Item = MemberKey>, facts: &mut Facts) {
        let found = keys.into_iter().filter_map(|key| self.members.get(&key).cloned().map(|member| (key, member)));
        facts.members.extend(found);
    }

    /// An account with its open grants, its running rules and the holds due at `now`.
    pub(super) fn account_facts(&self, row: &AccountRow, now: Timestamp) -> AccountFacts {
        let grants = row.open_grants.iter().filter_map(|id| Some((*id, self.grants.get(id)?.1.clone()))).collect();
        let mut facts = AccountFacts {
            account: row.account.clone(),
            grants,
            rules: BTreeMap::new(),
            due_holds: Map::default(),
            next_hold_at: None,
        };
        if !row.running_rules.is_empty() {
            let rules = row.running_rules.iter().filter_map(|id| Some((*id, self.rules.get(id)?.1.clone())));
            facts.rules = rules.collect();
        }
        if row.account.hold_due_at.is_some_and(|at| at <= now) {
            let due = row.frozen_holds.iter().take_while(|(expires_at, _)| *expires_at <= now);
            facts.due_holds = due.filter_map(|(_, id)| Some((*id, self.holds.get(id)?.1.clone()))).collect();
            facts.next_hold_at = row.frozen_holds.iter().map(|(expires_at, _)| *expires_at).find(|at| *at > now);
        }
        facts
    }

    fn load_replays(&self, needs: &Needs, facts: &mut Facts) {
        for (tenant_id, key) in &needs.keys {
            if let Some(stored) = self.index_of_key(tenant_id, key).and_then(|index| self.placed(index)) {
                facts.replays.insert((tenant_id.clone(), key.clone()), stored);
            }
        }
    }

    fn load_holds_and_tasks<'a>(&'a self, needs: &'a Needs, facts: &mut Facts, accounts: &mut Vec<&'a AccountKey>) {
        for (tenant_id, hold_id) in self.named_holds(needs) {
            let Some((key, hold)) = self.hold_of(tenant_id, hold_id) else { continue };
            accounts.push(key);
            if let Some(task_id) = &hold.terms.task_id {
                self.load_task(tenant_id, task_id, facts);
            }
            facts.holds.insert(hold.id, (Arc::clone(key), hold.clone()));
        }
        for (tenant_id, task_id) in needs.tasks.iter().chain(&needs.task_holds) {
            let named = self.load_task(tenant_id, task_id, facts).and_then(|task| task.hold_id);
            if let Some((key, hold)) = named.and_then(|hold_id| self.hold_of(tenant_id, hold_id)) {
                facts.holds.insert(hold.id, (Arc::clone(key), Hold::clone(hold)));
            }
        }
    }

    /// The holds that are named, by themselves or by a task that is ended with its hold.
    fn named_holds<'a>(&'a self, needs: &'a Needs) -> impl Iterator<Item = (&'a TenantId, HoldId)> {
        let of_tasks = needs.task_holds.iter().filter_map(|task| Some((&task.0, self.tasks.get(task)?.hold_id?)));
        needs.holds.iter().map(|(tenant_id, hold_id)| (tenant_id, *hold_id)).chain(of_tasks)
    }

    fn load_task(&self, tenant_id: &TenantId, task_id: &TaskId, facts: &mut Facts) -> Option<&Task> {
        let name = (tenant_id.clone(), task_id.clone());
        let task = self.tasks.get(&name)?;
        facts.tasks.insert(name, task.clone());
        Some(task)
    }

    fn load_grants<'a>(&'a self, needs: &'a Needs, facts: &mut Facts, accounts: &mut Vec<&'a AccountKey>) {
        for (tenant_id, grant_id) in &needs.grants {
            if let Some(key) = self.load_grant(tenant_id, *grant_id, facts) {
                accounts.push(key);
            }
        }
    }

    fn load_grant(&self, tenant_id: &TenantId, grant_id: GrantId, facts: &mut Facts) -> Option<&Arc<AccountKey>> {
        let (key, grant) = self.grant_of(tenant_id, grant_id)?;
        facts.grants.insert(grant_id, (Arc::clone(key), Grant::clone(grant)));
        Some(key)
    }

    fn load_rules<'a>(&'a self, needs: &'a Needs, facts: &mut Facts, accounts: &mut Vec<&'a AccountKey>) {
        for (tenant_id, rule_id) in &needs.rules {
            let Some((key, rule)) = self.rule_of(tenant_id, *rule_id) else { continue };
            accounts.push(key);
            facts.rules.insert(*rule_id, (Arc::clone(key), Rule::clone(rule)));
        }
    }

    fn load_charges<'a>(&'a self, needs: &'a Needs, facts: &mut Facts, accounts: &mut Vec<&'a AccountKey>) {
        for (tenant_id, ledger_id) in &needs.charges {
            if let Some(place) = self.place_of(tenant_id, *ledger_id)
                && let Some(key) = self.load_charge(place, facts)
            {
                accounts.push(key);
            }
        }
        for (key, task_id) in &needs.task_charges {
            let places = self.charges_of_task(key, task_id);
            let listed = places.iter().filter_map(|place| Some(self.entry(*place)?.1.ledger_id())).collect::<Vec<LedgerId>>();
            for place in places {
                self.load_charge(place, facts);
            }
            accounts.push(key);
            facts.task_charges.insert((key.clone(), task_id.clone()), listed);
        }
    }

    fn load_texts<'a>(&'a self, needs: &'a Needs, facts: &mut Facts, accounts: &mut Vec<&'a AccountKey>) {
        for (key, after) in &needs.texts {
            accounts.push(key);
            let Some(row) = self.accounts.get(key) else { continue };
            // The entry after number n stands at index n.
            let first = usize::try_from(*after).unwrap_or(usize::MAX);
            let places = row.entries.iter().skip(first).take(MAX_ERASED);
            let entries: Vec<Entry> = places.filter_map(|place| Some(self.entry(*place)?.1.clone())).collect();
            for hold_id in entries.iter().filter_map(|entry| entry.hold_id) {
                if let Some((owner, hold)) = self.hold_of(&key.tenant_id, hold_id) {
                    facts.holds.insert(hold_id, (Arc::clone(owner), hold.clone()));
                }
            }
            facts.texts.insert((key.clone(), *after), entries);
        }
    }

    /// Charges and captures of a task in an account, the first booked first.
    fn charges_of_task(&self, key: &AccountKey, task_id: &TaskId) -> Vec<Place> {
        let places = self.by_task.get(&(key.tenant_id.clone(), task_id.clone()));
        let of_account = |place: &Place| {
            self.entry(*place)
                .is_some_and(|(_, entry)| *entry.account == *key && matches!(entry.kind, EntryKind::Charge | EntryKind::Capture))
        };
        places.into_iter().flatten().copied().filter(of_account).collect()
    }

    /// The charge or capture at a place, with the grants that it drew.
    fn load_charge(&self, place: Place, facts: &mut Facts) -> Option<&Arc<AccountKey>> {
        let (stored, entry) = self.entry(place)?;
        if !matches!(entry.kind, EntryKind::Charge | EntryKind::Capture) {
            return None;
        }
        for line in entry.draw.lines() {
            self.load_grant(&entry.account.tenant_id, line.grant_id, facts);
        }
        let operation = &stored.operation;
        let fact = ChargeFact { entry: entry.clone(), refunded: operation.refunded, policy_tag: operation.policy_tag.clone() };
        facts.charges.insert(entry.ledger_id(), fact);
        Some(&entry.account)
    }
}

fn clock_behind(error: Error) -> StoreError {
    let message = error.to_string();
    match error {
        Error::ClockBehind { now, last_at } => StoreError::new(StoreErrorKind::ClockBehind { now, last_at }, message),
        _ => StoreError::new(StoreErrorKind::Permanent, message),
    }
}
