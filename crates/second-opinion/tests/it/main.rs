//! The integration tests of this crate, as one program.

mod agreement;
mod judge;
mod ours;
