//! The kernel's own routes, without any engine.

use serde_json::json;
use strongroom_testkit::server::TestServer;

#[test]
fn a_cubbyhole_is_read_back() {
    let server = TestServer::start(Vec::new());
    assert_eq!(server.root().write("cubbyhole/a/b", json!({"k": "v"})).status, 204);
    assert_eq!(server.root().read("cubbyhole/a/b").data(), &json!({"k": "v"}));
    assert_eq!(server.root().list("cubbyhole").data(), &json!({"keys": ["a/"]}));
    assert_eq!(server.session(None).read("cubbyhole/a/b").status, 403);
    assert_eq!(server.session(Some("hvs.not-a-real-token")).read("cubbyhole/a/b").status, 403);
    server.kernel.seal();
    assert_eq!(server.root().read("cubbyhole/a/b").status, 503);
    server.unseal();
    assert_eq!(server.root().read("cubbyhole/a/b").data(), &json!({"k": "v"}));
}
