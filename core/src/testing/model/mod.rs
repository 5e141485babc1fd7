//! A naive model of the rules: plain lists, linear scans, whole millionths. It is written from the rules alone and
//! shares no code with the engine but its types, so that the two can check one another.
//!
//! Grants, holds and uses (charges and captures) bear the model's own numbers, in the order in which they were made;
//! [`Model::pair`] learns from a receipt which of the engine's ids belong to them.
#![expect(clippy::indexing_slicing, reason = "the numbers of lots, freezes, uses and purses are the model's own")]

mod licences;
mod recur;
mod risk;
mod rules;
mod spending;
mod tasks;

pub use tasks::Deed;

use crate::audit::{AuditRecord, Quote};
use crate::command::PlaceHold;
use crate::credit::{Band, GrantType, HoldState, LowBalance, Payer, Policies, Scope};
use crate::denial::DenialKind::{self, *};
use crate::id::{AuditId, GrantId, HoldId, LedgerId, TaskId, TemplateId, TenantId, Unit, UserId};
use crate::ledger::{EntryKind, Terms};
use crate::owner::{AccountKey, Owner};
use crate::task::TaskStatus;
use crate::{Body, Command, Receipt, Timestamp};

/// Stands for the credit limit where numbers of lots stand.
pub const DEBT: usize = usize::MAX;

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
    pub changed: Option<bool>,
    pub band: Option<Band>,
    /// What is left of the licence, and how often the user has used it.
    pub quota: Option<(i64, u64)>,
    /// Compliance is told of an anomaly.
    pub told: bool,
    pub progress: Option<u8>,
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
    /// Something was drawn from it, or a receipt named it.
    kept: bool,
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
    permit: Option<usize>,
    /// Whose use of the licence it is. Erasing who acted does not change it.
    permitted: Option<UserId>,
    /// A user acted, known or erased since.
    acted: bool,
    id: Option<HoldId>,
    /// The number of its first entry, as the receipt says.
    seq: u64,
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

/// An account: where its credit came from and where it went, and what was drawn on its credit limit: consumed (`owed`) or kept by
/// holds (`promised`).
#[derive(Clone, Debug)]
struct Purse {
    key: AccountKey,
    last_at: i64,
    came: i64,
    gone: i64,
    /// How many entries it has, as the receipts say.
    version: u64,
    blocked: bool,
    limit: i64,
    low: Option<LowBalance>,
    band: Band,
    owed: i64,
    promised: i64,
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
    deeds: Vec<tasks::Noted>,
    stops: Vec<spending::Stop>,
    colleagues: Vec<spending::Colleague>,
    permits: Vec<licences::Permit>,
    tallies: Vec<risk::Tally>,
    answers: Vec<(Command, Answer)>,
    quotes: Vec<(AuditId, Quote)>,
    /// What the command that is decided expects.
    expected: Option<u64>,
    /// The user is known to mean it.
    verified: bool,
}

/// What a key answers again.
type Answer = Result<Effects, DenialKind>;

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROS;

impl Model {
    /// Empty books under these policies.
    #[must_use]
    pub fn new(policies: Policies) -> Model {
        Model { policies, ..Model::default() }
    }

    /// The same, where these records of the audit were written before.
    #[must_use]
    pub fn quoted(self, records: &[AuditRecord]) -> Model {
        let quotes = records.iter().filter_map(|record| Some((record.audit_id, Quote::of(record)?))).collect();
        Model { quotes, ..self }
    }

    /// Decides a command, and books it if it is accepted. `clock`: what the engine's clock says.
    pub fn decide(&mut self, clock: Timestamp, command: &Command) -> Verdict {
        // Answers are only ever added: they need not be kept twice.
        let answers = std::mem::take(&mut self.answers);
        let before = self.clone();
        self.answers = answers;
        self.accept(clock.micros(), command).unwrap_or_else(|kind| {
            let mut answers = std::mem::take(&mut self.answers);
            let is_known = answers.iter().any(|known| same_key(&known.0, command));
            if command.context.remember_denials && command.check().is_ok() && !is_known {
                answers.push((command.clone(), Err(kind)));
            }
            *self = Model { answers, ..before };
            Verdict::Denied(kind)
        })
    }

    /// What an account can draw, and what it has frozen, at this instant.
    #[must_use]
    pub fn balance(&self, key: &AccountKey, now: Timestamp) -> (i64, i64) {
        self.settled(key, now).map_or((0, 0), |(settled, purse)| settled.sums(purse))
    }

    /// What an account owes, and where its balance stands by its threshold, at this instant.
    #[must_use]
    pub fn owed_and_band(&self, key: &AccountKey, now: Timestamp) -> (i64, Band) {
        let owed_and_band = |(settled, purse): (Model, usize)| (settled.purses[purse].owed, settled.band(purse));
        self.settled(key, now).map_or((0, Band::Normal), owed_and_band)
    }

    fn settled(&self, key: &AccountKey, now: Timestamp) -> Option<(Model, usize)> {
        let purse = self.purses.iter().position(|purse| purse.key == *key)?;
        let (purses, lots, freezes) = (self.purses.clone(), self.lots.clone(), self.freezes.clone());
        let mut settled = Model { purses, lots, freezes, rhythms: self.rhythms.clone(), ..Model::default() };
        settled.settle(purse, now.micros());
        Some((settled, purse))
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
            && self.purses.iter().all(|purse| purse.owed >= 0 && purse.promised >= 0)
            && (0..self.purses.len()).all(|purse| {
                let (available, frozen) = self.sums(purse);
                self.purses[purse].came == available + frozen + self.purses[purse].gone
            })
    }

    /// Learns the engine's ids for what the last accepted command made.
    pub fn pair(&mut self, receipt: &Receipt) {
        let operation = &receipt.stored.operation;
        if let Some(purse) = self.purses.iter_mut().find(|purse| operation.account.as_deref() == Some(&purse.key)) {
            purse.version = operation.version();
        }
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
                (freeze.id, freeze.seq) = (Some(id), entry.seq);
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
        if id == GrantId::DEBT {
            return Some(DEBT);
        }
        self.lots.iter().position(|lot| lot.id == Some(id))
    }

    fn accept(&mut self, clock: i64, command: &Command) -> Result<Verdict, DenialKind> {
        command.check().map_err(|denial| denial.kind())?;
        if let Some((first, answer)) = self.answers.iter().find(|known| same_key(&known.0, command)) {
            let same = what_is_asked(first) == what_is_asked(command);
            return if same { answer.clone().map(Verdict::Replayed) } else { Err(IdempotencyConflict) };
        }
        let tenant = &command.context.tenant_id;
        self.expected = command.context.expected_version;
        self.verified = command.context.verified;
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
                let (payer, user, task) = (ask.payer.as_ref(), ask.user_id.as_ref(), ask.task_id.as_ref());
                let clock = clock.max(self.last_word(tenant, payer, user, ask.template_id.as_ref())?);
                let account = self.would_pay(tenant, payer, user, ask.unit.as_ref())?;
                let clock = clock.max(self.last_tallied(&account, user, ask.app_id.as_ref(), false));
                let (purse, now) = self.begin(clock, tenant, payer, user, ask.unit.as_ref(), task)?;
                self.may_spend(purse, user, ask.app_id.as_ref(), ask.amount.micros(), now)?;
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
                let (payer, user, task) = (ask.payer.as_ref(), ask.user_id.as_ref(), ask.task_id.as_ref());
                let clock = clock.max(self.last_word(tenant, payer, user, ask.template_id.as_ref())?);
                let account = self.would_pay(tenant, payer, user, ask.unit.as_ref())?;
                let clock = clock.max(self.last_tallied(&account, user, ask.app_id.as_ref(), true));
                self.refuse_requests(clock, &account, ask)?;
                let (purse, now) = self.begin(clock, tenant, payer, user, ask.unit.as_ref(), task)?;
                self.may_spend(purse, user, ask.app_id.as_ref(), ask.amount.micros(), now)?;
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
            Body::SetCreditLimit(ask) => {
                let (purse, _) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                self.refuse_beyond_rules(purse, ask.credit_limit.micros())?;
                self.purses[purse].limit = ask.credit_limit.micros();
                (purse, Effects::default())
            }
            Body::Import(ask) => {
                let (purse, now) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                (purse, self.import(purse, now, ask)?)
            }
            Body::SetLowBalance(ask) => {
                let (purse, _) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                self.purses[purse].low = ask.low_balance;
                (purse, Effects::default())
            }
            Body::Recur(ask) => {
                let (purse, now) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                (purse, self.recur(purse, now, ask)?)
            }
            Body::StopRule(ask) => (self.stop(clock, tenant, ask.rule_id)?, Effects::default()),
            // Of all text the model knows the users of holds alone.
            Body::EraseText(ask) => {
                let known = self.purses.len();
                let (purse, _) = self.begin(clock, tenant, Some(&ask.owner), None, ask.unit.as_ref(), None)?;
                if purse == known {
                    return Err(AccountNotFound);
                }
                let meant = |freeze: &&mut Freeze| {
                    freeze.purse == purse
                        && freeze.state != HoldState::Frozen
                        && freeze.seq > ask.after_seq
                        && (ask.user_id.is_none() || ask.user_id == freeze.ask.user_id)
                };
                self.freezes.iter_mut().filter(meant).for_each(|freeze| freeze.ask.user_id = None);
                (purse, Effects::default())
            }
            Body::Block(ask) => return self.block(clock, command, &ask.target, true),
            Body::Unblock(ask) => return self.block(clock, command, &ask.target, false),
            Body::SetMember(ask) => {
                let effects = self.set_member(clock, tenant, ask);
                return Ok(self.answer(command, effects));
            }
            Body::RemoveMember(ask) => {
                let effects = self.remove_member(clock, tenant, ask)?;
                return Ok(self.answer(command, effects));
            }
            Body::SetLicence(ask) => {
                let effects = self.set_licence(clock, tenant, ask)?;
                return Ok(self.answer(command, effects));
            }
            Body::RevokeLicence(ask) => {
                let effects = self.revoke_licence(clock, tenant, ask)?;
                return Ok(self.answer(command, effects));
            }
            Body::SubmitDocuments(ask) => {
                let effects = self.submit(clock, tenant, ask)?;
                return Ok(self.answer(command, effects));
            }
            Body::AdvanceTask(ask) => {
                let effects = self.advance(clock, tenant, ask)?;
                return Ok(self.answer(command, effects));
            }
            Body::CompleteTask(ask) => self.complete(clock, tenant, ask)?,
            Body::FailTask(ask) => self.fail(clock, tenant, ask)?,
        };
        (effects.balance_after, effects.frozen_after) = self.sums(purse);
        let band = self.band(purse);
        effects.band = (band != self.purses[purse].band).then_some(band);
        self.purses[purse].band = band;
        Ok(self.answer(command, effects))
    }

    fn answer(&mut self, command: &Command, effects: Effects) -> Verdict {
        self.answers.push((command.clone(), Ok(effects.clone())));
        Verdict::Accepted(effects)
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
        let owner = self.payer(tenant, payer, user)?;
        let key = AccountKey::new(tenant.clone(), owner, unit.unwrap_or(&policy.unit).clone());
        let known = self.purses.iter().position(|purse| purse.key == key);
        let purse = known.unwrap_or_else(|| {
            self.purses.push(Purse {
                key,
                last_at: i64::MIN,
                came: 0,
                gone: 0,
                version: 0,
                blocked: false,
                limit: 0,
                low: None,
                band: Band::Normal,
                owed: 0,
                promised: 0,
            });
            self.purses.len() - 1
        });
        self.expect_version(purse)?;
        Ok((purse, self.present(clock, purse, task)))
    }

    /// The account has the version that the command expects.
    pub(super) fn expect_version(&self, purse: usize) -> Result<(), DenialKind> {
        match self.expected {
            Some(expected) if expected != self.purses[purse].version => Err(VersionConflict),
            _ => Ok(()),
        }
    }

    fn payer(&self, tenant: &TenantId, payer: Option<&Owner>, user: Option<&UserId>) -> Result<Owner, DenialKind> {
        match (payer, self.policies.of(tenant).payer, user) {
            (Some(owner), ..) => Ok(owner.clone()),
            (None, Payer::Tenant, _) => Ok(Owner::Pool),
            (None, Payer::User, Some(user)) => Ok(Owner::User(user.clone())),
            (None, Payer::User, None) => Err(OwnerInvalid),
        }
    }

    fn begin_lot(&mut self, clock: i64, tenant: &TenantId, id: GrantId) -> Result<(usize, i64), DenialKind> {
        let lot = self.lots.iter().position(|lot| lot.id == Some(id) && self.purses[lot.purse].key.tenant_id == *tenant);
        let lot = lot.ok_or(GrantNotFound)?;
        self.expect_version(self.lots[lot].purse)?;
        Ok((lot, self.present(clock, self.lots[lot].purse, None)))
    }

    fn begin_freeze(&mut self, clock: i64, tenant: &TenantId, id: HoldId) -> Result<(usize, i64), DenialKind> {
        let mine = |freeze: &Freeze| freeze.id == Some(id) && self.purses[freeze.purse].key.tenant_id == *tenant;
        let freeze = self.freezes.iter().position(mine).ok_or(PreDeductNotFound)?;
        Ok((freeze, self.begin_with(clock, freeze)?))
    }

    /// The instant of a command about a hold, and its account settled.
    fn begin_with(&mut self, clock: i64, freeze: usize) -> Result<i64, DenialKind> {
        self.expect_version(self.freezes[freeze].purse)?;
        let task = self.freezes[freeze].ask.task_id.clone();
        let now = self.present(clock.max(self.last_of_permit(freeze)), self.freezes[freeze].purse, task.as_ref());
        self.touch(self.freezes[freeze].permit, now);
        self.touch_tally(freeze, now);
        Ok(now)
    }

    /// The latest instant at which something was said of who spends, or of the licences that can be used.
    fn last_word(
        &self,
        tenant: &TenantId,
        payer: Option<&Owner>,
        user: Option<&UserId>,
        template: Option<&TemplateId>,
    ) -> Result<i64, DenialKind> {
        let payer = self.payer(tenant, payer, user)?;
        let pays = if let Owner::User(id) = &payer { Some(id) } else { None };
        Ok(self.last_said(tenant, &payer, user).max(self.last_licensed(tenant, template, user.or(pays))))
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
        for freeze in 0..self.freezes.len() {
            let Freeze { purse: of, state, until, permit, .. } = self.freezes[freeze];
            if of == purse && state == HoldState::Frozen && until <= now {
                self.touch(permit, now);
                self.touch_tally(freeze, now);
            }
        }
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
        let begins = |lot: &Lot| lot.purse == purse && lot.pending && lot.from <= now;
        let mut begun: Vec<usize> = (0..self.lots.len()).filter(|lot| begins(&self.lots[*lot])).collect();
        begun.sort_by_key(|lot| (self.lots[*lot].from, self.lots[*lot].id));
        for lot in begun {
            self.lots[lot].pending = false;
            self.purses[purse].came += self.lots[lot].left;
            self.repay(lot);
        }
        for freeze in 0..self.freezes.len() {
            let due = self.freezes[freeze].state == HoldState::Frozen && self.freezes[freeze].until <= now;
            if self.freezes[freeze].purse == purse && due {
                self.freezes[freeze].state = HoldState::Expired;
                let lines = std::mem::take(&mut self.freezes[freeze].lines);
                let held = lines.iter().map(|(_, part)| part).sum();
                self.unuse(freeze, held);
                self.unspend(freeze, held, true);
                self.note_deed(freeze, TaskStatus::Failed, held, self.freezes[freeze].until);
                self.unfreeze(purse, &lines, self.freezes[freeze].until);
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

    /// Low from below the one threshold on until the other is reached.
    fn band(&self, purse: usize) -> Band {
        let (available, _) = self.sums(purse);
        let Purse { low: Some(low), band, .. } = self.purses[purse] else { return Band::Normal };
        match () {
            () if available < low.below.micros() => Band::Low,
            () if available >= low.recovered_from.micros() => Band::Normal,
            () => band,
        }
    }

    /// What can be drawn and what is frozen, of a settled account.
    fn sums(&self, purse: usize) -> (i64, i64) {
        let lots = self.lots.iter().filter(|lot| lot.purse == purse);
        let Purse { owed, promised, .. } = self.purses[purse];
        lots.fold((-owed - promised, promised), |(left, held), lot| {
            (left + if lot.pending { 0 } else { lot.left }, held + lot.held)
        })
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

    /// The user who acted, or that none did; none if the user was erased.
    fn known_user(&self) -> Option<Option<&UserId>> {
        (self.ask.user_id.is_some() == self.acted).then_some(self.ask.user_id.as_ref())
    }
}

/// Whether two commands come under one key.
fn same_key(one: &Command, other: &Command) -> bool {
    let (one, other) = (&one.context, &other.context);
    one.idempotency_key.is_some() && one.idempotency_key == other.idempotency_key && one.tenant_id == other.tenant_id
}

/// The fields that decide whether two commands are the same.
fn what_is_asked(command: &Command) -> serde_json::Map<String, serde_json::Value> {
    let mut fields = command.to_fields();
    fields.retain(|name, _| !matches!(name.as_str(), "metadata" | "actor" | "request_id" | "deadline" | "verified"));
    fields
}
