//! The floors: loops that a person would write by hand if nothing but the rows mattered.
//!
//! They read nothing, hash nothing and check nothing; they know beforehand what every row will say.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use crate::Outcome;
use crate::contender::{Contender, Spread};
use crate::engine::ACCOUNTS;

/// The engine's own settings of its writing connection, which moves its log by itself from as many pages on.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536; \
    PRAGMA wal_autocheckpoint = 16000; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; \
    PRAGMA secure_delete = ON;";

fn now_micros() -> Outcome<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// Writes exactly the rows that the engine writes, into a file that the engine made: its tables, its indexes, its settings.
///
/// Like the engine it writes a row that changes several times in a commit once.
pub(crate) struct FloorA {
    connection: Connection,
    accounts: Vec<Account>,
    sample: Sample,
    batch: u64,
    spread: Spread,
    position: i64,
    done: u64,
    run: u64,
}

struct Account {
    account_id: i64,
    grant_row: i64,
    seq: i64,
    available: i64,
    consumed: i64,
    remaining: i64,
}

/// A charge that the engine wrote: what its copies have in common with it.
struct Sample {
    fingerprint: Vec<u8>,
    hash: Vec<u8>,
    draw: Vec<u8>,
}

impl FloorA {
    /// Takes over a file in which the engine has granted every account once and charged one.
    pub(crate) fn open(file: &Path, batch: u64, spread: Spread) -> Outcome<FloorA> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SETTINGS)?;
        let sample = connection.query_row(
            "SELECT o.fingerprint, e.hash, e.draw FROM operations o JOIN entries e ON e.position = o.position \
             WHERE o.kind = 'charge' ORDER BY o.position LIMIT 1",
            [],
            |row| Ok(Sample { fingerprint: row.get(0)?, hash: row.get(1)?, draw: row.get(2)? }),
        )?;
        let position = connection.query_row("SELECT max(position) FROM operations", [], |row| row.get(0))?;
        let accounts = connection
            .prepare(
                "SELECT a.account_id, g.grant_row, a.seq, a.available, a.consumed, g.remaining FROM accounts a \
                 JOIN grants g ON g.account_id = a.account_id ORDER BY a.account_id",
            )?
            .query_map([], account)?
            .collect::<Result<Vec<_>, _>>()?;
        if accounts.len() != usize::try_from(ACCOUNTS)? {
            return Err(format!("{} accounts with a grant in the file", accounts.len()).into());
        }
        Ok(FloorA { connection, accounts, sample, batch, spread, position, done: 0, run: fastrand::u64(..) })
    }

    fn commit(&mut self) -> Outcome<()> {
        let FloorA { connection, accounts, sample, batch, spread, position, done, run } = self;
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let now = now_micros()?;
        let mut touched = Vec::new();
        {
            let mut operation = transaction.prepare_cached(
                "INSERT INTO operations (op_id, tenant_id, account_id, kind, first_seq, entry_count, settled_count, \
                 refunded, created_at, fingerprint, idempotency_key) VALUES (?1, 'bench', ?2, 'charge', ?3, 1, 0, 0, ?4, ?5, ?6)",
            )?;
            let mut entry = transaction.prepare_cached(
                "INSERT INTO entries (position, tenant_id, account_id, seq, ordinal, kind, change, frozen_change, balance_after, \
                 frozen_after, created_at, hash, draw) VALUES (?1, 'bench', ?2, ?3, 1, 'charge', -1, 0, ?4, 0, ?5, ?6, ?7)",
            )?;
            for _ in 0..*batch {
                *done += 1;
                *position += 1;
                let place = usize::try_from(spread.account(*done))?;
                let account = accounts.get_mut(place).ok_or("no such account")?;
                account.charge();
                let key = format!("floor-{run:016x}-{done:012}");
                let op_id = op_id(now)?;
                operation.execute(params![op_id, account.account_id, account.seq, now, sample.fingerprint, key])?;
                let entered = params![*position, account.account_id, account.seq, account.available, now, sample.hash, sample.draw];
                entry.execute(entered)?;
                if *spread == Spread::Even || touched.is_empty() {
                    touched.push(place);
                }
            }
            let mut update = Updates::prepare(&transaction)?;
            for place in touched {
                update.write(accounts.get(place).ok_or("no such account")?, &sample.hash, now)?;
            }
        }
        Ok(transaction.commit()?)
    }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        account_id: row.get(0)?,
        grant_row: row.get(1)?,
        seq: row.get(2)?,
        available: row.get(3)?,
        consumed: row.get(4)?,
        remaining: row.get(5)?,
    })
}

impl Account {
    fn charge(&mut self) {
        self.seq += 1;
        self.available -= 1;
        self.consumed += 1;
        self.remaining -= 1;
    }
}

/// An id of the engine's shape: milliseconds, then what is random, then 16 bits of 0.
fn op_id(now: i64) -> Outcome<[u8; 16]> {
    let millis = u64::try_from(now / 1_000)?;
    Ok(Uuid::from_u64_pair((millis << 16) | (fastrand::u64(..) & 0xffff), fastrand::u64(..) & !0xffff).into_bytes())
}

/// The statements that write back the rows of an account and its grant.
struct Updates<'a> {
    account: rusqlite::CachedStatement<'a>,
    grant: rusqlite::CachedStatement<'a>,
}

impl<'a> Updates<'a> {
    fn prepare(transaction: &'a Transaction<'_>) -> Outcome<Updates<'a>> {
        Ok(Updates {
            account: transaction.prepare_cached(
                "UPDATE accounts SET seq = ?2, available = ?3, frozen = 0, issued = ?4, adjusted_in = 0, consumed = ?5, expired = 0, \
                 forfeited = 0, adjusted_out = 0, open_grants = 1, open_holds = 0, head = ?6, last_at = ?7, hold_due_at = NULL \
                 WHERE account_id = ?1",
            )?,
            grant: transaction.prepare_cached(
                "UPDATE grants SET state = 'active', expires_at = NULL, remaining = ?2, held = 0 WHERE grant_row = ?1",
            )?,
        })
    }

    fn write(&mut self, account: &Account, head: &[u8], now: i64) -> Outcome<()> {
        let issued = account.available + account.consumed;
        self.account.execute(params![account.account_id, account.seq, account.available, issued, account.consumed, head, now])?;
        self.grant.execute(params![account.grant_row, account.remaining])?;
        Ok(())
    }
}

impl Contender for FloorA {
    fn turn(&mut self, until: &dyn Fn() -> bool) -> Outcome<u64> {
        let before = self.done;
        while !until() {
            self.commit()?;
        }
        Ok(self.done - before)
    }
}

/// The least that a charge can be: one account is updated, one grant is updated, one entry with a unique key is inserted.
pub(crate) struct FloorB {
    connection: Connection,
    batch: u64,
    spread: Spread,
    done: u64,
}

impl FloorB {
    pub(crate) fn open(file: &Path, batch: u64, spread: Spread) -> Outcome<FloorB> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SETTINGS)?;
        connection.execute_batch(
            "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT; \
             CREATE TABLE grants (id INTEGER PRIMARY KEY, remaining INTEGER NOT NULL) STRICT; \
             CREATE TABLE entries (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, amount INTEGER NOT NULL, \
                                   key TEXT NOT NULL UNIQUE) STRICT;",
        )?;
        let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        for id in 0..i64::try_from(ACCOUNTS)? {
            transaction.execute("INSERT INTO accounts VALUES (?1, 1000000000000)", [id])?;
            transaction.execute("INSERT INTO grants VALUES (?1, 1000000000000)", [id])?;
        }
        transaction.commit()?;
        Ok(FloorB { connection, batch, spread, done: 0 })
    }

    fn commit(&mut self) -> Outcome<()> {
        let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        {
            let mut account = transaction.prepare_cached("UPDATE accounts SET balance = balance - 1 WHERE id = ?1")?;
            let mut grant = transaction.prepare_cached("UPDATE grants SET remaining = remaining - 1 WHERE id = ?1")?;
            let mut insert = transaction.prepare_cached("INSERT INTO entries (account, amount, key) VALUES (?1, -1, ?2)")?;
            for _ in 0..self.batch {
                self.done += 1;
                let id = i64::try_from(self.spread.account(self.done))?;
                account.execute([id])?;
                grant.execute([id])?;
                insert.execute(params![id, format!("floor-{:012}", self.done)])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Contender for FloorB {
    fn turn(&mut self, until: &dyn Fn() -> bool) -> Outcome<u64> {
        let before = self.done;
        while !until() {
            self.commit()?;
        }
        Ok(self.done - before)
    }
}
