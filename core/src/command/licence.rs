//! Commands about licences.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fingerprint::{Field, Fields};
use super::{CommandParts, Metadata, shape};
use crate::credit::{TenantPolicy, Zone};
use crate::denial::Denial;
use crate::facts::Needs;
use crate::id::{DocumentId, LicenceId, Operator, PolicyTag, TemplateId, TenantId, UserId};
use crate::licence::{Channel, LICENSE, LicenceKey, MAX_DOCUMENTS, TemplateKey, VALID_FROM, quota};
use crate::time::Timestamp;

fn all_channels() -> BTreeSet<Channel> {
    Channel::ALL.iter().copied().collect()
}

/// Makes a licence, or changes one: what it says is what is agreed from now on. What was used and what was submitted stays.
///
/// The template, the user and the zone of a licence never change. Where the tenant's policy requires licences
/// ([`crate::TenantPolicy::licence_required`], which it does not by default), a hold with a template reserves one use until it expires, a
/// capture uses it, a charge uses one; elsewhere they ask for none and use none.
///
/// # Errors
/// `payload_invalid` for another template, user or zone than the licence was made with, for no channel, for an end that is not after
/// the beginning, for a quota above 9,223,372,036,854,775,807, and for more than 64 documents or one called `license` or
/// `valid_from`; `authorization_revoked`; `capacity_exceeded` at 1,000 licences of the template for the user, or for any user.
///
/// # Examples
/// ```
/// use drawdown::{Channel, Context, Engine, SetLicence, TemplateKey};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let licence = SetLicence { daily_quota: Some(3), ..SetLicence::new("lic-1", "poster", "ops")? };
/// assert!(engine.execute(acme.request(licence.clone()))?.changed);
/// let poster = TemplateKey::new(acme.tenant_id.clone(), "poster".parse()?, Some("u1".parse()?));
/// let check = engine.check_licence(&poster, Some(Channel::Creator))?;
/// assert_eq!((check.is_authorized, check.daily_remaining, check.remaining_quota), (true, 3, -1));
/// let moved = SetLicence { template_id: "flyer".parse()?, ..licence };
/// assert_eq!(engine.execute(acme.request(moved)).unwrap_err().denial().unwrap().details()["field"], "template_id");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetLicence {
    /// The licence, by a name that the host gives it; unique in the tenant.
    pub licence_id: LicenceId,
    /// The template that may be used.
    pub template_id: TemplateId,
    /// The only user who may; any if not given.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// By which ways; all if not given.
    #[serde(default = "all_channels")]
    pub channels: BTreeSet<Channel>,
    /// Since when; if not given it has always been so.
    #[serde(default)]
    pub valid_from: Option<Timestamp>,
    /// Until when, that instant excluded; for ever if not given.
    #[serde(default)]
    pub valid_until: Option<Timestamp>,
    /// How often in all; without a limit if not given. In JSON -1 says so too.
    #[serde(default, with = "quota")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<i64>"))]
    pub total_quota: Option<u64>,
    /// How often in a day; without a limit if not given. In JSON -1 says so too.
    #[serde(default, with = "quota")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<i64>"))]
    pub daily_quota: Option<u64>,
    /// The time zone, by its IANA name, in which its days begin; if not given it stays, and at first is that of the tenant's policy.
    #[serde(default)]
    pub zone: Option<Zone>,
    /// What must have been submitted before it is valid; at most 64.
    #[serde(default)]
    pub required_documents: BTreeSet<DocumentId>,
    /// The label of compliance: that of all work that uses the licence.
    #[serde(default)]
    pub policy_tag: Option<PolicyTag>,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl SetLicence {
    /// A licence for any user, by all ways, for ever and without limits.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn new(licence_id: &str, template_id: &str, operator: &str) -> Result<SetLicence, Denial> {
        Ok(SetLicence {
            licence_id: LicenceId::new(licence_id)?,
            template_id: TemplateId::new(template_id)?,
            user_id: None,
            channels: all_channels(),
            valid_from: None,
            valid_until: None,
            total_quota: None,
            daily_quota: None,
            zone: None,
            required_documents: BTreeSet::new(),
            policy_tag: None,
            operator: Operator::new(operator)?,
            reason: None,
            metadata: None,
        })
    }
}

impl CommandParts for SetLicence {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::UserId, self.user_id.as_ref().map(UserId::as_str));
        fields.text(Field::TemplateId, Some(self.template_id.as_str()));
        fields.text(Field::PolicyTag, self.policy_tag.as_ref().map(PolicyTag::as_str));
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::Zone, self.zone.map(|zone| zone.to_string()).as_deref());
        fields.text(Field::LicenceId, Some(self.licence_id.as_str()));
        if self.channels != all_channels() {
            fields.words(Field::Channels, self.channels.iter().map(|channel| channel.as_str()));
        }
        fields.instant(Field::ValidFrom, self.valid_from);
        fields.instant(Field::ValidUntil, self.valid_until);
        fields.number(Field::TotalQuota, quota::shown(self.total_quota), -1);
        fields.number(Field::DailyQuota, quota::shown(self.daily_quota), -1);
        fields.words(Field::RequiredDocuments, self.required_documents.iter().map(DocumentId::as_str));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        if self.channels.is_empty() {
            return Err(Denial::invalid("channels", "none", "at least one of viewer, creator, external"));
        }
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && until <= from
        {
            return Err(Denial::invalid("valid_until", until, &format!("an instant after `valid_from`, {from}")));
        }
        shape::quota("total_quota", self.total_quota)?;
        shape::quota("daily_quota", self.daily_quota)?;
        documents("required_documents", &self.required_documents)?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.licences.push(LicenceKey::new(tenant_id.clone(), self.licence_id.clone()));
        needs.templates.push(TemplateKey::new(tenant_id.clone(), self.template_id.clone(), self.user_id.clone()));
        Ok(())
    }
}

/// Revokes a licence, for good: nothing new is held or charged under it. What is held can still be captured. Revoking it again changes
/// nothing.
///
/// # Errors
/// `authorization_not_found`.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, RevokeLicence, SetLicence};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// engine.execute(acme.request(SetLicence::new("lic-1", "poster", "ops")?))?;
/// assert!(engine.execute(acme.request(RevokeLicence::new("lic-1", "ops", "it was withdrawn")?))?.revoked);
/// let unknown = RevokeLicence::new("lic-2", "ops", "it was withdrawn")?;
/// assert_eq!(engine.execute(acme.request(unknown)).unwrap_err().denial().unwrap().name(), "authorization_not_found");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeLicence {
    /// The licence.
    pub licence_id: LicenceId,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    pub reason: Arc<str>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl RevokeLicence {
    /// This licence.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn new(licence_id: &str, operator: &str, reason: &str) -> Result<RevokeLicence, Denial> {
        Ok(RevokeLicence {
            licence_id: LicenceId::new(licence_id)?,
            operator: Operator::new(operator)?,
            reason: Arc::from(reason),
            metadata: None,
        })
    }
}

impl CommandParts for RevokeLicence {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::Reason, Some(&self.reason));
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::LicenceId, Some(self.licence_id.as_str()));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        shape::text(Some(&self.reason), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.licences.push(LicenceKey::new(tenant_id.clone(), self.licence_id.clone()));
        Ok(())
    }
}

/// Notes that documents were submitted for a licence, required ones or others. Those that were submitted before stay.
///
/// # Errors
/// `payload_invalid` for none, for more than 64, or for one called `license` or `valid_from`; `authorization_not_found`;
/// `authorization_revoked`; `capacity_exceeded` above 64 in all.
///
/// # Examples
/// ```
/// use drawdown::{Context, Engine, ReasonCode, SetLicence, SubmitDocuments, TemplateKey};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// let licence = SetLicence { required_documents: ["consent".parse()?].into(), ..SetLicence::new("lic-1", "poster", "ops")? };
/// engine.execute(acme.request(licence))?;
/// let poster = TemplateKey::new(acme.tenant_id.clone(), "poster".parse()?, None);
/// assert_eq!(engine.check_licence(&poster, None)?.requirements, ["consent"]);
/// engine.execute(acme.request(SubmitDocuments::new("lic-1", &["consent"], "ops")?))?;
/// assert_eq!(engine.check_licence(&poster, None)?.reason_code, ReasonCode::Valid);
/// let nothing = SubmitDocuments::new("lic-1", &[], "ops")?;
/// assert_eq!(engine.execute(acme.request(nothing)).unwrap_err().denial().unwrap().name(), "payload_invalid");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmitDocuments {
    /// The licence.
    pub licence_id: LicenceId,
    /// The documents; 1 to 64.
    pub documents: BTreeSet<DocumentId>,
    /// Who answers for it.
    pub operator: Operator,
    /// Why, in the caller's words; at most 64 KiB together with the metadata, no U+0000.
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    /// What the host notes; kept as it is, no part of what tells a repetition from another command. Nested at most 64 deep.
    #[serde(default)]
    pub metadata: Option<Metadata>,
}

impl SubmitDocuments {
    /// These documents for this licence.
    ///
    /// # Errors
    /// `payload_invalid` for text that is no id.
    pub fn new(licence_id: &str, documents: &[&str], operator: &str) -> Result<SubmitDocuments, Denial> {
        Ok(SubmitDocuments {
            licence_id: LicenceId::new(licence_id)?,
            documents: documents.iter().map(DocumentId::new).collect::<Result<_, _>>()?,
            operator: Operator::new(operator)?,
            reason: None,
            metadata: None,
        })
    }
}

impl CommandParts for SubmitDocuments {
    fn fields(&self, fields: &mut Fields) {
        fields.text(Field::Reason, self.reason.as_deref());
        fields.text(Field::Operator, Some(self.operator.as_str()));
        fields.text(Field::LicenceId, Some(self.licence_id.as_str()));
        fields.words(Field::Documents, self.documents.iter().map(DocumentId::as_str));
    }

    fn check(&self, _keyed: bool) -> Result<(), Denial> {
        if self.documents.is_empty() {
            return Err(Denial::invalid("documents", "none", "1 to 64 documents"));
        }
        documents("documents", &self.documents)?;
        shape::text(self.reason.as_deref(), self.metadata.as_ref())
    }

    fn needs(&self, tenant_id: &TenantId, _policy: &TenantPolicy, needs: &mut Needs) -> Result<(), Denial> {
        needs.licences.push(LicenceKey::new(tenant_id.clone(), self.licence_id.clone()));
        Ok(())
    }
}

/// So many documents, and none that reads as another requirement.
fn documents(field: &str, documents: &BTreeSet<DocumentId>) -> Result<(), Denial> {
    if documents.len() > MAX_DOCUMENTS {
        return Err(Denial::invalid(field, format_args!("{} documents", documents.len()), "at most 64 documents"));
    }
    match documents.iter().find(|document| [LICENSE, VALID_FROM].contains(&document.as_str())) {
        Some(taken) => Err(Denial::invalid(field, taken, "names other than `license` and `valid_from`")),
        None => Ok(()),
    }
}
