//! What the file does to the store, and the store to the file. The laws of a store are in the conformance suite.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod log;
mod opening;
mod plans;
mod remembering;
mod running;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::{SqliteOptions, SqliteStore};
use crate::changes::Changes;
use crate::command::Command;
use crate::credit::TenantPolicy;
use crate::decide::{Decision, decide};
use crate::facts::{Facts, Needs};
use crate::id::OpId;
use crate::owner::AccountKey;
use crate::store::{Answer, Batch, Query, Store, StoreError};
use crate::time::{Clock, ManualClock};

/// A folder, and the path of a file in it that is not there yet.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("books.db");
    (folder, path)
}

/// Gives up soon on a file that stays locked.
fn impatient() -> SqliteOptions {
    SqliteOptions { deadline: Duration::from_millis(30), ..SqliteOptions::default() }
}

/// Another program at the file.
fn stranger(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

/// One command, decided as the engine does.
struct One<'a> {
    needs: Needs,
    clock: ManualClock,
    command: Command,
    op_id: OpId,
    /// What a test changes in what was decided.
    tamper: &'a dyn Fn(&mut Changes),
}

impl Batch for One<'_> {
    fn needs(&self) -> &Needs {
        &self.needs
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn decide(&mut self, facts: Facts) -> Vec<Changes> {
        match decide(&self.command, self.op_id, &TenantPolicy::default(), &facts) {
            Decision::Accepted(mut changes, _) => {
                (self.tamper)(&mut changes);
                vec![*changes]
            }
            other => panic!("not accepted: {other:?}"),
        }
    }

    fn restart(&mut self) {}
}

/// Runs one command at noon, and may change what is written.
fn run_tampered(store: &SqliteStore, json: &str, tamper: &dyn Fn(&mut Changes)) -> Result<(), StoreError> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let command = Command::from_json(json).unwrap();
    let needs = command.needs(&TenantPolicy::default());
    let clock = ManualClock::at("2026-03-01T12:00:00Z".parse().unwrap());
    let op_id = OpId::new(clock.now(), &command.context.tenant_id, None, NEXT.fetch_add(1, Ordering::Relaxed));
    store.run(&mut One { needs, clock, command, op_id, tamper })
}

fn run(store: &SqliteStore, json: &str) -> Result<(), StoreError> {
    run_tampered(store, json, &|_| ())
}

fn grant(store: &SqliteStore, amount: &str) -> Result<(), StoreError> {
    run(
        store,
        &format!(
            r#"{{"command": "grant", "tenant_id": "acme", "owner": "user:u1", "type": "purchased", "amount": "{amount}",
                "expires_at": "2027-01-01T00:00:00Z"}}"#
        ),
    )
}

fn charge(store: &SqliteStore, key: &str) -> Result<(), StoreError> {
    run(
        store,
        &format!(
            r#"{{"command": "charge", "tenant_id": "acme", "payer": "user:u1", "amount": "0.25", "idempotency_key": "{key}",
                "task_id": "task-{key}"}}"#
        ),
    )
}

/// How many operations there are.
fn operations(store: &SqliteStore) -> usize {
    match store.query(&Query::Feed { tenant_id: None, after: 0, limit: 100_000 }) {
        Ok(Answer::Feed(operations)) => operations.len(),
        other => panic!("no feed: {other:?}"),
    }
}

fn account() -> AccountKey {
    AccountKey::new("acme".parse().unwrap(), "user:u1".parse().unwrap(), "credit".parse().unwrap())
}

/// What is available, as booked.
fn available(store: &SqliteStore) -> String {
    match store.query(&Query::AccountImage(account())) {
        Ok(Answer::AccountImage(Some(image))) => image.facts.account.available.to_string(),
        other => panic!("no account: {other:?}"),
    }
}
