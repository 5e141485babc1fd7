//! From an operation to its events.

use super::{BalanceCrossed, CreditsUpdated, EntryUpdated, Event, EventCursor, EventData, EventKind, EventSubject};
use crate::amount::Amount;
use crate::credit::Band;
use crate::id::EventId;
use crate::ledger::{Entry, StoredOperation};

// An event is named by its operation and its ordinal there, and a cursor says both: what has an ordinal keeps it for ever, and a
// further kind takes one of its own. Several of a kind take as many as they are. Alerts have those from 0x0010 on, steps of
// tasks those from 0x1000 on: an operation settles at most 10,000 holds.
const CREDITS: u16 = 0;
const BALANCE: u16 = 1;

/// The events of an operation as the feed gives it, in their order, each with the id and the cursor that it always has. None of an
/// operation that booked nothing.
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
    // Alerts of compliance and steps of tasks join here, in the order of their ordinals.
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
