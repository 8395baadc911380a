#![no_main]

use std::sync::LazyLock;
use strongroom_testkit::hostile::{CONVERSATIONS, database_answers, prepare_databases};
use strongroom_testkit::server::TestServer;

static SERVER: LazyLock<TestServer> = LazyLock::new(|| {
    let server = TestServer::start(strongroom_backends::all());
    prepare_databases(&server);
    server
});

// The first byte picks the protocol.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((pick, bytes)) = bytes.split_first() else { return };
    let (plugin, _) = CONVERSATIONS[usize::from(*pick) % CONVERSATIONS.len()];
    database_answers(&SERVER, plugin, bytes);
});
