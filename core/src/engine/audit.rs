//! Reading the whole of the books: verification and statements.

use std::io::Write;
use std::sync::Arc;

use super::Engine;
use super::reads::{MAX_READS, ask, restless};
use crate::error::{Error, Failure};
use crate::id::OpId;
use crate::ledger::export::export;
use crate::ledger::verify::Rebuilt;
use crate::ledger::{
    Entry, EntryFilter, EntryKind, EntryPage, EntryQuery, EntryScope, FaultKind, PageOrder, StatementFormat, StoredOperation,
    VerifyReport,
};
use crate::map::Map;
use crate::owner::AccountKey;
use crate::store::{Answer, Query};

/// Accounts that are listed at once.
const ACCOUNTS_A_READ: usize = 256;
/// Entries that are read at once. Reads are short, so writers' files do not grow while a long one is open.
const ENTRIES_A_READ: usize = 256;

impl Engine {
    /// Recomputes the books from the first entry on: the chain, the balances, the grants, holds and rules of every account, and says
    /// where they part from what is stored. Commands go on meanwhile.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read. What is wrong with the books is in the report.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let grant = GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?);
    /// engine.execute(Context::tenant("acme")?.request(grant))?;
    /// let report = engine.verify()?;
    /// assert!(report.is_clean());
    /// assert_eq!((report.accounts, report.entries), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self) -> Result<VerifyReport, Failure> {
        self.verify_with(&mut |_| {})
    }

    /// As [`Engine::verify`], and shows the report so far after each account.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    pub fn verify_with(&self, progress: &mut dyn FnMut(&VerifyReport)) -> Result<VerifyReport, Failure> {
        let mut report = VerifyReport::default();
        let mut after: Option<AccountKey> = None;
        loop {
            let accounts = ask!(self, Accounts, Query::Accounts(after.clone(), ACCOUNTS_A_READ))?;
            let Some(last) = accounts.last() else { return Ok(report) };
            after = Some(last.clone());
            for account in &accounts {
                self.verify_into(account, &mut report)?;
                progress(&report);
            }
        }
    }

    /// Verifies one account; one that never had an entry is clean.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    pub fn verify_account(&self, account: &AccountKey) -> Result<VerifyReport, Failure> {
        let mut report = VerifyReport::default();
        self.verify_into(account, &mut report)?;
        Ok(report)
    }

    /// Writes all entries of a query as a statement, and answers how many there were.
    ///
    /// The `limit` of the query is the size of its reads, not of the statement. [`PageOrder::Asc`](crate::ledger::PageOrder)
    /// writes the oldest first; a query that does not say writes the newest first.
    ///
    /// # Errors
    /// As [`Engine::entries`]; [`Error::Output`] when `out` takes no more.
    ///
    /// # Examples
    /// ```
    /// use drawdown::ledger::{EntryQuery, EntryScope, PageOrder, StatementFormat};
    /// use drawdown::{AccountKey, Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let user = Owner::user("u1")?;
    /// engine.execute(Context::tenant("acme")?.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    /// let account = AccountKey::new("acme".parse()?, user, "credit".parse()?);
    /// let query = EntryQuery { order: PageOrder::Asc, ..EntryQuery::new(EntryScope::Account(account)) };
    /// let mut csv = Vec::new();
    /// let lines = engine.export(query, StatementFormat::Csv, &mut csv)?;
    /// assert_eq!(lines, 1);
    /// assert!(String::from_utf8(csv)?.starts_with("owner,unit,seq,created_at,"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export(&self, query: EntryQuery, format: StatementFormat, out: &mut dyn Write) -> Result<u64, Failure> {
        export(query, format, out, |page| self.entries(page))
    }

    fn verify_into(&self, account: &AccountKey, report: &mut VerifyReport) -> Result<(), Failure> {
        for _ in 0..MAX_READS {
            if let Some(found) = self.verify_once(account)? {
                report.accounts += found.accounts;
                report.entries += found.entries;
                report.faults.extend(found.faults);
                return Ok(());
            }
        }
        Err(restless(account))
    }

    /// What one reading finds; none if the account was booked meanwhile, and a row that has ended is not what it was.
    fn verify_once(&self, account: &AccountKey) -> Result<Option<VerifyReport>, Failure> {
        let mut report = VerifyReport::default();
        // The row first: entries up to its sequence number do not change any more.
        let image = match ask!(self, AccountImage, Query::AccountImage(account.clone())) {
            Err(Failure::Failed(Error::Corrupt(what))) => {
                let mut rebuilt = Rebuilt::new(Arc::new(account.clone()));
                rebuilt.fault(FaultKind::Unreadable, None, None, what);
                report.faults = rebuilt.into_faults();
                return Ok(Some(report));
            }
            read => read?,
        };
        let Some(image) = image else { return Ok(Some(report)) };
        report.accounts += 1;
        let mut rebuilt = Rebuilt::new(Arc::clone(&image.facts.account.key));
        let mut query = pages_of(account);
        while rebuilt.seq() < image.facts.account.seq {
            let page = match ask!(self, Entries, Query::Entries(query.clone())) {
                Err(Failure::Failed(Error::Corrupt(what))) => {
                    rebuilt.fault(FaultKind::Unreadable, Some(rebuilt.seq() + 1), None, what);
                    report.faults = rebuilt.into_faults();
                    return Ok(Some(report));
                }
                read => read?,
            };
            let entries: Vec<&Entry> = page.entries.iter().filter(|entry| entry.seq <= image.facts.account.seq).collect();
            report.entries += u64::try_from(entries.len()).unwrap_or(0);
            entries.iter().for_each(|entry| rebuilt.read(entry));
            self.check_operations(account, &page, &entries, &mut rebuilt)?;
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        rebuilt.compare(&image);
        if rebuilt.is_clean() {
            let wrong = self.wrong_ended_rows(&image.facts.account.key, &rebuilt)?;
            if !wrong.is_empty() && self.last_seq(account)? != image.facts.account.seq {
                return Ok(None);
            }
            wrong.into_iter().for_each(|(kind, message)| rebuilt.fault(kind, None, None, message));
        }
        report.faults = rebuilt.into_faults();
        Ok(Some(report))
    }

    /// What the rows of grants, holds and rules that have ended say otherwise than their entries. Refunds and tasks still go by them.
    fn wrong_ended_rows(&self, account: &Arc<AccountKey>, rebuilt: &Rebuilt) -> Result<Vec<(FaultKind, String)>, Failure> {
        let mut wrong = Vec::new();
        let tenant_id = &account.tenant_id;
        for grant in rebuilt.ended_grants() {
            match ask!(self, Grant, Query::Grant(tenant_id.clone(), grant.id)) {
                Err(Failure::Failed(Error::Corrupt(what))) => wrong.push((FaultKind::Unreadable, what)),
                Ok(Some((owner, row))) if owner == *account && row == *grant => {}
                read => {
                    let message = format!("the grant {} is {:?}, its entries say {grant:?}", grant.id, read?);
                    wrong.push((FaultKind::WrongGrant, message));
                }
            }
        }
        for hold in rebuilt.ended_holds() {
            match ask!(self, Hold, Query::Hold(tenant_id.clone(), hold.id)) {
                Err(Failure::Failed(Error::Corrupt(what))) => wrong.push((FaultKind::Unreadable, what)),
                Ok(Some((owner, row))) if owner == *account && row == *hold => {}
                read => {
                    let message = format!("the hold {} is {:?}, its entries say {hold:?}", hold.id, read?);
                    wrong.push((FaultKind::WrongHold, message));
                }
            }
        }
        for rule in rebuilt.ended_rules() {
            match ask!(self, Rule, Query::Rule(tenant_id.clone(), rule.id)) {
                Err(Failure::Failed(Error::Corrupt(what))) => wrong.push((FaultKind::Unreadable, what)),
                Ok(Some((owner, row))) if owner == *account && row == *rule => {}
                read => {
                    let message = format!("the rule {} is {:?}, its entries say {rule:?}", rule.id, read?);
                    wrong.push((FaultKind::WrongRule, message));
                }
            }
        }
        Ok(wrong)
    }

    fn last_seq(&self, account: &AccountKey) -> Result<u64, Failure> {
        let facts = ask!(self, Account, Query::Account(account.clone(), self.now()))?;
        Ok(facts.map_or(0, |facts| facts.account.seq))
    }

    /// Every entry is listed by an operation, and no charge was refunded beyond what it took.
    fn check_operations(
        &self,
        account: &AccountKey,
        page: &EntryPage,
        entries: &[&Entry],
        rebuilt: &mut Rebuilt,
    ) -> Result<(), Failure> {
        let mut ids: Vec<OpId> = page.entries.iter().map(|entry| entry.op_id).collect();
        ids.dedup();
        let operations = self.operations(account, ids)?;
        for entry in entries {
            let refundable = matches!(entry.kind, EntryKind::Charge | EntryKind::Capture);
            if let Some(Ok(stored)) = operations.get(&entry.op_id).filter(|_| refundable) {
                rebuilt.note_refunded(stored.operation.refunded);
            }
            let wrong = match operations.get(&entry.op_id) {
                None => Some(format!("the operation {} of the entry {} is missing", entry.op_id, entry.seq)),
                Some(Err(what)) => Some(what.clone()),
                Some(Ok(stored)) => unlisted(stored, entry),
            };
            if let Some(message) = wrong {
                rebuilt.fault(FaultKind::WrongOperation, Some(entry.seq), Some(entry), message);
            }
        }
        Ok(())
    }

    /// Operations by their ids. Where some cannot be read, each is asked for alone, so that the others can.
    fn operations(&self, account: &AccountKey, ids: Vec<OpId>) -> Result<Map<OpId, ReadOperation>, Failure> {
        let ask = |ids: Vec<OpId>| ask!(self, Operations, Query::Operations(account.tenant_id.clone(), ids));
        let by_id = |found: Vec<Arc<StoredOperation>>| found.into_iter().map(|stored| (stored.operation.op_id, Ok(stored)));
        match ask(ids.clone()) {
            Err(Failure::Failed(Error::Corrupt(_))) => {}
            found => return Ok(by_id(found?).collect()),
        }
        let mut operations = Map::default();
        for id in ids {
            match ask(vec![id]) {
                Err(Failure::Failed(Error::Corrupt(what))) => {
                    operations.insert(id, Err(what));
                }
                found => operations.extend(by_id(found?)),
            }
        }
        Ok(operations)
    }
}

/// An operation, or what is wrong with its rows.
type ReadOperation = Result<Arc<StoredOperation>, String>;

/// What an operation says wrongly about one of its entries.
fn unlisted(stored: &StoredOperation, entry: &Entry) -> Option<String> {
    let operation = &stored.operation;
    let offset = u64::from(entry.ordinal).saturating_sub(1);
    if operation.first_seq + offset != entry.seq || offset >= u64::from(operation.entry_count) {
        return Some(format!("the operation {} does not list the entry {}", operation.op_id, entry.seq));
    }
    if stored.entries.iter().any(|listed| listed.op_id != operation.op_id) {
        return Some(format!("the operation {} lists entries of others", operation.op_id));
    }
    if operation.created_at != entry.created_at {
        let (says, booked) = (operation.created_at, entry.created_at);
        return Some(format!(
            "the operation {} says it was booked at {says}, its entry {} at {booked}",
            operation.op_id, entry.seq
        ));
    }
    let refundable = if matches!(entry.kind, EntryKind::Charge | EntryKind::Capture) { entry.draw.total() } else { return None };
    if operation.refunded.is_negative() || operation.refunded > refundable {
        return Some(format!("{} of the {refundable} of the entry {} were refunded", operation.refunded, entry.seq));
    }
    None
}

fn pages_of(account: &AccountKey) -> EntryQuery {
    EntryQuery {
        scope: EntryScope::Account(account.clone()),
        filter: EntryFilter::default(),
        order: PageOrder::Asc,
        cursor: None,
        limit: ENTRIES_A_READ,
    }
}
