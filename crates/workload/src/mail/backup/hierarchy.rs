//! The folders: which there are, what they are called, and how they hang together.
//!
//! One request asks whether the hierarchy changed since the last run. Only when it did, or when nothing is known yet, the folders are listed,
//! hidden ones too, and the listing is the truth: whether the delta reports hidden folders is documented nowhere (docs/adr/0003). The contents of
//! folders are not its business.

use graph::{Kind, Link, Request};
use model::ItemId;
use serde_json::value::RawValue;

use super::Context;
use crate::{
    Error, Result,
    mail::{
        json::Fields,
        layout::{MAIL, folder_name},
        state::{FolderRecord, Folders},
    },
};

const WHAT: &str = "the mail folders";
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

/// Whether the hierarchy changed since `link`, and where its changes go on from here. Without a link, or when it expired, it counts as changed.
pub(super) async fn changes(ctx: Context<'_>, link: Option<&Link>) -> Result<(bool, Link)> {
    if let Some(link) = link {
        match read_changes(ctx.graph.follow(&ctx.scope(), link, &[PAGE_PREFERENCE])).await {
            Err(Error::Graph { source, .. }) if source.kind() == Kind::Resync => {}
            answer => return answer,
        }
    }
    let request = Request::get(ctx.path("/mailFolders/delta")).prefer(PAGE_PREFERENCE);
    let (_, link) = read_changes(ctx.graph.pages(&ctx.scope(), request)).await?;
    Ok((true, link))
}

async fn read_changes(mut pages: graph::Pages) -> Result<(bool, Link)> {
    let mut changed = false;
    while let Some(page) = pages.next().await.map_err(Error::graph(WHAT))? {
        changed |= !page.items.is_empty();
        if let Some(link) = page.delta {
            return Ok((changed, link));
        }
    }
    Err(Error::Answer {
        what: WHAT,
        detail: "the changes end without a link to go on from",
    })
}

/// Lists all folders, the root first and parents before children. Search folders are left out: what they show lies elsewhere (survival 89).
pub(super) async fn walk(ctx: Context<'_>) -> Result<Vec<Found>> {
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
    list(ctx, &mut all, 0, "/mailFolders".to_owned()).await?;
    let mut at = 1;
    while at < all.len() {
        if has_children(&all[at].json)? {
            let path = format!(
                "/mailFolders/{}/childFolders",
                graph::segment(all[at].id.as_str())
            );
            list(ctx, &mut all, at, path).await?;
        }
        at += 1;
    }
    name_well_known(ctx, &mut all).await?;
    Ok(all)
}

/// Appends the folders at `path`, which are inside `all[parent]`.
async fn list(ctx: Context<'_>, all: &mut Vec<Found>, parent: usize, path: String) -> Result<()> {
    let request = Request::get(ctx.path(&path))
        .query("includeHiddenFolders", "true")
        .query("$top", PAGE);
    let mut pages = ctx.graph.pages(&ctx.scope(), request);
    while let Some(page) = pages.next().await.map_err(Error::graph(WHAT))? {
        for item in page.items {
            let parent = all[parent].id.clone();
            if let Some(folder) = found(item, Some(parent))?
                && all.iter().all(|known| known.id != folder.id)
            {
                all.push(folder);
            }
        }
    }
    Ok(())
}

fn found(json: Box<RawValue>, parent: Option<ItemId>) -> Result<Option<Found>> {
    let fields = Fields::of(&json)?;
    if fields
        .text("@odata.type")
        .is_some_and(|kind| kind.ends_with("mailSearchFolder"))
    {
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

/// A missing count is no zero.
fn has_children(json: &RawValue) -> Result<bool> {
    Ok(Fields::of(json)?
        .number("childFolderCount")
        .is_none_or(|count| count > 0))
}

/// Asks which folders are the well-known ones; those that a mailbox does not have are not found.
async fn name_well_known(ctx: Context<'_>, all: &mut [Found]) -> Result<()> {
    let request = |name: &&str| {
        Request::get(ctx.path(&format!("/mailFolders/{name}"))).query("$select", "id")
    };
    let answers = ctx
        .graph
        .batch(&ctx.scope(), WELL_KNOWN.iter().map(request).collect())
        .await;
    for (name, answer) in WELL_KNOWN.iter().zip(answers.map_err(Error::graph(WHAT))?) {
        let Ok(answer) = answer else { continue };
        let Ok(json) = serde_json::from_slice::<Box<RawValue>>(&answer.body) else {
            continue;
        };
        let id = Fields::of(&json)?.id("id")?;
        if let Some(folder) = all.iter_mut().find(|folder| folder.id == id) {
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
    let missing: Vec<ItemId> = folders
        .iter()
        .map(|f| f.id.clone())
        .filter(|id| found.iter().all(|f| f.id != *id))
        .collect();
    let mut changes = Vec::new();
    for folder in found {
        let directory = match folder.parent {
            None => MAIL.to_owned(),
            Some(_) => folder_name(&folder.name, &folder.id),
        };
        match folders.get(&folder.id) {
            None => {
                let id = folder.id.clone();
                folders.insert(folder.into_record(directory));
                changes.push(Change::Make(folders.path(&id)));
            }
            Some(record) => {
                let moved = record.parent != folder.parent || record.directory != directory;
                if !moved && !folder.differs_from(record) {
                    continue;
                }
                let from = folders.path(&folder.id);
                let id = folder.id.clone();
                folders.update(&id, |record| {
                    let known = std::mem::take(&mut record.months);
                    let cursor = record.cursor.take();
                    *record = folder.into_record(directory);
                    (record.months, record.cursor) = (known, cursor);
                });
                if moved {
                    changes.push(Change::Rename {
                        from,
                        to: folders.path(&id),
                    });
                }
            }
        }
    }
    (changes, missing)
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
