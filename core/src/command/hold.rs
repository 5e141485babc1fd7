//! Commands about holds: pre-deduct, commit, cancel, and what lies between.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, add_handle, licence_needs, paying_account, shape, spending_needs};
use crate::amount::Amount;
use crate::credit::{LateCommit, OverCapture, TenantPolicy};
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{AppId, AuditId, HoldId, PolicyTag, PriceBasis, Scene, TaskId, TemplateId, TenantId, Unit, UserId};
use crate::owner::Owner;
use crate::risk;

/// How long a hold lasts that does not say: 15 minutes.
pub(super) const DEFAULT_EXPIRE_IN: u32 = 900;
/// The longest that a hold can last from now: 7 days.
pub(super) const MAX_EXPIRE_IN: u32 = 604_800;

const fn default_expire_in() -> u32 {
    DEFAULT_EXPIRE_IN
}

const fn yes() -> bool {
    true
}

/// Freezes an amount against exact grants until it is captured, released, or `expire_in` seconds have passed.
///
/// # Errors
/// `amount_invalid` below 0; `payload_invalid` for an `expire_in` outside 1 to 604,800, or without a user for an organization's
/// credit; `blocked`; `not_a_member`; `member_limit_exceeded` with what is used and when a retry can succeed; `pre_deduct_already_processed` when
/// the task has a live or captured hold; `payload_invalid` for a quote that is none, of other work, at another price or too old; where
/// the tenant requires licences, `template_not_found`, `authorization_not_found` without one, `authorization_missing` for one that is not
/// valid, `daily_quota_exceeded`, `quota_exceeded`; `cap_exceeded` by the risk controls; `capacity_exceeded` at 10,000 open holds or 256
/// grants; `insufficient_balance`.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, TaskId};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let hold = PlaceHold { task_id: Some(TaskId::new("task-1")?), ..PlaceHold::new(user, "4".parse()?) };
/// let held = engine.execute(acme.request(hold.clone()))?;
/// assert_eq!((held.frozen_amount.to_string(), held.balance_after.to_string()), ("4".into(), "6".into()));
/// let second = engine.execute(acme.request(hold)).unwrap_err();
/// assert_eq!(second.denial().unwrap().name(), "pre_deduct_already_processed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlaceHold {
    /// Who pays; if none, whom the tenant's policy says: the user below, unless it says the pool.
    #[serde(default)]
    pub payer: Option<Owner>,
    /// The user who acts, and pays unless the payer or the policy says otherwise.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// How much; 0 or more, for free work.
    pub amount: Amount,
    /// Seconds until the hold releases itself: 1 to 604,800 (7 days); 900 if not given.
    #[serde(default = "default_expire_in")]
    pub expire_in: u32,
    /// The work that it pays for; at most one live or captured hold a task.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// The template that is used.
    #[serde(default)]
    pub template_id: Option<TemplateId>,
    /// The app that is used.
    #[serde(default)]
    pub app_id: Option<AppId>,
    /// The scene.
    #[serde(default)]
    pub scene: Option<Scene>,
    /// The version of the price list that the amount was worked out from; kept, not read. That of the quote, where one is named.
    #[serde(default)]
    pub price_basis: Option<PriceBasis>,
    /// A quote ([`crate::Engine::quote`]): the amount must be its price, and what it names the quote's.
    #[serde(default)]
    pub audit_id: Option<AuditId>,
    /// What a capture above the hold does; it is denied if not given.
    #[serde(default)]
    pub over_capture: OverCapture,
    /// What a capture after the expiry does; it is denied if not given.
    #[serde(default)]
    pub late_commit: LateCommit,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// The label of compliance; kept and passed on, not read.
    #[serde(default)]
    pub policy_tag: Option<PolicyTag>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl PlaceHold {
    /// Freezes this much of the payer's credit for 15 minutes.
    #[must_use]
    pub fn new(payer: Owner, amount: Amount) -> PlaceHold {
        PlaceHold { payer: Some(payer), ..PlaceHold::by_policy(None, amount) }
    }

    /// Freezes this much of the credit of whoever pays by the tenant's policy.
    #[must_use]
    pub fn by_policy(user_id: Option<UserId>, amount: Amount) -> PlaceHold {
        PlaceHold {
            payer: None,
            user_id,
            unit: None,
            amount,
            expire_in: DEFAULT_EXPIRE_IN,
            task_id: None,
            template_id: None,
            app_id: None,
            scene: None,
            price_basis: None,
            audit_id: None,
            over_capture: OverCapture::default(),
            late_commit: LateCommit::default(),
            reason: None,
            policy_tag: None,
            metadata: None,
        }
    }
}

impl CommandParts for PlaceHold {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Payer, self.payer.as_ref());
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.text(Field::UserId, self.user_id.as_ref().map(UserId::as_str));
        fields.amount(Field::Amount, Some(self.amount));
        fields.number(Field::ExpireIn, i64::from(self.expire_in), i64::from(DEFAULT_EXPIRE_IN));
        fields.text(Field::AppId, self.app_id.as_ref().map(AppId::as_str));
        fields.text(Field::TemplateId, self.template_id.as_ref().map(TemplateId::as_str));
        fields.text(Field::PolicyTag, self.policy_tag.as_ref().map(PolicyTag::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::TaskId, self.task_id.as_ref().map(TaskId::as_str));
        fields.text(Field::Scene, self.scene.as_ref().map(Scene::as_str));
        fields.text(Field::PriceBasis, self.price_basis.as_ref().map(PriceBasis::as_str));
        fields.text(Field::OverCapture, (self.over_capture != OverCapture::default()).then(|| self.over_capture.as_str()));
        fields.text(Field::LateCommit, (self.late_commit != LateCommit::default()).then(|| self.late_commit.as_str()));
        fields.text(Field::AuditId, self.audit_id.map(|id| id.to_string()).as_deref());
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::not_negative("amount", self.amount)?;
        shape::expire_in(self.expire_in)?;
        shape::spender(self.payer.as_ref(), self.user_id.as_ref())?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        let account = paying_account(tenant_id, policy, self.payer.as_ref(), self.user_id.as_ref(), self.unit.as_ref())?;
        spending_needs(&account, self.user_id.as_ref(), needs);
        licence_needs(&account, policy, self.template_id.as_ref(), self.user_id.as_ref(), needs);
        risk::needs(policy, &account, self.user_id.as_ref(), self.app_id.as_ref(), needs);
        needs.quotes.extend(self.audit_id.map(|audit_id| (tenant_id.clone(), audit_id)));
        add_handle(&mut needs.accounts, account);
        needs.tasks.extend(self.task_id.iter().map(|task| (tenant_id.clone(), task.clone())));
        Ok(())
    }
}

/// Lets a hold last until `expire_in` seconds from now.
///
/// # Errors
/// `pre_deduct_not_found`; `pre_deduct_already_processed` for a hold that has ended; `payload_invalid` for an expiry that is
/// more than 604,800 s from now, more than 30 days after the hold was made, or not later than the present one.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, ExtendHold, GrantCredit, GrantType, Owner, PlaceHold};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let held = engine.execute(acme.request(PlaceHold::new(user, "4".parse()?)))?;
/// let extended = engine.execute(acme.request(ExtendHold::new(held.hold_id, 3_600)))?;
/// assert!(extended.expires_at > held.expires_at);
/// assert!(engine.execute(acme.request(ExtendHold::new(held.hold_id, 604_801))).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ExtendHold {
    /// The hold.
    pub hold_id: HoldId,
    /// Seconds from now until the hold releases itself: 1 to 604,800 (7 days), and later than it would now. No default.
    pub expire_in: u32,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl ExtendHold {
    /// Lets this hold last until so many seconds from now.
    #[must_use]
    pub const fn new(hold_id: HoldId, expire_in: u32) -> ExtendHold {
        ExtendHold { hold_id, expire_in, reason: None, metadata: None }
    }
}

impl CommandParts for ExtendHold {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::HoldId, Some(&self.hold_id.to_string()));
        fields.number(Field::ExpireIn, i64::from(self.expire_in), 0);
        fields.text(Field::Reason, self.reason.as_deref());
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::expire_in(self.expire_in)?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.holds.push((tenant_id.clone(), self.hold_id));
        Ok(())
    }
}

/// Consumes what the work cost: all of it at the end (`last`), or a part while it goes on.
///
/// Less than what is held returns the rest, last drawn first, when it is the last. More follows the policy of the hold.
/// The task, template and user, where they are given, must be the hold's.
///
/// # Errors
/// `amount_invalid` below 0; `payload_invalid` for a part without a key, or a task, template or user that does not match;
/// `pre_deduct_not_found`; `pre_deduct_already_processed` for a hold that has ended; `hold_exceeded`;
/// `capacity_exceeded` at 1,000 charges of the task; `insufficient_balance` for an excess that is not covered.
///
/// # Examples
/// ```
/// use drawdown::{CaptureHold, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let held = engine.execute(acme.request(PlaceHold::new(user, "4".parse()?)))?;
/// let captured = engine.execute(acme.request(CaptureHold::new(held.hold_id, "2.5".parse()?)))?;
/// assert_eq!(captured.captured_total.to_string(), "2.5");
/// assert_eq!(captured.balance_after.to_string(), "7.5");
/// let again = engine.execute(acme.request(CaptureHold::new(held.hold_id, "2.5".parse()?))).unwrap_err();
/// assert_eq!(again.denial().unwrap().name(), "pre_deduct_already_processed");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CaptureHold {
    /// The hold.
    pub hold_id: HoldId,
    /// What the work, or this part of it, cost; 0 or more.
    pub actual_cost: Amount,
    /// Whether this is the last capture: the rest is released. `final` on the wire; true if not given.
    #[serde(default = "yes", rename = "final")]
    pub last: bool,
    /// Must be the hold's, if given.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// Must be the hold's, if given.
    #[serde(default)]
    pub template_id: Option<TemplateId>,
    /// Must be the hold's, if given.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl CaptureHold {
    /// Captures this much and releases the rest.
    #[must_use]
    pub const fn new(hold_id: HoldId, actual_cost: Amount) -> CaptureHold {
        CaptureHold {
            hold_id,
            actual_cost,
            last: true,
            task_id: None,
            template_id: None,
            user_id: None,
            reason: None,
            metadata: None,
        }
    }

    /// Captures this much and keeps the rest held. Needs an idempotency key.
    #[must_use]
    pub const fn part(hold_id: HoldId, actual_cost: Amount) -> CaptureHold {
        CaptureHold {
            hold_id,
            actual_cost,
            last: false,
            task_id: None,
            template_id: None,
            user_id: None,
            reason: None,
            metadata: None,
        }
    }
}

impl CommandParts for CaptureHold {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::HoldId, Some(&self.hold_id.to_string()));
        fields.amount(Field::ActualCost, Some(self.actual_cost));
        fields.number(Field::Final, i64::from(self.last), 1);
        fields.text(Field::TaskId, self.task_id.as_ref().map(TaskId::as_str));
        fields.text(Field::TemplateId, self.template_id.as_ref().map(TemplateId::as_str));
        fields.text(Field::UserId, self.user_id.as_ref().map(UserId::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
    }

    fn check(&self, keyed: bool) -> Result<(), Denial> {
        shape::not_negative("actual_cost", self.actual_cost)?;
        if !self.last {
            shape::key_required(keyed, "a partial capture")?;
        }
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.holds.push((tenant_id.clone(), self.hold_id));
        Ok(())
    }
}

/// Gives a hold back: all of it, which ends it, or a part.
///
/// # Errors
/// `amount_invalid` for a part that is not positive or more than what is held; `payload_invalid` for a part without a key, or
/// a user or task that does not match; `pre_deduct_not_found`; `pre_deduct_already_processed` for a hold that has ended.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner, PlaceHold, ReleaseHold};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let held = engine.execute(acme.request(PlaceHold::new(user, "4".parse()?)))?;
/// let released = engine.execute(acme.request(ReleaseHold::new(held.hold_id)))?;
/// assert_eq!(released.balance_after.to_string(), "10");
/// let again = engine.execute(acme.request(ReleaseHold::new(held.hold_id))).unwrap_err();
/// assert_eq!(again.denial().unwrap().details()["status"], "cancelled");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReleaseHold {
    /// The hold.
    pub hold_id: HoldId,
    /// A part to release, greater than 0 and at most what is held; all of it, which ends the hold, if none.
    #[serde(default)]
    pub amount: Option<Amount>,
    /// Must be the hold's, if given.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// Must be the hold's, if given.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl ReleaseHold {
    /// Ends this hold and gives all of it back.
    #[must_use]
    pub const fn new(hold_id: HoldId) -> ReleaseHold {
        ReleaseHold { hold_id, amount: None, task_id: None, user_id: None, reason: None, metadata: None }
    }

    /// Gives a part back and keeps the rest held. Needs an idempotency key.
    #[must_use]
    pub const fn part(hold_id: HoldId, amount: Amount) -> ReleaseHold {
        ReleaseHold { hold_id, amount: Some(amount), task_id: None, user_id: None, reason: None, metadata: None }
    }
}

impl CommandParts for ReleaseHold {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::HoldId, Some(&self.hold_id.to_string()));
        fields.amount(Field::Amount, self.amount);
        fields.text(Field::TaskId, self.task_id.as_ref().map(TaskId::as_str));
        fields.text(Field::UserId, self.user_id.as_ref().map(UserId::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
    }

    fn check(&self, keyed: bool) -> Result<(), Denial> {
        if let Some(amount) = self.amount {
            shape::positive("amount", amount)?;
            shape::key_required(keyed, "a partial release")?;
        }
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.holds.push((tenant_id.clone(), self.hold_id));
        Ok(())
    }
}
