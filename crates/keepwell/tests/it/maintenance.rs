//! `repository forget`, `prune` and `repair`, and ends that come early.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::restic;

use crate::{
    damage::{copy, flip, pack},
    repositories::{self, repository},
    run::{Running, command, files},
};

/// What `--json` says of the accounts.
fn json(data: &Path, args: &[&str], code: i32) -> Result<Vec<Value>> {
    let ran = repository(data, &[args, &["--json"]].concat())?.ended(code)?;
    let listed: Value = serde_json::from_str(&ran.stdout)?;
    Ok(listed.as_array().context("it is a list")?.clone())
}

#[test]
fn restore_points_are_forgotten_by_a_policy() -> Result<()> {
    let (data, all) = copy()?;
    let policy = ["forget", "--keep-last", "1", "--time-zone", "Europe/Berlin"];
    let rehearsed = json(data.path(), &[&policy[..], &["--dry-run"]].concat(), 0)?;
    assert_eq!(rehearsed.len(), all.len());
    let text = repository(data.path(), &[&policy[..], &["--dry-run"]].concat())?.ended(0)?;
    assert!(
        text.stdout.contains("would be forgotten"),
        "{}",
        text.stdout
    );
    assert!(
        text.stdout.contains("kept: last, newest complete, newest"),
        "{}",
        text.stdout
    );
    let done = json(data.path(), &policy, 0)?;
    for (rehearsed, done) in rehearsed.iter().zip(&done) {
        for list in ["kept", "forgotten"] {
            assert_eq!(rehearsed[list], done[list]);
        }
        assert_eq!(done["kept"].as_array().map(Vec::len), Some(1), "{done}");
        assert_eq!(
            done["forgotten"].as_array().map(Vec::len),
            Some(1),
            "{done}"
        );
    }
    for restic in restic::both() {
        for one in &all {
            assert_eq!(one.snapshots(&restic)?.len(), 1);
            one.check(&restic)?;
        }
    }
    Ok(())
}

#[test]
fn nothing_is_forgotten_without_a_policy() -> Result<()> {
    let (data, all) = copy()?;
    for args in [
        &["forget"][..],
        &["forget", "--keep-within", "soon"],
        &[
            "forget",
            "--keep-daily",
            "1",
            "--time-zone",
            "Nowhere/At_All",
        ],
    ] {
        repository(data.path(), args)?.ended(2)?;
    }
    for restic in restic::both() {
        assert_eq!(all[0].snapshots(&restic)?.len(), 2);
    }
    Ok(())
}

#[test]
fn damage_is_repaired_or_told_by_account_and_message() -> Result<()> {
    let (data, all) = copy()?;
    let (pack, name) = pack(&all[0])?;
    flip(&pack, 40)?;
    for index in files(&all[1].path.join("index"))? {
        fs::remove_file(index)?;
    }
    let before = files(data.path())?;
    let rehearsed = repository(data.path(), &["repair", "--dry-run"])?.ended(3)?;
    assert_eq!(files(data.path())?, before, "a rehearsal changes nothing");
    assert_eq!(rehearsed.stdout.matches("\tsound\t").count(), all.len() - 2);
    let done = json(data.path(), &["repair"], 3)?;
    let of = |account: &str| done.iter().find(|one| one["account"] == account);
    let damaged = of(&all[0].account).context("it is told of")?;
    assert_eq!(damaged["state"], "something is lost");
    assert_eq!(damaged["damaged_packs"][0], name);
    // Which message is the first in the pack is left to chance: it may be one that only an older restore point has, and Microsoft no longer.
    let newest = damaged["fetch_again"][0]["path"].as_str();
    let message = newest.or(damaged["lost"][0]["places"][0]["path"].as_str());
    assert!(message.context("it is located")?.starts_with("Mail/"));
    let unlisted = of(&all[1].account).context("it is told of")?;
    assert_eq!(unlisted["state"], "repaired", "{unlisted}");
    repository(data.path(), &["verify", &all[1].account])?.ended(0)?;
    for restic in restic::both() {
        all[1].check(&restic)?;
    }
    // What is lost stays so until it is fetched again, and is not lost a second time.
    let again = json(data.path(), &["repair", &all[0].account], 3)?;
    assert_eq!(again[0]["damaged_packs"].as_array().map(Vec::len), Some(0));
    for told in ["fetch_again", "lost"] {
        assert_eq!(again[0][told], damaged[told]);
    }
    Ok(())
}

#[test]
fn what_was_forgotten_is_recorded_and_deleted_later() -> Result<()> {
    let (data, all) = copy()?;
    repository(data.path(), &["forget", "--keep-last", "1"])?.ended(0)?;
    let rehearsed = json(data.path(), &["prune", "--dry-run"], 0)?;
    let done = json(data.path(), &["prune"], 0)?;
    for (rehearsed, done) in rehearsed.iter().zip(&done) {
        assert_eq!(rehearsed["state"], "would be");
        assert_eq!(done["state"], "done");
        assert_eq!(done["doomed_packs"], rehearsed["doomed_packs"]);
        assert_eq!(done["deleted_packs"], 0, "a day has to pass");
    }
    assert!(
        done.iter().any(|one| one["next_due"].is_string()),
        "{done:?}"
    );
    for restic in restic::both() {
        for one in &all {
            one.check(&restic)?;
        }
    }
    Ok(())
}

/// The locks in all repositories.
fn locks(data: &Path) -> Vec<PathBuf> {
    let list = |folder: PathBuf| {
        let inside = fs::read_dir(folder).into_iter().flatten();
        inside.filter_map(|entry| Some(entry.ok()?.path()))
    };
    list(data.join("repositories"))
        .flat_map(|one| list(one.join("locks")))
        .collect()
}

/// Abuse 67: asked to end in the middle of writing, it ends, locks are removed, and what is there is sound.
#[cfg(unix)]
#[test]
fn a_demo_that_is_told_to_end_leaves_whole_repositories_without_locks() -> Result<()> {
    use model::{Clock, SystemClock};
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::TERM, Signal::INT] {
        let folder = TempDir::new()?;
        let data = folder.path().join("data");
        let name = data.to_str().context("a plain path")?;
        let mut command = command(["demo", "--once", "--users", "8", "--data", name]);
        let mut demo = Running(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?,
        );
        while locks(&data).is_empty() {
            ensure!(demo.0.try_wait()?.is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(i32::try_from(demo.0.id())?).context("a process number")?;
        let clock = SystemClock::new();
        let asked = clock.elapsed();
        kill_process(pid, signal)?;
        let mut stderr = String::new();
        let stream = demo.0.stderr.as_mut().context("it is piped")?;
        stream.read_to_string(&mut stderr)?;
        assert_eq!(demo.0.wait()?.code(), Some(1), "{stderr}");
        let took = clock.elapsed() - asked;
        assert!(took.as_secs() < 10, "whoever asks kills then: {took:?}");
        let last = stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("keepwell: it was interrupted"), "{stderr}");
        assert!(locks(&data).is_empty(), "a lock is left");
        repository(&data, &["verify"])?.ended(0)?;
        for one in repositories::all(&data)? {
            if one.path.join("config").exists() {
                for restic in restic::both() {
                    one.check(&restic)?;
                }
            }
        }
    }
    Ok(())
}
