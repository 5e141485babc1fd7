//! Receipts of commands that book in no account.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Receipt;
use crate::command::{BlockTarget, BlockedAccount};
use crate::credit::{MemberLimit, Role};
use crate::id::{AuditId, DocumentId, HoldId, LicenceId, Operator, OrganizationId, PolicyTag, Stage, TaskId, UserId};
use crate::ledger::{EntryKind, OperationKind};
use crate::licence::LicenceTerms;
use crate::owner::Subject;
use crate::task::TaskStatus;
use crate::time::Timestamp;

/// Answers [`crate::Block`] and [`crate::Unblock`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlockReceipt {
    /// What the command was about; of an account with its unit.
    pub target: BlockTarget,
    /// Whether it is blocked from now on.
    pub blocked: bool,
    /// Whether it was not so before.
    pub changed: bool,
    /// Who answers for it.
    pub operator: Option<Operator>,
    /// Why.
    pub reason: Option<Arc<str>>,
    /// When it was booked.
    pub created_at: Timestamp,
    /// The audit record.
    pub audit_id: AuditId,
    /// The command was executed before: this is the first answer again.
    pub idempotent_replay: bool,
}

impl BlockReceipt {
    pub(in crate::command) fn new(receipt: &Receipt) -> BlockReceipt {
        let operation = &receipt.stored.operation;
        let target = match (&operation.account, &operation.subject) {
            (Some(account), _) => BlockTarget::Account(BlockedAccount::of(account)),
            (None, Some(Subject::User(user_id))) => BlockTarget::User(user_id.clone()),
            (None, _) => BlockTarget::Tenant,
        };
        let rest = receipt.rest();
        let note = rest.note.or_else(|| receipt.main(&[EntryKind::Amend]).map(|entry| entry.text.clone())).unwrap_or_default();
        BlockReceipt {
            target,
            blocked: operation.kind == OperationKind::Block,
            changed: rest.changed.unwrap_or_default(),
            operator: note.operator,
            reason: note.reason,
            created_at: operation.created_at,
            audit_id: operation.audit_id(),
            idempotent_replay: receipt.idempotent_replay,
        }
    }
}

/// Answers [`crate::SetMember`] and [`crate::RemoveMember`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberReceipt {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The member.
    pub user_id: UserId,
    /// The role from now on; of one who was removed the last.
    pub role: Role,
    /// The limit from now on, with its unit; of one who was removed the last.
    pub limit: Option<MemberLimit>,
    /// Whether anything was different before.
    pub changed: bool,
    /// When it was booked.
    pub created_at: Timestamp,
    /// The audit record.
    pub audit_id: AuditId,
    /// The command was executed before: this is the first answer again.
    pub idempotent_replay: bool,
}

impl MemberReceipt {
    /// Nothing, if the operation does not say whom it was about.
    pub(in crate::command) fn new(receipt: &Receipt) -> Option<MemberReceipt> {
        let operation = &receipt.stored.operation;
        let Some(Subject::Organization(organization_id)) = &operation.subject else { return None };
        let rest = receipt.rest();
        let member = rest.member?;
        Some(MemberReceipt {
            organization_id: organization_id.clone(),
            user_id: member.user_id,
            role: member.role,
            limit: member.limit,
            changed: rest.changed.unwrap_or_default(),
            created_at: operation.created_at,
            audit_id: operation.audit_id(),
            idempotent_replay: receipt.idempotent_replay,
        })
    }
}

/// Answers [`crate::SetLicence`], [`crate::RevokeLicence`] and [`crate::SubmitDocuments`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LicenceReceipt {
    /// The licence.
    pub licence_id: LicenceId,
    /// What is agreed from now on.
    #[serde(flatten)]
    pub terms: LicenceTerms,
    /// What was submitted so far.
    pub submitted_documents: BTreeSet<DocumentId>,
    /// Whether it is revoked.
    pub revoked: bool,
    /// Whether anything was different before.
    pub changed: bool,
    /// Who answers for it.
    pub operator: Option<Operator>,
    /// Why.
    pub reason: Option<Arc<str>>,
    /// When it was booked.
    pub created_at: Timestamp,
    /// The audit record.
    pub audit_id: AuditId,
    /// The command was executed before: this is the first answer again.
    pub idempotent_replay: bool,
}

impl LicenceReceipt {
    /// Nothing, if the operation does not say which licence it was about.
    pub(in crate::command) fn new(receipt: &Receipt) -> Option<LicenceReceipt> {
        let operation = &receipt.stored.operation;
        let Some(Subject::Licence(licence_id)) = &operation.subject else { return None };
        let rest = receipt.rest();
        let (licence, note) = (rest.licence?, rest.note.unwrap_or_default());
        Some(LicenceReceipt {
            licence_id: licence_id.clone(),
            terms: licence.terms,
            submitted_documents: licence.submitted_documents,
            revoked: licence.revoked_at.is_some(),
            changed: rest.changed.unwrap_or_default(),
            operator: note.operator,
            reason: note.reason,
            created_at: operation.created_at,
            audit_id: operation.audit_id(),
            idempotent_replay: receipt.idempotent_replay,
        })
    }
}

/// Answers [`crate::AdvanceTask`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskReceipt {
    /// The task.
    pub task_id: TaskId,
    /// The hold that pays for it.
    pub hold_id: HoldId,
    /// Where it stands: it is running.
    pub status: TaskStatus,
    /// What is being done, if it was said.
    pub stage: Option<Stage>,
    /// How much of the work is done: 0 to 100.
    pub progress: u8,
    /// When the next step is expected, if it was said.
    pub next_eta: Option<Timestamp>,
    /// The label of compliance of the hold.
    pub policy_tag: Option<PolicyTag>,
    /// When it was booked.
    pub created_at: Timestamp,
    /// The audit record.
    pub audit_id: AuditId,
    /// The command was executed before: this is the first answer again.
    pub idempotent_replay: bool,
}

impl TaskReceipt {
    /// Nothing, if the operation does not say which task it was about.
    pub(in crate::command) fn new(receipt: &Receipt) -> Option<TaskReceipt> {
        let operation = &receipt.stored.operation;
        let Some(Subject::Task(task_id)) = &operation.subject else { return None };
        let work = receipt.rest().task?;
        Some(TaskReceipt {
            task_id: task_id.clone(),
            hold_id: work.hold_id,
            status: TaskStatus::Running,
            stage: work.stage,
            progress: work.progress,
            next_eta: work.next_eta,
            policy_tag: operation.policy_tag.clone(),
            created_at: operation.created_at,
            audit_id: operation.audit_id(),
            idempotent_replay: receipt.idempotent_replay,
        })
    }
}
