//! Tenants: made, kept apart, locked and removed.

use serde_json::json;
use strongroom_kernel::{
    Access, Backend, Call, Class, Error, LoginGrant, Method, Operation, Response, Route, Run, Table, Tidied,
};
use strongroom_testkit::server::{Session, TestServer};

const LOGIN: &[Route] = &[Route {
    pattern: "login",
    summary: "Lets anybody in, with the policy `p`.",
    access: Access::Open,
    fields: &[],
    methods: &[Method { operation: Operation::Write, run: Run::Write(login), summary: "" }],
    exists: None,
}];

const STORE: &[Route] = &[Route {
    pattern: "{name..}",
    summary: "Keeps a byte.",
    access: Access::Token,
    fields: &[],
    methods: &[
        Method { operation: Operation::Read, run: Run::Read(read), summary: "" },
        Method { operation: Operation::Write, run: Run::Write(write), summary: "" },
    ],
    exists: None,
}];

fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut grant = LoginGrant::default();
    grant.token.policies = vec![call.fields().text("policy")?.unwrap_or_else(|| "p".to_owned())];
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = call.tx.path_key(&call.table(Table(1)), call.capture("name"));
    call.tx.get(&key)?.ok_or_else(Error::not_found)?;
    Ok(Response::data(serde_json::Map::new()))
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = call.tx.path_key(&call.table(Table(1)), call.capture("name"));
    call.tx.put(&key, vec![1])?;
    Ok(Response::default())
}

static DOOR: Backend = Backend::new("door", Class::Auth, "door", &[LOGIN]);
static STORES: Backend = Backend::new("store", Class::Secret, "store", &[STORE]);

fn server() -> TestServer {
    TestServer::start(vec![&DOOR, &STORES])
}

fn furnish(session: &Session<'_>) {
    assert_eq!(session.write("sys/auth/door", json!({"type": "door"})).status, 204);
    assert_eq!(session.write("sys/mounts/store", json!({"type": "store"})).status, 204);
    let text = "path \"store/*\" { capabilities = [\"read\", \"update\"] }";
    assert_eq!(session.write("sys/policy/p", json!({"policy": text})).status, 204);
}

#[test]
fn namespaces_are_made_listed_and_changed() {
    let server = server();
    let root = server.root();
    assert_eq!(root.list("sys/namespaces").status, 404);
    let made = root.write("sys/namespaces/team", json!({"custom_metadata": {"owner": "a"}}));
    assert_eq!(made.data()["path"], "team/");
    assert_eq!(made.data()["id"].as_str().unwrap().len(), 6);
    assert_eq!(root.write("sys/namespaces/none/app", json!({})).status, 400);
    assert_eq!(root.write("sys/namespaces/team/app", json!({})).status, 200);
    assert_eq!(root.write("sys/namespaces/sys", json!({})).status, 400);
    assert_eq!(root.write("sys/namespaces/api-lock", json!({})).status, 400);
    assert_eq!(root.list("sys/namespaces").data()["keys"], json!(["team/"]));
    assert_eq!(root.scan("sys/namespaces").data()["keys"], json!(["team/", "team/app/"]));
    let inside = server.root().in_namespace("team");
    assert_eq!(inside.list("sys/namespaces").data()["keys"], json!(["app/"]));
    let patch = json!({"custom_metadata": {"owner": null, "cost": "7"}});
    assert_eq!(root.patch("sys/namespaces/team", patch).data()["custom_metadata"], json!({"cost": "7"}));
    assert_eq!(root.read("sys/namespaces/other").status, 404);
}

#[test]
fn a_namespace_and_a_mount_cannot_share_a_path() {
    let server = server();
    let root = server.root();
    root.write("sys/mounts/team/store", json!({"type": "store"}));
    assert_eq!(root.write("sys/namespaces/team", json!({})).status, 400);
    root.write("sys/namespaces/other", json!({}));
    assert_eq!(root.write("sys/mounts/other", json!({"type": "store"})).status, 400);
    assert_eq!(root.write("sys/mounts/other/x", json!({"type": "store"})).status, 400);
}

#[test]
fn nothing_of_one_namespace_reaches_another() {
    let server = server();
    let root = server.root();
    for name in ["a", "b", "a/deep"] {
        assert_eq!(root.write(&format!("sys/namespaces/{name}"), json!({})).status, 200);
        furnish(&server.root().in_namespace(name));
    }
    let token = server.session(None).in_namespace("a").write("auth/door/login", json!({})).token();
    assert_eq!(token.rsplit_once('.').unwrap().1.len(), 6, "the token names its namespace");
    let holder = || server.session(Some(&token));
    assert_eq!(holder().in_namespace("a").write("store/x", json!({})).status, 204);
    assert_eq!(holder().write("a/store/x", json!({})).status, 204, "the path names the namespace as well");
    assert_eq!(holder().in_namespace("a").read("store/x").status, 200);
    assert_eq!(holder().in_namespace("b").read("store/x").status, 403);
    assert_eq!(holder().read("b/store/x").status, 403);
    assert_eq!(holder().read("store/x").status, 403);
    assert_eq!(holder().read("cubbyhole/x").status, 403);
    // A policy holds in its own namespace: below it, only if it says so.
    assert_eq!(holder().in_namespace("a").read("deep/store/x").status, 403);
    assert_eq!(server.root().in_namespace("b").read("store/x").status, 404);
    assert_eq!(server.root().read("a/store/x").status, 200);
    // The same name means another policy elsewhere.
    let text = "path \"*\" { capabilities = [\"read\", \"update\", \"sudo\"] }";
    server.root().in_namespace("b").write("sys/policy/wide", json!({"policy": text}));
    let wide =
        server.session(None).in_namespace("a").write("auth/door/login", json!({"policy": "wide"})).token();
    assert_eq!(server.session(Some(&wide)).in_namespace("a").read("store/x").status, 403);
    assert_eq!(server.session(Some(&wide)).in_namespace("b").read("store/x").status, 403);
}

#[test]
fn a_deleted_namespace_leaves_nothing() {
    let server = server();
    let root = server.root();
    root.write("sys/namespaces/a", json!({}));
    root.write("sys/namespaces/a/b", json!({}));
    assert_eq!(root.delete("sys/namespaces/a").status, 400);
    assert_eq!(root.delete("sys/namespaces/a/b").status, 204);
    let inside = server.root().in_namespace("a");
    furnish(&inside);
    let token = server.session(None).in_namespace("a").write("auth/door/login", json!({})).token();
    for number in 0..1500 {
        inside.write(&format!("store/{number}"), json!({}));
    }
    assert_eq!(root.delete("sys/namespaces/a").data()["status"], "in-progress");
    assert_eq!(server.session(Some(&token)).in_namespace("a").read("store/1").status, 403);
    assert_eq!(server.root().in_namespace("a").read("store/1").status, 404);
    assert_eq!(root.write("sys/namespaces/a", json!({})).status, 400);
    while server.kernel.clean_up().unwrap() == Tidied::More {}
    assert_eq!(root.list("sys/namespaces").status, 404);
    assert_eq!(root.delete("sys/namespaces/a").status, 204);
    root.write("sys/namespaces/a", json!({}));
    furnish(&server.root().in_namespace("a"));
    assert_eq!(server.root().in_namespace("a").read("store/1").status, 404);
    assert_eq!(server.session(Some(&token)).in_namespace("a").read("store/1").status, 403);
}

#[test]
fn a_locked_namespace_is_unlocked_by_its_key() {
    let server = server();
    let root = server.root();
    root.write("sys/namespaces/a", json!({}));
    root.write("sys/namespaces/a/b", json!({}));
    let locked = root.write("sys/namespaces/api-lock/lock/a", json!({}));
    let key = locked.data()["unlock_key"].as_str().unwrap().to_owned();
    assert_eq!(server.root().in_namespace("a").read("sys/mounts").status, 503);
    assert_eq!(server.root().in_namespace("a/b").read("sys/mounts").status, 503);
    assert_eq!(root.read("sys/namespaces/a").data()["locked"], true);
    assert_eq!(root.write("sys/namespaces/api-lock/unlock/a", json!({"unlock_key": "fake"})).status, 403);
    let inside = server.root().in_namespace("a");
    assert_eq!(inside.write("sys/namespaces/api-lock/unlock", json!({"unlock_key": key})).status, 204);
    assert_eq!(server.root().in_namespace("a/b").read("sys/mounts").status, 200);
    root.write("sys/namespaces/api-lock/lock/a", json!({}));
    assert_eq!(root.write("sys/namespaces/api-lock/unlock/a", json!({})).status, 204);
    assert_eq!(root.write("sys/namespaces/api-lock/lock", json!({})).status, 400);
}
