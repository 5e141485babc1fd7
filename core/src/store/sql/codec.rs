//! Rows to facts, and facts to parameters.

use std::sync::Arc;

use super::row::Columns;
use super::{Row, Rows, Value, count, params};
use crate::amount::Amount;
use crate::command::Fingerprint;
use crate::credit::{
    Band, Debt, Grant, GrantState, GrantTerms, GrantType, Hold, HoldState, HoldTerms, LateCommit, LimitPeriod, LowBalance, Member,
    OverCapture, PeriodUse, Role, Rule, RuleState, RuleTerms, Scope, Standing,
};
use crate::facts::{Account, ChargeFact, SubjectRow, Task, Totals};
use crate::id::{
    Actor, AppId, AuditId, GrantId, HoldId, IdempotencyKey, LedgerId, LicenceId, OpId, Operator, PolicyTag, PriceBasis, RequestId,
    RuleId, Scene, TaskId, TemplateId, TenantId, UserId,
};
use crate::ledger::{AccountHead, ChainHash, Draw, Entry, EntryKind, EntryText, Operation, OperationKind};
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::risk::Spender;
use crate::store::StoreError;
use crate::time::Timestamp;

/// The account of this name, with the number of its row.
pub(super) fn account(key: Arc<AccountKey>, row: Row<'_>) -> Result<(i64, Account), StoreError> {
    let mut columns = Columns::of("accounts", row);
    let account_id = columns.integer("account_id")?;
    let account = Account {
        key,
        seq: columns.number("seq")?,
        available: columns.amount("available")?,
        frozen: columns.amount("frozen")?,
        totals: Totals {
            issued: columns.amount("issued")?,
            adjusted_in: columns.amount("adjusted_in")?,
            consumed: columns.amount("consumed")?,
            expired: columns.amount("expired")?,
            forfeited: columns.amount("forfeited")?,
            adjusted_out: columns.amount("adjusted_out")?,
        },
        open_grants: columns.number("open_grants")?,
        open_holds: columns.number("open_holds")?,
        head: hash(&mut columns, "head")?,
        last_at: columns.time("last_at")?,
        hold_due_at: columns.optional_time("hold_due_at")?,
        due_at: columns.optional_time("due_at")?,
        standing: standing(&mut columns)?,
    };
    Ok((account_id, account))
}

/// An account, and its head if it has one.
pub(super) fn head(row: Row<'_>) -> Result<(Arc<AccountKey>, Option<AccountHead>), StoreError> {
    let mut columns = Columns::of("accounts", row);
    columns.integer("account_id")?;
    let account = columns.account_key()?;
    let Some(seq) = columns.optional_integer("seq")? else { return Ok((account, None)) };
    let seq = u64::try_from(seq).map_err(|_| columns.unreadable("seq"))?;
    let op_id = OpId::from_uuid(columns.uuid("op_id")?);
    let ordinal = columns.number("ordinal")?;
    let head = AccountHead {
        account: Arc::clone(&account),
        seq,
        ledger_id: LedgerId::derive(op_id, ordinal),
        balance_after: columns.amount("balance_after")?,
        frozen_after: columns.amount("frozen_after")?,
        created_at: columns.time("created_at")?,
        hash: hash(&mut columns, "hash")?,
    };
    Ok((account, Some(head)))
}

fn standing(columns: &mut Columns<'_>) -> Result<Standing, StoreError> {
    let credit_limit = columns.amount("credit_limit")?;
    let debt = Debt { owed: columns.amount("owed")?, held: columns.amount("owed_held")? };
    let below = columns.optional_integer("low_below")?;
    let recovered_from = columns.optional_integer("low_recovered_from")?;
    let low_balance = match (below, recovered_from) {
        (Some(below), Some(recovered_from)) => {
            Some(LowBalance { below: Amount::from_micros(below), recovered_from: Amount::from_micros(recovered_from) })
        }
        (None, None) => None,
        _ => return Err(columns.unreadable("low_recovered_from")),
    };
    let band = columns.word("band", Band::from_name)?;
    let is_blocked = columns.integer("blocked")? != 0;
    Ok(Standing { credit_limit, debt, low_balance, band, is_blocked, rules: columns.number("rules")? })
}

/// The columns of [`Standing`], after the number of the account's row.
pub(super) fn standing_params(account_id: i64, standing: &Standing) -> Vec<Value<'_>> {
    params![
        account_id,
        standing.credit_limit,
        standing.debt.owed,
        standing.debt.held,
        standing.low_balance.map(|low| low.below),
        standing.low_balance.map(|low| low.recovered_from),
        standing.band.as_str(),
        i64::from(standing.is_blocked),
        i64::from(standing.rules),
    ]
}

/// The name of an account.
pub(super) fn account_name(row: Row<'_>) -> Result<AccountKey, StoreError> {
    let mut columns = Columns::of("accounts", row);
    columns.integer("account_id")?;
    columns.account_key().map(Arc::unwrap_or_clone)
}

pub(super) fn hash(columns: &mut Columns<'_>, column: &str) -> Result<ChainHash, StoreError> {
    let bytes = columns.bytes(column)?;
    bytes.try_into().map(ChainHash).map_err(|_| columns.unreadable(column))
}

/// A grant with the number of its row and its account.
pub(super) fn grant(row: Row<'_>) -> Result<(i64, Arc<AccountKey>, Grant), StoreError> {
    let mut columns = Columns::of("grants", row);
    let grant_row = columns.integer("grant_row")?;
    let key = columns.account_key()?;
    Ok((grant_row, key, grant_columns(&mut columns)?))
}

/// A grant of an account that is known, with the number of its row.
pub(super) fn open_grant(row: Row<'_>) -> Result<(i64, Grant), StoreError> {
    let mut columns = Columns::of("grants", row);
    let grant_row = columns.integer("grant_row")?;
    Ok((grant_row, grant_columns(&mut columns)?))
}

fn grant_columns(columns: &mut Columns<'_>) -> Result<Grant, StoreError> {
    let id = GrantId::from_uuid(columns.uuid("grant_id")?);
    let grant_type = columns.word("type", GrantType::from_name)?;
    let state = columns.word("state", GrantState::from_name)?;
    let amount = columns.amount("amount")?;
    let remaining = columns.amount("remaining")?;
    let held = columns.amount("held")?;
    let priority = columns.number("priority")?;
    let effective_at = columns.time("effective_at")?;
    let expires_at = columns.optional_time("expires_at")?;
    let terms = GrantTerms {
        grant_type,
        amount,
        effective_at,
        scope: Scope {
            app_id: columns.optional_id("scope_app_id", AppId::new)?,
            template_id: columns.optional_id("scope_template_id", TemplateId::new)?,
        },
        priority,
        reissue_of: columns.optional_uuid("reissue_of")?.map(GrantId::from_uuid),
        recurrence: columns.optional_json("recurrence")?,
        policy_tag: columns.optional_id("policy_tag", PolicyTag::new)?,
        reason: columns.optional_text("reason")?.map(Arc::from),
        metadata: columns.optional_json("metadata")?.map(Arc::new),
    };
    Ok(Grant { id, terms: Arc::new(terms), expires_at, state, remaining, held })
}

pub(super) fn hold(row: Row<'_>) -> Result<(Arc<AccountKey>, Hold), StoreError> {
    let mut columns = Columns::of("holds", row);
    columns.integer("hold_row")?;
    let key = columns.account_key()?;
    let id = HoldId::from_uuid(columns.uuid("hold_id")?);
    let state = columns.word("state", HoldState::from_name)?;
    let amount = columns.amount("amount")?;
    let captured = columns.amount("captured")?;
    let created_at = columns.time("created_at")?;
    let expires_at = columns.time("expires_at")?;
    let over_capture = columns.word("over_capture", OverCapture::from_name)?;
    let late_commit = columns.word("late_commit", LateCommit::from_name)?;
    let draw = columns.draw("draw")?;
    let terms = HoldTerms {
        amount,
        task_id: columns.optional_id("task_id", TaskId::new)?,
        template_id: columns.optional_id("template_id", TemplateId::new)?,
        app_id: columns.optional_id("app_id", AppId::new)?,
        user_id: columns.optional_id("user_id", UserId::new)?,
        scene: columns.optional_id("scene", Scene::new)?,
        price_basis: columns.optional_id("price_basis", PriceBasis::new)?,
        policy_tag: columns.optional_id("policy_tag", PolicyTag::new)?,
        licence_id: columns.optional_id("licence_id", LicenceId::new)?,
        counted_for: columns.optional_word("counted_for", Spender::from_name)?,
        quote_id: columns.optional_uuid("quote_id")?.map(AuditId::from_uuid),
        over_capture,
        late_commit,
        created_at,
    };
    Ok((key, Hold { id, terms: Arc::new(terms), state, expires_at, draw, captured }))
}

pub(super) fn rule(row: Row<'_>) -> Result<(Arc<AccountKey>, Rule), StoreError> {
    let mut columns = Columns::of("rules", row);
    columns.integer("rule_row")?;
    let key = columns.account_key()?;
    let id = RuleId::from_uuid(columns.uuid("rule_id")?);
    let state = columns.word("state", RuleState::from_name)?;
    let next = columns.number("next")?;
    let next_at = columns.time("next_at")?;
    let terms: RuleTerms = columns.optional_json("terms")?.ok_or_else(|| columns.unreadable("terms"))?;
    let reason = columns.optional_text("reason")?.map(Arc::from);
    let metadata = columns.optional_json("metadata")?.map(Arc::new);
    Ok((key, Rule { id, terms: Arc::new(RuleTerms { reason, metadata, ..terms }), state, next, next_at }))
}

/// A task with its name.
pub(super) fn task(row: Row<'_>) -> Result<(TaskId, Task), StoreError> {
    let name = named_by(row);
    task_columns(&mut Columns::named("tasks", &name, row))
}

/// A task of any tenant.
pub(super) fn task_of_any(row: Row<'_>) -> Result<((TenantId, TaskId), Task), StoreError> {
    let name = named_by(row);
    let mut columns = Columns::named("tasks", &name, row);
    let (task_id, task) = task_columns(&mut columns)?;
    Ok(((columns.id("tenant_id", TenantId::new)?, task_id), task))
}

fn task_columns(columns: &mut Columns<'_>) -> Result<(TaskId, Task), StoreError> {
    let task_id = columns.id("task_id", TaskId::new)?;
    let (charges, last_at) = (columns.number("charges")?, columns.time("last_at")?);
    let hold_id = columns.optional_uuid("hold_id")?.map(HoldId::from_uuid);
    Ok((task_id, Task { hold_id, charges, work: columns.optional_json("work")?, last_at }))
}

/// The parameters of [`super::statements::TASK_UPSERT`].
pub(super) fn task_params<'a>(tenant_id: &'a TenantId, task_id: &'a TaskId, task: &'a Task) -> Vec<Value<'a>> {
    let hold_id = task.hold_id.map(HoldId::uuid);
    let charges = i64::from(task.charges);
    params![tenant_id.as_str(), task_id.as_str(), charges, task.last_at, hold_id, json(task.work.as_ref())]
}

/// A position, which is all that the row has.
pub(super) fn position(row: Row<'_>) -> Result<u64, StoreError> {
    Columns::of("operations", row).number("position")
}

/// The text in the first column, for what is said of a row that cannot be read.
fn named_by(row: Row<'_>) -> String {
    match row.value(0) {
        Value::Text(name) => name.into_owned(),
        _ => "?".to_owned(),
    }
}

pub(super) fn subject(name: &Subject, row: Row<'_>) -> Result<SubjectRow, StoreError> {
    let name = name.to_string();
    let mut columns = Columns::named("subjects", &name, row);
    let is_blocked = columns.integer("blocked")? != 0;
    Ok(SubjectRow { is_blocked, since: columns.time("since")?, last_at: columns.time("last_at")? })
}

/// A member, and the user who is one.
pub(super) fn member(row: Row<'_>) -> Result<(UserId, Member), StoreError> {
    let name = named_by(row);
    let mut columns = Columns::named("members", &name, row);
    let user_id = columns.id("user_id", UserId::new)?;
    let role = columns.optional_word("role", Role::from_name)?;
    let unit = columns.id("unit", crate::Unit::new)?;
    let amount = columns.optional_integer("limit_amount")?.map(Amount::from_micros);
    let per = columns.optional_word("limit_per", LimitPeriod::from_name)?;
    if amount.is_some() != per.is_some() {
        return Err(columns.unreadable("limit_per"));
    }
    let day = PeriodUse { from: columns.time("day_from")?, used: columns.amount("day_used")? };
    let month = PeriodUse { from: columns.time("month_from")?, used: columns.amount("month_used")? };
    Ok((user_id, Member { role, unit, limit: amount.zip(per), day, month, last_at: columns.time("last_at")? }))
}

/// An operation as its row says it, with the numbers of its own row and of its account's.
pub(super) struct OperationRow {
    pub(super) position: u64,
    pub(super) account_id: Option<i64>,
    pub(super) operation: Operation,
}

pub(super) fn operation(row: Row<'_>) -> Result<OperationRow, StoreError> {
    let mut columns = Columns::of("operations", row);
    let position = columns.number("position")?;
    let tenant_id = columns.id("tenant_id", TenantId::new)?;
    let subject = columns.optional_text("subject")?.map(|text| text.parse::<Subject>());
    let subject = subject.transpose().map_err(|_| columns.unreadable("subject"))?;
    let account_id = columns.optional_integer("account_id")?;
    let account = columns.optional_account_key(&tenant_id)?;
    if account_id.is_some() != account.is_some() {
        return Err(columns.unreadable("account_id"));
    }
    let op_id = OpId::from_uuid(columns.uuid("op_id")?);
    let kind = columns.word("kind", OperationKind::from_name)?;
    let first_seq = columns.number("first_seq")?;
    let entry_count = columns.number("entry_count")?;
    let settled_count = columns.number("settled_count")?;
    let refunded = columns.amount("refunded")?;
    let created_at = columns.time("created_at")?;
    let fingerprint = columns.bytes("fingerprint")?;
    let fingerprint = Fingerprint::from_bytes(fingerprint).ok_or_else(|| columns.unreadable("fingerprint"))?;
    let operation = Operation {
        op_id,
        kind,
        tenant_id,
        account,
        subject,
        key: columns.optional_id("idempotency_key", IdempotencyKey::new)?,
        fingerprint,
        first_seq,
        entry_count,
        settled_count,
        actor: columns.optional_id("actor", Actor::new)?,
        request_id: columns.optional_id("request_id", RequestId::new)?,
        policy_tag: columns.optional_id("policy_tag", PolicyTag::new)?,
        created_at,
        refunded,
        band: optional_band(&mut columns)?,
        answer: columns.optional_text("answer")?.map(Arc::from),
        denial: columns.optional_json("denial")?.map(Arc::new),
        alerts: columns.optional_json("alerts")?.unwrap_or_default(),
    };
    Ok(OperationRow { position, account_id, operation })
}

fn optional_band(columns: &mut Columns<'_>) -> Result<Option<Band>, StoreError> {
    let band = columns.optional_text("band")?;
    band.map(|text| Band::from_name(text).ok_or_else(|| columns.unreadable("band"))).transpose()
}

pub(super) fn entry(row: Row<'_>) -> Result<Entry, StoreError> {
    entry_columns(&mut Columns::of("entries", row))
}

/// An entry, and whether it booked what had become due before the command of its operation.
pub(super) fn settlement(row: Row<'_>) -> Result<(Entry, bool), StoreError> {
    let mut columns = Columns::of("entries", row);
    let entry = entry_columns(&mut columns)?;
    let is_settlement = columns.integer("settled_count")? >= i64::from(entry.ordinal);
    Ok((entry, is_settlement))
}

/// An entry with what stands behind its columns: what was refunded, and the label.
pub(super) fn charge(row: Row<'_>) -> Result<ChargeFact, StoreError> {
    let mut columns = Columns::of("entries", row);
    Ok(ChargeFact {
        entry: entry_columns(&mut columns)?,
        refunded: columns.amount("refunded")?,
        policy_tag: columns.optional_id("policy_tag", PolicyTag::new)?,
    })
}

fn entry_columns(columns: &mut Columns<'_>) -> Result<Entry, StoreError> {
    columns.integer("entry_row")?;
    columns.integer("position")?;
    let account = columns.account_key()?;
    let op_id = OpId::from_uuid(columns.uuid("op_id")?);
    let ordinal = columns.number("ordinal")?;
    let seq = columns.number("seq")?;
    let kind = columns.word("kind", EntryKind::from_name)?;
    let change = columns.amount("change")?;
    let frozen_change = columns.amount("frozen_change")?;
    let balance_after = columns.amount("balance_after")?;
    let frozen_after = columns.amount("frozen_after")?;
    let created_at = columns.time("created_at")?;
    let effective_at = columns.optional_time("effective_at")?.unwrap_or(created_at);
    let mut entry = Entry {
        op_id,
        ordinal,
        account,
        seq,
        kind,
        change,
        frozen_change,
        balance_after,
        frozen_after,
        hash: hash(columns, "hash")?,
        draw: columns.draw("draw")?,
        terms: columns.optional_json("terms")?,
        hold_id: columns.optional_uuid("hold_id")?.map(HoldId::from_uuid),
        grant_id: columns.optional_uuid("grant_id")?.map(GrantId::from_uuid),
        task_id: columns.optional_id("task_id", TaskId::new)?,
        template_id: columns.optional_id("template_id", TemplateId::new)?,
        app_id: columns.optional_id("app_id", AppId::new)?,
        text: EntryText {
            user_id: columns.optional_id("user_id", UserId::new)?,
            operator: columns.optional_id("operator", Operator::new)?,
            reason: columns.optional_text("reason")?.map(Arc::from),
            metadata: columns.optional_json("metadata")?.map(Arc::new),
        },
        erased_text_hash: None,
        effective_at,
        created_at,
    };
    let erased = columns.optional_bytes("text_hash")?.map(|bytes| bytes.try_into().map(ChainHash));
    entry.erased_text_hash = erased.transpose().map_err(|_| columns.unreadable("text_hash"))?;
    Ok(entry)
}

/// Where an entry stands.
pub(super) struct CursorRow<'a> {
    pub(super) entry_row: i64,
    pub(super) position: i64,
    pub(super) account_id: i64,
    pub(super) seq: i64,
    pub(super) task_id: Option<&'a str>,
}

pub(super) fn cursor(row: Row<'_>) -> Result<CursorRow<'_>, StoreError> {
    let mut columns = Columns::of("entries", row);
    Ok(CursorRow {
        entry_row: columns.integer("entry_row")?,
        position: columns.integer("position")?,
        account_id: columns.integer("account_id")?,
        seq: columns.integer("seq")?,
        task_id: columns.optional_text("task_id")?,
    })
}

/// The one number of a row: a greatest or least value, none over an empty table.
pub(super) fn single(table: &'static str, column: &str, rows: &Rows) -> Result<Option<i64>, StoreError> {
    match rows.first() {
        None => Ok(None),
        Some(row) => Columns::of(table, row).optional_integer(column),
    }
}

/// The one instant of a row.
pub(super) fn next_time(table: &'static str, column: &str, rows: &Rows) -> Result<Option<Timestamp>, StoreError> {
    match rows.first() {
        None => Ok(None),
        Some(row) => Columns::of(table, row).optional_time(column),
    }
}

/// The parameters by which an account is found.
pub(super) fn key_params(key: &AccountKey) -> Vec<Value<'_>> {
    params![key.tenant_id.as_str(), i64::from(key.owner.kind_code()), key.owner.id().unwrap_or_default(), key.unit.as_str()]
}

/// The parameters by which a tenant or user is found.
pub(super) fn subject_name<'a>(tenant_id: &'a TenantId, subject: &'a Subject) -> Vec<Value<'a>> {
    params![tenant_id.as_str(), i64::from(subject.kind_code()), subject.id()]
}

/// All columns of a tenant or user.
pub(super) fn subject_params<'a>(tenant_id: &'a TenantId, subject: &'a Subject, row: &SubjectRow) -> Vec<Value<'a>> {
    let mut bound = subject_name(tenant_id, subject);
    bound.extend(params![i64::from(row.is_blocked), row.since, row.last_at]);
    bound
}

/// The parameters by which a member is found.
pub(super) fn member_name(key: &MemberKey) -> Vec<Value<'_>> {
    params![key.tenant_id.as_str(), key.organization_id.as_str(), key.user_id.as_str()]
}

/// All columns of a member.
pub(super) fn member_params<'a>(key: &'a MemberKey, member: &'a Member) -> Vec<Value<'a>> {
    let mut bound = member_name(key);
    bound.extend(params![
        member.role.map(Role::as_str),
        member.unit.as_str(),
        member.limit.map(|(amount, _)| amount),
        member.limit.map(|(_, per)| per.as_str()),
        member.day.from,
        member.day.used,
        member.month.from,
        member.month.used,
        member.last_at,
    ]);
    bound
}

/// All columns but the name.
pub(super) fn account_params(account_id: i64, account: &Account) -> Vec<Value<'_>> {
    let totals = &account.totals;
    params![
        account_id,
        count(account.seq),
        account.available,
        account.frozen,
        totals.issued,
        totals.adjusted_in,
        totals.consumed,
        totals.expired,
        totals.forfeited,
        totals.adjusted_out,
        i64::from(account.open_grants),
        i64::from(account.open_holds),
        &account.head.0,
        account.last_at,
        account.hold_due_at,
    ]
}

/// How many values a row of an operation has.
pub(super) const OPERATION_VALUES: usize = 19;

pub(super) fn operation_params(account_id: Option<i64>, operation: &Operation) -> [Value<'_>; OPERATION_VALUES] {
    [
        Value::from(operation.op_id.uuid()),
        Value::from(operation.tenant_id.as_str()),
        Value::from(account_id),
        Value::from(operation.kind.as_str()),
        count(operation.first_seq),
        Value::from(i64::from(operation.entry_count)),
        Value::from(i64::from(operation.settled_count)),
        Value::from(operation.refunded),
        Value::from(operation.created_at),
        Value::from(operation.fingerprint.as_bytes()),
        Value::from(operation.key.as_ref().map(IdempotencyKey::as_str)),
        Value::from(operation.actor.as_ref().map(Actor::as_str)),
        Value::from(operation.request_id.as_ref().map(RequestId::as_str)),
        Value::from(operation.policy_tag.as_ref().map(PolicyTag::as_str)),
        Value::from(operation.answer.as_deref()),
        Value::from(operation.subject.as_ref().map(Subject::to_string)),
        Value::from(operation.band.map(Band::as_str)),
        Value::from(json(operation.denial.as_deref())),
        Value::from(json(Some(&operation.alerts).filter(|alerts| !alerts.is_empty()))),
    ]
}

/// How many values a row of an entry has.
pub(super) const ENTRY_VALUES: usize = 24;

pub(super) fn entry_params(position: i64, account_id: i64, entry: &Entry) -> [Value<'_>; ENTRY_VALUES] {
    [
        Value::from(position),
        Value::from(entry.account.tenant_id.as_str()),
        Value::from(account_id),
        count(entry.seq),
        Value::from(i64::from(entry.ordinal)),
        Value::from(entry.kind.as_str()),
        Value::from(entry.change),
        Value::from(entry.frozen_change),
        Value::from(entry.balance_after),
        Value::from(entry.frozen_after),
        Value::from(entry.created_at),
        Value::from((entry.effective_at != entry.created_at).then_some(entry.effective_at)),
        Value::from(&entry.hash.0),
        Value::from(draw(&entry.draw)),
        Value::from(json(entry.terms.as_ref())),
        Value::from(entry.hold_id.map(HoldId::uuid)),
        Value::from(entry.grant_id.map(GrantId::uuid)),
        Value::from(entry.task_id.as_ref().map(TaskId::as_str)),
        Value::from(entry.template_id.as_ref().map(TemplateId::as_str)),
        Value::from(entry.app_id.as_ref().map(AppId::as_str)),
        Value::from(entry.text.user_id.as_ref().map(UserId::as_str)),
        Value::from(entry.text.operator.as_ref().map(Operator::as_str)),
        Value::from(entry.text.reason.as_deref()),
        Value::from(json(entry.text.metadata.as_deref())),
    ]
}

/// The columns of a grant that change, after its id or the number of its row.
pub(super) fn grant_params<'a>(name: Value<'a>, grant: &'a Grant) -> Vec<Value<'a>> {
    params![name, grant.state.as_str(), grant.expires_at, grant.remaining, grant.held]
}

/// The columns of a grant that stay.
pub(super) fn grant_terms_params(account_id: i64, terms: &GrantTerms) -> Vec<Value<'_>> {
    params![
        account_id,
        terms.grant_type.as_str(),
        terms.amount,
        i64::from(terms.priority),
        terms.effective_at,
        terms.scope.app_id.as_ref().map(AppId::as_str),
        terms.scope.template_id.as_ref().map(TemplateId::as_str),
        terms.reissue_of.map(GrantId::uuid),
        json(terms.recurrence.as_ref()),
        terms.policy_tag.as_ref().map(PolicyTag::as_str),
        terms.reason.as_deref(),
        json(terms.metadata.as_deref()),
    ]
}

/// The columns of a hold that change, after its id.
pub(super) fn hold_params(hold: &Hold) -> Vec<Value<'_>> {
    params![hold.id.uuid(), hold.state.as_str(), hold.expires_at, draw(&hold.draw), hold.captured]
}

/// The columns of a hold that stay.
pub(super) fn hold_terms_params(account_id: i64, terms: &HoldTerms) -> Vec<Value<'_>> {
    params![
        account_id,
        terms.amount,
        terms.created_at,
        terms.over_capture.as_str(),
        terms.late_commit.as_str(),
        terms.task_id.as_ref().map(TaskId::as_str),
        terms.template_id.as_ref().map(TemplateId::as_str),
        terms.app_id.as_ref().map(AppId::as_str),
        terms.user_id.as_ref().map(UserId::as_str),
        terms.scene.as_ref().map(Scene::as_str),
        terms.price_basis.as_ref().map(PriceBasis::as_str),
        terms.policy_tag.as_ref().map(PolicyTag::as_str),
        terms.licence_id.as_ref().map(LicenceId::as_str),
        terms.counted_for.map(Spender::as_str),
        terms.quote_id.map(AuditId::uuid),
    ]
}

/// The columns of a rule that change, after its id.
pub(super) fn rule_params(rule: &Rule) -> Vec<Value<'_>> {
    params![rule.id.uuid(), rule.state.as_str(), i64::from(rule.next), rule.next_at]
}

/// The columns of a rule that stay.
pub(super) fn rule_terms_params(account_id: i64, terms: &RuleTerms) -> Vec<Value<'_>> {
    params![account_id, json(Some(terms)), terms.reason.as_deref(), json(terms.metadata.as_deref())]
}

fn draw(draw: &Draw) -> Option<Vec<u8>> {
    (!draw.is_empty()).then(|| draw.to_bytes())
}

/// JSON of what serializes without fail: maps with text names and plain structs.
pub(super) fn json<T: serde::Serialize>(value: Option<&T>) -> Option<String> {
    value.map(|value| serde_json::to_string(value).unwrap_or_default())
}
