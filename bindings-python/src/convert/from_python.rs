//! From Python's values to JSON, exactly: what could lose a digit, or mean two things, is refused with the path of its field.

use std::cell::Cell;
use std::fmt;

use drawdown::{Command, Denial, DenialKind, Timestamp};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple};
use serde_json::{Map, Number, Value};

use super::{Library, shapes, text};
use crate::errors::Unread;

/// How deep values can stand in each other; more than the core allows anywhere, and few enough for any stack. It also ends what
/// contains itself.
const MAX_DEPTH: usize = 80;

/// The most bits of an integer: more than any field takes, and few enough to be written as digits by any Python.
const MAX_INT_BITS: usize = 4_096;

/// How many bytes the value of one field can take, about: more than the core takes of anything. What contains the same value many
/// times is read as often as it stands there.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a value takes beside its text.
const VALUE_BYTES: usize = 64;

const INSTANT: &str = "an aware datetime, or an ISO 8601 instant with an offset and at most 6 digits after the second";

/// The value of one field.
pub(super) fn field(library: &Library, name: &str, value: &Bound<'_, PyAny>) -> Result<Value, Unread> {
    let path = Path { above: None, part: Part::Field(name), depth: 1 };
    Reader { library, takes_floats: name == "metadata", left: Cell::new(MAX_BYTES) }.value(value, &path)
}

/// A whole object.
pub(crate) fn object(name: &str, value: &Bound<'_, PyAny>) -> Result<Map<String, Value>, Unread> {
    match field(Library::get(value.py())?, name, value)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(Denial::invalid(name, type_name(value), "a dict").into()),
    }
}

/// Any value of a configuration.
pub(crate) fn configured(name: &str, value: &Bound<'_, PyAny>) -> Result<Value, Unread> {
    field(Library::get(value.py())?, name, value)
}

/// An instant.
pub(crate) fn instant(name: &str, value: &Bound<'_, PyAny>) -> Result<Timestamp, Unread> {
    match field(Library::get(value.py())?, name, value)? {
        Value::String(text) => Ok(text.parse::<Timestamp>().map_err(|denial| denial.at(name))?),
        _ => Err(Denial::invalid(name, type_name(value), INSTANT).into()),
    }
}

/// Where a value stands: written out only when it is refused.
struct Path<'a> {
    above: Option<&'a Path<'a>>,
    part: Part<'a>,
    depth: usize,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Field(&'a str),
    Item(usize),
}

impl<'a> Path<'a> {
    fn below(&'a self, part: Part<'a>) -> Path<'a> {
        Path { above: Some(self), part, depth: self.depth + 1 }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}")?;
        }
        match self.part {
            Part::Item(index) => write!(f, "[{index}]"),
            Part::Field(name) if self.above.is_none() => f.write_str(name),
            Part::Field(name) => write!(f, ".{name}"),
        }
    }
}

struct Reader<'a> {
    library: &'a Library,
    /// Of what the host notes for itself a float is kept as its shortest digits; anywhere else it could be an amount. A set has no
    /// order to be kept, so there it is refused.
    takes_floats: bool,
    /// How many bytes more it may take.
    left: Cell<usize>,
}

impl Reader<'_> {
    fn value(&self, value: &Bound<'_, PyAny>, path: &Path<'_>) -> Result<Value, Unread> {
        self.take(VALUE_BYTES, path)?;
        if let Ok(string) = value.cast::<PyString>() {
            return self.string(string, path).map(Value::String);
        }
        if value.is_none() {
            return Ok(Value::Null);
        }
        if let Ok(bool) = value.cast::<PyBool>() {
            return Ok(Value::Bool(bool.is_true()));
        }
        if let Ok(int) = value.cast::<PyInt>() {
            return self.int(int, path);
        }
        if value.is_instance(self.library.decimal.bind(value.py()))? {
            return self.decimal(value, path);
        }
        if let Ok(float) = value.cast::<PyFloat>() {
            return self.float(float, path);
        }
        if path.depth > MAX_DEPTH {
            return Err(Denial::invalid(&self.top(path), "something nested too deep", "at most 64 levels").into());
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.dict(dict, path);
        }
        if let Ok(list) = value.cast::<PyList>() {
            return list.iter().enumerate().map(|(at, item)| self.value(&item, &path.below(Part::Item(at)))).collect();
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return tuple.iter().enumerate().map(|(at, item)| self.value(&item, &path.below(Part::Item(at)))).collect();
        }
        self.rarer(value, path)
    }

    fn rarer(&self, value: &Bound<'_, PyAny>, path: &Path<'_>) -> Result<Value, Unread> {
        let (py, library) = (value.py(), self.library);
        if value.is_instance(library.datetime.bind(py))? {
            return self.datetime(value, path);
        }
        if value.is_instance(library.enumeration.bind(py))? {
            return self.value(&value.getattr("value")?, &Path { depth: path.depth + 1, ..*path });
        }
        if let Some(made) = shapes::of_class(&value.get_type()) {
            let field = |field: &shapes::Field| {
                let item = value.getattr(field.key.bind(py))?;
                Ok((field.name.clone(), self.value(&item, &path.below(Part::Field(&field.name)))?))
            };
            return made.fields.iter().map(field).collect::<Result<Map<String, Value>, Unread>>().map(Value::Object);
        }
        if !self.takes_floats && (value.is_instance_of::<PySet>() || value.is_instance_of::<PyFrozenSet>()) {
            let items = value.try_iter()?.enumerate();
            return items.map(|(at, item)| self.value(&item?, &path.below(Part::Item(at)))).collect();
        }
        if value.is_instance(library.date.bind(py))? {
            return Err(Denial::invalid(&path.to_string(), value.str()?.to_string_lossy(), INSTANT).into());
        }
        Err(refused(path, &format!("<{}>", type_name(value))))
    }

    fn string(&self, string: &Bound<'_, PyString>, path: &Path<'_>) -> Result<String, Unread> {
        match text(string) {
            Some(text) => {
                self.take(text.len(), path)?;
                Ok(text.into_owned())
            }
            None => Err(lone_surrogates(&path.to_string(), string)?),
        }
    }

    fn int(&self, int: &Bound<'_, PyInt>, path: &Path<'_>) -> Result<Value, Unread> {
        if let Ok(small) = int.extract::<i64>() {
            return Ok(Value::Number(small.into()));
        }
        let bits: usize = int.call_method0("bit_length")?.extract()?;
        if bits > MAX_INT_BITS {
            return Err(refused(path, &format!("<an integer of {bits} bits>")));
        }
        // The digits of the number itself, whatever a subclass calls its text.
        let plain = int.call_method1("__add__", (0,))?;
        number(&plain.str()?.to_string_lossy(), path)
    }

    fn decimal(&self, decimal: &Bound<'_, PyAny>, path: &Path<'_>) -> Result<Value, Unread> {
        let digits = decimal.str()?;
        let digits = digits.to_string_lossy();
        match number(&digits, path) {
            Err(_) if !self.takes_floats => Ok(Value::String(digits.into_owned())), // `NaN`, which the field refuses by its name
            read => read,
        }
    }

    fn float(&self, float: &Bound<'_, PyFloat>, path: &Path<'_>) -> Result<Value, Unread> {
        let number = if self.takes_floats { Number::from_f64(float.value()) } else { None };
        match number {
            Some(number) => Ok(Value::Number(number)),
            None => Err(refused(path, &float.repr()?.to_string_lossy())),
        }
    }

    fn dict(&self, dict: &Bound<'_, PyDict>, path: &Path<'_>) -> Result<Value, Unread> {
        let mut fields = Map::new();
        // A copy of them: what a value runs to say what it is, or another thread, can change the dict meanwhile.
        for item in dict.items() {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            let Ok(name) = name.cast::<PyString>() else {
                let given = format!("a key that is <{}>", type_name(&name));
                return Err(Denial::invalid(&path.to_string(), given, "text as the names of fields").into());
            };
            let name = self.string(name, path)?;
            let value = self.value(&value, &path.below(Part::Field(&name)))?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }

    fn datetime(&self, datetime: &Bound<'_, PyAny>, path: &Path<'_>) -> Result<Value, Unread> {
        let (py, utc) = (datetime.py(), self.library.utc.bind(datetime.py()));
        let invalid = |given: String| Denial::invalid(&path.to_string(), given, INSTANT);
        if datetime.call_method0("utcoffset")?.is_none() {
            let given = datetime.str()?.to_string_lossy().into_owned();
            return Err(invalid(format!("{given}, which has no time zone")).into());
        }
        // An offset can have seconds, which ISO 8601 does not write.
        let in_utc = if datetime.getattr("tzinfo")?.is(utc) {
            datetime.clone()
        } else {
            let moved = datetime.call_method1("astimezone", (utc,));
            let Ok(moved) = moved else { return Err(invalid(datetime.str()?.to_string_lossy().into_owned()).into()) };
            moved
        };
        debug_assert!(in_utc.is_instance(self.library.datetime.bind(py))?);
        Ok(Value::String(in_utc.call_method0("isoformat")?.extract()?))
    }

    fn take(&self, bytes: usize, path: &Path<'_>) -> Result<(), Unread> {
        let left = self.left.get().checked_sub(bytes).ok_or_else(|| {
            let top = self.top(path);
            Denial::new(DenialKind::PayloadTooLarge, format!("`{top}` is too large")).at(&top).with("allowed", MAX_BYTES)
        })?;
        self.left.set(left);
        Ok(())
    }

    /// The field at the top: of what contains itself, the path has no end.
    fn top(&self, path: &Path<'_>) -> String {
        let mut top = path;
        while let Some(above) = top.above {
            top = above;
        }
        top.to_string()
    }
}

/// The denial of text that is not Unicode.
pub(crate) fn lone_surrogates(field: &str, string: &Bound<'_, PyString>) -> PyResult<Unread> {
    let escaped: Vec<u8> = string.call_method1("encode", ("utf-8", "backslashreplace"))?.extract()?;
    let given = String::from_utf8_lossy(&escaped).into_owned();
    let refused = Command::refuse_value(field, &given);
    let is_amount = refused.kind() == DenialKind::AmountInvalid;
    Ok(if is_amount { refused } else { Denial::invalid(field, given, "text without lone surrogates") }.into())
}

fn number(digits: &str, path: &Path<'_>) -> Result<Value, Unread> {
    digits.parse::<Number>().map(Value::Number).map_err(|_| refused(path, digits))
}

fn refused(path: &Path<'_>, given: &str) -> Unread {
    Command::refuse_value(&path.to_string(), given).into()
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string_lossy().into_owned())
}
