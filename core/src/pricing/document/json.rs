//! JSON as a tree.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{MAX_PRICES_VALUES, Node, too_many_values, unreadable};
use crate::denial::Denial;

/// Under this key `serde_json` hands out the digits of a number. Under it an object of the document can say a number too, and
/// nothing else.
const DIGITS: &str = "$serde_json::private::Number";

pub(super) fn read(text: &str) -> Result<Node, Denial> {
    let left = Cell::new(MAX_PRICES_VALUES + 1);
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Tree { left: &left }.deserialize(&mut reader).and_then(|node| reader.end().map(|()| node));
    read.map_err(|error| if left.get() == 0 { too_many_values() } else { unreadable(format!("the JSON cannot be read: {error}")) })
}

/// Reads one value while there are values left to read.
#[derive(Clone, Copy)]
struct Tree<'c> {
    left: &'c Cell<u32>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            return Err(de::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    /// A whole number can come as one.
    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name == DIGITS {
                return Ok(Node::Number(fields.next_value()?));
            }
            object.push((name, fields.next_value_seed(self)?));
        }
        Ok(Node::Object(object))
    }
}
