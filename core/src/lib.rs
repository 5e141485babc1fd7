//! An embeddable credits engine: grants, holds, charges and refunds on an idempotent, verifiable ledger.
//!
//! The engine runs inside your process and keeps its books in a SQLite file, or in memory. Every command takes effect at most
//! once under its key, never spends what is neither there nor agreed as a credit limit, and leaves entries that can be verified.
//!
//! ```
//! use drawdown::{AccountKey, CaptureHold, Context, Engine, GrantCredit, GrantType, Owner, PlaceHold};
//!
//! let engine = Engine::in_memory(); // or Engine::open("sqlite://credits.db")?
//! let acme = Context::tenant("acme")?;
//! let user = Owner::user("u1")?;
//!
//! // Credit is given under a key: however often this is sent, it is given once.
//! let welcome = acme.key("welcome-u1")?.request(GrantCredit::new(user.clone(), GrantType::NewUser, "100".parse()?));
//! engine.execute(welcome.clone())?;
//! assert!(engine.execute(welcome)?.idempotent_replay);
//!
//! // Work is paid for in two steps: what it can cost at most is frozen, what it did cost is captured.
//! let hold = engine.execute(acme.request(PlaceHold::new(user.clone(), "30".parse()?)))?;
//! engine.execute(acme.request(CaptureHold::new(hold.hold_id, "12.5".parse()?)))?;
//! let account = AccountKey::new("acme".parse()?, user.clone(), "credit".parse()?);
//! assert_eq!(engine.balance(&account)?.available.to_string(), "87.5");
//!
//! // A refusal is a value: a stable name, what was needed, and what there was.
//! let refused = engine.execute(acme.request(PlaceHold::new(user, "90".parse()?))).unwrap_err();
//! let denial = refused.denial().unwrap();
//! assert_eq!((denial.name(), denial.details()["available"].as_str()), ("insufficient_balance", Some("87.5")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The words
//! An **account** is a tenant, an owner (a user, an organization, the tenant's pool) and a unit. Its credit comes in **grants**,
//! each with its own type, scope and expiry, drawn in one total order that [`Engine::explain`] shows. A **hold** freezes an
//! amount of exact grants; a **capture** consumes it, a **release** gives it back, and so does the passing of its time. A **task**
//! is the work that a hold pays for: accepted with it, running while its progress is told, completed or failed with its end. An
//! accepted command is an **operation** of one account (or of none, where it is about who may spend), and its lines in the
//! ledger are **entries**. A **denial** is a refusal by the rules ([`DenialKind`] lists them in order of precedence), an
//! **error** a failure of the machinery ([`Error`]).
//!
//! # The way through
//! 1. A [`Command`] is checked as it stands, and gets the id that it takes effect under, however often it is tried.
//! 2. It runs in place when nobody else is writing; else it queues, and what has queued by the commit is committed together, up to
//!    256 at a time. [`Engine::submit`] answers with a [`Ticket`], to wait for or to await.
//! 3. A [`store`] locks what the commands need and loads the [`facts`].
//! 4. [`decide`] is a pure function from a command and facts to [`changes`] or a [`Denial`]: no clock, no randomness, no I/O.
//! 5. The store commits the changes of the batch, all or nothing.
//! 6. The receipt is computed from what was booked, the first time as on every replay.
//!
//! # Time
//! Credit expires, and holds lapse, when their time comes, not when a job runs: reads settle in the answer, commands before
//! they decide, and [`Engine::sweep`] books it for accounts that nobody writes to. The clock is an argument
//! ([`EngineBuilder::clock`]), so a test can set it.
//!
//! # Prices
//! A [`pricing::PriceBook`] says what work costs, from an instant on; [`Engine::estimate`] answers by the one in force, with what an
//! account lacks to pay it. It is a pure function of the book: an old version works out an old estimate again.
//!
//! # Risk
//! A [`RiskPolicy`] says how much, how often and how fast one may spend in an app. Who goes beyond is refused, with the instant from
//! which it is allowed again, and whether a second verification helps ([`Context::verified`]).
//!
//! # Amounts
//! An [`Amount`] is an exact count of millionths. It is read from text or integers, never from a float, and never rounded.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod amount;
pub mod audit;
pub mod call;
pub mod changes;
mod command;
mod credit;
pub mod decide;
mod denial;
mod digits;
mod engine;
mod error;
pub mod event;
pub mod facts;
mod id;
pub mod ledger;
mod licence;
mod map;
mod owner;
mod pairs;
pub mod pricing;
mod recording;
mod risk;
#[cfg(feature = "schema")]
pub mod schema;
mod settle;
pub mod store;
mod surface;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use amount::{AMOUNT_SCALE, Amount};
pub use audit::{Caller, Quote};
pub use command::{
    Adjust, AdjustReceipt, AdvanceTask, AmendGrant, AmendReceipt, Block, BlockReceipt, BlockTarget, BlockedAccount, Body,
    CaptureHold, CaptureReceipt, Charge, ChargeReceipt, Command, CompleteTask, Context, CreditLimitReceipt, EraseText,
    EraseTextReceipt, ExtendHold, ExtendReceipt, FailTask, Fingerprint, Given, GrantCredit, GrantReceipt, HoldReceipt,
    ImportBalance, ImportReceipt, LicenceReceipt, LowBalanceReceipt, MemberReceipt, Metadata, Operate, PlaceHold, Receipt,
    RecurGrant, RecurReceipt, Refund, RefundOf, RefundReceipt, ReleaseHold, ReleaseReceipt, RemoveMember, Request, RevokeLicence,
    SetCreditLimit, SetLicence, SetLowBalance, SetMember, Settle, SettleReceipt, StopRule, StopRuleReceipt, SubmitDocuments,
    TaskReceipt, Unblock, VoidGrant, VoidReceipt, legacy_balance,
};
pub use credit::{
    Band, Blocked, ConsumptionOrder, Criterion, Debt, Every, ExpiredRefund, ExplainedGrant, Explanation, Grant, GrantState,
    GrantTerms, GrantType, Hold, HoldState, HoldTerms, LateCommit, LimitPeriod, LowBalance, MAX_DRAW_GRANTS, MAX_OPEN_GRANTS,
    MAX_OPEN_HOLDS, MAX_RULES, MAX_TASK_CHARGES, MAX_TEXT_BYTES, Member, MemberLimit, Membership, OverCapture, Payer, PeriodUse,
    Policies, Recurrence, Role, Rule, RuleState, RuleTerms, Scope, Standing, TenantPolicy, Unusable, UnusableGrant, Zone,
};
pub use denial::{Denial, DenialKind};
pub use engine::{
    Balance, CommandStats, Distribution, Engine, EngineBuilder, EngineStats, EraseReport, EventTicket, ForgetReport, GroupFailure,
    Health, HealthReason, HealthStatus, LicencePage, MemberPage, MemberUse, SweepReport, TaskPage, Ticket,
};
#[cfg(feature = "sqlite")]
pub use engine::{Joined, Pending};
pub use error::{Error, Failure};
pub use id::{
    Actor, AppId, AuditId, ConsumerName, DocumentId, EventId, ExtraName, GrantId, HoldId, IdempotencyKey, LedgerId, LicenceId,
    MAX_TEXT_ID_BYTES, ModelId, OpId, Operator, OrganizationId, PolicyTag, PriceBasis, RefundId, RequestId, RuleId, Scene,
    SessionId, Stage, TaskId, TemplateId, TenantId, Unit, UsageUnit, UserId,
};
pub use licence::{
    Channel, DayUse, Licence, LicenceCheck, LicenceKey, LicenceRows, LicenceTerms, LicenceUse, LicenceView, MAX_DOCUMENTS,
    MAX_LICENCES, QuotaSnapshot, ReasonCode, TemplateKey, check_licence,
};
pub use owner::{AccountKey, MemberKey, Owner, Subject};
pub use recording::Recording;
pub use risk::{
    Arrival, Counted, MAX_VELOCITY_RULES, MAX_WINDOW_SECONDS, RequestLimits, RiskControls, RiskCount, RiskFacts, RiskKey,
    RiskPolicy, RiskRows, RiskUse, Spender, Spent, Velocity, VelocityUse,
};
#[cfg(feature = "sqlite")]
/// The version of `rusqlite` whose transactions an engine joins.
pub use rusqlite;
pub use surface::{CodeLength, ErrorKind, Surface, SurfaceCode, UsedBy};
pub use task::{TaskCursor, TaskStatus, TaskStep, TaskView, TaskWork, steps_of};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};

/// The page about prices, whose code is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/pricing.md")]
struct PricingPage;

/// The front page of the repository, whose code is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;
