//! Users with names and passwords, as their clients see them.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Answer, TestServer};

const PASSWORD: &str = "not-a-real-password";

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    let mounted = server.root().write("sys/auth/userpass", json!({"type": "userpass"}));
    assert_eq!(mounted.status, 204, "{mounted:?}");
    server
}

#[track_caller]
fn make(server: &TestServer, name: &str, more: Value) {
    let mut body = json!({ "password": PASSWORD });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let made = server.root().write(&format!("auth/userpass/users/{name}"), body);
    assert_eq!(made.status, 204, "{made:?}");
}

fn login(server: &TestServer, name: &str, password: &str) -> Answer {
    server.session(None).write(&format!("auth/userpass/login/{name}"), json!({ "password": password }))
}

#[test]
fn a_user_logs_in() {
    let server = server();
    make(&server, "Bob", json!({"policies": "not_root"}));
    let answer = login(&server, "bob", PASSWORD);
    let auth = &answer.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "not_root"]));
    assert_eq!(auth["metadata"], json!({"username": "bob"}));
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(2_764_800), &json!(true)));
    let looked_up = server.session(Some(&answer.token())).read("auth/token/lookup-self");
    assert_eq!(looked_up.data()["display_name"], "userpass-bob");
    assert_eq!(login(&server, "BOB", PASSWORD).body["auth"]["metadata"]["username"], "bob");
}

#[test]
fn old_names_of_parameters_are_taken() {
    let server = server();
    make(&server, "bob", json!({"policies": "not_root", "ttl": "10s", "max_ttl": "1h"}));
    assert_eq!(login(&server, "bob", PASSWORD).body["auth"]["lease_duration"], 10);
    let read = server.root().read("auth/userpass/users/bob");
    assert_eq!(read.data()["token_ttl"], 10);
    assert_eq!(read.data()["token_max_ttl"], 3600);
    assert_eq!(read.data()["token_policies"], json!(["not_root"]));
    assert_eq!(read.data()["token_type"], "default");
    assert!(!read.body.to_string().contains("hash"), "{read:?}");
}

#[test]
fn a_wrong_name_and_a_wrong_password_get_the_same_answer() {
    let server = server();
    make(&server, "bob", json!({}));
    let refused = (400, "invalid username or password".to_owned());
    assert_eq!(login(&server, "bob", "wrong").refusal(), refused);
    assert_eq!(login(&server, "nobody", "wrong").refusal(), refused);
    assert_eq!(login(&server, "bob", "").refusal(), (400, "missing password".into()));
    assert_eq!(login(&server, "nobody", "").refusal(), (400, "missing password".into()));
}

#[test]
fn a_user_is_locked_after_failed_logins() {
    let server = server();
    make(&server, "bob", json!({}));
    for name in ["bob", "BOB", "Bob", "bOB", "boB"] {
        assert_eq!(login(&server, name, "wrong").status, 400);
    }
    assert_eq!(login(&server, "bob", PASSWORD).status, 403);
    server.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(login(&server, "bob", PASSWORD).status, 200);
}

#[test]
fn users_are_listed_changed_and_removed() {
    let server = server();
    let root = server.root();
    assert_eq!(root.list("auth/userpass/users").refusal(), (404, String::new()));
    make(&server, "bob", json!({}));
    make(&server, "alice", json!({}));
    assert_eq!(root.list("auth/userpass/users").data(), &json!({"keys": ["alice", "bob"]}));
    // The password stays when other things change.
    assert_eq!(root.write("auth/userpass/users/bob", json!({"token_policies": ["a", "b"]})).status, 204);
    assert_eq!(login(&server, "bob", PASSWORD).body["auth"]["policies"], json!(["a", "b", "default"]));
    let changed = root.write("auth/userpass/users/bob/password", json!({"password": "another-fake-one"}));
    assert_eq!(changed.status, 204, "{changed:?}");
    assert_eq!(login(&server, "bob", PASSWORD).status, 400);
    assert_eq!(login(&server, "bob", "another-fake-one").status, 200);
    root.write("auth/userpass/users/bob/policies", json!({"policies": "c", "token_ttl": "1s"}));
    let read = root.read("auth/userpass/users/bob");
    assert_eq!((&read.data()["token_policies"], &read.data()["token_ttl"]), (&json!(["c"]), &json!(0)));
    assert_eq!(root.delete("auth/userpass/users/bob").status, 204);
    assert_eq!(root.read("auth/userpass/users/bob").refusal(), (404, String::new()));
    assert_eq!(login(&server, "bob", "another-fake-one").status, 400);
}

#[test]
fn a_hash_is_taken_in_place_of_a_password() {
    let server = server();
    let root = server.root();
    let hash = "$2b$04$q/8zcpWcnliFNmYdl8XHUeer2HFEODJdD6k8o6ncSnrxmaA3fd9i2";
    assert_eq!(root.write("auth/userpass/users/bob", json!({ "password_hash": hash })).status, 204);
    assert_eq!(login(&server, "bob", "correct horse battery staple").status, 200);
    assert_eq!(login(&server, "bob", "wrong").status, 400);
    let both = root.write("auth/userpass/users/bob", json!({"password_hash": hash, "password": "x"}));
    assert_eq!(both.refusal(), (400, "give one of password and password_hash, not both".into()));
    assert_eq!(root.write("auth/userpass/users/eve", json!({"password_hash": "plain"})).status, 400);
}

#[test]
fn what_is_wrong_with_a_user_is_said() {
    let server = server();
    let root = server.root();
    let refused = |body: Value| root.write("auth/userpass/users/bob", body).refusal();
    assert_eq!(refused(json!({})), (400, "missing password".into()));
    assert_eq!(refused(json!({"password": {"a": 1}})).0, 400);
    assert_eq!(refused(json!({"password": "x", "token_policies": "root"})).0, 400);
    assert_eq!(refused(json!({"password": "x", "token_policies": " ROOT "})).0, 400);
    assert_eq!(refused(json!({"password": "x", "token_ttl": "soon"})).0, 400);
    assert_eq!(refused(json!({"password": "x", "token_bound_cidrs": "300.0.0.1"})).0, 400);
    assert_eq!(refused(json!({"password": "x", "token_ttl": "2h", "token_max_ttl": "1h"})).0, 400);
    let nobody = root.write("auth/userpass/users/nobody/password", json!({"password": "x"})).refusal();
    assert_eq!(nobody, (400, "username does not exist".into()));
    assert_eq!(root.list("auth/userpass/users").status, 404);
    // Refusals of an administrator's writes lock nobody out.
    make(&server, "bob", json!({}));
    assert_eq!(login(&server, "bob", PASSWORD).status, 200);
}

#[test]
fn logins_are_bound_to_networks() {
    let server = server();
    make(&server, "bob", json!({"token_bound_cidrs": "10.0.0.0/8"}));
    assert_eq!(login(&server, "bob", PASSWORD).status, 403);
    let inside = server.session(None).from_address("10.1.2.3");
    let answer = inside.write("auth/userpass/login/bob", json!({ "password": PASSWORD }));
    let token = answer.token();
    assert_eq!(server.session(Some(&token)).read("auth/token/lookup-self").status, 403);
    let inside = server.session(Some(&token)).from_address("10.9.9.9");
    assert_eq!(inside.read("auth/token/lookup-self").status, 200);
}

#[test]
fn tokens_can_be_bound_to_the_address_that_logged_in() {
    let server = server();
    make(&server, "bob", json!({"token_strictly_bind_ip": true}));
    let token = login(&server, "bob", PASSWORD).token();
    assert_eq!(server.session(Some(&token)).read("auth/token/lookup-self").status, 200);
    let elsewhere = server.session(Some(&token)).from_address("127.0.0.2");
    assert_eq!(elsewhere.read("auth/token/lookup-self").status, 403);
}

#[test]
fn a_token_is_not_renewed_when_its_user_changed() {
    let server = server();
    make(&server, "bob", json!({"token_policies": "a", "token_ttl": "1h"}));
    let token = login(&server, "bob", PASSWORD).token();
    let renew = || server.session(Some(&token)).write("auth/token/renew-self", json!({}));
    let renewed = renew();
    assert_eq!(renewed.status, 200, "{renewed:?}");
    server.root().write("auth/userpass/users/bob", json!({"token_policies": "b"}));
    assert_eq!(renew().refusal().0, 400);
    server.root().delete("auth/userpass/users/bob");
    assert_eq!(renew().refusal().0, 400);
}
