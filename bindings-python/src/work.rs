//! What can be asked of the engine, read from Python's values; and what it answers, built from them.

use drawdown::call::{Call, EventsPage, Reply};
use drawdown::event::EventQuery;
use drawdown::{Command, Engine, Failure, Receipt, UsedBy};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use serde_json::Value;

use crate::convert::given::Reading;
use crate::convert::{from_python, to_python};
use crate::errors::{Refusal, Unread, guarded};

/// Something to do, of which Python knows nothing until it is done.
pub(crate) enum Work {
    Run(Command),
    Preview(Command),
    /// Each command, or why it cannot be read.
    RunMany(Vec<Result<Command, Refusal>>),
    RunAll(Vec<Command>),
    Call(Box<Call>),
}

/// What was answered.
pub(crate) enum Answer {
    Receipt(Receipt),
    Many(Vec<Result<Receipt, Refusal>>),
    All(Vec<Receipt>),
    Reply(Box<Reply>),
    Events(EventsPage),
}

pub(crate) type Outcome = Result<Answer, Refusal>;

/// A command from its kind and fields. What is wrong with one is said by its JSON, which is made for that.
pub(crate) fn command(
    kind: &Bound<'_, PyString>,
    names: &Bound<'_, PyTuple>,
    values: &Bound<'_, PyTuple>,
) -> Result<Command, Unread> {
    let reading = Reading::new(names, values)?;
    if let (Ok(kind), Some(fields)) = (kind.to_str(), reading.fields())
        && let Some(command) = Command::from_given(kind, &fields)
    {
        return Ok(command);
    }
    let mut fields = reading.json()?;
    let kind = kind.to_cow().map_err(|_| lone("command", kind))?;
    fields.insert("command".to_owned(), Value::String(kind.into_owned()));
    Ok(Command::from_fields(fields)?)
}

/// Commands, each a tuple of its kind, the names and the values of its fields. One that is refused by its shape keeps its place.
pub(crate) fn commands(commands: &Bound<'_, PyList>) -> PyResult<Vec<Result<Command, Refusal>>> {
    let read = |(at, item): (usize, Bound<'_, PyAny>)| {
        let (kind, names, values): (Bound<'_, PyString>, Bound<'_, PyTuple>, Bound<'_, PyTuple>) = item.extract()?;
        match command(&kind, &names, &values) {
            Ok(command) => Ok(Ok(command)),
            Err(Unread::Refused(refusal)) => Ok(Err(refusal.at(Some(at)))),
            Err(Unread::Raised(error)) => Err(error),
        }
    };
    commands.iter().enumerate().map(read).collect()
}

/// A question or errand from its name and fields.
pub(crate) fn call(name: &Bound<'_, PyString>, names: &Bound<'_, PyTuple>, values: &Bound<'_, PyTuple>) -> Result<Call, Unread> {
    let reading = Reading::new(names, values)?;
    if let (Ok(name), Some(fields)) = (name.to_str(), reading.fields())
        && let Some(call) = Call::from_given(name, &fields)
    {
        return Ok(call);
    }
    let fields = reading.json()?;
    let name = name.to_cow().map_err(|_| lone("call", name))?;
    Ok(Call::from_fields(&name, fields).map_err(|denial| Refusal::new(denial, UsedBy::Read))?)
}

/// A question about events.
pub(crate) fn event_query(names: &Bound<'_, PyTuple>, values: &Bound<'_, PyTuple>) -> Result<EventQuery, Unread> {
    match call(&PyString::intern(names.py(), "events"), names, values)? {
        Call::Events(asked) => Ok(asked.query()),
        other => Err(PyTypeError::new_err(format!("`{}` does not ask for events", other.name())).into()),
    }
}

impl Work {
    /// Whether it can change the books.
    #[cfg(unix)]
    pub(crate) fn is_written(&self) -> bool {
        matches!(self, Work::Run(_) | Work::RunMany(_) | Work::RunAll(_))
    }

    /// Does it, on a thread that Python does not wait for.
    pub(crate) fn done(self, engine: &Engine) -> Outcome {
        match self {
            Work::Run(command) => {
                let used_by = UsedBy::of(command.body.kind());
                let ran = guarded(|| engine.run(command));
                ran.map(Answer::Receipt).map_err(|failure| Refusal::new(failure, used_by))
            }
            Work::Preview(command) => {
                let used_by = UsedBy::of(command.body.kind());
                let decided = guarded(|| engine.preview(command));
                decided.map(Answer::Receipt).map_err(|failure| Refusal::new(failure, used_by))
            }
            Work::RunMany(commands) => Ok(Answer::Many(run_many(engine, commands))),
            Work::RunAll(commands) => run_all(engine, commands),
            Work::Call(call) => {
                let used_by = call.used_by();
                let replied = guarded(|| engine.call(*call));
                replied.map(|reply| Answer::Reply(Box::new(reply))).map_err(|failure| Refusal::new(failure, used_by))
            }
        }
    }
}

impl Answer {
    pub(crate) fn build<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Answer::Receipt(receipt) => to_python::result(py, receipt),
            Answer::All(receipts) => {
                let built = receipts.iter().map(|receipt| to_python::result(py, receipt));
                Ok(PyList::new(py, built.collect::<PyResult<Vec<_>>>()?)?.into_any())
            }
            Answer::Many(answers) => {
                let built = answers.iter().map(|answer| match answer {
                    Ok(receipt) => to_python::result(py, receipt),
                    Err(refusal) => refusal.exception(py),
                });
                Ok(PyList::new(py, built.collect::<PyResult<Vec<_>>>()?)?.into_any())
            }
            Answer::Reply(reply) => to_python::result(py, &**reply),
            Answer::Events(page) => to_python::result(py, page),
        }
    }
}

fn run_many(engine: &Engine, commands: Vec<Result<Command, Refusal>>) -> Vec<Result<Receipt, Refusal>> {
    let mut refused = Vec::with_capacity(commands.len());
    let mut taken = Vec::with_capacity(commands.len());
    for command in commands {
        match command {
            Ok(command) => {
                refused.push(Err(UsedBy::of(command.body.kind())));
                taken.push(command);
            }
            Err(refusal) => refused.push(Ok(refusal)),
        }
    }
    let count = taken.len();
    let answers = guarded(|| Ok(engine.execute_many(taken)));
    let mut answers = answers.unwrap_or_else(|failure| vec![Err(failure); count]).into_iter();
    let answer = |(at, refused): (usize, Result<Refusal, UsedBy>)| match refused {
        Ok(refusal) => Err(refusal),
        Err(used_by) => {
            let missing = || Err(drawdown::Error::Unknown("the command was not answered".to_owned()).into());
            let answered: Result<Receipt, Failure> = answers.next().unwrap_or_else(missing);
            answered.map_err(|failure| Refusal::new(failure, used_by).at(Some(at)))
        }
    };
    refused.into_iter().enumerate().map(answer).collect()
}

fn run_all(engine: &Engine, commands: Vec<Command>) -> Outcome {
    let uses: Vec<UsedBy> = commands.iter().map(|command| UsedBy::of(command.body.kind())).collect();
    let mut index = None;
    let ran = guarded(|| {
        engine.execute_all(commands).map_err(|refused| {
            index = refused.index;
            refused.failure
        })
    });
    ran.map(Answer::All).map_err(|failure| {
        let used_by = index.and_then(|at| uses.get(at).copied()).unwrap_or(UsedBy::Write);
        Refusal::new(failure, used_by).at(index)
    })
}

/// A name that is not Unicode.
pub(crate) fn lone(field: &str, string: &Bound<'_, PyString>) -> Unread {
    from_python::lone_surrogates(field, string).unwrap_or_else(Unread::Raised)
}
