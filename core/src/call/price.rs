//! Prices: estimates and quotes, and price books.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::declare::{answered, asked};
use crate::audit::Caller;
use crate::command::{Given, paying_account, read_fields, read_given};
use crate::denial::Denial;
use crate::engine::Engine;
use crate::id::{Actor, PriceBasis, RequestId, SessionId, TenantId, Unit};
use crate::owner::{AccountKey, Owner};
use crate::pricing::{EstimateRequest, PriceBook};
use crate::time::Timestamp;

asked! {
    /// A price book as text.
    PriceBookText {
        /// YAML or JSON, at most 1 MiB.
        text: String,
    }
}

impl PriceBookText {
    pub(super) fn book(&self) -> Result<PriceBook, Denial> {
        // JSON is YAML, but its own reader tells its mistakes better.
        if self.text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(&self.text).is_ok() {
            return PriceBook::from_json(&self.text);
        }
        PriceBook::from_yaml(&self.text)
    }
}

/// Work that is to be priced, and for whom. The fields of [`EstimateRequest`] stand beside the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceFor {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Who would pay; if none, whom the tenant's policy says: the user, unless it says the pool.
    pub owner: Option<Owner>,
    /// The unit of the account; if none the one of the tenant's policy.
    pub unit: Option<Unit>,
    /// On whose behalf it is asked, for the audit.
    pub caller: Caller,
    /// What is to be priced.
    pub request: EstimateRequest,
}

/// What stands beside the request.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PricedFor {
    /// The tenant.
    tenant_id: TenantId,
    /// Who would pay; if none, whom the tenant's policy says: the user, unless it says the pool.
    #[serde(default)]
    owner: Option<Owner>,
    /// The unit of the account; if none the one of the tenant's policy.
    #[serde(default)]
    unit: Option<Unit>,
    /// On whose behalf it is asked, for the audit.
    #[serde(default)]
    actor: Option<Actor>,
    /// The request that it comes with, for the audit.
    #[serde(default)]
    request_id: Option<RequestId>,
    /// The session, for the audit.
    #[serde(default)]
    session_id: Option<SessionId>,
}

/// The fields of [`PricedFor`].
const BESIDE: [&str; 6] = ["tenant_id", "owner", "unit", "actor", "request_id", "session_id"];

impl super::Asked for PriceFor {
    fn read(mut fields: Map<String, Value>) -> Result<PriceFor, Denial> {
        let beside = BESIDE.iter().filter_map(|name| fields.remove_entry(*name)).collect();
        Ok(PriceFor::of(read_fields(beside)?, EstimateRequest::from_fields(fields)?))
    }

    fn read_given<G: Given>(fields: &[(&str, G)]) -> Option<PriceFor> {
        let beside = read_given(fields, |name| BESIDE.contains(&name))?;
        let request = fields.iter().copied().filter(|(name, _)| !BESIDE.contains(name));
        Some(PriceFor::of(beside, EstimateRequest::from_given(request)?))
    }
}

impl PriceFor {
    fn of(beside: PricedFor, request: EstimateRequest) -> PriceFor {
        let PricedFor { tenant_id, owner, unit, actor, request_id, session_id } = beside;
        PriceFor { tenant_id, owner, unit, caller: Caller { actor, request_id, session_id }, request }
    }

    pub(super) fn account(&self, engine: &Engine) -> Result<AccountKey, Denial> {
        let policy = engine.policy(&self.tenant_id);
        paying_account(&self.tenant_id, policy, self.owner.as_ref(), self.request.user_id.as_ref(), self.unit.as_ref())
    }
}

#[cfg(feature = "schema")]
mod described {
    use super::{PriceFor, PricedFor};
    use crate::pricing::EstimateRequest;
    use crate::schema::Listed;
    use schemars::{JsonSchema, Schema, SchemaGenerator};

    impl Listed for PriceFor {
        fn fields() -> Vec<&'static str> {
            let beside = <PricedFor as Listed>::fields();
            beside.into_iter().chain(crate::pricing::REQUEST_FIELDS).collect()
        }
    }

    impl JsonSchema for PriceFor {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "PriceFor".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let mut schema = PricedFor::json_schema(generator);
            let mut request = EstimateRequest::json_schema(generator);
            let fields = request.as_object_mut().and_then(|object| object.remove("properties"));
            let all = schema.as_object_mut().and_then(|object| object.get_mut("properties"));
            if let (Some(serde_json::Value::Object(fields)), Some(serde_json::Value::Object(all))) = (fields, all) {
                all.extend(fields);
            }
            schema
        }
    }
}

answered! {
    /// A price book.
    PriceBookView {
        /// Its version.
        version: String,
        /// What its estimates name as their basis.
        calculation_basis: PriceBasis,
        /// From when on it is in force.
        effective_at: Timestamp,
        /// The unit of its prices.
        unit: Unit,
        /// All of it.
        book: Value,
    }
}

impl PriceBookView {
    pub(super) fn of(book: &PriceBook) -> PriceBookView {
        PriceBookView {
            version: book.version().to_owned(),
            calculation_basis: book.basis().clone(),
            effective_at: book.effective_at(),
            unit: book.unit().clone(),
            book: serde_json::from_str(&book.to_json()).unwrap_or_default(),
        }
    }
}
