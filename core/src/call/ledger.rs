//! The ledger: operations, entries, statements.

use super::account::account_of;
use super::declare::{answered, asked, page};
use crate::amount::Amount;
use crate::engine::Engine;
use crate::error::{Error, Failure};
use crate::id::{Actor, AppId, AuditId, IdempotencyKey, LedgerId, OpId, PolicyTag, RequestId, TaskId, TenantId, Unit, UserId};
use crate::ledger::export::{LinePage, export};
use crate::ledger::{
    EntryFilter, EntryKind, EntryQuery, EntryScope, OperationKind, PageOrder, StatementFormat, StatementLine, StoredOperation,
};
use crate::owner::{Owner, Subject};
use crate::time::Timestamp;

asked! {
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
}

answered! {
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
}

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
