//! Random scripts: what clients send to which engine, what fails, and how the clocks go.

use std::fmt;

use drawdown::store::StoreErrorKind;
use drawdown::testing::fault::When;
use drawdown::testing::generate::{Step, Wait, sequence};
use drawdown::{Body, IdempotencyKey, Timestamp};
use fastrand::Rng;
use serde_json::Value;

use crate::compare::tenant_in;

/// How many engines a script has at most.
pub(super) const MAX_ENGINES: usize = 4;
/// How many consumers read the feed.
pub(super) const CONSUMERS: usize = 4;
/// Steps of one small world, after which another begins over the same accounts.
const STEPS_A_SEQUENCE: u32 = 120;
/// Small worlds beside one another.
pub(super) const WORLDS: usize = 3;

/// A failure of the store: at which of its calls in an act, from 1, when in the call, and what it says.
pub(super) type Blow = (u64, When, StoreErrorKind);

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Time goes on for all engines.
    Wait(Wait),
    /// A clock is set so many microseconds before or after the others.
    Skew { engine: usize, micros: i64 },
    /// Clients send commands that are decided together; all or none of them if they are a group.
    Send { engine: usize, orders: Vec<Order>, group: bool, blows: Vec<Blow>, slow: bool },
    /// A client repeats the first command whose outcome it does not know.
    Retry { engine: usize, blows: Vec<Blow> },
    /// An engine ends without a word, and another opens the same books. A patient one tries until it knows.
    Crash { engine: usize, patient: bool },
    /// A consumer reads on in the feed.
    Poll { consumer: usize, engine: usize, limit: usize, blows: Vec<Blow> },
    /// What is due is booked.
    Sweep { engine: usize, limit: usize },
}

/// A command of a small world.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Which sequence it is of: its instants count from when the sequence begins.
    pub(super) sequence: u32,
    pub(super) step: Step,
}

/// What a script is played with.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) seed: u64,
    pub(super) engines: usize,
    /// The books are in a file, that each engine opens by itself.
    pub(super) file: bool,
}

/// The script of a seed.
pub(super) fn script(seed: u64, file: bool, steps: u32) -> (Stage, Vec<Act>) {
    let mut random = Rng::with_seed(seed ^ 0x5eed_ba4c);
    let stage = Stage { seed, engines: random.usize(2..=MAX_ENGINES), file };
    let mut bank = Bank { worlds: Vec::new(), sequences: 0, random, engines: stage.engines };
    bank.worlds = (0..WORLDS).map(|world| bank.sequence(world)).collect();
    let mut acts = Vec::new();
    let mut sent = 0;
    while sent < steps {
        bank.weather(&mut acts);
        sent += bank.send(&mut acts);
    }
    (stage, acts)
}

struct Bank {
    random: Rng,
    /// What is left of the sequence of each small world.
    worlds: Vec<std::vec::IntoIter<Order>>,
    sequences: u32,
    engines: usize,
}

impl Bank {
    /// The next sequence of a small world, over its tenants and with keys of its own.
    fn sequence(&mut self, world: usize) -> std::vec::IntoIter<Order> {
        let number = self.sequences;
        self.sequences += 1;
        let mut steps = sequence(self.random.u64(..), STEPS_A_SEQUENCE);
        for step in &mut steps {
            step.serial += number * STEPS_A_SEQUENCE;
            step.about = step.about.map(|about| about + number * STEPS_A_SEQUENCE);
            let context = &mut step.template.context;
            context.tenant_id = tenant_in(world, &context.tenant_id);
            if let Some(key) = &context.idempotency_key
                && self.random.u32(..100) < 95
            {
                context.idempotency_key = IdempotencyKey::new(format!("{number}-{key}")).ok();
            }
        }
        steps.into_iter().map(|step| Order { sequence: number, step }).collect::<Vec<_>>().into_iter()
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        self.random.u32(..1_000) < per_mille
    }

    fn engine(&mut self) -> usize {
        self.random.usize(..self.engines)
    }

    /// Some commands, with the time that passes before them.
    fn send(&mut self, acts: &mut Vec<Act>) -> u32 {
        let together = if self.chance(700) { 1 } else { self.random.usize(2..=6) };
        let mut orders = Vec::new();
        for _ in 0..together {
            let world = self.random.usize(..WORLDS);
            let order = match self.worlds[world].next() {
                Some(order) => order,
                None => {
                    self.worlds[world] = self.sequence(world);
                    continue;
                }
            };
            // The worlds share one time, so each brings its part of it.
            if order.step.wait != Wait::None && self.random.usize(..WORLDS) == 0 {
                acts.push(Act::Wait(order.step.wait));
            }
            orders.push(order);
        }
        let group = orders.len() > 1 && self.chance(200);
        let count = u32::try_from(orders.len()).unwrap_or(0);
        let (engine, blows, slow) = (self.engine(), self.blows(80), self.chance(100));
        acts.push(Act::Send { engine, orders, group, blows, slow });
        count
    }

    /// What happens between commands.
    fn weather(&mut self, acts: &mut Vec<Act>) {
        if self.chance(60) {
            let micros = match self.random.u32(..10) {
                // So far ahead that it leaves the others behind.
                0 => self.random.i64(5_000_001..20_000_000),
                _ => self.random.i64(-2_000_000..2_000_000),
            };
            acts.push(Act::Skew { engine: self.engine(), micros });
        }
        if self.chance(15) {
            acts.push(Act::Crash { engine: self.engine(), patient: self.random.bool() });
        }
        if self.chance(150) {
            acts.push(Act::Retry { engine: self.engine(), blows: self.blows(150) });
        }
        if self.chance(200) {
            let (consumer, engine, limit) = (self.random.usize(..CONSUMERS), self.engine(), self.random.usize(1..=40));
            acts.push(Act::Poll { consumer, engine, limit, blows: self.blows(50) });
        }
        if self.chance(30) {
            acts.push(Act::Sweep { engine: self.engine(), limit: self.random.usize(1..=6) });
        }
    }

    fn blows(&mut self, per_mille: u32) -> Vec<Blow> {
        let mut blows = Vec::new();
        if self.chance(per_mille) {
            let mut call = 1;
            for _ in 0..self.random.u32(1..=3) {
                blows.push(self.blow(call));
                call += self.random.u64(1..=2);
            }
        }
        blows
    }

    fn blow(&mut self, call: u64) -> Blow {
        use StoreErrorKind::{Conflict, Permanent, Transient};
        let (when, kind) = match self.random.u32(..12) {
            0 | 1 => (When::Before, Transient),
            2 => (When::Before, Permanent),
            3 | 4 => (When::Inside, Transient),
            5 => (When::Inside, Permanent),
            6 => (When::Inside, Conflict),
            7 | 8 => (When::After, Transient),
            9 => (When::After, Permanent),
            _ => (When::Late, Transient),
        };
        (call, when, kind)
    }
}

impl Order {
    /// The step with its instants moved to when its sequence began.
    pub(super) fn moved_by(&self, micros: i64) -> Step {
        let mut step = self.step.clone();
        let moved = |at: Timestamp| at.plus_micros(micros).unwrap_or(at);
        match &mut step.template.body {
            Body::Grant(body) => {
                body.effective_at = body.effective_at.map(moved);
                body.expires_at = body.expires_at.map(moved);
            }
            Body::Amend(body) => body.expires_at = moved(body.expires_at),
            Body::Recur(body) => {
                body.starts_at = body.starts_at.map(moved);
                body.ends_at = body.ends_at.map(moved);
            }
            _ => {}
        }
        step
    }
}

impl Act {
    /// The same with one trouble less; nothing if it has none.
    pub(super) fn calmer(&self) -> Vec<Act> {
        let mut act = self.clone();
        let mut calmer = Vec::new();
        if let Act::Send { orders, .. } = self
            && orders.len() > 1
        {
            for at in 0..orders.len() {
                let mut fewer = self.clone();
                if let Act::Send { orders, .. } = &mut fewer {
                    orders.remove(at);
                }
                calmer.push(fewer);
            }
        }
        match &mut act {
            Act::Send { blows, .. } | Act::Retry { blows, .. } | Act::Poll { blows, .. } if !blows.is_empty() => {
                blows.pop();
                calmer.push(act);
            }
            Act::Send { slow, .. } if *slow => {
                *slow = false;
                calmer.push(act);
            }
            _ => {}
        }
        calmer
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Act::Send { engine, orders, group, blows, slow } = self else { return write!(f, "{self:?}") };
        write!(f, "Send engine: {engine}, group: {group}, blows: {blows:?}, slow: {slow}")?;
        for Order { step, .. } in orders {
            let about = step.about.map(|about| format!(" about #{about}")).unwrap_or_default();
            write!(f, "\n    #{}{about} {}", step.serial, Value::Object(step.template.to_fields()))?;
        }
        Ok(())
    }
}
