//! The client against a scripted server that behaves as badly as the script says, and against the emulator.
//!
//! Waits cost nothing: the client lives on a simulated clock. Tests name the lines of the survival and abuse lists that they cover.

mod batch;
mod clocks;
mod limits;
mod logs;
mod mail;
mod pages;
mod server;
mod throttling;
mod tls;
mod tokens;
mod transport;
mod upload;
