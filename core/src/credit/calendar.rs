//! When the periods of a rule begin.

use chrono::{DateTime, Days, Months, NaiveDateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

use super::rule::{Every, RuleTerms};
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
