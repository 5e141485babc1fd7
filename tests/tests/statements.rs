//! Statements: what a person or a spreadsheet gets of the ledger.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::io::{self, Write};
use std::sync::Arc;

use drawdown::ledger::{EntryFilter, EntryKind, EntryQuery, EntryScope, PageOrder, StatementFormat, StatementLine};
use drawdown::{AccountKey, Charge, Context, Engine, Error, Failure, GrantCredit, GrantType, Owner, SetCreditLimit};
use serde_json::{Value, json};

/// Text that a careless writer would break a line or a field with.
const AWKWARD: &str = "a \"quoted\", comma;\nnew line\r\ttab, caf\u{e9} \u{1f600} =1+1";

fn account(user: &str) -> AccountKey {
    AccountKey::new("acme".parse().unwrap(), Owner::user(user).unwrap(), "credit".parse().unwrap())
}

fn engine() -> Engine {
    let engine = Engine::in_memory();
    let acme = Context::tenant("acme").unwrap();
    for user in ["u1", "u2"] {
        let owner = Owner::user(user).unwrap();
        engine.execute(acme.request(GrantCredit::new(owner.clone(), GrantType::Purchased, "10".parse().unwrap()))).unwrap();
        for _ in 0..3 {
            let mut charge = Charge::new(owner.clone(), "0.000001".parse().unwrap());
            charge.reason = Some(Arc::from(AWKWARD));
            charge.metadata = json!({ "note": AWKWARD, "n": 1 }).as_object().cloned();
            charge.task_id = Some("task, one".parse().unwrap());
            engine.execute(acme.request(charge)).unwrap();
        }
    }
    engine
}

fn export(engine: &Engine, query: &EntryQuery, format: StatementFormat) -> (u64, Vec<u8>) {
    let mut out = Vec::new();
    let lines = engine.export(query.clone(), format, &mut out).unwrap();
    (lines, out)
}

fn expected(engine: &Engine, query: &EntryQuery) -> Vec<Value> {
    let page = engine.entries(EntryQuery { limit: 1_000, ..query.clone() }).unwrap();
    page.entries.iter().map(|entry| serde_json::to_value(StatementLine::new(entry, None)).unwrap()).collect()
}

#[test]
fn what_was_drawn_on_credit_stands_in_both_formats() {
    let engine = Engine::in_memory();
    let (acme, owner) = (Context::tenant("acme").unwrap(), Owner::user("u1").unwrap());
    let limit = SetCreditLimit::new(owner.clone(), "5".parse().unwrap(), "ops", "trust").unwrap();
    engine.execute(acme.request(limit)).unwrap();
    engine.execute(acme.request(Charge::new(owner, "2".parse().unwrap()))).unwrap();
    let query = EntryQuery { limit: 10, ..EntryQuery::new(EntryScope::Account(account("u1"))) };
    let (_, json) = export(&engine, &query, StatementFormat::JsonLines);
    let newest: Value = serde_json::from_slice(json.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let debt = json!([{"grant_id": "grt_00000000-0000-0000-0000-000000000000", "type": "debt", "amount": "2"}]);
    assert_eq!((&newest["balance_after"], &newest["draw"]), (&json!("-2"), &debt));
    let (_, csv) = export(&engine, &query, StatementFormat::Csv);
    let text = String::from_utf8(csv).unwrap();
    assert!(text.contains(",-2,0,-2,0,led_") && text.contains(r#"""type"":""debt"""#), "{text}");
}

#[test]
fn both_formats_say_what_the_ledger_says_however_small_the_pages() {
    let engine = engine();
    let scopes = [EntryScope::Account(account("u1")), EntryScope::Tenant("acme".parse().unwrap())];
    for (scope, order) in scopes.iter().flat_map(|scope| [(scope, PageOrder::Asc), (scope, PageOrder::Desc)]) {
        let query = EntryQuery { order, limit: 3, ..EntryQuery::new(scope.clone()) };
        let lines = expected(&engine, &query);
        assert!(lines.len() > 3);

        let (written, json) = export(&engine, &query, StatementFormat::JsonLines);
        let read: Vec<Value> =
            json.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
        assert_eq!((written, &read), (u64::try_from(lines.len()).unwrap(), &lines));

        let (written, text) = export(&engine, &query, StatementFormat::Csv);
        assert_eq!(written, u64::try_from(lines.len()).unwrap());
        let mut csv = csv::Reader::from_reader(text.as_slice());
        let columns: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
        for (record, line) in csv.records().zip(&lines) {
            let record = record.unwrap();
            assert_eq!(line.as_object().unwrap().len(), columns.len());
            for (column, field) in columns.iter().zip(record.iter()) {
                let said = match &line[column] {
                    Value::Null => json!(""),
                    Value::String(text) => json!(text),
                    _ => serde_json::from_str(field).unwrap(),
                };
                let line_says =
                    if line[column].is_string() || line[column].is_null() { json!(field) } else { line[column].clone() };
                assert_eq!(line_says, said, "{column}");
            }
        }
    }
}

#[test]
fn a_statement_says_whose_each_line_is() {
    let engine = engine();
    let query = EntryQuery::new(EntryScope::Tenant("acme".parse().unwrap()));
    let owners: Vec<Value> = expected(&engine, &query).iter().map(|line| line["owner"].clone()).collect();
    assert!(owners.contains(&json!("user:u1")) && owners.contains(&json!("user:u2")));
}

#[test]
fn a_statement_without_lines_has_its_header() {
    let engine = engine();
    let filter = EntryFilter { kind: Some(EntryKind::Import), ..EntryFilter::default() };
    let query = EntryQuery { filter, ..EntryQuery::new(EntryScope::Account(account("u1"))) };
    let (lines, csv) = export(&engine, &query, StatementFormat::Csv);
    assert_eq!((lines, csv.split(|b| *b == b'\n').count()), (0, 2));
    assert_eq!(export(&engine, &query, StatementFormat::JsonLines), (0, Vec::new()));
}

#[test]
fn an_account_that_never_was_has_no_statement() {
    let query = EntryQuery::new(EntryScope::Account(account("nobody")));
    let refused = engine().export(query, StatementFormat::Csv, &mut Vec::new()).unwrap_err();
    assert_eq!(refused.denial().unwrap().name(), "account_not_found");
}

/// Takes nothing.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}

#[test]
fn a_place_that_takes_no_more_is_an_error_of_the_output() {
    let query = EntryQuery::new(EntryScope::Account(account("u1")));
    for format in [StatementFormat::Csv, StatementFormat::JsonLines] {
        let failed = engine().export(query.clone(), format, &mut Full).unwrap_err();
        assert!(matches!(failed, Failure::Failed(Error::Output(_))), "{failed:?}");
    }
}
