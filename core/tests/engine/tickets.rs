//! Tickets: waited for, awaited, dropped.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use drawdown::Engine;

use crate::scripted::{SECOND, Scripted, available, grant};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_ticket_can_be_awaited_without_a_runtime() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let ticket = engine.submit(grant("u1", "5")).unwrap();
    let opener = {
        let store = Arc::clone(&store);
        thread::spawn(move || {
            store.wait_for_runs(1);
            store.open_gate();
        })
    };
    let receipt = block_on(ticket).unwrap();
    opener.join().unwrap();
    assert_eq!(receipt.to_json()["balance_after"], "5");
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let mut ticket = pin!(engine.submit(grant("u1", "5")).unwrap());
    let wakers = [Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0)))];
    for waker in &wakers {
        assert!(ticket.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(waker)))).is_pending());
    }
    store.open_gate();
    engine.close();
    assert_eq!(wakers.map(|count| count.0.load(Ordering::SeqCst)), [0, 1]);
    let again = |ticket: &mut std::pin::Pin<&mut drawdown::Ticket>| ticket.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!((again(&mut ticket), again(&mut ticket)), (Poll::Ready(Ok(a)), Poll::Ready(Ok(b))) if a == b));
}

#[test]
fn a_waker_that_panics_harms_no_other_ticket() {
    struct Rude;
    impl Wake for Rude {
        fn wake(self: Arc<Self>) {
            panic!("rude");
        }
    }
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let mut rude = pin!(engine.submit(grant("u1", "1")).unwrap());
    assert!(rude.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Rude)))).is_pending());
    let polite = engine.submit(grant("u1", "1")).unwrap();
    store.open_gate();
    polite.wait().unwrap();
    assert_eq!(engine.submit(grant("u1", "1")).unwrap().wait().unwrap().to_json()["balance_after"], "3");
}

#[test]
fn the_last_engine_can_be_dropped_by_what_a_ticket_wakes() {
    struct Last(Mutex<Option<Engine>>);
    impl Wake for Last {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let mut ticket = pin!(engine.submit(grant("u1", "1")).unwrap());
    let waker = Waker::from(Arc::new(Last(Mutex::new(Some(engine)))));
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    store.open_gate();
    let begun = Instant::now();
    while Arc::strong_count(&store) > 1 {
        assert!(begun.elapsed() < SECOND * 10, "the thread of the lane has ended and let go of the store");
        thread::yield_now();
    }
    assert!(ticket.try_take().is_some_and(|answer| answer.is_ok()));
}

/// A waker that does something with the engine, and says when it is done.
struct Doing<F>(Mutex<Option<(F, std::sync::mpsc::Sender<()>)>>);

impl<F: FnOnce() + Send + 'static> Wake for Doing<F> {
    fn wake(self: Arc<Self>) {
        let (act, done) = self.0.lock().unwrap().take().unwrap();
        act();
        done.send(()).unwrap();
    }
}

/// Has this done by what a ticket wakes, after something else was done, and waits until it is.
fn done_when_woken(act: impl FnOnce(&Engine) + Send + 'static, before: impl FnOnce(&Engine) + Send + 'static) {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let mut ticket = pin!(engine.submit(grant("u1", "1")).unwrap());
    let (sender, done) = std::sync::mpsc::channel();
    let mine = engine.clone();
    let waker = Waker::from(Arc::new(Doing(Mutex::new(Some((move || act(&mine), sender))))));
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    store.wait_for_runs(1);
    let other = thread::spawn(move || before(&engine));
    thread::sleep(SECOND / 20);
    store.open_gate();
    done.recv_timeout(SECOND * 10).unwrap();
    other.join().unwrap();
}

#[test]
fn an_engine_can_be_closed_by_what_a_ticket_wakes_while_another_closes_it() {
    done_when_woken(Engine::close, |_| ());
    done_when_woken(Engine::close, Engine::close);
}

#[test]
fn what_a_ticket_wakes_can_run_a_command_while_others_wait() {
    done_when_woken(|engine| drop(engine.run(grant("u1", "2")).unwrap()), |_| ());
    done_when_woken(
        |engine| {
            assert_eq!(engine.run(grant("u1", "2")).unwrap().to_json()["balance_after"], "3");
            engine.close();
            assert!(engine.run(grant("u1", "2")).is_err());
        },
        |engine| drop(engine.submit(grant("u1", "3")).unwrap().wait().unwrap()),
    );
}

#[test]
fn dropping_a_ticket_does_not_cancel_its_command() {
    let engine = Engine::in_memory();
    drop(engine.submit(grant("u1", "5")).unwrap());
    engine.submit(grant("u1", "1")).unwrap().wait().unwrap();
    assert_eq!(available(&engine, "u1"), "6");
}

#[test]
fn a_ticket_says_whether_it_is_answered() {
    let store = Scripted::new([]);
    let engine = store.engine(SECOND);
    store.shut_gate();
    let ticket = engine.submit(grant("u1", "5")).unwrap();
    assert!(ticket.try_take().is_none());
    store.open_gate();
    engine.close();
    assert_eq!(ticket.try_take().unwrap().unwrap(), ticket.wait().unwrap());
}
