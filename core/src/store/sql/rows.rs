//! What statements gave: all values of all rows in a few buffers, however many there are.

use std::borrow::Cow;
use std::ops::Range;

use super::Value;

/// What a statement gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    columns: usize,
    cells: Vec<Cell>,
    texts: String,
    blobs: Vec<u8>,
    /// How many rows it wrote; means nothing after one that only reads.
    pub(crate) written: u64,
    /// The number of the row that was inserted last.
    pub(crate) last_row: i64,
}

/// A value; texts and blobs stand among those of all rows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    Null,
    Integer(i64),
    Text(Range<usize>),
    Blob(Range<usize>),
}

impl Rows {
    /// No rows yet, of so many columns.
    pub(crate) const fn new(columns: usize) -> Rows {
        Rows { columns, cells: Vec::new(), texts: String::new(), blobs: Vec::new(), written: 0, last_row: 0 }
    }

    /// Makes room for a row.
    pub(crate) fn begin_row(&mut self) {
        if self.cells.is_empty() {
            self.texts.reserve(8 * self.columns);
            self.blobs.reserve(8 * self.columns);
        }
        self.cells.reserve(self.columns);
    }

    /// The next value of the row: nothing.
    pub(crate) fn null(&mut self) {
        self.cells.push(Cell::Null);
    }

    /// The next value of the row: a number.
    pub(crate) fn integer(&mut self, integer: i64) {
        self.cells.push(Cell::Integer(integer));
    }

    /// The next value of the row: text. What is no UTF-8 becomes bytes, which mean nothing where text is expected, so that the
    /// reader of the row can say which row it is in.
    pub(crate) fn text(&mut self, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return self.blob(text) };
        let start = self.texts.len();
        self.texts.push_str(text);
        self.cells.push(Cell::Text(start..self.texts.len()));
    }

    /// The next value of the row: bytes.
    pub(crate) fn blob(&mut self, bytes: &[u8]) {
        let start = self.blobs.len();
        self.blobs.extend_from_slice(bytes);
        self.cells.push(Cell::Blob(start..self.blobs.len()));
    }

    /// The rows, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.cells.chunks_exact(self.columns.max(1)).map(|cells| Row { cells, texts: &self.texts, blobs: &self.blobs })
    }

    /// The first row.
    pub(crate) fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }
}

/// The values of one row, in the order of the statement's columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    cells: &'a [Cell],
    texts: &'a str,
    blobs: &'a [u8],
}

impl<'a> Row<'a> {
    /// The value of a column; nothing where there is none.
    pub(crate) fn value(&self, column: usize) -> Value<'a> {
        match self.cells.get(column) {
            None | Some(Cell::Null) => Value::Null,
            Some(Cell::Integer(integer)) => Value::Integer(*integer),
            Some(Cell::Text(range)) => Value::Text(Cow::Borrowed(self.texts.get(range.clone()).unwrap_or_default())),
            Some(Cell::Blob(range)) => Value::Blob(Cow::Borrowed(self.blobs.get(range.clone()).unwrap_or_default())),
        }
    }
}
