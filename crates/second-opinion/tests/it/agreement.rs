//! What rustic finds in our repositories is what we put there; and when something is broken, it says so.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::{
    judge::{contents, findings},
    ours::{Ours, PASSWORD, Plain, files, noise},
};

/// rustic reads every byte, finds nothing to complain of, and finds in every snapshot what we put there.
fn agrees(ours: &Ours) -> Result<()> {
    let found = findings(&ours.path())?;
    ensure!(found.is_empty(), "{found:?}");
    let contents = contents(&ours.path())?;
    let ids = |map: &std::collections::BTreeMap<String, Plain>| -> Vec<String> {
        map.keys().cloned().collect()
    };
    ensure!(ids(&contents) == ids(&ours.expected), "other snapshots");
    for (id, plain) in &ours.expected {
        let differing: Vec<_> = plain
            .keys()
            .chain(contents[id].keys())
            .filter(|path| plain.get(*path) != contents[id].get(*path))
            .collect();
        ensure!(differing.is_empty(), "in {id} these differ: {differing:?}");
    }
    Ok(())
}

#[tokio::test]
async fn rustic_reads_a_first_snapshot_and_those_made_from_it() -> Result<()> {
    let mut ours = Ours::with_mails(1).await?;
    agrees(&ours)?;
    for round in 1..6 {
        ours.snapshot(async |change| {
            let path = format!("Mail/Later/{round}");
            change.put(&path, noise(10_000, round)).await
        })
        .await?;
    }
    agrees(&ours)
}

#[tokio::test]
async fn rustic_reads_files_that_were_cut_into_pieces() -> Result<()> {
    let mut ours = Ours::new().await?;
    ours.snapshot(async |change| {
        change.put("zeros", vec![0; 30_000_000]).await?;
        change.put("noise", noise(40_000_000, 1)).await?;
        change.put("empty", "").await
    })
    .await?;
    ours.snapshot(async |change| {
        // The same but for the middle: the pieces around it are stored once.
        let mut changed = noise(40_000_000, 1).to_vec();
        changed[20_000_000..20_000_100].fill(7);
        change.put("noise", changed).await
    })
    .await?;
    agrees(&ours)
}

#[tokio::test]
async fn rustic_reads_what_pruning_and_merging_left() -> Result<()> {
    let mut ours = Ours::with_mails(6).await?;
    let packs = files(&ours.path().join("data"))?.len();
    let deleted = ours.forget_all_but(2).await?;
    ensure!(deleted > 0, "nothing was pruned");
    ensure!(files(&ours.path().join("data"))?.len() < packs);
    agrees(&ours)?;
    ours.snapshot(async |change| change.put("Mail/After", noise(10_000, 99)).await)
        .await?;
    agrees(&ours)
}

#[tokio::test]
async fn rustic_reads_what_stock_restic_left() -> Result<()> {
    for restic in testkit::restic::both() {
        let mut ours = Ours::with_mails(4).await?;
        let first = ours
            .expected
            .keys()
            .next()
            .context("there are some")?
            .clone();
        restic
            .run(&ours.path(), PASSWORD, ["forget", "--prune", &first])?
            .into_result()?;
        ours.expected.remove(&first);
        agrees(&ours)?;
    }
    Ok(())
}

#[tokio::test]
async fn rustic_reports_a_byte_that_changed_in_a_pack() -> Result<()> {
    let ours = Ours::with_mails(2).await?;
    for pack in files(&ours.path().join("data"))? {
        let sound = fs::read(&pack)?;
        let mut broken = sound.clone();
        broken[sound.len() / 3] ^= 1;
        fs::write(&pack, broken)?;
        let found = findings(&ours.path());
        ensure!(
            found.is_err() || found.is_ok_and(|found| !found.is_empty()),
            "a broken {} was found sound",
            pack.display()
        );
        fs::write(&pack, sound)?;
    }
    agrees(&ours)
}

#[tokio::test]
async fn rustic_reports_a_pack_that_is_gone() -> Result<()> {
    let ours = Ours::with_mails(1).await?;
    let packs = files(&ours.path().join("data"))?;
    fs::remove_file(packs.first().context("there are packs")?)?;
    let found = findings(&ours.path());
    ensure!(found.is_err() || found.is_ok_and(|found| !found.is_empty()));
    Ok(())
}
