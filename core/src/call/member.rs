//! Members of organizations.

use super::declare::{asked, page};
use crate::id::{OrganizationId, TenantId, UserId};

asked! {
    /// Members of an organization.
    MembersOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The organization.
        organization_id: OrganizationId,
        /// Goes on after this user.
        #[serde(default)]
        after: Option<UserId>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// A member of an organization.
    MemberOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The organization.
        organization_id: OrganizationId,
        /// The user.
        user_id: UserId,
    }
}
