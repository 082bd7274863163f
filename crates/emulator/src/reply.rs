//! What a handler answers when it succeeds. The server adds the headers that every answer has (request ids, `OData-Version`, `Date`).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

/// A successful answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: StatusCode,
    /// Headers beside those that every answer has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Body,
    /// Preferences that were honoured, as they stand in `Preference-Applied`, beside `IdType`, which the server adds.
    pub applied: Vec<String>,
}

/// The body of a [`Reply`].
#[derive(Clone, Debug)]
pub enum Body {
    /// No content and no content type.
    Empty,
    /// JSON with Microsoft's content type.
    Json(Value),
    /// Bytes with this content type.
    Bytes(Bytes, &'static str),
}

impl Reply {
    /// An answer with any status.
    #[must_use]
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            applied: Vec::new(),
        }
    }

    /// 200 with JSON.
    #[must_use]
    pub fn json(value: Value) -> Self {
        Self::new(StatusCode::OK, Body::Json(value))
    }

    /// 201 with JSON.
    #[must_use]
    pub fn created(value: Value) -> Self {
        Self::new(StatusCode::CREATED, Body::Json(value))
    }

    /// 202 without a body.
    #[must_use]
    pub fn accepted() -> Self {
        Self::new(StatusCode::ACCEPTED, Body::Empty)
    }

    /// 204.
    #[must_use]
    pub fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, Body::Empty)
    }

    /// 200 with bytes.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>, content_type: &'static str) -> Self {
        Self::new(StatusCode::OK, Body::Bytes(bytes.into(), content_type))
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Notes a preference that was honoured, for example `odata.maxpagesize=50`.
    #[must_use]
    pub fn with_applied(mut self, preference: impl Into<String>) -> Self {
        self.applied.push(preference.into());
        self
    }
}
