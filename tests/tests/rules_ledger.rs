//! The ledger: what each kind of entry moves, in which order what is due is booked, what an entry says, and how it is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use drawdown::facts::Totals;
use drawdown::ledger::{Entry, EntryQuery, EntryScope, PageOrder, StoredOperation, Terms};
use drawdown::store::memory::MemoryStore;
use drawdown::store::{AccountImage, Answer, Query, Store};
use drawdown::testing::soundness;
use drawdown::{AccountKey, Amount, Command, Payer, TenantPolicy, Timestamp};
use drawdown_tests::script::{BEGINNING, Bank};

fn key() -> AccountKey {
    AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap())
}

/// A bank, and the store that its books are in.
struct Books {
    bank: Bank,
    store: Arc<dyn Store>,
}

impl Books {
    fn new(script: &str) -> Books {
        Books::under(TenantPolicy::default(), script)
    }

    fn under(policy: TenantPolicy, script: &str) -> Books {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut books = Books { bank: Bank::new(Arc::clone(&store), policy), store };
        books.give(script);
        books
    }

    fn give(&mut self, script: &str) {
        for statement in script.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            self.bank.given(statement).unwrap();
        }
    }

    fn image(&self) -> Option<Box<AccountImage>> {
        match self.store.query(&Query::AccountImage(key())) {
            Ok(Answer::AccountImage(image)) => image,
            other => panic!("{other:?}"),
        }
    }

    fn totals(&self) -> Totals {
        self.image().map_or(Totals::default(), |image| image.facts.account.totals)
    }

    fn feed(&self) -> Vec<Arc<StoredOperation>> {
        self.bank.engine.feed(None, 0, 1_000).unwrap()
    }

    /// The last operation.
    fn last(&self) -> Arc<StoredOperation> {
        self.feed().pop().unwrap()
    }

    /// Every entry of the account, the first first.
    fn entries(&self) -> Vec<Entry> {
        let query = EntryQuery { order: PageOrder::Asc, limit: 1_000, ..EntryQuery::new(EntryScope::Account(key())) };
        self.bank.engine.entries(query).unwrap().entries
    }
}

/// What a contra account has moved by, for those that moved.
fn moved(before: Totals, after: Totals) -> String {
    let names = ["issued", "adjusted_in", "consumed", "expired", "forfeited", "adjusted_out"];
    let of = |totals: Totals| {
        [totals.issued, totals.adjusted_in, totals.consumed, totals.expired, totals.forfeited, totals.adjusted_out]
    };
    let moves = names.into_iter().zip(of(before).into_iter().zip(of(after)));
    let moves = moves.map(|(name, (before, after))| (name, after.checked_sub(before).unwrap()));
    moves.filter(|(_, by)| !by.is_zero()).map(|(name, by)| format!("{name} {by}")).collect::<Vec<_>>().join(", ")
}

/// Kind, change of available and of frozen of each entry.
fn lines(entries: &[Entry]) -> String {
    let line = |entry: &Entry| format!("{} {} {}", entry.kind, entry.change, entry.frozen_change);
    entries.iter().map(line).collect::<Vec<_>>().join(", ")
}

/// Given, when, then: the entries of the operation, and what its contra accounts moved by.
const MOVES: &[(&str, &str, &str, &str)] = &[
    ("", "grant 5", "grant 5 0", "issued 5"),
    ("", "grant 5 effective_at=+60", "grant 0 0", ""),
    ("grant 5 effective_at=+60; wait 60", "settle", "grant 5 0", "issued 5"),
    ("", "import 5", "import 5 0", "issued 5"),
    ("", "import 0", "import 0 0", ""),
    ("grant 5", "hold 2", "hold -2 2", ""),
    ("grant 5", "hold 0", "hold 0 0", ""),
    ("grant 5; hold 2 as=h", "extend h expire_in=3600", "extend 0 0", ""),
    ("grant 5; hold 2 as=h", "capture h 2", "capture 0 -2", "consumed 2"),
    ("grant 5; hold 2 as=h", "capture h 1.5", "capture 0 -1.5, release 0.5 -0.5", "consumed 1.5"),
    ("grant 5; hold 2 as=h", "capture h 0", "capture 0 0, release 2 -2", ""),
    ("grant 5; hold 2 as=h", "capture h 1 final=false idempotency_key=k", "capture 0 -1", "consumed 1"),
    ("grant 5; hold 2 over_capture=draw as=h", "capture h 3", "hold -1 1, capture 0 -3", "consumed 3"),
    ("grant 5; hold 2 as=h", "release h", "release 2 -2", ""),
    ("grant 5; hold 2 as=h", "release h 0.5 idempotency_key=k", "release 0.5 -0.5", ""),
    ("grant 5; hold 0 as=h", "release h", "release 0 0", ""),
    ("grant 5; hold 2 expire_in=60; wait 60", "settle", "release 2 -2", ""),
    ("grant 5", "charge 2", "charge -2 0", "consumed 2"),
    ("grant 5; charge 2 as=c", "refund ledger_id=@c", "refund 2 0", "consumed -2"),
    ("grant 5 expires_at=+60; charge 2 as=c; wait 60; settle", "refund ledger_id=@c", "reissue 2 0", "consumed -2"),
    // What two charges had of one grant comes back as one.
    (
        "grant 2 type=trial expires_at=+60; grant 5 expires_at=+60; hold 1 as=h; charge 2 task_id=t; release h; charge 2 task_id=t; \
         wait 60; settle",
        "refund task_id=t",
        "reissue 2 0, reissue 2 0",
        "consumed -4",
    ),
    ("grant 5 expires_at=+60; wait 60", "settle", "expire -5 0", "expired 5"),
    ("grant 5 expires_at=+60; hold 2 as=h; wait 60; settle", "release h", "release 2 -2, expire -2 0", "expired 2"),
    ("grant 5 as=g; hold 2", "void g", "void -3 0", "forfeited 3"),
    ("grant 5 as=g; charge 5", "void g", "void 0 0", ""),
    ("grant 5 as=g; hold 2 as=h; void g", "release h", "release 2 -2, void -2 0", "forfeited 2"),
    ("grant 5 expires_at=+60 as=g", "amend g expires_at=+90", "amend 0 0", ""),
    ("", "adjust 5", "adjust 5 0", "adjusted_in 5"),
    ("grant 5", "adjust -2", "adjust -2 0", "adjusted_out 2"),
    ("", "recur 5", "amend 0 0, grant 5 0", "issued 5"),
    ("recur 5 as=r", "stop_rule r", "amend 0 0", ""),
    ("recur 5 rollover_cap=2; at +1d", "settle", "rollover 0 0, expire -3 0, grant 5 0", "issued 5, expired 3"),
    ("grant 5", "block target=account:user:u1", "amend 0 0", ""),
    ("", "set_credit_limit 5", "amend 0 0", ""),
    ("", "set_low_balance low_balance.below=1 low_balance.recovered_from=1", "amend 0 0", ""),
    ("set_credit_limit 5", "charge 2", "charge -2 0", "consumed 2"),
    ("set_credit_limit 5; hold 2 as=h; grant 5", "capture h 2", "release 2 -2, hold -2 2, capture 0 -2", "consumed 2"),
    ("set_credit_limit 5; charge 2 as=c; grant 2", "refund ledger_id=@c", "reissue 2 0", "consumed -2"),
    ("grant 5", "settle idempotency_key=k", "", ""),
    ("grant 5", "erase_text", "", ""),
];

#[test]
fn each_kind_of_entry_moves_what_its_contra_account_says() {
    for (given, when, entries, contra) in MOVES {
        let mut books = Books::new(given);
        let before = books.totals();
        books.give(when);
        let last = books.last();
        assert_eq!((lines(&last.entries).as_str(), moved(before, books.totals()).as_str()), (*entries, *contra), "{given}; {when}");
        soundness::check(&books.image().unwrap()).unwrap_or_else(|why| panic!("{given}; {when}: {why}"));
    }
}

#[test]
fn the_entries_of_an_account_add_up_to_its_balance() {
    for (given, when, ..) in MOVES {
        let books = Books::new(&format!("{given}; {when}"));
        let (entries, account) = (books.entries(), books.image().unwrap().facts.account);
        let (mut available, mut frozen) = (Amount::ZERO, Amount::ZERO);
        for (entry, seq) in entries.iter().zip(1..) {
            available = available.checked_add(entry.change).unwrap();
            frozen = frozen.checked_add(entry.frozen_change).unwrap();
            assert_eq!((entry.seq, entry.balance_after, entry.frozen_after), (seq, available, frozen), "{given}; {when}");
        }
        assert_eq!((account.available, account.frozen), (available, frozen), "{given}; {when}");
    }
}

/// Seconds from the beginning.
fn second(at: Timestamp) -> i64 {
    (at.micros() - BEGINNING.parse::<Timestamp>().unwrap().micros()) / 1_000_000
}

#[test]
fn what_is_due_is_booked_in_the_order_in_which_it_came_due() {
    // given, then: kind, change and instant of each entry before that of the charge
    let cases: &[(&str, &str)] = &[
        (
            "grant 9; grant 3 effective_at=+30; hold 1 expire_in=40; hold 2 expire_in=10; grant 4 type=trial expires_at=+20",
            "release 2 10, expire -4 20, grant 3 30, release 1 40",
        ),
        // At one instant: what comes back, what ends, what begins, what recurs.
        (
            "grant 9; recur 1 starts_at=+60; grant 3 effective_at=+60; grant 4 type=trial expires_at=+60; hold 1 expire_in=60",
            "release 1 60, expire -4 60, grant 3 60, grant 1 60",
        ),
        // What comes back to a grant that has ended ends with it, when it comes back.
        ("grant 9; grant 4 type=trial expires_at=+20; hold 4 expire_in=50", "release 4 50, expire -4 50"),
        ("grant 9; grant 4 type=trial as=g; hold 4 expire_in=50; void g", "release 4 50, void -4 50"),
        // Grants that end at one instant end in one entry.
        ("grant 9; grant 4 type=trial expires_at=+20; grant 5 type=trial expires_at=+20", "expire -9 20"),
        ("grant 9", ""),
    ];
    for (given, then) in cases {
        let mut books = Books::new(given);
        books.give("wait 100; charge 1");
        let last = books.last();
        let settled = usize::from(last.operation.settled_count);
        let due = |entry: &Entry| format!("{} {} {}", entry.kind, entry.change, second(entry.effective_at));
        let found: Vec<String> = last.entries[..settled].iter().map(due).collect();
        assert_eq!(found.join(", "), *then, "{given}");
        assert_eq!(last.entries[settled..].iter().map(due).collect::<Vec<_>>(), ["charge -1 100"], "{given}");
        assert!(last.entries.iter().all(|entry| second(entry.created_at) == 100), "{given}: booked by the charge");
    }
}

#[test]
fn holds_that_end_at_one_instant_end_in_the_order_of_their_ids() {
    let mut books = Books::new("grant 9; hold 1 expire_in=60; hold 2 expire_in=60; hold 3 expire_in=60");
    let mut made: Vec<_> = books.entries().iter().filter_map(|entry| entry.hold_id).collect();
    made.sort_unstable();
    books.give("wait 60; settle");
    assert_eq!(books.last().entries.iter().filter_map(|entry| entry.hold_id).collect::<Vec<_>>(), made);
}

#[test]
fn an_entry_says_for_what_and_for_whom() {
    let mut books = Books::new("grant 20 reason=paid operator=ops as=g");
    let work = "task_id=t template_id=a app_id=x user_id=u2";
    books.give(&format!("charge 2 {work} reason=call metadata={{\"n\":1}} as=c"));
    books.give("refund ledger_id=@c user_id=u3");
    books.give(&format!("hold 4 {work} expire_in=3600 reason=start as=h"));
    books.give("extend h expire_in=4000; capture h 1 final=false idempotency_key=k; release h 1 idempotency_key=l; capture h 1");
    books.give("hold 1 task_id=v template_id=a app_id=x user_id=u2 expire_in=60; wait 60; settle; adjust -1; adjust 1");
    let said = |entry: &Entry| {
        let text = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
        let work = [
            entry.task_id.as_ref().map(ToString::to_string),
            entry.template_id.as_ref().map(ToString::to_string),
            entry.app_id.as_ref().map(ToString::to_string),
            entry.text.user_id.as_ref().map(ToString::to_string),
            entry.text.operator.as_ref().map(ToString::to_string),
            entry.text.reason.as_deref().map(str::to_owned),
        ];
        format!("{}: {}", entry.kind, work.map(text).join(" "))
    };
    let found: Vec<String> = books.entries().iter().map(said).collect();
    assert_eq!(
        found,
        [
            "grant: - - - - ops paid",
            "charge: t a x u2 - call",
            "refund: t a x u3 ops test",
            "hold: t a x u2 - start",
            "extend: t a x u2 - -",
            "capture: t a x u2 - -",
            "release: t a x u2 - -",
            "capture: t a x u2 - -",
            "release: t a x u2 - -",
            "hold: v a x u2 - -",
            "release: v a x u2 - -",
            "adjust: - - - - ops test",
            "adjust: - - - - ops test",
        ]
    );
    assert_eq!(serde_json::to_value(books.entries()[1].text.metadata.as_deref()).unwrap()["n"], 1);
}

#[test]
fn the_entry_that_makes_something_defines_it_whole() {
    let books = Books::new(
        "grant 20 type=plan expires_at=+90 scope.app_id=x scope.template_id=a priority=3 policy_tag=p;
         hold 4 task_id=t template_id=a app_id=x user_id=u2 scene=s price_basis=b policy_tag=p over_capture=draw late_commit=draw;
         charge 1 app_id=x template_id=a price_basis=b2; recur 2 rollover_cap=1 zone=Europe/Berlin ends_at=+9d priority=2",
    );
    let entries = books.entries();
    let json = |at: usize| serde_json::to_value(entries[at].terms.as_ref().unwrap()).unwrap();
    let has = |at: usize, of: &str, expected: serde_json::Value| {
        let (found, terms) = (json(at), &json(at)[of]["terms"]);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&terms[name], value, "{name} in {found}");
        }
    };
    has(
        0,
        "grant",
        serde_json::json!({"type": "plan", "amount": "20", "effective_at": "2026-01-01T00:00:00.000000Z", "priority": 3,
            "scope": {"app_id": "x", "template_id": "a"}, "policy_tag": "p"}),
    );
    has(
        1,
        "hold",
        serde_json::json!({"amount": "4", "task_id": "t", "template_id": "a", "app_id": "x", "scene": "s", "price_basis": "b",
            "policy_tag": "p", "over_capture": "draw", "late_commit": "draw", "created_at": "2026-01-01T00:00:00.000000Z"}),
    );
    assert!(matches!(&entries[2].terms, Some(Terms::Price { price_basis, .. }) if price_basis.as_str() == "b2"));
    has(
        3,
        "rule",
        serde_json::json!({"type": "plan", "amount": "2", "every": {"days": 1}, "rollover_cap": "1", "zone": "Europe/Berlin",
            "ends_at": "2026-01-10T00:00:00.000000Z", "priority": 2}),
    );
    // And it is what is read, the user included, who stands in the text.
    let (hold_id, tenant_id) = (entries[1].hold_id.unwrap(), "acme".parse().unwrap());
    let hold = books.bank.engine.hold(&tenant_id, hold_id).unwrap().1;
    assert_eq!((hold.terms.price_basis.as_ref().unwrap().as_str(), hold.terms.user_id.as_ref().unwrap().as_str()), ("b", "u2"));
}

#[test]
fn an_operation_says_who_asked_and_under_which_key() {
    let mut books = Books::new("grant 9 policy_tag=p actor=a1 request_id=r1 idempotency_key=k1");
    books.give("hold 4 policy_tag=q actor=a2 request_id=r2 as=h; capture h 3 actor=a3 as=c; refund ledger_id=@c; charge 1");
    books.give("block target=user:u9 actor=a4 request_id=r4; try charge 99 actor=a5 request_id=r5 idempotency_key=k5 remember_denials=true");
    let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let said = |stored: &Arc<StoredOperation>| {
        let operation = &stored.operation;
        let parts = [
            operation.key.as_ref().map(ToString::to_string),
            operation.actor.as_ref().map(ToString::to_string),
            operation.request_id.as_ref().map(ToString::to_string),
            operation.policy_tag.as_ref().map(ToString::to_string),
        ];
        format!("{} {}: {}", stored.position, operation.kind, parts.map(text).join(" "))
    };
    let found: Vec<String> = books.feed().iter().map(said).collect();
    assert_eq!(
        found,
        [
            "1 grant: k1 a1 r1 p",
            "2 hold: - a2 r2 q",
            "3 capture: - a3 - q",
            "4 refund: - - - q",
            "5 charge: - - - -",
            "6 block: - a4 r4 -",
            "7 charge: k5 a5 r5 -"
        ]
    );
}

#[test]
fn where_the_pool_pays_the_user_is_recorded() {
    let policy = TenantPolicy { payer: Payer::Tenant, ..TenantPolicy::default() };
    let books = Books::under(policy, "grant 9 owner=pool; charge 1 payer=- user_id=u7; hold 1 payer=- user_id=u7");
    for stored in &books.feed()[1..] {
        let entry = &stored.entries[0];
        assert_eq!((entry.account.owner.to_string(), entry.text.user_id.as_ref().unwrap().as_str()), ("pool".into(), "u7"));
    }
}

#[test]
fn a_page_has_1_to_1000_entries() {
    let books = Books::new("grant 9; charge 1; charge 1");
    for scope in [EntryScope::Account(key()), EntryScope::Tenant("acme".parse().unwrap())] {
        let page = |limit| books.bank.engine.entries(EntryQuery { limit, ..EntryQuery::new(scope.clone()) });
        for (limit, entries) in [(1, 1), (2, 2), (1_000, 3)] {
            assert_eq!(page(limit).unwrap().entries.len(), entries);
        }
        for limit in [0, 1_001] {
            let refused = page(limit).unwrap_err();
            let denial = refused.denial().unwrap();
            assert_eq!((denial.name(), &denial.details()["field"]), ("payload_invalid", &"limit".into()), "{limit}");
        }
    }
}

#[test]
fn a_preview_answers_as_the_command_would_and_books_nothing() {
    let given = "grant 9 expires_at=+900 as=g; hold 4 as=h; charge 1 as=c; wait 1";
    let by = r#""tenant_id": "acme", "operator": "ops", "reason": "r""#;
    let commands = [
        format!(r#"{{"command": "grant", {by}, "owner": "user:u1", "type": "trial", "amount": 1}}"#),
        format!(r#"{{"command": "void", {by}, "grant_id": "GRANT"}}"#),
        format!(r#"{{"command": "adjust", {by}, "owner": "user:u1", "amount": -1}}"#),
        format!(r#"{{"command": "refund", {by}, "payer": "user:u1", "ledger_id": "CHARGE"}}"#),
        format!(r#"{{"command": "block", {by}, "target": {{"account": {{"owner": "user:u1"}}}}}}"#),
        format!(r#"{{"command": "set_credit_limit", {by}, "owner": "user:u1", "credit_limit": 1}}"#),
        format!(r#"{{"command": "erase_text", {by}, "owner": "user:u1"}}"#),
        r#"{"command": "hold", "tenant_id": "acme", "payer": "user:u1", "amount": 1, "task_id": "t"}"#.to_owned(),
        r#"{"command": "capture", "tenant_id": "acme", "hold_id": "HOLD", "actual_cost": 1}"#.to_owned(),
        r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": 1, "idempotency_key": "k"}"#.to_owned(),
        r#"{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": 99}"#.to_owned(),
    ];
    for json in commands {
        let books = Books::new(given);
        let made = books.entries();
        let json = json.replace("GRANT", &made[0].grant_id.unwrap().to_string());
        let json = json.replace("HOLD", &made[1].hold_id.unwrap().to_string()).replace("CHARGE", &made[2].ledger_id().to_string());
        let read = || Command::from_json(&json).unwrap();
        let (feed, image) = (books.feed(), format!("{:?}", books.image()));
        let previewed = books.bank.engine.preview(read());
        assert_eq!((books.feed(), format!("{:?}", books.image())), (feed, image), "{json}");
        match (previewed, books.bank.engine.run(read())) {
            (Ok(previewed), Ok(answer)) => assert_eq!(lines(previewed.entries()), lines(answer.entries()), "{json}"),
            (previewed, answer) => assert_eq!(previewed.unwrap_err(), answer.unwrap_err(), "{json}"),
        }
    }
}
