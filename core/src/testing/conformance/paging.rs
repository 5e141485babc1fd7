//! Entries: what is kept of them, and how they are read a page at a time.

use std::sync::Arc;

use super::Subject;
use super::desk::{Desk, account, account_of, id, second, tenant, units};
use crate::amount::Amount;
use crate::id::{LedgerId, TaskId};
use crate::ledger::{Entry, EntryFilter, EntryKind, EntryQuery, EntryScope, EntryText, MAX_PAGE, OperationKind, PageOrder};
use crate::testing::scripted::{Draft, next_op_id};

pub fn every_field_of_an_entry_and_an_operation_is_kept(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    let grant = desk.grant(&key, 9);
    let metadata = serde_json::json!({ "text": "\u{1F4B3} \"quoted\"\n", "number": 0.1, "nested": { "list": [1, null, true] } });
    let booked = desk.at(1).book(&key, OperationKind::Charge, |draft| {
        let draft = draft.hold(grant, Amount::from_micros(1), second(60), Some(&id("job")));
        let draft = draft.entry(EntryKind::Extend, Amount::ZERO, Amount::ZERO, |entry| {
            entry.hold_id = Some(crate::id::HoldId::derive(entry.op_id, 1));
            entry.grant_id = Some(grant);
            entry.terms = Some(crate::ledger::Terms::Expiry { expires_at: second(99) });
            entry.task_id = Some(id("job"));
            entry.template_id = Some(id("template"));
            entry.app_id = Some(id("app"));
            entry.text = EntryText {
                user_id: Some(id("u\u{e9}")),
                operator: Some(id("ops")),
                reason: Some(Arc::from("because it's so")),
                metadata: metadata.as_object().cloned().map(Arc::new),
            };
            entry.effective_at = second(-5);
        });
        draft.key("k").settled().charge(grant, units(2), None).with(|changes| {
            let operation = &mut changes.stored_mut().operation;
            operation.actor = Some(id("host"));
            operation.request_id = Some(id("r-1"));
            operation.policy_tag = Some(id("eu"));
            operation.band = Some(crate::credit::Band::Low);
            operation.answer = Some(Arc::from(r#"{"held":"1"}"#));
        })
    });
    let stored = desk.feed(None, 0, 10).remove(1);
    assert_eq!(stored.operation, booked.stored.operation);
    assert_eq!(stored.entries, booked.stored.entries);
    let query = EntryQuery { order: PageOrder::Asc, limit: 3, ..EntryQuery::new(EntryScope::Account(key)) };
    let first = desk.feed(None, 0, 1)[0].entries[0].ledger_id();
    assert_eq!(desk.entries(EntryQuery { cursor: Some(first), ..query }).entries, booked.stored.entries);
}

/// More pages than any case has.
const MAX_PAGES: usize = 100;

/// Twelve entries in three accounts of two tenants, some under a task.
fn book_twelve(desk: &Desk) {
    let task: TaskId = id("job");
    for key in [account("a"), account("b"), account_of("t2", "a")] {
        let grant = desk.grant(&key, 9);
        desk.charge(&key, grant, 1, Some(&task));
        // Two entries of one operation.
        desk.book(&key, OperationKind::Grant, |draft| draft.grant(units(1), None).grant(units(2), None));
    }
}

fn scopes() -> Vec<(EntryScope, usize)> {
    vec![(EntryScope::Account(account("a")), 4), (EntryScope::Task(tenant(), id("job")), 2), (EntryScope::Tenant(tenant()), 8)]
}

/// All pages of a query, joined.
fn read_all(desk: &Desk, mut query: EntryQuery) -> Vec<Entry> {
    let mut entries = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = desk.entries(query.clone());
        assert!(page.entries.len() <= query.limit);
        let last = page.entries.last().map(Entry::ledger_id);
        entries.extend(page.entries);
        if page.next_cursor.is_none() {
            return entries;
        }
        assert_eq!(page.next_cursor, last, "a page ends at its last entry");
        query.cursor = page.next_cursor;
    }
    panic!("the pages of {query:?} do not end");
}

fn names(entries: &[Entry]) -> Vec<LedgerId> {
    entries.iter().map(Entry::ledger_id).collect()
}

pub fn pages_join_in_both_orders(subject: &Subject) {
    let desk = Desk::new(subject);
    book_twelve(&desk);
    let booked: Vec<Entry> = desk.feed(None, 0, 100).iter().flat_map(|stored| stored.entries.clone()).collect();
    for (scope, count) in scopes() {
        let in_scope = |entry: &&Entry| match &scope {
            EntryScope::Account(key) => *entry.account == *key,
            EntryScope::Task(_, task) => entry.account.tenant_id == tenant() && entry.task_id.as_ref() == Some(task),
            EntryScope::Tenant(tenant_id) => entry.account.tenant_id == *tenant_id,
        };
        let oldest_first: Vec<Entry> = booked.iter().filter(in_scope).cloned().collect();
        let newest_first: Vec<Entry> = oldest_first.iter().rev().cloned().collect();
        assert_eq!(oldest_first.len(), count);
        for limit in [1, 2, 3, count, MAX_PAGE] {
            let query = EntryQuery { limit, ..EntryQuery::new(scope.clone()) };
            assert_eq!(
                read_all(&desk, EntryQuery { order: PageOrder::Asc, ..query.clone() }),
                oldest_first,
                "{scope:?} by {limit}"
            );
            assert_eq!(read_all(&desk, query), newest_first, "{scope:?} by {limit}");
        }
    }
}

pub fn a_cursor_is_stable_when_entries_are_added(subject: &Subject) {
    let desk = Desk::new(subject);
    book_twelve(&desk);
    for (scope, _) in scopes() {
        let before = read_all(&desk, EntryQuery::new(scope.clone()));
        let page = desk.entries(EntryQuery { limit: 1, ..EntryQuery::new(scope.clone()) });
        book_twelve_more(&desk);
        let rest = read_all(&desk, EntryQuery { cursor: page.next_cursor, ..EntryQuery::new(scope.clone()) });
        assert_eq!(names(&rest), names(&before[1..]), "going back, what is newer is not met: {scope:?}");
        let query = EntryQuery { order: PageOrder::Asc, cursor: page.next_cursor, ..EntryQuery::new(scope) };
        let newer = read_all(&desk, query);
        assert!(!newer.is_empty(), "going on, what is newer is met");
        assert!(newer.iter().all(|entry| !before.contains(entry)));
    }
}

fn book_twelve_more(desk: &Desk) {
    // An earlier clock makes ids that sort before the ones there are.
    desk.at(-3);
    book_twelve(desk);
}

pub fn every_condition_of_a_filter_holds(subject: &Subject) {
    let desk = Desk::new(subject);
    let key = account("a");
    for at in 0..4 {
        desk.at(at).book(&key, OperationKind::Grant, |draft: Draft| {
            draft.grant(units(1), None).entry(EntryKind::Amend, Amount::ZERO, Amount::ZERO, |entry| {
                entry.app_id = (at % 2 == 0).then(|| id("app"));
                entry.text.user_id = Some(id(if at < 2 { "u1" } else { "u2" }));
            })
        });
    }
    let filter = EntryFilter::default;
    let filters = [
        (EntryFilter { kind: Some(EntryKind::Amend), ..filter() }, 4),
        (EntryFilter { kind: Some(EntryKind::Charge), ..filter() }, 0),
        (EntryFilter { app_id: Some(id("app")), ..filter() }, 2),
        (EntryFilter { user_id: Some(id("u2")), ..filter() }, 2),
        (EntryFilter { from: Some(second(2)), ..filter() }, 4),
        (EntryFilter { to: Some(second(2)), ..filter() }, 4),
        (EntryFilter { from: Some(second(1)), to: Some(second(3)), ..filter() }, 4),
        (EntryFilter { app_id: Some(id("app")), user_id: Some(id("u1")), from: Some(second(0)), ..filter() }, 1),
    ];
    for (filter, count) in filters {
        for scope in [EntryScope::Account(key.clone()), EntryScope::Tenant(tenant())] {
            let query = EntryQuery { filter: filter.clone(), limit: 2, ..EntryQuery::new(scope) };
            let found = read_all(&desk, query);
            assert_eq!(found.len(), count, "{filter:?}");
            assert!(found.iter().all(|entry| filter.admits(entry)), "{filter:?}");
        }
    }
}

pub fn a_filtered_page_goes_on_after_its_cursor(subject: &Subject) {
    let desk = Desk::new(subject);
    book_twelve(&desk);
    let filter = EntryFilter { kind: Some(EntryKind::Charge), ..EntryFilter::default() };
    // The cursor need not be an entry that the filter admits.
    let cursor = desk.feed(Some(tenant()), 0, 1)[0].entries[0].ledger_id();
    let query = EntryQuery { filter, cursor: Some(cursor), order: PageOrder::Asc, ..EntryQuery::new(EntryScope::Tenant(tenant())) };
    let page = desk.entries(query);
    assert_eq!((page.entries.len(), page.next_cursor), (2, None));
}

pub fn an_empty_scope_has_an_empty_page(subject: &Subject) {
    let desk = Desk::new(subject);
    book_twelve(&desk);
    let scopes = [EntryScope::Account(account("nobody")), EntryScope::Task(tenant(), id("no job")), EntryScope::Tenant(id("t9"))];
    for scope in scopes {
        let page = desk.entries(EntryQuery::new(scope));
        assert!(page.entries.is_empty() && page.next_cursor.is_none());
    }
}

pub fn nothing_comes_after_an_entry_that_is_not_there(subject: &Subject) {
    let desk = Desk::new(subject);
    book_twelve(&desk);
    let foreign = desk.feed(Some(id("t2")), 0, 1)[0].entries[0].ledger_id();
    let unknown = LedgerId::derive(next_op_id(second(0), &tenant()), 1);
    for (scope, _) in scopes() {
        for cursor in [foreign, unknown] {
            for order in [PageOrder::Asc, PageOrder::Desc] {
                let page = desk.entries(EntryQuery { cursor: Some(cursor), order, ..EntryQuery::new(scope.clone()) });
                assert_eq!((page.entries.len(), page.next_cursor), (0, None), "{scope:?} {order:?}");
            }
        }
    }
}
