//! Grants, rules and holds, each as it stands.

use std::sync::Arc;

use serde_json::Value;

use super::declare::{answered, asked};
use crate::amount::Amount;
use crate::credit::{Every, Grant, GrantState, GrantType, Hold, HoldState, LateCommit, OverCapture, Recurrence, Rule, Zone};
use crate::id::{
    AppId, AuditId, GrantId, HoldId, LicenceId, PolicyTag, PriceBasis, RuleId, Scene, TaskId, TemplateId, TenantId, Unit, UserId,
};
use crate::ledger::Draw;
use crate::owner::{AccountKey, Owner};
use crate::time::Timestamp;

asked! {
    /// A grant.
    GrantOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The grant.
        grant_id: GrantId,
    }

    /// A hold.
    HoldOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The hold.
        hold_id: HoldId,
    }
}

answered! {
    /// A grant as it stands.
    GrantView {
        /// The grant.
        grant_id: GrantId,
        /// Whose credit it is.
        owner: Owner,
        /// Its unit.
        unit: Unit,
        /// Where the credit comes from.
        #[serde(rename = "type")]
        grant_type: GrantType,
        /// Where it stands.
        state: GrantState,
        /// How much was granted.
        amount: Amount,
        /// What is left of it, without what is held.
        remaining: Amount,
        /// What open holds keep of it.
        held: Amount,
        /// From when it can be spent.
        effective_at: Timestamp,
        /// Until when; none for ever.
        expires_at: Option<Timestamp>,
        /// The only app that it pays for.
        app_id: Option<AppId>,
        /// The only template that it pays for.
        template_id: Option<TemplateId>,
        /// The lower, the sooner it is drawn among those of its type.
        priority: i32,
        /// The grant that it was reissued for.
        reissue_of: Option<GrantId>,
        /// The rule that made it, and in which period.
        recurrence: Option<Recurrence>,
        /// The label of compliance.
        policy_tag: Option<PolicyTag>,
        /// Why, in the caller's words.
        reason: Option<Arc<str>>,
        /// What the host noted.
        metadata: Option<Arc<serde_json::Map<String, Value>>>,
    }

    /// A rule that grants credit period by period, as it stands.
    RuleView {
        /// The rule.
        rule_id: RuleId,
        /// Whose credit it grants.
        owner: Owner,
        /// Its unit.
        unit: Unit,
        /// Where the credit comes from.
        #[serde(rename = "type")]
        grant_type: GrantType,
        /// How much each instance is.
        amount: Amount,
        /// How long a period is.
        every: Every,
        /// From when on periods are counted.
        starts_at: Timestamp,
        /// When it ends; none for never.
        ends_at: Option<Timestamp>,
        /// Where its days and months begin.
        zone: Zone,
        /// How much of the unheld rest goes on for one more period.
        rollover_cap: Amount,
        /// The only app that it pays for.
        app_id: Option<AppId>,
        /// The only template that it pays for.
        template_id: Option<TemplateId>,
        /// The priority of its grants.
        priority: i32,
        /// The number of its next instance, from 0.
        next: u32,
        /// When it makes that.
        next_at: Timestamp,
        /// The label of compliance.
        policy_tag: Option<PolicyTag>,
        /// Why, in the caller's words.
        reason: Option<Arc<str>>,
    }

    /// A hold as it stands.
    HoldView {
        /// The hold; `pre_deduct_id` on the platform.
        hold_id: HoldId,
        /// Whose credit it keeps.
        owner: Owner,
        /// Its unit.
        unit: Unit,
        /// Where it stands.
        state: HoldState,
        /// What was frozen at first.
        amount: Amount,
        /// What it still keeps.
        held: Amount,
        /// What of it was captured.
        captured: Amount,
        /// Which grants it keeps it of, the first drawn first.
        draw: Draw,
        /// When it was made.
        created_at: Timestamp,
        /// Until when it keeps it.
        expires_at: Timestamp,
        /// The work that it pays for.
        task_id: Option<TaskId>,
        /// The template.
        template_id: Option<TemplateId>,
        /// The app.
        app_id: Option<AppId>,
        /// The user who acts.
        user_id: Option<UserId>,
        /// The scene.
        scene: Option<Scene>,
        /// The version of the price list that the amount was worked out from.
        price_basis: Option<PriceBasis>,
        /// The quote that it names.
        quote_id: Option<AuditId>,
        /// The licence of which it reserves a use.
        licence_id: Option<LicenceId>,
        /// What a capture above it does.
        over_capture: OverCapture,
        /// What a capture after its expiry does.
        late_commit: LateCommit,
        /// The label of compliance.
        policy_tag: Option<PolicyTag>,
    }
}

impl GrantView {
    pub(super) fn of(account: &AccountKey, grant: &Grant) -> GrantView {
        let terms = &*grant.terms;
        GrantView {
            grant_id: grant.id,
            owner: account.owner.clone(),
            unit: account.unit.clone(),
            grant_type: terms.grant_type,
            state: grant.state,
            amount: terms.amount,
            remaining: grant.remaining,
            held: grant.held,
            effective_at: terms.effective_at,
            expires_at: grant.expires_at,
            app_id: terms.scope.app_id.clone(),
            template_id: terms.scope.template_id.clone(),
            priority: terms.priority,
            reissue_of: terms.reissue_of,
            recurrence: terms.recurrence,
            policy_tag: terms.policy_tag.clone(),
            reason: terms.reason.clone(),
            metadata: terms.metadata.clone(),
        }
    }
}

impl HoldView {
    pub(super) fn of(account: &AccountKey, hold: &Hold) -> HoldView {
        let terms = &*hold.terms;
        HoldView {
            hold_id: hold.id,
            owner: account.owner.clone(),
            unit: account.unit.clone(),
            state: hold.state,
            amount: terms.amount,
            held: hold.held(),
            captured: hold.captured,
            draw: hold.draw.clone(),
            created_at: terms.created_at,
            expires_at: hold.expires_at,
            task_id: terms.task_id.clone(),
            template_id: terms.template_id.clone(),
            app_id: terms.app_id.clone(),
            user_id: terms.user_id.clone(),
            scene: terms.scene.clone(),
            price_basis: terms.price_basis.clone(),
            quote_id: terms.quote_id,
            licence_id: terms.licence_id.clone(),
            over_capture: terms.over_capture,
            late_commit: terms.late_commit,
            policy_tag: terms.policy_tag.clone(),
        }
    }
}

impl RuleView {
    pub(super) fn of(account: &AccountKey, rule: &Rule) -> RuleView {
        let terms = &*rule.terms;
        RuleView {
            rule_id: rule.id,
            owner: account.owner.clone(),
            unit: account.unit.clone(),
            grant_type: terms.grant_type,
            amount: terms.amount,
            every: terms.every,
            starts_at: terms.starts_at,
            ends_at: terms.ends_at,
            zone: terms.zone,
            rollover_cap: terms.rollover_cap,
            app_id: terms.scope.app_id.clone(),
            template_id: terms.scope.template_id.clone(),
            priority: terms.priority,
            next: rule.next,
            next_at: rule.next_at,
            policy_tag: terms.policy_tag.clone(),
            reason: terms.reason.clone(),
        }
    }
}
