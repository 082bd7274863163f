//! What is secret in the control plane: keys, the chain in which one wraps the next, and single values sealed for the row that they belong to.
//!
//! The server's key wraps each organization's, that wraps each task's, and that wraps what belongs to one account. Every sealed value names the
//! [`Place`] where it is kept and opens nowhere else, so that a row's secret cannot be moved to another row. There is no input or output here:
//! who holds the server's key in which file is the program's affair, and what the repositories' passwords are made of is the engine's.

mod key;
mod kit;
mod seal;
mod server_key;

pub use key::Key;
pub use kit::{EmergencyKit, KitError};
pub use seal::{Place, SealError, Sealed};
pub use server_key::{ServerKey, ServerKeyError};
