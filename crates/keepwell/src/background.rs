//! Threads of its own for what a server does when nobody waits for it: backups, and what is due. Where the system can, they stand back when the
//! threads that answer people want the processor.

use std::{future::Future, io};

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::commands::end;

/// How far they stand back behind the thread that starts them: one that serves a page gets nine times the processor time of one of these when both want
/// it, and one of these that has it for itself works as fast as ever.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// Nothing stands back further.
#[cfg(target_os = "linux")]
const NICE_MAX: i32 = 19;

/// The threads; they end when it is dropped.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    pub(crate) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder
            .enable_all()
            .thread_name("background")
            .on_thread_start(standing_back())
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// What becomes of some work on these threads.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> anyhow::Result<T> {
        let runtime = self.0.as_ref().context("the threads have ended")?;
        runtime
            .spawn(work)
            .await
            .context("the work was given up: report this to whoever makes Keepwell")?
    }

    /// Ends them as [`end`] does.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let Some(runtime) = self.0.take() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || end(runtime)).await?;
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a thread does first: where the system knows priorities of threads, it lowers its own. Elsewhere that would be the whole process's.
fn standing_back() -> impl Fn() + Send + Sync + 'static {
    #[cfg(target_os = "linux")]
    let lowered = rustix::process::getpriority_process(None).map(|own| (own + NICE).min(NICE_MAX));
    move || {
        #[cfg(target_os = "linux")]
        if let Err(error) =
            lowered.and_then(|lowered| rustix::process::setpriority_process(None, lowered))
        {
            tracing::debug!(error = %error, "a thread's priority could not be lowered");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn its_threads_stand_back_and_no_other() -> anyhow::Result<()> {
        let own = || rustix::process::getpriority_process(None);
        let before = own()?;
        let runtime = Runtime::new()?;
        let inside = runtime.block_on(async {
            let background = Background::start()?;
            let inside = background.run(async move {
                let blocking = tokio::task::spawn_blocking(own).await??;
                Ok([own()?, blocking])
            });
            let inside = inside.await?;
            background.end().await?;
            anyhow::Ok(inside)
        })?;
        let lowest = (before + NICE).min(NICE_MAX);
        assert_eq!(inside, [lowest, lowest]);
        assert_eq!(own()?, before);
        Ok(())
    }
}
