//! Ends work in order when somebody wants the process to end: Ctrl-C, and on Unix SIGTERM (abuse 67).

use std::time::Duration;

use anyhow::{Context, bail};
use model::{Clock, SystemClock};
use tokio_util::sync::CancellationToken;

/// Whoever asked a process to end kills it after some ten seconds, so the locks have this long to disappear.
const LOCKS_WAIT_MAX: Duration = Duration::from_secs(6);

/// Listens for Ctrl-C, and on Unix for whoever ends processes in order, from the moment it is called.
pub(crate) fn listen() -> std::io::Result<impl Future<Output = std::io::Result<()>>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        })
    }
    #[cfg(not(unix))]
    Ok(tokio::signal::ctrl_c())
}

/// Waits for `end`, what [`listen`] gave, and then stops what hears of `stop`; or until that has stopped by itself.
///
/// # Errors
/// When the signal cannot be awaited.
pub(crate) async fn told_or_stopped(
    end: impl Future<Output = std::io::Result<()>>,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    tokio::select! {
        ended = end => {
            stop.cancel();
            ended
        }
        () = stop.cancelled() => Ok(()),
    }
}

/// Works until it is done or the process is to end. Then the work is dropped where it is, which harms no repository, and its locks are removed.
///
/// # Errors
/// What `work` gives, and that it was interrupted.
pub(crate) async fn unless_interrupted<T>(
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let end = listen().context("the signal to stop could not be awaited")?;
    let mut work = Box::pin(work);
    tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        ended = end => ended.context("the signal to stop could not be awaited")?,
    }
    drop(work);
    locks_are_gone(&*SystemClock::shared()).await;
    bail!("it was interrupted: what was finished by then stands, and nothing is locked")
}

/// Waits until the locks of work that was dropped are removed; not for a storage that hangs.
async fn locks_are_gone(clock: &dyn Clock) {
    tokio::select! {
        () = repository::unlocked() => {}
        () = clock.sleep(LOCKS_WAIT_MAX) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use model::SimulatedClock;
    use repository::{Options, Repository, SnapshotMeta, Storage};
    use tempfile::TempDir;
    use testkit::store::{Deed, Watched};

    use super::*;

    /// Abuse 67. One thread hangs.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_storage_that_hangs_does_not_keep_the_process() -> anyhow::Result<()> {
        let folder = TempDir::new()?;
        let (goes_on, hangs) = mpsc::channel::<()>();
        let storage = Storage::local(folder.path())?.map(|disk| {
            let watched = Watched::new(disk);
            watched.before(Deed::Delete, "locks", move || {
                hangs.recv().ok();
            });
            watched
        });
        let options = Options {
            clock: SystemClock::shared(),
            instance: "test".to_owned(),
            cache: None,
        };
        let repository = Repository::init(storage, "password", options).await?;
        let mut draft = repository.draft(None).await?;
        draft.make_dir("a").await?;
        let meta = SnapshotMeta {
            time: "2026-11-23T10:00:00Z".parse()?,
            hostname: String::new(),
            username: String::new(),
            tags: Vec::new(),
            paths: Vec::new(),
        };
        draft
            .checkpoint(meta)
            .await?
            .context("it has a directory")?;
        drop(draft);
        let clock = SimulatedClock::new("2026-11-23T10:00:00Z".parse()?);
        let ended = tokio::time::timeout(Duration::from_secs(60), locks_are_gone(&clock)).await;
        drop(goes_on);
        ended.context("it waits for the storage")?;
        let waited = clock.elapsed();
        anyhow::ensure!(
            waited < Duration::from_secs(10),
            "whoever asks kills then: {waited:?}"
        );
        Ok(())
    }
}
