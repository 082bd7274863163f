//! Two processes at one repository: one that slept through its lock, and two that make it at the same time.

use std::{
    fs,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use engine::{Vault, open::Local};
use trials::{
    Deed, Ground,
    errand::ANY_AGE,
    judge::{self, Truth},
    worker,
};

use crate::support::{can_trace, worker as program};

/// Longer than a lock may go without being rewritten.
const ASLEEP: Duration = Duration::from_secs(40 * 60);

fn send(signal: &str, process: u32) -> Result<()> {
    let mut kill = Command::new("kill");
    let status = kill.arg(signal).arg(process.to_string()).status()?;
    ensure!(status.success(), "process {process} could not be signalled");
    Ok(())
}

/// Waits until a process is stopped, which takes no longer than until its threads leave what they are at.
fn wait_until_stopped(process: u32) -> Result<()> {
    loop {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let state = stat
            .rsplit_once(") ")
            .context("no process has such a state")?;
        match state.1.as_bytes().first() {
            Some(b'T' | b't') => return Ok(()),
            Some(b'Z') | None => bail!("the process has ended"),
            Some(_) => std::thread::yield_now(),
        }
    }
}

/// Abuse 18.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_through_its_lock_writes_no_more() -> Result<()> {
    let ground = Ground::new().await?;
    let data = ground.place("data");
    let vault = Vault::create(&data)?;
    vault.remember(&ground.account)?;
    let locks = vault.repository_path(&ground.account.id).join("locks");
    let pid = Arc::new(AtomicU32::new(0));
    let (stopped, wait) = tokio::sync::oneshot::channel();
    let mut stopped = Some(stopped);
    let process = Arc::clone(&pid);
    // Its answer keeps the worker waiting, so that it is stopped in the middle of its work, while it has a lock.
    ground.on_exchange(move |exchange| {
        let pid = process.load(Ordering::SeqCst);
        let has_lock = fs::read_dir(&locks).is_ok_and(|mut locks| locks.next().is_some());
        if pid != 0 && has_lock && exchange.path.ends_with("/$value") && stopped.is_some() {
            let outcome = send("-STOP", pid).and_then(|()| wait_until_stopped(pid));
            if let Some(stopped) = stopped.take() {
                let _ = stopped.send(outcome);
            }
        }
    });
    let mut command = program().command(&[], &ground.errand(&data, Deed::Backup))?;
    let child = command.spawn()?;
    pid.store(child.id(), Ordering::SeqCst);
    wait.await.context("the worker was never stopped")??;

    ground.go_ahead(ASLEEP)?;
    let other = Local {
        vault: &vault,
        clock: &ground.clock,
        instance: "other",
    };
    let repository = engine::open::existing(other, &ground.account).await?;
    repository.prune(ANY_AGE, |_| {}).await?;
    let before = repository.snapshots().await?.len();
    send("-CONT", child.id())?;
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "it went on");
    ensure!(said.contains("lock"), "{said}");
    ensure!(repository.snapshots().await?.len() == before, "it wrote");
    let truth = Truth {
        before: judge::held(&ground, &vault).await?,
        now: Arc::new(ground.source()?),
        kept: Some(judge::newest(&ground, &vault).await?),
        asks_restic: true,
    };
    judge::backup(&ground, &data, &truth).await
}

/// Abuse 17: the slower of two finds that the account and its repository are there, or gives up; the faster one's password stays what it was.
#[tokio::test(flavor = "multi_thread")]
async fn two_that_make_one_repository_end_with_one() -> Result<()> {
    if !can_trace() {
        return Ok(());
    }
    let ground = Ground::new().await?;
    for (name, call) in [
        ("folder", "mkdir"),
        ("record", "fsync"),
        ("rename", "rename"),
    ] {
        let data = ground.place(name);
        let vault = Vault::create(&data)?;
        let errand = ground.errand(&data, Deed::Backup);
        let log = ground.place(&format!("{name}.log"));
        let words = [
            "strace",
            "-f",
            "-o",
            log.to_str().context("the path is no Unicode")?,
            "-e",
            &format!("trace={call}"),
            "-e",
            &format!("inject={call}:signal=SIGSTOP:when=1"),
            "--",
        ];
        let mut slower = program().command(&words, &errand)?;
        let slower = slower.stdin(Stdio::null()).spawn()?;
        let stopped = loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let stop = text
                .lines()
                .find(|line| line.contains("stopped by SIGSTOP"));
            match stop.and_then(|line| line.split_whitespace().next()?.parse().ok()) {
                Some(thread) => break thread,
                None => std::thread::yield_now(),
            }
        };
        let faster = program().run(&errand).context("the faster one")?;
        ensure!(faster.complete, "{faster:?}");
        let password = vault.password(&ground.account.id)?;
        send("-CONT", stopped)?;
        let output = tokio::task::spawn_blocking(move || slower.wait_with_output()).await??;
        let slower = worker::answer(&output);
        ensure!(
            vault.password(&ground.account.id)? == password,
            "{call}: the account has another secret: {slower:?}"
        );
        if let Ok(answer) = slower {
            ensure!(answer.complete, "{call}: {answer:?}");
        }
        let truth = Truth {
            before: judge::held(&ground, &vault).await?,
            now: Arc::new(ground.source()?),
            kept: None,
            asks_restic: true,
        };
        judge::backup(&ground, &data, &truth).await.context(call)?;
    }
    Ok(())
}
