//! Policies, what they come to, and why.

use serde_json::json;
use std::time::Duration;
use strongroom_testkit::server::TestServer;

const READ_ALL: &str = "path \"cubbyhole/*\" { capabilities = [\"read\"] }";

#[test]
fn policies_are_read_back_as_they_were_written() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    assert_eq!(
        root.read("sys/policy").data(),
        &json!({"keys": ["default", "root"], "policies": ["default", "root"]})
    );
    let old = "\n path \"sys\" {\n policy = \"deny\"\n }\n path \"secret\" { policy = \"write\" }\n ";
    assert_eq!(root.write("sys/policy/Test", json!({"policy": old})).status, 204);
    assert_eq!(root.read("sys/policy/test").data(), &json!({"name": "test", "rules": old}));
    assert_eq!(root.read("sys/policies/acl/test").data(), &json!({"name": "test", "policy": old}));
    assert_eq!(root.list("sys/policies/acl").data(), &json!({"keys": ["default", "test", "root"]}));
    assert_eq!(root.delete("sys/policies/acl/test").status, 204);
    assert_eq!(root.delete("sys/policy/['test']").status, 204);
    assert_eq!(root.read("sys/policies/acl/test").refusal(), (404, String::new()));
    assert_eq!(root.delete("sys/policy/default").status, 400);
    assert_eq!(root.write("sys/policy/root", json!({"policy": READ_ALL})).status, 400);
    assert_eq!(root.write("sys/policy/ROOT", json!({"policy": READ_ALL})).status, 400);
    assert_eq!(root.write("sys/policy/response-wrapping", json!({"policy": READ_ALL})).status, 400);
}

#[test]
fn a_wrong_policy_is_refused_with_the_place() {
    let server = TestServer::start(Vec::new());
    let (status, error) = server
        .root()
        .write("sys/policy/x", json!({"policy": "path \"a\" {\n capabilities = [\"reed\"]\n}"}))
        .refusal();
    assert_eq!(status, 400);
    assert!(error.contains("line 2, column"), "{error}");
    assert_eq!(server.root().write("sys/policy/x", json!({})).status, 400);
}

#[test]
fn writes_can_be_checked_against_the_version() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let write = |extra: serde_json::Value| {
        let mut body = json!({"policy": READ_ALL});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        root.write("sys/policies/acl/p", body).status
    };
    assert_eq!(write(json!({"cas": 3})), 400);
    assert_eq!(write(json!({"cas": -1, "cas_required": true})), 204);
    assert_eq!(write(json!({})), 400);
    assert_eq!(write(json!({"cas": -1})), 400);
    assert_eq!(write(json!({"cas": 1})), 204);
    assert_eq!(root.read("sys/policies/acl/p").data()["version"], 2);
}

#[test]
fn a_policy_ends_at_its_time() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    root.write(
        "sys/policy/p",
        json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }", "ttl": "1h"}),
    );
    root.write("sys/policy/past", json!({"policy": READ_ALL, "expiration": "2001-01-01T00:00:00Z"}));
    assert_eq!(root.read("sys/policies/acl/past").status, 404);
    assert!(root.read("sys/policies/acl/p").data()["expiration"].is_string());
    server.clock.advance(Duration::from_secs(2 * 3600));
    let asked = root.write("sys/internal/explain", json!({"path": "sys/mounts"}));
    assert_eq!(asked.data()["allowed"], true);
}

#[test]
fn capabilities_and_explanations() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let asked = root.write("sys/capabilities-self", json!({"path": "sys/mounts"}));
    assert_eq!(asked.data(), &json!({"capabilities": ["root"], "sys/mounts": ["root"]}));
    let asked = root.write("sys/capabilities", json!({"token": server.root_token, "paths": ["a", "b"]}));
    assert_eq!(asked.data(), &json!({"a": ["root"], "b": ["root"]}));
    assert_eq!(
        root.write("sys/capabilities", json!({"token": "hvs.fake", "paths": "a"})).refusal(),
        (400, "invalid token".into())
    );
    assert_eq!(
        root.write("sys/capabilities-accessor", json!({"accessor": "fake", "paths": "a"})).status,
        400
    );
    assert_eq!(root.write("sys/capabilities-self", json!({})).status, 400);
    let told = root.write("sys/internal/explain", json!({"path": "/v1/sys/mounts/x", "operation": "write"}));
    assert_eq!(told.data()["reason"], "the root policy allows everything");
    assert_eq!(root.write("sys/internal/explain", json!({"path": "x", "operation": "fly"})).status, 400);
}
