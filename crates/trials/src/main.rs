//! The program of the trials: the worker that is killed, and what people start by `cargo xtask`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to the person at the terminal"
)]

use std::{
    os::unix::process::CommandExt,
    process::{self, ExitCode},
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use trials::Errand;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Does one errand; its answer is a line of JSON.
    #[command(hide = true)]
    Work {
        /// The errand, as JSON.
        errand: String,
    },
    /// Kills workers at every boundary.
    KillMatrix(trials::kills::Plan),
    /// Seeded random actions against a plain model of what every snapshot must hold.
    Soak {
        #[command(flatten)]
        plan: trials::soak::Plan,
        /// The allocator was told how to work.
        #[arg(long, hide = true)]
        plain_allocator: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Work { errand } => work(&errand),
        Command::KillMatrix(plan) => kill_matrix(&plan),
        Command::Soak {
            plan,
            plain_allocator,
        } => soak(&plan, plain_allocator),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One thread for everything that waits and one for files: the more threads, the less a count of calls says; see [`trials::strace`].
fn work(errand: &str) -> Result<()> {
    let errand: Errand = serde_json::from_str(errand).context("the errand is none")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(std::time::Duration::from_secs(3600))
        .build()?;
    let answer = runtime.block_on(errand.run())?;
    println!("{}", serde_json::to_string(&answer)?);
    Ok(())
}

fn kill_matrix(plan: &trials::kills::Plan) -> Result<()> {
    let worker = trials::worker::Worker::at(std::env::current_exe()?);
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(trials::kills::run(plan, &worker))?;
    println!("{report}");
    Ok(())
}

/// How glibc's allocator has to work for resident memory to tell what is used: by itself it keeps an arena for every few threads, and large blocks in
/// them when they are returned, which after one world was 390 MB instead of 55.
const PLAIN_ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "65536"),
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
];

/// One thread: the fewer there are, the more a seed says.
fn soak(plan: &trials::soak::Plan, plain_allocator: bool) -> Result<()> {
    if !plain_allocator {
        // It can be told only before a program begins.
        let mut again = process::Command::new(std::env::current_exe()?);
        again
            .args(std::env::args_os().skip(1))
            .arg("--plain-allocator");
        return Err(again.envs(PLAIN_ALLOCATOR).exec()).context("the soak does not start");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(trials::soak::run(plan, &|line| println!("{line}")))
}
