//! The folders: which there are, what they are called, and how they hang together.
//!
//! One request asks whether the hierarchy changed since the last run. Only when it did, or when nothing is known yet, the folders are listed,
//! hidden ones too, and the listing is the truth: whether the delta reports hidden folders is documented nowhere (docs/adr/0003). A folder that moves
//! meanwhile can escape the listing, which is therefore made again when the delta knows of one. The contents of folders are not its business.

use std::collections::{HashMap, HashSet};

use graph::{Kind, Link, Request};
use model::ItemId;
use serde_json::value::RawValue;

use super::{Context, listing::cannot_track, removal::is_gone};
use crate::{
    Error, Result,
    mail::{
        json::Fields,
        layout::{MAIL, folder_name},
        state::{FolderRecord, Folders},
    },
};

const WHAT: &str = "the mail folders";
/// How often the folders are listed while they move; then the run says that it did not see all of them.
const WALKS_MAX: usize = 3;
/// Folders asked for at once; a mailbox has a few dozen.
const PAGE: &str = "250";
const PAGE_PREFERENCE: &str = "odata.maxpagesize=250";
/// Microsoft's name of the root of a mailbox.
const ROOT: &str = "msgfolderroot";
/// Folders that mailboxes have by these names whatever their language (the mailFolder resource's page).
const WELL_KNOWN: [&str; 14] = [
    "archive",
    "clutter",
    "conflicts",
    "conversationhistory",
    "deleteditems",
    "drafts",
    "inbox",
    "junkemail",
    "localfailures",
    "outbox",
    "scheduled",
    "sentitems",
    "serverfailures",
    "syncissues",
];
/// A folder's fields that change with its contents and say nothing of the folder.
const COUNTS: [&str; 5] = [
    "childFolderCount",
    "sizeInBytes",
    "totalItemCount",
    "unreadItemCount",
    "changeKey",
];

/// A folder as the listing gave it, parents before children.
pub(super) struct Found {
    id: ItemId,
    parent: Option<ItemId>,
    name: String,
    hidden: bool,
    well_known: Option<String>,
    json: Box<RawValue>,
}

/// All folders, as far as they could be listed.
pub(super) struct Walk {
    /// The root first, and parents before children.
    pub(super) found: Vec<Found>,
    /// Folders whose inner folders could not be listed.
    pub(super) unlisted: Vec<(ItemId, graph::Error)>,
    /// The root, when a folder escaped the listing each time that it was made.
    pub(super) in_motion: Option<ItemId>,
}

impl Walk {
    /// How many messages the folders say they hold.
    pub(super) fn messages(&self) -> u64 {
        let counts = self.found.iter().filter_map(|folder| {
            let count = Fields::of(&folder.json).ok()?.number("totalItemCount")?;
            u64::try_from(count).ok()
        });
        counts.sum()
    }

    /// Whether one of the reported folders escaped the listing: it was not yet where it is now, and no longer where it was. One that is reported
    /// to be in no listed folder is no mail folder.
    fn lacks_one_of(&self, reported: &[Box<RawValue>]) -> bool {
        let is_listed = |id: &ItemId| self.found.iter().any(|folder| folder.id == *id);
        reported.iter().any(|folder| {
            let Ok(fields) = Fields::of(folder) else {
                return false;
            };
            let (Ok(id), Ok(parent)) = (fields.id("id"), fields.id("parentFolderId")) else {
                return false;
            };
            !is_search_folder(&fields) && !is_listed(&id) && is_listed(&parent)
        })
    }
}

/// What the hierarchy reports.
struct Changes {
    reported: Vec<Box<RawValue>>,
    /// Where its changes go on from here.
    next: Option<Link>,
}

/// Whether the hierarchy changed since `link`, and where its changes go on from here. Without a link, or when it is of no use any more, it counts
/// as changed; a mailbox that cannot tell changes gives none (survival 37).
pub(super) async fn changes(ctx: Context<'_>, link: Option<&Link>) -> Result<(bool, Option<Link>)> {
    if let Some(link) = link {
        match follow(ctx, link).await {
            Ok(Some(changes)) => {
                let changed = !changes.reported.is_empty() || changes.next.is_none();
                return Ok((changed, changes.next));
            }
            Ok(None) => {}
            Err(error) => return Err(Error::graph(WHAT)(error)),
        }
    }
    let request = Request::get(ctx.path("/mailFolders/delta")).prefer(PAGE_PREFERENCE);
    match read_changes(ctx.graph.pages(&ctx.scope(), request)).await {
        Ok(changes) => Ok((true, changes.next)),
        Err(error) if cannot_track(&error) => Ok((true, None)),
        Err(error) => Err(Error::graph(WHAT)(error)),
    }
}

/// What changed since the link; nothing when it is of no use any more.
async fn follow(ctx: Context<'_>, link: &Link) -> graph::Result<Option<Changes>> {
    let pages = ctx.graph.follow(&ctx.scope(), link, &[PAGE_PREFERENCE]);
    match read_changes(pages).await {
        Err(error) if error.kind() == Kind::Resync || cannot_track(&error) => Ok(None),
        answer => answer.map(Some),
    }
}

async fn read_changes(mut pages: graph::Pages) -> graph::Result<Changes> {
    let (mut reported, mut next) = (Vec::new(), None);
    while let Some(page) = pages.next().await? {
        reported.extend(page.items);
        next = page.delta;
    }
    Ok(Changes { reported, next })
}

/// Lists all folders. Search folders are left out: what they show lies elsewhere (survival 89).
///
/// A folder that vanishes meanwhile is left out, too (survival 51). One whose inner folders cannot be listed does not keep the others from it. One
/// that moves from a folder that is not listed yet to one that was listed before is in neither: so the changes since `link`, which is to be from
/// before, are read once more, and when they name such a folder everything is listed again. `link` is then where the changes since the listing go
/// on; what changed meanwhile and was seen is reported by it once more.
pub(super) async fn walk(
    ctx: Context<'_>,
    known: &Folders,
    link: &mut Option<Link>,
) -> Result<Walk> {
    let mut walks = 0;
    loop {
        let mut walk = walk_once(ctx, known).await?;
        walks += 1;
        // Where not everything could be listed, the run says so, and the next one lists it again.
        let before = link.as_ref().filter(|_| walk.unlisted.is_empty());
        let Some(before) = before else {
            return Ok(walk);
        };
        match follow(ctx, before).await {
            Ok(Some(changes)) if walk.lacks_one_of(&changes.reported) => {
                if walks == WALKS_MAX {
                    walk.in_motion = Some(walk.found[0].id.clone());
                    return Ok(walk);
                }
                *link = changes.next;
            }
            Ok(_) => return Ok(walk),
            Err(error) if error.is_fatal() => return Err(Error::graph(WHAT)(error)),
            Err(error) => {
                let root = walk.found[0].id.clone();
                walk.unlisted.push((root, error));
                return Ok(walk);
            }
        }
    }
}

async fn walk_once(ctx: Context<'_>, known: &Folders) -> Result<Walk> {
    let root = ctx
        .graph
        .send(
            &ctx.scope(),
            Request::get(ctx.path("/mailFolders/msgfolderroot")),
        )
        .await;
    let root: Box<RawValue> = serde_json::from_slice(&root.map_err(Error::graph(WHAT))?.body)
        .map_err(|_| Error::Answer {
            what: WHAT,
            detail: "the root is no JSON",
        })?;
    let root = found(root, None)?.ok_or(Error::Answer {
        what: WHAT,
        detail: "the root is a search folder",
    })?;
    let mut all = vec![Found {
        well_known: Some(ROOT.to_owned()),
        ..root
    }];
    list(ctx, &mut all, 0, "/mailFolders".to_owned())
        .await?
        .map_err(Error::graph(WHAT))?;
    let mut unlisted = Vec::new();
    let mut at = 1;
    while at < all.len() {
        if has_children(&all[at].json)? {
            let id = all[at].id.clone();
            let path = format!("/mailFolders/{}/childFolders", graph::segment(id.as_str()));
            match list(ctx, &mut all, at, path).await? {
                Ok(()) => {}
                Err(error) if error.is_fatal() => return Err(Error::graph(WHAT)(error)),
                Err(error) => unlisted.push((id, error)),
            }
        }
        at += 1;
    }
    // The gone ones are asked for by their ids, like all that are missing from the walk.
    let (gone, unlisted): (Vec<_>, Vec<_>) =
        unlisted.into_iter().partition(|(_, error)| is_gone(error));
    all.retain(|folder| gone.iter().all(|(id, _)| *id != folder.id));
    name_well_known(ctx, &mut all, known).await?;
    Ok(Walk {
        found: all,
        unlisted,
        in_motion: None,
    })
}

/// Appends the folders at `path`, which are inside `all[parent]`: all of them, or none and why.
async fn list(
    ctx: Context<'_>,
    all: &mut Vec<Found>,
    parent: usize,
    path: String,
) -> Result<graph::Result<()>> {
    let request = Request::get(ctx.path(&path))
        .query("includeHiddenFolders", "true")
        .query("$top", PAGE);
    let mut pages = ctx.graph.pages(&ctx.scope(), request);
    let before = all.len();
    loop {
        let page = match pages.next().await {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(Ok(())),
            Err(error) => {
                all.truncate(before);
                return Ok(Err(error));
            }
        };
        for item in page.items {
            let parent = all[parent].id.clone();
            if let Some(folder) = found(item, Some(parent))?
                && all.iter().all(|known| known.id != folder.id)
            {
                all.push(folder);
            }
        }
    }
}

fn found(json: Box<RawValue>, parent: Option<ItemId>) -> Result<Option<Found>> {
    let fields = Fields::of(&json)?;
    if is_search_folder(&fields) {
        return Ok(None);
    }
    Ok(Some(Found {
        id: fields.id("id")?,
        parent,
        name: fields.text("displayName").unwrap_or_default(),
        hidden: fields.flag("isHidden").unwrap_or(false),
        well_known: None,
        json,
    }))
}

fn is_search_folder(folder: &Fields<'_>) -> bool {
    let kind = folder.text("@odata.type");
    kind.is_some_and(|kind| kind.ends_with("mailSearchFolder"))
}

/// A missing count is no zero.
fn has_children(json: &RawValue) -> Result<bool> {
    Ok(Fields::of(json)?
        .number("childFolderCount")
        .is_none_or(|count| count > 0))
}

/// Asks which folders are the well-known ones. Those that a mailbox does not have are not found; after any other error what was known stays.
async fn name_well_known(ctx: Context<'_>, all: &mut [Found], known: &Folders) -> Result<()> {
    let request = |name: &&str| {
        Request::get(ctx.path(&format!("/mailFolders/{name}"))).query("$select", "id")
    };
    let answers = ctx
        .graph
        .batch(&ctx.scope(), WELL_KNOWN.iter().map(request).collect())
        .await;
    for (name, answer) in WELL_KNOWN.iter().zip(answers.map_err(Error::graph(WHAT))?) {
        let id = match answer {
            Ok(answer) => serde_json::from_slice::<Box<RawValue>>(&answer.body)
                .ok()
                .and_then(|json| Fields::of(&json).ok()?.id("id").ok()),
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Invalid) => None,
            Err(_) => known
                .iter()
                .find(|folder| folder.well_known.as_deref() == Some(name))
                .map(|folder| folder.id.clone()),
        };
        let folder = all
            .iter_mut()
            .find(|folder| Some(&folder.id) == id.as_ref());
        if let Some(folder) = folder {
            folder.well_known = Some((*name).to_owned());
        }
    }
    Ok(())
}

/// A directory to move, or to make.
pub(super) enum Change {
    Make(String),
    Rename { from: String, to: String },
}

/// Brings the records in line with what was found. Returns what must happen to directories, in this order, and the folders that are missing now.
///
/// Folders are taken parents first, so that a folder that changed places with its parent has left before the parent arrives.
pub(super) fn reconcile(folders: &mut Folders, found: Vec<Found>) -> (Vec<Change>, Vec<ItemId>) {
    let mut places: HashMap<ItemId, String> = folders
        .iter()
        .map(|folder| (folder.id.clone(), folders.path(&folder.id)))
        .collect();
    let there: HashSet<ItemId> = found.iter().map(|folder| folder.id.clone()).collect();
    let (mut order, mut missing): (Vec<ItemId>, Vec<ItemId>) = (Vec::new(), Vec::new());
    for folder in found {
        order.push(folder.id.clone());
        let directory = match folder.parent {
            None => MAIL.to_owned(),
            Some(_) => folder_name(&folder.name, &folder.id),
        };
        match folders.get(&folder.id) {
            None => folders.insert(folder.into_record(directory)),
            Some(record) => {
                let moved = record.parent != folder.parent || record.directory != directory;
                if moved || folder.differs_from(record) {
                    let id = folder.id.clone();
                    folders.update(&id, |record| {
                        let known = std::mem::take(&mut record.months);
                        let cursor = record.cursor.take();
                        *record = folder.into_record(directory);
                        (record.months, record.cursor) = (known, cursor);
                    });
                }
            }
        }
    }
    missing.extend(
        folders
            .iter()
            .map(|f| f.id.clone())
            .filter(|id| !there.contains(id)),
    );
    // What is missing may still be there, and lies in folders that moved.
    missing.sort_by_key(|id| folders.names(id).map_or(0, |names| names.len()));
    let changes = order
        .iter()
        .chain(&missing)
        .filter_map(|id| relocate(&mut places, id, folders.path(id)))
        .collect();
    (changes, missing)
}

/// What brings the folder to where it belongs; with it come those whose directories are in its own.
fn relocate(places: &mut HashMap<ItemId, String>, id: &ItemId, to: String) -> Option<Change> {
    let Some(from) = places.get(id).cloned() else {
        places.insert(id.clone(), to.clone());
        return Some(Change::Make(to));
    };
    if from == to {
        return None;
    }
    for place in places.values_mut() {
        let rest = place.strip_prefix(&from);
        if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            *place = format!("{to}{rest}");
        }
    }
    Some(Change::Rename { from, to })
}

impl Found {
    fn into_record(self, directory: String) -> FolderRecord {
        FolderRecord {
            id: self.id,
            parent: self.parent,
            directory,
            well_known: self.well_known,
            hidden: self.hidden,
            folder: self.json,
            cursor: None,
            months: Vec::new(),
        }
    }

    /// Whether the listing says something new of the folder, its counts left aside.
    fn differs_from(&self, record: &FolderRecord) -> bool {
        let same = match (Fields::of(&self.json), Fields::of(&record.folder)) {
            (Ok(new), Ok(old)) => new.same_except(&old, &COUNTS),
            _ => false,
        };
        !same || self.hidden != record.hidden || self.well_known != record.well_known
    }
}

#[cfg(test)]
mod tests;
