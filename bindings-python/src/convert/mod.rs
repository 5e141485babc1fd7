//! Between Python's values and the core's: JSON is the form in which both can say everything.

pub(crate) mod from_python;
pub(crate) mod given;
pub(crate) mod json;
pub(crate) mod shapes;
pub(crate) mod to_python;
mod values;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyType};

/// What of Python's library is used again and again.
pub(crate) struct Library {
    pub(crate) decimal: Py<PyType>,
    pub(crate) date: Py<PyType>,
    pub(crate) datetime: Py<PyType>,
    pub(crate) utc: Py<PyAny>,
    pub(crate) enumeration: Py<PyType>,
}

impl Library {
    pub(crate) fn get(py: Python<'_>) -> PyResult<&'static Library> {
        static LIBRARY: PyOnceLock<Library> = PyOnceLock::new();
        LIBRARY.get_or_try_init(py, || Library::load(py))
    }

    fn load(py: Python<'_>) -> PyResult<Library> {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        Ok(Library {
            decimal: class("decimal", "Decimal")?,
            date: class("datetime", "date")?,
            datetime: class("datetime", "datetime")?,
            utc: py.import("datetime")?.getattr("timezone")?.getattr("utc")?.unbind(),
            enumeration: class("enum", "Enum")?,
        })
    }
}

/// The text of a Python string, if it is Unicode: one with lone surrogates is not.
pub(crate) fn text<'a>(string: &'a Bound<'_, PyString>) -> Option<std::borrow::Cow<'a, str>> {
    string.to_cow().ok()
}
