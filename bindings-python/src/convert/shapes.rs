//! How results look in Python: which class answers which struct of the core, and what each of its fields is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};

/// What a value is, beyond what JSON says of it. None is always allowed.
pub(crate) enum Shape {
    /// As JSON says; a struct whose class is defined becomes one of it.
    Json,
    Text,
    Amount,
    Time,
    Int,
    Bool,
    List(Box<Shape>),
    Map(Box<Shape>),
    Struct(Link),
    /// A number of millionths: an amount as the core hands it on.
    Millionths,
    /// A number of 10^-18: a rate.
    Rate,
    /// A number of microseconds since 1970: an instant.
    Micros,
}

/// The class of a struct, looked up by its name once: it can be defined after those that contain it.
pub(crate) struct Link {
    name: String,
    made: OnceLock<&'static Made>,
}

/// The class of a struct. Classes are defined once, at import, so they are never let go.
pub(crate) struct Made {
    pub(crate) class: Py<PyType>,
    /// The same, but that it can be written: its instances become those of `class` once they are whole. To write into a frozen one by
    /// `object.__setattr__` takes four times as long.
    pub(crate) draft: Py<PyType>,
    pub(crate) fields: Vec<Field>,
    /// That it is this struct.
    pub(crate) shape: Shape,
}

/// A field of a struct.
pub(crate) struct Field {
    /// In the core and in JSON.
    pub(crate) name: String,
    /// Where the core's program has the name, once it was seen.
    place: AtomicUsize,
    /// Of the class.
    pub(crate) key: Py<PyString>,
    pub(crate) shape: Shape,
}

/// Every class that is defined.
static DEFINED: RwLock<Option<Defined>> = RwLock::new(None);

#[derive(Default)]
struct Defined {
    by_name: HashMap<String, &'static Made>,
    by_class: HashMap<usize, &'static Made>,
}

/// Says which class answers the struct `name`, and what its fields are.
#[pyfunction]
pub(crate) fn define(py: Python<'_>, name: String, class: Bound<'_, PyType>, fields: Vec<Bound<'_, PyTuple>>) -> PyResult<()> {
    let fields = fields.into_iter().map(|field| Field::read(&field)).collect::<PyResult<Vec<Field>>>()?;
    let shape = Shape::Struct(Link { name: name.clone(), made: OnceLock::new() });
    let draft = draft(&class)?.unbind();
    let made: &'static Made = Box::leak(Box::new(Made { class: class.unbind(), draft, fields, shape }));
    let address = made.class.bind(py).as_ptr().addr();
    let mut defined = DEFINED.write().unwrap_or_else(PoisonError::into_inner);
    let defined = defined.get_or_insert_default();
    defined.by_class.insert(address, made);
    defined.by_name.insert(name, made);
    Ok(())
}

/// A class with the same fields that is not frozen, and whose instances begin without any.
fn draft<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyType>> {
    let py = class.py();
    let (object, of_draft) = (py.get_type::<PyAny>(), PyDict::new(py));
    of_draft.set_item("__slots__", PyTuple::empty(py))?;
    for name in ["__init__", "__setattr__", "__delattr__"] {
        of_draft.set_item(name, object.getattr(name)?)?;
    }
    Ok(py.get_type::<PyType>().call1((class.name()?, (class,), of_draft))?.cast_into()?)
}

/// The class of this struct, if one is defined.
pub(crate) fn of_struct(name: &str) -> Option<&'static Made> {
    let defined = DEFINED.read().unwrap_or_else(PoisonError::into_inner);
    defined.as_ref().and_then(|defined| defined.by_name.get(name).copied())
}

/// What a value of this class is made of, if it is a result.
pub(crate) fn of_class(class: &Bound<'_, PyType>) -> Option<&'static Made> {
    let defined = DEFINED.read().unwrap_or_else(PoisonError::into_inner);
    defined.as_ref().and_then(|defined| defined.by_class.get(&class.as_ptr().addr()).copied())
}

impl Link {
    /// The class, if it is defined.
    pub(crate) fn made(&self) -> Option<&'static Made> {
        self.made.get().copied().or_else(|| of_struct(&self.name).map(|made| *self.made.get_or_init(|| made)))
    }
}

impl Field {
    /// Whether the core calls it so. What stands in a program never changes, so its place says what it is.
    pub(crate) fn is(&self, name: &'static str) -> bool {
        if self.place.load(Ordering::Relaxed) == name.as_ptr().addr() && self.name.len() == name.len() {
            return true;
        }
        let is_same = self.name == name;
        if is_same {
            self.place.store(name.as_ptr().addr(), Ordering::Relaxed);
        }
        is_same
    }

    fn read(field: &Bound<'_, PyTuple>) -> PyResult<Field> {
        let (name, shape): (Bound<'_, PyString>, Bound<'_, PyAny>) = field.extract()?;
        // `from_` is how Python can call a field that is named by a word of its own.
        let attribute = name.to_str()?;
        let key = PyString::intern(name.py(), attribute).unbind();
        let name = attribute.trim_end_matches('_').to_owned();
        Ok(Field { name, place: AtomicUsize::new(0), key, shape: Shape::read(&shape)? })
    }
}

impl Shape {
    fn read(shape: &Bound<'_, PyAny>) -> PyResult<Shape> {
        if let Ok(word) = shape.cast::<PyString>() {
            return match word.to_str()? {
                "text" => Ok(Shape::Text),
                "amount" => Ok(Shape::Amount),
                "time" => Ok(Shape::Time),
                "int" => Ok(Shape::Int),
                "bool" => Ok(Shape::Bool),
                "json" => Ok(Shape::Json),
                other => Err(PyValueError::new_err(format!("no shape is called `{other}`"))),
            };
        }
        let (word, of): (String, Bound<'_, PyAny>) = shape.extract()?;
        match word.as_str() {
            "list" => Ok(Shape::List(Box::new(Shape::read(&of)?))),
            "map" => Ok(Shape::Map(Box::new(Shape::read(&of)?))),
            "struct" => Ok(Shape::Struct(Link { name: of.extract()?, made: OnceLock::new() })),
            other => Err(PyTypeError::new_err(format!("no shape is called `{other}`"))),
        }
    }
}
