//! Verification of tasks: what was booked about each, over all accounts, and what its row says.

use super::Engine;
use super::reads::{MAX_READS, ask, restless};
use super::tasks::OPERATIONS_A_READ;
use crate::credit::Hold;
use crate::error::{Error, Failure};
use crate::facts::Task;
use crate::id::{TaskId, TenantId};
use crate::ledger::{Entry, EntryKind, Fault, FaultKind, PageOrder, Terms, VerifyReport};
use crate::map::Set;
use crate::owner::AccountKey;
use crate::store::{Answer, Query};
use crate::task::rebuilt::RebuiltTask;

/// Tasks that are listed at once.
const TASKS_A_READ: usize = 256;

/// What one reading of a task finds.
enum Reading {
    /// It was booked while it was read.
    Restless,
    /// An account in which something is wrong leads to it.
    OfWrongAccount,
    /// What its row says wrongly, if anything.
    Whole(Option<String>),
}

impl Engine {
    /// Verifies the rows of all tasks. A task that entries of a wrong account are about is passed over: what is wrong is named once.
    pub(super) fn verify_tasks(&self, report: &mut VerifyReport, progress: &mut dyn FnMut(&VerifyReport)) -> Result<(), Failure> {
        let wrong: Set<AccountKey> = report.faults.iter().filter_map(|fault| fault.account.as_deref().cloned()).collect();
        let mut after: Option<(TenantId, TaskId)> = None;
        loop {
            let tasks = match ask!(self, Tasks, Query::Tasks(after.clone(), TASKS_A_READ)) {
                Err(Failure::Failed(Error::Corrupt(what))) => {
                    report.faults.push(unreadable(what));
                    return Ok(());
                }
                read => read?,
            };
            let Some((last, _)) = tasks.last() else { return Ok(()) };
            after = Some(last.clone());
            for ((tenant_id, task_id), _) in &tasks {
                report.tasks += 1;
                self.verify_task(tenant_id, task_id, &wrong, report)?;
            }
            progress(report);
        }
    }

    fn verify_task(
        &self,
        tenant_id: &TenantId,
        task_id: &TaskId,
        wrong: &Set<AccountKey>,
        report: &mut VerifyReport,
    ) -> Result<(), Failure> {
        for _ in 0..MAX_READS {
            match self.read_task(tenant_id, task_id, wrong) {
                Ok(Reading::Restless) => continue,
                Ok(Reading::OfWrongAccount | Reading::Whole(None)) => {}
                Ok(Reading::Whole(Some(message))) => report.faults.push(wrong_task(message)),
                // The account whose row it is may have said so.
                Err(Failure::Failed(Error::Corrupt(what))) if !wrong.is_empty() => drop(what),
                Err(Failure::Failed(Error::Corrupt(what))) => report.faults.push(unreadable(what)),
                Err(failure) => return Err(failure),
            }
            return Ok(());
        }
        Err(restless(task_id))
    }

    /// Reads the rows before and after all that was booked: where they differ, something was booked meanwhile.
    fn read_task(&self, tenant_id: &TenantId, task_id: &TaskId, wrong: &Set<AccountKey>) -> Result<Reading, Failure> {
        let before = self.task_and_hold(tenant_id, task_id)?;
        let (mut rebuilt, mut beyond) = (RebuiltTask::default(), 0);
        loop {
            let operations = self.task_operations(tenant_id, task_id, PageOrder::Asc, beyond)?;
            for stored in &operations {
                beyond = stored.position;
                if stored.entries.iter().any(|entry| wrong.contains(&*entry.account)) {
                    return Ok(Reading::OfWrongAccount);
                }
                rebuilt.read(task_id, stored);
            }
            if operations.len() < OPERATIONS_A_READ {
                break;
            }
        }
        if self.task_and_hold(tenant_id, task_id)? != before {
            return Ok(Reading::Restless);
        }
        Ok(Reading::Whole(rebuilt.wrong(task_id, &before.0.unwrap_or_default(), before.1.as_ref())))
    }

    fn task_and_hold(&self, tenant_id: &TenantId, task_id: &TaskId) -> Result<(Option<Task>, Option<Hold>), Failure> {
        let task = ask!(self, Task, Query::Task(tenant_id.clone(), task_id.clone()))?;
        let hold = match task.as_ref().and_then(|task| task.hold_id) {
            Some(hold_id) => ask!(self, Hold, Query::Hold(tenant_id.clone(), hold_id))?.map(|(_, hold)| hold),
            None => None,
        };
        Ok((task, hold))
    }

    /// The first of these entries whose task has no row.
    pub(super) fn without_task<'a>(&self, entries: &[&'a Entry]) -> Result<Option<&'a Entry>, Failure> {
        let mut seen = Set::default();
        for entry in entries {
            let counts =
                matches!(entry.kind, EntryKind::Charge | EntryKind::Capture) || matches!(entry.terms, Some(Terms::Hold { .. }));
            let Some(task_id) = entry.task_id.as_ref().filter(|_| counts) else { continue };
            if seen.insert(task_id) {
                let query = Query::Task(entry.account.tenant_id.clone(), task_id.clone());
                match ask!(self, Task, query) {
                    Ok(None) => return Ok(Some(entry)),
                    // One that cannot be read is found when tasks are listed.
                    Ok(Some(_)) | Err(Failure::Failed(Error::Corrupt(_))) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        Ok(None)
    }
}

fn wrong_task(message: String) -> Fault {
    Fault { account: None, kind: FaultKind::WrongTask, seq: None, ledger_id: None, message }
}

fn unreadable(message: String) -> Fault {
    Fault { account: None, kind: FaultKind::Unreadable, seq: None, ledger_id: None, message }
}
