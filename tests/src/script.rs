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
//! `balance 5 frozen 2 of pool`; and what a member has used: `used 5 of o1 by u1`. The organization of a command about members is
//! `o1`, the member `u1`, the role `member`; `limit=10/day` or `10/month/UC`; what is blocked is `target=tenant`, `user:u1` or
//! `account:user:u1/UC`.
//!
//! A licence is `l1`, its template `a`; lists read `channels=viewer,creator`. `check a user=u1 channel=viewer` asks whether a template
//! may be used, and after an answer `left 3 today 2 of a by u1` says how often it still may.
//!
//! What risk controls count of a day, of units and of charges and holds, is `spent 5 times 2 by user:u1 for x unit credit`; without
//! `for`, of work that names no app.
//! A task that a command about tasks does not name is `t`. After an answer `task t status=running` says where one stands, and
//! `history t accepted:-4@0 completed:1@60` how it got there.
//! `quote a owner=user:u1 as=q` asks for a quote of a template, `estimate a` for an estimate; `audit_id=@q` names it. Template `a` costs
//! 10, and 12 from `+1d` on; `b` costs 5 and is labelled `strict`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a tool of tests")]

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
use drawdown::store::Store;
use drawdown::store::memory::MemoryStore;
use drawdown::{
    AccountKey, Caller, Command, Denial, Engine, Error, Failure, GrantId, LicenceCheck, ManualClock, Owner, Policies, RiskKey,
    TemplateKey, TenantPolicy, Timestamp,
};
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
        let builder = Engine::builder().store(store).clock(clock.clone()).policies(Policies::new(policy));
        let engine = builder.prices(prices()).build().unwrap();
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
        expected.try_for_each(|balance| self.expect_balance(balance))?;
        let report = self.engine.verify().map_err(|error| error.to_string())?;
        if report.is_clean() { Ok(()) } else { Err(format!("the books part from the ledger: {:?}", report.faults)) }
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

    /// Runs commands as one batch; the receipts as JSON.
    ///
    /// # Panics
    /// With a statement that is no command.
    pub fn together(&mut self, script: &str) -> Vec<Result<Value, Failure>> {
        let commands = statements(script).map(|statement| {
            let mut words = statement.split_whitespace();
            let (fields, _) = self.fields(words.next().unwrap_or_default(), words);
            read(fields).unwrap_or_else(|denial| panic!("{statement}: {denial}"))
        });
        let answers = self.engine.execute_many(commands.collect());
        answers.into_iter().map(|answer| answer.map(|receipt| receipt.to_json())).collect()
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
            "quote" | "estimate" => self.ask_price(statement),
            "check" => self.check(words).map(|check| serde_json::to_value(check).unwrap()),
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

    /// What work with a template costs: `quote a owner=user:u1 unit=credit app_id=x as=q`.
    fn ask_price(&mut self, statement: &str) -> Result<Value, Failure> {
        let mut account = AccountKey::new(id("acme"), id("user:u1"), id("credit"));
        let (mut request, mut name) = (EstimateRequest::default(), None);
        for word in statement.split_whitespace().skip(1) {
            match word.split_once('=') {
                Some(("tenant", tenant)) => account.tenant_id = id(tenant),
                Some(("owner", owner)) => account.owner = id(owner),
                Some(("unit", unit)) => account.unit = id(unit),
                Some(("app_id", app)) => request.app_id = Some(id(app)),
                Some(("scene", scene)) => request.scene = Some(id(scene)),
                Some(("as", given)) => name = Some(given.to_owned()),
                Some(_) => panic!("`{word}` is not known"),
                None => request.template_id = Some(id(word)),
            }
        }
        let caller = Caller::default();
        let answer = if statement.starts_with("quote") {
            self.engine.quote(&account, &request, &caller)?
        } else {
            self.engine.estimate(&account, &request)?
        };
        let answer = serde_json::to_value(answer).unwrap();
        if let (Some(name), Value::Object(fields)) = (name, &answer) {
            self.names.insert(name, fields.clone());
        }
        Ok(answer)
    }

    /// Whether a template may be used: `a user=u1 channel=viewer`.
    fn check<'a>(&self, words: impl Iterator<Item = &'a str>) -> Result<LicenceCheck, Failure> {
        let (mut template, mut channel) = (TemplateKey::new(id("acme"), id("a"), Some(id("u1"))), None);
        for word in words {
            match word.split_once('=') {
                Some(("tenant", tenant)) => template.tenant_id = id(tenant),
                Some(("user", user)) => template.user_id = Some(user).filter(|user| *user != "-").map(id),
                Some(("channel", name)) => channel = Some(id(name)),
                Some(_) => panic!("`{word}` is not known"),
                None => template.template_id = id(word),
            }
        }
        self.engine.check_licence(&template, channel)
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
                        let amount = match command {
                            "capture" | "complete_task" => "actual_cost",
                            "set_credit_limit" => "credit_limit",
                            "import" => "balance",
                            _ => "amount",
                        };
                        fields.insert(amount.to_owned(), word.into());
                    }
                },
            }
        }
        (fields, name)
    }

    fn value(&self, field: &str, text: &str) -> Value {
        match field {
            "target" => target(text),
            "limit" => limit(text),
            "channels" | "documents" | "required_documents" => text.split(',').filter(|word| !word.is_empty()).collect(),
            "valid_from" | "valid_until" | "effective_at" | "expires_at" | "starts_at" | "ends_at" | "deadline" | "next_eta" => {
                instant(text).to_string().into()
            }
            "total_quota" | "daily_quota" | "expire_in" | "priority" | "final" | "metadata" | "every" | "expected_version"
            | "after_seq" | "remember_denials" | "verified" | "progress" => {
                serde_json::from_str(text).unwrap_or_else(|_| text.into())
            }
            "grant_id" | "hold_id" | "ledger_id" | "rule_id" | "audit_id" => {
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
                let mut details = denial.details().clone();
                details.insert("retryable".to_owned(), denial.retryable().into());
                details.insert("retry_at".to_owned(), denial.when_to_retry().map(|at| at.to_string()).into());
                details
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
            let expected = if (name.ends_with("_at") || name == "next_eta") && expected.starts_with(['+', '-']) {
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
            if *id == GrantId::DEBT.to_string() {
                return "debt".to_owned();
            }
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
            ("pre_deduct_id" | "hold_id", Value::String(_)) => named("hold_id", value),
            (_, Value::String(text)) => text.replace(' ', "_"),
            (_, other) => other.to_string().replace(' ', "_"),
        }
    }

    /// Compares a balance: `balance 5 frozen 2 of pool`, `balance 5 at +60`, `balance 5 version 1`, `balance -5 owed 5`.
    ///
    /// # Errors
    /// Says how they differ.
    pub fn expect_balance(&self, statement: &str) -> Result<(), String> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        if matches!(words.first(), Some(&"task" | &"history")) {
            return crate::tasks::expect(&self.engine, statement, |name, value| self.shown(name, value));
        }
        let after = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
        if let Some(used) = after("used") {
            let (organization, user) = (after("of").unwrap_or("o1"), after("by").unwrap_or("u1"));
            let member = self.engine.member(&"acme".parse().unwrap(), &organization.parse().unwrap(), &user.parse().unwrap());
            let member = member.map_err(|error| format!("{statement}: {error}"))?;
            return if member.used.to_string() == used { Ok(()) } else { Err(format!("`{statement}`: it is {}", member.used)) };
        }
        if words.contains(&"left") || words.contains(&"today") {
            let (template, user) = (after("of").unwrap_or("a"), after("by").unwrap_or("u1"));
            let user = format!("user={user}");
            let check = self.check([template, user.as_str()].into_iter()).map_err(|error| format!("{statement}: {error}"))?;
            let found = [check.remaining_quota.to_string(), check.daily_remaining.to_string()];
            let expected = [after("left").unwrap_or(&found[0]), after("today").unwrap_or(&found[1])];
            return if found == expected { Ok(()) } else { Err(format!("`{statement}`: left in all and today are {found:?}")) };
        }
        if let Some(used) = after("spent") {
            let owner: Owner = after("by").unwrap_or("user:u1").parse().unwrap();
            let account = AccountKey::new("acme".parse().unwrap(), owner, after("unit").unwrap_or("credit").parse().unwrap());
            let app_id = after("for").map(|app_id| app_id.parse().unwrap());
            let spent = self.engine.spent(&RiskKey::of_work(&account, None, app_id.as_ref()));
            let spent = spent.map_err(|error| format!("{statement}: {error}"))?;
            let found = [spent.used.to_string(), spent.count.to_string()];
            let expected = [used, after("times").unwrap_or(&found[1])];
            return if found == expected { Ok(()) } else { Err(format!("`{statement}`: units and times are {found:?}")) };
        }
        let (tenant, owner, unit) =
            (after("in").unwrap_or("acme"), after("of").unwrap_or("user:u1"), after("unit").unwrap_or("credit"));
        let key = AccountKey::new(tenant.parse().unwrap(), owner.parse().unwrap(), unit.parse().unwrap());
        let balance = match after("at") {
            Some(at) => self.engine.balance_at(&key, instant(at)),
            None => self.engine.balance(&key),
        };
        let balance = balance.map_err(|error| format!("{statement}: {error}"))?;
        if let Some(version) = after("version")
            && balance.version.to_string() != version
        {
            return Err(format!("`{statement}`: the version is {}", balance.version));
        }
        let owed = balance.owed.map_or("none".to_owned(), |owed| owed.to_string());
        let found = [balance.available.to_string(), balance.frozen.to_string(), owed];
        let owed = after("owed").unwrap_or(&found[2]);
        let expected = [after("balance").unwrap_or("0"), after("frozen").unwrap_or("0"), owed];
        if found == expected { Ok(()) } else { Err(format!("`{statement}`: available, frozen and owed are {found:?}")) }
    }
}

/// The fields of a command that says nothing else.
fn defaults(command: &str) -> Map<String, Value> {
    let mut fields = json!({"command": command, "tenant_id": "acme"});
    match command {
        "grant" | "adjust" | "settle" | "recur" | "set_credit_limit" | "set_low_balance" | "import" | "erase_text" => {
            fields["owner"] = "user:u1".into();
        }
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
    if matches!(command, "set_member" | "remove_member") {
        fields["organization_id"] = "o1".into();
        fields["user_id"] = "u1".into();
        fields["operator"] = "ops".into();
    }
    if command == "set_member" {
        fields["role"] = "member".into();
    }
    if matches!(command, "set_licence" | "revoke_licence" | "submit_documents") {
        fields["licence_id"] = "l1".into();
        fields["operator"] = "ops".into();
    }
    if command == "set_licence" {
        fields["template_id"] = "a".into();
    }
    if matches!(command, "advance_task" | "complete_task" | "fail_task") {
        fields["task_id"] = "t".into();
    }
    if matches!(command, "revoke_licence" | "fail_task") {
        fields["reason"] = "test".into();
    }
    let by_operator =
        ["void", "adjust", "refund", "stop_rule", "erase_text", "block", "unblock", "set_credit_limit", "set_low_balance"];
    if by_operator.contains(&command) {
        fields["operator"] = "ops".into();
        fields["reason"] = "test".into();
    }
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What is blocked: `tenant`, `user:u1`, `account:user:u1`, `account:user:u1/UC`.
fn target(text: &str) -> Value {
    let account = |text: &str| match text.split_once('/') {
        Some((owner, unit)) => json!({"account": {"owner": owner, "unit": unit}}),
        None => json!({"account": {"owner": text}}),
    };
    match text.split_once(':') {
        Some(("user", user)) => json!({"user": user}),
        Some(("account", text)) => account(text),
        _ => text.into(),
    }
}

/// A limit: `10/day`, `10/month/UC`.
fn limit(text: &str) -> Value {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [amount, per] => json!({"amount": amount, "per": per}),
        [amount, per, unit] => json!({"amount": amount, "per": per, "unit": unit}),
        _ => text.into(),
    }
}

/// What work costs.
fn prices() -> PriceBooks {
    let book = |version: u32, from: &str, cost: u32| {
        let yaml = format!(
            "{{version: {version}, effective_at: {from}, unit: credit, scenes: {{film: 7}}, \
             templates: {{a: {{base: {cost}}}, b: {{base: 5, policy_tag: strict}}}}}}"
        );
        PriceBook::from_yaml(&yaml).unwrap()
    };
    PriceBooks::new([book(1, "2025-12-01T00:00:00Z", 10), book(2, "2026-01-02T00:00:00Z", 12)]).unwrap()
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

fn id<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
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

pub(crate) fn beginning() -> Timestamp {
    BEGINNING.parse().unwrap()
}

/// An instant: seconds from the beginning with a sign, or ISO 8601.
pub(crate) fn instant(text: &str) -> Timestamp {
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
