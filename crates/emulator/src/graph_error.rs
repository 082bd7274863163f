//! Errors in Microsoft Graph's words: a status, a code that programs compare, a message for people.
//!
//! `innerError` (date, request ids) is added by the server when the error is sent, so that handlers need not know the request's ids.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

/// An error answer of Microsoft Graph.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct GraphError {
    /// The HTTP status.
    pub status: StatusCode,
    /// `error.code`.
    pub code: Cow<'static, str>,
    /// `error.message`.
    pub message: Cow<'static, str>,
    /// `error.innerError.code`, where Microsoft sends one.
    pub inner_code: Option<Cow<'static, str>>,
    /// Headers beside those that every answer has, for example `Retry-After`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl GraphError {
    /// Any error; prefer one of the named ones below.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            inner_code: None,
            headers: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds `innerError.code`.
    #[must_use]
    pub fn with_inner_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.inner_code = Some(code.into());
        self
    }

    /// The JSON body.
    #[must_use]
    pub fn body(&self, now: Timestamp, request_id: &str, client_request_id: &str) -> Value {
        let mut inner = json!({
            "date": now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": request_id,
            "client-request-id": client_request_id,
        });
        if let Some(code) = &self.inner_code {
            inner["code"] = json!(code);
        }
        json!({"error": {"code": self.code, "message": self.message, "innerError": inner}})
    }
}

/// The errors that any service gives.
impl GraphError {
    /// 400 `BadRequest`.
    #[must_use]
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 400 `BadRequest` for a path with a segment that no template has.
    #[must_use]
    pub fn unknown_segment(segment: &str) -> Self {
        Self::bad_request(format!("Resource not found for the segment '{segment}'."))
    }

    /// 400 `BadRequest` for a query option that the route does not take.
    #[must_use]
    pub fn unknown_query_option(name: &str) -> Self {
        Self::bad_request(format!("The query parameter '{name}' is not supported."))
    }

    /// 405 for a method that the resource does not take.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
        )
    }

    /// 401 `InvalidAuthenticationToken`; the server adds `WWW-Authenticate`.
    #[must_use]
    pub fn invalid_token(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            message,
        )
    }

    /// 401 `InvalidAudienceForResource`: an upload URL has a token of its own, and another one beside it is refused, as people met it with
    /// Microsoft's SDKs (reported for msgraph-sdk-java in 2020 and 2023).
    pub(crate) fn invalid_audience() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAudienceForResource",
            "The audience claim value is invalid for current resource. Audience claim is 'https://graph.microsoft.com/', request url is 'https://outlook.office.com' and resource type is 'Exchange'.",
        )
    }

    /// 413 for a body over the limit.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BadRequest",
            "The maximum request length supported is 4MB.",
        )
    }

    /// 429 with `Retry-After` in whole seconds.
    #[must_use]
    pub fn throttled(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        retry_after_s: u64,
    ) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    /// 404 `ResourceNotFound`.
    #[must_use]
    pub fn resource_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFound",
            "Resource could not be discovered.",
        )
    }

    /// 500, when the emulator contradicts itself.
    #[must_use]
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            message,
        )
    }
}

/// The directory's errors.
impl GraphError {
    /// 404 `Request_ResourceNotFound`, for an unknown user and the like.
    #[must_use]
    pub fn directory_not_found(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Request_ResourceNotFound",
            format!(
                "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
            ),
        )
    }

    /// 403 `Authorization_RequestDenied`.
    #[must_use]
    pub fn directory_denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    }

    /// 400 `Request_BadRequest`, for a body that the directory does not take.
    #[must_use]
    pub fn directory_bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    /// 409 `Request_MultipleObjectsWithSameKeyValue`.
    #[must_use]
    pub fn directory_conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "Request_MultipleObjectsWithSameKeyValue",
            message,
        )
    }

    /// 400 `Request_UnsupportedQuery`.
    #[must_use]
    pub fn unsupported_query(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message)
    }
}

/// Exchange's errors.
impl GraphError {
    /// 404 `ErrorItemNotFound`.
    #[must_use]
    pub fn item_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ErrorItemNotFound",
            "The specified object was not found in the store.",
        )
    }

    /// 400 `ErrorInvalidIdMalformed`.
    #[must_use]
    pub fn malformed_id() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "ErrorInvalidIdMalformed",
            "Id is malformed.",
        )
    }

    /// 404 `ErrorInvalidUser`.
    #[must_use]
    pub fn invalid_user(id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "ErrorInvalidUser",
            format!("The requested user '{id}' is invalid."),
        )
    }

    /// 404 `MailboxNotEnabledForRESTAPI`, for a user without a mailbox.
    #[must_use]
    pub fn no_mailbox() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    }

    /// 403 `ErrorAccessDenied`.
    #[must_use]
    pub fn access_denied() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "ErrorAccessDenied",
            "Access is denied. Check credentials and try again.",
        )
    }

    /// 410 `SyncStateNotFound`: the delta token has expired or is unknown; the container must be listed anew.
    #[must_use]
    pub fn sync_state_not_found() -> Self {
        Self::new(
            StatusCode::GONE,
            "SyncStateNotFound",
            "The sync state generation is not found; the resource must be synchronised again from the start.",
        )
    }

    /// 409 `ErrorFolderExists`.
    #[must_use]
    pub fn folder_exists() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "ErrorFolderExists",
            "A folder with the specified name already exists.",
        )
    }

    /// 400 `ErrorInvalidRequest`.
    #[must_use]
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ErrorInvalidRequest", message)
    }
}
