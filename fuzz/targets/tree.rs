//! See `repository::fuzzing::tree`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| repository::fuzzing::tree(input));
