//! Which instant a command is decided at: the clock, or the last booking of what it locks.

use std::collections::HashMap;
use std::sync::Arc;

use drawdown::ledger::{EntryKind, OperationKind, StoredOperation, Terms};
use drawdown::{
    AccountKey, Charge, Command, GrantId, HoldId, HoldState, LedgerId, LicenceKey, LicenceTerms, MemberKey, MemberReceipt,
    Policies, Receipt, RemoveMember, RevokeLicence, RiskKey, RuleId, SetLicence, SetMember, Spender, Subject, SubmitDocuments,
    TaskId, TenantId, Timestamp,
};

/// How far the contract lets an anchor be ahead of the clock: 5 s.
const MAX_AHEAD_MICROS: i64 = 5_000_000;

type TaskKey = (TenantId, TaskId);

/// When accounts and tasks were last booked, and which of them grants, holds and charges hang off.
#[derive(Default)]
pub(super) struct Anchors {
    accounts: HashMap<AccountKey, Timestamp>,
    tasks: HashMap<TaskKey, Timestamp>,
    named: HashMap<TaskKey, HoldId>,
    subjects: HashMap<(TenantId, Subject), Timestamp>,
    members: HashMap<MemberKey, Timestamp>,
    licences: HashMap<LicenceKey, (LicenceTerms, Timestamp)>,
    holds: HashMap<HoldId, (AccountKey, Option<TaskId>)>,
    licensed: HashMap<HoldId, LicenceKey>,
    risk: HashMap<RiskKey, Timestamp>,
    /// Where holds count, and whether a user acted.
    counted: HashMap<HoldId, (RiskKey, bool)>,
    grants: HashMap<GrantId, AccountKey>,
    charges: HashMap<LedgerId, AccountKey>,
    rules: HashMap<RuleId, AccountKey>,
}

/// An anchor is too far ahead of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Behind;

impl Anchors {
    /// The instant of these commands, decided together by this clock.
    pub(super) fn instant(&self, clock: Timestamp, commands: &[&Command], policies: &Policies) -> Result<Timestamp, Behind> {
        let latest = commands.iter().flat_map(|command| self.locked(command, policies)).max().unwrap_or(Timestamp::MIN);
        if latest.micros() - clock.micros() > MAX_AHEAD_MICROS { Err(Behind) } else { Ok(clock.max(latest)) }
    }

    /// When an account was last booked.
    pub(super) fn account(&self, key: &AccountKey) -> Option<Timestamp> {
        self.accounts.get(key).copied()
    }

    /// An account was booked.
    pub(super) fn book(&mut self, key: &AccountKey, at: Timestamp) {
        let booked = self.accounts.entry(key.clone()).or_insert(at);
        *booked = at.max(*booked);
    }

    /// An operation was accepted.
    pub(super) fn learn(&mut self, stored: &StoredOperation) {
        let at = stored.operation.created_at;
        let Some(account) = &stored.operation.account else { return self.learn_subject(stored) };
        self.book(account, at);
        let receipt = Receipt { stored: Arc::new(stored.clone()), idempotent_replay: false };
        if let Some(licence_id) = receipt.of::<Charge>().and_then(|charge| charge.licence_id) {
            self.use_licence(&LicenceKey::new(account.tenant_id.clone(), licence_id), at);
        }
        if stored.operation.kind == OperationKind::Charge
            && let Some(entry) = stored.entries.last()
        {
            let user_id = entry.text.user_id.as_ref();
            let keys = [RiskKey::of_requests(account, user_id), RiskKey::of_work(account, user_id, entry.app_id.as_ref())];
            for key in keys {
                self.risk.entry(key).and_modify(|last_at| *last_at = at.max(*last_at)).or_insert(at);
            }
        }
        let settled = usize::from(stored.operation.settled_count);
        for (place, entry) in stored.entries.iter().enumerate() {
            if let Some(grant) = entry.grant_id {
                self.grants.insert(grant, (**account).clone());
            }
            if let Some(Terms::Rule { rule_id, .. }) = &entry.terms {
                self.rules.insert(*rule_id, (**account).clone());
            }
            // The hold that a task names: its captured one, else its latest.
            let names = matches!(entry.terms, Some(Terms::Hold { .. } | Terms::HoldState { state: HoldState::Committed }));
            if let (Some(hold), Some(task), true) = (entry.hold_id, &entry.task_id, names) {
                self.named.insert((account.tenant_id.clone(), task.clone()), hold);
            }
            if let (Some(hold), EntryKind::Hold) = (entry.hold_id, entry.kind) {
                self.holds.entry(hold).or_insert_with(|| ((**account).clone(), entry.task_id.clone()));
            }
            if let Some(Terms::Hold { terms, .. }) = &entry.terms
                && let (Some(hold), Some(licence_id)) = (entry.hold_id, terms.licence_id.clone())
            {
                self.licensed.insert(hold, LicenceKey::new(account.tenant_id.clone(), licence_id));
            }
            if let Some(Terms::Hold { terms, .. }) = &entry.terms
                && let (Some(hold), Some(spender)) = (entry.hold_id, terms.counted_for)
            {
                let user_id = entry.text.user_id.as_ref().filter(|_| spender == Spender::User);
                let key = RiskKey::of_work(account, user_id, terms.app_id.as_ref());
                self.counted.insert(hold, (key, spender == Spender::User));
            }
            // Of a hold that has ended the user can be erased: then nobody knows where it counts.
            if let Some((key, by_user)) = entry.hold_id.and_then(|hold| self.counted.get(&hold).cloned())
                && (!by_user || place < settled || entry.text.user_id.is_some())
            {
                self.risk.entry(key).and_modify(|last_at| *last_at = at.max(*last_at)).or_insert(at);
            }
            // What is due is settled with its account: the licence may have been used later.
            if let Some(key) = entry.hold_id.and_then(|hold| self.licensed.get(&hold).cloned()) {
                self.use_licence(&key, at);
            }
            if matches!(entry.kind, EntryKind::Charge | EntryKind::Capture) {
                self.charges.insert(entry.ledger_id(), (**account).clone());
            }
            // What time alone does to a hold leaves its task alone, and so does a refund.
            let works = !matches!(entry.kind, EntryKind::Refund | EntryKind::Reissue | EntryKind::Expire | EntryKind::Void);
            if let Some(task) = entry.task_id.as_ref().filter(|_| place >= settled && works) {
                self.tasks.insert((account.tenant_id.clone(), task.clone()), at);
            }
        }
    }

    fn use_licence(&mut self, key: &LicenceKey, at: Timestamp) {
        self.licences.entry(key.clone()).and_modify(|(_, last_at)| *last_at = at.max(*last_at));
    }

    /// An operation without an account was about a member, a licence, or about who can be blocked.
    fn learn_subject(&mut self, stored: &StoredOperation) {
        let (tenant, at) = (stored.operation.tenant_id.clone(), stored.operation.created_at);
        let receipt = Receipt { stored: Arc::new(stored.clone()), idempotent_replay: false };
        let member: Option<MemberReceipt> = receipt.of::<SetMember>().or_else(|| receipt.of::<RemoveMember>());
        let licence = receipt.of::<SetLicence>().or_else(|| receipt.of::<RevokeLicence>());
        if let Some(licence) = licence.or_else(|| receipt.of::<SubmitDocuments>()) {
            self.licences.insert(LicenceKey::new(tenant, licence.licence_id), (licence.terms, at));
            return;
        }
        match (member, &stored.operation.subject) {
            (_, Some(Subject::Task(task))) => _ = self.tasks.insert((tenant, task.clone()), at),
            (Some(member), _) => _ = self.members.insert(MemberKey::new(tenant, member.organization_id, member.user_id), at),
            (None, Some(subject)) => _ = self.subjects.insert((tenant, subject.clone()), at),
            (None, None) => {}
        }
    }

    fn locked(&self, command: &Command, policies: &Policies) -> Vec<Timestamp> {
        let needs = command.needs(policies.of(&command.context.tenant_id));
        let tenant = &command.context.tenant_id;
        let mine = |account: &&AccountKey| account.tenant_id == *tenant;
        let mut accounts: Vec<&AccountKey> = needs.accounts.iter().collect();
        accounts.extend(needs.task_charges.iter().map(|(account, _)| account));
        accounts.extend(needs.grants.iter().filter_map(|(_, id)| self.grants.get(id)).filter(mine));
        accounts.extend(needs.charges.iter().filter_map(|(_, id)| self.charges.get(id)).filter(mine));
        accounts.extend(needs.rules.iter().filter_map(|(_, id)| self.rules.get(id)).filter(mine));
        let mut tasks = needs.tasks.clone();
        tasks.extend(needs.task_holds.iter().cloned());
        let named = needs.task_holds.iter().filter_map(|task| self.named.get(task));
        let holds: Vec<&HoldId> = needs.holds.iter().map(|(_, id)| id).chain(named).collect();
        let of_holds = holds.iter().filter_map(|id| self.licensed.get(id)).filter(|key| key.tenant_id == *tenant);
        let of_licences = of_holds.chain(&needs.licences).filter_map(|key| self.licences.get(key));
        let of_templates = needs.templates.iter().flat_map(|template| {
            let counts = |key: &LicenceKey, terms: &LicenceTerms| {
                key.tenant_id == template.tenant_id
                    && terms.template_id == template.template_id
                    && (terms.user_id.is_none() || terms.user_id == template.user_id)
            };
            self.licences.iter().filter(move |(key, (terms, _))| counts(key, terms)).map(|(_, row)| row)
        });
        let of_licences = of_licences.chain(of_templates).map(|(_, at)| at);
        for (account, task) in holds.iter().filter_map(|id| self.holds.get(id)) {
            if account.tenant_id == *tenant {
                accounts.push(account);
                tasks.extend(task.iter().map(|task| (tenant.clone(), task.clone())));
            }
        }
        let of_accounts = accounts.into_iter().filter_map(|account| self.accounts.get(account));
        let of_tasks = tasks.iter().filter_map(|task| self.tasks.get(task));
        let of_subjects = needs.subjects.iter().filter_map(|subject| self.subjects.get(subject));
        let of_members = needs.members.iter().filter_map(|member| self.members.get(member));
        let of_risk = needs.risk.iter().filter_map(|key| self.risk.get(key));
        of_accounts.chain(of_tasks).chain(of_subjects).chain(of_members).chain(of_licences).chain(of_risk).copied().collect()
    }
}
