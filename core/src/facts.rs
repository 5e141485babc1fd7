//! What a batch of commands is decided from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::amount::Amount;
use crate::credit::{Grant, Hold, Rule, Standing};
use crate::id::{GrantId, HoldId, IdempotencyKey, LedgerId, RuleId, TaskId, TenantId};
use crate::ledger::{ChainHash, Entry, StoredOperation};
pub use crate::map::Map;
use crate::owner::AccountKey;
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
    /// Holds -> [`Facts::holds`]; the account of each -> [`Facts::accounts`]; the task of each -> [`Facts::tasks`].
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
}

/// Everything that the commands of one batch are decided from, and that the later ones see changed by the earlier ones.
///
/// A store fills it after it has locked the anchors. What a handle does not find is simply absent, a foreign tenant's
/// rows included.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The instant at which the batch is decided.
    pub now: Timestamp,
    /// Operations by key.
    pub replays: Map<(TenantId, IdempotencyKey), Arc<StoredOperation>>,
    /// Accounts that exist, with all that can be drawn or has become due.
    pub accounts: Map<AccountKey, AccountFacts>,
    /// Tasks that exist.
    pub tasks: Map<(TenantId, TaskId), Task>,
    /// Holds by id, open or not, with their account.
    pub holds: Map<HoldId, (Arc<AccountKey>, Hold)>,
    /// Grants by id, open or not, with their account. An open grant stands here only if it was named; the state that
    /// counts is the one in its account.
    pub grants: Map<GrantId, (Arc<AccountKey>, Grant)>,
    /// Charges and captures by the name of their entry.
    pub charges: Map<LedgerId, ChargeFact>,
    /// The charges and captures of a task in an account, the first booked first.
    pub task_charges: Map<(AccountKey, TaskId), Vec<LedgerId>>,
    /// Rules by id, running or not, with their account. Of one that runs, the state that counts is the one in its account.
    pub rules: Map<RuleId, (Arc<AccountKey>, Rule)>,
}

/// An account, and all that can be drawn from it or is due in it.
#[derive(Clone, Debug)]
pub struct AccountFacts {
    /// Its row.
    pub account: Account,
    /// All open grants.
    pub grants: Map<GrantId, Grant>,
    /// The frozen holds whose expiry is not after the batch's `now`. Loaded only when [`Account::hold_due_at`] is not after
    /// `now`.
    pub due_holds: Map<HoldId, Hold>,
    /// The earliest expiry after `now` of a frozen hold. Loaded together with `due_holds`.
    pub next_hold_at: Option<Timestamp>,
    /// The rules that run. Loaded only when [`Standing::rules`] says that there are some.
    pub rules: BTreeMap<RuleId, Rule>,
}

/// The row of an account: an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// The hold that blocks it if any does: its captured one, else its latest.
    pub hold_id: Option<HoldId>,
    /// Charges and captures booked under it.
    pub charges: u32,
    /// When it was last booked.
    pub last_at: Timestamp,
}

/// A charge or capture that a refund may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeFact {
    /// The entry; its kind is `charge` or `capture`.
    pub entry: Entry,
    /// What was refunded of it so far.
    pub refunded: Amount,
    /// The label of compliance of its operation.
    pub policy_tag: Option<crate::id::PolicyTag>,
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
