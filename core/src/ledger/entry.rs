//! One line of the ledger.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chain::text_hash;
use super::draw::Draw;
use super::hash::ChainHash;
use crate::amount::Amount;
use crate::credit::named_enum;
use crate::credit::{GrantTerms, HoldTerms, LowBalance, RuleTerms};
use crate::id::{AppId, AuditId, GrantId, HoldId, LedgerId, OpId, Operator, PriceBasis, RuleId, TaskId, TemplateId, UserId};
use crate::owner::AccountKey;
use crate::time::Timestamp;

named_enum! {
    /// What an entry books. Each kind has its contra account, so every entry is double by construction.
    EntryKind {
        /// Credit is issued: issued -> available.
        Grant = "grant",
        /// Credit is frozen: available -> held.
        Hold = "hold",
        /// The life of a hold is extended.
        Extend = "extend",
        /// Frozen credit is consumed: held -> consumed.
        Capture = "capture",
        /// Frozen credit comes back: held -> available.
        Release = "release",
        /// Credit is consumed at once: available -> consumed.
        Charge = "charge",
        /// Consumed credit comes back to its grants: consumed -> available.
        Refund = "refund",
        /// Consumed credit comes back as a new grant, for one that has ended: consumed -> available.
        Reissue = "reissue",
        /// The time of a grant is over: available -> expired.
        Expire = "expire",
        /// A grant is taken back: available -> forfeited.
        Void = "void",
        /// The expiry of a grant is moved, a rule is made or ended, or what else is agreed about the account changes.
        Amend = "amend",
        /// What remains of a period is carried over to the next: from the grant of the draw to the one that the entry makes.
        Rollover = "rollover",
        /// An operator adds (adjusted in -> available) or takes (available -> adjusted out).
        Adjust = "adjust",
        /// A balance is taken over from a system before: issued -> available.
        Import = "import",
    }
}

impl EntryKind {
    /// The number of this kind in the hashed layout. Never changes.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether this kind can be booked by the passing of time alone.
    #[must_use]
    pub const fn is_settlement(self) -> bool {
        matches!(self, EntryKind::Release | EntryKind::Expire | EntryKind::Grant | EntryKind::Rollover)
    }
}

/// The definition that an entry carries, so that the ledger alone can rebuild every grant and hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Terms {
    /// A grant is made.
    Grant {
        /// Until when it can be spent.
        expires_at: Option<Timestamp>,
        /// What was agreed.
        terms: Arc<GrantTerms>,
    },
    /// A hold is made.
    Hold {
        /// Until when it is frozen.
        expires_at: Timestamp,
        /// What was agreed.
        terms: Arc<HoldTerms>,
    },
    /// An expiry is moved.
    Expiry {
        /// The new one.
        expires_at: Timestamp,
    },
    /// A charge was worked out from this version of the price list.
    Price {
        /// The version.
        price_basis: PriceBasis,
        /// The quote that it was made by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quote_id: Option<AuditId>,
    },
    /// A hold ends, or goes on (`frozen`), with this.
    HoldState {
        /// Where it stands from now on.
        state: crate::credit::HoldState,
    },
    /// A rule is made.
    Rule {
        /// Its name.
        rule_id: RuleId,
        /// What was agreed.
        terms: Arc<RuleTerms>,
    },
    /// A rule ends before its time: it was stopped, or its next instance would take what was given to the account out of range.
    RuleEnd {
        /// Its name.
        rule_id: RuleId,
    },
    /// Spending from the account is stopped, or allowed again.
    Blocked {
        /// Whether it is stopped.
        blocked: bool,
    },
    /// A credit limit is set.
    CreditLimit {
        /// From now on.
        credit_limit: Amount,
    },
    /// When the balance counts as low is set.
    LowBalance {
        /// From now on; none for never.
        low_balance: Option<LowBalance>,
    },
}

impl Terms {
    /// Without what stands in the text part of the entry: that can be erased, these are hashed for ever.
    pub(crate) fn without_text(self) -> Terms {
        match self {
            Terms::Grant { expires_at, terms } if terms.reason.is_some() || terms.metadata.is_some() => {
                let terms = GrantTerms { reason: None, metadata: None, ..Arc::unwrap_or_clone(terms) };
                Terms::Grant { expires_at, terms: Arc::new(terms) }
            }
            Terms::Hold { expires_at, terms } if terms.user_id.is_some() => {
                let terms = HoldTerms { user_id: None, ..Arc::unwrap_or_clone(terms) };
                Terms::Hold { expires_at, terms: Arc::new(terms) }
            }
            other => other,
        }
    }
}

/// The part of an entry that is text about people. It is hashed apart, so that it can be erased
/// ([`crate::EraseText`]) without breaking the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryText {
    /// The user who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The person who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// What the host noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Arc<Map<String, Value>>>,
}

impl EntryText {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.user_id.is_none() && self.operator.is_none() && self.reason.is_none() && self.metadata.is_none()
    }
}

/// One line of the ledger: what an operation changed in one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The operation that booked it.
    pub op_id: OpId,
    /// Which entry of the operation it is, from 1.
    pub ordinal: u16,
    /// The account.
    pub account: Arc<AccountKey>,
    /// Its place in the account, from 1 without gaps.
    pub seq: u64,
    /// What it books.
    pub kind: EntryKind,
    /// Change of the available balance.
    pub change: Amount,
    /// Change of the frozen balance.
    pub frozen_change: Amount,
    /// The available balance after it.
    pub balance_after: Amount,
    /// The frozen balance after it.
    pub frozen_after: Amount,
    /// Which grants it touches, and by how much.
    pub draw: Draw,
    /// The definition that it carries.
    pub terms: Option<Terms>,
    /// The hold that it is about.
    pub hold_id: Option<HoldId>,
    /// The grant that it makes, amends or ends; for other kinds the draw says which grants are touched.
    pub grant_id: Option<GrantId>,
    /// The task.
    pub task_id: Option<TaskId>,
    /// The template.
    pub template_id: Option<TemplateId>,
    /// The app.
    pub app_id: Option<AppId>,
    /// The text about people, hashed apart; empty when it was erased.
    pub text: EntryText,
    /// The hash of the text that was erased.
    pub erased_text_hash: Option<ChainHash>,
    /// When it became true.
    pub effective_at: Timestamp,
    /// When it was booked.
    pub created_at: Timestamp,
    /// The link of the chain.
    pub hash: ChainHash,
}

impl Entry {
    /// Its name.
    #[must_use]
    pub fn ledger_id(&self) -> LedgerId {
        LedgerId::derive(self.op_id, self.ordinal)
    }

    /// The hash of its text part, erased or not.
    #[must_use]
    pub fn text_hash(&self) -> ChainHash {
        self.erased_text_hash.unwrap_or_else(|| text_hash(&self.text))
    }

    /// Erases its text part; the hash stays.
    pub(crate) fn erase(&mut self) {
        self.erased_text_hash = Some(self.text_hash());
        self.text = EntryText::default();
    }
}
