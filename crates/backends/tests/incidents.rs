//! `sys/incidents` on whole servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use strongroom_testkit::server::{Answer, TestServer};

fn opened(server: &TestServer) -> String {
    let facts = json!({
        "secrets": [{ "name": "secret/app/db", "version": 3, "state": "live", "has_plan": true }],
        "findings": [{ "path": "config.ini", "line": 1, "commit": "c0ffee", "date": "2026-11-01T08:00:00Z" }],
    });
    let made = server.root().write("sys/incidents", json!({ "title": "a password in git", "facts": facts }));
    made.data()["id"].as_str().unwrap().to_owned()
}

fn step(server: &TestServer, id: &str, step: &str, mut body: Value) -> Answer {
    let seen = server.root().read(&format!("sys/incidents/{id}")).data()["revision"].clone();
    body["revision"] = seen;
    server.root().write(&format!("sys/incidents/{id}/step/{step}"), body)
}

#[test]
fn an_incident_from_open_to_closed_survives_a_restart() {
    let server = TestServer::start(strongroom_backends::all());
    let id = opened(&server);
    let begun = step(&server, &id, "rotate", json!({ "act": "begin" }));
    assert_eq!(begun.data()["steps"][0]["state"], "under-way");
    let server = server.restarted(|_| ());
    let shown = [json!({ "of": "version 4", "text": "promoted" })];
    step(&server, &id, "rotate", json!({ "act": "done", "evidence": shown })).data();
    for name in ["revoke", "purge", "rescan", "notify"] {
        step(&server, &id, name, json!({ "act": "skip", "reason": "a drill" })).data();
    }
    let root = server.root();
    let open = root.write(&format!("sys/incidents/{id}/close"), json!({ "revision": 7 }));
    assert_eq!(open.refusal(), (400, "these steps are neither done nor skipped: post-mortem".to_owned()));
    assert_eq!(root.delete(&format!("sys/incidents/{id}")).status, 400);
    let forced = json!({ "revision": 7, "force": true, "note": "a drill" });
    let closed = root.write(&format!("sys/incidents/{id}/close"), forced);
    assert_eq!(closed.data()["state"], "closed");
    let list = root.list("sys/incidents");
    assert_eq!(list.data()["key_info"][&id]["state"], "closed");
    assert_eq!(root.delete(&format!("sys/incidents/{id}")).status, 204);
    assert_eq!(root.read(&format!("sys/incidents/{id}")).status, 404);
}

#[test]
fn of_two_people_one_is_told_to_look_again() {
    let server = TestServer::start(strongroom_backends::all());
    let id = opened(&server);
    let note = |text: &str| {
        server.root().write(&format!("sys/incidents/{id}/note"), json!({ "text": text, "revision": 1 }))
    };
    assert_eq!(note("one").data()["revision"], 2);
    let (status, text) = note("two").refusal();
    assert_eq!(status, 412);
    assert!(text.contains("revision 1 was seen"), "{text}");
    let path = format!("sys/incidents/{id}/note");
    assert_eq!(server.root().write(&path, json!({ "text": "three" })).status, 400);
}

#[test]
fn what_is_no_incident_is_said_and_not_repeated() {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    assert_eq!(root.write("sys/incidents", json!({})).status, 400);
    let facts = json!({ "secrets": [{ "name": "x", "value": "hunter2-not-a-real-one" }] });
    let refused = root.write("sys/incidents", json!({ "title": "x", "facts": facts }));
    assert_eq!(refused.status, 400);
    assert!(!refused.body.to_string().contains("hunter2"), "{}", refused.body);
    let id = opened(&server);
    assert_eq!(step(&server, &id, "dance", json!({ "act": "begin" })).status, 400);
    assert_eq!(step(&server, &id, "purge", json!({ "act": "dance" })).status, 400);
    assert_eq!(step(&server, &id, "purge", json!({ "act": "progress" })).status, 412);
    assert_eq!(root.read("sys/incidents/..").status, 400);
    assert_eq!(root.read("sys/incidents/NOPE").status, 404);
}

#[test]
fn incidents_are_of_their_namespace_and_need_a_policy() {
    let server = TestServer::start(strongroom_backends::all());
    let id = opened(&server);
    server.root().write("sys/namespaces/team", json!({})).data();
    let team = server.root().in_namespace("team");
    assert_eq!(team.read(&format!("sys/incidents/{id}")).status, 404);
    let rules = r#"path "sys/incidents/+/note" { capabilities = ["update"] }"#;
    server.root().write("sys/policies/acl/notes", json!({ "policy": rules }));
    let token = server.root().write("auth/token/create", json!({ "policies": ["notes"] })).token();
    let somebody = server.session(Some(&token));
    assert_eq!(somebody.read(&format!("sys/incidents/{id}")).status, 403);
    let noted = somebody.write(&format!("sys/incidents/{id}/note"), json!({ "text": "x", "revision": 1 }));
    assert_eq!(noted.data()["events"][1]["by"], "token");
}

/// The table of docs/incident.md, each entry of it.
#[test]
fn the_api_as_it_is_documented() {
    let server = TestServer::start(strongroom_backends::all());
    let id = opened(&server);
    let root = server.root();
    let seen = || root.read(&format!("sys/incidents/{id}")).data()["revision"].clone();
    let ask = |what: &str, mut body: Value| {
        body["revision"] = seen();
        root.write(&format!("sys/incidents/{id}/{what}"), body)
    };
    let shown = json!([{ "of": "version 3", "text": "deleted" }]);
    for body in [
        json!({ "act": "begin" }),
        json!({ "act": "progress", "evidence": shown }),
        json!({ "act": "fail", "reason": "no answer" }),
        json!({ "act": "begin", "take_over": true }),
        json!({ "act": "done", "evidence": [] }),
        json!({ "act": "reopen", "reason": "another version" }),
        json!({ "act": "skip", "reason": "a drill" }),
    ] {
        assert_eq!(ask("step/revoke", body.clone()).status, 200, "{body}");
    }
    let learnt =
        json!({ "facts": { "leases": ["database/creds/app"], "unknown": ["who else has a clone"] } });
    assert_eq!(ask("facts", learnt).data()["facts"]["leases"][0], "database/creds/app");
    assert_eq!(ask("facts", json!({ "facts": { "leases": "x" } })).status, 400);
    assert_eq!(ask("note", json!({ "text": "by a contractor" })).status, 200);
    // Who asks twice, because no answer came, has one notice; another webhook of the same host has its own.
    let told = |hook: &str| {
        let body = json!({ "webhook": format!("http://127.0.0.1:1/{hook}") });
        root.write(&format!("sys/incidents/{id}/notify"), body).data().clone()
    };
    let (first, again, other) = (told("a"), told("a"), told("b"));
    assert!(first["webhook_key"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!((&first["notice"], again.get("webhook_key")), (&again["notice"], None));
    assert_ne!((&first["notice"], &first["of"]), (&other["notice"], &other["of"]));
    let waiting = root.read(&format!("sys/incidents/{id}")).data()["notices_waiting"].clone();
    assert_eq!(waiting.as_array().unwrap().len(), 2, "{waiting}");
    assert_eq!(root.write(&format!("sys/incidents/{id}/notify"), json!({})).status, 400);
    assert_eq!(ask("close", json!({})).status, 400);
    assert_eq!(ask("close", json!({ "force": true, "note": "a drill" })).status, 200);
    assert_eq!(ask("facts", json!({ "facts": {} })).status, 412);
    assert_eq!(ask("reopen", json!({ "reason": "after all" })).status, 200);
    assert_eq!(ask("reopen", json!({ "reason": "after all" })).status, 412);
    assert_eq!(ask("close", json!({ "force": true, "note": "over" })).status, 200);
    assert_eq!(root.list("sys/incidents").data()["keys"], json!([id]));
    assert_eq!(root.delete(&format!("sys/incidents/{id}")).status, 204);
}
