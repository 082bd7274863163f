//! Removing snapshots: which ones go, which stay whatever is asked, and who is waited for.

use repository::{Error, Forgotten, Kind, SnapshotId};

use crate::support::{Fixture, PASSWORD, commit, files, noise, text};

#[tokio::test]
async fn forgotten_snapshots_are_gone_and_the_others_whole() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let ours = &fixture.repository;
    let first = commit(ours, None, 0, &[("a", "1")]).await?;
    let second = commit(ours, Some(first), 60, &[("a", "2"), ("b", "b")]).await?;
    let third = commit(ours, Some(second), 90, &[("a", "3")]).await?;
    let nobody = SnapshotId::of(b"nobody's");
    let forgotten = ours.forget(&[first, second, nobody, first]).await?;
    let expected = Forgotten {
        removed: vec![first, second],
        absent: vec![nobody],
        denied: Vec::new(),
    };
    assert_eq!(forgotten, expected);
    assert!(files(&fixture.path().join("locks"))?.is_empty());
    let reopened = fixture.reopen().await?;
    assert_eq!(reopened.snapshots().await?.len(), 1);
    assert_eq!(text(&reopened, third, "a").await?.as_deref(), Some("3"));
    assert_eq!(text(&reopened, third, "b").await?.as_deref(), Some("b"));
    assert!(reopened.verify(|_| {}).await?.is_sound());
    for restic in testkit::restic::both() {
        restic.check(&fixture.path(), PASSWORD)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_last_snapshot_stays_unless_all_are_to_go() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let ours = &fixture.repository;
    let first = commit(ours, None, 0, &[("a", "1")]).await?;
    let second = commit(ours, Some(first), 60, &[("a", "2")]).await?;
    let refused = ours.forget(&[second, first]).await;
    assert!(matches!(refused, Err(Error::LastSnapshot)), "{refused:?}");
    assert_eq!(ours.snapshots().await?.len(), 2, "none was removed");
    // One that nobody can read is no reason to let go of the last that can be read.
    let garbage = fixture.path().join("snapshots").join("0".repeat(64));
    std::fs::write(garbage, "garbage")?;
    let refused = ours.forget(&[second, first]).await;
    assert!(matches!(refused, Err(Error::LastSnapshot)), "{refused:?}");
    assert_eq!(ours.forget_all().await?.removed.len(), 3);
    assert!(ours.snapshots().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn forgetting_waits_for_a_draft_that_writes() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let ours = &fixture.repository;
    let first = commit(ours, None, 0, &[("a", "1")]).await?;
    let second = commit(ours, Some(first), 60, &[("a", "2")]).await?;
    let writing = ours.draft(Some(second)).await?;
    for number in 0..40 {
        writing.writer().store(noise(1_000_000, number)).await?;
    }
    let refused = ours.forget(&[first]).await.err();
    assert_eq!(refused.map(|error| error.kind()), Some(Kind::Conflict));
    writing.abandon().await?;
    assert_eq!(ours.forget(&[first]).await?.removed, [first]);
    Ok(())
}
