//! A hold: an amount frozen against exact grants until it is captured, released or expires.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::whole_terms::TermsWithText;
use crate::amount::Amount;
use crate::id::{AppId, AuditId, HoldId, LicenceId, PolicyTag, PriceBasis, Scene, TaskId, TemplateId, UserId};
use crate::ledger::Draw;
use crate::risk::Spender;
use crate::time::Timestamp;

named_enum! {
    /// Where a hold stands. A frozen hold past its expiry reads as expired, booked or not.
    HoldState {
        /// Open: its amount is frozen.
        Frozen = "frozen",
        /// Captured for good.
        Committed = "committed",
        /// Released for good.
        Cancelled = "cancelled",
        /// Released by the passing of its time.
        Expired = "expired",
    }
}

named_enum! {
    /// What a capture above the hold does.
    #[derive(Default)]
    OverCapture {
        /// It is denied.
        #[default]
        Reject = "reject",
        /// The excess comes from the balance, in the normal order.
        Draw = "draw",
    }
}

named_enum! {
    /// What a commit after the expiry does.
    #[derive(Default)]
    LateCommit {
        /// It is denied.
        #[default]
        Reject = "reject",
        /// It draws afresh from the balance, in the normal order.
        Draw = "draw",
    }
}

/// What was agreed when the hold was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldTerms {
    /// How much was frozen at first.
    pub amount: Amount,
    /// The task that it pays for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The template that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<TemplateId>,
    /// The app that is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<AppId>,
    /// The user who acts; none once it was erased. Not in the hashed terms of an entry: there it is text, hashed apart.
    #[serde(skip)]
    pub user_id: Option<UserId>,
    /// The scene.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<Scene>,
    /// The version of the price list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_basis: Option<PriceBasis>,
    /// The quote that it was made by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_id: Option<AuditId>,
    /// The label of compliance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_tag: Option<PolicyTag>,
    /// The licence of which it reserves a use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_id: Option<LicenceId>,
    /// Whom risk controls count it for; none where they count nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_for: Option<Spender>,
    /// What a capture above the hold does.
    #[serde(default)]
    pub over_capture: OverCapture,
    /// What a commit after the expiry does.
    #[serde(default)]
    pub late_commit: LateCommit,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The text of a hold that is hashed apart.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldText {
    user_id: Option<UserId>,
}

impl TermsWithText for HoldTerms {
    type Text = HoldText;

    fn text(&self) -> HoldText {
        HoldText { user_id: self.user_id.clone() }
    }

    fn with_text(self, text: HoldText) -> HoldTerms {
        HoldTerms { user_id: text.user_id, ..self }
    }
}

/// A hold as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Its name.
    pub id: HoldId,
    /// What was agreed.
    #[serde(with = "super::whole_terms")]
    pub terms: Arc<HoldTerms>,
    /// Where it stands, as booked.
    pub state: HoldState,
    /// Until when the amount is frozen. Can be moved later.
    pub expires_at: Timestamp,
    /// What is frozen now, grant by grant in the order in which it was drawn. Its sum is the frozen amount.
    pub draw: Draw,
    /// What was captured so far.
    pub captured: Amount,
}

impl Hold {
    /// Where it stands at this instant, settled or not.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> HoldState {
        if self.state == HoldState::Frozen && self.expires_at <= now { HoldState::Expired } else { self.state }
    }

    /// What is frozen now.
    #[must_use]
    pub fn held(&self) -> Amount {
        self.draw.total()
    }
}
