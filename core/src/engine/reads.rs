//! Questions to the books. What has become due is settled in the answer, and booked by the next write or sweep.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::amount::Amount;
use crate::credit::{self, Band, Explanation, Grant, GrantState, Hold, HoldState, Rule};
use crate::denial::{Denial, DenialKind};
use crate::error::{Error, Failure};
use crate::facts::{Account, AccountFacts};
use crate::id::{AppId, GrantId, HoldId, IdempotencyKey, TemplateId, TenantId, Unit};
use crate::ledger::{Draw, EntryPage, EntryQuery, EntryScope, MAX_PAGE, StoredOperation};
use crate::owner::AccountKey;
use crate::settle;
use crate::store::{Answer, EntriesAt, Query};
use crate::time::Timestamp;

/// What an account has at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Balance {
    /// What can be drawn.
    pub available: Amount,
    /// What open holds keep.
    pub frozen: Amount,
    /// The version of the account: the sequence number of the last entry that is booked, 0 before the first. What has become
    /// due and is not booked does not count.
    pub version: u64,
    /// How far the balance may go below zero. None at a past instant: what was booked by then does not tell.
    pub credit_limit: Option<Amount>,
    /// What was consumed on the credit limit and is not repaid. None at a past instant: what was booked by then does not tell.
    pub owed: Option<Amount>,
    /// Where the balance stands by its low-balance threshold. None at a past instant: what was booked by then does not tell.
    pub band: Option<Band>,
    /// What is counted.
    pub unit: Unit,
    /// The instant.
    pub as_of: Timestamp,
}

/// How often an account is read again because it was booked between two reads.
pub(super) const MAX_READS: usize = 16;

/// Takes the answer to a question out of the answers to all.
macro_rules! ask {
    ($engine:ident, $name:ident, $query:expr) => {
        match $engine.ask(&$query) {
            Ok(Answer::$name(answer)) => Ok(answer),
            Ok(_) => Err(Failure::from(Error::Store("the store answered another question".to_owned()))),
            Err(failure) => Err(failure),
        }
    };
}
pub(super) use ask;

impl Engine {
    /// The balance of an account now. An account that never had an entry has zeros.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    pub fn balance(&self, account: &AccountKey) -> Result<Balance, Failure> {
        let (facts, now) = self.settled(account)?;
        Ok(balance_of(facts.as_ref().map(|facts| &facts.account), account, now))
    }

    /// The balance of an account at an instant, as the books say today: what was booked by then, and the settlements that were
    /// effective by then. For an instant to come: what will be left if nothing but time happens.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use drawdown::{AccountKey, Context, Engine, GrantCredit, GrantType, ManualClock, Owner};
    /// let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    /// let engine = Engine::builder().clock(clock).build()?;
    /// let user = Owner::user("u1")?;
    /// let mut trial = GrantCredit::new(user.clone(), GrantType::Trial, "10".parse()?);
    /// trial.expires_at = Some("2026-01-08T00:00:00Z".parse()?);
    /// engine.execute(Context::tenant("acme")?.request(trial))?;
    /// let account = AccountKey::new("acme".parse()?, user, "credit".parse()?);
    /// let available = |at: &str| engine.balance_at(&account, at.parse().unwrap()).unwrap().available.to_string();
    /// assert_eq!(available("2025-12-31T23:59:59Z"), "0");
    /// assert_eq!(available("2026-01-01T00:00:00Z"), "10");
    /// assert_eq!(available("2026-01-08T00:00:00Z"), "0"); // if nothing but time happens
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn balance_at(&self, account: &AccountKey, at: Timestamp) -> Result<Balance, Failure> {
        for _ in 0..MAX_READS {
            let Some(entries) = ask!(self, EntriesAt, Query::EntriesAt(account.clone(), at))? else {
                return Ok(balance_of(None, account, at));
            };
            if entries.superseded {
                return booked_balance(&entries, account, at);
            }
            let facts = ask!(self, Account, Query::Account(account.clone(), at))?;
            let booked = facts.as_ref().map_or(0, |facts| facts.account.seq);
            if entries.last.as_ref().map_or(0, |entry| entry.seq) == booked {
                let settled = facts.map(|facts| settle::read(&facts, at)).transpose()?;
                return Ok(balance_of(settled.as_ref().map(|facts| &facts.account), account, at));
            }
        }
        Err(restless(account))
    }

    /// The open grants of an account, in the order of consumption.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{AccountKey, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let account = AccountKey::new("acme".parse()?, user.clone(), "credit".parse()?);
    /// engine.execute(acme.request(GrantCredit::new(user, GrantType::Trial, "5".parse()?)))?;
    /// let order: Vec<GrantType> = engine.grants(&account)?.iter().map(|grant| grant.terms.grant_type).collect();
    /// assert_eq!(order, [GrantType::Trial, GrantType::Purchased]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grants(&self, account: &AccountKey) -> Result<Vec<Grant>, Failure> {
        let (facts, _) = self.settled(account)?;
        let order = &self.policy(&account.tenant_id).consumption_order;
        let mut grants: Vec<Grant> =
            facts.into_iter().flat_map(|facts| facts.grants.into_values()).filter(Grant::is_open).collect();
        grants.sort_by_cached_key(|grant| order.key(grant));
        Ok(grants)
    }

    /// The rules that run in an account, the first made first, each with its next boundary.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, Every, GrantType, Owner, RecurGrant};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// let daily = RecurGrant::new(user.clone(), GrantType::Plan, "5".parse()?, Every::Days(1));
    /// let made = engine.execute(acme.request(daily))?;
    /// let rules = engine.rules(&acme.account(user, "credit")?)?;
    /// assert_eq!((rules[0].id, rules[0].next, Some(rules[0].next_at)), (made.rule_id, 1, made.next_at));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rules(&self, account: &AccountKey) -> Result<Vec<Rule>, Failure> {
        let (facts, _) = self.settled(account)?;
        Ok(facts.into_iter().flat_map(|facts| facts.rules.into_values()).collect())
    }

    /// From which grants an amount would be drawn now, and why in that order.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{AccountKey, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let account = AccountKey::new("acme".parse()?, user, "credit".parse()?);
    /// let covered = engine.explain(&account, "4".parse()?, None, None)?;
    /// assert_eq!((covered.grants[0].take.to_string(), covered.missing.to_string()), ("4".into(), "0".into()));
    /// let too_much = engine.explain(&account, "12".parse()?, None, None)?;
    /// assert_eq!(too_much.missing.to_string(), "2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(
        &self,
        account: &AccountKey,
        amount: Amount,
        app: Option<&AppId>,
        template: Option<&TemplateId>,
    ) -> Result<Explanation, Failure> {
        let (facts, now) = self.settled(account)?;
        let facts = facts.unwrap_or_else(|| AccountFacts::new(Arc::new(account.clone())));
        let explanation = credit::explain(&facts, self.policy(&account.tenant_id), amount, app, template, now);
        Ok(Explanation { blocked: self.blocks(account, None)?, ..explanation })
    }

    /// A hold as it stands now, and its account. One past its expiry has released what it kept.
    ///
    /// # Errors
    /// `pre_deduct_not_found`.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner, PlaceHold};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let placed = engine.execute(acme.request(PlaceHold::new(user, "4".parse()?)))?;
    /// let (account, hold) = engine.hold(&acme.tenant_id, placed.hold_id)?;
    /// assert_eq!((account.owner.to_string(), hold.held().to_string()), ("user:u1".into(), "4".into()));
    /// let foreign = engine.hold(&"other".parse()?, placed.hold_id).unwrap_err();
    /// assert_eq!(foreign.denial().unwrap().name(), "pre_deduct_not_found");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hold(&self, tenant_id: &TenantId, hold_id: HoldId) -> Result<(Arc<AccountKey>, Hold), Failure> {
        let found = ask!(self, Hold, Query::Hold(tenant_id.clone(), hold_id))?;
        let (account, mut hold) = found.ok_or_else(|| not_found(DenialKind::PreDeductNotFound, "hold", &hold_id.to_string()))?;
        if hold.state != hold.state_at(self.now()) {
            hold.state = HoldState::Expired;
            hold.draw = Draw::default();
        }
        Ok((account, hold))
    }

    /// A grant as it stands now, open or not, and its account.
    ///
    /// # Errors
    /// `grant_not_found`.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let granted = engine.execute(acme.request(GrantCredit::new(user, GrantType::Trial, "5".parse()?)))?;
    /// let (_, grant) = engine.grant(&acme.tenant_id, granted.grant_id)?;
    /// assert_eq!(grant.remaining.to_string(), "5");
    /// let foreign = engine.grant(&"other".parse()?, granted.grant_id).unwrap_err();
    /// assert_eq!(foreign.denial().unwrap().name(), "grant_not_found");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grant(&self, tenant_id: &TenantId, grant_id: GrantId) -> Result<(Arc<AccountKey>, Grant), Failure> {
        let found = ask!(self, Grant, Query::Grant(tenant_id.clone(), grant_id))?;
        let (account, grant) = found.ok_or_else(|| not_found(DenialKind::GrantNotFound, "grant", &grant_id.to_string()))?;
        if !grant.is_open() {
            return Ok((account, grant));
        }
        let (facts, now) = self.settled(&account)?;
        let open = facts.and_then(|mut facts| facts.grants.remove(&grant_id));
        // What settling has ended, or what ended between the two reads, has nothing left; it began before it ended.
        let began = grant.state == GrantState::Pending && grant.terms.effective_at <= now;
        let state = if began { GrantState::Active } else { grant.state };
        Ok((account, open.unwrap_or(Grant { remaining: Amount::ZERO, held: Amount::ZERO, state, ..grant })))
    }

    /// The operation that was accepted under a key, if there is one.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// engine.execute(acme.key("call-1")?.request(Charge::new(user, "4".parse()?)))?;
    /// let found = engine.operation_by_key(&acme.tenant_id, &"call-1".parse()?)?.unwrap();
    /// assert_eq!(found.entries[0].change.to_string(), "-4");
    /// assert!(engine.operation_by_key(&acme.tenant_id, &"call-2".parse()?)?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn operation_by_key(&self, tenant_id: &TenantId, key: &IdempotencyKey) -> Result<Option<Arc<StoredOperation>>, Failure> {
        ask!(self, OperationByKey, Query::OperationByKey(tenant_id.clone(), key.clone()))
    }

    /// A page of entries.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000; `account_not_found` for an account that never had an entry.
    ///
    /// # Examples
    /// ```
    /// use drawdown::ledger::{EntryQuery, EntryScope, PageOrder};
    /// use drawdown::{AccountKey, Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let account = AccountKey::new("acme".parse()?, user.clone(), "credit".parse()?);
    /// engine.execute(acme.request(Charge::new(user, "4".parse()?)))?;
    /// let mut query = EntryQuery { order: PageOrder::Asc, limit: 1, ..EntryQuery::new(EntryScope::Account(account)) };
    /// let first = engine.entries(query.clone())?;
    /// assert_eq!(first.entries[0].change.to_string(), "10");
    /// query.cursor = first.next_cursor;
    /// assert_eq!(engine.entries(query.clone())?.entries[0].change.to_string(), "-4");
    /// query.limit = 1_001;
    /// assert_eq!(engine.entries(query).unwrap_err().denial().unwrap().name(), "payload_invalid");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&self, query: EntryQuery) -> Result<EntryPage, Failure> {
        query.check()?;
        let page = ask!(self, Entries, Query::Entries(query.clone()))?;
        if let EntryScope::Account(account) = &query.scope
            && page.entries.is_empty()
            && ask!(self, Account, Query::Account(account.clone(), self.now()))?.is_none()
        {
            return Err(Denial::no_account(account).into());
        }
        Ok(page)
    }

    /// Operations after a position of the feed, of one tenant or of all, in the order of the feed. Nothing ever appears
    /// behind a position that was handed out.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// engine.execute(acme.request(Charge::new(user, "4".parse()?)))?;
    /// let mut position = 0; // of the last operation whose effect is kept
    /// while let Some(last) = engine.feed(None, position, 500)?.last() {
    ///     position = last.position;
    /// }
    /// assert_eq!(engine.feed(None, 0, 500)?.len(), 2);
    /// assert!(engine.feed(None, position, 500)?.is_empty());
    /// assert!(engine.feed(None, position, 1_001).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn feed(&self, tenant_id: Option<&TenantId>, after: u64, limit: usize) -> Result<Vec<Arc<StoredOperation>>, Failure> {
        check_limit(limit)?;
        ask!(self, Feed, Query::Feed { tenant_id: tenant_id.cloned(), after, limit })
    }

    /// Accounts of all tenants after this one, in their order.
    ///
    /// # Errors
    /// `payload_invalid` for a limit outside 1 to 1,000.
    pub fn accounts(&self, after: Option<&AccountKey>, limit: usize) -> Result<Vec<AccountKey>, Failure> {
        check_limit(limit)?;
        ask!(self, Accounts, Query::Accounts(after.cloned(), limit))
    }

    /// An account settled now; `None` if it never had an entry.
    pub(super) fn settled(&self, account: &AccountKey) -> Result<(Option<AccountFacts>, Timestamp), Failure> {
        let mut now = self.now();
        for _ in 0..MAX_READS {
            let Some(facts) = ask!(self, Account, Query::Account(account.clone(), now))? else {
                return Ok((None, now));
            };
            // The clock may be a little behind the last booking; then the account is asked for at that instant.
            if facts.account.last_at <= now {
                return Ok((Some(settle::read(&facts, now)?), now));
            }
            now = facts.account.last_at;
        }
        Err(restless(account))
    }

    /// Asks the store, again after contention until the deadline.
    pub(super) fn ask(&self, query: &Query) -> Result<Answer, Failure> {
        self.check_open()?;
        let answer = self.inner.lane.bench.ask(query, self.deadline());
        answer.map_err(|error| Error::from(error).into())
    }

    /// Refuses to read for a closed engine, or in a process that was forked from its own.
    pub(super) fn check_open(&self) -> Result<(), Failure> {
        let lane = &self.inner.lane;
        lane.check_process()?;
        if lane.is_open() { Ok(()) } else { Err(Error::Closed.into()) }
    }
}

fn balance_of(account: Option<&Account>, key: &AccountKey, as_of: Timestamp) -> Balance {
    let (available, frozen) = account.map_or((Amount::ZERO, Amount::ZERO), |account| (account.available, account.frozen));
    let standing = account.map(|account| account.standing).unwrap_or_default();
    Balance {
        available,
        frozen,
        version: account.map_or(0, |account| account.seq),
        credit_limit: Some(standing.credit_limit),
        owed: Some(standing.debt.owed),
        band: Some(standing.band),
        unit: key.unit.clone(),
        as_of,
    }
}

/// The balance after the last entry booked by `as_of`, moved by the settlements booked later that were effective by then.
fn booked_balance(entries: &EntriesAt, key: &AccountKey, as_of: Timestamp) -> Result<Balance, Failure> {
    let last = entries.last.as_ref();
    let mut balance = Balance { credit_limit: None, owed: None, band: None, ..balance_of(None, key, as_of) };
    balance.available = last.map_or(Amount::ZERO, |entry| entry.balance_after);
    balance.frozen = last.map_or(Amount::ZERO, |entry| entry.frozen_after);
    balance.version = last.map_or(0, |entry| entry.seq);
    for entry in &entries.settlements {
        let (available, frozen) = (balance.available.checked_add(entry.change), balance.frozen.checked_add(entry.frozen_change));
        let beyond = || Error::Corrupt(format!("the settlements of `{key}` go beyond what an amount can be"));
        balance.available = available.ok_or_else(beyond)?;
        balance.frozen = frozen.ok_or_else(beyond)?;
    }
    Ok(balance)
}

pub(super) fn check_limit(limit: usize) -> Result<(), Denial> {
    if (1..=MAX_PAGE).contains(&limit) { Ok(()) } else { Err(Denial::invalid("limit", limit, "1 to 1000")) }
}

pub(super) fn not_found(kind: DenialKind, what: &str, id: &str) -> Failure {
    Denial::new(kind, format!("there is no {what} `{id}`")).with("given", id).into()
}

pub(super) fn restless(what: &dyn fmt::Display) -> Failure {
    Error::Busy(format!("`{what}` was booked each time while it was read")).into()
}
