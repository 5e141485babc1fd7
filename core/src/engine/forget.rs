//! Removing stored answers that nobody is given any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::error::{Error, Failure};
use crate::id::{OpId, TenantId};
use crate::ledger::{MAX_PAGE, OperationKind, StoredOperation};

/// What [`Engine::forget_answers`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForgetReport {
    /// Answers and denials that were removed.
    pub forgotten: usize,
    /// The last operation that was looked at; where the next call goes on.
    pub position: u64,
    /// The limit was reached before an operation whose answer is still given.
    pub more: bool,
}

impl Engine {
    /// Removes the stored answers and denials of operations that are past their tenant's retention
    /// ([`crate::TenantPolicy::answer_retention_days`]): the oldest first, after this position of the feed, looking at no more than
    /// `limit` operations. It stops at the first whose retention is not over; tenants that keep answers for ever are passed over.
    ///
    /// No answer depends on it: a key past its retention is a conflict whether or not anything was removed. Keys, entries and
    /// fingerprints stay.
    ///
    /// # Errors
    /// [`Failure`] when the store cannot be read or written; what was removed before stays so.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, ManualClock, Owner, PlaceHold, ReleaseHold};
    /// let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse()?));
    /// let engine = Engine::builder().clock(clock.clone()).build()?;
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let hold = engine.execute(acme.request(PlaceHold::new(user, "4".parse()?)))?;
    /// let release = acme.key("release-1")?.request(ReleaseHold::new(hold.hold_id));
    /// engine.execute(release.clone())?;
    /// assert_eq!(engine.forget_answers(0, 1_000)?.forgotten, 0);
    /// clock.set("2026-04-01T00:00:00Z".parse()?); // 90 days later
    /// assert_eq!(engine.execute(release).unwrap_err().denial().unwrap().details()["reason"], "answer_expired");
    /// let report = engine.forget_answers(0, 1_000)?;
    /// assert_eq!((report.forgotten, report.position, report.more), (1, 3, false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget_answers(&self, after: u64, limit: usize) -> Result<ForgetReport, Failure> {
        let now = self.now();
        let mut report = ForgetReport { forgotten: 0, position: after, more: false };
        let mut left = limit;
        loop {
            // One more than may be looked at tells whether there is more.
            let page = self.feed(None, report.position, left.saturating_add(1).min(MAX_PAGE))?;
            let mut expired: BTreeMap<&TenantId, Vec<OpId>> = BTreeMap::new();
            let mut ended = page.is_empty();
            for stored in &page {
                let operation = &stored.operation;
                let policy = self.policy(&operation.tenant_id);
                if policy.answer_retention_days.is_some() && !policy.answer_is_expired(operation.created_at, now) {
                    ended = true;
                    break;
                }
                if left == 0 {
                    report.more = true;
                    ended = true;
                    break;
                }
                (left, report.position) = (left - 1, stored.position);
                if policy.answer_retention_days.is_some() && keeps_answer(stored) {
                    expired.entry(&operation.tenant_id).or_default().push(operation.op_id);
                }
            }
            for (tenant_id, op_ids) in expired {
                self.inner.lane.bench.store.forget(tenant_id, &op_ids).map_err(Error::from)?;
                report.forgotten += op_ids.len();
            }
            if ended {
                return Ok(report);
            }
        }
    }
}

fn keeps_answer(stored: &StoredOperation) -> bool {
    let operation = &stored.operation;
    operation.denial.is_some() || !is_audit(operation.kind) && operation.answer.is_some() && !operation.is_forgotten()
}

/// Who erased, blocked, or set a member, and why, and how far the work of a task was: with no entry to say it, it stands nowhere but
/// in the answer.
const fn is_audit(kind: OperationKind) -> bool {
    use OperationKind::{AdvanceTask, Block, EraseText, RemoveMember, SetMember, Unblock};
    matches!(kind, EraseText | Block | Unblock | SetMember | RemoveMember | AdvanceTask)
}
