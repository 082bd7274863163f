//! What is said when something cannot be done: one clear line and the documented exit status.

use std::{fs, process::Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    demo::{self, Demo},
    repositories::{self, repository},
    run::{Ran, command, keepwell},
};

#[test]
fn an_unknown_account_is_refused() -> Result<()> {
    let demo = Demo::shared()?;
    for order in ["password", "verify"] {
        let line = repository(demo.data(), &[order, "nobody"])?.refusal()?;
        assert!(line.contains("no account is called \"nobody\""), "{line}");
    }
    Ok(())
}

#[test]
fn a_folder_that_is_no_data_folder_is_refused() -> Result<()> {
    let folder = TempDir::new()?;
    for data in [folder.path().join("absent"), folder.path().to_owned()] {
        for order in [&["list"][..], &["password", "anna"], &["verify"]] {
            let line = repository(&data, order)?.refusal()?;
            assert!(line.contains("holds no Keepwell data"), "{line}");
            assert!(line.contains(&data.display().to_string()), "{line}");
        }
    }
    Ok(())
}

#[test]
fn a_demo_writes_only_into_an_empty_folder() -> Result<()> {
    let folder = TempDir::new()?;
    let precious = folder.path().join("precious");
    fs::write(&precious, "mine")?;
    let line = demo::run(folder.path(), &["--users", "1"])?.refusal()?;
    assert!(line.contains("is not empty"), "{line}");
    assert_eq!(fs::read_dir(folder.path())?.count(), 1);
    let line = demo::run(&precious, &["--users", "1"])?.refusal()?;
    assert!(line.contains("precious"), "{line}");
    assert_eq!(fs::read(&precious)?, b"mine");
    Ok(())
}

#[test]
fn a_world_that_cannot_be_made_leaves_nothing_behind() -> Result<()> {
    let folder = TempDir::new()?;
    let (data, absent) = (folder.path().join("data"), folder.path().join("absent"));
    let mail = format!("anna={}", absent.display());
    let line = demo::run(&data, &["--users", "0", "--mail", &mail])?.refusal()?;
    assert!(line.contains(&absent.display().to_string()), "{line}");
    let line = demo::run(&data, &["--users", "0"])?.refusal()?;
    assert!(
        line.contains("--users") && line.contains("--mail"),
        "{line}"
    );
    assert!(
        !data.exists(),
        "the next try would find a folder that is not empty"
    );
    Ok(())
}

#[test]
fn a_demo_with_a_console_is_for_this_machine_and_an_empty_folder() -> Result<()> {
    let line = keepwell(["demo", "--listen", "0.0.0.0:0"])?.refusal()?;
    assert!(line.contains("for this machine only"), "{line}");
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("mine"), "mine")?;
    let path = folder.path().display().to_string();
    let line = keepwell(["demo", "--listen", "127.0.0.1:0", "--data", &path])?.refusal()?;
    assert!(line.contains("is not an empty folder"), "{line}");
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
    Ok(())
}

#[test]
fn a_wrong_command_line_is_told_apart() -> Result<()> {
    let wrong: [&[&str]; 12] = [
        &[],
        &["restore"],
        &["demo", "--once"],
        &["demo", "--once", "--data"],
        &["demo", "--users", "-1"],
        &["demo", "--users", "10001"],
        &["demo", "--seed", "many"],
        &["demo", "--mail", "anna"],
        &["demo", "--mail", "an na=mail"],
        &["emulator", "--http", "localhost"],
        &["repository", "list"],
        &["repository", "password", "--data", "data"],
    ];
    for args in wrong {
        let ran = keepwell(args)?.ended(2)?;
        assert!(ran.stdout.is_empty(), "{args:?} printed {}", ran.stdout);
        assert!(
            ran.stderr.contains("Usage: keepwell") || ran.stderr.contains("--help"),
            "{args:?}"
        );
    }
    Ok(())
}

/// Only where there is a device that is always full.
#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_an_error() -> Result<()> {
    let demo = Demo::shared()?;
    let data = demo.data().to_str().context("a plain path")?;
    let account = &repositories::all(demo.data())?[0].account;
    let (folder, mail) = (TempDir::new()?, TempDir::new()?);
    fs::write(mail.path().join("a"), "Subject: a\r\n\r\na")?;
    let new = folder.path().join("data");
    let new = new.to_str().context("a plain path")?;
    let mail = format!("anna={}", mail.path().display());
    for args in [
        &["repository", "list", "--data", data][..],
        &["repository", "list", "--json", "--data", data],
        &["repository", "password", account, "--data", data],
        &["repository", "verify", account, "--data", data],
        &[
            "demo", "--once", "--json", "--users", "0", "--mail", &mail, "--data", new,
        ],
    ] {
        let full = fs::File::options().write(true).open("/dev/full")?;
        let mut command = command(args);
        let ran = Ran::of(command.stdout(full).stderr(Stdio::piped()).output()?).ended(1)?;
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("keepwell: the result could not be written to standard output: "),
            "{args:?}: {}",
            ran.stderr
        );
        assert!(args[0] == "demo" || ran.stderr.lines().count() == 1);
    }
    Ok(())
}

#[test]
fn nobody_has_to_listen() -> Result<()> {
    let demo = Demo::shared()?;
    let data = demo.data().to_str().context("a plain path")?;
    for args in [
        &["repository", "list", "--json", "--data", data][..],
        &["repository", "verify", "--data", data],
        &["demo", "--help"],
    ] {
        let mut command = command(args);
        command.env("RUST_LOG", "trace");
        let (stdout, out) = std::io::pipe()?;
        drop(stdout);
        let heard = Ran::of(command.stdout(out).stderr(Stdio::piped()).output()?).ended(0)?;
        assert!(
            !heard.stderr.contains("panicked"),
            "{args:?}: {}",
            heard.stderr
        );

        let (stderr, err) = std::io::pipe()?;
        drop(stderr);
        // A panic would be status 101.
        Ran::of(command.stdout(Stdio::null()).stderr(err).output()?).ended(0)?;
    }
    Ok(())
}
