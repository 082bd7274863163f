//! See `repository::fuzzing::sealed_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| repository::fuzzing::sealed_file(input));
