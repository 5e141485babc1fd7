//! An embeddable credits engine: grants, holds, charges and refunds on an idempotent, verifiable ledger.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod amount;
pub mod changes;
mod command;
mod credit;
pub mod decide;
mod denial;
mod engine;
mod error;
pub mod facts;
mod id;
pub mod ledger;
mod owner;
mod settle;
pub mod store;
mod surface;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use amount::{AMOUNT_SCALE, Amount};
pub use command::{
    Adjust, AdjustReceipt, AmendGrant, AmendReceipt, Body, CaptureHold, CaptureReceipt, Charge, ChargeReceipt, Command, Context,
    ExtendHold, ExtendReceipt, Fingerprint, GrantCredit, GrantReceipt, HoldReceipt, Metadata, Operate, PlaceHold, Receipt, Refund,
    RefundOf, RefundReceipt, ReleaseHold, ReleaseReceipt, Request, Settle, SettleReceipt, VoidGrant, VoidReceipt,
};
pub use credit::{
    ConsumptionOrder, Criterion, ExpiredRefund, ExplainedGrant, Explanation, Grant, GrantState, GrantTerms, GrantType, Hold,
    HoldState, HoldTerms, LateCommit, MAX_DRAW_GRANTS, MAX_OPEN_GRANTS, MAX_OPEN_HOLDS, MAX_TASK_CHARGES, MAX_TEXT_BYTES,
    OverCapture, Payer, Policies, Scope, TenantPolicy, Unusable, UnusableGrant,
};
pub use denial::{Denial, DenialKind};
pub use engine::{Balance, Engine, EngineBuilder, GroupFailure, SweepReport, Ticket};
pub use error::{Error, Failure};
pub use id::{
    Actor, AppId, AuditId, GrantId, HoldId, IdempotencyKey, LedgerId, MAX_TEXT_ID_BYTES, OpId, Operator, OrganizationId, PolicyTag,
    PriceBasis, RefundId, RequestId, Scene, TaskId, TemplateId, TenantId, Unit, UserId,
};
pub use owner::{AccountKey, Owner};
pub use surface::{CodeLength, ErrorKind, Surface, SurfaceCode, UsedBy};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
