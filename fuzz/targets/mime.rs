//! See `workload::fuzzing::compose` and `emulator::fuzzing::letter`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    workload::fuzzing::compose(input);
    emulator::fuzzing::letter(input);
});
