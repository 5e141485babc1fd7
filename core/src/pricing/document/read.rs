//! Reads a tree field by field, and goes on after a mistake, so that all of them are told at once.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::str::FromStr;

use serde_json::{Value, json};

use super::super::exact::Rate;
use super::Node;
use crate::amount::Amount;
use crate::denial::{Denial, DenialKind, shown};

/// The most mistakes that are told one by one.
const MAX_SHOWN: usize = 100;

/// Where in a document something stands.
#[derive(Clone, Copy)]
pub(in crate::pricing) enum Path<'p> {
    Root,
    Field(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl<'p> Path<'p> {
    pub(in crate::pricing) const fn field(&'p self, name: &'p str) -> Path<'p> {
        Path::Field(self, name)
    }

    pub(in crate::pricing) const fn item(&'p self, index: usize) -> Path<'p> {
        Path::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Field(parent, name) => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                if name.is_empty() || !name.chars().all(word) || name.len() > 64 {
                    return write!(f, "{parent}[\"{}\"]", shown(name));
                }
                write!(f, "{parent}")?;
                if !matches!(parent, Path::Root) {
                    f.write_char('.')?;
                }
                f.write_str(name)
            }
        }
    }
}

/// What is wrong with a document, in the order in which it was found.
#[derive(Default)]
pub(in crate::pricing) struct Mistakes {
    shown: Vec<Value>,
    total: usize,
}

impl Mistakes {
    pub(in crate::pricing) const fn total(&self) -> usize {
        self.total
    }

    /// The denial of a document that has these, if there are any.
    pub(in crate::pricing) fn denial(self, kind: DenialKind, what: &str) -> Option<Denial> {
        let first = self.shown.first()?;
        let (path, message) = (first["path"].as_str().unwrap_or_default(), first["message"].as_str().unwrap_or_default());
        let others = match self.total {
            1 => String::new(),
            total => format!(", and {} more", total - 1),
        };
        let denial = Denial::new(kind, format!("{what} has a mistake: {message}{others}"))
            .with("field", path)
            .with("given", first["given"].clone())
            .with("allowed", first["allowed"].clone())
            .with("mistakes", self.total);
        Some(denial.with("errors", self.shown))
    }
}

/// Reads values, and keeps the mistakes. `None` where there was one.
#[derive(Default)]
pub(in crate::pricing) struct Reader {
    pub(in crate::pricing) mistakes: Mistakes,
}

impl Reader {
    /// Notes a mistake: what stands there, and what can.
    pub(in crate::pricing) fn wrong(&mut self, at: Path<'_>, given: &Node, allowed: &str) {
        self.note(at, &given_of(given), allowed);
    }

    /// Notes a mistake about something that is described in words.
    pub(in crate::pricing) fn note(&mut self, at: Path<'_>, given: &str, allowed: &str) {
        self.mistakes.total += 1;
        if self.mistakes.shown.len() < MAX_SHOWN {
            let path = path_of(at);
            let given = shown(given);
            let message = format!("`{path}` cannot be `{given}`: it takes {allowed}");
            self.mistakes.shown.push(json!({ "path": path, "given": given, "allowed": allowed, "message": message }));
        }
    }

    /// Notes that something has to be there.
    pub(in crate::pricing) fn missing(&mut self, at: Path<'_>, allowed: &str) {
        self.mistakes.total += 1;
        if self.mistakes.shown.len() < MAX_SHOWN {
            let path = path_of(at);
            let message = format!("`{path}` is missing: it takes {allowed}");
            self.mistakes.shown.push(json!({ "path": path, "given": null, "allowed": allowed, "message": message }));
        }
    }

    /// The fields of an object that has these and no others. Those that stand twice are a mistake; the first counts.
    pub(in crate::pricing) fn fields<'n>(&mut self, node: &'n Node, at: Path<'_>, names: &[&'static str]) -> Option<Fields<'n>> {
        let entries = self.entries(node, at, "an object")?;
        for (name, value) in &entries {
            if !names.contains(name) {
                self.wrong(at.field(name), value, &format!("nothing: there is no such field; the fields are {}", names.join(", ")));
            }
        }
        Some(Fields { entries })
    }

    /// The fields of an object that names things. Those that stand twice are a mistake; the first counts.
    pub(in crate::pricing) fn entries<'n>(
        &mut self,
        node: &'n Node,
        at: Path<'_>,
        allowed: &str,
    ) -> Option<Vec<(&'n str, &'n Node)>> {
        let Node::Object(fields) = node else {
            self.wrong(at, node, allowed);
            return None;
        };
        let mut seen = HashSet::new();
        let mut entries: Vec<(&str, &Node)> = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            // Among few, to look at each is the shortest way.
            let is_new = match fields.len() {
                0..=16 => entries.iter().all(|(known, _)| known != name),
                _ => seen.insert(name.as_str()),
            };
            if is_new {
                entries.push((name.as_str(), value));
            } else {
                self.wrong(at.field(name), value, "its place once: the field stands twice");
            }
        }
        Some(entries)
    }

    pub(in crate::pricing) fn list<'n>(&mut self, node: &'n Node, at: Path<'_>, allowed: &str) -> Option<&'n [Node]> {
        match node {
            Node::List(items) => Some(items),
            _ => {
                self.wrong(at, node, allowed);
                None
            }
        }
    }

    /// Text that is an id or a word.
    pub(in crate::pricing) fn text<T: FromStr>(&mut self, node: &Node, at: Path<'_>, allowed: &str) -> Option<T> {
        let read = match node {
            Node::Text(text) => text.parse().ok(),
            _ => None,
        };
        if read.is_none() {
            self.wrong(at, node, allowed);
        }
        read
    }

    /// The name of a field that names a thing.
    pub(in crate::pricing) fn name<T: FromStr>(&mut self, name: &str, at: Path<'_>) -> Option<T> {
        let read = name.parse().ok();
        if read.is_none() {
            self.note(at.field(name), name, NAME);
        }
        read
    }

    /// A price or a factor: digits as a number, or as text.
    pub(in crate::pricing) fn rate(&mut self, node: &Node, at: Path<'_>) -> Option<Rate> {
        let read = digits(node).map_or(Err("it is no number"), Rate::read);
        read.map_err(|why| self.wrong(at, node, &format!("{}; {why}", Rate::ALLOWED))).ok()
    }

    /// An amount of credit, or a count that is as fine.
    pub(in crate::pricing) fn amount(
        &mut self,
        node: &Node,
        at: Path<'_>,
        allowed: &str,
        takes: impl Fn(Amount) -> bool,
    ) -> Option<Amount> {
        let read = digits(node).and_then(|digits| digits.parse().ok()).filter(|amount| takes(*amount));
        if read.is_none() {
            self.wrong(at, node, allowed);
        }
        read
    }

    /// A whole number.
    pub(in crate::pricing) fn whole(&mut self, node: &Node, at: Path<'_>, most: u64) -> Option<u64> {
        let read = match node {
            Node::Number(digits) => digits.parse().ok().filter(|number| *number <= most),
            _ => None,
        };
        if read.is_none() {
            self.wrong(at, node, &format!("a whole number from 0 to {most}"));
        }
        read
    }
}

/// What can name a thing.
pub(in crate::pricing) const NAME: &str = "a name of 1 to 255 bytes without control characters";

/// The fields of an object, each once.
pub(in crate::pricing) struct Fields<'n> {
    entries: Vec<(&'n str, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// The value of a field; none where it is absent or null.
    pub(in crate::pricing) fn get(&self, name: &str) -> Option<&'n Node> {
        let found = self.entries.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        found.filter(|value| !matches!(value, Node::Null))
    }
}

/// The path in words; that of the whole document is a point.
fn path_of(at: Path<'_>) -> String {
    if matches!(at, Path::Root) { ".".to_owned() } else { at.to_string() }
}

fn digits(node: &Node) -> Option<&str> {
    match node {
        Node::Number(digits) | Node::Text(digits) => Some(digits),
        _ => None,
    }
}

fn given_of(node: &Node) -> String {
    match node {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Number(text) | Node::Text(text) => text.clone(),
        Node::List(items) => format!("a list of {}", items.len()),
        Node::Object(fields) => format!("an object of {}", fields.len()),
    }
}
