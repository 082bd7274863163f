//! Reads what folders report: the changes since a cursor, or everything.
//!
//! Several folders are read at once; their pages go through a short queue to the one place that records. A folder that fails says so and stops;
//! the others go on. What a page means is not decided here.

use futures_util::{StreamExt, stream};
use graph::{Kind, Link, Page, Pages, Request};
use model::ItemId;
use serde_json::value::RawValue;
use tokio::sync::mpsc::Sender;

use super::Context;
use crate::mail::state::Cursor;

/// Folders that are read at once. More would only wait for each other: the service takes four requests at a time for a mailbox.
const FOLDERS_AT_ONCE: usize = 4;
/// Messages on a page. With their bodies a page has a few megabytes; the service allows a thousand.
const PAGE_PREFERENCE: &str = "odata.maxpagesize=100";
const PAGE_TOP: &str = "100";
/// Messages on a page of a folder whose pages take the service too long (survival 8).
const SMALL_PAGE_PREFERENCE: &str = "odata.maxpagesize=10";
const SMALL_PAGE_TOP: &str = "10";
/// How often a listing with changes is begun whose cursor expires before its end; then the folder is listed without.
const LISTINGS_MAX: usize = 3;

/// A folder to read.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) id: ItemId,
    pub(super) cursor: Option<Cursor>,
}

/// What a folder reports.
pub(super) enum Event {
    /// Some messages, in the order in which they are to be taken, and where the listing goes on if it is interrupted after them.
    Page {
        container: ItemId,
        items: Vec<Box<RawValue>>,
        next: Option<Link>,
    },
    /// The cursor is of no use any more: what follows is everything that the folder holds.
    Restart { container: ItemId },
    /// The folder is read to its end, and goes on from this cursor. Without one it could not report changes this time, and is asked again.
    Done {
        container: ItemId,
        cursor: Option<Cursor>,
    },
    /// The folder is not there any more.
    Gone { container: ItemId },
    /// The folder could not be read.
    Failed {
        container: ItemId,
        error: graph::Error,
    },
}

/// Reads all `containers` into `events`. Ends early when nobody listens any more.
pub(super) async fn read(ctx: Context<'_>, containers: Vec<Container>, events: Sender<Event>) {
    stream::iter(containers)
        .for_each_concurrent(FOLDERS_AT_ONCE, |container| {
            let events = &events;
            async move {
                let id = container.id.clone();
                let last = match read_one(ctx, container, events).await {
                    Ok(cursor) => Event::Done {
                        container: id,
                        cursor,
                    },
                    Err(error) if is_gone(&error) => Event::Gone { container: id },
                    Err(error) => Event::Failed {
                        container: id,
                        error,
                    },
                };
                // A closed queue means that the run was stopped: there is nobody to tell.
                let _ = events.send(last).await;
            }
        })
        .await;
}

async fn read_one(
    ctx: Context<'_>,
    container: Container,
    events: &Sender<Event>,
) -> graph::Result<Option<Cursor>> {
    if events.is_closed() {
        return Ok(None);
    }
    let id = container.id;
    let mut last = None;
    let mut listings = 0..LISTINGS_MAX;
    if let Some(Cursor::Whole) = container.cursor {
        last = Some(Cursor::Whole);
        listings = 0..0;
    } else if let Some(Cursor::Delta(link) | Cursor::Next(link)) = container.cursor {
        let follow = async |preference| {
            let changes = ctx.graph.follow(&ctx.scope(), &link, &[preference]);
            pages(&id, changes, events).await
        };
        let answer = match follow(PAGE_PREFERENCE).await {
            Err(error) if takes_too_long(&error) => follow(SMALL_PAGE_PREFERENCE).await,
            answer => answer,
        };
        match answer {
            Err(error) if error.kind() == Kind::Resync || cannot_track(&error) => {}
            answer => return answer,
        }
    }
    // Survival 33-35, 55: without a cursor, or after one that expired, also in the middle of its pages, everything is listed anew.
    let restart = || {
        let container = id.clone();
        events.send(Event::Restart { container })
    };
    let folder = format!("/mailFolders/{}/messages", graph::segment(id.as_str()));
    let (mut preference, mut top) = (PAGE_PREFERENCE, PAGE_TOP);
    for _ in listings {
        // A closed queue ends the listing at its first page.
        let _ = restart().await;
        let delta = Request::get(ctx.path(&format!("{folder}/delta"))).prefer(preference);
        match pages(&id, ctx.graph.pages(&ctx.scope(), delta), events).await {
            Err(error) if error.kind() == Kind::Resync => {}
            Err(error) if takes_too_long(&error) => {
                top = SMALL_PAGE_TOP;
                if preference == SMALL_PAGE_PREFERENCE {
                    break;
                }
                preference = SMALL_PAGE_PREFERENCE;
            }
            Err(error) if cannot_track(&error) => {
                last = (error.kind() == Kind::NoChanges).then_some(Cursor::Whole);
                break;
            }
            answer => return answer,
        }
    }
    let _ = restart().await;
    let list = Request::get(ctx.path(&folder)).query("$top", top);
    pages(&id, ctx.graph.pages(&ctx.scope(), list), events).await?;
    Ok(last)
}

async fn pages(
    container: &ItemId,
    mut pages: Pages,
    events: &Sender<Event>,
) -> graph::Result<Option<Cursor>> {
    let mut delta = None;
    while let Some(Page {
        items,
        next,
        delta: last,
    }) = pages.next().await?
    {
        delta = last;
        let container = container.clone();
        if events
            .send(Event::Page {
                container,
                items,
                next,
            })
            .await
            .is_err()
        {
            break;
        }
    }
    Ok(delta.map(Cursor::Delta))
}

/// Survival 8: a gateway that gave up waiting for the page, again and again, and therefore knows no code. Smaller pages may come through, and a
/// listing without changes.
fn takes_too_long(error: &graph::Error) -> bool {
    matches!(error.status(), Some(503 | 504)) && error.code().is_none()
}

/// Survival 94: the folder was deleted between the listing of folders and its own.
fn is_gone(error: &graph::Error) -> bool {
    [
        "ErrorSyncFolderNotFound",
        "ErrorFolderNotFound",
        "ErrorItemNotFound",
    ]
    .iter()
    .any(|code| error.has_code(code))
}

/// Survival 36, 37: some folders cannot report changes, and no mailbox over its quota can. A cursor that is refused so, or by a plain 400, is of no
/// use either (abuse 38).
pub(super) fn cannot_track(error: &graph::Error) -> bool {
    matches!(error.kind(), Kind::NoChanges | Kind::Invalid) || error.has_code("ErrorQuotaExceeded")
}
