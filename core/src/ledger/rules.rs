//! What entries say about rules. Booking and verification read it the same way.

use std::sync::Arc;

use super::entry::{EntryText, Terms};
use crate::credit::{Rule, RuleState, RuleTerms};
use crate::id::RuleId;

/// The rule that an entry with this definition makes, ends or moves on.
pub(crate) fn rule_of(terms: &Terms) -> Option<RuleId> {
    match terms {
        Terms::Rule { rule_id, .. } | Terms::RuleEnd { rule_id } => Some(*rule_id),
        Terms::Grant { terms, .. } => terms.recurrence.filter(|of| !of.rollover).map(|of| of.rule_id),
        _ => None,
    }
}

/// The rule as the entry leaves it.
pub(crate) fn rule_after(before: Option<Rule>, terms: &Terms, text: &EntryText) -> Option<Rule> {
    match terms {
        Terms::Rule { rule_id, terms } => {
            // The reason and the metadata stand in the text part of the entry.
            let (reason, metadata) = (text.reason.clone(), text.metadata.clone());
            Some(Rule::new(*rule_id, Arc::new(RuleTerms { reason, metadata, ..(**terms).clone() })))
        }
        Terms::RuleEnd { .. } => before.map(|rule| Rule { state: RuleState::Ended, ..rule }),
        Terms::Grant { expires_at: Some(until), terms } => before.zip(terms.recurrence).map(|(rule, of)| rule.begun(of.k, *until)),
        _ => before,
    }
}
