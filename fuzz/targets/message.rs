//! See `workload::fuzzing::message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| workload::fuzzing::message(input));
