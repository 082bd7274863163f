//! Errors of the login host, in its JSON shape: an OAuth error, and an `AADSTS` number that tells more.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// An error answer of Entra ID.
#[derive(Clone, Debug)]
pub(crate) struct EntraError {
    pub(crate) status: StatusCode,
    error: &'static str,
    number: u32,
    message: String,
}

impl EntraError {
    pub(crate) fn new(
        status: StatusCode,
        error: &'static str,
        number: u32,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error,
            number,
            message: message.into(),
        }
    }

    /// 400 `invalid_request`.
    pub(super) fn request(number: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", number, message)
    }

    /// 401 `invalid_client`.
    pub(super) fn client(number: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", number, message)
    }

    /// 400 `unauthorized_client`.
    pub(super) fn unauthorized(number: u32, message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            number,
            message,
        )
    }

    /// The body that a fault rule asks for by number.
    pub(crate) fn injected(status: StatusCode, number: u32) -> Self {
        let (error, message) = match number {
            90_033 => (
                "temporarily_unavailable",
                "A transient error has occurred. Please try again.",
            ),
            7_000_215 => ("invalid_client", "Invalid client secret provided."),
            7_000_222 => (
                "invalid_client",
                "The provided client secret keys are expired.",
            ),
            700_016 => (
                "unauthorized_client",
                "Application was not found in the directory.",
            ),
            _ => ("invalid_request", "The request failed."),
        };
        Self::new(status, error, number, message)
    }

    pub(crate) fn body(
        &self,
        now: Timestamp,
        trace: Uuid,
        correlation: Uuid,
        origin: &str,
    ) -> Value {
        let stamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}",
                self.number, self.message
            ),
            "error_codes": [self.number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{origin}/error?code={}", self.number),
        })
    }
}
