//! `keepwell demo`: Keepwell on an emulated Microsoft 365, to look at with a browser, or with `--once` run through and compared.

mod compare;
mod console;
mod disk;
mod meter;
mod once;
mod prints;
mod properties;
mod stage;
mod summary;

use anyhow::bail;

use crate::{cli::Demo, exit::Verdict, interrupt::unless_interrupted};

/// Runs the demonstration.
pub(crate) async fn run(options: Demo) -> anyhow::Result<Verdict> {
    if options.world.users == 0 && options.world.mail.is_empty() {
        bail!("there is nobody to back up: name somebody with --users N or --mail USER=DIR");
    }
    if options.once {
        unless_interrupted(once::run(options)).await
    } else {
        console::run(options).await
    }
}
