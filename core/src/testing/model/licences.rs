//! Licences. How often one was used is counted anew each time, from charges and holds.

use super::{Effects, Model, spending};
use crate::command::{RevokeLicence, SetLicence, SubmitDocuments};
use crate::credit::{HoldState, LimitPeriod};
use crate::denial::DenialKind::{self, *};
use crate::id::{DocumentId, LicenceId, TemplateId, TenantId, UserId};
use crate::owner::Owner;

/// A licence.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    tenant: TenantId,
    id: LicenceId,
    said: SetLicence,
    zone: String,
    submitted: Vec<DocumentId>,
    revoked: bool,
    at: i64,
    /// Charges: by whom and when.
    charged: Vec<(Option<UserId>, i64)>,
}

impl Model {
    /// The latest instant at which something was said of the licences that somebody can use for a template, or at which they
    /// were used.
    pub(super) fn last_licensed(&self, tenant: &TenantId, template: Option<&TemplateId>, user: Option<&UserId>) -> i64 {
        let may = |permit: &&Permit| permit.concerns(tenant, template, user);
        let required = self.policies.of(tenant).licence_required;
        self.permits.iter().filter(|permit| required && may(permit)).map(|permit| permit.at).max().unwrap_or(i64::MIN)
    }

    /// When the licence of a hold was last spoken of or used.
    pub(super) fn last_of_permit(&self, freeze: usize) -> i64 {
        self.freezes[freeze].permit.map_or(i64::MIN, |permit| self.permits[permit].at)
    }

    /// A licence is spoken of or used now.
    pub(super) fn touch(&mut self, permit: Option<usize>, now: i64) {
        if let Some(permit) = permit {
            self.permits[permit].at = self.permits[permit].at.max(now);
        }
    }

    /// The licence that this work uses, if the tenant wants one; `none` is the answer to who has none.
    pub(super) fn permit_for(
        &self,
        purse: usize,
        template: Option<&TemplateId>,
        user: Option<&UserId>,
        now: i64,
        none: DenialKind,
    ) -> Result<Option<usize>, DenialKind> {
        let tenant = &self.purses[purse].key.tenant_id;
        if !self.policies.of(tenant).licence_required || template.is_none() {
            return Ok(None);
        }
        let user = self.who(purse, user);
        let mut able: Vec<usize> =
            (0..self.permits.len()).filter(|n| self.permits[*n].concerns(tenant, template, user.as_ref())).collect();
        able.sort_by_key(|n| {
            let said = &self.permits[*n].said;
            let (anybody, refused) = (said.user_id.is_none(), self.why_not(*n, now).is_some());
            let ends = said.valid_until.map_or(i64::MAX, |until| until.micros());
            (anybody, refused, std::cmp::Reverse(ends), self.permits[*n].id.clone())
        });
        let first = *able.first().ok_or(none)?;
        self.why_not(first, now).map_or(Ok(Some(first)), Err)
    }

    /// Why a licence does not let work begin.
    fn why_not(&self, permit: usize, now: i64) -> Option<DenialKind> {
        let Permit { said, submitted, revoked, tenant, .. } = &self.permits[permit];
        let begun = said.valid_from.is_none_or(|from| from.micros() <= now);
        let over = said.valid_until.is_some_and(|until| until.micros() <= now);
        let lacks = said.required_documents.iter().any(|document| !submitted.contains(document));
        if *revoked || over || !begun || lacks {
            return Some(AuthorizationMissing);
        }
        if said.total_quota.is_some_and(|quota| self.times(permit, now, |_, _| true) >= quota) {
            let told = self.policies.of(tenant).tells_quota_exceeded;
            return Some(if told { QuotaExceeded } else { DailyQuotaExceeded });
        }
        let today = self.times(permit, now, |_, at| self.permits[permit].date(at) == self.permits[permit].date(now));
        said.daily_quota.is_some_and(|quota| today >= quota).then_some(DailyQuotaExceeded)
    }

    /// How often a licence was used: by charges, by holds of which something was captured, and by holds that are open.
    fn times(&self, permit: usize, now: i64, counts: impl Fn(Option<&UserId>, i64) -> bool) -> u64 {
        let charges = self.permits[permit].charged.iter().filter(|(user, at)| counts(user.as_ref(), *at)).count();
        let holds = self.freezes.iter().filter(|freeze| {
            let used = freeze.captured > 0 || freeze.state_at(now) == HoldState::Committed;
            let counted = used || freeze.state_at(now) == HoldState::Frozen;
            freeze.permit == Some(permit) && counted && counts(freeze.permitted.as_ref(), freeze.made_at)
        });
        u64::try_from(charges + holds.count()).unwrap_or(u64::MAX)
    }

    /// What is left of a licence, and how often the user has used it.
    pub(super) fn quota(&self, permit: Option<usize>, purse: usize, user: Option<&UserId>, now: i64) -> Option<(i64, u64)> {
        let permit = permit?;
        let left = self.permits[permit].said.total_quota.map(|quota| quota.saturating_sub(self.times(permit, now, |_, _| true)));
        let who = self.who(purse, user);
        let mine = who.as_ref().map_or(0, |who| self.times(permit, now, |user, _| user == Some(who)));
        Some((left.map_or(-1, |left| i64::try_from(left).unwrap_or(i64::MAX)), mine))
    }

    /// A charge uses a licence once.
    pub(super) fn charge_permit(&mut self, permit: Option<usize>, purse: usize, user: Option<&UserId>, now: i64) {
        let user = self.who(purse, user);
        if let Some(permit) = permit {
            self.permits[permit].charged.push((user, now));
            self.touch(Some(permit), now);
        }
    }

    pub(super) fn who(&self, purse: usize, user: Option<&UserId>) -> Option<UserId> {
        match (&self.purses[purse].key.owner, user) {
            (_, Some(user)) => Some(user.clone()),
            (Owner::User(payer), None) => Some(payer.clone()),
            _ => None,
        }
    }

    fn permit(&self, tenant: &TenantId, id: &LicenceId) -> Option<usize> {
        self.permits.iter().position(|permit| permit.tenant == *tenant && permit.id == *id)
    }

    pub(super) fn set_licence(&mut self, clock: i64, tenant: &TenantId, ask: &SetLicence) -> Result<Effects, DenialKind> {
        let beside = self.permits.iter().filter(|permit| permit.concerns(tenant, Some(&ask.template_id), ask.user_id.as_ref()));
        let clock = beside.map(|permit| permit.at).fold(clock, i64::max);
        let Some(known) = self.permit(tenant, &ask.licence_id) else {
            let zone = ask.zone.unwrap_or(self.policies.of(tenant).zone).to_string();
            let (tenant, id, said) = (tenant.clone(), ask.licence_id.clone(), ask.clone());
            let (submitted, charged) = (Vec::new(), Vec::new());
            self.permits.push(Permit { tenant, id, said, zone, submitted, revoked: false, at: clock, charged });
            return Ok(Effects { changed: Some(true), ..Effects::default() });
        };
        let permit = &mut self.permits[known];
        if permit.revoked {
            return Err(AuthorizationRevoked);
        }
        let same = permit.said.template_id == ask.template_id && permit.said.user_id == ask.user_id;
        if !same || ask.zone.is_some_and(|zone| zone.to_string() != permit.zone) {
            return Err(PayloadInvalid);
        }
        let agreed = |said: &SetLicence| {
            let quotas = (said.total_quota, said.daily_quota);
            let times = (said.valid_from, said.valid_until);
            (quotas, times, said.channels.clone(), said.required_documents.clone(), said.policy_tag.clone())
        };
        let changed = agreed(&permit.said) != agreed(ask);
        (permit.said, permit.at) = (ask.clone(), permit.at.max(clock));
        Ok(Effects { changed: Some(changed), ..Effects::default() })
    }

    pub(super) fn revoke_licence(&mut self, clock: i64, tenant: &TenantId, ask: &RevokeLicence) -> Result<Effects, DenialKind> {
        let known = self.permit(tenant, &ask.licence_id).ok_or(AuthorizationNotFound)?;
        let permit = &mut self.permits[known];
        permit.at = permit.at.max(clock);
        let changed = !std::mem::replace(&mut permit.revoked, true);
        Ok(Effects { changed: Some(changed), ..Effects::default() })
    }

    pub(super) fn submit(&mut self, clock: i64, tenant: &TenantId, ask: &SubmitDocuments) -> Result<Effects, DenialKind> {
        let known = self.permit(tenant, &ask.licence_id).ok_or(AuthorizationNotFound)?;
        let permit = &mut self.permits[known];
        if permit.revoked {
            return Err(AuthorizationRevoked);
        }
        permit.at = permit.at.max(clock);
        let more: Vec<DocumentId> = ask.documents.iter().filter(|name| !permit.submitted.contains(name)).cloned().collect();
        let changed = !more.is_empty();
        permit.submitted.extend(more);
        Ok(Effects { changed: Some(changed), ..Effects::default() })
    }
}

impl Permit {
    fn concerns(&self, tenant: &TenantId, template: Option<&TemplateId>, user: Option<&UserId>) -> bool {
        let mine = self.said.user_id.is_none() || self.said.user_id.as_ref() == user;
        self.tenant == *tenant && Some(&self.said.template_id) == template && mine
    }

    fn date(&self, at: i64) -> String {
        spending::period(&self.zone, LimitPeriod::Day, at)
    }
}
