//! Erasing the text about people under the chain.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use drawdown::ledger::{Entry, EntryQuery, EntryScope, EntryText, FaultKind, PageOrder, StatementFormat};
use drawdown::store::sqlite::SqliteStore;
use drawdown::{AccountKey, Command, Context, Engine, EraseText, TenantPolicy};
use drawdown_tests::script::{Bank, table};
use rusqlite::Connection;
use serde_json::json;

#[test]
fn what_is_erased_is_counted() {
    let two = "grant 9 reason=x; charge 1 user_id=ann reason=y; charge 1";
    let by_user = "grant 9 reason=x; charge 1 user_id=ann; charge 1 user_id=bob; charge 1 user_id=ann";
    table(&[
        (
            "every entry with text",
            two,
            "erase_text",
            "ok erased=2 kept=0 next_seq=null operator=ops reason=test version=3; balance 7",
        ),
        ("a second time there is nothing", &format!("{two}; erase_text"), "erase_text", "ok erased=0 kept=0; balance 7"),
        ("after an entry", two, "erase_text after_seq=1", "ok erased=1"),
        ("after the last", two, "erase_text after_seq=3", "ok erased=0 next_seq=null"),
        ("of one user", by_user, "erase_text user_id=ann", "ok erased=2"),
        ("the others' stays", &format!("{by_user}; erase_text user_id=ann"), "erase_text user_id=bob", "ok erased=1"),
        (
            "another account's stays",
            &format!("{two}; grant 1 owner=pool reason=z; erase_text"),
            "erase_text owner=pool",
            "ok erased=1",
        ),
        ("no such account", two, "erase_text owner=user:u2", "denied account_not_found"),
        ("another tenant's", two, "erase_text tenant_id=globex", "denied account_not_found"),
        ("a wrong operator", two, "erase_text operator=-", "denied payload_invalid field=operator"),
        ("a version is expected of it too", two, "erase_text expected_version=2", "denied version_conflict version=3"),
        ("it changes no version", &format!("{two}; erase_text"), "charge 1 expected_version=3", "ok version=4"),
        (
            "a replay",
            &format!("{two}; erase_text idempotency_key=k; charge 1 reason=z"),
            "erase_text idempotency_key=k",
            "ok erased=2 idempotent_replay=true",
        ),
        (
            "from another entry it is another command",
            &format!("{two}; erase_text idempotency_key=k"),
            "erase_text after_seq=1 idempotency_key=k",
            "denied idempotency_conflict field=after_seq",
        ),
    ]);
}

#[test]
fn an_open_hold_keeps_its_user() {
    let held = "grant 9; hold 4 user_id=ann as=h";
    table(&[
        ("while it is open", held, "erase_text", "ok erased=0 kept=1"),
        ("its part entries too", &format!("{held}; capture h 1 final=false idempotency_key=p"), "erase_text", "ok erased=0 kept=2"),
        ("once it has ended", &format!("{held}; release h"), "erase_text", "ok erased=2 kept=0"),
        ("it can be captured as ever", &format!("{held}; erase_text"), "capture h 3 user_id=ann", "ok captured=3; balance 6"),
        (
            "one that ends with this command leaves its release to the next",
            &format!("{held}; wait 900"),
            "erase_text",
            "ok erased=1 kept=0 next_seq=2; balance 9",
        ),
        ("which finds it", &format!("{held}; wait 900; erase_text"), "erase_text after_seq=2", "ok erased=1 next_seq=null"),
        (
            "an ended hold has no user any more",
            "grant 9; hold 4 user_id=ann late_commit=draw as=h; wait 900; erase_text",
            "capture h 1 user_id=ann",
            "denied payload_invalid field=user_id",
        ),
        (
            "without one it is captured late as ever",
            "grant 9; hold 4 user_id=ann late_commit=draw as=h; wait 900; erase_text",
            "capture h 1",
            "ok captured=1; balance 8",
        ),
    ]);
}

#[test]
fn the_books_go_on_as_before() {
    let given = "grant 9 reason=x operator=ops metadata={\"a\":1} idempotency_key=g as=g; charge 4 reason=y user_id=ann idempotency_key=k as=c; \
        erase_text";
    table(&[
        (
            "a replay",
            given,
            "charge 4 reason=y user_id=ann idempotency_key=k",
            "ok idempotent_replay=true change=-4 reason=null draw=g:4",
        ),
        (
            "another command under the key",
            given,
            "charge 4 reason=z idempotency_key=k",
            "denied idempotency_conflict field=user_id",
        ),
        ("a refund", given, "refund ledger_id=@c", "ok change=4 refunded=4; balance 9"),
        ("a charge", given, "charge 5", "ok draw=g:5; balance 0"),
        ("a void", given, "void g", "ok forfeited=5"),
    ]);
}

fn books(bank: &mut Bank) {
    for statement in [
        "grant 20 reason=SECRET-reason operator=SECRET-ops metadata={\"note\":\"SECRET-note\"} actor=SECRET-actor",
        "hold 4 user_id=SECRET-user reason=SECRET-work as=h actor=SECRET-actor",
        "capture h 3 user_id=SECRET-user reason=SECRET-part",
        "charge 2 user_id=SECRET-user reason=SECRET-call metadata={\"to\":\"SECRET-mail\"}",
        "charge 2 user_id=bob reason=his actor=bobs",
    ] {
        bank.given(statement).unwrap();
    }
}

fn account() -> AccountKey {
    Context::tenant("acme").unwrap().account("user:u1".parse().unwrap(), "credit").unwrap()
}

fn entries(engine: &Engine) -> Vec<Entry> {
    let query = EntryQuery { order: PageOrder::Asc, limit: 1_000, ..EntryQuery::new(EntryScope::Account(account())) };
    engine.entries(query).unwrap().entries
}

#[test]
fn an_erased_account_verifies_and_says_what_was_erased() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        books(&mut bank);
        let before = entries(&bank.engine);
        bank.given("erase_text user_id=SECRET-user").unwrap();
        bank.given("erase_text after_seq=0 user_id=nobody").unwrap();
        let after = entries(&bank.engine);
        for (old, new) in before.iter().zip(&after) {
            let is_meant = old.text.user_id.as_ref().is_some_and(|user| user.as_str() == "SECRET-user");
            let expected = if is_meant {
                Entry { text: EntryText::default(), erased_text_hash: Some(old.text_hash()), ..old.clone() }
            } else {
                old.clone()
            };
            assert_eq!(*new, expected, "{name}");
        }
        bank.given("erase_text").unwrap();
        let report = bank.engine.verify().unwrap();
        assert!(report.is_clean(), "{name}: {report:?}");
        assert!(entries(&bank.engine).iter().all(|entry| entry.text.is_empty()), "{name}");
        let feed = bank.engine.feed(None, 0, 100).unwrap();
        assert!(feed.iter().all(|stored| stored.operation.actor.is_none()), "{name}");
        let made = feed.iter().flat_map(|stored| &stored.entries).find_map(|entry| entry.hold_id).unwrap();
        assert_eq!(bank.engine.hold(&"acme".parse().unwrap(), made).unwrap().1.terms.user_id, None, "{name}");
        let grant = &bank.engine.grants(&account()).unwrap()[0];
        assert_eq!((&grant.terms.reason, &grant.terms.metadata), (&None, &None), "{name}");
        let mut statement = Vec::new();
        let query = EntryQuery::new(EntryScope::Account(account()));
        bank.engine.export(query, StatementFormat::JsonLines, &mut statement).unwrap();
        assert!(!String::from_utf8(statement).unwrap().contains("SECRET"), "{name}");
        // Who asked for it, and why, stays beyond the retention of answers.
        bank.given("wait 91d").unwrap();
        bank.engine.forget_answers(0, 100).unwrap();
        let last = bank.engine.feed(None, 7, 1).unwrap().remove(0);
        assert_eq!((last.operation.kind.as_str(), last.operation.account.as_deref()), ("erase_text", Some(&account())), "{name}");
        assert!(last.operation.answer.as_deref().unwrap().contains("ops"), "{name}");
    }
}

#[test]
fn the_text_is_gone_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let mut bank = Bank::new(Arc::new(SqliteStore::open(&path).unwrap()), TenantPolicy::default());
    books(&mut bank);
    let found = || {
        let wal = path.with_extension("db-wal");
        let bytes = [&path, &wal].map(|path| std::fs::read(path).unwrap_or_default()).concat();
        bytes.windows(6).any(|window| window == b"SECRET")
    };
    assert!(found(), "before");
    bank.given("erase_text").unwrap();
    drop(bank);
    // The last to close the file has moved the log into it.
    assert!(!found(), "after");
    let engine = Engine::open(path.to_str().unwrap()).unwrap();
    assert!(engine.verify().unwrap().is_clean());
}

#[test]
fn a_changed_hash_of_erased_text_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    let mut bank = Bank::new(Arc::new(SqliteStore::open(&path).unwrap()), TenantPolicy::default());
    books(&mut bank);
    bank.given("erase_text").unwrap();
    let hand = Connection::open(&path).unwrap();
    let changes = [
        "UPDATE entries SET text_hash = zeroblob(32) WHERE seq = 2",
        "UPDATE entries SET text_hash = NULL WHERE seq = 2",
        "UPDATE entries SET reason = 'another' WHERE seq = 2",
    ];
    for sql in changes {
        hand.execute_batch("CREATE TEMP TABLE kept AS SELECT text_hash FROM entries WHERE seq = 2").unwrap();
        assert_eq!(hand.execute(sql, []).unwrap(), 1);
        let report = bank.engine.verify().unwrap();
        let kinds: Vec<_> = report.faults.iter().map(|fault| (fault.kind, fault.seq)).collect();
        assert_eq!(kinds, [(FaultKind::TamperedEntry, Some(2))], "{sql}");
        hand.execute_batch(
            "UPDATE entries SET text_hash = (SELECT text_hash FROM kept), reason = NULL WHERE seq = 2; DROP TABLE kept",
        )
        .unwrap();
        assert!(bank.engine.verify().unwrap().is_clean());
    }
}

#[test]
fn a_long_account_is_erased_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        bank.given("grant 5000").unwrap();
        bank.given("2000x charge 1 user_id=ann").unwrap();
        let erase = EraseText::new("user:u1".parse().unwrap(), "ops", "asked for").unwrap();
        let mut shown = Vec::new();
        let context = Context::tenant("acme").unwrap();
        let report = bank.engine.erase_text(&context, erase, &mut |report| shown.push((report.erased, report.next_seq))).unwrap();
        assert_eq!(shown, [(999, Some(1_000)), (1_999, Some(2_000)), (2_000, None)], "{name}");
        assert_eq!((report.erased, report.kept), (2_000, 0), "{name}");
        assert!(bank.engine.verify().unwrap().is_clean(), "{name}");
    }
}

#[test]
fn a_batch_erases_what_it_booked() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        bank.given("grant 9 reason=x").unwrap();
        let command = |fields: serde_json::Value| {
            let mut fields = fields;
            fields["tenant_id"] = "acme".into();
            Command::from_json(&fields.to_string()).unwrap()
        };
        let charge = json!({"command": "charge", "payer": "user:u1", "amount": 1, "reason": "y", "idempotency_key": "k"});
        let erase = json!({"command": "erase_text", "owner": "user:u1", "operator": "ops", "reason": "asked for"});
        let batch = [charge.clone(), erase.clone(), charge, erase].map(command);
        let answers: Vec<_> =
            bank.engine.execute_many(batch.to_vec()).into_iter().map(|answer| answer.unwrap().to_json()).collect();
        assert_eq!((&answers[0]["reason"], &answers[1]["erased"]), (&json!("y"), &json!(2)), "{name}");
        assert_eq!((&answers[2]["reason"], &answers[2]["idempotent_replay"]), (&json!(null), &json!(true)), "{name}");
        assert_eq!(answers[3]["erased"], 0, "{name}");
        assert!(entries(&bank.engine).iter().all(|entry| entry.text.is_empty() && entry.erased_text_hash.is_some()), "{name}");
        assert!(bank.engine.verify().unwrap().is_clean(), "{name}");
    }
}

/// What was erased is in no fact that a later command is decided from, whatever the store remembers of the account.
#[test]
fn no_later_decision_knows_what_was_erased() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in drawdown_tests::stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        let script = [
            "grant 5 reason=SECRET",
            "recur 1 starts_at=+1d reason=SECRET owner=user:u2",
            "grant 5 reason=SECRET owner=user:u2",
            "charge 1 reason=SECRET",
            "charge 1 payer=user:u2",
        ];
        for statement in script.into_iter().chain(["erase_text", "erase_text owner=user:u2"]) {
            bank.given(statement).unwrap();
        }
        for payer in ["user:u1", "user:u2"] {
            let command = format!(r#"{{"command": "charge", "tenant_id": "acme", "payer": "{payer}", "amount": 1}}"#);
            let (recording, answer) = bank.engine.execute_recorded(Command::from_json(&command).unwrap());
            assert!(answer.is_ok());
            assert!(!recording.unwrap().to_json().contains("SECRET"), "{name} {payer}");
        }
    }
}
