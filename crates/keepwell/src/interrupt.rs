//! Ends work in order when somebody wants the process to end: Ctrl-C, and on Unix SIGTERM (abuse 67).

use std::time::Duration;

use anyhow::{Context, bail};
use model::SystemClock;

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
    let clock = SystemClock::shared();
    tokio::select! {
        () = repository::unlocked() => {}
        () = clock.sleep(LOCKS_WAIT_MAX) => {}
    }
    bail!("it was interrupted: what was finished by then stands, and nothing is locked")
}
