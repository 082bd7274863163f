//! What each service's data is: Microsoft Graph's items to files and state, and back.
//!
//! A module for each service. A workload reads a service through [`graph`], decides what changed, and records it in a
//! [`repository::Draft`]: people's data as ordinary files that anybody can open, and beside them, under `.keepwell/`, the state by which the
//! next run knows what it holds. It does not open repositories, choose parents, commit final snapshots or schedule anything: that is the
//! engine's.

mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
pub mod mail;

pub use error::{Error, Kind, Result};
