//! Runs the program `replay` as a user would: twice, with kills in between, and on traces with mistakes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// The program, built as it stands now: cargo builds examples beside the tests only when it is asked for all tests.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "drawdown-examples", "--example", "replay"]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the program does not build");
        profile.join("examples").join(format!("replay{}", std::env::consts::EXE_SUFFIX))
    })
}

fn command(trace: &Path, db: &Path) -> Command {
    let mut command = Command::new(program());
    command.arg("--trace").arg(trace).arg("--db").arg(db).args(["--users", "25"]);
    command
}

fn report(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn run(trace: &Path, db: &Path) -> String {
    report(&mut command(trace, db))
}

fn own_trace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/trace.csv")
}

/// What must be the same in every run: requests, denials, totals, and what verification says.
fn outcome(report: &str) -> Vec<&str> {
    report.lines().filter(|line| !["throughput", "latency", "accepted"].iter().any(|name| line.starts_with(name))).collect()
}

/// `(executed, replayed)`.
fn accepted(report: &str) -> (u64, u64) {
    let line = report.lines().find(|line| line.starts_with("accepted")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

/// The cells of the row of the totals that begins with `name`.
fn cells<'a>(report: &'a str, name: &str) -> Vec<&'a str> {
    let line = report.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no `{name}` in {report}")).split_whitespace().skip(1).collect()
}

#[test]
fn a_second_run_replays_everything_to_the_same_totals() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("replay.db");
    let first = run(&own_trace(), &db);
    let second = run(&own_trace(), &db);
    assert_eq!(outcome(&first), outcome(&second));
    let (executed, replayed) = accepted(&first);
    assert_eq!(replayed, 0);
    assert_eq!(accepted(&second), (0, executed));
    // The trace is worth replaying: something of everything happens in it.
    assert!(first.lines().any(|line| line.starts_with("denied") && line.ends_with("insufficient_balance")), "{first}");
    assert_ne!(cells(&first, "trial")[2], "0", "no trial credit expired: {first}");
    assert_ne!(cells(&first, "purchased")[1], "0", "no purchased credit was consumed: {first}");
    for kind in ["trial", "campaign", "purchased"] {
        let micros: Vec<i64> = cells(&first, kind).iter().map(|cell| cell.parse::<drawdown::Amount>().unwrap().micros()).collect();
        assert_eq!(micros[0], micros[1] + micros[2] + micros[3], "{first}");
    }
}

#[test]
fn how_many_are_in_flight_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let in_flight = |number: &str| {
        let db = folder.path().join(format!("{number}.db"));
        report(command(&own_trace(), &db).args(["--in-flight", number]))
    };
    let (crowded, alone) = (in_flight("25"), in_flight("1"));
    assert_eq!(outcome(&crowded), outcome(&alone));
    assert_eq!(accepted(&crowded), accepted(&alone));
}

#[test]
fn killed_runs_end_at_the_totals_of_an_undisturbed_one() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let undisturbed = run(&own_trace(), &folder.path().join("undisturbed.db"));
    let whole = began.elapsed();
    let db = folder.path().join("killed.db");
    let mut seed = 0x5EED_u64;
    let mut killed = 0;
    for _ in 0..6 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = command(&own_trace(), &db).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let percent = 15 + u32::try_from((seed >> 33) % 60).unwrap();
        thread::sleep(whole * percent / 100 + Duration::from_micros(seed % 1_000));
        if child.try_wait().unwrap().is_none() {
            killed += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > 0, "every run ended before it could be killed");
    let finished = run(&own_trace(), &db);
    assert_eq!(outcome(&undisturbed), outcome(&finished));
    let (executed, replayed) = accepted(&finished);
    assert_eq!(executed + replayed, accepted(&undisturbed).0);
}

/// Four lines with mistakes among three requests.
const BAD_TRACE: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n\
    2026-03-02 09:00:00.0000009,100,10\r\n\
    2026-03-02 09:00:01.0000000,100\r\n\
    2026-03-02 25:00:01.0000000,100,10\r\n\
    \r\n\
    2026-03-02 09:00:02.0000000,-5,10\r\n\
    2026-03-02 09:00:03.5,\"200\",20\r\n\
    2026-03-02 09:00:04.0000000,99999999999,10\r\n\
    2026-03-02 09:00:05,300,30";

fn run_bad(on_bad_row: &str) -> (Output, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("bad.csv");
    fs::write(&trace, BAD_TRACE).unwrap();
    let output = command(&trace, &folder.path().join("bad.db")).args(["--on-bad-row", on_bad_row]).output().unwrap();
    (output, folder)
}

#[test]
fn malformed_lines_are_reported_and_skipped() {
    let (output, _folder) = run_bad("skip");
    assert!(output.status.success(), "{output:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = errors.lines().filter_map(|line| line.split_once(':').map(|(place, _)| place)).collect();
    assert_eq!(lines, ["line 3", "line 4", "line 6", "line 8"], "{errors}");
    assert!(errors.contains("`-5` in ContextTokens is no whole number from 0 to 1000000"), "{errors}");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains("requests    3 by 25 users in 1 steps, 4 lines skipped"), "{report}");
}

#[test]
fn malformed_lines_are_refused_before_anything_is_booked() {
    let (output, folder) = run_bad("refuse");
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("line 3: 2 values for 3 columns"), "{errors}");
    assert!(errors.contains("4 malformed lines; nothing was booked"), "{errors}");
    assert!(!folder.path().join("bad.db").exists());
}

#[test]
fn books_of_a_shorter_run_or_of_fewer_users_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("replay.db");
    let short = || report(command(&own_trace(), &db).args(["--limit", "100"]));
    let first = short();
    let more_users = Command::new(program()).arg("--trace").arg(own_trace()).arg("--db").arg(&db).args(["--limit", "100"]).output();
    for output in [command(&own_trace(), &db).output().unwrap(), more_users.unwrap()] {
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("the books belong to another trace, part of a trace, number of users, or prices"), "{errors}");
    }
    assert_eq!(outcome(&first), outcome(&short()));
}

#[test]
fn books_of_another_trace_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("replay.db");
    let trace = folder.path().join("trace.csv");
    let text = fs::read_to_string(own_trace()).unwrap();
    fs::write(&trace, text.replacen(",985,7", ",5000,7", 1)).unwrap();
    run(&own_trace(), &db);
    let output = command(&trace, &db).output().unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("another trace"), "{errors}");
}

#[test]
fn requests_cost_what_the_price_book_says() {
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.yaml");
    let ours = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/prices.yaml")).unwrap();
    let with = |text: &str, db: &str| {
        fs::write(&prices, text).unwrap();
        command(&own_trace(), &folder.path().join(db)).arg("--prices").arg(&prices).args(["--limit", "40"]).output().unwrap()
    };
    let built_in = report(command(&own_trace(), &folder.path().join("a.db")).args(["--limit", "40"]));
    let same = with(&ours, "b.db");
    assert_eq!(outcome(&built_in), outcome(&String::from_utf8(same.stdout).unwrap()));
    let twice = ours.replace("0.000003", "0.000006").replace("0.000015", "0.00003");
    let consumed = |report: &str| -> i64 {
        let of = |kind| cells(report, kind)[1].parse::<drawdown::Amount>().unwrap().micros();
        ["trial", "campaign", "purchased"].into_iter().map(of).sum()
    };
    let double = with(&twice, "c.db");
    assert!(consumed(&String::from_utf8(double.stdout).unwrap()) > consumed(&built_in));
    // The books of other prices are not continued, and mistakes are told before there are books.
    for (text, db, told) in [
        (twice.as_str(), "b.db", "or prices"),
        (&ours.replace("per_output_token: 0.000015", ""), "d.db", "usage.output_tokens"),
        (&ours.replace("unit: credit", "unit: UC"), "d.db", "in `UC`"),
        (&ours.replace("version: replay", ""), "d.db", "`version` is missing"),
    ] {
        let output = with(text, db);
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains(told), "{errors}");
    }
    assert!(!folder.path().join("d.db").exists());
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(&own_trace(), &folder.path().join("replay.db")).args(["--limit", "0"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("--limit"), "the option is named");
}

#[test]
fn a_reader_who_has_read_enough_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut replay = command(&own_trace(), &folder.path().join("replay.db"));
    let mut child = replay.args(["--limit", "5"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
