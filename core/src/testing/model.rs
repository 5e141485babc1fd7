//! A naive model of the contract: plain lists, linear scans, whole millionths. It is written from the rules alone and
//! shares no code with the engine but its types, so that the two can check one another.
//!
//! Grants, holds and uses (charges and captures) bear the model's own numbers, in the order in which they were made;
//! [`Model::pair`] learns from a receipt which of the engine's ids belong to them.
#![expect(clippy::indexing_slicing, reason = "the numbers of lots, freezes, uses and purses are the model's own")]

use crate::command::{AmendGrant, CaptureHold, Charge, ExtendHold, GrantCredit, PlaceHold, Refund, RefundOf, ReleaseHold};
use crate::credit::{ExpiredRefund, GrantType, HoldState, LateCommit, OverCapture, Payer, Policies, Scope};
use crate::credit::{MAX_DRAW_GRANTS, MAX_OPEN_GRANTS, MAX_OPEN_HOLDS, MAX_TASK_CHARGES};
use crate::denial::DenialKind::{self, *};
use crate::id::{AppId, GrantId, HoldId, LedgerId, TaskId, TemplateId, TenantId, Unit, UserId};
use crate::ledger::EntryKind;
use crate::owner::{AccountKey, Owner};
use crate::{Body, Command, Receipt, Timestamp};

/// Numbers of lots, and how many millionths of each.
pub type Lines = Vec<(usize, i64)>;

/// What an accepted command did, in millionths and microseconds. `None` where the command says nothing of the kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the one of the same name in the receipts")]
pub struct Effects {
    pub balance_after: i64,
    pub frozen_after: i64,
    pub change: Option<i64>,
    pub draw: Option<Lines>,
    pub refunded: Option<i64>,
    pub forfeited: Option<i64>,
    pub released: Option<i64>,
    pub captured: Option<i64>,
    pub captured_total: Option<i64>,
    pub held: Option<i64>,
    pub status: Option<HoldState>,
    pub expires_at: Option<i64>,
}

/// What the model answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The command takes effect.
    Accepted(Effects),
    /// It took effect before; the first answer again.
    Replayed(Effects),
    /// It is refused, and leaves no trace.
    Denied(DenialKind),
}

/// A grant.
#[derive(Clone, Debug)]
struct Lot {
    purse: usize,
    grant_type: GrantType,
    scope: Scope,
    priority: i32,
    from: i64,
    until: Option<i64>,
    left: i64,
    held: i64,
    pending: bool,
    voided: bool,
    id: Option<GrantId>,
}

/// A hold.
#[derive(Clone, Debug)]
struct Freeze {
    purse: usize,
    ask: PlaceHold,
    made_at: i64,
    until: i64,
    state: HoldState,
    lines: Lines,
    captured: i64,
    id: Option<HoldId>,
}

/// A charge or a capture, with what can still be refunded of it.
#[derive(Clone, Debug)]
struct Use {
    purse: usize,
    task_id: Option<TaskId>,
    at: i64,
    lines: Lines,
    id: Option<LedgerId>,
}

/// An account: where its credit came from and where it went.
#[derive(Clone, Debug)]
struct Purse {
    key: AccountKey,
    last_at: i64,
    came: i64,
    gone: i64,
}

/// The books as the contract says they must be.
#[derive(Clone, Debug, Default)]
pub struct Model {
    policies: Policies,
    purses: Vec<Purse>,
    lots: Vec<Lot>,
    freezes: Vec<Freeze>,
    uses: Vec<Use>,
    tasks: Vec<(TenantId, TaskId, i64)>,
    answers: Vec<(Command, Effects)>,
}

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;

impl Model {
    /// Empty books under these policies.
    #[must_use]
    pub fn new(policies: Policies) -> Model {
        Model { policies, ..Model::default() }
    }

    /// Decides a command, and books it if it is accepted. `clock`: what the engine's clock says.
    pub fn decide(&mut self, clock: Timestamp, command: &Command) -> Verdict {
        let before = self.clone();
        self.accept(clock.micros(), command).unwrap_or_else(|kind| {
            *self = before;
            Verdict::Denied(kind)
        })
    }

    /// What an account can draw, and what it has frozen, at this instant.
    #[must_use]
    pub fn balance(&self, key: &AccountKey, now: Timestamp) -> (i64, i64) {
        let Some(purse) = self.purses.iter().position(|purse| purse.key == *key) else { return (0, 0) };
        let mut settled = self.clone();
        settled.settle(purse, now.micros());
        settled.sums(purse)
    }

    /// The accounts that were ever booked.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountKey> {
        self.purses.iter().map(|purse| &purse.key)
    }

    /// The next instant after this one at which time alone changes something.
    #[must_use]
    pub fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        let lots = self.lots.iter().flat_map(|lot| [Some(lot.from), lot.until]).flatten();
        let freezes = self.freezes.iter().filter(|freeze| freeze.state == HoldState::Frozen).map(|freeze| freeze.until);
        lots.chain(freezes).filter(|at| *at > after.micros()).min().and_then(Timestamp::from_micros)
    }

    /// Whether in every account what came is what is there and what went, and nothing is below zero.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.lots.iter().all(|lot| lot.left >= 0 && lot.held >= 0)
            && (0..self.purses.len()).all(|purse| {
                let (available, frozen) = self.sums(purse);
                self.purses[purse].came == available + frozen + self.purses[purse].gone
            })
    }

    /// Learns the engine's ids for what the last accepted command made.
    pub fn pair(&mut self, receipt: &Receipt) {
        for entry in receipt.entries() {
            if let (Some(id), true) = (entry.grant_id, entry.terms.is_some())
                && !self.lots.iter().any(|lot| lot.id == Some(id))
                && let Some(lot) = self.lots.iter_mut().find(|lot| lot.id.is_none())
            {
                lot.id = Some(id);
            }
            if let (Some(id), EntryKind::Hold) = (entry.hold_id, entry.kind)
                && !self.freezes.iter().any(|freeze| freeze.id == Some(id))
                && let Some(freeze) = self.freezes.iter_mut().find(|freeze| freeze.id.is_none())
            {
                freeze.id = Some(id);
            }
            if matches!(entry.kind, EntryKind::Charge | EntryKind::Capture)
                && let Some(used) = self.uses.iter_mut().find(|used| used.id.is_none())
            {
                used.id = Some(entry.ledger_id());
            }
        }
    }

    /// The number of the grant with this id.
    #[must_use]
    pub fn grant_number(&self, id: GrantId) -> Option<usize> {
        self.lots.iter().position(|lot| lot.id == Some(id))
    }

    fn accept(&mut self, clock: i64, command: &Command) -> Result<Verdict, DenialKind> {
        command.check().map_err(|denial| denial.kind())?;
        let same_key = |known: &&(Command, Effects)| {
            command.context.idempotency_key.is_some()
                && known.0.context.idempotency_key == command.context.idempotency_key
                && known.0.context.tenant_id == command.context.tenant_id
        };
        if let Some((first, effects)) = self.answers.iter().find(same_key) {
            let same = what_is_asked(first) == what_is_asked(command);
            return if same { Ok(Verdict::Replayed(effects.clone())) } else { Err(IdempotencyConflict) };
        }
        let tenant = &command.context.tenant_id;
        let (purse, mut effects) = match &command.body {
            Body::Grant(ask) => {
                let (purse, now) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                (purse, self.grant(purse, now, ask)?)
            }
            Body::Void(ask) => {
                let (lot, now) = self.begin_lot(clock, tenant, ask.grant_id)?;
                (self.lots[lot].purse, self.void(lot, now)?)
            }
            Body::Amend(ask) => {
                let (lot, now) = self.begin_lot(clock, tenant, ask.grant_id)?;
                (self.lots[lot].purse, self.amend(lot, now, ask)?)
            }
            Body::Adjust(ask) => {
                let (purse, now) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                (purse, self.adjust(purse, now, ask.amount.micros())?)
            }
            Body::Hold(ask) => {
                let task = ask.task_id.as_ref();
                let (purse, now) = self.begin(clock, tenant, ask.payer.as_ref(), ask.user_id.as_ref(), ask.unit.as_ref(), task)?;
                (purse, self.hold(purse, now, ask)?)
            }
            Body::Extend(ask) => {
                let (freeze, now) = self.begin_freeze(clock, tenant, ask.hold_id)?;
                (self.freezes[freeze].purse, self.extend(freeze, now, ask)?)
            }
            Body::Capture(ask) => {
                let (freeze, now) = self.begin_freeze(clock, tenant, ask.hold_id)?;
                (self.freezes[freeze].purse, self.capture(freeze, now, ask)?)
            }
            Body::Release(ask) => {
                let (freeze, now) = self.begin_freeze(clock, tenant, ask.hold_id)?;
                (self.freezes[freeze].purse, self.release(freeze, now, ask)?)
            }
            Body::Charge(ask) => {
                let task = ask.task_id.as_ref();
                let (purse, now) = self.begin(clock, tenant, ask.payer.as_ref(), ask.user_id.as_ref(), ask.unit.as_ref(), task)?;
                (purse, self.charge(purse, now, ask)?)
            }
            Body::Refund(ask) => {
                let (purse, now) = self.begin(clock, tenant, ask.payer.as_ref(), ask.user_id.as_ref(), ask.unit.as_ref(), None)?;
                (purse, self.refund(purse, now, ask, command.context.idempotency_key.is_some())?)
            }
            Body::Settle(ask) => {
                let known = self.purses.len();
                let (purse, _) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                // Nothing was ever booked in an account that begins here.
                if purse == known {
                    return Err(AccountNotFound);
                }
                (purse, Effects::default())
            }
        };
        (effects.balance_after, effects.frozen_after) = self.sums(purse);
        self.answers.push((command.clone(), effects.clone()));
        Ok(Verdict::Accepted(effects))
    }

    // ---- finding, and the present ----

    /// The account that pays, settled, and the instant of the command.
    fn begin(
        &mut self,
        clock: i64,
        tenant: &TenantId,
        payer: Option<&Owner>,
        user: Option<&UserId>,
        unit: Option<&Unit>,
        task: Option<&TaskId>,
    ) -> Result<(usize, i64), DenialKind> {
        let policy = self.policies.of(tenant).clone();
        let owner = match (payer, policy.payer, user) {
            (Some(owner), ..) => owner.clone(),
            (None, Payer::Tenant, _) => Owner::Pool,
            (None, Payer::User, Some(user)) => Owner::User(user.clone()),
            (None, Payer::User, None) => return Err(OwnerInvalid),
        };
        let key = AccountKey::new(tenant.clone(), owner, unit.unwrap_or(&policy.unit).clone());
        let known = self.purses.iter().position(|purse| purse.key == key);
        let purse = known.unwrap_or_else(|| {
            self.purses.push(Purse { key, last_at: i64::MIN, came: 0, gone: 0 });
            self.purses.len() - 1
        });
        Ok((purse, self.present(clock, purse, task)))
    }

    fn begin_lot(&mut self, clock: i64, tenant: &TenantId, id: GrantId) -> Result<(usize, i64), DenialKind> {
        let lot = self.lots.iter().position(|lot| lot.id == Some(id) && self.purses[lot.purse].key.tenant_id == *tenant);
        let lot = lot.ok_or(GrantNotFound)?;
        Ok((lot, self.present(clock, self.lots[lot].purse, None)))
    }

    fn begin_freeze(&mut self, clock: i64, tenant: &TenantId, id: HoldId) -> Result<(usize, i64), DenialKind> {
        let mine = |freeze: &Freeze| freeze.id == Some(id) && self.purses[freeze.purse].key.tenant_id == *tenant;
        let freeze = self.freezes.iter().position(mine).ok_or(PreDeductNotFound)?;
        let task = self.freezes[freeze].ask.task_id.clone();
        Ok((freeze, self.present(clock, self.freezes[freeze].purse, task.as_ref())))
    }

    /// The later of the clock and the last booking of what is locked; books what has become due by then.
    fn present(&mut self, clock: i64, purse: usize, task: Option<&TaskId>) -> i64 {
        let mut now = clock.max(self.purses[purse].last_at);
        if let Some(task) = task {
            let tenant = self.purses[purse].key.tenant_id.clone();
            let known = self.tasks.iter().position(|known| known.0 == tenant && known.1 == *task);
            now = known.map_or(now, |known| now.max(self.tasks[known].2));
            known.map(|known| self.tasks.remove(known));
            self.tasks.push((tenant, task.clone(), now));
        }
        self.purses[purse].last_at = now;
        self.settle(purse, now);
        now
    }

    /// Books what is due: pending grants become effective, holds past their time are released, grants past theirs expire.
    fn settle(&mut self, purse: usize, now: i64) {
        for lot in 0..self.lots.len() {
            if self.lots[lot].purse == purse && self.lots[lot].pending && self.lots[lot].from <= now {
                self.lots[lot].pending = false;
                self.purses[purse].came += self.lots[lot].left;
            }
        }
        for freeze in 0..self.freezes.len() {
            let due = self.freezes[freeze].state == HoldState::Frozen && self.freezes[freeze].until <= now;
            if self.freezes[freeze].purse == purse && due {
                self.freezes[freeze].state = HoldState::Expired;
                let lines = std::mem::take(&mut self.freezes[freeze].lines);
                self.unfreeze(&lines, self.freezes[freeze].until);
            }
        }
        for lot in &mut self.lots {
            if lot.purse == purse && !lot.pending && lot.ended(now) {
                self.purses[purse].gone += std::mem::take(&mut lot.left);
            }
        }
    }

    // ---- grants ----

    fn grant(&mut self, purse: usize, now: i64, ask: &GrantCredit) -> Result<Effects, DenialKind> {
        let from = ask.effective_at.map_or(now, Timestamp::micros);
        let until = ask.expires_at.map(Timestamp::micros);
        if until.is_some_and(|until| until <= now || until <= from) {
            return Err(PayloadInvalid);
        }
        let amount = ask.amount.micros();
        self.add_lot(purse, now, ask.grant_type, ask.scope.clone(), ask.priority, (from, until), amount)?;
        let change = if from > now { 0 } else { amount };
        self.purses[purse].came += change;
        Ok(Effects { change: Some(change), expires_at: until, ..Effects::default() })
    }

    #[expect(clippy::too_many_arguments, reason = "what a lot is made of")]
    fn add_lot(
        &mut self,
        purse: usize,
        now: i64,
        grant_type: GrantType,
        scope: Scope,
        priority: i32,
        (from, until): (i64, Option<i64>),
        left: i64,
    ) -> Result<(), DenialKind> {
        let open = |lot: &&Lot| lot.purse == purse && (lot.pending || lot.left > 0 || lot.held > 0);
        if self.lots.iter().filter(open).count() >= MAX_OPEN_GRANTS {
            return Err(CapacityExceeded);
        }
        let pending = from > now;
        let (held, voided, id) = (0, false, None);
        self.lots.push(Lot { purse, grant_type, scope, priority, from, until, left, held, pending, voided, id });
        Ok(())
    }

    fn void(&mut self, lot: usize, now: i64) -> Result<Effects, DenialKind> {
        let lot = &mut self.lots[lot];
        if lot.voided || lot.ended(now) {
            return Err(PayloadInvalid);
        }
        let left = std::mem::take(&mut lot.left);
        let forfeited = if lot.pending { 0 } else { left };
        (lot.voided, lot.pending) = (true, false);
        self.purses[lot.purse].gone += forfeited;
        Ok(Effects { forfeited: Some(forfeited), ..Effects::default() })
    }

    fn amend(&mut self, lot: usize, now: i64, ask: &AmendGrant) -> Result<Effects, DenialKind> {
        let lot = &mut self.lots[lot];
        let later = lot.until.is_some_and(|until| until < ask.expires_at.micros());
        if lot.voided || lot.ended(now) || !later {
            return Err(PayloadInvalid);
        }
        lot.until = Some(ask.expires_at.micros());
        Ok(Effects { expires_at: lot.until, ..Effects::default() })
    }

    fn adjust(&mut self, purse: usize, now: i64, amount: i64) -> Result<Effects, DenialKind> {
        if amount > 0 {
            self.add_lot(purse, now, GrantType::Adjustment, Scope::default(), 0, (now, None), amount)?;
            self.purses[purse].came += amount;
            return Ok(Effects { change: Some(amount), ..Effects::default() });
        }
        let draw = self.draw(purse, now, -amount, None, None)?;
        self.purses[purse].gone -= amount;
        Ok(Effects { change: Some(amount), draw: Some(draw), ..Effects::default() })
    }

    /// Takes an amount out of the lots that can pay for it, in the one order of consumption.
    fn draw(
        &mut self,
        purse: usize,
        now: i64,
        amount: i64,
        app: Option<&AppId>,
        template: Option<&TemplateId>,
    ) -> Result<Lines, DenialKind> {
        let admits = |scope: &Scope| {
            (scope.app_id.is_none() || scope.app_id.as_ref() == app)
                && (scope.template_id.is_none() || scope.template_id.as_ref() == template)
        };
        let can_pay = |lot: &Lot| lot.purse == purse && lot.left > 0 && lot.from <= now && !lot.ended(now) && !lot.voided;
        let mut able: Vec<usize> =
            (0..self.lots.len()).filter(|n| can_pay(&self.lots[*n]) && admits(&self.lots[*n].scope)).collect();
        let listed = Vec::from(self.policies.of(&self.purses[purse].key.tenant_id).consumption_order.clone());
        able.sort_by_key(|n| {
            let lot = &self.lots[*n];
            let place = listed.iter().position(|listed| *listed == lot.grant_type);
            let place = place.unwrap_or(listed.len() + lot.grant_type as usize);
            (place, lot.priority, lot.scope == Scope::default(), lot.until.unwrap_or(i64::MAX), lot.from, lot.id)
        });
        let (mut lines, mut wanted) = (Lines::new(), amount);
        for n in able {
            let part = wanted.min(self.lots[n].left);
            if part > 0 {
                lines.push((n, part));
                self.lots[n].left -= part;
                wanted -= part;
            }
        }
        match (lines.len() > MAX_DRAW_GRANTS, wanted > 0) {
            (true, _) => Err(CapacityExceeded),
            (_, true) => Err(InsufficientBalance),
            _ => Ok(lines),
        }
    }

    // ---- holds ----

    fn hold(&mut self, purse: usize, now: i64, ask: &PlaceHold) -> Result<Effects, DenialKind> {
        let tenant = &self.purses[purse].key.tenant_id;
        let blocks = |freeze: &Freeze| {
            ask.task_id.is_some()
                && freeze.ask.task_id == ask.task_id
                && self.purses[freeze.purse].key.tenant_id == *tenant
                && matches!(freeze.state_at(now), HoldState::Frozen | HoldState::Committed)
        };
        if self.freezes.iter().any(blocks) {
            return Err(PreDeductAlreadyProcessed);
        }
        let open = |freeze: &&Freeze| freeze.purse == purse && freeze.state == HoldState::Frozen;
        if self.freezes.iter().filter(open).count() >= MAX_OPEN_HOLDS {
            return Err(CapacityExceeded);
        }
        let lines = self.draw(purse, now, ask.amount.micros(), ask.app_id.as_ref(), ask.template_id.as_ref())?;
        for (lot, part) in &lines {
            self.lots[*lot].held += part;
        }
        let until = now + i64::from(ask.expire_in) * MICROS;
        let (state, draw) = (HoldState::Frozen, Some(lines.clone()));
        self.freezes.push(Freeze { purse, ask: ask.clone(), made_at: now, until, state, lines, captured: 0, id: None });
        Ok(Effects { draw, expires_at: Some(until), ..Effects::default() })
    }

    fn extend(&mut self, freeze: usize, now: i64, ask: &ExtendHold) -> Result<Effects, DenialKind> {
        let freeze = &mut self.freezes[freeze];
        if freeze.state != HoldState::Frozen {
            return Err(PreDeductAlreadyProcessed);
        }
        let until = now + i64::from(ask.expire_in) * MICROS;
        if until <= freeze.until || until > freeze.made_at + 30 * DAY {
            return Err(PayloadInvalid);
        }
        freeze.until = until;
        Ok(Effects { expires_at: Some(until), ..Effects::default() })
    }

    fn capture(&mut self, freeze: usize, now: i64, ask: &CaptureHold) -> Result<Effects, DenialKind> {
        let Freeze { purse, ask: held, state, mut lines, captured, until, .. } = self.freezes[freeze].clone();
        let late = state == HoldState::Expired && held.late_commit == LateCommit::Draw;
        if state != HoldState::Frozen && !late {
            return Err(PreDeductAlreadyProcessed);
        }
        let differs = ask.task_id.is_some() && ask.task_id != held.task_id
            || ask.template_id.is_some() && ask.template_id != held.template_id
            || ask.user_id.is_some() && ask.user_id != held.user_id;
        if differs {
            return Err(PayloadInvalid);
        }
        let cost = ask.actual_cost.micros();
        let excess = (cost - total(&lines)).max(0);
        if excess > 0 && !late && held.over_capture == OverCapture::Reject {
            return Err(HoldExceeded);
        }
        let tenant = self.purses[purse].key.tenant_id.clone();
        self.count_use(&tenant, held.task_id.as_ref())?;
        let fresh = self.draw(purse, now, excess, held.app_id.as_ref(), held.template_id.as_ref())?;
        let mut taken = take(&mut lines, cost);
        for (lot, part) in &taken {
            self.lots[*lot].held -= part;
        }
        for line in &fresh {
            match taken.last_mut() {
                Some(last) if last.0 == line.0 => last.1 += line.1,
                _ => taken.push(*line),
            }
        }
        self.purses[purse].gone += cost;
        let came_back = if ask.last { self.unfreeze(&std::mem::take(&mut lines), now) } else { 0 };
        let status = if ask.last { HoldState::Committed } else { state };
        let (held_now, captured) = (total(&lines), captured + cost);
        let freeze = &mut self.freezes[freeze];
        (freeze.state, freeze.lines, freeze.captured) = (status, lines, captured);
        self.uses.push(Use { purse, task_id: held.task_id, at: now, lines: taken.clone(), id: None });
        Ok(Effects {
            change: Some(came_back - excess),
            draw: Some(taken),
            captured: Some(cost),
            captured_total: Some(captured),
            held: Some(held_now),
            status: Some(status),
            expires_at: Some(until),
            ..Effects::default()
        })
    }

    fn release(&mut self, freeze: usize, now: i64, ask: &ReleaseHold) -> Result<Effects, DenialKind> {
        let Freeze { ask: held, state, mut lines, .. } = self.freezes[freeze].clone();
        if state != HoldState::Frozen {
            return Err(PreDeductAlreadyProcessed);
        }
        if ask.task_id.is_some() && ask.task_id != held.task_id || ask.user_id.is_some() && ask.user_id != held.user_id {
            return Err(PayloadInvalid);
        }
        let amount = ask.amount.map_or(total(&lines), |amount| amount.micros());
        if amount > total(&lines) {
            return Err(AmountInvalid);
        }
        lines.reverse();
        let released = take(&mut lines, amount);
        lines.reverse();
        let change = self.unfreeze_in_order(&released, now);
        let status = if ask.amount.is_some() { HoldState::Frozen } else { HoldState::Cancelled };
        let held_now = total(&lines);
        (self.freezes[freeze].state, self.freezes[freeze].lines) = (status, lines);
        let (released, held, change) = (Some(amount), Some(held_now), Some(change));
        Ok(Effects { released, held, change, status: Some(status), ..Effects::default() })
    }

    /// Gives frozen parts back, the last drawn first; answers how much of it can be drawn again.
    fn unfreeze(&mut self, lines: &Lines, at: i64) -> i64 {
        self.unfreeze_in_order(&lines.iter().rev().copied().collect(), at)
    }

    fn unfreeze_in_order(&mut self, lines: &Lines, at: i64) -> i64 {
        lines
            .iter()
            .map(|(lot, part)| {
                self.lots[*lot].held -= part;
                self.give_back(*lot, *part, at)
            })
            .sum()
    }

    /// What comes back to a grant that has ended is lost at once; answers what is not.
    fn give_back(&mut self, lot: usize, part: i64, at: i64) -> i64 {
        let lot = &mut self.lots[lot];
        if lot.voided || lot.ended(at) {
            self.purses[lot.purse].gone += part;
            return 0;
        }
        lot.left += part;
        part
    }

    // ---- charges and refunds ----

    fn charge(&mut self, purse: usize, now: i64, ask: &Charge) -> Result<Effects, DenialKind> {
        let tenant = self.purses[purse].key.tenant_id.clone();
        self.count_use(&tenant, ask.task_id.as_ref())?;
        let amount = ask.amount.micros();
        let lines = self.draw(purse, now, amount, ask.app_id.as_ref(), ask.template_id.as_ref())?;
        self.purses[purse].gone += amount;
        self.uses.push(Use { purse, task_id: ask.task_id.clone(), at: now, lines: lines.clone(), id: None });
        Ok(Effects { change: Some(-amount), draw: Some(lines), ..Effects::default() })
    }

    /// A task has at most so many charges and captures.
    fn count_use(&self, tenant: &TenantId, task: Option<&TaskId>) -> Result<(), DenialKind> {
        let same =
            |used: &&Use| task.is_some() && used.task_id.as_ref() == task && self.purses[used.purse].key.tenant_id == *tenant;
        if self.uses.iter().filter(same).count() >= MAX_TASK_CHARGES { Err(CapacityExceeded) } else { Ok(()) }
    }

    fn refund(&mut self, purse: usize, now: i64, ask: &Refund, keyed: bool) -> Result<Effects, DenialKind> {
        let policy = self.policies.of(&self.purses[purse].key.tenant_id).clone();
        let named = |used: &Use| match &ask.of {
            RefundOf::TaskId(task) => used.task_id.as_ref() == Some(task),
            RefundOf::LedgerId(id) => used.id == Some(*id),
        };
        let mut of: Vec<usize> = (0..self.uses.len()).filter(|n| self.uses[*n].purse == purse && named(&self.uses[*n])).collect();
        of.reverse();
        let too_late = |used: &Use| policy.refund_window_days.is_some_and(|days| now > used.at + i64::from(days) * DAY);
        let barred = policy.refund_operators.as_ref().is_some_and(|allowed| !allowed.contains(&ask.operator));
        if of.is_empty() || barred || of.iter().any(|n| too_late(&self.uses[*n])) {
            return Err(RefundNotAllowed);
        }
        let rest: i64 = of.iter().map(|n| total(&self.uses[*n].lines)).sum();
        let amount = ask.amount.map_or(rest, |amount| amount.micros());
        match () {
            () if ask.amount.is_some() && amount <= 0 => return Err(InvalidRefundAmount),
            () if amount < rest && !keyed => return Err(PayloadInvalid),
            () if rest == 0 => return Err(RefundDuplicate),
            () if amount > rest => return Err(InvalidRefundAmount),
            () => self.purses[purse].gone -= amount,
        }
        let (mut wanted, mut by_lot) = (amount, Lines::new());
        for n in of {
            self.uses[n].lines.reverse();
            let restored = take(&mut self.uses[n].lines, wanted);
            self.uses[n].lines.reverse();
            wanted -= total(&restored);
            for (lot, part) in restored {
                match by_lot.iter_mut().find(|line| line.0 == lot) {
                    Some(line) => line.1 += part,
                    None => by_lot.push((lot, part)),
                }
            }
        }
        let mut change = 0;
        for (lot, part) in by_lot {
            change += self.restore(lot, part, now, policy.expired_refund, i64::from(policy.grace_days))?;
        }
        let (refunded, forfeited) = (Some(amount), Some(amount - change));
        Ok(Effects { change: Some(change), refunded, forfeited, ..Effects::default() })
    }

    /// Gives consumed credit back to its grant, or to a new one of its kind where it has ended.
    fn restore(&mut self, lot: usize, part: i64, now: i64, ended: ExpiredRefund, grace: i64) -> Result<i64, DenialKind> {
        let Lot { purse, grant_type, scope, priority, voided, .. } = self.lots[lot].clone();
        if !(voided || self.lots[lot].ended(now)) || ended == ExpiredRefund::Forfeit {
            return Ok(self.give_back(lot, part, now));
        }
        self.add_lot(purse, now, grant_type, scope, priority, (now, Some(now + grace * DAY)), part)?;
        Ok(part)
    }

    /// What can be drawn and what is frozen, of a settled account.
    fn sums(&self, purse: usize) -> (i64, i64) {
        let lots = self.lots.iter().filter(|lot| lot.purse == purse);
        lots.fold((0, 0), |(left, held), lot| (left + if lot.pending { 0 } else { lot.left }, held + lot.held))
    }
}

impl Lot {
    fn ended(&self, now: i64) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Freeze {
    fn state_at(&self, now: i64) -> HoldState {
        if self.state == HoldState::Frozen && self.until <= now { HoldState::Expired } else { self.state }
    }
}

/// The fields that decide whether two commands are the same.
fn what_is_asked(command: &Command) -> serde_json::Map<String, serde_json::Value> {
    let mut fields = command.to_fields();
    fields.retain(|name, _| !matches!(name.as_str(), "metadata" | "actor" | "request_id"));
    fields
}

fn total(lines: &Lines) -> i64 {
    lines.iter().map(|(_, part)| part).sum()
}

/// Takes an amount from the first lines on.
fn take(lines: &mut Lines, amount: i64) -> Lines {
    let (mut taken, mut wanted) = (Lines::new(), amount);
    for line in lines.iter_mut() {
        let part = wanted.min(line.1);
        if part > 0 {
            taken.push((line.0, part));
            line.1 -= part;
            wanted -= part;
        }
    }
    lines.retain(|line| line.1 > 0);
    taken
}
