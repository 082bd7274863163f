//! Whole backups of an emulated tenant, judged by the emulator's own state and by stock restic.

mod backup;
mod changes;
mod content;
mod faults;
mod governor;
mod interrupted;
mod moods;
mod moving;
mod opening;
mod poison;
mod quiet;
mod reconciliation;
mod regressions;
mod repair;
mod restore;
mod retention;
mod stage;
mod tools;
mod vault;
mod weather;
