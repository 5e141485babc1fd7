//! Somebody who can write the file rewrites the past with all its hashes: a checkpoint that is kept elsewhere tells.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::thread;

use drawdown::ledger::{
    ChainHash, Checkpoint, EntryQuery, EntryScope, FaultKind, MAX_PAGE, PageOrder, VerifyOptions, VerifyReport, text_hash,
};
use drawdown::store::sqlite::SqliteStore;
use drawdown::{AccountKey, Context, Engine, GrantCredit, GrantType, Owner, TenantPolicy};
use drawdown_tests::script::Bank;
use drawdown_tests::stores;
use rusqlite::Connection;

/// Before the checkpoint: every kind of entry, grants and holds that go on, and one of each that nobody touches any more.
const BEFORE: &str = "grant 10 type=trial expires_at=+60 as=trial; grant 50 type=plan expires_at=+7d as=plan;
    grant 100 effective_at=+200 as=later; grant 90 effective_at=+9d as=pending; grant 30 effective_at=+9d as=never;
    grant 3 type=invite as=void; hold 8 task_id=t as=h; extend h expire_in=1000 idempotency_key=k1;
    capture h 3 final=false idempotency_key=k2; void void; hold 3 expire_in=10 as=short; wait 40; charge 4 reason=work as=c;
    charge 7 reason=work as=d; wait 40; hold 6 task_id=v over_capture=draw as=open; hold 2 expire_in=86400 as=idle;
    grant 9 owner=pool as=shared; charge 2 payer=pool; grant 9 tenant_id=globex";

/// After it: on grants and holds from before and on new ones.
const AFTER: &str =
    "capture h 2 final=false idempotency_key=k6; release h idempotency_key=k7; refund 1 ledger_id=@c idempotency_key=k4;
    amend plan expires_at=+8d; wait 200; charge 5 reason=late as=e; void plan; refund ledger_id=@d; capture open 7; void never;
    adjust 7; adjust -6; grant 20 as=new; hold 4 as=fresh; release fresh; refund ledger_id=@e;
    charge 1 payer=pool; grant 5 owner=user:u9 as=other; charge 1 payer=user:u9 reason=late";

struct Books {
    bank: Bank,
    hand: Connection,
    folder: tempfile::TempDir,
}

impl Books {
    fn new(script: &str) -> Books {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books.db");
        let bank = Bank::new(Arc::new(SqliteStore::open(&path).unwrap()), TenantPolicy::default());
        let hand = Connection::open(&path).unwrap();
        hand.pragma_update(None, "ignore_check_constraints", true).unwrap();
        let mut books = Books { bank, hand, folder };
        books.book(script);
        books
    }

    fn book(&mut self, script: &str) {
        script.split(';').for_each(|statement| self.bank.given(statement.trim()).unwrap());
    }

    fn engine(&self) -> &Engine {
        &self.bank.engine
    }

    fn checkpoint(&self) -> Checkpoint {
        self.engine().checkpoint().unwrap()
    }

    fn verify_from(&self, checkpoint: &Checkpoint) -> VerifyReport {
        self.engine().verify_from(checkpoint).unwrap()
    }

    fn verify_fully(&self, checkpoint: &Checkpoint) -> VerifyReport {
        let options = VerifyOptions { checkpoint: Some(checkpoint.clone()), full: true };
        self.engine().verify_with(&options, &mut |_| {}).unwrap()
    }

    fn change(&self, sql: &str) {
        assert!(self.hand.execute(sql, []).unwrap() > 0, "{sql}");
    }

    /// Recomputes every hash of an account, and the head in its row: nobody can tell from the books.
    fn forge(&self, account: &AccountKey) {
        let scope = EntryScope::Account(account.clone());
        let entries =
            self.engine().entries(EntryQuery { order: PageOrder::Asc, limit: MAX_PAGE, ..EntryQuery::new(scope) }).unwrap().entries;
        let id = "(SELECT account_id FROM accounts WHERE tenant_id = ?1 AND owner_id = ?2)";
        let names = (account.tenant_id.as_str(), account.owner.id().unwrap());
        let mut head = ChainHash::default();
        for entry in &entries {
            head = entry.chain_after(&head, &text_hash(&entry.text));
            let sql = format!("UPDATE entries SET hash = ?3 WHERE seq = ?4 AND account_id = {id}");
            self.hand.execute(&sql, (names.0, names.1, head.0, entry.seq as i64)).unwrap();
        }
        self.hand.execute(&format!("UPDATE accounts SET head = ?3 WHERE account_id = {id}"), (names.0, names.1, head.0)).unwrap();
    }
}

fn user() -> AccountKey {
    AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap())
}

fn kinds(report: &VerifyReport) -> Vec<FaultKind> {
    report.faults.iter().map(|fault| fault.kind).collect()
}

fn entries(engine: &Engine) -> u64 {
    engine.verify().unwrap().entries
}

#[test]
fn what_came_after_is_all_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        BEFORE.split(';').for_each(|statement| bank.given(statement.trim()).unwrap());
        let checkpoint = bank.engine.checkpoint().unwrap();
        let covered = entries(&bank.engine);
        assert_eq!((checkpoint.accounts, checkpoint.entries, checkpoint.taken_at), (3, covered, bank.engine.now()), "{name}");
        let idle = bank.engine.verify_from(&checkpoint).unwrap();
        assert_eq!((idle.faults.len(), idle.accounts, idle.entries, idle.uncovered_entries), (0, 3, 0, 0), "{name}");
        AFTER.split(';').for_each(|statement| bank.given(statement.trim()).unwrap());
        let all = entries(&bank.engine);
        let report = bank.engine.verify_from(&checkpoint).unwrap();
        assert_eq!(report.faults, [], "{name}");
        assert_eq!((report.accounts, report.entries, report.uncovered_entries), (4, all - covered, all - covered), "{name}");
        let options = VerifyOptions { checkpoint: Some(checkpoint.clone()), full: true };
        let mut shown = Vec::new();
        let full = bank.engine.verify_with(&options, &mut |report| shown.push(report.accounts)).unwrap();
        assert_eq!((full.faults.len(), full.entries, full.uncovered_entries, shown), (0, all, all - covered, vec![1, 2, 3, 4, 4]));
        assert_eq!(bank.engine.verify().unwrap().uncovered_entries, all, "nothing was covered");
        assert_eq!(
            bank.engine.verify_account(&user()).unwrap().uncovered_entries,
            bank.engine.verify_account(&user()).unwrap().entries
        );
    }
}

#[test]
fn a_rewritten_history_is_found_from_a_checkpoint_after_it() {
    let mut books = Books::new(BEFORE);
    let before = books.checkpoint();
    books.book(AFTER);
    let after = books.checkpoint();
    assert_ne!(before.digest, after.digest);
    books.change("UPDATE entries SET reason = 'forged' WHERE kind = 'charge' AND reason = 'late'");
    assert!(kinds(&books.verify_from(&before)).contains(&FaultKind::TamperedEntry), "with the hashes as they were");
    ["user:u1", "user:u9"].iter().for_each(|owner| books.forge(&AccountKey { owner: owner.parse().unwrap(), ..user() }));
    assert_eq!(books.engine().verify().unwrap().faults, [], "the books alone cannot tell");
    assert_eq!(books.verify_from(&before).faults, [], "an older checkpoint does not cover it");
    assert!(books.verify_from(&before).uncovered_entries > 0);
    for report in [books.verify_from(&after), books.verify_fully(&after)] {
        assert_eq!(kinds(&report), [FaultKind::CheckpointDiffers]);
        assert_eq!(report.faults[0].account, None);
        assert_eq!(report.uncovered_entries, entries(books.engine()), "what is not found again covers nothing");
    }
    books.change("UPDATE entries SET reason = 'forged' WHERE kind = 'charge' AND reason = 'work'");
    books.forge(&user());
    assert_eq!(kinds(&books.verify_from(&before)), [FaultKind::CheckpointDiffers]);
}

#[test]
fn a_change_that_leaves_the_hashes_is_found_by_the_full_mode() {
    let mut books = Books::new(BEFORE);
    let checkpoint = books.checkpoint();
    books.book(AFTER);
    books.change("UPDATE entries SET reason = 'forged' WHERE kind = 'charge' AND reason = 'work' AND seq < 15");
    assert_eq!(books.verify_from(&checkpoint).faults, [], "the heads are what they were");
    let report = books.verify_fully(&checkpoint);
    assert!(kinds(&report).contains(&FaultKind::TamperedEntry) && !kinds(&report).contains(&FaultKind::CheckpointDiffers));
    assert!(report.faults.iter().all(|fault| fault.account.is_some()));
}

/// The head says what an account had: changed together with the row and a grant, it still has the hash that is covered.
#[test]
fn a_head_whose_balance_was_changed_is_found() {
    let books = Books::new("grant 9 owner=pool; grant 5 as=g; charge 2");
    let checkpoint = books.checkpoint();
    books.change("UPDATE entries SET balance_after = balance_after + 1 WHERE seq = 2");
    books.change("UPDATE accounts SET available = available + 1, consumed = consumed - 1 WHERE seq = 2");
    books.change("UPDATE grants SET remaining = remaining + 1 WHERE amount = 5000000");
    assert_eq!(kinds(&books.verify_from(&checkpoint)), [FaultKind::TamperedEntry]);
}

#[test]
fn an_end_that_was_cut_off_is_found() {
    let mut books = Books::new(BEFORE);
    books.book("wait 1; charge 1 payer=pool; charge 1 payer=pool as=last");
    let checkpoint = books.checkpoint();
    let pool = "(SELECT account_id FROM accounts WHERE owner_kind = 0)";
    let last = "(SELECT max(position) FROM operations)";
    books.change(&format!("DELETE FROM entries WHERE position = {last}"));
    books.change(&format!("DELETE FROM operations WHERE position = {last}"));
    books.change(&format!(
        "UPDATE accounts SET seq = seq - 1, available = available + 1000000, consumed = consumed - 1000000,
         head = (SELECT hash FROM entries e WHERE e.account_id = accounts.account_id ORDER BY seq DESC LIMIT 1) WHERE account_id = {pool}"
    ));
    books.change(&format!("UPDATE grants SET remaining = remaining + 1000000 WHERE account_id = {pool}"));
    assert_eq!(books.engine().verify().unwrap().faults, [], "the books alone cannot tell");
    let report = books.verify_from(&checkpoint);
    assert_eq!(kinds(&report), [FaultKind::CheckpointDiffers]);
    assert!(report.faults[0].message.starts_with("the books end at position"), "{}", report.faults[0].message);
    books.book("charge 1 payer=pool reason=other");
    let report = books.verify_from(&checkpoint);
    assert_eq!(kinds(&report), [FaultKind::CheckpointDiffers], "another operation stands in its place");
}

#[test]
fn a_backup_from_before_is_found() {
    let mut books = Books::new(BEFORE);
    let backup = books.folder.path().join("backup.db");
    books.hand.execute("VACUUM INTO ?1", [backup.to_str().unwrap()]).unwrap();
    books.book("charge 1; grant 5 owner=user:u9");
    let checkpoint = books.checkpoint();
    assert_eq!(books.verify_from(&checkpoint).faults, []);
    let mut restored = Bank::new(Arc::new(SqliteStore::open(&backup).unwrap()), TenantPolicy::default());
    restored.clock.set(books.engine().now());
    let report = restored.engine.verify_from(&checkpoint).unwrap();
    assert_eq!(kinds(&report), [FaultKind::CheckpointDiffers]);
    // Life goes on past the checkpoint's position, with other operations.
    for _ in 0..3 {
        restored.given("charge 1").unwrap();
    }
    let report = restored.engine.verify_from(&checkpoint).unwrap();
    assert_eq!(kinds(&report), [FaultKind::CheckpointDiffers]);
    assert!(report.faults[0].message.contains("covers 4 accounts"), "{}", report.faults[0].message);
}

#[test]
fn an_account_that_is_gone_is_found() {
    let books = Books::new(BEFORE);
    let checkpoint = books.checkpoint();
    books.change("DELETE FROM accounts WHERE owner_kind = 0");
    assert_eq!(books.engine().verify().unwrap().faults, [], "its entries are listed by nobody");
    assert_eq!(kinds(&books.verify_from(&checkpoint)), [FaultKind::CheckpointDiffers]);
}

/// Rows that no entry since the checkpoint, or no sum, can have led to.
#[test]
fn rows_that_cannot_be_are_found() {
    let mut books = Books::new(BEFORE);
    let checkpoint = books.checkpoint();
    books.book(AFTER);
    assert_eq!(books.verify_from(&checkpoint).faults, []);
    let mut unnoticed = Vec::new();
    for (undo, sql) in [
        ("accounts", "UPDATE accounts SET available = available + 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET consumed = consumed + 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET issued = 1000000, adjusted_in = adjusted_in + issued - 1000000 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET head = zeroblob(32) WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET seq = seq + 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET open_grants = open_grants + 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET open_holds = open_holds + 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET last_at = last_at - 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET due_at = NULL WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET hold_due_at = due_at + 99000000000 WHERE owner_id = 'u1'"),
        // From before: touched since and open, ended since, and never touched.
        ("grants", "UPDATE grants SET remaining = remaining + 1 WHERE amount = 100000000"),
        ("grants", "UPDATE grants SET held = held + 1 WHERE amount = 100000000"),
        ("grants", "UPDATE grants SET state = 'pending' WHERE amount = 100000000"),
        ("grants", "UPDATE grants SET state = 'active' WHERE amount = 50000000"),
        ("grants", "UPDATE grants SET expires_at = expires_at + 1 WHERE amount = 50000000"),
        ("grants", "UPDATE grants SET state = 'active' WHERE amount = 30000000"),
        ("grants", "DELETE FROM grants WHERE amount = 50000000"),
        ("grants", "DELETE FROM grants WHERE amount = 90000000"),
        ("holds", "UPDATE holds SET captured = 1 WHERE task_id = 't'"),
        ("holds", "UPDATE holds SET state = 'frozen' WHERE task_id = 't'"),
        ("holds", "UPDATE holds SET state = 'cancelled' WHERE task_id = 'v'"),
        ("holds", "DELETE FROM holds WHERE task_id = 'v'"),
        ("holds", "DELETE FROM holds WHERE amount = 2000000"),
        ("holds", "UPDATE holds SET draw = NULL WHERE amount = 2000000"),
        // Made since.
        ("grants", "UPDATE grants SET priority = 1 WHERE amount = 20000000"),
        ("grants", "DELETE FROM grants WHERE amount = 7000000"),
        ("holds", "UPDATE holds SET amount = 5 WHERE amount = 4000000 AND task_id IS NULL"),
        ("operations", "DELETE FROM operations WHERE position = (SELECT max(position) FROM operations)"),
        ("entries", "DELETE FROM entries WHERE position = (SELECT max(position) FROM operations)"),
        ("entries", "UPDATE entries SET hash = zeroblob(3) WHERE position = (SELECT max(position) FROM operations)"),
        ("entries", "UPDATE entries SET hash = zeroblob(3) WHERE seq = 1 AND tenant_id = 'globex'"),
    ] {
        books.hand.execute_batch(&format!("CREATE TABLE kept AS SELECT rowid AS number, * FROM {undo}")).unwrap();
        books.change(sql);
        if books.verify_from(&checkpoint).is_clean() {
            unnoticed.push(sql);
        }
        let columns: String = {
            let mut names = books.hand.prepare("SELECT group_concat(name) FROM pragma_table_info(?1)").unwrap();
            names.query_row([undo], |row| row.get(0)).unwrap()
        };
        books
            .hand
            .execute_batch(&format!(
                "DELETE FROM {undo}; INSERT INTO {undo} ({columns}) SELECT {columns} FROM kept; DROP TABLE kept"
            ))
            .unwrap();
        assert_eq!(books.verify_from(&checkpoint).faults, [], "taken back: {sql}");
    }
    assert!(unnoticed.is_empty(), "{} changes:\n{}", unnoticed.len(), unnoticed.join("\n"));
}

/// What is agreed about accounts and people, before a checkpoint: debts, rules, blocks, thresholds, members, erased text.
const AGREED_BEFORE: &str = "set_credit_limit 20; charge 7 user_id=u1 as=c; hold 5 user_id=u1 expire_in=604800 as=h;
    recur 5 type=plan rollover_cap=2 reason=gift as=weekly starts_at=+100; recur 3 starts_at=+9d as=stopped; recur 1 as=running;
    recur 2 ends_at=+2d as=ending;
    grant 4 effective_at=+300 as=pending; set_low_balance low_balance.below=5 low_balance.recovered_from=8; erase_text user_id=u1;
    block target=account:user:u1; block target=user:u2; set_member limit=10/day; grant 30 owner=organization:o1;
    hold 4 payer=organization:o1 user_id=u1 late_commit=draw expire_in=60 as=late; import 9 owner=pool; charge 3 payer=pool reason=work;
    erase_text owner=pool";

const AGREED_AFTER: &str = "at +2d; capture h 4; stop_rule stopped; unblock target=account:user:u1; charge 2 user_id=u1;
    set_credit_limit 15 reason=risk; recur 7 as=fresh; recur 8 as=gone; stop_rule gone; refund ledger_id=@c; erase_text;
    capture late 4; remove_member; set_credit_limit 3 owner=pool; charge 8 payer=pool; block target=account:pool; erase_text owner=pool;
    set_low_balance; at +4d; settle";

#[test]
fn what_is_agreed_is_verified_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in stores(&folder.path().join("books.db")) {
        let mut bank = Bank::new(store, TenantPolicy::default());
        AGREED_BEFORE.split(';').for_each(|statement| bank.given(statement.trim()).unwrap());
        let checkpoint = bank.engine.checkpoint().unwrap();
        assert_eq!(bank.engine.verify_from(&checkpoint).unwrap().faults, [], "{name}");
        for statement in AGREED_AFTER.split(';').map(str::trim) {
            bank.given(statement).unwrap();
            assert_eq!(bank.engine.verify_from(&checkpoint).unwrap().faults, [], "{name}: {statement}");
        }
        assert_eq!(bank.engine.verify().unwrap().faults, [], "{name}");
        let full = VerifyOptions { checkpoint: Some(checkpoint), full: true };
        assert_eq!(bank.engine.verify_with(&full, &mut |_| ()).unwrap().faults, [], "{name}");
    }
}

#[test]
fn what_was_agreed_since_a_checkpoint_cannot_be_otherwise() {
    let mut books = Books::new(AGREED_BEFORE);
    let checkpoint = books.checkpoint();
    books.book(AGREED_AFTER);
    assert_eq!(books.verify_from(&checkpoint).faults, []);
    let mut unnoticed = Vec::new();
    for (undo, sql) in [
        ("accounts", "UPDATE accounts SET credit_limit = credit_limit + 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET credit_limit = 0 WHERE owner_kind = 0"),
        ("accounts", "UPDATE accounts SET owed = owed + 1 WHERE owner_kind = 0"),
        ("accounts", "UPDATE accounts SET owed_held = owed_held + 1 WHERE owner_kind = 0"),
        ("accounts", "UPDATE accounts SET blocked = 1 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET blocked = 0 WHERE owner_kind = 0"),
        ("accounts", "UPDATE accounts SET low_below = 1, low_recovered_from = 2 WHERE owner_id = 'u1'"),
        ("accounts", "UPDATE accounts SET rules = rules + 1 WHERE owner_id = 'u1'"),
        ("rules", "UPDATE rules SET next = next + 1 WHERE reason IS NULL AND state = 'running'"),
        ("rules", "UPDATE rules SET next_at = next_at + 1 WHERE terms LIKE '%\"1\"%' AND state = 'running'"),
        ("rules", "UPDATE rules SET next = 0 WHERE terms LIKE '%\"7\"%'"),
        ("rules", "UPDATE rules SET state = 'running' WHERE terms LIKE '%\"8\"%'"),
        ("rules", "UPDATE rules SET state = 'running' WHERE terms LIKE '%\"3\"%'"),
        ("rules", "DELETE FROM rules WHERE terms LIKE '%\"7\"%'"),
        ("rules", "DELETE FROM rules WHERE terms LIKE '%\"1\"%'"),
        ("entries", "UPDATE entries SET text_hash = zeroblob(32) WHERE text_hash IS NOT NULL AND seq > 15"),
    ] {
        books.hand.execute_batch(&format!("CREATE TABLE kept AS SELECT * FROM {undo}")).unwrap();
        assert!(books.hand.execute(sql, []).unwrap() > 0, "nothing to change: {sql}");
        if books.verify_from(&checkpoint).is_clean() {
            unnoticed.push(sql);
        }
        books.hand.execute_batch(&format!("DELETE FROM {undo}; INSERT INTO {undo} SELECT * FROM kept; DROP TABLE kept")).unwrap();
        assert_eq!(books.verify_from(&checkpoint).faults, [], "taken back: {sql}");
    }
    assert!(unnoticed.is_empty(), "{} changes:\n{}", unnoticed.len(), unnoticed.join("\n"));
}

#[test]
fn a_checkpoint_is_exact_while_others_write() {
    const WRITERS: u32 = 3;
    let folder = tempfile::tempdir().unwrap();
    for (name, store) in stores(&folder.path().join("books.db")) {
        let engine = Engine::builder().store(store).build().unwrap();
        let engine = &engine;
        let taken = thread::scope(|scope| {
            let write = |thread: u32| {
                for number in 0..40 {
                    // New accounts all the time, and old ones that are booked again.
                    let owner = Owner::user(format!("{thread}-{}", number / 2)).unwrap();
                    let grant = GrantCredit::new(owner, GrantType::Purchased, "1".parse().unwrap());
                    engine.execute(Context::tenant("acme").unwrap().request(grant)).unwrap();
                }
            };
            let writers: Vec<_> = (0..WRITERS).map(|thread| scope.spawn(move || write(thread))).collect();
            let mut taken = vec![engine.checkpoint().unwrap()];
            while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
                let checkpoint = engine.checkpoint().unwrap();
                assert_eq!(engine.verify_from(&checkpoint).unwrap().faults, [], "{name}");
                taken.push(checkpoint);
            }
            taken
        });
        let all = entries(engine);
        for checkpoint in &taken {
            let report = engine.verify_from(checkpoint).unwrap();
            assert_eq!(report.faults, [], "{name}: {checkpoint}");
            assert_eq!(report.uncovered_entries + checkpoint.entries, all, "{name}");
        }
        assert!(taken.windows(2).all(|pair| pair[0].position <= pair[1].position), "{name}");
    }
}

#[test]
fn empty_books_have_a_checkpoint() {
    let mut bank = Bank::in_memory();
    let checkpoint = bank.engine.checkpoint().unwrap();
    assert_eq!((checkpoint.position, checkpoint.accounts, checkpoint.entries), (0, 0, 0));
    assert_eq!(bank.engine.verify_from(&checkpoint).unwrap(), VerifyReport::default());
    bank.given("grant 5").unwrap();
    let report = bank.engine.verify_from(&checkpoint).unwrap();
    assert_eq!((report.faults.len(), report.entries, report.uncovered_entries), (0, 1, 1), "an account that was made later");
    assert_eq!(bank.engine.checkpoint().unwrap().accounts, 1);
}

#[test]
fn a_checkpoint_is_written_and_read_again() {
    let books = Books::new(BEFORE);
    let checkpoint = books.checkpoint();
    let (line, json) = (checkpoint.to_string(), serde_json::to_string(&checkpoint).unwrap());
    assert!(!line.contains('\n'), "one line");
    assert_eq!(format!("  {line}\n").parse::<Checkpoint>().unwrap(), checkpoint);
    assert_eq!(serde_json::from_str::<Checkpoint>(&json).unwrap(), checkpoint);
    let hash = checkpoint.digest.to_string();
    let upper = hash.to_uppercase();
    for (from, to) in [
        ("drawdown-checkpoint/1", "drawdown-checkpoint/2"),
        ("drawdown-checkpoint/1 ", ""),
        (" accounts=3", ""),
        (" accounts=3", " accounts=3 accounts=3"),
        (" accounts=3", " accounts=-3"),
        (" accounts=3", " accounts=03"),
        (" accounts=3", "  accounts=3"),
        ("position=", "positions="),
        ("taken_at=2026", "taken_at=26"),
        (hash.as_str(), &hash[1..]),
        (hash.as_str(), upper.as_str()),
        (hash.as_str(), "é"),
        (line.as_str(), ""),
    ] {
        let refused = line.replace(from, to).parse::<Checkpoint>().unwrap_err();
        assert_eq!(refused.name(), "payload_invalid", "{from} -> {to}");
        assert!(refused.details().contains_key("allowed"), "{refused}");
    }
    let more = format!("{line} more=1");
    assert!(more.parse::<Checkpoint>().is_err());
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"version\":1,", ""),
        ("\"accounts\":3", "\"accounts\":\"3\""),
        ("\"accounts\":3", "\"accounts\":3,\"accounts\":3"),
        ("\"accounts\":3", "\"accounts\":3,\"more\":3"),
        (hash.as_str(), "00"),
    ] {
        assert!(serde_json::from_str::<Checkpoint>(&json.replace(from, to)).is_err(), "{from} -> {to}");
    }
    let error = serde_json::from_str::<Checkpoint>(&json.replace("\"version\":1", "\"version\":2")).unwrap_err();
    assert!(error.to_string().starts_with("version 2 of checkpoints is not known"), "{error}");
    let newer = Checkpoint { version: 2, ..checkpoint };
    assert_eq!(books.engine().verify_from(&newer).unwrap_err().denial().unwrap().details()["field"], "version");
}
