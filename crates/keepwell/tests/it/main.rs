//! The program as a stranger runs it: arguments in, exit status and two streams out, and stock restic as the judge of what it leaves on disk.
//!
//! Nothing of the program's inside is used, but for the JSON that it prints, and in `recover` and `workers` for the service that the program is to bring back or work for.

mod damage;
mod demo;
mod emulator;
mod errors;
mod help;
mod mail;
mod maintenance;
mod recover;
mod repositories;
mod run;
mod secrets;
mod serve;
mod tls;
#[cfg(unix)]
mod workers;
