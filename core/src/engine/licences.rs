//! Questions about licences.

use super::Engine;
use crate::error::Failure;
use crate::facts::Needs;
use crate::licence::{Channel, LicenceCheck, TemplateKey, check_licence};
use crate::owner::Owner;

impl Engine {
    /// Whether a user may use a template now, by this channel or by whichever. Nothing is used up. A refusal is an answer: its
    /// `reason_code` says why, and `requirements` what is missing.
    ///
    /// The user's own licence counts before one for any user; of several the one that is valid, then the one that ends last.
    ///
    /// # Errors
    /// `estimate_rate_limited` when the tenant limits checks in a minute, with when a retry is taken; `template_not_found`, where the engine knows which templates exist ([`crate::EngineBuilder::templates`]).
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Channel, Context, Engine, ReasonCode, SetLicence, TemplateKey};
    /// let engine = Engine::builder().templates(["poster".parse()?, "flyer".parse()?]).build()?;
    /// let acme = Context::tenant("acme")?;
    /// let licence = SetLicence { channels: [Channel::Creator].into(), ..SetLicence::new("lic-1", "poster", "ops")? };
    /// engine.execute(acme.request(licence))?;
    /// let template = |name: &str| TemplateKey::new(acme.tenant_id.clone(), name.parse().unwrap(), Some("u1".parse().unwrap()));
    /// assert!(engine.check_licence(&template("poster"), Some(Channel::Creator))?.is_authorized);
    /// let refused = engine.check_licence(&template("poster"), Some(Channel::Viewer))?;
    /// assert_eq!((refused.reason_code, refused.requirements), (ReasonCode::MissingDocuments, vec!["license".to_owned()]));
    /// let unknown = engine.check_licence(&template("banner"), None).unwrap_err();
    /// assert_eq!(unknown.denial().unwrap().name(), "template_not_found");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_licence(&self, template: &TemplateKey, channel: Option<Channel>) -> Result<LicenceCheck, Failure> {
        let policy = self.policy(&template.tenant_id);
        let spender = template.user_id.clone().map_or(Owner::Pool, Owner::User);
        self.inner.checks.take(policy.risk.limits().checks_per_minute, &template.tenant_id, &spender, self.now())?;
        let needs = Needs { templates: vec![template.clone()], ..Needs::default() };
        let facts = self.facts(needs)?;
        Ok(check_licence(&facts, policy, template, channel)?)
    }
}
