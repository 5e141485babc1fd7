//! The auditor's own ledger: what the feed showed, each operation once, each account recomputed entry by entry.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use drawdown::facts::Totals;
use drawdown::ledger::{AlertRule, ChainHash, Entry, EntryKind, OperationKind, StoredOperation};
use drawdown::store::{Answer, Query, Store};
use drawdown::testing::soundness;
use drawdown::{AccountKey, Amount, IdempotencyKey, OpId, TenantId, Timestamp};

use crate::compare::same;

/// Operations that are read at once.
const PAGE: usize = 500;

/// All that was accepted, in the order of the feed, and what must follow from it.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) operations: Vec<Arc<StoredOperation>>,
    places: HashMap<OpId, usize>,
    keys: HashSet<(TenantId, IdempotencyKey)>,
    /// The refusals that compliance was told of.
    told: HashSet<(TenantId, String)>,
    pages: HashMap<AccountKey, Page>,
}

/// An account as its entries say.
#[derive(Clone, Default)]
struct Page {
    seq: u64,
    head: ChainHash,
    available: i64,
    frozen: i64,
    totals: Sums,
}

/// The contra accounts, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    issued: i64,
    adjusted_in: i64,
    consumed: i64,
    expired: i64,
    forfeited: i64,
    adjusted_out: i64,
}

impl Ledger {
    /// Reads on in the feed; answers what is new that commands asked for. What compliance is told nobody asked for.
    pub(super) fn read_on(&mut self, books: &dyn Store) -> Result<Vec<Arc<StoredOperation>>, String> {
        let mut new = Vec::new();
        loop {
            let after = self.operations.last().map_or(0, |last| last.position);
            let page = feed(books, None, after, PAGE)?;
            for stored in &page {
                self.take(stored)?;
            }
            let is_last = page.len() < PAGE;
            new.extend(page.into_iter().filter(|stored| stored.operation.kind != OperationKind::Alert));
            if is_last {
                return Ok(new);
            }
        }
    }

    /// The feed from its beginning is what it showed bit by bit.
    pub(super) fn read_again(&self, books: &dyn Store) -> Result<(), String> {
        let mut after = 0;
        let mut known = self.operations.iter();
        loop {
            let page = feed(books, None, after, PAGE)?;
            for stored in &page {
                let expected = known.next().map(|known| (known.position, known.operation.op_id));
                same("the feed read again", Some((stored.position, stored.operation.op_id)), expected)?;
            }
            match page.last() {
                Some(last) => after = last.position,
                None => return same("operations that vanished from the feed", known.count(), 0),
            }
        }
    }

    /// The operation of this name.
    pub(super) fn find(&self, op_id: OpId) -> Option<&StoredOperation> {
        self.operations.get(*self.places.get(&op_id)?).map(|stored| &**stored)
    }

    /// Whether something took effect under this key.
    pub(super) fn has_key(&self, tenant_id: &TenantId, key: &IdempotencyKey) -> bool {
        self.keys.contains(&(tenant_id.clone(), key.clone()))
    }

    /// A sum of the last links of all chains.
    pub(super) fn heads(&self) -> u64 {
        let first = |page: &Page| page.head.0.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        self.pages.values().map(first).fold(0, u64::wrapping_add)
    }

    /// The accounts that were ever booked.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &AccountKey> {
        self.pages.keys()
    }

    /// The row of an account, its grants and its holds are what its entries say. Answers when it was last booked.
    pub(super) fn compare(&self, books: &dyn Store, key: &AccountKey) -> Result<Option<Timestamp>, String> {
        let image = match books.query(&Query::AccountImage(key.clone())) {
            Ok(Answer::AccountImage(image)) => image,
            other => return Err(format!("no image of {key}: {other:?}")),
        };
        let Some(image) = image else {
            return same(&format!("{key} has entries"), false, self.pages.contains_key(key)).map(|()| None);
        };
        soundness::check(&image).map_err(|why| format!("{key}: {why}"))?;
        let account = &image.facts.account;
        let page = self.pages.get(key).cloned().unwrap_or_default();
        same(&format!("seq of {key}"), account.seq, page.seq)?;
        same(&format!("head of {key}"), account.head, page.head)?;
        same(&format!("available of {key}"), account.available.micros(), page.available)?;
        same(&format!("frozen of {key}"), account.frozen.micros(), page.frozen)?;
        same(&format!("totals of {key}"), sums_of(&account.totals), page.totals)?;
        Ok(Some(account.last_at))
    }

    fn take(&mut self, stored: &Arc<StoredOperation>) -> Result<(), String> {
        let operation = &stored.operation;
        let after = self.operations.last().map_or(0, |last| last.position);
        same("positions go up", stored.position > after, true)?;
        if self.places.insert(operation.op_id, self.operations.len()).is_some() {
            return Err(format!("{} stands twice in the feed", operation.op_id));
        }
        if let Some(key) = &operation.key
            && !self.keys.insert((operation.tenant_id.clone(), key.clone()))
        {
            return Err(format!("the key {key} of {} took effect twice", operation.tenant_id));
        }
        for alert in operation.alerts.iter().filter(|alert| alert.rule == AlertRule::Refusal) {
            let refusal = alert.details["audit_id"].to_string();
            if !self.told.insert((operation.tenant_id.clone(), refusal.clone())) {
                return Err(format!("compliance was told twice of {refusal}"));
            }
        }
        same("entries of the operation", stored.entries.len(), usize::try_from(operation.entry_count).unwrap_or(usize::MAX))?;
        for entry in &stored.entries {
            same("the account of the entry", Some(&entry.account), operation.account.as_ref())?;
            same("booked at", entry.created_at, operation.created_at)?;
            self.pages
                .entry((*entry.account).clone())
                .or_default()
                .take(entry)
                .map_err(|why| format!("{} entry {}: {why}", entry.account, entry.seq))?;
        }
        self.operations.push(Arc::clone(stored));
        Ok(())
    }
}

impl Page {
    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        same("seq", entry.seq, self.seq + 1)?;
        same("hash", entry.hash, entry.chain_after(&self.head, &entry.text_hash()))?;
        (self.seq, self.head) = (entry.seq, entry.hash);
        let (change, frozen) = (entry.change.micros(), entry.frozen_change.micros());
        self.available += change;
        self.frozen += frozen;
        same("balance_after", entry.balance_after.micros(), self.available)?;
        same("frozen_after", entry.frozen_after.micros(), self.frozen)?;
        same("frozen below zero", self.frozen < 0, false)?;
        same("effective after it was booked", entry.effective_at > entry.created_at, false)?;
        let totals = &mut self.totals;
        match entry.kind {
            EntryKind::Grant | EntryKind::Import => totals.issued += change,
            EntryKind::Capture | EntryKind::Charge | EntryKind::Refund | EntryKind::Reissue => totals.consumed -= change + frozen,
            EntryKind::Expire => totals.expired -= change,
            EntryKind::Void => totals.forfeited -= change,
            EntryKind::Adjust if change > 0 => totals.adjusted_in += change,
            EntryKind::Adjust => totals.adjusted_out -= change,
            EntryKind::Hold | EntryKind::Release => same("what is frozen is not available", change, -frozen)?,
            EntryKind::Extend | EntryKind::Amend | EntryKind::Rollover => same("amounts", (change, frozen), (0, 0))?,
        }
        Ok(())
    }
}

/// A page of the feed.
pub(super) fn feed(
    books: &dyn Store,
    tenant_id: Option<TenantId>,
    after: u64,
    limit: usize,
) -> Result<Vec<Arc<StoredOperation>>, String> {
    match books.query(&Query::Feed { tenant_id, after, limit }) {
        Ok(Answer::Feed(page)) => Ok(page),
        other => Err(format!("no feed: {other:?}")),
    }
}

fn sums_of(totals: &Totals) -> Sums {
    let micros = |amount: Amount| amount.micros();
    Sums {
        issued: micros(totals.issued),
        adjusted_in: micros(totals.adjusted_in),
        consumed: micros(totals.consumed),
        expired: micros(totals.expired),
        forfeited: micros(totals.forfeited),
        adjusted_out: micros(totals.adjusted_out),
    }
}
