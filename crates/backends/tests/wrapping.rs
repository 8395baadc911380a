//! Response wrapping.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Answer, TestServer};

fn wrap(server: &TestServer, value: Value) -> Answer {
    let wrapped = server.root().wrapping(Duration::from_secs(60)).write("sys/wrapping/wrap", value);
    assert_eq!(wrapped.status, 200, "{wrapped:?}");
    wrapped
}

fn token(answer: &Answer) -> String {
    answer.body["wrap_info"]["token"].as_str().unwrap().to_owned()
}

const GONE: &str = "wrapping token is not valid or does not exist";

#[test]
fn values_are_taken_once() {
    let server = TestServer::start(Vec::new());
    for value in [json!({"test": "test"}), json!({})] {
        let wrapped = wrap(&server, value.clone());
        assert_eq!(wrapped.body["wrap_info"]["ttl"], 60);
        assert_eq!(wrapped.body["wrap_info"]["creation_path"], "sys/wrapping/wrap");
        let wrapping = token(&wrapped);
        let found = server.root().write("sys/wrapping/lookup", json!({ "token": wrapping }));
        assert_eq!(
            (&found.data()["creation_ttl"], &found.data()["creation_path"]),
            (&json!(60), &json!("sys/wrapping/wrap"))
        );
        assert_eq!(server.root().write("sys/wrapping/unwrap", json!({ "token": wrapping })).data(), &value);
        assert_eq!(
            server.root().write("sys/wrapping/unwrap", json!({ "token": wrapping })).refusal(),
            (400, GONE.into())
        );
        assert_eq!(
            server.root().write("sys/wrapping/lookup", json!({ "token": wrapping })).refusal(),
            (400, GONE.into())
        );
    }
}

#[test]
fn the_wrapping_token_itself_may_ask() {
    let server = TestServer::start(Vec::new());
    let wrapping = token(&wrap(&server, json!({"k": "v"})));
    let own = server.session(Some(&wrapping));
    // It is good for nothing else; a try does it no harm where it may not even be looked at.
    assert_eq!(own.write("sys/wrapping/unwrap", json!({})).data(), &json!({"k": "v"}));
    assert_eq!(own.write("sys/wrapping/unwrap", json!({})).refusal(), (400, GONE.into()));
}

#[test]
fn a_token_is_wrapped_with_its_accessor() {
    let server = TestServer::start(Vec::new());
    let wrapped =
        server.root().wrapping(Duration::from_secs(900)).write("auth/token/create", json!({"period": "30m"}));
    let accessor = wrapped.body["wrap_info"]["wrapped_accessor"].clone();
    let moved = server.root().write("sys/wrapping/rewrap", json!({ "token": token(&wrapped) }));
    assert_eq!(moved.body["wrap_info"]["wrapped_accessor"], accessor);
    assert_eq!(moved.body["wrap_info"]["ttl"], 900);
    assert_eq!(
        server.root().write("sys/wrapping/unwrap", json!({ "token": token(&wrapped) })).refusal().0,
        400
    );
    // What was wrapped may be revoked before it is taken.
    assert_eq!(
        server.root().write("auth/token/revoke-accessor", json!({ "accessor": accessor })).status,
        204
    );
    let taken = server.root().write("sys/wrapping/unwrap", json!({ "token": token(&moved) }));
    assert_eq!(taken.body["auth"]["accessor"], accessor);
    assert_eq!(server.root().write("auth/token/lookup", json!({ "token": taken.token() })).refusal().0, 403);
}

#[test]
fn the_old_way_of_unwrapping() {
    let server = TestServer::start(Vec::new());
    let wrapping = token(&wrap(&server, json!({"k": "v"})));
    let own = server.session(Some(&wrapping));
    let read = own.read("cubbyhole/response");
    let text = read.data()["response"].as_str().unwrap();
    let inner: Value = serde_json::from_str(text).unwrap();
    assert_eq!(inner["data"], json!({"k": "v"}));
    assert_eq!(own.read("cubbyhole/response").status, 403);
}

#[test]
fn it_ends_in_time_and_needs_a_ttl() {
    let server = TestServer::start(Vec::new());
    assert_eq!(server.root().write("sys/wrapping/wrap", json!({"k": "v"})).status, 400);
    let wrapping = token(&wrap(&server, json!({"k": "v"})));
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(
        server.root().write("sys/wrapping/unwrap", json!({ "token": wrapping })).refusal(),
        (400, GONE.into())
    );
    assert_eq!(server.session(None).write("sys/wrapping/unwrap", json!({})).status, 403);
    assert_eq!(
        server.root().write("sys/wrapping/unwrap", json!({"token": "not-a-real-token"})).refusal(),
        (400, GONE.into())
    );
}
