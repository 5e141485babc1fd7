//! Instants in UTC with microseconds, and where the present comes from.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::denial::Denial;

/// An instant in UTC, in whole microseconds since 1970-01-01T00:00:00Z.
///
/// On the wire it is ISO 8601 with `Z` (`2026-03-01T12:00:00.000000Z`). Any offset is read; finer digits are refused.
///
/// # Errors
/// `payload_invalid` for text that is no ISO 8601 instant, has no offset, or is finer than a microsecond.
///
/// # Examples
/// ```
/// use drawdown::Timestamp;
/// let noon: Timestamp = "2026-03-01T12:00:00Z".parse()?;
/// assert_eq!(noon.plus_seconds(1).unwrap().to_string(), "2026-03-01T12:00:01.000000Z");
/// assert!("2026-03-01T12:00:00".parse::<Timestamp>().is_err());
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first instant that can be written: year 1.
    pub const MIN: Timestamp = Timestamp(-62_135_596_800_000_000);
    /// The last instant that can be written: the end of year 9999.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999_999);

    /// The instant so many microseconds after 1970, `None` outside the years 1 to 9999.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Option<Timestamp> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 { None } else { Some(Timestamp(micros)) }
    }

    /// The microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant so many seconds later; `None` past year 9999.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Option<Timestamp> {
        match seconds.checked_mul(1_000_000) {
            Some(micros) => self.plus_micros(micros),
            None => None,
        }
    }

    /// The instant so many microseconds later; `None` past year 9999.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Option<Timestamp> {
        match self.0.checked_add(micros) {
            Some(total) => Timestamp::from_micros(total),
            None => None,
        }
    }
}

impl From<DateTime<Utc>> for Timestamp {
    /// Drops what is finer than a microsecond; clamps to the years 1 to 9999.
    fn from(instant: DateTime<Utc>) -> Timestamp {
        Timestamp(instant.timestamp_micros().clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(instant: Timestamp) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(instant.0).unwrap_or_default()
    }
}

impl FromStr for Timestamp {
    type Err = Denial;

    fn from_str(text: &str) -> Result<Timestamp, Denial> {
        const ALLOWED: &str = "an ISO 8601 instant with an offset and at most 6 digits after the second";
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| Denial::invalid("time", text, ALLOWED))?;
        if parsed.timestamp_subsec_nanos() % 1_000 != 0 {
            return Err(Denial::invalid("time", text, ALLOWED));
        }
        Timestamp::from_micros(parsed.timestamp_micros()).ok_or_else(|| Denial::invalid("time", text, ALLOWED))
    }
}

impl Timestamp {
    /// As RFC 3339 has it in UTC, with microseconds: of ASCII alone.
    fn text(self) -> [u8; 27] {
        let instant = DateTime::<Utc>::from(self);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        // Where a number ends, and how many digits it has.
        let mut put = |end: usize, digits: usize, mut number: u32| {
            for digit in text.iter_mut().take(end).rev().take(digits) {
                *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
                number /= 10;
            }
        };
        put(4, 4, instant.year().unsigned_abs());
        put(7, 2, instant.month());
        put(10, 2, instant.day());
        put(13, 2, instant.hour());
        put(16, 2, instant.minute());
        put(19, 2, instant.second());
        put(26, 6, instant.timestamp_subsec_micros());
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_newtype_struct("Timestamp", std::str::from_utf8(&self.text()).unwrap_or_default())
        } else {
            serializer.serialize_newtype_struct("Timestamp", &self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        if !deserializer.is_human_readable() {
            let micros = i64::deserialize(deserializer)?;
            return Timestamp::from_micros(micros).ok_or_else(|| de::Error::custom("an instant lies in the years 1 to 9999"));
        }
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
    }
}

/// Where the engine reads the present. The core never does: the clock is an argument.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the clock of the host is read")]
    fn now(&self) -> Timestamp {
        // Without the calendar, which would be worked out for each command.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanos = since.map_or_else(|before| -before.duration().as_nanos().cast_signed(), |since| since.as_nanos().cast_signed());
        let micros = nanos.div_euclid(1_000).clamp(Timestamp::MIN.0.into(), Timestamp::MAX.0.into());
        Timestamp(i64::try_from(micros).unwrap_or_default())
    }
}

/// A clock that a test or a replay sets.
///
/// # Examples
/// ```
/// use drawdown::{Clock, ManualClock};
/// let clock = ManualClock::at("2026-01-01T00:00:00Z".parse()?);
/// clock.advance_seconds(60);
/// assert_eq!(clock.now().to_string(), "2026-01-01T00:01:00.000000Z");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

impl ManualClock {
    /// A clock that stands at `instant`.
    #[must_use]
    pub fn at(instant: Timestamp) -> ManualClock {
        ManualClock(std::sync::atomic::AtomicI64::new(instant.0))
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, instant: Timestamp) {
        self.0.store(instant.0, std::sync::atomic::Ordering::SeqCst);
    }

    /// Moves the clock on by so many seconds.
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds.saturating_mul(1_000_000), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(std::sync::atomic::Ordering::SeqCst).clamp(Timestamp::MIN.0, Timestamp::MAX.0))
    }
}
