//! Reader and writer of the restic repository format, version 2.
//!
//! A repository holds snapshots of a tree of files: sealed, compressed, each piece of content stored once. What this crate writes is what
//! restic would write, so that restic itself can check, mount, restore and prune it; what restic did to a repository is read like our own
//! work. `docs/format/repository.md` tells the layout and the order of writing.
//!
//! Start with [`Repository`]. Reading goes through a [`View`] of a snapshot's root directory, writing through a [`Draft`], which begins as its
//! parent and is told what has changed: nothing is scanned or compared. The crate knows nothing of what the files mean, and where objects are
//! stored is the business of the `object_store` crate. It deletes nothing unasked but locks and what a failed initialisation left;
//! [`Repository::forget`] and [`Repository::prune`] do, in an order and after a time that leave every other reader and writer unharmed.

mod blob;
mod blob_map;
mod cache;
mod chunker;
#[cfg(test)]
mod codec_tests;
mod compression;
mod config;
mod crypto;
mod draft;
mod error;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod id;
mod index;
mod index_file;
mod key;
mod key_ring;
mod lock;
mod maintain;
pub mod name;
mod pack;
mod path;
mod polynomial;
mod process;
mod repository;
mod sealed_file;
mod snapshot;
mod stats;
mod storage;
mod tree;
mod tree_cache;
mod verify;
mod view;

#[doc(hidden)]
pub use blob_map::measure_index_memory;
pub use cache::forget_summaries;
pub use draft::{BlobWriter, Content, Draft, File};
pub use error::{Error, Kind, Problem, Result, Subject};
pub use id::{BlobId, NotAnId, ObjectId, RepositoryId, SnapshotId};
pub use key_ring::KeyRing;
pub use lock::unlocked;
pub use maintain::{Forgotten, PruneOptions, PruneReport, RepairOptions, RepairReport};
pub use repository::{Options, Repository};
pub use snapshot::{Snapshot, SnapshotMeta};
pub use stats::Stats;
pub use storage::{ObjectKind, Storage};
pub use tree::{Node, NodeKind};
pub use verify::{Damage, Progress, VerifyReport};
pub use view::{View, Walk, Walked};
