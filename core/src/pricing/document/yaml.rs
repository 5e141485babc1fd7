//! YAML 1.2 as a tree: the core schema, one document, no anchors, tags or directives. So a document is as large as its text, and
//! says what it seems to say.

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{MAX_DEPTH, MAX_PRICES_VALUES, Node, too_many_values, unreadable};
use crate::denial::Denial;

pub(super) fn read(text: &str) -> Result<Node, Denial> {
    let mut options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    options.set_emit_comments(false);
    let mut tree = Tree::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| wrong(&error))?;
        tree.take(event, span)?;
    }
    Ok(tree.document.unwrap_or(Node::Null))
}

fn wrong(error: &ScanError) -> Denial {
    unreadable(format!("the YAML cannot be read: {}", printable(&error.to_string())))
}

/// The sentence of the parser can quote the document.
fn printable(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The tree as far as it has been read.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    document: Option<Node>,
    documents: u32,
    values: u32,
}

/// A list or an object that has begun.
enum Open {
    List(Vec<Node>),
    /// The fields, and the name of the one whose value comes next.
    Object(Vec<(String, Node)>, Option<String>),
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Denial> {
        let refuse = |what: &str| Err(unreadable(format!("line {}: {what}", span.start.line())));
        if event.tag().is_some() {
            return refuse("a tag is not taken");
        }
        if event.anchor_id().is_some_and(|id| id > 0) || event.is_alias() {
            return refuse("anchors and aliases are not taken: write out what is meant");
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return refuse("a second document begins");
                }
            }
            Event::SequenceStart(..) => self.begin(Open::List(Vec::new()), &span)?,
            Event::MappingStart(..) => self.begin(Open::Object(Vec::new(), None), &span)?,
            Event::Scalar(text, style, ..) => match self.open.last_mut() {
                Some(Open::Object(_, name @ None)) => *name = Some(text.into_owned()),
                _ => return self.add(scalar(&text, style)),
            },
            Event::SequenceEnd | Event::MappingEnd => {
                return match self.open.pop() {
                    Some(Open::List(items)) => self.add(Node::List(items)),
                    Some(Open::Object(fields, _)) => self.add(Node::Object(fields)),
                    None => Ok(()),
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, open: Open, span: &Span) -> Result<(), Denial> {
        if matches!(self.open.last(), Some(Open::Object(_, None))) {
            return Err(unreadable(format!("line {}: the name of a field is text", span.start.line())));
        }
        self.open.push(open);
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Denial> {
        self.values += 1;
        if self.values > MAX_PRICES_VALUES {
            return Err(too_many_values());
        }
        match self.open.last_mut() {
            Some(Open::List(items)) => items.push(node),
            Some(Open::Object(fields, name)) => fields.push((name.take().unwrap_or_default(), node)),
            None => self.document = Some(node),
        }
        Ok(())
    }
}

/// What a scalar is by the core schema. Hexadecimal and octal numbers stay text: no price is written so.
fn scalar(text: &str, style: ScalarStyle) -> Node {
    if style != ScalarStyle::Plain {
        return Node::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::Null,
        "true" | "True" | "TRUE" => Node::Bool(true),
        "false" | "False" | "FALSE" => Node::Bool(false),
        _ if is_number(text) => Node::Number(text.to_owned()),
        _ => Node::Text(text.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0 && digits(exponent) && !exponent.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_is_what_the_core_schema_says() {
        for (text, number) in [("1", true), ("-1.50", true), ("+.5", true), ("1e-7", true), ("1.", true), ("2.5E+3", true)] {
            assert_eq!(is_number(text), number, "{text}");
        }
        for text in ["", "-", ".", "e1", "1e", "1e+", "0x10", "1_000", "1,5", ".inf", ".nan", "1.2.3", "12:30", "2025-09-18", "１"]
        {
            assert!(!is_number(text), "{text}");
        }
        let quoted = scalar("1", ScalarStyle::DoubleQuoted);
        assert!(matches!(quoted, Node::Text(text) if text == "1"));
        assert!(matches!(scalar("yes", ScalarStyle::Plain), Node::Text(_)), "a word of YAML 1.1 is text");
    }
}
