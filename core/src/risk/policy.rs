//! The risk controls of a tenant, and how many requests it allows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::controls::{Mistakes, RiskControls, Velocity};
use crate::denial::Denial;
use crate::id::AppId;

/// The risk controls of a tenant: one by default and others by app, and limits on requests. They have been checked.
///
/// # Errors
/// `config_invalid`, with every mistake in `errors`, each with its `path` and `message`.
///
/// # Examples
/// ```
/// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner, Policies, RiskControls, RiskPolicy, TenantPolicy};
/// let controls = RiskControls {
///     daily_cap: Some("10".parse()?),
///     verified_daily_cap: Some("50".parse()?),
///     ..RiskControls::default()
/// };
/// let policy = TenantPolicy { risk: RiskPolicy::new(controls)?, ..TenantPolicy::default() };
/// let engine = Engine::builder().policies(Policies::new(policy)).build()?;
/// let acme = Context::tenant("acme")?;
/// let user = Owner::user("u1")?;
/// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "100".parse()?)))?;
/// let charge = Charge::new(user, "20".parse()?);
/// let refused = engine.execute(acme.request(charge.clone())).unwrap_err();
/// assert_eq!(refused.denial().unwrap().details()["challenge"], "second_verification");
/// assert!(engine.execute(acme.verified().request(charge)).is_ok());
///
/// let mistaken = RiskControls { daily_cap: Some("-1".parse()?), ..RiskControls::default() };
/// assert_eq!(RiskPolicy::new(mistaken).unwrap_err().details()["errors"][0]["path"], "default.daily_cap");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given", into = "Given")]
pub struct RiskPolicy(Given);

/// As it is given, not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Given {
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<RiskControls>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    apps: BTreeMap<AppId, RiskControls>,
    requests: RequestLimits,
}

/// How many requests of one kind are taken in a minute, by tenant and spender; none for any number. Each is 1 or more: so many at
/// once, and then one each time that its share of a minute has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Accepted charges of one who acts, or who pays where nobody is named. Exact, over all processes. A replay is none.
    pub charges_per_minute: Option<u64>,
    /// Estimates of one who asks, or for one owner where nobody is named, in this process.
    pub estimates_per_minute: Option<u64>,
    /// Licence checks of one user, in this process.
    pub checks_per_minute: Option<u64>,
}

impl RiskPolicy {
    /// These controls for every app that gets none of its own, and for work that names no app.
    ///
    /// # Errors
    /// `config_invalid`.
    pub fn new(default: RiskControls) -> Result<RiskPolicy, Denial> {
        Given { default: Some(default), ..Given::default() }.try_into()
    }

    /// The same, with controls of its own for an app: no other ones apply to it.
    ///
    /// # Errors
    /// `config_invalid`.
    pub fn app(mut self, app_id: AppId, controls: RiskControls) -> Result<RiskPolicy, Denial> {
        self.0.apps.insert(app_id, controls);
        self.0.try_into()
    }

    /// The same, with limits on requests.
    ///
    /// # Errors
    /// `config_invalid`.
    pub fn requests(mut self, requests: RequestLimits) -> Result<RiskPolicy, Denial> {
        self.0.requests = requests;
        self.0.try_into()
    }

    /// The controls that apply to work for this app, if there are any.
    #[must_use]
    pub fn controls(&self, app_id: Option<&AppId>) -> Option<&RiskControls> {
        let own = app_id.and_then(|app_id| self.0.apps.get(app_id));
        own.or(self.0.default.as_ref())
    }

    /// How many requests are taken.
    #[must_use]
    pub const fn limits(&self) -> &RequestLimits {
        &self.0.requests
    }

    /// The same, with no more than decides work for these apps.
    pub(crate) fn part<'a>(&self, app_ids: impl IntoIterator<Item = &'a AppId>) -> RiskPolicy {
        let own = app_ids.into_iter().filter_map(|app_id| self.0.apps.get_key_value(app_id));
        let apps = own.map(|(app_id, controls)| (app_id.clone(), controls.clone())).collect();
        RiskPolicy(Given { apps, ..self.0.clone() })
    }
}

impl RequestLimits {
    /// The rule of velocity that a limit is.
    pub(super) fn rule(per_minute: u64) -> Velocity {
        Velocity::count(per_minute, 60)
    }
}

impl TryFrom<Given> for RiskPolicy {
    type Error = Denial;

    fn try_from(given: Given) -> Result<RiskPolicy, Denial> {
        let mut mistakes = Mistakes::default();
        if let Some(default) = &given.default {
            default.check("default", &mut mistakes);
        }
        for (app_id, controls) in &given.apps {
            controls.check(&format!("apps.{app_id}"), &mut mistakes);
        }
        let RequestLimits { charges_per_minute, estimates_per_minute, checks_per_minute } = given.requests;
        mistakes.count("requests.charges_per_minute".to_owned(), charges_per_minute, 1);
        mistakes.count("requests.estimates_per_minute".to_owned(), estimates_per_minute, 1);
        mistakes.count("requests.checks_per_minute".to_owned(), checks_per_minute, 1);
        mistakes.into_result().map(|()| RiskPolicy(given))
    }
}

impl From<RiskPolicy> for Given {
    fn from(policy: RiskPolicy) -> Given {
        policy.0
    }
}
