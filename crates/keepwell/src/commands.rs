//! One module for each command.

mod demo;
pub(crate) mod emulator;
pub(crate) mod repository;

use std::io::IsTerminal;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::{
    cli::{Cli, Command},
    exit::Verdict,
};

/// Carries out what the command line says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Verdict> {
    start_logging();
    let runtime = Runtime::new().context("the asynchronous runtime could not be started")?;
    runtime.block_on(async {
        match cli.command {
            Command::Demo(options) => demo::run(options).await,
            Command::Emulator(options) => emulator::run(options).await,
            Command::Repository(command) => repository::run(command).await,
        }
    })
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
