#![no_main]

use strongroom_testkit::hostile::scan;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    scan::baseline(bytes);
    scan::ignore_files(bytes);
});
