//! The second door: commands that are committed, or rolled back, with the host's own rows.

use std::time::Duration;

use rusqlite::{Connection, Transaction};

use super::commit::{DecideBatch, answer_all};
use super::job::Job;
use super::{Engine, typed};
use crate::command::{Operate, Request};
use crate::error::{Error, Failure};
use crate::store::StoreErrorKind;
use crate::store::sqlite::SqliteStore;

/// How often a command is given another id, when its own is by chance another command's.
const MAX_IDS: usize = 4;

impl Engine {
    /// Joins a transaction of the host: commands staged there take effect when the host commits it, together with whatever
    /// else the host wrote, or not at all. The connection is the host's own, to the SQLite file that the engine's books are in.
    ///
    /// From now on the transaction holds the file's one write lock. One that was begun `IMMEDIATE` has it already; for another
    /// it is waited until the engine's deadline. Until the host commits or rolls back, everyone else who writes waits: commands
    /// of this engine by any other way too, from the same thread in vain. Reads of the engine see what was committed before.
    ///
    /// # Errors
    /// [`Error::Busy`] when the lock is not to be had in time; at once when the transaction has read what another one has changed
    /// since: begin it `IMMEDIATE`. [`Error::Store`] when the engine's books are in no SQLite file, or the connection has another file,
    /// has it to read only, or has temporary tables under the names of the books'. [`Error::Closed`].
    ///
    /// # Examples
    /// ```
    /// use drawdown::rusqlite::{Connection, TransactionBehavior};
    /// use drawdown::{Charge, Context, Engine, GrantCredit, GrantType, Owner};
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("app.db");
    /// let engine = Engine::open(&format!("sqlite://{}", path.display()))?;
    /// let acme = Context::tenant("acme")?;
    /// let user = Owner::user("u1")?;
    /// engine.execute(acme.request(GrantCredit::new(user.clone(), GrantType::Purchased, "10".parse()?)))?;
    ///
    /// let mut connection = Connection::open(&path)?;
    /// connection.execute_batch("CREATE TABLE app_orders (id TEXT PRIMARY KEY, audit_id TEXT NOT NULL) STRICT")?;
    ///
    /// let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    /// let joined = engine.join(&transaction)?;
    /// let charge = Charge::new(user.clone(), "4".parse()?);
    /// let pending = joined.stage(acme.key("order-7")?.request(charge))?;
    /// let audit_id = pending.as_uncommitted().audit_id.to_string();
    /// transaction.execute("INSERT INTO app_orders VALUES ('order-7', ?1)", [&audit_id])?;
    /// // Refused: nothing is left of it, and the transaction goes on.
    /// let refused = joined.stage(acme.request(Charge::new(user, "7".parse()?))).unwrap_err();
    /// assert_eq!(refused.denial().unwrap().name(), "insufficient_balance");
    /// transaction.commit()?;
    /// assert_eq!(pending.assuming_commit().balance_after.to_string(), "6");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join<'a>(&'a self, transaction: &'a Transaction<'_>) -> Result<Joined<'a>, Error> {
        self.join_within(transaction, self.inner.deadline)
    }

    /// As [`Engine::join`], and waits at most this long for the lock.
    ///
    /// # Errors
    /// As [`Engine::join`].
    pub fn join_within<'a>(&'a self, transaction: &'a Transaction<'_>, lock_timeout: Duration) -> Result<Joined<'a>, Error> {
        self.inner.lane.check_process()?;
        if !self.inner.lane.is_open() {
            return Err(Error::Closed);
        }
        let no_file = || Error::Store("the engine's books are in no SQLite file, so no transaction can be joined".to_owned());
        let store = self.inner.lane.bench.store.sqlite().ok_or_else(no_file)?;
        store.join(transaction, lock_timeout)?;
        Ok(Joined { engine: self, store, connection: transaction })
    }
}

/// A transaction of the host that commands can be staged in: see [`Engine::join`].
#[derive(Debug)]
pub struct Joined<'a> {
    engine: &'a Engine,
    store: &'a SqliteStore,
    connection: &'a Connection,
}

impl Joined<'_> {
    /// Decides a command as the engine would, and writes it into the host's transaction. Commands staged there before are seen
    /// by it, and so is whatever the key was used for by either door. It is durable, and seen by others, when the host commits.
    ///
    /// A command that is denied or fails leaves nothing in the transaction, which goes on; with
    /// [`crate::Context::remember_denials`] the memory of its denial is committed, or not, with the rest. What the audit has of a
    /// refusal is written a moment later, whether the transaction is committed or not.
    ///
    /// # Errors
    /// As [`Engine::execute`]. [`Error::Store`] when the transaction has ended; one that SQLite itself has rolled back, as it
    /// does when the disk is full, says so.
    pub fn stage<B: Operate>(&self, request: Request<B>) -> Result<Pending<B::Receipt>, Failure> {
        let lane = &self.engine.inner.lane;
        if !lane.is_open() {
            return Err(Error::Closed.into());
        }
        let bench = &lane.bench;
        let (job, ticket) = self.engine.job(request.into_command(), &self.engine.inner.staged)?;
        let mut jobs = vec![job];
        let mut ids = 1;
        let ran = loop {
            let mut batch = DecideBatch::new(&mut jobs, bench, false).staged();
            let ran = self.store.run_joined(self.connection, &mut batch);
            if ran.is_ok() {
                bench.keep(std::mem::take(&mut batch.kept));
            }
            match ran {
                // Keys and places are read under the lock, so what is taken is the id of the operation; nothing is written yet.
                Err(failed) if failed.kind == StoreErrorKind::Conflict && ids < MAX_IDS => {
                    jobs.iter_mut().for_each(|job| job.draw_ids(|| bench.pause.random()));
                }
                ran => break ran,
            }
            ids += 1;
        };
        match ran {
            Ok(()) => jobs.into_iter().for_each(Job::answer_decided),
            Err(failed) => answer_all(jobs, &failed.into()),
        }
        typed::<B>(&ticket.wait()?).map(Pending)
    }
}

/// The receipt of a command that takes effect only if the host commits its transaction.
///
/// It is no receipt, so that it is not taken for one: until the commit nothing has happened, and after a rollback nothing will
/// have. The same command under the same key can then be sent again, by either door.
#[must_use = "nothing has happened until the transaction is committed"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending<R>(R);

impl<R> Pending<R> {
    /// The receipt as it will be if the transaction is committed: for ids that the host writes into its own rows.
    pub const fn as_uncommitted(&self) -> &R {
        &self.0
    }

    /// The receipt, for a caller who has seen the transaction committed.
    pub fn assuming_commit(self) -> R {
        self.0
    }
}
