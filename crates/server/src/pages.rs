//! One module for each page, named as in the navigation.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod connection;
pub(crate) mod download;
pub(crate) mod failures;
pub(crate) mod health;
pub(crate) mod home;
pub(crate) mod join;
pub(crate) mod message;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod search;
pub(crate) mod settings;
pub(crate) mod sign_in;
pub(crate) mod sign_up;
pub(crate) mod strip;
pub(crate) mod task;
pub(crate) mod tokens;
pub(crate) mod undo;
pub(crate) mod users;
pub(crate) mod wizard;
