//! See `repository::fuzzing::index_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| repository::fuzzing::index_file(input));
