//! `cargo xtask`: what continuous integration and people run.
//!
//! The logic is here, in Rust, and not in scripts, so that a check behaves the same on every machine. It depends on no crate of the product.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool speaks to the person at the terminal"
)]

use std::process::{self, ExitCode};

use clap::{Parser, Subcommand};

mod api;
mod browser;
mod clients;
mod fuzz;
mod python;
mod surroundings;
mod test;
mod tidy;
mod tools;

/// Tests and checks of this workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything that continuous integration runs: tools, formatting, tidy, clippy, tests, those of whole programs once more on PostgreSQL, a walk through the console in a browser, a try of the
    /// interface to programs, a try of the emulator by Microsoft's SDK, a minute of fuzzing, a small benchmark, five minutes of the soak.
    ///
    /// All steps run, also after one has failed, and a summary ends the output; the exit status is 0 only if every step passed. Under CI=true
    /// a missing tool or missing reference data is a failure; otherwise the tests that need it say that they were passed over.
    Test,
    /// Only the checks of the tree that no compiler makes: crate edges, file heads, format hashes, decision records, forbidden words.
    Tidy {
        /// Record the present hashes of the codecs in docs/format, after the pages have been brought up to date by hand.
        #[arg(long)]
        bless: bool,
    },
    /// Speed and memory of the product beside restic, release build; docs/bench.md tells more.
    Bench {
        /// What the measuring program is told: --help says what it understands.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTIONS"
        )]
        options: Vec<String>,
    },
    /// Speed and memory of the console over a large organization, release build; docs/bench.md tells more.
    BenchConsole {
        /// What the measuring program is told: --help says what it understands.
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "OPTIONS"
        )]
        options: Vec<String>,
    },
    /// Only find or install the programs that the tests run: restic as Debian stable has it, and the newest; strace; a browser; schemathesis; Microsoft's SDK; and so on.
    Tools,
    /// Kill workers at every boundary of every operation and judge what is left: `--help` tells how to do less. See docs/trials.md.
    #[command(disable_help_flag = true)]
    KillMatrix {
        /// Handed to the program that does it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Try what the document of `/api/v1` allows and forbids on `keepwell demo`, with schemathesis: about half a minute.
    Api,
    /// Work with `keepwell emulator` by Microsoft's own SDK for Python, unmodified: some seconds.
    Clients,
    /// Walk through the console in Chromium, from an empty folder and in `keepwell demo`, and leave a picture of every page in target/browser/screenshots.
    Browser,
    /// Build the fuzz targets and run them from the kept corpus: fuzz/corpus. See docs/trials.md.
    Fuzz(fuzz::Plan),
    /// Do seeded random things to a mailbox and its backups, and compare with a model: `--help` tells for how long. See docs/trials.md.
    #[command(disable_help_flag = true)]
    Soak {
        /// Handed to the program that does it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test => test::run(),
        Command::Tidy { bless } => tidy::run(bless),
        Command::Bench { options } => bench(&options),
        Command::BenchConsole { options } => bench_console(&options),
        Command::Tools => tools::run(),
        Command::KillMatrix { arguments } => trials("kill-matrix", &arguments),
        Command::Api => api::run(),
        Command::Clients => clients::run(),
        Command::Browser => browser::run(),
        Command::Fuzz(plan) => fuzz::run(&plan),
        Command::Soak { arguments } => trials("soak", &arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &[String]) -> anyhow::Result<()> {
    let mut command = process::Command::new("cargo");
    command.args(["run", "--quiet", "--release", "--package", "bench", "--"]);
    surroundings::run(command.args(options))
}

fn bench_console(options: &[String]) -> anyhow::Result<()> {
    let mut build = process::Command::new("cargo");
    build.args(["build", "--quiet", "--release"]);
    build.args(["--package", "keepwell", "--package", "console-bench"]);
    surroundings::run(&mut build)?;
    let mut command = process::Command::new("target/release/console-bench");
    command.args(["--keepwell", "target/release/keepwell"]);
    surroundings::run(command.args(options))
}

/// Runs a command of the crate `trials`, which is built first.
fn trials(command: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut cargo = process::Command::new("cargo");
    cargo.args(["run", "--quiet", "--package", "trials", "--", command]);
    surroundings::run(cargo.args(arguments))
}
