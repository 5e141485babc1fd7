//! The calls that a Python program makes, made in Rust: what a call costs beyond this is what the border costs.
//!
//! `benches/python` starts it and takes turns with it: it writes a line that names a call and says how often, and reads a line that says
//! how many nanoseconds that took.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::Instant;

use clap::ValueEnum;
use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
use drawdown::{Amount, Charge, Context, Engine, Owner};

use crate::Outcome;
use crate::engine::{self, TENANT};

/// What is called.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Called {
    /// Charges one by one.
    Charge,
    /// Charges by promise, each waited for before the next.
    Submit,
    /// Charges by promise, 64 at a time.
    InFlight,
    /// Charges in lists of 1,000.
    Many,
    /// Estimates with three extras.
    Estimate,
    /// Balances.
    Balance,
}

/// Makes the calls that standard input asks for.
pub(crate) fn serve(prices: &str, request: &str) -> Outcome<()> {
    let mut caller = Caller::new(prices, request)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (name, count) = line.split_once(' ').ok_or("a line is a call and how often")?;
        let nanos = caller.time(Called::from_str(name, false)?, count.parse()?)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{nanos}")?;
        out.flush()?;
    }
    Ok(())
}

struct Caller {
    engine: Engine,
    context: Context,
    owner: Owner,
    request: EstimateRequest,
    made: u64,
}

impl Caller {
    fn new(prices: &str, request: &str) -> Outcome<Caller> {
        let engine = Engine::builder().prices(PriceBooks::new([PriceBook::from_yaml(prices)?])?).build()?;
        engine::grant_all(&engine)?;
        let (context, owner) = (Context::tenant(TENANT)?, engine::owner(0)?);
        Ok(Caller { engine, context, owner, request: EstimateRequest::from_json(request)?, made: 0 })
    }

    fn time(&mut self, called: Called, count: u64) -> Outcome<u128> {
        let began = Instant::now();
        match called {
            Called::Charge => {
                for _ in 0..count {
                    self.made += 1;
                    let charge = Charge::new(self.owner.clone(), Amount::from_micros(1));
                    let request = self.context.key(format!("border-{:012}", self.made))?.request(charge);
                    black_box(self.engine.execute(request)?);
                }
            }
            Called::Submit => self.in_flight(count, 1)?,
            Called::InFlight => self.in_flight(count, 64)?,
            Called::Many => {
                for _ in 0..count / 1_000 {
                    let commands = (0..1_000).map(|_| self.charge()).collect::<Outcome<Vec<_>>>()?;
                    for answer in self.engine.execute_many(commands) {
                        black_box(answer?);
                    }
                }
            }
            Called::Estimate => {
                let account = engine::account(0)?;
                for _ in 0..count {
                    black_box(self.engine.estimate(&account, &self.request)?);
                }
            }
            Called::Balance => {
                let account = engine::account(0)?;
                for _ in 0..count {
                    black_box(self.engine.balance(&account)?);
                }
            }
        }
        Ok(began.elapsed().as_nanos())
    }

    /// Sends so many at a time, and waits for all of them before the next.
    fn in_flight(&mut self, count: u64, width: u64) -> Outcome<()> {
        for _ in 0..count / width {
            let commands = (0..width).map(|_| self.charge()).collect::<Outcome<Vec<_>>>()?;
            let tickets = commands.into_iter().map(|command| self.engine.submit(command)).collect::<Result<Vec<_>, _>>()?;
            for ticket in tickets {
                black_box(ticket.wait()?);
            }
        }
        Ok(())
    }

    fn charge(&mut self) -> Outcome<drawdown::Command> {
        self.made += 1;
        engine::charge(&self.context, "border", self.made, &self.owner)
    }
}
