//! Questions about who may spend: members of organizations, and blocks.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::reads::{MAX_READS, ask, check_limit, restless};
use crate::amount::Amount;
use crate::credit::{self, Blocked, LimitPeriod, MemberUses, Membership};
use crate::error::{Error, Failure};
use crate::facts::{Facts, Needs};
use crate::id::{OrganizationId, TenantId, Unit, UserId};
use crate::owner::{AccountKey, MemberKey, Owner};
use crate::settle;
use crate::store::{Answer, Query};
use crate::time::Timestamp;

/// A page of members, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberPage {
    /// The members.
    pub members: Vec<Membership>,
    /// After whom the next page begins; none for the last.
    pub next_cursor: Option<UserId>,
}

/// A member, and what was used of the organization's credit in the present period: that of the limit, else the day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberUse {
    /// Who it is.
    pub member: Membership,
    /// In which unit the use is counted.
    pub unit: Unit,
    /// Charges and holds, less what came back of holds.
    pub used: Amount,
    /// What is left of the limit; none without one.
    pub left: Option<Amount>,
    /// When the present period began.
    pub period_from: Timestamp,
    /// When the next one begins.
    pub period_until: Timestamp,
}

impl Engine {
    /// Members of an organization after this user, in the order of their ids; those who were removed are left out.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, Role, SetMember};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// for user in ["u2", "u1"] {
    ///     engine.execute(acme.request(SetMember::new("team", user, Role::Member, "ops")?))?;
    /// }
    /// let first = engine.members(&acme.tenant_id, &"team".parse()?, None, 1)?;
    /// assert_eq!(first.members[0].user_id.as_str(), "u1");
    /// let second = engine.members(&acme.tenant_id, &"team".parse()?, first.next_cursor.as_ref(), 1)?;
    /// assert_eq!((second.members[0].user_id.as_str(), second.next_cursor), ("u2", None));
    /// assert!(engine.members(&acme.tenant_id, &"team".parse()?, None, 0).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn members(
        &self,
        tenant_id: &TenantId,
        organization_id: &OrganizationId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<MemberPage, Failure> {
        check_limit(limit)?;
        let (tenant_id, organization_id) = (tenant_id.clone(), organization_id.clone());
        // One more than asked for tells whether there is a next page.
        let query = Query::Members { tenant_id, organization_id, after: after.cloned(), limit: limit + 1 };
        let mut rows = ask!(self, Members, query)?;
        let has_next = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| has_next).map(|(user_id, _)| user_id.clone());
        Ok(MemberPage { members: rows.iter().filter_map(|(user_id, member)| member.membership(user_id)).collect(), next_cursor })
    }

    /// A member of an organization, with the use of the present period. What is due and not booked is given back in it.
    ///
    /// # Errors
    /// `not_a_member`.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, LimitPeriod, MemberLimit, Owner, PlaceHold, Role, SetMember};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let team = Owner::organization("team")?;
    /// engine.execute(acme.request(GrantCredit::new(team.clone(), GrantType::Plan, "100".parse()?)))?;
    /// let limit = MemberLimit { amount: "10".parse()?, unit: None, per: LimitPeriod::Month };
    /// let member = SetMember { limit: Some(limit), ..SetMember::new("team", "u1", Role::Member, "ops")? };
    /// engine.execute(acme.request(member))?;
    /// let hold = PlaceHold { user_id: Some("u1".parse()?), ..PlaceHold::new(team, "4".parse()?) };
    /// engine.execute(acme.request(hold))?;
    /// let of = |user: &str| engine.member(&acme.tenant_id, &"team".parse().unwrap(), &user.parse().unwrap());
    /// assert_eq!(of("u1")?.left.unwrap().to_string(), "6");
    /// assert_eq!(of("u2").unwrap_err().denial().unwrap().name(), "not_a_member");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn member(&self, tenant_id: &TenantId, organization_id: &OrganizationId, user_id: &UserId) -> Result<MemberUse, Failure> {
        let key = MemberKey::new(tenant_id.clone(), organization_id.clone(), user_id.clone());
        let account = |unit| AccountKey::new(tenant_id.clone(), Owner::Organization(organization_id.clone()), unit);
        // The unit stands in the row; should it change meanwhile, the account of the other is asked for.
        let mut unit = self.policy(tenant_id).unit.clone();
        for _ in 0..MAX_READS {
            let needs = Needs { accounts: vec![account(unit.clone())], members: vec![key.clone()], ..Needs::default() };
            let facts = self.facts(needs)?;
            let counted_in = &credit::present_member(&facts, &key)?.unit;
            if *counted_in == unit {
                return self.use_of(&facts, &key, &account(unit));
            }
            unit = counted_in.clone();
        }
        Err(restless(&account(unit)))
    }

    fn use_of(&self, facts: &Facts, key: &MemberKey, account: &AccountKey) -> Result<MemberUse, Failure> {
        let (zone, now) = (self.policy(&key.tenant_id).zone, facts.now);
        let mut uses = MemberUses::of(facts, zone);
        if let Some(account) = facts.accounts.get(account) {
            uses = settle::read_uses(account, uses, now)?;
        }
        let unknown = || Error::Corrupt("a member vanished while it was read".to_owned());
        let member = uses.member(key).ok_or_else(unknown)?;
        let membership = member.membership(&key.user_id).ok_or_else(unknown)?;
        let per = member.limit.map_or(LimitPeriod::Day, |(_, per)| per);
        let used = member.used(per, zone, now);
        let (from, until) = per.around(zone, now);
        let left = member.limit.map(|(limit, _)| limit.checked_sub(used).unwrap_or(Amount::ZERO).max(Amount::ZERO));
        Ok(MemberUse { member: membership, unit: member.unit.clone(), used, left, period_from: from, period_until: until })
    }

    /// What stands in the way of spending from this account when this user acts: blocks of the tenant, the account, the user who
    /// pays and the user who acts, in this order. Nothing, if all may spend. The deny lists of apps are not among them.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Block, BlockTarget, Context, Engine, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let account = acme.account(Owner::user("u1")?, "credit")?;
    /// assert!(engine.blocks(&account, None)?.is_empty());
    /// engine.execute(acme.request(Block::new(BlockTarget::Tenant, "ops", "unpaid")?))?;
    /// assert_eq!(engine.blocks(&account, None)?[0].target, BlockTarget::Tenant);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocks(&self, account: &AccountKey, user_id: Option<&UserId>) -> Result<Vec<Blocked>, Failure> {
        let subjects = credit::subjects_of_spending(account, user_id);
        let subjects = subjects.map(|subject| (account.tenant_id.clone(), subject)).collect();
        let needs = Needs { accounts: vec![account.clone()], subjects, ..Needs::default() };
        let facts = self.facts(needs)?;
        Ok(credit::blocks(&facts, facts.accounts.get(account), account, user_id))
    }

    /// Facts as they are now. Where the clock is behind what was booked last, as of then: nothing is decided here.
    pub(super) fn facts(&self, needs: Needs) -> Result<Box<Facts>, Failure> {
        let needs = Box::new(needs);
        match ask!(self, Facts, Query::Facts(needs.clone(), self.now())) {
            Err(Failure::Failed(Error::ClockBehind { last_at, .. })) => ask!(self, Facts, Query::Facts(needs, last_at)),
            answer => answer,
        }
    }
}
