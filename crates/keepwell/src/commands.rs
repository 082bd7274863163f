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
    end(runtime);
    outcome
}

/// Ends what is left to do, but for what computes or waits for a file system, which nothing can end: it ends with the process.
pub(crate) fn end(runtime: Runtime) {
    runtime.shutdown_timeout(ENDING_MAX);
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

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    /// Abuse 67.
    #[test]
    fn what_nothing_can_end_does_not_keep_the_process() -> anyhow::Result<()> {
        let runtime = Runtime::new()?;
        let (goes_on, hangs) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || {
            hangs.recv().ok();
        });
        let (ended, ends) = mpsc::channel();
        thread::spawn(move || {
            end(runtime);
            ended.send(())
        });
        let outcome = ends.recv_timeout(Duration::from_secs(60));
        drop(goes_on);
        outcome.context("it waits for the end of what hangs")
    }
}
