//! Random commands from a seed: over few tenants, owners, tasks and keys, so that collisions, replays, conflicts,
//! expiries, late commits and ids of others are frequent.

mod policies;
mod quotes;
mod tasks;

use std::str::FromStr;
use std::sync::Arc;

pub use policies::policies;
use uuid::Uuid;

use crate::command::{Adjust, AmendGrant, CaptureHold, Charge, ExtendHold, GrantCredit, PlaceHold, Refund, RefundOf, ReleaseHold};
use crate::command::{
    Block, BlockTarget, BlockedAccount, EraseText, ImportBalance, RecurGrant, RemoveMember, RevokeLicence, SetCreditLimit,
    SetLicence, SetLowBalance, SetMember, Settle, StopRule, SubmitDocuments, Unblock, VoidGrant,
};
use crate::credit::{Every, GrantType, LateCommit, LimitPeriod, LowBalance, MemberLimit, OverCapture, Role, Scope};
use crate::id::{
    AppId, DocumentId, GrantId, HoldId, IdempotencyKey, LedgerId, LicenceId, Operator, OrganizationId, PolicyTag, RuleId, TaskId,
    TemplateId, TenantId, Unit, UserId,
};
use crate::licence::Channel;
use crate::owner::Owner;
use crate::{Amount, Body, Command, Context, Receipt, Timestamp};

pub use quotes::quotes;

/// When sequences begin: 2026-01-01T00:00:00Z.
pub const START: i64 = 1_767_225_600_000_000;

/// Which commands are about members.
const MEMBERS: u32 = 22;

/// The first of those that are about licences.
const LICENCES: u32 = 15;

/// How time goes on before a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    None,
    /// By so many microseconds; back when negative.
    Micros(i64),
    /// To exactly the instant at which time alone changes something next.
    ToNextDue,
    /// To one microsecond before it.
    BeforeNextDue,
}

impl Wait {
    /// Where it leads from `now`, when time alone changes something next at `due`. The clock goes back at most 3 s behind the
    /// `latest` instant that it has shown: 5 s are allowed.
    #[must_use]
    pub fn end(self, now: Timestamp, latest: Timestamp, due: Option<Timestamp>) -> Timestamp {
        match self {
            Wait::None => now,
            Wait::Micros(micros) => now.plus_micros(micros).unwrap_or(now).max(latest.plus_seconds(-3).unwrap_or(latest)),
            Wait::ToNextDue => due.unwrap_or(now),
            Wait::BeforeNextDue => due.and_then(|due| due.plus_micros(-1)).map_or(now, |before| before.max(now)),
        }
    }
}

/// What an accepted step made: the ids that later steps name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The grant.
    pub grant_id: GrantId,
    /// The hold.
    pub hold_id: HoldId,
    /// The main entry.
    pub ledger_id: LedgerId,
    /// The rule.
    pub rule_id: RuleId,
    /// The version of the account after it.
    pub version: u64,
}

impl Made {
    /// What the receipt names; an id that nobody knows where it names none.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Made {
        fn named<T: FromStr>(json: &serde_json::Value, field: &str) -> Option<T> {
            json.get(field)?.as_str()?.parse().ok()
        }
        let json = receipt.to_json();
        Made {
            grant_id: named(&json, "grant_id").unwrap_or(GrantId::from_uuid(Uuid::nil())),
            hold_id: named(&json, "hold_id").unwrap_or(HoldId::from_uuid(Uuid::nil())),
            ledger_id: named(&json, "ledger_id").unwrap_or(LedgerId::from_uuid(Uuid::nil())),
            rule_id: named(&json, "rule_id").unwrap_or(RuleId::from_uuid(Uuid::nil())),
            version: receipt.stored.operation.version(),
        }
    }
}

/// A step of a random sequence.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, which stays when steps before it are taken out.
    pub serial: u32,
    /// The step whose grant, hold or entry the command names.
    pub about: Option<u32>,
    /// How time goes on before it.
    pub wait: Wait,
    /// The command; where it names something made by another step, [`Step::command`] puts in the id.
    pub template: Command,
}

impl Step {
    /// The command, with the ids of what other steps made. What was not made reads as an id that nobody knows.
    #[must_use]
    pub fn command(&self, made: impl Fn(u32) -> Option<Made>) -> Command {
        let mut command = self.template.clone();
        let Some(made) = self.about.and_then(made) else { return command };
        command.context.expected_version = command.context.expected_version.and(Some(made.version));
        match &mut command.body {
            Body::Void(body) => body.grant_id = made.grant_id,
            Body::Amend(body) => body.grant_id = made.grant_id,
            Body::Extend(body) => body.hold_id = made.hold_id,
            Body::Capture(body) => body.hold_id = made.hold_id,
            Body::Release(body) => body.hold_id = made.hold_id,
            Body::Refund(body) => {
                if let RefundOf::LedgerId(id) = &mut body.of {
                    *id = made.ledger_id;
                }
            }
            Body::StopRule(body) => body.rule_id = made.rule_id,
            Body::Grant(_) | Body::Adjust(_) | Body::Hold(_) | Body::Charge(_) | Body::Settle(_) | Body::Recur(_) => {}
            Body::Block(_) | Body::Unblock(_) | Body::SetMember(_) | Body::RemoveMember(_) | Body::EraseText(_) => {}
            Body::SetCreditLimit(_) | Body::SetLowBalance(_) | Body::Import(_) => {}
            Body::SetLicence(_) | Body::RevokeLicence(_) | Body::SubmitDocuments(_) => {}
            Body::AdvanceTask(_) | Body::CompleteTask(_) | Body::FailTask(_) => {}
        }
        command
    }
}

/// A random sequence of so many steps; the same for the same seed.
#[must_use]
pub fn sequence(seed: u64, steps: u32) -> Vec<Step> {
    let mut generator = Generator { random: fastrand::Rng::with_seed(seed), now: START, made: Vec::new() };
    let mut sequence = Vec::new();
    for serial in 0..steps {
        let step = generator.step(serial, &sequence);
        sequence.push(step);
    }
    sequence
}

/// A sequence with a step for each seed, so that who changes one seed changes one step.
#[must_use]
pub fn sequence_of(seeds: impl IntoIterator<Item = u64>) -> Vec<Step> {
    let mut generator = Generator { random: fastrand::Rng::with_seed(0), now: START, made: Vec::new() };
    let mut sequence = Vec::new();
    for (serial, seed) in (0..).zip(seeds) {
        generator.random = fastrand::Rng::with_seed(seed);
        let step = generator.step(serial, &sequence);
        sequence.push(step);
    }
    sequence
}

/// A step that may have made something, and who paid for it.
#[derive(Clone, Debug)]
struct Spot {
    serial: u32,
    kind: Kind,
    tenant_id: TenantId,
    payer: Option<Owner>,
    user_id: Option<UserId>,
    unit: Option<Unit>,
    task_id: Option<TaskId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Grant,
    Hold,
    /// A hold of a task.
    Task,
    Use,
    Rule,
}

struct Generator {
    random: fastrand::Rng,
    /// About what the clock will say: exactly, only the model knows when something becomes due.
    now: i64,
    made: Vec<Spot>,
}

impl Generator {
    fn step(&mut self, serial: u32, before: &[Step]) -> Step {
        let wait = self.wait();
        if self.chance(10)
            && let Some(first) = self.keyed_step(before)
        {
            let mut step = Step { serial, wait, ..first };
            if self.chance(40) {
                self.change(&mut step.template);
            }
            return step;
        }
        let (about, template) = self.command(serial);
        Step { serial, about, wait, template }
    }

    fn wait(&mut self) -> Wait {
        let wait = match self.random.u32(..100) {
            0..60 => Wait::None,
            60..75 => Wait::Micros(self.random.i64(1..2_000_000)),
            75..83 => Wait::ToNextDue,
            83..88 => Wait::BeforeNextDue,
            88..95 => Wait::Micros(self.random.i64(1..1_000) * 1_000_000),
            95..96 => Wait::Micros(self.random.i64(1..9) * 86_400_000_000),
            96..97 => Wait::Micros(self.random.i64(9..40) * 86_400_000_000),
            _ => Wait::Micros(-self.random.i64(1..1_500_000)),
        };
        self.now += match wait {
            Wait::None => 0,
            Wait::Micros(micros) => micros,
            Wait::ToNextDue | Wait::BeforeNextDue => 400_000_000,
        };
        wait
    }

    /// One of the steps before that have a key.
    fn keyed_step(&mut self, before: &[Step]) -> Option<Step> {
        let keyed: Vec<&Step> = before.iter().filter(|step| step.template.context.idempotency_key.is_some()).collect();
        self.random.choice(keyed).cloned()
    }

    /// Changes a field that decides, so that the same key asks for something else.
    fn change(&mut self, command: &mut Command) {
        let more = |amount: Amount| amount.checked_add(Amount::from_micros(1)).unwrap_or(amount);
        match &mut command.body {
            Body::Grant(body) => body.priority += 1,
            Body::Void(body) => body.reason = Arc::from("another"),
            Body::Amend(body) => body.expires_at = body.expires_at.plus_seconds(1).unwrap_or(body.expires_at),
            Body::Adjust(body) => body.amount = more(body.amount),
            Body::Hold(body) => body.expire_in += 1,
            Body::Extend(body) => body.expire_in += 1,
            Body::Capture(body) => body.actual_cost = more(body.actual_cost),
            Body::Release(body) => body.reason = Some(Arc::from("another")),
            Body::Charge(body) => body.amount = more(body.amount),
            Body::Refund(body) => body.operator = self.operator(),
            Body::Settle(body) => body.owner = Owner::Pool,
            Body::Recur(body) => body.amount = more(body.amount),
            Body::StopRule(body) => body.reason = Arc::from("another"),
            Body::EraseText(body) => body.after_seq += 1,
            Body::Block(body) => body.target = BlockTarget::Tenant,
            Body::Unblock(body) => body.reason = Arc::from("another"),
            Body::SetMember(body) => body.limit = None,
            Body::RemoveMember(body) => body.operator = self.operator(),
            Body::SetCreditLimit(body) => body.credit_limit = more(body.credit_limit),
            Body::Import(body) => body.balance = more(body.balance),
            Body::SetLowBalance(body) => body.reason = Some(Arc::from("another")),
            Body::SetLicence(body) => body.daily_quota = Some(body.daily_quota.map_or(0, |quota| quota + 1)),
            Body::RevokeLicence(body) => body.reason = Arc::from("another"),
            Body::SubmitDocuments(body) => body.operator = self.operator(),
            Body::AdvanceTask(body) => body.progress = Some(body.progress.map_or(1, |progress| progress / 2)),
            Body::CompleteTask(body) => body.actual_cost = Some(body.actual_cost.map_or(Amount::ZERO, more)),
            Body::FailTask(body) => body.reason = Arc::from("another"),
        }
    }

    fn command(&mut self, serial: u32) -> (Option<u32>, Command) {
        let tenant_id = self.tenant();
        // A sequence begins with credit, a limit, a member and licences, or too much after it would be refused.
        let kind = match serial {
            0..5 => 0,
            5 => 59,
            6 => MEMBERS,
            7 | 8 => LICENCES,
            _ => self.random.u32(..100),
        };
        let (about, tenant_id, body) = match kind {
            0..LICENCES => (None, tenant_id.clone(), self.grant(serial, tenant_id)),
            LICENCES..18 => (None, tenant_id, self.licence(serial)),
            18..21 => (None, tenant_id.clone(), self.recur(serial, tenant_id)),
            21..22 => self.about(Kind::Rule, |own, _| own.stop()),
            MEMBERS => (None, tenant_id, self.member(serial)),
            23 => (None, tenant_id, self.block()),
            24..40 => (None, tenant_id.clone(), self.hold(serial, tenant_id)),
            40..50 => (None, tenant_id.clone(), self.charge(serial, tenant_id)),
            50..56 => (None, tenant_id, self.adjust()),
            56..57 => self.about(Kind::Task, |own, spot| own.advance_task(spot)),
            57..58 => (None, tenant_id, self.settle()),
            58..59 => (None, tenant_id, self.erase()),
            59..61 => (None, tenant_id, self.credit_limit()),
            61..63 => (None, tenant_id, self.low_balance()),
            63..64 => (None, tenant_id, self.import()),
            64..72 => self.about(Kind::Hold, |own, spot| own.capture(serial, spot)),
            72..77 => self.about(Kind::Hold, |own, spot| own.release(spot)),
            77..81 => self.about(Kind::Hold, |own, _| own.extend()),
            81..84 => self.about(Kind::Grant, |own, _| own.void()),
            84..87 => self.about(Kind::Grant, |own, _| own.amend()),
            87..92 => self.about(Kind::Task, |own, spot| own.advance_task(spot)),
            92..94 => self.about(Kind::Task, |own, spot| own.end_task(serial, spot)),
            _ => self.about(Kind::Use, |own, spot| own.refund(spot)),
        };
        let idempotency_key = self.some(70, |own| IdempotencyKey::new(format!("k{}", own.random.u32(..150))).ok());
        let expected_version = self.chance(4).then_some(0);
        let remember_denials = idempotency_key.is_some() && self.chance(15);
        let verified = self.chance(10);
        let context = Context { idempotency_key, expected_version, remember_denials, verified, ..Context::of(tenant_id) };
        (about, Command { context, body })
    }

    /// A command about something made before: sometimes in another tenant, sometimes about nothing.
    fn about(&mut self, kind: Kind, body: impl FnOnce(&mut Self, Option<&Spot>) -> Body) -> (Option<u32>, TenantId, Body) {
        let of_kind: Vec<Spot> = self.made.iter().rev().filter(|spot| spot.kind == kind).take(6).cloned().collect();
        let spot = self.random.choice(of_kind);
        let foreign = self.chance(4);
        let tenant_id = match &spot {
            Some(spot) if !foreign => spot.tenant_id.clone(),
            _ => self.tenant(),
        };
        let body = body(self, spot.as_ref());
        (spot.map(|spot| spot.serial), tenant_id, body)
    }

    fn grant(&mut self, serial: u32, tenant_id: TenantId) -> Body {
        let (owner, unit) = (self.owner(), self.unit());
        let (payer, user_id, task_id) = (Some(owner.clone()), None, None);
        self.made.push(Spot { serial, kind: Kind::Grant, tenant_id, payer, user_id, unit: unit.clone(), task_id });
        let types = [GrantType::Trial, GrantType::Campaign, GrantType::Purchased, GrantType::Plan];
        let grant_type = self.random.choice(types).unwrap_or(GrantType::Import);
        Body::Grant(GrantCredit {
            unit,
            scope: self.scope(),
            priority: self.random.choice([0, 0, 0, 1, -1]).unwrap_or(0),
            effective_at: self.some(20, |own| own.instant(-300, 2_000)),
            expires_at: self.some(60, |own| own.instant(-100, 8_000)),
            ..GrantCredit::new(owner, grant_type, self.amount(60))
        })
    }

    fn recur(&mut self, serial: u32, tenant_id: TenantId) -> Body {
        let (owner, unit) = (self.owner(), self.unit());
        let payer = Some(owner.clone());
        // Its first instance can be voided and amended.
        for kind in [Kind::Rule, Kind::Grant] {
            let (tenant_id, payer, unit) = (tenant_id.clone(), payer.clone(), unit.clone());
            self.made.push(Spot { serial, kind, tenant_id, payer, user_id: None, unit, task_id: None });
        }
        let every = [Every::Days(1), Every::Days(1), Every::Days(3), Every::Weeks(1), Every::Months(1), Every::Days(0)];
        let every = self.random.choice(every).unwrap_or(Every::Years(1));
        let types = [GrantType::Trial, GrantType::Plan, GrantType::Plan];
        let grant_type = self.random.choice(types).unwrap_or(GrantType::Plan);
        Body::Recur(RecurGrant {
            unit,
            starts_at: self.some(50, |own| own.instant(-200_000, 10_000)),
            ends_at: self.some(20, |own| own.instant(-1_000, 900_000)),
            zone: self.pick(&["UTC", "UTC", "Europe/Berlin", "America/New_York"], |name| name.parse()),
            rollover_cap: if self.chance(60) { self.amount(20) } else { Amount::ZERO },
            scope: self.scope(),
            priority: self.random.choice([0, 0, 1]).unwrap_or(0),
            ..RecurGrant::new(owner, grant_type, self.amount(20), every)
        })
    }

    fn stop(&mut self) -> Body {
        let rule_id = RuleId::from_uuid(Uuid::nil());
        Body::StopRule(StopRule { rule_id, operator: self.operator(), reason: Arc::from("cancelled"), metadata: None })
    }

    fn void(&mut self) -> Body {
        let grant_id = GrantId::from_uuid(Uuid::nil());
        Body::Void(VoidGrant { grant_id, operator: self.operator(), reason: Arc::from("abuse"), metadata: None })
    }

    fn amend(&mut self) -> Body {
        let until = self.instant(0, 20_000).unwrap_or_default();
        Body::Amend(AmendGrant::new(GrantId::from_uuid(Uuid::nil()), until))
    }

    fn adjust(&mut self) -> Body {
        let plus = self.amount(5);
        let amount = if self.chance(60) { plus.checked_neg().unwrap_or(plus) } else { plus };
        let (owner, unit, operator) = (self.owner(), self.unit(), self.operator());
        Body::Adjust(Adjust { owner, unit, amount, operator, reason: Arc::from("correction"), metadata: None })
    }

    fn settle(&mut self) -> Body {
        Body::Settle(Settle { owner: self.owner(), unit: None })
    }

    fn erase(&mut self) -> Body {
        let (owner, unit, operator) = (self.owner(), self.unit(), self.operator());
        let (user_id, after_seq) = (self.some(50, Self::user), self.random.u64(..4));
        Body::EraseText(EraseText { owner, unit, user_id, after_seq, operator, reason: Arc::from("asked for") })
    }

    fn member(&mut self, serial: u32) -> Body {
        let (organization_id, operator) = (self.organization(), self.operator());
        let user_id = self.pick(&["u1", "u1", "u1", "u2"], UserId::new);
        if serial > 6 && self.chance(20) {
            return Body::RemoveMember(RemoveMember { organization_id, user_id, operator, reason: None, metadata: None });
        }
        let role = self.random.choice([Role::Owner, Role::Admin, Role::Member]).unwrap_or(Role::Member);
        let limit = self.some(60, |own| {
            let per = if own.chance(70) { LimitPeriod::Day } else { LimitPeriod::Month };
            Some(MemberLimit { amount: own.amount(20), unit: None, per })
        });
        Body::SetMember(SetMember { organization_id, user_id, role, limit, operator, reason: None, metadata: None })
    }

    /// At first a licence of everything for anyone, one for each template.
    fn licence(&mut self, serial: u32) -> Body {
        let kind = if serial < 9 { 99 } else { self.random.u32(..100) };
        let (mut template, operator) = (if serial % 2 == 1 { "a" } else { "b" }, self.operator());
        let others = if serial < 9 {
            0
        } else if kind < 40 {
            8
        } else {
            30
        };
        let user_id = self.some(others, |own| own.pick(&["u1", "u1", "u2"], UserId::new).into());
        let number = u32::from(self.chance(others));
        let of = user_id.as_ref().map_or("any", UserId::as_str);
        let licence_id = self.pick(&[&format!("{template}-{of}-{number}")], LicenceId::new);
        if kind < 15 {
            return Body::RevokeLicence(RevokeLicence { licence_id, operator, reason: Arc::from("a claim"), metadata: None });
        }
        if kind < 40 {
            let documents = [self.pick(&["consent", "consent", "contract"], DocumentId::new)].into();
            return Body::SubmitDocuments(SubmitDocuments { licence_id, documents, operator, reason: None, metadata: None });
        }
        if self.chance(4) {
            template = "c";
        }
        let required_documents = self.some(20, |own| Some(own.pick(&["consent", "contract"], DocumentId::new)));
        Body::SetLicence(SetLicence {
            licence_id,
            template_id: self.pick(&[template], TemplateId::new),
            user_id,
            channels: Channel::ALL.iter().copied().collect(),
            valid_from: self.some(10, |own| own.instant(-300, 2_000)),
            valid_until: self.some(30, |own| own.instant(300, 90_000)),
            total_quota: self.some(25, |own| Some(own.random.u64(..8))),
            daily_quota: self.some(35, |own| Some(own.random.u64(..5))),
            zone: self.some(10, |own| Some(own.pick(&["UTC", "Asia/Shanghai"], |name| name.parse()))),
            required_documents: required_documents.into_iter().collect(),
            policy_tag: self.some(30, |own| Some(own.pick(&["strict", "open"], PolicyTag::new))),
            operator,
            reason: None,
            metadata: None,
        })
    }

    /// Mostly to unblock, or nothing could be spent for most of the time.
    fn block(&mut self) -> Body {
        let target = match self.random.u32(..20) {
            0..3 => BlockTarget::Tenant,
            3..12 => BlockTarget::User(self.pick(&["u1", "u2"], UserId::new)),
            _ => BlockTarget::Account(BlockedAccount { owner: self.owner(), unit: self.unit() }),
        };
        let (operator, reason) = (self.operator(), Arc::from("a doubt"));
        if self.chance(30) {
            return Body::Block(Block { target, operator, reason, metadata: None });
        }
        Body::Unblock(Unblock { target, operator, reason, metadata: None })
    }

    fn credit_limit(&mut self) -> Body {
        let (owner, unit, operator) = (self.owner(), self.unit(), self.operator());
        let credit_limit = if self.chance(15) { Amount::ZERO } else { self.amount(15) };
        Body::SetCreditLimit(SetCreditLimit { owner, unit, credit_limit, operator, reason: Arc::from("trust"), metadata: None })
    }

    fn low_balance(&mut self) -> Body {
        let (owner, unit, operator) = (self.owner(), self.unit(), self.operator());
        let (below, more) = (self.amount(20), self.amount(10));
        let recovered_from = below.checked_add(more).unwrap_or(below);
        let low_balance = self.some(85, |_| Some(LowBalance { below, recovered_from }));
        Body::SetLowBalance(SetLowBalance { owner, unit, low_balance, operator, reason: None, metadata: None })
    }

    fn import(&mut self) -> Body {
        let (owner, unit, balance) = (self.owner(), self.unit(), self.amount(20));
        let expires_at = self.some(40, |own| own.instant(-100, 8_000));
        Body::Import(ImportBalance { unit, expires_at, ..ImportBalance::new(owner, balance) })
    }

    fn hold(&mut self, serial: u32, tenant_id: TenantId) -> Body {
        let (payer, user_id, unit, task_id) = (self.payer(), self.user(), self.unit(), self.task());
        let spot = Spot {
            serial,
            kind: Kind::Hold,
            tenant_id,
            payer: payer.clone(),
            user_id: user_id.clone(),
            unit: unit.clone(),
            task_id: task_id.clone(),
        };
        self.made.extend(task_id.is_some().then(|| Spot { kind: Kind::Task, ..spot.clone() }));
        self.made.push(spot.clone());
        if let Some((audit_id, owner, amount, template_id)) = self.quote(&spot.tenant_id) {
            self.made.pop();
            self.made.push(Spot { payer: Some(owner.clone()), unit: None, ..spot.clone() });
            let (audit_id, user_id, task_id) = (Some(audit_id), spot.user_id, spot.task_id);
            return Body::Hold(PlaceHold { audit_id, user_id, task_id, template_id, ..PlaceHold::new(owner, amount) });
        }
        Body::Hold(PlaceHold {
            payer,
            unit,
            task_id,
            expire_in: self.random.choice([1, 60, 900, 900, 900, 3_600, 3_600, 604_800, 604_800, 604_801]).unwrap_or(900),
            app_id: self.app(),
            template_id: self.template(),
            over_capture: if self.chance(50) { OverCapture::Draw } else { OverCapture::Reject },
            late_commit: if self.chance(50) { LateCommit::Draw } else { LateCommit::Reject },
            ..PlaceHold::by_policy(user_id, self.amount(12))
        })
    }

    fn extend(&mut self) -> Body {
        let seconds = self.random.choice([1, 900, 3_600, 3_600, 86_400, 604_800, 604_801]).unwrap_or(900);
        Body::Extend(ExtendHold::new(HoldId::from_uuid(Uuid::nil()), seconds))
    }

    fn capture(&mut self, serial: u32, spot: Option<&Spot>) -> Body {
        self.made.extend(spot.map(|spot| Spot { serial, kind: Kind::Use, ..spot.clone() }));
        Body::Capture(CaptureHold {
            last: self.chance(60),
            task_id: self
                .some(30, |own| spot.and_then(|spot| spot.task_id.clone()).filter(|_| own.chance(85)).or_else(|| own.task())),
            user_id: self
                .some(20, |own| spot.and_then(|spot| spot.user_id.clone()).filter(|_| own.chance(85)).or_else(|| own.user())),
            template_id: self.some(6, Self::template),
            ..CaptureHold::new(HoldId::from_uuid(Uuid::nil()), self.amount(10))
        })
    }

    fn release(&mut self, spot: Option<&Spot>) -> Body {
        Body::Release(ReleaseHold {
            amount: self.some(50, |own| Some(own.amount(6))),
            task_id: self
                .some(20, |own| spot.and_then(|spot| spot.task_id.clone()).filter(|_| own.chance(85)).or_else(|| own.task())),
            ..ReleaseHold::new(HoldId::from_uuid(Uuid::nil()))
        })
    }

    fn charge(&mut self, serial: u32, tenant_id: TenantId) -> Body {
        let (payer, user_id, unit, task_id) = (self.payer(), self.user(), self.unit(), self.task());
        let spot = Spot {
            serial,
            kind: Kind::Use,
            tenant_id,
            payer: payer.clone(),
            user_id: user_id.clone(),
            unit: unit.clone(),
            task_id: task_id.clone(),
        };
        self.made.push(spot.clone());
        if let Some((audit_id, owner, amount, template_id)) = self.quote(&spot.tenant_id) {
            self.made.pop();
            self.made.push(Spot { payer: Some(owner.clone()), unit: None, ..spot.clone() });
            let (audit_id, user_id, task_id) = (Some(audit_id), spot.user_id, spot.task_id);
            return Body::Charge(Charge { audit_id, user_id, task_id, template_id, ..Charge::new(owner, amount) });
        }
        let (app_id, template_id) = (self.app(), self.template());
        Body::Charge(Charge { payer, unit, task_id, app_id, template_id, ..Charge::by_policy(user_id, self.amount(10)) })
    }

    fn refund(&mut self, spot: Option<&Spot>) -> Body {
        let (payer, user_id, unit) = match spot {
            Some(spot) if !self.chance(5) => (spot.payer.clone(), spot.user_id.clone(), spot.unit.clone()),
            _ => (self.payer(), self.user(), self.unit()),
        };
        let by_ledger = RefundOf::LedgerId(LedgerId::from_uuid(Uuid::nil()));
        let of = match spot.and_then(|spot| spot.task_id.clone()) {
            Some(task_id) if self.chance(45) => RefundOf::TaskId(task_id),
            _ => by_ledger,
        };
        let (amount, operator) = (self.some(50, |own| Some(own.amount(5))), self.operator());
        Body::Refund(Refund { payer, user_id, unit, of, amount, operator, reason: Arc::from("it failed"), metadata: None })
    }

    // ---- the small world ----

    fn tenant(&mut self) -> TenantId {
        self.pick(&["acme", "acme", "acme", "acme", "acme", "globex"], TenantId::new)
    }

    fn owner(&mut self) -> Owner {
        match self.random.u32(..10) {
            0..7 => Owner::User(self.pick(&["u1", "u1", "u1", "u1", "u1", "u2"], UserId::new)),
            7..9 => Owner::Pool,
            _ => Owner::Organization(self.organization()),
        }
    }

    fn organization(&mut self) -> OrganizationId {
        self.pick(&["u1", "o1", "o1"], OrganizationId::new)
    }

    fn payer(&mut self) -> Option<Owner> {
        self.some(60, |own| Some(own.owner()))
    }

    fn user(&mut self) -> Option<UserId> {
        self.some(90, |own| Some(own.pick(&["u1", "u1", "u1", "u1", "u1", "u2"], UserId::new)))
    }

    fn unit(&mut self) -> Option<Unit> {
        self.some(8, |own| Some(own.pick(&["UC", "credit"], Unit::new)))
    }

    fn task(&mut self) -> Option<TaskId> {
        self.some(60, |own| Some(own.pick(&["t1", "t2", "t3", "t4", "t5"], TaskId::new)))
    }

    fn app(&mut self) -> Option<AppId> {
        self.some(40, |own| Some(own.pick(&["x", "y"], AppId::new)))
    }

    fn template(&mut self) -> Option<TemplateId> {
        self.some(40, |own| Some(own.pick(&["a", "b"], TemplateId::new)))
    }

    fn operator(&mut self) -> Operator {
        self.pick(&["ops", "ops", "ops", "someone"], Operator::new)
    }

    fn scope(&mut self) -> Scope {
        let app_id = if self.chance(20) { self.app() } else { None };
        let template_id = if self.chance(20) { self.template() } else { None };
        Scope { app_id, template_id }
    }

    /// Mostly a few units, sometimes with a fraction, sometimes nothing or less.
    fn amount(&mut self, most: i64) -> Amount {
        let units = self.random.i64(1..=most) * 1_000_000;
        Amount::from_micros(match self.random.u32(..100) {
            0..4 => 0,
            4..6 => -units,
            6..10 => 1,
            10..25 => units - self.random.i64(1..1_000_000),
            25..30 => units * 8,
            _ => units,
        })
    }

    /// An instant between these seconds from now, half of them full minutes, so that several fall together.
    fn instant(&mut self, from: i64, to: i64) -> Option<Timestamp> {
        let at = self.now + self.random.i64(from..to) * 1_000_000;
        Timestamp::from_micros(if self.chance(50) { at / 300_000_000 * 300_000_000 } else { at })
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(..100) < percent
    }

    fn some<T>(&mut self, percent: u32, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.chance(percent) { value(self) } else { None }
    }

    fn pick<T>(&mut self, words: &[&str], read: impl FnOnce(String) -> Result<T, crate::Denial>) -> T {
        let word = self.random.choice(words).copied().unwrap_or("none");
        #[expect(clippy::expect_used, reason = "the words are ids")]
        read(word.to_owned()).expect("the words of the small world are ids")
    }
}
