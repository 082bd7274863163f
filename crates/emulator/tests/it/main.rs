//! The emulator as a client sees it, over HTTP.

mod harness;

mod browser;

mod batch;
mod coverage;
mod directory;
mod doors;
mod entra;
mod entra_apps;
mod entra_codes;
mod entra_consent;
mod entra_device;
mod entra_walk;
mod faults;
mod hostile;
mod mail_attachments;
mod mail_convergence;
mod mail_delta;
mod mail_folders;
mod mail_messages;
mod mail_support;
mod odata;
mod throttle;
mod world;
