//! What a batch of commands is decided from.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::audit::Quote;
use crate::command::add_handle;
use crate::credit::{Grant, Hold, Member, Rule, Standing};
use crate::id::{AuditId, GrantId, HoldId, IdempotencyKey, LedgerId, RuleId, TaskId, TenantId, UserId};
use crate::ledger::{ChainHash, Entry, StoredOperation};
use crate::licence::{Licence, LicenceKey, LicenceUse, TemplateKey, user_of_work};
pub use crate::map::Map;
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::risk::{RiskFacts, RiskKey};
use crate::task::TaskWork;
use crate::time::Timestamp;

/// Handles to what decides a command, taken from the command as it stands. Each has a closure that follows immutable
/// columns only; [`Facts`] says what it loads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Idempotency keys -> [`Facts::replays`].
    pub keys: Vec<(TenantId, IdempotencyKey)>,
    /// Accounts -> [`Facts::accounts`].
    pub accounts: Vec<AccountKey>,
    /// Tasks -> [`Facts::tasks`], and the hold that each names -> [`Facts::holds`].
    pub tasks: Vec<(TenantId, TaskId)>,
    /// Tasks that are ended with their hold: as `tasks`, and the hold that each names as one of `holds`. Which hold that is can change
    /// until the task is locked: a store that locks row by row compares it once all are locked, and begins anew if it is another.
    pub task_holds: Vec<(TenantId, TaskId)>,
    /// Holds -> [`Facts::holds`]; the account of each -> [`Facts::accounts`]; the task of each -> [`Facts::tasks`]; the licence of
    /// each -> [`Facts::licences`]; the spender for whom each counts -> [`Facts::risk`].
    pub holds: Vec<(TenantId, HoldId)>,
    /// Grants -> [`Facts::grants`], and the account of each -> [`Facts::accounts`].
    pub grants: Vec<(TenantId, GrantId)>,
    /// Entries to refund -> [`Facts::charges`]; the account of each -> [`Facts::accounts`]; the grants that it drew, open or
    /// not -> [`Facts::grants`].
    pub charges: Vec<(TenantId, LedgerId)>,
    /// Tasks whose charges and captures are to be refunded: as `charges`, for all those booked in this account.
    pub task_charges: Vec<(AccountKey, TaskId)>,
    /// Rules -> [`Facts::rules`], and the account of each -> [`Facts::accounts`].
    pub rules: Vec<(TenantId, RuleId)>,
    /// Accounts whose text is to be erased after this entry -> [`Facts::texts`], the first [`MAX_ERASED`]; the holds that these are
    /// about -> [`Facts::holds`]; the account -> [`Facts::accounts`].
    pub texts: Vec<(AccountKey, u64)>,
    /// Tenants and users, who may be blocked -> [`Facts::subjects`].
    pub subjects: Vec<(TenantId, Subject)>,
    /// Members of organizations -> [`Facts::members`].
    pub members: Vec<MemberKey>,
    /// Licences -> [`Facts::licences`].
    pub licences: Vec<LicenceKey>,
    /// Templates -> [`Facts::template_licences`]; the licences -> [`Facts::licences`]; how often the user used each ->
    /// [`Facts::licence_users`].
    pub templates: Vec<TemplateKey>,
    /// Spenders, as risk controls count them -> [`Facts::risk`].
    pub risk: Vec<RiskKey>,
    /// Quotes -> [`Facts::quotes`].
    pub quotes: Vec<(TenantId, AuditId)>,
}

impl Needs {
    /// Adds the handles of a further command.
    pub(crate) fn append(&mut self, more: Needs) {
        // Each field is named, so that none is forgotten.
        let Needs {
            keys,
            accounts,
            tasks,
            task_holds,
            holds,
            grants,
            charges,
            task_charges,
            rules,
            texts,
            subjects,
            members,
            licences,
            templates,
            risk,
            quotes,
        } = more;
        append(&mut self.keys, keys);
        append_others(&mut self.accounts, accounts);
        append(&mut self.tasks, tasks);
        append(&mut self.task_holds, task_holds);
        append(&mut self.holds, holds);
        append(&mut self.grants, grants);
        append(&mut self.charges, charges);
        append(&mut self.task_charges, task_charges);
        append(&mut self.rules, rules);
        append(&mut self.texts, texts);
        append_others(&mut self.subjects, subjects);
        append(&mut self.members, members);
        append(&mut self.licences, licences);
        append(&mut self.templates, templates);
        append(&mut self.risk, risk);
        append(&mut self.quotes, quotes);
    }
}

/// Adds handles. Of most kinds there are none.
fn append<T>(handles: &mut Vec<T>, mut more: Vec<T>) {
    if handles.is_empty() {
        *handles = more;
    } else {
        handles.append(&mut more);
    }
}

/// Adds handles of a kind of which the commands of a batch often have the same.
fn append_others<T: PartialEq>(handles: &mut Vec<T>, more: Vec<T>) {
    if handles.is_empty() {
        *handles = more;
    } else {
        more.into_iter().for_each(|handle| add_handle(handles, handle));
    }
}

/// How many entries one command looks at to erase their text.
pub const MAX_ERASED: usize = 1_000;

/// Everything that the commands of one batch are decided from, and that the later ones see changed by the earlier ones.
///
/// A store fills it after it has locked the anchors. What a handle does not find is simply absent, a foreign tenant's
/// rows included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The instant at which the batch is decided.
    pub now: Timestamp,
    /// Operations by key.
    #[serde(with = "crate::pairs")]
    pub replays: Map<(TenantId, IdempotencyKey), Arc<StoredOperation>>,
    /// Accounts that exist, with all that can be drawn or has become due.
    #[serde(with = "crate::pairs")]
    pub accounts: Map<Arc<AccountKey>, AccountFacts>,
    /// Tasks that exist.
    #[serde(with = "crate::pairs")]
    pub tasks: Map<(TenantId, TaskId), Task>,
    /// Holds by id, open or not, with their account.
    #[serde(with = "crate::pairs")]
    pub holds: Map<HoldId, (Arc<AccountKey>, Hold)>,
    /// Grants by id, open or not, with their account. An open grant stands here only if it was named; the state that
    /// counts is the one in its account.
    #[serde(with = "crate::pairs")]
    pub grants: Map<GrantId, (Arc<AccountKey>, Grant)>,
    /// Charges and captures by the name of their entry.
    #[serde(with = "crate::pairs")]
    pub charges: Map<LedgerId, ChargeFact>,
    /// The charges and captures of a task in an account, the first booked first.
    #[serde(with = "crate::pairs")]
    pub task_charges: Map<(AccountKey, TaskId), Vec<LedgerId>>,
    /// Rules by id, running or not, with their account. Of one that runs, the state that counts is the one in its account.
    #[serde(with = "crate::pairs")]
    pub rules: Map<RuleId, (Arc<AccountKey>, Rule)>,
    /// The entries of an account after this one, in order, at most [`MAX_ERASED`].
    #[serde(with = "crate::pairs")]
    pub texts: Map<(AccountKey, u64), Vec<Entry>>,
    /// Tenants and users that were ever blocked.
    #[serde(with = "crate::pairs")]
    pub subjects: Map<(TenantId, Subject), SubjectRow>,
    /// Members, removed ones too: those named, and those who made a hold that stands here in an account of their organization,
    /// named or due.
    #[serde(with = "crate::pairs")]
    pub members: Map<MemberKey, Member>,
    /// Licences: those named, and those of holds that stand here, named or due.
    #[serde(with = "crate::pairs")]
    pub licences: Map<LicenceKey, LicenceFacts>,
    /// The licences of a template for a user and for any user, in the order of their names.
    #[serde(with = "crate::pairs")]
    pub template_licences: Map<TemplateKey, Vec<LicenceKey>>,
    /// How often a user used a licence, as booked: of those who use a template, and of those who made a hold that stands here.
    #[serde(with = "crate::pairs")]
    pub licence_users: Map<(LicenceKey, UserId), u64>,
    /// What spenders used: those named, and those for whom holds count that stand here, named or due.
    #[serde(with = "crate::pairs")]
    pub risk: Map<RiskKey, RiskFacts>,
    /// Quotes by name. They never change, and are no anchors.
    #[serde(default, with = "crate::pairs")]
    pub quotes: Map<AuditId, Quote>,
}

/// A licence, and what comes back to it without a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceFacts {
    /// Its row.
    pub licence: Licence,
    /// The uses reserved by holds whose expiry is not after the batch's `now`: the row counts them still.
    pub due: BTreeMap<HoldId, LicenceUse>,
}

/// An account, and all that can be drawn from it or is due in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountFacts {
    /// Its row.
    pub account: Account,
    /// All open grants.
    #[serde(with = "crate::pairs")]
    pub grants: Map<GrantId, Grant>,
    /// The frozen holds whose expiry is not after the batch's `now`. Loaded only when [`Account::hold_due_at`] is not after
    /// `now`.
    #[serde(with = "crate::pairs")]
    pub due_holds: Map<HoldId, Hold>,
    /// The earliest expiry after `now` of a frozen hold. Loaded together with `due_holds`.
    pub next_hold_at: Option<Timestamp>,
    /// The rules that run. Loaded only when [`Standing::rules`] says that there are some.
    pub rules: BTreeMap<RuleId, Rule>,
}

/// The row of an account: an anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its name.
    pub key: Arc<AccountKey>,
    /// The sequence number of its last entry; 0 before the first.
    pub seq: u64,
    /// What can be drawn, as booked.
    pub available: Amount,
    /// What open holds keep.
    pub frozen: Amount,
    /// The contra accounts.
    pub totals: Totals,
    /// Open grants.
    pub open_grants: u32,
    /// Frozen holds, as booked.
    pub open_holds: u32,
    /// The last link of its chain.
    pub head: ChainHash,
    /// When it was last booked.
    pub last_at: Timestamp,
    /// No frozen hold expires before this. A lower bound: it is made exact when it is reached.
    pub hold_due_at: Option<Timestamp>,
    /// Nothing becomes due before this. A lower bound: it is made exact when it is reached.
    pub due_at: Option<Timestamp>,
    /// What is agreed about it besides its grants.
    pub standing: Standing,
}

/// What went through an account, each from its opening. They balance after every operation:
/// `issued + adjusted_in = available + frozen + consumed + expired + forfeited + adjusted_out`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Granted, imported.
    pub issued: Amount,
    /// Added by operators.
    pub adjusted_in: Amount,
    /// Charged and captured, less what was refunded.
    pub consumed: Amount,
    /// Lost by the passing of time.
    pub expired: Amount,
    /// Lost by voiding.
    pub forfeited: Amount,
    /// Taken by operators.
    pub adjusted_out: Amount,
}

/// A task: an anchor, unique in its tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The hold that blocks it if any does: its captured one, else its latest.
    pub hold_id: Option<HoldId>,
    /// Charges and captures booked under it.
    pub charges: u32,
    /// How far the work is, as it was last said; of another hold than the one above it says nothing about that.
    pub work: Option<TaskWork>,
    /// When it was last booked.
    pub last_at: Timestamp,
}

/// The row of a tenant or user: written by who blocks it, read by who spends. An anchor of both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectRow {
    /// Nothing can be spent in the tenant, or by the user.
    pub is_blocked: bool,
    /// Since when it is as it is.
    pub since: Timestamp,
    /// When a command was last about it.
    pub last_at: Timestamp,
}

/// A charge or capture that a refund may be about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeFact {
    /// The entry; its kind is `charge` or `capture`.
    pub entry: Entry,
    /// What was refunded of it so far.
    pub refunded: Amount,
    /// The label of compliance of its operation.
    pub policy_tag: Option<crate::id::PolicyTag>,
}

impl Default for Facts {
    /// Nothing is known. The maps share a seed: each draws its own otherwise, which for so many takes as long as to fill a few.
    fn default() -> Facts {
        let seed = RandomState::default();
        Facts {
            now: Timestamp::default(),
            replays: Map::with_hasher(seed.clone()),
            accounts: Map::with_hasher(seed.clone()),
            tasks: Map::with_hasher(seed.clone()),
            holds: Map::with_hasher(seed.clone()),
            grants: Map::with_hasher(seed.clone()),
            charges: Map::with_hasher(seed.clone()),
            task_charges: Map::with_hasher(seed.clone()),
            rules: Map::with_hasher(seed.clone()),
            texts: Map::with_hasher(seed.clone()),
            subjects: Map::with_hasher(seed.clone()),
            members: Map::with_hasher(seed.clone()),
            licences: Map::with_hasher(seed.clone()),
            template_licences: Map::with_hasher(seed.clone()),
            licence_users: Map::with_hasher(seed.clone()),
            risk: Map::with_hasher(seed.clone()),
            quotes: Map::with_hasher(seed.clone()),
        }
    }
}

impl Facts {
    /// Whether there are any holds, named or due.
    pub(crate) fn has_holds(&self) -> bool {
        !self.holds.is_empty() || self.accounts.values().any(|facts| !facts.due_holds.is_empty())
    }

    /// The part of these facts that handles lead to: what one command of a batch is decided from.
    #[must_use]
    pub fn part(&self, needs: &Needs) -> Facts {
        let mut part = Facts { now: self.now, ..Facts::default() };
        keep(&mut part.replays, &self.replays, &needs.keys);
        keep(&mut part.accounts, &self.accounts, &needs.accounts);
        keep(&mut part.tasks, &self.tasks, needs.tasks.iter().chain(&needs.task_holds));
        let of_tasks: Vec<HoldId> = part.tasks.values().filter_map(|task| task.hold_id).collect();
        keep(&mut part.holds, &self.holds, &of_tasks);
        let ended = needs.task_holds.iter().filter_map(|task| self.tasks.get(task)?.hold_id);
        for (key, hold) in needs.holds.iter().map(|(_, id)| *id).chain(ended).filter_map(|id| self.holds.get(&id)) {
            part.holds.insert(hold.id, (Arc::clone(key), hold.clone()));
            keep(&mut part.accounts, &self.accounts, [&**key]);
            let task = hold.terms.task_id.iter().map(|task_id| (key.tenant_id.clone(), task_id.clone()));
            keep(&mut part.tasks, &self.tasks, &task.collect::<Vec<_>>());
        }
        for (_, id) in &needs.grants {
            self.keep_grant(&mut part, *id);
        }
        for (key, rule) in needs.rules.iter().filter_map(|(_, id)| self.rules.get(id)) {
            part.rules.insert(rule.id, (Arc::clone(key), rule.clone()));
            keep(&mut part.accounts, &self.accounts, [&**key]);
        }
        for (_, id) in &needs.charges {
            self.keep_charge(&mut part, *id);
        }
        keep(&mut part.task_charges, &self.task_charges, &needs.task_charges);
        for (account, task_id) in &needs.task_charges {
            keep(&mut part.accounts, &self.accounts, [account]);
            let listed = self.task_charges.get(&(account.clone(), task_id.clone()));
            listed.into_iter().flatten().for_each(|id| self.keep_charge(&mut part, *id));
        }
        keep(&mut part.texts, &self.texts, &needs.texts);
        for (page, entries) in part.texts.iter() {
            keep(&mut part.accounts, &self.accounts, [&page.0]);
            let holds: Vec<HoldId> = entries.iter().filter_map(|entry| entry.hold_id).collect();
            keep(&mut part.holds, &self.holds, &holds);
        }
        keep(&mut part.subjects, &self.subjects, &needs.subjects);
        keep(&mut part.members, &self.members, &needs.members);
        let holders = holders(&part);
        keep(&mut part.members, &self.members, &holders);
        self.keep_licences(&mut part, needs);
        self.keep_risk(&mut part, needs);
        keep(&mut part.quotes, &self.quotes, needs.quotes.iter().map(|(_, audit_id)| audit_id));
        part
    }

    fn keep_risk(&self, part: &mut Facts, needs: &Needs) {
        keep(&mut part.risk, &self.risk, &needs.risk);
        let of_holds = risk_of_holds(part);
        keep(&mut part.risk, &self.risk, &of_holds);
    }

    fn keep_licences(&self, part: &mut Facts, needs: &Needs) {
        keep(&mut part.licences, &self.licences, &needs.licences);
        keep(&mut part.template_licences, &self.template_licences, &needs.templates);
        for template in &needs.templates {
            let listed = self.template_licences.get(template).into_iter().flatten();
            keep(&mut part.licences, &self.licences, listed.clone());
            let user_id = template.user_id.as_ref();
            let users: Vec<_> = listed.filter_map(|key| Some((key.clone(), user_id?.clone()))).collect();
            keep(&mut part.licence_users, &self.licence_users, &users);
        }
        for (key, user_id) in licences_of_holds(part) {
            keep(&mut part.licences, &self.licences, [&key]);
            keep(&mut part.licence_users, &self.licence_users, user_id.map(|user_id| (key, user_id)).iter());
        }
    }

    fn keep_grant(&self, part: &mut Facts, id: GrantId) {
        keep(&mut part.grants, &self.grants, [&id]);
        if let Some((key, _)) = self.grants.get(&id) {
            keep(&mut part.accounts, &self.accounts, [&**key]);
        }
    }

    fn keep_charge(&self, part: &mut Facts, id: LedgerId) {
        keep(&mut part.charges, &self.charges, [&id]);
        let Some(charge) = self.charges.get(&id) else { return };
        keep(&mut part.accounts, &self.accounts, [&*charge.entry.account]);
        charge.entry.draw.lines().iter().for_each(|line| self.keep_grant(part, line.grant_id));
    }
}

/// Copies what stands under these keys.
fn keep<'a, K, Q, V>(to: &mut Map<K, V>, from: &Map<K, V>, keys: impl IntoIterator<Item = &'a Q>)
where
    K: Borrow<Q> + Clone + Eq + Hash,
    Q: Eq + Hash + 'a,
    V: Clone,
{
    let found = keys.into_iter().filter_map(|key| from.get_key_value(key));
    to.extend(found.map(|(key, value)| (key.clone(), value.clone())));
}

impl Account {
    /// An account before its first entry.
    #[must_use]
    pub fn new(key: Arc<AccountKey>) -> Account {
        Account {
            key,
            seq: 0,
            available: Amount::ZERO,
            frozen: Amount::ZERO,
            totals: Totals::default(),
            open_grants: 0,
            open_holds: 0,
            head: ChainHash::default(),
            last_at: Timestamp::MIN,
            hold_due_at: None,
            due_at: None,
            standing: Standing::default(),
        }
    }
}

impl AccountFacts {
    /// An account before its first entry.
    #[must_use]
    pub fn new(key: Arc<AccountKey>) -> AccountFacts {
        AccountFacts::of(Account::new(key))
    }

    /// An account by its row alone.
    #[must_use]
    pub fn of(account: Account) -> AccountFacts {
        AccountFacts { account, grants: Map::default(), due_holds: Map::default(), next_hold_at: None, rules: BTreeMap::new() }
    }
}

/// The members who made the holds of these facts, named or due, in accounts of their organizations. For stores: their rows are
/// read once these holds are known, and no anchors by that.
#[must_use]
pub fn holders(facts: &Facts) -> Vec<MemberKey> {
    let named = facts.holds.values().map(|(account, hold)| (account, hold));
    let due = facts.accounts.values().flat_map(|of| of.due_holds.values().map(|hold| (&of.account.key, hold)));
    let made_by = |(account, hold): (&Arc<AccountKey>, &Hold)| MemberKey::of_account(account, hold.terms.user_id.as_ref()?);
    named.chain(due).filter_map(made_by).collect()
}

/// The licences of the holds of these facts, named or due, and who uses them. For stores: their rows are read once these holds are
/// known, and no anchors by that.
#[must_use]
pub fn licences_of_holds(facts: &Facts) -> Vec<(LicenceKey, Option<UserId>)> {
    let named = facts.holds.values().map(|(account, hold)| (account, hold));
    let due = facts.accounts.values().flat_map(|of| of.due_holds.values().map(|hold| (&of.account.key, hold)));
    let licence_of = |(account, hold): (&Arc<AccountKey>, &Hold)| {
        let key = LicenceKey::new(account.tenant_id.clone(), hold.terms.licence_id.clone()?);
        Some((key, user_of_work(account, hold.terms.user_id.as_ref()).cloned()))
    };
    named.chain(due).filter_map(licence_of).collect()
}

/// Where the holds of these facts, named or due, count by the risk controls. For stores: their rows are read once these holds are
/// known, and no anchors by that.
#[must_use]
pub fn risk_of_holds(facts: &Facts) -> Vec<RiskKey> {
    let named = facts.holds.values().map(|(account, hold)| (account, hold));
    let due = facts.accounts.values().flat_map(|of| of.due_holds.values().map(|hold| (&of.account.key, hold)));
    named.chain(due).filter_map(|(account, hold)| RiskKey::of_hold(account, hold)).collect()
}

/// How far an anchor may be ahead of the clock, in microseconds: 5 s.
pub const MAX_SKEW_MICROS: i64 = 5_000_000;

/// The instant of a batch: the clock, or the last booking of an anchor that it locks, whichever is later.
///
/// # Errors
/// [`crate::Error::ClockBehind`] when an anchor is more than [`MAX_SKEW_MICROS`] ahead of the clock.
pub fn batch_now(clock: Timestamp, anchors: impl IntoIterator<Item = Timestamp>) -> Result<Timestamp, crate::Error> {
    let latest = anchors.into_iter().fold(Timestamp::MIN, Timestamp::max);
    if latest.micros().saturating_sub(clock.micros()) > MAX_SKEW_MICROS {
        return Err(crate::Error::ClockBehind { now: clock, last_at: latest });
    }
    Ok(clock.max(latest))
}
