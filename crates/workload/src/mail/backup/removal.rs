//! Asks whether what is no longer reported is really gone.
//!
//! With immutable ids a message that moved can be reported as removed by the folder it left and by no folder as present. So each message that is
//! in doubt is asked for by its id: found, it is kept where it is now; not found, it is gone; anything else keeps it and goes to the ledger
//! (survival 59, 64). One request for each doubt, twenty in a call; the whole message is asked for, so that one that moved needs no second
//! request (docs/adr/0004).

use graph::Request;
use model::ItemId;
use serde_json::value::RawValue;

use super::{
    Context,
    recorder::{Next, Recorder},
};
use crate::{
    Error, Result,
    mail::{
        backup::fetch,
        json::{Fields, Headline},
    },
};

const WHAT: &str = "messages that no folder reports";
/// Doubts asked in one go: a few calls' worth, so that their answers take little memory.
const DOUBTS_AT_ONCE: usize = 100;

/// Settles every doubt. Messages that are still there and whose content must be fetched are returned.
pub(super) async fn settle(ctx: Context<'_>, recorder: &mut Recorder) -> Result<Vec<fetch::Job>> {
    let mut jobs = Vec::new();
    let mut doubts: Vec<(ItemId, ItemId)> = Vec::new();
    for (id, container) in std::mem::take(&mut recorder.doubts) {
        if recorder.is_claimed(&id) {
            continue;
        }
        if recorder.holds(&id).await? {
            doubts.push((id, container));
        } else {
            recorder.ledger.clear(&id);
        }
    }
    // In a fixed order, so that a run can be repeated exactly.
    doubts.sort();
    let mut recoverable = None;
    for doubts in doubts.chunks(DOUBTS_AT_ONCE) {
        recorder.report.doubts_asked += doubts.len() as u64;
        let request = |(id, _): &(ItemId, ItemId)| {
            Request::get(ctx.path(&format!("/messages/{}", graph::segment(id.as_str()))))
        };
        let answers = ctx
            .graph
            .batch(&ctx.scope(), doubts.iter().map(request).collect())
            .await;
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                for (id, container) in doubts {
                    recorder.doubtful(
                        id.clone(),
                        container.clone(),
                        error.code().map(str::to_owned),
                        ctx.clock.now(),
                    );
                }
                continue;
            }
        };
        for ((id, container), answer) in doubts.iter().zip(answers) {
            match answer {
                Err(error) if is_gone(&error) => recorder.gone(id).await?,
                Err(error) => recorder.doubtful(
                    id.clone(),
                    container.clone(),
                    error.code().map(str::to_owned),
                    ctx.clock.now(),
                ),
                Ok(response) => match found(ctx, recorder, &response.body, &mut recoverable).await?
                {
                    Found::Deleted => recorder.gone(id).await?,
                    Found::Kept => {}
                    Found::Fetch(job) => jobs.push(*job),
                    Found::Unclear => {
                        recorder.doubtful(id.clone(), container.clone(), None, ctx.clock.now())
                    }
                },
            }
        }
    }
    Ok(jobs)
}

enum Found {
    Deleted,
    Kept,
    Fetch(Box<fetch::Job>),
    Unclear,
}

/// The message exists. It is kept where it is, unless that is the place where deleted messages wait for their end.
async fn found(
    ctx: Context<'_>,
    recorder: &mut Recorder,
    body: &[u8],
    recoverable: &mut Option<ItemId>,
) -> Result<Found> {
    let Ok(json) = serde_json::from_slice::<Box<RawValue>>(body) else {
        return Ok(Found::Unclear);
    };
    let Some(headline) = Fields::of(&json).ok().as_ref().and_then(Headline::of) else {
        return Ok(Found::Unclear);
    };
    let parent = headline.parent.clone();
    if recorder.folders.get(&parent).is_none() {
        if recoverable.is_none() {
            *recoverable = recoverable_items(ctx).await;
        }
        let deleted = recoverable.as_ref() == Some(&parent);
        return Ok(if deleted {
            Found::Deleted
        } else {
            Found::Unclear
        });
    }
    Ok(match recorder.reported(&parent, headline, json).await? {
        Next::Nothing => Found::Kept,
        Next::Fetch(job) => Found::Fetch(job),
    })
}

/// The folder that deleted messages go to when they leave Deleted Items, if this mailbox tells.
async fn recoverable_items(ctx: Context<'_>) -> Option<ItemId> {
    let request =
        Request::get(ctx.path("/mailFolders/recoverableitemsdeletions")).query("$select", "id");
    let answer = ctx.graph.send(&ctx.scope(), request).await.ok()?;
    let json: Box<RawValue> = serde_json::from_slice(&answer.body).ok()?;
    Fields::of(&json).ok()?.id("id").ok()
}

/// Folders that a listing lacks: those that the source says are gone have their messages doubted, and are returned; the others stay as they are.
pub(super) async fn doubt_folders(
    ctx: Context<'_>,
    recorder: &mut Recorder,
    missing: Vec<ItemId>,
) -> Result<Vec<ItemId>> {
    let mut gone = Vec::new();
    let request = |id: &ItemId| {
        Request::get(ctx.path(&format!("/mailFolders/{}", graph::segment(id.as_str()))))
            .query("$select", "id")
    };
    let answers = ctx
        .graph
        .batch(&ctx.scope(), missing.iter().map(request).collect())
        .await;
    for (id, answer) in missing
        .into_iter()
        .zip(answers.map_err(Error::graph(WHAT))?)
    {
        if answer.is_err_and(|error| is_gone(&error)) {
            recorder.doubt_unlisted(&id).await?;
            gone.push(id);
        }
    }
    Ok(gone)
}

/// The source's positive word. A 404 with an empty body is none (survival 9).
pub(super) fn is_gone(error: &graph::Error) -> bool {
    error.has_code("ErrorItemNotFound")
}
