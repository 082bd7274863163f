//! Too few files, too little memory, a disk that is read-only, full or failing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use engine::Vault;
use model::RestoreId;
use testkit::pass_over;
use trials::{
    Deed, Ground, folder,
    judge::{self, Truth},
    mailbox, strace,
    worker::{self, Worker},
};

use crate::support::{can_trace, worker};

/// Abuse 31.
const FEW_FILES: &str = r#"ulimit -n 64; exec "$0" "$@""#;
/// Abuse 32: 256 MB of data, counting every mapping that can be written. One arena, because each would reserve 64 MB of addresses.
const LITTLE_MEMORY: &str = r#"ulimit -d 262144; MALLOC_ARENA_MAX=1 exec "$0" "$@""#;

/// Every operation, one after the other, behind these words.
async fn everything(ground: &Ground, worker: &Worker, limit: &str, name: &str) -> Result<()> {
    let data = ground.place(name);
    Vault::create(&data)?;
    let restore = Deed::Restore {
        target: ground.other.id.clone(),
        folder: format!("Restored {name}"),
        restore: RestoreId::new(name)?,
    };
    let all = ground.at_source(&ground.account, |mailbox| mailbox::shown(mailbox, &[]))??;
    for deed in [
        Deed::Backup,
        Deed::Prune,
        Deed::Verify,
        restore,
        Deed::Repair,
    ] {
        if matches!(deed, Deed::Repair) {
            // So that it has to read every pack.
            let vault = Vault::open(&data)?;
            let index = vault.repository_path(&ground.account.id).join("index");
            for file in folder::files(&index)? {
                fs::remove_file(file)?;
            }
        }
        let errand = ground.errand(&data, deed.clone());
        let output = worker.output_behind(&["sh", "-c", limit], &errand)?;
        let answer = worker::answer(&output).with_context(|| format!("{name}: {deed:?}"))?;
        // What a prune makes doomed it deletes at the next.
        ensure!(answer.complete || matches!(deed, Deed::Prune), "{deed:?}");
    }
    let restored = ground.at_source(&ground.other, |mailbox| {
        mailbox::shown(mailbox, &[&format!("Restored {name}")])
    })??;
    ensure!(restored == all, "the restored messages differ");
    let truth = Truth {
        before: judge::held(ground, &Vault::open(&data)?).await?,
        now: Arc::new(ground.source()?),
        kept: None,
        asks_restic: true,
    };
    judge::backup(ground, &data, &truth).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_files_and_little_memory_are_enough() -> Result<()> {
    let ground = Ground::new().await?;
    everything(&ground, &worker(), FEW_FILES, "files").await?;
    everything(&ground, &worker(), LITTLE_MEMORY, "memory").await
}

/// Far too few files: the errand fails, and nothing is harmed.
#[tokio::test(flavor = "multi_thread")]
async fn without_files_nothing_is_harmed() -> Result<()> {
    let (ground, truth) = prepared().await?;
    let data = ground.place("data");
    let mut failed = 0;
    for files in 8..24 {
        let _ = fs::remove_dir_all(&data);
        folder::copy(&ground.place("filled"), &data)?;
        let limit = format!(r#"ulimit -n {files}; exec "$0" "$@""#);
        let errand = ground.errand(&data, Deed::Backup);
        let output = worker().output_behind(&["sh", "-c", &limit], &errand)?;
        if !output.status.success() {
            failed += 1;
            let judged = judge::backup(&ground, &data, &truth).await;
            judged.with_context(|| format!("{files} files: {output:?}"))?;
        }
    }
    ensure!(failed > 0, "eight files are too few");
    Ok(())
}

/// A ground whose data folder `filled` holds a backup, after which the source has gone on.
async fn prepared() -> Result<(Ground, Truth)> {
    let ground = Ground::new().await?;
    let vault = Vault::create(&ground.place("filled"))?;
    ground.back_up(&vault).await?;
    let before = judge::held(&ground, &vault).await?;
    ground.go_on().await?;
    let truth = Truth {
        before,
        now: Arc::new(ground.source()?),
        kept: None,
        asks_restic: true,
    };
    Ok((ground, truth))
}

/// Mounts the folder that comes first upon itself, read-only, and goes on with the rest.
const READ_ONLY: [&str; 5] = [
    "unshare",
    "-m",
    "sh",
    "-c",
    r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@""#,
];

/// Abuse 29.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_can_be_read() -> Result<()> {
    let (ground, truth) = prepared().await?;
    let data = fs::canonicalize(ground.place("filled"))?;
    let path = data.to_str().context("the path is no Unicode")?;
    let words = [&READ_ONLY[..], &[path]].concat();
    let may = Command::new(words[0])
        .args(&words[1..])
        .arg("true")
        .output();
    if !may.is_ok_and(|output| output.status.success()) {
        pass_over("this user may not mount, so nothing was tried on a read-only disk");
        return Ok(());
    }
    let before = contents(&data)?;
    let restore = Deed::Restore {
        target: ground.other.id.clone(),
        folder: "Restored".to_owned(),
        restore: RestoreId::new("read-only")?,
    };
    for deed in [Deed::Verify, restore] {
        let errand = ground.errand(&data, deed);
        let answer = worker::answer(&worker().output_behind(&words, &errand)?)?;
        ensure!(answer.complete, "{:?}", errand.deed);
    }
    for deed in [Deed::Backup, Deed::Prune] {
        let output = worker().output_behind(&words, &ground.errand(&data, deed))?;
        ensure!(!output.status.success(), "nothing can be written");
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        ensure!(said.contains("read-only"), "it says why: {said}");
    }
    ensure!(contents(&data)? == before, "nothing has changed");
    judge::backup(&ground, &data, &truth).await
}

fn contents(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let files = folder::files(folder)?.into_iter();
    files
        .map(|path| Ok((path.clone(), fs::read(path)?)))
        .collect()
}

/// A file system of its own, which is unmounted with it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(at)?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        Ok(mounted.then(|| Self(at.to_owned())))
    }

    /// Fills the disk up, but for so many bytes.
    fn fill(&self, left_bytes: usize) -> Result<()> {
        let ballast = self.0.join("ballast");
        let block = vec![0; 4096];
        let mut file = fs::File::create(&ballast)?;
        let mut written = 0;
        while std::io::Write::write_all(&mut file, &block).is_ok() {
            written += block.len();
        }
        file.set_len(written.saturating_sub(left_bytes) as u64)?;
        Ok(())
    }

    fn relieve(&self) -> Result<()> {
        Ok(fs::remove_file(self.0.join("ballast"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// Abuse 9, 11.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_onto_a_full_disk_is_resumed_when_there_is_room() -> Result<()> {
    const STEP_BYTES: usize = 12 << 10;
    let (ground, truth) = prepared().await?;
    let Some(disk) = SmallDisk::mount(&ground.place("disk"))? else {
        pass_over("this user may not mount, so no disk was filled");
        return Ok(());
    };
    let data = disk.0.join("data");
    let mut failed = 0;
    for left_bytes in (0..).step_by(STEP_BYTES) {
        folder::copy(&ground.place("filled"), &data)?;
        disk.fill(left_bytes)?;
        let output = worker().output(&ground.errand(&data, Deed::Backup))?;
        disk.relieve()?;
        let judged = judge::backup(&ground, &data, &truth).await;
        judged.with_context(|| format!("{left_bytes} bytes were left: {output:?}"))?;
        if output.status.success() {
            break;
        }
        failed += 1;
        fs::remove_dir_all(&data)?;
    }
    ensure!(failed > 1, "the disk was hardly full");
    Ok(())
}

/// Abuse 10: what could not be synchronised is not taken for stored, and not tried once more on the same file.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_gives_up_when_the_disk_does_not_synchronise() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let (ground, truth) = prepared().await?;
    let data = ground.place("data");
    for number in 1.. {
        folder::copy(&ground.place("filled"), &data)?;
        let command = worker().command_line(&ground.errand(&data, Deed::Backup))?;
        let log = ground.place("log");
        let output = strace::fail("fsync", "EIO", &number.to_string(), &log, &command)?;
        let log = fs::read_to_string(&log)?;
        let injected = log.lines().find(|line| line.contains("(INJECTED)"));
        // What is only in the local cache may be lost.
        let matters = injected.is_some_and(|line| !line.contains("/cache/"));
        let judged = judge::backup(&ground, &data, &truth).await;
        judged.with_context(|| format!("fsync {number}: {output:?}"))?;
        fs::remove_dir_all(&data)?;
        if injected.is_none() {
            ensure!(number > 5, "a backup synchronises more than {number} times");
            return Ok(());
        }
        ensure!(
            !matters || !output.status.success(),
            "fsync {number} failed unnoticed"
        );
    }
    Ok(())
}
