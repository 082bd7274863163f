//! See `repository::fuzzing::pack_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| repository::fuzzing::pack_header(input));
