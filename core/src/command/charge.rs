//! Commands that consume credit at once, and give consumed credit back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, add_handle, licence_needs, paying_account, shape, spending_needs};
use crate::amount::Amount;
use crate::credit::TenantPolicy;
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{AppId, AuditId, LedgerId, Operator, PolicyTag, PriceBasis, TaskId, TemplateId, TenantId, Unit, UserId};
use crate::owner::Owner;
use crate::risk;

/// Consumes credit at once.
///
/// # Errors
/// `amount_invalid` unless positive; `charge_rate_limited` when the tenant limits charges in a minute; `blocked`; of an organization's
/// credit `payload_invalid` without a user, `not_a_member`, `member_limit_exceeded` with what is used and when a retry can succeed;
/// `payload_invalid` for a quote that is none, of other work, at another price or too old; where the tenant requires licences,
/// `template_not_found`, `authorization_missing` without one that is valid, `daily_quota_exceeded`, `quota_exceeded`; `cap_exceeded` by the
/// risk controls, with the cap and when a retry can succeed; `capacity_exceeded` at 256 grants or at 1,000 charges of the task;
/// `insufficient_balance` with what was needed and what there was.
///
/// # Examples
/// ```
/// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let charge = acme.key("call-1")?.request(Charge::new(user.clone(), "2.5".parse()?));
/// let charged = engine.execute(charge.clone())?;
/// assert_eq!((charged.change.to_string(), charged.balance_after.to_string()), ("-2.5".into(), "7.5".into()));
/// assert!(engine.execute(charge)?.idempotent_replay); // the same key takes effect once
/// let refused = engine.execute(acme.request(Charge::new(user, "100".parse()?))).unwrap_err();
/// assert_eq!(refused.denial().unwrap().details()["available"], "7.5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// Who pays; if none, whom the tenant's policy says: the user below, unless it says the pool.
    #[serde(default)]
    pub payer: Option<Owner>,
    /// The user who acts, and pays unless the payer or the policy says otherwise.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// How much; greater than 0.
    pub amount: Amount,
    /// The work that it pays for; a task can have 1,000 charges and captures.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// The template that is used.
    #[serde(default)]
    pub template_id: Option<TemplateId>,
    /// The app that is used.
    #[serde(default)]
    pub app_id: Option<AppId>,
    /// The version of the price list that the amount was worked out from; kept, not read. That of the quote, where one is named.
    #[serde(default)]
    pub price_basis: Option<PriceBasis>,
    /// A quote ([`crate::Engine::quote`]): the amount must be its price, and what it names the quote's.
    #[serde(default)]
    pub audit_id: Option<AuditId>,
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

impl Charge {
    /// Charges the payer this much.
    #[must_use]
    pub fn new(payer: Owner, amount: Amount) -> Charge {
        Charge { payer: Some(payer), ..Charge::by_policy(None, amount) }
    }

    /// Charges whoever pays by the tenant's policy.
    #[must_use]
    pub fn by_policy(user_id: Option<UserId>, amount: Amount) -> Charge {
        Charge {
            payer: None,
            user_id,
            unit: None,
            amount,
            task_id: None,
            template_id: None,
            app_id: None,
            price_basis: None,
            audit_id: None,
            reason: None,
            policy_tag: None,
            metadata: None,
        }
    }
}

impl CommandParts for Charge {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Payer, self.payer.as_ref());
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.text(Field::UserId, self.user_id.as_ref().map(UserId::as_str));
        fields.amount(Field::Amount, Some(self.amount));
        fields.text(Field::AppId, self.app_id.as_ref().map(AppId::as_str));
        fields.text(Field::TemplateId, self.template_id.as_ref().map(TemplateId::as_str));
        fields.text(Field::PolicyTag, self.policy_tag.as_ref().map(PolicyTag::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::TaskId, self.task_id.as_ref().map(TaskId::as_str));
        fields.text(Field::PriceBasis, self.price_basis.as_ref().map(PriceBasis::as_str));
        fields.text(Field::AuditId, self.audit_id.map(|id| id.to_string()).as_deref());
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::positive("amount", self.amount)?;
        shape::spender(self.payer.as_ref(), self.user_id.as_ref())?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        let account = paying_account(tenant_id, policy, self.payer.as_ref(), self.user_id.as_ref(), self.unit.as_ref())?;
        spending_needs(&account, self.user_id.as_ref(), needs);
        licence_needs(&account, policy, self.template_id.as_ref(), self.user_id.as_ref(), needs);
        risk::request_needs(policy, &account, self.user_id.as_ref(), needs);
        risk::needs(policy, &account, self.user_id.as_ref(), self.app_id.as_ref(), needs);
        needs.quotes.extend(self.audit_id.map(|audit_id| (tenant_id.clone(), audit_id)));
        add_handle(&mut needs.accounts, account);
        needs.tasks.extend(self.task_id.iter().map(|task| (tenant_id.clone(), task.clone())));
        Ok(())
    }
}

/// What a refund is against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundOf {
    /// All that was charged or captured under this task in the account, the latest first.
    TaskId(TaskId),
    /// One charge or capture.
    LedgerId(LedgerId),
}

/// Gives consumed credit back to the exact grants that it came from, last drawn first.
///
/// What came from a grant that has expired or was voided since is reissued for the policy's grace days, or forfeited.
///
/// # Errors
/// `payload_invalid` for a part without a key; `invalid_refund_amount` unless positive and at most the rest;
/// `refund_duplicate` when nothing is left; `refund_not_allowed` when there is no such charge in the account, the operator is
/// not allowed, or the refund window has passed.
///
/// # Examples
/// ```
/// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner, Refund};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
/// let charged = engine.execute(acme.request(Charge::new(user.clone(), "4".parse()?)))?;
/// let refund = Refund::of_charge(user, charged.ledger_id, "ops", "it failed")?;
/// assert_eq!(engine.execute(acme.request(refund.clone()))?.balance_after.to_string(), "10");
/// let again = engine.execute(acme.request(refund)).unwrap_err();
/// assert_eq!(again.denial().unwrap().name(), "refund_duplicate");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RefundOnTheWire", into = "RefundOnTheWire")]
pub struct Refund {
    /// Who paid; if none, whom the tenant's policy says: the user below, unless it says the pool.
    pub payer: Option<Owner>,
    /// The user who acted, and paid unless the payer or the policy says otherwise.
    pub user_id: Option<UserId>,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    pub unit: Option<Unit>,
    /// What is given back: `task_id` or `ledger_id` on the wire.
    pub of: RefundOf,
    /// A part, greater than 0 and at most the rest; the whole rest if none.
    pub amount: Option<Amount>,
    /// Who answers for it; one whom the policy lets refund.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    pub reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    pub metadata: Option<Metadata>,
}

/// A refund as JSON: `of` is one of two fields, and unknown fields are refused, which serde cannot do beside a flattened one.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct RefundOnTheWire {
    /// Who paid; if none, whom the tenant's policy says: the user below, unless it says the pool.
    #[serde(default)]
    payer: Option<Owner>,
    /// The user who acted, and paid unless the payer or the policy says otherwise.
    #[serde(default)]
    user_id: Option<UserId>,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    unit: Option<Unit>,
    /// All that was charged or captured under this task in the account is given back, the latest first; this or `ledger_id`.
    #[serde(default)]
    task_id: Option<TaskId>,
    /// One charge or capture is given back; this or `task_id`.
    #[serde(default)]
    ledger_id: Option<LedgerId>,
    /// A part, greater than 0 and at most the rest; the whole rest if none.
    #[serde(default)]
    amount: Option<Amount>,
    /// Who answers for it; one whom the policy lets refund.
    operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    metadata: Option<Metadata>,
}

impl TryFrom<RefundOnTheWire> for Refund {
    type Error = &'static str;

    fn try_from(wire: RefundOnTheWire) -> Result<Refund, &'static str> {
        let of = match (wire.task_id, wire.ledger_id) {
            (Some(task_id), None) => RefundOf::TaskId(task_id),
            (None, Some(ledger_id)) => RefundOf::LedgerId(ledger_id),
            (Some(_), Some(_)) => return Err("`task_id` and `ledger_id` are both given, exactly one is needed"),
            (None, None) => return Err("neither `task_id` nor `ledger_id` is given, exactly one is needed"),
        };
        let RefundOnTheWire { payer, user_id, unit, amount, operator, reason, metadata, .. } = wire;
        Ok(Refund { payer, user_id, unit, of, amount, operator, reason, metadata })
    }
}

impl From<Refund> for RefundOnTheWire {
    fn from(refund: Refund) -> RefundOnTheWire {
        let Refund { payer, user_id, unit, of, amount, operator, reason, metadata } = refund;
        let (task_id, ledger_id) = match of {
            RefundOf::TaskId(task_id) => (Some(task_id), None),
            RefundOf::LedgerId(ledger_id) => (None, Some(ledger_id)),
        };
        RefundOnTheWire { payer, user_id, unit, task_id, ledger_id, amount, operator, reason, metadata }
    }
}

impl Refund {
    /// Gives back the rest of one charge or capture.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn of_charge(payer: Owner, ledger_id: LedgerId, operator: &str, reason: &str) -> Result<Refund, Denial> {
        Refund::new(payer, RefundOf::LedgerId(ledger_id), operator, reason)
    }

    /// Gives back the rest of all that a task consumed.
    ///
    /// # Errors
    /// `payload_invalid` for an operator that is no id.
    pub fn of_task(payer: Owner, task_id: TaskId, operator: &str, reason: &str) -> Result<Refund, Denial> {
        Refund::new(payer, RefundOf::TaskId(task_id), operator, reason)
    }

    fn new(payer: Owner, of: RefundOf, operator: &str, reason: &str) -> Result<Refund, Denial> {
        let operator = Operator::new(operator)?;
        Ok(Refund {
            payer: Some(payer),
            user_id: None,
            unit: None,
            of,
            amount: None,
            operator,
            reason: Arc::from(reason),
            metadata: None,
        })
    }
}

impl CommandParts for Refund {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Payer, self.payer.as_ref());
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.text(Field::UserId, self.user_id.as_ref().map(UserId::as_str));
        fields.amount(Field::Amount, self.amount);
        fields.text(Field::Reason, Some(&self.reason));
        fields.text(Field::Operator, Some(self.operator.as_str()));
        match &self.of {
            RefundOf::TaskId(task_id) => fields.text(Field::TaskId, Some(task_id.as_str())),
            RefundOf::LedgerId(ledger_id) => fields.text(Field::LedgerId, Some(&ledger_id.to_string())),
        }
    }

    /// The amount itself is checked against the charge: all its mistakes are `invalid_refund_amount`.
    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(Some(&self.reason), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        let account = paying_account(tenant_id, policy, self.payer.as_ref(), self.user_id.as_ref(), self.unit.as_ref())?;
        match &self.of {
            RefundOf::TaskId(task_id) => needs.task_charges.push((account.clone(), task_id.clone())),
            RefundOf::LedgerId(ledger_id) => needs.charges.push((tenant_id.clone(), *ledger_id)),
        }
        needs.accounts.push(account);
        Ok(())
    }
}
