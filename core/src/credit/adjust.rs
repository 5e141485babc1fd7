//! Correcting a balance by hand.

use std::sync::Arc;

use super::draw::draw;
use super::grant::{GrantTerms, GrantType, Scope};
use super::grants::make_grant;
use crate::command::{Adjust, paying_account, shared_metadata};
use crate::decide::{Booking, Case};
use crate::ledger::posting::{Line, Stop};
use crate::ledger::{EntryKind, EntryText};

pub(crate) fn adjust<'a>(case: &Case<'a>, command: &Adjust) -> Result<Booking<'a>, Stop> {
    let key = paying_account(case.tenant_id(), case.policy, Some(&command.owner), None, command.unit.as_ref())?;
    let mut posting = case.open(&key)?;
    let text = EntryText {
        user_id: None,
        operator: Some(command.operator.clone()),
        reason: Some(Arc::clone(&command.reason)),
        metadata: shared_metadata(command.metadata.as_ref()),
    };
    if command.amount.is_positive() {
        let terms = GrantTerms {
            grant_type: GrantType::Adjustment,
            amount: command.amount,
            effective_at: case.now(),
            scope: Scope::default(),
            priority: 0,
            reissue_of: None,
            recurrence: None,
            policy_tag: None,
            reason: text.reason.clone(),
            metadata: text.metadata.clone(),
        };
        make_grant(&mut posting, EntryKind::Adjust, terms, None, text)?;
    } else {
        let taken = command.amount.checked_neg().unwrap_or_default();
        let drawn = draw(&posting, case.policy, taken, None, None)?;
        posting.post(Line::new(EntryKind::Adjust, drawn, case.now()).outgoing().text(text))?;
    }
    Ok(Booking::of(posting))
}
