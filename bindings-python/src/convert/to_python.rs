//! From the core's values to Python's, straight: a serializer that is led by the shapes builds the results.

use std::fmt::{self, Display};

use drawdown::{Denial, Timestamp};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use serde::ser::{self, Impossible, Serialize, Serializer};

use super::Library;
use super::shapes::{self, Made, Shape};
use super::values::{self, Kept};

/// The name under which `serde_json` hands on a number with its own digits.
const NUMBER: &str = "$serde_json::private::Number";

/// A result, by the shape of the struct that it is.
pub(crate) fn result<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    build(py, value, &Shape::Json)
}

/// What JSON says.
pub(crate) fn json<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    build(py, value, &Shape::Json)
}

/// An aware datetime in UTC.
pub(crate) fn time(py: Python<'_>, at: Timestamp) -> PyResult<Bound<'_, PyAny>> {
    values::instant(py, at.micros())
}

/// A number from its digits: an integer as such, what has a point or an exponent as a Decimal.
pub(crate) fn number<'py>(py: Python<'py>, digits: &str) -> PyResult<Bound<'py, PyAny>> {
    if digits.contains(['.', 'e', 'E']) {
        return decimal(py, digits);
    }
    match digits.parse::<i64>() {
        Ok(small) => Ok(small.into_pyobject(py)?.into_any()),
        Err(_) => py.get_type::<pyo3::types::PyInt>().call1((digits,)),
    }
}

fn decimal<'py>(py: Python<'py>, digits: &str) -> PyResult<Bound<'py, PyAny>> {
    Library::get(py)?.decimal.bind(py).call1((digits,))
}

fn build<'py>(py: Python<'py>, value: &impl Serialize, shape: &Shape) -> PyResult<Bound<'py, PyAny>> {
    let kept = Kept::take();
    value.serialize(Builder { py, shape, kept: &kept }).map_err(|error| *error.0)
}

/// Why a value cannot be built: an exception of Python.
#[derive(Debug)]
pub(crate) struct Unbuilt(Box<PyErr>);

impl Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Unbuilt {}

impl ser::Error for Unbuilt {
    fn custom<T: Display>(message: T) -> Unbuilt {
        Unbuilt(Box::new(PyRuntimeError::new_err(message.to_string())))
    }
}

impl From<PyErr> for Unbuilt {
    fn from(error: PyErr) -> Unbuilt {
        Unbuilt(Box::new(error))
    }
}

type Built<'py> = Result<Bound<'py, PyAny>, Unbuilt>;

/// Builds one value.
#[derive(Clone, Copy)]
struct Builder<'a, 'py> {
    py: Python<'py>,
    shape: &'a Shape,
    kept: &'a Kept,
}

impl<'a, 'py> Builder<'a, 'py> {
    /// What the items of a list or the values of a map are.
    fn inner(self) -> Builder<'a, 'py> {
        let shape = match self.shape {
            Shape::List(inner) | Shape::Map(inner) => inner,
            _ => &Shape::Json,
        };
        self.shaped(shape)
    }

    fn json(self) -> Builder<'a, 'py> {
        self.shaped(&Shape::Json)
    }

    fn shaped(self, shape: &'a Shape) -> Builder<'a, 'py> {
        Builder { shape, ..self }
    }

    /// The struct that is to be built, if its class is defined.
    fn made(self, name: &str) -> Option<&'static Made> {
        match self.shape {
            Shape::Struct(link) => link.made(),
            Shape::Json => shapes::of_struct(name),
            _ => None,
        }
    }

    /// An object with one field: how a variant with content is written.
    fn variant(self, variant: &'static str, content: Bound<'py, PyAny>) -> Built<'py> {
        let dict = PyDict::new(self.py);
        dict.set_item(PyString::intern(self.py, variant), content)?;
        Ok(dict.into_any())
    }
}

impl<'a, 'py> Serializer for Builder<'a, 'py> {
    type Ok = Bound<'py, PyAny>;
    type Error = Unbuilt;
    type SerializeSeq = Items<'a, 'py>;
    type SerializeTuple = Items<'a, 'py>;
    type SerializeTupleStruct = Items<'a, 'py>;
    type SerializeTupleVariant = Impossible<Bound<'py, PyAny>, Unbuilt>;
    type SerializeMap = Entries<'a, 'py>;
    type SerializeStruct = Fields<'a, 'py>;
    type SerializeStructVariant = VariantFields<'a, 'py>;

    /// Nobody reads it on the way: amounts and instants come as numbers.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Built<'py> {
        Ok(value.into_pyobject(self.py).map_err(PyErr::from)?.to_owned().into_any())
    }

    fn serialize_i8(self, value: i8) -> Built<'py> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Built<'py> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Built<'py> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Built<'py> {
        match self.shape {
            Shape::Millionths => return Ok(self.kept.amount(self.py, value)?),
            Shape::Micros => return Ok(values::instant(self.py, value)?),
            _ => {}
        }
        Ok(value.into_pyobject(self.py).map_err(PyErr::from)?.into_any())
    }

    fn serialize_i128(self, value: i128) -> Built<'py> {
        match self.shape {
            Shape::Rate => Ok(self.kept.rate(self.py, value)?),
            _ => Ok(number(self.py, &value.to_string())?),
        }
    }

    fn serialize_u8(self, value: u8) -> Built<'py> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Built<'py> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Built<'py> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Built<'py> {
        Ok(value.into_pyobject(self.py).map_err(PyErr::from)?.into_any())
    }

    fn serialize_f32(self, value: f32) -> Built<'py> {
        self.serialize_f64(value.into())
    }

    /// Of what the engine measures of itself; no amount is a float.
    fn serialize_f64(self, value: f64) -> Built<'py> {
        Ok(value.into_pyobject(self.py).map_err(PyErr::from)?.into_any())
    }

    fn serialize_char(self, value: char) -> Built<'py> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Built<'py> {
        match self.shape {
            Shape::Amount => Ok(decimal(self.py, value)?),
            Shape::Time => {
                let at = value.parse().map_err(|denial: Denial| PyValueError::new_err(denial.to_string()))?;
                Ok(time(self.py, at)?)
            }
            Shape::Text => Ok(self.kept.text(self.py, value)?),
            // What the host noted is not kept.
            _ => Ok(PyString::new(self.py, value).into_any()),
        }
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Built<'py> {
        let mut short = Short::default();
        match fmt::write(&mut short, format_args!("{value}")) {
            Ok(()) if matches!(self.shape, Shape::Text) => Ok(PyString::from_bytes(self.py, short.as_bytes())?.into_any()),
            Ok(()) => self.serialize_str(short.as_str()),
            Err(_) => self.serialize_str(&value.to_string()),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Built<'py> {
        Ok(pyo3::types::PyBytes::new(self.py, value).into_any())
    }

    fn serialize_none(self) -> Built<'py> {
        Ok(self.py.None().into_bound(self.py))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Built<'py> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Built<'py> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Built<'py> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Built<'py> {
        Ok(self.kept.word(self.py, variant)?)
    }

    /// Amounts and instants say their names so, and a struct that writes itself as a map.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Built<'py> {
        match name {
            "Amount" => value.serialize(self.shaped(&Shape::Millionths)),
            "Rate" => value.serialize(self.shaped(&Shape::Rate)),
            "Timestamp" => value.serialize(self.shaped(&Shape::Micros)),
            _ if matches!(self.shape, Shape::Json) => match shapes::of_struct(name) {
                Some(made) => value.serialize(self.shaped(&made.shape)),
                None => value.serialize(self),
            },
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Built<'py> {
        let content = value.serialize(self.json())?;
        self.variant(variant, content)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items<'a, 'py>, Unbuilt> {
        Ok(Items {
            builder: self.inner(),
            is_json: matches!(self.shape, Shape::Json),
            items: Vec::with_capacity(length.unwrap_or(0)),
        })
    }

    fn serialize_tuple(self, length: usize) -> Result<Items<'a, 'py>, Unbuilt> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Items<'a, 'py>, Unbuilt> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unbuilt> {
        Err(ser::Error::custom(format_args!("`{name}` has a variant that no shape describes")))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a, 'py>, Unbuilt> {
        let into = match self.shape {
            Shape::Struct(link) => match link.made() {
                Some(made) => Into::Class(Object::begin(self, made)?),
                None => Into::Dict(PyDict::new(self.py)),
            },
            _ => Into::Dict(PyDict::new(self.py)),
        };
        Ok(Entries { builder: self.inner(), into, key: None })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'a, 'py>, Unbuilt> {
        if name == NUMBER {
            return Ok(Fields::Number(self, None));
        }
        match self.made(name) {
            Some(made) => Ok(Fields::Class(Object::begin(self, made)?)),
            None => Ok(Fields::Dict(self.inner(), PyDict::new(self.py))),
        }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<VariantFields<'a, 'py>, Unbuilt> {
        Ok(VariantFields { builder: self.json(), variant, dict: PyDict::new(self.py) })
    }
}

/// An instance of a frozen dataclass in the making.
struct Object<'a, 'py> {
    builder: Builder<'a, 'py>,
    made: &'static Made,
    object: Bound<'py, PyAny>,
    /// Which fields are there.
    given: u64,
    /// Where the next field probably stands.
    next: usize,
}

impl<'a, 'py> Object<'a, 'py> {
    fn begin(builder: Builder<'a, 'py>, made: &'static Made) -> PyResult<Object<'a, 'py>> {
        if made.fields.len() > 64 {
            return Err(PyRuntimeError::new_err("no class has more than 64 fields"));
        }
        let object = made.draft.bind(builder.py).call0()?;
        Ok(Object { builder, made, object, given: 0, next: 0 })
    }

    /// Sets the field that a struct says next: mostly it is the one that the class says next.
    fn set<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unbuilt> {
        match self.made.fields.get(self.next) {
            Some(field) if field.is(name) => self.put(self.next, field, value),
            _ => self.find(name, value),
        }
    }

    fn find<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Unbuilt> {
        let Some((at, field)) = self.made.fields.iter().enumerate().find(|(_, field)| field.name == name) else {
            let class = self.made.class.bind(self.builder.py).name()?;
            return Err(ser::Error::custom(format_args!("`{class}` has no field `{name}`: run `make generate`")));
        };
        self.put(at, field, value)
    }

    fn put<T: Serialize + ?Sized>(&mut self, at: usize, field: &'static shapes::Field, value: &T) -> Result<(), Unbuilt> {
        let value = value.serialize(self.builder.shaped(&field.shape))?;
        self.write(field, value)?;
        self.given |= 1 << at;
        self.next = at + 1;
        Ok(())
    }

    fn write(&self, field: &shapes::Field, value: Bound<'py, PyAny>) -> PyResult<()> {
        self.object.setattr(field.key.bind(self.builder.py), value)
    }

    /// What was left out is none.
    fn end(self) -> Built<'py> {
        let made = self.made;
        if usize::try_from(self.given.count_ones()).is_ok_and(|given| given < made.fields.len()) {
            for (_, field) in made.fields.iter().enumerate().filter(|(at, _)| self.given & (1 << at) == 0) {
                self.write(field, self.builder.py.None().into_bound(self.builder.py))?;
            }
        }
        let py = self.builder.py;
        self.object.setattr(intern!(py, "__class__"), made.class.bind(py))?;
        Ok(self.object)
    }
}

/// A list: a tuple where a shape says so, since results are frozen; a list in what the host noted.
struct Items<'a, 'py> {
    builder: Builder<'a, 'py>,
    is_json: bool,
    items: Vec<Bound<'py, PyAny>>,
}

impl<'py> ser::SerializeSeq for Items<'_, 'py> {
    type Ok = Bound<'py, PyAny>;
    type Error = Unbuilt;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unbuilt> {
        self.items.push(value.serialize(self.builder)?);
        Ok(())
    }

    fn end(self) -> Built<'py> {
        if self.is_json {
            return Ok(PyList::new(self.builder.py, self.items)?.into_any());
        }
        Ok(PyTuple::new(self.builder.py, self.items)?.into_any())
    }
}

impl<'py> ser::SerializeTuple for Items<'_, 'py> {
    type Ok = Bound<'py, PyAny>;
    type Error = Unbuilt;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unbuilt> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Built<'py> {
        ser::SerializeSeq::end(self)
    }
}

impl<'py> ser::SerializeTupleStruct for Items<'_, 'py> {
    type Ok = Bound<'py, PyAny>;
    type Error = Unbuilt;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unbuilt> {
        ser::SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Built<'py> {
        ser::SerializeSeq::end(self)
    }
}

enum Into<'a, 'py> {
    Class(Object<'a, 'py>),
    Dict(Bound<'py, PyDict>),
}

/// A map, or a struct that writes itself as one.
struct Entries<'a, 'py> {
    builder: Builder<'a, 'py>,
    into: Into<'a, 'py>,
    key: Option<Bound<'py, PyString>>,
}

impl<'py> ser::SerializeMap for Entries<'_, 'py> {
    type Ok = Bound<'py, PyAny>;
    type Error = Unbuilt;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unbuilt> {
        let key = key.serialize(self.builder.shaped(&Shape::Text))?;
        self.key = Some(key.str()?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unbuilt> {
        let Some(key) = self.key.take() else { return Err(ser::Error::custom("a value has no key")) };
        match &mut self.into {
            Into::Class(object) => object.find(key.to_str()?, value),
            Into::Dict(dict) => Ok(dict.set_item(key, value.serialize(self.builder)?)?),
        }
    }

    fn end(self) -> Built<'py> {
        match self.into {
            Into::Class(object) => object.end(),
            Into::Dict(dict) => Ok(dict.into_any()),
        }
    }
}

/// The fields of a struct.
enum Fields<'a, 'py> {
    Class(Object<'a, 'py>),
    Dict(Builder<'a, 'py>, Bound<'py, PyDict>),
    /// A number of JSON with its own digits.
    Number(Builder<'a, 'py>, Option<Bound<'py, PyAny>>),
}

impl<'py> ser::SerializeStruct for Fields<'_, 'py> {
    type Ok = Bound<'py, PyAny>;
    type Error = Unbuilt;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unbuilt> {
        match self {
            Fields::Class(object) => object.set(name, value),
            Fields::Dict(builder, dict) => {
                let key = PyString::intern(builder.py, name);
                Ok(dict.set_item(key, value.serialize(*builder)?)?)
            }
            Fields::Number(builder, number_built) => {
                let digits = value.serialize(builder.shaped(&Shape::Text))?;
                let digits = digits.cast::<PyString>().map_err(PyErr::from)?;
                *number_built = Some(number(builder.py, digits.to_str()?)?);
                Ok(())
            }
        }
    }

    fn end(self) -> Built<'py> {
        match self {
            Fields::Class(object) => object.end(),
            Fields::Dict(_, dict) => Ok(dict.into_any()),
            Fields::Number(_, number) => number.ok_or_else(|| ser::Error::custom("a number has no digits")),
        }
    }
}

/// The fields of a variant.
struct VariantFields<'a, 'py> {
    builder: Builder<'a, 'py>,
    variant: &'static str,
    dict: Bound<'py, PyDict>,
}

impl<'py> ser::SerializeStructVariant for VariantFields<'_, 'py> {
    type Ok = Bound<'py, PyAny>;
    type Error = Unbuilt;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unbuilt> {
        Ok(self.dict.set_item(PyString::intern(self.builder.py, name), value.serialize(self.builder)?)?)
    }

    fn end(self) -> Built<'py> {
        self.builder.variant(self.variant, self.dict.into_any())
    }
}

/// Text short enough for the stack: ids, amounts and instants are.
struct Short {
    bytes: [u8; 64],
    length: usize,
}

impl Default for Short {
    fn default() -> Short {
        Short { bytes: [0; 64], length: 0 }
    }
}

impl Short {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
