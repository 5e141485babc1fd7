//! The one place where anything is rounded: the cost of what was asked, by the mode and step of its price book.

use serde::Serialize;

use super::exact::Exact;
use crate::amount::Amount;
use crate::credit::named_enum;
use crate::denial::Denial;

named_enum! {
    @words
    /// Which of the two steps beside a number is taken. Numbers that are a whole count of steps stay as they are.
    #[derive(Default)]
    RoundingMode {
        /// The nearer one; of two as near, the one away from 0.
        #[default]
        HalfUp = "half_up",
        /// The nearer one; of two as near, the one towards 0.
        HalfDown = "half_down",
        /// The nearer one; of two as near, the even count of steps.
        HalfEven = "half_even",
        /// The one away from 0.
        Up = "up",
        /// The one towards 0.
        Down = "down",
    }
}

/// How a cost is rounded: to a multiple of a step.
///
/// # Examples
/// ```
/// use drawdown::Amount;
/// use drawdown::pricing::{Rounding, RoundingMode};
/// let to_tenths = Rounding::new(RoundingMode::HalfEven, "0.1".parse()?)?;
/// let rounded = |text: &str| to_tenths.round(text.parse().unwrap()).unwrap().to_string();
/// assert_eq!((rounded("0.25"), rounded("-0.35"), rounded("0.251")), ("0.2".into(), "-0.4".into(), "0.3".into()));
/// assert_eq!(Rounding::new(RoundingMode::Up, Amount::ZERO).unwrap_err().details()["field"], "step");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rounding {
    mode: RoundingMode,
    step: Amount,
}

impl Rounding {
    /// Cuts what is finer than an amount can be.
    pub(super) const TO_MICROS: Rounding = Rounding { mode: RoundingMode::Down, step: Amount::from_micros(1) };

    /// Rounds in this mode, to multiples of this step.
    ///
    /// # Errors
    /// `payload_invalid` when the step is not positive.
    pub fn new(mode: RoundingMode, step: Amount) -> Result<Rounding, Denial> {
        if step.is_positive() { Ok(Rounding { mode, step }) } else { Err(Denial::invalid("step", step, "an amount above 0")) }
    }

    /// The mode.
    #[must_use]
    pub const fn mode(self) -> RoundingMode {
        self.mode
    }

    /// The step: what every rounded amount is a multiple of.
    #[must_use]
    pub const fn step(self) -> Amount {
        self.step
    }

    /// The amount rounded; `None` when that is out of range.
    #[must_use]
    pub fn round(self, amount: Amount) -> Option<Amount> {
        Exact::of(amount).rounded(self)
    }
}

impl Default for Rounding {
    /// To millionths, halves away from 0.
    fn default() -> Rounding {
        Rounding { mode: RoundingMode::HalfUp, step: Amount::from_micros(1) }
    }
}

impl RoundingMode {
    /// How many whole steps a number becomes. The step is positive.
    pub(super) fn divide(self, number: i128, step: i128) -> Option<i128> {
        let (whole, rest) = match (i64::try_from(number), i64::try_from(step)) {
            // Division is much faster in 64 bits, and nearly every cost fits.
            (Ok(number), Ok(step)) => (number.checked_div(step)?.into(), number.checked_rem(step)?.into()),
            _ => (number.checked_div(step)?, number.checked_rem(step)?),
        };
        let rest = i128::unsigned_abs(rest);
        if rest == 0 {
            return Some(whole);
        }
        let other_rest = step.unsigned_abs() - rest;
        let away = match self {
            RoundingMode::Up => true,
            RoundingMode::Down => false,
            RoundingMode::HalfUp => rest >= other_rest,
            RoundingMode::HalfDown => rest > other_rest,
            RoundingMode::HalfEven => rest > other_rest || (rest == other_rest && whole % 2 != 0),
        };
        if away { whole.checked_add(number.signum()) } else { Some(whole) }
    }
}
