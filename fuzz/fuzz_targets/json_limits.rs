#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = strongroom_http::json_limits::check(bytes);
});
