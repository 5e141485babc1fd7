//! Measures the engine against hand-written loops that write the same rows, and prints one table.
//!
//! ```sh
//! cargo run --release -p drawdown-benches
//! ```
//!
//! The speed of a durable commit is the speed of the disk, and disks change theirs by the minute. So the engine and the loops
//! take turns on files in one folder, in short slices, and what counts is the ratio between them. `docs/benchmarks.md` says
//! what each row means.

mod border;
mod contender;
mod engine;
mod floor;
mod grants;
mod probe;
mod pure;
mod rivals;
mod rules;
mod size;
mod table;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use table::Table;

/// What a part of the program answers.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measures the engine against hand-written loops that write the same rows.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// How long each contender of a row runs, in milliseconds, over all its turns.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    millis: u64,
    /// How large the books grow for the rows about growth and size, in charges.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(50_000..=1_000_000_000))]
    entries: u64,
    /// Where the files are made: the disk that is measured. The folder for temporary files by default.
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Charges a file for a time and prints how often and the longest wait: the other processes of the rows about several.
    #[command(hide = true)]
    Rival { file: PathBuf, name: String, millis: u64 },
    /// Opens a file and prints how long that took: in a process of its own, whose memory can be told.
    #[command(hide = true)]
    Open { file: PathBuf },
    /// Makes the calls that standard input asks for, and says how long they took: beside `benches/python`.
    #[command(hide = true)]
    Border { prices: String, request: String },
    /// Lets one contender take turns: for tools that count instructions.
    #[command(hide = true)]
    Work { who: work::Who, how: work::How, spread: contender::Spread, turns: u64 },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.part {
        Some(Part::Rival { file, name, millis }) => rivals::run(file, name, Duration::from_millis(*millis)),
        Some(Part::Open { file }) => size::open(file),
        Some(Part::Border { prices, request }) => border::serve(prices, request),
        Some(Part::Work { who, how, spread, turns }) => {
            folder(&arguments).and_then(|folder| work::run(folder.path(), *who, *how, *spread, *turns))
        }
        None => measure(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn folder(arguments: &Arguments) -> Outcome<tempfile::TempDir> {
    Ok(match &arguments.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    })
}

fn measure(arguments: &Arguments) -> Outcome<()> {
    let folder = folder(arguments)?;
    let time = Duration::from_millis(arguments.millis);
    let before = probe::syncs_per_second(folder.path(), time.min(Duration::from_secs(1)))?;
    let mut table = Table::default();
    contender::rows(folder.path(), time, &mut table)?;
    pure::rows(time, &mut table)?;
    grants::rows(folder.path(), time, &mut table)?;
    rules::rows(folder.path(), time, &mut table)?;
    size::rows(folder.path(), arguments.entries, &mut table)?;
    rivals::rows(folder.path(), time, &mut table)?;
    let after = probe::syncs_per_second(folder.path(), time.min(Duration::from_secs(1)))?;
    println!("fdatasync: {before} a second before, {after} a second after.\n");
    print!("{table}");
    Ok(())
}
