//! Upload sessions: a large content in ranges, to an address that authenticates itself, taken up again wherever the service stands.
//!
//! It does not create the session. The address is never given a token (survival 23, 24).

use std::{io, ops::Range};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::CONTENT_RANGE};
use serde::Deserialize;

use crate::{
    client::{Client, Load},
    error::{Error, Kind, Result},
    governor::{Scope, WaitCause},
    link::Link,
    request::{Repeat, Request},
    response::Response,
    retry::{Budget, Reason},
};

/// Bytes in one range: twelve times the 320 KiB of which OneDrive wants multiples, and below the 4 MB that Outlook takes at most.
pub const UPLOAD_CHUNK_BYTES: usize = 12 * 320 * 1024;

/// Times in a row that the service may stand where it stood before.
const SETBACKS_MAX: u32 = 5;

/// What is uploaded: its ranges are asked for in order, each when it is its turn, and some of them again.
pub trait Content: Sync {
    /// How long it is, in bytes.
    fn size_bytes(&self) -> u64;

    /// The bytes of a range within it, of [`UPLOAD_CHUNK_BYTES`] at most. An error ends the upload.
    fn read(&self, range: Range<u64>) -> impl Future<Output = io::Result<Bytes>> + Send;
}

/// Content that is in memory.
impl Content for Bytes {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        Ok(self.slice(range.start as usize..range.end as usize))
    }
}

enum Progress {
    /// The item exists.
    Done(Response),
    /// Bytes from here on are wanted.
    Expects(u64),
}

impl Client {
    /// Uploads the whole content and gives the answer that says the item is made: 201, or 200 with the item.
    ///
    /// # Errors
    /// `NotFound` when the session has ended before all was sent: make another. `OutcomeUnknown` when it ended and all had been sent: look.
    /// `Invalid` for content that is empty or cannot be read. Else as [`Client::send`].
    pub async fn upload(
        &self,
        scope: &Scope,
        upload_url: &Link,
        content: impl Content,
    ) -> Result<Response> {
        let size = content.size_bytes();
        if size == 0 {
            return Err(Error::invalid("an upload session takes no empty content"));
        }
        let mut offset = 0;
        let mut budget = Budget::default();
        let mut setbacks = 0;
        loop {
            let end = size.min(offset + UPLOAD_CHUNK_BYTES as u64);
            let part = content.read(offset..end).await.map_err(Error::unreadable)?;
            let progress = match self
                .put_range(scope, upload_url, part, offset..end, size)
                .await
            {
                Err(error) if may_resume(&error) => {
                    let Some(wait) = self.spend(&mut budget, Reason::Transient) else {
                        return Err(error);
                    };
                    self.lane(scope).pause(WaitCause::Failure, wait).await;
                    self.wire().meter.readings().retries += 1;
                    self.ask(scope, upload_url, end == size).await?
                }
                other => other?,
            };
            let expected = match progress {
                Progress::Done(response) if end == size => return Ok(response),
                Progress::Done(_) => return Err(Error::bad_answer("an upload ended too early")),
                Progress::Expects(expected) => expected,
            };
            if expected > size {
                return Err(Error::bad_answer("an upload expects more than there is"));
            }
            if expected > offset {
                setbacks = 0;
                budget = Budget::default();
            } else {
                setbacks += 1;
            }
            if setbacks > SETBACKS_MAX || expected == size {
                return Err(Error::new(Kind::OutcomeUnknown, "an upload does not end"));
            }
            offset = expected;
        }
    }

    async fn put_range(
        &self,
        scope: &Scope,
        upload_url: &Link,
        part: Bytes,
        range: Range<u64>,
        size: u64,
    ) -> Result<Progress> {
        let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        let header = HeaderValue::from_str(&text)
            .map_err(|error| Error::invalid("a range is no header value").because(error))?;
        let load = Load {
            width: 1,
            requests: 1,
            upload_bytes: part.len() as u64,
        };
        let request = Request::upload(Method::PUT, upload_url)
            .header(CONTENT_RANGE, header)
            .body(part, HeaderValue::from_static("application/octet-stream"))
            .repeat(Repeat::IfRefused);
        self.run(scope, &request, load, read).await
    }

    /// Where the service stands.
    async fn ask(&self, scope: &Scope, upload_url: &Link, all_sent: bool) -> Result<Progress> {
        let load = Load {
            width: 1,
            requests: 1,
            upload_bytes: 0,
        };
        let request = Request::upload(Method::GET, upload_url);
        self.run(scope, &request, load, read)
            .await
            .map_err(|error| match error.status() {
                Some(404 | 410) if all_sent => error.with_kind(Kind::OutcomeUnknown),
                Some(404 | 410) => error.with_kind(Kind::NotFound),
                _ => error,
            })
    }
}

/// Whether the service should be asked where it stands: a lost or failed answer, or a range that it has already (416).
fn may_resume(error: &Error) -> bool {
    error.kind() == Kind::OutcomeUnknown
        || error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE.as_u16())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    next_expected_ranges: Option<Vec<String>>,
    id: Option<serde_json::Value>,
}

/// 201 is the end; OneDrive says "go on" by 202, Outlook by 200, both with the ranges that they expect.
fn read(response: Response) -> Result<Progress> {
    if response.status == StatusCode::CREATED {
        return Ok(Progress::Done(response));
    }
    let session: Session = response.json()?;
    let first = session
        .next_expected_ranges
        .as_deref()
        .and_then(|ranges| ranges.first());
    match first {
        Some(range) => {
            let start = range
                .split('-')
                .next()
                .and_then(|start| start.trim().parse().ok());
            start
                .map(Progress::Expects)
                .ok_or_else(|| Error::bad_answer("an upload expects what is no range"))
        }
        None if session.id.is_some() && session.next_expected_ranges.is_none() => {
            Ok(Progress::Done(response))
        }
        None => Err(Error::bad_answer(
            "an upload says neither what it expects nor that it is done",
        )),
    }
}
