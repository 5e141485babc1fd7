//! A clock that tests set.

use std::sync::Arc;

use drawdown::{Clock, Timestamp};
use pyo3::prelude::*;

use crate::convert::from_python::instant;
use crate::convert::to_python;

/// A clock that stands still until it is set or moved on.
#[pyclass(module = "drawdown._native", frozen)]
pub(crate) struct ManualClock {
    pub(crate) clock: Arc<drawdown::ManualClock>,
}

#[pymethods]
impl ManualClock {
    #[new]
    fn new(now: &Bound<'_, PyAny>) -> PyResult<ManualClock> {
        Ok(ManualClock { clock: Arc::new(drawdown::ManualClock::at(read(now)?)) })
    }

    /// The instant at which it stands.
    fn now<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python::time(py, self.clock.now())
    }

    /// Sets it, forward or back.
    fn set(&self, now: &Bound<'_, PyAny>) -> PyResult<()> {
        self.clock.set(read(now)?);
        Ok(())
    }

    /// Moves it on by so many seconds.
    fn advance(&self, seconds: i64) {
        self.clock.advance_seconds(seconds);
    }

    fn __repr__(&self) -> String {
        format!("ManualClock('{}')", self.clock.now())
    }
}

fn read(now: &Bound<'_, PyAny>) -> PyResult<Timestamp> {
    instant("now", now).map_err(|unread| unread.raised(now.py()))
}
