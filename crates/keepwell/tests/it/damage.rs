//! Damage on disk, and how `repository verify` tells of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    demo::Demo,
    repositories::{self, Repository, repository},
    run::files,
};

/// A copy of the shared run's data, to be damaged.
pub(crate) fn copy() -> Result<(TempDir, Vec<Repository>)> {
    let demo = Demo::shared()?;
    let to = TempDir::new()?;
    for file in files(demo.data())? {
        let target = to.path().join(file.strip_prefix(demo.data())?);
        fs::create_dir_all(target.parent().context("a file lies in a folder")?)?;
        fs::copy(&file, &target)?;
    }
    let all = repositories::all(to.path())?;
    Ok((to, all))
}

/// The largest pack, which is one of data, and its name.
pub(crate) fn pack(one: &Repository) -> Result<(PathBuf, String)> {
    let mut packs = files(&one.path.join("data"))?;
    packs.sort_by_key(|path| fs::metadata(path).map_or(0, |meta| meta.len()));
    let path = packs.pop().context("there are packs")?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .context("a plain name")?;
    let name = name.to_owned();
    Ok((path, name))
}

/// Takes out of the account's file which repository is its own.
fn forget_repository(data: &Path, one: &Repository) -> Result<()> {
    let id = one.path.file_name().context("it is named")?;
    let path = data.join("accounts").join(id).with_extension("json");
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    let fields = record.as_object_mut().context("it is an object")?;
    assert!(fields.remove("repository").is_some(), "it was noted");
    Ok(fs::write(&path, record.to_string())?)
}

pub(crate) fn flip(path: &Path, at: usize) -> Result<()> {
    let mut bytes = fs::read(path)?;
    bytes[at] ^= 1;
    // Repositories are read-only files.
    fs::remove_file(path)?;
    Ok(fs::write(path, bytes)?)
}

/// `verify` of everything has to end with 3, find one account bad and the others sound. Its lines about the bad one.
fn verdict(data: &Path, bad: &Repository, others: usize) -> Result<String> {
    let ran = repository(data, &["verify"])?.ended(3)?;
    assert_eq!(
        ran.stdout.matches("\tsound\t").count(),
        others,
        "{}",
        ran.stdout
    );
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let alone = repository(data, &["verify", &bad.account])?
        .ended(3)?
        .stdout;
    assert!(alone.starts_with(&bad.account), "{alone}");
    Ok(alone)
}

/// The verdict names the damaged pack, and what needs it.
fn is_located(said: &str, pack: &str) {
    assert!(said.contains("\tdamaged\t"), "{said}");
    assert!(said.contains(&pack[..8]), "the pack is named: {said}");
    assert!(
        said.contains(".eml") || said.contains(".json"),
        "what needs it is named: {said}"
    );
}

#[test]
fn a_flipped_bit_is_found_and_located() -> Result<()> {
    let (data, all) = copy()?;
    let (path, name) = pack(&all[0])?;
    flip(&path, 40)?;
    is_located(&verdict(data.path(), &all[0], 7)?, &name);
    Ok(())
}

#[test]
fn a_lost_pack_is_found_and_located() -> Result<()> {
    let (data, all) = copy()?;
    let (path, name) = pack(&all[1])?;
    fs::remove_file(path)?;
    is_located(&verdict(data.path(), &all[1], 7)?, &name);
    Ok(())
}

#[test]
fn a_lost_or_unreadable_repository_does_not_hide_the_others() -> Result<()> {
    let (data, all) = copy()?;
    fs::remove_dir_all(&all[0].path)?;
    let said = verdict(data.path(), &all[0], 7)?;
    assert!(said.contains("\tnot readable\t"), "{said}");
    flip(&all[1].path.join("config"), 20)?;
    let said = verdict(data.path(), &all[1], 6)?;
    assert_eq!(said.lines().count(), 1, "{said}");
    Ok(())
}

#[test]
fn a_backup_that_never_began_is_no_damage() -> Result<()> {
    let (data, all) = copy()?;
    // As a process leaves it that was killed while it made its first repositories: one without a key, one with.
    for (one, folders) in [
        (
            &all[0],
            &["config", "data", "index", "snapshots", "keys", "locks"][..],
        ),
        (&all[1], &["config", "data", "index", "snapshots"]),
    ] {
        forget_repository(data.path(), one)?;
        for path in folders.iter().map(|name| one.path.join(name)) {
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else if path.exists() {
                fs::remove_file(path)?;
            }
        }
    }
    let ran = repository(data.path(), &["verify"])?.ended(0)?;
    assert_eq!(ran.stdout.matches("\tno backup yet\n").count(), 2);
    assert_eq!(ran.stdout.matches("\tsound\t").count(), 6);
    let table = repository(data.path(), &["list"])?.ended(0)?.stdout;
    for one in &all[..2] {
        let line = format!("{}\t{}\tno backup yet\n", one.account, one.path.display());
        assert!(table.contains(&line), "{table}");
    }
    let listed = repository(data.path(), &["list", "--json"])?.ended(0)?;
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout)?;
    let begun = |at: usize| listed[at]["begun"].as_bool().context("a truth value");
    assert!(!begun(0)? && !begun(1)? && begun(2)?);

    // Lost, and not never begun: without its configuration, and without its folder.
    fs::remove_file(all[2].path.join("config"))?;
    verdict(data.path(), &all[2], 5)?;
    fs::remove_dir_all(&all[0].path)?;
    verdict(data.path(), &all[0], 5)?;
    Ok(())
}

#[test]
fn a_lost_half_of_the_password_is_told_as_that() -> Result<()> {
    let (data, all) = copy()?;
    let key = data.path().join("recovery-key");
    fs::write(&key, "0".repeat(64))?;
    let said = verdict(data.path(), &all[0], 0)?;
    assert!(said.contains("password"), "{said}");
    fs::write(&key, "not a key")?;
    let line = repository(data.path(), &["verify"])?.refusal()?;
    assert!(line.contains("recovery-key is damaged"), "{line}");
    fs::remove_file(&key)?;
    let line = repository(data.path(), &["verify"])?.refusal()?;
    assert!(line.contains("holds no Keepwell data"), "{line}");
    Ok(())
}
