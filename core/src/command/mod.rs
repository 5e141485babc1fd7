//! What a caller can ask for: typed commands, their fingerprints, and the receipts that answer them.

mod account;
mod block;
mod body;
mod charge;
mod erase;
mod fingerprint;
mod given;
mod grant;
mod hold;
mod import;
mod json;
mod licence;
mod member;
mod receipt;
mod recur;
mod shape;
mod task;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use account::{SetCreditLimit, SetLowBalance};
pub use block::{Block, BlockTarget, BlockedAccount, Unblock};
use body::CommandParts;
#[cfg(feature = "schema")]
pub(crate) use body::describe;
pub use body::{Body, Operate};
pub use charge::{Charge, Refund, RefundOf};
pub use erase::EraseText;
pub use fingerprint::Fingerprint;
pub use given::Given;
pub(crate) use given::read_given;
pub use grant::{Adjust, AmendGrant, GrantCredit, VoidGrant};
pub use hold::{CaptureHold, ExtendHold, PlaceHold, ReleaseHold};
pub use import::{ImportBalance, legacy_balance};
pub(crate) use json::{only_once, read_fields};
pub use licence::{RevokeLicence, SetLicence, SubmitDocuments};
pub use member::{RemoveMember, SetMember};
pub use receipt::{
    AdjustReceipt, AmendReceipt, BlockReceipt, CaptureReceipt, ChargeReceipt, CreditLimitReceipt, EraseTextReceipt, ExtendReceipt,
    GrantReceipt, HoldReceipt, ImportReceipt, LicenceReceipt, LowBalanceReceipt, MemberReceipt, Receipt, RecurReceipt,
    RefundReceipt, ReleaseReceipt, SettleReceipt, StopRuleReceipt, TaskReceipt, VoidReceipt,
};
pub(crate) use receipt::{AnswerRest, ErasedAnswer, LicenceAnswer, answer_of_task};
pub use recur::{RecurGrant, StopRule};
pub use task::{AdvanceTask, CompleteTask, FailTask};

use crate::credit::TenantPolicy;
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{Actor, IdempotencyKey, OpId, RequestId, TemplateId, TenantId, Unit, UserId};
use crate::ledger::OperationKind;
use crate::licence::TemplateKey;
use crate::owner::{AccountKey, MemberKey, Owner};
use crate::time::Timestamp;
use fingerprint::{Field, Fields};

/// Free text about a command, with metadata: what a person reads later.
pub type Metadata = Map<String, Value>;

/// What every command comes with: whose it is, and under which key it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Under this key the answer is replayed, for as long as the books live; without one the command is executed each time
    /// it comes.
    #[serde(default)]
    pub idempotency_key: Option<IdempotencyKey>,
    /// On whose behalf it comes, for the audit.
    #[serde(default)]
    pub actor: Option<Actor>,
    /// The request that it comes with, for the audit.
    #[serde(default)]
    pub request_id: Option<RequestId>,
    /// The version that the account must have: the sequence number of its last booked entry, 0 before the first. Compared with
    /// what is booked, before what has become due is settled.
    #[serde(default)]
    pub expected_version: Option<u64>,
    /// Until when it may begin, by the engine's clock. One that has not begun by then is answered [`crate::Error::Busy`] and
    /// never begins, a repetition of one that was executed before included.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
    /// Keeps a denial under the key as well, so that a repetition is answered with the same one whatever has changed since.
    /// Needs a key. The denials of a group are never kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remember_denials: bool,
    /// The host made sure in a second way that the user means this command, so it may go up to the `verified_daily_cap` of the risk
    /// controls. No part of what tells a repetition from another command.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verified: bool,
}

impl Context {
    /// Commands of this tenant.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn tenant(tenant_id: impl AsRef<str>) -> Result<Context, Denial> {
        Ok(Context::of(TenantId::new(tenant_id)?))
    }

    /// Commands of this tenant, without anything else.
    #[must_use]
    pub const fn of(tenant_id: TenantId) -> Context {
        Context {
            tenant_id,
            idempotency_key: None,
            actor: None,
            request_id: None,
            expected_version: None,
            deadline: None,
            remember_denials: false,
            verified: false,
        }
    }

    /// The same, under this idempotency key.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no key.
    pub fn key(&self, key: impl AsRef<str>) -> Result<Context, Denial> {
        Ok(Context { idempotency_key: Some(IdempotencyKey::new(key)?), ..self.clone() })
    }

    /// The same, on behalf of this caller.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn actor(&self, actor: impl AsRef<str>) -> Result<Context, Denial> {
        Ok(Context { actor: Some(Actor::new(actor)?), ..self.clone() })
    }

    /// The same, with the request that it came with.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn request_id(&self, request_id: impl AsRef<str>) -> Result<Context, Denial> {
        Ok(Context { request_id: Some(RequestId::new(request_id)?), ..self.clone() })
    }

    /// The same, to be accepted only while the account has this version; else `version_conflict`.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// let granted = engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let seen = acme.expected_version(granted.version);
    /// assert_eq!(engine.execute(seen.request(Charge::new(user.clone(), "4".parse()?)))?.version, 2);
    /// let refused = engine.execute(seen.request(Charge::new(user, "4".parse()?))).unwrap_err();
    /// assert_eq!(refused.denial().unwrap().name(), "version_conflict");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expected_version(&self, version: u64) -> Context {
        Context { expected_version: Some(version), ..self.clone() }
    }

    /// The same, to be begun by this instant or not at all.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, Error, Failure, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let grant = GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?);
    /// let in_time = Context::tenant("acme")?.deadline("2126-01-01T00:00:00Z".parse()?);
    /// assert!(engine.execute(in_time.request(grant.clone())).is_ok());
    /// let late = in_time.deadline("2026-01-01T00:00:00Z".parse()?);
    /// assert!(matches!(engine.execute(late.request(grant)), Err(Failure::Failed(Error::Busy(_)))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn deadline(&self, at: Timestamp) -> Context {
        Context { deadline: Some(at), ..self.clone() }
    }

    /// The same; a denial is kept under the key and answered again.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// let charge = acme.key("order-7")?.remember_denials().request(Charge::new(user.clone(), "4".parse()?));
    /// let refused = engine.execute(charge.clone()).unwrap_err();
    /// engine.execute(acme.request(GrantCredit::new(user, GrantType::Purchased, "10".parse()?)))?;
    /// assert_eq!(engine.execute(charge).unwrap_err(), refused); // although it could be paid by now
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn remember_denials(&self) -> Context {
        Context { remember_denials: true, ..self.clone() }
    }

    /// The same; the host made sure in a second way that the user means it.
    ///
    /// # Examples
    /// See [`crate::RiskPolicy`].
    #[must_use]
    pub fn verified(&self) -> Context {
        Context { verified: true, ..self.clone() }
    }

    /// An account of this tenant.
    ///
    /// # Errors
    /// `payload_invalid` for a unit that is no id.
    pub fn account(&self, owner: Owner, unit: impl AsRef<str>) -> Result<AccountKey, Denial> {
        Ok(AccountKey::new(self.tenant_id.clone(), owner, Unit::new(unit)?))
    }

    /// A command that asks for `body`.
    #[must_use]
    pub fn request<B>(&self, body: B) -> Request<B> {
        Request { context: self.clone(), body }
    }
}

/// A command with its context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<B> {
    /// Whose it is, and under which key it is remembered.
    pub context: Context,
    /// What is asked for.
    pub body: B,
}

/// Any command.
pub type Command = Request<Body>;

/// Books what has become due in an account. The engine's `sweep` sends it; every other command settles by itself.
///
/// What is not due stays as it is: then nothing is booked.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use drawdown::{Context, Engine, GrantCredit, GrantType, ManualClock, Owner, Settle};
/// let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
/// let engine = Engine::builder().clock(clock.clone()).build()?;
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// let mut trial = GrantCredit::new(user.clone(), GrantType::Trial, "10".parse()?);
/// trial.expires_at = Some("2026-01-08T00:00:00Z".parse()?);
/// engine.execute(acme.request(trial))?;
/// clock.set("2026-01-08T00:00:00Z".parse()?);
/// let settled = engine.execute(acme.request(Settle { owner: user, unit: None }))?;
/// assert_eq!(settled.booked, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// The owner of the account.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
}

impl<B: Operate> Request<B> {
    /// The same command, of any kind.
    #[must_use]
    pub fn into_command(self) -> Command {
        Request { context: self.context, body: self.body.into() }
    }
}

impl Request<Body> {
    /// Checks the shape: everything that can be checked without looking anything up.
    ///
    /// # Errors
    /// `payload_invalid`, `amount_invalid` or `owner_invalid`, naming the field.
    pub fn check(&self) -> Result<(), Denial> {
        let keyed = self.context.idempotency_key.is_some();
        self.body.parts().check(keyed)?;
        if let Some(expected) = self.context.expected_version.filter(|_| !self.body.is_about_an_account()) {
            return Err(Denial::invalid("expected_version", expected, "a command about an account"));
        }
        if self.context.remember_denials { shape::key_required(keyed, "a denial that is remembered") } else { Ok(()) }
    }

    /// What the command says, so that a repetition can be told from another command under the same key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut fields = Fields::begin(self.body.kind());
        self.body.parts().fields(&mut fields);
        fields.version(Field::ExpectedVersion, self.context.expected_version);
        fields.number(Field::RememberDenials, i64::from(self.context.remember_denials), 0);
        fields.finish()
    }

    /// Handles to what decides this command. One for which it is not clear who pays needs its key alone: a replay comes
    /// before that denial.
    #[must_use]
    pub fn needs(&self, policy: &TenantPolicy) -> Needs {
        let mut needs = Needs::default();
        self.add_needs(policy, &mut needs);
        needs
    }

    /// Adds these handles to those of other commands.
    pub(crate) fn add_needs(&self, policy: &TenantPolicy, needs: &mut Needs) {
        if let Some(key) = &self.context.idempotency_key {
            needs.keys.push((self.context.tenant_id.clone(), key.clone()));
        }
        // A command for which it is not clear who pays adds nothing else.
        let _owner_invalid = self.body.parts().needs(&self.context.tenant_id, policy, needs);
    }

    /// The id for this command, which begins at `now`, with `random` bits from the host. It leads to the same place as the
    /// account that the command is about: the one that it needs, or that of the hold, grant or rule that it
    /// names; of a command that names a task alone, to the tenant.
    #[must_use]
    pub fn op_id(&self, needs: &Needs, now: Timestamp, random: u64) -> OpId {
        if let Some(account) = needs.accounts.first() {
            return OpId::new(now, &account.tenant_id, Some(&account.owner), random);
        }
        let named = needs.holds.first().map(|(_, id)| id.uuid()).or_else(|| needs.grants.first().map(|(_, id)| id.uuid()));
        let named = named.or_else(|| needs.rules.first().map(|(_, id)| id.uuid()));
        match named {
            Some(id) => OpId::beside(now, id, random),
            None => OpId::new(now, &self.context.tenant_id, None, random),
        }
    }
}

/// The account that pays for a command: the one it names, else the one that the tenant's policy names.
///
/// # Errors
/// `owner_invalid` when neither names one.
pub(crate) fn paying_account(
    tenant_id: &TenantId,
    policy: &TenantPolicy,
    payer: Option<&Owner>,
    user_id: Option<&UserId>,
    unit: Option<&Unit>,
) -> Result<AccountKey, Denial> {
    let owner = match (payer, policy.payer, user_id) {
        (Some(owner), _, _) => owner.clone(),
        (None, crate::credit::Payer::Tenant, _) => Owner::Pool,
        (None, crate::credit::Payer::User, Some(user_id)) => Owner::User(user_id.clone()),
        (None, crate::credit::Payer::User, None) => {
            return Err(Denial::new(crate::denial::DenialKind::OwnerInvalid, "neither a payer nor a user is named")
                .with("allowed", "a payer, or a user who pays by the tenant's policy"));
        }
    };
    Ok(AccountKey::new(tenant_id.clone(), owner, unit.unwrap_or(&policy.unit).clone()))
}

/// Adds a handle, unless it is one of the last few: the commands of a batch are often about the same.
pub(crate) fn add_handle<T: PartialEq>(handles: &mut Vec<T>, handle: T) {
    if !handles.iter().rev().take(3).any(|known| *known == handle) {
        handles.push(handle);
    }
}

/// The handles of what decides whether a charge or hold may spend from this account at all: who must not be blocked, and the
/// member who spends an organization's credit.
fn spending_needs(account: &AccountKey, user_id: Option<&UserId>, needs: &mut Needs) {
    let subjects = crate::credit::subjects_of_spending(account, user_id);
    subjects.for_each(|subject| add_handle(&mut needs.subjects, (account.tenant_id.clone(), subject)));
    needs.members.extend(user_id.and_then(|user_id| MemberKey::of_account(account, user_id)));
}

/// The handle of the licences that work with a template can use, if the tenant requires one.
fn licence_needs(
    account: &AccountKey,
    policy: &TenantPolicy,
    template_id: Option<&TemplateId>,
    user_id: Option<&UserId>,
    needs: &mut Needs,
) {
    let template_id = template_id.filter(|_| policy.licence_required);
    needs.templates.extend(template_id.map(|template_id| TemplateKey::of_work(account, template_id, user_id)));
}

/// The text of a command as its entries keep it.
pub(crate) fn shared_metadata(metadata: Option<&Metadata>) -> Option<Arc<Metadata>> {
    metadata.filter(|map| !map.is_empty()).map(|map| Arc::new(in_byte_order(map)))
}

/// The names in byte order, as the chain hashes them. A map of `serde_json` has that order by itself, unless another crate
/// of the host's build asks it to keep the order of insertion; the books are read by builds of both kinds.
fn in_byte_order(map: &Metadata) -> Metadata {
    fn ordered(value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(in_byte_order(map)),
            Value::Array(items) => Value::Array(items.iter().map(ordered).collect()),
            other => other.clone(),
        }
    }
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    sorted.into_iter().map(|(name, value)| (name.clone(), ordered(value))).collect()
}

impl CommandParts for Settle {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        Ok(())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.accounts.push(paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?);
        Ok(())
    }
}
