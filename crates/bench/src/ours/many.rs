//! A repository of very many small items, each a mail and its JSON as the product keeps them, and small things done to it.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use rand::Rng;
use repository::{BlobWriter, Draft, File, SnapshotId};

use super::{Stopwatch, Told, meta, open};
use crate::corpus;

/// Items in one directory: with their JSON 500 entries, as the product keeps them.
const ITEMS_PER_PART: usize = 250;
/// Items in a folder, but for the first.
const ITEMS_PER_FOLDER: usize = 8_000;
/// What the product's state holds of an item.
const STATE_BYTES: usize = 32;
const ITEMS_AT_ONCE: usize = 8;

/// Makes the repository's first snapshot. A fifth of the items is in the first folder.
pub(super) async fn fill(repository: &Path, items: usize) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, None).await?;
    let opening = watch.lap();
    let mut draft = repository.draft(None).await?;
    let writer = draft.writer();
    let mut bytes = 0;
    let mut stored = stream::iter(0..items)
        .map(|number| store(&writer, number, 0))
        .buffered(ITEMS_AT_ONCE);
    let mut number = 0;
    while let Some((mail, json)) = stored.try_next().await? {
        bytes += mail.content.size + json.content.size;
        draft.put(&path(items, number, "eml"), mail).await?;
        draft.put(&path(items, number, "json"), json).await?;
        number += 1;
    }
    drop(stored);
    let mut part = 0;
    while part < items {
        let mut state = vec![0; STATE_BYTES * ITEMS_PER_PART];
        corpus::random(part).fill_bytes(&mut state);
        let content = writer.store_state(state.into()).await?;
        draft.put(&state_path(items, part), file(content)).await?;
        part += ITEMS_PER_PART;
    }
    draft.commit(meta()).await?;
    Ok(Told {
        opening,
        work: watch.lap(),
        items: items as u64,
        bytes,
        ..Told::default()
    })
}

/// Replaces so many items, from one number on and evenly spread, with the state that belongs to them; with one beyond the last, adds it to the
/// first folder. None at all is a run that finds nothing changed.
pub(super) async fn change(
    repository: &Path,
    cache: Option<&Path>,
    items: usize,
    count: usize,
    added: usize,
    round: usize,
) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, cache).await?;
    let snapshots = repository.snapshots().await?;
    let (parent, _) = snapshots.last().context("it was filled before")?;
    let opening = watch.lap();
    let mut draft = repository.draft(Some(*parent)).await?;
    for number in 0..count {
        let number = (number * (items / count) + round * 31) % items;
        replace(&mut draft, items, number, number, round).await?;
    }
    for number in 0..added {
        // It joins the last directory of the first folder.
        replace(&mut draft, items, items / 5 - 1, items + number, round).await?;
    }
    let snapshot: Option<SnapshotId> = draft.commit(meta()).await?;
    anyhow::ensure!(
        snapshot.is_some() == (count + added > 0),
        "a snapshot was made or not, against expectation"
    );
    Ok(Told {
        opening,
        work: watch.lap(),
        items: (count + added) as u64,
        ..Told::default()
    })
}

/// Reads one item by its path.
pub(super) async fn read(
    repository: &Path,
    cache: Option<&Path>,
    items: usize,
    number: usize,
) -> anyhow::Result<Told> {
    let mut watch = Stopwatch::start();
    let repository = open(repository, cache).await?;
    let snapshots = repository.snapshots().await?;
    let (_, snapshot) = snapshots.first().context("it was filled before")?;
    let opening = watch.lap();
    let content = repository
        .view(snapshot.tree)
        .read_path(&path(items, number, "eml"))
        .await?;
    let content = content.context("the item is there")?;
    anyhow::ensure!(content == mail(number, 0), "another item was read");
    Ok(Told {
        opening,
        work: watch.lap(),
        items: 1,
        bytes: content.len() as u64,
        ..Told::default()
    })
}

/// Puts the item beside another one, or in its place, and writes the state of its directory anew.
async fn replace(
    draft: &mut Draft,
    items: usize,
    beside: usize,
    number: usize,
    round: usize,
) -> anyhow::Result<()> {
    let writer = draft.writer();
    let (mail, json) = store(&writer, number, round + 1).await?;
    let directory = directory(items, beside);
    draft
        .put(&format!("{directory}/{number:07}.eml"), mail)
        .await?;
    draft
        .put(&format!("{directory}/{number:07}.json"), json)
        .await?;
    let state = state_path(items, beside);
    let before = draft
        .read_path(&state)
        .await?
        .context("every directory has state")?;
    let mut state_now = before.to_vec();
    corpus::random(number ^ (round << 32)).fill_bytes(&mut state_now[..STATE_BYTES]);
    let content = writer.store_state(state_now.into()).await?;
    draft.put(&state, file(content)).await?;
    Ok(())
}

async fn store(writer: &BlobWriter, number: usize, version: usize) -> anyhow::Result<(File, File)> {
    let mail = writer.store(mail(number, version)).await?;
    let json = format!(
        r#"{{"id":"AAMkAD{number:032x}","changeKey":"CQAAABYAAAC{version:020}","subject":"number {number}","isRead":true,"importance":"normal","flag":{{"flagStatus":"notFlagged"}}}}"#
    );
    let json = writer.store(json.into()).await?;
    Ok((file(mail), file(json)))
}

fn mail(number: usize, version: usize) -> Bytes {
    let mut rng = corpus::random(number ^ (version << 32));
    let mut content = format!("Message-ID: <{number}.{version}@example.com>\r\n\r\n").into_bytes();
    corpus::text(&mut content, 600, &mut rng);
    content.into()
}

fn file(content: repository::Content) -> File {
    File {
        content,
        mtime: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn directory(items: usize, number: usize) -> String {
    let first = items / 5;
    let folder = match number.checked_sub(first) {
        None => 0,
        Some(behind) => 1 + behind / ITEMS_PER_FOLDER,
    };
    format!(
        "mail/folder-{folder:03}/part-{:04}",
        number / ITEMS_PER_PART
    )
}

fn path(items: usize, number: usize, extension: &str) -> String {
    format!("{}/{number:07}.{extension}", directory(items, number))
}

fn state_path(items: usize, number: usize) -> String {
    format!(".state/{}", directory(items, number))
}
