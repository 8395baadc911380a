//! Mounting, tuning, moving and disabling.

use serde_json::{Map, Value, json};
use strongroom_kernel::{
    Access, Backend, Call, Class, Error, LoginGrant, Method, Operation, Response, Route, Run, Table,
};
use strongroom_testkit::server::TestServer;

const ENTRIES: Table = Table(1);

const ROUTES: &[Route] = &[Route {
    pattern: "{name..}",
    summary: "Keeps bytes.",
    access: Access::Token,
    fields: &[],
    methods: &[
        Method { operation: Operation::Read, run: Run::Read(read), summary: "" },
        Method { operation: Operation::Write, run: Run::Write(write), summary: "" },
    ],
    exists: None,
}];

const LOGIN_ROUTES: &[Route] = &[Route {
    pattern: "login",
    summary: "Lets anybody in.",
    access: Access::Open,
    fields: &[],
    methods: &[Method { operation: Operation::Write, run: Run::Write(login), summary: "" }],
    exists: None,
}];

fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = call.tx.path_key(&call.table(ENTRIES), call.capture("name"));
    call.tx.get(&key)?.ok_or_else(Error::not_found)?;
    Ok(Response::data(Map::from_iter([("found".to_owned(), Value::Bool(true))])))
}

fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = call.tx.path_key(&call.table(ENTRIES), call.capture("name"));
    call.tx.put(&key, vec![1])?;
    Ok(Response::default())
}

fn login(_: &mut Call<'_>) -> Result<Response, Error> {
    let grant = LoginGrant { display_name: "p".to_owned(), ..LoginGrant::default() };
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

fn enable(call: &mut Call<'_>, options: &mut Map<String, Value>) -> Result<(), Error> {
    let key = call.tx.path_key(&call.table(ENTRIES), "first");
    call.tx.put(&key, vec![1])?;
    options.insert("seen".to_owned(), "yes".into());
    Ok(())
}

static ONE: Backend = Backend { version: Some("1"), ..Backend::new("kv", Class::Secret, "one", &[ROUTES]) };
static TWO: Backend =
    Backend { version: Some("2"), enable, ..Backend::new("kv", Class::Secret, "two", &[ROUTES]) };
static DOOR: Backend = Backend::new("door", Class::Auth, "door", &[LOGIN_ROUTES]);

fn server() -> TestServer {
    TestServer::start(vec![&ONE, &TWO, &DOOR])
}

#[test]
fn mounts_come_and_go() {
    let server = server();
    let root = server.root();
    let wish =
        json!({"type": "kv", "description": null, "config": null, "options": {"version": 2}, "local": false});
    assert_eq!(root.write("sys/mounts/a-b_c", wish.clone()).status, 204);
    assert_eq!(
        root.write("sys/mounts/a-b_c/", wish.clone()).refusal(),
        (400, "path is already in use at a-b_c/".into())
    );
    assert_eq!(root.write("sys/mounts/a-b_c/deeper", wish.clone()).status, 400);
    assert_eq!(root.write("sys/mounts/sys/x", wish.clone()).status, 400);
    assert_eq!(root.write("sys/mounts/auth/x", wish.clone()).status, 400);
    assert_eq!(root.read("sys/mounts").data()["a-b_c/"]["options"], json!({"version": "2", "seen": "yes"}));
    assert_eq!(root.read("a-b_c/first").status, 200);
    assert_eq!(root.write("a-b_c/mine", json!({})).status, 204);
    assert_eq!(root.delete("sys/mounts/a-b_c").status, 204);
    assert_eq!(root.delete("sys/mounts/a-b_c").status, 204);
    assert_eq!(root.read("a-b_c/mine").status, 404);
    assert_eq!(root.write("sys/mounts/a-b_c", wish).status, 204);
    assert_eq!(root.read("a-b_c/mine").status, 404);
    let own: Vec<_> = root.read("sys/mounts").data().as_object().unwrap().keys().cloned().collect();
    assert_eq!(own, ["a-b_c/", "cubbyhole/", "identity/", "sys/"]);
    assert_eq!(root.read("nowhere/x").status, 404);
    assert_eq!(server.session(None).write("auth/nowhere/login", json!({})).status, 403);
    assert_eq!(server.session(Some("hvs.fake")).read("nowhere/x").status, 403);
    assert_eq!(root.delete("sys/mounts/sys").status, 400);
    assert_eq!(root.delete("sys/auth/token").status, 400);
}

#[test]
fn types_have_other_names() {
    let server = server();
    let root = server.root();
    for (kind, version) in
        [("generic", json!({"version": "1"})), ("kv-v1", json!({"version": "1"})), ("kv", Value::Null)]
    {
        assert_eq!(root.write("sys/mounts/m", json!({"type": kind, "options": null})).status, 204);
        let listed = root.read("sys/mounts");
        assert_eq!(listed.data()["m/"]["type"], "kv");
        assert_eq!(listed.data()["m/"]["options"], version);
        assert_eq!(root.delete("sys/mounts/m").status, 204);
    }
    assert_eq!(
        root.write("sys/auth/github", json!({"type": "github"})).refusal(),
        (400, "plugin not found in the catalog: github".into())
    );
    assert_eq!(root.write("sys/mounts/m", json!({"type": "kv", "options": {"version": "3"}})).status, 400);
    assert_eq!(root.write("sys/mounts/m", json!({})).status, 400);
}

#[test]
fn tuning_is_read_back() {
    let server = server();
    let root = server.root();
    root.write("sys/auth/door", json!({"type": "door"}));
    let expected = json!({"description": "", "default_lease_ttl": 2764800, "max_lease_ttl": 2764800,
        "force_no_cache": false, "token_type": "default-service"});
    assert_eq!(root.read("sys/auth/door/tune").data(), &expected);
    let tuned = json!({"max_lease_ttl": 12345678, "description": "d", "listing_visibility": "unauth"});
    assert_eq!(root.write("sys/auth/door/tune", tuned).status, 204);
    assert_eq!(root.read("sys/auth/door/tune").data()["max_lease_ttl"], 12345678);
    assert_eq!(root.read("sys/mounts/nothing/tune").status, 400);
    let short = json!({"default_lease_ttl": "3600s", "max_lease_ttl": "60s"});
    assert_eq!(root.write("sys/auth/door/tune", short).status, 400);
    let shown = server.session(None).read("sys/internal/ui/mounts");
    assert_eq!(
        shown.data(),
        &json!({"secret": {}, "auth": {"door/": {"type": "door", "description": "d", "options": null}}})
    );
}

#[test]
fn a_moved_mount_keeps_its_data() {
    let server = server();
    let root = server.root();
    root.write("sys/mounts/test", json!({"type": "kv"}));
    root.write("sys/mounts/other", json!({"type": "kv"}));
    root.write("test/x", json!({}));
    assert_eq!(root.write("sys/remount", json!({"from": "test", "to": "other/x"})).status, 400);
    let moved = root.write("sys/remount", json!({"from": "test", "to": "foobar"}));
    let id = moved.data()["migration_id"].as_str().unwrap().to_owned();
    assert_eq!(root.read(&format!("sys/remount/status/{id}")).data()["migration_info"]["status"], "success");
    assert!(root.read("sys/mounts").data().get("foobar/").is_some());
    assert_eq!(root.read("foobar/x").status, 200);
    assert_eq!(root.read("test/x").status, 404);
    assert_eq!(root.write("sys/remount", json!({"from": "sys", "to": "b"})).status, 400);
}

#[test]
fn tokens_end_with_the_mount_they_came_from() {
    let server = server();
    let root = server.root();
    root.write("sys/auth/door", json!({"type": "door"}));
    let token = server.session(None).write("auth/door/login", json!({})).token();
    root.write("sys/remount", json!({"from": "auth/door", "to": "auth/gate"}));
    let second = server.session(None).write("auth/gate/login", json!({})).token();
    assert_eq!(server.session(Some(&token)).read("cubbyhole/none").status, 404);
    assert_eq!(root.delete("sys/auth/gate").status, 204);
    for token in [token, second] {
        assert_eq!(server.session(Some(&token)).read("cubbyhole/none").status, 403);
    }
}

#[test]
fn a_large_mount_goes_in_batches() {
    let server = server();
    let root = server.root();
    root.write("sys/mounts/big", json!({"type": "kv"}));
    for number in 0..1200 {
        root.write(&format!("big/{number}"), json!({}));
    }
    assert_eq!(root.delete("sys/mounts/big").status, 204);
    assert_eq!(root.read("big/1").status, 404);
    root.write("sys/mounts/big", json!({"type": "kv"}));
    root.write("big/new", json!({}));
    let mut steps = 0;
    while server.kernel.clean_up().unwrap() == strongroom_kernel::Tidied::More {
        steps += 1;
    }
    assert_eq!(steps, 1);
    assert_eq!(root.read("big/new").status, 200);
    assert_eq!(server.kernel.clean_up().unwrap(), strongroom_kernel::Tidied::All);
}

#[test]
fn clients_learn_which_mount_serves_a_path() {
    let server = server();
    let root = server.root();
    root.write("sys/mounts/team/kv", json!({"type": "kv", "options": {"version": "2"}}));
    let found = root.read("sys/internal/ui/mounts/team/kv/data/x");
    assert_eq!(found.data()["path"], "team/kv/");
    assert_eq!(found.data()["options"]["version"], "2");
    assert_eq!(root.read("sys/internal/ui/mounts/nothing/x").status, 403);
    assert_eq!(server.session(None).read("sys/internal/ui/mounts/team/kv").status, 403);
    assert_eq!(root.read("sys/internal/ui/resultant-acl").data()["root"], true);
}
