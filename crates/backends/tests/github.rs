//! Logins by GitHub's personal access tokens, against a server that speaks GitHub's API.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use strongroom_testkit::outbound::{Received, WebServer};
use strongroom_testkit::server::TestServer;

const TOKEN: &str = "ghp_not-a-real-token";
const STRANGER: &str = "ghp_not-a-member";

/// GitHub with one organization, `acme`, of number 7; the switch ends Ann's membership.
fn github() -> (WebServer, Arc<AtomicBool>) {
    let is_member = Arc::new(AtomicBool::new(true));
    let switch = is_member.clone();
    (WebServer::start(move |request| Some(answer(&request, switch.load(Relaxed)))), is_member)
}

fn answer(request: &Received, is_member: bool) -> (u16, String) {
    let is = |token: &str| request.headers.contains(&format!("Authorization: Bearer {token}"));
    let acme = json!({"login": "acme", "id": 7});
    let body = match request.path.as_str() {
        "/api/orgs/acme" => acme,
        "/api/orgs/nobody" => return (404, "{}".to_owned()),
        _ if !is(TOKEN) && !is(STRANGER) => return (401, r#"{"message": "Bad credentials"}"#.to_owned()),
        "/api/user" => json!({"login": if is(TOKEN) { "Ann" } else { "Eve" }, "id": 1}),
        "/api/user/orgs?per_page=100" if is(TOKEN) && is_member => json!([{"login": "other", "id": 1}, acme]),
        "/api/user/orgs?per_page=100" => json!([{"login": "acme-but-another", "id": 8}]),
        // A full first page: the team that counts stands on the second.
        "/api/user/teams?per_page=100" => {
            let other = json!({"name": "Ops", "slug": "ops", "organization": {"id": 8}});
            Value::Array(vec![other; 100])
        }
        "/api/user/teams?per_page=100&page=2" => {
            json!([{"name": "Build Crew", "slug": "build-crew", "organization": {"id": 7}}])
        }
        path => return (404, format!("{path}?")),
    };
    (200, body.to_string())
}

fn server(github: &WebServer) -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    assert_eq!(root.write("sys/auth/github", json!({"type": "github"})).status, 204);
    let (status, text) = server.session(None).write("auth/github/login", json!({"token": TOKEN})).refusal();
    assert!(status == 400 && text.contains("configuration has not been set"), "{text}");
    let config = json!({"organization": "acme", "base_url": format!("{}/api", github.address), "ttl": "10m"});
    assert_eq!(root.write("auth/github/config", config).status, 204);
    server
}

#[test]
fn members_get_the_policies_of_their_teams_and_their_name() {
    let (github, _) = github();
    let server = server(&github);
    let root = server.root();
    let config = root.read("auth/github/config").data().clone();
    assert_eq!((&config["organization_id"], &config["token_ttl"]), (&json!(7), &json!(600)));
    for (path, value) in [
        ("teams/build-crew", "build,deploy"),
        ("teams/ops", "ops"),
        ("teams/default", "members"),
        ("users/ann", "hers"),
    ] {
        assert_eq!(root.write(&format!("auth/github/map/{path}"), json!({"value": value})).status, 204);
    }
    assert_eq!(root.list("auth/github/map/teams").data()["keys"], json!(["build-crew", "default", "ops"]));
    let login = server.session(None).write("auth/github/login", json!({"token": TOKEN}));
    let auth = &login.body["auth"];
    assert_eq!(auth["policies"], json!(["build", "default", "deploy", "hers", "members"]), "{login:?}");
    assert_eq!(auth["metadata"], json!({"username": "Ann", "org": "acme"}));
    assert_eq!(auth["lease_duration"], 600);
}

#[test]
fn strangers_and_wrong_tokens_stay_outside() {
    let (github, _) = github();
    let server = server(&github);
    let anybody = server.session(None);
    let refused = anybody.write("auth/github/login", json!({"token": STRANGER})).refusal();
    assert_eq!(refused, (500, "user is not part of required org".to_owned()));
    assert_eq!(anybody.write("auth/github/login", json!({"token": "ghp_wrong"})).status, 403);
    assert_eq!(anybody.write("auth/github/login", json!({})).status, 400);
    // The root policy is not to be had by a login, whatever a mapping says.
    let mapped = server.root().write("auth/github/map/users/Ann", json!({"value": "root,hers"}));
    assert!(mapped.body["warnings"][0].as_str().unwrap().contains("passed over"), "{mapped:?}");
    let login = anybody.write("auth/github/login", json!({"token": TOKEN}));
    assert_eq!(login.body["auth"]["policies"], json!(["default", "hers"]));
}

#[test]
fn a_membership_that_ended_is_not_renewed() {
    let (github, is_member) = github();
    let server = server(&github);
    let token = server.session(None).write("auth/github/login", json!({"token": TOKEN})).token();
    let renew = || server.session(Some(&token)).write("auth/token/renew-self", json!({})).status;
    assert_eq!(renew(), 200);
    server.root().write("auth/github/map/users/ann", json!({"value": "more"}));
    assert_eq!(renew(), 400);
    server.root().delete("auth/github/map/users/ann");
    assert_eq!(renew(), 200);
    is_member.store(false, Relaxed);
    assert_eq!(renew(), 500);
}

#[test]
fn settings_are_checked() {
    let (github, _) = github();
    let server = server(&github);
    let root = server.root();
    let base = format!("{}/api", github.address);
    for (config, reason) in [
        (json!({"organization": ""}), "organization is a required parameter"),
        (json!({"organization": "a/../b", "base_url": base}), "not a name that GitHub gives"),
        (json!({"organization": "nobody", "base_url": base}), "you must manually set it in the config"),
        (json!({"base_url": "ftp://x"}), "error parsing given base_url"),
        (json!({"token_policies": "root"}), "root"),
    ] {
        let (status, text) = root.write("auth/github/config", config).refusal();
        assert!(status == 400 && text.contains(reason), "{status} {text}");
    }
    assert_eq!(
        root.write("auth/github/config", json!({"organization": "nobody", "organization_id": 9})).status,
        204
    );
    assert_eq!(root.read("auth/github/map/teams/none").data(), &json!({}));
    assert_eq!(root.read("auth/github/map/planets/none").status, 404);
}
