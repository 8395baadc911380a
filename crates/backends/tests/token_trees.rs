//! A token with very many under it is revoked: at once for everybody who holds one, in bounded pieces in the store.
#![allow(clippy::unwrap_used, reason = "what fails here shall fail the test")]

use serde_json::json;
use strongroom_kernel::Tidied;
use strongroom_testkit::server::TestServer;

fn child(server: &TestServer, of: &str) -> String {
    server.session(Some(of)).write("auth/token/create", json!({"policies": ["default", "make"]})).token()
}

fn parent(server: &TestServer) -> String {
    let policy = r#"path "auth/token/create" { capabilities = ["update"] }"#;
    assert_eq!(server.root().write("sys/policy/make", json!({"policy": policy})).status, 204);
    server.root().write("auth/token/create", json!({"policies": ["make"], "ttl": "1h"})).token()
}

fn works(server: &TestServer, token: &str) -> bool {
    server.session(Some(token)).read("auth/token/lookup-self").status == 200
}

#[test]
fn a_thousand_children_stop_at_once_and_go_piece_by_piece() {
    let server = TestServer::start(Vec::new());
    let parent = parent(&server);
    let children: Vec<String> = (0..1500).map(|_| child(&server, &parent)).collect();
    let grandchild = child(&server, &children[7]);
    let batch = server
        .session(Some(&children[8]))
        .write("auth/token/create", json!({"policies": ["default"], "type": "batch"}))
        .token();
    let other = server.root().write("auth/token/create", json!({"policies": ["default"]})).token();
    // In the cache by now: what is cached must fall as well.
    for token in [&children[0], &children[1499], &grandchild, &batch, &other] {
        assert!(works(&server, token));
    }
    let count = || server.root().list("auth/token/accessors").data()["keys"].as_array().unwrap().len();
    assert_eq!(count(), 1500 + 4);
    assert_eq!(server.root().write("auth/token/revoke", json!({"token": parent})).status, 204);
    for token in [&parent, &children[0], &children[1499], &grandchild, &batch] {
        assert!(!works(&server, token));
    }
    assert!(works(&server, &other));
    let refused = server.session(Some(&children[5])).write("auth/token/create", json!({}));
    assert_eq!(refused.status, 403);

    // The server goes down in the middle, and goes on.
    assert_eq!(server.kernel.clean_up().unwrap(), Tidied::More);
    let left = server.root().list("auth/token/accessors").data()["keys"].as_array().unwrap().len();
    assert!((500..1100).contains(&left), "{left}");
    let server = server.restarted(|_| ());
    assert!(!works(&server, &children[1499]) && !works(&server, &grandchild) && works(&server, &other));
    while server.kernel.clean_up().unwrap() == Tidied::More {}
    let left = server.root().list("auth/token/accessors").data()["keys"].as_array().unwrap().len();
    assert_eq!(left, 2);
    assert!(works(&server, &other) && works(&server, &server.root_token));
}

#[test]
fn a_deep_line_of_tokens_ends_with_its_first() {
    let server = TestServer::start(Vec::new());
    let first = parent(&server);
    let mut line = vec![first.clone()];
    for _ in 0..300 {
        line.push(child(&server, line.last().unwrap()));
    }
    assert_eq!(server.root().write("auth/token/revoke", json!({"token": first})).status, 204);
    assert!(line.iter().all(|token| !works(&server, token)));
    while server.kernel.clean_up().unwrap() == Tidied::More {}
    assert_eq!(server.root().list("auth/token/accessors").data()["keys"].as_array().unwrap().len(), 1);
}
