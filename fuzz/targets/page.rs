//! See `graph::fuzzing::page`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| graph::fuzzing::page(input));
