//! The Python module `drawdown._native`: it converts, and nothing else. The names that users see stand in `python/drawdown`.

#[cfg(unix)]
mod bridge;
mod clock;
mod convert;
mod engine;
mod errors;
mod options;
#[cfg(unix)]
mod pool;
mod proofs;
mod wait;
mod work;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Refuses any interpreter of the process but the first: what is defined at import belongs to one. Python asks the module itself only
/// from 3.12 on.
fn only_one_interpreter(py: Python<'_>) -> PyResult<()> {
    static FIRST: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let here = py.import("builtins")?;
    if FIRST.get_or_init(py, || here.clone().unbind()).bind(py).is(&here) {
        return Ok(());
    }
    Err(PyImportError::new_err("module drawdown._native does not support loading in subinterpreters"))
}

/// What the package's Python code is built on.
#[pymodule(gil_used = false)]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::only_one_interpreter(module.py())
    }

    #[cfg(unix)]
    #[pymodule_export]
    use super::bridge::Bridge;
    #[pymodule_export]
    use super::clock::ManualClock;
    #[pymodule_export]
    use super::convert::json::{read_json, write_json};
    #[pymodule_export]
    use super::convert::shapes::define;
    #[pymodule_export]
    use super::engine::NativeEngine;
    #[pymodule_export]
    use super::errors::define_errors;
    #[pymodule_export]
    use super::proofs::{chain_hash, checkpoint_line, fingerprint};
}
