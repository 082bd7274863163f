//! See `workload::fuzzing::items`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| workload::fuzzing::items(input));
