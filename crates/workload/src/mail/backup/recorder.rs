//! Writes a run's findings into the draft: files, folder records, entries, ledger.
//!
//! It also keeps, for each message that this run heard of, which folder claims it, so that the last word counts and a message that some folder
//! no longer reports is doubted only when no other claims it. It sends no requests.

use std::{collections::HashMap, panic::AssertUnwindSafe};

use data_encoding::HEXLOWER;
use futures_util::FutureExt;
use jiff::Timestamp;
use model::{AccountId, FailureCause, ItemId, TenantId};
use repository::{Content, Draft, File, Node};
use serde_json::value::RawValue;

use super::{
    Report,
    check::Check,
    claims::Claims,
    fetch::{Fetched, Files, Job, Outcome},
    hierarchy::{self, Change, Found},
};
use crate::{
    Error, Result,
    mail::{
        json::{Headline, only_marks_differ},
        layout::{IdHash, MAIL, MAIL_STATE, message_name, month, suffix_of},
        state::{AccountRecord, Entry, Folders, Items, Ledger},
    },
};

const WHAT: &str = "a message";
/// The extensions of a message's files.
const JSON: &str = ".json";
const MIME: &str = ".eml";
const ATTACHMENTS: &str = ".att.json";

/// The draft with all that is known of the mailbox.
pub(super) struct Recorder {
    pub(super) draft: Draft,
    pub(super) account: AccountRecord,
    pub(super) folders: Folders,
    items: Items,
    pub(super) ledger: Ledger,
    claims: Claims,
    /// Messages that a folder no longer reports, with that folder.
    pub(super) doubts: HashMap<ItemId, ItemId>,
    pub(super) report: Report,
    /// What a reconciliation finds.
    pub(super) check: Check,
    /// Why the run must end early.
    pub(super) stopped: Option<graph::Error>,
}

/// What must happen for a reported message.
pub(super) enum Next {
    /// Nothing: it is recorded, or held already.
    Nothing,
    /// Its content must be fetched.
    Fetch(Box<Job>),
}

/// Where a held message lies.
struct Place {
    number: u32,
    folder: ItemId,
    directory: String,
    /// The month that the directory is for.
    month: String,
    /// The names of its files.
    files: Vec<String>,
}

impl Place {
    fn has_mime(&self) -> bool {
        self.files.iter().any(|name| name.ends_with(MIME))
    }
}

impl Recorder {
    /// Reads the state that the draft begins with. State that cannot be understood is put aside, and everything is recorded anew (survival 40).
    pub(super) async fn open(
        mut draft: Draft,
        tenant: &TenantId,
        account: &AccountId,
    ) -> Result<Self> {
        let loaded = load(&mut draft, tenant, account).await;
        let (account, folders, items, ledger) = match loaded {
            Ok(Some(state)) => state,
            Err(error @ (Error::Repository { .. } | Error::OtherAccount)) => return Err(error),
            Ok(None) | Err(_) => {
                // What other services hold in this snapshot is none of our business (survival 68).
                for path in [MAIL, AccountRecord::PATH, MAIL_STATE] {
                    draft.remove(path).await.map_err(Error::repository(WHAT))?;
                }
                let record = AccountRecord::new(tenant.clone(), account.clone());
                (
                    record,
                    Folders::default(),
                    Items::empty(),
                    Ledger::default(),
                )
            }
        };
        let months = folders.iter().flat_map(|folder| &folder.months);
        let held_before = months.map(|month| u64::from(month.count)).sum();
        Ok(Self {
            draft,
            account,
            folders,
            items,
            ledger,
            claims: Claims::default(),
            doubts: HashMap::new(),
            report: Report {
                held_before,
                ..Report::default()
            },
            check: Check::default(),
            stopped: None,
        })
    }

    /// Takes over a new listing of the folders. Returns those that are missing from it.
    pub(super) async fn take_hierarchy(&mut self, found: Vec<Found>) -> Result<Vec<ItemId>> {
        let (changes, missing) = hierarchy::reconcile(&mut self.folders, found);
        for change in changes {
            match change {
                Change::Make(path) => self.draft.make_dir(&path).await,
                Change::Rename { from, to } => match self.draft.rename(&from, &to).await {
                    // Somebody took it out of the snapshot with restic.
                    Err(error) if error.kind() == repository::Kind::NotFound => {
                        self.draft.make_dir(&to).await
                    }
                    renamed => renamed,
                },
            }
            .map_err(Error::repository("a mail folder"))?;
        }
        Ok(missing)
    }

    /// A folder reports a message. One on which our own code panics fails alone (abuse 68).
    pub(super) async fn reported(
        &mut self,
        container: &ItemId,
        headline: Headline,
        json: Box<RawValue>,
        now: Timestamp,
    ) -> Result<Next> {
        let id = headline.id.clone();
        let judging = AssertUnwindSafe(self.judge(container, headline, json));
        let Ok(next) = judging.catch_unwind().await else {
            self.defect(id, container.clone(), now);
            return Ok(Next::Nothing);
        };
        next
    }

    /// What must happen for a reported message.
    async fn judge(
        &mut self,
        container: &ItemId,
        headline: Headline,
        json: Box<RawValue>,
    ) -> Result<Next> {
        tracing::trace!(json_bytes = json.get().len(), "a message is reported");
        let hash = IdHash::of(&headline.id);
        if self.claims.is_newer(&hash, headline.modified) {
            return Ok(Next::Nothing);
        }
        let folder = match self.folders.get(&headline.parent) {
            Some(_) => headline.parent.clone(),
            None => container.clone(),
        };
        let report = self
            .claims
            .insert(hash, IdHash::of(&folder), headline.modified);
        self.doubts.remove(&headline.id);
        let job = Job {
            headline,
            folder,
            json,
            report,
        };
        let owed = self.ledger.owes_content(&job.headline.id);
        let held = match self.items.get(&mut self.draft, &hash).await? {
            Some(entry) => (self.place_of(&hash, entry).await?).map(|place| (entry, place)),
            None => None,
        };
        if held.is_none() && !owed {
            self.check.note(hash, &job.folder);
        }
        if let Some((entry, place)) = held
            && !owed
        {
            if entry.version == job.headline.version && place.folder == job.folder {
                self.ledger.forget_doubt(&job.headline.id);
                return Ok(Next::Nothing);
            }
            self.check.note(hash, &job.folder);
            if let Some(old) = self.held_json(&place).await?
                && only_marks_differ(&old, &job.json)
                && place.has_mime()
            {
                self.mark(&hash, place, job).await?;
                return Ok(Next::Nothing);
            }
        }
        Ok(Next::Fetch(Box::new(job)))
    }

    /// A folder reports that a message is not in it any more. Another folder's claim stands against it.
    pub(super) fn unreported(&mut self, container: &ItemId, id: ItemId) {
        let claimed_by = self.claims.folder(&IdHash::of(&id));
        if claimed_by.is_some_and(|folder| folder != IdHash::of(container)) {
            return;
        }
        self.doubt(container, id);
    }

    /// What is true of the message now must be asked, whatever was reported of it before.
    pub(super) fn doubt(&mut self, container: &ItemId, id: ItemId) {
        self.claims.remove(&IdHash::of(&id));
        self.doubts.insert(id, container.clone());
    }

    /// Whether anything was reported to be in the folder.
    pub(super) fn has_claims(&self, container: &ItemId) -> bool {
        self.claims.names_folder(&IdHash::of(container))
    }

    /// What was reported to be in the folder may not be there any more.
    pub(super) fn forget_claims(&mut self, container: &ItemId) {
        self.claims.forget_folder(&IdHash::of(container));
    }

    /// After everything in the folder was listed: what is held of it but was not listed is doubted.
    pub(super) async fn doubt_unlisted(&mut self, container: &ItemId) -> Result<()> {
        let here = IdHash::of(container);
        let Some(record) = self.folders.get(container) else {
            return Ok(());
        };
        let path = self.folders.path(container);
        let directories: Vec<String> = record
            .months
            .iter()
            .map(|month| format!("{path}/{}", month.name))
            .collect();
        for directory in directories {
            for node in self.list(&directory).await? {
                let name = node.name();
                let is_message = name.ends_with(JSON) && !name.ends_with(ATTACHMENTS);
                let suffix = suffix_of(&name).and_then(suffix_bytes);
                if !is_message || suffix.is_none_or(|suffix| self.claims.has_suffix(&suffix, &here))
                {
                    continue;
                }
                // Of one whose JSON is lost nobody can say which it is: it stays.
                let Some(json) = self.read_json(&format!("{directory}/{name}")).await? else {
                    continue;
                };
                let id = crate::mail::json::Fields::of(&json)?.id("id")?;
                if self.claims.report(&IdHash::of(&id)).is_none() {
                    self.doubts.insert(id, container.clone());
                }
            }
        }
        Ok(())
    }

    /// Records what was fetched, unless a later report made it outdated. True when something was recorded. A message on which our own code panics
    /// fails alone (abuse 68).
    pub(super) async fn fetched(&mut self, fetched: Fetched, now: Timestamp) -> Result<bool> {
        let (id, folder) = (fetched.job.headline.id.clone(), fetched.job.folder.clone());
        let recording = AssertUnwindSafe(self.record(fetched, now));
        let Ok(recorded) = recording.catch_unwind().await else {
            self.defect(id, folder, now);
            return Ok(false);
        };
        recorded
    }

    /// Our own code panicked over a message.
    pub(super) fn defect(&mut self, id: ItemId, folder: ItemId, now: Timestamp) {
        tracing::error!("reading or recording a message panicked: it is left out");
        self.ledger
            .fail(id, folder, FailureCause::Defect, None, now);
    }

    async fn record(&mut self, fetched: Fetched, now: Timestamp) -> Result<bool> {
        let Fetched {
            job,
            bytes,
            outcome,
        } = fetched;
        let hash = IdHash::of(&job.headline.id);
        if self.claims.report(&hash) != Some(job.report) {
            return Ok(false);
        }
        let (id, folder) = (job.headline.id.clone(), job.folder.clone());
        match outcome {
            Outcome::Whole(files) => {
                let held = self.put(&hash, &job, files).await?;
                self.ledger.clear(&id);
                if held {
                    self.report.changed += 1
                } else {
                    self.report.added += 1
                }
                self.report.bytes += bytes;
                return Ok(true);
            }
            Outcome::Gone => self.doubt(&folder, id),
            Outcome::NoAttachments(files, cause, code) => {
                self.ledger.fail(id, folder, cause, code, now);
                return self.put_part(&hash, &job, files).await;
            }
            Outcome::Skipped(files, cause) => {
                self.ledger.skip(id, folder, cause);
                return self.put_part(&hash, &job, files).await;
            }
            Outcome::NoMime(files, code) => {
                self.ledger
                    .fail(id, folder, FailureCause::Corrupt, code, now);
                return self.put_part(&hash, &job, files).await;
            }
            Outcome::Failed(cause, code) => self.ledger.fail(id, folder, cause, code, now),
            Outcome::Refused(error) => {
                let code = error.code().map(str::to_owned);
                self.ledger
                    .fail(id, folder, FailureCause::AccessDenied, code, now);
                self.stopped.get_or_insert(error);
            }
        }
        Ok(false)
    }

    /// The source says that the message is gone.
    pub(super) async fn gone(&mut self, id: &ItemId) -> Result<()> {
        let hash = IdHash::of(id);
        self.ledger.clear(id);
        let Some(entry) = self.items.get(&mut self.draft, &hash).await? else {
            return Ok(());
        };
        if let Some(place) = self.place_of(&hash, entry).await? {
            self.check.note(hash, &place.folder);
            self.take_away(&place, &place.files).await?;
        }
        self.folders.leave(entry.directory);
        self.items.remove(&mut self.draft, &hash).await?;
        self.report.removed += 1;
        Ok(())
    }

    /// Folders that the source says are gone, and that hold nothing any more, leave the snapshot, inner ones before those around them.
    pub(super) async fn drop_folders(&mut self, mut gone: Vec<ItemId>) -> Result<()> {
        // By depth and not by the length of the path, which begins anew at some depths.
        gone.sort_by_cached_key(|id| {
            std::cmp::Reverse(self.folders.names(id).map_or(0, |names| names.len()))
        });
        for id in gone {
            self.drop_folder(&id).await?;
        }
        Ok(())
    }

    async fn drop_folder(&mut self, id: &ItemId) -> Result<()> {
        let Some(record) = self.folders.get(id) else {
            return Ok(());
        };
        if !record.months.is_empty()
            || self
                .folders
                .iter()
                .any(|other| other.parent.as_ref() == Some(id))
        {
            return Ok(());
        }
        // A root that is gone made way for another, which lies in the same directory.
        if record.parent.is_some() {
            let path = self.folders.path(id);
            self.draft
                .remove(&path)
                .await
                .map_err(Error::repository("a mail folder"))?;
        }
        self.folders.remove(id);
        Ok(())
    }

    /// Writes all state that changed to the draft.
    pub(super) async fn save(&mut self) -> Result<()> {
        self.items.save(&mut self.draft).await?;
        self.folders.save(&mut self.draft).await?;
        self.ledger.save(&mut self.draft).await
    }

    /// A message whose content is held: its marks and its place are brought up to date.
    async fn mark(&mut self, hash: &IdHash, place: Place, job: Job) -> Result<()> {
        let bytes = bytes::Bytes::copy_from_slice(job.json.get().as_bytes());
        let size = bytes.len() as u64;
        let json = self
            .draft
            .writer()
            .store(bytes)
            .await
            .map_err(Error::repository(WHAT))?;
        // Before anything is changed, as in `put`.
        let name = message_name(job.headline.received, &job.headline.subject, hash);
        let (number, directory) = self.move_to(&job, Some(&place))?;
        for file in &place.files {
            let from = format!("{}/{file}", place.directory);
            for extension in [ATTACHMENTS, MIME] {
                if file.ends_with(extension) {
                    let to = format!("{directory}/{name}{extension}");
                    if from != to {
                        self.draft
                            .rename(&from, &to)
                            .await
                            .map_err(Error::repository(WHAT))?;
                    }
                }
            }
            let is_json = file.ends_with(JSON) && !file.ends_with(ATTACHMENTS);
            if is_json && from != format!("{directory}/{name}{JSON}") {
                self.draft
                    .remove(&from)
                    .await
                    .map_err(Error::repository(WHAT))?;
            }
        }
        self.put_file(&format!("{directory}/{name}{JSON}"), json, &job)
            .await?;
        self.enter(*hash, number, &job).await?;
        self.ledger.clear(&job.headline.id);
        self.report.marked += 1;
        self.report.bytes += size;
        Ok(())
    }

    /// Writes what could be had of a message, unless a good older version is held: that is worth more. True when it was written.
    async fn put_part(&mut self, hash: &IdHash, job: &Job, files: Files) -> Result<bool> {
        let held = self.items.get(&mut self.draft, hash).await?;
        if let Some(entry) = held
            && let Some(place) = self.place_of(hash, entry).await?
            && place.has_mime()
        {
            return Ok(false);
        }
        self.put(hash, job, files).await?;
        Ok(true)
    }

    /// Writes a message's files in place of whatever was held of it. True when something was.
    async fn put(&mut self, hash: &IdHash, job: &Job, files: Files) -> Result<bool> {
        tracing::trace!(json_bytes = files.json.size, "a message is recorded");
        // What strangers wrote is dealt with before anything is changed: a panic over it leaves what is held as it was.
        let name = message_name(job.headline.received, &job.headline.subject, hash);
        let held = self.items.get(&mut self.draft, hash).await?;
        let place = match held {
            Some(entry) => self.place_of(hash, entry).await?,
            None => None,
        };
        let (number, directory) = self.move_to(job, place.as_ref())?;
        match (&place, held) {
            (Some(place), _) => self.take_away(place, &place.files).await?,
            // Its files are gone, but it still counts where they were.
            (None, Some(entry)) => self.folders.leave(entry.directory),
            (None, None) => {}
        }
        let contents = [
            (JSON, Some(files.json)),
            (MIME, files.mime),
            (ATTACHMENTS, files.attachments),
        ];
        for (extension, content) in contents {
            if let Some(content) = content {
                let path = format!("{directory}/{name}{extension}");
                self.put_file(&path, content, job).await?;
            }
        }
        self.enter(*hash, number, job).await?;
        Ok(held.is_some())
    }

    /// The directory for the message: where it lies, if that is still right, or another one.
    fn move_to(&mut self, job: &Job, place: Option<&Place>) -> Result<(u32, String)> {
        let month = month(job.headline.received);
        let number = match place {
            Some(place) if place.folder == job.folder && place.month == month => place.number,
            _ => {
                if let Some(place) = place {
                    self.folders.leave(place.number);
                }
                self.folders
                    .place(&job.folder, &month)
                    .ok_or_else(|| Error::state(WHAT, "its folder is not recorded"))?
            }
        };
        let (_, directory) = self
            .folders
            .directory(number)
            .ok_or_else(|| Error::state(WHAT, "its directory is not recorded"))?;
        Ok((number, directory))
    }

    async fn put_file(&mut self, path: &str, content: Content, job: &Job) -> Result<()> {
        let mtime = job.headline.received.unwrap_or(Timestamp::UNIX_EPOCH);
        self.draft
            .put(path, File { content, mtime })
            .await
            .map_err(Error::repository(WHAT))
    }

    async fn enter(&mut self, hash: IdHash, directory: u32, job: &Job) -> Result<()> {
        let version = job.headline.version;
        self.items
            .insert(&mut self.draft, hash, Entry { directory, version })
            .await
    }

    async fn take_away(&mut self, place: &Place, files: &[String]) -> Result<()> {
        for file in files {
            self.draft
                .remove(&format!("{}/{file}", place.directory))
                .await
                .map_err(Error::repository(WHAT))?;
        }
        Ok(())
    }

    /// Where a message lies; `None` when state and tree disagree, which the next writing of it mends.
    async fn place_of(&mut self, hash: &IdHash, entry: Entry) -> Result<Option<Place>> {
        let Some((record, directory)) = self.folders.directory(entry.directory) else {
            return Ok(None);
        };
        let folder = record.id.clone();
        let month = directory
            .rsplit('/')
            .next()
            .and_then(|name| name.rsplit_once('~'))
            .map(|(month, _)| month.to_owned());
        let suffix = hash.suffix();
        let nodes = self.list(&directory).await?;
        let names = nodes.iter().map(|node| node.name().into_owned());
        let files: Vec<String> = names
            .filter(|name| suffix_of(name) == Some(&suffix))
            .collect();
        Ok((!files.is_empty()).then(|| Place {
            number: entry.directory,
            folder,
            directory,
            month: month.unwrap_or_default(),
            files,
        }))
    }

    /// The entries of a directory; none where there is no directory.
    async fn list(&mut self, directory: &str) -> Result<Vec<Node>> {
        match self.draft.list(directory).await {
            Err(error) if error.kind() == repository::Kind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(Error::repository(WHAT)),
        }
    }

    async fn held_json(&mut self, place: &Place) -> Result<Option<Box<RawValue>>> {
        let name = place
            .files
            .iter()
            .find(|name| name.ends_with(JSON) && !name.ends_with(ATTACHMENTS));
        match name {
            Some(name) => self.read_json(&format!("{}/{name}", place.directory)).await,
            None => Ok(None),
        }
    }

    /// A message's JSON; nothing when it is lost, which the next fetching of the message mends.
    async fn read_json(&mut self, path: &str) -> Result<Option<Box<RawValue>>> {
        match self.draft.read_path(path).await {
            Ok(bytes) => serde_json::from_slice(&bytes.unwrap_or_default())
                .map(Some)
                .map_err(|error| Error::state(WHAT, error)),
            Err(error) if error.kind() == repository::Kind::Corrupt => Ok(None),
            Err(error) => Err(Error::repository(WHAT)(error)),
        }
    }

    /// Notes that the message, whose fate could not be learnt, is owed an answer.
    pub(super) fn doubtful(
        &mut self,
        id: ItemId,
        container: ItemId,
        code: Option<String>,
        now: Timestamp,
    ) {
        self.ledger
            .fail(id, container, FailureCause::Doubtful, code, now);
    }
}

/// The bytes that a message's file name carries.
fn suffix_bytes(suffix: &str) -> Option<[u8; 8]> {
    let mut bytes = [0; 8];
    let length = HEXLOWER.decode_mut(suffix.as_bytes(), &mut bytes).ok()?;
    (length == bytes.len()).then_some(bytes)
}

type State = (AccountRecord, Folders, Items, Ledger);

async fn load(draft: &mut Draft, tenant: &TenantId, account: &AccountId) -> Result<Option<State>> {
    let Some(record) = AccountRecord::load(draft, tenant, account).await? else {
        return Ok(None);
    };
    let folders = Folders::load(draft).await?;
    // Cursors without the entries that they are about are worth nothing (survival 39). A mailbox may well be empty.
    let holds_messages = folders.iter().any(|folder| !folder.months.is_empty());
    if holds_messages && !Items::are_stored(draft).await? {
        return Err(Error::state(
            WHAT,
            "the entries of the messages are missing",
        ));
    }
    let ledger = Ledger::load(draft).await?;
    Ok(Some((record, folders, Items::default(), ledger)))
}
