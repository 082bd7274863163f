//! Keepwell's words as types.
//!
//! What a service, an account, a skip or an item failure *is*, which restore points a [`Retention`] keeps, and the [`Clock`] by which everybody tells the time. It performs no input or
//! output and knows neither Microsoft Graph nor the repository's format; every other crate may depend on it, and it depends on none of them.

mod clock;
mod id;
mod outcome;
mod retention;
mod service;
mod simulated_clock;

pub use clock::{Busy, Clock, SharedClock, Sleep, SystemClock};
pub use id::{AccountId, IdError, ItemId, RestoreId, TenantId};
pub use outcome::{FailureCause, ItemFailure, Skip, SkipCause};
pub use retention::{Age, Holds, NotAnAge, Point, Reason, Retention};
pub use service::Service;
pub use simulated_clock::SimulatedClock;
