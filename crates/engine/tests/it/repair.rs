//! Damage: found, located, mended from the packs or from the source, and no obstacle to the next backup.

use std::{
    fs,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use engine::{Account, repair, snapshots, verify};
use rand::{Rng, SeedableRng, rngs::StdRng};
use repository::{BlobId, RepairOptions, Snapshot, SnapshotId, Subject};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::stage::{Held, Stage, differences, mail};

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// A bit, at so many tenths of its length, is another.
    Flip(usize),
    /// Its second half is missing.
    Cut,
    /// All of it is something else.
    Garbage,
    /// It is gone.
    Delete,
}

impl Harm {
    fn befall(self, file: &Path) -> Result<()> {
        let mut bytes = fs::read(file)?;
        // Repositories are read-only files.
        fs::remove_file(file)?;
        match self {
            Self::Flip(tenths) => {
                let at = (bytes.len() * tenths / 10).min(bytes.len() - 1);
                bytes[at] ^= 4;
            }
            Self::Cut => bytes.truncate(bytes.len() / 2),
            Self::Garbage => bytes.fill(b'?'),
            Self::Delete => return Ok(()),
        }
        Ok(fs::write(file, bytes)?)
    }
}

/// A mailbox that was backed up twice, and a copy of its repository, to damage it again and again.
struct Patient {
    stage: Stage,
    account: Account,
    copy: TempDir,
    /// What each restore point held.
    points: Vec<(SnapshotId, Held)>,
}

impl Patient {
    async fn new() -> Result<Self> {
        let (stage, account) = Stage::with_mail(&[("", 40), ("Projects", 10)]).await?;
        let mut points = Vec::new();
        for n in 0..2 {
            deliver(&stage, &account, 100 + n)?;
            let (outcome, _) = stage.back_up_equal(&account).await?;
            points.push((
                outcome.snapshot.context("mail came")?,
                stage.source(&account)?,
            ));
        }
        let copy = TempDir::new()?;
        copy_files(&stage.vault.repository_path(&account.id), copy.path())?;
        Ok(Self {
            stage,
            account,
            copy,
            points,
        })
    }

    fn path(&self) -> PathBuf {
        self.stage.vault.repository_path(&self.account.id)
    }

    /// As it was, and nothing in the cache.
    fn heal(&self) -> Result<()> {
        fs::remove_dir_all(self.path())?;
        copy_files(self.copy.path(), &self.path())?;
        self.forget_cache()
    }

    fn forget_cache(&self) -> Result<()> {
        let cache = self.stage.vault.root().join("cache");
        match cache.exists() {
            true => Ok(fs::remove_dir_all(cache)?),
            false => Ok(()),
        }
    }

    /// The files of a kind, the largest last.
    fn files(&self, kind: &str) -> Result<Vec<PathBuf>> {
        let mut found = files(&self.path().join(kind))?;
        found.sort_by_key(|path| fs::metadata(path).map_or(0, |about| about.len()));
        Ok(found)
    }

    async fn repair(&self, rehearsal: bool) -> Result<repair::Outcome> {
        let local = self.stage.setting().local();
        Ok(repair::run(local, &self.account, rehearsal, |_| ()).await?)
    }

    async fn is_sound(&self) -> Result<bool> {
        let local = self.stage.setting().local();
        Ok(verify::run(local, &self.account, |_| ()).await?.is_sound())
    }

    async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>> {
        let repository = self.stage.repository(&self.account).await?;
        Ok(repository.snapshots().await?)
    }

    async fn newest(&self) -> Result<SnapshotId> {
        let all = self.snapshots().await?;
        Ok(snapshots::latest(&all).context("there is one")?.0)
    }

    /// How many messages of the source cannot be read from the newest restore point as they are.
    async fn lacking(&self) -> Result<usize> {
        let source = self.stage.source(&self.account)?;
        let newest = self.newest().await?;
        let Ok(archive) = self.stage.archive(&self.account, newest).await else {
            return Ok(source.len());
        };
        let mut sound = 0;
        for folder in archive.folders() {
            for at in archive.messages(&folder.id).await.unwrap_or_default() {
                if let Ok(message) = archive.message(&at).await {
                    let (_, mime) = source.get(message.id.as_str()).context("nobody wrote it")?;
                    ensure!(message.mime[..] == mime[..], "a wrong byte was handed out");
                    sound += 1;
                }
            }
        }
        Ok(source.len() - sound)
    }

    /// The next backup fetches just what is lacking, or everything where state was lost. Then the newest restore point is as the source, and the
    /// repository sound once older restore points are gone of which something is lost for good.
    async fn recovers(&self, everything: bool) -> Result<()> {
        let lacking = match everything {
            true => self.stage.source(&self.account)?.len(),
            false => self.lacking().await?,
        };
        let before = self.stage.graph.counters();
        let outcome = self.stage.back_up(&self.account).await?;
        ensure!(outcome.report.is_complete(), "{:?}", outcome.report);
        ensure!(
            outcome.snapshot.is_some() == (lacking > 0),
            "{lacking} are lacking: {outcome:?}"
        );
        let asked = self.stage.graph.counters().since(&before);
        let fetched = asked.of("GET messages/$value");
        ensure!(
            fetched == lacking as u64,
            "{lacking} are lacking, {fetched} were fetched"
        );
        self.is_equal().await?;
        ensure!(self.stage.back_up(&self.account).await?.snapshot.is_none());
        if !self.is_sound().await? {
            let newest = self.newest().await?;
            let all = self.snapshots().await?.into_iter().map(|(id, _)| id);
            let older: Vec<_> = all.filter(|id| *id != newest).collect();
            let repository = self.stage.repository(&self.account).await?;
            repository.forget(&older).await?;
            ensure!(self.is_sound().await?, "the newest is not whole");
        }
        if let Some(restic) = testkit::restic::stock() {
            let password = self.stage.vault.password(&self.account.id)?;
            restic.check(&self.path(), &password)?;
        }
        self.is_equal().await
    }

    /// The newest restore point holds what the source does, and of the older ones those that are whole hold what it did.
    async fn is_equal(&self) -> Result<()> {
        let source = self.stage.source(&self.account)?;
        let newest = self.newest().await?;
        let held = self.stage.snapshot(&self.account, newest).await?;
        let found = differences(&held, &source);
        ensure!(found.is_empty(), "{found:?}");
        if self.is_sound().await? {
            let all = self.snapshots().await?;
            let there = |id: SnapshotId| all.iter().any(|(other, _)| *other == id);
            for (id, held) in self.points.iter().filter(|(id, _)| there(*id)) {
                let found = differences(&self.stage.snapshot(&self.account, *id).await?, held);
                ensure!(found.is_empty(), "{id}: {found:?}");
            }
        }
        Ok(())
    }
}

fn deliver(stage: &Stage, account: &Account, n: usize) -> Result<()> {
    stage.at_source(account, |mailbox| {
        let inbox = mailbox
            .folder_views()
            .find(|f| f.well_known == Some("inbox"));
        let inbox = inbox.context("there is one")?.key;
        let now = "2026-11-22T15:00:00Z".parse()?;
        mailbox.deliver(inbox, mail(n).into_bytes().into(), now)?;
        Ok(())
    })?
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().context("it is below")?)?;
        fs::copy(&file, &target)?;
    }
    Ok(())
}

/// Each harm to each file of a kind.
fn cases(patient: &Patient, kind: &str, harms: &[Harm]) -> Result<Vec<(PathBuf, Harm)>> {
    let files = patient.files(kind)?.into_iter();
    Ok(files
        .flat_map(|file| harms.iter().map(move |harm| (file.clone(), *harm)))
        .collect())
}

#[tokio::test]
async fn whatever_is_lost_of_the_packs_is_located_and_fetched_again() -> Result<()> {
    // Abuse 13, 14.
    let patient = Patient::new().await?;
    let harms = [Harm::Flip(1), Harm::Flip(10), Harm::Cut, Harm::Delete];
    let (mut messages, mut directories, mut states) = (0, 0, 0);
    for (pack, harm) in cases(&patient, "data", &harms)? {
        harm.befall(&pack)?;
        let rehearsed = patient.repair(true).await?;
        let outcome = patient.repair(false).await?;
        let again = &outcome.fetched_again;
        let before = &rehearsed.fetched_again;
        assert_eq!(
            (&before.messages, &before.directories, before.everything),
            (&again.messages, &again.directories, again.everything)
        );
        messages += usize::from(!again.messages.is_empty());
        directories += usize::from(!again.directories.is_empty());
        states += usize::from(again.everything);
        let lost = format!("{:?}", outcome.repository.lost);
        let recovered = patient.recovers(again.everything).await;
        recovered.with_context(|| format!("{pack:?} {harm:?}: {lost}"))?;
        patient.heal()?;
    }
    // A test in which nothing is lost of one kind shows nothing of it.
    assert!(
        messages > 0 && directories > 0 && states > 0,
        "{messages} {directories} {states}"
    );
    Ok(())
}

#[tokio::test]
async fn of_index_and_snapshots_nothing_is_lost_that_is_in_the_packs() -> Result<()> {
    // Abuse 13, 15, 16.
    let patient = Patient::new().await?;
    let harms = [Harm::Flip(5), Harm::Cut, Harm::Garbage, Harm::Delete];
    let mut all = cases(&patient, "index", &harms)?;
    all.extend(cases(&patient, "snapshots", &harms[..3])?);
    for (file, harm) in all {
        harm.befall(&file)?;
        let outcome = patient.repair(false).await?;
        let lost = outcome.repository.lost.len();
        assert_eq!((lost, outcome.fetched_again.is_empty()), (0, true));
        let case = format!("{file:?} {harm:?}");
        let recovered = patient.recovers(false).await;
        recovered.with_context(|| case)?;
        patient.heal()?;
    }
    for index in patient.files("index")? {
        fs::remove_file(index)?;
    }
    fs::write(patient.path().join("snapshots").join("0".repeat(64)), "?")?;
    let outcome = patient.repair(false).await?;
    assert_eq!(outcome.repository.lost, []);
    assert_eq!(outcome.repository.removed_snapshots.len(), 1);
    patient.recovers(false).await
}

/// Flips a bit in the first blob of the largest pack, which is of one message.
fn lose_a_message(patient: &Patient) -> Result<()> {
    let largest = patient.files("data")?.pop().context("there are packs")?;
    let mut bytes = fs::read(&largest)?;
    bytes[20] ^= 4;
    fs::remove_file(&largest)?;
    Ok(fs::write(&largest, bytes)?)
}

#[tokio::test]
async fn one_message_that_is_lost_is_all_that_is_fetched_again() -> Result<()> {
    let patient = Patient::new().await?;
    lose_a_message(&patient)?;
    let outcome = patient.repair(false).await?;
    let [message] = &outcome.fetched_again.messages[..] else {
        panic!("one message: {outcome:?}");
    };
    assert!(message.path.starts_with("Mail/"), "{message:?}");
    assert_eq!(outcome.lost_for_good().count(), 0);
    let all = patient.snapshots().await?;
    let (newest, snapshot) = snapshots::latest(&all).context("there is one")?;
    assert_eq!(Some(*newest), outcome.snapshot);
    assert!(snapshots::is_partial(snapshot));
    assert_eq!(patient.lacking().await?, 1);
    patient.recovers(false).await?;
    assert!(patient.is_sound().await?);
    assert_eq!(
        patient.snapshots().await?.len(),
        4,
        "the older ones are whole, too"
    );
    patient.stage.restic_agrees(&patient.account)
}

/// Destroys the directory without entries, which all empty folders share, and nothing else.
async fn lose_the_empty_directory(patient: &Patient) -> Result<()> {
    let repository = patient.stage.repository(&patient.account).await?;
    let empty = Subject::Tree(BlobId::of(b"{\"nodes\":[]}\n"));
    let lost = async || -> Result<Vec<Subject>> {
        let report = repository.repair(RepairOptions { dry_run: true }, |_| ());
        Ok(report.await?.lost.iter().map(|it| it.what).collect())
    };
    for pack in patient.files("data")? {
        let whole = fs::read(&pack)?;
        fs::remove_file(&pack)?;
        // No sealed blob is shorter than the step.
        let steps = match lost().await?.contains(&empty) {
            true => (0..whole.len()).step_by(32),
            false => (0..0).step_by(32),
        };
        for at in steps {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            fs::write(&pack, bytes)?;
            if lost().await? == [empty] {
                return Ok(());
            }
        }
        fs::write(&pack, whole)?;
    }
    anyhow::bail!("no pack has the directory")
}

#[tokio::test]
async fn the_directory_that_empty_folders_share_is_made_again_and_the_next_backup_is_quiet()
-> Result<()> {
    let patient = Patient::new().await?;
    lose_the_empty_directory(&patient).await?;
    assert!(!patient.is_sound().await?);
    let outcome = patient.repair(false).await?;
    assert!(outcome.fetched_again.is_empty(), "{outcome:?}");
    assert_eq!(
        (outcome.snapshot, outcome.lost_for_good().count()),
        (None, 0)
    );
    assert!(patient.is_sound().await?);
    assert_eq!(patient.lacking().await?, 0);
    patient.recovers(false).await?;
    assert_eq!(patient.snapshots().await?.len(), 2);
    patient.stage.restic_agrees(&patient.account)
}

#[tokio::test]
async fn a_backup_that_began_before_a_repair_does_not_make_its_findings_forgotten() -> Result<()> {
    // Its first request for a message is answered when the repair is over, and it writes after that.
    let patient = Patient::new().await?;
    let (stage, account) = (&patient.stage, &patient.account);
    lose_a_message(&patient)?;
    deliver(stage, account, 200)?;
    let reached = Arc::new(Notify::new());
    let reaching = Arc::clone(&reached);
    stage.on_exchange(move |exchange| {
        if exchange.path.ends_with("/$value") {
            reaching.notify_one();
        }
    });
    let mut running = pin!(stage.back_up(account));
    tokio::select! {
        biased;
        () = reached.notified() => {}
        outcome = &mut running => anyhow::bail!("it came to its end: {outcome:?}"),
    }
    let repaired = patient.repair(false).await?;
    assert_eq!(repaired.fetched_again.messages.len(), 1);
    // What is written later has the later time; the number decides.
    stage.simulated.advance(Duration::from_secs(60));
    let late = running.await?.snapshot.context("mail came")?;
    stage.on_exchange(|_| ());
    let held = stage.snapshot(account, late).await;
    assert!(held.is_err(), "it knew nothing of what is lost");
    assert_eq!(Some(patient.newest().await?), repaired.snapshot);
    let outcome = stage.back_up(account).await?;
    assert_eq!(outcome.report.failures, []);
    assert!(patient.is_sound().await?);
    patient.is_equal().await?;
    stage.restic_agrees(account)
}

#[tokio::test]
async fn a_backup_mends_what_it_stumbles_over() -> Result<()> {
    // Survival 40; abuse 13-16. Nobody repairs: the next backup does, or is not hindered.
    let patient = Patient::new().await?;
    let mut all = cases(&patient, "data", &[Harm::Flip(5), Harm::Delete])?;
    all.extend(cases(
        &patient,
        "index",
        &[Harm::Flip(5), Harm::Cut, Harm::Delete],
    )?);
    all.extend(cases(
        &patient,
        "snapshots",
        &[Harm::Flip(5), Harm::Garbage],
    )?);
    for (file, harm) in all {
        patient.forget_cache()?;
        harm.befall(&file)?;
        // A mail that came makes the run read what it builds upon.
        deliver(&patient.stage, &patient.account, 200)?;
        let mended = mends(&patient).await;
        mended.with_context(|| format!("{file:?} {harm:?}"))?;
        patient.heal()?;
    }
    Ok(())
}

/// Two backups without anybody's help; then what is damaged still is what none of them had a reason to read.
async fn mends(patient: &Patient) -> Result<()> {
    patient.stage.back_up(&patient.account).await?;
    let outcome = patient.stage.back_up(&patient.account).await?;
    ensure!(outcome.report.is_complete(), "{:?}", outcome.report);
    let again = patient.repair(false).await?.fetched_again;
    patient.recovers(again.everything).await
}

/// Content that does not compress.
fn noise(seed: u64) -> bytes::Bytes {
    let mut bytes = vec![0; 1 << 20];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

#[tokio::test]
async fn a_repair_that_somebody_is_in_the_way_of_is_tried_five_times() -> Result<()> {
    // Survival 40: the backup opens the repository, then each try does. Somebody is gone in time for the fifth, or is not.
    for (gone_at, is_mended) in [(6, true), (7, false)] {
        let mut patient = Patient::new().await?;
        let (vault, account) = (patient.stage.vault.clone(), &patient.account);
        let writing = patient.stage.repository(account).await?.draft(None).await?;
        // More than fits into the packs that are being filled, so that it holds its lock.
        for seed in 0..40 {
            writing.writer().store(noise(seed)).await?;
        }
        let locks = patient.path().join("locks");
        ensure!(files(&locks)?.len() == 1, "it holds no lock");
        for index in patient.files("index")? {
            fs::remove_file(index)?;
        }
        patient.forget_cache()?;
        deliver(&patient.stage, account, 200)?;
        let opened = AtomicUsize::new(0);
        patient.stage.vault = vault.with_storage(move |storage| {
            if opened.fetch_add(1, Ordering::Relaxed) + 1 == gone_at {
                for lock in files(&locks).expect("they are listed") {
                    fs::remove_file(lock).expect("it is removed");
                }
            }
            storage
        });
        let outcome = patient.stage.back_up(account).await;
        match is_mended {
            true => assert_eq!(outcome?.report.added, 1),
            false => {
                let error: engine::Error = outcome.err().context("it is mended")?.downcast()?;
                assert_eq!(error.kind(), engine::Kind::Corrupt, "{error}");
            }
        }
        writing.abandon().await.ok();
    }
    Ok(())
}

#[tokio::test]
async fn a_backup_without_an_index_makes_it_anew_and_fetches_only_what_came() -> Result<()> {
    // Survival 40; abuse 15.
    let patient = Patient::new().await?;
    for index in patient.files("index")? {
        fs::remove_file(index)?;
    }
    patient.forget_cache()?;
    deliver(&patient.stage, &patient.account, 200)?;
    let (outcome, asked) = patient.stage.back_up_equal(&patient.account).await?;
    assert_eq!(outcome.report.added, 1);
    assert_eq!(asked.of("GET messages/$value"), 1, "{asked:?}");
    assert!(patient.is_sound().await?);
    patient.is_equal().await?;
    patient.stage.restic_agrees(&patient.account)
}
