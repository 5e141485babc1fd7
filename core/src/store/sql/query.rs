//! Questions, answered over rows of one consistent state.

use std::sync::Arc;

use super::audit;
use super::batch::{BatchMachine, Step, entries_of, stored};
use super::remembered::Remembered;
use super::statements as sql;
use super::{Row, Source, Sql, Statement, Value, codec, consumers, corrupt, count, params};
use super::{licences, page};
use crate::facts::{Account, AccountFacts, Facts, Needs};
use crate::id::{OpId, TaskId, TenantId};
use crate::ledger::{AccountHead, Entry, PageOrder, StoredOperation};
use crate::owner::{AccountKey, Subject};
use crate::store::{AccountImage, Answer, EntriesAt, Query, StoreError};
use crate::time::Timestamp;

/// Answers a question.
pub(crate) fn answer(source: &mut dyn Source, query: &Query) -> Result<Answer, StoreError> {
    Ok(match query {
        Query::Account(key, at) => Answer::Account(account(source, key, *at)?.map(Box::new)),
        Query::AccountImage(key) => Answer::AccountImage(account_image(source, key)?.map(Box::new)),
        Query::Facts(needs, clock) => Answer::Facts(facts(source, needs, *clock)?),
        Query::Hold(tenant, id) => {
            let bound = params![id.uuid(), tenant.as_str()];
            Answer::Hold(first(source, sql::HOLD, bound, codec::hold)?)
        }
        Query::Grant(tenant, id) => {
            let bound = params![id.uuid(), tenant.as_str()];
            Answer::Grant(first(source, sql::GRANT, bound, codec::grant)?.map(|(_, key, grant)| (key, grant)))
        }
        Query::Rule(tenant, id) => {
            let bound = params![id.uuid(), tenant.as_str()];
            Answer::Rule(first(source, sql::RULE, bound, codec::rule)?)
        }
        Query::Task(tenant, id) => {
            let rows = source.rows(&Statement::new(sql::TASK, params![tenant.as_str(), id.as_str()]))?;
            Answer::Task(rows.first().map(|row| codec::task(row)).transpose()?.map(|(_, task)| task))
        }
        Query::Tasks(after, limit) => {
            // No id is empty, so all come after it.
            let (tenant, task) = after.as_ref().map_or(("", ""), |(tenant, task)| (tenant.as_str(), task.as_str()));
            Answer::Tasks(all(source, sql::TASKS_AFTER, vec![tenant.into(), task.into(), rows_limit(*limit)], codec::task_of_any)?)
        }
        Query::TaskOperations { tenant_id, task_id, order, beyond, limit } => {
            Answer::TaskOperations(task_operations(source, (tenant_id, task_id), *order, *beyond, *limit)?)
        }
        Query::OperationByKey(tenant, key) => {
            let found = operations(source, sql::OPERATION_BY_KEY, params![tenant.as_str(), key.as_str()])?;
            Answer::OperationByKey(found.into_iter().next())
        }
        Query::Operations(tenant, ids) => {
            let found = ids.iter().map(|id| operation(source, tenant.as_str(), *id));
            Answer::Operations(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Query::Entries(query) => Answer::Entries(page::entries(source, query)?),
        Query::EntriesAt(key, at) => Answer::EntriesAt(entries_at(source, key, *at)?),
        Query::DueAccounts(at, limit) => {
            Answer::DueAccounts(all(source, sql::ACCOUNTS_DUE, params![*at, rows_limit(*limit)], codec::account_name)?)
        }
        Query::NextDue => {
            let rows = source.rows(&Statement::new(sql::NEXT_DUE, Vec::new()))?;
            Answer::NextDue(codec::next_time("accounts", "due_at", &rows)?)
        }
        Query::Accounts(after, limit) => Answer::Accounts(accounts_after(source, after.as_ref(), *limit)?),
        Query::Members { tenant_id, organization_id, after, limit } => {
            // No id is empty, so all come after it.
            let after = after.as_ref().map_or("", |after| after.as_str());
            let mut bound = params![tenant_id.as_str(), organization_id.as_str(), after];
            bound.push(rows_limit(*limit));
            Answer::Members(all(source, sql::MEMBERS_AFTER, bound, codec::member)?)
        }
        Query::Licences { tenant_id, template_id, after, limit } => {
            // No id is empty, so all come after it.
            let after = after.as_ref().map_or("", |after| after.as_str());
            let mut bound = params![tenant_id.as_str(), after, rows_limit(*limit)];
            let of_template = template_id.as_ref().map(|template_id| Value::from(template_id.as_str()));
            let sql = if of_template.is_some() { sql::LICENCES_OF_TEMPLATE } else { sql::LICENCES_AFTER };
            bound.extend(of_template);
            Answer::Licences(all(source, sql, bound, licences::name_of)?)
        }
        Query::Feed { tenant_id: None, after, limit } => {
            Answer::Feed(operations(source, sql::FEED, vec![count(*after), rows_limit(*limit)])?)
        }
        Query::Feed { tenant_id: Some(tenant), after, limit } => {
            let bound = vec![count(*after), Value::from(tenant.as_str()), rows_limit(*limit)];
            Answer::Feed(operations(source, sql::FEED_OF_TENANT, bound)?)
        }
        Query::LastPosition => {
            let rows = source.rows(&Statement::new(sql::LAST_POSITION, Vec::new()))?;
            let last = codec::single("operations", "position", &rows)?.unwrap_or(0);
            Answer::LastPosition(u64::try_from(last).map_err(|_| corrupt("an operation stands at a position below 0"))?)
        }
        Query::Consumer(key) => Answer::Consumer(consumers::consumer(source, key)?),
        Query::Audit(query) => Answer::Audit(audit::page(source, query)?),
        Query::AuditRecords(tenant, ids) => Answer::AuditRecords(audit::named(source, tenant, ids)?),
        Query::AuditAfter { after, limit } => Answer::AuditAfter(audit::after(source, *after, *limit)?),
        Query::Alerts { after, limit } => Answer::Alerts(operations(source, sql::ALERTS, vec![count(*after), rows_limit(*limit)])?),
        Query::HeadsAt { position, after, limit } => Answer::HeadsAt(heads_at(source, *position, after.clone(), *limit)?),
    })
}

/// Takes a batch as far as its decision, and no further.
fn facts(source: &mut dyn Source, needs: &Needs, clock: Timestamp) -> Result<Box<Facts>, StoreError> {
    let mut machine = BatchMachine::new(needs, clock, Remembered::default());
    let mut step = machine.begin()?;
    loop {
        step = match step {
            Step::Run(statements) => {
                let read = statements.iter().map(|statement| source.rows(statement)).collect::<Result<Vec<_>, _>>()?;
                machine.rows(&read)?
            }
            Step::Decide(facts) => return Ok(facts),
            Step::Done => return Err(corrupt("a batch ended before its decision")),
        };
    }
}

/// At most so many rows.
pub(super) fn rows_limit(limit: usize) -> Value<'static> {
    Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// All rows of a statement, read.
pub(super) fn all<T>(
    source: &mut dyn Source,
    sql: Sql,
    bound: Vec<Value<'_>>,
    read: impl Fn(Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    source.rows(&Statement::new(sql, bound))?.iter().map(read).collect()
}

/// The first row of a statement, read.
pub(super) fn first<T>(
    source: &mut dyn Source,
    sql: Sql,
    bound: Vec<Value<'_>>,
    read: impl Fn(Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    source.rows(&Statement::new(sql, bound))?.first().map(read).transpose()
}

fn operations(source: &mut dyn Source, sql: Sql, bound: Vec<Value<'_>>) -> Result<Vec<Arc<StoredOperation>>, StoreError> {
    let found = all(source, sql, bound, codec::operation)?;
    let with_entries = found.into_iter().map(|found| {
        let rows = source.rows(&entries_of(&found))?;
        stored(found, &rows).map(Arc::new)
    });
    with_entries.collect()
}

fn operation(source: &mut dyn Source, tenant: &str, id: OpId) -> Result<Option<Arc<StoredOperation>>, StoreError> {
    Ok(operations(source, sql::OPERATION, params![tenant, id.uuid()])?.into_iter().next())
}

/// Operations about a task: those with entries that name it, and those that are about it and have none.
fn task_operations(
    source: &mut dyn Source,
    (tenant_id, task_id): (&TenantId, &TaskId),
    order: PageOrder,
    beyond: u64,
    limit: usize,
) -> Result<Vec<Arc<StoredOperation>>, StoreError> {
    let subject = Subject::Task(task_id.clone()).to_string();
    let (of_entries, of_subject) = match order {
        PageOrder::Asc => (sql::TASK_POSITIONS_ASC, sql::SUBJECT_POSITIONS_ASC),
        PageOrder::Desc => (sql::TASK_POSITIONS_DESC, sql::SUBJECT_POSITIONS_DESC),
    };
    let bound = |name| vec![Value::from(tenant_id.as_str()), Value::from(name), count(beyond), rows_limit(limit)];
    let mut positions = all(source, of_entries, bound(task_id.as_str()), codec::position)?;
    positions.extend(all(source, of_subject, bound(&subject), codec::position)?);
    positions.sort_unstable();
    positions.dedup();
    if order == PageOrder::Desc {
        positions.reverse();
    }
    positions.truncate(limit);
    let mut operations = Vec::with_capacity(positions.len());
    for position in positions {
        let found = first(source, sql::OPERATION_AT, vec![count(position)], codec::operation)?;
        let found = found.ok_or_else(|| corrupt(format!("row {position} of `operations` is not there")))?;
        let bound = vec![tenant_id.as_str().into(), task_id.as_str().into(), count(position)];
        let entries = all(source, sql::TASK_ENTRIES_AT, bound, codec::entry)?;
        operations.push(Arc::new(StoredOperation { operation: found.operation, entries, position }));
    }
    Ok(operations)
}

fn account(source: &mut dyn Source, key: &AccountKey, at: Timestamp) -> Result<Option<AccountFacts>, StoreError> {
    let Some((account_id, mut facts)) = account_and_open_rows(source, key)? else { return Ok(None) };
    if facts.account.hold_due_at.is_some_and(|due| due <= at) {
        let holds = all(source, sql::DUE_HOLDS, params![account_id, at], codec::hold)?;
        facts.due_holds = holds.into_iter().map(|(_, hold)| (hold.id, hold)).collect();
        let next = source.rows(&Statement::new(sql::NEXT_HOLD, params![account_id, at]))?;
        facts.next_hold_at = codec::next_time("holds", "expires_at", &next)?;
    }
    Ok(Some(facts))
}

fn account_image(source: &mut dyn Source, key: &AccountKey) -> Result<Option<AccountImage>, StoreError> {
    let Some((account_id, facts)) = account_and_open_rows(source, key)? else { return Ok(None) };
    let holds = all(source, sql::FROZEN_HOLDS, params![account_id], codec::hold)?;
    Ok(Some(AccountImage { facts, open_holds: holds.into_iter().map(|(_, hold)| hold).collect() }))
}

fn account_and_open_rows(source: &mut dyn Source, key: &AccountKey) -> Result<Option<(i64, AccountFacts)>, StoreError> {
    let Some((account_id, account)) = account_row(source, key)? else {
        return Ok(None);
    };
    let grants = all(source, sql::OPEN_GRANTS, params![account_id], codec::open_grant)?;
    let mut facts = AccountFacts::of(account);
    facts.grants = grants.into_iter().map(|(_, grant)| (grant.id, grant)).collect();
    if facts.account.standing.rules > 0 {
        let rules = all(source, sql::RUNNING_RULES, params![account_id], codec::rule)?;
        facts.rules = rules.into_iter().map(|(_, rule)| (rule.id, rule)).collect();
    }
    Ok(Some((account_id, facts)))
}

/// The row of an account, with its number.
pub(super) fn account_row(source: &mut dyn Source, key: &AccountKey) -> Result<Option<(i64, Account)>, StoreError> {
    first(source, sql::ACCOUNT, codec::key_params(key), |row| codec::account(Arc::new(key.clone()), row))
}

fn accounts_after(source: &mut dyn Source, after: Option<&AccountKey>, limit: usize) -> Result<Vec<AccountKey>, StoreError> {
    let mut bound = names_after(after);
    bound.push(rows_limit(limit));
    all(source, sql::ACCOUNTS_AFTER, bound, codec::account_name)
}

/// The name after which accounts are listed: none comes before the first.
fn names_after(after: Option<&AccountKey>) -> Vec<Value<'_>> {
    after.map_or_else(|| params!["", -1, "", ""], codec::key_params)
}

/// Heads, until there are enough: accounts that were made later have none, and are passed over a page at a time.
fn heads_at(
    source: &mut dyn Source,
    position: u64,
    mut after: Option<AccountKey>,
    limit: usize,
) -> Result<Vec<AccountHead>, StoreError> {
    let mut heads = Vec::new();
    while heads.len() < limit {
        let size = (limit - heads.len()).min(page::CHUNK);
        let mut bound = names_after(after.as_ref());
        bound.extend([count(position), rows_limit(size)]);
        let read = all(source, sql::HEADS_AT, bound, codec::head)?;
        let is_last = read.len() < size;
        after = read.last().map(|(account, _)| AccountKey::clone(account));
        heads.extend(read.into_iter().filter_map(|(_, head)| head));
        if is_last {
            break;
        }
    }
    Ok(heads)
}

fn entries_at(source: &mut dyn Source, key: &AccountKey, at: Timestamp) -> Result<Option<EntriesAt>, StoreError> {
    let Some((account_id, account)) = account_row(source, key)? else {
        return Ok(None);
    };
    let seq = last_booked(source, account_id, account.seq, at)?;
    let last = entries_after(source, account_id, seq.saturating_sub(1), 1)?.into_iter().next().filter(|_| seq > 0);
    let superseded = seq < account.seq;
    Ok(Some(EntriesAt { last, superseded, settlements: settlements(source, account_id, seq, at)? }))
}

/// The sequence number of the last entry booked by `at`; 0 if there is none. Booking times never fall along an account.
fn last_booked(source: &mut dyn Source, account_id: i64, newest: u64, at: Timestamp) -> Result<u64, StoreError> {
    let (mut booked, mut later) = (0, newest.saturating_add(1));
    while later - booked > 1 {
        let middle = booked + (later - booked) / 2;
        let rows = source.rows(&Statement::new(sql::BOOKED_AT, params![account_id, count(middle)]))?;
        let created_at = codec::next_time("entries", "created_at", &rows)?
            .ok_or_else(|| super::corrupt(format!("account {account_id} has no entry {middle}")))?;
        if created_at <= at { booked = middle } else { later = middle }
    }
    Ok(booked)
}

/// The settlements right after `seq` that were effective by `at`. Every write books all that is due before anything else, in
/// the order in which it became due, so the first other entry ends them.
fn settlements(source: &mut dyn Source, account_id: i64, mut seq: u64, at: Timestamp) -> Result<Vec<Entry>, StoreError> {
    let mut settlements = Vec::new();
    loop {
        let bound = params![account_id, count(seq), rows_limit(page::CHUNK)];
        let chunk = all(source, sql::SETTLEMENTS, bound, codec::settlement)?;
        let is_last = chunk.len() < page::CHUNK;
        for (entry, is_settlement) in chunk {
            if !is_settlement || entry.effective_at > at {
                return Ok(settlements);
            }
            seq = entry.seq;
            settlements.push(entry);
        }
        if is_last {
            return Ok(settlements);
        }
    }
}

fn entries_after(source: &mut dyn Source, account_id: i64, seq: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
    all(source, sql::ENTRIES_ASC, params![account_id, count(seq), rows_limit(limit)], codec::entry)
}
