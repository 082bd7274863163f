//! Which restore points a policy forgets, judged by restic's own `forget`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use engine::{
    Account,
    maintain::{self, Outcome},
};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use model::{Reason, Retention};
use repository::{Content, File, Repository, SnapshotMeta};
use testkit::restic::Restic;

use crate::stage::{Stage, mail};

/// Adds a snapshot that holds one file, called like its time.
async fn add(repository: &Repository, account: &Account, time: Timestamp) -> Result<()> {
    let snapshots = repository.snapshots().await?;
    let newest = snapshots.last().map(|(id, _)| *id);
    let mut draft = repository.draft(newest).await?;
    let content = Content {
        blobs: Vec::new(),
        size: 0,
    };
    draft
        .put(
            &time.as_second().to_string(),
            File {
                content,
                mtime: time,
            },
        )
        .await?;
    let meta = SnapshotMeta {
        time,
        hostname: account.id.to_string(),
        username: "keepwell".to_owned(),
        tags: vec!["token-1".to_owned()],
        paths: vec!["/".to_owned()],
    };
    draft.commit(meta).await?.context("it holds a new file")?;
    Ok(())
}

/// The snapshots that restic would keep.
fn kept_by(
    restic: &Restic,
    stage: &Stage,
    account: &Account,
    policy: &[&str],
) -> Result<BTreeSet<String>> {
    let path = stage.vault.repository_path(&account.id);
    let password = stage.vault.password(&account.id)?;
    let args = ["forget", "--dry-run", "--json"].iter().chain(policy);
    let output = restic.run(&path, &password, args)?.into_result()?;
    let groups: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let groups = groups.as_array().context("restic gives a list")?;
    ensure!(groups.len() == 1, "restic sees {} groups", groups.len());
    let kept = groups[0]["keep"].as_array().context("of what it keeps")?;
    let ids = kept.iter().filter_map(|one| one["id"].as_str());
    Ok(ids.map(str::to_owned).collect())
}

async fn forget(
    stage: &Stage,
    account: &Account,
    policy: &Retention,
    rehearsal: bool,
) -> Result<Outcome> {
    let local = stage.setting().local();
    Ok(maintain::forget(local, account, policy, &TimeZone::UTC, rehearsal).await?)
}

fn kept(outcome: &Outcome) -> BTreeSet<String> {
    let kept = outcome.points.iter().filter(|one| !one.reasons.is_empty());
    kept.map(|one| one.id.to_string()).collect()
}

#[tokio::test]
async fn restic_forgets_the_same() -> Result<()> {
    let Some(restic) = testkit::restic::newest() else {
        return Ok(());
    };
    let (stage, account) = Stage::with_mail(&[("", 1)]).await?;
    stage.vault.remember(&account)?;
    let local = stage.setting().local();
    let repository = engine::open::or_make(local, &account).await?;
    // Dense lately, sparse before; over a turn of year whose last days are of the next year's first week, and over a leap day.
    let mut time: Timestamp = "2024-01-31T23:30:00Z".parse()?;
    for n in 0..46i64 {
        add(&repository, &account, time).await?;
        let hours = [700, 331, 170, 25, 24, 5, 1][usize::try_from(n / 7)?.min(6)];
        time = time.checked_add(hours.hours().minutes(11 * (n % 3)))?;
    }
    let none = Retention::default;
    let within = |age: &str| age.parse().map(Some);
    let policies: Vec<(Retention, Vec<&str>)> = vec![
        (Retention { last: 3, ..none() }, vec!["--keep-last", "3"]),
        (
            Retention {
                hourly: 9,
                ..none()
            },
            vec!["--keep-hourly", "9"],
        ),
        (
            Retention {
                daily: 12,
                ..none()
            },
            vec!["--keep-daily", "12"],
        ),
        (
            Retention {
                weekly: 20,
                ..none()
            },
            vec!["--keep-weekly", "20"],
        ),
        (
            Retention {
                monthly: 14,
                ..none()
            },
            vec!["--keep-monthly", "14"],
        ),
        (
            Retention {
                yearly: 1,
                ..none()
            },
            vec!["--keep-yearly", "1"],
        ),
        (
            Retention {
                yearly: 50,
                ..none()
            },
            vec!["--keep-yearly", "50"],
        ),
        (
            Retention {
                within: within("1m10d")?,
                ..none()
            },
            vec!["--keep-within", "1m10d"],
        ),
        (
            Retention {
                within: within("1y5h")?,
                ..none()
            },
            vec!["--keep-within", "1y5h"],
        ),
        (
            Retention {
                last: 1,
                hourly: 4,
                daily: 7,
                weekly: 4,
                monthly: 12,
                yearly: 3,
                within: within("2d")?,
            },
            vec![
                "--keep-last",
                "1",
                "--keep-hourly",
                "4",
                "--keep-daily",
                "7",
                "--keep-weekly",
                "4",
                "--keep-monthly",
                "12",
                "--keep-yearly",
                "3",
                "--keep-within",
                "2d",
            ],
        ),
    ];
    for (policy, args) in policies {
        let ours = kept(&forget(&stage, &account, &policy, true).await?);
        let theirs = kept_by(&restic, &stage, &account, &args)?;
        assert_eq!(ours, theirs, "{args:?}");
        assert!(ours.len() < 46, "{args:?} forgets something");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_forgotten_is_gone_and_the_next_backup_goes_on() -> Result<()> {
    let (mut stage, account) = Stage::with_mail(&[("", 40)]).await?;
    // A first run with checkpoints, then changes.
    stage.limits.checkpoint_every = 10;
    stage.back_up_equal(&account).await?;
    for n in 0..3 {
        stage.at_source(&account, |mailbox| -> Result<()> {
            let inbox = mailbox
                .folder_views()
                .find(|f| f.well_known == Some("inbox"));
            let inbox = inbox.context("there is one")?.key;
            let now = "2026-11-22T15:00:00Z".parse()?;
            mailbox.deliver(inbox, mail(100 + n).into_bytes().into(), now)?;
            Ok(())
        })??;
        stage.back_up_equal(&account).await?;
    }
    let count = async || -> Result<usize> {
        Ok(stage.repository(&account).await?.snapshots().await?.len())
    };
    let before = count().await?;
    assert!(before > 4, "there were checkpoints: {before}");
    let policy = Retention {
        last: 3,
        ..Retention::default()
    };
    let rehearsed = forget(&stage, &account, &policy, true).await?;
    assert_eq!(count().await?, before, "a rehearsal removes nothing");
    let outcome = forget(&stage, &account, &policy, false).await?;
    assert_eq!(outcome.points, rehearsed.points);
    assert_eq!(outcome.forgotten.removed.len(), before - 3);
    assert_eq!(count().await?, 3);
    let newest = outcome.points.last().context("there are points")?;
    assert!(newest.reasons.contains(&Reason::Pinned), "{newest:?}");
    assert_eq!(stage.back_up(&account).await?.snapshot, None);
    stage.restic_agrees(&account)
}
