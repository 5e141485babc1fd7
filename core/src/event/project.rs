//! From an operation to its events.

use serde::de::DeserializeOwned;

use super::{
    BalanceCrossed, ComplianceAlert, CreditsUpdated, EntryUpdated, Event, EventCursor, EventData, EventKind, EventSubject,
};
use crate::amount::Amount;
use crate::command::answer_of_task;
use crate::credit::Band;
use crate::id::EventId;
use crate::ledger::{Alert, AlertRule, Entry, StoredOperation};
use crate::owner::{AccountKey, Subject};
use crate::task::{TaskStatus, TaskStep, steps_of};

// An event is named by its operation and its ordinal there, and a cursor says both: what has an ordinal keeps it for ever, and a
// further kind takes one of its own. Several of a kind take as many as they are. Alerts have those from 0x0010 on, steps of
// tasks those from 0x1000 on: an operation settles at most 10,000 holds.
const CREDITS: u16 = 0;
const BALANCE: u16 = 1;
const FIRST_ALERT: u16 = 0x0010;
const FIRST_STEP: u16 = 0x1000;

/// The events of an operation as the feed gives it, in their order, each with the id and the cursor that it always has. None of an
/// operation that booked nothing, told compliance nothing, and is no step of a task.
///
/// # Examples
/// ```
/// use drawdown::event::events_of;
/// use drawdown::{Block, BlockTarget, Context, Engine, GrantCredit, GrantType, Owner};
/// let engine = Engine::in_memory();
/// let acme = Context::tenant("acme")?;
/// engine.execute(acme.request(GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?)))?;
/// engine.execute(acme.request(Block::new(BlockTarget::User("u1".parse()?), "ops", "abuse")?))?;
/// let operations = engine.feed(None, 0, 2)?;
/// let events = events_of(&operations[0]);
/// assert_eq!((events.len(), events[0].kind.as_str()), (1, "credits.updated"));
/// assert!(events_of(&operations[1]).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn events_of(stored: &StoredOperation) -> Vec<Event> {
    let operation = &stored.operation;
    let event = |ordinal: u16, kind: EventKind, subject: EventSubject, data: EventData| Event {
        event_id: EventId::derive(operation.op_id, ordinal),
        cursor: EventCursor::at(stored.position, ordinal),
        tenant_id: operation.tenant_id.clone(),
        kind,
        subject,
        data,
        ts: operation.created_at,
    };
    let mut events = Vec::new();
    if let Some(data) = credits_updated(stored) {
        events.push(event(CREDITS, EventKind::CreditsUpdated, subject(stored), data));
    }
    if let Some((kind, data)) = balance_crossed(stored) {
        events.push(event(BALANCE, kind, subject(stored), data));
    }
    let alerts = (FIRST_ALERT..FIRST_STEP).zip(&stored.operation.alerts);
    events.extend(
        alerts.map(|(ordinal, alert)| {
            event(ordinal, EventKind::ComplianceAlert, subject_of_alert(stored, alert), told(stored, alert))
        }),
    );
    let steps = (FIRST_STEP..).zip(steps_of(stored));
    events.extend(steps.map(|(ordinal, step)| event(ordinal, kind_of(&step), subject_of(stored, &step), EventData::Task(step))));
    events
}

/// The account, and the user and the task of the command itself: what is settled before it can be about others.
fn subject(stored: &StoredOperation) -> EventSubject {
    let account = stored.operation.account.as_deref();
    let own = stored.entries.get(usize::from(stored.operation.settled_count));
    EventSubject {
        owner: account.map(|account| account.owner.clone()),
        unit: account.map(|account| account.unit.clone()),
        user_id: own.and_then(|entry| entry.text.user_id.clone()),
        task_id: own.and_then(|entry| entry.task_id.clone()),
    }
}

/// One event for all entries of an operation, which are of one account: whoever shows a balance has to show it once.
fn credits_updated(stored: &StoredOperation) -> Option<EventData> {
    let last = stored.entries.last()?;
    let operation = &stored.operation;
    Some(EventData::Credits(CreditsUpdated {
        audit_id: operation.audit_id(),
        operation: operation.kind,
        change: total(&stored.entries, |entry| entry.change),
        frozen_change: total(&stored.entries, |entry| entry.frozen_change),
        balance_after: last.balance_after,
        frozen_after: last.frozen_after,
        policy_tag: operation.policy_tag.clone(),
        entries: stored.entries.iter().map(|entry| entry_updated(entry, operation.settled_count)).collect(),
    }))
}

/// All that was given to an account, with what it may owe, is an amount, so no change is beyond one; books that say otherwise must not
/// keep what follows from being read.
fn total(entries: &[Entry], part: fn(&Entry) -> Amount) -> Amount {
    let sum: i128 = entries.iter().map(|entry| i128::from(part(entry).micros())).sum();
    i64::try_from(sum).map_or(if sum < 0 { Amount::MIN } else { Amount::MAX }, Amount::from_micros)
}

fn entry_updated(entry: &Entry, settled_count: u16) -> EntryUpdated {
    EntryUpdated {
        ledger_id: entry.ledger_id(),
        kind: entry.kind,
        settled: entry.ordinal <= settled_count,
        change: entry.change,
        frozen_change: entry.frozen_change,
        hold_id: entry.hold_id,
        grant_id: entry.grant_id,
        task_id: entry.task_id.clone(),
        user_id: entry.text.user_id.clone(),
        reason: entry.text.reason.clone(),
        effective_at: entry.effective_at,
    }
}

fn balance_crossed(stored: &StoredOperation) -> Option<(EventKind, EventData)> {
    let band = stored.operation.band?;
    let kind = match band {
        Band::Low => EventKind::BalanceLow,
        Band::Normal => EventKind::BalanceRecovered,
    };
    let crossed =
        BalanceCrossed { audit_id: stored.operation.audit_id(), band, balance_after: stored.entries.last()?.balance_after };
    Some((kind, EventData::Balance(crossed)))
}

fn told(stored: &StoredOperation, alert: &Alert) -> EventData {
    let operation = &stored.operation;
    EventData::Alert(ComplianceAlert {
        audit_id: operation.audit_id(),
        operation: operation.kind,
        rule: alert.rule,
        details: alert.details.clone(),
        policy_tag: operation.policy_tag.clone(),
    })
}

/// As that of its operation. What was refused has booked no entry: the alert itself says whom and what it was about.
fn subject_of_alert(stored: &StoredOperation, alert: &Alert) -> EventSubject {
    if alert.rule != AlertRule::Refusal {
        return subject(stored);
    }
    let user_id = match said(alert, "subject") {
        Some(Subject::User(user_id)) => Some(user_id),
        _ => None,
    };
    EventSubject { owner: said(alert, "owner"), unit: said(alert, "unit"), user_id, task_id: said(alert, "task_id") }
}

fn said<T: DeserializeOwned>(alert: &Alert, name: &str) -> Option<T> {
    T::deserialize(alert.details.get(name)?).ok()
}

const fn kind_of(step: &TaskStep) -> EventKind {
    match step.status {
        TaskStatus::Accepted => EventKind::TaskAccepted,
        TaskStatus::Running => EventKind::TaskRunning,
        TaskStatus::Completed => EventKind::TaskCompleted,
        TaskStatus::Failed => EventKind::TaskFailed,
    }
}

/// The account that pays for the task, the user for whom the work is, and the task: an expiry may be booked by a command of others.
fn subject_of(stored: &StoredOperation, step: &TaskStep) -> EventSubject {
    // By halves: an operation can book the expiry of 10,000 holds.
    let place = step.cursor.and_then(|cursor| stored.entries.binary_search_by_key(&cursor.ordinal, |entry| entry.ordinal).ok());
    let entry = place.and_then(|place| stored.entries.get(place));
    let (account, user_id) = match entry {
        Some(entry) => (Some(AccountKey::clone(&entry.account)), entry.text.user_id.clone()),
        None => answer_of_task(&stored.operation).map_or((None, None), |said| (said.account, said.user_id)),
    };
    EventSubject {
        owner: account.as_ref().map(|account| account.owner.clone()),
        unit: account.map(|account| account.unit),
        user_id,
        task_id: Some(step.task_id.clone()),
    }
}
