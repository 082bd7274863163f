//! After the repository lost bytes: notes in the mailbox's state what must be fetched again.
//!
//! What a message has lost is known by the blobs that are lost. A message that still tells its id goes to the ledger, and the next run asks for it; one
//! that does not is made to look outdated, and its folder is listed anew. Files stay where they are: the same bytes have the same blob, so that what
//! is fetched again makes them whole, in older snapshots too. Only directories that cannot be read make way for empty ones; one that was empty is
//! thereby whole again. Where state is lost, the next run records everything anew. Nothing is asked of Microsoft here.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use model::{AccountId, FailureCause, ItemId, TenantId};
use repository::{BlobId, Draft, Node, Subject};
use serde_json::value::RawValue;

use super::{
    json::Fields,
    layout::{MAIL_STATE, stem_of, suffix_of},
    state::{AccountRecord, Folders, Items, Ledger},
};
use crate::{Error, Result};

const WHAT: &str = "the snapshot";
/// The directory of all state.
const STATE: &str = ".keepwell";

/// What the next run fetches again.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Messages of which something is lost.
    pub messages: Vec<LostMessage>,
    /// Directories that are lost, and with them which messages were in them: their folders are listed anew. Those of folders without messages are
    /// made again and not named.
    pub directories: Vec<String>,
    /// State is lost: everything is fetched again.
    pub everything: bool,
    /// The lost blobs that this concerns, unless it is everything.
    pub blobs: HashSet<BlobId>,
}

/// A message of which something is lost.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LostMessage {
    /// The path of its files, without their extension.
    pub path: String,
    /// Its id at the source, if what tells it is not lost.
    pub id: Option<ItemId>,
}

impl Report {
    /// Whether nothing of the mailbox is lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.directories.is_empty() && !self.everything
    }
}

/// Notes in `draft`, which begins as the last snapshot, what the next run must fetch because these blobs are lost.
///
/// # Errors
/// When the repository fails, its root directory is lost, or it belongs to another account.
pub async fn run(
    draft: Draft,
    tenant: &TenantId,
    account: &AccountId,
    lost: &HashSet<BlobId>,
    now: Timestamp,
) -> Result<(Report, Draft)> {
    let mut draft = draft;
    if is_state_lost(&mut draft, lost).await? {
        AccountRecord::outdated(tenant.clone(), account.clone())
            .save(&mut draft)
            .await?;
        let report = Report {
            everything: true,
            ..Report::default()
        };
        return Ok((report, draft));
    }
    let mut repair = Repair::open(draft, lost, now).await?;
    let mut folders: Vec<(String, ItemId)> = repair
        .folders
        .iter()
        .map(|folder| (repair.folders.path(&folder.id), folder.id.clone()))
        .collect();
    // Each after the one that it is in, which may have to be made anew.
    folders.sort();
    for (path, id) in folders {
        repair.folder(&path, &id).await?;
    }
    repair.save().await
}

/// Whether a file or directory of the state is lost; directories that are make way.
async fn is_state_lost(draft: &mut Draft, lost: &HashSet<BlobId>) -> Result<bool> {
    let mut waiting = vec![STATE.to_owned()];
    while let Some(path) = waiting.pop() {
        let nodes = match draft.list(&path).await {
            Ok(nodes) => nodes,
            Err(error) if error.kind() == repository::Kind::Corrupt => {
                let gone = if path == STATE { STATE } else { MAIL_STATE };
                draft.remove(gone).await.map_err(Error::repository(WHAT))?;
                return Ok(true);
            }
            Err(error) => return Err(Error::repository(WHAT)(error)),
        };
        for node in nodes {
            if node.content().iter().any(|blob| lost.contains(blob)) {
                return Ok(true);
            }
            if node.is_directory() {
                waiting.push(format!("{path}/{}", node.name()));
            }
        }
    }
    Ok(false)
}

struct Repair<'a> {
    draft: Draft,
    folders: Folders,
    items: Items,
    ledger: Ledger,
    lost: &'a HashSet<BlobId>,
    now: Timestamp,
    report: Report,
}

impl<'a> Repair<'a> {
    async fn open(mut draft: Draft, lost: &'a HashSet<BlobId>, now: Timestamp) -> Result<Self> {
        let folders = Folders::load(&mut draft).await?;
        let ledger = Ledger::load(&mut draft).await?;
        Ok(Self {
            draft,
            folders,
            items: Items::default(),
            ledger,
            lost,
            now,
            report: Report::default(),
        })
    }

    async fn folder(&mut self, path: &str, id: &ItemId) -> Result<()> {
        let record = self.folders.get(id);
        let months = record.map_or(&[][..], |record| &record.months);
        let months: Vec<String> = months
            .iter()
            .map(|month| format!("{path}/{}", month.name))
            .collect();
        if self.list(path).await?.is_none() {
            self.take_away(path).await?;
            self.draft
                .make_dir(path)
                .await
                .map_err(Error::repository(WHAT))?;
            // The directory of a folder without messages is whole again, and its cursor as good as it was.
            if !months.is_empty() {
                self.lost_directory(path, id);
            }
            return Ok(());
        }
        for month in months {
            match self.list(&month).await? {
                Some(nodes) => self.messages(&month, id, &nodes).await?,
                None => {
                    self.take_away(&month).await?;
                    self.lost_directory(&month, id);
                }
            }
        }
        Ok(())
    }

    /// The messages in a directory of which something is lost.
    async fn messages(&mut self, directory: &str, folder: &ItemId, nodes: &[Node]) -> Result<()> {
        let is_lost = |node: &Node| node.content().iter().any(|blob| self.lost.contains(blob));
        let mut hit: BTreeMap<String, (String, bool)> = BTreeMap::new();
        for node in nodes.iter().filter(|node| is_lost(node)) {
            let name = node.name().into_owned();
            let lost = node
                .content()
                .iter()
                .filter(|blob| self.lost.contains(blob));
            self.report.blobs.extend(lost);
            if let Some(suffix) = suffix_of(&name) {
                let stem = stem_of(&name).to_owned();
                let tells_id = name.ends_with(".json") && !name.ends_with(".att.json");
                hit.entry(suffix.to_owned()).or_insert((stem, false)).1 |= tells_id;
            }
        }
        for (suffix, (stem, id_is_lost)) in hit {
            let path = format!("{directory}/{stem}");
            let id = match id_is_lost {
                true => None,
                false => self.id_of(&path).await?,
            };
            match &id {
                Some(id) => {
                    let cause = FailureCause::Corrupt;
                    self.ledger
                        .fail(id.clone(), folder.clone(), cause, None, self.now);
                }
                None => {
                    self.items.outdate(&mut self.draft, &suffix).await?;
                    self.read_again(folder);
                }
            }
            self.report.messages.push(LostMessage { path, id });
        }
        Ok(())
    }

    async fn id_of(&mut self, path: &str) -> Result<Option<ItemId>> {
        let json = self.draft.read_path(&format!("{path}.json")).await;
        let json = json.map_err(Error::repository(WHAT))?.unwrap_or_default();
        let json: Option<Box<RawValue>> = serde_json::from_slice(&json).ok();
        Ok(json.and_then(|json| Fields::of(&json).ok()?.id("id").ok()))
    }

    /// The entries of a directory; nothing if it is lost.
    async fn list(&mut self, path: &str) -> Result<Option<Vec<Node>>> {
        match self.draft.list(path).await {
            Ok(nodes) => Ok(Some(nodes)),
            Err(repository::Error::Damaged { what, .. }) => {
                if let Subject::Tree(id) = what {
                    self.report.blobs.insert(id);
                }
                Ok(None)
            }
            Err(error) if error.kind() == repository::Kind::NotFound => Ok(None),
            Err(error) => Err(Error::repository(WHAT)(error)),
        }
    }

    /// Takes away a directory that cannot be read.
    async fn take_away(&mut self, path: &str) -> Result<()> {
        let removed = self.draft.remove(path).await;
        removed.map(drop).map_err(Error::repository(WHAT))
    }

    /// Notes that nobody knows any more which of the folder's messages were in a directory.
    fn lost_directory(&mut self, path: &str, folder: &ItemId) {
        self.report.directories.push(path.to_owned());
        self.read_again(folder);
    }

    /// The next run lists the folder from its beginning.
    fn read_again(&mut self, folder: &ItemId) {
        self.folders.update(folder, |folder| folder.cursor = None);
    }

    async fn save(mut self) -> Result<(Report, Draft)> {
        self.items.save(&mut self.draft).await?;
        self.folders.save(&mut self.draft).await?;
        self.ledger.save(&mut self.draft).await?;
        Ok((self.report, self.draft))
    }
}
