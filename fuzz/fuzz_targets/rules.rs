#![no_main]

// The first byte chooses between whole configurations, expressions and filters.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom_testkit::hostile::detect::rules_and_parts(bytes));
