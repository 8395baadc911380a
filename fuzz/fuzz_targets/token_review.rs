#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom_backends::hostile::token_review(bytes));
