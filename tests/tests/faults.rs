//! A store that fails at any call, in any way, changes no answer and no total: each command takes effect once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
use drawdown::store::memory::MemoryStore;
use drawdown::store::sqlite::{SqliteOptions, SqliteStore, Synchronous};
use drawdown::store::{Answer, Query, Store, StoreErrorKind};
use drawdown::testing::fault::{Fault, FaultStore, When};
use drawdown::{
    AccountKey, Adjust, AdvanceTask, AmendGrant, Amount, Block, BlockTarget, Body, Caller, CaptureHold, Charge, CompleteTask,
    Context, Engine, EraseText, Every, ExtendHold, FailTask, Failure, GrantCredit, GrantType, ImportBalance, LateCommit,
    LimitPeriod, LowBalance, ManualClock, MemberLimit, OpId, OverCapture, Owner, PlaceHold, Policies, Receipt, RecurGrant, Refund,
    ReleaseHold, RemoveMember, RevokeLicence, RiskControls, RiskKey, RiskPolicy, Role, SetCreditLimit, SetLicence, SetLowBalance,
    SetMember, Settle, StopRule, SubmitDocuments, TemplateKey, TenantPolicy, Timestamp, Unblock, Velocity, VoidGrant,
};
use uuid::Uuid;

fn id<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn amount(text: &str) -> Amount {
    id(text)
}

fn second(seconds: i64) -> Timestamp {
    id::<Timestamp>("2026-01-01T00:00:00Z").plus_seconds(seconds).unwrap()
}

fn user() -> Owner {
    id("user:u1")
}

/// The receipts so far, by the label of their step.
type Receipts = HashMap<&'static str, serde_json::Value>;

/// The id that an earlier receipt has in a field.
fn of<T: FromStr<Err: std::fmt::Debug>>(receipts: &Receipts, label: &str, field: &str) -> T {
    id(receipts[label][field].as_str().unwrap_or_else(|| panic!("`{label}` has no `{field}`")))
}

/// One command of the script: when it comes, under which key, and what it asks for.
struct Step {
    label: &'static str,
    at: i64,
    tenant: &'static str,
    key: Option<&'static str>,
    /// Its denial is kept under the key.
    remembered: bool,
    /// The version that it expects.
    expects: Option<u64>,
    body: Box<dyn Fn(&Receipts) -> Body>,
}

fn step<B: Into<Body>>(label: &'static str, at: i64, key: Option<&'static str>, body: impl Fn(&Receipts) -> B + 'static) -> Step {
    let body = Box::new(move |receipts: &Receipts| body(receipts).into());
    Step { label, at, tenant: "t1", key, remembered: false, expects: None, body }
}

/// Grants, and what operators do with them.
fn granting() -> Vec<Step> {
    let give = |grant_type, text| GrantCredit::new(user(), grant_type, amount(text));
    vec![
        step("paid", 0, Some("g1"), move |_| give(GrantType::Purchased, "100")),
        step("trial", 0, None, move |_| GrantCredit { expires_at: Some(second(1_000)), ..give(GrantType::Trial, "20") }),
        step("later", 0, None, move |_| GrantCredit {
            effective_at: Some(second(500)),
            expires_at: Some(second(2_000)),
            ..give(GrantType::Plan, "7")
        }),
        step("pool", 0, None, |_| GrantCredit::new(Owner::Pool, GrantType::Purchased, amount("50"))),
        step("amended", 1, None, |got| AmendGrant {
            grant_id: of(got, "trial", "grant_id"),
            expires_at: second(1_500),
            operator: None,
            reason: None,
            metadata: None,
        }),
        step("added", 2, Some("a1"), |_| Adjust::new(user(), amount("8"), "ops", "goodwill").unwrap()),
        step("taken", 2, None, |_| Adjust::new(user(), amount("-3"), "ops", "a mistake").unwrap()),
        Step {
            tenant: "t2",
            ..step("foreign", 2, Some("g1"), |_| GrantCredit::new(user(), GrantType::Purchased, amount("1.000001")))
        },
    ]
}

fn place(text: &str) -> PlaceHold {
    PlaceHold::new(user(), amount(text))
}

fn capture(got: &Receipts, hold: &str, text: &str, last: bool) -> CaptureHold {
    CaptureHold {
        hold_id: of(got, hold, "hold_id"),
        actual_cost: amount(text),
        last,
        task_id: None,
        template_id: None,
        user_id: None,
        reason: None,
        metadata: None,
    }
}

fn release(got: &Receipts, hold: &str, text: Option<&str>) -> ReleaseHold {
    ReleaseHold {
        hold_id: of(got, hold, "hold_id"),
        amount: text.map(amount),
        task_id: None,
        user_id: None,
        reason: Some("not needed".into()),
        metadata: None,
    }
}

/// Holds: extended, captured in parts, released, captured above and after their time.
fn holding() -> Vec<Step> {
    let first = || PlaceHold { task_id: Some(id("job")), ..place("30") };
    vec![
        step("hold", 10, Some("h1"), move |_| first()),
        step("hold again", 11, Some("h1"), move |_| first()),
        step("second hold of the job", 11, None, move |_| first()),
        step("extended", 12, None, |got| ExtendHold {
            hold_id: of(got, "hold", "hold_id"),
            expire_in: 1_800,
            reason: None,
            metadata: None,
        }),
        step("a part", 20, Some("c1"), |got| capture(got, "hold", "10", false)),
        step("a part back", 20, Some("r1"), |got| release(got, "hold", Some("5"))),
        step("the end", 30, None, |got| capture(got, "hold", "12", true)),
        step("after the end", 31, None, |got| capture(got, "hold", "1", true)),
        step("short hold", 40, None, |_| PlaceHold { expire_in: 60, ..place("4") }),
        step("late hold", 41, None, |_| PlaceHold { expire_in: 60, late_commit: LateCommit::Draw, ..place("6") }),
        step("elastic hold", 50, None, |_| PlaceHold { over_capture: OverCapture::Draw, ..place("10") }),
        step("above", 60, None, |got| capture(got, "elastic hold", "15.5", true)),
        step("pool hold", 60, None, |_| PlaceHold::new(Owner::Pool, amount("50"))),
        step("pool release", 61, None, |got| release(got, "pool hold", None)),
    ]
}

/// Charges, refunds, and what becomes due.
fn charging() -> Vec<Step> {
    let pay = |text: &str| Charge { task_id: Some(id("sale")), ..Charge::new(user(), amount(text)) };
    let refund_charge =
        |got: &Receipts| Refund::of_charge(user(), of(got, "charge", "ledger_id"), "ops", "it did not work").unwrap();
    let refund_job = |_: &Receipts| Refund::of_task(user(), id("job"), "ops", "it did not work").unwrap();
    let settle = |_: &Receipts| Settle { owner: user(), unit: None };
    vec![
        step("charge", 70, Some("p1"), move |_| pay("5")),
        step("charge again", 71, Some("p1"), move |_| pay("5")),
        step("another charge", 72, Some("p1"), move |_| pay("6")),
        step("too much", 73, None, move |_| pay("9999")),
        step("refund a part", 80, Some("f1"), move |got| Refund { amount: Some(amount("2")), ..refund_charge(got) }),
        step("refund the job", 81, None, refund_job),
        step("refund it again", 82, None, refund_job),
        step("late capture", 200, None, |got| capture(got, "late hold", "6", true)),
        Step {
            tenant: "t2",
            ..step("trusted", 300, Some("l1"), |_| SetCreditLimit::new(user(), amount("5"), "ops", "trust").unwrap())
        },
        Step {
            tenant: "t2",
            ..step("warned", 300, None, |_| {
                let low = LowBalance { below: amount("0"), recovered_from: amount("1") };
                SetLowBalance::new(user(), Some(low), "ops").unwrap()
            })
        },
        Step { tenant: "t2", ..step("moved", 300, Some("i1"), |_| ImportBalance::new(user(), amount("1.5"))) },
        Step {
            tenant: "t3",
            ..step("recurring", 300, Some("c1"), |_| RecurGrant::new(user(), GrantType::Plan, amount("2"), Every::Days(1)))
        },
        Step {
            tenant: "t3",
            ..step("stopped", 300, None, |got| StopRule::new(of(got, "recurring", "rule_id"), "ops", "no more").unwrap())
        },
        Step { tenant: "t2", ..step("on credit", 300, None, move |_| pay("3")) },
        step("settled", 600, None, settle),
        step("nothing due", 600, None, settle),
        step("trial spent", 700, None, move |_| pay("12")),
        step("voided", 800, None, |got| VoidGrant::new(of(got, "added", "ledger_id_of_grant"), "ops", "given in error").unwrap()),
        step("erased", 900, None, |_| EraseText::new(user(), "ops", "asked for").unwrap()),
        step("after expiry", 1_600, Some("p2"), move |_| pay("1")),
        step("refund to an ended grant", 1_700, None, |got| {
            Refund::of_charge(user(), of(got, "trial spent", "ledger_id"), "ops", "late").unwrap()
        }),
    ]
}

/// Credit that comes again each period, unseen for several, until it is stopped.
fn recurring() -> Vec<Step> {
    let daily = || RecurGrant {
        rollover_cap: amount("2"),
        ..RecurGrant::new(Owner::user("daily").unwrap(), GrantType::Plan, amount("5"), Every::Days(1))
    };
    let pay = |cost: &str| Charge::new(Owner::user("daily").unwrap(), amount(cost));
    let stop = |got: &Receipts| StopRule::new(of(got, "each day", "rule_id"), "ops", "cancelled").unwrap();
    vec![
        step("each day", 2_020, Some("d1"), move |_| daily()),
        step("from the first day", 2_030, None, move |_| pay("4")),
        step("days later", 2_020 + 3 * 86_400, None, move |_| pay("6")),
        step("stopped", 2_030 + 3 * 86_400, Some("d2"), stop),
        step("stopped again", 2_040 + 3 * 86_400, None, stop),
        step("after the last day", 2_020 + 5 * 86_400, None, move |_| pay("1")),
    ]
}

/// Who may spend: a member of an organization within a limit, and nobody who is blocked.
fn allowing() -> Vec<Step> {
    let team = || Owner::organization("team").unwrap();
    let spend = move |cost: &str| Charge { user_id: Some(id("u1")), ..Charge::new(team(), amount(cost)) };
    let limit = || Some(MemberLimit { amount: amount("3"), unit: None, per: LimitPeriod::Day });
    let block = |target| Block::new(target, "ops", "a doubt").unwrap();
    let unblock = |target| Unblock::new(target, "ops", "none").unwrap();
    vec![
        step("for the team", 2_000, None, move |_| GrantCredit::new(team(), GrantType::Plan, amount("9"))),
        step("a stranger", 2_001, None, move |_| spend("1")),
        step("a member", 2_002, Some("m1"), move |_| SetMember {
            limit: limit(),
            ..SetMember::new("team", "u1", Role::Member, "ops").unwrap()
        }),
        step("within the limit", 2_003, None, move |_| spend("3")),
        step("beyond the limit", 2_004, None, move |_| spend("1")),
        step("the user is blocked", 2_005, None, move |_| block(BlockTarget::User(id("u1")))),
        step("the user is blocked again", 2_005, Some("b1"), move |_| block(BlockTarget::User(id("u1")))),
        step("of the user's own", 2_006, None, move |_| Charge::new(user(), amount("1"))),
        step("the user is unblocked", 2_007, None, move |_| unblock(BlockTarget::User(id("u1")))),
        step("removed", 2_008, None, |_| RemoveMember::new("team", "u1", "ops").unwrap()),
        step("a stranger again", 2_009, None, move |_| spend("1")),
    ]
}

/// A denial that is kept under its key, and versions that are expected.
fn optional() -> Vec<Step> {
    let poor = || Owner::user("poor").unwrap();
    let pay = move |cost: &str| Charge::new(poor(), amount(cost));
    let at = 2_100 + 5 * 86_400;
    let not_enough = move |label, at| Step { remembered: true, ..step(label, at, Some("o1"), move |_| pay("5")) };
    vec![
        not_enough("not enough", at),
        step("enough", at + 1, Some("o2"), move |_| GrantCredit::new(poor(), GrantType::Plan, amount("9"))),
        not_enough("not enough, remembered", at + 2),
        Step { expects: Some(0), ..step("an older version", at + 3, Some("o3"), move |_| pay("1")) },
        Step { expects: Some(1), ..step("the version", at + 4, None, move |_| pay("1")) },
        Step { expects: Some(2), remembered: true, ..step("the next version", at + 5, Some("o4"), move |_| pay("1")) },
    ]
}

/// Licences: made, lacking documents, used by a charge and by holds, used up, revoked.
fn licensing() -> Vec<Step> {
    let poster = |hold: PlaceHold| PlaceHold { template_id: Some(id("poster")), expire_in: 60, ..hold };
    let pay = || Charge { template_id: Some(id("poster")), ..Charge::new(user(), amount("1")) };
    let licence = || SetLicence {
        total_quota: Some(3),
        required_documents: [id("consent")].into(),
        ..SetLicence::new("lic-1", "poster", "ops").unwrap()
    };
    vec![
        step("not licensed", 1_900, None, move |_| poster(place("1"))),
        step("licensed", 1_901, Some("n1"), move |_| licence()),
        step("without the consent", 1_902, None, move |_| pay()),
        step("the consent", 1_903, None, |_| SubmitDocuments::new("lic-1", &["consent"], "ops").unwrap()),
        step("one use", 1_904, Some("n2"), move |_| pay()),
        step("a use is reserved", 1_905, None, move |_| poster(place("1"))),
        step("another is reserved", 1_906, None, move |_| poster(place("1"))),
        step("used up", 1_907, None, move |_| pay()),
        step("the use is taken", 1_908, None, |got| capture(got, "a use is reserved", "1", true)),
        step("the other comes back", 1_909, None, |got| release(got, "another is reserved", None)),
        step("the last is reserved", 1_910, None, move |_| poster(place("1"))),
        step("and expires", 1_970, None, move |_| pay()),
        step("the licence is revoked", 1_971, None, |_| RevokeLicence::new("lic-1", "ops", "a claim").unwrap()),
        step("after that", 1_972, None, move |_| pay()),
    ]
}

fn spender() -> Owner {
    id("user:spender")
}

/// Risk controls: what is used, what comes back, what is too much.
fn risking() -> Vec<Step> {
    let place = |text: &str| {
        let hold = PlaceHold::new(spender(), amount(text));
        PlaceHold { app_id: Some(id("x")), expire_in: 5, late_commit: LateCommit::Draw, ..hold }
    };
    let pay = |text: &str| Charge { app_id: Some(id("x")), ..Charge::new(spender(), amount(text)) };
    vec![
        step("credit to spend", 1_980, None, |_| GrantCredit::new(spender(), GrantType::Plan, amount("50"))),
        step("some of the cap", 1_981, Some("cap-1"), move |_| pay("3")),
        step("that again", 1_981, Some("cap-1"), move |_| pay("3")),
        step("the rest of it", 1_982, Some("cap-2"), move |_| place("2")),
        step("beyond the cap", 1_983, None, move |_| pay("1")),
        step("less than was held", 1_984, None, |got| capture(got, "the rest of it", "1", true)),
        step("up to the cap", 1_985, None, move |_| place("1")),
        step("when that has expired", 1_990, None, move |_| pay("1")),
        step("a late commit", 1_991, None, |got| capture(got, "up to the cap", "2", true)),
        step("nothing more", 1_992, None, move |_| pay("1")),
    ]
}

/// Tasks: said how far they are, completed, failed, tried again, and expired.
fn working() -> Vec<Step> {
    let work = |task: &'static str| PlaceHold { task_id: Some(id(task)), expire_in: 60, ..place("1") };
    let advance = |progress| AdvanceTask { stage: Some(id("rendering")), progress: Some(progress), ..AdvanceTask::new(id("film")) };
    vec![
        step("film", 1_990, None, move |_| work("film")),
        step("film begins", 1_991, Some("w1"), move |_| advance(10)),
        step("film begins again", 1_992, Some("w1"), move |_| advance(10)),
        step("film fails", 1_993, Some("w2"), |_| FailTask::new(id("film"), "it crashed")),
        step("film goes on", 1_994, None, move |_| advance(20)),
        step("film anew", 1_995, None, move |_| work("film")),
        step("film goes on anew", 1_996, None, move |_| advance(30)),
        step("film is done", 1_997, Some("w3"), |_| CompleteTask::new(id("film"), Some(amount("0.5")))),
        step("film is done again", 1_998, Some("w3"), |_| CompleteTask::new(id("film"), Some(amount("0.5")))),
        step("no such work", 1_998, None, |_| CompleteTask::new(id("none"), None)),
        step("song", 1_999, None, move |_| work("song")),
    ]
}

fn script() -> Vec<Step> {
    let parts = [granting(), holding(), charging(), licensing(), risking(), working(), allowing(), recurring(), optional()];
    parts.into_iter().flatten().collect()
}

/// What a run of the script came to.
struct Outcome {
    answers: Vec<(&'static str, String)>,
    books: Vec<String>,
}

/// Runs the script over a store. `repeats` counts commands that were given again because the store had failed for good.
fn play(store: Arc<dyn Store>, repeats: &mut u32) -> Outcome {
    let clock = Arc::new(ManualClock::at(second(0)));
    let controls = RiskControls {
        daily_cap: Some(amount("5")),
        velocity: vec![Velocity::units(amount("9"), 3_600)],
        anomaly_threshold: Some(amount("2")),
        ..RiskControls::default()
    };
    let risk = RiskPolicy::default().app(id("x"), controls).unwrap();
    let policies = Policies::new(TenantPolicy { licence_required: true, risk, ..TenantPolicy::default() });
    let yaml = "{version: 1, effective_at: 2025-01-01T00:00:00Z, unit: credit, scenes: {film: 3}}";
    let prices = PriceBooks::new([PriceBook::from_yaml(yaml).unwrap()]).unwrap();
    let engine = Engine::builder().store(store).clock(clock.clone()).policies(policies).prices(prices).build().unwrap();
    let of_spender = RiskKey::of_work(&AccountKey::new(id("t1"), spender(), id("credit")), None, Some(&id("x")));
    let mut known = Known::default();
    let mut receipts = Receipts::new();
    let mut answers = Vec::new();
    for (n, step) in script().into_iter().enumerate() {
        clock.set(second(step.at));
        let mut context = Context::tenant(step.tenant).unwrap();
        if let Some(key) = step.key {
            context = context.key(key).unwrap();
        }
        if step.remembered {
            context = context.remember_denials();
        }
        context.expected_version = step.expects;
        let command = context.request((step.body)(&receipts));
        let answer = repeat(repeats, || engine.run(command.clone()));
        if let Ok(receipt) = &answer {
            receipts.insert(step.label, with_grant(receipt));
        }
        answers.push((step.label, known.rename(&told(&answer))));
        if n % 5 == 0 {
            let balance = repeat(repeats, || engine.balance(&AccountKey::new(id("t1"), user(), id("credit")))).unwrap();
            answers.push(("balance", format!("{} and {}", balance.available, balance.frozen)));
            let spent = repeat(repeats, || engine.spent(&of_spender)).unwrap();
            answers.push(("spent", format!("{} and {}", spent.used, spent.count)));
        }
    }
    for task in ["film", "song"] {
        let page = repeat(repeats, || engine.task_events(&id("t1"), &id(task), None, 100)).unwrap();
        let steps: Vec<_> = page.steps.iter().map(|step| (step.status, step.progress, step.credits_delta, step.ts)).collect();
        answers.push((task, format!("{} steps and {steps:?}", steps.len())));
    }
    let poster = TemplateKey::new(id("t1"), id("poster"), Some(id("u1")));
    let check = repeat(repeats, || engine.check_licence(&poster, None)).unwrap();
    answers.push(("licence", format!("{} of 3 left and {}", check.remaining_quota, check.reason_code)));
    answers.extend(quoted(&engine, repeats, &mut known));
    let books = repeat(repeats, || engine.verify());
    assert!(books.as_ref().unwrap().is_clean(), "{books:?}");
    Outcome { answers, books: Vec::new() }
}

/// A quote, and a charge by it.
fn quoted(engine: &Engine, repeats: &mut u32, known: &mut Known) -> Vec<(&'static str, String)> {
    let context = Context::tenant("t9").unwrap();
    let account = context.account(user(), "credit").unwrap();
    let request = EstimateRequest { scene: Some(id("film")), ..EstimateRequest::default() };
    let grant = context.key("q1").unwrap().request(GrantCredit::new(user(), GrantType::Purchased, amount("5"))).into_command();
    let granted = repeat(repeats, || engine.run(grant.clone()));
    let quote = repeat(repeats, || engine.quote(&account, &request, &Caller::default())).unwrap();
    let pay = |cost| Charge { audit_id: quote.audit_id, ..Charge::new(user(), cost) };
    let charge = context.request(pay(quote.estimate.selected_cost)).into_command();
    let charged = repeat(repeats, || engine.run(charge.clone()));
    let dear = context.request(pay(amount("4"))).into_command();
    let refused = repeat(repeats, || engine.run(dear.clone()));
    let answers = [("for a quote", granted), ("by a quote", charged), ("at another price", refused)];
    answers.into_iter().map(|(label, answer)| (label, known.rename(&told(&answer)))).collect()
}

/// Gives a command again, once, when the store has failed for good.
fn repeat<T>(repeats: &mut u32, ask: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    match ask() {
        Err(Failure::Failed(_)) => {
            *repeats += 1;
            ask()
        }
        answer => answer,
    }
}

/// A receipt, with the grant that an adjustment made.
fn with_grant(receipt: &Receipt) -> serde_json::Value {
    let mut json = receipt.to_json();
    if let Some(grant_id) = receipt.entries().last().and_then(|entry| entry.grant_id) {
        json["ledger_id_of_grant"] = grant_id.to_string().into();
    }
    json
}

fn told(answer: &Result<Receipt, Failure>) -> String {
    match answer {
        Ok(receipt) => receipt.to_json().to_string(),
        Err(Failure::Denied(denial)) => format!("{}: {:?}", denial.name(), denial.details()),
        Err(Failure::Failed(error)) => format!("failed: {error}"),
    }
}

/// The operations, and the grants of rules, met so far: ids differ from run to run, but not the order in which they are first
/// told.
#[derive(Default)]
struct Known {
    operations: Vec<Uuid>,
    grants: Vec<Uuid>,
}

impl Known {
    /// The text with each id replaced by a number for its operation, and its ordinal there; of a rule's grant, which no operation
    /// lends its id, by a number of its own.
    fn rename(&mut self, text: &str) -> String {
        let mut renamed = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('_') {
            let (before, after) = rest.split_at(at + 1);
            renamed.push_str(before);
            rest = after;
            let Some(uuid) = rest.get(..36).and_then(|text| Uuid::try_parse(text).ok()) else { continue };
            let (op_id, ordinal) = OpId::of_derived(uuid);
            let is_known = self.operations.contains(&op_id.uuid());
            if before.ends_with("grt_") && !is_known {
                renamed.push_str(&format!("rule's {}", number(&mut self.grants, uuid)));
            } else {
                renamed.push_str(&format!("{}.{ordinal}", number(&mut self.operations, op_id.uuid())));
            }
            rest = &rest[36..];
        }
        renamed + rest
    }
}

/// The place of an id among those met so far.
fn number(known: &mut Vec<Uuid>, id: Uuid) -> usize {
    known.iter().position(|met| *met == id).unwrap_or_else(|| {
        known.push(id);
        known.len() - 1
    })
}

/// Every operation, account and record of the audit of the store, without what differs from run to run.
fn books(store: &dyn Store) -> Vec<String> {
    let Answer::Feed(feed) = store.query(&Query::Feed { tenant_id: None, after: 0, limit: 1_000 }).unwrap() else {
        panic!("no feed");
    };
    let Answer::Accounts(accounts) = store.query(&Query::Accounts(None, 1_000)).unwrap() else { panic!("no accounts") };
    let operations = feed.iter().map(|stored| {
        let operation = &stored.operation;
        let entries = stored.entries.iter().map(|entry| (entry.kind, entry.change, entry.frozen_change, entry.effective_at));
        format!("{} {:?} {} {:?}", operation.kind, operation.key, operation.refunded, entries.collect::<Vec<_>>())
    });
    let accounts = accounts.iter().map(|key| {
        let Answer::AccountImage(Some(image)) = store.query(&Query::AccountImage(key.clone())).unwrap() else {
            panic!("no image");
        };
        let account = image.facts.account;
        let counts = (account.seq, account.open_grants, account.open_holds, account.due_at, account.last_at);
        format!("{key} {} {} {:?} {counts:?}", account.available, account.frozen, account.totals)
    });
    let Answer::AuditAfter(records) = store.query(&Query::AuditAfter { after: 0, limit: 1_000 }).unwrap() else {
        panic!("no audit");
    };
    let records = records.iter().map(|(_, record)| {
        let subject = record.subject.as_ref().map(ToString::to_string);
        format!("{} of {subject:?} {:?} {:?} {}", record.kind, record.template_id, record.reason_code, record.count)
    });
    operations.chain(accounts).chain(records).collect()
}

/// The outcome of the script over a store in memory that fails like this, and how many calls there were and failed.
fn play_with(faults: impl FnOnce(Arc<dyn Store>) -> FaultStore, repeats: &mut u32) -> (Outcome, u64, u64) {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let store = Arc::new(faults(Arc::clone(&memory)));
    let outcome = play(store.clone(), repeats);
    (Outcome { books: books(&*memory), ..outcome }, store.calls(), store.injected())
}

fn play_planned(faults: &[Fault], repeats: &mut u32) -> (Outcome, u64, u64) {
    play_with(|memory| FaultStore::planned(memory, faults.iter().cloned()), repeats)
}

/// The outcome without faults, and how many calls of the store there are.
fn undisturbed() -> (Outcome, u64) {
    let mut repeats = 0;
    let (outcome, calls, injected) = play_planned(&[], &mut repeats);
    assert_eq!((repeats, injected), (0, 0));
    (outcome, calls)
}

/// Names the first answer or row that differs.
fn assert_same(outcome: &Outcome, expected: &Outcome, fault: &str) {
    for (given, wanted) in outcome.answers.iter().zip(&expected.answers) {
        assert_eq!(given, wanted, "{fault}");
    }
    for (given, wanted) in outcome.books.iter().zip(&expected.books) {
        assert_eq!(given, wanted, "{fault}");
    }
    assert_eq!(outcome.answers.len(), expected.answers.len(), "{fault}");
    assert_eq!(outcome.books.len(), expected.books.len(), "{fault}");
}

#[test]
fn the_script_does_what_it_says() {
    let (outcome, calls) = undisturbed();
    let refused: Vec<_> =
        outcome.answers.iter().filter(|(_, answer)| !answer.starts_with('{') && !answer.contains(" and ")).collect();
    let names: Vec<_> = refused.iter().map(|(label, answer)| (*label, answer.split(':').next().unwrap())).collect();
    assert_eq!(
        names,
        [
            ("second hold of the job", "pre_deduct_already_processed"),
            ("after the end", "pre_deduct_already_processed"),
            ("another charge", "idempotency_conflict"),
            ("too much", "insufficient_balance"),
            ("refund it again", "refund_duplicate"),
            ("not licensed", "authorization_not_found"),
            ("without the consent", "authorization_missing"),
            ("used up", "daily_quota_exceeded"),
            ("after that", "authorization_missing"),
            ("beyond the cap", "cap_exceeded"),
            ("nothing more", "cap_exceeded"),
            ("film goes on", "pre_deduct_already_processed"),
            ("no such work", "task_not_found"),
            ("a stranger", "not_a_member"),
            ("beyond the limit", "member_limit_exceeded"),
            ("of the user's own", "blocked"),
            ("a stranger again", "not_a_member"),
            ("stopped again", "payload_invalid"),
            ("after the last day", "insufficient_balance"),
            ("not enough", "insufficient_balance"),
            ("not enough, remembered", "insufficient_balance"),
            ("an older version", "version_conflict"),
            ("at another price", "payload_invalid"),
        ]
    );
    assert!(calls > 36, "{calls} calls");
}

#[test]
fn a_fault_that_passes_changes_nothing() {
    let (expected, calls) = undisturbed();
    for call in 1..=calls {
        for when in When::ALL {
            let fault = Fault { call, when, kind: StoreErrorKind::Transient };
            let mut repeats = 0;
            let (outcome, _, injected) = play_planned(std::slice::from_ref(&fault), &mut repeats);
            assert_eq!((injected, repeats), (1, 0), "{fault:?}");
            assert_same(&outcome, &expected, &format!("{fault:?}"));
        }
    }
}

#[test]
fn a_lost_race_is_decided_again() {
    let (expected, calls) = undisturbed();
    for call in 1..=calls {
        let fault = Fault { call, when: When::Inside, kind: StoreErrorKind::Conflict };
        let mut repeats = 0;
        let (outcome, _, injected) = play_planned(std::slice::from_ref(&fault), &mut repeats);
        assert_eq!((injected, repeats), (1, 0), "{fault:?}");
        assert_same(&outcome, &expected, &format!("{fault:?}"));
    }
}

#[test]
fn a_fault_for_good_is_told_and_leaves_nothing() {
    let (expected, calls) = undisturbed();
    for call in 1..=calls {
        for when in [When::Before, When::Inside] {
            let fault = Fault { call, when, kind: StoreErrorKind::Permanent };
            let mut repeats = 0;
            let (outcome, _, injected) = play_planned(std::slice::from_ref(&fault), &mut repeats);
            assert_eq!((injected, repeats), (1, 1), "the caller hears of it, and gives the command again: {fault:?}");
            assert_same(&outcome, &expected, &format!("{fault:?}"));
        }
    }
}

#[test]
fn a_lost_reply_is_looked_up_even_while_the_store_fails_again() {
    let (expected, calls) = undisturbed();
    for call in 1..=calls {
        for kind in [StoreErrorKind::Transient, StoreErrorKind::Permanent] {
            let faults = [
                Fault { call, when: When::After, kind: kind.clone() },
                Fault { call: call + 1, when: When::Before, kind: StoreErrorKind::Transient },
                Fault { call: call + 2, when: When::After, kind: StoreErrorKind::Transient },
            ];
            let mut repeats = 0;
            let (outcome, ..) = play_planned(&faults, &mut repeats);
            assert!(repeats <= 1, "only a question that failed for good is asked again: {faults:?}");
            assert_same(&outcome, &expected, &format!("{faults:?}"));
        }
    }
}

#[test]
fn random_faults_change_nothing() {
    let (expected, _) = undisturbed();
    for seed in 0..60 {
        let mut repeats = 0;
        let (outcome, _, injected) = play_with(|memory| FaultStore::seeded(memory, seed, 400), &mut repeats);
        assert!(injected > 5, "seed {seed}");
        assert_eq!(repeats, 0, "seed {seed}");
        assert_same(&outcome, &expected, &format!("seed {seed}"));
    }
}

#[test]
fn random_faults_over_a_file_change_nothing() {
    let (expected, _) = undisturbed();
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions { synchronous: Synchronous::Normal, ..SqliteOptions::default() };
        let file: Arc<dyn Store> = Arc::new(SqliteStore::open_with(folder.path().join("books.db"), options).unwrap());
        let mut repeats = 0;
        let outcome = play(Arc::new(FaultStore::seeded(Arc::clone(&file), seed, 400)), &mut repeats);
        assert_eq!(repeats, 0, "seed {seed}");
        assert_same(&Outcome { books: books(&*file), ..outcome }, &expected, &format!("seed {seed}"));
    }
}

#[test]
fn the_script_has_every_kind_of_command() {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    play(Arc::clone(&memory), &mut 0);
    let Answer::Feed(feed) = memory.query(&Query::Feed { tenant_id: None, after: 0, limit: 1_000 }).unwrap() else {
        panic!("no feed");
    };
    let kinds: std::collections::BTreeSet<_> = feed.iter().map(|stored| stored.operation.kind).collect();
    // What compliance is told is no command, and there all the same.
    let all = drawdown::ledger::OperationKind::ALL.iter().copied().collect();
    assert_eq!(kinds, all);
}
