//! Exact amounts of credit.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::denial::{Denial, DenialKind, shown};
use crate::digits::Digits;

pub use exact::Amount;

/// Decimal places an amount can have.
pub const AMOUNT_SCALE: u32 = 6;

/// Keeps the field out of reach: every amount in the crate went through a checked constructor.
mod exact {
    /// An exact amount: a signed 64-bit count of millionths of a unit (6 decimal places).
    ///
    /// Reaches from -9,223,372,036,854.775808 to 9,223,372,036,854.775807. All arithmetic is checked; nothing rounds.
    /// It reads decimal strings and JSON numbers, and writes a decimal string without trailing zeros.
    ///
    /// # Errors
    /// `amount_invalid` for more than 6 decimal places, an overflow, or text that is no decimal number or longer than 64
    /// characters.
    ///
    /// # Examples
    /// ```
    /// use drawdown::Amount;
    /// let price: Amount = "12.50".parse()?;
    /// assert_eq!(price.to_string(), "12.5");
    /// assert_eq!(price.checked_add(Amount::from_micros(1)).unwrap().to_string(), "12.500001");
    /// assert_eq!("0.1234567".parse::<Amount>().unwrap_err().name(), "amount_invalid");
    /// # Ok::<(), drawdown::Denial>(())
    /// ```
    #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Amount(i64);

    impl Amount {
        /// Nothing.
        pub const ZERO: Amount = Amount(0);
        /// The largest amount.
        pub const MAX: Amount = Amount(i64::MAX);
        /// The smallest amount.
        pub const MIN: Amount = Amount(i64::MIN);

        /// The amount of so many millionths.
        #[must_use]
        pub const fn from_micros(micros: i64) -> Amount {
            Amount(micros)
        }

        /// The millionths of this amount.
        #[must_use]
        pub const fn micros(self) -> i64 {
            self.0
        }
    }
}

impl Amount {
    /// The amount of so many whole units; `None` when out of range.
    #[must_use]
    pub const fn from_units(units: i64) -> Option<Amount> {
        match units.checked_mul(1_000_000) {
            Some(micros) => Some(Amount::from_micros(micros)),
            None => None,
        }
    }

    /// The sum, or `None` when out of range.
    #[must_use]
    pub const fn checked_add(self, other: Amount) -> Option<Amount> {
        match self.micros().checked_add(other.micros()) {
            Some(micros) => Some(Amount::from_micros(micros)),
            None => None,
        }
    }

    /// The difference, or `None` when out of range.
    #[must_use]
    pub const fn checked_sub(self, other: Amount) -> Option<Amount> {
        match self.micros().checked_sub(other.micros()) {
            Some(micros) => Some(Amount::from_micros(micros)),
            None => None,
        }
    }

    /// The product with a whole number, or `None` when out of range.
    #[must_use]
    pub const fn checked_mul(self, times: i64) -> Option<Amount> {
        match self.micros().checked_mul(times) {
            Some(micros) => Some(Amount::from_micros(micros)),
            None => None,
        }
    }

    /// The opposite amount, or `None` for [`Amount::MIN`].
    #[must_use]
    pub const fn checked_neg(self) -> Option<Amount> {
        match self.micros().checked_neg() {
            Some(micros) => Some(Amount::from_micros(micros)),
            None => None,
        }
    }

    /// Whether this is more than nothing.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.micros() > 0
    }

    /// Whether this is less than nothing.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.micros() < 0
    }

    /// Whether this is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.micros() == 0
    }

    /// The exact decimal number.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.micros(), AMOUNT_SCALE).normalize()
    }

    fn invalid(given: &str, why: &str) -> Denial {
        let shown = shown(given);
        Denial::new(DenialKind::AmountInvalid, format!("`{shown}` is not an amount: {why}")).with("given", shown).with(
            "allowed",
            "a decimal number with at most 6 decimal places, between -9223372036854.775808 and 9223372036854.775807",
        )
    }
}

impl FromStr for Amount {
    type Err = Denial;

    /// Reads plain (`-12.5`) and scientific (`1.25e1`) decimal notation, exactly.
    fn from_str(text: &str) -> Result<Amount, Denial> {
        if text.len() > 64 {
            return Err(Amount::invalid(text, "it is longer than 64 characters"));
        }
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let exponent: i32 = exponent.parse().map_err(|_| Amount::invalid(text, "its exponent cannot be read"))?;
                (mantissa, exponent)
            }
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let well_formed = !whole.is_empty()
            && (fraction.is_empty() != digits.contains('.'))
            && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !well_formed {
            return Err(Amount::invalid(text, "it is no decimal number"));
        }
        let fraction_len = i32::try_from(fraction.len()).map_err(|_| Amount::invalid(text, "it is too long"))?;
        // The value is `significand * 10^scale` millionths.
        let mut significand: i128 = 0;
        let mut dropped: i32 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            // 64 characters of digits can pass i128; beyond the range of an amount only zeros may follow.
            match significand.checked_mul(10).and_then(|s| s.checked_add(i128::from(digit - b'0'))) {
                Some(next) if dropped == 0 => significand = next,
                _ if digit == b'0' => dropped += 1,
                _ => return Err(Amount::invalid(text, "it is out of range or has more than 6 decimal places")),
            }
        }
        let mut scale = exponent.saturating_sub(fraction_len).saturating_add(6).saturating_add(dropped);
        if significand == 0 {
            return Ok(Amount::ZERO);
        }
        while scale < 0 {
            if significand % 10 != 0 {
                return Err(Amount::invalid(text, "it has more than 6 decimal places"));
            }
            significand /= 10;
            scale += 1;
        }
        while scale > 0 {
            significand = match significand.checked_mul(10) {
                Some(next) if next <= i128::from(u64::MAX) => next,
                _ => return Err(Amount::invalid(text, "it is out of range")),
            };
            scale -= 1;
        }
        let signed = if negative { -significand } else { significand };
        i64::try_from(signed).map(Amount::from_micros).map_err(|_| Amount::invalid(text, "it is out of range"))
    }
}

impl TryFrom<Decimal> for Amount {
    type Error = Denial;

    fn try_from(decimal: Decimal) -> Result<Amount, Denial> {
        let normal = decimal.normalize();
        if normal.scale() > AMOUNT_SCALE {
            return Err(Amount::invalid(&decimal.to_string(), "it has more than 6 decimal places"));
        }
        normal
            .mantissa()
            .checked_mul(10_i128.pow(AMOUNT_SCALE - normal.scale()))
            .and_then(|micros| i64::try_from(micros).ok())
            .map(Amount::from_micros)
            .ok_or_else(|| Amount::invalid(&decimal.to_string(), "it is out of range"))
    }
}

impl Amount {
    fn digits(self) -> Digits {
        Digits::of(self.is_negative(), self.micros().unsigned_abs().into(), AMOUNT_SCALE)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().show(f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A name that a binding can tell from other values; JSON shows the text alone.
        if serializer.is_human_readable() {
            serializer.serialize_newtype_struct("Amount", self.digits().as_str())
        } else {
            serializer.serialize_newtype_struct("Amount", &self.micros())
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
        deserializer.deserialize_newtype_struct("Amount", AmountVisitor)
    }
}

struct AmountVisitor;

impl<'de> Visitor<'de> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount as a JSON number or a decimal string")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Amount, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(self)
        } else {
            i64::deserialize(deserializer).map(Amount::from_micros)
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
        text.parse().map_err(|denial: Denial| E::custom(denial.message()))
    }

    fn visit_i64<E: de::Error>(self, units: i64) -> Result<Amount, E> {
        self.visit_str(&units.to_string())
    }

    fn visit_u64<E: de::Error>(self, units: u64) -> Result<Amount, E> {
        self.visit_str(&units.to_string())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Amount, E> {
        Err(E::custom("a binary float is not an amount: give a decimal string"))
    }

    /// A JSON number arrives as its digits (`serde_json` with `arbitrary_precision`).
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Amount, A::Error> {
        let number = serde_json::Number::deserialize(de::value::MapAccessDeserializer::new(map))?;
        self.visit_str(&number.to_string())
    }
}
