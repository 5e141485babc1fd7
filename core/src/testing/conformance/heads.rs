//! The heads of all accounts as of a position of the feed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Subject;
use super::desk::{Desk, Ended, account, account_of, ask, id, needs_account, run, second, units};
use crate::ledger::{AccountHead, OperationKind, StoredOperation};
use crate::owner::AccountKey;
use crate::store::{Answer, Query, Store};
use crate::testing::scripted::Draft;
use crate::time::ManualClock;

const WRITERS: usize = 3;
const BATCHES: usize = 20;

fn page(store: &dyn Store, position: u64, after: Option<AccountKey>, limit: usize) -> Vec<AccountHead> {
    match ask(store, &Query::HeadsAt { position, after, limit }) {
        Answer::HeadsAt(heads) => heads,
        other => panic!("heads are answered by {other:?}"),
    }
}

/// All heads, read in pages of this size. A page that is not full is the last.
fn heads(store: &dyn Store, position: u64, limit: usize) -> Vec<AccountHead> {
    let mut all: Vec<AccountHead> = Vec::new();
    loop {
        let after = all.last().map(|head| (*head.account).clone());
        let read = page(store, position, after, limit);
        let is_last = read.len() < limit;
        assert!(read.len() <= limit);
        all.extend(read);
        if is_last {
            return all;
        }
    }
}

/// What the feed up to a position says that the heads are.
fn expected<'a>(feed: impl IntoIterator<Item = &'a StoredOperation>, position: u64) -> Vec<AccountHead> {
    let booked = feed.into_iter().filter(|stored| stored.position <= position);
    let mut heads: Vec<AccountHead> = Vec::new();
    for head in booked.flat_map(|stored| &stored.entries).map(AccountHead::of) {
        heads.retain(|known| known.account != head.account);
        heads.push(head);
    }
    heads.sort_by(|one, other| one.account.cmp(&other.account));
    heads
}

pub fn a_head_is_the_last_entry_as_of_the_position(subject: &Subject) {
    let desk = Desk::new(subject);
    for (at, (tenant_id, user)) in (0..).zip([("t1", "a"), ("t2", "a"), ("t1", "b"), ("t1", "a"), ("t1", "a"), ("t2", "a")]) {
        let book = |draft: Draft| draft.grant(units(1), None).grant(units(2), None);
        desk.at(at).book(&account_of(tenant_id, user), OperationKind::Grant, book);
    }
    let feed = desk.feed(None, 0, 10);
    assert_eq!(heads(&*desk.store, 0, 10), [], "before the first");
    for position in feed.iter().map(|stored| stored.position) {
        let expected = expected(feed.iter().map(|stored| &**stored), position);
        assert_eq!(heads(&*desk.store, position, 10), expected, "at position {position}");
    }
}

pub fn an_account_made_later_has_no_head(subject: &Subject) {
    let desk = Desk::new(subject);
    desk.grant(&account("m"), 1);
    let position = desk.feed(None, 0, 1)[0].position;
    let before = heads(&*desk.store, position, 2);
    for user in ["a", "b", "m", "x", "y", "z"] {
        desk.grant(&account(user), 2);
    }
    assert_eq!(before.len(), 1);
    for limit in [1, 2, 100] {
        assert_eq!(heads(&*desk.store, position, limit), before, "pages of {limit}");
    }
}

pub fn heads_come_in_order_a_page_at_a_time(subject: &Subject) {
    let desk = Desk::new(subject);
    for tenant_id in ["t2", "t1", "t10"] {
        for owner in ["user:b", "pool", "organization:a", "user:a"] {
            for unit in ["credit", "UC"] {
                desk.grant(&AccountKey::new(id(tenant_id), id(owner), id(unit)), 1);
            }
        }
    }
    let feed = desk.feed(None, 0, 100);
    let position = feed[feed.len() - 3].position;
    let all = expected(feed.iter().map(|stored| &**stored), position);
    assert_eq!(all.len(), feed.len() - 2);
    for limit in [1, 5, 22, 24, 100] {
        assert_eq!(heads(&*desk.store, position, limit), all, "pages of {limit}");
    }
}

pub fn heads_stay_as_they_were_while_others_write(subject: &Subject) {
    let desk = Desk::new(subject);
    ["u0", "u1", "other"].iter().for_each(|user| _ = desk.grant(&account(user), 1));
    let position = desk.feed(None, 0, 10)[2].position;
    let before = heads(&*desk.store, position, 10);
    let writing = AtomicUsize::new(WRITERS);
    thread::scope(|scope| {
        for n in 0..WRITERS {
            let (store, writing) = (subject.store(), &writing);
            scope.spawn(move || {
                let _ended = Ended(writing);
                let (clock, key) = (ManualClock::at(second(0)), account(&format!("u{n}")));
                for _ in 0..BATCHES {
                    run(&*store, &clock, needs_account(&key), |facts| {
                        vec![Draft::of(&facts, &key, OperationKind::Grant).grant(units(1), None).done()]
                    });
                }
            });
        }
        while writing.load(Ordering::SeqCst) > 0 {
            assert_eq!(heads(&*subject.store(), position, 2), before);
        }
    });
    assert_eq!(heads(&*desk.store, position, 10), before);
}
