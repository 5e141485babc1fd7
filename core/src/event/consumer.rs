//! Who reads events and wants it remembered how far.

use serde::{Deserialize, Serialize};

use super::cursor::EventCursor;
use crate::id::{ConsumerName, TenantId};

/// Somebody who reads events, and whose place the books keep: a name in a tenant, or among the host's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The tenant whose consumer it is; none for the host's own.
    pub tenant_id: Option<TenantId>,
    /// Its name there.
    pub name: ConsumerName,
}

impl Consumer {
    /// A tenant's consumer.
    #[must_use]
    pub const fn of_tenant(tenant_id: TenantId, name: ConsumerName) -> Consumer {
        Consumer { tenant_id: Some(tenant_id), name }
    }

    /// The host's own consumer.
    #[must_use]
    pub const fn of_host(name: ConsumerName) -> Consumer {
        Consumer { tenant_id: None, name }
    }
}

/// The answer to an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acknowledged {
    /// Where the consumer stands now.
    pub position: EventCursor,
    /// The cursor was older than where the consumer stood: it changed nothing.
    pub is_outdated: bool,
}
