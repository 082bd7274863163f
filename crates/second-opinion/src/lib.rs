//! A second opinion on our repositories: rustic_core, which shares no code with restic or with us, checks and reads what we wrote.
//!
//! There is nothing here but tests; the crate keeps that heavy dependency away from all others.
