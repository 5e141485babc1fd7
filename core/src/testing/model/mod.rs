//! A naive model of the rules: plain lists, linear scans, whole millionths. It is written from the rules alone and
//! shares no code with the engine but its types, so that the two can check one another.
//!
//! Grants, holds and uses (charges and captures) bear the model's own numbers, in the order in which they were made;
//! [`Model::pair`] learns from a receipt which of the engine's ids belong to them.
#![expect(clippy::indexing_slicing, reason = "the numbers of lots, freezes, uses and purses are the model's own")]

mod recur;
mod rules;

use crate::command::PlaceHold;
use crate::credit::{GrantType, HoldState, Payer, Policies, Scope};
use crate::denial::DenialKind::{self, *};
use crate::id::{GrantId, HoldId, LedgerId, TaskId, TenantId, Unit, UserId};
use crate::ledger::{EntryKind, Terms};
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
    period: Option<Period>,
}

/// Of which rule a lot is, and of which of its periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Period {
    rule: usize,
    k: u32,
    carried: bool,
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

/// The books as the rules say they must be.
#[derive(Clone, Debug, Default)]
pub struct Model {
    policies: Policies,
    purses: Vec<Purse>,
    lots: Vec<Lot>,
    freezes: Vec<Freeze>,
    rhythms: Vec<recur::Rhythm>,
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
        // Answers are only ever added, and only to what is accepted: they need not be kept twice.
        let answers = std::mem::take(&mut self.answers);
        let before = self.clone();
        self.answers = answers;
        self.accept(clock.micros(), command).unwrap_or_else(|kind| {
            let answers = std::mem::take(&mut self.answers);
            *self = Model { answers, ..before };
            Verdict::Denied(kind)
        })
    }

    /// What an account can draw, and what it has frozen, at this instant.
    #[must_use]
    pub fn balance(&self, key: &AccountKey, now: Timestamp) -> (i64, i64) {
        let Some(purse) = self.purses.iter().position(|purse| purse.key == *key) else { return (0, 0) };
        let (purses, lots, freezes) = (self.purses.clone(), self.lots.clone(), self.freezes.clone());
        let mut settled = Model { purses, lots, freezes, rhythms: self.rhythms.clone(), ..Model::default() };
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
        let rhythms = self.rhythms.iter().filter(|rhythm| !rhythm.ended).map(|rhythm| rhythm.next_at);
        lots.chain(freezes).chain(rhythms).filter(|at| *at > after.micros()).min().and_then(Timestamp::from_micros)
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
            self.pair_rule(entry);
            if let (Some(id), true) = (entry.grant_id, entry.terms.is_some())
                && !self.lots.iter().any(|lot| lot.id == Some(id))
                && !matches!(&entry.terms, Some(Terms::Grant { terms, .. }) if terms.recurrence.is_some())
                && let Some(lot) = self.lots.iter_mut().find(|lot| lot.id.is_none() && lot.period.is_none())
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
            Body::Recur(ask) => {
                let (purse, now) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                (purse, self.recur(purse, now, ask)?)
            }
            Body::StopRule(ask) => (self.stop(clock, tenant, ask.rule_id)?, Effects::default()),
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

    /// Books what is due, boundary by boundary.
    fn settle(&mut self, purse: usize, now: i64) {
        while let Some((at, rhythm)) = self.next_boundary(purse, now) {
            self.settle_between(purse, at);
            self.boundary(rhythm);
        }
        self.settle_between(purse, now);
    }

    /// Pending grants become effective, holds past their time are released, grants past theirs expire.
    fn settle_between(&mut self, purse: usize, now: i64) {
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
        for lot in 0..self.lots.len() {
            // A rule goes on at the end of its present instance, whatever is left of it.
            let goes_on = self.goes_on(lot);
            let lot = &mut self.lots[lot];
            if lot.purse == purse && !lot.pending && lot.ended(now) && !goes_on {
                self.purses[purse].gone += std::mem::take(&mut lot.left);
            }
        }
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
