//! Commands about the members of an organization.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, shape};
use crate::credit::{MemberLimit, Role, TenantPolicy};
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{Operator, OrganizationId, TenantId, Unit, UserId};
use crate::owner::MemberKey;

/// Adds a member to an organization, or changes one: the role and limit that it names are those from now on.
///
/// Only members can hold and charge an organization's credit. The limit counts what the member charges and holds in a day or
/// month of the tenant's zone; what comes back of a hold is given back to the day and the month in which it was made, and a
/// refund gives nothing back. What was used in the period stays used when the limit changes, and when the member is removed
/// and added again; a limit in another unit begins with nothing used.
///
/// # Errors
/// `amount_invalid` for a limit below 0.
///
/// # Examples
/// ```
/// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, LimitPeriod, MemberLimit, Owner, Role, SetMember};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let team = Owner::organization("team")?;
/// engine.execute(acme.request(GrantCredit::new(team.clone(), GrantType::Plan, "100".parse()?)))?;
/// let limit = MemberLimit { amount: "10".parse()?, unit: None, per: LimitPeriod::Day };
/// let member = SetMember { limit: Some(limit), ..SetMember::new("team", "u1", Role::Member, "ops")? };
/// engine.execute(acme.request(member))?;
/// let charge = |user: &str, amount: &str| {
///     let charge = Charge { user_id: Some(user.parse()?), ..Charge::new(team.clone(), amount.parse()?) };
///     engine.execute(acme.request(charge))
/// };
/// assert!(charge("u1", "10").is_ok());
/// assert_eq!(charge("u1", "1").unwrap_err().denial().unwrap().name(), "member_limit_exceeded");
/// assert_eq!(charge("u2", "1").unwrap_err().denial().unwrap().name(), "not_a_member");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetMember {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user who is a member from now on.
    pub user_id: UserId,
    /// The role; the engine treats all alike.
    pub role: Role,
    /// How much the member may spend; none for as much as there is.
    #[serde(default)]
    pub limit: Option<MemberLimit>,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl SetMember {
    /// A member without a limit.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn new(organization_id: &str, user_id: &str, role: Role, operator: &str) -> Result<SetMember, Denial> {
        Ok(SetMember {
            organization_id: OrganizationId::new(organization_id)?,
            user_id: UserId::new(user_id)?,
            role,
            limit: None,
            operator: Operator::new(operator)?,
            reason: None,
            metadata: None,
        })
    }
}

impl CommandParts for SetMember {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::UserId, Some(self.user_id.as_str()));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::OrganizationId, Some(self.organization_id.as_str()));
        fields.text(Field::Role, Some(self.role.as_str()));
        if let Some(limit) = &self.limit {
            fields.amount(Field::Limit, Some(limit.amount));
            fields.text(Field::LimitUnit, limit.unit.as_ref().map(Unit::as_str));
            fields.text(Field::LimitPer, Some(limit.per.as_str()));
        }
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        if let Some(limit) = &self.limit {
            shape::not_negative("limit.amount", limit.amount)?;
        }
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.members.push(MemberKey::new(tenant_id.clone(), self.organization_id.clone(), self.user_id.clone()));
        Ok(())
    }
}

/// Removes a member from an organization. What the member holds stays held, and can be captured or released.
///
/// # Errors
/// `not_a_member`.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, RemoveMember, Role, SetMember};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// engine.execute(acme.request(SetMember::new("team", "u1", Role::Member, "ops")?))?;
/// let remove = RemoveMember::new("team", "u1", "ops")?;
/// assert_eq!(engine.execute(acme.request(remove.clone()))?.role, Role::Member);
/// assert_eq!(engine.execute(acme.request(remove)).unwrap_err().denial().unwrap().name(), "not_a_member");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoveMember {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The user who is no member from now on.
    pub user_id: UserId,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl RemoveMember {
    /// This member.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn new(organization_id: &str, user_id: &str, operator: &str) -> Result<RemoveMember, Denial> {
        Ok(RemoveMember {
            organization_id: OrganizationId::new(organization_id)?,
            user_id: UserId::new(user_id)?,
            operator: Operator::new(operator)?,
            reason: None,
            metadata: None,
        })
    }
}

impl CommandParts for RemoveMember {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::UserId, Some(self.user_id.as_str()));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::OrganizationId, Some(self.organization_id.as_str()));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.members.push(MemberKey::new(tenant_id.clone(), self.organization_id.clone(), self.user_id.clone()));
        Ok(())
    }
}
