//! How fast the product is and how much memory it takes, beside restic and the hardware's ceiling in the same run.
//!
//! Every measured operation, ours and restic's, is a process of its own, so that wall time, processor time and peak memory are its alone; ours
//! are hidden subcommands of this program. Rounds of both alternate, so that what else the machine does meets both. Figures in seconds are for
//! a person to read on an idle machine; a failed limit on bytes or memory is an error everywhere.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to the person at the terminal"
)]

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use tikv_jemallocator::Jemalloc;

mod beside;
mod corpus;
mod folder;
mod machine;
mod ours;
mod process;
mod report;
mod restic;
mod scenario;

/// The product's, or its memory would not be what is measured.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Speed and memory beside restic.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    operation: Option<Operation>,
    #[command(flatten)]
    run: Run,
}

/// What is measured, and how.
#[derive(Args, Clone, Debug)]
struct Run {
    /// A twentieth in size, one round, with limits on bytes and memory only.
    #[arg(long)]
    smoke: bool,
    /// Only the scenarios with these names.
    #[arg(long, value_name = "NAME")]
    only: Vec<scenario::Name>,
    /// Rounds of which the medians are shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A folder on the disk to be measured, for about 10 GB; what is made in it is removed.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The restic to compare with.
    #[arg(long, default_value = "restic", value_name = "PROGRAM")]
    restic: PathBuf,
    /// Replace the measured sections of docs/bench.md: with all scenarios at full size, and the usual rounds.
    #[arg(long, conflicts_with_all = ["smoke", "only", "rounds"])]
    write: bool,
}

#[derive(Debug, Subcommand)]
enum Operation {
    /// One measured operation of ours, for this program itself.
    #[command(hide = true, subcommand)]
    Ours(ours::Operation),
}

fn main() -> ExitCode {
    let Arguments { operation, run } = Arguments::parse();
    let outcome = match operation {
        Some(Operation::Ours(operation)) => ours::run(operation),
        None => scenario::run(&run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
