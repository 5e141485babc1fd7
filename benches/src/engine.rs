//! The engine's side: accounts with credit, and charges.

use std::collections::VecDeque;
use std::path::Path;

use drawdown::{AccountKey, Amount, Charge, Command, Context, Engine, GrantCredit, GrantType, Owner};

use crate::Outcome;
use crate::contender::{Contender, Spread};

/// Accounts that charges are spread over.
pub(crate) const ACCOUNTS: u64 = 1_000;

/// The tenant of all charges.
pub(crate) const TENANT: &str = "bench";

/// How charges are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// One caller, who waits for each.
    OneByOne,
    /// Promises, so many at a time.
    InFlight(usize),
    /// `execute_many`, so many in a call.
    Many(usize),
}

pub(crate) struct Charging {
    engine: Engine,
    sending: Sending,
    spread: Spread,
    sent: u64,
    context: Context,
    name: String,
    /// The owners of the accounts, as a caller has them at hand.
    owners: Vec<Owner>,
    asking: Asking,
}

/// Makes the command of a charge: whose it is, by which name, the how many-th, of whose account.
pub(crate) type Asking = fn(&Context, &str, u64, &Owner) -> Outcome<Command>;

impl Charging {
    pub(crate) fn new(engine: Engine, name: &str, sending: Sending, spread: Spread) -> Outcome<Charging> {
        let owners = (0..ACCOUNTS).map(owner).collect::<Outcome<Vec<_>>>()?;
        let (context, name) = (Context::tenant(TENANT)?, name.to_owned());
        Ok(Charging { engine, sending, spread, sent: 0, context, name, owners, asking: charge })
    }

    /// The same, with other charges.
    pub(crate) fn asking(self, asking: Asking) -> Charging {
        Charging { asking, ..self }
    }

    fn next(&mut self) -> Outcome<Command> {
        self.sent += 1;
        let account = usize::try_from(self.spread.account(self.sent))?;
        (self.asking)(&self.context, &self.name, self.sent, self.owners.get(account).ok_or("no such account")?)
    }
}

impl Contender for Charging {
    fn turn(&mut self, until: &dyn Fn() -> bool) -> Outcome<u64> {
        let mut done = 0;
        match self.sending {
            Sending::OneByOne => {
                while !until() {
                    let command = self.next()?;
                    self.engine.run(command)?;
                    done += 1;
                }
            }
            Sending::InFlight(width) => {
                let mut flying = VecDeque::with_capacity(width);
                while !until() {
                    while flying.len() < width {
                        let command = self.next()?;
                        flying.push_back(self.engine.submit(command)?);
                    }
                    if let Some(ticket) = flying.pop_front() {
                        ticket.wait()?;
                        done += 1;
                    }
                }
                for ticket in flying {
                    ticket.wait()?;
                    done += 1;
                }
            }
            Sending::Many(size) => {
                while !until() {
                    let commands = (0..size).map(|_| self.next()).collect::<Outcome<Vec<_>>>()?;
                    for answer in self.engine.execute_many(commands) {
                        answer?;
                        done += 1;
                    }
                }
            }
        }
        Ok(done)
    }
}

/// The engine over a file, with its accounts granted.
pub(crate) fn open(file: &Path) -> Outcome<Engine> {
    let engine = reopen(file)?;
    grant_all(&engine)?;
    Ok(engine)
}

/// The engine over a file, as it is.
pub(crate) fn reopen(file: &Path) -> Outcome<Engine> {
    let path = file.to_str().ok_or("the path of the books is no UTF-8")?;
    Ok(Engine::open(&format!("sqlite://{path}"))?)
}

/// Gives every account one grant that lasts.
pub(crate) fn grant_all(engine: &Engine) -> Outcome<()> {
    let context = Context::tenant(TENANT)?;
    let grant = |number| {
        let grant = GrantCredit::new(owner(number)?, GrantType::Purchased, Amount::from_micros(1_000_000_000_000_000));
        Ok(context.key(format!("grant-{number}"))?.request(grant).into_command())
    };
    for answer in engine.execute_many((0..ACCOUNTS).map(grant).collect::<Outcome<Vec<_>>>()?) {
        answer?;
    }
    Ok(())
}

/// Gives one account so many grants more, of so much each, that are drawn before the one that lasts.
pub(crate) fn grant_more(engine: &Engine, name: &str, account: u64, count: u64, amount: Amount) -> Outcome<()> {
    let context = Context::tenant(TENANT)?;
    let grant = |number| {
        let mut grant = GrantCredit::new(owner(account)?, GrantType::Purchased, amount);
        grant.priority = -1;
        Ok(context.key(format!("{name}-{number}"))?.request(grant).into_command())
    };
    for answer in engine.execute_many((0..count).map(grant).collect::<Outcome<Vec<_>>>()?) {
        answer?;
    }
    Ok(())
}

/// A charge of a millionth.
pub(crate) fn charge(context: &Context, name: &str, number: u64, owner: &Owner) -> Outcome<Command> {
    let charge = Charge::new(owner.clone(), Amount::from_micros(1));
    Ok(context.key(format!("{name}-{number:012}"))?.request(charge).into_command())
}

pub(crate) fn owner(number: u64) -> Outcome<Owner> {
    Ok(Owner::user(format!("user-{number:06}"))?)
}

pub(crate) fn account(number: u64) -> Outcome<AccountKey> {
    Ok(AccountKey::new(TENANT.parse()?, owner(number)?, "credit".parse()?))
}
