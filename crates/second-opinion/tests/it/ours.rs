//! Repositories written by us, beside a plain map of what each snapshot must hold.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use model::{SharedClock, SimulatedClock};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use repository::{
    Draft, File, Options, PruneOptions, Repository, SnapshotId, SnapshotMeta, Storage,
};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "a password with ünïcode";

/// What is at each path: a file's content, nothing for a directory.
pub(crate) type Plain = BTreeMap<String, Option<Bytes>>;

/// A repository, and what its snapshots must hold.
pub(crate) struct Ours {
    pub(crate) repository: Repository,
    pub(crate) expected: BTreeMap<String, Plain>,
    clock: SimulatedClock,
    last: Option<(SnapshotId, Plain)>,
    folder: TempDir,
}

impl Ours {
    pub(crate) async fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = SimulatedClock::new("2026-11-22T14:05:00Z".parse()?);
        let storage = Storage::local(folder.path().join("repository"))?;
        let repository = Repository::init(storage, PASSWORD, options(&clock)).await?;
        Ok(Self {
            repository,
            expected: BTreeMap::new(),
            clock,
            last: None,
            folder,
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// Makes a snapshot of the last one with the change, which must change something.
    pub(crate) async fn snapshot(
        &mut self,
        change: impl AsyncFnOnce(&mut Change) -> Result<()>,
    ) -> Result<SnapshotId> {
        let (parent, plain) = self.last.take().unzip();
        let mut change_made = Change {
            draft: self.repository.draft(parent).await?,
            plain: plain.unwrap_or_default(),
        };
        change(&mut change_made).await?;
        self.clock.advance(std::time::Duration::from_secs(3600));
        let Change { draft, plain } = change_made;
        let committed = draft.commit(meta(self.expected.len())).await?;
        let id = committed.context("something was changed")?;
        self.expected.insert(id.to_string(), plain.clone());
        self.last = Some((id, plain));
        Ok(id)
    }

    /// Forgets the oldest snapshots but these last ones, and prunes until the packs are gone that nothing needs. Gives how many those were.
    pub(crate) async fn forget_all_but(&mut self, last: usize) -> Result<u64> {
        let mut snapshots = self.repository.snapshots().await?;
        snapshots.sort_by_key(|(_, snapshot)| snapshot.time);
        let old = snapshots.len().saturating_sub(last);
        let old: Vec<_> = snapshots.iter().take(old).map(|(id, _)| *id).collect();
        self.repository.forget(&old).await?;
        for id in old {
            self.expected.remove(&id.to_string());
        }
        let mut deleted = 0;
        for _ in 0..2 {
            let options = PruneOptions::default();
            deleted += self.repository.prune(options, |_| ()).await?.deleted_packs;
            self.clock.advance(options.grace);
        }
        Ok(deleted)
    }

    /// A seeded tree of mails, notes and folders, changed `rounds` times, each change a snapshot.
    pub(crate) async fn with_mails(rounds: u64) -> Result<Self> {
        let mut ours = Self::new().await?;
        for round in 0..rounds {
            ours.snapshot(async |change| change.stir(round).await)
                .await?;
        }
        Ok(ours)
    }
}

/// A draft, and what it should hold.
pub(crate) struct Change {
    pub(crate) draft: Draft,
    pub(crate) plain: Plain,
}

impl Change {
    pub(crate) async fn put(&mut self, path: &str, content: impl Into<Bytes>) -> Result<()> {
        let bytes: Bytes = content.into();
        let content = self.draft.writer().store(bytes.clone()).await?;
        let mtime = time(-1000);
        self.draft.put(path, File { content, mtime }).await?;
        self.above(path);
        self.plain.insert(path.to_owned(), Some(bytes));
        Ok(())
    }

    pub(crate) async fn make_dir(&mut self, path: &str) -> Result<()> {
        self.draft.make_dir(path).await?;
        self.above(path);
        self.plain.insert(path.to_owned(), None);
        Ok(())
    }

    /// Removes a file from a directory that keeps others.
    pub(crate) async fn remove(&mut self, path: &str) -> Result<()> {
        self.draft.remove(path).await?;
        self.plain.remove(path);
        Ok(())
    }

    fn above(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.plain.entry(path[..at].to_owned()).or_insert(None);
        }
    }

    /// Some mails more, some changed, some gone.
    async fn stir(&mut self, round: u64) -> Result<()> {
        let mut random = StdRng::seed_from_u64(round);
        let folder = format!("Mail/Ünïcode Ordner {}~1f0c9a2e", round % 3);
        self.make_dir("Mail/Leer~00000000").await?;
        self.put(&format!("{folder}/bleibt"), "It stays.").await?;
        for number in 0..60 {
            let length = random.random_range(0..40_000);
            let path = format!("{folder}/2026-11 Besprechung {number}~{round:x}.eml");
            self.put(&path, letter(&mut random, length)).await?;
        }
        let mails = self.plain.keys().filter(|path| path.ends_with(".eml"));
        let mails: Vec<_> = mails.cloned().collect();
        for path in mails {
            match random.random_range(0..10) {
                0 => self.remove(&path).await?,
                1 => self.put(&path, letter(&mut random, 3_000)).await?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A text that compresses about as mail does.
fn letter(random: &mut StdRng, length: usize) -> Vec<u8> {
    let words = ["Angebot ", "meeting ", "Zusage ", "10:30 ", "\r\n"];
    let mut text = Vec::with_capacity(length);
    while text.len() < length {
        if random.random_bool(0.3) {
            text.extend_from_slice(format!("{:x} ", random.random::<u32>()).as_bytes());
        }
        text.extend_from_slice(words[random.random_range(0..words.len())].as_bytes());
    }
    text.truncate(length);
    text
}

/// Content that does not compress, always the same for a seed.
pub(crate) fn noise(length: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

/// Every file under a folder.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(files(&entry.path())?);
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn options(clock: &SimulatedClock) -> Options {
    let clock: SharedClock = Arc::new(clock.clone());
    Options {
        clock,
        instance: "test".to_owned(),
        cache: None,
    }
}

fn meta(number: usize) -> SnapshotMeta {
    SnapshotMeta {
        time: time(number as i64 * 3600),
        hostname: "account".to_owned(),
        username: "keepwell".to_owned(),
        tags: vec!["token-1".to_owned()],
        paths: vec!["/".to_owned()],
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_790_000_000 + seconds)
}
