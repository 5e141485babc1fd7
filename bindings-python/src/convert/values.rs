//! What results are full of, Decimals, instants, words and short texts, made fast.

use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard, TryLockError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::Library;

/// So many of 10^-18, the finest that anything is, make one.
const ONE: u128 = 1_000_000_000_000_000_000;
/// So many of 10^-18 are a millionth.
const MILLIONTH: i128 = 1_000_000_000_000;

const MICROS_A_DAY: i64 = 86_400_000_000;
/// From the first of March of year 0, where leap days come last, to 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

/// What results that were built before have in common with this one: prices, factors, zeros, what one thing costs and the names of units,
/// owners and templates come again and again, and to make a Decimal takes as long as ten fields.
///
/// It is locked once for a whole result, not for each of its values. Python can call back meanwhile, and other
/// threads can run: who finds it taken does without.
pub(super) struct Kept(RefCell<Option<MutexGuard<'static, Values>>>);

struct Values {
    amounts: Recent<i64, 1024>,
    rates: Recent<i128, 1024>,
    words: Recent<(usize, usize), 512>,
    texts: Recent<[u64; 3], 1024>,
}

impl Values {
    const fn new() -> Values {
        Values { amounts: Recent::new(), rates: Recent::new(), words: Recent::new(), texts: Recent::new() }
    }
}

impl Kept {
    pub(super) fn take() -> Kept {
        static VALUES: Mutex<Values> = Mutex::new(Values::new());
        Kept(RefCell::new(match VALUES.try_lock() {
            Ok(values) => Some(values),
            // What is kept is whole at any moment.
            Err(TryLockError::Poisoned(values)) => Some(values.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }))
    }

    /// The Decimal of so many millionths.
    pub(super) fn amount<'py>(&self, py: Python<'py>, millionths: i64) -> PyResult<Bound<'py, PyAny>> {
        let make = || decimal(py, i128::from(millionths) * MILLIONTH);
        self.get(py, |values| &mut values.amounts, millionths, spread(millionths.cast_unsigned()), make)
    }

    /// The Decimal of so many of 10^-18: without trailing zeros, as the core writes its numbers.
    pub(super) fn rate<'py>(&self, py: Python<'py>, number: i128) -> PyResult<Bound<'py, PyAny>> {
        let spread = spread(number.cast_unsigned() as u64 ^ (number >> 64) as u64);
        self.get(py, |values| &mut values.rates, number, spread, || decimal(py, number))
    }

    /// A word that stands in the program.
    pub(super) fn word<'py>(&self, py: Python<'py>, word: &'static str) -> PyResult<Bound<'py, PyAny>> {
        // What stands there never changes, so its place says what it is.
        let place = (word.as_ptr().addr(), word.len());
        self.get(py, |values| &mut values.words, place, spread(place.0 as u64), || Ok(PyString::intern(py, word).into_any()))
    }

    /// A text, kept if it is short: then it is mostly a name.
    pub(super) fn text<'py>(&self, py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
        let make = || Ok(PyString::new(py, text).into_any());
        let mut bytes = [0xff; 24]; // Which no text ends with.
        let Some(place) = bytes.get_mut(..text.len()) else { return make() };
        place.copy_from_slice(text.as_bytes());
        let (words, _) = bytes.as_chunks::<8>();
        let key = [0, 1, 2].map(|word: usize| words.get(word).map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        let mixed = key.iter().fold(0, |mixed: u64, word| (mixed ^ word).wrapping_mul(SPREAD).rotate_left(29));
        self.get(py, |values| &mut values.texts, key, spread(mixed), make)
    }

    fn get<'py, K: Copy + PartialEq, const PLACES: usize>(
        &self,
        py: Python<'py>,
        of: impl Fn(&mut Values) -> &mut Recent<K, PLACES>,
        key: K,
        spread: usize,
        make: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(values) = self.0.borrow_mut().as_deref_mut()
            && let Some(Some((made, value))) = of(values).0.get(spread % PLACES)
            && *made == key
        {
            return Ok(value.bind(py).clone());
        }
        let value = make()?;
        if let Some(values) = self.0.borrow_mut().as_deref_mut()
            && let Some(place) = of(values).0.get_mut(spread % PLACES)
        {
            *place = Some((key, value.clone().unbind()));
        }
        Ok(value)
    }
}

/// The Decimal of so many of 10^-18.
fn decimal(py: Python<'_>, number: i128) -> PyResult<Bound<'_, PyAny>> {
    let mut buffer = [b'0'; 64];
    Library::get(py)?.decimal.bind(py).call1((digits(&mut buffer, number),))
}

/// An aware datetime in UTC, of an instant in the years 1 to 9999.
pub(super) fn instant(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    let (days, micros) = (micros.div_euclid(MICROS_A_DAY), micros.rem_euclid(MICROS_A_DAY));
    let (year, month, day) = date(days);
    let seconds = micros / 1_000_000;
    let byte = |number: i64| (number & 0xff) as u8;
    let fraction = micros % 1_000_000;
    // How a datetime is pickled: two bytes for the year, three for the microseconds. No other way to make one is as short.
    let state = [
        byte(year >> 8),
        byte(year),
        byte(month),
        byte(day),
        byte(seconds / 3_600),
        byte(seconds / 60 % 60),
        byte(seconds % 60),
        byte(fraction >> 16),
        byte(fraction >> 8),
        byte(fraction),
    ];
    let library = Library::get(py)?;
    library.datetime.bind(py).call1((PyBytes::new(py, &state), library.utc.bind(py)))
}

/// The date so many days after 1970 began. Counted from March of year 0 on: the leap day is the last of its year, and 400 years are a
/// whole number of days.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, years) = if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
    (era * 400 + year_of_era + years, month, day)
}

/// The digits of a number of 10^-18, written from the last to the first.
fn digits(buffer: &mut [u8; 64], number: i128) -> &str {
    // 18 places hold the fraction, and 39 digits are the most.
    let (whole, mut fraction) = (number.unsigned_abs() / ONE, (number.unsigned_abs() % ONE) as u64);
    let mut first = buffer.len();
    let mut put = |byte: u8| {
        first -= 1;
        if let Some(place) = buffer.get_mut(first) {
            *place = byte;
        }
    };
    let mut places = 18;
    while fraction != 0 && fraction % 10 == 0 {
        (fraction, places) = (fraction / 10, places - 1);
    }
    if fraction != 0 {
        for _ in 0..places {
            put(b'0' + (fraction % 10) as u8);
            fraction /= 10;
        }
        put(b'.');
    }
    match u64::try_from(whole) {
        Ok(mut small) => loop {
            put(b'0' + (small % 10) as u8);
            small /= 10;
            if small == 0 {
                break;
            }
        },
        Err(_) => whole.to_string().bytes().rev().for_each(&mut put),
    }
    if number.is_negative() {
        put(b'-');
    }
    buffer.get(first..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
}

/// 2^64 by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads what differs little over the highest bits.
const fn spread(key: u64) -> usize {
    (key.wrapping_mul(SPREAD) >> 32) as usize
}

/// The last values that were made: where two have the same place, the newer one stays.
struct Recent<K, const PLACES: usize>([Option<(K, Py<PyAny>)>; PLACES]);

impl<K, const PLACES: usize> Recent<K, PLACES> {
    const fn new() -> Recent<K, PLACES> {
        Recent([const { None }; PLACES])
    }
}
