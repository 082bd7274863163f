//! End to end against the emulator.
