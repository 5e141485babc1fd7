//! Those who follow events, each as a consumer whose place the books keep: what it has read counts once it is acknowledged.

use drawdown::event::{Consumer, EventCursor, EventPage, EventQuery, events_of};
use drawdown::ledger::StoredOperation;
use drawdown::{Engine, EventId, Failure, TenantId};

use crate::compare::same;

/// A consumer that is stopped after each page: it knows nothing but what the books say of it.
pub(super) struct Follower {
    consumer: Consumer,
    /// What it has read and acknowledged.
    read: Vec<EventId>,
    position: Option<EventCursor>,
    /// Read, and acknowledged without an answer.
    in_doubt: Option<EventPage>,
}

impl Follower {
    pub(super) fn new(number: usize, tenant_id: Option<TenantId>) -> Result<Follower, String> {
        let name = format!("follower-{number}").parse().map_err(|denial: drawdown::Denial| denial.to_string())?;
        Ok(Follower { consumer: Consumer { tenant_id, name }, read: Vec::new(), position: None, in_doubt: None })
    }

    /// Reads a page from where the books say that it stands, and acknowledges it. What the store's failures allow is no complaint.
    pub(super) fn poll(&mut self, engine: &Engine, limit: usize, failed: impl Fn() -> bool) -> Result<bool, String> {
        match self.read_on(engine, limit) {
            Ok(found) => found,
            Err(failure) if failure.denial().is_none() && failed() => Ok(true),
            Err(failure) => Err(format!("a follower is refused: {failure}")),
        }
    }

    /// Everything that is told of these operations was read, once and in order.
    pub(super) fn finish<'a>(
        &mut self,
        engine: &Engine,
        operations: impl Iterator<Item = &'a StoredOperation>,
    ) -> Result<(), String> {
        while self.poll(engine, 100, || false)? {}
        let mine = |stored: &&StoredOperation| {
            self.consumer.tenant_id.as_ref().is_none_or(|tenant_id| *tenant_id == stored.operation.tenant_id)
        };
        let expected: Vec<EventId> = operations.filter(mine).flat_map(events_of).map(|event| event.event_id).collect();
        let parts = self.read.iter().zip(&expected).position(|(read, expected)| read != expected);
        same("where a follower's events part from the books", parts, None)?;
        same("events that a follower read", self.read.len(), expected.len())
    }

    /// Whether there may be more; what is wrong with what was found, if anything.
    fn read_on(&mut self, engine: &Engine, limit: usize) -> Result<Result<bool, String>, Failure> {
        let stands = engine.consumer_position(&self.consumer)?;
        if let Some(page) = self.in_doubt.take_if(|page| Some(page.next) == stands) {
            self.keep(&page);
        }
        self.in_doubt = None;
        if let Err(why) = same("where a follower stands", stands, self.position) {
            return Ok(Err(why));
        }
        let query = EventQuery { tenant_id: self.consumer.tenant_id.clone(), after: stands, limit, ..EventQuery::default() };
        let page = engine.events(&query)?;
        if stands.is_some_and(|stands| page.events.iter().any(|event| event.cursor <= stands)) {
            return Ok(Err("an event is handed out again behind a cursor".to_owned()));
        }
        let more = page.more;
        let acknowledged = engine.acknowledge(&self.consumer, self.in_doubt.insert(page).next)?;
        if let Some(page) = self.in_doubt.take() {
            self.keep(&page);
        }
        Ok(same("acknowledged", (Some(acknowledged.position), acknowledged.is_outdated), (self.position, false)).map(|()| more))
    }

    fn keep(&mut self, page: &EventPage) {
        self.read.extend(page.events.iter().map(|event| event.event_id));
        self.position = Some(page.next);
    }
}
