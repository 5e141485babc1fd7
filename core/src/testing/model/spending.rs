//! Who may spend: blocks, members and their limits. What a member used is a list of marks, added up each time it is asked for.

use super::{Effects, Model, Verdict};
use crate::command::{BlockTarget, RemoveMember, SetMember};
use crate::credit::{LimitPeriod, Role};
use crate::denial::DenialKind::{self, *};
use crate::id::{AppId, OrganizationId, TenantId, Unit, UserId};
use crate::owner::{MemberKey, Owner};
use crate::{Command, Timestamp};

/// What was said last of a tenant, or of a user in it.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    tenant: TenantId,
    user: Option<UserId>,
    stopped: bool,
    at: i64,
}

/// Someone who is or was a member.
#[derive(Clone, Debug)]
pub(super) struct Colleague {
    tenant: TenantId,
    organization: OrganizationId,
    user: UserId,
    role: Option<Role>,
    unit: Unit,
    limit: Option<(i64, LimitPeriod)>,
    at: i64,
    marks: Vec<Mark>,
}

/// What was used at a time; a hold's mark can become less.
#[derive(Clone, Debug)]
struct Mark {
    freeze: Option<usize>,
    at: i64,
    amount: i64,
}

impl Model {
    /// What each member has used in the present period of the limit, or of the day, at this instant.
    #[must_use]
    pub fn used_by_members(&self, now: Timestamp) -> Vec<(MemberKey, i64)> {
        let mut settled = self.clone();
        (0..settled.purses.len()).for_each(|purse| settled.settle(purse, now.micros()));
        let present = settled.colleagues.iter().filter(|colleague| colleague.role.is_some());
        let used = present.map(|of| {
            let per = of.limit.map_or(LimitPeriod::Day, |(_, per)| per);
            (MemberKey::new(of.tenant.clone(), of.organization.clone(), of.user.clone()), settled.used(of, per, now.micros()))
        });
        used.collect()
    }

    /// The latest instant at which something was said of who spends.
    pub(super) fn last_said(&self, tenant: &TenantId, payer: &Owner, user: Option<&UserId>) -> i64 {
        let pays = |id: &UserId| matches!(payer, Owner::User(payer) if payer == id);
        let stops = self
            .stops
            .iter()
            .filter(|stop| stop.tenant == *tenant && stop.user.as_ref().is_none_or(|id| Some(id) == user || pays(id)));
        let member = self.colleague(tenant, payer, user).map(|at| self.colleagues[at].at);
        stops.map(|stop| stop.at).chain(member).max().unwrap_or(i64::MIN)
    }

    /// Whether this amount may be spent from an account that is settled.
    pub(super) fn may_spend(
        &self,
        purse: usize,
        user: Option<&UserId>,
        app: Option<&AppId>,
        amount: i64,
        now: i64,
    ) -> Result<(), DenialKind> {
        let key = &self.purses[purse].key;
        let pays = |id: &UserId| matches!(&key.owner, Owner::User(payer) if payer == id);
        let concerned =
            |stop: &&Stop| stop.tenant == key.tenant_id && stop.user.as_ref().is_none_or(|id| Some(id) == user || pays(id));
        if self.purses[purse].blocked
            || self.stops.iter().filter(concerned).any(|stop| stop.stopped)
            || self.is_denied(purse, user, app)
        {
            return Err(Blocked);
        }
        if !matches!(key.owner, Owner::Organization(_)) {
            return Ok(());
        }
        let member = self.colleague(&key.tenant_id, &key.owner, user).map(|at| &self.colleagues[at]);
        let member = member.filter(|member| member.role.is_some()).ok_or(NotAMember)?;
        match member.limit {
            Some((limit, per)) if amount > 0 && member.unit == key.unit && self.used(member, per, now) + amount > limit => {
                Err(MemberLimitExceeded)
            }
            _ => Ok(()),
        }
    }

    fn colleague(&self, tenant: &TenantId, owner: &Owner, user: Option<&UserId>) -> Option<usize> {
        let Owner::Organization(organization) = owner else { return None };
        let is = |of: &Colleague| of.tenant == *tenant && of.organization == *organization && Some(&of.user) == user;
        self.colleagues.iter().position(is)
    }

    fn used(&self, of: &Colleague, per: LimitPeriod, now: i64) -> i64 {
        let zone = self.policies.of(&of.tenant).zone.to_string();
        let same = |mark: &&Mark| period(&zone, per, mark.at) == period(&zone, per, now);
        of.marks.iter().filter(same).map(|mark| mark.amount).sum()
    }

    /// Something of an account is used, for a hold or for good.
    pub(super) fn use_up(&mut self, purse: usize, user: Option<&UserId>, freeze: Option<usize>, at: i64, amount: i64) {
        let key = self.purses[purse].key.clone();
        let Some(member) = self.colleague(&key.tenant_id, &key.owner, user) else { return };
        if self.colleagues[member].unit == key.unit {
            self.colleagues[member].marks.push(Mark { freeze, at, amount });
        }
    }

    /// A part of a hold comes back.
    pub(super) fn unuse(&mut self, freeze: usize, amount: i64) {
        // A model of balances alone has no members.
        let marks = self.colleagues.iter_mut().flat_map(|of| of.marks.iter_mut());
        marks.filter(|mark| mark.freeze == Some(freeze)).for_each(|mark| mark.amount -= amount);
    }

    pub(super) fn block(
        &mut self,
        clock: i64,
        command: &Command,
        target: &BlockTarget,
        stopped: bool,
    ) -> Result<Verdict, DenialKind> {
        let tenant = &command.context.tenant_id;
        let changed = match target {
            BlockTarget::Tenant => self.stop_subject(clock, tenant, None, stopped),
            BlockTarget::User(user) => self.stop_subject(clock, tenant, Some(user), stopped),
            BlockTarget::Account(account) => {
                let known = self.purses.len();
                let (purse, _) = self.begin(clock, tenant, Some(&account.owner), None, account.unit.as_ref(), None)?;
                if purse == known {
                    return Err(AccountNotFound);
                }
                // What had become due is booked with it, and may take the balance to another band.
                self.purses[purse].band = self.band(purse);
                std::mem::replace(&mut self.purses[purse].blocked, stopped) != stopped
            }
        };
        Ok(self.answer(command, Effects { changed: Some(changed), ..Effects::default() }))
    }

    fn stop_subject(&mut self, clock: i64, tenant: &TenantId, user: Option<&UserId>, stopped: bool) -> bool {
        let known = self.stops.iter().position(|stop| stop.tenant == *tenant && stop.user.as_ref() == user);
        let before = known.map(|known| self.stops.remove(known));
        let at = before.as_ref().map_or(clock, |before| before.at.max(clock));
        self.stops.push(Stop { tenant: tenant.clone(), user: user.cloned(), stopped, at });
        before.is_some_and(|before| before.stopped) != stopped
    }

    pub(super) fn set_member(&mut self, clock: i64, tenant: &TenantId, ask: &SetMember) -> Effects {
        let policy_unit = self.policies.of(tenant).unit.clone();
        let unit = ask.limit.as_ref().map(|limit| limit.unit.clone().unwrap_or_else(|| policy_unit.clone()));
        let limit = ask.limit.as_ref().map(|limit| (limit.amount.micros(), limit.per));
        let owner = Owner::Organization(ask.organization_id.clone());
        let known = self.colleague(tenant, &owner, Some(&ask.user_id));
        let at = known.unwrap_or_else(|| {
            let (organization, user) = (ask.organization_id.clone(), ask.user_id.clone());
            let unit = unit.clone().unwrap_or(policy_unit);
            let (tenant, role, limit, marks) = (tenant.clone(), None, None, Vec::new());
            self.colleagues.push(Colleague { tenant, organization, user, role, unit, limit, at: clock, marks });
            self.colleagues.len() - 1
        });
        let of = &mut self.colleagues[at];
        let before = (of.role, of.limit, of.unit.clone());
        if let Some(unit) = unit.filter(|unit| *unit != of.unit) {
            (of.unit, of.marks) = (unit, Vec::new());
        }
        (of.role, of.limit, of.at) = (Some(ask.role), limit, of.at.max(clock));
        let same_limit = before.1 == limit && (limit.is_none() || before.2 == of.unit);
        Effects { changed: Some(before.0 != of.role || !same_limit), ..Effects::default() }
    }

    pub(super) fn remove_member(&mut self, clock: i64, tenant: &TenantId, ask: &RemoveMember) -> Result<Effects, DenialKind> {
        let owner = Owner::Organization(ask.organization_id.clone());
        let known = self.colleague(tenant, &owner, Some(&ask.user_id));
        let of = known.map(|at| &mut self.colleagues[at]).filter(|of| of.role.is_some()).ok_or(NotAMember)?;
        (of.role, of.limit, of.at) = (None, None, of.at.max(clock));
        Ok(Effects { changed: Some(true), ..Effects::default() })
    }
}

/// The date or month that a clock on the wall shows; of the zones of the small world, none of which changes its clocks.
pub(super) fn period(zone: &str, per: LimitPeriod, at: i64) -> String {
    let hours = if zone == "Asia/Shanghai" { 8 } else { 0 };
    let shown = chrono::DateTime::from_timestamp_micros(at + hours * 3_600_000_000).unwrap_or_default().to_rfc3339();
    let length = match per {
        LimitPeriod::Day => "2026-01-01".len(),
        LimitPeriod::Month => "2026-01".len(),
    };
    shown.chars().take(length).collect()
}
