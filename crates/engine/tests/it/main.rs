//! Whole backups of an emulated tenant, judged by the emulator's own state and by stock restic.

mod backup;
mod changes;
mod faults;
mod interrupted;
mod opening;
mod regressions;
mod restore;
mod retention;
mod stage;
mod vault;
mod weather;
