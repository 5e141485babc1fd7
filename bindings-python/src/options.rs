//! What an engine is opened with.

use std::sync::Arc;
use std::time::Duration;

use drawdown::pricing::{PriceBook, PriceBooks};
use drawdown::{Denial, DenialKind, Engine, EngineBuilder, Policies, RiskPolicy, TemplateId, TenantId, TenantPolicy};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock::ManualClock;
use crate::convert::from_python;
use crate::errors::Unread;

/// The longest time that can be given, in seconds: a hundred years.
const MAX_SECONDS: f64 = 3_155_760_000.0;

/// The builder of an engine with these options. None means that an option is not given.
pub(crate) fn builder(options: &Bound<'_, PyDict>) -> Result<EngineBuilder, Unread> {
    let mut builder = Engine::builder();
    let (mut policies, mut risk) = (Map::new(), None);
    for (name, value) in options.iter() {
        if value.is_none() {
            continue;
        }
        let name = name.cast::<PyString>().map_err(PyErr::from)?.to_str()?.to_owned();
        match name.as_str() {
            "deadline_seconds" => builder = builder.deadline(seconds(&name, &value)?),
            "event_retention_seconds" => builder = builder.event_retention(seconds(&name, &value)?),
            "clock" => {
                let clock = value.cast::<ManualClock>().map_err(PyErr::from)?.get();
                builder = builder.clock(Arc::clone(&clock.clock) as Arc<dyn drawdown::Clock>);
            }
            "templates" => {
                let templates: Vec<TemplateId> = read(&name, from_python::configured(&name, &value)?)?;
                builder = builder.templates(templates);
            }
            "policies" => policies = from_python::object(&name, &value)?,
            "risk" => risk = Some(read::<RiskPolicy>(&name, Value::Object(from_python::object(&name, &value)?))?),
            "price_books" => builder = builder.prices(price_books(&value)?),
            other => return Err(PyTypeError::new_err(format!("no option is called `{other}`")).into()),
        }
    }
    Ok(builder.policies(read_policies(policies, risk)?))
}

/// The policies by tenant; `*` is that of all others. One that says nothing of risk has the risk controls of all.
fn read_policies(mut given: Map<String, Value>, risk: Option<RiskPolicy>) -> Result<Policies, Unread> {
    let policy = |path: &str, value: Value| -> Result<TenantPolicy, Unread> {
        let says_risk = value.get("risk").is_some();
        let mut policy: TenantPolicy = read(path, value)?;
        if let Some(risk) = risk.as_ref().filter(|_| !says_risk) {
            policy.risk = risk.clone();
        }
        Ok(policy)
    };
    let default = policy("policies.*", given.remove("*").unwrap_or_else(|| Value::Object(Map::new())))?;
    given.into_iter().try_fold(Policies::new(default), |policies, (tenant_id, value)| {
        let path = format!("policies.{tenant_id}");
        let tenant_id: TenantId = tenant_id.parse().map_err(|denial: Denial| denial.at("policies"))?;
        Ok(policies.tenant(tenant_id, policy(&path, value)?))
    })
}

/// Price books: each a dict, or text in JSON or YAML.
fn price_books(books: &Bound<'_, PyAny>) -> Result<PriceBooks, Unread> {
    let mut kept = PriceBooks::default();
    for (at, book) in books.try_iter()?.enumerate() {
        let read = match from_python::configured(&format!("price_books[{at}]"), &book?)? {
            Value::String(text) if text.trim_start().starts_with('{') => PriceBook::from_json(&text),
            Value::String(text) => PriceBook::from_yaml(&text),
            tree => PriceBook::from_json(&tree.to_string()),
        };
        kept = kept.with(read?)?;
    }
    Ok(kept)
}

/// A length of time. It is no amount, so a float will do.
fn seconds(name: &str, value: &Bound<'_, PyAny>) -> Result<Duration, Unread> {
    let given = value.extract::<f64>().ok().filter(|_| !value.is_instance_of::<pyo3::types::PyBool>());
    let allowed = given.filter(|seconds| (0.0..=MAX_SECONDS).contains(seconds));
    match allowed.map(Duration::try_from_secs_f64) {
        Some(Ok(duration)) => Ok(duration),
        _ => {
            let given = value.str()?;
            Err(Denial::invalid(name, given.to_string_lossy(), "a number of seconds, 0 or more").into())
        }
    }
}

/// Reads a configuration, naming the path of the first mistake.
fn read<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, Unread> {
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let below = error.path().to_string();
        let dot = if below.starts_with('[') { "" } else { "." };
        let field = if below == "." { path.to_owned() } else { format!("{path}{dot}{below}") };
        let message = format!("`{field}` cannot be read: {}", error.inner());
        Denial::new(DenialKind::ConfigInvalid, message).at(&field).into()
    })
}
