//! What work costs: a pure function of a price book and a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::book::{PriceBook, Priority, Resolution};
use super::exact::{Exact, Rate};
use super::extra::{self, Effect, ExtraAsked};
use super::model::{ModelPrices, Usage};
use super::request::{EstimateRequest, MAX_QUANTITY};
use super::rounding::Rounding;
use crate::amount::Amount;
use crate::credit::named_enum;
use crate::denial::{Denial, DenialKind};
use crate::id::{AppId, AuditId, ExtraName, ModelId, PolicyTag, PriceBasis, Scene, TemplateId, Unit, UsageUnit};

named_enum! {
    @words
    /// What a line of an estimate is about.
    LineKind {
        /// The price of the work itself.
        Base = "base",
        /// What the resolution adds, or takes off.
        Resolution = "resolution",
        /// What an extra adds, or takes off.
        Extra = "extra",
        /// What the priority adds, or takes off.
        Priority = "priority",
        /// What the rounding adds, or takes off.
        Rounding = "rounding",
    }
}

/// A line that explains a part of a cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LineItem {
    /// What it is about.
    pub item: LineKind,
    /// Which: the template, scene, model or unit that the base is of, or what of the model; the resolution; the extra; the priority.
    pub name: Option<Arc<str>>,
    /// How much was counted, where anything was.
    pub quantity: Option<Amount>,
    /// The price of one, or the factor.
    pub rate: Option<Rate>,
    /// What it changes. Sums are cut to millionths on the way; what is cut is in the line of the rounding.
    pub amount: Amount,
}

/// What the same work costs with a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PriceOption {
    /// The priority.
    pub priority: Priority,
    /// The cost.
    pub total_cost: Amount,
    /// In how many minutes the work is expected to be done, where the price book says it.
    pub eta_minutes: Option<u32>,
}

/// What work costs, and why.
///
/// # Properties
/// The line items sum to `selected_cost`, exactly; `min_cost` <= `selected_cost` <= `max_cost`
/// (`tests/tests/pricing_laws.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// The unit of every cost in it.
    pub currency: Unit,
    /// The template, as asked.
    pub template_id: Option<TemplateId>,
    /// The scene, as asked.
    pub scene: Option<Scene>,
    /// The model, as asked; the default one where it is meant.
    pub model: Option<ModelId>,
    /// The app, as asked.
    pub app_id: Option<AppId>,
    /// The unit of the app, as asked.
    pub usage_unit: Option<UsageUnit>,
    /// The quantity, as asked.
    pub quantity: Amount,
    /// The resolution, as asked.
    pub resolution: Resolution,
    /// The priority, as asked.
    pub priority: Priority,
    /// What was asked costs this.
    pub selected_cost: Amount,
    /// The same as `selected_cost`.
    pub estimated_cost: Amount,
    /// The least that the same work costs, over all priorities.
    pub min_cost: Amount,
    /// The most that the same work costs, over all priorities.
    pub max_cost: Amount,
    /// The version of the price book: `pricing_v` and its name.
    pub calculation_basis: PriceBasis,
    /// The template's label of compliance.
    pub policy_tag: Option<PolicyTag>,
    /// The extras as asked, without those of which nothing is asked for.
    pub extras: BTreeMap<ExtraName, ExtraAsked>,
    /// Every priority of the price book, with what the same work costs.
    pub options: Vec<PriceOption>,
    /// What the cost is made of.
    pub line_items: Vec<LineItem>,
}

/// An estimate beside what there is to pay it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FundedEstimate {
    /// The estimate.
    #[cfg_attr(feature = "schema", schemars(flatten))]
    pub estimate: Estimate,
    /// What is available now.
    pub current_balance: Amount,
    /// What would be available after the selected cost; below 0 where it is not covered.
    pub balance_after: Amount,
    /// What is missing for the selected cost; 0 when nothing is.
    pub suggest_topup: Amount,
    /// The record of the audit: a hold or charge can name it if it is a quote's. None where no engine has answered.
    pub audit_id: Option<AuditId>,
}

impl Serialize for FundedEstimate {
    /// Writes the fields of the estimate beside the others, as a struct with a name: what is flattened has none, and takes longer.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        macro_rules! write_all {
            ($from:expr, $name:ident { $($field:ident),+ }, $to:ident) => {
                let $name { $($field),+ } = $from;
                $( $to.serialize_field(stringify!($field), $field)?; )+
            };
        }
        let FundedEstimate { estimate, current_balance, balance_after, suggest_topup, audit_id } = self;
        let mut fields = serializer.serialize_struct("FundedEstimate", 22)?;
        write_all!(
            estimate,
            Estimate {
                currency,
                template_id,
                scene,
                model,
                app_id,
                usage_unit,
                quantity,
                resolution,
                priority,
                selected_cost,
                estimated_cost,
                min_cost,
                max_cost,
                calculation_basis,
                policy_tag,
                extras,
                options,
                line_items
            },
            fields
        );
        fields.serialize_field("current_balance", current_balance)?;
        fields.serialize_field("balance_after", balance_after)?;
        fields.serialize_field("suggest_topup", suggest_topup)?;
        fields.serialize_field("audit_id", audit_id)?;
        fields.end()
    }
}

impl Estimate {
    /// Sets the estimate beside a balance. One that the balance does not cover is still an answer: it says what is missing.
    ///
    /// `credit_limit` is how far the balance may go below zero, 0 or more.
    ///
    /// # Errors
    /// `amount_invalid` when the difference is out of range.
    ///
    /// # Examples
    /// ```
    /// use drawdown::Amount;
    /// use drawdown::pricing::{EstimateRequest, PriceBook};
    /// let book = PriceBook::from_yaml("{version: 1, effective_at: 2026-01-01T00:00:00Z, unit: credit, templates: {poster: {base: 10}}}")?;
    /// let estimate = book.estimate(&EstimateRequest::from_json(r#"{"template_id": "poster"}"#)?)?;
    /// let funded = estimate.clone().funded("7.5".parse()?, Amount::ZERO)?;
    /// assert_eq!((funded.balance_after.to_string(), funded.suggest_topup.to_string()), ("-2.5".into(), "2.5".into()));
    /// assert_eq!(estimate.clone().funded("10".parse()?, Amount::ZERO)?.suggest_topup, Amount::ZERO);
    /// assert_eq!(estimate.funded(Amount::MIN, Amount::ZERO).unwrap_err().name(), "amount_invalid");
    /// # Ok::<(), drawdown::Denial>(())
    /// ```
    pub fn funded(self, available: Amount, credit_limit: Amount) -> Result<FundedEstimate, Denial> {
        let out_of_range = || Denial::amount("balance_after", available, "a balance from which the cost can be taken");
        let balance_after = available.checked_sub(self.selected_cost).ok_or_else(out_of_range)?;
        let left = balance_after.checked_add(credit_limit).unwrap_or(Amount::MAX);
        // What costs nothing can be had whatever is owed.
        let is_short = left.is_negative() && !self.selected_cost.is_zero();
        let missing = if is_short { left.checked_neg().ok_or_else(out_of_range)? } else { Amount::ZERO };
        Ok(FundedEstimate { estimate: self, current_balance: available, balance_after, suggest_topup: missing, audit_id: None })
    }
}

impl PriceBook {
    /// Works out what a request costs.
    ///
    /// The base is the price times the quantity, times the factor of the resolution. To it the extras that are a price are added, then
    /// those that are a factor multiply the sum, then the priority does, and then it is rounded, once.
    ///
    /// # Errors
    /// `payload_invalid` that names the field, and lists what the price book knows (template, scene, resolution, priority, extra, app,
    /// unit) or what is missing; `model_unknown`; `amount_invalid` when the cost is no amount.
    pub fn estimate(&self, request: &EstimateRequest) -> Result<Estimate, Denial> {
        request.check()?;
        let terms = request.template_id.as_ref().map_or(Ok(None), |template_id| self.template(template_id))?;
        let policy_tag = terms.and_then(|terms| terms.policy_tag.clone());
        let base = terms.and_then(|terms| terms.base);
        self.priced(request, base, policy_tag.clone()).map_err(|denial| denial.tagged(policy_tag))
    }

    fn priced(
        &self,
        request: &EstimateRequest,
        template_price: Option<Rate>,
        policy_tag: Option<PolicyTag>,
    ) -> Result<Estimate, Denial> {
        let mut bill = Bill::default();
        let model = self.base(request, template_price, &mut bill)?;
        bill.multiply(LineKind::Resolution, request.resolution.as_str(), self.factor_of(request.resolution)?)?;
        self.extras(request, &mut bill)?;
        let work = bill.total;
        let mut options = Vec::with_capacity(Priority::ALL.len());
        for (priority, terms) in self.offered() {
            let cost = work.times(terms.multiplier.exact()).and_then(|cost| cost.rounded(self.rounding));
            options.push(PriceOption { priority, total_cost: cost.ok_or_else(out_of_range)?, eta_minutes: terms.eta_minutes });
        }
        let Some((_, selected)) = self.offered().find(|(priority, _)| *priority == request.priority) else {
            let known = options.iter().map(|option| option.priority.as_str());
            return Err(super::known::not_among(DenialKind::PayloadInvalid, "priority", request.priority.as_str(), known));
        };
        bill.multiply(LineKind::Priority, request.priority.as_str(), selected.multiplier)?;
        let cost = bill.total.rounded(self.rounding).ok_or_else(out_of_range)?;
        Ok(Estimate {
            currency: self.unit.clone(),
            template_id: request.template_id.clone(),
            scene: request.scene.clone(),
            model: model.or(request.model.as_ref()).cloned(),
            app_id: request.app_id.clone(),
            usage_unit: request.usage_unit.clone(),
            quantity: request.quantity,
            resolution: request.resolution,
            priority: request.priority,
            selected_cost: cost,
            estimated_cost: cost,
            min_cost: options.iter().map(|option| option.total_cost).min().unwrap_or(cost),
            max_cost: options.iter().map(|option| option.total_cost).max().unwrap_or(cost),
            calculation_basis: self.basis.clone(),
            policy_tag,
            extras: request.extras.iter().filter(|(_, asked)| is_asked(asked)).map(|(k, v)| (k.clone(), v.clone())).collect(),
            options,
            line_items: bill.finish(cost)?,
        })
    }

    /// Puts the base on the bill: by the first of template, scene, model and unit of the app that has a price. Whatever of them is named
    /// has to be known. Answers the model, where it is that.
    fn base<'b>(
        &'b self,
        request: &'b EstimateRequest,
        template_price: Option<Rate>,
        bill: &mut Bill,
    ) -> Result<Option<&'b ModelId>, Denial> {
        let scene_price = request.scene.as_ref().map_or(Ok(None), |scene| self.scene(scene))?;
        let unit_price = match (&request.app_id, &request.usage_unit) {
            (Some(app_id), Some(usage_unit)) => Some((usage_unit, self.usage_unit(app_id, usage_unit)?)),
            _ => None,
        };
        let named = request.template_id.is_some() || request.scene.is_some() || request.usage_unit.is_some();
        let default = self.catalogue.default_model().filter(|_| !named || request.usage.is_some());
        let model = request.model.as_ref().or(default);
        let prices = model.map(|model| self.catalogue.find(model)).transpose()?;
        if let (Some(template_id), Some(price)) = (&request.template_id, template_price) {
            bill.count(LineKind::Base, template_id, request.quantity, price)?;
        } else if let (Some(scene), Some(price)) = (&request.scene, scene_price) {
            bill.count(LineKind::Base, scene, request.quantity, price)?;
        } else if let Some(prices) = prices {
            bill.count_usage(prices, request)?;
            return Ok(model);
        } else if let Some((usage_unit, price)) = unit_price {
            bill.count(LineKind::Base, usage_unit, request.quantity, price)?;
        } else {
            return Err(no_price(request));
        }
        if request.usage.is_some() {
            return Err(Denial::invalid("usage", "a usage", "nothing where the work is not priced by its model"));
        }
        Ok(None)
    }

    /// Puts the extras on the bill: those that are a price, then those that are a factor, each in the order of their names.
    fn extras(&self, request: &EstimateRequest, bill: &mut Bill) -> Result<(), Denial> {
        let mut factors = Vec::new();
        for (name, asked) in &request.extras {
            if matches!(asked, ExtraAsked::Quantity(quantity) if *quantity > MAX_QUANTITY) {
                return Err(Denial::invalid(&format!("extras.{name}"), "a quantity", "a quantity of at most 1000000000"));
            }
            match self.extra(name)?.effect(name.as_str(), asked)? {
                Some(Effect::Add(price, quantity)) => bill.count(LineKind::Extra, name, quantity, price)?,
                Some(Effect::AddByTier(tiers, quantity)) => {
                    for (part, price) in extra::parts(tiers, quantity) {
                        bill.count(LineKind::Extra, name, part, price)?;
                    }
                }
                Some(Effect::Multiply(factor)) => factors.push((name, factor)),
                None => {}
            }
        }
        factors.into_iter().try_for_each(|(name, factor)| bill.multiply(LineKind::Extra, name, factor))
    }
}

/// A sum under way, and the lines that explain it.
struct Bill {
    total: Exact,
    /// The sum of the lines: the total, cut to millionths.
    listed: Amount,
    lines: Vec<LineItem>,
}

impl Default for Bill {
    fn default() -> Bill {
        Bill { total: Exact::ZERO, listed: Amount::ZERO, lines: Vec::with_capacity(8) }
    }
}

impl Bill {
    fn count(&mut self, item: LineKind, name: impl Into<Arc<str>>, quantity: Amount, price: Rate) -> Result<(), Denial> {
        let cost = extra::cost_of(quantity, price).and_then(|cost| self.total.plus(cost));
        self.reach(cost.ok_or_else(out_of_range)?, item, name.into(), Some(quantity), price)
    }

    /// Multiplies all so far. A factor of one has no line.
    fn multiply(&mut self, item: LineKind, name: impl Into<Arc<str>>, factor: Rate) -> Result<(), Denial> {
        if factor == Rate::ONE {
            return Ok(());
        }
        self.reach(self.total.times(factor.exact()).ok_or_else(out_of_range)?, item, name.into(), None, factor)
    }

    fn reach(&mut self, total: Exact, item: LineKind, name: Arc<str>, quantity: Option<Amount>, rate: Rate) -> Result<(), Denial> {
        let listed = total.rounded(Rounding::TO_MICROS).ok_or_else(out_of_range)?;
        let amount = listed.checked_sub(self.listed).ok_or_else(out_of_range)?;
        self.lines.push(LineItem { item, name: Some(name), quantity, rate: Some(rate), amount });
        (self.total, self.listed) = (total, listed);
        Ok(())
    }

    /// Puts what a model is used for on the bill.
    fn count_usage(&mut self, prices: &ModelPrices, request: &EstimateRequest) -> Result<(), Denial> {
        let one = Usage {
            calls: u64::from(prices.per_call.is_some()),
            images: u64::from(prices.per_image.is_some()),
            ..Usage::default()
        };
        let usage = request.usage.as_ref().unwrap_or(&one);
        if request.usage.is_some() && request.quantity != EstimateRequest::default().quantity {
            return Err(Denial::invalid("quantity", request.quantity, "1 where `usage` is given, which counts by itself"));
        }
        if request.usage.is_none() && *usage == Usage::default() {
            return Err(Denial::invalid("usage", "null", "what the model is used for: it has no price for a call or an image"));
        }
        for (name, count, price) in prices.parts(usage).into_iter().filter(|(_, count, _)| !count.is_zero()) {
            let Some(price) = price else {
                return Err(Denial::invalid(&format!("usage.{name}"), count, "0: the model has no price for it"));
            };
            // Without a usage there is one of it, as often as the quantity says.
            let count = if request.usage.is_some() { count } else { request.quantity };
            self.count(LineKind::Base, name, count, price)?;
        }
        Ok(())
    }

    /// The lines, which sum to the rounded cost.
    fn finish(mut self, cost: Amount) -> Result<Vec<LineItem>, Denial> {
        let amount = cost.checked_sub(self.listed).ok_or_else(out_of_range)?;
        if !amount.is_zero() {
            self.lines.push(LineItem { item: LineKind::Rounding, name: None, quantity: None, rate: None, amount });
        }
        Ok(self.lines)
    }
}

fn is_asked(asked: &ExtraAsked) -> bool {
    !matches!(asked, ExtraAsked::Quantity(quantity) if quantity.is_zero())
}

fn out_of_range() -> Denial {
    Denial::new(DenialKind::AmountInvalid, "the cost is out of range, or has too many digits to be worked out exactly")
        .with("field", "estimated_cost")
        .with("allowed", "at most 9223372036854.775807, and factors whose digits are at most 38 together")
}

fn no_price(request: &EstimateRequest) -> Denial {
    const ALLOWED: &str = "a template, scene, model, or unit of an app that has a price";
    if let Some(template_id) = &request.template_id {
        Denial::invalid("template_id", template_id, ALLOWED)
    } else if let Some(scene) = &request.scene {
        Denial::invalid("scene", scene, ALLOWED)
    } else {
        Denial::invalid("template_id", "null", ALLOWED)
    }
}
