//! Licences.

use super::declare::{asked, page};
use crate::audit::Caller;
use crate::id::{Actor, LicenceId, RequestId, SessionId, TemplateId, TenantId, UserId};
use crate::licence::{Channel, TemplateKey};

asked! {
    /// How a licence is to be used.
    CheckLicenceFor {
        /// The tenant.
        tenant_id: TenantId,
        /// The template.
        template_id: TemplateId,
        /// Who uses it.
        #[serde(default)]
        user_id: Option<UserId>,
        /// By which way; any if none.
        #[serde(default)]
        channel: Option<Channel>,
        /// The session, for the audit.
        #[serde(default)]
        session_id: Option<SessionId>,
        /// On whose behalf it is asked, for the audit.
        #[serde(default)]
        actor: Option<Actor>,
        /// The request that it comes with, for the audit.
        #[serde(default)]
        request_id: Option<RequestId>,
    }

    /// A licence.
    LicenceOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The licence.
        licence_id: LicenceId,
    }

    /// Licences of a tenant.
    LicencesOf {
        /// The tenant.
        tenant_id: TenantId,
        /// Only for this template.
        #[serde(default)]
        template_id: Option<TemplateId>,
        /// Goes on after this licence.
        #[serde(default)]
        after: Option<LicenceId>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }
}

impl CheckLicenceFor {
    pub(super) fn template(&self) -> TemplateKey {
        TemplateKey::new(self.tenant_id.clone(), self.template_id.clone(), self.user_id.clone())
    }

    pub(super) fn caller(&self) -> Caller {
        let CheckLicenceFor { actor, request_id, session_id, .. } = self.clone();
        Caller { actor, request_id, session_id }
    }
}
