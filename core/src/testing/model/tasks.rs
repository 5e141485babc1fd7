//! Tasks: a list of what happened to each, in the order in which it was booked.

use super::{Effects, Freeze, Model};
use crate::Timestamp;
use crate::command::{AdvanceTask, CaptureHold, CompleteTask, FailTask, ReleaseHold};
use crate::credit::{HoldState, LateCommit};
use crate::denial::DenialKind::{self, *};
use crate::id::{HoldId, Stage, TaskId, TenantId};
use crate::task::TaskStatus;

/// Something that happened to a task, in millionths and microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the one of the same name in the history")]
pub struct Deed {
    pub hold_id: Option<HoldId>,
    pub status: TaskStatus,
    pub stage: Option<Stage>,
    pub progress: Option<u8>,
    pub credits_delta: i64,
    pub ts: i64,
    pub next_eta: Option<i64>,
    /// An expiry that no write has met yet is not.
    pub booked: bool,
}

/// The hold is found by its number: what was held in a group that is not answered yet has no id.
const UNNAMED: HoldId = HoldId::from_uuid(uuid::Uuid::nil());

/// A deed of one task, and the number of its hold.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    tenant: TenantId,
    task: TaskId,
    freeze: usize,
    deed: Deed,
}

impl Model {
    /// The tasks for which something was ever held.
    pub fn tasks(&self) -> Vec<(TenantId, TaskId)> {
        let mut names: Vec<_> = self.deeds.iter().map(|noted| (noted.tenant.clone(), noted.task.clone())).collect();
        names.sort();
        names.dedup();
        names
    }

    /// All that happened to a task until this instant.
    #[must_use]
    pub fn history(&self, tenant: &TenantId, task: &TaskId, now: Timestamp) -> Vec<Deed> {
        let mut history: Vec<Deed> = self.of_task(tenant, task).map(|noted| self.with_id(noted)).collect();
        let named = self.named(tenant, task);
        history.extend(named.and_then(|freeze| self.unbooked(freeze, self.present_of_task(tenant, task, now.micros()))));
        history
    }

    /// What a task is at this instant: the last deed of the hold that it names, with what was said last of that hold's work.
    #[must_use]
    pub fn stands(&self, tenant: &TenantId, task: &TaskId, now: Timestamp) -> Option<Deed> {
        let freeze = self.named(tenant, task)?;
        let of_freeze = || self.of_task(tenant, task).filter(|noted| noted.freeze == freeze).map(|noted| self.with_id(noted));
        let unbooked = self.unbooked(freeze, self.present_of_task(tenant, task, now.micros()));
        let last = unbooked.or_else(|| of_freeze().next_back())?;
        // Only what was said last of the task is kept, and a late capture can go back to an earlier run.
        let said = self.of_task(tenant, task).rfind(|noted| noted.deed.status == TaskStatus::Running);
        let said = said.filter(|noted| noted.freeze == freeze).map(|noted| noted.deed.clone());
        let stage = said.as_ref().and_then(|said| said.stage.clone());
        let progress = last.progress.or(said.and_then(|said| said.progress)).or(Some(0));
        Some(Deed { stage, progress, ..last })
    }

    pub(super) fn advance(&mut self, clock: i64, tenant: &TenantId, ask: &AdvanceTask) -> Result<Effects, DenialKind> {
        let freeze = self.named(tenant, &ask.task_id).ok_or(TaskNotFound)?;
        let now = self.present_of_task(tenant, &ask.task_id, clock);
        if self.freezes[freeze].state_at(now) != HoldState::Frozen {
            return Err(PreDeductAlreadyProcessed);
        }
        let same = |noted: &&Noted| noted.freeze == freeze && noted.deed.status == TaskStatus::Running;
        let before = self.deeds.iter().rfind(same).map(|noted| noted.deed.clone());
        let deed = Deed {
            hold_id: None,
            status: TaskStatus::Running,
            stage: ask.stage.clone().or(before.as_ref().and_then(|before| before.stage.clone())),
            progress: ask.progress.or(before.as_ref().and_then(|before| before.progress)).or(Some(0)),
            credits_delta: 0,
            ts: now,
            next_eta: ask.next_eta.map(Timestamp::micros).or(before.and_then(|before| before.next_eta)),
            booked: true,
        };
        let progress = deed.progress;
        self.deeds.push(Noted { tenant: tenant.clone(), task: ask.task_id.clone(), freeze, deed });
        self.tasks.retain(|known| known.0 != *tenant || known.1 != ask.task_id);
        self.tasks.push((tenant.clone(), ask.task_id.clone(), now));
        Ok(Effects { progress, ..Effects::default() })
    }

    pub(super) fn complete(&mut self, clock: i64, tenant: &TenantId, ask: &CompleteTask) -> Result<(usize, Effects), DenialKind> {
        let (freeze, now) = self.begin_task(clock, tenant, &ask.task_id)?;
        let Freeze { purse, state, lines, ask: held, .. } = &self.freezes[freeze];
        let late = *state == HoldState::Expired && held.late_commit == LateCommit::Draw;
        let all = crate::Amount::from_micros(lines.iter().map(|(_, part)| part).sum());
        let cost = match ask.actual_cost {
            None if late => return Err(PayloadInvalid),
            given => given.unwrap_or(all),
        };
        Ok((*purse, self.capture(freeze, now, &CaptureHold::new(UNNAMED, cost))?))
    }

    pub(super) fn fail(&mut self, clock: i64, tenant: &TenantId, ask: &FailTask) -> Result<(usize, Effects), DenialKind> {
        let (freeze, now) = self.begin_task(clock, tenant, &ask.task_id)?;
        Ok((self.freezes[freeze].purse, self.release(freeze, now, &ReleaseHold::new(UNNAMED))?))
    }

    fn begin_task(&mut self, clock: i64, tenant: &TenantId, task: &TaskId) -> Result<(usize, i64), DenialKind> {
        let freeze = self.named(tenant, task).ok_or(TaskNotFound)?;
        Ok((freeze, self.begin_with(clock, freeze)?))
    }

    /// Notes what happened to the task of a hold, if it is of one.
    pub(super) fn note_deed(&mut self, freeze: usize, status: TaskStatus, credits_delta: i64, ts: i64) {
        let Freeze { purse, ask, .. } = &self.freezes[freeze];
        let Some(task) = ask.task_id.clone() else { return };
        let progress = match status {
            TaskStatus::Accepted => Some(0),
            TaskStatus::Completed => Some(100),
            TaskStatus::Running | TaskStatus::Failed => None,
        };
        let deed = Deed { hold_id: None, status, stage: None, progress, credits_delta, ts, next_eta: None, booked: true };
        let tenant = self.purses[*purse].key.tenant_id.clone();
        self.deeds.push(Noted { tenant, task, freeze, deed });
    }

    fn of_task<'a>(&'a self, tenant: &'a TenantId, task: &'a TaskId) -> impl DoubleEndedIterator<Item = &'a Noted> {
        self.deeds.iter().filter(move |noted| noted.tenant == *tenant && noted.task == *task)
    }

    /// The hold that a task names: the one that was captured for good last, else the one that was placed last.
    fn named(&self, tenant: &TenantId, task: &TaskId) -> Option<usize> {
        let last = |status| self.of_task(tenant, task).rfind(|noted| noted.deed.status == status).map(|noted| noted.freeze);
        last(TaskStatus::Completed).or_else(|| last(TaskStatus::Accepted))
    }

    fn present_of_task(&self, tenant: &TenantId, task: &TaskId, clock: i64) -> i64 {
        let known = self.tasks.iter().find(|known| known.0 == *tenant && known.1 == *task);
        known.map_or(clock, |known| clock.max(known.2))
    }

    fn unbooked(&self, freeze: usize, now: i64) -> Option<Deed> {
        let of = &self.freezes[freeze];
        (of.state == HoldState::Frozen && of.until <= now).then(|| Deed {
            hold_id: of.id,
            status: TaskStatus::Failed,
            stage: None,
            progress: None,
            credits_delta: of.lines.iter().map(|(_, part)| part).sum(),
            ts: of.until,
            next_eta: None,
            booked: false,
        })
    }

    fn with_id(&self, noted: &Noted) -> Deed {
        Deed { hold_id: self.freezes[noted.freeze].id, ..noted.deed.clone() }
    }
}
