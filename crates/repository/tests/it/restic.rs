//! Both versions of restic read, check, change and prune what we wrote, and we read what they wrote.

use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::Path};

use anyhow::Context;
use repository::name;
use serde_json::Value;
use testkit::restic::Restic;

use crate::support::{Fixture, PASSWORD, commit, files, meta, put, text, view};

fn run(restic: &Restic, path: &Path, args: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = restic.run(path, PASSWORD, args)?.into_result();
    Ok(output.with_context(|| format!("{args:?}"))?.stdout)
}

/// The JSON objects that a command prints, one a line.
fn json_lines(restic: &Restic, path: &Path, args: &[&str]) -> anyhow::Result<Vec<Value>> {
    let output = run(restic, path, args)?;
    let lines = output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| Ok(serde_json::from_slice(line)?))
        .collect()
}

#[tokio::test]
async fn a_repository_without_snapshots_passes() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    for restic in testkit::restic::both() {
        restic.check(&fixture.path(), PASSWORD)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_put_is_read_by_everyone() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let path = &fixture.path();
    let first = commit(
        &fixture.repository,
        None,
        0,
        &[
            ("Mail/Inbox/a.eml", "one"),
            ("Mail/Inbox/b.eml", ""),
            ("ä/日本", "x"),
        ],
    )
    .await?;
    let second = commit(
        &fixture.reopen().await?,
        Some(first),
        60,
        &[("Mail/Inbox/a.eml", "two"), ("Mail/c", "new")],
    )
    .await?;

    let ours = fixture.reopen().await?;
    let ids: Vec<_> = ours
        .snapshots()
        .await?
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, [first, second]);
    for (id, file, expected) in [
        (first, "Mail/Inbox/a.eml", Some("one")),
        (second, "Mail/Inbox/a.eml", Some("two")),
        (second, "Mail/Inbox/b.eml", Some("")),
        (second, "ä/日本", Some("x")),
        (first, "Mail/c", None),
    ] {
        assert_eq!(text(&ours, id, file).await?.as_deref(), expected, "{file}");
    }

    let (first, second) = (first.to_string(), second.to_string());
    for restic in testkit::restic::both() {
        restic.check(path, PASSWORD)?;
        let snapshots: Value =
            serde_json::from_slice(&run(&restic, path, &["snapshots", "--json"])?)?;
        assert_eq!(snapshots[0]["id"], *first);
        assert_eq!(snapshots[1]["parent"], *first);
        assert_eq!(snapshots[1]["time"], "2026-09-21T14:14:20Z");
        assert_eq!(snapshots[1]["hostname"], "tenant");
        assert_eq!(snapshots[1]["tags"][0], "full");
        let listed = json_lines(&restic, path, &["ls", "--json", &second])?;
        let listed: Vec<_> = listed
            .iter()
            .filter_map(|node| node["path"].as_str())
            .collect();
        assert_eq!(
            listed,
            [
                "/Mail",
                "/Mail/Inbox",
                "/Mail/Inbox/a.eml",
                "/Mail/Inbox/b.eml",
                "/Mail/c",
                "/ä",
                "/ä/日本"
            ]
        );
        assert_eq!(
            run(&restic, path, &["dump", &second, "/Mail/Inbox/a.eml"])?,
            b"two"
        );
        let difference = String::from_utf8(run(&restic, path, &["diff", &first, &second])?)?;
        assert!(
            difference.contains("M    /Mail/Inbox/a.eml"),
            "{difference}"
        );
        assert!(difference.contains("+    /Mail/c"), "{difference}");
        let found = String::from_utf8(run(&restic, path, &["find", "--json", "b.eml"])?)?;
        assert!(found.contains("/Mail/Inbox/b.eml"), "{found}");
    }
    Ok(())
}

#[tokio::test]
async fn what_restic_restores_is_what_was_put() -> anyhow::Result<()> {
    let fixture = Fixture::new().await?;
    let mut draft = fixture.repository.draft(None).await?;
    let mut expected = Vec::new();
    for number in 0..300_u64 {
        let content = crate::support::noise(usize::try_from(number * 37 % 5000)?, number % 250);
        let file = format!("folder {}/file {number:03}", number % 7);
        put(&mut draft, &file, content.clone()).await?;
        expected.push((file, content));
    }
    draft.make_dir("empty folder").await?;
    let id = draft
        .commit(meta(0))
        .await?
        .context("it has files")?
        .to_string();
    expected.sort();
    for (number, restic) in testkit::restic::both().iter().enumerate() {
        restic.check(&fixture.path(), PASSWORD)?;
        let target = fixture.beside(&format!("restored {number}"));
        run(
            restic,
            &fixture.path(),
            &["restore", &id, "--target", &target.to_string_lossy()],
        )?;
        assert!(target.join("empty folder").is_dir());
        let restored = files(&target)?;
        assert_eq!(restored.len(), expected.len());
        for (file, (name, content)) in restored.iter().zip(&expected) {
            assert_eq!(file, &target.join(name));
            assert_eq!(std::fs::read(file)?, content[..], "{name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_repository_that_restic_pruned_is_read_and_continued() -> anyhow::Result<()> {
    for restic in testkit::restic::both() {
        let fixture = Fixture::new().await?;
        let path = &fixture.path();
        let ours = &fixture.repository;
        let mut last = commit(ours, None, 0, &[("kept/a", "a"), ("changed", "0")]).await?;
        for number in 1..4 {
            let content = number.to_string().repeat(5000);
            last = commit(ours, Some(last), number, &[("changed", &content)]).await?;
        }
        let open_before = fixture.reopen().await?;
        let kept = view(&open_before, last).await?;
        kept.read_path("changed").await?.context("it is there")?;
        run(
            &restic,
            path,
            &["forget", "--keep-last", "1", "--prune", "--max-unused", "0"],
        )?;

        assert_eq!(ours.snapshots().await?.len(), 1);
        // Handles from before, and their views, find what has moved to other packs.
        assert_eq!(kept.read_path("kept/a").await?.as_deref(), Some(&b"a"[..]));
        assert_eq!(text(ours, last, "changed").await?, Some("3".repeat(5000)));
        let next = commit(
            ours,
            Some(last),
            9,
            &[("kept/b", "b"), ("again", &"0".repeat(5000))],
        )
        .await?;
        assert_eq!(
            text(&fixture.reopen().await?, next, "kept/a")
                .await?
                .as_deref(),
            Some("a")
        );
        assert!(ours.verify(|_| {}).await?.is_sound());
        restic.check(path, PASSWORD)?;
    }
    Ok(())
}

#[tokio::test]
async fn the_newest_restic_rewrites_our_directories() -> anyhow::Result<()> {
    let Some(restic) = testkit::restic::newest() else {
        return Ok(());
    };
    let fixture = Fixture::new().await?;
    let path = &fixture.path();
    let ours = &fixture.repository;
    let mut draft = ours.draft(None).await?;
    let plain: Vec<char> = ('\0'..=char::MAX)
        .filter(|c| name::is_plain_char(*c))
        .collect();
    for characters in plain.chunks(60) {
        let name = format!("~{}~", characters.iter().collect::<String>());
        put(
            &mut draft,
            &format!("every plain character/{name}"),
            name.clone(),
        )
        .await?;
    }
    put(&mut draft, "secret/b", "b").await?;
    put(&mut draft, "secret/c", "c").await?;
    draft.make_dir("empty").await?;
    let original = draft.commit(meta(0)).await?.context("it has files")?;

    run(
        &restic,
        path,
        &["rewrite", "--exclude", "/secret/b", "--forget"],
    )?;
    let snapshots = ours.snapshots().await?;
    let [(rewritten, snapshot)] = &snapshots[..] else {
        anyhow::bail!("one snapshot is left, not {}", snapshots.len());
    };
    assert_eq!(snapshot.original, Some(original));
    let walked = view(ours, *rewritten)
        .await?
        .list("every plain character")
        .await?;
    assert_eq!(walked.len(), plain.chunks(60).len());
    assert_eq!(text(ours, *rewritten, "secret/b").await?, None);
    let next = commit(ours, Some(*rewritten), 60, &[("secret/d", "d")]).await?;
    assert_eq!(text(ours, next, "secret/c").await?.as_deref(), Some("c"));
    run(&restic, path, &["tag", "--set", "kept", &next.to_string()])?;
    let tagged = ours.snapshots().await?;
    assert!(tagged.iter().any(|(_, snapshot)| snapshot.tags == ["kept"]));
    run(
        &restic,
        path,
        &["rewrite", "--exclude", "/nothing/like/this"],
    )?;
    restic.check(path, PASSWORD)?;
    Ok(())
}

#[tokio::test]
async fn what_restic_backed_up_is_read_and_kept_when_continued() -> anyhow::Result<()> {
    for restic in testkit::restic::both() {
        let fixture = Fixture::new().await?;
        let path = &fixture.path();
        let source = fixture.beside("source");
        std::fs::create_dir_all(source.join("sub"))?;
        let odd =
            OsString::from_vec(b"odd \xff \x01 \"quoted\" <&> \xe2\x80\xa8\xc2\xad \\x41".to_vec());
        std::fs::write(source.join(&odd), "odd")?;
        std::fs::write(source.join("sub/big"), crate::support::noise(5 << 20, 1))?;
        std::os::unix::fs::symlink("nowhere <&>", source.join("link"))?;
        let source = source.to_string_lossy();
        run(&restic, path, &["backup", "--quiet", &source])?;

        let ours = &fixture.repository;
        let (made, _) = ours.snapshots().await?.pop().context("restic's snapshot")?;
        let inside = source.trim_start_matches('/');
        let nodes = view(ours, made).await?.list(inside).await?;
        let names: Vec<_> = nodes.iter().map(repository::Node::name).collect();
        assert_eq!(
            names,
            [
                "link",
                "odd \u{fffd} \u{1} \"quoted\" <&> \u{2028}\u{ad} \\x41",
                "sub"
            ]
        );
        let big = view(ours, made)
            .await?
            .read_path(&format!("{inside}/sub/big"))
            .await?;
        assert_eq!(big.as_deref(), Some(&crate::support::noise(5 << 20, 1)[..]));

        let next = commit(ours, Some(made), 60, &[(&format!("{inside}/more"), "more")]).await?;
        restic.check(path, PASSWORD)?;
        let difference = String::from_utf8(run(
            &restic,
            path,
            &["diff", &made.to_string(), &next.to_string()],
        )?)?;
        assert!(
            difference.contains("Files:           1 new,     0 removed,     0 changed"),
            "{difference}"
        );
        assert!(
            difference.contains("Others:          0 new,     0 removed"),
            "{difference}"
        );
        let target = fixture.beside("restored");
        run(
            &restic,
            path,
            &[
                "restore",
                &next.to_string(),
                "--target",
                &target.to_string_lossy(),
            ],
        )?;
        assert_eq!(std::fs::read(target.join(inside).join(&odd))?, b"odd");
        if let Some(newest) = testkit::restic::newest() {
            run(
                &newest,
                path,
                &["rewrite", "--exclude", "/nothing/like/this"],
            )?;
        }
    }
    Ok(())
}
