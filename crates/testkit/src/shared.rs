//! Reference data that lies beside the project: mail corpora, Microsoft's metadata and documented examples.
//!
//! It is read by tests and never copied into the project.

use std::path::PathBuf;

use crate::surroundings;

/// Names the folder with the reference data; the default is `../shared`, seen from the workspace's root.
const SHARED_VARIABLE: &str = "KEEPWELL_SHARED";

/// Finds a file or folder of the reference data, such as `corpora/mail`.
///
/// When it is absent the caller should return: on a person's machine this prints one line and gives `None`. Panics under `CI=true`.
#[must_use]
pub fn path(relative: &str) -> Option<PathBuf> {
    let root = surroundings::variable(SHARED_VARIABLE)
        .unwrap_or_else(|| surroundings::workspace().join("../shared"));
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    surroundings::pass_over(&format!(
        "{} is absent; {SHARED_VARIABLE} names the folder with the reference data",
        path.display()
    ));
    None
}
