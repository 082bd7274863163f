//! The whole product under kills, faults and shortage: what tests within one process cannot show.
//!
//! A [`Ground`] is an emulated tenant and what is known of its mailboxes. An [`Errand`] is one operation of the product, done by a [`worker`]: a
//! process of its own that knows the emulator only by its address and that can be killed, starved and suspended. A [`kills`] run kills workers at every
//! boundary that [`strace`] counts, and [`judge`] says what must hold afterwards. `docs/trials.md` tells how to run all this and what it shows.

pub mod drift;
pub mod errand;
pub mod folder;
pub mod ground;
pub mod harm;
pub mod judge;
pub mod kills;
pub mod mailbox;
pub mod soak;
pub mod strace;
pub mod worker;

pub use errand::{Deed, Errand};
pub use ground::Ground;
