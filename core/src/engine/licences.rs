//! Questions about licences.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Engine;
use super::audit::Asked;
use super::reads::{ask, check_limit};
use crate::audit::{AuditKind, Caller, Refused};
use crate::denial::{Denial, DenialKind};
use crate::error::{Error, Failure};
use crate::facts::Needs;
use crate::id::{AuditId, LicenceId, TemplateId, TenantId};
use crate::licence::{self, Channel, LicenceCheck, LicenceKey, LicenceView, TemplateKey, check_licence};
use crate::owner::{Owner, Subject};
use crate::store::{Answer, Query};
use crate::time::Timestamp;

/// A page of licences, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LicencePage {
    /// The licences.
    pub licences: Vec<LicenceView>,
    /// After which the next page begins; none for the last.
    pub next_cursor: Option<LicenceId>,
}

impl Engine {
    /// Whether a user may use a template now, by this channel or by whichever. Nothing is used up. A refusal is an answer: its
    /// `reason_code` says why, and `requirements` what is missing.
    ///
    /// The user's own licence counts before one for any user; of several the one that is valid, then the one that ends last. The label
    /// of compliance is the licence's, else the template's in the price book in force.
    ///
    /// # Errors
    /// `estimate_rate_limited` when the tenant limits checks in a minute, with when a retry is taken; `template_not_found`, where the
    /// engine knows which templates exist ([`crate::EngineBuilder::templates`]); [`crate::Error`] when a refusal cannot be kept.
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
        let policy = self.policy(&template.tenant_id);
        let spender = template.user_id.clone().map_or(Owner::Pool, Owner::User);
        self.inner.checks.take(policy.risk.limits().checks_per_minute, &template.tenant_id, &spender, self.now())?;
        let needs = Needs { templates: vec![template.clone()], ..Needs::default() };
        let facts = self.facts(needs)?;
        let mut check = check_licence(&facts, policy, template, channel)?;
        let of_template = || self.inner.prices.at(facts.now).ok()?.policy_tag_of(&template.template_id).cloned();
        check.policy_tag = check.policy_tag.or_else(of_template);
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
            details.extend(caller.session_id.as_ref().map(|session_id| ("session_id".to_owned(), session_id.as_str().into())));
            let details = Value::Object(details).to_string();
            let asked = Asked { kind, tenant_id, subject, template_id, caller, policy_tag, reason_code, details };
            let audit_id = self.new_audit_id(tenant_id, owner.as_ref(), now);
            self.record_later(self.answered(asked, audit_id, now));
            return Ok(audit_id);
        }
        let refused = Refused { tenant_id, subject, template_id, reason, caller, policy_tag, details };
        let record = refused.record(self.new_op_id(tenant_id, owner.as_ref(), now), now);
        let audit_id = record.audit_id;
        self.refuse(record)?;
        Ok(audit_id)
    }

    /// A licence as it stands now: what is agreed, what was used, and whether it may be.
    ///
    /// # Errors
    /// `authorization_not_found`.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, ReasonCode, SetLicence};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// engine.execute(acme.request(SetLicence { total_quota: Some(3), ..SetLicence::new("lic-1", "poster", "ops")? }))?;
    /// let licence = engine.licence(&acme.tenant_id, &"lic-1".parse()?)?;
    /// assert_eq!((licence.used, licence.remaining_quota, licence.reason_code), (0, 3, ReasonCode::Valid));
    /// let unknown = engine.licence(&acme.tenant_id, &"lic-2".parse()?).unwrap_err();
    /// assert_eq!(unknown.denial().unwrap().name(), "authorization_not_found");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn licence(&self, tenant_id: &TenantId, licence_id: &LicenceId) -> Result<LicenceView, Failure> {
        let found = self.views(tenant_id, vec![licence_id.clone()])?.pop();
        found.ok_or_else(|| {
            Denial::new(DenialKind::AuthorizationNotFound, format!("there is no licence `{licence_id}`"))
                .with("licence_id", licence_id.as_str())
                .into()
        })
    }

    /// A tenant's licences after this one, in the order of their ids; of all templates or of one, revoked and expired ones too.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, SetLicence};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// for (licence, template) in [("lic-2", "poster"), ("lic-1", "poster"), ("lic-3", "flyer")] {
    ///     engine.execute(acme.request(SetLicence::new(licence, template, "ops")?))?;
    /// }
    /// let first = engine.licences(&acme.tenant_id, Some(&"poster".parse()?), None, 1)?;
    /// assert_eq!(first.licences[0].licence_id.as_str(), "lic-1");
    /// let second = engine.licences(&acme.tenant_id, Some(&"poster".parse()?), first.next_cursor.as_ref(), 1)?;
    /// assert_eq!((second.licences[0].licence_id.as_str(), second.next_cursor), ("lic-2", None));
    /// assert!(engine.licences(&acme.tenant_id, None, None, 1_001).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn licences(
        &self,
        tenant_id: &TenantId,
        template_id: Option<&TemplateId>,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Result<LicencePage, Failure> {
        check_limit(limit)?;
        let (of_tenant, template_id, after) = (tenant_id.clone(), template_id.cloned(), after.cloned());
        // One more than asked for tells whether there is a next page.
        let query = Query::Licences { tenant_id: of_tenant, template_id, after, limit: limit + 1 };
        let mut names = ask!(self, Licences, query)?;
        let has_next = names.len() > limit;
        names.truncate(limit);
        let next_cursor = names.last().filter(|_| has_next).cloned();
        Ok(LicencePage { licences: self.views(tenant_id, names)?, next_cursor })
    }

    /// Those of these licences that exist, in the order in which they are named.
    fn views(&self, tenant_id: &TenantId, names: Vec<LicenceId>) -> Result<Vec<LicenceView>, Failure> {
        let keys: Vec<_> = names.into_iter().map(|licence_id| LicenceKey::new(tenant_id.clone(), licence_id)).collect();
        let facts = self.facts(Needs { licences: keys.clone(), ..Needs::default() })?;
        let policy = self.policy(tenant_id);
        Ok(keys.iter().filter_map(|key| licence::view(&facts, policy, key)).collect())
    }
}
