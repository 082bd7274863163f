//! The control plane: organizations, users, sessions, API tokens, connections, tasks, accounts, runs, jobs, failures and the audit, in SQL.
//!
//! It is who, what and when; the backed-up data and the truth about it lie in the repositories, so that a lost database loses nothing that
//! cannot be rebuilt. One SQL text serves SQLite and PostgreSQL; the few fragments that differ are in `dialect`.
//!
//! What an organization owns is reached through [`Catalog::organization`] alone: the [`Organization`] that it returns puts its id into every
//! statement, and nothing of another organization can be named through it. What workers and the scheduler do for all of them is on [`Catalog`] itself.
//!
//! There is no time, no randomness but that of new ids, and no key here: who calls says what time it is, and hands in what is sealed already.

mod accounts;
mod api_tokens;
mod audit;
mod backlog;
mod connections;
mod database;
mod dialect;
mod error;
mod failures;
mod fold;
mod ids;
mod invitations;
mod jobs;
mod organizations;
mod page;
mod restored;
mod runs;
mod sessions;
mod statement;
mod tasks;
mod time;
mod users;
mod words;

pub use accounts::{
    Account, AccountCounts, AccountFilter, AccountSort, AccountTotals, Discovered, LastResult,
    Status, StatusChange,
};
pub use api_tokens::{ApiToken, NewApiToken};
pub use audit::{AuditEntry, AuditFilter, ChainCheck, NewAudit};
pub use backlog::Backlog;
pub use connections::{Connection, CredentialKind, Health, NewConnection};
pub use database::Catalog;
pub use error::{Error, Kind, Result};
pub use failures::{Failure, ItemReport};
pub use ids::{
    AccountKey, ApiTokenId, ConnectionId, FailureId, JobId, OrganizationId, RunId, TaskId, UserId,
};
pub use jobs::{
    Claim, Finished, Job, JobKind, JobResult, JobState, Lease, Left, NewJob, Progress, Wanted,
};
pub use organizations::{NewOrganization, Organization, OrganizationRow};
pub use page::{Direction, Page, PageToken};
pub use restored::{Became, RestoredCount, RestoredItem};
pub use runs::{DayTotals, Once, Run, RunCause, RunTotals};
pub use sessions::{NewSession, Session};
pub use tasks::{NewTask, Task};
pub use users::{NewUser, Role, User};
