//! The service with an emulated tenant, on SQLite and on PostgreSQL.

mod connections;
mod isolation;
mod journey;
mod outages;
mod recover;
mod schedule;
mod stage;
mod workers;
