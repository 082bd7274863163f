//! A stateful Microsoft Entra ID and Microsoft Graph, for development, demonstrations and tests.
//!
//! It keeps a tenant in memory (users, applications, mailboxes) and answers as Microsoft's services do: writes change what reads and deltas return, a
//! missing permission is refused with Microsoft's code, and an unknown route or query option gets Microsoft's error, never an invented
//! success. It can throttle by the documented limits and break by rule. It shares no type with the rest of the workspace, so that one misreading of
//! Microsoft's documents cannot hide on both sides.
//!
//! Reading order: [`Emulator`] starts it; [`Route`] is one row of the table of what is served; a handler takes a [`Call`] and gives a
//! [`Reply`] or a [`GraphError`]; [`Tenant`] is the state.

mod emulator;

mod clock;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod graph_error;

mod call;
mod odata;
mod permissions;
mod reply;
mod route;
mod tenant;

mod batch;
mod coverage;
mod doors;
mod entra;
mod fault;
mod gateway;
mod server;
mod stats;
mod throttle;

mod directory;

mod mail;
mod world;

pub use call::{Call, Effects, Preferences, Query};
pub use clock::{Clock, ManualClock, SystemClock};
pub use coverage::{BEYOND_THE_MAP, coverage, routes};
pub use emulator::{Account, Emulator, Registered, Registration, Running, Settings};
pub use error::{Error, ErrorKind};
pub use fault::{FaultBody, FaultRule};
pub use graph_error::GraphError;
pub use mail::{FolderKey, FolderView, MailBehaviour, Mailbox, MessageKey, MessageView};
pub use permissions::permissions;
pub use reply::{Body, Reply};
pub use route::{Access, Handler, Route, Service};
pub use stats::{Exchange, Observer, Stats};
pub use tenant::{
    App, Behaviour, Certificate, DirectoryRole, PermissionGrant, Purpose, Redirects, Requirement,
    RoleAssignment, Secret, ServicePrincipal, SharedMailbox, Tenant, User,
};
pub use world::{Churn, Event, Happening, World};
