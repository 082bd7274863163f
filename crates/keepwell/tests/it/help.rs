//! `--help` tells everything that there is to say on the command line.

use anyhow::Result;

use crate::run::keepwell;

const WORLD: [&str; 3] = ["--users <N>", "--seed <S>", "--mail <USER=DIR>"];

/// `keepwell COMMAND --help` has to have all of `wanted`, and the exit statuses, in lines for a terminal.
fn check(command: &[&str], wanted: &[&str]) -> Result<()> {
    let ran = keepwell(command.iter().chain(&["--help"]))?.ended(0)?;
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let statuses = ["Exit codes:", "\n  0  ", "\n  1  ", "\n  2  ", "\n  3  "];
    for text in wanted.iter().chain(&statuses) {
        assert!(
            ran.stdout.contains(text),
            "{command:?} lacks {text:?}:\n{}",
            ran.stdout
        );
    }
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 110, "{command:?}: {line}");
    }
    Ok(())
}

#[test]
fn of_the_program() -> Result<()> {
    let commands = [
        "demo",
        "emulator",
        "serve",
        "worker",
        "recover",
        "key",
        "repository",
    ];
    check(&[], &[&commands[..], &["--version"]].concat())
}

#[test]
fn of_the_service() -> Result<()> {
    check(&["serve"], &["--config <FILE>"])?;
    check(&["worker"], &["--config <FILE>"])?;
    let recover = [
        "--kit <FILE>",
        "--config <FILE>",
        "--data <DIR>",
        "--administrator <ADDRESS>",
    ];
    check(&["recover"], &recover)?;
    check(&["key"], &["create", "show-id"])
}

#[test]
fn of_the_demo() -> Result<()> {
    let options = [
        "--once",
        "--data <DIR>",
        "--listen <IP:PORT>",
        "--no-task",
        "--throttle",
        "--json",
    ];
    check(&["demo"], &[&WORLD[..], &options].concat())
}

#[test]
fn of_the_emulator() -> Result<()> {
    let options = [
        "--http <IP:PORT>",
        "--https <IP:PORT>",
        "--proxy <IP:PORT>",
        "--ca-out <FILE>",
        "--permission <NAME>",
        "--redirect-uri <URL>",
        "--throttle",
        "--faults <FILE>",
        "--admin",
    ];
    check(&["emulator"], &[&WORLD[..], &options].concat())
}

#[test]
fn of_the_repositories() -> Result<()> {
    check(
        &["repository"],
        &["list", "password", "verify", "repair", "forget", "prune"],
    )?;
    check(&["repository", "list"], &["--data <DIR>", "--json"])?;
    check(&["repository", "password"], &["<ACCOUNT>", "--data <DIR>"])?;
    let which = ["[ACCOUNT]", "--data <DIR>", "--json"];
    check(&["repository", "verify"], &which)?;
    for command in ["prune", "repair"] {
        let options = [&which[..], &["--dry-run"]].concat();
        check(&["repository", command], &options)?;
    }
    let rules = [
        "--keep-last <N>",
        "--keep-hourly <N>",
        "--keep-daily <N>",
        "--keep-weekly <N>",
        "--keep-monthly <N>",
        "--keep-yearly <N>",
        "--keep-within <AGE>",
        "--time-zone <ZONE>",
        "--dry-run",
    ];
    check(&["repository", "forget"], &[&which[..], &rules].concat())
}
