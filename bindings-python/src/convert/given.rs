//! Python's values as serde reads them: what most commands and calls are made of goes straight into their structs.

use std::cell::RefCell;
use std::fmt::{self, Display};

use drawdown::Given;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString, PyTuple};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Library, from_python};
use crate::errors::Unread;

/// The fields of one command or call: their names, and as many values. None means that a field is not given.
pub(crate) struct Reading<'a, 'py> {
    library: &'static Library,
    names: &'a Bound<'py, PyTuple>,
    values: &'a Bound<'py, PyTuple>,
    /// What Python raised meanwhile: that is no mistake of the value.
    raised: RefCell<Option<PyErr>>,
}

impl<'a, 'py> Reading<'a, 'py> {
    pub(crate) fn new(names: &'a Bound<'py, PyTuple>, values: &'a Bound<'py, PyTuple>) -> PyResult<Reading<'a, 'py>> {
        if names.len() != values.len() {
            return Err(PyTypeError::new_err("there is not one value for each name"));
        }
        Ok(Reading { library: Library::get(names.py())?, names, values, raised: RefCell::default() })
    }

    /// Each field as it stands. None if a name is no text of Unicode: no field has such a name.
    pub(crate) fn fields(&self) -> Option<Vec<(&str, Field<'_, 'py>)>> {
        let mut fields = Vec::with_capacity(8);
        for (name, value) in self.given() {
            let name = <&str>::extract(name).ok()?;
            fields.push((name, Field { name, value, reading: self }));
        }
        Some(fields)
    }

    /// The fields as JSON, unless Python raised something while they were read.
    pub(crate) fn json(self) -> Result<Map<String, Value>, Unread> {
        if let Some(error) = self.raised.take() {
            return Err(error.into());
        }
        let mut fields = Map::new();
        for (name, value) in self.given() {
            let name = <&str>::extract(name)?;
            fields.insert(name.to_owned(), from_python::field(self.library, name, &value)?);
        }
        Ok(fields)
    }

    fn given(&self) -> impl Iterator<Item = (Borrowed<'a, 'py, PyAny>, Borrowed<'a, 'py, PyAny>)> {
        self.names.iter_borrowed().zip(self.values.iter_borrowed()).filter(|(_, value)| !value.is_none())
    }
}

/// The value of a field.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a, 'py> {
    name: &'a str,
    value: Borrowed<'a, 'py, PyAny>,
    reading: &'a Reading<'a, 'py>,
}

/// Why a value is not read here. It is read once more, from its JSON, and that says what is wrong.
#[derive(Debug)]
pub(crate) struct NotHere;

impl Display for NotHere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not read here")
    }
}

impl std::error::Error for NotHere {}

impl de::Error for NotHere {
    fn custom<T: Display>(_: T) -> NotHere {
        NotHere
    }

    // None of them is written out: what is wrong is said elsewhere.
    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> NotHere {
        NotHere
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> NotHere {
        NotHere
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> NotHere {
        NotHere
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> NotHere {
        NotHere
    }

    fn missing_field(_: &'static str) -> NotHere {
        NotHere
    }

    fn duplicate_field(_: &'static str) -> NotHere {
        NotHere
    }
}

impl<'a> Field<'a, '_> {
    fn text(self) -> Option<Result<&'a str, NotHere>> {
        self.value.is_instance_of::<PyString>().then(|| <&str>::extract(self.value).map_err(|_| NotHere))
    }

    fn is_decimal(self) -> bool {
        self.value.get_type().is(self.reading.library.decimal.bind(self.value.py()))
    }
}

impl Given for Field<'_, '_> {
    type Unread = NotHere;

    fn to_json(self) -> Result<Value, NotHere> {
        from_python::field(self.reading.library, self.name, &self.value).map_err(|unread| {
            if let Unread::Raised(error) = unread {
                self.reading.raised.borrow_mut().get_or_insert(error);
            }
            NotHere
        })
    }
}

impl<'de> Deserializer<'de> for Field<'_, '_> {
    type Error = NotHere;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotHere> {
        if let Some(text) = self.text() {
            return visitor.visit_str(text?);
        }
        if let Ok(bool) = self.value.cast::<PyBool>() {
            return visitor.visit_bool(bool.is_true());
        }
        if let Ok(int) = self.value.cast::<PyInt>()
            && let Ok(small) = int.extract::<i64>()
        {
            return match u64::try_from(small) {
                Ok(small) => visitor.visit_u64(small),
                Err(_) => visitor.visit_i64(small),
            };
        }
        match self.to_json()? {
            // To whoever takes a map, a large one would show itself as such.
            Value::Number(_) => Err(NotHere),
            read => read.deserialize_any(visitor).map_err(|_| NotHere),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotHere> {
        if self.value.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, NotHere> {
        if name == "Amount" {
            if self.is_decimal() {
                let digits = self.value.str().map_err(|_| NotHere)?;
                return visitor.visit_str(digits.to_str().map_err(|_| NotHere)?);
            }
            // An object can look like a number of JSON, and is none.
            if !self.value.is_instance_of::<PyString>() && !self.value.is_instance_of::<PyInt>() {
                return Err(NotHere);
            }
        }
        visitor.visit_newtype_struct(self)
    }

    /// Of what the host notes, a number can be what it is nowhere else.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotHere> {
        match self.value.cast_exact::<PyDict>() {
            // A copy of them: what a value runs to say what it is, or another thread, can change the dict meanwhile.
            Ok(dict) if self.name != "metadata" => visitor.visit_map(Items { of: self, items: dict.items(), next: 0, value: None }),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NotHere> {
        match self.text() {
            Some(text) => visitor.visit_enum(text?.into_deserializer()),
            None => self.to_json()?.deserialize_enum(name, variants, visitor).map_err(|_| NotHere),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct struct identifier ignored_any
    }
}

/// The items of a dict.
struct Items<'a, 'py> {
    of: Field<'a, 'py>,
    items: Bound<'py, PyList>,
    next: usize,
    value: Option<Bound<'py, PyAny>>,
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = NotHere;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotHere> {
        if self.next >= self.items.len() {
            return Ok(None);
        }
        let item = self.items.get_item(self.next).map_err(|_| NotHere)?;
        self.next += 1;
        let (name, value): (Bound<'_, PyString>, Bound<'_, PyAny>) = item.extract().map_err(|_| NotHere)?;
        self.value = Some(value);
        seed.deserialize(name.to_str().map_err(|_| NotHere)?.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotHere> {
        let value = self.value.take().ok_or(NotHere)?;
        seed.deserialize(Field { value: value.as_borrowed(), ..self.of })
    }
}
