//! What is asked in each call.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answered::StatementPage;
use crate::amount::Amount;
use crate::audit::{AuditFilter, AuditOutcome, AuditPlace, AuditQuery, Caller};
use crate::command::{Given, paying_account, read_fields, read_given};
use crate::denial::Denial;
use crate::engine::Engine;
use crate::error::Failure;
use crate::event::{Consumer, EventCursor, EventFilter, EventKind, EventQuery, Start};
use crate::id::{
    Actor, AppId, AuditId, ConsumerName, GrantId, HoldId, IdempotencyKey, LedgerId, LicenceId, OrganizationId, RequestId,
    SessionId, TaskId, TemplateId, TenantId, Unit, UserId,
};
use crate::ledger::{Checkpoint, EntryFilter, EntryKind, EntryQuery, EntryScope, PageOrder, StatementFormat};
use crate::licence::{Channel, TemplateKey};
use crate::owner::{AccountKey, Owner, Subject};
use crate::pricing::{EstimateRequest, PriceBook};
use crate::risk::RiskKey;
use crate::task::TaskCursor;
use crate::time::Timestamp;

/// How many answers a page has that does not say.
const PAGE: usize = 50;

const fn page() -> usize {
    PAGE
}

/// Declares what a call asks for: one field each with what it means; `= value` after a type is its default.
macro_rules! asked {
    ($( $(#[doc = $doc:literal])+ $name:ident { $( $(#[$meta:meta])+ $field:ident: $ty:ty, )* } )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct $name { $( $(#[$meta])+ pub $field: $ty, )* }
    )+ };
}

asked! {
    /// Nothing has to be said.
    NoFields {}

    /// A tenant.
    OfTenant {
        /// The tenant.
        tenant_id: TenantId,
    }

    /// An account.
    OfAccount {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns it.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
    }

    /// An account at an instant.
    OfAccountAt {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns it.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// The instant, in the past or to come; now if none.
        #[serde(default)]
        at: Option<Timestamp>,
    }

    /// An account, and who acts.
    OfAccountBy {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns it.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// The user who acts.
        #[serde(default)]
        user_id: Option<UserId>,
    }

    /// An amount to be drawn from an account.
    ExplainFor {
        /// The tenant.
        tenant_id: TenantId,
        /// Who owns the account.
        owner: Owner,
        /// Its unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// How much.
        amount: Amount,
        /// The app that it is for.
        #[serde(default)]
        app_id: Option<AppId>,
        /// The template that it is for.
        #[serde(default)]
        template_id: Option<TemplateId>,
    }

    /// A hold.
    HoldOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The hold.
        hold_id: HoldId,
    }

    /// A grant.
    GrantOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The grant.
        grant_id: GrantId,
    }

    /// An idempotency key.
    OperationOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The key.
        idempotency_key: IdempotencyKey,
    }

    /// Entries: of an account where an owner is named, of a task where one is, of both where both are, else of the tenant.
    EntriesOf {
        /// The tenant.
        tenant_id: TenantId,
        /// Those of this owner's account.
        #[serde(default)]
        owner: Option<Owner>,
        /// The unit of the account; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// Those of this task.
        #[serde(default)]
        task_id: Option<TaskId>,
        /// Only of this kind.
        #[serde(default)]
        kind: Option<EntryKind>,
        /// Only for this app.
        #[serde(default)]
        app_id: Option<AppId>,
        /// Only by this user.
        #[serde(default)]
        user_id: Option<UserId>,
        /// Only booked at this instant or later.
        #[serde(default)]
        from: Option<Timestamp>,
        /// Only booked before this instant.
        #[serde(default)]
        to: Option<Timestamp>,
        /// The newest first, or the oldest.
        #[serde(default)]
        order: PageOrder,
        /// Goes on where this page ended: its `next_cursor`.
        #[serde(default)]
        cursor: Option<LedgerId>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// Entries of an account, or of a tenant where no owner is named, as a person or a spreadsheet reads them.
    StatementOf {
        /// The tenant.
        tenant_id: TenantId,
        /// Those of this owner's account.
        #[serde(default)]
        owner: Option<Owner>,
        /// The unit of the account; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
        /// How they are written; the header of CSV stands on the first page.
        format: StatementFormat,
        /// Only booked at this instant or later.
        #[serde(default)]
        from: Option<Timestamp>,
        /// Only booked before this instant.
        #[serde(default)]
        to: Option<Timestamp>,
        /// The newest first, or the oldest.
        #[serde(default)]
        order: PageOrder,
        /// Goes on where this page ended: its `next_cursor`.
        #[serde(default)]
        cursor: Option<LedgerId>,
        /// How many lines at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// How a licence is to be used.
    CheckLicenceFor {
        /// The tenant.
        tenant_id: TenantId,
        /// The template.
        template_id: TemplateId,
        /// Who uses it.
        #[serde(default)]
        user_id: Option<UserId>,
        /// By which way; any if none.
        #[serde(default)]
        channel: Option<Channel>,
        /// The session, for the audit.
        #[serde(default)]
        session_id: Option<SessionId>,
        /// On whose behalf it is asked, for the audit.
        #[serde(default)]
        actor: Option<Actor>,
        /// The request that it comes with, for the audit.
        #[serde(default)]
        request_id: Option<RequestId>,
    }

    /// A licence.
    LicenceOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The licence.
        licence_id: LicenceId,
    }

    /// Licences of a tenant.
    LicencesOf {
        /// The tenant.
        tenant_id: TenantId,
        /// Only for this template.
        #[serde(default)]
        template_id: Option<TemplateId>,
        /// Goes on after this licence.
        #[serde(default)]
        after: Option<LicenceId>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// Members of an organization.
    MembersOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The organization.
        organization_id: OrganizationId,
        /// Goes on after this user.
        #[serde(default)]
        after: Option<UserId>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// A member of an organization.
    MemberOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The organization.
        organization_id: OrganizationId,
        /// The user.
        user_id: UserId,
    }

    /// Whose spending is counted.
    SpentBy {
        /// The tenant.
        tenant_id: TenantId,
        /// The user who acts; where nobody is named, the owner of the account that pays.
        spender: Owner,
        /// The app; if none, work for no app.
        #[serde(default)]
        app_id: Option<AppId>,
        /// The unit; if none the one of the tenant's policy.
        #[serde(default)]
        unit: Option<Unit>,
    }

    /// A task.
    TaskOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The task.
        task_id: TaskId,
    }

    /// Steps of a task.
    StepsOf {
        /// The tenant.
        tenant_id: TenantId,
        /// The task.
        task_id: TaskId,
        /// Goes on after this step: its `cursor`.
        #[serde(default)]
        after: Option<TaskCursor>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// Events.
    EventsOf {
        /// Only of this tenant; of all if none.
        #[serde(default)]
        tenant_id: Option<TenantId>,
        /// Goes on after this cursor.
        #[serde(default)]
        after: Option<EventCursor>,
        /// Where to begin without a cursor.
        #[serde(default)]
        from: Start,
        /// Only of these kinds; of all if none is named.
        #[serde(default)]
        kinds: BTreeSet<EventKind>,
        /// Only about this owner's accounts.
        #[serde(default)]
        owner: Option<Owner>,
        /// Only about this user.
        #[serde(default)]
        user_id: Option<UserId>,
        /// Only about this task.
        #[serde(default)]
        task_id: Option<TaskId>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// A reader of events.
    ConsumerOf {
        /// Its tenant; none for one of the host, which reads those of all.
        #[serde(default)]
        tenant_id: Option<TenantId>,
        /// Its name.
        name: ConsumerName,
    }

    /// How far a reader of events has come.
    AcknowledgeUpTo {
        /// Its tenant; none for one of the host, which reads those of all.
        #[serde(default)]
        tenant_id: Option<TenantId>,
        /// Its name.
        name: ConsumerName,
        /// The cursor after which it goes on.
        cursor: EventCursor,
    }

    /// Records of the audit.
    AuditOf {
        /// The tenant.
        tenant_id: TenantId,
        /// Only this one.
        #[serde(default)]
        audit_id: Option<AuditId>,
        /// Only on behalf of this actor.
        #[serde(default)]
        actor: Option<Actor>,
        /// Only with this outcome.
        #[serde(default)]
        outcome: Option<AuditOutcome>,
        /// Only of this kind: `estimate`, `quote`, `licence_check` and the others, or that of an operation.
        #[serde(default)]
        kind: Option<std::sync::Arc<str>>,
        /// Only about this: `tenant`, `user:<id>`, `organization:<id>`, `licence:<id>` or `task:<id>`.
        #[serde(default)]
        subject: Option<Subject>,
        /// Only at this instant or later.
        #[serde(default)]
        from: Option<Timestamp>,
        /// Only before this instant.
        #[serde(default)]
        to: Option<Timestamp>,
        /// The newest first, or the oldest.
        #[serde(default)]
        order: PageOrder,
        /// Goes on where this page ended: its `next_cursor`.
        #[serde(default)]
        cursor: Option<AuditPlace>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// Accounts, in order.
    AccountsAfter {
        /// Goes on after this account.
        #[serde(default)]
        after: Option<AccountKey>,
        /// How many at most: 1 to 1,000.
        #[serde(default = "page")]
        limit: usize,
    }

    /// A checkpoint.
    VerifyFrom {
        /// As it was taken.
        checkpoint: Checkpoint,
    }

    /// How much is done at once.
    UpTo {
        /// In how many accounts at most.
        #[serde(default = "page")]
        limit: usize,
    }

    /// How much is done at once, and from where.
    UpToFrom {
        /// After this position: that of the last report, 0 at the beginning.
        #[serde(default)]
        after: u64,
        /// How many operations are looked at, at most.
        #[serde(default = "page")]
        limit: usize,
    }

    /// A price book as text.
    PriceBookText {
        /// YAML or JSON, at most 1 MiB.
        text: String,
    }
}

fn account_of(engine: &Engine, tenant_id: &TenantId, owner: &Owner, unit: Option<&Unit>) -> AccountKey {
    let unit = unit.unwrap_or(&engine.policy(tenant_id).unit).clone();
    AccountKey::new(tenant_id.clone(), owner.clone(), unit)
}

macro_rules! names_an_account {
    ($($asked:ty),+) => {$(
        impl $asked {
            /// The account, in the unit that the tenant's policy says where none is named.
            #[must_use]
            pub fn account(&self, engine: &Engine) -> AccountKey {
                account_of(engine, &self.tenant_id, &self.owner, self.unit.as_ref())
            }
        }
    )+};
}

names_an_account!(OfAccount, OfAccountAt, OfAccountBy, ExplainFor);

impl EntriesOf {
    /// The same for [`Engine::entries`].
    #[must_use]
    pub fn query(&self, engine: &Engine) -> EntryQuery {
        let tenant_id = self.tenant_id.clone();
        let scope = match (&self.owner, &self.task_id) {
            (_, Some(task_id)) => EntryScope::Task(tenant_id, task_id.clone()),
            (Some(owner), None) => EntryScope::Account(account_of(engine, &tenant_id, owner, self.unit.as_ref())),
            (None, None) => EntryScope::Tenant(tenant_id),
        };
        let filter = EntryFilter {
            owner: self.owner.clone().filter(|_| self.task_id.is_some()),
            unit: self.unit.clone(),
            kind: self.kind,
            app_id: self.app_id.clone(),
            user_id: self.user_id.clone(),
            from: self.from,
            to: self.to,
        };
        EntryQuery { scope, filter, order: self.order, cursor: self.cursor, limit: self.limit }
    }
}

impl StatementOf {
    pub(super) fn page(self, engine: &Engine) -> Result<StatementPage, Failure> {
        let StatementOf { tenant_id, owner, unit, format, from, to, order, cursor, limit } = self;
        let (task_id, kind, app_id, user_id) = (None, None, None, None);
        let entries = EntriesOf { tenant_id, owner, unit, task_id, kind, app_id, user_id, from, to, order, cursor, limit };
        StatementPage::write(entries.query(engine), format, engine)
    }
}

impl CheckLicenceFor {
    pub(super) fn template(&self) -> TemplateKey {
        TemplateKey::new(self.tenant_id.clone(), self.template_id.clone(), self.user_id.clone())
    }

    pub(super) fn caller(&self) -> Caller {
        let CheckLicenceFor { actor, request_id, session_id, .. } = self.clone();
        Caller { actor, request_id, session_id }
    }
}

impl SpentBy {
    pub(super) fn key(&self, engine: &Engine) -> RiskKey {
        let account = account_of(engine, &self.tenant_id, &self.spender, self.unit.as_ref());
        RiskKey::of_work(&account, None, self.app_id.as_ref())
    }
}

impl EventsOf {
    /// The same for [`Engine::events`] and [`Engine::await_events`].
    #[must_use]
    pub fn query(self) -> EventQuery {
        let EventsOf { tenant_id, after, from, kinds, owner, user_id, task_id, limit } = self;
        EventQuery { tenant_id, after, from, filter: EventFilter { kinds, owner, user_id, task_id }, limit }
    }
}

impl ConsumerOf {
    pub(super) fn consumer(self) -> Consumer {
        Consumer { tenant_id: self.tenant_id, name: self.name }
    }
}

impl AcknowledgeUpTo {
    pub(super) fn consumer(&self) -> Consumer {
        Consumer { tenant_id: self.tenant_id.clone(), name: self.name.clone() }
    }
}

impl AuditOf {
    pub(super) fn query(self) -> AuditQuery {
        let AuditOf { tenant_id, audit_id, actor, outcome, kind, subject, from, to, order, cursor, limit } = self;
        let filter = AuditFilter { audit_id, actor, outcome, kind, subject, from, to };
        AuditQuery { tenant_id, filter, order, cursor, limit }
    }
}

impl PriceBookText {
    pub(super) fn book(&self) -> Result<PriceBook, Denial> {
        // JSON is YAML, but its own reader tells its mistakes better.
        if self.text.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(&self.text).is_ok() {
            return PriceBook::from_json(&self.text);
        }
        PriceBook::from_yaml(&self.text)
    }
}

/// Work that is to be priced, and for whom. The fields of [`EstimateRequest`] stand beside the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceFor {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Who would pay; if none, whom the tenant's policy says: the user, unless it says the pool.
    pub owner: Option<Owner>,
    /// The unit of the account; if none the one of the tenant's policy.
    pub unit: Option<Unit>,
    /// On whose behalf it is asked, for the audit.
    pub caller: Caller,
    /// What is to be priced.
    pub request: EstimateRequest,
}

/// What stands beside the request.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PricedFor {
    /// The tenant.
    tenant_id: TenantId,
    /// Who would pay; if none, whom the tenant's policy says: the user, unless it says the pool.
    #[serde(default)]
    owner: Option<Owner>,
    /// The unit of the account; if none the one of the tenant's policy.
    #[serde(default)]
    unit: Option<Unit>,
    /// On whose behalf it is asked, for the audit.
    #[serde(default)]
    actor: Option<Actor>,
    /// The request that it comes with, for the audit.
    #[serde(default)]
    request_id: Option<RequestId>,
    /// The session, for the audit.
    #[serde(default)]
    session_id: Option<SessionId>,
}

/// The fields of [`PricedFor`].
const BESIDE: [&str; 6] = ["tenant_id", "owner", "unit", "actor", "request_id", "session_id"];

impl super::Asked for PriceFor {
    fn read(mut fields: Map<String, Value>) -> Result<PriceFor, Denial> {
        let beside = BESIDE.iter().filter_map(|name| fields.remove_entry(*name)).collect();
        Ok(PriceFor::of(read_fields(beside)?, EstimateRequest::from_fields(fields)?))
    }

    fn read_given<G: Given>(fields: &[(&str, G)]) -> Option<PriceFor> {
        let beside = read_given(fields, |name| BESIDE.contains(&name))?;
        let request = fields.iter().copied().filter(|(name, _)| !BESIDE.contains(name));
        Some(PriceFor::of(beside, EstimateRequest::from_given(request)?))
    }
}

impl PriceFor {
    fn of(beside: PricedFor, request: EstimateRequest) -> PriceFor {
        let PricedFor { tenant_id, owner, unit, actor, request_id, session_id } = beside;
        PriceFor { tenant_id, owner, unit, caller: Caller { actor, request_id, session_id }, request }
    }

    pub(super) fn account(&self, engine: &Engine) -> Result<AccountKey, Denial> {
        let policy = engine.policy(&self.tenant_id);
        paying_account(&self.tenant_id, policy, self.owner.as_ref(), self.request.user_id.as_ref(), self.unit.as_ref())
    }
}

#[cfg(feature = "schema")]
mod described {
    use super::{PriceFor, PricedFor};
    use crate::pricing::EstimateRequest;
    use crate::schema::Listed;
    use schemars::{JsonSchema, Schema, SchemaGenerator};

    impl Listed for PriceFor {
        fn fields() -> Vec<&'static str> {
            let beside = <PricedFor as Listed>::fields();
            beside.into_iter().chain(crate::pricing::REQUEST_FIELDS).collect()
        }
    }

    impl JsonSchema for PriceFor {
        fn schema_name() -> std::borrow::Cow<'static, str> {
            "PriceFor".into()
        }

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let mut schema = PricedFor::json_schema(generator);
            let mut request = EstimateRequest::json_schema(generator);
            let fields = request.as_object_mut().and_then(|object| object.remove("properties"));
            let all = schema.as_object_mut().and_then(|object| object.get_mut("properties"));
            if let (Some(serde_json::Value::Object(fields)), Some(serde_json::Value::Object(all))) = (fields, all) {
                all.extend(fields);
            }
            schema
        }
    }
}
