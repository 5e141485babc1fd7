//! Somebody changes the file behind the engine's back: `verify` says where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use drawdown::ledger::VerifyReport;
use drawdown::store::sqlite::SqliteStore;
use drawdown::{Engine, Failure, TenantPolicy};
use drawdown_tests::script::Bank;
use rusqlite::Connection;
use rusqlite::types::Value;

/// Every kind of entry, and every column that an entry, a grant or a hold can have. The account of `user:u1` is the first row.
const HISTORY: &str = "grant 10 type=trial expires_at=+60 operator=ops reason=welcome metadata={\"a\":1} policy_tag=p as=trial;
    grant 50 type=plan expires_at=+7d scope.app_id=app scope.template_id=tpl priority=3 as=plan;
    grant 100 effective_at=+30 as=later; grant 3 type=invite as=void;
    hold 8 task_id=t template_id=tpl app_id=app user_id=u1 scene=s price_basis=b policy_tag=p reason=work metadata={\"b\":2} as=h;
    extend h expire_in=1000 idempotency_key=k1; capture h 3 final=false idempotency_key=k2; release h amount=1 idempotency_key=k3;
    void void; amend plan expires_at=+8d; hold 3 expire_in=10 as=short; wait 40;
    charge 4 task_id=u template_id=tpl app_id=app user_id=u1 reason=work as=c; wait 40; capture h 2;
    refund 1 ledger_id=@c payer=user:u1 idempotency_key=k4; adjust 7; adjust -6; refund ledger_id=@c user_id=u1;
    charge 5 idempotency_key=k5 price_basis=b; hold 6 task_id=v over_capture=draw late_commit=draw user_id=u1 as=open;
    recur 5 every={\"days\":2} rollover_cap=2 zone=Europe/Berlin scope.app_id=app policy_tag=p reason=plan metadata={\"c\":3} as=r;
    recur 4 ends_at=+3d rollover_cap=1; hold 3 app_id=app expire_in=604800; wait 86400; charge 1 app_id=app; wait 864000;
    charge 1; stop_rule r; recur 1 starts_at=+90d priority=2; hold 1 task_id=w late_commit=draw;
    grant 9 owner=pool; charge 2 payer=pool; grant 9 tenant_id=globex; charge 2 tenant_id=globex;
    set_credit_limit 20 owner=pool; set_low_balance owner=pool low_balance.below=0 low_balance.recovered_from=1;
    import 1 owner=pool; charge 9 payer=pool; hold 2 payer=pool;
    grant 5 owner=user:u2; hold 1 payer=user:u2 task_id=x; advance_task task_id=x stage=s progress=5 next_eta=+9 metadata={\"d\":4};
    hold 1 payer=user:u2 task_id=y; advance_task task_id=y; complete_task task_id=y; hold 1 payer=user:u2 task_id=z;
    fail_task task_id=z; charge 1 payer=user:u2 task_id=z";

/// The books of [`HISTORY`], and a hand that changes them.
struct Books {
    engine: Engine,
    hand: Connection,
    _folder: tempfile::TempDir,
}

impl Books {
    fn new() -> Books {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books.db");
        let mut bank = Bank::new(Arc::new(SqliteStore::open(&path).unwrap()), TenantPolicy::default());
        HISTORY.split(';').for_each(|statement| bank.given(statement.trim()).unwrap());
        let hand = Connection::open(&path).unwrap();
        hand.pragma_update(None, "ignore_check_constraints", true).unwrap();
        hand.pragma_update(None, "synchronous", "off").unwrap();
        let books = Books { engine: bank.engine, hand, _folder: folder };
        assert_eq!(books.verify().faults, []);
        books
    }

    fn verify(&self) -> VerifyReport {
        self.engine.verify().unwrap()
    }

    fn change(&self, sql: &str) {
        assert!(self.hand.execute(sql, []).unwrap() > 0, "{sql}");
    }

    /// What verification finds after this change, which is taken back.
    fn after(&self, sql: &str) -> VerifyReport {
        self.answer_after(sql).unwrap_or_else(|error| panic!("after `{sql}` the books cannot be verified: {error}"))
    }

    fn answer_after(&self, sql: &str) -> Result<VerifyReport, Failure> {
        let table = sql.split(' ').find(|word| TABLES.contains(word)).unwrap();
        let rows = self.rows(table);
        self.change(sql);
        let report = self.engine.verify();
        self.hand.execute_batch("BEGIN").unwrap();
        self.hand.execute(&format!("DELETE FROM {table}"), []).unwrap();
        for row in rows {
            let marks = vec!["?"; row.len()].join(", ");
            self.hand.execute(&format!("INSERT INTO {table} VALUES ({marks})"), rusqlite::params_from_iter(row)).unwrap();
        }
        self.hand.execute_batch("COMMIT").unwrap();
        report
    }

    fn rows(&self, table: &str) -> Vec<Vec<Value>> {
        let mut statement = self.hand.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect()).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn columns(&self, table: &str) -> Vec<String> {
        let mut statement = self.hand.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        statement.query_map([table], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// The first column of what a question gives.
    fn list(&self, sql: &str) -> Vec<i64> {
        let mut statement = self.hand.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

const TABLES: [&str; 7] = ["operations", "entries", "accounts", "grants", "holds", "rules", "tasks"];

/// SQL for another value of a column, of its type.
fn other(column: &str) -> String {
    // One in 256 ends with a byte by chance, so that it would stay as it is.
    let end = format!("CASE substr({column}, length({column})) WHEN x'7f' THEN x'7e' ELSE x'7f' END");
    let blob = format!("CAST(substr({column}, 1, length({column}) - 1) || {end} AS BLOB)");
    let word = match column {
        "metadata" => "'{\"other\":true}'",
        "work" => "'{\"hold_id\":\"hold_019535d9-3df7-7aaa-8bbb-0123456a0001\",\"progress\":7}'",
        "recurrence" => {
            "CASE WHEN recurrence IS NULL THEN '{\"rule_id\":\"rule_019535d9-3df7-7aaa-8bbb-0123456a0001\",\"k\":1}' END"
        }
        "kind" => "CASE kind WHEN 'release' THEN 'hold' ELSE 'release' END",
        "state" => {
            "CASE state WHEN 'active' THEN 'voided' WHEN 'frozen' THEN 'cancelled' WHEN 'running' THEN 'ended' WHEN 'ended' THEN 'running' ELSE 'active' END"
        }
        "over_capture" | "late_commit" => return format!("CASE {column} WHEN 'draw' THEN 'reject' ELSE 'draw' END"),
        "type" => "CASE type WHEN 'trial' THEN 'purchased' ELSE 'trial' END",
        "hash" | "head" => return blob,
        "terms" => "'{\"expiry\":{\"expires_at\":\"2030-01-01T00:00:00Z\"}}'",
        "draw" | "hold_id" | "grant_id" | "rule_id" | "reissue_of" | "op_id" | "quote_id" | "audit_id" => {
            let made = if column == "draw" { "zeroblob(25)" } else { "randomblob(16)" };
            return format!("CASE WHEN {column} IS NULL THEN {made} ELSE {blob} END");
        }
        "band" => "CASE band WHEN 'low' THEN 'normal' ELSE 'low' END",
        "counted_for" => "CASE counted_for WHEN 'user' THEN 'owner' ELSE 'user' END",
        "last_at" => "last_at - 1",
        "effective_at" => "coalesce(effective_at, 1) - 1",
        "expires_at" | "hold_due_at" | "due_at" => return format!("coalesce({column}, 1) + 1000000"),
        "tenant_id" | "task_id" | "template_id" | "app_id" | "user_id" | "operator" | "reason" | "scene" | "price_basis"
        | "policy_tag" | "licence_id" | "scope_app_id" | "scope_template_id" => "'other'",
        "account_id" => "account_id + 100",
        _ => return format!("{column} + 1"),
    };
    word.to_owned()
}

#[test]
fn a_changed_entry_is_named_whatever_is_changed() {
    let books = Books::new();
    let mut unnoticed = Vec::new();
    // The order of rows is no part of the ledger; `text_hash` is for text that was erased.
    for column in books.columns("entries").into_iter().filter(|column| !matches!(column.as_str(), "entry_row" | "text_hash")) {
        for row in
            books.list("SELECT entry_row FROM entries WHERE account_id = 1 GROUP BY kind, terms IS NULL HAVING seq = max(seq)")
        {
            if column == "seq" || column == "account_id" {
                books.hand.execute_batch("DROP INDEX entries_seq").unwrap();
            }
            let seq = books.list(&format!("SELECT seq FROM entries WHERE entry_row = {row}"))[0];
            let report = books.after(&format!("UPDATE entries SET {column} = {} WHERE entry_row = {row}", other(&column)));
            books.hand.execute_batch("CREATE UNIQUE INDEX IF NOT EXISTS entries_seq ON entries (account_id, seq)").unwrap();
            let named = report.faults.first().is_some_and(|fault| fault.seq.map(|found| found as i64) == Some(seq));
            if !named {
                unnoticed.push(format!("{column} of entry {seq}: {:?}", report.faults));
            }
        }
    }
    assert!(unnoticed.is_empty(), "{} changes:\n{}", unnoticed.len(), unnoticed.join("\n"));
}

#[test]
fn a_deleted_entry_is_named() {
    let books = Books::new();
    let mut unnoticed = Vec::new();
    for (row, account) in books.list("SELECT entry_row FROM entries").into_iter().zip(books.list("SELECT account_id FROM entries"))
    {
        let seq = books.list(&format!("SELECT seq FROM entries WHERE entry_row = {row}"))[0];
        let report = books.after(&format!("DELETE FROM entries WHERE entry_row = {row}"));
        if !report.faults.iter().any(|fault| fault.kind.as_str() == "missing_entry" && fault.seq == Some(seq as u64)) {
            unnoticed.push(format!("entry {seq} of account {account}: {:?}", report.faults));
        }
    }
    assert!(unnoticed.is_empty(), "{} entries:\n{}", unnoticed.len(), unnoticed.join("\n"));
}

#[test]
fn a_deleted_operation_is_named_by_its_entries() {
    let books = Books::new();
    for position in books.list("SELECT position FROM operations WHERE entry_count > 0") {
        let seq = books.list(&format!("SELECT first_seq FROM operations WHERE position = {position}"))[0];
        let report = books.after(&format!("DELETE FROM operations WHERE position = {position}"));
        assert_eq!(report.faults.first().map(|fault| fault.seq), Some(Some(seq as u64)), "operation {position}");
    }
}

/// What no column of the ledger says again, or what is a bound and may be lower: not verified.
fn is_free(table: &str, column: &str) -> bool {
    match table {
        "operations" => {
            !matches!(column, "op_id" | "tenant_id" | "account_id" | "first_seq" | "entry_count" | "created_at" | "band")
        }
        "accounts" => false,
        _ => matches!(column, "grant_row" | "hold_row" | "rule_row"),
    }
}

#[test]
fn a_changed_account_grant_hold_or_rule_is_found() {
    let books = Books::new();
    let mut unnoticed = Vec::new();
    for table in ["accounts", "grants", "holds", "rules", "operations"] {
        for column in books.columns(table).into_iter().filter(|column| !is_free(table, column)) {
            // Without anything that could become due, any bound is right.
            let rows = match column.as_str() {
                "due_at" | "hold_due_at" => "due_at IS NOT NULL".to_owned(),
                "low_below" | "low_recovered_from" => format!("{column} IS NOT NULL"),
                // What books in no account is said by no entry.
                _ if table == "operations" => "account_id IS NOT NULL".to_owned(),
                _ => "true".to_owned(),
            };
            for row in books.list(&format!("SELECT rowid FROM {table} WHERE {rows}")) {
                let sql = format!("UPDATE {table} SET {column} = {} WHERE rowid = {row}", other(&column));
                // A name that cannot be read is an error, since no account can be listed after it.
                if books.answer_after(&sql).is_ok_and(|report| report.is_clean()) {
                    unnoticed.push(sql);
                }
            }
        }
    }
    assert!(unnoticed.is_empty(), "{} changes:\n{}", unnoticed.len(), unnoticed.join("\n"));
}

#[test]
fn a_changed_or_deleted_task_is_found() {
    let books = Books::new();
    let mut statement = books.hand.prepare("SELECT tenant_id || '/' || task_id FROM tasks").unwrap();
    let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(books.verify().tasks, names.len() as u64);
    for name in names {
        let meant = format!("tenant_id || '/' || task_id = '{name}'");
        for column in books.columns("tasks") {
            let sql = format!("UPDATE tasks SET {column} = {} WHERE {meant}", other(&column));
            let report = books.after(&sql);
            assert!(report.faults.iter().any(|fault| fault.kind.as_str() == "wrong_task"), "{sql}: {:?}", report.faults);
        }
        let report = books.after(&format!("DELETE FROM tasks WHERE {meant}"));
        assert_eq!(report.faults.first().map(|fault| fault.kind.as_str()), Some("wrong_task"), "{name}: {:?}", report.faults);
        assert!(report.faults[0].ledger_id.is_some(), "the entry that it is missing for is named");
    }
    let unreadable = books.after("UPDATE tasks SET work = 'none' WHERE task_id = 'x'");
    assert_eq!(unreadable.faults.iter().map(|fault| fault.kind.as_str()).collect::<Vec<_>>(), ["unreadable"]);
}

#[test]
fn a_changed_word_about_a_task_is_found() {
    let books = Books::new();
    let of_task = "kind = 'advance_task' AND subject = 'task:x'";
    for change in [
        format!("UPDATE operations SET answer = replace(answer, '\"progress\":5', '\"progress\":6') WHERE {of_task}"),
        format!("UPDATE operations SET subject = 'task:y' WHERE {of_task}"),
        format!("UPDATE operations SET created_at = created_at + 1 WHERE {of_task}"),
        format!("DELETE FROM operations WHERE {of_task}"),
    ] {
        let report = books.after(&change);
        assert!(report.faults.iter().all(|fault| fault.kind.as_str() == "wrong_task"), "{change}: {:?}", report.faults);
        assert!(!report.is_clean(), "{change}");
    }
}

#[test]
fn a_refund_that_was_forgotten_is_found() {
    let books = Books::new();
    assert_eq!(books.after("UPDATE operations SET refunded = refunded - 1 WHERE refunded > 0").faults.len(), 1);
    assert!(!books.after("UPDATE operations SET refunded = 1000000000 WHERE kind = 'charge'").is_clean());
}

#[test]
fn a_deleted_grant_hold_or_rule_is_found() {
    let books = Books::new();
    for table in ["grants", "holds", "rules"] {
        for row in books.list(&format!("SELECT rowid FROM {table}")) {
            assert!(!books.after(&format!("DELETE FROM {table} WHERE rowid = {row}")).is_clean(), "row {row} of {table}");
        }
    }
}
