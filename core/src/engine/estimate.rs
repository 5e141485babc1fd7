//! What work costs now, beside what there is to pay it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Engine;
use super::audit::Asked;
use crate::amount::Amount;
use crate::audit::{AuditKind, AuditRecord, Caller, Refused};
use crate::credit::{self, Explanation, Standing};
use crate::denial::{Denial, DenialKind};
use crate::error::Failure;
use crate::facts::{AccountFacts, Needs};
use crate::id::{PolicyTag, SessionId};
use crate::licence::{self, TemplateKey};
use crate::owner::{AccountKey, Owner, Subject};
use crate::pricing::{EstimateRequest, FundedEstimate, PriceBooks};
use crate::time::Timestamp;

/// What the audit has of an estimate: what was asked, and the answer as it was given.
#[derive(Serialize)]
struct Details<'a> {
    request: &'a EstimateRequest,
    estimate: &'a FundedEstimate,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a SessionId>,
}

impl Engine {
    /// Estimates what work costs by the price book in force, and says what the account lacks to pay it. Nothing is held; the audit has
    /// it a moment later.
    ///
    /// What is missing is what grants that can pay for this app and template lack, and the credit limit does not cover.
    ///
    /// # Errors
    /// `estimate_rate_limited` when the tenant limits estimates in a minute, with when a retry is taken; `pricing_unavailable` when no price
    /// book is in force; `payload_invalid` as [`PriceBook::estimate`](crate::pricing::PriceBook::estimate), and when the account counts another
    /// unit than the price book; where the tenant requires licences, `authorization_missing` without one for the template that is valid or
    /// only used up, and `template_not_found`; [`crate::Error`] when the store cannot be read.
    ///
    /// # Examples
    /// ```
    /// use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
    /// use drawdown::{AccountKey, Context, Engine, GrantCredit, GrantType, Owner};
    /// let book = "{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: credit, templates: {poster: {base: 10}}}";
    /// let engine = Engine::builder().prices(PriceBooks::new([PriceBook::from_yaml(book)?])?).build()?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(Context::tenant("acme")?.request(GrantCredit::new(user.clone(), GrantType::Trial, "4".parse()?)))?;
    /// let account = AccountKey::new("acme".parse()?, user, "credit".parse()?);
    /// let answer = engine.estimate(&account, &EstimateRequest::from_json(r#"{"template_id": "poster"}"#)?)?;
    /// assert_eq!((answer.estimate.selected_cost.to_string(), answer.suggest_topup.to_string()), ("10".into(), "6".into()));
    /// let unknown = engine.estimate(&account, &EstimateRequest::from_json(r#"{"template_id": "flyer"}"#)?).unwrap_err();
    /// assert_eq!(unknown.denial().unwrap().details()["allowed"], "one of poster");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn estimate(&self, account: &AccountKey, request: &EstimateRequest) -> Result<FundedEstimate, Failure> {
        self.estimate_for(account, request, &Caller::default())
    }

    /// As [`Engine::estimate`], and says in the audit who asked.
    ///
    /// # Errors
    /// As [`Engine::estimate`].
    pub fn estimate_for(
        &self,
        account: &AccountKey,
        request: &EstimateRequest,
        caller: &Caller,
    ) -> Result<FundedEstimate, Failure> {
        if self.policy(&account.tenant_id).estimates_are_quotes {
            return self.quote(account, request, caller);
        }
        let (mut funded, now) = self.funded(account, request, caller)?;
        self.record_later(self.estimated(AuditKind::Estimate, account, request, caller, &mut funded, now));
        Ok(funded)
    }

    /// Estimates work at a price that can be held or charged: the answer is kept before it is given, and a hold or charge that names
    /// its `audit_id` is at this price, whatever price book is in force by then.
    ///
    /// It is valid for the policy's `quote_validity_seconds`, 900 by default; as old as that it is too old.
    ///
    /// # Errors
    /// As [`Engine::estimate`]; [`crate::Error`] when the store does not keep it.
    ///
    /// # Examples
    /// ```
    /// use drawdown::pricing::{EstimateRequest, PriceBook, PriceBooks};
    /// use drawdown::{AccountKey, Caller, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold};
    /// let book = "{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: credit, templates: {poster: {base: 10}}}";
    /// let engine = Engine::builder().prices(PriceBooks::new([PriceBook::from_yaml(book)?])?).build()?;
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "30".parse()?)))?;
    /// let account = AccountKey::new("acme".parse()?, user.clone(), "credit".parse()?);
    /// let request = EstimateRequest::from_json(r#"{"template_id": "poster"}"#)?;
    /// let quote = engine.quote(&account, &request, &Caller::from(&acme))?;
    /// let hold = |amount: &str| PlaceHold { audit_id: quote.audit_id, ..PlaceHold::new(user.clone(), amount.parse().unwrap()) };
    /// assert_eq!(engine.execute(acme.request(hold("10")))?.frozen_amount.to_string(), "10");
    /// let refused = engine.execute(acme.request(hold("9"))).unwrap_err();
    /// assert_eq!(refused.denial().unwrap().details()["allowed"], "`10`, as in the quote");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn quote(&self, account: &AccountKey, request: &EstimateRequest, caller: &Caller) -> Result<FundedEstimate, Failure> {
        let (mut funded, now) = self.funded(account, request, caller)?;
        self.record_now(&self.estimated(AuditKind::Quote, account, request, caller, &mut funded, now))?;
        Ok(funded)
    }

    fn funded(
        &self,
        account: &AccountKey,
        request: &EstimateRequest,
        caller: &Caller,
    ) -> Result<(FundedEstimate, Timestamp), Failure> {
        let policy = self.policy(&account.tenant_id);
        let allowed = policy.risk.limits().estimates_per_minute;
        let spender = request.user_id.clone().map_or_else(|| account.owner.clone(), Owner::User);
        self.inner.estimates.take(allowed, &account.tenant_id, &spender, self.now())?;
        let (facts, now) = self.settled(account)?;
        let book = self.inner.prices.at(now)?;
        if *book.unit() != account.unit {
            let allowed = format!("`{}`, the unit of the prices", book.unit());
            return Err(Denial::invalid("unit", &account.unit, &allowed).into());
        }
        let mut estimate = book.estimate(request)?;
        estimate.policy_tag = self.licensed(account, request, caller, estimate.policy_tag)?;
        let facts = facts.unwrap_or_else(|| AccountFacts::new(Arc::new(account.clone())));
        let (app, template) = (request.app_id.as_ref(), request.template_id.as_ref());
        let explained = credit::explain(&facts, policy, estimate.selected_cost, app, template, now);
        let standing = facts.account.standing;
        let mut funded = estimate.funded(facts.account.available, standing.credit_limit)?;
        // Credit that is kept for other apps and templates is part of the balance and pays nothing here.
        funded.suggest_topup = funded.suggest_topup.max(lacking(&explained, &standing));
        Ok((funded, now))
    }

    /// The record of an estimate, which is named by it from here on.
    fn estimated(
        &self,
        kind: AuditKind,
        account: &AccountKey,
        request: &EstimateRequest,
        caller: &Caller,
        funded: &mut FundedEstimate,
        now: Timestamp,
    ) -> AuditRecord {
        let audit_id = self.new_audit_id(&account.tenant_id, Some(&account.owner), now);
        funded.audit_id = Some(audit_id);
        let details = Details { request, estimate: funded, session_id: caller.session_id.as_ref() };
        let details = serde_json::to_string(&details).unwrap_or_default();
        let asked = Asked {
            kind,
            tenant_id: &account.tenant_id,
            subject: Some(Subject::from(&account.owner)),
            template_id: request.template_id.as_ref(),
            caller,
            policy_tag: funded.estimate.policy_tag.as_ref(),
            reason_code: None,
            details,
        };
        self.answered(asked, audit_id, now)
    }

    /// The label of compliance of work that may be used: the licence's, else this one. A refusal is kept before it is answered.
    fn licensed(
        &self,
        account: &AccountKey,
        request: &EstimateRequest,
        caller: &Caller,
        policy_tag: Option<PolicyTag>,
    ) -> Result<Option<PolicyTag>, Failure> {
        let policy = self.policy(&account.tenant_id);
        let Some(template_id) = request.template_id.as_ref().filter(|_| policy.licence_required) else { return Ok(policy_tag) };
        let template = TemplateKey::of_work(account, template_id, request.user_id.as_ref());
        let facts = self.facts(Needs { templates: vec![template.clone()], ..Needs::default() })?;
        match licence::for_estimate(&facts, policy, &template, policy_tag) {
            Err(denial) if denial.kind() == DenialKind::AuthorizationMissing => {
                Err(self.refuse_estimate(account, request, caller, denial, facts.now)?.into())
            }
            answer => Ok(answer?),
        }
    }

    fn refuse_estimate(
        &self,
        account: &AccountKey,
        request: &EstimateRequest,
        caller: &Caller,
        denial: Denial,
        now: Timestamp,
    ) -> Result<Denial, Failure> {
        let acting = request.user_id.clone().map(Subject::User);
        let mut details = Map::new();
        details.insert("request".to_owned(), request.to_json());
        details.insert("message".to_owned(), denial.message().into());
        details.insert("details".to_owned(), Value::Object(denial.details().clone()));
        let refused = Refused {
            tenant_id: &account.tenant_id,
            subject: Some(acting.unwrap_or_else(|| Subject::from(&account.owner))),
            template_id: request.template_id.as_ref(),
            reason: denial.name(),
            caller,
            policy_tag: denial.policy_tag(),
            details,
        };
        let record = refused.record(self.new_op_id(&account.tenant_id, Some(&account.owner), now), now);
        let denial = denial.audited(record.audit_id);
        self.refuse(record)?;
        Ok(denial)
    }

    /// The price books of the engine.
    #[must_use]
    pub fn prices(&self) -> &PriceBooks {
        &self.inner.prices
    }
}

/// What has to be granted before grants and credit limit cover the amount: what both lack, and what is repaid before that.
fn lacking(explained: &Explanation, standing: &Standing) -> Amount {
    let lacking = explained.amount.checked_sub(explained.available).and_then(|lacking| lacking.checked_sub(explained.on_credit));
    let lacking = lacking.unwrap_or(Amount::ZERO).max(Amount::ZERO);
    if lacking.is_zero() { lacking } else { lacking.checked_add(standing.repaid_in_vain()).unwrap_or(Amount::MAX) }
}
