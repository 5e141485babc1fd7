//! Recordings of what is decided.

use std::sync::{Arc, Mutex, PoisonError};

use super::job::{Job, Prepared};
use super::reads::ask;
use super::{Engine, typed};
use crate::command::{Command, Operate, Receipt, Request};
use crate::decide::Decision;
use crate::error::{Error, Failure};
use crate::facts::Facts;
use crate::recording::Recording;
use crate::store::{Answer, Query};

/// Keeps what a command was last decided from.
#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Option<Recording>>>);

impl Recorder {
    pub(super) fn note(&self, recording: Recording) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(recording);
    }

    fn take(&self) -> Option<Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Engine {
    /// What a command would be decided from now, as [`Engine::preview`] would decide it. Nothing is locked or committed.
    ///
    /// # Errors
    /// A denial of its shape; [`Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::decide::Decision;
    /// use drawdown::{Charge, Context, Engine, Owner};
    /// let engine = Engine::in_memory();
    /// let charge = |amount: &str| Context::tenant("acme").unwrap().request(Charge::new(Owner::Pool, amount.parse().unwrap()));
    /// let recording = engine.recording_of(charge("4"))?;
    /// assert!(matches!(recording.decide(), Decision::Denied(denial, _) if denial.name() == "insufficient_balance"));
    /// assert!(engine.recording_of(charge("-4")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recording_of<B: Operate>(&self, request: Request<B>) -> Result<Recording, Failure> {
        let prepared = self.prepare(request.into_command())?;
        let facts = self.facts_of(&prepared)?;
        Ok(prepared.recording(&facts))
    }

    /// Executes a command, and answers with what it was decided from as well: deciding that again gives the same operation, with
    /// every id and hash, or the same denial.
    ///
    /// The recording is missing where nothing was decided (the shape was refused, the store failed), and where the answer is
    /// that of an earlier try, whose commit was reported lost and arrived late.
    ///
    /// # Errors
    /// As [`Engine::execute`], beside the recording.
    ///
    /// # Examples
    /// ```
    /// use drawdown::decide::Decision;
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let grant = |amount: &str| GrantCredit::new(Owner::Pool, GrantType::Purchased, amount.parse().unwrap());
    /// let acme = Context::tenant("acme")?;
    /// let (recording, answer) = engine.execute_recorded(acme.request(grant("10")));
    /// let Decision::Accepted(_, receipt) = recording.unwrap().decide() else { unreachable!() };
    /// assert_eq!(receipt.of::<GrantCredit>(), answer.ok());
    /// let (recording, answer) = engine.execute_recorded(acme.request(grant("-1")));
    /// assert!(recording.is_none() && answer.is_err()); // refused by its shape
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn execute_recorded<B: Operate>(&self, request: Request<B>) -> (Option<Recording>, Result<B::Receipt, Failure>) {
        let recorder = Recorder::default();
        let answer = self.run_recorded(request.into_command(), &recorder);
        let recording = recorder.take().filter(|recording| is_of(&recording.decide(), &answer));
        (recording, answer.and_then(|receipt| typed::<B>(&receipt)))
    }

    pub(super) fn facts_of(&self, prepared: &Prepared) -> Result<Facts, Failure> {
        let query = Query::Facts(Box::new(prepared.needs()), self.now());
        Ok(*ask!(self, Facts, query)?)
    }

    fn run_recorded(&self, command: Command, recorder: &Recorder) -> Result<Receipt, Failure> {
        let prepared = self.prepare(command)?.recorded_by(recorder.clone());
        let (job, ticket) = Job::new(vec![prepared], self.deadline(), &self.inner.commands);
        self.inner.lane.run_or_queue(vec![job], None)?;
        ticket.wait()
    }
}

/// Whether this decision was answered.
fn is_of(decision: &Decision, answer: &Result<Receipt, Failure>) -> bool {
    match (decision, answer) {
        (Decision::Accepted(_, decided) | Decision::Replayed(decided), Ok(answered)) => {
            let op_id = |receipt: &Receipt| receipt.stored.operation.op_id;
            (op_id(decided), decided.entries(), decided.idempotent_replay)
                == (op_id(answered), answered.entries(), answered.idempotent_replay)
        }
        (Decision::Denied(denial, _) | Decision::Remembered(_, denial, _), Err(Failure::Denied(answered))) => *denial == **answered,
        (Decision::Contradiction(what), Err(Failure::Failed(Error::Corrupt(answered)))) => what == answered,
        _ => false,
    }
}
