//! A whole answer: nothing here is ever partial.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// A successful answer (2xx), its body complete and decompressed.
#[derive(Clone)]
pub struct Response {
    /// 200 to 299.
    pub status: StatusCode,
    /// As they came, after decompression.
    pub headers: HeaderMap,
    /// The whole body; empty where Microsoft sends none (202, 204).
    pub body: Bytes,
}

impl Response {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `BadAnswer` when it is not what `T` expects.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::bad_answer("the answer is not the JSON expected").because(error)
        })
    }

    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
