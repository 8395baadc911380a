#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(strongroom_http::json_limits::check(bytes)));
