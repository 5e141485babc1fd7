//! Who may spend an organization's credit, and how much of it.

use std::collections::BTreeMap;

use super::member::Member;
use super::rule::Zone;
use crate::amount::Amount;
use crate::command::{AnswerRest, RemoveMember, SetMember, shared_metadata};
use crate::credit::Hold;
use crate::decide::{Booking, Case};
use crate::denial::{Denial, DenialKind};
use crate::facts::Facts;
use crate::id::UserId;
use crate::ledger::EntryText;
use crate::ledger::posting::Stop;
use crate::owner::{AccountKey, MemberKey, Owner, Subject};
use crate::time::Timestamp;

pub(crate) fn set<'a>(case: &Case<'a>, command: &SetMember) -> Result<Booking<'a>, Stop> {
    let key = MemberKey::new(case.tenant_id().clone(), command.organization_id.clone(), command.user_id.clone());
    let before = case.facts.members.get(&key);
    let limit_unit = command.limit.as_ref().map(|limit| limit.unit.as_ref().unwrap_or(&case.policy.unit));
    let mut member = before
        .cloned()
        .unwrap_or_else(|| Member::new(limit_unit.unwrap_or(&case.policy.unit).clone(), case.policy.zone, case.now()));
    if let Some(unit) = limit_unit {
        member.count_in(unit.clone(), case.now());
    }
    member.role = Some(command.role);
    member.limit = command.limit.as_ref().map(|limit| (limit.amount, limit.per));
    let membership = member.membership(&command.user_id);
    let changed = before.and_then(|before| before.membership(&command.user_id)) != membership;
    let note = EntryText {
        user_id: Some(command.user_id.clone()),
        operator: Some(command.operator.clone()),
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let answer = AnswerRest { changed: Some(changed), note: Some(note), member: membership, ..AnswerRest::default() };
    Ok(written(case, key, member, answer))
}

pub(crate) fn remove<'a>(case: &Case<'a>, command: &RemoveMember) -> Result<Booking<'a>, Stop> {
    let key = MemberKey::new(case.tenant_id().clone(), command.organization_id.clone(), command.user_id.clone());
    let mut member = present(case.facts, &key)?.clone();
    let membership = member.membership(&command.user_id);
    (member.role, member.limit) = (None, None);
    let note = EntryText {
        user_id: Some(command.user_id.clone()),
        operator: Some(command.operator.clone()),
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let answer = AnswerRest { changed: Some(true), note: Some(note), member: membership, ..AnswerRest::default() };
    Ok(written(case, key, member, answer))
}

fn written<'a>(case: &Case<'a>, key: MemberKey, member: Member, answer: AnswerRest) -> Booking<'a> {
    let subject = Subject::Organization(key.organization_id.clone());
    let members = vec![(key, Member { last_at: case.now(), ..member })];
    Booking { members, answer: Some(answer), ..Booking::about(subject) }
}

/// The member who would spend from an organization's account; none for an account of another kind.
///
/// # Errors
/// `payload_invalid` when no user acts; `not_a_member`.
pub(super) fn spender(case: &Case<'_>, account: &AccountKey, user_id: Option<&UserId>) -> Result<Option<MemberKey>, Denial> {
    let Owner::Organization(organization_id) = &account.owner else { return Ok(None) };
    let Some(user_id) = user_id else { return Err(nobody_acts()) };
    let key = MemberKey::new(account.tenant_id.clone(), organization_id.clone(), user_id.clone());
    present(case.facts, &key).map(|_| Some(key))
}

/// The denial of a command that spends an organization's credit and names nobody who acts.
pub(crate) fn nobody_acts() -> Denial {
    Denial::new(DenialKind::PayloadInvalid, "an organization's credit is spent by one of its members, and no user is named")
        .with("field", "user_id")
        .with("given", serde_json::Value::Null)
        .with("allowed", "a member of the organization")
}

/// The row of one who is a member now.
pub(crate) fn present<'a>(facts: &'a Facts, key: &MemberKey) -> Result<&'a Member, Denial> {
    facts.members.get(key).filter(|member| member.role.is_some()).ok_or_else(|| {
        Denial::new(DenialKind::NotAMember, format!("the user `{}` is no member of `{}`", key.user_id, key.organization_id))
            .with("user_id", key.user_id.as_str())
            .with("organization_id", key.organization_id.as_str())
    })
}

/// What members have used, while a command is booked in an account of their organization.
#[derive(Default)]
pub(crate) struct MemberUses<'a> {
    /// Where the rows stand, and by whose days they are counted; none while an account is only read.
    known: Option<(&'a Facts, Zone)>,
    changed: BTreeMap<MemberKey, Member>,
}

impl<'a> MemberUses<'a> {
    /// What these facts know.
    pub(crate) fn of(facts: &'a Facts, zone: Zone) -> MemberUses<'a> {
        MemberUses { known: Some((facts, zone)), changed: BTreeMap::new() }
    }

    /// A member as it stands now.
    pub(crate) fn member(&self, key: &MemberKey) -> Option<&Member> {
        self.changed.get(key).or_else(|| self.known.and_then(|(facts, _)| facts.members.get(key)))
    }

    /// Denies an amount that goes beyond the member's limit; exactly up to it is allowed, and so is work that costs nothing.
    pub(super) fn refuse_excess(
        &self,
        key: &MemberKey,
        account: &AccountKey,
        amount: Amount,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let Some((member, (_, zone))) = self.member(key).zip(self.known) else { return Ok(()) };
        let Some((limit, per)) = member.limit.filter(|_| member.unit == account.unit) else { return Ok(()) };
        let used = member.used(per, zone, now);
        if amount.is_zero() || used.checked_add(amount).is_some_and(|total| total <= limit) {
            return Ok(());
        }
        let denial = Denial::new(
            DenialKind::MemberLimitExceeded,
            format!("`{amount}` is needed, and of the limit of `{limit}` a {per} `{used}` is used"),
        )
        .with("needed", amount.to_string())
        .with("used", used.to_string())
        .with("limit", limit.to_string())
        .with("unit", member.unit.as_str())
        .with("per", per.as_str())
        .with("user_id", key.user_id.as_str());
        Err(if amount > limit { denial.for_good() } else { denial.retry_at(per.around(zone, now).1) })
    }

    /// Counts a charge.
    pub(crate) fn count(&mut self, account: &AccountKey, user_id: Option<&UserId>, amount: Amount, now: Timestamp) {
        self.change(account, user_id, |member, zone| member.add(amount, zone, now));
    }

    /// Counts what a change of a hold does. A hold counts what it keeps and has captured, when it was made; what a capture takes
    /// beyond it counts when it is captured.
    pub(crate) fn recount(&mut self, account: &AccountKey, before: Option<Amount>, hold: &Hold, now: Timestamp) {
        let (before, after) = (before.unwrap_or_default(), counted(hold));
        match after.checked_sub(before) {
            Some(more) if more.is_positive() => {
                self.change(account, hold.terms.user_id.as_ref(), |member, zone| member.add(more, zone, now));
            }
            Some(less) if less.is_negative() => self.change(account, hold.terms.user_id.as_ref(), |member, zone| {
                let back = before.checked_sub(after).unwrap_or_default();
                member.give_back(back, hold.terms.created_at, zone, now);
            }),
            _ => {}
        }
    }

    /// The rows that changed.
    pub(crate) fn into_changed(self) -> Vec<(MemberKey, Member)> {
        if self.changed.is_empty() { Vec::new() } else { self.changed.into_iter().collect() }
    }

    fn change(&mut self, account: &AccountKey, user_id: Option<&UserId>, change: impl FnOnce(&mut Member, Zone)) {
        let (Some((_, zone)), Some(key)) = (self.known, user_id.and_then(|user_id| MemberKey::of_account(account, user_id))) else {
            return;
        };
        if let Some(mut member) = self.member(&key).filter(|member| member.unit == account.unit).cloned() {
            change(&mut member, zone);
            self.changed.insert(key, member);
        }
    }
}

/// What a hold counts for: what it keeps, and what it captured.
pub(crate) fn counted(hold: &Hold) -> Amount {
    hold.held().checked_add(hold.captured).unwrap_or(Amount::MAX)
}
