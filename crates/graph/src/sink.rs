//! Where the body of a large answer goes while it comes in, so that it is never in memory as a whole.

use std::{future::Future, pin::Pin};

use bytes::Bytes;

/// The answer of a [`Sink`]: whether it goes on.
pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SinkClosed>> + Send + 'a>>;

/// Nobody takes the rest: the request fails, and is not repeated.
#[derive(Clone, Copy, Debug)]
pub struct SinkClosed;

/// Takes large bodies in pieces. A request that is repeated begins anew: only what came since the last beginning counts, and only when the
/// request succeeds.
pub trait Sink: Send {
    /// A body begins, large or small.
    fn begin(&mut self);

    /// Takes its next piece, a few megabytes at most.
    fn take(&mut self, piece: Bytes) -> SinkFuture<'_>;
}
