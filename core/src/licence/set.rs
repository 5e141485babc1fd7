//! Making and changing licences.

use super::terms::{Licence, LicenceKey, LicenceTerms, TemplateKey};
use super::uses::LicenceRows;
use super::{MAX_DOCUMENTS, MAX_LICENCES};
use crate::command::{AnswerRest, LicenceAnswer, Metadata, RevokeLicence, SetLicence, SubmitDocuments, shared_metadata};
use crate::decide::{Booking, Case};
use crate::denial::{Denial, DenialKind};
use crate::id::{LicenceId, Operator};
use crate::ledger::EntryText;
use crate::ledger::posting::Stop;
use crate::owner::Subject;

pub(crate) fn set<'a>(case: &Case<'a>, command: &SetLicence) -> Result<Booking<'a>, Stop> {
    let before = known(case, &command.licence_id);
    let terms = terms_of(command, before.map_or(case.policy.zone, |before| before.terms.zone));
    match before {
        Some(before) => refuse_another(before, command)?,
        None => refuse_too_many(case, &terms)?,
    }
    let changed = before.is_none_or(|before| before.terms != terms);
    let licence = match before {
        Some(before) => Licence { terms, ..before.clone() },
        None => Licence::new(terms, case.now()),
    };
    let note = noted(&command.operator, command.reason.as_deref(), command.metadata.as_ref());
    Ok(written(case, &command.licence_id, licence, changed, note))
}

pub(crate) fn revoke<'a>(case: &Case<'a>, command: &RevokeLicence) -> Result<Booking<'a>, Stop> {
    let before = present(case, &command.licence_id)?;
    let changed = before.revoked_at.is_none();
    let licence = Licence { revoked_at: before.revoked_at.or(Some(case.now())), ..before.clone() };
    let note = noted(&command.operator, Some(&command.reason), command.metadata.as_ref());
    Ok(written(case, &command.licence_id, licence, changed, note))
}

pub(crate) fn submit_documents<'a>(case: &Case<'a>, command: &SubmitDocuments) -> Result<Booking<'a>, Stop> {
    let before = present(case, &command.licence_id)?;
    refuse_revoked(before, &command.licence_id)?;
    let mut licence = before.clone();
    licence.submitted_documents.extend(command.documents.iter().cloned());
    if licence.submitted_documents.len() > MAX_DOCUMENTS {
        return Err(Denial::capacity("documents", MAX_DOCUMENTS).into());
    }
    let changed = licence.submitted_documents != before.submitted_documents;
    let note = noted(&command.operator, command.reason.as_deref(), command.metadata.as_ref());
    Ok(written(case, &command.licence_id, licence, changed, note))
}

fn known<'a>(case: &Case<'a>, licence_id: &LicenceId) -> Option<&'a Licence> {
    let key = LicenceKey::new(case.tenant_id().clone(), licence_id.clone());
    case.facts.licences.get(&key).map(|known| &known.licence)
}

fn present<'a>(case: &Case<'a>, licence_id: &LicenceId) -> Result<&'a Licence, Denial> {
    known(case, licence_id).ok_or_else(|| {
        Denial::new(DenialKind::AuthorizationNotFound, format!("there is no licence `{licence_id}`"))
            .with("licence_id", licence_id.as_str())
    })
}

fn terms_of(command: &SetLicence, zone: crate::credit::Zone) -> LicenceTerms {
    LicenceTerms {
        template_id: command.template_id.clone(),
        user_id: command.user_id.clone(),
        channels: command.channels.clone(),
        valid_from: command.valid_from,
        valid_until: command.valid_until,
        total_quota: command.total_quota,
        daily_quota: command.daily_quota,
        zone: command.zone.unwrap_or(zone),
        required_documents: command.required_documents.clone(),
        policy_tag: command.policy_tag.clone(),
    }
}

/// Uses were counted for this template and user, by days of this zone: they stay what they are.
fn refuse_another(before: &Licence, command: &SetLicence) -> Result<(), Denial> {
    const OF_LICENCE: &str = "what the licence was made with";
    refuse_revoked(before, &command.licence_id)?;
    let terms = &before.terms;
    if terms.template_id != command.template_id {
        return Err(Denial::invalid("template_id", &command.template_id, OF_LICENCE));
    }
    if terms.user_id != command.user_id {
        let given = command.user_id.as_ref().map_or("nobody", |user_id| user_id.as_str());
        return Err(Denial::invalid("user_id", given, OF_LICENCE));
    }
    match command.zone.filter(|zone| *zone != terms.zone) {
        Some(zone) => Err(Denial::invalid("zone", zone, OF_LICENCE)),
        None => Ok(()),
    }
}

/// Revoked is revoked for good.
fn refuse_revoked(licence: &Licence, licence_id: &LicenceId) -> Result<(), Denial> {
    let Some(revoked_at) = licence.revoked_at else { return Ok(()) };
    Err(Denial::new(DenialKind::AuthorizationRevoked, format!("the licence `{licence_id}` is revoked"))
        .with("licence_id", licence_id.as_str())
        .with("revoked_at", revoked_at.to_string())
        .tagged(licence.terms.policy_tag.clone()))
}

/// All of them are read by who uses the template.
fn refuse_too_many(case: &Case<'_>, terms: &LicenceTerms) -> Result<(), Denial> {
    let template = TemplateKey::new(case.tenant_id().clone(), terms.template_id.clone(), terms.user_id.clone());
    let listed = case.facts.template_licences.get(&template);
    let of_user = listed
        .into_iter()
        .flatten()
        .filter(|key| case.facts.licences.get(*key).is_some_and(|known| known.licence.terms.user_id == terms.user_id));
    if of_user.count() >= MAX_LICENCES { Err(Denial::capacity("licences", MAX_LICENCES)) } else { Ok(()) }
}

fn noted(operator: &Operator, reason: Option<&str>, metadata: Option<&Metadata>) -> EntryText {
    let (operator, reason) = (Some(operator.clone()), reason.map(std::sync::Arc::from));
    EntryText { user_id: None, operator, reason, metadata: shared_metadata(metadata) }
}

fn written<'a>(case: &Case<'a>, licence_id: &LicenceId, licence: Licence, changed: bool, note: EntryText) -> Booking<'a> {
    let answer = AnswerRest {
        changed: Some(changed),
        note: Some(note),
        licence: Some(LicenceAnswer {
            terms: licence.terms.clone(),
            submitted_documents: licence.submitted_documents.clone(),
            revoked_at: licence.revoked_at,
        }),
        ..AnswerRest::default()
    };
    let policy_tag = licence.terms.policy_tag.clone();
    let key = LicenceKey::new(case.tenant_id().clone(), licence_id.clone());
    let mut licences = LicenceRows::default();
    licences.licences.insert(key, Licence { last_at: case.now(), ..licence });
    Booking { licences, policy_tag, answer: Some(answer), ..Booking::about(Subject::Licence(licence_id.clone())) }
}
