//! See `graph::fuzzing::answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| graph::fuzzing::answer(input));
