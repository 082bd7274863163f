//! Trials in small: a seeded sample of the kill matrix, and what a process meets when the machine runs short.

mod damage;
mod deletions;
mod faults;
mod fencing;
mod kills;
mod shortage;
mod support;
