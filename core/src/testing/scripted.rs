//! Batches decided by a closure, and changes drawn up by hand: what a store is tested with when no rule is wanted.
#![expect(clippy::expect_used, reason = "a script that does not fit the facts is a mistake of the test, which then fails")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::amount::Amount;
use crate::changes::{Changes, Erased};
use crate::command::Fingerprint;
use crate::credit::{
    Every, Grant, GrantState, GrantTerms, GrantType, Hold, HoldState, HoldTerms, LateCommit, OverCapture, Rule, RuleState,
    RuleTerms, Scope, Zone,
};
use crate::facts::{Account, AccountFacts, Facts, Needs, Task};
use crate::id::{GrantId, HoldId, LedgerId, OpId, RuleId, TaskId, TenantId};
use crate::ledger::{ChainHash, Draw, Entry, EntryKind, EntryText, Operation, OperationKind, StoredOperation, Terms, text_hash};
use crate::licence::LicenceRows;
use crate::owner::AccountKey;
use crate::risk::RiskRows;
use crate::store::Batch;
use crate::time::{Clock, Timestamp};

/// A batch that a closure decides.
pub struct ScriptedBatch<'a> {
    needs: Needs,
    /// Those of all that it has taken in.
    all: Needs,
    /// What it will take in, the first last.
    to_come: Vec<Needs>,
    clock: &'a dyn Clock,
    decide: Box<dyn FnMut(Facts) -> Vec<Changes> + 'a>,
}

impl<'a> ScriptedBatch<'a> {
    /// A batch with these needs; the closure is called once a try.
    #[must_use]
    pub fn new(needs: Needs, clock: &'a dyn Clock, decide: impl FnMut(Facts) -> Vec<Changes> + 'a) -> ScriptedBatch<'a> {
        ScriptedBatch { all: needs.clone(), needs, to_come: Vec::new(), clock, decide: Box::new(decide) }
    }

    /// The same, which grows by these, one after the other, if the store asks; the closure is called once more for each, and in a
    /// further try once for all that it has taken in until then.
    #[must_use]
    pub fn growing(self, by: impl IntoIterator<Item = Needs, IntoIter: DoubleEndedIterator>) -> ScriptedBatch<'a> {
        ScriptedBatch { to_come: by.into_iter().rev().collect(), ..self }
    }
}

impl Batch for ScriptedBatch<'_> {
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn clock(&self) -> &dyn Clock {
        self.clock
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        (self.decide)(facts)
    }

    fn grow(&mut self) -> bool {
        let Some(needs) = self.to_come.pop() else { return false };
        self.all.append(needs.clone());
        self.needs = needs;
        true
    }

    fn restart(&mut self) {
        self.needs = self.all.clone();
    }
}

/// An operation id that this process has not used before.
#[must_use]
pub fn next_op_id(now: Timestamp, tenant_id: &TenantId) -> OpId {
    static USED: AtomicU64 = AtomicU64::new(1);
    OpId::new(now, tenant_id, None, USED.fetch_add(1, Ordering::Relaxed))
}

/// One operation in one account, drawn up entry by entry. Balances, totals, counts and the chain follow by themselves;
/// whether the operation makes sense is not asked.
///
/// # Panics
/// Its methods do when they name a grant or hold that the facts do not have, or leave the range of an amount.
#[derive(Clone, Debug)]
pub struct Draft {
    changes: Changes,
    grants: HashMap<GrantId, Grant>,
    holds: HashMap<HoldId, Hold>,
    tasks: HashMap<TaskId, Task>,
    now: Timestamp,
}

impl Draft {
    /// An operation of this kind in the account, as the facts have it.
    #[must_use]
    pub fn of(facts: &Facts, key: &AccountKey, kind: OperationKind) -> Draft {
        let loaded = facts.accounts.get(key);
        let of_tenant = |((tenant_id, task_id), task): (&(TenantId, TaskId), &Task)| {
            (*tenant_id == key.tenant_id).then(|| (task_id.clone(), task.clone()))
        };
        let mut account = loaded.map_or_else(|| Account::new(Arc::new(key.clone())), |facts| facts.account.clone());
        account.last_at = facts.now;
        Draft {
            grants: loaded.map(open_and_named(facts)).unwrap_or_default(),
            holds: facts.holds.iter().map(|(id, (_, hold))| (*id, hold.clone())).collect(),
            tasks: facts.tasks.iter().filter_map(of_tenant).collect(),
            now: facts.now,
            changes: Changes {
                stored: Arc::new(StoredOperation {
                    operation: operation(facts.now, &account, kind),
                    entries: Vec::new(),
                    position: 0,
                }),
                account: Some(account),
                account_is_new: loaded.is_none(),
                new_grants: Vec::new(),
                changed_grants: Vec::new(),
                new_holds: Vec::new(),
                changed_holds: Vec::new(),
                new_rules: Vec::new(),
                changed_rules: Vec::new(),
                task: None,
                refunded: Vec::new(),
                erased: Erased::default(),
                audit: Vec::new(),
                subjects: Vec::new(),
                members: Vec::new(),
                licences: LicenceRows::default(),
                risk: RiskRows::default(),
            },
        }
    }

    /// Under this idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Draft {
        let key = key.parse().expect("an idempotency key");
        self.with(|changes| changes.stored_mut().operation.key = Some(key))
    }

    /// Changes what was drawn up so far by hand.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Changes)) -> Draft {
        change(&mut self.changes);
        self
    }

    /// The name that a grant or hold made next would have.
    #[must_use]
    pub fn next_ordinal(&self) -> u16 {
        u16::try_from(self.changes.entries().len() + 1).expect("fewer than 65,536 entries")
    }

    /// Books a grant of type `purchased`.
    #[must_use]
    pub fn grant(mut self, amount: Amount, expires_at: Option<Timestamp>) -> Draft {
        let id = GrantId::derive(self.changes.op_id(), self.next_ordinal());
        let terms = Arc::new(GrantTerms {
            grant_type: GrantType::Purchased,
            amount,
            effective_at: self.now,
            scope: Scope::default(),
            priority: 0,
            reissue_of: None,
            recurrence: None,
            policy_tag: None,
            reason: None,
            metadata: None,
        });
        let grant =
            Grant { id, terms: Arc::clone(&terms), expires_at, state: GrantState::Active, remaining: amount, held: Amount::ZERO };
        self.grants.insert(id, grant.clone());
        self.changes.new_grants.push(grant);
        self.changes.account_mut().open_grants += 1;
        self.due_by(expires_at);
        self.entry(EntryKind::Grant, amount, Amount::ZERO, |entry| {
            entry.draw = Draw::single(id, GrantType::Purchased, amount);
            entry.grant_id = Some(id);
            entry.terms = Some(Terms::Grant { expires_at, terms });
        })
    }

    /// Books a rule of one unit a day from this instant on.
    #[must_use]
    pub fn rule(mut self, starts_at: Timestamp) -> Draft {
        let rule_id = RuleId::derive(self.changes.op_id(), self.next_ordinal());
        let terms = Arc::new(RuleTerms {
            grant_type: GrantType::Plan,
            amount: Amount::from_micros(1_000_000),
            every: Every::Days(1),
            starts_at,
            ends_at: None,
            zone: Zone::UTC,
            rollover_cap: Amount::ZERO,
            scope: Scope::default(),
            priority: 0,
            policy_tag: None,
            reason: None,
            metadata: None,
        });
        self.changes.new_rules.push(Rule::new(rule_id, Arc::clone(&terms)));
        self.changes.account_mut().standing.rules += 1;
        self.due_by(Some(starts_at));
        self.entry(EntryKind::Amend, Amount::ZERO, Amount::ZERO, |entry| entry.terms = Some(Terms::Rule { rule_id, terms }))
    }

    /// Books the end of a rule.
    #[must_use]
    pub fn end_rule(mut self, rule: &Rule) -> Draft {
        self.changes.changed_rules.push(Rule { state: RuleState::Ended, ..rule.clone() });
        self.changes.account_mut().standing.rules -= 1;
        let rule_id = rule.id;
        self.entry(EntryKind::Amend, Amount::ZERO, Amount::ZERO, |entry| entry.terms = Some(Terms::RuleEnd { rule_id }))
    }

    /// Books a charge against one grant.
    #[must_use]
    pub fn charge(mut self, grant_id: GrantId, amount: Amount, task_id: Option<&TaskId>) -> Draft {
        self.move_grant(grant_id, neg(amount), Amount::ZERO);
        if let Some(task_id) = task_id {
            self.touch_task(task_id, |task| task.charges += 1);
        }
        self.entry(EntryKind::Charge, neg(amount), Amount::ZERO, |entry| {
            entry.draw = Draw::single(grant_id, GrantType::Purchased, amount);
            entry.task_id = task_id.cloned();
        })
    }

    /// Books a refund of a charge to its grant; `total` is what was refunded of the charge with this.
    #[must_use]
    pub fn refund(mut self, charge: LedgerId, grant_id: GrantId, amount: Amount, total: Amount) -> Draft {
        self.move_grant(grant_id, amount, Amount::ZERO);
        self.changes.refunded.push((charge, total));
        self.entry(EntryKind::Refund, amount, Amount::ZERO, |entry| {
            entry.draw = Draw::single(grant_id, GrantType::Purchased, amount);
        })
    }

    /// Books a hold against one grant.
    #[must_use]
    pub fn hold(mut self, grant_id: GrantId, amount: Amount, expires_at: Timestamp, task_id: Option<&TaskId>) -> Draft {
        let id = HoldId::derive(self.changes.op_id(), self.next_ordinal());
        self.move_grant(grant_id, neg(amount), amount);
        let terms = Arc::new(HoldTerms {
            amount,
            task_id: task_id.cloned(),
            template_id: None,
            app_id: None,
            user_id: None,
            scene: None,
            price_basis: None,
            quote_id: None,
            policy_tag: None,
            licence_id: None,
            counted_for: None,
            over_capture: OverCapture::Reject,
            late_commit: LateCommit::Reject,
            created_at: self.now,
        });
        let draw = Draw::single(grant_id, GrantType::Purchased, amount);
        let hold = Hold {
            id,
            terms: Arc::clone(&terms),
            state: HoldState::Frozen,
            expires_at,
            draw: draw.clone(),
            captured: Amount::ZERO,
        };
        self.holds.insert(id, hold.clone());
        self.changes.new_holds.push(hold);
        self.changes.account_mut().open_holds += 1;
        let hold_due_at = self.changes.account_mut().hold_due_at;
        self.changes.account_mut().hold_due_at = Some(hold_due_at.map_or(expires_at, |at| at.min(expires_at)));
        self.due_by(Some(expires_at));
        if let Some(task_id) = task_id {
            self.touch_task(task_id, |task| task.hold_id = Some(id));
        }
        self.entry(EntryKind::Hold, neg(amount), amount, |entry| {
            entry.draw = draw;
            entry.hold_id = Some(id);
            entry.task_id = task_id.cloned();
            entry.terms = Some(Terms::Hold { expires_at, terms });
        })
    }

    /// Books the whole of a hold as captured.
    #[must_use]
    pub fn capture(mut self, hold_id: HoldId) -> Draft {
        let (hold, draw) = self.end_hold(hold_id, HoldState::Committed, true);
        if let Some(task_id) = &hold.terms.task_id {
            self.touch_task(task_id, |task| task.charges += 1);
        }
        self.entry(EntryKind::Capture, Amount::ZERO, neg(draw.total()), |entry| {
            entry.draw = draw;
            entry.hold_id = Some(hold_id);
            entry.task_id = hold.terms.task_id.clone();
            entry.terms = Some(Terms::HoldState { state: HoldState::Committed });
        })
    }

    /// Books the whole of a hold as released, in this state from now on.
    #[must_use]
    pub fn release(mut self, hold_id: HoldId, state: HoldState) -> Draft {
        let (hold, draw) = self.end_hold(hold_id, state, false);
        let effective_at = if state == HoldState::Expired { hold.expires_at } else { self.now };
        self.entry(EntryKind::Release, draw.total(), neg(draw.total()), |entry| {
            entry.draw = draw;
            entry.hold_id = Some(hold_id);
            entry.task_id = hold.terms.task_id.clone();
            entry.terms = Some(Terms::HoldState { state });
            entry.effective_at = effective_at;
        })
    }

    /// What was booked so far becomes the settlement that precedes the command.
    #[must_use]
    pub fn settled(mut self) -> Draft {
        self.changes.stored_mut().operation.settled_count = self.next_ordinal() - 1;
        self
    }

    /// Books an entry. `fill` sets what it says beside its amounts.
    #[must_use]
    pub fn entry(mut self, kind: EntryKind, change: Amount, frozen_change: Amount, fill: impl FnOnce(&mut Entry)) -> Draft {
        let ordinal = self.next_ordinal();
        let op_id = self.changes.op_id();
        let account = self.changes.account_mut();
        account.seq += 1;
        account.available = sum(account.available, change);
        account.frozen = sum(account.frozen, frozen_change);
        book_contra(account, kind, sum(change, frozen_change));
        let mut entry = Entry {
            op_id,
            ordinal,
            account: Arc::clone(&account.key),
            seq: account.seq,
            kind,
            change,
            frozen_change,
            balance_after: account.available,
            frozen_after: account.frozen,
            draw: Draw::default(),
            terms: None,
            hold_id: None,
            grant_id: None,
            task_id: None,
            template_id: None,
            app_id: None,
            text: EntryText::default(),
            effective_at: self.now,
            created_at: self.now,
            erased_text_hash: None,
            hash: ChainHash::default(),
        };
        fill(&mut entry);
        entry.hash = entry.chain_after(&account.head, &text_hash(&entry.text));
        account.head = entry.hash;
        let stored = self.changes.stored_mut();
        stored.operation.entry_count += 1;
        stored.entries.push(entry);
        self
    }

    /// The changes.
    #[must_use]
    pub fn done(self) -> Changes {
        self.changes
    }

    fn due_by(&mut self, at: Option<Timestamp>) {
        let due_at = &mut self.changes.account_mut().due_at;
        *due_at = [*due_at, at].into_iter().flatten().min();
    }

    fn move_grant(&mut self, grant_id: GrantId, remaining: Amount, held: Amount) {
        let grant = self.grants.get_mut(&grant_id).expect("a grant of the facts");
        let was_open = grant.is_open();
        grant.remaining = sum(grant.remaining, remaining);
        grant.held = sum(grant.held, held);
        let changes = &mut self.changes;
        match (was_open, grant.is_open()) {
            (true, false) => changes.account_mut().open_grants -= 1,
            (false, true) => changes.account_mut().open_grants += 1,
            _ => {}
        }
        if let Some(new) = changes.new_grants.iter_mut().find(|new| new.id == grant_id) {
            *new = grant.clone();
        } else {
            changes.changed_grants.retain(|changed| changed.id != grant_id);
            changes.changed_grants.push(grant.clone());
        }
    }

    /// Ends a hold; what it held is consumed or goes back.
    fn end_hold(&mut self, hold_id: HoldId, state: HoldState, consumed: bool) -> (Hold, Draw) {
        let mut hold = self.holds.get(&hold_id).expect("a hold of the facts").clone();
        let draw = std::mem::take(&mut hold.draw);
        for line in draw.lines() {
            self.move_grant(line.grant_id, if consumed { Amount::ZERO } else { line.amount }, neg(line.amount));
        }
        hold.state = state;
        if consumed {
            hold.captured = sum(hold.captured, draw.total());
        }
        self.changes.account_mut().open_holds -= 1;
        self.changes.changed_holds.push(hold.clone());
        (hold, draw)
    }

    fn touch_task(&mut self, task_id: &TaskId, change: impl FnOnce(&mut Task)) {
        let task = self.tasks.entry(task_id.clone()).or_default();
        task.last_at = self.now;
        change(task);
        self.changes.task = Some((task_id.clone(), task.clone()));
    }
}

/// The open grants of an account, and those that were named.
fn open_and_named(facts: &Facts) -> impl FnOnce(&AccountFacts) -> HashMap<GrantId, Grant> {
    move |account| {
        let named = facts.grants.iter().filter(|(_, (key, _))| *key == account.account.key);
        let mut grants: HashMap<_, _> = named.map(|(id, (_, grant))| (*id, grant.clone())).collect();
        grants.extend(account.grants.iter().map(|(id, grant)| (*id, grant.clone())));
        grants
    }
}

fn operation(now: Timestamp, account: &Account, kind: OperationKind) -> Operation {
    Operation {
        op_id: next_op_id(now, &account.key.tenant_id),
        kind,
        tenant_id: account.key.tenant_id.clone(),
        account: Some(Arc::clone(&account.key)),
        subject: None,
        key: None,
        fingerprint: Fingerprint::from_bytes(&[7; 16]).expect("16 bytes are a fingerprint"),
        first_seq: account.seq + 1,
        entry_count: 0,
        settled_count: 0,
        actor: None,
        request_id: None,
        policy_tag: None,
        created_at: now,
        refunded: Amount::ZERO,
        band: None,
        answer: None,
        denial: None,
        alerts: Vec::new(),
    }
}

/// Books the other side of an entry that changes what the owner has by `change`.
fn book_contra(account: &mut Account, kind: EntryKind, change: Amount) {
    let totals = &mut account.totals;
    let (total, change) = match kind {
        EntryKind::Grant | EntryKind::Import => (&mut totals.issued, change),
        EntryKind::Capture | EntryKind::Charge | EntryKind::Refund | EntryKind::Reissue => (&mut totals.consumed, neg(change)),
        EntryKind::Expire => (&mut totals.expired, neg(change)),
        EntryKind::Void => (&mut totals.forfeited, neg(change)),
        EntryKind::Adjust if change.is_negative() => (&mut totals.adjusted_out, neg(change)),
        EntryKind::Adjust => (&mut totals.adjusted_in, change),
        EntryKind::Hold | EntryKind::Release | EntryKind::Extend | EntryKind::Amend | EntryKind::Rollover => return,
    };
    *total = sum(*total, change);
}

fn sum(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).expect("a sum that fits")
}

fn neg(amount: Amount) -> Amount {
    amount.checked_neg().expect("an amount that can be negated")
}
