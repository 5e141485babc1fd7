//! No statement reads a growing table from end to end, or sorts what it found.

use super::{place, stranger};
use crate::store::sqlite::SqliteStore;

#[test]
fn every_statement_searches_an_index() {
    let (_folder, path) = place();
    drop(SqliteStore::open(&path).unwrap());
    let connection = stranger(&path);
    let mut read = 0;
    for sql in SqliteStore::statements() {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = plan.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let step: String = row.get("detail").unwrap();
            // What a subquery does stands in the steps below it.
            let is_bound = step.ends_with("-ROW VALUES CLAUSE");
            let is_subquery = step.starts_with("CORRELATED SCALAR SUBQUERY ") || step.starts_with("SCALAR SUBQUERY ");
            if !is_subquery && !is_bound {
                assert!(step.starts_with("SEARCH "), "`{step}` in the plan of {sql}");
                read += 1;
            }
        }
    }
    assert!(read > SqliteStore::statements().count(), "{read} steps were read");
}
