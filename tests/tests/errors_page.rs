//! The generated pages are those that are checked in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use drawdown_tests::{errors_page, repository, schema_page};

fn is_checked_in(path: &str, generated: &str) {
    let checked_in = fs::read_to_string(repository::root().join(path)).unwrap_or_default();
    let differing = checked_in.lines().zip(generated.lines()).find(|(old, new)| old != new);
    assert!(
        checked_in == generated,
        "{path} is not what the core says; run `make generate` and commit the result. First difference: {differing:#?}"
    );
}

#[test]
fn the_checked_in_page_is_the_generated_one() {
    is_checked_in(errors_page::PATH, &errors_page::page());
}

#[test]
fn the_checked_in_schema_is_the_generated_one() {
    is_checked_in(schema_page::PATH, &schema_page::page());
}

#[test]
fn every_name_stands_on_the_page() {
    let page = errors_page::page();
    let names = drawdown::DenialKind::ALL.iter().map(|kind| kind.name());
    let names: Vec<&str> = names.chain(drawdown::ErrorKind::ALL.iter().map(|kind| kind.name())).collect();
    let missing: Vec<_> = names.iter().filter(|name| !page.contains(&format!("| `{name}`"))).collect();
    assert_eq!(missing, Vec::<&&str>::new());
    assert_eq!(page.lines().filter(|line| line.starts_with("| `")).count(), names.len() + 2, "the balance has two rows more");
    page.lines().find(|line| line.contains("`0901` (`40901`) 409")).unwrap();
}
