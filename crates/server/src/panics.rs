//! Our own code that panics over a request answers it, as any other mistake of ours, instead of closing the connection without a word. What it panicked
//! with goes where panics go, and not into the answer. Whoever streams an answer and panics in the midst of it still breaks it off.

use std::panic::AssertUnwindSafe;

use axum::{extract::Request, middleware::Next, response::Response};
use futures_util::FutureExt;

use crate::Problem;

#[derive(Debug, thiserror::Error)]
#[error("our own code panicked over it")]
struct Panicked;

/// A layer. What handlers share is behind locks that bear a panic, so nothing half-made is met afterwards.
pub(crate) async fn answered(request: Request, next: Next) -> Result<Response, Problem> {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.map_err(|_| Problem::internal(Panicked))
}
