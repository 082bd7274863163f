//! Tests of the workloads, against the emulator and on real mail.

mod compose;
mod restore;
