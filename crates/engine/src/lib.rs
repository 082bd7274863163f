//! What Keepwell does, as operations: find accounts, back them up, verify, restore, forget, repair.
//!
//! An operation takes what it works on and a clock, and answers with what happened; items that failed are data in the answer. The engine knows
//! where keys and repositories lie ([`Vault`]), which snapshot a run starts from, and when a snapshot is committed. It speaks no HTTP of its own
//! and knows no format: those are [`graph`]'s, [`workload`]'s and [`repository`]'s.

pub mod backup;
pub mod discovery;
mod error;
mod head;
pub mod maintain;
pub mod open;

pub mod repair;
pub mod restore;
pub mod snapshots;
mod vault;
pub mod verify;

pub use error::{Error, Kind, Result};
pub use vault::{Account, Vault};
