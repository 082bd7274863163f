//! What nobody else may see: keys on disk, and mail, tokens and passwords in what is printed.

use std::fs;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    demo::Demo,
    emulator::Tenant,
    repositories,
    run::{Ran, command},
};

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let folder = TempDir::new()?;
    let data = folder.path().join("data");
    crate::demo::run(&data, &["--users", "1"])?.ended(0)?;
    let mode = |path: &std::path::Path| -> Result<u32> {
        Ok(fs::metadata(path)?.permissions().mode() & 0o777)
    };
    for private in [
        data.clone(),
        data.join("accounts"),
        data.join("repositories"),
    ] {
        assert_eq!(mode(&private)?, 0o700, "{}", private.display());
    }
    let accounts = fs::read_dir(data.join("accounts"))?;
    let mut keys = accounts
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    assert_eq!(keys.len(), 1, "and no file that was only staged");
    keys.push(data.join("recovery-key"));
    for key in keys {
        assert_eq!(mode(&key)?, 0o600, "{}", key.display());
    }
    Ok(())
}

#[test]
fn the_chattiest_log_tells_no_secret() -> Result<()> {
    let (mail, data) = (TempDir::new()?, TempDir::new()?);
    let canaries = ["canarysubject", "canarybody", "canarysender", "canaryfile"];
    fs::write(
        mail.path().join("one"),
        "From: canarysender@example.com\r\nSubject: canarysubject\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\ncanarybody\r\n\
         --x\r\nContent-Type: application/pdf; name=canaryfile\r\nContent-Disposition: attachment; filename=canaryfile\r\n\r\n%PDF\r\n--x--\r\n",
    )?;
    let from = format!("anna={}", mail.path().display());
    let mut command = command([
        "demo", "--once", "--users", "0", "--seed", "3", "--mail", &from,
    ]);
    command
        .arg("--data")
        .arg(data.path())
        .env("RUST_LOG", "trace");
    let ran = Ran::of(command.output()?).ended(0)?;
    assert!(
        ran.stderr.contains("TRACE"),
        "nothing was logged: {}",
        ran.stderr
    );

    // A tenant of the same seed has the same secret.
    let tenant = Tenant::start(&["--users", "0", "--seed", "3"])?;
    let key = fs::read_to_string(data.path().join("recovery-key"))?;
    let password = repositories::only(data.path())?.password;
    let secrets = [
        "Bearer ",
        "eyJ",
        &tenant.client_secret,
        key.trim(),
        &password,
    ];
    let printed = ran.stdout + &ran.stderr;
    for secret in secrets.iter().chain(&canaries) {
        if let Some(at) = printed.find(secret) {
            let line = printed[..at].lines().last().context("a line")?;
            panic!("a secret is printed after {line:?}");
        }
    }
    Ok(())
}

#[test]
fn the_story_and_the_lists_tell_no_password() -> Result<()> {
    let demo = Demo::shared()?;
    let mut printed = String::new();
    for order in [&["list", "--json"][..], &["list"], &["verify"]] {
        printed += &repositories::repository(demo.data(), order)?
            .ended(0)?
            .stdout;
    }
    for one in repositories::all(demo.data())? {
        assert!(!printed.contains(&one.password));
    }
    Ok(())
}
