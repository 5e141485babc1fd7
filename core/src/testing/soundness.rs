//! What holds of the books of an account after every operation.

use std::fmt::Debug;

use crate::amount::Amount;
use crate::credit::GrantState;
use crate::store::AccountImage;

/// What came is what is there and what went; the row says what its grants, holds and debt say; nothing but the balance is below
/// zero, and that by no more than the debt.
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
    let debt = account.standing.debt;
    same("available by grants", sum(active.map(|grant| grant.remaining)), sum([account.available, debt.owed, debt.held]))?;
    same("frozen by grants", sum(grants.values().map(|grant| grant.held).chain([debt.held])), sum([account.frozen]))?;
    let on_credit = image.open_holds.iter().map(|hold| hold.draw.debt());
    same("debt by holds", sum(on_credit), sum([debt.held]))?;
    same("frozen by holds", sum(image.open_holds.iter().map(|hold| hold.held())), sum([account.frozen]))?;
    same("open grants", u32::try_from(grants.len()), Ok(account.open_grants))?;
    same("running rules", u32::try_from(image.facts.rules.len()), Ok(account.standing.rules))?;
    same("open holds", u32::try_from(image.open_holds.len()), Ok(account.open_holds))?;
    let parts = grants.values().flat_map(|grant| [grant.remaining, grant.held]);
    let debts = [account.frozen, account.standing.credit_limit, debt.owed, debt.held];
    let below_zero = debts.into_iter().chain(came).chain(went).chain(parts).filter(|amount| amount.is_negative()).count();
    same("amounts below zero", below_zero, 0)
}

fn sum(amounts: impl IntoIterator<Item = Amount>) -> i128 {
    amounts.into_iter().map(|amount| i128::from(amount.micros())).sum()
}

fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} is not {expected:?}")) }
}
