//! Waiting for events on a thread of Python, which hears signals meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use drawdown::event::{EventPage, EventQuery};
use drawdown::{Engine, Failure};
use pyo3::prelude::*;

/// How long signals wait at most.
const SLICE: Duration = Duration::from_millis(100);

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The next page that has an event; after this long without one an empty page, whose `next` says how far it was looked.
pub(crate) fn for_events(
    py: Python<'_>,
    engine: &Engine,
    query: &EventQuery,
    timeout: Duration,
) -> PyResult<Result<EventPage, Failure>> {
    let began = Instant::now();
    let mut page = match py.detach(|| engine.next_events(query, Duration::ZERO)) {
        Ok(page) if page.events.is_empty() => page,
        answered => return Ok(answered),
    };
    let query = query.clone().after(page.next);
    let ticket = match py.detach(|| engine.await_events(&query)) {
        Ok(ticket) => ticket,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut ticket = pin!(ticket);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(answered) = ticket.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(answered);
        }
        let left = timeout.saturating_sub(began.elapsed());
        if left.is_zero() {
            page.more = false;
            return Ok(Ok(page));
        }
        py.detach(|| thread::park_timeout(left.min(SLICE)));
        py.check_signals()?;
    }
}
