//! Replays a trace of requests to a language model over a few hundred users with mixed grants.
//!
//! ```sh
//! cargo run --release --example replay -- --trace examples/data/trace.csv --db replay.db
//! ```
//!
//! For every request an upper bound is held; when its work is done, what its tokens cost is captured and the rest is
//! released. A price book says what a token costs (`data/prices.yaml`). Many users are in flight at once, each user's commands one after the
//! other, in the order of the trace.
//!
//! Run it again on the same file, or kill it anywhere and run it again: the totals are exactly those of one run that was
//! never disturbed. Three things make it so.
//!
//! **The clock moves in steps.** All commands of one step (30 seconds of the trace) are decided at the same instant, the
//! start of that step, and the next step begins when every command of this one is durable. Within a step no
//! command's present depends on whose command was decided before it, and accounts share nothing else; so whatever the
//! interleaving, each user's commands are decided at the same instants, on the same balance. Grants begin and end
//! between steps, by the trace's own clock.
//!
//! **The ledger says how far the run got.** The latest booking over all users names the step that was under way. All before it
//! is complete, and is replayed by its keys, which no instant changes; the clock goes on from there. A command of an earlier
//! step that is *not* found would be a hole, and ends the run. The first operation of all says what is replayed, so the
//! books of another trace, or of a part of this one, are refused before anything is sent.
//!
//! **A refusal is written down.** A denied command leaves no trace by itself. Decided again at the end of the trace, after
//! other holds were released, it might pass. So when the hold of a request is denied, the same key is taken by a hold of
//! nothing that notes the denial's name. One key belongs to one command: from then on the hold itself
//! can only be denied, and the note is replayed like everything else. A kill between the two leaves neither, and the hold is
//! decided once more: in the same step, on the same balance, with the same denial.

mod outcome {
    /// What a part of the program answers.
    pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
}
#[path = "replay/life.rs"]
mod life;
#[path = "replay/plan.rs"]
mod plan;
#[path = "replay/prices.rs"]
mod prices;
#[path = "replay/report.rs"]
mod report;
#[path = "replay/run.rs"]
mod run;
#[path = "replay/trace.rs"]
mod trace;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
pub(crate) use outcome::Outcome;

/// Replays a trace of requests to a language model as holds and captures, and reports what became of the credit.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Arguments {
    /// The trace: CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens.
    #[arg(long)]
    trace: PathBuf,
    /// The SQLite file with the books; made if there is none.
    #[arg(long)]
    db: PathBuf,
    /// A price book, in YAML, whose default model answers the requests; without it, 3 and 15 credits for a million tokens.
    #[arg(long)]
    prices: Option<PathBuf>,
    /// How many users send the requests.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    users: u32,
    /// How many users have a command under way at once.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    in_flight: u32,
    /// What to do about a line that is no request.
    #[arg(long, value_enum, default_value_t = OnBadRow::Refuse)]
    on_bad_row: OnBadRow,
    /// Replay only so many requests. Books of a shorter run are not to be continued with more.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnBadRow {
    /// Report it and go on.
    Skip,
    /// Report it and stop before anything is booked.
    Refuse,
}

fn main() -> ExitCode {
    match replay(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the program; `false` when the books do not verify.
fn replay(arguments: &Arguments) -> Outcome<bool> {
    let shown = arguments.trace.display();
    let file = File::open(&arguments.trace).map_err(|error| format!("`{shown}` cannot be opened: {error}"))?;
    let limit = arguments.limit.map_or(Ok(usize::MAX), usize::try_from)?;
    let trace = trace::read(BufReader::new(file), limit).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    for bad_row in &trace.bad_rows {
        eprintln!("{bad_row}");
    }
    if arguments.on_bad_row == OnBadRow::Refuse && !trace.bad_rows.is_empty() {
        return Err(format!("{} malformed lines; nothing was booked", trace.bad_rows.len()).into());
    }
    let first = trace.rows.first().ok_or("the trace has no requests")?;
    let prices = prices::Prices::read(arguments.prices.as_deref())?;
    let replay = run::Replay::open(&arguments.db, first, arguments.users, prices)?;
    let tally = replay.run(&trace.rows, arguments.in_flight)?;
    let totals = report::totals(&replay)?;
    let verified = report::verify(&replay)?;
    match report::print(&mut io::stdout().lock(), &trace, &replay, &tally, &totals, &verified) {
        // Whoever reads the report has read enough of it.
        Err(error) if is_closed_pipe(&*error) => {}
        printed => printed?,
    }
    Ok(verified.is_clean())
}

fn is_closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
