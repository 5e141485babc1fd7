//! Reads a trace: one request a line, `TIMESTAMP,ContextTokens,GeneratedTokens`.

use std::fmt;
use std::io::{self, BufRead};

use drawdown::Timestamp;

/// The most tokens that a row can name, in and out each. What is above is a mistake of the file, not a request.
pub(crate) const MAX_TOKENS: u32 = 1_000_000;

const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

/// A request of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The line of the file, from 1; the header is a line too. It names the request in the ledger.
    pub(crate) line: u64,
    /// When it came.
    pub(crate) at: Timestamp,
    /// Tokens read.
    pub(crate) context_tokens: u32,
    /// Tokens written.
    pub(crate) generated_tokens: u32,
}

/// A line that is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadRow {
    line: u64,
    why: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// What a file says: its requests in the order of their time, and the lines that are none.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) rows: Vec<Row>,
    pub(crate) bad_rows: Vec<BadRow>,
}

/// Reads at most `limit` requests.
///
/// Lines are counted by hand, and a stray quote cannot swallow the lines after it: a value of this format holds neither
/// quotes nor commas.
///
/// # Errors
/// When the file cannot be read, or its first line does not name the three columns.
pub(crate) fn read(mut file: impl BufRead, limit: usize) -> io::Result<Trace> {
    let mut trace = Trace::default();
    let mut bytes = Vec::new();
    let mut columns = None;
    for line in 1.. {
        bytes.clear();
        if trace.rows.len() >= limit || file.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some(columns) = &columns else {
            columns = Some(find_columns(&text)?);
            continue;
        };
        if text.trim().is_empty() {
            continue;
        }
        match parse_row(line, &text, columns) {
            Ok(row) => trace.rows.push(row),
            Err(why) => trace.bad_rows.push(BadRow { line, why }),
        }
    }
    if columns.is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the trace is empty"));
    }
    trace.rows.sort_by_key(|row| (row.at, row.line));
    Ok(trace)
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split(',').map(|cell| {
        let cell = cell.trim();
        cell.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(cell)
    })
}

/// Where the three columns stand, and how many there are in all.
struct Columns {
    places: [usize; 3],
    count: usize,
}

fn find_columns(header: &str) -> io::Result<Columns> {
    let names: Vec<&str> = cells(header.trim_start_matches('\u{feff}')).collect();
    let place = |wanted: &str| {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("the first line names no column `{wanted}`"));
        names.iter().position(|name| *name == wanted).ok_or_else(missing)
    };
    let [at, context, generated] = COLUMNS;
    Ok(Columns { places: [place(at)?, place(context)?, place(generated)?], count: names.len() })
}

fn parse_row(line: u64, text: &str, columns: &Columns) -> Result<Row, String> {
    let found: Vec<&str> = cells(text).collect();
    if found.len() != columns.count {
        return Err(format!("{} values for {} columns", found.len(), columns.count));
    }
    let [at, context, generated] = columns.places.map(|place| found.get(place).copied().unwrap_or_default());
    let [_, context_name, generated_name] = COLUMNS;
    Ok(Row {
        line,
        at: parse_instant(at)?,
        context_tokens: parse_tokens(context_name, context)?,
        generated_tokens: parse_tokens(generated_name, generated)?,
    })
}

/// Reads `2023-11-16 18:17:03.9799600`, in UTC; what is finer than a microsecond is dropped.
fn parse_instant(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("`{}` is no instant such as `2023-11-16 18:17:03.9799600`", shown(text));
    let (date, time) = text.split_once(' ').ok_or_else(wrong)?;
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let micros: String = fraction.chars().take(6).collect();
    format!("{date}T{seconds}.{micros}Z").parse().map_err(|_| wrong())
}

fn parse_tokens(column: &str, text: &str) -> Result<u32, String> {
    let tokens = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    tokens
        .filter(|tokens| *tokens <= MAX_TOKENS)
        .ok_or_else(|| format!("`{}` in {column} is no whole number from 0 to {MAX_TOKENS}", shown(text)))
}

/// What a message repeats of the file: short, and nothing that a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}
