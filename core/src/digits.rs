//! The digits of exact numbers. Answers and records are full of them, so they are written without the machinery of formatting.

use std::fmt;

/// So many digits a number has at most, and before them a zero, a point and a sign.
const LONGEST: usize = 42;

/// A number in plain notation, without trailing zeros after its point.
pub(crate) struct Digits {
    /// Written from the last to the first.
    text: [u8; LONGEST],
    /// Where the number begins; the sign of a negative one stands before it.
    first: usize,
    negative: bool,
}

impl Digits {
    /// Those of `number / 10^scale`, where `scale` is at most 39.
    pub(crate) fn of(negative: bool, number: u128, scale: u32) -> Digits {
        let mut digits = Digits { text: [b'-'; LONGEST], first: LONGEST, negative };
        let (mut long, mut place) = (number, 0);
        // Few numbers are longer than a word of the machine, and those are divided slowly.
        let mut rest = loop {
            match u64::try_from(long) {
                Ok(rest) => break rest,
                Err(_) => digits.put((long % 10) as u8, place, scale),
            }
            (long, place) = (long / 10, place + 1);
        };
        if let Some(one) = 10_u64.checked_pow(scale).filter(|one| place == 0 && rest.is_multiple_of(*one)) {
            (rest, place) = (rest / one, scale);
        }
        while place <= scale || rest > 0 {
            digits.put((rest % 10) as u8, place, scale);
            (rest, place) = (rest / 10, place + 1);
        }
        digits
    }

    /// Puts a digit before those that are there, unless it is a zero that says nothing.
    fn put(&mut self, digit: u8, place: u32, scale: u32) {
        let is_last = self.first == LONGEST;
        if is_last && digit == 0 && place < scale {
            return;
        }
        if place == scale && !is_last {
            self.put_byte(b'.');
        }
        self.put_byte(b'0' + digit);
    }

    fn put_byte(&mut self, byte: u8) {
        self.first = self.first.saturating_sub(1);
        if let Some(place) = self.text.get_mut(self.first) {
            *place = byte;
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.from(self.first.saturating_sub(usize::from(self.negative)))
    }

    /// As [`fmt::Display`] shows it. Width and sign are the caller's; a precision is not, it would cut digits off.
    pub(crate) fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(!self.negative, "", self.from(self.first))
    }

    fn from(&self, first: usize) -> &str {
        self.text.get(first..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Digits;

    #[test]
    fn numbers_are_written_in_plain_notation_without_trailing_zeros() {
        for (number, scale, text) in [
            (0, 0, "0"),
            (0, 6, "0"),
            (1, 6, "0.000001"),
            (10, 1, "1"),
            (12_500_000, 6, "12.5"),
            (1_000_000, 0, "1000000"),
            (1_000_000_000_000, 6, "1000000"),
            (u128::from(u64::MAX), 6, "18446744073709.551615"),
            (u128::from(u64::MAX) + 1, 20, "0.18446744073709551616"),
            (10_u128.pow(30), 18, "1000000000000"),
            (10_u128.pow(30) + 1, 18, "1000000000000.000000000000000001"),
            (u128::MAX, 0, "340282366920938463463374607431768211455"),
            (u128::MAX, 39, "0.340282366920938463463374607431768211455"),
        ] {
            assert_eq!(Digits::of(false, number, scale).as_str(), text, "{number} / 10^{scale}");
            assert_eq!(Digits::of(true, number, scale).as_str(), format!("-{text}"), "{number} / 10^{scale}");
        }
    }
}
