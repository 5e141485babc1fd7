//! Text of any kind in reasons, metadata and ids: a statement that is written as CSV or JSON is read back as the entries.
//!
//! The parts of the input are parted by U+0000, which no field takes: a user, an operator, a task, an app, a template, a
//! reason, and from then on names and values of metadata in turn. A value that is JSON is taken as that, any other as text.

#![no_main]

use std::str::FromStr;
use std::sync::Arc;

use drawdown::ledger::{EntryQuery, EntryScope, PageOrder, StatementFormat, StatementLine};
use drawdown::{AccountKey, Adjust, Charge, Context, Engine, GrantCredit, GrantType, Metadata, Operator, Owner};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.split('\0');
    let engine = Engine::in_memory();
    let account = AccountKey::new("acme".parse().unwrap(), Owner::user("u1").unwrap(), "credit".parse().unwrap());
    // Denied when the metadata cannot be kept; then there is nothing to write.
    if book(&engine, &account.owner, &mut parts).is_none() {
        return;
    }

    let query = EntryQuery { limit: 2, order: PageOrder::Asc, ..EntryQuery::new(EntryScope::Account(account)) };
    let page = engine.entries(EntryQuery { limit: 100, ..query.clone() }).unwrap();
    let lines: Vec<Value> =
        page.entries.iter().map(|entry| serde_json::to_value(StatementLine::new(entry, None)).unwrap()).collect();
    let exported = |format| {
        let mut out = Vec::new();
        assert_eq!(engine.export(query.clone(), format, &mut out).unwrap(), lines.len() as u64);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(read_json(&exported(StatementFormat::JsonLines)), lines);
    is_csv_of(&exported(StatementFormat::Csv), &lines);
});

/// Books a grant, a charge and an adjustment that say all this; none when they are denied.
fn book<'a>(engine: &Engine, owner: &Owner, parts: &mut impl Iterator<Item = &'a str>) -> Option<()> {
    let acme = Context::tenant("acme").unwrap();
    let amount = "10.5".parse().unwrap();
    let (user_id, operator) = (id(parts), id(parts));
    let (task_id, app_id, template_id) = (id(parts), id(parts), id(parts));
    let reason: Option<Arc<str>> = parts.next().map(Arc::from);
    let metadata = metadata(parts);
    let grant = GrantCredit::new(owner.clone(), GrantType::Trial, amount);
    let grant = GrantCredit { operator: operator.clone(), reason: reason.clone(), metadata: metadata.clone(), ..grant };
    engine.execute(acme.request(grant)).ok()?;
    let charge = Charge::new(owner.clone(), "0.25".parse().unwrap());
    let (reason_again, metadata_again) = (reason.clone(), metadata.clone());
    let charge = Charge { user_id, task_id, app_id, template_id, reason: reason_again, metadata: metadata_again, ..charge };
    engine.execute(acme.request(charge)).unwrap();
    let operator = operator.unwrap_or(Operator::new("ops").unwrap());
    let reason = reason.unwrap_or_default();
    let adjust = Adjust { owner: owner.clone(), unit: None, amount, operator, reason, metadata };
    engine.execute(acme.request(adjust)).ok()?;
    Some(())
}

/// The next part, if it is an id.
fn id<'a, T: FromStr>(parts: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    parts.next()?.parse().ok()
}

/// What remains, as names and values.
fn metadata<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Option<Metadata> {
    let mut metadata = Metadata::new();
    while let Some(name) = parts.next() {
        let value = parts.next().unwrap_or_default();
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        metadata.insert(name.to_owned(), value);
    }
    (!metadata.is_empty()).then_some(metadata)
}

fn read_json(lines: &str) -> Vec<Value> {
    assert!(lines.ends_with('\n'));
    lines.split_terminator('\n').map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_csv_of(text: &str, lines: &[Value]) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), lines.len());
    for (record, line) in records.iter().zip(lines) {
        let line = line.as_object().unwrap();
        let names: Vec<&str> = line.keys().map(String::as_str).collect();
        assert_eq!(sorted(header.iter().collect()), sorted(names));
        for (name, found) in header.iter().zip(record) {
            match (name, &line[name]) {
                (_, Value::Null) => assert_eq!(found, "", "{name}"),
                ("draw" | "metadata", nested) => assert_eq!(&serde_json::from_str::<Value>(found).unwrap(), nested, "{name}"),
                (_, Value::String(text)) => assert_eq!(found, text, "{name}"),
                (_, other) => assert_eq!(found, other.to_string(), "{name}"),
            }
        }
    }
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}
