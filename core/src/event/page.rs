//! Questions about events, a page at a time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::cursor::EventCursor;
use super::{Event, EventKind};
use crate::id::{TaskId, TenantId, UserId};
use crate::owner::Owner;

/// Where a reader begins who has no cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the oldest event that is retained.
    #[default]
    Oldest,
    /// Now: with the next event.
    Latest,
}

/// Which events. Every condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Only of these kinds; empty for all.
    pub kinds: BTreeSet<EventKind>,
    /// Only about accounts of this owner.
    pub owner: Option<Owner>,
    /// Only about this user: whose account it is, or who acted, in one of the entries at least.
    pub user_id: Option<UserId>,
    /// Only about this task, in one of the entries at least.
    pub task_id: Option<TaskId>,
}

impl EventFilter {
    /// Whether an event meets every condition.
    #[must_use]
    pub fn admits(&self, event: &Event) -> bool {
        let subject = &event.subject;
        let of_user = |user: &UserId| {
            subject.user_id.as_ref() == Some(user)
                || matches!(&subject.owner, Some(Owner::User(owner)) if owner == user)
                || event.data.names_user(user)
        };
        let of_task = |task: &TaskId| subject.task_id.as_ref() == Some(task) || event.data.names_task(task);
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.owner.as_ref().is_none_or(|owner| subject.owner.as_ref() == Some(owner))
            && self.user_id.as_ref().is_none_or(of_user)
            && self.task_id.as_ref().is_none_or(of_task)
    }
}

/// A page of events that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventQuery {
    /// Only this tenant's; none for those of all, which only the host itself may see.
    pub tenant_id: Option<TenantId>,
    /// After this cursor.
    pub after: Option<EventCursor>,
    /// Where to begin without a cursor.
    pub from: Start,
    /// Which.
    pub filter: EventFilter,
    /// At most so many: 1 to 1,000, 50 by default.
    pub limit: usize,
}

impl Default for EventQuery {
    fn default() -> EventQuery {
        EventQuery { tenant_id: None, after: None, from: Start::Oldest, filter: EventFilter::default(), limit: 50 }
    }
}

impl EventQuery {
    /// The oldest 50 events of a tenant.
    #[must_use]
    pub fn of_tenant(tenant_id: TenantId) -> EventQuery {
        EventQuery { tenant_id: Some(tenant_id), ..EventQuery::default() }
    }

    /// The same, after this cursor.
    #[must_use]
    pub fn after(self, cursor: EventCursor) -> EventQuery {
        EventQuery { after: Some(cursor), ..self }
    }

    /// Whether an event is asked for, wherever it stands.
    fn admits(&self, event: &Event) -> bool {
        self.tenant_id.as_ref().is_none_or(|tenant_id| *tenant_id == event.tenant_id) && self.filter.admits(event)
    }
}

/// A page of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventPage {
    /// The events, in order.
    pub events: Vec<Event>,
    /// Where the next page begins. It goes on although nothing on the way was asked for, so that nothing is looked at twice.
    pub next: EventCursor,
    /// Whether there may be more behind `next`. An empty page is the last only if there is not.
    pub more: bool,
}

impl EventPage {
    /// Nothing yet, after this cursor.
    pub(crate) const fn after(cursor: EventCursor) -> EventPage {
        EventPage { events: Vec::new(), next: cursor, more: false }
    }

    /// Adds those events of the operation at this position that are asked for and come after what was read. Whether the page
    /// had room for all of them.
    pub(crate) fn add(&mut self, query: &EventQuery, position: u64, events: &[Event]) -> bool {
        let read = self.next;
        for event in events.iter().filter(|event| event.cursor > read) {
            if self.is_full(query) {
                return false;
            }
            self.next = event.cursor;
            self.events.extend(query.admits(event).then(|| event.clone()));
        }
        self.next = self.next.max(EventCursor::end_of(position));
        true
    }

    pub(crate) fn is_full(&self, query: &EventQuery) -> bool {
        self.events.len() >= query.limit
    }
}
