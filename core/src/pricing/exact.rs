//! Exact decimals: what prices and factors are, and what is worked out from them before the one rounding.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::rounding::Rounding;
use crate::amount::{AMOUNT_SCALE, Amount};
use crate::denial::{Denial, DenialKind, shown};
use crate::digits::Digits;

/// Decimal places a rate can have.
pub const RATE_SCALE: u32 = 18;

/// The largest rate, 10^12, has so many digits before its point.
const MAX_WHOLE_DIGITS: usize = 13;

/// What one of something costs, or what a cost is multiplied by: an exact decimal, 0 to 10^12, with at most 18 places.
///
/// A price for a token is often finer than an amount can be (0.00000025), so it is a number of its own. It is written as a decimal
/// string, without trailing zeros, and never rounded: only the cost that is worked out from it is.
///
/// # Errors
/// `amount_invalid` for a number below 0, above 10^12, with more than 18 decimal places, or text that is no decimal number.
///
/// # Examples
/// ```
/// use drawdown::pricing::Rate;
/// let price: Rate = "2.5e-07".parse()?;
/// assert_eq!(price.to_string(), "0.00000025");
/// assert_eq!("-1".parse::<Rate>().unwrap_err().name(), "amount_invalid");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate(Exact);

impl Rate {
    /// Nothing.
    pub const ZERO: Rate = Rate(Exact::ZERO);
    /// One: the factor that changes nothing.
    pub const ONE: Rate = Rate(Exact { digits: 1, scale: 0 });
    /// What a rate can be, in words.
    pub(super) const ALLOWED: &'static str = "a decimal number from 0 to 10^12 with at most 18 decimal places";

    pub(super) const fn exact(self) -> Exact {
        self.0
    }

    /// The rate that is this number, if one can be.
    pub(super) fn from_exact(number: Exact) -> Option<Rate> {
        let number = number.normal();
        let largest = Exact { digits: 10_i128.pow(12), scale: 0 };
        let in_range = number.digits >= 0 && number.scale <= RATE_SCALE && largest.minus(number)?.digits >= 0;
        in_range.then_some(Rate(number))
    }

    /// Reads a decimal, saying what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Rate, &'static str> {
        let number = Exact::read(text, RATE_SCALE)?;
        if number.digits < 0 {
            return Err("it is negative");
        }
        Rate::from_exact(number).ok_or("it is out of range")
    }
}

impl FromStr for Rate {
    type Err = Denial;

    fn from_str(text: &str) -> Result<Rate, Denial> {
        Rate::read(text).map_err(|why| {
            let given = shown(text);
            Denial::new(DenialKind::AmountInvalid, format!("`{given}` is not a rate: {why}"))
                .with("given", given)
                .with("allowed", Rate::ALLOWED)
        })
    }
}

impl Rate {
    fn digits(self) -> Digits {
        Digits::of(false, self.0.digits.unsigned_abs(), self.0.scale)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().show(f)
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.scaled(RATE_SCALE).filter(|_| !serializer.is_human_readable()) {
            Some(digits) => serializer.serialize_newtype_struct("Rate", &digits),
            None => serializer.serialize_newtype_struct("Rate", self.digits().as_str()),
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        if !deserializer.is_human_readable() {
            let number = Exact { digits: i128::deserialize(deserializer)?, scale: RATE_SCALE };
            return Rate::from_exact(number).ok_or_else(|| de::Error::custom(Rate::ALLOWED));
        }
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
    }
}

/// `digits / 10^scale`. Every operation is exact, or has no answer because 38 digits do not hold it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Exact {
    digits: i128,
    scale: u32,
}

impl Exact {
    pub(super) const ZERO: Exact = Exact { digits: 0, scale: 0 };

    pub(super) fn of(amount: Amount) -> Exact {
        let (mut digits, mut scale) = (amount.micros(), AMOUNT_SCALE);
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        Exact { digits: i128::from(digits), scale }
    }

    pub(super) fn times(self, other: Exact) -> Option<Exact> {
        let product = |a: Exact, b: Exact| Some(Exact { digits: a.digits.checked_mul(b.digits)?, scale: a.scale + b.scale });
        product(self, other).or_else(|| product(self.normal(), other.normal()))
    }

    pub(super) fn plus(self, other: Exact) -> Option<Exact> {
        let sum = |a: Exact, b: Exact| {
            let scale = a.scale.max(b.scale);
            Some(Exact { digits: a.scaled(scale)?.checked_add(b.scaled(scale)?)?, scale })
        };
        sum(self, other).or_else(|| sum(self.normal(), other.normal()))
    }

    pub(super) fn minus(self, other: Exact) -> Option<Exact> {
        self.plus(Exact { digits: other.digits.checked_neg()?, scale: other.scale })
    }

    /// The same number without trailing zeros.
    pub(super) fn normal(mut self) -> Exact {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        self
    }

    /// The number as an amount, rounded.
    pub(super) fn rounded(self, rounding: Rounding) -> Option<Amount> {
        self.round(rounding).or_else(|| self.normal().round(rounding))
    }

    fn round(self, rounding: Rounding) -> Option<Amount> {
        let (digits, step) = if self.scale <= AMOUNT_SCALE {
            (self.scaled(AMOUNT_SCALE)?, i128::from(rounding.step().micros()))
        } else {
            let factor = power(self.scale - AMOUNT_SCALE)?;
            (self.digits, i128::from(rounding.step().micros()).checked_mul(factor)?)
        };
        let micros = rounding.mode().divide(digits, step)?.checked_mul(i128::from(rounding.step().micros()))?;
        i64::try_from(micros).ok().map(Amount::from_micros)
    }

    /// The digits at another scale, which is not smaller.
    fn scaled(self, scale: u32) -> Option<i128> {
        if scale == self.scale { Some(self.digits) } else { self.digits.checked_mul(power(scale - self.scale)?) }
    }

    /// Reads plain and scientific decimal notation, exactly.
    pub(super) fn read(text: &str, max_scale: u32) -> Result<Exact, &'static str> {
        const MALFORMED: &str = "it is no decimal number";
        if text.len() > 64 {
            return Err("it is longer than 64 characters");
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| "its exponent cannot be read")?;
        let (negative, unsigned) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digit = |byte: u8| byte.is_ascii_digit();
        if whole.is_empty() || (fraction.is_empty() && unsigned.contains('.')) || !whole.bytes().chain(fraction.bytes()).all(digit)
        {
            return Err(MALFORMED);
        }
        let all = format!("{whole}{fraction}");
        let leading = all.trim_start_matches('0');
        let significant = leading.trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Exact::ZERO);
        }
        // The number is `significant * 10^power`; both lengths are below 65.
        let zeros = i32::try_from(leading.len() - significant.len()).map_err(|_| MALFORMED)?;
        let fraction_len = i32::try_from(fraction.len()).map_err(|_| MALFORMED)?;
        let power_of_ten = exponent.saturating_add(zeros).saturating_sub(fraction_len);
        if power_of_ten < 0 && power_of_ten.unsigned_abs() > max_scale {
            return Err(if max_scale == RATE_SCALE {
                "it has more than 18 decimal places"
            } else {
                "it has more than 6 decimal places"
            });
        }
        let up = u32::try_from(power_of_ten).unwrap_or(0);
        if significant.len() + up as usize > MAX_WHOLE_DIGITS + RATE_SCALE as usize {
            return Err("it is out of range");
        }
        let digits: i128 = significant.parse().map_err(|_| MALFORMED)?;
        let digits = power(up).and_then(|factor| digits.checked_mul(factor)).ok_or("it is out of range")?;
        let scale = if power_of_ten < 0 { power_of_ten.unsigned_abs() } else { 0 };
        Ok(Exact { digits: if negative { -digits } else { digits }, scale })
    }
}

/// The powers of ten that 128 bits hold.
#[expect(clippy::indexing_slicing, reason = "the compiler works it out, and would refuse")]
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

fn power(of_ten: u32) -> Option<i128> {
    POWERS.get(of_ten as usize).copied()
}
