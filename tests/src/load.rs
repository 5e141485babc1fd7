//! A load on one SQLite file that several threads and processes can put on it, and whose every command follows from its key.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test's own commands are well-formed")]

use std::sync::Arc;
use std::time::Duration;

use drawdown::{
    AccountKey, Amount, Block, BlockTarget, Body, Charge, Command, Context, Engine, EraseText, GrantCredit, GrantType, Owner,
    PlaceHold, Role, SetCreditLimit, SetLowBalance, SetMember, TaskId,
};

/// How many accounts the load is spread over.
pub const ACCOUNTS: u32 = 4;

/// What each account is given, in units: more than any load takes.
pub const GRANTED: i64 = 1_000_000;

/// The engine over a file, which gives up after `deadline`.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(path: &str, deadline: Duration) -> Result<Engine, drawdown::Error> {
    Engine::builder().url(format!("sqlite://{path}")).deadline(deadline).build()
}

/// The tenant of the load.
#[must_use]
pub fn tenant() -> Context {
    Context::tenant("load").unwrap()
}

/// One of its accounts.
#[must_use]
pub fn account(number: u32) -> AccountKey {
    AccountKey::new(tenant().tenant_id, owner(number), "credit".parse().unwrap())
}

/// The owner of one of its accounts.
#[must_use]
pub fn owner(number: u32) -> Owner {
    Owner::user(format!("user-{number}")).unwrap()
}

/// Gives credit to an account, once.
#[must_use]
pub fn grant(number: u32, units: i64) -> Command {
    let grant = GrantCredit::new(owner(number), GrantType::Purchased, Amount::from_units(units).unwrap());
    tenant().key(format!("grant-{number}")).unwrap().request(grant).into_command()
}

/// The command under the key `{prefix}-{thread}-{number}`: a charge of 1, and every fifth time a hold of 1 that stays open; now and
/// then one that moves no balance.
#[must_use]
pub fn command(prefix: &str, thread: u32, number: u32) -> Command {
    let context = tenant().key(format!("{prefix}-{thread}-{number}")).unwrap();
    let payer = owner((thread + number) % ACCOUNTS);
    let one = Amount::from_units(1).unwrap();
    if let Some(body) = agreement(&payer, number) {
        return context.request(body);
    }
    if number % 5 == 4 {
        let task_id = Some(TaskId::new(format!("{prefix}-{thread}-{number}")).unwrap());
        return context.request(PlaceHold { task_id, expire_in: 604_800, ..PlaceHold::new(payer, one) }).into_command();
    }
    context.request(Charge { reason: Some(Arc::from("load")), ..Charge::new(payer, one) }).into_command()
}

/// What is agreed about an account, or about who spends.
fn agreement(owner: &Owner, number: u32) -> Option<Body> {
    let user = format!("user-{number}");
    let body = match number % 24 {
        3 => SetCreditLimit::new(owner.clone(), Amount::from_units(i64::from(number)).unwrap(), "ops", "load").unwrap().into(),
        8 => SetMember::new("load", &user, Role::Member, "ops").unwrap().into(),
        13 => Block::new(BlockTarget::User(user.parse().unwrap()), "ops", "load").unwrap().into(),
        18 => SetLowBalance::new(owner.clone(), None, "ops").unwrap().into(),
        23 => EraseText::new(owner.clone(), "ops", "load").unwrap().into(),
        _ => return None,
    };
    Some(body)
}

/// The command under a key that [`command`] gave out.
#[must_use]
pub fn command_of(key: &str) -> Command {
    let mut parts = key.rsplitn(3, '-');
    let number = parts.next().unwrap().parse().unwrap();
    let thread = parts.next().unwrap().parse().unwrap();
    command(parts.next().unwrap(), thread, number)
}

/// Verifies all books.
pub fn assert_clean(engine: &Engine) {
    let report = engine.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.faults);
    assert!(report.entries > 0);
}
