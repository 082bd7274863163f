//! The console: pages over HTTP, the interface to programs, and everything that stands between whoever calls and what an organization owns.
//!
//! Every address is a row of the table in `routes`, which says who may call it; the layers around it (in `guard`) check host, origin, form token,
//! session and role before a handler sees anything. A handler gets at an organization only through [`Signed`], so nobody else's can be named. It
//! extracts, calls one function, and maps the result to a page.
//!
//! What a running service does is not decided here, no SQL is written and no other HTTP is spoken. Pages work without script; names come from
//! tenants and are hostile until a template has escaped them.

mod api;
mod assets;
mod attempts;
mod certificate;
mod checks;
mod cookies;
mod drafts;
mod file_name;
mod flash;
mod guard;
mod headers;
mod health;
mod looks;
mod metrics;
mod pace;
mod page;
mod pages;
mod panics;
mod password;
mod path;
mod patient;
mod peer;
mod problem;
mod routes;
mod serve;
mod session;
mod set_up;
mod slots;
mod spreadsheet;
mod state;
mod token;
mod undo;
mod users;
mod words;
mod zone;

pub use metrics::metrics;
pub use password::hash as hash_password;
pub use problem::Problem;
pub use routes::{RouteInfo, Who, router, routes};
pub use serve::{Tls, TlsError, serve, tls};
pub use session::Signed;
pub use set_up::SetUpCode;
pub use state::{App, Settings, SettingsError, State};
