//! Whether the process lives, and whether it can do its work, for whatever starts and watches it. Nothing more is told.

use axum::http::StatusCode;

use crate::State;

/// It answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The database answers and the data folder is there.
pub(crate) async fn ready(state: State) -> (StatusCode, &'static str) {
    match state.service().ready().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(error = error.text(), "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }
}
