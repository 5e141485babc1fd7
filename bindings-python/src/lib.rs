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

use pyo3::prelude::*;

/// What the package's Python code is built on.
#[pymodule(gil_used = false)]
mod _native {
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
