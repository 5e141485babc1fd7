//! Answers that are put together for whoever reads them outside of this crate: flat, with every field of the rule that they tell of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::amount::Amount;
use crate::audit::{AuditOutcome, AuditPage, AuditPlace, Audited};
use crate::credit::{Every, Grant, GrantState, GrantType, Hold, HoldState, LateCommit, OverCapture, Recurrence, Rule, Zone};
use crate::engine::{Engine, SweepReport};
use crate::error::{Error, Failure};
use crate::event::{BalanceCrossed, ComplianceAlert, CreditsUpdated, Event, EventCursor, EventData, EventKind, EventPage};
use crate::id::{
    Actor, AppId, AuditId, EventId, GrantId, HoldId, IdempotencyKey, LedgerId, LicenceId, OpId, PolicyTag, PriceBasis, RequestId,
    RuleId, Scene, TaskId, TemplateId, TenantId, Unit, UserId,
};
use crate::ledger::export::{LinePage, export};
use crate::ledger::{Draw, EntryQuery, OperationKind, StatementFormat, StatementLine, StoredOperation};
use crate::owner::{AccountKey, Owner, Subject};
use crate::pricing::PriceBook;
use crate::task::TaskStep;
use crate::time::Timestamp;

/// Declares an answer: one field each with what it means.
macro_rules! answered {
    ($( $(#[doc = $doc:literal])+ $name:ident { $( $(#[$meta:meta])+ $field:ident: $ty:ty, )* } )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub struct $name { $( $(#[$meta])+ pub $field: $ty, )* }
    )+ };
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

    /// An accepted command, as it stands in the books.
    OperationView {
        /// The operation.
        op_id: OpId,
        /// Which command it was.
        kind: OperationKind,
        /// Whose account it booked in; none of one that is about none.
        owner: Option<Owner>,
        /// The unit of that account.
        unit: Option<Unit>,
        /// Whom it is about, where it books in no account.
        subject: Option<Subject>,
        /// Under which key it was sent.
        idempotency_key: Option<IdempotencyKey>,
        /// On whose behalf.
        actor: Option<Actor>,
        /// With which request.
        request_id: Option<RequestId>,
        /// The label of compliance.
        policy_tag: Option<PolicyTag>,
        /// When it was booked.
        created_at: Timestamp,
        /// The audit record.
        audit_id: AuditId,
        /// What a refund gave back of it so far.
        refunded: Amount,
        /// Its entries, in order.
        entries: Vec<StatementLine>,
    }

    /// A page of entries.
    EntriesPage {
        /// The entries, in the order asked for.
        entries: Vec<StatementLine>,
        /// Where the next page begins; none at the end.
        next_cursor: Option<LedgerId>,
    }

    /// A page of a statement.
    StatementPage {
        /// The lines.
        text: String,
        /// How many entries they tell of.
        entries: u64,
        /// Where the next page begins; none at the end.
        next_cursor: Option<LedgerId>,
    }

    /// Something that happened. One of `credits`, `balance`, `alert` and `task` is there, by its kind.
    EventView {
        /// The event.
        event_id: EventId,
        /// The cursor after which the next begins.
        cursor: EventCursor,
        /// The tenant.
        tenant_id: TenantId,
        /// What happened.
        kind: EventKind,
        /// When.
        ts: Timestamp,
        /// Whose account it is about.
        owner: Option<Owner>,
        /// The unit of that account.
        unit: Option<Unit>,
        /// The user whom it is about.
        user_id: Option<UserId>,
        /// The task that it is about.
        task_id: Option<TaskId>,
        /// Of `credits.updated`: what was booked.
        credits: Option<CreditsUpdated>,
        /// Of `balance.low` and `balance.recovered`: what is there now.
        balance: Option<BalanceCrossed>,
        /// Of `compliance.alert`: what was noticed.
        alert: Option<ComplianceAlert>,
        /// Of `task.*`: the step.
        task: Option<TaskStep>,
    }

    /// A page of events.
    EventsPage {
        /// The events, in order.
        events: Vec<EventView>,
        /// The cursor after which the next page begins.
        next: EventCursor,
        /// Whether there are more now.
        more: bool,
    }

    /// How far a reader of events has come.
    Position {
        /// The cursor after which it goes on; none if it never said.
        cursor: Option<EventCursor>,
    }

    /// A record of the audit: what was asked and answered, or an operation.
    AuditRecordView {
        /// The record.
        audit_id: AuditId,
        /// What it is about, in a word: `estimate`, `quote`, `licence_check` and the others, or that of an operation.
        kind: Arc<str>,
        /// How it ended.
        outcome: AuditOutcome,
        /// Why, in a word.
        reason_code: Option<Arc<str>>,
        /// Whom it is about.
        subject: Option<Subject>,
        /// The template.
        template_id: Option<TemplateId>,
        /// On whose behalf it was asked.
        actor: Option<Actor>,
        /// With which request.
        request_id: Option<RequestId>,
        /// The label of compliance.
        policy_tag: Option<PolicyTag>,
        /// When.
        created_at: Timestamp,
        /// How often the same was refused in that minute; 1 of anything else.
        count: u64,
        /// What was asked and answered; none of an operation, whose entries say it.
        details: Option<Value>,
    }

    /// A page of the audit.
    AuditRecordPage {
        /// The records, in the order asked for.
        records: Vec<AuditRecordView>,
        /// Where the next page begins; none at the end.
        next_cursor: Option<AuditPlace>,
    }

    /// The trailing writer of the audit has nothing left.
    Flushed {
        /// Always true: what could not be written is an error.
        flushed: bool,
    }

    /// What a sweep did.
    SweepView {
        /// Accounts that were settled.
        accounts: usize,
        /// Entries that were booked.
        entries: usize,
        /// Accounts whose own books cannot be settled; they count towards the limit.
        failed: Vec<FailedAccount>,
        /// Whether other accounts are due still.
        more_due: bool,
    }

    /// An account whose own books cannot be settled.
    FailedAccount {
        /// The account.
        account: AccountKey,
        /// Why.
        message: String,
    }

    /// A price book.
    PriceBookView {
        /// Its version.
        version: String,
        /// What its estimates name as their basis.
        calculation_basis: PriceBasis,
        /// From when on it is in force.
        effective_at: Timestamp,
        /// The unit of its prices.
        unit: Unit,
        /// All of it.
        book: Value,
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

impl OperationView {
    pub(super) fn of(stored: &StoredOperation) -> OperationView {
        let operation = &stored.operation;
        OperationView {
            op_id: operation.op_id,
            kind: operation.kind,
            owner: operation.account.as_ref().map(|account| account.owner.clone()),
            unit: operation.account.as_ref().map(|account| account.unit.clone()),
            subject: operation.subject.clone(),
            idempotency_key: operation.key.clone(),
            actor: operation.actor.clone(),
            request_id: operation.request_id.clone(),
            policy_tag: operation.policy_tag.clone(),
            created_at: operation.created_at,
            audit_id: operation.audit_id(),
            refunded: operation.refunded,
            entries: stored.entries.iter().map(|entry| StatementLine::new(entry, operation.policy_tag.clone())).collect(),
        }
    }
}

impl EntriesPage {
    pub(super) fn of(page: LinePage) -> EntriesPage {
        EntriesPage { entries: page.lines, next_cursor: page.next_cursor }
    }
}

impl StatementPage {
    /// Writes one page; the header stands on the first, which begins without a cursor.
    pub(super) fn write(query: EntryQuery, format: StatementFormat, engine: &Engine) -> Result<StatementPage, Failure> {
        let (is_first, mut next_cursor, mut text) = (query.cursor.is_none(), None, Vec::new());
        let entries = export(query, format, &mut text, |query| {
            let page = engine.lines(query)?;
            next_cursor = page.next_cursor;
            Ok(LinePage { next_cursor: None, ..page })
        })?;
        let text = String::from_utf8(text).map_err(|error| Error::Output(error.to_string()))?;
        let rest =
            if is_first || format != StatementFormat::Csv { None } else { text.split_once('\n').map(|(_, rest)| rest.to_owned()) };
        Ok(StatementPage { text: rest.unwrap_or(text), entries, next_cursor })
    }
}

impl EventView {
    fn of(event: Event) -> EventView {
        let Event { event_id, cursor, tenant_id, kind, subject, data, ts } = event;
        let (mut credits, mut balance, mut alert, mut task) = (None, None, None, None);
        match data {
            EventData::Credits(updated) => credits = Some(updated),
            EventData::Balance(crossed) => balance = Some(crossed),
            EventData::Alert(noticed) => alert = Some(noticed),
            EventData::Task(step) => task = Some(step),
        }
        let (owner, unit, user_id, task_id) = (subject.owner, subject.unit, subject.user_id, subject.task_id);
        EventView { event_id, cursor, tenant_id, kind, ts, owner, unit, user_id, task_id, credits, balance, alert, task }
    }
}

impl EventsPage {
    /// The page as bindings show it.
    #[must_use]
    pub fn of(page: EventPage) -> EventsPage {
        EventsPage { events: page.events.into_iter().map(EventView::of).collect(), next: page.next, more: page.more }
    }
}

impl AuditRecordView {
    fn of(audited: &Audited) -> AuditRecordView {
        let view = AuditRecordView {
            audit_id: audited.audit_id(),
            kind: audited.kind().into(),
            outcome: audited.outcome(),
            reason_code: None,
            subject: audited.subject(),
            template_id: None,
            actor: audited.actor().cloned(),
            request_id: None,
            policy_tag: None,
            created_at: audited.created_at(),
            count: 1,
            details: None,
        };
        match audited {
            Audited::Operation(operation) => {
                AuditRecordView { request_id: operation.request_id.clone(), policy_tag: operation.policy_tag.clone(), ..view }
            }
            Audited::Record(record) => AuditRecordView {
                reason_code: record.reason_code.clone(),
                template_id: record.template_id.clone(),
                request_id: record.request_id.clone(),
                policy_tag: record.policy_tag.clone(),
                count: record.count,
                details: serde_json::from_str(&record.details).ok(),
                ..view
            },
        }
    }
}

impl AuditRecordPage {
    pub(super) fn of(page: AuditPage) -> AuditRecordPage {
        let records = page.audited.iter().map(|(_, audited)| AuditRecordView::of(audited)).collect();
        AuditRecordPage { records, next_cursor: page.next_cursor }
    }
}

impl SweepView {
    pub(super) fn of(report: SweepReport) -> SweepView {
        let SweepReport { accounts, entries, failed, more_due } = report;
        let failed = failed.into_iter().map(|(account, message)| FailedAccount { account, message }).collect();
        SweepView { accounts, entries, failed, more_due }
    }
}

impl PriceBookView {
    pub(super) fn of(book: &PriceBook) -> PriceBookView {
        PriceBookView {
            version: book.version().to_owned(),
            calculation_basis: book.basis().clone(),
            effective_at: book.effective_at(),
            unit: book.unit().clone(),
            book: serde_json::from_str(&book.to_json()).unwrap_or_default(),
        }
    }
}
