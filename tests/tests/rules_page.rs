//! The page that leads from each rule to the tests that fail without it: every test that it names is there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use drawdown_tests::repository::root;

fn page() -> String {
    fs::read_to_string(root().join("docs/rules.md")).unwrap()
}

/// Every `file::function` of a text.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_source = |file: &str| [".rs", ".py"].iter().any(|ending| file.ends_with(ending));
    text.split('`').filter_map(move |quoted| quoted.split_once("::").filter(|(file, _)| is_source(file)))
}

/// Whether this source has a test of this name: one of its own, one among properties, a case of the suite for stores, or a function
/// that pytest takes for a test.
fn has_test(file: &str, source: &str, suite: &str, name: &str) -> bool {
    if file.ends_with(".py") {
        let is_collected = file.rsplit('/').next().is_some_and(|file| file.starts_with("test_")) && name.starts_with("test_");
        return is_collected && source.lines().any(|line| line.starts_with(&format!("def {name}(")));
    }
    if file.starts_with("core/src/testing/conformance/") {
        let is_listed = suite.lines().any(|line| line.trim() == format!("{name},"));
        return is_listed && source.contains(&format!("pub fn {name}("));
    }
    let Some((before, _)) = source.split_once(&format!("fn {name}(")) else { return false };
    before.trim_end().ends_with("#[test]")
}

#[test]
fn every_test_that_the_page_names_is_there() {
    let page = page();
    let suite = fs::read_to_string(root().join("core/src/testing/conformance/mod.rs")).unwrap();
    let mut sources: BTreeMap<&str, String> = BTreeMap::new();
    let mut missing = Vec::new();
    for (file, name) in named(&page) {
        let source = sources.entry(file).or_insert_with(|| fs::read_to_string(root().join(file)).unwrap_or_default());
        if !has_test(file, source, &suite, name) {
            missing.push(format!("{file}::{name}"));
        }
    }
    assert!(missing.is_empty(), "docs/rules.md names tests that are not there:\n{}", missing.join("\n"));
    for (ending, least) in [(".rs", 200), (".py", 50)] {
        let found = named(&page).filter(|(file, _)| file.ends_with(ending)).count();
        assert!(found > least, "the search for tests in `{ending}` is broken: {found}");
    }
}

#[test]
fn every_rule_names_a_test() {
    let page = page();
    let rules: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && *line != "| rule | tests |" && *line != "| broken | noticed by |")
        .collect();
    let without: Vec<&&str> = rules.iter().filter(|rule| named(rule).next().is_none()).collect();
    assert!(without.is_empty(), "rules without a test: {without:#?}");
    let distinct: BTreeSet<&str> = rules.iter().copied().collect();
    assert_eq!(distinct.len(), rules.len(), "each rule stands once");
}

/// A table of rules that no row leads to would be found by nobody.
#[test]
fn every_table_of_rules_is_on_the_page() {
    let page = page();
    let files: BTreeSet<&str> = named(&page).map(|(file, _)| file).collect();
    let mut absent = Vec::new();
    for (folder, prefix, ending) in [("tests/tests", "rules_", ".rs"), ("bindings-python/tests/fastapi", "test_", ".py")] {
        let names = fs::read_dir(root().join(folder)).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap());
        let tables = names.filter(|name| name.starts_with(prefix) && name.ends_with(ending) && name != "rules_page.rs");
        absent.extend(tables.map(|name| format!("{folder}/{name}")).filter(|path| !files.contains(path.as_str())));
    }
    assert!(absent.is_empty(), "docs/rules.md leads to no test of {absent:?}");
}
