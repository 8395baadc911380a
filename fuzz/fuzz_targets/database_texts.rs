#![no_main]

use std::sync::LazyLock;
use strongroom_testkit::hostile::{database_texts, prepare_databases};
use strongroom_testkit::server::TestServer;

static SERVER: LazyLock<TestServer> = LazyLock::new(|| {
    let server = TestServer::start(strongroom_backends::all());
    prepare_databases(&server);
    server
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| database_texts(&SERVER, bytes));
