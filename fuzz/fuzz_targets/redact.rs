#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom_testkit::hostile::detect::redact(bytes));
