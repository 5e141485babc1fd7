//! JSON text, exactly: no digit is lost on the way in or out, and no object has a field twice.

use std::fmt;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::{Library, shapes, text, to_python};

/// The name under which `serde_json` hands on a number with its own digits.
const NUMBER: &str = "$serde_json::private::Number";

/// How deep values can stand in each other: as deep as they are read.
const MAX_DEPTH: usize = 127;

/// The value of JSON text: an integer as int, what has a point or an exponent as Decimal. Whatever is no JSON, or has a field
/// twice, is a ValueError.
#[pyfunction]
pub(crate) fn read_json<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return read(data.py(), bytes.as_bytes());
    }
    let string = data.cast::<PyString>()?;
    match text(string) {
        Some(text) => read(data.py(), text.as_bytes()),
        None => Err(PyValueError::new_err("the text has lone surrogates")),
    }
}

/// JSON text of a value: Decimal as a number, datetime as ISO 8601 in UTC with `Z`, results as objects. A float is a TypeError:
/// which digits it stands for is a guess.
#[pyfunction]
pub(crate) fn write_json<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut writer = Writer { library: Library::get(value.py())?, out: Vec::with_capacity(256) };
    writer.value(value, 0)?;
    Ok(PyBytes::new(value.py(), &writer.out))
}

fn read<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Reader(py).deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Builds one value.
#[derive(Clone, Copy)]
struct Reader<'py>(Python<'py>);

impl<'de, 'py> DeserializeSeed<'de> for Reader<'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Bound<'py, PyAny>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, 'py> Visitor<'de> for Reader<'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bound<'py, PyAny>, E> {
        Ok(PyBool::new(self.0, value).to_owned().into_any())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Bound<'py, PyAny>, E> {
        value.into_pyobject(self.0).map(Bound::into_any).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Bound<'py, PyAny>, E> {
        value.into_pyobject(self.0).map(Bound::into_any).map_err(E::custom)
    }

    fn visit_str<E>(self, value: &str) -> Result<Bound<'py, PyAny>, E> {
        Ok(PyString::new(self.0, value).into_any())
    }

    fn visit_unit<E>(self) -> Result<Bound<'py, PyAny>, E> {
        Ok(self.0.None().into_bound(self.0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bound<'py, PyAny>, A::Error> {
        let list = PyList::empty(self.0);
        while let Some(item) = items.next_element_seed(self)? {
            list.append(item).map_err(de::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Bound<'py, PyAny>, A::Error> {
        let dict = PyDict::new(self.0);
        while let Some(name) = fields.next_key::<String>()? {
            if name == NUMBER {
                let digits: Number = fields.next_value::<String>()?.parse().map_err(de::Error::custom)?;
                return to_python::number(self.0, digits.as_str()).map_err(de::Error::custom);
            }
            let value = fields.next_value_seed(self)?;
            if dict.contains(&name).map_err(de::Error::custom)? {
                return Err(de::Error::custom(format_args!("the field `{name}` stands twice")));
            }
            dict.set_item(name, value).map_err(de::Error::custom)?;
        }
        Ok(dict.into_any())
    }
}

struct Writer<'a> {
    library: &'a Library,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        if let Ok(string) = value.cast::<PyString>() {
            return self.string(string);
        }
        if value.is_none() {
            return self.plain("null");
        }
        if let Ok(bool) = value.cast::<PyBool>() {
            return self.plain(if bool.is_true() { "true" } else { "false" });
        }
        if let Ok(int) = value.cast::<PyInt>() {
            return self.plain(&int.call_method1("__add__", (0,))?.str()?.to_string_lossy());
        }
        if value.is_instance(self.library.decimal.bind(value.py()))? {
            return self.decimal(value);
        }
        if depth > MAX_DEPTH {
            return Err(PyValueError::new_err("the value is nested too deep, or contains itself"));
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.all(b"{", b"}", dict.iter(), |writer, (name, value)| {
                let name = name.cast::<PyString>().map_err(|_| PyTypeError::new_err("names of fields are text"))?;
                writer.string(name)?;
                writer.out.push(b':');
                writer.value(&value, depth + 1)
            });
        }
        if let Ok(list) = value.cast::<PyList>() {
            return self.all(b"[", b"]", list.iter(), |writer, item| writer.value(&item, depth + 1));
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return self.all(b"[", b"]", tuple.iter(), |writer, item| writer.value(&item, depth + 1));
        }
        self.rarer(value, depth)
    }

    fn rarer(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        let (py, library) = (value.py(), self.library);
        if let Some(made) = shapes::of_class(&value.get_type()) {
            return self.all(b"{", b"}", made.fields.iter(), |writer, field| {
                writer.text(&field.name)?;
                writer.out.push(b':');
                writer.value(&value.getattr(field.key.bind(py))?, depth + 1)
            });
        }
        if value.is_instance(library.datetime.bind(py))? {
            if value.call_method0("utcoffset")?.is_none() {
                return Err(PyValueError::new_err("a datetime without a time zone is no instant"));
            }
            let in_utc = value.call_method1("astimezone", (library.utc.bind(py),))?;
            let text: String = in_utc.call_method1("isoformat", ("T", "microseconds"))?.extract()?;
            return self.text(&text.replace("+00:00", "Z"));
        }
        if value.is_instance(library.enumeration.bind(py))? {
            return self.value(&value.getattr("value")?, depth + 1);
        }
        Err(PyTypeError::new_err(format!("JSON has no exact form for <{}>", value.get_type().name()?)))
    }

    fn all<T>(
        &mut self,
        open: &[u8],
        close: &[u8],
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> PyResult<()>,
    ) -> PyResult<()> {
        self.out.extend_from_slice(open);
        for (at, item) in items.enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write(self, item)?;
        }
        self.out.extend_from_slice(close);
        Ok(())
    }

    fn plain(&mut self, text: &str) -> PyResult<()> {
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn string(&mut self, string: &Bound<'_, PyString>) -> PyResult<()> {
        match text(string) {
            Some(text) => self.text(&text),
            None => Err(PyValueError::new_err("the text has lone surrogates")),
        }
    }

    fn text(&mut self, text: &str) -> PyResult<()> {
        serde_json::to_writer(&mut self.out, text).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    fn decimal(&mut self, decimal: &Bound<'_, PyAny>) -> PyResult<()> {
        let digits = decimal.str()?;
        let number: Number = digits
            .to_string_lossy()
            .parse()
            .map_err(|_| PyValueError::new_err(format!("JSON has no number `{}`", digits.to_string_lossy())))?;
        self.plain(number.as_str())
    }
}
