//! The local cache: however it is damaged, outdated or in the wrong place, what the storage holds is what counts.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use object_store::{ObjectStore, local::LocalFileSystem};
use repository::{Error, Repository, SnapshotId, Storage};
use testkit::store::Watched;

use crate::support::{
    Fixture, PASSWORD, cached, commit, files, in_memory, meta, noise, options, put, storage, text,
};

async fn open(path: &Path, cache: &Path) -> Result<Repository, Error> {
    Repository::open(Storage::local(path)?, PASSWORD, cached(cache)).await
}

/// A repository with some files, and the last of its two snapshots; both have filled the cache.
async fn filled(cache: &Path) -> anyhow::Result<(Fixture, SnapshotId)> {
    let fixture = Fixture::new().await?;
    let ours = open(&fixture.path(), cache).await?;
    let first = commit(&ours, None, 0, &[("a/b", "old"), ("a/c", "c"), ("d", "d")]).await?;
    let second = commit(&ours, Some(first), 60, &[("a/b", "new")]).await?;
    Ok((fixture, second))
}

/// Reads, changes and verifies the repository with the help of the cache.
async fn use_it(path: &Path, cache: &Path, last: SnapshotId) -> anyhow::Result<()> {
    let ours = open(path, cache).await?;
    assert_eq!(text(&ours, last, "a/b").await?.as_deref(), Some("new"));
    assert_eq!(text(&ours, last, "a/c").await?.as_deref(), Some("c"));
    let next = commit(&ours, Some(last), 90, &[("a/e", "e"), ("d", "D")]).await?;
    assert!(ours.verify(|_| {}).await?.is_sound());
    for ours in [ours, open(path, cache).await?] {
        assert_eq!(text(&ours, next, "a/b").await?.as_deref(), Some("new"));
        assert_eq!(text(&ours, next, "a/e").await?.as_deref(), Some("e"));
        assert_eq!(text(&ours, next, "d").await?.as_deref(), Some("D"));
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().context("it is in a folder")?)?;
        fs::copy(file, target)?;
    }
    Ok(())
}

#[tokio::test]
async fn any_damaged_file_is_as_good_as_none() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let whole = folder.path().join("whole");
    let (fixture, last) = filled(&whole).await?;
    let names: Vec<PathBuf> = files(&whole)?;
    // A key, a configuration, two index files, and the directories of two snapshots.
    assert_eq!(names.len(), 8, "{names:?}");
    let damages: [fn(&mut Vec<u8>); 6] = [
        |content| content.clear(),
        |content| content.truncate(content.len() / 2),
        |content| content.push(0),
        |content| content.fill(0),
        |content| content[0] ^= 1,
        |content| *content.last_mut().expect("no file is empty") ^= 1,
    ];
    for name in &names {
        for (number, damage) in damages.iter().enumerate() {
            let place = tempfile::tempdir()?;
            let (path, cache) = (place.path().join("repository"), place.path().join("cache"));
            copy(&fixture.path(), &path)?;
            copy(&whole, &cache)?;
            let name = cache.join(name.strip_prefix(&whole)?);
            let mut content = fs::read(&name)?;
            damage(&mut content);
            fs::write(&name, content)?;
            use_it(&path, &cache, last)
                .await
                .with_context(|| format!("{}, damage {number}", name.display()))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn files_that_stand_for_each_other_are_not_believed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cache = folder.path().join("cache");
    let (fixture, last) = filled(&cache).await?;
    for part in ["blobs", "index"] {
        let mut names = files(&cache.join(part))?;
        let contents: Vec<_> = names.iter().map(fs::read).collect::<Result<_, _>>()?;
        names.rotate_left(1);
        for (name, content) in names.iter().zip(contents) {
            fs::write(name, content)?;
        }
    }
    use_it(&fixture.path(), &cache, last).await
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_hinders_nothing() -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    for obstacle in ["", "key", "config", "index", "blobs", "locks", "note"] {
        let cache = place.path().join(format!("cache{obstacle}"));
        if obstacle.is_empty() {
            fs::write(&cache, "a file is where the folder should be")?;
        } else if matches!(obstacle, "key" | "config" | "note") {
            fs::create_dir_all(cache.join(obstacle).join("a folder with something in it"))?;
        } else {
            fs::create_dir_all(&cache)?;
            fs::write(cache.join(obstacle), "a file is where the folder should be")?;
        }
        let (fixture, last) = filled(&cache).await?;
        use_it(&fixture.path(), &cache, last).await?;
        let ours = open(&fixture.path(), &cache).await?;
        ours.keep_note(b"note".to_vec()).await?;
        let note = ours.note().await;
        assert_eq!(note.is_some(), !matches!(obstacle, "" | "note"));
        assert!(files(&fixture.path().join("locks"))?.is_empty());
    }
    Ok(())
}

/// Abuse 30.
#[tokio::test]
async fn another_repositorys_cache_is_noticed_before_anything_is_done() -> anyhow::Result<()> {
    let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (_foreign, _) = filled(folder.path()).await?;
    let (fixture, last) = filled(other.path()).await?;
    let before = files(&fixture.path())?;
    // Both have the same password; with another, the cache would not open at all.
    let ours = open(&fixture.path(), folder.path()).await?;
    let outcome = ours.snapshots().await;
    assert!(
        matches!(outcome, Err(Error::AnotherRepository)),
        "{outcome:?}"
    );
    assert_eq!(files(&fixture.path())?, before);
    use_it(&fixture.path(), folder.path(), last).await?;

    let (_, store) = in_memory().await?;
    Repository::init(storage(&store), "another password", options())
        .await
        .ok();
    let wrong = Repository::open(
        Storage::local(fixture.path())?,
        "wrong",
        cached(folder.path()),
    );
    assert!(matches!(wrong.await, Err(Error::WrongPassword)));
    Ok(())
}

/// Abuse 30.
#[tokio::test]
async fn a_storage_that_is_gone_is_noticed_before_anything_is_written() -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let (fixture, last) = filled(cache.path()).await?;
    let ours = open(&fixture.path(), cache.path()).await?;
    let snapshot = ours.snapshot(last).await?.context("it is there")?;
    fs::rename(fixture.path(), fixture.beside("not mounted"))?;
    let ours = open(&fixture.path(), cache.path()).await?;
    let mut draft = ours.draft_from(Some((last, &snapshot)));
    put(&mut draft, "new", "new").await?;
    let outcome = draft.commit(meta(90)).await;
    assert!(matches!(outcome, Err(Error::NoRepository)), "{outcome:?}");
    assert!(!fixture.path().exists(), "nothing was made in its place");
    let outcome = open(&fixture.path(), cache.path()).await;
    assert!(matches!(outcome, Err(Error::NoRepository)), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn what_somebody_pruned_meanwhile_is_not_relied_on() -> anyhow::Result<()> {
    let Some(restic) = testkit::restic::stock() else {
        return Ok(());
    };
    let cache = tempfile::tempdir()?;
    let (fixture, last) = filled(cache.path()).await?;
    let ours = open(&fixture.path(), cache.path()).await?;
    let snapshot = ours.snapshot(last).await?.context("it is there")?;
    let args = ["forget", "--keep-last", "1", "--prune", "--max-unused", "0"];
    let args = [&args[..], &["--group-by", ""]].concat();
    restic.run(&fixture.path(), PASSWORD, args)?.into_result()?;

    // The cached index knows the content of the snapshot that is gone, and so would not store it again.
    let ours = open(&fixture.path(), cache.path()).await?;
    let mut draft = ours.draft_from(Some((last, &snapshot)));
    put(&mut draft, "again", "old").await?;
    let outcome = draft.commit(meta(90)).await;
    assert!(matches!(outcome, Err(Error::Pruned)), "{outcome:?}");
    // What is still there is relied on as before.
    let ours = open(&fixture.path(), cache.path()).await?;
    let mut draft = ours.draft_from(Some((last, &snapshot)));
    put(&mut draft, "again", "old").await?;
    put(&mut draft, "copy", "c").await?;
    let next = draft.commit(meta(90)).await?.context("it has changed")?;
    let ours = open(&fixture.path(), cache.path()).await?;
    assert_eq!(text(&ours, next, "again").await?.as_deref(), Some("old"));
    assert_eq!(text(&ours, next, "copy").await?.as_deref(), Some("c"));
    let cached_index = files(&cache.path().join("index"))?;
    let index = files(&fixture.path().join("index"))?;
    let names = |paths: &[PathBuf]| -> Vec<_> {
        paths
            .iter()
            .map(|path| path.file_name().map(ToOwned::to_owned))
            .collect()
    };
    assert_eq!(names(&cached_index), names(&index));
    restic.check(&fixture.path(), PASSWORD)?;
    use_it(&fixture.path(), cache.path(), last).await
}

/// Abuse 1, 18.
#[tokio::test]
async fn the_lock_of_a_run_that_died_is_removed_though_the_cache_needs_no_storage()
-> anyhow::Result<()> {
    for writes in 0..8 {
        let cache = tempfile::tempdir()?;
        let (fixture, last) = filled(cache.path()).await?;
        let disk = LocalFileSystem::new_with_prefix(fixture.path())?.with_fsync(true);
        let dying = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
        let killed = Repository::open(storage(&dying), PASSWORD, cached(cache.path())).await?;
        assert_eq!(dying.take(), [], "the cache is enough");
        dying.die_after(writes);
        let outcome = commit(&killed, Some(last), 60, &[("a/b", "newer")]).await;
        // The sixth write is the removal of the lock, after everything has succeeded.
        assert_eq!(outcome.is_ok(), writes >= 6, "{writes}: {outcome:?}");
        drop(killed);
        let pack = files(&fixture.path().join("data"))?
            .pop()
            .context("a pack")?;
        let staging = pack.to_string_lossy().into_owned() + "#1";
        fs::write(&staging, "half a pack")?;

        let ours = open(&fixture.path(), cache.path()).await?;
        assert!(files(&fixture.path().join("locks"))?.is_empty(), "{writes}");
        let died_holding = (1..6).contains(&writes);
        assert!(!died_holding || !fs::exists(&staging)?, "{writes}");
        assert!(files(&cache.path().join("locks")).map_or(true, |marks| marks.is_empty()));
        if let Some(restic) = testkit::restic::stock().filter(|_| writes % 3 == 1) {
            restic.check(&fixture.path(), PASSWORD)?;
        }
        assert!(ours.verify(|_| {}).await?.is_sound());
    }
    Ok(())
}

#[tokio::test]
async fn a_lock_that_is_held_is_neither_taken_for_dead_nor_forgotten() -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let (fixture, last) = filled(cache.path()).await?;
    let ours = open(&fixture.path(), cache.path()).await?;
    let mut draft = ours.draft(Some(last)).await?;
    // More than fits into the open packs, so that the draft holds its lock.
    for number in 0..40 {
        put(&mut draft, &format!("{number}"), noise(1_000_000, number)).await?;
    }
    assert_eq!(files(&cache.path().join("locks"))?.len(), 1);
    open(&fixture.path(), cache.path()).await?;
    assert_eq!(files(&fixture.path().join("locks"))?.len(), 1);
    assert_eq!(files(&cache.path().join("locks"))?.len(), 1);
    draft.commit(meta(90)).await?.context("it has changed")?;
    assert_eq!(files(&cache.path().join("locks"))?.len(), 0);
    Ok(())
}
