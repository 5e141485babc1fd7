//! The life of a hold: placed, extended, captured, released.

use std::sync::Arc;

use super::MAX_OPEN_HOLDS;
use super::charge::count_charge;
use super::draw::{draw, draw_at_most};
use super::grants::end_returned;
use super::hold::{Hold, HoldState, HoldTerms, LateCommit, OverCapture};
use super::spending::{self, Opened, Work};
use crate::amount::Amount;
use crate::audit::Quote;
use crate::command::{
    AnswerRest, CaptureHold, CompleteTask, ExtendHold, FailTask, Metadata, PlaceHold, ReleaseHold, paying_account, shared_metadata,
};
use crate::decide::{Booking, Case};
use crate::denial::{Denial, DenialKind};
use crate::facts::Task;
use crate::id::{HoldId, TaskId, TemplateId, UserId};
use crate::ledger::posting::{Line, Posting, Stop};
use crate::ledger::{Draw, EntryKind, EntryText, Terms};
use crate::licence::{self, LicenceKey, Licensed, QuotaSnapshot};
use crate::owner::AccountKey;
use crate::risk::Spender;
use crate::time::Timestamp;

/// The longest that a hold can live, extended: 30 days.
const MAX_LIFE_SECONDS: i64 = 30 * 24 * 3_600;

pub(crate) fn place<'a>(case: &Case<'a>, command: &PlaceHold) -> Result<Booking<'a>, Stop> {
    let (payer, user_id, unit) = (command.payer.as_ref(), command.user_id.as_ref(), command.unit.as_ref());
    let work = Work {
        account: paying_account(case.tenant_id(), case.policy, payer, user_id, unit)?,
        user_id,
        app_id: command.app_id.as_ref(),
        template_id: command.template_id.as_ref(),
        scene: command.scene.as_ref(),
        policy_tag: command.policy_tag.as_ref(),
        amount: command.amount,
        quote: command.audit_id,
        price_basis: command.price_basis.as_ref(),
        free_task: command.task_id.as_ref(),
        without_licence: DenialKind::AuthorizationNotFound,
    };
    let Opened { mut posting, quote, licensed, risk } = spending::open(case, &work)?;
    if usize::try_from(posting.account.open_holds).is_ok_and(|open| open >= MAX_OPEN_HOLDS) {
        return Err(Denial::capacity("open_holds", MAX_OPEN_HOLDS).into());
    }
    let drawn = draw(&posting, case.policy, command.amount, work.app_id, work.template_id)?;
    let id = HoldId::derive(case.op_id, posting.next_ordinal()?);
    let expires_at = after(case.now(), i64::from(command.expire_in));
    let terms = Arc::new(terms_of(command, quote, &licensed, risk.counted_for, case.now()));
    let hold =
        Hold { id, terms: Arc::clone(&terms), state: HoldState::Frozen, expires_at, draw: drawn.clone(), captured: Amount::ZERO };
    let line = Line::new(EntryKind::Hold, drawn, case.now())
        .about_hold(&hold)
        .terms(Terms::Hold { expires_at, terms })
        .text(hold_text(&hold, command.reason.as_ref(), command.metadata.as_ref()));
    posting.put_hold(hold.clone());
    risk.note(&mut posting, case.now());
    posting.post(line)?;
    let quota = quota_of(&posting, &hold);
    let task = command.task_id.as_ref().map(|task_id| {
        let known = case.task(task_id).cloned().unwrap_or_default();
        (task_id.clone(), Task { hold_id: Some(id), last_at: case.now(), ..known })
    });
    let answer = quota.map(|quota| AnswerRest { quota: Some(quota), ..AnswerRest::default() });
    let alerts = risk.alert.into_iter().collect();
    Ok(Booking { task, policy_tag: licensed.policy_tag, answer, alerts, ..Booking::of(posting) })
}

pub(crate) fn extend<'a>(case: &Case<'a>, command: &ExtendHold) -> Result<Booking<'a>, Stop> {
    let (mut posting, mut hold) = open_hold(case, command.hold_id)?;
    refuse_ended(&hold, case.now())?;
    let expires_at = after(case.now(), i64::from(command.expire_in));
    let latest = after(hold.terms.created_at, MAX_LIFE_SECONDS);
    if expires_at <= hold.expires_at || expires_at > latest {
        let allowed = format!("seconds that lead past the present expiry {} and not past {latest}", hold.expires_at);
        return Err(Denial::invalid("expire_in", command.expire_in, &allowed).into());
    }
    hold.expires_at = expires_at;
    let line = Line::new(EntryKind::Extend, Draw::default(), case.now())
        .about_hold(&hold)
        .terms(Terms::Expiry { expires_at })
        .text(hold_text(&hold, command.reason.as_ref(), command.metadata.as_ref()));
    let booking = (touched_task(case, &hold), hold.terms.policy_tag.clone());
    posting.put_hold(hold);
    posting.post(line)?;
    Ok(Booking { task: booking.0, policy_tag: booking.1, ..Booking::of(posting) })
}

pub(crate) fn capture<'a>(case: &Case<'a>, command: &CaptureHold) -> Result<Booking<'a>, Stop> {
    let (mut posting, mut hold) = open_hold(case, command.hold_id)?;
    let late = hold.state == HoldState::Expired && hold.terms.late_commit == LateCommit::Draw;
    if !late {
        refuse_ended(&hold, case.now())?;
    }
    refuse_mismatch(&hold, command.task_id.as_ref(), command.template_id.as_ref(), command.user_id.as_ref())?;
    refuse_excess(&hold, command.actual_cost, late)?;
    let mut task = hold.terms.task_id.as_ref().map(|task_id| count_charge(case, task_id)).transpose()?;
    redraw_debt(case, &mut posting, &mut hold, command.actual_cost)?;
    draw_excess(case, &mut posting, &mut hold, command.actual_cost)?;
    let captured = hold.draw.take_first(command.actual_cost);
    let total = hold.captured.checked_add(command.actual_cost);
    hold.captured = total.ok_or_else(|| Denial::amount("actual_cost", command.actual_cost, "an amount that fits the total"))?;
    let rest = if command.last { hold.draw.clone().take_last(hold.held()) } else { Draw::default() };
    if command.last {
        hold.draw = Draw::default();
        hold.state = HoldState::Committed;
        // A late commit makes an earlier hold of the task the one that blocks it, for good.
        if let Some((_, task)) = &mut task {
            task.hold_id = Some(hold.id);
        }
    }
    let text = hold_text(&hold, command.reason.as_ref(), command.metadata.as_ref());
    let bare = EntryText { metadata: None, ..text.clone() };
    let state = Terms::HoldState { state: hold.state };
    posting.put_hold(hold.clone());
    posting.post(Line::new(EntryKind::Capture, captured, case.now()).about_hold(&hold).terms(state).text(text))?;
    if !rest.is_empty() {
        posting.post(Line::new(EntryKind::Release, rest.clone(), case.now()).about_hold(&hold).text(bare))?;
        end_returned(&mut posting, &rest)?;
    }
    let answer = AnswerRest { quota: quota_of(&posting, &hold), ..answer_of(&hold) };
    Ok(Booking { task, policy_tag: hold.terms.policy_tag.clone(), answer: Some(answer), ..Booking::of(posting) })
}

pub(crate) fn release<'a>(case: &Case<'a>, command: &ReleaseHold) -> Result<Booking<'a>, Stop> {
    let (mut posting, mut hold) = open_hold(case, command.hold_id)?;
    refuse_ended(&hold, case.now())?;
    refuse_mismatch(&hold, command.task_id.as_ref(), None, command.user_id.as_ref())?;
    let held = hold.held();
    let amount = command.amount.unwrap_or(held);
    if amount > held {
        return Err(Denial::amount("amount", amount, &format!("at most the {held} that are held")).into());
    }
    let returned = hold.draw.take_last(amount);
    if command.amount.is_none() {
        hold.state = HoldState::Cancelled;
    }
    let text = hold_text(&hold, command.reason.as_ref(), command.metadata.as_ref());
    let state = Terms::HoldState { state: hold.state };
    posting.put_hold(hold.clone());
    posting.post(Line::new(EntryKind::Release, returned.clone(), case.now()).about_hold(&hold).terms(state).text(text))?;
    end_returned(&mut posting, &returned)?;
    let task = touched_task(case, &hold);
    Ok(Booking { task, policy_tag: hold.terms.policy_tag.clone(), answer: Some(answer_of(&hold)), ..Booking::of(posting) })
}

/// Captures the hold of a task for the last time.
pub(crate) fn complete<'a>(case: &Case<'a>, command: &CompleteTask) -> Result<Booking<'a>, Stop> {
    let (_, hold) = of_task(case, &command.task_id)?;
    let is_late = hold.state_at(case.now()) == HoldState::Expired && hold.terms.late_commit == LateCommit::Draw;
    if command.actual_cost.is_none() && is_late {
        return Err(Denial::new(DenialKind::PayloadInvalid, format!("the hold `{}` has expired and holds nothing", hold.id))
            .with("field", "actual_cost")
            .with("given", serde_json::Value::Null)
            .with("allowed", "an amount of 0 or more")
            .into());
    }
    let actual_cost = command.actual_cost.unwrap_or_else(|| hold.held());
    let (reason, metadata) = (command.reason.clone(), command.metadata.clone());
    capture(case, &CaptureHold { reason, metadata, ..CaptureHold::new(hold.id, actual_cost) })
}

/// Releases the hold of a task for good.
pub(crate) fn fail<'a>(case: &Case<'a>, command: &FailTask) -> Result<Booking<'a>, Stop> {
    let (_, hold) = of_task(case, &command.task_id)?;
    let (reason, metadata) = (Some(Arc::clone(&command.reason)), command.metadata.clone());
    release(case, &ReleaseHold { reason, metadata, ..ReleaseHold::new(hold.id) })
}

/// The hold that a task names, while it is live.
pub(crate) fn live_of_task<'a>(case: &Case<'a>, task_id: &TaskId) -> Result<&'a (Arc<AccountKey>, Hold), Stop> {
    let found = of_task(case, task_id)?;
    refuse_ended(&found.1, case.now())?;
    Ok(found)
}

/// The hold that a task names. A task that was only ever charged has none.
fn of_task<'a>(case: &Case<'a>, task_id: &TaskId) -> Result<&'a (Arc<AccountKey>, Hold), Stop> {
    let named = case.task(task_id).and_then(|task| task.hold_id);
    let hold_id = named.ok_or_else(|| {
        Denial::new(DenialKind::TaskNotFound, format!("nothing was ever held for a task `{task_id}`"))
            .with("task_id", task_id.as_str())
    })?;
    case.facts
        .holds
        .get(&hold_id)
        .ok_or_else(|| Stop::Contradiction(format!("the hold {hold_id} of the task `{task_id}` has no row")))
}

/// More than the hold has is denied, unless its policy lets the excess be drawn.
fn refuse_excess(hold: &Hold, cost: Amount, late: bool) -> Result<(), Denial> {
    let held = hold.held();
    if cost <= held || late || hold.terms.over_capture == OverCapture::Draw {
        return Ok(());
    }
    Err(Denial::new(DenialKind::HoldExceeded, format!("`{cost}` is to be captured, and the hold has `{held}`"))
        .with("needed", cost.to_string())
        .with("available", held.to_string())
        .tagged(hold.terms.policy_tag.clone()))
}

/// What is captured is owed only if no grant can pay it: what the capture needs of the credit limit comes back, and is drawn
/// from the grants that can pay by now.
fn redraw_debt(case: &Case<'_>, posting: &mut Posting<'_>, hold: &mut Hold, cost: Amount) -> Result<(), Stop> {
    let debt = hold.draw.debt();
    let granted = hold.held().checked_sub(debt).unwrap_or(Amount::ZERO);
    let needed = cost.checked_sub(granted).unwrap_or(Amount::ZERO).min(debt);
    if !needed.is_positive() {
        return Ok(());
    }
    let drawn = draw_at_most(posting, case.policy, needed, hold.terms.app_id.as_ref(), hold.terms.template_id.as_ref());
    if drawn.is_empty() {
        return Ok(());
    }
    let returned = hold.draw.take_last(drawn.total());
    hold.draw.extend(&drawn);
    let text = hold_text(hold, None, None);
    posting.post(Line::new(EntryKind::Release, returned, case.now()).about_hold(hold).text(text.clone()))?;
    posting.post(Line::new(EntryKind::Hold, drawn, case.now()).about_hold(hold).text(text))
}

/// Freezes what the capture needs beyond the hold: then a capture is always out of held credit.
fn draw_excess(case: &Case<'_>, posting: &mut Posting<'_>, hold: &mut Hold, cost: Amount) -> Result<(), Stop> {
    let excess = cost.checked_sub(hold.held()).unwrap_or(Amount::ZERO);
    if !excess.is_positive() {
        return Ok(());
    }
    let drawn = draw(posting, case.policy, excess, hold.terms.app_id.as_ref(), hold.terms.template_id.as_ref())?;
    hold.draw.extend(&drawn);
    posting.post(Line::new(EntryKind::Hold, drawn, case.now()).about_hold(hold).text(hold_text(hold, None, None)))
}

/// The hold that a command names, and its account, settled.
fn open_hold<'a>(case: &Case<'a>, id: HoldId) -> Result<(Box<Posting<'a>>, Hold), Stop> {
    let Some((key, _)) = case.facts.holds.get(&id).filter(|(key, _)| key.tenant_id == *case.tenant_id()) else {
        let denial = Denial::new(DenialKind::PreDeductNotFound, format!("there is no hold `{id}`"));
        return Err(denial.with("pre_deduct_id", id.to_string()).into());
    };
    let posting = case.open(key)?;
    let hold = posting.hold(id).cloned().ok_or_else(|| Stop::Contradiction(format!("the hold {id} has no row")))?;
    Ok((posting, hold))
}

fn refuse_ended(hold: &Hold, now: Timestamp) -> Result<(), Denial> {
    match hold.state_at(now) {
        HoldState::Frozen => Ok(()),
        ended => Err(already_processed(hold.id, ended).tagged(hold.terms.policy_tag.clone())),
    }
}

fn already_processed(id: HoldId, state: HoldState) -> Denial {
    Denial::new(DenialKind::PreDeductAlreadyProcessed, format!("the hold `{id}` is {state}"))
        .with("pre_deduct_id", id.to_string())
        .with("status", state.as_str())
}

/// A task has at most one live or captured hold, whoever pays.
pub(super) fn refuse_busy_task(case: &Case<'_>, task_id: &TaskId) -> Result<(), Denial> {
    let Some(hold_id) = case.task(task_id).and_then(|task| task.hold_id) else { return Ok(()) };
    match case.facts.holds.get(&hold_id).map(|(_, hold)| hold.state_at(case.now())) {
        Some(state @ (HoldState::Frozen | HoldState::Committed)) => {
            Err(already_processed(hold_id, state).with("task_id", task_id.as_str()))
        }
        _ => Ok(()),
    }
}

fn refuse_mismatch(hold: &Hold, task: Option<&TaskId>, template: Option<&TemplateId>, user: Option<&UserId>) -> Result<(), Denial> {
    let of_hold = "what the hold was made with";
    if let Some(task) = task.filter(|task| hold.terms.task_id.as_ref() != Some(task)) {
        return Err(Denial::invalid("task_id", task, of_hold));
    }
    if let Some(template) = template.filter(|template| hold.terms.template_id.as_ref() != Some(template)) {
        return Err(Denial::invalid("template_id", template, of_hold));
    }
    if let Some(user) = user.filter(|user| hold.terms.user_id.as_ref() != Some(user)) {
        return Err(Denial::invalid("user_id", user, of_hold));
    }
    Ok(())
}

/// The task of a hold is an anchor of every command about the hold.
fn touched_task(case: &Case<'_>, hold: &Hold) -> Option<(TaskId, Task)> {
    let task_id = hold.terms.task_id.as_ref()?;
    let task = case.task(task_id)?.clone();
    Some((task_id.clone(), Task { last_at: case.now(), ..task }))
}

fn hold_text(hold: &Hold, reason: Option<&Arc<str>>, metadata: Option<&Metadata>) -> EntryText {
    EntryText { user_id: hold.terms.user_id.clone(), operator: None, reason: reason.cloned(), metadata: shared_metadata(metadata) }
}

fn answer_of(hold: &Hold) -> AnswerRest {
    AnswerRest {
        captured_total: Some(hold.captured),
        expires_at: Some(hold.expires_at),
        status: Some(hold.state),
        held: Some(hold.held()),
        ..AnswerRest::default()
    }
}

/// What is left of the licence of a hold.
fn quota_of(posting: &Posting<'_>, hold: &Hold) -> Option<QuotaSnapshot> {
    let key = LicenceKey::new(posting.account.key.tenant_id.clone(), hold.terms.licence_id.clone()?);
    Some(licence::snapshot(posting, &key, hold.terms.user_id.as_ref()))
}

fn terms_of(
    command: &PlaceHold,
    quote: Option<&Quote>,
    licensed: &Licensed,
    counted_for: Option<Spender>,
    now: Timestamp,
) -> HoldTerms {
    HoldTerms {
        amount: command.amount,
        task_id: command.task_id.clone(),
        template_id: command.template_id.clone(),
        app_id: command.app_id.clone(),
        user_id: command.user_id.clone(),
        scene: command.scene.clone(),
        price_basis: quote.map(|quote| &quote.price_basis).or(command.price_basis.as_ref()).cloned(),
        quote_id: command.audit_id,
        policy_tag: licensed.policy_tag.clone(),
        licence_id: licensed.key.as_ref().map(|key| key.licence_id.clone()),
        counted_for,
        over_capture: command.over_capture,
        late_commit: command.late_commit,
        created_at: now,
    }
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at.plus_seconds(seconds).unwrap_or(Timestamp::MAX)
}
