//! What is to be done, worked out from the trace alone: who asks, who was given what, and which commands fall into
//! which step of the clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use drawdown::{Amount, GrantCredit, GrantType, Owner, Timestamp};

use crate::Outcome;
use crate::trace::Row;

/// The clock moves in steps of this many microseconds.
pub(crate) const STEP_MICROS: i64 = 30_000_000;

/// How long it takes to write a token, in microseconds: so much later the request is captured.
const TOKEN_MICROS: i64 = 20_000;

/// Seconds that a hold outlives the work that it pays for.
const HOLD_SLACK_SECONDS: i64 = 900;

/// Seconds until the hold of a request releases itself: never before its work is done.
pub(crate) fn hold_seconds(row: &Row) -> u32 {
    let seconds = i64::from(row.generated_tokens) * TOKEN_MICROS / 1_000_000 + HOLD_SLACK_SECONDS;
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// The start of the step that an instant falls into: when its commands are decided.
pub(crate) fn step_of(at: Timestamp) -> Outcome<Timestamp> {
    let start = at.micros().div_euclid(STEP_MICROS).checked_mul(STEP_MICROS);
    start.and_then(Timestamp::from_micros).ok_or_else(|| format!("{at} is too early for a trace").into())
}

/// The user who sent a request: by its line, and some users more often than others.
fn user_of(row: &Row, users: u32) -> u32 {
    let pick = |salt: u64| mix(row.line.wrapping_mul(2).wrapping_add(salt)) % u64::from(users);
    u32::try_from(pick(0).min(pick(1))).unwrap_or_default()
}

/// What a user was given before the trace begins.
pub(crate) fn grants_of(user: u32, owner: &Owner, start: Timestamp) -> Outcome<Vec<GrantCredit>> {
    let mut dice = Dice(mix(u64::from(user).wrapping_add(0x00C0_FFEE)));
    let minutes = |minutes: i64| start.plus_seconds(minutes * 60).ok_or("the trace is too late for a calendar");
    let grant = |kind, micros| GrantCredit::new(owner.clone(), kind, Amount::from_micros(micros));
    let mut grants = vec![GrantCredit {
        expires_at: Some(minutes(5 + dice.below(20))?),
        ..grant(GrantType::Trial, 20_000 * (1 + dice.below(3)))
    }];
    if dice.below(2) == 0 {
        let begins_after = 5 * dice.below(3);
        grants.push(GrantCredit {
            effective_at: (begins_after > 0).then(|| minutes(begins_after)).transpose()?,
            expires_at: Some(minutes(20 + dice.below(15))?),
            ..grant(GrantType::Campaign, 30_000 + 10_000 * dice.below(4))
        });
    }
    if dice.below(3) > 0 {
        grants.push(grant(GrantType::Purchased, 80_000 * (1 + dice.below(4))));
    }
    Ok(grants)
}

/// A seed that is spread over all bits (the finalizer of SplitMix64).
const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number that tells one list of requests from another, and one text of prices.
pub(crate) fn digest(rows: &[Row], prices: &str) -> u64 {
    let tokens = |row: &Row| u64::from(row.context_tokens) << 32 | u64::from(row.generated_tokens);
    let prices = prices.bytes().fold(0, |digest, byte| mix(digest ^ u64::from(byte)));
    rows.iter().fold(prices, |digest, row| {
        [row.line, row.at.micros().cast_unsigned(), tokens(row)].into_iter().fold(digest, |digest, part| mix(digest ^ part))
    })
}

/// Small numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u32) -> i64 {
        self.0 = mix(self.0);
        i64::try_from(self.0 % u64::from(sides)).unwrap_or_default()
    }
}

/// What is done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Act {
    /// It begins: its upper bound is held.
    Begin,
    /// Its work is done: what it cost is captured.
    Finish,
}

/// An act, and the request that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) act: Act,
    pub(crate) row: Row,
}

/// What a user does in one step, in order.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) user: u32,
    pub(crate) events: VecDeque<Event>,
}

/// The steps in which something happens, in order; each with the users who act in it.
pub(crate) fn steps(rows: &[Row], users: u32) -> Outcome<BTreeMap<Timestamp, Vec<Queue>>> {
    let mut events = Vec::with_capacity(rows.len() * 2);
    for row in rows {
        let work = i64::from(row.generated_tokens) * TOKEN_MICROS;
        let done_at = row.at.plus_micros(work).ok_or("the trace is too late for a calendar")?;
        events.push((row.at, row.line, Event { act: Act::Begin, row: *row }));
        events.push((done_at, row.line, Event { act: Act::Finish, row: *row }));
    }
    events.sort_by_key(|(at, line, event)| (*at, *line, event.act));
    let mut steps: BTreeMap<Timestamp, Vec<Queue>> = BTreeMap::new();
    let mut places: HashMap<(Timestamp, u32), usize> = HashMap::new();
    for (at, _, event) in events {
        let (step, user) = (step_of(at)?, user_of(&event.row, users));
        let queues = steps.entry(step).or_default();
        let place = *places.entry((step, user)).or_insert(queues.len());
        match queues.get_mut(place) {
            Some(queue) => queue.events.push_back(event),
            None => queues.push(Queue { user, events: VecDeque::from([event]) }),
        }
    }
    Ok(steps)
}
