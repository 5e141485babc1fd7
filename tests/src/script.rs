//! Tables of rules: given, when, then, one line a case, in a language that an accountant can read.
//!
//! A statement is a command, its amount and its fields: `grant 10 type=trial expires_at=+60 as=g`. Where it says nothing
//! else, the tenant is `acme`, the owner or payer `user:u1`, a grant's type `purchased`, that of a rule `plan` and its period a day, an operator `ops`, a reason `test`;
//! `field=-` leaves a field out. `as=g` gives what is made a name; `void g`, `capture h 3` and `ledger_id=@c` use it. Times are
//! seconds from the beginning (`+60`, `+7d`). Statements are separated by `;`. Besides commands there are:
//! - `wait 60`: the clock goes on by so many seconds; `at +60`: it is set to that instant;
//! - `1000x charge 1`: so many times, `#` being the number of the time, from 1;
//! - `try charge 5`: whatever the answer is.
//!
//! An answer reads `ok balance_after=5 draw=g:3,h:2`, `denied insufficient_balance needed=5` or `error clock_behind`; every field
//! that it names must be in the receipt or in the details of the denial. Then, after a `;`, balances may be named:
//! `balance 5 frozen 2 of pool`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a tool of tests")]

use std::collections::HashMap;
use std::sync::Arc;

use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;
use drawdown::{AccountKey, Command, Denial, Engine, Error, Failure, ManualClock, Policies, TenantPolicy, Timestamp};
use serde_json::{Map, Value, json};

/// When every script begins.
pub const BEGINNING: &str = "2026-01-01T00:00:00Z";

/// A case: what it shows, given, when, then.
pub type Case<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Runs the cases on the memory store and on the SQLite store, under the default policy.
///
/// # Panics
/// With every case whose answer is another.
pub fn table(cases: &[Case<'_>]) {
    table_under(&TenantPolicy::default(), cases);
}

/// Runs the cases on the memory store and on the SQLite store, under this policy.
///
/// # Panics
/// With every case whose answer is another.
pub fn table_under(policy: &TenantPolicy, cases: &[Case<'_>]) {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let path = folder.path().join(format!("{number}.db"));
        for (name, store) in crate::stores(&path) {
            let (title, given, when, then) = case;
            if let Err(why) = Bank::new(store, policy.clone()).case(given, when, then) {
                failures.push(format!("{title} [{name}]\n  given {given}\n  when  {when}\n  then  {then}\n  but   {why}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} cases fail:\n{}", failures.len(), failures.join("\n"));
}

/// An engine, its clock, and the names that a script gave to ids.
pub struct Bank {
    /// The engine.
    pub engine: Engine,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    names: HashMap<String, Map<String, Value>>,
}

impl Bank {
    /// An engine over this store, under this policy.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, policy: TenantPolicy) -> Bank {
        let clock = Arc::new(ManualClock::at(beginning()));
        let engine = Engine::builder().store(store).clock(clock.clone()).policies(Policies::new(policy)).build().unwrap();
        Bank { engine, clock, names: HashMap::new() }
    }

    /// An engine whose books are in memory.
    #[must_use]
    pub fn in_memory() -> Bank {
        Bank::new(Arc::new(MemoryStore::new()), TenantPolicy::default())
    }

    /// Runs a case.
    ///
    /// # Errors
    /// Says what is not as it should be.
    pub fn case(&mut self, given: &str, when: &str, then: &str) -> Result<(), String> {
        for statement in statements(given) {
            self.given(statement)?;
        }
        let answer = self.run(when);
        let mut expected = statements(then);
        self.expect(&answer, expected.next().unwrap_or_default())?;
        expected.try_for_each(|balance| self.expect_balance(balance))
    }

    /// Runs a statement that must be accepted, unless it is only tried.
    ///
    /// # Errors
    /// The answer, if it is another.
    pub fn given(&mut self, statement: &str) -> Result<(), String> {
        if let Some(statement) = statement.strip_prefix("try ") {
            let _ = self.run(statement);
            return Ok(());
        }
        if let Some((times, statement)) = statement.split_once("x ")
            && let Ok(times) = times.parse::<u32>()
        {
            return self.given_times(times, statement);
        }
        self.run(statement).map(|_| ()).map_err(|answer| format!("given `{statement}` is answered {answer:?}"))
    }

    /// Runs a command so many times, in batches.
    fn given_times(&mut self, times: u32, statement: &str) -> Result<(), String> {
        let commands = (1..=times).map(|time| {
            let statement = statement.replace('#', &time.to_string());
            let mut words = statement.split_whitespace();
            let (fields, _) = self.fields(words.next().unwrap_or_default(), words);
            read(fields).map_err(|denial| denial.to_string())
        });
        let answers = self.engine.execute_many(commands.collect::<Result<_, _>>()?);
        answers
            .into_iter()
            .try_for_each(|answer| answer.map(|_| ()).map_err(|answer| format!("given `{statement}` is answered {answer:?}")))
    }

    /// Runs one statement; the receipt as JSON.
    ///
    /// # Errors
    /// The denial or error.
    pub fn run(&mut self, statement: &str) -> Result<Value, Failure> {
        let mut words = statement.split_whitespace();
        match words.next().unwrap_or_default() {
            "wait" => {
                let micros = seconds(words.next().unwrap());
                self.clock.set(self.engine.now().plus_micros(micros).unwrap());
                Ok(Value::Null)
            }
            "at" => {
                self.clock.set(instant(words.next().unwrap()));
                Ok(Value::Null)
            }
            command => {
                let (fields, name) = self.fields(command, words);
                let command = read(fields)?;
                let receipt = self.engine.run(command)?.to_json();
                if let (Some(name), Value::Object(fields)) = (name, &receipt) {
                    self.names.insert(name, fields.clone());
                }
                Ok(receipt)
            }
        }
    }

    /// The JSON fields that a statement means.
    fn fields<'a>(&self, command: &str, words: impl Iterator<Item = &'a str>) -> (Map<String, Value>, Option<String>) {
        let mut fields = defaults(command);
        let mut name = None;
        for word in words {
            match word.split_once('=') {
                Some(("as", given)) => name = Some(given.to_owned()),
                Some((field, "-")) => {
                    fields.remove(field);
                }
                Some((field, text)) => match field.split_once('.') {
                    Some((outer, inner)) => {
                        let map = fields.entry(outer).or_insert_with(|| json!({}));
                        map[inner] = self.value(inner, text);
                    }
                    None => {
                        fields.insert(field.to_owned(), self.value(field, text));
                    }
                },
                None => match subject(command) {
                    Some(id) if !fields.contains_key(id) => {
                        fields.insert(id.to_owned(), self.value(id, &format!("@{word}")));
                    }
                    _ => {
                        let amount = if command == "capture" { "actual_cost" } else { "amount" };
                        fields.insert(amount.to_owned(), word.into());
                    }
                },
            }
        }
        (fields, name)
    }

    fn value(&self, field: &str, text: &str) -> Value {
        match field {
            "effective_at" | "expires_at" | "starts_at" | "ends_at" => instant(text).to_string().into(),
            "expire_in" | "priority" | "final" | "metadata" | "every" => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            "grant_id" | "hold_id" | "ledger_id" | "rule_id" => {
                match text.strip_prefix('@').and_then(|name| self.names.get(name)) {
                    Some(made) => made.get(field).cloned().unwrap_or_else(|| format!("no {field}").into()),
                    None => text.trim_start_matches('@').into(),
                }
            }
            _ => text.into(),
        }
    }

    /// Compares an answer with what is expected of it.
    ///
    /// # Errors
    /// Says how they differ.
    pub fn expect(&self, answer: &Result<Value, Failure>, expected: &str) -> Result<(), String> {
        let mut words = expected.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let found = match (kind, answer) {
            ("ok", Ok(receipt)) => receipt.as_object().cloned().unwrap_or_default(),
            ("denied", Err(Failure::Denied(denial))) => {
                let name = words.next().unwrap_or_default();
                if name != denial.name() {
                    return Err(format!("it is denied as {}: {}, {:?}", denial.name(), denial.message(), denial.details()));
                }
                denial.details().clone()
            }
            ("error", Err(Failure::Failed(error))) => {
                let name = words.next().unwrap_or_default();
                return if name == error_name(error) { Ok(()) } else { Err(format!("the error is {error:?}")) };
            }
            (_, Ok(receipt)) => return Err(format!("it is accepted: {receipt}")),
            (_, Err(failure)) => return Err(format!("the answer is {failure:?}")),
        };
        for word in words {
            let (name, expected) = word.split_once('=').ok_or_else(|| format!("`{word}` is no field"))?;
            let shown = self.shown(name, found.get(name).unwrap_or(&Value::Null));
            let expected = if name.ends_with("_at") && expected.starts_with(['+', '-']) {
                instant(expected).to_string()
            } else {
                expected.to_owned()
            };
            if shown != expected {
                return Err(format!("{name} is `{shown}` in {}", Value::Object(found)));
            }
        }
        Ok(())
    }

    /// A field of an answer as scripts write it: ids by their names.
    fn shown(&self, name: &str, value: &Value) -> String {
        let named = |field: &str, id: &Value| {
            let name = self.names.iter().filter(|(_, made)| made.get(field) == Some(id)).map(|(name, _)| name).min();
            name.map(String::as_str).unwrap_or("?").to_owned()
        };
        match (name, value) {
            ("draw", Value::Array(lines)) => {
                let lines = lines
                    .iter()
                    .map(|line| format!("{}:{}", named("grant_id", &line["grant_id"]), line["amount"].as_str().unwrap()));
                lines.collect::<Vec<_>>().join(",")
            }
            ("pre_deduct_id", id) => named("hold_id", id),
            (_, Value::String(text)) => text.replace(' ', "_"),
            (_, other) => other.to_string().replace(' ', "_"),
        }
    }

    /// Compares a balance: `balance 5 frozen 2 of pool`, `balance 5 at +60`.
    ///
    /// # Errors
    /// Says how they differ.
    pub fn expect_balance(&self, statement: &str) -> Result<(), String> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let after = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
        let (tenant, owner, unit) =
            (after("in").unwrap_or("acme"), after("of").unwrap_or("user:u1"), after("unit").unwrap_or("credit"));
        let key = AccountKey::new(tenant.parse().unwrap(), owner.parse().unwrap(), unit.parse().unwrap());
        let balance = match after("at") {
            Some(at) => self.engine.balance_at(&key, instant(at)),
            None => self.engine.balance(&key),
        };
        let balance = balance.map_err(|error| format!("{statement}: {error}"))?;
        let found = (balance.available.to_string(), balance.frozen.to_string());
        let expected = (after("balance").unwrap_or("0").to_owned(), after("frozen").unwrap_or("0").to_owned());
        if found == expected { Ok(()) } else { Err(format!("`{statement}`: available and frozen are {found:?}")) }
    }
}

/// The fields of a command that says nothing else.
fn defaults(command: &str) -> Map<String, Value> {
    let mut fields = json!({"command": command, "tenant_id": "acme"});
    match command {
        "grant" | "adjust" | "settle" | "recur" => fields["owner"] = "user:u1".into(),
        "hold" | "charge" | "refund" => fields["payer"] = "user:u1".into(),
        _ => {}
    }
    if command == "grant" {
        fields["type"] = "purchased".into();
    }
    if command == "recur" {
        fields["type"] = "plan".into();
        fields["every"] = json!({"days": 1});
    }
    if matches!(command, "void" | "adjust" | "refund" | "stop_rule") {
        fields["operator"] = "ops".into();
        fields["reason"] = "test".into();
    }
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What the first word after a command names.
fn subject(command: &str) -> Option<&'static str> {
    match command {
        "void" | "amend" => Some("grant_id"),
        "stop_rule" => Some("rule_id"),
        "extend" | "capture" | "release" => Some("hold_id"),
        _ => None,
    }
}

fn read(fields: Map<String, Value>) -> Result<Command, Denial> {
    Command::from_json(&Value::Object(fields).to_string())
}

fn statements(script: &str) -> impl Iterator<Item = &str> {
    script.split(';').map(str::trim).filter(|statement| !statement.is_empty())
}

fn error_name(error: &Error) -> &'static str {
    match error {
        Error::Busy(_) => "busy",
        Error::ClockBehind { .. } => "clock_behind",
        Error::Corrupt(_) => "corrupt",
        _ => "another",
    }
}

fn beginning() -> Timestamp {
    BEGINNING.parse().unwrap()
}

/// An instant: seconds from the beginning with a sign, or ISO 8601.
fn instant(text: &str) -> Timestamp {
    if text.starts_with(['+', '-']) {
        return beginning().plus_micros(seconds(text)).unwrap();
    }
    text.parse().unwrap()
}

/// Seconds (`60`, `-0.5`) or days (`7d`), in microseconds.
fn seconds(text: &str) -> i64 {
    let (text, unit) = text.strip_suffix('d').map_or((text, 1), |days| (days, 86_400));
    text.parse::<drawdown::Amount>().unwrap().micros() * unit
}
