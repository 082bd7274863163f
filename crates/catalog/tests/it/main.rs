//! The catalog on both of its databases: every test runs on SQLite and on PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "both databases run the same asynchronous closures, in which a panic says the line and an error would not"
)]

mod accounts;
mod audit;
mod interleaved;
mod isolation;
mod jobs;
mod people;
mod schema;
mod stage;
