//! What keeps a repository small and whole: snapshots are forgotten, what they alone needed is deleted, damage is repaired.
//!
//! Everything here may run beside readers, and beside writers who hold a shared lock, ours or restic's. What a crash leaves at any point is a
//! repository that passes every check, and the next run finishes the work. See `docs/format/repository.md` for the order.

mod census;
mod doomed;
mod forget;
mod plan;
mod prune;
mod reindex;
mod repair;
mod rewrite;

pub(crate) use doomed::Doomed;
pub use forget::Forgotten;
pub use prune::{PruneOptions, PruneReport};
pub use repair::{RepairOptions, RepairReport};
