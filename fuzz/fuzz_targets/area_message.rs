#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mb_fuzz_targets::area_message(data));
