//! Answers questions.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::super::{AccountImage, Answer, EntriesAt, Query, StoreError};
use super::books::{AccountRow, Books, Place};
use crate::credit::Member;
use crate::id::{LicenceId, OpId, OrganizationId, TaskId, TemplateId, TenantId, UserId};
use crate::ledger::{AccountHead, Entry, EntryPage, EntryQuery, EntryScope, MAX_PAGE, PageOrder, StoredOperation};
use crate::owner::{AccountKey, MemberKey, Subject};
use crate::time::Timestamp;

impl Books {
    /// The answer of the same name.
    pub(super) fn answer(&self, query: &Query) -> Result<Answer, StoreError> {
        Ok(match query {
            Query::Account(key, now) => Answer::Account(self.accounts.get(key).map(|row| Box::new(self.account_facts(row, *now)))),
            Query::AccountImage(key) => Answer::AccountImage(self.image(key).map(Box::new)),
            Query::Facts(needs, clock) => Answer::Facts(Box::new(self.load(needs, *clock)?)),
            Query::Hold(tenant_id, hold_id) => Answer::Hold(self.hold_of(tenant_id, *hold_id).cloned()),
            Query::Grant(tenant_id, grant_id) => Answer::Grant(self.grant_of(tenant_id, *grant_id).cloned()),
            Query::Rule(tenant_id, rule_id) => Answer::Rule(self.rule_of(tenant_id, *rule_id).cloned()),
            Query::Task(tenant_id, task_id) => Answer::Task(self.tasks.get(&(tenant_id.clone(), task_id.clone())).cloned()),
            Query::Tasks(after, limit) => {
                let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let rows = self.tasks.range((start, Bound::Unbounded)).take(*limit);
                Answer::Tasks(rows.map(|(name, task)| (name.clone(), task.clone())).collect())
            }
            Query::TaskOperations { tenant_id, task_id, order, beyond, limit } => {
                Answer::TaskOperations(self.operations_of_task(tenant_id, task_id, *order, *beyond, *limit))
            }
            Query::OperationByKey(tenant_id, key) => {
                Answer::OperationByKey(self.index_of_key(tenant_id, key).and_then(|index| self.placed(index)))
            }
            Query::Operations(tenant_id, op_ids) => Answer::Operations(self.operations_of(tenant_id, op_ids)),
            Query::Entries(query) => Answer::Entries(self.page(query)),
            Query::EntriesAt(key, at) => Answer::EntriesAt(self.entries_at(key, *at)),
            Query::DueAccounts(now, limit) => {
                let due = self.due.iter().take_while(|(at, _)| at <= now).take(*limit);
                Answer::DueAccounts(due.map(|(_, key)| (**key).clone()).collect())
            }
            Query::NextDue => Answer::NextDue(self.due.first().map(|(at, _)| *at)),
            Query::Accounts(after, limit) => Answer::Accounts(self.accounts_after(after.as_ref(), *limit)),
            Query::Members { tenant_id, organization_id, after, limit } => {
                Answer::Members(self.members_after(tenant_id, organization_id, after.as_ref(), *limit))
            }
            Query::Licences { tenant_id, template_id, after, limit } => {
                Answer::Licences(self.licences_after(tenant_id, template_id.as_ref(), after.as_ref(), *limit))
            }
            Query::Feed { tenant_id, after, limit } => Answer::Feed(self.feed(tenant_id.as_ref(), *after, *limit)),
            Query::LastPosition => Answer::LastPosition(u64::try_from(self.operations.len()).unwrap_or(u64::MAX)),
            Query::Consumer(consumer) => Answer::Consumer(self.consumers.get(consumer).copied()),
            Query::Audit(query) => Answer::Audit(self.audit_page(query)),
            Query::AuditRecords(tenant_id, ids) => {
                let found = ids.iter().filter_map(|audit_id| self.audit_record(tenant_id, *audit_id));
                Answer::AuditRecords(found.cloned().collect())
            }
            Query::AuditAfter { after, limit } => Answer::AuditAfter(self.audit_after(*after, *limit)),
            Query::Alerts { after, limit } => {
                let start = usize::try_from(*after).unwrap_or(usize::MAX);
                let alerts =
                    self.operations.iter().enumerate().skip(start).filter(|(_, stored)| !stored.operation.alerts.is_empty());
                Answer::Alerts(alerts.take(*limit).filter_map(|(index, _)| self.placed(index)).collect())
            }
            Query::HeadsAt { position, after, limit } => Answer::HeadsAt(self.heads_at(*position, after.as_ref(), *limit)),
        })
    }

    fn image(&self, key: &AccountKey) -> Option<AccountImage> {
        let row = self.accounts.get(key)?;
        let open_holds = row.frozen_holds.iter().filter_map(|(_, id)| Some(self.holds.get(id)?.1.clone())).collect();
        // No hold is due before the first instant, so none is loaded.
        Some(AccountImage { facts: self.account_facts(row, Timestamp::MIN), open_holds })
    }

    fn operations_of(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Vec<Arc<StoredOperation>> {
        let found = op_ids.iter().filter_map(|op_id| self.placed(*self.by_op_id.get(op_id)?));
        found.filter(|stored| stored.operation.tenant_id == *tenant_id).collect()
    }

    fn operations_of_task(
        &self,
        tenant_id: &TenantId,
        task_id: &TaskId,
        order: PageOrder,
        beyond: u64,
        limit: usize,
    ) -> Vec<Arc<StoredOperation>> {
        let by_entries = self.by_task.get(&(tenant_id.clone(), task_id.clone())).into_iter().flatten().map(|place| place.operation);
        let about = self.by_subject.get(&(tenant_id.clone(), Subject::Task(task_id.clone()))).into_iter().flatten().copied();
        let mut indexes: BTreeSet<usize> = by_entries.chain(about).collect();
        // The operation at position n stands at index n - 1.
        let beyond = usize::try_from(beyond).unwrap_or(usize::MAX);
        let indexes: Vec<usize> = match order {
            PageOrder::Asc => indexes.split_off(&beyond).into_iter().collect(),
            PageOrder::Desc => indexes.into_iter().rev().filter(|index| index.saturating_add(1) < beyond).collect(),
        };
        let trimmed = |stored: Arc<StoredOperation>| {
            let mut stored = Arc::unwrap_or_clone(stored);
            stored.entries.retain(|entry| entry.task_id.as_ref() == Some(task_id));
            Arc::new(stored)
        };
        indexes.into_iter().take(limit).filter_map(|index| self.placed(index).map(trimmed)).collect()
    }

    fn page(&self, query: &EntryQuery) -> EntryPage {
        let tenant_id = query.tenant_id();
        let places: &[Place] = match &query.scope {
            EntryScope::Account(key) => self.accounts.get(key).map_or(&[], |row| &row.entries),
            EntryScope::Task(_, task_id) => self.by_task.get(&(tenant_id.clone(), task_id.clone())).map_or(&[], Vec::as_slice),
            EntryScope::Tenant(_) => self.by_tenant.get(tenant_id).map_or(&[], |tenant| &tenant.entries),
        };
        let cursor = match query.cursor.map(|cursor| self.place_of(tenant_id, cursor)) {
            // Nothing comes after an entry that is not there.
            Some(None) => return EntryPage::default(),
            Some(place) => place,
            None => None,
        };
        match query.order {
            PageOrder::Asc => {
                let start = cursor.map_or(0, |cursor| places.partition_point(|place| *place <= cursor));
                self.first_page(query, places.get(start..).unwrap_or_default().iter())
            }
            PageOrder::Desc => {
                let end = cursor.map_or(places.len(), |cursor| places.partition_point(|place| *place < cursor));
                self.first_page(query, places.get(..end).unwrap_or_default().iter().rev())
            }
        }
    }

    fn first_page<'a>(&self, query: &EntryQuery, places: impl Iterator<Item = &'a Place>) -> EntryPage {
        let mut admitted = places.filter_map(|place| Some(self.entry(*place)?.1)).filter(|entry| query.filter.admits(entry));
        let entries: Vec<Entry> = admitted.by_ref().take(query.limit.min(MAX_PAGE)).cloned().collect();
        let next_cursor = admitted.next().and(entries.last()).map(Entry::ledger_id);
        EntryPage { entries, next_cursor }
    }

    fn entries_at(&self, key: &AccountKey, at: Timestamp) -> Option<EntriesAt> {
        let row = self.accounts.get(key)?;
        let entries = row.entries.iter().filter_map(|place| self.entry(*place));
        let (booked, later): (Vec<_>, Vec<_>) = entries.partition(|(_, entry)| entry.created_at <= at);
        // The first entries of an operation book what had become due before its command.
        let settled = later.iter().filter(|(stored, entry)| entry.ordinal <= stored.operation.settled_count);
        Some(EntriesAt {
            last: booked.last().map(|(_, entry)| Entry::clone(entry)),
            superseded: !later.is_empty(),
            settlements: settled.filter(|(_, entry)| entry.effective_at <= at).map(|(_, entry)| Entry::clone(entry)).collect(),
        })
    }

    fn accounts_after(&self, after: Option<&AccountKey>, limit: usize) -> Vec<AccountKey> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.names.range::<AccountKey, _>((start, Bound::Unbounded)).take(limit).map(|key| (**key).clone()).collect()
    }

    fn heads_at(&self, position: u64, after: Option<&AccountKey>, limit: usize) -> Vec<AccountHead> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        // The operation at position n stands at index n - 1.
        let end = usize::try_from(position).unwrap_or(usize::MAX);
        let head = |row: &AccountRow| {
            let booked = row.entries.partition_point(|place| place.operation < end);
            let place = row.entries.get(booked.checked_sub(1)?)?;
            self.entry(*place).map(|(_, entry)| AccountHead::of(entry))
        };
        let names = self.names.range::<AccountKey, _>((start, Bound::Unbounded));
        names.filter_map(|key| head(self.accounts.get(key)?)).take(limit).collect()
    }

    fn members_after(
        &self,
        tenant_id: &TenantId,
        organization_id: &OrganizationId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Vec<(UserId, Member)> {
        let of = |key: &MemberKey| key.tenant_id == *tenant_id && key.organization_id == *organization_id;
        let present = self.members.iter().filter(|(key, member)| of(key) && member.role.is_some());
        let next = present.filter(|(key, _)| after.is_none_or(|after| key.user_id > *after));
        next.take(limit).map(|(key, member)| (key.user_id.clone(), member.clone())).collect()
    }

    fn licences_after(
        &self,
        tenant_id: &TenantId,
        template_id: Option<&TemplateId>,
        after: Option<&LicenceId>,
        limit: usize,
    ) -> Vec<LicenceId> {
        let of = self.licences.iter().filter(|(key, _)| key.tenant_id == *tenant_id);
        let of = of.filter(|(_, licence)| template_id.is_none_or(|template_id| licence.terms.template_id == *template_id));
        let names = of.map(|(key, _)| &key.licence_id).filter(|name| after.is_none_or(|after| *name > after));
        names.collect::<BTreeSet<_>>().into_iter().take(limit).cloned().collect()
    }

    fn feed(&self, tenant_id: Option<&TenantId>, after: u64, limit: usize) -> Vec<Arc<StoredOperation>> {
        // The operation after position n stands at index n.
        let start = usize::try_from(after).unwrap_or(usize::MAX);
        match tenant_id {
            None => (start..self.operations.len()).take(limit).filter_map(|index| self.placed(index)).collect(),
            Some(tenant_id) => {
                let indexes = self.by_tenant.get(tenant_id).map_or(&[][..], |tenant| &tenant.operations);
                let from = indexes.partition_point(|index| *index < start);
                let indexes = indexes.get(from..).unwrap_or_default().iter();
                indexes.take(limit).filter_map(|index| self.placed(*index)).collect()
            }
        }
    }
}
