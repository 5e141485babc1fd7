//! What an accepted command is answered with. Every receipt is computed from the operation and its entries, the first
//! time as on every replay, so the two cannot differ.

mod subjects;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

pub use subjects::{BlockReceipt, LicenceReceipt, MemberReceipt, TaskReceipt};

use super::Operate;
use crate::amount::Amount;
use crate::credit::{Band, HoldState, LowBalance, Membership, Rule};
use crate::id::{
    AuditId, DocumentId, GrantId, HoldId, LedgerId, LicenceId, Operator, PolicyTag, PriceBasis, RefundId, RuleId, TaskId,
    TemplateId, UserId,
};
use crate::ledger::rules::{rule_after, rule_of};
use crate::ledger::{Draw, Entry, EntryKind, EntryText, Operation, OperationKind, StoredOperation, Terms};
use crate::licence::{LicenceTerms, QuotaSnapshot};
use crate::owner::AccountKey;
use crate::task::TaskWork;
use crate::time::Timestamp;

/// The answer to any accepted command: the operation, its entries, and whether it was executed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The operation and its entries.
    pub stored: Arc<StoredOperation>,
    /// The command was executed before: this is the first answer again.
    pub idempotent_replay: bool,
}

/// What of an answer the entries do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnswerRest {
    /// The available balance, of an operation that booked nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) available: Option<Amount>,
    /// The frozen balance, of an operation that booked nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) frozen: Option<Amount>,
    /// What a hold has captured in total.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) captured_total: Option<Amount>,
    /// When the hold expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
    /// Where the hold stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<HoldState>,
    /// What is still held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<Amount>,
    /// What text was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) erased: Option<ErasedAnswer>,
    /// Whether the command found anything to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed: Option<bool>,
    /// The text of a command that books no entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<EntryText>,
    /// The member as set, or as removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member: Option<Membership>,
    /// The licence as set, revoked, or with its documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) licence: Option<LicenceAnswer>,
    /// The licence that a charge used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) licence_id: Option<LicenceId>,
    /// What was left of the licence of a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quota: Option<QuotaSnapshot>,
    /// How far the work of a task is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<TaskWork>,
    /// The account that pays for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<AccountKey>,
}

/// What the operation that is about a task says of it.
pub(crate) struct TaskAnswer {
    /// How far its work is.
    pub(crate) work: TaskWork,
    /// The account that pays for it.
    pub(crate) account: Option<AccountKey>,
    /// The user for whom the work is.
    pub(crate) user_id: Option<UserId>,
}

pub(crate) fn answer_of_task(operation: &Operation) -> Option<TaskAnswer> {
    let AnswerRest { task, account, note, .. } = AnswerRest::of(operation);
    Some(TaskAnswer { work: task?, account, user_id: note.and_then(|note| note.user_id) })
}

impl AnswerRest {
    fn of(operation: &Operation) -> AnswerRest {
        operation.answer.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }
}

/// A licence after a command about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LicenceAnswer {
    pub(crate) terms: LicenceTerms,
    pub(crate) submitted_documents: BTreeSet<DocumentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked_at: Option<Timestamp>,
}

/// What text was erased, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErasedAnswer {
    pub(crate) erased: u64,
    pub(crate) kept: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_seq: Option<u64>,
    pub(crate) operator: Operator,
    pub(crate) reason: Arc<str>,
}

impl Receipt {
    /// Which command it answers.
    #[must_use]
    pub fn kind(&self) -> OperationKind {
        self.stored.operation.kind
    }

    /// The typed receipt, if it answers a command of this kind: `receipt.of::<Charge>()`.
    #[must_use]
    pub fn of<B: Operate>(&self) -> Option<B::Receipt> {
        B::read(self)
    }

    /// The entries that were booked, settlements included, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.stored.entries
    }

    /// The answer as JSON, by the names of the typed receipt.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The entry that books the command itself: the last of these kinds.
    fn main(&self, kinds: &[EntryKind]) -> Option<&Entry> {
        self.entries().iter().rfind(|entry| kinds.contains(&entry.kind))
    }

    fn rest(&self) -> AnswerRest {
        AnswerRest::of(&self.stored.operation)
    }

    /// Entries that the command booked itself, not what had become due before.
    fn own_entries(&self) -> impl Iterator<Item = &Entry> {
        let settled = usize::from(self.stored.operation.settled_count);
        self.entries().iter().skip(settled)
    }

    fn sum(&self, pick: impl Fn(&Entry) -> Option<Amount>) -> Amount {
        self.own_entries().filter_map(pick).fold(Amount::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(sum))
    }

    /// The change of the available balance by the command itself.
    fn change(&self) -> Amount {
        self.sum(|entry| Some(entry.change))
    }

    fn common(&self, kinds: &[EntryKind]) -> Common {
        let operation = &self.stored.operation;
        let main = self.main(kinds);
        let last = self.entries().last();
        Common {
            ledger_id: main.map_or_else(|| LedgerId::derive(operation.op_id, 0), Entry::ledger_id),
            balance_after: last.map_or_else(|| self.rest().available.unwrap_or_default(), |entry| entry.balance_after),
            frozen_after: last.map_or_else(|| self.rest().frozen.unwrap_or_default(), |entry| entry.frozen_after),
            draw: main.map(|entry| entry.draw.clone()).unwrap_or_default(),
            task_id: main.and_then(|entry| entry.task_id.clone()),
            template_id: main.and_then(|entry| entry.template_id.clone()),
            hold_id: main.and_then(|entry| entry.hold_id).unwrap_or_else(|| HoldId::from_uuid(operation.op_id.uuid())),
            grant_id: main.and_then(|entry| entry.grant_id).unwrap_or_else(|| GrantId::from_uuid(operation.op_id.uuid())),
            reason: main.and_then(|entry| entry.text.reason.clone()),
            main_terms: main.and_then(|entry| entry.terms.clone()),
            version: operation.version(),
            band: operation.band,
            policy_tag: operation.policy_tag.clone(),
            created_at: operation.created_at,
            audit_id: operation.audit_id(),
            idempotent_replay: self.idempotent_replay,
        }
    }
}

impl Serialize for Receipt {
    /// Writes the typed receipt.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.kind() {
            OperationKind::Grant => GrantReceipt::new(self).serialize(serializer),
            OperationKind::Void => VoidReceipt::new(self).serialize(serializer),
            OperationKind::Amend => AmendReceipt::new(self).serialize(serializer),
            OperationKind::Adjust => AdjustReceipt::new(self).serialize(serializer),
            OperationKind::Hold => HoldReceipt::new(self).serialize(serializer),
            OperationKind::Extend => ExtendReceipt::new(self).serialize(serializer),
            OperationKind::Capture | OperationKind::CompleteTask => CaptureReceipt::new(self).serialize(serializer),
            OperationKind::Release | OperationKind::FailTask => ReleaseReceipt::new(self).serialize(serializer),
            OperationKind::Charge => ChargeReceipt::new(self).serialize(serializer),
            OperationKind::Refund => RefundReceipt::new(self).serialize(serializer),
            OperationKind::Settle => SettleReceipt::new(self).serialize(serializer),
            OperationKind::Recur => RecurReceipt::new(self).serialize(serializer),
            OperationKind::StopRule => StopRuleReceipt::new(self).serialize(serializer),
            OperationKind::EraseText => EraseTextReceipt::new(self).serialize(serializer),
            OperationKind::Block | OperationKind::Unblock => BlockReceipt::new(self).serialize(serializer),
            OperationKind::SetMember | OperationKind::RemoveMember => MemberReceipt::new(self).serialize(serializer),
            OperationKind::SetCreditLimit => CreditLimitReceipt::new(self).serialize(serializer),
            OperationKind::SetLowBalance => LowBalanceReceipt::new(self).serialize(serializer),
            OperationKind::Import => ImportReceipt::new(self).serialize(serializer),
            // Its terms stand among its own fields, so it writes itself without its name; who builds typed values needs that.
            OperationKind::SetLicence | OperationKind::RevokeLicence | OperationKind::SubmitDocuments => {
                serializer.serialize_newtype_struct("LicenceReceipt", &LicenceReceipt::new(self))
            }
            OperationKind::AdvanceTask => TaskReceipt::new(self).serialize(serializer),
            // No command, so no answer.
            OperationKind::Alert => serializer.serialize_none(),
        }
    }
}

/// What many receipts say.
struct Common {
    ledger_id: LedgerId,
    balance_after: Amount,
    frozen_after: Amount,
    draw: Draw,
    task_id: Option<TaskId>,
    template_id: Option<TemplateId>,
    hold_id: HoldId,
    grant_id: GrantId,
    reason: Option<Arc<str>>,
    main_terms: Option<Terms>,
    version: u64,
    band: Option<Band>,
    policy_tag: Option<PolicyTag>,
    created_at: Timestamp,
    audit_id: AuditId,
    idempotent_replay: bool,
}

/// Declares a receipt with the fields that all have, and how its own are computed.
macro_rules! receipt {
    (
        $(#[$doc:meta])* $name:ident from [$($kind:ident),*] as ($receipt:ident, $common:ident) {
            $($(#[$fdoc:meta])* $field:ident: $ty:ty = $value:expr),* $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name {
            $($(#[$fdoc])* pub $field: $ty,)*
            /// The available balance after the command.
            pub balance_after: Amount,
            /// The frozen balance after the command.
            pub frozen_after: Amount,
            /// The version of the account after the command: the sequence number of its last entry. 0 of a command that books in no
            /// account.
            pub version: u64,
            /// The band that the balance went to with the command; none if it stayed in its band.
            pub band: Option<Band>,
            /// The label of compliance.
            pub policy_tag: Option<PolicyTag>,
            /// When it was booked.
            pub created_at: Timestamp,
            /// The audit record.
            pub audit_id: AuditId,
            /// The command was executed before: this is the first answer again.
            pub idempotent_replay: bool,
        }

        impl $name {
            pub(super) fn new($receipt: &Receipt) -> $name {
                let $common = $receipt.common(&[$(EntryKind::$kind),*]);
                $name {
                    $($field: $value,)*
                    balance_after: $common.balance_after,
                    frozen_after: $common.frozen_after,
                    version: $common.version,
                    band: $common.band,
                    policy_tag: $common.policy_tag,
                    created_at: $common.created_at,
                    audit_id: $common.audit_id,
                    idempotent_replay: $common.idempotent_replay,
                }
            }
        }
    };
}

receipt! {
    /// Answers [`crate::GrantCredit`].
    GrantReceipt from [Grant] as (receipt, common) {
        /// The grant.
        grant_id: GrantId = common.grant_id,
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// The change of the balance: 0 when the grant is effective later.
        change: Amount = receipt.change(),
        /// What of it repaid at once what was owed on the credit limit.
        repaid: Amount = common.draw.debt(),
        /// From when it can be spent.
        effective_at: Timestamp = match &common.main_terms {
            Some(Terms::Grant { terms, .. }) => terms.effective_at,
            _ => common.created_at,
        },
        /// Until when it can be spent.
        expires_at: Option<Timestamp> = match &common.main_terms {
            Some(Terms::Grant { expires_at, .. }) => *expires_at,
            _ => None,
        },
    }
}

receipt! {
    /// Answers [`crate::VoidGrant`].
    VoidReceipt from [Void] as (receipt, common) {
        /// The grant.
        grant_id: GrantId = common.grant_id,
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// What was forfeited at once: the unheld rest of an effective grant.
        forfeited: Amount = receipt.sum(|entry| entry.change.checked_neg()),
    }
}

receipt! {
    /// Answers [`crate::AmendGrant`].
    AmendReceipt from [Amend] as (receipt, common) {
        /// The grant.
        grant_id: GrantId = common.grant_id,
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// The expiry from now on.
        expires_at: Timestamp = match (&common.main_terms, receipt) {
            (Some(Terms::Expiry { expires_at }), _) => *expires_at,
            _ => common.created_at,
        },
    }
}

receipt! {
    /// Answers [`crate::Adjust`].
    AdjustReceipt from [Adjust] as (receipt, common) {
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// The change of the balance.
        change: Amount = receipt.change(),
        /// Which grants it touched.
        draw: Draw = common.draw,
    }
}

receipt! {
    /// Answers [`crate::PlaceHold`].
    HoldReceipt from [Hold] as (receipt, common) {
        /// The hold; `pre_deduct_id` on the platform.
        hold_id: HoldId = common.hold_id,
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// What was frozen.
        frozen_amount: Amount = common.draw.total(),
        /// Until when.
        expires_at: Timestamp = match (&common.main_terms, receipt) {
            (Some(Terms::Hold { expires_at, .. }), _) => *expires_at,
            _ => common.created_at,
        },
        /// The task.
        task_id: Option<TaskId> = common.task_id,
        /// Which grants it is frozen against, the first drawn first.
        draw: Draw = common.draw,
        /// The licence of which it reserves a use; none where no licence is needed.
        licence_id: Option<LicenceId> = match &common.main_terms {
            Some(Terms::Hold { terms, .. }) => terms.licence_id.clone(),
            _ => None,
        },
        /// What is left of that licence.
        quota_snapshot: Option<QuotaSnapshot> = receipt.rest().quota,
    }
}

receipt! {
    /// Answers [`crate::ExtendHold`].
    ExtendReceipt from [Extend] as (receipt, common) {
        /// The hold.
        hold_id: HoldId = common.hold_id,
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// The expiry from now on.
        expires_at: Timestamp = match (&common.main_terms, receipt) {
            (Some(Terms::Expiry { expires_at }), _) => *expires_at,
            _ => common.created_at,
        },
    }
}

receipt! {
    /// Answers [`crate::CaptureHold`] and [`crate::CompleteTask`].
    CaptureReceipt from [Capture] as (receipt, common) {
        /// The hold.
        hold_id: HoldId = common.hold_id,
        /// The entry of the capture: what a refund names.
        ledger_id: LedgerId = common.ledger_id,
        /// What this command captured.
        captured: Amount = common.draw.total(),
        /// What the hold captured in total; `frozen_amount` on the platform.
        captured_total: Amount = receipt.rest().captured_total.unwrap_or_default(),
        /// What is still held.
        held: Amount = receipt.rest().held.unwrap_or_default(),
        /// Where the hold stands.
        status: HoldState = receipt.rest().status.unwrap_or(HoldState::Committed),
        /// When the hold expires, or would have.
        expires_at: Timestamp = receipt.rest().expires_at.unwrap_or(common.created_at),
        /// The change of the balance: what came back, less an excess.
        change: Amount = receipt.change(),
        /// The task.
        task_id: Option<TaskId> = common.task_id,
        /// The template.
        template_id: Option<TemplateId> = common.template_id,
        /// Which grants it came from.
        draw: Draw = common.draw,
        /// What is left of the licence that it used; none where no licence is needed.
        quota_snapshot: Option<QuotaSnapshot> = receipt.rest().quota,
    }
}

receipt! {
    /// Answers [`crate::ReleaseHold`] and [`crate::FailTask`].
    ReleaseReceipt from [Release] as (receipt, common) {
        /// The hold.
        hold_id: HoldId = common.hold_id,
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// What this command released.
        released: Amount = common.draw.total(),
        /// What is still held.
        held: Amount = receipt.rest().held.unwrap_or_default(),
        /// Where the hold stands.
        status: HoldState = receipt.rest().status.unwrap_or(HoldState::Cancelled),
        /// The change of the balance: less than `released` where a grant has expired or was voided since.
        change: Amount = receipt.change(),
        /// The task.
        task_id: Option<TaskId> = common.task_id,
        /// Why.
        reason: Option<Arc<str>> = common.reason,
    }
}

receipt! {
    /// Answers [`crate::Charge`].
    ChargeReceipt from [Charge] as (receipt, common) {
        /// The entry: what a refund names.
        ledger_id: LedgerId = common.ledger_id,
        /// The version of the price list that the amount was worked out from.
        price_basis: Option<PriceBasis> = match &common.main_terms {
            Some(Terms::Price { price_basis, .. }) => Some(price_basis.clone()),
            _ => None,
        },
        /// The change of the balance: negative.
        change: Amount = receipt.change(),
        /// The task.
        task_id: Option<TaskId> = common.task_id,
        /// The template.
        template_id: Option<TemplateId> = common.template_id,
        /// Why.
        reason: Option<Arc<str>> = common.reason,
        /// Which grants paid, the first drawn first.
        draw: Draw = common.draw,
        /// The licence that it used; none where no licence is needed.
        licence_id: Option<LicenceId> = receipt.rest().licence_id,
    }
}

receipt! {
    /// Answers [`crate::Refund`].
    RefundReceipt from [Refund, Reissue] as (receipt, common) {
        /// The refund.
        refund_id: RefundId = RefundId::derive(receipt.stored.operation.op_id, common.ledger_id.operation().1),
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// What came back to the balance.
        change: Amount = receipt.change(),
        /// What was refunded in all: `change` and `forfeited`.
        refunded: Amount = receipt.sum(|entry| matches!(entry.kind, EntryKind::Refund | EntryKind::Reissue).then_some(entry.change)),
        /// What came from grants that have ended since, and is lost by the policy.
        forfeited: Amount = receipt.sum(|entry| matches!(entry.kind, EntryKind::Expire | EntryKind::Void).then_some(entry.change).and_then(Amount::checked_neg)),
        /// Why.
        reason: Option<Arc<str>> = common.reason,
    }
}

receipt! {
    /// Answers [`crate::SetCreditLimit`].
    CreditLimitReceipt from [Amend] as (receipt, common) {
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// The limit from now on.
        credit_limit: Amount = match (&common.main_terms, receipt) {
            (Some(Terms::CreditLimit { credit_limit }), _) => *credit_limit,
            _ => Amount::ZERO,
        },
    }
}

receipt! {
    /// Answers [`crate::SetLowBalance`].
    LowBalanceReceipt from [Amend] as (receipt, common) {
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// When the balance counts as low from now on; none for never.
        low_balance: Option<LowBalance> = match (&common.main_terms, receipt) {
            (Some(Terms::LowBalance { low_balance }), _) => *low_balance,
            _ => None,
        },
    }
}

receipt! {
    /// Answers [`crate::ImportBalance`].
    ImportReceipt from [Import] as (receipt, common) {
        /// The grant; none for a balance of 0.
        grant_id: Option<GrantId> = common.main_terms.is_some().then_some(common.grant_id),
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// The change of the balance.
        change: Amount = receipt.change(),
        /// What of it repaid at once what was owed on the credit limit.
        repaid: Amount = common.draw.debt(),
    }
}

receipt! {
    /// Answers [`crate::Settle`].
    SettleReceipt from [] as (receipt, common) {
        /// How many entries were booked.
        booked: u32 = u32::try_from(receipt.entries().len()).unwrap_or(u32::MAX),
    }
}

receipt! {
    /// Answers [`crate::RecurGrant`].
    RecurReceipt from [Amend] as (receipt, common) {
        /// The rule.
        rule_id: RuleId = rule_named(common.main_terms.as_ref(), receipt),
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
        /// Its first instance, if it began at once.
        grant_id: Option<GrantId> = receipt.own_entries().find(|entry| entry.kind == EntryKind::Grant).and_then(|entry| entry.grant_id),
        /// The change of the balance: 0 when it begins later.
        change: Amount = receipt.change(),
        /// When it makes its next instance; none if there is no other.
        next_at: Option<Timestamp> = receipt.rule_made().and_then(|rule| rule.due_at()),
    }
}

receipt! {
    /// Answers [`crate::StopRule`].
    StopRuleReceipt from [Amend] as (receipt, common) {
        /// The rule.
        rule_id: RuleId = rule_named(common.main_terms.as_ref(), receipt),
        /// The entry.
        ledger_id: LedgerId = common.ledger_id,
    }
}

fn rule_named(main: Option<&Terms>, receipt: &Receipt) -> RuleId {
    main.and_then(rule_of).unwrap_or_else(|| RuleId::from_uuid(receipt.stored.operation.op_id.uuid()))
}

impl Receipt {
    /// The rule that the command made, as its entries leave it.
    fn rule_made(&self) -> Option<Rule> {
        let follow = |rule, entry: &Entry| match &entry.terms {
            Some(terms) => rule_after(rule, terms, &entry.text),
            None => rule,
        };
        self.own_entries().fold(None, follow)
    }
}

receipt! {
    /// Answers [`crate::EraseText`].
    EraseTextReceipt from [] as (receipt, common) {
        /// Entries whose text was erased.
        erased: u64 = receipt.rest().erased.map_or(0, |answer| answer.erased),
        /// Entries whose text stays until their hold has ended.
        kept: u64 = receipt.rest().erased.map_or(0, |answer| answer.kept),
        /// The last entry that was looked at, if there may be more: the next `after_seq`.
        next_seq: Option<u64> = receipt.rest().erased.and_then(|answer| answer.next_seq),
        /// The person who answers for it.
        operator: Option<Operator> = receipt.rest().erased.map(|answer| answer.operator),
        /// Why.
        reason: Option<Arc<str>> = receipt.rest().erased.map(|answer| answer.reason),
    }
}
