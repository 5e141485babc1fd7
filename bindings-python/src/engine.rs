//! The engine, as Python's threads call it: each method reads its arguments, lets go of the interpreter, asks, and builds the
//! answer.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use drawdown::call::EventsPage;
use drawdown::{Engine, Error, UsedBy};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::errors::Refusal;
use crate::options;
use crate::wait;
use crate::work::{self, Answer, Work};

/// The engine of the core over the books at an address.
#[pyclass(module = "drawdown._native", name = "Engine", frozen, weakref)]
pub(crate) struct NativeEngine {
    /// None once it is closed, so that its files are closed too.
    engine: RwLock<Option<Engine>>,
    /// The process that opened it.
    process: u32,
}

#[pymethods]
impl NativeEngine {
    #[new]
    fn new(py: Python<'_>, url: &Bound<'_, PyString>, options: &Bound<'_, PyDict>) -> PyResult<NativeEngine> {
        let url = url.to_cow().map_err(|_| work::lone("url", url).raised(py))?.into_owned();
        let builder = options::builder(options).map_err(|unread| unread.raised(py))?.url(url);
        let opened = py.detach(|| builder.build());
        let engine = opened.map_err(|error| Refusal::new(error, UsedBy::Read).raised(py))?;
        Ok(NativeEngine { engine: RwLock::new(Some(engine)), process: std::process::id() })
    }

    /// Runs a command by its kind.
    fn run<'py>(
        &self,
        name: &Bound<'py, PyString>,
        names: &Bound<'py, PyTuple>,
        values: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let command = work::command(name, names, values).map_err(|unread| unread.raised(py))?;
        self.answer(py, Work::Run(command))
    }

    /// Decides a command without committing it.
    fn preview<'py>(
        &self,
        name: &Bound<'py, PyString>,
        names: &Bound<'py, PyTuple>,
        values: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let command = work::command(name, names, values).map_err(|unread| unread.raised(py))?;
        self.answer(py, Work::Preview(command))
    }

    /// Runs commands in order, each by itself: results or exceptions.
    fn run_many<'py>(&self, commands: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
        let work = Work::RunMany(work::commands(commands)?);
        self.answer(commands.py(), work)
    }

    /// Runs commands as one: all or nothing.
    fn run_all<'py>(&self, commands: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyAny>> {
        let read = work::commands(commands)?.into_iter().collect::<Result<Vec<_>, Refusal>>();
        let work = Work::RunAll(read.map_err(|refusal| refusal.raised(commands.py()))?);
        self.answer(commands.py(), work)
    }

    /// Asks a question by its name.
    fn call<'py>(
        &self,
        name: &Bound<'py, PyString>,
        names: &Bound<'py, PyTuple>,
        values: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = name.py();
        let call = work::call(name, names, values).map_err(|unread| unread.raised(py))?;
        self.answer(py, Work::Call(Box::new(call)))
    }

    /// Waits at most so many seconds for the next page that has an event; signals are heard meanwhile.
    fn wait_for_events<'py>(
        &self,
        names: &Bound<'py, PyTuple>,
        values: &Bound<'py, PyTuple>,
        seconds: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = names.py();
        let query = work::event_query(names, values).map_err(|unread| unread.raised(py))?;
        let engine = self.get().map_err(|refusal| refusal.raised(py))?;
        let timeout = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        match wait::for_events(py, &engine, &query, timeout)? {
            Ok(page) => Answer::Events(EventsPage::of(page)).build(py),
            Err(failure) => Err(Refusal::new(failure, UsedBy::Read).raised(py)),
        }
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self) -> bool {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes no more commands, and returns once those that it took are answered.
    fn close(&self, py: Python<'_>) {
        let taken = self.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(engine) = taken {
            self.let_go(py, engine);
        }
    }
}

impl NativeEngine {
    /// The engine, while it is open.
    pub(crate) fn get(&self) -> Result<Engine, Refusal> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        engine.clone().ok_or_else(|| Refusal::new(Error::Closed, UsedBy::Write))
    }

    fn answer<'py>(&self, py: Python<'py>, work: Work) -> PyResult<Bound<'py, PyAny>> {
        let engine = self.get().map_err(|refusal| refusal.raised(py))?;
        let outcome = py.detach(|| work.done(&engine));
        match outcome {
            Ok(answer) => answer.build(py),
            Err(refusal) => Err(refusal.raised(py)),
        }
    }

    /// Closes it; but in a process that was forked from its own it is left as it is: to close the connections that stand in both
    /// would change what the parent works with.
    fn let_go(&self, py: Python<'_>, engine: Engine) {
        if self.process == std::process::id() {
            py.detach(|| {
                engine.close();
                drop(engine);
            });
        } else {
            std::mem::forget(engine);
        }
    }
}

impl Drop for NativeEngine {
    fn drop(&mut self) {
        let taken = self.engine.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(engine) = taken {
            let mut engine = Some(engine);
            let attached = Python::try_attach(|py| engine.take().map(|engine| self.let_go(py, engine)));
            if attached.is_none() {
                std::mem::forget(engine); // The interpreter has ended: the process does, too.
            }
        }
    }
}
