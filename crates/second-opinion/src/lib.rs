//! A second opinion on our repositories: rustic_core, another implementation of restic's format, checks and reads what we wrote.
//!
//! It was written in Rust by others after restic's description, so it errs elsewhere than restic or we do; only the cipher's and the compressor's
//! crates are the same as ours, and those restic judges. There is nothing here but tests; the crate keeps that heavy dependency away from all
//! others, and the folder is read by an adapter of our own, because rustic's would bring all its cloud storages.
