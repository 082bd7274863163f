//! `keepwell`, the one binary: reads the command line, wires the parts together, and maps what happens to exit codes.
//!
//! Every command is a module under `commands`. Nothing of what Keepwell does is done here.

use std::process::ExitCode;

mod background;
mod cli;
mod commands;
mod config;
mod exit;
mod interrupt;
mod out;

fn main() -> ExitCode {
    let cli = cli::parse();
    exit::code(commands::run(cli))
}
