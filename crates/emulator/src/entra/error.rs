//! Errors of the login host: an OAuth error, and an `AADSTS` number that tells more. They come as JSON, as a page, or as fields of a redirect.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// An error answer of Entra ID.
#[derive(Clone, Debug)]
pub(crate) struct EntraError {
    pub(crate) status: StatusCode,
    error: &'static str,
    pub(super) number: u32,
    message: String,
    subcode: Option<&'static str>,
}

/// When and under which ids a request came: every error tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) now: Timestamp,
    pub(crate) trace: Uuid,
    pub(crate) correlation: Uuid,
}

impl Stamp {
    fn time(&self) -> String {
        self.now.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
    }
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
            subcode: None,
        }
    }

    /// Adds `error_subcode`, which only a redirect shows.
    pub(super) fn with_subcode(mut self, subcode: &'static str) -> Self {
        self.subcode = Some(subcode);
        self
    }

    /// 400 `invalid_grant`.
    pub(super) fn grant(number: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", number, message)
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

    /// `AADSTS50011: …` with ids and time, on four lines.
    pub(super) fn description(&self, stamp: Stamp) -> String {
        format!(
            "AADSTS{}: {}\r\nTrace ID: {}\r\nCorrelation ID: {}\r\nTimestamp: {}",
            self.number,
            self.message,
            stamp.trace,
            stamp.correlation,
            stamp.time()
        )
    }

    /// The fields of a redirect.
    pub(super) fn fields(&self, stamp: Stamp, origin: &str) -> Vec<(&'static str, String)> {
        let subcode = self
            .subcode
            .map(|subcode| ("error_subcode", subcode.to_owned()));
        let mut fields = vec![
            ("error", self.error.to_owned()),
            ("error_description", self.description(stamp)),
            ("error_uri", format!("{origin}/error?code={}", self.number)),
        ];
        fields.extend(subcode);
        fields
    }

    pub(crate) fn body(&self, stamp: Stamp, origin: &str) -> Value {
        json!({
            "error": self.error,
            "error_description": self.description(stamp),
            "error_codes": [self.number],
            "timestamp": stamp.time(),
            "trace_id": stamp.trace,
            "correlation_id": stamp.correlation,
            "error_uri": format!("{origin}/error?code={}", self.number),
        })
    }
}
