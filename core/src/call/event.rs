//! Events, and who reads them.

use std::collections::BTreeSet;

use super::declare::{answered, asked, page};
use crate::event::{
    BalanceCrossed, ComplianceAlert, Consumer, CreditsUpdated, Event, EventCursor, EventData, EventFilter, EventKind, EventPage,
    EventQuery, Start,
};
use crate::id::{ConsumerName, EventId, TaskId, TenantId, Unit, UserId};
use crate::owner::Owner;
use crate::task::TaskStep;
use crate::time::Timestamp;

asked! {
    /// Events.
    EventsOf {
        /// Only of this tenant; of all if none.
        #[serde(default)]
        tenant_id: Option<TenantId>,
        /// Goes on after this cursor.
        #[serde(default)]
        after: Option<EventCursor>,
        /// Where to begin without a cursor.
        #[serde(default)]
        from: Start,
        /// Only of these kinds; of all if none is named.
        #[serde(default)]
        kinds: BTreeSet<EventKind>,
        /// Only about this owner's accounts.
        #[serde(default)]
        owner: Option<Owner>,
        /// Only about this user.
        #[serde(default)]
        user_id: Option<UserId>,
        /// Only about this task.
        #[serde(default)]
        task_id: Option<TaskId>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// A reader of events.
    ConsumerOf {
        /// Its tenant; none for one of the host, which reads those of all.
        #[serde(default)]
        tenant_id: Option<TenantId>,
        /// Its name.
        name: ConsumerName,
    }

    /// How far a reader of events has come.
    AcknowledgeUpTo {
        /// Its tenant; none for one of the host, which reads those of all.
        #[serde(default)]
        tenant_id: Option<TenantId>,
        /// Its name.
        name: ConsumerName,
        /// The cursor after which it goes on.
        cursor: EventCursor,
    }
}

answered! {
    /// A page of events.
    EventsPage {
        /// The events, in order.
        events: Vec<EventView>,
        /// The cursor after which the next page begins.
        next: EventCursor,
        /// Whether there are more now.
        more: bool,
    }

    /// Something that happened. One of `credits`, `balance`, `alert` and `task` is there, by its kind.
    EventView {
        /// The event.
        event_id: EventId,
        /// The cursor after which the next begins.
        cursor: EventCursor,
        /// The tenant.
        tenant_id: TenantId,
        /// What happened.
        kind: EventKind,
        /// When.
        ts: Timestamp,
        /// Whose account it is about.
        owner: Option<Owner>,
        /// The unit of that account.
        unit: Option<Unit>,
        /// The user whom it is about.
        user_id: Option<UserId>,
        /// The task that it is about.
        task_id: Option<TaskId>,
        /// Of `credits.updated`: what was booked.
        credits: Option<CreditsUpdated>,
        /// Of `balance.low` and `balance.recovered`: what is there now.
        balance: Option<BalanceCrossed>,
        /// Of `compliance.alert`: what was noticed.
        alert: Option<ComplianceAlert>,
        /// Of `task.*`: the step.
        task: Option<TaskStep>,
    }

    /// How far a reader of events has come.
    Position {
        /// The cursor after which it goes on; none if it never said.
        cursor: Option<EventCursor>,
    }
}

impl EventsOf {
    /// The same for [`Engine::events`](crate::Engine::events) and [`Engine::await_events`](crate::Engine::await_events).
    #[must_use]
    pub fn query(self) -> EventQuery {
        let EventsOf { tenant_id, after, from, kinds, owner, user_id, task_id, limit } = self;
        EventQuery { tenant_id, after, from, filter: EventFilter { kinds, owner, user_id, task_id }, limit }
    }
}

impl ConsumerOf {
    pub(super) fn consumer(self) -> Consumer {
        Consumer { tenant_id: self.tenant_id, name: self.name }
    }
}

impl AcknowledgeUpTo {
    pub(super) fn consumer(&self) -> Consumer {
        Consumer { tenant_id: self.tenant_id.clone(), name: self.name.clone() }
    }
}

impl EventView {
    fn of(event: Event) -> EventView {
        let Event { event_id, cursor, tenant_id, kind, subject, data, ts } = event;
        let (mut credits, mut balance, mut alert, mut task) = (None, None, None, None);
        match data {
            EventData::Credits(updated) => credits = Some(updated),
            EventData::Balance(crossed) => balance = Some(crossed),
            EventData::Alert(noticed) => alert = Some(noticed),
            EventData::Task(step) => task = Some(step),
        }
        let (owner, unit, user_id, task_id) = (subject.owner, subject.unit, subject.user_id, subject.task_id);
        EventView { event_id, cursor, tenant_id, kind, ts, owner, unit, user_id, task_id, credits, balance, alert, task }
    }
}

impl EventsPage {
    /// The page as bindings show it.
    #[must_use]
    pub fn of(page: EventPage) -> EventsPage {
        EventsPage { events: page.events.into_iter().map(EventView::of).collect(), next: page.next, more: page.more }
    }
}
