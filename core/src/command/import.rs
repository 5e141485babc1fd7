//! Taking over a balance from a system before.

use std::sync::Arc;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, paying_account, shape};
use crate::amount::Amount;
use crate::credit::TenantPolicy;
use crate::denial::{Denial, DenialKind, shown};
use crate::facts::Needs;
use crate::id::{Operator, PolicyTag, TenantId, Unit};
use crate::owner::Owner;
use crate::time::Timestamp;

/// Takes over a balance from a system before: a grant of type `import`. A balance of 0 is noted, and makes no grant.
///
/// As JSON, `balance` takes what [`legacy_balance`] understands.
///
/// # Errors
/// `amount_invalid` for a balance below 0 or out of range; `payload_invalid` for an expiry that is not to come;
/// `capacity_exceeded` at 1,000 open grants.
///
/// # Examples
/// ```
/// use drawdown::{Command, Context, Engine, ImportBalance, Owner};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let import = ImportBalance::new(Owner::user("u1")?, "12".parse()?);
/// let imported = engine.execute(acme.key("import-u1")?.request(import))?;
/// assert_eq!(imported.balance_after.to_string(), "12");
///
/// let json = r#"{"command": "import", "tenant_id": "acme", "idempotency_key": "import-u1", "owner": "user:u1", "balance": {"total": 12}}"#;
/// assert!(engine.run(Command::from_json(json)?)?.idempotent_replay);
/// let refused = Command::from_json(&json.replace("12", "null")).unwrap_err();
/// assert_eq!(refused.name(), "amount_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImportBalance {
    /// Whose balance.
    pub owner: Owner,
    /// The unit; if none the one of the tenant's policy, which is `credit` unless it says otherwise.
    #[serde(default)]
    pub unit: Option<Unit>,
    /// How much; 0 or more.
    #[serde(deserialize_with = "read_balance")]
    pub balance: Amount,
    /// Until when it can be spent, itself excluded; later than now; for ever if none.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// Who answers for it.
    #[serde(default)]
    pub operator: Option<Operator>,
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

impl ImportBalance {
    /// Takes over this much, for ever.
    #[must_use]
    pub const fn new(owner: Owner, balance: Amount) -> ImportBalance {
        ImportBalance {
            owner,
            unit: None,
            balance,
            expires_at: None,
            operator: None,
            reason: None,
            policy_tag: None,
            metadata: None,
        }
    }
}

impl CommandParts for ImportBalance {
    fn fields(&self, fields: &mut Fields) {
        fields.owner(Field::Owner, Some(&self.owner));
        fields.text(Field::Unit, self.unit.as_ref().map(Unit::as_str));
        fields.instant(Field::ExpiresAt, self.expires_at);
        fields.text(Field::PolicyTag, self.policy_tag.as_ref().map(PolicyTag::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, self.operator.as_ref().map(Operator::as_str));
        fields.amount(Field::Balance, Some(self.balance));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::not_negative("balance", self.balance)?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.accounts.push(paying_account(tenant_id, policy, Some(&self.owner), None, self.unit.as_ref())?);
        Ok(())
    }
}

/// The fields of an object that can say a balance; the first that is there does, whatever the others say.
const BALANCE_FIELDS: [&str; 3] = ["total", "available", "credits"];

/// Reads a balance as systems before wrote it: `12`, `"12"`, `{"total": 12}`, `{"available": 12}`, `{"credits": 12}` or `[12]`; of an
/// object with several of these fields the first in this order. From the digits as they stand, and never as 0 for want of a number.
///
/// # Errors
/// `amount_invalid` for anything else, for less than 0, and for a number that is no [`Amount`].
///
/// # Examples
/// ```
/// use drawdown::legacy_balance;
/// use serde_json::json;
/// assert_eq!(legacy_balance(&json!({"available": 3, "total": "12.5"}))?.to_string(), "12.5");
/// assert_eq!(legacy_balance(&json!({"points": 12})).unwrap_err().name(), "amount_invalid");
/// # Ok::<(), drawdown::Denial>(())
/// ```
pub fn legacy_balance(value: &Value) -> Result<Amount, Denial> {
    let said = match value {
        Value::Object(fields) => BALANCE_FIELDS.iter().find_map(|name| fields.get(*name)),
        Value::Array(items) => items.first().filter(|_| items.len() == 1),
        other => Some(other),
    };
    let digits = match said {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(no_balance(value)),
    };
    let amount: Amount = digits.parse().map_err(|denial: Denial| denial.at("balance"))?;
    shape::not_negative("balance", amount)?;
    Ok(amount)
}

fn no_balance(value: &Value) -> Denial {
    const ALLOWED: &str =
        "an amount of 0 or more, as `12`, `\"12\"`, `{\"total\": 12}`, `{\"available\": 12}`, `{\"credits\": 12}` or `[12]`";
    let given = shown(&value.to_string());
    Denial::new(DenialKind::AmountInvalid, format!("`balance` cannot be `{given}`: it takes {ALLOWED}"))
        .with("field", "balance")
        .with("given", given)
        .with("allowed", ALLOWED)
}

fn read_balance<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    legacy_balance(&Value::deserialize(deserializer)?).map_err(|denial| de::Error::custom(denial.message()))
}
