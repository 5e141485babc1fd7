//! Charging: drawing and booking at once.

use super::MAX_TASK_CHARGES;
use super::draw::draw;
use super::spending::{self, Opened, Work};
use crate::command::{AnswerRest, Charge, paying_account, shared_metadata};
use crate::decide::{Booking, Case};
use crate::denial::{Denial, DenialKind};
use crate::facts::Task;
use crate::id::TaskId;
use crate::ledger::posting::{Line, Stop};
use crate::ledger::{EntryKind, EntryText, Terms};
use crate::licence;

pub(crate) fn charge<'a>(case: &Case<'a>, command: &Charge) -> Result<Booking<'a>, Stop> {
    let (payer, user_id, unit) = (command.payer.as_ref(), command.user_id.as_ref(), command.unit.as_ref());
    let work = Work {
        account: paying_account(case.tenant_id(), case.policy, payer, user_id, unit)?,
        user_id,
        app_id: command.app_id.as_ref(),
        template_id: command.template_id.as_ref(),
        scene: None,
        policy_tag: command.policy_tag.as_ref(),
        amount: command.amount,
        quote: command.audit_id,
        price_basis: command.price_basis.as_ref(),
        free_task: None,
        without_licence: DenialKind::AuthorizationMissing,
    };
    let Opened { mut posting, quote, licensed, risk } = spending::open(case, &work)?;
    let task = command.task_id.as_ref().map(|task_id| count_charge(case, task_id)).transpose()?;
    let drawn = draw(&posting, case.policy, command.amount, work.app_id, work.template_id)?;
    let text = EntryText {
        user_id: command.user_id.clone(),
        operator: None,
        reason: command.reason.clone(),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    let mut line = Line::new(EntryKind::Charge, drawn, case.now())
        .work(command.task_id.as_ref(), command.template_id.as_ref(), command.app_id.as_ref())
        .text(text);
    if let Some(price_basis) = quote.map(|quote| &quote.price_basis).or(command.price_basis.as_ref()).cloned() {
        line = line.terms(Terms::Price { price_basis, quote_id: command.audit_id });
    }
    posting.post(line)?;
    posting.members.count(&work.account, user_id, command.amount, case.now());
    risk.charge(&mut posting, case, &work);
    let answer = licensed.key.map(|key| {
        posting.licences.charge(&key, licence::user_of_work(&posting.account.key, user_id), case.now());
        AnswerRest { licence_id: Some(key.licence_id), ..AnswerRest::default() }
    });
    Ok(Booking { task, answer, policy_tag: licensed.policy_tag, alerts: risk.alert.into_iter().collect(), ..Booking::of(posting) })
}

/// The task after one more charge or capture.
pub(super) fn count_charge(case: &Case<'_>, task_id: &TaskId) -> Result<(TaskId, Task), Denial> {
    let mut task = case.task(task_id).cloned().unwrap_or_default();
    if usize::try_from(task.charges).is_ok_and(|charges| charges >= MAX_TASK_CHARGES) {
        return Err(Denial::capacity("charges_per_task", MAX_TASK_CHARGES));
    }
    task.charges += 1;
    task.last_at = case.now();
    Ok((task_id.clone(), task))
}
