//! How this process calls itself in the locks that it leaves in repositories, so that the next one knows those of a run that was killed.
//!
//! The name is the same for all processes that can see each other's process numbers, and for no others: a lock of this name whose process is gone
//! is dead. It is a hash, because what it is made from names the computer.

use std::fs;

use sha2::{Digest, Sha256};

/// What tells computers apart, and the containers on one: neither has to be there.
const MARKS: [&str; 3] = [
    "/etc/machine-id",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/random/boot_id",
];
/// What process numbers mean, as a link.
const PROCESSES: &str = "/proc/self/ns/pid";

/// The name.
pub(crate) fn name() -> String {
    let Ok(processes) = fs::read_link(PROCESSES) else {
        // Nobody else is called like this, so a lock that is left counts until it is stale.
        return format!("keepwell-{}", std::process::id());
    };
    let mut hash = Sha256::new();
    for mark in MARKS {
        hash.update(fs::read(mark).unwrap_or_default());
        hash.update([0]);
    }
    hash.update(processes.as_os_str().as_encoded_bytes());
    let hash: String = hash.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("keepwell-{hash}")
}
