//! Reading the whole of the books: verification and statements.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;
use std::sync::Arc;

use super::Engine;
use super::checkpoint::Search;
use super::reads::{MAX_READS, ask, restless};
use crate::error::{Error, Failure};
use crate::id::{OpId, PolicyTag};
use crate::ledger::export::{LinePage, export};
use crate::ledger::verify::Rebuilt;
use crate::ledger::{
    AccountHead, Checkpoint, Entry, EntryFilter, EntryKind, EntryPage, EntryQuery, EntryScope, FaultKind, PageOrder,
    StatementFormat, StatementLine, StoredOperation, VerifyOptions, VerifyReport,
};
use crate::map::Map;
use crate::owner::AccountKey;
use crate::store::{AccountImage, Answer, Query};
use crate::time::Timestamp;

/// Accounts that are listed at once.
const ACCOUNTS_A_READ: usize = 256;
/// Entries that are read at once. Reads are short, so writers' files do not grow while a long one is open.
const ENTRIES_A_READ: usize = 256;

impl Engine {
    /// Recomputes the books from the first entry on: the chain, the balances, the grants, holds and rules of every account, and all
    /// tasks, and says where they part from what is stored. Then it reads the audit: what each record says, that each refusal is told
    /// of, and that the quotes which were held or charged are there. Commands go on meanwhile.
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
        self.verify_with(&VerifyOptions::default(), &mut |_| {})
    }

    /// Finds a checkpoint again in the stored entries, and recomputes what was booked after it. It takes time in proportion to
    /// the accounts and to what was booked since, not to the ledger.
    ///
    /// It proves that the last entry of each account is what it was when the checkpoint was taken, its balances included, so that
    /// no history was rewritten with its hashes, cut off, or put back from a backup; and that everything since follows from
    /// there. It does not read what stands before: an entry there that was changed and left its hashes alone, and rows of grants,
    /// holds and tasks that say something else than those entries without changing a sum, are found by [`Engine::verify_with`] and
    /// `full`. What came after the checkpoint is recomputed, but whoever can write the books could have rewritten it as a whole:
    /// the report counts it as `uncovered_entries`. Of the audit it reads
    /// the quotes alone that are named since.
    ///
    /// # Errors
    /// `payload_invalid` for a checkpoint of another version; [`Error`] when the store cannot be read. A checkpoint that is not
    /// found again is a fault in the report.
    ///
    /// # Examples
    /// ```
    /// use drawdown::{Context, Engine, GrantCredit, GrantType, Owner};
    /// let engine = Engine::in_memory();
    /// let grant = GrantCredit::new(Owner::user("u1")?, GrantType::Purchased, "10".parse()?);
    /// engine.execute(Context::tenant("acme")?.request(grant))?;
    /// let checkpoint = engine.checkpoint()?;
    /// assert!(engine.verify_from(&checkpoint)?.is_clean());
    /// let other_books = Engine::in_memory(); // as if a backup from before had been put back
    /// let report = other_books.verify_from(&checkpoint)?;
    /// assert_eq!(report.faults[0].kind.as_str(), "checkpoint_differs");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_from(&self, checkpoint: &Checkpoint) -> Result<VerifyReport, Failure> {
        let options = VerifyOptions { checkpoint: Some(checkpoint.clone()), full: false };
        self.verify_with(&options, &mut |_| {})
    }

    /// As [`Engine::verify`] or [`Engine::verify_from`], and shows the report so far after each account and each page of tasks. With a checkpoint and
    /// `full` it does both: everything is recomputed, and the checkpoint has to be found again.
    ///
    /// # Errors
    /// As [`Engine::verify_from`].
    pub fn verify_with(&self, options: &VerifyOptions, progress: &mut dyn FnMut(&VerifyReport)) -> Result<VerifyReport, Failure> {
        let mut report = VerifyReport::default();
        let mut search = options.checkpoint.as_ref().map(Search::new).transpose()?;
        let mut after: Option<AccountKey> = None;
        loop {
            let accounts = ask!(self, Accounts, Query::Accounts(after.clone(), ACCOUNTS_A_READ))?;
            let Some(last) = accounts.last().cloned() else { break };
            let heads = match &mut search {
                Some(search) => search.heads(self, after, &accounts, &mut report)?,
                None => Map::default(),
            };
            after = Some(last);
            for account in &accounts {
                let head = heads.get(account);
                let covered = head.map_or(0, |head| head.seq);
                report.uncovered_entries +=
                    self.verify_into(account, head.filter(|_| !options.full), &mut report)?.saturating_sub(covered);
                progress(&report);
            }
        }
        if let Some(search) = search {
            search.finish(self, &mut report)?;
        }
        if options.full || options.checkpoint.is_none() {
            self.verify_tasks(&mut report, progress)?;
            self.verify_audit(&mut report)?;
        }
        Ok(report)
    }

    /// Verifies one account; one that never had an entry is clean.
    ///
    /// # Errors
    /// [`Error`] when the store cannot be read.
    pub fn verify_account(&self, account: &AccountKey) -> Result<VerifyReport, Failure> {
        let mut report = VerifyReport::default();
        report.uncovered_entries = self.verify_into(account, None, &mut report)?;
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
        export(query, format, out, |page| self.lines(page))
    }

    /// A page of entries as a statement shows them.
    pub(crate) fn lines(&self, query: EntryQuery) -> Result<LinePage, Failure> {
        let tenant_id = query.tenant_id().clone();
        let EntryPage { entries, next_cursor } = self.entries(query)?;
        let op_ids: BTreeSet<OpId> = entries.iter().map(|entry| entry.op_id).collect();
        let operations = ask!(self, Operations, Query::Operations(tenant_id, op_ids.into_iter().collect()))?;
        let tags: Map<OpId, Option<PolicyTag>> =
            operations.into_iter().map(|stored| (stored.operation.op_id, stored.operation.policy_tag.clone())).collect();
        let line = |entry: &Entry| StatementLine::new(entry, tags.get(&entry.op_id).cloned().flatten());
        Ok(LinePage { lines: entries.iter().map(line).collect(), next_cursor })
    }

    /// Verifies an account from its head at a checkpoint, or from its first entry, and answers how many entries it has.
    fn verify_into(&self, account: &AccountKey, head: Option<&AccountHead>, report: &mut VerifyReport) -> Result<u64, Failure> {
        for _ in 0..MAX_READS {
            if let Some((found, entries)) = self.verify_once(account, head)? {
                report.accounts += found.accounts;
                report.entries += found.entries;
                report.faults.extend(found.faults);
                return Ok(entries);
            }
        }
        Err(restless(account))
    }

    /// What one reading finds, and how many entries there are; none if the account was booked meanwhile, and a row that has
    /// ended is not what it was.
    fn verify_once(&self, account: &AccountKey, head: Option<&AccountHead>) -> Result<Option<(VerifyReport, u64)>, Failure> {
        let mut report = VerifyReport::default();
        // The row first: entries up to its sequence number do not change any more.
        let image = match ask!(self, AccountImage, Query::AccountImage(account.clone())) {
            Err(Failure::Failed(Error::Corrupt(what))) => {
                let mut rebuilt = Rebuilt::new(Arc::new(account.clone()));
                rebuilt.fault(FaultKind::Unreadable, None, None, what);
                report.faults = rebuilt.into_faults();
                return Ok(Some((report, 0)));
            }
            read => read?,
        };
        let Some(image) = image else { return Ok(Some((report, 0))) };
        report.accounts += 1;
        let last_seq = image.facts.account.seq;
        let mut rebuilt = head.map_or_else(|| Rebuilt::new(Arc::clone(&image.facts.account.key)), Rebuilt::after);
        if let Some(head) = head {
            self.check_head(head, &mut rebuilt)?;
        }
        let mut query = EntryQuery { cursor: head.map(|head| head.ledger_id), ..pages_of(account) };
        while rebuilt.seq() < last_seq {
            let page = match ask!(self, Entries, Query::Entries(query.clone())) {
                Err(Failure::Failed(Error::Corrupt(what))) => {
                    rebuilt.fault(FaultKind::Unreadable, Some(rebuilt.seq() + 1), None, what);
                    report.faults = rebuilt.into_faults();
                    return Ok(Some((report, last_seq)));
                }
                read => read?,
            };
            let entries: Vec<&Entry> = page.entries.iter().filter(|entry| entry.seq <= last_seq).collect();
            report.entries += u64::try_from(entries.len()).unwrap_or(0);
            entries.iter().for_each(|entry| rebuilt.read(entry));
            self.check_operations(account, &page, &entries, &mut rebuilt)?;
            if let Some(entry) = self.without_task(&entries)?.filter(|_| rebuilt.is_clean()) {
                let message = format!("the task {:?} of the entry {} has no row", entry.task_id, entry.seq);
                rebuilt.fault(FaultKind::WrongTask, Some(entry.seq), Some(entry), message);
            }
            self.check_quotes(account, &entries, &mut rebuilt)?;
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
        rebuilt.compare(&image);
        let row = (image.facts.account.seq, image.facts.account.last_at);
        // An erasing books no entry, and takes copies from rows that were read before.
        if !rebuilt.is_clean() && rebuilt.has_erased() && self.last_booked(account)? != row {
            return Ok(None);
        }
        if rebuilt.is_clean() {
            let wrong = self.wrong_ended_rows(&image, &rebuilt)?;
            if !wrong.is_empty() && self.last_booked(account)? != row {
                return Ok(None);
            }
            wrong.into_iter().for_each(|(kind, message)| rebuilt.fault(kind, None, None, message));
        }
        report.faults = rebuilt.into_faults();
        Ok(Some((report, last_seq)))
    }

    /// The entry of a head has the hash that the checkpoint covers, so its balances are those of then.
    fn check_head(&self, head: &AccountHead, rebuilt: &mut Rebuilt) -> Result<(), Failure> {
        let before = EntryQuery { cursor: Some(head.ledger_id), order: PageOrder::Desc, limit: 1, ..pages_of(&head.account) };
        let before = match ask!(self, Entries, Query::Entries(before)) {
            Err(Failure::Failed(Error::Corrupt(what))) => {
                rebuilt.fault(FaultKind::Unreadable, head.seq.checked_sub(1), None, what);
                return Ok(());
            }
            read => read?.entries.first().map(|entry| entry.hash).unwrap_or_default(),
        };
        let op_id = head.ledger_id.operation().0;
        let operations = self.operations(&head.account, vec![op_id])?;
        let (kind, message) = match operations.get(&op_id) {
            None => (FaultKind::WrongOperation, format!("the operation {op_id} of the entry {} is missing", head.seq)),
            Some(Err(what)) => (FaultKind::Unreadable, what.clone()),
            Some(Ok(stored)) => {
                let entry = stored.entries.iter().find(|entry| entry.seq == head.seq && AccountHead::of(entry) == *head);
                if entry.is_some_and(|entry| entry.chain_after(&before, &entry.text_hash()) == head.hash) {
                    return Ok(());
                }
                (FaultKind::TamperedEntry, format!("the entry {} ({}) was changed, or the one before it", head.seq, head.ledger_id))
            }
        };
        rebuilt.fault(kind, Some(head.seq), None, message);
        Ok(())
    }

    /// What the rows of grants, holds and rules that have ended say otherwise than their entries. Refunds and tasks still go by
    /// them.
    fn wrong_ended_rows(&self, image: &AccountImage, rebuilt: &Rebuilt) -> Result<Vec<(FaultKind, String)>, Failure> {
        let mut wrong = Vec::new();
        let account = &image.facts.account.key;
        for (id, ours) in rebuilt.ended_grants(image) {
            match ask!(self, Grant, Query::Grant(account.tenant_id.clone(), id)) {
                Err(Failure::Failed(Error::Corrupt(what))) => wrong.push((FaultKind::Unreadable, what)),
                Ok(Some((owner, row)))
                    if owner == *account && rebuilt.led_to_grant(&row) && ours.is_none_or(|ours| *ours == row) => {}
                read => wrong.push((FaultKind::WrongGrant, format!("the grant {id} is {:?}, {}", read?, says(ours)))),
            }
        }
        for (id, ours) in rebuilt.ended_holds(image) {
            match ask!(self, Hold, Query::Hold(account.tenant_id.clone(), id)) {
                Err(Failure::Failed(Error::Corrupt(what))) => wrong.push((FaultKind::Unreadable, what)),
                Ok(Some((owner, row)))
                    if owner == *account && rebuilt.led_to_hold(&row) && ours.is_none_or(|ours| *ours == row) => {}
                read => wrong.push((FaultKind::WrongHold, format!("the hold {id} is {:?}, {}", read?, says(ours)))),
            }
        }
        for rule in rebuilt.ended_rules() {
            match ask!(self, Rule, Query::Rule(account.tenant_id.clone(), rule.id)) {
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

    /// The number of the last entry, and when the account was last booked.
    fn last_booked(&self, account: &AccountKey) -> Result<(u64, Timestamp), Failure> {
        let facts = ask!(self, Account, Query::Account(account.clone(), self.now()))?;
        Ok(facts.map_or((0, Timestamp::MIN), |facts| (facts.account.seq, facts.account.last_at)))
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
            let wrong = wrong.or_else(|| match operations.get(&entry.op_id) {
                Some(Ok(stored)) => rebuilt.wrong_band(stored, entry),
                _ => None,
            });
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

fn says(rebuilt: Option<impl Debug>) -> String {
    match rebuilt {
        Some(rebuilt) => format!("its entries say {rebuilt:?}"),
        None => "to which its entries since the checkpoint cannot have led".to_owned(),
    }
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
