//! Repair: whatever is damaged, nothing reads wrong, what can be saved is, and storing the same again makes the rest whole.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use object_store::{ObjectStore, local::LocalFileSystem};
use repository::{Error, Kind, ObjectKind, RepairOptions, RepairReport, Repository, Subject};
use testkit::store::{Deed, Lasting, Trouble, Watched};

use crate::{
    history::{FILES, history, is_whole, readable, store},
    support::{Fixture, PASSWORD, commit, files, meta, open, options, put, storage},
};

const VERSIONS: u64 = 3;

/// What is done to a repository.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// A bit of every file of a folder, at so many tenths of its length, is flipped.
    Flip(&'static str, usize),
    Cut(&'static str),
    Delete(&'static str),
}

impl Harm {
    fn folder(self) -> &'static str {
        match self {
            Self::Flip(folder, _) | Self::Cut(folder) | Self::Delete(folder) => folder,
        }
    }

    fn harm(self, file: &Path) -> anyhow::Result<()> {
        let mut bytes = std::fs::read(file)?;
        match self {
            Self::Flip(_, tenths) => {
                let at = (bytes.len() * tenths / 10).min(bytes.len() - 1);
                bytes[at] ^= 4;
            }
            Self::Cut(_) => bytes.truncate(bytes.len() / 2),
            Self::Delete(_) => return Ok(std::fs::remove_file(file)?),
        }
        Ok(std::fs::write(file, bytes)?)
    }
}

/// Which files of the folder.
#[derive(Clone, Copy, Debug)]
enum Which {
    Smallest,
    Largest,
    All,
}

fn chosen(folder: &Path, which: Which) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = files(folder)?;
    all.sort_by_key(|file| std::fs::metadata(file).map_or(0, |meta| meta.len()));
    Ok(match which {
        Which::Smallest => all.into_iter().take(1).collect(),
        Which::Largest => all.into_iter().next_back().into_iter().collect(),
        Which::All => all,
    })
}

async fn repair(repository: &Repository) -> anyhow::Result<RepairReport> {
    Ok(repository.repair(RepairOptions::default(), |_| {}).await?)
}

/// Stores all versions again, without relying on a parent that may be damaged.
async fn store_again(repository: &Repository) -> anyhow::Result<()> {
    for version in 0..VERSIONS {
        store(repository, None, version).await?;
    }
    Ok(())
}

/// Abuse 13, 14, 15, 16.
#[tokio::test]
async fn whatever_is_damaged_is_found_and_repaired() -> anyhow::Result<()> {
    let cases = [
        (Harm::Flip("index", 0), Which::Smallest),
        (Harm::Flip("index", 5), Which::All),
        (Harm::Delete("index"), Which::Largest),
        (Harm::Delete("index"), Which::All),
        (Harm::Cut("index"), Which::All),
        // A blob of content, a header, its length, a blob of a directory.
        (Harm::Flip("data", 3), Which::Largest),
        (Harm::Flip("data", 10), Which::Largest),
        (Harm::Flip("data", 1), Which::Smallest),
        (Harm::Flip("data", 9), Which::Smallest),
        (Harm::Flip("data", 5), Which::All),
        (Harm::Cut("data"), Which::Largest),
        (Harm::Cut("data"), Which::All),
        (Harm::Delete("data"), Which::Smallest),
        (Harm::Delete("data"), Which::Largest),
        (Harm::Flip("snapshots", 7), Which::Smallest),
        (Harm::Cut("snapshots"), Which::Largest),
    ];
    for (harm, which) in cases {
        let case = format!("{harm:?} {which:?}");
        let checked = check_case(harm, which).await;
        checked.with_context(|| case)?;
    }
    Ok(())
}

async fn check_case(harm: Harm, which: Which) -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let path = &fixture.path();
    let versions = history(&fixture.repository, VERSIONS).await?;
    for file in chosen(&path.join(harm.folder()), which)? {
        harm.harm(&file)?;
    }
    // Detected, and nothing reads wrong.
    let ours = fixture.reopen().await?;
    ensure!(!ours.verify(|_| {}).await?.is_sound(), "it is not seen");
    let mut read_before = 0;
    for (version, id) in (0..).zip(&versions) {
        match readable(&ours, *id, version).await {
            Ok(count) => read_before += count,
            Err(error) => {
                let error: Error = error.downcast()?;
                assert_eq!((error.kind(), harm.folder()), (Kind::Corrupt, "snapshots"));
            }
        }
    }

    let before = files(path)?;
    let dry = ours.repair(RepairOptions { dry_run: true }, |_| {}).await?;
    assert_eq!(files(path)?, before, "a dry run writes nothing");
    let mut packs = 0;
    let report = ours.repair(RepairOptions::default(), |seen| packs = seen.packs);
    let report = report.await?;
    assert_eq!(packs, report.packs);
    ensure!(report.has_repaired() && dry.has_repaired(), "{report:?}");
    assert_eq!(dry.lost, report.lost);
    assert_eq!(dry.replaced_index_files, report.replaced_index_files);

    // What is lost, and nothing else, is damaged now; it is located.
    let after = ours.verify(|_| {}).await?;
    assert_eq!(after.damage, report.lost);
    ensure!(report.lost.iter().all(|lost| !lost.places.is_empty()));
    let removed: Vec<_> = report.removed_snapshots.clone();
    let mut read_after = 0;
    for (version, id) in (0..).zip(&versions).filter(|(_, id)| !removed.contains(id)) {
        read_after += readable(&ours, *id, version).await?;
    }
    ensure!(read_after >= read_before, "{read_after} of {read_before}");
    match harm.folder() {
        "index" => assert_eq!((read_after, report.lost.len()), (VERSIONS * (FILES + 1), 0)),
        "snapshots" => assert_eq!((removed.len(), report.lost.len()), (1, 0)),
        _ => ensure!(removed.is_empty()),
    }
    let again = ours.repair(RepairOptions { dry_run: true }, |_| {}).await?;
    ensure!(!again.has_repaired(), "once is enough: {again:?}");

    // What is stored again makes the older snapshots whole.
    store_again(&ours).await?;
    for ours in [&ours, &fixture.reopen().await?] {
        for (version, id) in (0..).zip(&versions).filter(|(_, id)| !removed.contains(id)) {
            is_whole(ours, *id, version).await?;
        }
        let report = ours.verify(|_| {}).await?;
        ensure!(report.is_sound(), "{report:?}");
    }
    for restic in testkit::restic::both() {
        restic.check(path, PASSWORD)?;
    }
    // And what was damaged goes with the next prunes.
    let options = repository::PruneOptions {
        grace: std::time::Duration::ZERO,
        ..Default::default()
    };
    ours.prune(options, |_| {}).await?;
    assert_eq!(ours.verify(|_| {}).await?.doomed_packs, 0);
    Ok(())
}

/// Abuse 13: what opening needs.
#[tokio::test]
async fn damage_to_configuration_and_keys_is_told_from_a_wrong_password() -> anyhow::Result<()> {
    for tenths in [0, 3, 10] {
        let fixture = Fixture::new().await?;
        Harm::Flip("", tenths).harm(&fixture.path().join("config"))?;
        let refused = Repository::open(
            repository::Storage::local(fixture.path())?,
            PASSWORD,
            options(),
        );
        let refused = refused.await.err();
        let damaged = matches!(
            refused,
            Some(Error::Damaged {
                what: Subject::Config,
                ..
            })
        );
        assert!(damaged, "{tenths}: {refused:?}");

        let fixture = Fixture::new().await?;
        for key in files(&fixture.path().join("keys"))? {
            Harm::Flip("", tenths).harm(&key)?;
        }
        let refused = Repository::open(
            repository::Storage::local(fixture.path())?,
            PASSWORD,
            options(),
        );
        let refused = refused.await.err();
        let damaged = matches!(
            refused,
            Some(Error::Damaged {
                what: Subject::Object(ObjectKind::Key, _),
                ..
            })
        );
        assert!(damaged, "{tenths}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_sound_repository_is_left_as_it_is() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    history(&fixture.repository, 2).await?;
    let before = files(&fixture.path())?;
    let report = repair(&fixture.repository).await?;
    assert!(
        !report.has_repaired() && report.lost.is_empty(),
        "{report:?}"
    );
    assert_eq!(files(&fixture.path())?, before);
    Ok(())
}

#[tokio::test]
async fn a_pack_under_a_name_that_is_not_its_hash_is_not_believed() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let data = fixture.path().join("data");
    let versions = history(&fixture.repository, 2).await?;
    std::fs::create_dir_all(data.join("00"))?;
    for pack in chosen(&data, Which::Largest)? {
        std::fs::copy(pack, data.join("00").join("0".repeat(64)))?;
    }
    let ours = fixture.reopen().await?;
    let report = repair(&ours).await?;
    assert_eq!(
        (report.damaged_packs.len(), report.listed_packs),
        (1, 0),
        "{report:?}"
    );
    assert_eq!(report.saved_blobs, 0, "all of it is elsewhere: {report:?}");
    is_whole(&ours, versions[1], 1).await
}

/// Whoever repaired knows what is lost.
#[tokio::test]
async fn what_was_lost_is_stored_again_by_whoever_repaired() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let ours = &fixture.repository;
    let versions = history(ours, VERSIONS).await?;
    ours.stats().await?;
    for pack in chosen(&fixture.path().join("data"), Which::Largest)? {
        std::fs::remove_file(pack)?;
    }
    assert!(!repair(ours).await?.lost.is_empty());
    store_again(ours).await?;
    let reopened = fixture.reopen().await?;
    for (version, id) in (0..).zip(&versions) {
        is_whole(&reopened, *id, version).await?;
    }
    Ok(())
}

/// Abuse 5.
#[tokio::test]
async fn a_lost_directory_that_is_made_again_as_it_was_is_stored_without_a_snapshot()
-> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let ours = fixture.reopen().await?;
    let mut draft = ours.draft(None).await?;
    draft.make_dir("a").await?;
    let first = draft.commit(meta(0)).await?.context("it has a directory")?;
    let packs = files(&fixture.path().join("data"))?;
    let mut draft = ours.draft(Some(first)).await?;
    draft.make_dir("b").await?;
    put(&mut draft, "c", "a file").await?;
    let second = draft.commit(meta(60)).await?.context("it has more")?;
    // The directory that both share, and the root of the first.
    let [pack] = &packs[..] else {
        anyhow::bail!("one pack: {packs:?}");
    };
    std::fs::remove_file(pack)?;
    let ours = fixture.reopen().await?;
    let lost = repair(&ours).await?.lost;
    assert_eq!(lost.len(), 2, "{lost:?}");
    let mut draft = ours.draft(Some(second)).await?;
    for name in ["a", "b"] {
        assert!(draft.list(name).await.is_err(), "{name} is not lost");
        assert!(draft.remove(name).await?);
        draft.make_dir(name).await?;
    }
    assert_eq!(draft.commit(meta(120)).await?, None);
    let ours = fixture.reopen().await?;
    let damage = ours.verify(|_| {}).await?.damage;
    let places: Vec<_> = damage.iter().flat_map(|it| &it.places).collect();
    assert_eq!(places, [&(first, String::new())], "{damage:?}");
    Ok(())
}

#[tokio::test]
async fn a_repair_killed_at_any_write_is_finished_by_the_next() -> anyhow::Result<()> {
    let mut writes = 0;
    loop {
        let fixture = Fixture::new().await?;
        let path = &fixture.path();
        let versions = history(&fixture.repository, VERSIONS).await?;
        for file in chosen(&path.join("index"), Which::Smallest)? {
            std::fs::remove_file(file)?;
        }
        for file in chosen(&path.join("data"), Which::Largest)? {
            Harm::Flip("data", 5).harm(&file)?;
        }
        let garbage = path.join("snapshots").join("0".repeat(64));
        std::fs::write(garbage, "garbage")?;
        let disk = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
        let dying = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
        let killed = Repository::open(storage(&dying), PASSWORD, options()).await?;
        dying.die_after(writes);
        let outcome = repair(&killed).await;
        drop(killed);

        let ours = fixture.reopen().await?;
        let finished = repair(&ours).await?;
        assert_eq!(finished.lost.len(), 1, "one blob: {finished:?}");
        assert_eq!(ours.snapshots().await?.len(), versions.len());
        assert!(!repair(&ours).await?.has_repaired());
        store_again(&ours).await?;
        for (version, id) in (0..).zip(&versions) {
            is_whole(&ours, *id, version).await?;
        }
        assert!(ours.verify(|_| {}).await?.is_sound());
        if let Some(restic) = testkit::restic::stock() {
            let checked = restic.check(path, PASSWORD);
            checked.with_context(|| format!("after {writes} writes"))?;
        }
        if outcome.is_ok() {
            assert!(writes >= 6, "{writes} writes were enough");
            return Ok(());
        }
        writes += 1;
    }
}

/// What is read wrong once and right the second time is no damage.
#[tokio::test]
async fn damage_is_believed_when_it_was_read_twice() -> anyhow::Result<()> {
    for folder in ["data", "index", "snapshots"] {
        let fixture = Fixture::new().await?;
        let path = fixture.path();
        history(&fixture.repository, VERSIONS).await?;
        let before = files(&path)?;
        let disk = LocalFileSystem::new_with_prefix(&path)?;
        let store = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
        let ours = Repository::open(storage(&store), PASSWORD, options()).await?;
        let flip = move |path: &Path| {
            let all = files(&path.join(folder)).expect("they are listed");
            for file in all {
                Harm::Flip(folder, 5).harm(&file).expect("it is changed");
            }
        };
        let (again, there) = (Arc::clone(&store), path.clone());
        store.before(Deed::Get, folder, move || {
            flip(&there);
            again.before(Deed::Get, folder, move || flip(&there));
        });
        let report = repair(&ours).await?;
        let read_again = report.packs > 0;
        ensure!(
            read_again && !report.has_repaired() && report.lost.is_empty(),
            "{folder}: {report:?}"
        );
        assert_eq!(files(&path)?, before, "{folder}");
    }
    Ok(())
}

/// Abuse 10: what a disk does not give is not taken for damaged.
#[tokio::test]
async fn a_repair_that_cannot_read_deletes_nothing() -> anyhow::Result<()> {
    for lasting in [Lasting::Once, Lasting::ForGood] {
        let fixture = Fixture::new().await?;
        let path = fixture.path();
        history(&fixture.repository, VERSIONS).await?;
        let without_locks = || -> anyhow::Result<Vec<PathBuf>> {
            let mut all = files(&path)?;
            all.retain(|file| !file.starts_with(path.join("locks")));
            Ok(all)
        };
        let before = without_locks()?;
        for after in 0.. {
            let disk = LocalFileSystem::new_with_prefix(&path)?;
            let failing = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
            let ours = Repository::open(storage(&failing), PASSWORD, options()).await?;
            failing.trouble(Trouble::Disk, after, lasting);
            let outcome = ours.repair(RepairOptions::default(), |_| {}).await;
            let struck = failing.relieve();
            ensure!(outcome.is_err() == struck, "after {after}: {outcome:?}");
            assert_eq!(without_locks()?, before, "after {after}");
            if !struck {
                ensure!(after > 10, "{after} calls were all");
                break;
            }
            // As whoever starts next does.
            for lock in files(&path.join("locks"))? {
                std::fs::remove_file(lock)?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn repair_waits_for_others_and_counts_what_it_may_not_delete() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let path = &fixture.path();
    let last = commit(&fixture.repository, None, 0, &[("a", "a")]).await?;
    let writing = fixture.repository.draft(Some(last)).await?;
    for number in 0..40 {
        let content = crate::support::noise(1_000_000, number);
        writing.writer().store(content).await?;
    }
    let refused = fixture
        .reopen()
        .await?
        .repair(RepairOptions::default(), |_| {})
        .await;
    let refused = refused.err().map(|error| error.kind());
    assert_eq!(refused, Some(Kind::Conflict));
    writing.abandon().await?;

    for file in files(&path.join("index"))? {
        Harm::Flip("index", 5).harm(&file)?;
    }
    let disk = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
    let locked = Watched::new(Arc::new(disk) as Arc<dyn ObjectStore>);
    locked.forbid(Deed::Delete, "index");
    let ours = Repository::open(storage(&locked), PASSWORD, options()).await?;
    assert_eq!(repair(&ours).await?.denied_deletions, 1);
    locked.permit_all();
    assert_eq!(repair(&ours).await?.denied_deletions, 0);
    let ours = open(path).await?;
    assert!(ours.verify(|_| {}).await?.is_sound());
    Ok(())
}
