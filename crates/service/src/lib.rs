//! What a running service does around the engine: keys, connections, tasks, discovery, runs and jobs under leases, a worker, a scheduler, recovery.
//!
//! [`Service`] is the one way in. It serves no HTTP, has no SQL text, and does not ask who may do what: its callers do, who also note in the audit
//! who did it. What belongs to an organization is named together with it, and what is another's is not found.
//!
//! Where to start reading: `service` has what all parts share, `worker` and `job` do the work, `schedule` begins it.

mod account_secrets;
mod connections;
mod error;
mod job;
mod organizations;
mod permissions;
mod points;
mod recover;
mod restoring;
mod runs;
mod schedule;
mod service;
mod settings;
mod tally;
mod tasks;
mod worker;

pub use connections::{Checked, Credential, NewCredential};
pub use error::{Error, Kind, Result};
pub use organizations::NewFirstUser;
pub use permissions::{Permission, needed};
pub use points::RestorePoint;
pub use recover::Recovered;
pub use runs::{JobReport, RestoreOrder, Selection, Which};
pub use service::{Change, Pace, Service, Settings};
pub use settings::{Retention, Schedule, SettingsError, TaskSettings};
pub use tally::Tally;
pub use tasks::Discovery;
