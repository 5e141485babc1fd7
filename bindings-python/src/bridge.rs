//! From the engine's threads to an event loop: answers go to a queue, and one byte to a socket that the loop watches. No thread of
//! Rust ever attaches to the interpreter, which may end at any moment.

use std::collections::HashMap;
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use drawdown::call::EventsPage;
use drawdown::event::{EventPage, EventQuery};
use drawdown::{Engine, Error, EventTicket, Failure, Ticket, UsedBy};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::engine::NativeEngine;
use crate::errors::Refusal;
use crate::pool::Pool;
use crate::work::{self, Answer, Outcome, Work};

/// What one event loop asks an engine, and the queue of the answers. Every method is called on the thread of the loop.
///
/// Each request has a number; `drain` answers some of them when the socket can be read.
#[pyclass(module = "drawdown._native", frozen, weakref)]
pub(crate) struct Bridge {
    line: Arc<Line>,
    receiving: UnixStream,
    pool: Pool,
    next: AtomicU64,
    /// The process that made it: in a child of it the socket would wake the parent.
    process: u32,
}

#[pymethods]
impl Bridge {
    #[new]
    fn new() -> PyResult<Bridge> {
        let (receiving, sending) = UnixStream::pair().map_err(|error| PyOSError::new_err(error.to_string()))?;
        for end in [&receiving, &sending] {
            end.set_nonblocking(true).map_err(|error| PyOSError::new_err(error.to_string()))?;
        }
        let line = Arc::new(Line { ready: Mutex::default(), waiting: Mutex::default(), sending });
        Ok(Bridge { line, receiving, pool: Pool::new(), next: AtomicU64::new(0), process: std::process::id() })
    }

    /// What the loop watches.
    fn fileno(&self) -> i32 {
        self.receiving.as_raw_fd()
    }

    /// Submits a command by its kind.
    fn run(
        &self,
        engine: &Bound<'_, NativeEngine>,
        name: &Bound<'_, PyString>,
        names: &Bound<'_, PyTuple>,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let py = name.py();
        let command = work::command(name, names, values).map_err(|unread| unread.raised(py))?;
        let used_by = UsedBy::of(command.body.kind());
        let ticket = self.engine(engine)?.submit(command);
        let ticket = ticket.map_err(|failure| Refusal::new(failure, used_by).raised(py))?;
        let number = self.number();
        self.line.waiting().insert(number, Waiting::Command(ticket, used_by));
        self.line.look(number);
        Ok(number)
    }

    /// Decides a command without committing it.
    fn preview(
        &self,
        engine: &Bound<'_, NativeEngine>,
        name: &Bound<'_, PyString>,
        names: &Bound<'_, PyTuple>,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let command = work::command(name, names, values).map_err(|unread| unread.raised(name.py()))?;
        self.queue(engine, Work::Preview(command))
    }

    /// Runs commands in order, each by itself.
    fn run_many(&self, engine: &Bound<'_, NativeEngine>, commands: &Bound<'_, PyList>) -> PyResult<u64> {
        self.queue(engine, Work::RunMany(work::commands(commands)?))
    }

    /// Runs commands as one: all or nothing.
    fn run_all(&self, engine: &Bound<'_, NativeEngine>, commands: &Bound<'_, PyList>) -> PyResult<u64> {
        let read = work::commands(commands)?.into_iter().collect::<Result<Vec<_>, Refusal>>();
        self.queue(engine, Work::RunAll(read.map_err(|refusal| refusal.raised(commands.py()))?))
    }

    /// Asks a question by its name.
    fn call(
        &self,
        engine: &Bound<'_, NativeEngine>,
        name: &Bound<'_, PyString>,
        names: &Bound<'_, PyTuple>,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let call = work::call(name, names, values).map_err(|unread| unread.raised(name.py()))?;
        self.queue(engine, Work::Call(Box::new(call)))
    }

    /// Waits for the next page that has an event.
    fn wait_for_events(
        &self,
        engine: &Bound<'_, NativeEngine>,
        names: &Bound<'_, PyTuple>,
        values: &Bound<'_, PyTuple>,
    ) -> PyResult<u64> {
        let query = work::event_query(names, values).map_err(|unread| unread.raised(names.py()))?;
        let (line, number) = (Arc::clone(&self.line), self.number());
        let asked = self.engine(engine)?;
        self.begin(engine.py(), number, move || line.wait_for_events(&asked, number, query))
    }

    /// Waits no more. A command takes effect all the same; a question that has not begun is dropped.
    fn forget(&self, number: u64) {
        let forgotten = self.line.waiting().remove(&number);
        drop(forgotten); // Once the lock is let go: it has locks of its own.
    }

    /// Waits no more for events: an empty page, whose `next` says how far it was looked. None if it is still being looked.
    fn give_up<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(ticket) = self.line.take_events(number) else { return Ok(None) };
        let page = ticket.wait(Duration::ZERO).map_err(|failure| Refusal::new(failure, UsedBy::Read).raised(py))?;
        Answer::Events(EventsPage::of(page)).build(py).map(Some)
    }

    /// What was answered: numbers, each with its result or exception. One that nobody waits for any more is left out.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u64, Bound<'py, PyAny>)>> {
        self.check_process(py)?;
        self.silence();
        let ready = std::mem::take(&mut *self.line.ready());
        let mut answers = Vec::with_capacity(ready.len());
        for (number, outcome) in ready {
            let waiting = self.line.waiting().remove(&number);
            let Some(waiting) = waiting else { continue };
            let Some(outcome) = outcome.or_else(|| waiting.outcome()) else { continue };
            let built = match outcome {
                Ok(answer) => answer.build(py),
                Err(refusal) => refusal.exception(py),
            };
            answers.push((number, built.unwrap_or_else(|error| error.into_value(py).into_bound(py).into_any())));
        }
        Ok(answers)
    }

    /// Drops what has not begun, stops the threads once they have answered, and answers whoever still waits that the engine is
    /// closed.
    fn close(&self) {
        self.pool.close();
        let left: Vec<u64> = self.line.waiting().keys().copied().collect();
        left.into_iter().for_each(|number| self.line.answer(number, Some(Err(Refusal::new(Error::Closed, UsedBy::Write)))));
    }
}

impl Bridge {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn engine(&self, engine: &Bound<'_, NativeEngine>) -> PyResult<Engine> {
        self.check_process(engine.py())?;
        engine.get().get().map_err(|refusal| refusal.raised(engine.py()))
    }

    /// The socket and the threads are the parent's.
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        let forked = Error::Store("the engine was opened by another process; after a fork, open it anew in the child".to_owned());
        Err(Refusal::new(forked, UsedBy::Write).raised(py))
    }

    /// Has a thread do it. What changes the books is done although nobody waits for it any more.
    fn queue(&self, engine: &Bound<'_, NativeEngine>, work: Work) -> PyResult<u64> {
        let (line, number) = (Arc::clone(&self.line), self.number());
        let asked = self.engine(engine)?;
        self.begin(engine.py(), number, move || {
            if work.is_written() || line.waiting().contains_key(&number) {
                line.answer(number, Some(work.done(&asked)));
            }
        })
    }

    fn begin(&self, py: Python<'_>, number: u64, job: impl FnOnce() + Send + 'static) -> PyResult<u64> {
        self.line.waiting().insert(number, Waiting::Job);
        match self.pool.submit(Box::new(job)) {
            Ok(()) => Ok(number),
            Err(error) => {
                self.forget(number);
                Err(Refusal::new(error, UsedBy::Read).raised(py))
            }
        }
    }

    /// Takes what was sent to wake the loop.
    fn silence(&self) {
        let mut bytes = [0; 64];
        loop {
            match (&self.receiving).read(&mut bytes) {
                Ok(read) if read == bytes.len() => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}

impl Drop for Bridge {
    /// What waits is woken by the queue, and the queue keeps what waits.
    fn drop(&mut self) {
        self.pool.close();
        let forgotten = std::mem::take(&mut *self.line.waiting());
        drop(forgotten); // Once the lock is let go.
    }
}

/// What somebody waits for.
enum Waiting {
    Command(Ticket, UsedBy),
    Events(EventTicket),
    /// A thread of the pool does it, or will.
    Job,
}

impl Waiting {
    /// What was answered, if it is there.
    fn outcome(self) -> Option<Outcome> {
        match self.polled(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn polled(mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        self.poll(context)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        match self {
            Waiting::Command(ticket, used_by) => {
                let used_by = *used_by;
                let polled = Pin::new(ticket).poll(context);
                polled.map(|answer| answer.map(Answer::Receipt).map_err(|failure| Refusal::new(failure, used_by)))
            }
            Waiting::Events(ticket) => {
                let polled = Pin::new(ticket).poll(context);
                polled.map(|answer| {
                    answer.map(EventsPage::of).map(Answer::Events).map_err(|failure| Refusal::new(failure, UsedBy::Read))
                })
            }
            Waiting::Job => Poll::Pending,
        }
    }
}

/// The queue of the answers, and the socket that says when it is no longer empty.
struct Line {
    /// Numbers that are answered; those without an outcome have it in their ticket.
    ready: Mutex<Vec<(u64, Option<Outcome>)>>,
    /// Who still waits.
    waiting: Mutex<HashMap<u64, Waiting>>,
    sending: UnixStream,
}

impl Line {
    fn ready(&self) -> MutexGuard<'_, Vec<(u64, Option<Outcome>)>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an answer, and wakes the loop unless it is awake anyway.
    fn answer(&self, number: u64, outcome: Option<Outcome>) {
        let mut ready = self.ready();
        let is_first = ready.is_empty();
        ready.push((number, outcome));
        drop(ready);
        if is_first {
            // A socket that is full wakes the loop as well; one that is closed has no loop.
            let _ = (&self.sending).write(&[1]);
        }
    }

    /// Queues the answer of a ticket, at once or when it is there.
    fn look(self: &Arc<Self>, number: u64) {
        let waker = Waker::from(Arc::new(Bell { line: Arc::clone(self), number }));
        let polled = self.waiting().get_mut(&number).map(|waiting| waiting.poll(&mut Context::from_waker(&waker)));
        if let Some(Poll::Ready(outcome)) = polled {
            self.answer(number, Some(outcome));
        }
    }

    /// The ticket of who waits for events. A job that is to leave one in its place must find its place.
    fn take_events(&self, number: u64) -> Option<EventTicket> {
        let mut waiting = self.waiting();
        match waiting.remove(&number)? {
            Waiting::Events(ticket) => Some(ticket),
            other => {
                waiting.insert(number, other);
                None
            }
        }
    }

    /// Reads what is there; if that is nothing, leaves a ticket in the place of the job.
    fn wait_for_events(self: &Arc<Self>, engine: &Engine, number: u64, query: EventQuery) {
        if !self.waiting().contains_key(&number) {
            return;
        }
        let read = engine.next_events(&query, Duration::ZERO);
        let next = match read {
            Ok(page) if page.events.is_empty() => page.next,
            read => return self.answer_read(number, read),
        };
        match engine.await_events(&query.after(next)) {
            Ok(ticket) => {
                let mut ticket = Some(ticket);
                if let Some(place) = self.waiting().get_mut(&number) {
                    *place = ticket.take().map_or(Waiting::Job, Waiting::Events);
                }
                drop(ticket); // Nobody waits any more.
                self.look(number);
            }
            Err(failure) => self.answer_read(number, Err(failure)),
        }
    }

    fn answer_read(&self, number: u64, read: Result<EventPage, Failure>) {
        let outcome = read.map(EventsPage::of).map(Answer::Events).map_err(|failure| Refusal::new(failure, UsedBy::Read));
        self.answer(number, Some(outcome));
    }
}

/// Wakes the loop for one number.
struct Bell {
    line: Arc<Line>,
    number: u64,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.line.answer(self.number, None);
    }
}
