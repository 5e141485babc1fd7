//! The habits of the house, checked: sizes, links, what the core depends on, what the front page says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use drawdown_tests::repository::root;

/// Every file of the repository, by its path from the root; what is built and what git keeps is left out.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["target", ".git"].contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    files.sort();
    assert!(files.contains(&PathBuf::from("core/src/lib.rs")), "the repository is where it is looked for");
    files
}

fn texts() -> impl Iterator<Item = (PathBuf, String)> {
    files().into_iter().filter_map(|path| Some((path.clone(), fs::read_to_string(root().join(path)).ok()?)))
}

fn with_extension<'a>(extension: &'a str) -> impl Iterator<Item = (PathBuf, String)> + 'a {
    texts().filter(move |(path, _)| path.extension().is_some_and(|found| found == extension))
}

#[test]
fn a_file_of_the_core_can_be_held() {
    let too_long: Vec<_> = with_extension("rs")
        .filter(|(path, text)| path.starts_with("core/src") && text.lines().count() > 700)
        .map(|(path, text)| (path, text.lines().count()))
        .collect();
    assert!(too_long.is_empty(), "more than 700 lines; split by idea: {too_long:?}");
}

#[test]
fn the_repository_speaks_of_itself_alone() {
    // Put together here, so that this file does not find itself.
    let hosts = ["crates", "npmjs", "pypi"].map(|name| format!("{name}.{}", if name == "crates" { "io" } else { "org" }));
    let folders = ["work", "root", "home", "Users"].map(|name| format!("/{name}/"));
    let index = format!("registry+https://github.com/rust-lang/{}-index", hosts.first().unwrap());
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let line = if path.ends_with("Cargo.lock") { line.replace(&index, "") } else { line.to_owned() };
            if hosts.iter().chain(&folders).any(|pattern| line.contains(pattern)) {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "names of registries or paths of one machine:\n{}", found.join("\n"));
}

#[test]
fn every_link_of_the_docs_leads_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for (path, text) in with_extension("md") {
        for target in links(&text) {
            let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
            let linked = if file.is_empty() { path.clone() } else { normal(&path.parent().unwrap().join(file)) };
            let exists = root().join(&linked).exists();
            let anchored = anchor
                .is_none_or(|anchor| fs::read_to_string(root().join(&linked)).is_ok_and(|text| anchors(&text).contains(anchor)));
            followed += 1;
            if !exists || !anchored {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
    assert!(followed > 20, "{followed} links were found; the search for them is broken");
}

/// The targets of the links in a page, but those to other sites.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).filter(|t| !t.contains("://"))
}

/// The names under which the headings of a page can be linked.
fn anchors(text: &str) -> HashSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept =
                heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c)).collect::<String>();
            kept.replace(' ', "-")
        })
        .collect()
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn the_core_without_its_features_does_no_io() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "drawdown", "--no-default-features", "--edges", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: HashSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains("blake3"), "the tree was read: {crates:?}");
    for forbidden in ["rusqlite", "libsqlite3-sys", "tokio", "mio", "socket2", "reqwest", "hyper", "tempfile"] {
        assert!(!crates.contains(forbidden), "`{forbidden}` is a dependency of the core without features");
    }
    let apart = ["core/src/store/sqlite", "core/src/testing", "core/src/engine/tests.rs"];
    for (path, text) in with_extension("rs").filter(|(path, _)| path.starts_with("core/src")) {
        if apart.iter().any(|apart| path.starts_with(apart)) {
            continue;
        }
        // The number of the process, by which a fork is noticed, is no input.
        let text = text.replace("std::process::id()", "");
        for module in ["std::fs", "std::net", "std::process", "std::env", "std::io::std"] {
            assert!(!text.contains(module), "{} uses `{module}`", path.display());
        }
    }
}

#[test]
fn the_front_page_shows_the_quick_start_and_what_it_prints() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let example = fs::read_to_string(root().join("examples/quickstart.rs")).unwrap();
    let code: String = example
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.starts_with("#![") || line.is_empty())
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(
        readme.contains(&format!("```rust\n{code}```\n")),
        "the first code of README.md is not examples/quickstart.rs; copy the example, without its head, into the page"
    );
    assert!(readme.lines().position(|line| line == "```rust").unwrap() < 10, "the code stands in the first screen");

    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "--package", "drawdown-examples", "--example", "quickstart"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(readme.contains(&format!("```text\n{printed}```\n")), "README.md shows another output than this:\n{printed}");
}
