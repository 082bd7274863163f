//! One module for each command.

mod demo;
pub(crate) mod emulator;
mod instance;
mod key;
mod recover;
mod repository;
mod serve;

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::{
    cli::{Cli, Command},
    exit::Verdict,
    interrupt::unless_interrupted,
};

/// What still computes for work that was interrupted is not waited for longer.
const ENDING_MAX: Duration = Duration::from_secs(1);

/// Carries out what the command line says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Verdict> {
    start_logging();
    let runtime = Runtime::new().context("the asynchronous runtime could not be started")?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Demo(options) => demo::run(options).await,
            Command::Emulator(options) => emulator::run(options).await,
            Command::Serve(options) => serve::serve(&options.config).await,
            Command::Worker(options) => serve::worker(&options.config).await,
            Command::Recover(options) => unless_interrupted(recover::run(options)).await,
            Command::Key(command) => key::run(command),
            Command::Repository(command) => unless_interrupted(repository::run(command)).await,
        }
    });
    runtime.shutdown_timeout(ENDING_MAX);
    outcome
}

/// Logs go to standard error, warnings only unless `RUST_LOG` asks for more.
fn start_logging() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
