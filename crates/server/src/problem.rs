//! What a handler answers when it cannot do what was asked: a status, and words that say what to do next.
//!
//! The one table from kinds of errors to statuses. What belongs to others is not there (404), never forbidden. Causes go to the log, which says no
//! more than the errors do: nothing personal.

use std::{error::Error as StdError, sync::Arc};

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};

use crate::page;

/// Why something could not be done.
#[derive(Clone, Debug)]
pub enum Problem {
    /// There is no such thing here, or it is somebody else's.
    NotFound,
    /// There is no token, or none that is valid.
    Unauthorized,
    /// The role does not allow it.
    Forbidden,
    /// The address takes another method.
    AnotherMethod,
    /// The address takes a body of another type.
    AnotherType,
    /// The console is at this origin, and at no other.
    Elsewhere(String),
    /// What was sent cannot be; the words say why.
    Invalid(String),
    /// It is there already, or has changed meanwhile; the words say what.
    Conflict(String),
    /// Too often; try again after so many seconds.
    TooOften(u64),
    /// Something that is needed does not answer: try again later.
    Unavailable(Arc<dyn StdError + Send + Sync>),
    /// A mistake of ours.
    Internal(Arc<dyn StdError + Send + Sync>),
}

impl Problem {
    /// A mistake of ours, with its cause.
    pub(crate) fn internal(cause: impl StdError + Send + Sync + 'static) -> Self {
        Self::Internal(Arc::new(cause))
    }

    /// Status, title and text.
    pub(crate) fn told(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Not found",
                "There is nothing here, or it belongs to another organization.".to_owned(),
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "Not signed in",
                "Send an API token that is valid, as `Authorization: Bearer kw_…`. Tokens are made in the console's settings."
                    .to_owned(),
            ),
            Self::AnotherMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Another method",
                "The address does not take this method.".to_owned(),
            ),
            Self::AnotherType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Another type",
                "This address takes JSON, sent as `Content-Type: application/json`.".to_owned(),
            ),
            Self::Elsewhere(origin) => (
                StatusCode::MISDIRECTED_REQUEST,
                "Another address",
                format!("The console is at {origin} and at no other address."),
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Not allowed",
                "Your role does not allow this. Ask an administrator of your organization."
                    .to_owned(),
            ),
            Self::Invalid(what) => (StatusCode::UNPROCESSABLE_ENTITY, "Not possible", what.clone()),
            Self::Conflict(what) => (StatusCode::CONFLICT, "Not possible", what.clone()),
            Self::TooOften(seconds) => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too often",
                format!("Wait {seconds} seconds, then try again."),
            ),
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available now",
                "Something that Keepwell needs does not answer. Backups are safe. Try again in a minute."
                    .to_owned(),
            ),
            Self::Internal(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong",
                "Keepwell made a mistake, and noted it in its log. Backups are safe. Try again."
                    .to_owned(),
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        match &self {
            Self::Internal(cause) => tracing::error!(cause = %chain(&**cause), "a request failed"),
            Self::Unavailable(cause) => {
                tracing::warn!(cause = %chain(&**cause), "a request could not be served");
            }
            _ => {}
        }
        let (status, title, text) = self.told();
        let mut response = (status, page::notice(title, &text)).into_response();
        match &self {
            Self::TooOften(seconds) => {
                let seconds = *seconds;
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            Self::Unauthorized => {
                let scheme = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        // For programs, who are told the same as JSON.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<catalog::Error> for Problem {
    fn from(error: catalog::Error) -> Self {
        match error.kind() {
            catalog::Kind::NotFound => Self::NotFound,
            catalog::Kind::Conflict => Self::Conflict(sentence(&error)),
            catalog::Kind::Invalid => Self::Invalid(sentence(&error)),
            catalog::Kind::Unavailable => Self::Unavailable(Arc::new(error)),
            catalog::Kind::Corrupt => Self::internal(error),
        }
    }
}

impl From<service::Error> for Problem {
    fn from(error: service::Error) -> Self {
        match error.kind() {
            service::Kind::NotFound => Self::NotFound,
            service::Kind::Conflict | service::Kind::Disconnected => {
                Self::Conflict(sentence(&error))
            }
            service::Kind::Invalid => Self::Invalid(sentence(&error)),
            service::Kind::Unavailable => Self::Unavailable(Arc::new(error)),
            service::Kind::Corrupt => Self::internal(error),
        }
    }
}

/// What is in a restore point could not be read.
impl From<workload::Error> for Problem {
    fn from(error: workload::Error) -> Self {
        match error.kind() {
            workload::Kind::NotFound => Self::NotFound,
            _ => Self::internal(error),
        }
    }
}

/// An error's message as a sentence.
pub(crate) fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
