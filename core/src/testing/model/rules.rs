//! What each command of the model does: one function a command.

use super::{DAY, DEBT, Effects, Freeze, Lines, Lot, MICROS, Model, Use};
use crate::Timestamp;
use crate::command::{
    AmendGrant, CaptureHold, Charge, ExtendHold, GrantCredit, ImportBalance, PlaceHold, Refund, RefundOf, ReleaseHold,
};
use crate::credit::{ExpiredRefund, GrantType, HoldState, LateCommit, OverCapture, Scope};
use crate::credit::{MAX_DRAW_GRANTS, MAX_OPEN_GRANTS, MAX_OPEN_HOLDS, MAX_TASK_CHARGES};
use crate::denial::DenialKind::{self, *};
use crate::id::{AppId, AuditId, PriceBasis, TaskId, TemplateId, TenantId};
use crate::task::TaskStatus;

impl Model {
    // ---- grants ----

    pub(super) fn grant(&mut self, purse: usize, now: i64, ask: &GrantCredit) -> Result<Effects, DenialKind> {
        let from = ask.effective_at.map_or(now, Timestamp::micros);
        let until = ask.expires_at.map(Timestamp::micros);
        if until.is_some_and(|until| until <= now || until <= from) {
            return Err(PayloadInvalid);
        }
        let amount = ask.amount.micros();
        self.add_lot(purse, now, ask.grant_type, ask.scope.clone(), ask.priority, (from, until), amount)?;
        let change = if from > now { 0 } else { amount };
        self.purses[purse].came += change;
        Ok(Effects { change: Some(change), expires_at: until, ..Effects::default() })
    }

    pub(super) fn import(&mut self, purse: usize, now: i64, ask: &ImportBalance) -> Result<Effects, DenialKind> {
        let (until, amount) = (ask.expires_at.map(Timestamp::micros), ask.balance.micros());
        if until.is_some_and(|until| until <= now) {
            return Err(PayloadInvalid);
        }
        if amount > 0 {
            self.add_lot(purse, now, GrantType::Import, Scope::default(), 0, (now, until), amount)?;
        }
        self.purses[purse].came += amount;
        Ok(Effects { change: Some(amount), ..Effects::default() })
    }

    #[expect(clippy::too_many_arguments, reason = "what a lot is made of")]
    fn add_lot(
        &mut self,
        purse: usize,
        now: i64,
        grant_type: GrantType,
        scope: Scope,
        priority: i32,
        (from, until): (i64, Option<i64>),
        left: i64,
    ) -> Result<(), DenialKind> {
        if self.open_lots(purse) >= MAX_OPEN_GRANTS {
            return Err(CapacityExceeded);
        }
        let pending = from > now;
        let (held, voided, id, period, kept) = (0, false, None, None, true);
        self.lots.push(Lot { purse, grant_type, scope, priority, from, until, left, held, pending, voided, id, period, kept });
        if !pending {
            self.repay(self.lots.len() - 1);
        }
        Ok(())
    }

    /// What is granted pays first what is owed.
    pub(super) fn repay(&mut self, lot: usize) {
        let lot = &mut self.lots[lot];
        let repaid = lot.left.min(self.purses[lot.purse].owed);
        lot.left -= repaid;
        self.purses[lot.purse].owed -= repaid;
    }

    /// How many grants are open.
    pub(super) fn open_lots(&self, purse: usize) -> usize {
        let open = |lot: &&Lot| lot.purse == purse && (lot.pending || lot.left > 0 || lot.held > 0);
        self.lots.iter().filter(open).count()
    }

    pub(super) fn void(&mut self, lot: usize, now: i64) -> Result<Effects, DenialKind> {
        let lot = &mut self.lots[lot];
        if lot.voided || lot.ended(now) {
            return Err(PayloadInvalid);
        }
        let left = std::mem::take(&mut lot.left);
        let forfeited = if lot.pending { 0 } else { left };
        (lot.voided, lot.pending) = (true, false);
        self.purses[lot.purse].gone += forfeited;
        Ok(Effects { forfeited: Some(forfeited), ..Effects::default() })
    }

    pub(super) fn amend(&mut self, lot: usize, now: i64, ask: &AmendGrant) -> Result<Effects, DenialKind> {
        let crowded = self.lots[lot].period.is_some() && self.open_lots(self.lots[lot].purse) > MAX_OPEN_GRANTS;
        let lot = &mut self.lots[lot];
        let later = lot.until.is_some_and(|until| until < ask.expires_at.micros());
        if lot.voided || lot.ended(now) || !later {
            return Err(PayloadInvalid);
        }
        if crowded {
            return Err(CapacityExceeded);
        }
        lot.until = Some(ask.expires_at.micros());
        Ok(Effects { expires_at: lot.until, ..Effects::default() })
    }

    pub(super) fn adjust(&mut self, purse: usize, now: i64, amount: i64) -> Result<Effects, DenialKind> {
        if amount > 0 {
            self.add_lot(purse, now, GrantType::Adjustment, Scope::default(), 0, (now, None), amount)?;
            self.purses[purse].came += amount;
            return Ok(Effects { change: Some(amount), ..Effects::default() });
        }
        let (available, _) = self.sums(purse);
        let (draw, missing) = self.draw_lots(purse, now, -amount, None, None)?;
        if missing > 0 || -amount > available {
            return Err(InsufficientBalance);
        }
        self.purses[purse].gone -= amount;
        Ok(Effects { change: Some(amount), draw: Some(draw), ..Effects::default() })
    }

    /// Takes an amount out of the lots that can pay for it, and what they lack out of the credit limit. The caller says whether
    /// it is owed or promised from now on.
    fn draw(
        &mut self,
        purse: usize,
        now: i64,
        amount: i64,
        app: Option<&AppId>,
        template: Option<&TemplateId>,
    ) -> Result<Lines, DenialKind> {
        let (available, _) = self.sums(purse);
        let (mut lines, missing) = self.draw_lots(purse, now, amount, app, template)?;
        let purse = &self.purses[purse];
        if amount > 0 && available - amount < -purse.limit {
            return Err(InsufficientBalance);
        }
        if missing > 0 {
            lines.push((DEBT, missing));
        }
        if missing > 0 && purse.owed + purse.promised + missing > purse.limit { Err(InsufficientBalance) } else { Ok(lines) }
    }

    /// Takes an amount out of the lots that can pay for it, in the one order of consumption; answers what they lack.
    fn draw_lots(
        &mut self,
        purse: usize,
        now: i64,
        amount: i64,
        app: Option<&AppId>,
        template: Option<&TemplateId>,
    ) -> Result<(Lines, i64), DenialKind> {
        let admits = |scope: &Scope| {
            (scope.app_id.is_none() || scope.app_id.as_ref() == app)
                && (scope.template_id.is_none() || scope.template_id.as_ref() == template)
        };
        let can_pay = |lot: &Lot| lot.purse == purse && lot.left > 0 && lot.from <= now && !lot.ended(now) && !lot.voided;
        let mut able: Vec<usize> =
            (0..self.lots.len()).filter(|n| can_pay(&self.lots[*n]) && admits(&self.lots[*n].scope)).collect();
        let listed = Vec::from(self.policies.of(&self.purses[purse].key.tenant_id).consumption_order.clone());
        able.sort_by_key(|n| {
            let lot = &self.lots[*n];
            let place = listed.iter().position(|listed| *listed == lot.grant_type);
            let place = place.unwrap_or(listed.len() + lot.grant_type as usize);
            (place, lot.priority, lot.scope == Scope::default(), lot.until.unwrap_or(i64::MAX), lot.from, lot.id)
        });
        let (mut lines, mut wanted) = (Lines::new(), amount);
        for n in able {
            let part = wanted.min(self.lots[n].left);
            if part > 0 {
                lines.push((n, part));
                self.lots[n].left -= part;
                self.lots[n].kept = true;
                wanted -= part;
            }
        }
        if lines.len() > MAX_DRAW_GRANTS { Err(CapacityExceeded) } else { Ok((lines, wanted)) }
    }

    // ---- holds ----

    pub(super) fn hold(&mut self, purse: usize, now: i64, ask: &PlaceHold) -> Result<Effects, DenialKind> {
        let tenant = &self.purses[purse].key.tenant_id;
        let blocks = |freeze: &Freeze| {
            ask.task_id.is_some()
                && freeze.ask.task_id == ask.task_id
                && self.purses[freeze.purse].key.tenant_id == *tenant
                && matches!(freeze.state_at(now), HoldState::Frozen | HoldState::Committed)
        };
        if self.freezes.iter().any(blocks) {
            return Err(PreDeductAlreadyProcessed);
        }
        if let Some(id) = ask.audit_id {
            self.is_as_quoted(purse, now, id, ask.amount.micros(), (&ask.template_id, &ask.app_id, &ask.price_basis))?;
        }
        let permit = self.permit_for(purse, ask.template_id.as_ref(), ask.user_id.as_ref(), now, AuthorizationNotFound)?;
        let (user, app, amount) = (ask.user_id.as_ref(), ask.app_id.as_ref(), ask.amount.micros());
        let told = self.may_risk(purse, user, app, amount, now)?;
        let open = |freeze: &&Freeze| freeze.purse == purse && freeze.state == HoldState::Frozen;
        if self.freezes.iter().filter(open).count() >= MAX_OPEN_HOLDS {
            return Err(CapacityExceeded);
        }
        let lines = self.draw(purse, now, ask.amount.micros(), ask.app_id.as_ref(), ask.template_id.as_ref())?;
        self.freeze(purse, &lines);
        let until = now + i64::from(ask.expire_in) * MICROS;
        let (state, draw) = (HoldState::Frozen, Some(lines.clone()));
        let (made_at, captured, id, seq) = (now, 0, None, 0);
        let permitted = self.who(purse, ask.user_id.as_ref());
        let (ask, acted) = (ask.clone(), ask.user_id.is_some());
        self.freezes.push(Freeze {
            purse,
            ask: ask.clone(),
            made_at,
            until,
            state,
            lines,
            captured,
            permit,
            permitted,
            acted,
            id,
            seq,
        });
        self.note_deed(self.freezes.len() - 1, TaskStatus::Accepted, -ask.amount.micros(), now);
        self.touch(permit, now);
        let freeze = Some(self.freezes.len() - 1);
        self.use_up(purse, user, freeze, now, amount);
        self.spend(purse, user, app, freeze, now, (amount, 1), told);
        let quota = self.quota(permit, purse, ask.user_id.as_ref(), now);
        Ok(Effects { draw, quota, told, expires_at: Some(until), ..Effects::default() })
    }

    fn freeze(&mut self, purse: usize, lines: &Lines) {
        for (lot, part) in lines {
            match *lot {
                DEBT => self.purses[purse].promised += part,
                lot => self.lots[lot].held += part,
            }
        }
    }

    pub(super) fn extend(&mut self, freeze: usize, now: i64, ask: &ExtendHold) -> Result<Effects, DenialKind> {
        let freeze = &mut self.freezes[freeze];
        if freeze.state != HoldState::Frozen {
            return Err(PreDeductAlreadyProcessed);
        }
        let until = now + i64::from(ask.expire_in) * MICROS;
        if until <= freeze.until || until > freeze.made_at + 30 * DAY {
            return Err(PayloadInvalid);
        }
        freeze.until = until;
        Ok(Effects { expires_at: Some(until), ..Effects::default() })
    }

    pub(super) fn capture(&mut self, freeze: usize, now: i64, ask: &CaptureHold) -> Result<Effects, DenialKind> {
        let Freeze { purse, ask: held, state, mut lines, captured, until, .. } = self.freezes[freeze].clone();
        let late = state == HoldState::Expired && held.late_commit == LateCommit::Draw;
        if state != HoldState::Frozen && !late {
            return Err(PreDeductAlreadyProcessed);
        }
        let differs = ask.task_id.is_some() && ask.task_id != held.task_id
            || ask.template_id.is_some() && ask.template_id != held.template_id
            || ask.user_id.is_some() && ask.user_id != held.user_id;
        if differs {
            return Err(PayloadInvalid);
        }
        let cost = ask.actual_cost.micros();
        let excess = (cost - total(&lines)).max(0);
        if excess > 0 && !late && held.over_capture == OverCapture::Reject {
            return Err(HoldExceeded);
        }
        let tenant = self.purses[purse].key.tenant_id.clone();
        self.count_use(&tenant, held.task_id.as_ref())?;
        // What would be owed is paid by the lots that can by now.
        let granted: i64 = lines.iter().filter(|line| line.0 != DEBT).map(|line| line.1).sum();
        let would_be_owed = (cost - granted).clamp(0, total(&lines) - granted);
        let (instead, _) = self.draw_lots(purse, now, would_be_owed, held.app_id.as_ref(), held.template_id.as_ref())?;
        self.purses[purse].promised -= total(&instead);
        if let Some(debt) = lines.last_mut().filter(|line| line.0 == DEBT) {
            debt.1 -= total(&instead);
        }
        let fresh = self.draw(purse, now, excess, held.app_id.as_ref(), held.template_id.as_ref())?;
        let fresh: Lines = instead.into_iter().chain(fresh).collect();
        self.freeze(purse, &fresh);
        lines = joined(lines, fresh);
        let taken = take(&mut lines, cost);
        for (lot, part) in &taken {
            match *lot {
                DEBT => {
                    (self.purses[purse].promised, self.purses[purse].owed) =
                        (self.purses[purse].promised - part, self.purses[purse].owed + part)
                }
                lot => self.lots[lot].held -= part,
            }
        }
        self.purses[purse].gone += cost;
        self.use_up(purse, held.user_id.as_ref(), None, now, excess);
        // A late commit is work anew, unless a part was captured before.
        let anew = i64::from(late && self.freezes[freeze].captured == 0 && (cost > 0 || ask.last));
        if let (Some(user), true) = (self.freezes[freeze].clone().known_user(), excess > 0 || anew > 0) {
            self.spend(purse, user, held.app_id.as_ref(), None, now, (excess, anew), false);
        }
        if ask.last {
            self.unuse(freeze, total(&lines));
            self.unspend(freeze, total(&lines), false);
            self.note_deed(freeze, TaskStatus::Completed, total(&lines) - excess, now);
        }
        let came_back = if ask.last { self.unfreeze(purse, &std::mem::take(&mut lines), now) } else { 0 };
        let status = if ask.last { HoldState::Committed } else { state };
        let (held_now, captured) = (total(&lines), captured + cost);
        // A late commit is a use anew, of whoever is known by now.
        let permitted = self.who(purse, held.user_id.as_ref());
        let freeze = &mut self.freezes[freeze];
        if late && freeze.captured == 0 {
            freeze.permitted = permitted;
        }
        (freeze.state, freeze.lines, freeze.captured) = (status, lines, captured);
        let permit = freeze.permit;
        let quota = self.quota(permit, purse, held.user_id.as_ref(), now);
        self.uses.push(Use { purse, task_id: held.task_id, at: now, lines: taken.clone(), id: None });
        Ok(Effects {
            change: Some(came_back - excess),
            draw: Some(taken),
            captured: Some(cost),
            captured_total: Some(captured),
            held: Some(held_now),
            status: Some(status),
            expires_at: Some(until),
            quota,
            ..Effects::default()
        })
    }

    pub(super) fn release(&mut self, freeze: usize, now: i64, ask: &ReleaseHold) -> Result<Effects, DenialKind> {
        let Freeze { purse, ask: held, state, mut lines, .. } = self.freezes[freeze].clone();
        if state != HoldState::Frozen {
            return Err(PreDeductAlreadyProcessed);
        }
        if ask.task_id.is_some() && ask.task_id != held.task_id || ask.user_id.is_some() && ask.user_id != held.user_id {
            return Err(PayloadInvalid);
        }
        let amount = ask.amount.map_or(total(&lines), |amount| amount.micros());
        if amount > total(&lines) {
            return Err(AmountInvalid);
        }
        lines.reverse();
        let released = take(&mut lines, amount);
        lines.reverse();
        let change = self.unfreeze_in_order(purse, &released, now);
        let status = if ask.amount.is_some() { HoldState::Frozen } else { HoldState::Cancelled };
        let held_now = total(&lines);
        self.unuse(freeze, amount);
        self.unspend(freeze, amount, status == HoldState::Cancelled);
        if status == HoldState::Cancelled {
            self.note_deed(freeze, TaskStatus::Failed, amount, now);
        }
        (self.freezes[freeze].state, self.freezes[freeze].lines) = (status, lines);
        let (released, held, change) = (Some(amount), Some(held_now), Some(change));
        Ok(Effects { released, held, change, status: Some(status), ..Effects::default() })
    }

    /// Gives frozen parts back, the last drawn first; answers how much of it can be drawn again.
    pub(super) fn unfreeze(&mut self, purse: usize, lines: &Lines, at: i64) -> i64 {
        self.unfreeze_in_order(purse, &lines.iter().rev().copied().collect(), at)
    }

    fn unfreeze_in_order(&mut self, purse: usize, lines: &Lines, at: i64) -> i64 {
        lines
            .iter()
            .map(|(lot, part)| {
                if *lot == DEBT {
                    self.purses[purse].promised -= part;
                    return *part;
                }
                self.lots[*lot].held -= part;
                self.give_back(*lot, *part, at)
            })
            .sum()
    }

    /// What comes back to a grant that has ended is lost at once; answers what is not.
    fn give_back(&mut self, lot: usize, part: i64, at: i64) -> i64 {
        let goes_on = self.goes_on(lot);
        let lot = &mut self.lots[lot];
        if lot.voided || lot.ended(at) && !goes_on {
            self.purses[lot.purse].gone += part;
            return 0;
        }
        lot.left += part;
        part
    }

    // ---- charges and refunds ----

    pub(super) fn charge(&mut self, purse: usize, now: i64, ask: &Charge) -> Result<Effects, DenialKind> {
        let tenant = self.purses[purse].key.tenant_id.clone();
        let (user, app) = (ask.user_id.as_ref(), ask.app_id.as_ref());
        if let Some(id) = ask.audit_id {
            self.is_as_quoted(purse, now, id, ask.amount.micros(), (&ask.template_id, &ask.app_id, &ask.price_basis))?;
        }
        let permit = self.permit_for(purse, ask.template_id.as_ref(), user, now, AuthorizationMissing)?;
        let told = self.may_risk(purse, user, app, ask.amount.micros(), now)?;
        self.count_use(&tenant, ask.task_id.as_ref())?;
        let amount = ask.amount.micros();
        let lines = self.draw(purse, now, amount, ask.app_id.as_ref(), ask.template_id.as_ref())?;
        self.purses[purse].gone += amount;
        self.purses[purse].owed += lines.iter().filter(|line| line.0 == DEBT).map(|line| line.1).sum::<i64>();
        self.uses.push(Use { purse, task_id: ask.task_id.clone(), at: now, lines: lines.clone(), id: None });
        self.use_up(purse, ask.user_id.as_ref(), None, now, amount);
        self.charge_permit(permit, purse, user, now);
        self.spend(purse, user, app, None, now, (amount, 1), told);
        self.count_request(purse, user, now);
        Ok(Effects { change: Some(-amount), draw: Some(lines), told, ..Effects::default() })
    }

    /// What is named is a quote of this very work, and young enough.
    fn is_as_quoted(
        &self,
        purse: usize,
        now: i64,
        id: AuditId,
        amount: i64,
        (template, app, basis): (&Option<TemplateId>, &Option<AppId>, &Option<PriceBasis>),
    ) -> Result<(), DenialKind> {
        let key = &self.purses[purse].key;
        let known = self.quotes.iter().find(|(known, quote)| *known == id && quote.account.tenant_id == key.tenant_id);
        let Some((_, quote)) = known else { return Err(PayloadInvalid) };
        let validity = i64::from(self.policies.of(&key.tenant_id).quote_validity_seconds) * MICROS;
        let is_same = *quote.account == *key
            && quote.selected_cost.micros() == amount
            && (template.is_none() || quote.template_id.is_none() || *template == quote.template_id)
            && (app.is_none() || quote.app_id.is_none() || *app == quote.app_id)
            && basis.as_ref().is_none_or(|basis| *basis == quote.price_basis);
        if is_same && now - quote.created_at.micros() < validity { Ok(()) } else { Err(PayloadInvalid) }
    }

    /// A task has at most so many charges and captures.
    fn count_use(&self, tenant: &TenantId, task: Option<&TaskId>) -> Result<(), DenialKind> {
        let same =
            |used: &&Use| task.is_some() && used.task_id.as_ref() == task && self.purses[used.purse].key.tenant_id == *tenant;
        if self.uses.iter().filter(same).count() >= MAX_TASK_CHARGES { Err(CapacityExceeded) } else { Ok(()) }
    }

    pub(super) fn refund(&mut self, purse: usize, now: i64, ask: &Refund, keyed: bool) -> Result<Effects, DenialKind> {
        let policy = self.policies.of(&self.purses[purse].key.tenant_id).clone();
        let named = |used: &Use| match &ask.of {
            RefundOf::TaskId(task) => used.task_id.as_ref() == Some(task),
            RefundOf::LedgerId(id) => used.id == Some(*id),
        };
        let mut of: Vec<usize> = (0..self.uses.len()).filter(|n| self.uses[*n].purse == purse && named(&self.uses[*n])).collect();
        of.reverse();
        // Of several charges those that are too old are left out.
        of.retain(|n| policy.refund_window_days.is_none_or(|days| now < self.uses[*n].at + i64::from(days) * DAY));
        let barred = policy.refund_operators.as_ref().is_some_and(|allowed| !allowed.contains(&ask.operator));
        if of.is_empty() || barred {
            return Err(RefundNotAllowed);
        }
        let rest: i64 = of.iter().map(|n| total(&self.uses[*n].lines)).sum();
        let amount = ask.amount.map_or(rest, |amount| amount.micros());
        match () {
            () if ask.amount.is_some() && amount <= 0 => return Err(InvalidRefundAmount),
            () if amount < rest && !keyed => return Err(PayloadInvalid),
            () if rest == 0 => return Err(RefundDuplicate),
            () if amount > rest => return Err(InvalidRefundAmount),
            () => self.purses[purse].gone -= amount,
        }
        let (mut wanted, mut by_lot) = (amount, Lines::new());
        for n in of {
            self.uses[n].lines.reverse();
            let restored = take(&mut self.uses[n].lines, wanted);
            self.uses[n].lines.reverse();
            wanted -= total(&restored);
            for (lot, part) in restored {
                match by_lot.iter_mut().find(|line| line.0 == lot) {
                    Some(line) => line.1 += part,
                    None => by_lot.push((lot, part)),
                }
            }
        }
        // What is owed is owed no more; what was repaid since comes back as credit.
        let debt = by_lot.iter().find(|line| line.0 == DEBT).map_or(0, |line| line.1);
        let mut change = debt.min(self.purses[purse].owed);
        self.purses[purse].owed -= change;
        let repaid = debt - change;
        for (lot, part) in by_lot.into_iter().filter(|line| line.0 != DEBT) {
            change += self.restore(lot, part, now, policy.expired_refund, i64::from(policy.grace_days))?;
        }
        if repaid > 0 {
            self.add_lot(purse, now, GrantType::Refund, Scope::default(), 0, (now, None), repaid)?;
            change += repaid;
        }
        let (refunded, forfeited) = (Some(amount), Some(amount - change));
        Ok(Effects { change: Some(change), refunded, forfeited, ..Effects::default() })
    }

    /// Gives consumed credit back to its grant, or to a new one of its kind where it has ended.
    fn restore(&mut self, lot: usize, part: i64, now: i64, ended: ExpiredRefund, grace: i64) -> Result<i64, DenialKind> {
        let Lot { purse, grant_type, scope, priority, voided, .. } = self.lots[lot].clone();
        if !(voided || self.lots[lot].ended(now)) || ended == ExpiredRefund::Forfeit {
            return Ok(self.give_back(lot, part, now));
        }
        self.add_lot(purse, now, grant_type, scope, priority, (now, Some(now + grace * DAY)), part)?;
        Ok(part)
    }
}

fn total(lines: &Lines) -> i64 {
    lines.iter().map(|(_, part)| part).sum()
}

/// One after the other; the credit limit stays last, and what is of one lot in a row becomes one.
fn joined(lines: Lines, more: Lines) -> Lines {
    let (debts, lots): (Lines, Lines) = lines.into_iter().chain(more).partition(|line| line.0 == DEBT);
    let mut joined = Lines::new();
    for line in lots.into_iter().chain(debts).filter(|line| line.1 > 0) {
        match joined.last_mut() {
            Some(last) if last.0 == line.0 => last.1 += line.1,
            _ => joined.push(line),
        }
    }
    joined
}

/// Takes an amount from the first lines on.
fn take(lines: &mut Lines, amount: i64) -> Lines {
    let (mut taken, mut wanted) = (Lines::new(), amount);
    for line in lines.iter_mut() {
        let part = wanted.min(line.1);
        if part > 0 {
            taken.push((line.0, part));
            line.1 -= part;
            wanted -= part;
        }
    }
    lines.retain(|line| line.1 > 0);
    taken
}
