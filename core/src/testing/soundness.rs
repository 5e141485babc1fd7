//! What holds of the books of an account after every operation.

use std::fmt::Debug;

use crate::amount::Amount;
use crate::credit::GrantState;
use crate::store::AccountImage;

/// What came is what is there and what went; the row says what its grants and holds say; nothing is below zero.
///
/// # Errors
/// Says what does not hold.
pub fn check(image: &AccountImage) -> Result<(), String> {
    let (account, grants) = (&image.facts.account, &image.facts.grants);
    let totals = &account.totals;
    let there = [account.available, account.frozen];
    let came = [totals.issued, totals.adjusted_in];
    let went = [totals.consumed, totals.expired, totals.forfeited, totals.adjusted_out];
    same("conservation", sum(came), sum(there.into_iter().chain(went)))?;
    let active = grants.values().filter(|grant| grant.state != GrantState::Pending);
    same("available by grants", sum(active.map(|grant| grant.remaining)), sum([account.available]))?;
    same("frozen by grants", sum(grants.values().map(|grant| grant.held)), sum([account.frozen]))?;
    same("frozen by holds", sum(image.open_holds.iter().map(|hold| hold.held())), sum([account.frozen]))?;
    same("open grants", u32::try_from(grants.len()), Ok(account.open_grants))?;
    same("running rules", u32::try_from(image.facts.rules.len()), Ok(account.standing.rules))?;
    same("open holds", u32::try_from(image.open_holds.len()), Ok(account.open_holds))?;
    let parts = grants.values().flat_map(|grant| [grant.remaining, grant.held]);
    let below_zero = there.into_iter().chain(came).chain(went).chain(parts).filter(|amount| amount.is_negative()).count();
    same("amounts below zero", below_zero, 0)
}

fn sum(amounts: impl IntoIterator<Item = Amount>) -> i128 {
    amounts.into_iter().map(|amount| i128::from(amount.micros())).sum()
}

fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} is not {expected:?}")) }
}
