//! Asks whether what is no longer reported is really gone.
//!
//! With immutable ids a message that moved can be reported as removed by the folder it left and by no folder as present. So each message that is
//! in doubt is asked for by its id: found, it is kept where it is now; not found, it is gone; anything else keeps it and goes to the ledger
//! (survival 59, 64). One request for each doubt, twenty in a call; the whole message is asked for, so that one that moved needs no second
//! request (docs/adr/0004).

use graph::Request;
use model::{FailureCause, ItemId};
use serde_json::value::RawValue;

use super::{
    Context,
    recorder::{Next, Recorder},
};
use crate::{
    Result,
    mail::{
        backup::fetch,
        json::{Fields, Record},
    },
};

/// Asks for `doubts`, messages with the folder that they are in doubt for. Those that are there and whose content must be fetched are returned.
pub(super) async fn ask(
    ctx: Context<'_>,
    recorder: &mut Recorder,
    doubts: &[(ItemId, ItemId)],
) -> Result<Vec<fetch::Job>> {
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
        Err(error) if error.is_fatal() => {
            recorder.doubts.extend(doubts.iter().cloned());
            recorder.stopped.get_or_insert(error);
            return Ok(Vec::new());
        }
        Err(error) => doubts.iter().map(|_| Err(error.clone())).collect(),
    };
    let mut jobs = Vec::new();
    let mut recoverable = None;
    for ((id, container), answer) in doubts.iter().zip(answers) {
        let code = match answer {
            Err(error) if is_gone(&error) => {
                recorder.gone(id).await?;
                continue;
            }
            Err(error) => error.code().map(str::to_owned),
            Ok(response) => match found(ctx, recorder, &response.body, &mut recoverable).await? {
                Found::Defect => {
                    let now = ctx.clock.now();
                    recorder.defect(id.clone(), container.clone(), now);
                    continue;
                }
                Found::Deleted => {
                    recorder.gone(id).await?;
                    continue;
                }
                Found::Kept => continue,
                Found::Fetch(job) => {
                    jobs.push(*job);
                    continue;
                }
                Found::Unclear => None,
            },
        };
        recorder.doubtful(id.clone(), container.clone(), code, ctx.clock.now());
    }
    Ok(jobs)
}

enum Found {
    Deleted,
    Kept,
    Fetch(Box<fetch::Job>),
    /// Our own code panicked over it.
    Defect,
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
    let headline = match Record::read(&json) {
        Record::Whole(headline) => headline,
        Record::Defect(_) | Record::Nameless(FailureCause::Defect) => return Ok(Found::Defect),
        _ => return Ok(Found::Unclear),
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
    let reported = recorder.reported(&parent, headline, json, ctx.clock.now());
    Ok(match reported.await? {
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
    let request = |id: &ItemId| {
        Request::get(ctx.path(&format!("/mailFolders/{}", graph::segment(id.as_str()))))
            .query("$select", "id")
    };
    // When nothing can be learnt, nothing is gone: the next run asks again.
    let answers = ctx
        .graph
        .batch(&ctx.scope(), missing.iter().map(request).collect())
        .await
        .unwrap_or_default();
    let mut gone = Vec::new();
    for (id, answer) in missing.into_iter().zip(answers) {
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
