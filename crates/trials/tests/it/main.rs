//! Trials in small: a seeded sample of the kill matrix, and what a process meets when the machine runs short.

mod kills;
mod support;
