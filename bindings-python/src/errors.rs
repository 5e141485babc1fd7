//! Denials and errors as Python exceptions, which the package makes itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock};

use drawdown::{Denial, Error, Failure, UsedBy};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::convert::to_python;

/// The class of each denial and error, by its name.
static CLASSES: RwLock<Option<Py<PyDict>>> = RwLock::new(None);

/// Says which exceptions are raised: for each name its class.
#[pyfunction]
pub(crate) fn define_errors(classes: Py<PyDict>) {
    *CLASSES.write().unwrap_or_else(PoisonError::into_inner) = Some(classes);
}

/// An exception with these attributes, made without a line of Python: while one runs, another thread can end the interpreter, which
/// then ends this thread through the frames of Rust, and that aborts the process.
fn made<'py>(py: Python<'py>, name: &str, message: &str, said: &[(&str, Bound<'py, PyAny>)]) -> PyResult<Bound<'py, PyAny>> {
    let classes = CLASSES.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|classes| classes.clone_ref(py));
    let class = classes.map(|classes| classes.bind(py).get_item(name)).transpose()?.flatten();
    let Some(class) = class else {
        return Err(PyRuntimeError::new_err(format!("{message}; no exception is defined for `{name}`")));
    };
    let exception = class.call_method1("__new__", (&class, message))?;
    exception.setattr("message", message)?;
    said.iter().try_for_each(|(attribute, value)| exception.setattr(*attribute, value))?;
    Ok(exception)
}

/// Why nothing was answered, in whose answer it stands, and which command of a group it is about.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    pub(crate) used_by: UsedBy,
    pub(crate) index: Option<usize>,
}

impl Refusal {
    pub(crate) fn new(failure: impl Into<Failure>, used_by: UsedBy) -> Refusal {
        Refusal { failure: failure.into(), used_by, index: None }
    }

    pub(crate) fn at(self, index: Option<usize>) -> Refusal {
        Refusal { index, ..self }
    }

    /// The exception, as an object.
    pub(crate) fn exception<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let (used_by, message) = (name_of_use(self.used_by), self.failure.to_string());
        let text = |text: Option<String>| text.into_pyobject(py).map(Bound::into_any);
        let nothing = || py.None().into_bound(py);
        let (name, details, retryable, retry_at, policy_tag, audit_id) = match &self.failure {
            Failure::Denied(denial) => {
                let details = to_python::json(py, denial.details())?;
                let retry_at = denial.when_to_retry().map(|at| to_python::time(py, at)).transpose()?;
                let policy_tag = text(denial.policy_tag().map(|tag| tag.as_str().to_owned()))?;
                let audit_id = text(denial.audit_id().map(|id| id.to_string()))?;
                (denial.name(), details, denial.retryable(), retry_at.unwrap_or_else(nothing), policy_tag, audit_id)
            }
            Failure::Failed(error) => {
                let details = PyDict::new(py);
                if let Error::ClockBehind { now, last_at } = error {
                    details.set_item("now", to_python::time(py, *now)?)?;
                    details.set_item("last_at", to_python::time(py, *last_at)?)?;
                }
                (name_of_error(error), details.into_any(), error.retryable(), nothing(), nothing(), nothing())
            }
        };
        let said = [
            ("details", details),
            ("retryable", PyBool::new(py, retryable).to_owned().into_any()),
            ("retry_at", retry_at),
            ("policy_tag", policy_tag),
            ("audit_id", audit_id),
            ("used_by", PyString::new(py, used_by).into_any()),
            ("index", self.index.into_pyobject(py)?.into_any()),
        ];
        made(py, name, &message, &said)
    }

    /// The exception, to be raised.
    pub(crate) fn raised(&self, py: Python<'_>) -> PyErr {
        self.exception(py).map_or_else(|error| error, PyErr::from_value)
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Refusal {
        Refusal::new(denial, UsedBy::Write)
    }
}

/// Why an argument could not be read: refused by a rule, or by Python.
#[derive(Debug)]
pub(crate) enum Unread {
    Refused(Refusal),
    Raised(PyErr),
}

impl Unread {
    pub(crate) fn raised(self, py: Python<'_>) -> PyErr {
        match self {
            Unread::Refused(refusal) => refusal.raised(py),
            Unread::Raised(error) => error,
        }
    }
}

impl From<Refusal> for Unread {
    fn from(refusal: Refusal) -> Unread {
        Unread::Refused(refusal)
    }
}

impl From<Denial> for Unread {
    fn from(denial: Denial) -> Unread {
        Unread::Refused(denial.into())
    }
}

impl From<PyErr> for Unread {
    fn from(error: PyErr) -> Unread {
        Unread::Raised(error)
    }
}

/// Does something that could panic by a mistake of the engine: no panic reaches Python.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let panicked = |_| Err(Error::Unknown("the engine gave up; the same key is safe".to_owned()).into());
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}

fn name_of_use(used_by: UsedBy) -> &'static str {
    match used_by {
        UsedBy::Write => "write",
        UsedBy::WriteAllExpired => "write_all_expired",
        UsedBy::Hold => "hold",
        UsedBy::Read => "read",
        UsedBy::Check => "check",
    }
}

fn name_of_error(error: &Error) -> &'static str {
    match error {
        Error::Busy(_) => "busy",
        Error::Unknown(_) => "unknown",
        Error::ClockBehind { .. } => "clock_behind",
        Error::Output(_) => "output",
        Error::Closed => "closed",
        Error::Corrupt(_) => "corrupt",
        _ => "store",
    }
}
