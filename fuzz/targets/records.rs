//! See `workload::fuzzing::records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| workload::fuzzing::records(input));
