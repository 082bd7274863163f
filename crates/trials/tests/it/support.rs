//! What the trials here have in common.

use testkit::pass_over;
use trials::{strace, worker::Worker};

/// This crate's program, which workers are made of.
pub(crate) fn worker() -> Worker {
    Worker::at(env!("CARGO_BIN_EXE_trials"))
}

/// Whether workers can be traced; otherwise it is said that the test is passed over.
pub(crate) fn can_trace() -> bool {
    let can = strace::is_there();
    if !can {
        pass_over("strace is missing or may not trace; install it, or run `cargo xtask tools`");
    }
    can
}
