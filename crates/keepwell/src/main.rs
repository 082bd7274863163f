//! `keepwell`, the one binary: reads the command line, wires the parts together, and maps what happens to exit codes.
//!
//! Every command is a module under `commands`. Nothing of what Keepwell does is done here.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

mod background;
mod cli;
mod commands;
mod config;
mod exit;
mod interrupt;
mod out;

/// What is freed is soon given back, whichever thread did it; `.cargo/config.toml` has its settings.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = cli::parse();
    exit::code(commands::run(cli))
}
