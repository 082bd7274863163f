//! A client of Microsoft Entra ID and Microsoft Graph.
//!
//! One pipeline carries every request: a token that is fresh ([`Credential`]), a [`Governor`] that keeps to Microsoft's limits for the mailbox
//! or directory it concerns ([`Scope`]), retries that know which request may be repeated ([`Repeat`]), and HTTP that never accepts a short
//! answer. On top of it are listings ([`Pages`]), `$batch` and upload sessions. Records stay the bytes that Microsoft sent (`RawValue`).
//!
//! It knows nothing of backup, keeps no state beyond the process, and follows no link to a foreign host. All waiting goes through
//! [`model::Clock`]; dropping a future cancels what it was doing. Nothing it logs or reports carries an address, an id, a query or a token.

mod batch;
mod client;
mod cloud;
mod counters;
mod credential;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod governor;
mod label;
mod link;
mod page;
mod person;
mod random;
mod request;
mod response;
mod retry;
mod sink;
mod token;
mod transport;
mod upload;

pub use batch::BATCH_MAX;
pub use client::{Client, EXCHANGES_MAX, IDLE_TIMEOUT, Options, USER_AGENT};
pub use cloud::Cloud;
pub use counters::Counters;
pub use credential::Credential;
pub use error::{Error, Kind, Result, SignIn};
pub use governor::{Governor, Limits, Scope, WaitCause, Waiting};
pub use link::Link;
pub use page::{PAGES_MAX, Page, Pages};
pub use person::{Person, SignIns, Walk, admin_consent};
pub use request::{Repeat, Request, segment};
pub use response::Response;
pub use sink::{Sink, SinkClosed, SinkFuture};
pub use upload::{Content, UPLOAD_CHUNK_BYTES};
