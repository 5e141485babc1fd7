//! The one total order of grants: for draws, expiry and explanation.

use serde::{Deserialize, Serialize};

use super::grant::{Grant, GrantType};
use crate::denial::Denial;
use crate::id::GrantId;
use crate::time::Timestamp;

/// The configured order of grant types. Types that are not listed come after, in the default order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Listed>", into = "Vec<GrantType>")]
pub struct ConsumptionOrder {
    listed: Vec<GrantType>,
    ranks: [u8; GrantType::ALL.len()],
}

impl Default for ConsumptionOrder {
    fn default() -> ConsumptionOrder {
        ConsumptionOrder { listed: Vec::new(), ranks: std::array::from_fn(|code| u8::try_from(code).unwrap_or(u8::MAX)) }
    }
}

impl ConsumptionOrder {
    /// The order that begins with these types.
    ///
    /// # Errors
    /// `payload_invalid` when a type is listed twice, or one that no grant can have.
    pub fn new(listed: Vec<GrantType>) -> Result<ConsumptionOrder, Denial> {
        listed.iter().try_for_each(|grant_type| grant_type.check_given("consumption_order"))?;
        let mut ranks = [u8::MAX; GrantType::ALL.len()];
        let rest = GrantType::ALL.iter().filter(|t| !listed.contains(t));
        for (position, grant_type) in listed.iter().chain(rest).enumerate() {
            let Some(rank) = ranks.get_mut(usize::from(grant_type.code())) else { continue };
            if *rank != u8::MAX {
                return Err(Denial::invalid("consumption_order", grant_type, "each type once"));
            }
            *rank = u8::try_from(position).unwrap_or(u8::MAX);
        }
        Ok(ConsumptionOrder { listed, ranks })
    }

    /// The position of a type, 0 first.
    #[must_use]
    pub fn rank(&self, grant_type: GrantType) -> u8 {
        self.ranks.get(usize::from(grant_type.code())).copied().unwrap_or(u8::MAX)
    }

    /// What a grant is sorted by: the position of its type, the lower priority number, scoped before unscoped, the
    /// soonest expiry (none last), the earliest effective time, the id.
    #[must_use]
    pub fn key(&self, grant: &Grant) -> OrderKey {
        OrderKey {
            rank: self.rank(grant.terms.grant_type),
            priority: grant.terms.priority,
            unscoped: grant.terms.scope.is_open(),
            expires_at: grant.expires_at.unwrap_or(Timestamp::MAX),
            never_expires: grant.expires_at.is_none(),
            effective_at: grant.terms.effective_at,
            id: grant.id,
        }
    }
}

/// A type as it is listed: one that a grant can have.
#[derive(Deserialize)]
#[serde(transparent)]
struct Listed(#[serde(deserialize_with = "GrantType::read_given")] GrantType);

impl TryFrom<Vec<Listed>> for ConsumptionOrder {
    type Error = Denial;

    fn try_from(listed: Vec<Listed>) -> Result<ConsumptionOrder, Denial> {
        ConsumptionOrder::new(listed.into_iter().map(|Listed(grant_type)| grant_type).collect())
    }
}

impl From<ConsumptionOrder> for Vec<GrantType> {
    fn from(order: ConsumptionOrder) -> Vec<GrantType> {
        order.listed
    }
}

/// What a grant is sorted by. The fields stand in their order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey {
    rank: u8,
    priority: i32,
    unscoped: bool,
    expires_at: Timestamp,
    never_expires: bool,
    effective_at: Timestamp,
    id: GrantId,
}

super::grant::named_enum! {
    /// What puts one grant before another.
    Criterion {
        /// The position of its type.
        Type = "type",
        /// The lower priority number.
        Priority = "priority",
        /// It has a scope, the other has none.
        Scope = "scope",
        /// It expires sooner.
        Expiry = "expiry",
        /// It became effective earlier.
        EffectiveAt = "effective_at",
        /// Its id is lower; nothing else differs.
        Id = "id",
    }
}

impl OrderKey {
    /// The first criterion in which this grant differs from another.
    #[must_use]
    pub(crate) fn decided_by(&self, other: &OrderKey) -> Criterion {
        if self.rank != other.rank {
            Criterion::Type
        } else if self.priority != other.priority {
            Criterion::Priority
        } else if self.unscoped != other.unscoped {
            Criterion::Scope
        } else if (self.expires_at, self.never_expires) != (other.expires_at, other.never_expires) {
            Criterion::Expiry
        } else if self.effective_at != other.effective_at {
            Criterion::EffectiveAt
        } else {
            Criterion::Id
        }
    }
}
