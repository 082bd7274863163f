//! The console over real HTTP, as a browser sees it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod browser;
mod content;
mod document;
mod failures;
mod guard;
mod isolation;
mod looks;
mod metrics;
mod pace;
mod panics;
mod restores;
mod sessions;
mod sign_in;
mod sign_up;
mod stage;
mod tokens;
mod users;
mod wizard;
mod zones;
