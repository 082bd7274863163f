//! What the next page says at its top: that something was done.

use axum::response::Response;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::cookies;

/// A bar at the top of the next page. It travels in a cookie, which nobody but this host can set, so it is not signed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Flash {
    /// `ok`, `warn`, `bad` or `info`.
    pub(crate) class: String,
    pub(crate) icon: String,
    pub(crate) text: String,
    /// By which it can be taken back.
    #[serde(default)]
    pub(crate) undo: Option<String>,
}

impl Flash {
    /// It was done.
    pub(crate) fn ok(text: impl Into<String>) -> Self {
        Self::new("ok", "check", text)
    }

    /// It was not done, and nothing is broken.
    pub(crate) fn warn(text: impl Into<String>) -> Self {
        Self::new("warn", "alert", text)
    }

    fn new(class: &str, icon: &str, text: impl Into<String>) -> Self {
        Self {
            class: class.to_owned(),
            icon: icon.to_owned(),
            text: text.into(),
            undo: None,
        }
    }

    /// It can be taken back, by this id.
    pub(crate) fn with_undo(self, id: String) -> Self {
        Self {
            undo: Some(id),
            ..self
        }
    }

    /// Reads it from its cookie.
    pub(crate) fn read(cookie: &str) -> Option<Self> {
        let json = BASE64URL_NOPAD.decode(cookie.as_bytes()).ok()?;
        let flash: Self = serde_json::from_slice(&json).ok()?;
        matches!(flash.class.as_str(), "ok" | "warn" | "bad" | "info").then_some(flash)
    }

    /// Lets the page after this answer say it.
    pub(crate) fn after(&self, mut response: Response) -> Response {
        if let Ok(json) = serde_json::to_vec(self) {
            cookies::set_flash(response.headers_mut(), &BASE64URL_NOPAD.encode(&json));
        }
        response
    }
}
