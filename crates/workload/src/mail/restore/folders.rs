//! Where each folder of the archive is, or comes to be, in the target.
//!
//! Folders are only ever looked up or created. One that cannot be created costs the messages in it and below it, and nothing else.

use std::collections::{HashMap, HashSet};

use graph::{Kind, Repeat, Request, segment};
use model::ItemId;
use serde::Deserialize;
use serde_json::json;

use super::{Destination, Failure, Mailbox, Restore};
use crate::{Error, Result, mail::Folder};

const WHAT: &str = "the mailbox's folders";
const ROOT: &str = "msgfolderroot";
const DELETED: &str = "deleteditems";
/// Folders within folders that are followed; Exchange allows 300.
const DEPTH_MAX: usize = 1_000;
/// Times that a folder is asked to be created when it is not known what became of it.
const ATTEMPTS_MAX: usize = 4;
/// What a folder without a name is called: Exchange takes none.
const NAMELESS: &str = "Folder";

/// A folder of the target.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) id: ItemId,
    /// It was created by this run, and nothing can be in it yet.
    pub(super) is_new: bool,
}

/// The folders found or created so far.
pub(super) struct Folders<'a> {
    restore: &'a Restore<'a>,
    archived: HashMap<&'a ItemId, &'a Folder>,
    /// The top of what is restored: the new folder, or the root of the target.
    top: Place,
    onto: HashSet<&'a ItemId>,
    places: HashMap<ItemId, Result<Place, Failure>>,
    /// Names given within each folder of the target, so that two folders of one name stay two (survival 92).
    given: HashSet<(ItemId, String)>,
    /// In place: the target's root and deleted items.
    root: ItemId,
    deleted: Option<ItemId>,
    created: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: ItemId,
    parent_folder_id: Option<ItemId>,
    display_name: Option<String>,
}

impl<'a> Folders<'a> {
    /// Finds the root of the target and makes the new folder. `onto` are the folders of the archive that the new folder stands for; none for the
    /// root.
    pub(super) async fn open(restore: &'a Restore<'a>, onto: &'a HashSet<ItemId>) -> Result<Self> {
        let archived: HashMap<_, _> = restore
            .archive
            .folders()
            .iter()
            .map(|folder| (&folder.id, folder))
            .collect();
        let archive_root = archived
            .values()
            .find(|folder| folder.parent.is_none())
            .ok_or(Error::NotFound("the root folder"))?;
        let mailbox = restore.mailbox;
        let root = mailbox.folder(ROOT).await.map_err(Error::graph(WHAT))?.id;
        let mut folders = Self {
            restore,
            onto: match onto.is_empty() {
                true => HashSet::from([&archive_root.id]),
                false => onto.iter().collect(),
            },
            archived,
            top: Place {
                id: root.clone(),
                is_new: false,
            },
            places: HashMap::new(),
            given: HashSet::new(),
            root,
            deleted: None,
            created: 0,
        };
        match &restore.options.destination {
            Destination::NewFolder { name } => {
                folders.top = folders
                    .child(&folders.root.clone(), name, false)
                    .await
                    .map_err(Error::graph(WHAT))?;
            }
            Destination::InPlace => {
                folders.deleted = mailbox.folder(DELETED).await.ok().map(|row| row.id);
            }
        }
        Ok(folders)
    }

    /// How many folders were created.
    pub(super) fn created(&self) -> u64 {
        self.created
    }

    /// The place of a folder of the archive, with those that it is in. An error ends the whole restore.
    pub(super) async fn place(&mut self, folder: &'a Folder) -> Result<Result<Place, Failure>> {
        let mut chain = vec![folder];
        while let Some(parent) = self.parent(chain[chain.len() - 1]) {
            if self.places.contains_key(&parent.id) || chain.len() > DEPTH_MAX {
                break;
            }
            chain.push(parent);
        }
        let mut place = Ok(self.top.clone());
        for folder in chain.into_iter().rev() {
            if let Some(known) = self.places.get(&folder.id) {
                place = known.clone();
                continue;
            }
            let parent = match self.parent(folder) {
                Some(parent) => self
                    .places
                    .get(&parent.id)
                    .cloned()
                    .unwrap_or_else(|| Ok(self.top.clone())),
                None => Ok(self.top.clone()),
            };
            place = match self.settle(folder, parent).await {
                Ok(place) => place,
                Err(error) if error.is_fatal() => return Err(Error::graph(WHAT)(error)),
                Err(error) => Err(Failure::of(&error)),
            };
            self.places.insert(folder.id.clone(), place.clone());
        }
        Ok(place)
    }

    /// The folder of the archive that a folder is in, as far as that is restored: nothing above [`Folders::onto`] into a new folder. A folder
    /// whose parent is missing (survival 93) is put at the top.
    fn parent(&self, folder: &Folder) -> Option<&'a Folder> {
        if self.is_top(folder) {
            return None;
        }
        self.archived.get(folder.parent.as_ref()?).copied()
    }

    fn is_top(&self, folder: &Folder) -> bool {
        match self.restore.options.destination {
            Destination::NewFolder { .. } => self.onto.contains(&folder.id),
            Destination::InPlace => folder.parent.is_none(),
        }
    }

    async fn settle(
        &mut self,
        folder: &Folder,
        parent: Result<Place, Failure>,
    ) -> Result<Result<Place, Failure>, graph::Error> {
        if self.is_top(folder) {
            return Ok(Ok(self.top.clone()));
        }
        if matches!(self.restore.options.destination, Destination::InPlace)
            && let Some(id) = self.still_there(folder).await?
        {
            return Ok(Ok(Place { id, is_new: false }));
        }
        let parent = match parent {
            Ok(parent) => parent,
            Err(failure) => return Ok(Err(failure)),
        };
        let name = self.name(folder, &parent.id);
        self.child(&parent.id, &name, folder.hidden).await.map(Ok)
    }

    /// The folder itself: the same one in the same account, unless somebody deleted it since; or the one that every mailbox has.
    async fn still_there(&self, folder: &Folder) -> Result<Option<ItemId>, graph::Error> {
        let mailbox = self.restore.mailbox;
        if self.restore.same_account {
            match mailbox.folder(folder.id.as_str()).await {
                Ok(row) if !self.was_deleted(folder, &row).await? => return Ok(Some(row.id)),
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let Some(name) = &folder.well_known else {
            return Ok(None);
        };
        match mailbox.folder(name).await {
            Ok(row) => Ok(Some(row.id)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a folder that still exists lies in the deleted items now and did not then: deleting a folder moves it there.
    async fn was_deleted(&self, folder: &Folder, row: &Row) -> Result<bool, graph::Error> {
        let mut above = row.parent_folder_id.clone();
        if above == folder.parent
            && folder
                .parent
                .as_ref()
                .is_some_and(|parent| *parent == self.root || self.is_kept(parent))
        {
            return Ok(false);
        }
        let was_in_deleted = self
            .ancestors(folder)
            .any(|folder| Some(&folder.id) == self.deleted.as_ref());
        for _ in 0..DEPTH_MAX {
            match above {
                Some(id) if Some(&id) == self.deleted.as_ref() => return Ok(!was_in_deleted),
                Some(id) if id != self.root => {
                    above = self
                        .restore
                        .mailbox
                        .folder(id.as_str())
                        .await?
                        .parent_folder_id
                }
                _ => break,
            }
        }
        Ok(false)
    }

    /// Whether a folder of the archive was found under its own id.
    fn is_kept(&self, id: &ItemId) -> bool {
        matches!(self.places.get(id), Some(Ok(place)) if place.id == *id)
    }

    fn ancestors(&self, folder: &Folder) -> impl Iterator<Item = &'a Folder> {
        let archived = &self.archived;
        let up = |folder: &Folder| archived.get(folder.parent.as_ref()?).copied();
        std::iter::successors(up(folder), move |folder| up(folder)).take(DEPTH_MAX)
    }

    /// What a folder is to be called within its parent. In place, folders of one name become one; in a new folder they stay apart.
    fn name(&mut self, folder: &Folder, parent: &ItemId) -> String {
        let plain = if folder.display_name.trim().is_empty() {
            NAMELESS
        } else {
            &folder.display_name
        };
        if matches!(self.restore.options.destination, Destination::InPlace) {
            return plain.to_owned();
        }
        let mut name = plain.to_owned();
        let mut number = 1;
        while !self.given.insert((parent.clone(), name.to_lowercase())) {
            number += 1;
            name = format!("{plain} ({number})");
        }
        name
    }

    /// The folder of this name, created if it is not there.
    async fn child(
        &mut self,
        parent: &ItemId,
        name: &str,
        hidden: bool,
    ) -> Result<Place, graph::Error> {
        let mailbox = self.restore.mailbox;
        if matches!(self.restore.options.destination, Destination::InPlace)
            && let Some(id) = mailbox.child(parent, name).await?
        {
            return Ok(Place { id, is_new: false });
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            match mailbox.create_folder(parent, name, hidden).await {
                Ok(id) => {
                    self.created += 1;
                    return Ok(Place { id, is_new: true });
                }
                // It is there: made before, or by the very request whose answer was lost (survival 19).
                Err(error)
                    if matches!(error.kind(), Kind::Conflict | Kind::OutcomeUnknown)
                        || error.has_code("ErrorFolderExists") =>
                {
                    match mailbox.child(parent, name).await? {
                        Some(id) => return Ok(Place { id, is_new: false }),
                        None if attempt < ATTEMPTS_MAX && error.kind() == Kind::OutcomeUnknown => {}
                        None => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Mailbox<'_> {
    /// A folder by its id or its well-known name.
    async fn folder(&self, id: &str) -> Result<Row, graph::Error> {
        let path = self.path(&format!("/mailFolders/{}", segment(id)));
        let request = Request::get(path).query("$select", "id,parentFolderId,displayName");
        self.graph.send(&self.scope, request).await?.json()
    }

    /// The folder of this name within another, hidden or not.
    async fn child(&self, parent: &ItemId, name: &str) -> Result<Option<ItemId>, graph::Error> {
        let path = self.path(&format!(
            "/mailFolders/{}/childFolders",
            segment(parent.as_str())
        ));
        let request = Request::get(path)
            .query(
                "$filter",
                &format!("displayName eq '{}'", name.replace('\'', "''")),
            )
            .query("includeHiddenFolders", "true")
            .query("$select", "id,parentFolderId,displayName");
        let mut pages = self.graph.pages(&self.scope, request);
        while let Some(page) = pages.next().await? {
            let rows = page
                .items
                .iter()
                .filter_map(|row| serde_json::from_str::<Row>(row.get()).ok());
            let same = |row: &Row| {
                row.display_name
                    .as_deref()
                    .is_some_and(|other| other.to_lowercase() == name.to_lowercase())
            };
            if let Some(row) = rows.into_iter().find(same) {
                return Ok(Some(row.id));
            }
        }
        Ok(None)
    }

    async fn create_folder(
        &self,
        parent: &ItemId,
        name: &str,
        hidden: bool,
    ) -> Result<ItemId, graph::Error> {
        let path = self.path(&format!(
            "/mailFolders/{}/childFolders",
            segment(parent.as_str())
        ));
        let mut body = json!({ "displayName": name });
        if hidden {
            body["isHidden"] = true.into();
        }
        let request = Request::post(path).repeat(Repeat::Never).json(&body)?;
        let row: Row = self.graph.send(&self.scope, request).await?.json()?;
        Ok(row.id)
    }
}
