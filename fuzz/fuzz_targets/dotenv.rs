#![no_main]

#[path = "../../crates/formats/tests/hostile_dotenv/check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check(bytes));
