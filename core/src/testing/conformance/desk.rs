//! What the cases have in common: names, amounts, and a desk at which they book.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Subject;
use crate::amount::Amount;
use crate::changes::Changes;
use crate::credit::{LimitPeriod, Member, PeriodUse, Role};
use crate::facts::{AccountFacts, Facts, Needs, SubjectRow};
use crate::id::{GrantId, HoldId, LedgerId, TaskId, TenantId};
use crate::ledger::{EntryPage, EntryQuery, OperationKind, PageOrder, StoredOperation};
use crate::licence::{Channel, DayUse, Licence, LicenceKey, LicenceTerms};
use crate::owner::{AccountKey, MemberKey};
use crate::risk::{Arrival, RiskCount, RiskKey, Velocity, VelocityUse};
use crate::store::{Answer, Query, Store, StoreError};
use crate::testing::scripted::{Draft, ScriptedBatch};
use crate::time::{Clock, ManualClock, Timestamp};

/// Tries at a store under contention before a case gives up.
const MAX_TRIES: u32 = 1_000;

/// So many units.
pub(super) fn units(units: i64) -> Amount {
    Amount::from_units(units).unwrap()
}

/// The id that this text is.
pub(super) fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(super) fn tenant() -> TenantId {
    id("t1")
}

/// A user's account in a tenant.
pub(super) fn account_of(tenant_id: &str, user: &str) -> AccountKey {
    AccountKey::new(id(tenant_id), id(&format!("user:{user}")), id("credit"))
}

/// A user's account in the tenant `t1`.
pub(super) fn account(user: &str) -> AccountKey {
    account_of("t1", user)
}

/// The instant so many seconds after the cases begin.
pub(super) fn second(seconds: i64) -> Timestamp {
    id::<Timestamp>("2026-01-01T00:00:00Z").plus_seconds(seconds).unwrap()
}

/// The need of one account.
pub(super) fn needs_account(key: &AccountKey) -> Needs {
    Needs { accounts: vec![key.clone()], ..Needs::default() }
}

/// A user as a member of the organization `o`.
pub(super) fn member_key(user: &str) -> MemberKey {
    MemberKey::new(tenant(), id("o"), id(user))
}

/// A row with something of its own in every column.
pub(super) fn member(last_at: Timestamp) -> Member {
    Member {
        role: Some(Role::Admin),
        unit: id("UC"),
        limit: Some((units(7), LimitPeriod::Month)),
        day: PeriodUse { from: second(1), used: units(2) },
        month: PeriodUse { from: second(3), used: units(4) },
        last_at,
    }
}

pub(super) fn licence_key(licence: &str) -> LicenceKey {
    LicenceKey::new(tenant(), id(licence))
}

/// A row with something of its own in every column.
pub(super) fn licence(template: &str, user: Option<&str>, last_at: Timestamp) -> Licence {
    Licence {
        terms: LicenceTerms {
            template_id: id(template),
            user_id: user.map(id),
            channels: [Channel::Creator, Channel::External].into(),
            valid_from: Some(second(1)),
            valid_until: Some(second(2)),
            total_quota: Some(30),
            daily_quota: Some(4),
            zone: id("Asia/Shanghai"),
            required_documents: [id("consent"), id("contract, signed")].into(),
            policy_tag: Some(id("strict")),
        },
        submitted_documents: [id("consent")].into(),
        revoked_at: Some(second(5)),
        used: 9,
        reserved: 6,
        day: DayUse { from: second(7), until: second(8), used: 5 },
        last_at,
    }
}

/// A licence with all that can be absent absent.
pub(super) fn bare_licence(template: &str, last_at: Timestamp) -> Licence {
    let full = licence(template, None, last_at);
    let terms = LicenceTerms {
        channels: [Channel::Viewer].into(),
        valid_from: None,
        valid_until: None,
        total_quota: None,
        daily_quota: None,
        required_documents: [].into(),
        policy_tag: None,
        ..full.terms
    };
    let day = DayUse { used: 0, ..full.day };
    Licence { terms, submitted_documents: [].into(), revoked_at: None, used: 0, reserved: 0, day, ..full }
}

pub(super) fn risk_key(user: &str) -> RiskKey {
    RiskKey::of_work(&account(user), None, Some(&id("app")))
}

/// A row with something of its own in every column.
pub(super) fn risk_count(last_at: Timestamp) -> RiskCount {
    let velocity = [Velocity::count(3, 60), Velocity::units(units(4), 3_600)];
    let arrival = Arrival { at: second(9), rest: u64::MAX };
    RiskCount {
        day_from: second(1),
        used: units(2),
        count: 3,
        reserved: 4,
        velocity: velocity.map(|rule| VelocityUse { rule, arrival }).to_vec(),
        alerted_at: Some(second(5)),
        last_at,
    }
}

/// A tenant or user that is blocked.
pub(super) fn blocked(last_at: Timestamp) -> SubjectRow {
    SubjectRow { is_blocked: true, since: second(-5), last_at }
}

/// Counts a writer out however it ends, so that whoever reads until all have ended ends too, and the case fails.
pub(super) struct Ended<'a>(pub(super) &'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A clock and a store: what is booked here is booked by the clock.
pub(super) struct Desk {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: ManualClock,
}

impl Desk {
    /// At the subject's store, at second 0.
    pub(super) fn new(subject: &Subject) -> Desk {
        Desk { store: subject.store(), clock: ManualClock::at(second(0)) }
    }

    /// Sets the clock.
    pub(super) fn at(&self, seconds: i64) -> &Desk {
        self.clock.set(second(seconds));
        self
    }

    /// Runs a batch once.
    pub(super) fn try_run(&self, needs: Needs, decide: impl FnMut(Facts) -> Vec<Changes>) -> Result<(), StoreError> {
        self.store.run(&mut ScriptedBatch::new(needs, &self.clock, decide))
    }

    /// Runs a batch until it is committed, as the engine does.
    pub(super) fn run(&self, needs: Needs, decide: impl FnMut(Facts) -> Vec<Changes>) {
        run(&*self.store, &self.clock, needs, decide);
    }

    /// Loads facts.
    pub(super) fn facts(&self, needs: Needs) -> Facts {
        let mut loaded = None;
        self.run(needs, |facts| {
            loaded = Some(facts);
            Vec::new()
        });
        loaded.unwrap()
    }

    /// Books one operation in an account.
    pub(super) fn book(&self, key: &AccountKey, kind: OperationKind, draw_up: impl Fn(Draft) -> Draft) -> Changes {
        self.book_with(needs_account(key), key, kind, draw_up)
    }

    /// Books one operation in an account, from more than the account.
    pub(super) fn book_with(
        &self,
        mut needs: Needs,
        key: &AccountKey,
        kind: OperationKind,
        draw_up: impl Fn(Draft) -> Draft,
    ) -> Changes {
        if !needs.accounts.contains(key) {
            needs.accounts.push(key.clone());
        }
        let mut booked = None;
        self.run(needs, |facts| {
            let changes = draw_up(Draft::of(&facts, key, kind)).done();
            booked = Some(changes.clone());
            vec![changes]
        });
        booked.unwrap()
    }

    /// Grants so many units for ever.
    pub(super) fn grant(&self, key: &AccountKey, amount: i64) -> GrantId {
        self.book(key, OperationKind::Grant, |draft| draft.grant(units(amount), None)).new_grants[0].id
    }

    /// Holds so many units of a grant until a second.
    pub(super) fn hold(&self, key: &AccountKey, grant: GrantId, amount: i64, until: i64, task: Option<&TaskId>) -> HoldId {
        let needs =
            Needs { tasks: task.map(|task| (key.tenant_id.clone(), task.clone())).into_iter().collect(), ..Needs::default() };
        let book = |draft: Draft| draft.hold(grant, units(amount), second(until), task);
        self.book_with(needs, key, OperationKind::Hold, book).new_holds[0].id
    }

    /// Charges so many units of a grant.
    pub(super) fn charge(&self, key: &AccountKey, grant: GrantId, amount: i64, task: Option<&TaskId>) -> LedgerId {
        let needs =
            Needs { tasks: task.map(|task| (key.tenant_id.clone(), task.clone())).into_iter().collect(), ..Needs::default() };
        let book = |draft: Draft| draft.charge(grant, units(amount), task);
        self.book_with(needs, key, OperationKind::Charge, book).entries()[0].ledger_id()
    }

    /// Captures a hold.
    pub(super) fn capture(&self, key: &AccountKey, hold: HoldId) -> LedgerId {
        let needs = Needs { holds: vec![(key.tenant_id.clone(), hold)], ..Needs::default() };
        self.book_with(needs, key, OperationKind::Capture, |draft| draft.capture(hold)).entries()[0].ledger_id()
    }

    /// Answers a question.
    pub(super) fn ask(&self, query: &Query) -> Answer {
        ask(&*self.store, query)
    }

    /// An account at an instant.
    pub(super) fn account(&self, key: &AccountKey, at: Timestamp) -> Option<Box<AccountFacts>> {
        account_at(&*self.store, key, at)
    }

    /// A page of entries.
    pub(super) fn entries(&self, query: EntryQuery) -> EntryPage {
        match self.ask(&Query::Entries(query)) {
            Answer::Entries(page) => page,
            other => panic!("entries are answered by {other:?}"),
        }
    }

    /// Operations about a task beyond a position.
    pub(super) fn task_operations(
        &self,
        tenant_id: &TenantId,
        task_id: &TaskId,
        order: PageOrder,
        beyond: u64,
        limit: usize,
    ) -> Vec<Arc<StoredOperation>> {
        let (tenant_id, task_id) = (tenant_id.clone(), task_id.clone());
        match self.ask(&Query::TaskOperations { tenant_id, task_id, order, beyond, limit }) {
            Answer::TaskOperations(operations) => operations,
            other => panic!("operations of a task are answered by {other:?}"),
        }
    }

    /// Operations of all tenants after a position.
    pub(super) fn feed(&self, tenant_id: Option<TenantId>, after: u64, limit: usize) -> Vec<Arc<StoredOperation>> {
        feed(&*self.store, tenant_id, after, limit)
    }
}

/// Runs a batch until it is committed, as the engine does.
pub(super) fn run(store: &dyn Store, clock: &dyn Clock, needs: Needs, decide: impl FnMut(Facts) -> Vec<Changes>) {
    let mut batch = ScriptedBatch::new(needs, clock, decide);
    for _ in 0..MAX_TRIES {
        match store.run(&mut batch) {
            Ok(()) => return,
            Err(error) if error.is_transient() && !error.may_have_applied => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("the store failed: {error:?}"),
        }
    }
    panic!("the store was busy {MAX_TRIES} times");
}

/// Answers a question, however often the store is busy.
pub(super) fn ask(store: &dyn Store, query: &Query) -> Answer {
    for _ in 0..MAX_TRIES {
        match store.query(query) {
            Ok(answer) => return answer,
            Err(error) if error.is_transient() => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("the store failed: {error:?}"),
        }
    }
    panic!("the store was busy {MAX_TRIES} times");
}

/// An account at an instant.
pub(super) fn account_at(store: &dyn Store, key: &AccountKey, at: Timestamp) -> Option<Box<AccountFacts>> {
    match ask(store, &Query::Account(key.clone(), at)) {
        Answer::Account(account) => account,
        other => panic!("an account is answered by {other:?}"),
    }
}

/// Operations after a position.
pub(super) fn feed(store: &dyn Store, tenant_id: Option<TenantId>, after: u64, limit: usize) -> Vec<Arc<StoredOperation>> {
    match ask(store, &Query::Feed { tenant_id, after, limit }) {
        Answer::Feed(operations) => operations,
        other => panic!("the feed is answered by {other:?}"),
    }
}
