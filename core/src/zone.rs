//! Where days and months begin: by the calendar of a time zone.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::denial::Denial;
use crate::time::Timestamp;

/// A time zone of the IANA list, by its name; `UTC` unless said otherwise.
///
/// # Errors
/// `payload_invalid` for a name that is not in the list.
///
/// # Examples
/// ```
/// use drawdown::Zone;
/// let zone: Zone = "Asia/Shanghai".parse()?;
/// let (from, until) = zone.day("2026-03-01T16:30:00Z".parse()?);
/// assert_eq!(from.to_string(), "2026-03-01T16:00:00.000000Z"); // midnight of 2 March there
/// assert_eq!(until.to_string(), "2026-03-02T16:00:00.000000Z");
/// assert_eq!("Shanghai".parse::<Zone>().unwrap_err().name(), "payload_invalid");
/// # Ok::<(), drawdown::Denial>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(Tz);

/// No zone has ever left out more of its clock than a day, and none in steps finer than this.
const GAP_STEP_MINUTES: i64 = 15;
const MAX_GAP_STEPS: i64 = 26 * 60 / GAP_STEP_MINUTES;

impl Zone {
    /// When the day of this instant began, and when the next one begins.
    #[must_use]
    pub fn day(self, at: Timestamp) -> (Timestamp, Timestamp) {
        let date = self.date(at);
        (self.first_instant(Some(date)), self.first_instant(date.succ_opt()))
    }

    /// When the month of this instant began, and when the next one begins.
    #[must_use]
    pub fn month(self, at: Timestamp) -> (Timestamp, Timestamp) {
        let date = self.date(at);
        let next = if date.month() == 12 {
            NaiveDate::from_ymd_opt(date.year() + 1, 1, 1)
        } else {
            NaiveDate::from_ymd_opt(date.year(), date.month() + 1, 1)
        };
        (self.first_instant(date.with_day(1)), self.first_instant(next))
    }

    fn date(self, at: Timestamp) -> NaiveDate {
        DateTime::<Utc>::from(at).with_timezone(&self.0).date_naive()
    }

    /// The first instant of a date: where the clock leaves midnight out, the end of the gap; where it shows midnight twice, the
    /// first.
    fn first_instant(self, date: Option<NaiveDate>) -> Timestamp {
        let Some(midnight) = date.map(|date| date.and_time(NaiveTime::MIN)) else { return Timestamp::MAX };
        let local = (0..=MAX_GAP_STEPS).filter_map(|step| {
            let shown = midnight.checked_add_signed(TimeDelta::minutes(step * GAP_STEP_MINUTES))?;
            self.0.from_local_datetime(&shown).earliest()
        });
        local.map(|instant| Timestamp::from(instant.with_timezone(&Utc))).next().unwrap_or(Timestamp::MAX)
    }
}

impl Default for Zone {
    fn default() -> Zone {
        Zone(Tz::UTC)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl FromStr for Zone {
    type Err = Denial;

    fn from_str(text: &str) -> Result<Zone, Denial> {
        let named = text.parse::<Tz>().map(Zone);
        named.map_err(|_| Denial::invalid("zone", text, "the name of an IANA time zone, as `Asia/Shanghai`"))
    }
}

impl TryFrom<String> for Zone {
    type Error = Denial;

    fn try_from(text: String) -> Result<Zone, Denial> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(zone: &str, instant: &str) -> (Timestamp, Timestamp) {
        zone.parse::<Zone>().unwrap().day(at(instant))
    }

    #[test]
    fn a_day_is_as_long_as_the_clock_makes_it() {
        let berlin = "Europe/Berlin";
        assert_eq!(day(berlin, "2026-03-29T12:00:00Z"), (at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")), "23 hours");
        assert_eq!(day(berlin, "2026-10-25T12:00:00Z"), (at("2026-10-24T22:00:00Z"), at("2026-10-25T23:00:00Z")), "25 hours");
        assert_eq!(day(berlin, "2026-03-28T22:59:59.999999Z").1, at("2026-03-28T23:00:00Z"));
        assert_eq!(day(berlin, "2026-03-28T23:00:00Z").0, at("2026-03-28T23:00:00Z"));
    }

    #[test]
    fn a_day_whose_midnight_is_left_out_begins_at_the_end_of_the_gap() {
        let beirut = day("Asia/Beirut", "2022-03-27T12:00:00Z");
        assert_eq!(beirut, (at("2022-03-26T22:00:00Z"), at("2022-03-27T21:00:00Z")));
    }

    #[test]
    fn a_day_whose_midnight_comes_twice_begins_with_the_first() {
        let havana = day("America/Havana", "2025-11-02T12:00:00Z");
        assert_eq!(havana, (at("2025-11-02T04:00:00Z"), at("2025-11-03T05:00:00Z")));
    }

    #[test]
    fn a_date_that_was_left_out_is_passed_over() {
        let apia = day("Pacific/Apia", "2011-12-29T20:00:00Z");
        assert_eq!(apia, (at("2011-12-29T10:00:00Z"), at("2011-12-30T10:00:00Z")));
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let zone: Zone = "Asia/Shanghai".parse().unwrap();
        let november = (at("2026-10-31T16:00:00Z"), at("2026-11-30T16:00:00Z"));
        assert_eq!(zone.month(at("2026-10-31T16:00:00Z")), november);
        assert_eq!(zone.month(at("2026-11-30T15:59:59.999999Z")), november);
        assert_eq!(zone.month(at("2026-12-31T16:00:00Z")).1, at("2027-01-31T16:00:00Z"));
        assert_eq!(Zone::default().month(at("2028-02-29T23:00:00Z")), (at("2028-02-01T00:00:00Z"), at("2028-03-01T00:00:00Z")));
        assert_eq!(Zone::default().day(Timestamp::MAX).1, Timestamp::MAX);
    }
}
