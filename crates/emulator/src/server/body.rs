//! The body of an answer, which may end too early on purpose.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::Cut;
use crate::{clock, fault::Wire, throttle::Permit};

/// The body; gives the permit back before its last bytes leave, so that a client that has them all may send its next request at once.
pub(super) struct AnswerBody {
    bytes: Bytes,
    permit: Option<Permit>,
    end: End,
    drip: Option<Drip>,
}

/// Sends one byte after each wait.
struct Drip {
    every: Duration,
    wait: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Drip {
    fn new(every: Duration) -> Self {
        Self {
            every,
            wait: Box::pin(clock::wait(every)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    /// Cut after what is left, once the connection had a moment to send it.
    Cut {
        flushed: bool,
    },
    Silence,
}

impl AnswerBody {
    pub(super) fn new(mut bytes: Bytes, wire: Wire, permit: Option<Permit>) -> Self {
        let end = match wire.truncate {
            None => End::Complete,
            Some(length) => {
                bytes.truncate(length);
                if wire.stall {
                    End::Silence
                } else {
                    End::Cut { flushed: false }
                }
            }
        };
        // Nobody asks an empty body for its frames.
        let permit = permit.filter(|_| !bytes.is_empty() || end == End::Silence);
        let drip = (wire.drip_ms > 0).then(|| Drip::new(Duration::from_millis(wire.drip_ms)));
        Self {
            bytes,
            permit,
            end,
            drip,
        }
    }

    /// The next bytes: all, or one when its time has come.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let Some(drip) = &mut self.drip else {
            return Poll::Ready(std::mem::take(&mut self.bytes));
        };
        ready!(drip.wait.as_mut().poll(cx));
        *drip = Drip::new(drip.every);
        Poll::Ready(self.bytes.split_to(1))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if !self.bytes.is_empty() {
            let bytes = ready!(self.next(cx));
            if self.bytes.is_empty() && self.end != End::Silence {
                self.permit = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.end {
            End::Complete => Poll::Ready(None),
            End::Cut { flushed: true } => Poll::Ready(Some(Err(Cut))),
            End::Cut { flushed: false } => {
                // Being asked again means that the connection has written what it had.
                self.end = End::Cut { flushed: true };
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Silence => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.end == End::Complete && self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.end == End::Complete {
            SizeHint::with_exact(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
        } else {
            SizeHint::default()
        }
    }
}
