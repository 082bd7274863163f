//! `demo --once --mail`: real mail, mail that no mail program made, and names that no mail program chose.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{restic, shared};

use crate::{demo, repositories, run::files};

/// Runs the demonstration on that mail alone and has both restics compare what it stored with the files. The summary.
fn there_and_back(user: &str, mail: &Path, more: &[&str]) -> Result<Value> {
    let sources = files(mail)?;
    let mut sources = sources
        .iter()
        .map(fs::read)
        .collect::<Result<Vec<_>, _>>()?;
    sources.sort();

    let data = TempDir::new()?;
    let mail = format!("{user}={}", mail.display());
    let args = [&["--users", "0", "--mail", &mail], more].concat();
    let summary = demo::run(data.path(), &args)?.ended(0)?.json_line()?;
    assert_eq!(summary["accounts"], 1);
    assert_eq!(summary["items"], sources.len());
    for none in ["skipped", "failed", "mismatches"] {
        assert_eq!(summary[none], 0, "{none}");
    }

    let repository = repositories::only(data.path())?;
    for restic in restic::both() {
        repository.check(&restic)?;
        let mails = repository.first_mails(&restic)?;
        assert!(
            mails == sources,
            "{:?} restores other bytes",
            restic.version()
        );
    }
    Ok(summary)
}

#[test]
fn the_whole_corpus_comes_back() -> Result<()> {
    let Some(corpus) = shared::path("corpora/mail") else {
        return Ok(());
    };
    let summary = there_and_back("anna", &corpus, &[])?;
    assert!(summary.get("simulated_seconds").is_none());
    Ok(())
}

/// There and back takes more requests than Microsoft allows a mailbox in ten minutes.
#[test]
fn the_whole_corpus_comes_back_under_throttling_in_no_time() -> Result<()> {
    let Some(corpus) = shared::path("corpora/mail") else {
        return Ok(());
    };
    let summary = there_and_back("anna", &corpus, &["--throttle"])?;
    let seconds = |name: &str| summary[name].as_f64().context("a number");
    let (real, simulated) = (seconds("seconds")?, seconds("simulated_seconds")?);
    assert!(simulated > 500.0, "{simulated} s: nothing was throttled");
    assert!(
        real < simulated / 2.0,
        "{real} s: the clock was not simulated"
    );
    Ok(())
}

#[test]
fn a_small_company_comes_back_under_throttling() -> Result<()> {
    let data = TempDir::new()?;
    let ran = demo::run(data.path(), &["--users", "2", "--throttle"])?.ended(0)?;
    assert_eq!(ran.json_line()?["mismatches"], 0);
    Ok(())
}

#[test]
fn hostile_names_and_contents_come_back() -> Result<()> {
    let mail = TempDir::new()?;
    let write = |name: &str, content: &[u8]| -> Result<()> {
        let path = mail.path().join(name);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        Ok(fs::write(path, content)?)
    };
    let letter = |subject: &str| {
        format!(
            "From: Zoe <zoe@example.com>\r\nTo: anna@example.com\r\nSubject: {subject}\r\nDate: Tue, 2 Jun 2026 09:59:00 +0000\r\n\r\nHello.\r\n"
        )
    };
    let names = [
        "no extension",
        " leading and trailing ",
        "-rf",
        "--help",
        "Grüße 🦆.eml",
        "名前.eml",
        "CON",
        "ends with a dot.",
        "new\nline",
        "back\\slash:and*stars?",
        ".hidden",
        "a=b@c",
    ];
    for name in names {
        write(name, letter(name.trim()).as_bytes())?;
        write(
            &format!("folder {name}/{name}"),
            letter("in a folder").as_bytes(),
        )?;
    }
    write(
        "Inbox/by name",
        letter("in a folder with a known name").as_bytes(),
    )?;
    write(
        &format!("{}/deep", ["deep"; 40].join("/")),
        letter("deep").as_bytes(),
    )?;
    write("empty", b"")?;
    write("Empty/empty.eml", b"")?;
    write("only a newline", b"\n")?;
    write("no header", b"\r\n\r\nno header")?;
    write(
        "not mail",
        &(0..=255).cycle().take(5000).collect::<Vec<u8>>(),
    )?;
    write("twice/a", letter("twice").as_bytes())?;
    write("twice/b", letter("twice").as_bytes())?;
    let outside = TempDir::new()?;
    fs::write(outside.path().join("secret"), "not to be followed")?;
    #[cfg(unix)]
    for (link, target) in [
        ("link to a file", outside.path().join("secret")),
        ("link to a folder", outside.path().to_owned()),
        ("link to itself", mail.path().to_owned()),
        ("link to nothing", outside.path().join("nothing")),
    ] {
        std::os::unix::fs::symlink(target, mail.path().join(link))?;
    }
    there_and_back("Anna.B@contoso.onmicrosoft.com", mail.path(), &[])?;
    Ok(())
}

#[test]
fn two_folders_can_fill_one_mailbox() -> Result<()> {
    let (one, two, data) = (TempDir::new()?, TempDir::new()?, TempDir::new()?);
    fs::write(one.path().join("a"), "Subject: a\r\n\r\na")?;
    fs::write(two.path().join("b"), "Subject: b\r\n\r\nb")?;
    let alias = format!("anna={}", one.path().display());
    let address = format!("Anna@contoso.onmicrosoft.com={}", two.path().display());
    let args = ["--users", "0", "--mail", &alias, "--mail", &address];
    let summary = demo::run(data.path(), &args)?.ended(0)?.json_line()?;
    assert_eq!(summary["accounts"], 1);
    assert_eq!(summary["items"], 2);
    assert_eq!(
        repositories::only(data.path())?.account,
        "anna@contoso.onmicrosoft.com"
    );
    Ok(())
}
