//! `demo --once` on a made-up company, and what `repository` and stock restic say of what it leaves.

use std::{
    ffi::OsStr,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::restic;

use crate::{
    repositories::{self, repository},
    run::{Ran, keepwell},
};

/// Widest line of the story: what an ordinary terminal shows.
const COLUMNS_MAX: usize = 100;

/// One run on eight people, shared by the tests that only read what it left.
pub(crate) struct Demo {
    data: TempDir,
    ran: Ran,
}

impl Demo {
    /// Made when nobody holds it, so that the last test to drop it removes its folder.
    pub(crate) fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Demo>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(demo) = shared.upgrade() {
            return Ok(demo);
        }
        let data = TempDir::new()?;
        let ran = run(data.path(), &["--users", "8"])?.ended(0)?;
        let demo = Arc::new(Self { data, ran });
        *shared = Arc::downgrade(&demo);
        Ok(demo)
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }
}

/// `keepwell demo --once --json --data DATA …`.
pub(crate) fn run(data: &Path, more: &[&str]) -> Result<Ran> {
    let order = ["demo", "--once", "--json", "--data"].map(OsStr::new);
    let more = more.iter().map(OsStr::new);
    keepwell(order.into_iter().chain([data.as_os_str()]).chain(more))
}

#[test]
fn it_prints_one_object_with_what_it_counted() -> Result<()> {
    let demo = Demo::shared()?;
    let summary = demo.ran.json_line()?;
    let number = |name: &str| summary[name].as_f64().with_context(|| name.to_owned());
    assert_eq!(number("accounts")?, 8.0);
    assert!(number("items")? > 100.0);
    assert!(number("bytes")? > 100_000.0);
    assert!(number("seconds")? > 0.0);
    assert!(number("restored")? > 100.0);
    for none in ["skipped", "failed", "mismatches"] {
        assert_eq!(number(none)?, 0.0, "{none}");
    }
    Ok(())
}

#[test]
fn its_story_fits_a_terminal_and_ends_with_where_the_data_is() -> Result<()> {
    let demo = Demo::shared()?;
    let data = demo.data().canonicalize()?.display().to_string();
    let story: Vec<&str> = demo.ran.stderr.lines().collect();
    let (last, before) = story.split_last().context("there is a story")?;
    assert!(last.contains(&data), "{last}");
    for phase in before.iter().filter(|line| !line.contains(':')) {
        assert!(phase.chars().count() <= COLUMNS_MAX, "{phase}");
    }
    for phase in [
        "first backup",
        "verify",
        "run without changes",
        "delete, and restore",
    ] {
        let count = story.iter().filter(|line| line.starts_with(phase)).count();
        assert_eq!(count, 1, "{phase}");
    }
    Ok(())
}

#[test]
fn every_repository_is_listed_with_an_absolute_path() -> Result<()> {
    let demo = Demo::shared()?;
    let all = repositories::all(demo.data())?;
    assert_eq!(all.len(), 8);
    let table = repository(demo.data(), &["list"])?.ended(0)?.stdout;
    for one in &all {
        ensure!(one.account.contains('@'), "{}", one.account);
        ensure!(one.path.is_absolute() && one.path.join("config").is_file());
        ensure!(table.contains(&format!("{}\t{}\n", one.account, one.path.display())));
    }
    Ok(())
}

#[test]
fn an_account_is_known_by_alias_address_and_id() -> Result<()> {
    let demo = Demo::shared()?;
    let account = &repositories::all(demo.data())?[0];
    let alias = account.account.split('@').next().context("an alias")?;
    let id = account
        .path
        .file_name()
        .and_then(|name| name.to_str())
        .context("an id")?;
    for name in [alias, &account.account.to_uppercase(), id] {
        let printed = repository(demo.data(), &["password", name])?
            .ended(0)?
            .stdout;
        assert_eq!(printed, format!("{}\n", account.password), "{name}");
    }
    Ok(())
}

#[test]
fn keepwell_finds_everything_sound() -> Result<()> {
    let demo = Demo::shared()?;
    let ran = repository(demo.data(), &["verify"])?.ended(0)?;
    assert_eq!(ran.stdout.matches("\tsound\t").count(), 8, "{}", ran.stdout);
    let account = &repositories::all(demo.data())?[0].account;
    let one = repository(demo.data(), &["verify", account])?
        .ended(0)?
        .stdout;
    assert_eq!(one.lines().count(), 1);
    assert!(one.starts_with(account.as_str()), "{one}");
    Ok(())
}

#[test]
fn stock_restic_finds_everything_sound_and_reads_a_mail() -> Result<()> {
    // One test, because a check excludes everybody else from the repository.
    let demo = Demo::shared()?;
    let all = repositories::all(demo.data())?;
    let one = &all[0];
    for restic in restic::both() {
        for one in &all {
            one.check(&restic)?;
        }
        assert_eq!(
            one.snapshots(&restic)?.len(),
            2,
            "one for each run that found a change"
        );
        let listed = String::from_utf8(one.restic(&restic, &["ls", "latest"])?)?;
        let mail = listed.lines().find(|line| line.ends_with(".eml"));
        let mail = mail.context("there is mail in the last snapshot")?;
        let dumped = one.restic(&restic, &["dump", "latest", mail])?;
        let dumped = String::from_utf8_lossy(&dumped);
        assert!(dumped.contains("\r\nSubject: "), "{dumped}");
    }
    Ok(())
}
