//! Damage is found, located, and never handed out as content.

use std::path::{Path, PathBuf};

use anyhow::Context;
use repository::{Error, Kind, ObjectKind, Problem, Repository, SnapshotId, Subject, VerifyReport};

use crate::support::{Fixture, commit, files, meta, noise, put, text, view};

async fn filled() -> anyhow::Result<(Fixture, SnapshotId)> {
    let fixture = Fixture::new().await?;
    let mut draft = fixture.repository.draft(None).await?;
    for number in 0..40 {
        put(
            &mut draft,
            &format!("folder/{number}"),
            noise(200_000, number),
        )
        .await?;
    }
    let id = draft.commit(meta(0)).await?.context("it has files")?;
    Ok((fixture, id))
}

/// The largest file of a folder, with its content.
fn largest(folder: &Path) -> anyhow::Result<(PathBuf, Vec<u8>)> {
    let mut all = files(folder)?;
    all.sort_by_key(|file| std::fs::metadata(file).map_or(0, |meta| meta.len()));
    let file = all.pop().context("the folder has files")?;
    let content = std::fs::read(&file)?;
    Ok((file, content))
}

async fn verify(repository: &Repository) -> anyhow::Result<VerifyReport> {
    let mut seen = 0;
    let report = repository.verify(|progress| seen = progress.packs).await?;
    assert_eq!(seen, report.packs);
    Ok(report)
}

/// How many of the files can be read; those that cannot are damaged, and none reads wrong.
async fn readable(repository: &Repository, id: SnapshotId) -> anyhow::Result<usize> {
    let view = view(repository, id).await?;
    let mut readable = 0;
    for number in 0..40 {
        match view.read_path(&format!("folder/{number}")).await {
            Ok(content) => {
                assert_eq!(content.context("it is listed")?, noise(200_000, number));
                readable += 1;
            }
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt),
        }
    }
    Ok(readable)
}

/// Abuse 13.
#[tokio::test]
async fn a_changed_byte_in_a_pack_is_located_and_its_file_not_handed_out() -> anyhow::Result<()> {
    let (fixture, id) = filled().await?;
    assert!(verify(&fixture.repository).await?.is_sound());
    let (pack, mut content) = largest(&fixture.path().join("data"))?;
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    std::fs::write(&pack, content)?;
    let ours = fixture.reopen().await?;
    assert_eq!(readable(&ours, id).await?, 39);
    let report = verify(&ours).await?;
    let [whole, file] = &report.damage[..] else {
        anyhow::bail!("the pack and one file: {report:?}");
    };
    assert!(matches!(whole.what, Subject::Object(ObjectKind::Pack, _)));
    assert_eq!(whole.problem, Problem::WrongHash);
    assert_eq!(file.problem, Problem::BrokenSeal);
    let [(snapshot, path)] = &file.places[..] else {
        anyhow::bail!("one place: {file:?}");
    };
    assert_eq!(*snapshot, id);
    assert!(path.starts_with("folder/"));
    assert_eq!(report.files, 39);
    assert!(text(&ours, id, path).await.is_err());
    Ok(())
}

/// Abuse 14.
#[tokio::test]
async fn a_truncated_pack_and_a_missing_pack_are_reported() -> anyhow::Result<()> {
    for missing in [false, true] {
        let (fixture, id) = filled().await?;
        let (pack, content) = largest(&fixture.path().join("data"))?;
        if missing {
            std::fs::remove_file(&pack)?;
        } else {
            std::fs::write(&pack, &content[..content.len() / 2])?;
        }
        let ours = fixture.reopen().await?;
        let report = verify(&ours).await?;
        let places: usize = report.damage.iter().map(|damage| damage.places.len()).sum();
        assert_eq!(readable(&ours, id).await?, 40 - places);
        assert_eq!(report.files as usize, 40 - places);
        assert!(report.damage.iter().any(|damage| damage.problem
            == if missing {
                Problem::Missing
            } else {
                Problem::WrongHash
            }));
    }
    Ok(())
}

/// Abuse 13, 15, 16.
#[tokio::test]
async fn damage_to_every_other_kind_of_object_is_reported() -> anyhow::Result<()> {
    for kind in ["keys", "index", "snapshots"] {
        let (fixture, _) = filled().await?;
        let ours = fixture.reopen().await?;
        let (file, mut content) = largest(&fixture.path().join(kind))?;
        let middle = content.len() / 2;
        content[middle] ^= 1;
        std::fs::write(&file, content)?;
        let report = verify(&ours).await?;
        let objects = report
            .damage
            .iter()
            .filter(|damage| matches!(damage.what, Subject::Object(..)));
        assert_eq!(objects.count(), 1, "{kind}: {report:?}");
        if kind == "snapshots" {
            assert!(ours.snapshots().await.is_err());
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_index_that_is_gone_makes_content_missing_not_wrong() -> anyhow::Result<()> {
    let (fixture, id) = filled().await?;
    for file in files(&fixture.path().join("index"))? {
        std::fs::remove_file(file)?;
    }
    let ours = fixture.reopen().await?;
    assert!(matches!(
        text(&ours, id, "folder/1")
            .await
            .map_err(|error| error.downcast::<Error>()),
        Err(Ok(Error::Damaged { .. }))
    ));
    let report = verify(&ours).await?;
    assert_eq!(report.damage.len(), 1, "the root directory: {report:?}");
    assert!(report.unlisted_packs > 0);
    Ok(())
}

#[tokio::test]
async fn damage_in_one_snapshot_does_not_touch_the_others() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let first = commit(&fixture.repository, None, 0, &[("a", "first")]).await?;
    let before = files(&fixture.path().join("data"))?;
    let second = commit(
        &fixture.repository,
        Some(first),
        60,
        &[("a", "second"), ("b", "b")],
    )
    .await?;
    for pack in files(&fixture.path().join("data"))? {
        if !before.contains(&pack) {
            std::fs::write(pack, "garbage")?;
        }
    }
    let ours = fixture.reopen().await?;
    assert_eq!(text(&ours, first, "a").await?.as_deref(), Some("first"));
    assert!(text(&ours, second, "a").await.is_err());
    let report = verify(&ours).await?;
    assert!(
        report
            .damage
            .iter()
            .flat_map(|damage| &damage.places)
            .all(|(snapshot, _)| *snapshot == second)
    );
    Ok(())
}
