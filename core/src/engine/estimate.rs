//! What work costs now, beside what there is to pay it.

use std::sync::Arc;

use super::Engine;
use crate::amount::Amount;
use crate::credit::{self, Explanation, Standing};
use crate::denial::Denial;
use crate::error::Failure;
use crate::facts::{AccountFacts, Needs};
use crate::licence::{self, TemplateKey};
use crate::owner::{AccountKey, Owner};
use crate::pricing::{Estimate, EstimateRequest, FundedEstimate, PriceBooks};

impl Engine {
    /// Estimates what work costs by the price book in force, and says what the account lacks to pay it. Nothing is held or kept.
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
        self.refuse_unlicensed(account, request, &mut estimate)?;
        let facts = facts.unwrap_or_else(|| AccountFacts::new(Arc::new(account.clone())));
        let (app, template) = (request.app_id.as_ref(), request.template_id.as_ref());
        let explained = credit::explain(&facts, policy, estimate.selected_cost, app, template, now);
        let standing = facts.account.standing;
        let mut funded = estimate.funded(facts.account.available, standing.credit_limit)?;
        // Credit that is kept for other apps and templates is part of the balance and pays nothing here.
        funded.suggest_topup = funded.suggest_topup.max(lacking(&explained, &standing));
        Ok(funded)
    }

    /// Estimates only what may be used, and labels it as the licence does.
    fn refuse_unlicensed(&self, account: &AccountKey, request: &EstimateRequest, estimate: &mut Estimate) -> Result<(), Failure> {
        let policy = self.policy(&account.tenant_id);
        let Some(template_id) = request.template_id.as_ref().filter(|_| policy.licence_required) else { return Ok(()) };
        let template = TemplateKey::of_work(account, template_id, request.user_id.as_ref());
        let facts = self.facts(Needs { templates: vec![template.clone()], ..Needs::default() })?;
        estimate.policy_tag = licence::for_estimate(&facts, policy, &template, estimate.policy_tag.take())?;
        Ok(())
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
