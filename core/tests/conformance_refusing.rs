//! The conformance suite, put to a store that breaks the laws: its cases fail, and none waits for ever.
#![cfg(feature = "testing")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use drawdown::audit::AuditRecord;
use drawdown::event::{Consumer, EventCursor};
use drawdown::store::memory::MemoryStore;
use drawdown::store::{Answer, Batch, Query, Store, StoreError, StoreErrorKind};
use drawdown::testing::conformance::{Subject, feed, heads, reads};
use drawdown::{OpId, TenantId};

/// A store that can be read, and writes nothing after its first few batches.
struct Refusing(MemoryStore, AtomicUsize);

impl Store for Refusing {
    fn run(&self, batch: &mut dyn Batch) -> Result<(), StoreError> {
        if self.1.fetch_add(1, Ordering::SeqCst) >= 5 {
            return Err(StoreError::new(StoreErrorKind::Permanent, "the disk is full"));
        }
        self.0.run(batch)
    }

    fn query(&self, query: &Query) -> Result<Answer, StoreError> {
        self.0.query(query)
    }

    fn record(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        self.0.record(records)
    }

    fn forget(&self, tenant_id: &TenantId, op_ids: &[OpId]) -> Result<(), StoreError> {
        self.0.forget(tenant_id, op_ids)
    }

    fn acknowledge(&self, consumer: &Consumer, cursor: EventCursor) -> Result<EventCursor, StoreError> {
        self.0.acknowledge(consumer, cursor)
    }
}

/// Cases that read while others write end, and fail, when those can write no more.
#[test]
fn a_store_that_cannot_write_fails_and_hangs_nobody() {
    let cases: [fn(&Subject); 3] = [
        feed::nothing_appears_behind_a_position_handed_out,
        reads::a_read_sees_whole_batches_only,
        heads::heads_stay_as_they_were_while_others_write,
    ];
    for case in cases {
        let subject = Subject::new(|| Arc::new(Refusing(MemoryStore::new(), Default::default())));
        assert!(catch_unwind(AssertUnwindSafe(|| case(&subject))).is_err());
    }
}
