//! Large files and many files.

use anyhow::Context;
use bytes::Bytes;
use repository::File;

use crate::support::{Fixture, PASSWORD, in_memory, meta, noise, put, time, view};

#[tokio::test]
async fn a_large_file_is_cut_and_put_together() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let content = noise(20 << 20, 5);
    let mut draft = fixture.repository.draft(None).await?;
    let writer = draft.writer();
    let stored = writer.store_stream(&content[..]).await?;
    assert_eq!(
        stored,
        writer.store(content.clone()).await?,
        "both ways cut alike"
    );
    assert_eq!(stored.size, 20 << 20);
    assert!(
        (5..40).contains(&stored.blobs.len()),
        "{}",
        stored.blobs.len()
    );
    draft
        .put(
            "large",
            File {
                content: stored,
                mtime: time(0),
            },
        )
        .await?;
    assert_eq!(
        draft.read_path("large").await?.as_ref(),
        Some(&content),
        "read from open and stored packs"
    );
    let first = draft.commit(meta(0)).await?.context("it has a file")?;

    let ours = fixture.reopen().await?;
    let view = view(&ours, first).await?;
    let node = view.node("large").await?.context("it is there")?;
    for id in node.content() {
        assert!(view.blob(*id).await?.len() <= 8 << 20);
    }
    assert_eq!(view.read(&node).await?, content);
    for range in [
        0..1,
        5_000_000..5_000_001,
        0..20 << 20,
        (20 << 20) - 3..u64::MAX,
        30 << 20..40 << 20,
        3_000_000..9_000_000,
    ] {
        let end = range.end.min(content.len() as u64) as usize;
        let expected = content.slice((range.start as usize).min(end)..end);
        assert_eq!(view.read_range(&node, range).await?, expected);
    }

    let mut changed = content.to_vec();
    changed[10_000_000] ^= 1;
    let before = ours.stats().await?.stored_bytes;
    let mut draft = ours.draft(Some(first)).await?;
    put(&mut draft, "large", Bytes::from(changed.clone())).await?;
    let second = draft.commit(meta(60)).await?.context("it has changed")?;
    let grown = ours.stats().await?.stored_bytes - before;
    assert!(
        grown < 17 << 20,
        "only chunks near the change are stored again: {grown}"
    );
    for restic in testkit::restic::both() {
        restic.check(&fixture.path(), PASSWORD)?;
        let dumped = restic.run(
            &fixture.path(),
            PASSWORD,
            ["dump", &second.to_string(), "/large"],
        )?;
        assert!(dumped.into_result()?.stdout == changed);
    }
    Ok(())
}

#[tokio::test]
async fn more_files_than_are_kept_in_memory() -> anyhow::Result<()> {
    const DIRECTORIES: usize = 150;
    let (ours, _) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    let content = draft.writer().store("content".into()).await?;
    for round in 0..2 {
        for directory in 0..DIRECTORIES {
            for file in 0..150 {
                let path = format!("{}/{directory}/{round}-{file}", directory % 7);
                let content = content.clone();
                draft
                    .put(
                        &path,
                        File {
                            content,
                            mtime: time(round),
                        },
                    )
                    .await?;
            }
        }
    }
    draft.remove("3/3/1-7").await?;
    draft.rename("4/4", "moved").await?;
    assert_eq!(draft.list("moved").await?.len(), 300);
    assert_eq!(
        draft.read_path("0/0/0-0").await?.as_deref(),
        Some(&b"content"[..])
    );
    let id = draft.commit(meta(0)).await?.context("it has files")?;
    let mut walk = view(&ours, id).await?.walk("").await?;
    let mut files = 0;
    while let Some(walked) = walk.next().await? {
        files += usize::from(!walked.node.is_directory());
        assert_ne!(walked.path, "3/3/1-7");
    }
    assert_eq!(files, DIRECTORIES * 300 - 1);
    assert!(ours.verify(|_| {}).await?.is_sound());
    Ok(())
}

#[tokio::test]
async fn a_source_that_fails_is_an_error_not_a_shorter_file() -> anyhow::Result<()> {
    use tokio::io::AsyncReadExt;
    let (ours, _) = in_memory().await?;
    let draft = ours.draft(None).await?;
    let failing = failing_reader();
    let outcome = draft
        .writer()
        .store_stream(std::pin::pin!((&b"begin"[..]).chain(failing)))
        .await;
    assert!(
        matches!(outcome, Err(repository::Error::Source(_))),
        "{outcome:?}"
    );
    Ok(())
}

/// A reader that fails.
fn failing_reader() -> impl tokio::io::AsyncRead {
    struct Failing;
    impl tokio::io::AsyncRead for Failing {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("the connection broke")))
        }
    }
    Failing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_store_at_once_and_some_give_up() -> anyhow::Result<()> {
    let (ours, _) = in_memory().await?;
    let mut draft = ours.draft(None).await?;
    let mut tasks = Vec::new();
    for task in 0..8_u64 {
        let writer = draft.writer();
        tasks.push(tokio::spawn(async move {
            let mut stored = Vec::new();
            for number in 0..60 {
                // Neighbouring tasks store the same content, at the same time.
                let seed = task / 2 * 100 + number;
                let content = noise(100_000, seed);
                if number % 7 == task % 7 {
                    let given_up = std::time::Duration::from_micros(number * 20);
                    tokio::time::timeout(given_up, writer.store(content))
                        .await
                        .ok();
                } else {
                    stored.push((seed, writer.store(content).await?));
                }
            }
            Ok::<_, repository::Error>(stored)
        }));
    }
    let mut expected = std::collections::BTreeMap::new();
    for task in tasks {
        for (seed, content) in task.await?? {
            let mtime = time(0);
            draft
                .put(&seed.to_string(), File { content, mtime })
                .await?;
            expected.insert(seed.to_string(), noise(100_000, seed));
        }
    }
    let id = draft.commit(meta(0)).await?.context("it has files")?;
    assert!(ours.verify(|_| {}).await?.is_sound());
    let view = view(&ours, id).await?;
    for (path, content) in expected {
        assert_eq!(view.read_path(&path).await?, Some(content));
    }
    Ok(())
}
