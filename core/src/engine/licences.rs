//! Questions about licences.

use serde_json::Map;

use super::Engine;
use super::questions::Asked;
use crate::audit::{AuditKind, Caller, Refused};
use crate::error::Failure;
use crate::facts::Needs;
use crate::id::AuditId;
use crate::licence::{Channel, LicenceCheck, TemplateKey, check_licence};
use crate::owner::{Owner, Subject};
use crate::time::Timestamp;

impl Engine {
    /// Whether a user may use a template now, by this channel or by whichever. Nothing is used up. A refusal is an answer: its
    /// `reason_code` says why, and `requirements` what is missing.
    ///
    /// The user's own licence counts before one for any user; of several the one that is valid, then the one that ends last.
    ///
    /// # Errors
    /// `template_not_found`, where the engine knows which templates exist ([`crate::EngineBuilder::templates`]); [`crate::Error`] when a
    /// refusal cannot be kept.
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
        self.check_licence_for(template, channel, &Caller::default())
    }

    /// As [`Engine::check_licence`], and says in the audit who asked.
    ///
    /// # Errors
    /// As [`Engine::check_licence`].
    pub fn check_licence_for(
        &self,
        template: &TemplateKey,
        channel: Option<Channel>,
        caller: &Caller,
    ) -> Result<LicenceCheck, Failure> {
        let needs = Needs { templates: vec![template.clone()], ..Needs::default() };
        let facts = self.facts(needs)?;
        let check = check_licence(&facts, self.policy(&template.tenant_id), template, channel)?;
        let audit_id = self.audit_check(template, channel, caller, &check, facts.now)?;
        Ok(LicenceCheck { audit_id: Some(audit_id), ..check })
    }

    /// Keeps the answer to a check: a refusal before it is given.
    fn audit_check(
        &self,
        template: &TemplateKey,
        channel: Option<Channel>,
        caller: &Caller,
        check: &LicenceCheck,
        now: Timestamp,
    ) -> Result<AuditId, Failure> {
        let (tenant_id, template_id) = (&template.tenant_id, Some(&template.template_id));
        let owner = template.user_id.clone().map(Owner::User);
        let subject = owner.as_ref().map(Subject::from);
        let (reason, policy_tag) = (check.reason_code.as_str(), check.policy_tag.as_ref());
        let mut details = Map::new();
        details.insert("channel".to_owned(), channel.map(Channel::as_str).into());
        details.insert("check".to_owned(), Engine::told(check));
        if check.is_authorized {
            let (kind, reason_code) = (AuditKind::LicenceCheck, Some(reason));
            let asked = Asked { kind, tenant_id, subject, template_id, caller, policy_tag, reason_code, details };
            let record = self.answered(asked, owner.as_ref(), now);
            let audit_id = record.audit_id;
            self.record_later(record);
            return Ok(audit_id);
        }
        let refused = Refused { tenant_id, subject, template_id, reason, caller, policy_tag, details };
        let record = refused.record(self.new_op_id(tenant_id, owner.as_ref(), now), now);
        let audit_id = record.audit_id;
        self.refuse(record)?;
        Ok(audit_id)
    }
}
