//! When the periods of a rule begin, and when days and months do.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use super::rule::{Every, RuleTerms, Zone};
use crate::time::Timestamp;

const DAY_MICROS: i64 = 86_400_000_000;

/// No zone is further from UTC than this, in seconds.
const FARTHEST: i64 = 18 * 3_600;

impl RuleTerms {
    /// When boundary `k` is: so many steps of the calendar from the anchor's local date and time. A local time that the zone's
    /// clocks skip moves to the first that they show, one that they show twice is the earlier. `None` past the year 9999.
    #[must_use]
    pub fn boundary(&self, k: u32) -> Option<Timestamp> {
        if k == 0 {
            return Some(self.starts_at);
        }
        let anchor = DateTime::<Utc>::from(self.starts_at).with_timezone(&self.zone.0).naive_local();
        instant(step(anchor, self.every, k)?, self.zone.0)
    }

    /// The last boundary at or before `limit`, where boundary `from` is one of them and lies at `from_at`. Boundaries ascend, so
    /// it is searched, not counted: a period is hardly ever shorter than a day.
    pub(super) fn last_from(&self, from: u32, from_at: Timestamp, limit: Timestamp) -> u32 {
        let days = limit.micros().saturating_sub(from_at.micros()).max(0) / DAY_MICROS;
        let (mut come, mut ahead) = (from, from.saturating_add(u32::try_from(days).unwrap_or(u32::MAX)).saturating_add(3));
        while ahead - come > 1 {
            let middle = come + (ahead - come) / 2;
            if self.boundary(middle).is_some_and(|at| at <= limit) { come = middle } else { ahead = middle }
        }
        come
    }
}

impl Zone {
    /// When the day of this instant began, and when the next one begins.
    ///
    /// # Examples
    /// ```
    /// use drawdown::Zone;
    /// let zone: Zone = "Asia/Shanghai".parse()?;
    /// let (from, until) = zone.day("2026-03-01T16:30:00Z".parse()?);
    /// assert_eq!(from.to_string(), "2026-03-01T16:00:00.000000Z"); // midnight of 2 March there
    /// assert_eq!(until.to_string(), "2026-03-02T16:00:00.000000Z");
    /// # Ok::<(), drawdown::Denial>(())
    /// ```
    #[must_use]
    pub fn day(self, at: Timestamp) -> (Timestamp, Timestamp) {
        let date = self.date(at);
        (self.first_instant(Some(date)), self.first_instant(date.succ_opt()))
    }

    /// When the month of this instant began, and when the next one begins.
    #[must_use]
    pub fn month(self, at: Timestamp) -> (Timestamp, Timestamp) {
        let first = self.date(at).with_day(1);
        (self.first_instant(first), self.first_instant(first.and_then(|first| first.checked_add_months(Months::new(1)))))
    }

    /// The date of an instant. Where the clock goes back behind midnight the date stays: it does not begin twice.
    fn date(self, at: Timestamp) -> NaiveDate {
        let shown = DateTime::<Utc>::from(at).with_timezone(&self.0).date_naive();
        shown.succ_opt().filter(|next| self.first_instant(Some(*next)) <= at).unwrap_or(shown)
    }

    /// The first instant of a date: where the clock leaves midnight out, the end of the gap; where it shows midnight twice, the
    /// first.
    fn first_instant(self, date: Option<NaiveDate>) -> Timestamp {
        date.and_then(|date| instant(date.and_time(NaiveTime::MIN), self.0)).unwrap_or(Timestamp::MAX)
    }
}

/// The local time so many periods after the anchor.
fn step(anchor: NaiveDateTime, every: Every, k: u32) -> Option<NaiveDateTime> {
    let steps = u64::from(every.count()) * u64::from(k);
    let months = |steps: u64| u32::try_from(steps).ok().and_then(|steps| anchor.checked_add_months(Months::new(steps)));
    match every {
        Every::Days(_) => anchor.checked_add_days(Days::new(steps)),
        Every::Weeks(_) => anchor.checked_add_days(Days::new(7 * steps)),
        Every::Months(_) => months(steps),
        Every::Years(_) => months(12 * steps),
    }
}

fn instant(local: NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    let micros = match zone.from_local_datetime(&local).earliest() {
        Some(at) => at.timestamp_micros(),
        None => end_of_gap(local, zone)?.checked_mul(1_000_000)?,
    };
    Timestamp::from_micros(micros)
}

/// When the clocks leap over this local time, in seconds since 1970: the instant at which they show the first time after it.
fn end_of_gap(local: NaiveDateTime, zone: Tz) -> Option<i64> {
    let wanted = local.and_utc().timestamp();
    let shows_later = |second: i64| {
        let utc = DateTime::from_timestamp(second, 0)?.naive_utc();
        Some(second + i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc()) > wanted)
    };
    let (mut earlier, mut later) = (wanted.checked_sub(FARTHEST)?, wanted.checked_add(FARTHEST)?);
    while later - earlier > 1 {
        let middle = earlier + (later - earlier) / 2;
        if shows_later(middle)? { later = middle } else { earlier = middle }
    }
    Some(later)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credit::Zone;

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
    fn an_instant_is_in_its_day() {
        // At a minute past midnight the clock went back by an hour; the day had begun.
        let begun = (at("2007-11-04T02:30:00Z"), at("2007-11-05T03:30:00Z"));
        for instant in ["2007-11-04T02:30:30Z", "2007-11-04T02:45:00Z", "2007-11-05T03:29:59Z"] {
            assert_eq!(day("America/St_Johns", instant), begun, "{instant}");
        }
        assert_eq!(day("America/St_Johns", "2007-11-04T02:29:59Z").1, begun.0);
        let three_hours_back = (at("2010-03-04T13:00:00Z"), at("2010-03-05T16:00:00Z"));
        assert_eq!(day("Antarctica/Casey", "2010-03-04T15:30:00Z"), three_hours_back);
        assert_eq!(day("Pacific/Apia", "2011-12-30T09:59:59Z").1, at("2011-12-30T10:00:00Z"), "there was no 30 December");
        assert_eq!("America/St_Johns".parse::<Zone>().unwrap().month(at("2009-11-01T02:45:00Z")).0, at("2009-11-01T02:30:00Z"));
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
