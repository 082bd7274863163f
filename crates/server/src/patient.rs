//! A way to somebody that is given up when nothing has been taken off it for a while: whoever stops reading holds nothing for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use model::SharedClock;
use tokio::io::AsyncWrite;

/// So long nothing may be taken. A network that is lost for longer ends a browser's download, too.
const PATIENCE: Duration = Duration::from_secs(120);

/// A writer whose writes fail when the reader takes nothing for [`PATIENCE`].
pub(crate) struct Patient<W> {
    writer: W,
    clock: SharedClock,
    /// Runs while the reader takes nothing.
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<W: AsyncWrite + Unpin> Patient<W> {
    pub(crate) fn new(writer: W, clock: SharedClock) -> Self {
        Self {
            writer,
            clock,
            waiting: None,
        }
    }

    /// Does it, or waits for it no longer than the patience lasts.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        act: impl FnOnce(Pin<&mut W>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = act(Pin::new(&mut self.writer), context) {
            self.waiting = None;
            return Poll::Ready(done);
        }
        let clock = &self.clock;
        let waiting = self.waiting.get_or_insert_with(|| {
            let clock = clock.clone();
            Box::pin(async move { clock.sleep(PATIENCE).await })
        });
        ready!(waiting.as_mut().poll(context));
        let why = "nothing was taken for two minutes";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Patient<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, |writer, context| writer.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |writer, context| writer.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, |writer, context| writer.poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    };

    use jiff::Timestamp;
    use model::{Clock, Sleep};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
    };

    use super::*;

    /// A clock that stands until it is moved, and says how many wait.
    #[derive(Debug, Default)]
    struct Still {
        elapsed: Mutex<Duration>,
        moved: Notify,
        sleepers: AtomicU64,
    }

    impl Still {
        fn pass(&self, span: Duration) {
            *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += span;
            self.moved.notify_waiters();
        }
    }

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn elapsed(&self) -> Duration {
            *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn sleep(&self, span: Duration) -> Sleep<'_> {
            let until = self.elapsed() + span;
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                loop {
                    let moved = self.moved.notified();
                    tokio::pin!(moved);
                    moved.as_mut().enable();
                    if self.elapsed() >= until {
                        return;
                    }
                    moved.await;
                }
            })
        }
    }

    /// abuse 98.
    #[tokio::test]
    async fn who_takes_nothing_for_two_minutes_is_given_up() {
        let clock = Arc::new(Still::default());
        let (writer, mut reader) = tokio::io::duplex(4);
        let mut patient = Patient::new(writer, clock.clone());
        let writing = tokio::spawn(async move { patient.write_all(&[7; 12]).await });
        let waiting = async |times: u64| {
            while clock.sleepers.load(Ordering::SeqCst) < times {
                tokio::task::yield_now().await;
            }
        };
        waiting(1).await;
        clock.pass(PATIENCE - Duration::from_secs(1));
        let mut taken = [0; 4];
        reader.read_exact(&mut taken).await.expect("it was written");
        // Whoever takes something has all the time again.
        waiting(2).await;
        clock.pass(PATIENCE - Duration::from_secs(1));
        tokio::task::yield_now().await;
        assert!(!writing.is_finished());
        clock.pass(Duration::from_secs(1));
        let given_up = writing
            .await
            .expect("no panic")
            .expect_err("it is given up");
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }
}
