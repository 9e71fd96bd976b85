#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| frazil_fuzz::scenario::run(data));
