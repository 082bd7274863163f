//! Where the tests run: environment variables, the workspace's folder, and what to do when something is missing.
//!
//! The only place of this crate that reads the environment.

use std::path::{Path, PathBuf};

/// The value of an environment variable, if it is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but the environment"
)]
pub(crate) fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Those of the named variables that are set, for a program that is to see nothing else.
pub(crate) fn kept<'a>(names: &[&'a str]) -> Vec<(&'a str, PathBuf)> {
    let value = |name| variable(name).map(|value| (name, value));
    names.iter().copied().filter_map(value).collect()
}

/// The workspace's root, as it was when this crate was compiled.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two folders below the workspace's root")
}

/// Whether this is a run of continuous integration, where nothing may be passed over.
pub(crate) fn is_ci() -> bool {
    variable("CI").is_some_and(|value| value == Path::new("true"))
}

/// Passes over what needs `what`: with a line on a person's machine, with a panic under continuous integration.
#[expect(
    clippy::print_stderr,
    reason = "a test that checks nothing has to say so"
)]
pub fn pass_over(what: &str) {
    assert!(!is_ci(), "under CI=true nothing is passed over: {what}");
    eprintln!("passed over: {what}");
}
