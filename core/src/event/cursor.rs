//! How far somebody has read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::denial::Denial;

/// What a cursor of this form begins with.
const PREFIX: &str = "evc1_";
/// Hexadecimal digits of the position, then of the ordinal.
const DIGITS: (usize, usize) = (16, 4);

/// How far somebody has read: everything up to here, nothing behind it. Opaque text on the wire; later cursors are greater, as
/// text too.
///
/// # Errors
/// `payload_invalid`, naming `cursor`, for text that is none.
///
/// # Examples
/// ```
/// use drawdown::event::EventCursor;
/// let cursor: EventCursor = "evc1_0000000000000007ffff".parse()?;
/// assert_eq!(cursor.to_string(), "evc1_0000000000000007ffff");
/// assert_eq!("7".parse::<EventCursor>().unwrap_err().details()["field"], "cursor");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventCursor {
    /// The operation, by its position in the feed.
    position: u64,
    /// The last of its events that was read.
    ordinal: u16,
}

impl EventCursor {
    /// Before the first event.
    pub const BEGINNING: EventCursor = EventCursor::end_of(0);

    /// At an event of the operation at this position.
    pub(crate) const fn at(position: u64, ordinal: u16) -> EventCursor {
        EventCursor { position, ordinal }
    }

    /// Behind all events of the operation at this position, whether it has any or not.
    pub(crate) const fn end_of(position: u64) -> EventCursor {
        EventCursor { position, ordinal: u16::MAX }
    }

    /// The position in the feed of the operation up to which was read: how far behind a reader is.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.position
    }

    /// The ordinal of the last event of this operation that was read; the greatest there is behind all of them.
    #[must_use]
    pub const fn ordinal(self) -> u16 {
        self.ordinal
    }

    /// The position after which the feed is read on: an operation whose events were read in part is read again.
    pub(crate) const fn read_after(self) -> u64 {
        if self.ordinal == u16::MAX { self.position } else { self.position.saturating_sub(1) }
    }
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{:0position$x}{:0ordinal$x}", self.position, self.ordinal, position = DIGITS.0, ordinal = DIGITS.1)
    }
}

impl fmt::Debug for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for EventCursor {
    type Err = Denial;

    fn from_str(text: &str) -> Result<EventCursor, Denial> {
        let digits = text.strip_prefix(PREFIX).filter(|digits| digits.len() == DIGITS.0 + DIGITS.1);
        let parts = digits.and_then(|digits| digits.split_at_checked(DIGITS.0));
        let read = parts.and_then(|(position, ordinal)| {
            Some(EventCursor { position: u64::from_str_radix(position, 16).ok()?, ordinal: u16::from_str_radix(ordinal, 16).ok()? })
        });
        // One cursor has one text: no capitals, no signs.
        let cursor = read.filter(|cursor| cursor.to_string() == text);
        cursor.ok_or_else(|| Denial::invalid("cursor", text, "a cursor that an event or a page of events has"))
    }
}

impl Serialize for EventCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventCursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventCursor, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(|denial: Denial| de::Error::custom(denial.message()))
    }
}
