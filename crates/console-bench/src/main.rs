//! How fast the console answers, and how much memory it takes, for an organization with 10,000 accounts, one of which has 100,000 messages.
//!
//! The organization is made by the product's own functions ([`fill`]), then `keepwell serve`, a process of its own, is asked for every page as a
//! browser asks ([`visit`]), while it backs up other mailboxes ([`busy`]); all of it on SQLite and then on PostgreSQL. Figures in seconds are for a person to read on an idle machine; a failed limit on bytes or memory is an error everywhere.
//! It is apart from `bench` because it needs the control plane, which nothing that measures the repository is to be linked with.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to the person at the terminal"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use busy::Busy;
use clap::Parser;
use fill::{Database, Filled};
use tempfile::TempDir;
use tokio::runtime::Runtime;

mod browser;
mod busy;
mod fill;
mod instance;
mod report;
mod visit;

/// Speed and memory of the console.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench-console")]
struct Arguments {
    /// A twentieth in size, few requests, with limits on bytes and memory only.
    #[arg(long)]
    smoke: bool,
    /// Requests for each page.
    #[arg(long, default_value_t = 100)]
    requests: usize,
    /// The program to be measured.
    #[arg(long, value_name = "PROGRAM")]
    keepwell: PathBuf,
    /// A folder on the disk to be measured, for about 1 GB; what is made in it is removed.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    folder: PathBuf,
    /// Fills this folder, says how to serve it and how to sign in, and waits until the standard input ends, for whoever looks for what is slow.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Days of history, where fourteen take too long to make: with PostgreSQL each takes a minute.
    #[arg(long, conflicts_with = "write")]
    days: Option<i64>,
    /// Of the databases only this one.
    #[arg(long)]
    only: Option<Database>,
    /// Waits for a line on the standard input before it measures, for whoever makes the machine quiet, and measures again for each further line, for
    /// whoever compares two builds of the program.
    #[arg(long)]
    wait: bool,
    /// Replace the measured section of docs/bench.md.
    #[arg(long, conflicts_with = "only")]
    write: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut size = match arguments.smoke {
        true => fill::Size::SMOKE,
        false => fill::Size::FULL,
    };
    size.days = arguments.days.unwrap_or(size.days).max(1);
    let requests = match arguments.smoke {
        true => 3,
        false => arguments.requests.max(1),
    };
    let runtime = Runtime::new()?;
    if let Some(folder) = &arguments.keep {
        fs::create_dir_all(folder)?;
        let database = arguments.only.unwrap_or(Database::Sqlite);
        let folder = folder.canonicalize()?;
        let filled = runtime.block_on(fill::fill(&folder, size, database))?;
        println!(
            "{} serve --config {}\naddress {} password {}",
            arguments.keepwell.display(),
            filled.config.display(),
            fill::ADDRESS,
            fill::PASSWORD
        );
        std::io::read_to_string(std::io::stdin())?;
        return Ok(());
    }
    fs::create_dir_all(&arguments.folder)?;
    let mut places = Vec::new();
    for database in [Database::Sqlite, Database::Postgres] {
        if arguments.only.is_some_and(|only| only != database) {
            continue;
        }
        let folder = tempfile::Builder::new()
            .prefix("console-")
            .tempdir_in(arguments.folder.canonicalize()?)?;
        let filled = runtime.block_on(fill::fill(folder.path(), size, database))?;
        println!("{} is filled", database.name());
        places.push((database, folder, Arc::new(filled)));
    }
    if !arguments.wait {
        return measure(arguments, &runtime, &places, size, requests);
    }
    let mut last = Ok(());
    for line in std::io::stdin().lines() {
        line?;
        last = measure(arguments, &runtime, &places, size, requests);
        if let Err(error) = &last {
            eprintln!("error: {error:#}");
        }
        println!("measured");
    }
    last
}

/// Measures on each of the databases, and tells what came of it.
fn measure(
    arguments: &Arguments,
    runtime: &Runtime,
    places: &[(Database, TempDir, Arc<Filled>)],
    size: fill::Size,
    requests: usize,
) -> anyhow::Result<()> {
    let mut report = report::Report::default();
    let starts = if arguments.smoke { 1 } else { 5 };
    for (database, _folder, filled) in places {
        report.begin(database.name());
        instance::measure(&arguments.keepwell, &filled.config, starts, &mut report)?;
        let instance = instance::Instance::start(&arguments.keepwell, &filled.config)?;
        let busy = Busy::begin(runtime, filled);
        visit::measure(&instance, filled, requests, &mut report)?;
        report.beside(busy.end(runtime)?);
        instance.measure_after(&mut report)?;
    }
    if arguments.write {
        report
            .write(Path::new("docs/bench.md"), size, requests)
            .context("docs/bench.md")?;
    }
    report.verdict()
}
