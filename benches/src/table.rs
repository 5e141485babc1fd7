//! The table that is printed.

use std::fmt;

/// Rows of a Markdown table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    /// Adds what was measured, with its ratios to the floors where there are some.
    pub(crate) fn row(&mut self, what: impl Into<String>, measured: impl Into<String>, ratios: [Option<Ratio>; 2]) {
        let [a, b] = ratios.map(|ratio| ratio.map_or_else(String::new, |ratio| ratio.to_string()));
        self.rows.push([what.into(), measured.into(), a, b]);
    }

    /// Adds what has no floor.
    pub(crate) fn fact(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.row(what, measured, [None, None]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEAD: [&str; 4] = ["what", "measured", "of floor A", "of floor B"];
        let mut widths = HEAD.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |f: &mut fmt::Formatter<'_>, cells: [&str; 4]| {
            let [a, b, c, d] = cells;
            let [wa, wb, wc, wd] = widths;
            writeln!(f, "| {a:<wa$} | {b:>wb$} | {c:>wc$} | {d:>wd$} |")
        };
        line(f, HEAD)?;
        let [a, b, c, d] = widths.map(|width| "-".repeat(width + 1));
        writeln!(f, "|{a}-|{b}:|{c}:|{d}:|")?;
        for row in &self.rows {
            line(f, row.each_ref().map(String::as_str))?;
        }
        Ok(())
    }
}

/// How the engine compares with a floor, in whole percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    percent: u64,
}

impl Ratio {
    pub(crate) fn new(rate: Rate, floor: Rate) -> Ratio {
        Ratio { percent: rate.per_second().saturating_mul(100) / floor.per_second().max(1) }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.percent / 100, self.percent % 100)
    }
}

/// So many in such a time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    pub(crate) count: u64,
    pub(crate) nanos: u64,
}

impl Rate {
    pub(crate) fn per_second(self) -> u64 {
        let per_second = u128::from(self.count) * 1_000_000_000 / u128::from(self.nanos.max(1));
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }

    pub(crate) fn add(&mut self, other: Rate) {
        self.count = self.count.saturating_add(other.count);
        self.nanos = self.nanos.saturating_add(other.nanos);
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", grouped(self.per_second()))
    }
}

/// `12,345`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
