//! `auth/token/`: what the holder of a token may do with it and with others.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Answer, TestServer};

fn server() -> TestServer {
    TestServer::start(Vec::new())
}

fn make(server: &TestServer, by: &str, body: Value) -> Answer {
    server.session(Some(by)).write("auth/token/create", body)
}

fn auth(answer: &Answer) -> &Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    &answer.body["auth"]
}

fn lookup<'a>(answer: &'a Answer, names: &[&str]) -> Vec<&'a Value> {
    names.iter().map(|name| &answer.data()[*name]).collect()
}

#[test]
fn a_root_token_makes_one_that_ends() {
    let server = server();
    let made = make(&server, &server.root_token, json!({"ttl": "1h", "display_name": "token"}));
    assert_eq!(auth(&made)["policies"], json!(["root"]));
    assert_eq!(auth(&made)["lease_duration"], 3600);
    assert_eq!((&auth(&made)["renewable"], &auth(&made)["orphan"]), (&json!(true), &json!(false)));
    let token = made.token();
    let found = server.root().write("auth/token/lookup", json!({"token": token}));
    assert_eq!(
        lookup(
            &found,
            &["id", "display_name", "path", "ttl", "creation_ttl", "type", "meta", "explicit_max_ttl"]
        ),
        [
            &json!(token),
            &json!("token-token"),
            &json!("auth/token/create"),
            &json!(3600),
            &json!(3600),
            &json!("service"),
            &Value::Null,
            &json!(0)
        ]
    );
    server.clock.advance(Duration::from_secs(1800));
    let own = server.session(Some(&token));
    assert_eq!(own.read("auth/token/lookup-self").data()["ttl"], 1800);
    let renewed = own.write("auth/token/renew-self", json!({}));
    assert_eq!(auth(&renewed)["lease_duration"], 3600);
    assert_eq!(auth(&renewed)["client_token"], json!(token));
    server.clock.advance(Duration::from_secs(3599));
    assert_eq!(own.read("auth/token/lookup-self").status, 200);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(own.read("auth/token/lookup-self").status, 403);
    let gone = server.root().write("auth/token/lookup", json!({"token": token}));
    assert_eq!(gone.refusal(), (403, "bad token".into()));
}

#[test]
fn accessors_find_and_revoke() {
    let server = server();
    let made = make(&server, &server.root_token, json!({"ttl": "1h"}));
    let accessor = auth(&made)["accessor"].clone();
    let root = server.root();
    let found = root.write("auth/token/lookup-accessor", json!({"accessor": accessor}));
    assert_eq!((&found.data()["id"], &found.data()["accessor"]), (&json!(""), &accessor));
    let keys = root.list("auth/token/accessors");
    assert_eq!(keys.data()["keys"].as_array().unwrap().len(), 2);
    assert_eq!(root.write("auth/token/revoke-accessor", json!({"accessor": accessor})).status, 204);
    let gone = root.write("auth/token/lookup-accessor", json!({"accessor": accessor}));
    assert_eq!(gone.refusal(), (400, "1 error occurred:\n\t* invalid accessor\n\n".into()));
    assert_eq!(server.session(Some(&made.token())).read("auth/token/lookup-self").status, 403);
}

#[test]
fn revocation_takes_the_children_along_unless_they_are_orphaned() {
    let server = server();
    let policies = json!({"policies": ["default"], "ttl": "1h"});
    let parent = make(&server, &server.root_token, json!({"ttl": "2h"})).token();
    let child = make(&server, &parent, json!({"ttl": "1h"})).token();
    let grandchild = make(&server, &child, policies).token();
    let alive = |token: &str| server.session(Some(token)).read("auth/token/lookup-self").status == 200;
    assert!(alive(&grandchild));
    let root = server.root();
    assert_eq!(root.write("auth/token/revoke-orphan", json!({"token": parent})).status, 204);
    assert_eq!((alive(&parent), alive(&child), alive(&grandchild)), (false, true, true));
    assert_eq!(server.session(Some(&child)).read("auth/token/lookup-self").data()["orphan"], true);
    assert_eq!(server.session(Some(&child)).write("auth/token/revoke-self", json!({})).status, 204);
    assert_eq!((alive(&child), alive(&grandchild)), (false, false));
    assert_eq!(root.write("auth/token/revoke", json!({"token": child})).status, 204);
}

#[test]
fn an_ordinary_token_gives_no_more_than_it_has() {
    let server = server();
    let root = server.root();
    let role = json!({"allowed_policies": "minter", "orphan": true});
    assert_eq!(root.write("auth/token/roles/minter", role).status, 204);
    let plain = make(&server, &server.root_token, json!({"policies": ["minter"]}));
    assert_eq!(auth(&plain)["policies"], json!(["default", "minter"]));
    assert_eq!(plain.body["warnings"], json!(["Policy \"minter\" does not exist"]));
    // Without a policy that allows it, there is nothing to give.
    assert_eq!(make(&server, &plain.token(), json!({})).status, 403);
}

#[test]
fn explicit_and_periodic_lifetimes() {
    let server = server();
    let capped = make(&server, &server.root_token, json!({"ttl": "30m", "explicit_max_ttl": "5m"}));
    assert_eq!(auth(&capped)["lease_duration"], 300);
    assert_eq!(
        capped.body["warnings"],
        json!(["TTL of \"30m\" exceeded the effective max_ttl of \"5m\"; TTL value is capped accordingly"])
    );
    let own = server.session(capped.body["auth"]["client_token"].as_str());
    server.clock.advance(Duration::from_secs(100));
    assert_eq!(auth(&own.write("auth/token/renew-self", json!({"increment": 3600})))["lease_duration"], 200);

    let periodic = make(&server, &server.root_token, json!({"period": "30m"})).token();
    let own = server.session(Some(&periodic));
    let system_max = Duration::from_secs(768 * 3600);
    for _ in 0..3 {
        server.clock.advance(Duration::from_secs(1799));
        assert_eq!(auth(&own.write("auth/token/renew-self", json!({})))["lease_duration"], 1800);
    }
    assert_eq!(own.read("auth/token/lookup-self").data()["period"], 1800);
    server.clock.advance(system_max);
    assert_eq!(own.read("auth/token/lookup-self").status, 403);
}

#[test]
fn counted_uses_run_out() {
    let server = server();
    let token = make(&server, &server.root_token, json!({"num_uses": 2, "ttl": "1h"})).token();
    let own = server.session(Some(&token));
    assert_eq!(own.read("auth/token/lookup-self").data()["num_uses"], 1);
    assert_eq!(make(&server, &token, json!({})).status, 400);
    assert_eq!(own.read("auth/token/lookup-self").status, 403);
}

#[test]
fn batch_tokens() {
    let server = server();
    let refused = make(&server, &server.root_token, json!({"type": "batch"}));
    assert_eq!(refused.refusal(), (400, "batch tokens cannot be root tokens".into()));
    let refused = make(&server, &server.root_token, json!({"type": "batch", "num_uses": 3}));
    assert_eq!(refused.refusal(), (400, "batch token cannot have \"num_uses\" set".into()));
    let made =
        make(&server, &server.root_token, json!({"type": "batch", "policies": ["default"], "ttl": 60}));
    assert_eq!((&auth(&made)["token_type"], &auth(&made)["renewable"]), (&json!("batch"), &json!(false)));
    let token = made.token();
    let own = server.session(Some(&token));
    assert_eq!(own.read("auth/token/lookup-self").data()["type"], "batch");
    assert_eq!(own.write("auth/token/renew-self", json!({})).refusal().0, 400);
    assert_eq!(own.write("auth/token/revoke-self", json!({})).refusal().0, 400);
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(own.read("auth/token/lookup-self").status, 403);
}

#[test]
fn roles_are_kept_and_followed() {
    let server = server();
    let root = server.root();
    assert_eq!(root.list("auth/token/roles").status, 404);
    let role = json!({"allowed_policies": ["testpolicy"], "orphan": false, "renewable": true});
    assert_eq!(root.write("auth/token/roles/testrole", role).status, 204);
    assert_eq!(root.list("auth/token/roles").data(), &json!({"keys": ["testrole"]}));
    assert_eq!(
        root.read("auth/token/roles/testrole").data(),
        &json!({
            "allowed_entity_aliases": [], "allowed_policies": ["testpolicy"], "allowed_policies_glob": [],
            "bound_cidrs": [], "disallowed_policies": [], "disallowed_policies_glob": [], "explicit_max_ttl": 0,
            "name": "testrole", "orphan": false, "path_suffix": "", "period": 0, "renewable": true,
            "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_no_default_policy": false,
            "token_num_uses": 0, "token_period": 0, "token_type": "default-service"
        })
    );
    let made = root.write("auth/token/create/testrole", json!({"ttl": "1h"}));
    assert_eq!(auth(&made)["policies"], json!(["default", "testpolicy"]));
    assert_eq!(root.write("auth/token/create/testrole", json!({"policies": ["root"]})).status, 400);
    assert_eq!(root.write("auth/token/create/none", json!({})).refusal(), (400, "unknown role none".into()));
    let glob =
        json!({"allowed_policies_glob": "app-*", "disallowed_policies": "app-admin", "path_suffix": "x"});
    assert_eq!(root.write("auth/token/roles/glob", glob).status, 204);
    let made = root.write("auth/token/create/glob", json!({"policies": "app-web"}));
    assert_eq!(auth(&made)["policies"], json!(["app-web", "default"]));
    let found = root.write("auth/token/lookup", json!({"token": made.token()}));
    assert_eq!(found.data()["path"], "auth/token/create/glob/x");
    assert_eq!(found.data()["role"], "glob");
    assert_eq!(root.write("auth/token/create/glob", json!({"policies": "app-admin"})).status, 400);
    assert_eq!(root.delete("auth/token/roles/testrole").status, 204);
    assert_eq!(root.read("auth/token/roles/testrole").status, 404);
}

#[test]
fn a_wrapped_token_names_its_accessor() {
    let server = server();
    let wrapped =
        server.root().wrapping(Duration::from_secs(900)).write("auth/token/create", json!({"period": "30m"}));
    assert_eq!(wrapped.body["wrap_info"]["ttl"], 900);
    assert_eq!(wrapped.body["wrap_info"]["creation_path"], "auth/token/create");
    assert_ne!(wrapped.body["wrap_info"]["wrapped_accessor"], "");
}

#[test]
fn a_chosen_token_is_taken_once() {
    let server = server();
    let id = "not-a-real-token-but-chosen";
    assert_eq!(make(&server, &server.root_token, json!({"id": id, "ttl": "1h"})).token(), id);
    assert_eq!(make(&server, &server.root_token, json!({"id": id, "ttl": "1h"})).status, 400);
    assert_eq!(server.session(Some(id)).read("auth/token/lookup-self").data()["id"], id);
}

#[test]
fn an_expiring_root_token_makes_no_lasting_one() {
    let server = server();
    let token = make(&server, &server.root_token, json!({"ttl": "1h"})).token();
    let refused = make(&server, &token, json!({}));
    assert_eq!(
        refused.refusal(),
        (400, "expiring root tokens cannot create non-expiring root tokens".into())
    );
}

#[test]
fn revoking_an_expired_token_ends_its_children() {
    let server = server();
    let parent = make(&server, &server.root_token, json!({"ttl": "1m"})).token();
    let child = make(&server, &parent, json!({"ttl": "1h"})).token();
    server.clock.advance(Duration::from_secs(120));
    assert_eq!(server.session(Some(&child)).read("auth/token/lookup-self").status, 200);
    assert_eq!(server.root().write("auth/token/revoke", json!({"token": parent})).status, 204);
    assert_eq!(server.session(Some(&child)).read("auth/token/lookup-self").status, 403);
}
