//! Questions about licences.

use super::Engine;
use crate::error::Failure;
use crate::facts::Needs;
use crate::id::TemplateId;
use crate::licence::{self, Channel, LicenceCheck, TemplateKey, check_licence};
use crate::owner::AccountKey;

impl Engine {
    /// Whether a user may use a template now, by this channel or by whichever. Nothing is used up. A refusal is an answer: its
    /// `reason_code` says why, and `requirements` what is missing.
    ///
    /// The user's own licence counts before one for any user; of several the one that is valid, then the one that ends last.
    ///
    /// # Errors
    /// `template_not_found`, where the engine knows which templates exist ([`crate::EngineBuilder::templates`]).
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
        let needs = Needs { templates: vec![template.clone()], ..Needs::default() };
        let facts = self.facts(needs)?;
        Ok(check_licence(&facts, self.policy(&template.tenant_id), template, channel)?)
    }

    /// Refuses an estimate for a template that this account's owner has no licence for, if the tenant requires one.
    pub(super) fn refuse_unlicensed(&self, account: &AccountKey, template_id: Option<&TemplateId>) -> Result<(), Failure> {
        let policy = self.policy(&account.tenant_id);
        let Some(template_id) = template_id.filter(|_| policy.licence_required) else { return Ok(()) };
        let template = TemplateKey::of_work(account, template_id, None);
        let facts = self.facts(Needs { templates: vec![template.clone()], ..Needs::default() })?;
        Ok(licence::for_estimate(&facts, policy, &template)?)
    }
}
