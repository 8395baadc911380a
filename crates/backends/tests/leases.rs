//! Leases and what ends by itself, with an engine that hands out names and can be told to fail at taking them back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_kernel::{
    Access, Backend, Call, Class, Error, LeaseGrant, LeaseRecord, Method, Operation, Renewal, Response,
    Route, Run, Table,
};
use strongroom_testkit::server::TestServer;

const NAMES: Table = Table(1);
const SETTINGS: Table = Table(2);

const ROUTES: &[Route] = &[
    Route {
        pattern: "creds/{role}",
        summary: "Hands out a name.",
        access: Access::Token,
        fields: &[],
        methods: &[Method { operation: Operation::Read, run: Run::Write(hand_out), summary: "" }],
        exists: None,
    },
    Route {
        pattern: "names/?",
        summary: "Lists the names that are out.",
        access: Access::Token,
        fields: &[],
        methods: &[Method { operation: Operation::List, run: Run::Read(names), summary: "" }],
        exists: None,
    },
    Route {
        pattern: "broken",
        summary: "Taking back fails from now on.",
        access: Access::Token,
        fields: &[],
        methods: &[
            Method { operation: Operation::Write, run: Run::Write(break_it), summary: "" },
            Method { operation: Operation::Delete, run: Run::Write(mend_it), summary: "" },
        ],
        exists: None,
    },
];

static DEMO: Backend = Backend {
    renew: Some(renew),
    revoke: Some(take_back),
    ..Backend::new("demo", Class::Secret, "Hands out names.", &[ROUTES])
};

fn hand_out(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = strongroom_crypto::token::uuid_v4(call.entropy());
    let key = call.tx.name_key(&call.table(NAMES), &name);
    call.tx.put(&key, vec![1])?;
    let data = Map::from_iter([("name".to_owned(), Value::from(name.clone()))]);
    let ttl = call.fields().duration("ttl")?;
    let lease = LeaseGrant { ttl, ttl_max: None, renewable: true, internal: json!({ "name": name }) };
    Ok(Response { lease: Some(lease), ..Response::data(data) })
}

fn names(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(NAMES);
    Response::keys(call.tx.children(&table)?)
}

fn broken_key(call: &Call<'_>) -> strongroom_kernel::Key {
    call.tx.name_key(&call.table(SETTINGS), "broken")
}

fn break_it(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = broken_key(call);
    call.tx.put(&key, vec![1])?;
    Ok(Response::default())
}

fn mend_it(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = broken_key(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}

fn renew(_: &mut Call<'_>, _: &LeaseRecord) -> Result<Renewal, Error> {
    Ok(Renewal { ttl: Duration::from_secs(3600), ttl_max: None })
}

fn take_back(call: &mut Call<'_>, lease: &LeaseRecord) -> Result<(), Error> {
    let name = lease.internal["name"].as_str().unwrap_or_default().to_owned();
    let key = call.tx.name_key(&call.table(NAMES), &name);
    call.tx.delete(&key)?;
    let broken = broken_key(call);
    match call.tx.get(&broken)? {
        Some(_) => Err(Error::internal("the target is out of order")),
        None => Ok(()),
    }
}

fn server() -> TestServer {
    let server = TestServer::start(vec![&DEMO]);
    assert_eq!(server.root().write("sys/mounts/demo", json!({"type": "demo"})).status, 204);
    server
}

fn lease(server: &TestServer, token: &str, ttl: u64) -> String {
    let made = server.session(Some(token)).read_with("demo/creds/app", json!({ "ttl": ttl }));
    assert_eq!(made.body["lease_duration"], ttl, "{made:?}");
    made.body["lease_id"].as_str().unwrap().to_owned()
}

fn names_out(server: &TestServer) -> usize {
    let listed = server.root().list("demo/names");
    listed.body["data"]["keys"].as_array().map_or(0, Vec::len)
}

/// Works everything off that is due; returns the number of calls it took and the time until the next row.
fn work_off(server: &TestServer, budget: usize) -> (usize, Option<Duration>) {
    for calls in 1..10_000 {
        let next = server.kernel.expire_due(budget).unwrap();
        if next != Some(Duration::ZERO) {
            return (calls, next);
        }
    }
    panic!("it never ends");
}

#[test]
fn a_lease_is_looked_up_renewed_and_taken_back() {
    let server = server();
    let root = server.root();
    let id = lease(&server, &server.root_token, 600);
    assert!(id.starts_with("demo/creds/app/"));
    let found = root.write("sys/leases/lookup", json!({"lease_id": id}));
    assert_eq!((&found.data()["id"], &found.data()["ttl"]), (&json!(id), &json!(600)));
    assert_eq!(
        (&found.data()["path"], &found.data()["last_renewal"]),
        (&json!("demo/creds/app"), &Value::Null)
    );
    assert_eq!(root.list("sys/leases/lookup").data(), &json!({"keys": ["demo/"]}));
    assert_eq!(root.list("sys/leases/lookup/demo").data(), &json!({"keys": ["creds/"]}));
    server.clock.advance(Duration::from_secs(500));
    let renewed = root.write("sys/leases/renew", json!({"lease_id": id, "increment": 1200}));
    assert_eq!((renewed.status, &renewed.body["lease_duration"]), (204, &json!(1200)));
    server.clock.advance(Duration::from_secs(1199));
    work_off(&server, 100);
    assert_eq!(names_out(&server), 1);
    server.clock.advance(Duration::from_secs(1));
    work_off(&server, 100);
    assert_eq!(names_out(&server), 0);
    assert_eq!(
        root.write("sys/leases/lookup", json!({"lease_id": id})).refusal(),
        (400, "invalid lease".into())
    );

    let id = lease(&server, &server.root_token, 600);
    assert_eq!(root.write("sys/leases/revoke", json!({"lease_id": id})).status, 204);
    assert_eq!(names_out(&server), 0);
    assert_eq!(root.list("sys/leases/lookup/demo").status, 404);
}

#[test]
fn a_renewal_may_bring_the_end_nearer() {
    let server = server();
    let id = lease(&server, &server.root_token, 3600);
    assert_eq!(
        server.root().write("sys/leases/renew", json!({"lease_id": id, "increment": 60})).body["lease_duration"],
        60
    );
    server.clock.advance(Duration::from_secs(60));
    work_off(&server, 10);
    assert_eq!(names_out(&server), 0);
    // The row at the old end is found empty.
    server.clock.advance(Duration::from_secs(3600));
    assert_eq!(work_off(&server, 10).1, None);
}

#[test]
fn leases_end_with_their_token() {
    let server = server();
    let token = server.root().write("auth/token/create", json!({"ttl": "1h"})).token();
    lease(&server, &token, 7200);
    lease(&server, &token, 7200);
    assert_eq!(server.root().write("auth/token/revoke", json!({ "token": token })).status, 204);
    work_off(&server, 10);
    assert_eq!(names_out(&server), 0);
}

#[test]
fn prefixes_and_force() {
    let server = server();
    let root = server.root();
    for _ in 0..100 {
        lease(&server, &server.root_token, 600);
    }
    assert_eq!(root.write("sys/leases/revoke-prefix/demo/creds", json!({})).status, 204);
    work_off(&server, 1000);
    assert_eq!(names_out(&server), 0);
    let id = lease(&server, &server.root_token, 600);
    assert_eq!(root.write(&format!("sys/leases/revoke-prefix/{id}"), json!({"prefix": id})).status, 204);
    assert_eq!(names_out(&server), 0);
    let id = lease(&server, &server.root_token, 600);
    assert_eq!(root.write("demo/broken", json!({})).status, 204);
    assert_eq!(root.write("sys/leases/revoke", json!({"lease_id": id, "sync": true})).status, 500);
    assert_eq!(names_out(&server), 1);
    assert_eq!(root.write("sys/leases/revoke-force/demo", json!({})).status, 204);
    assert_eq!(root.list("sys/leases/lookup/demo").status, 404);
    assert_eq!(root.read_with("sys/leases/count", json!({"type": "all"})).data()["lease_count"], 0);
}

#[test]
fn what_cannot_be_taken_back_is_tried_again_and_at_last_given_up() {
    let server = server();
    let root = server.root();
    let id = lease(&server, &server.root_token, 60);
    assert_eq!(root.write("demo/broken", json!({})).status, 204);
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(work_off(&server, 10).1, Some(Duration::from_secs(10)));
    for delay in [20, 40, 80, 160] {
        let next = work_off(&server, 10).1.unwrap();
        server.clock.advance(next);
        assert_eq!(work_off(&server, 10).1, Some(Duration::from_secs(delay)));
    }
    server.clock.advance(Duration::from_secs(160));
    assert_eq!(work_off(&server, 10).1, None);
    assert_eq!(names_out(&server), 1);
    let seen = root.read_with("sys/leases", json!({"type": "irrevocable"}));
    assert_eq!(seen.data(), &json!({"lease_count": 1, "leases": [{"lease_id": id, "failed_attempts": 6}]}));
    assert_eq!(root.delete("demo/broken").status, 204);
    assert_eq!(root.write("sys/leases/revoke", json!({ "lease_id": id })).status, 204);
    assert_eq!(names_out(&server), 0);
}

#[test]
fn ten_thousand_tokens_end_at_once_in_batches() {
    let server = server();
    let root = server.root();
    for _ in 0..10_000 {
        assert_eq!(root.write("auth/token/create", json!({"ttl": 300, "no_parent": true})).status, 200);
    }
    server.clock.advance(Duration::from_secs(299));
    assert_eq!(work_off(&server, 1000), (1, Some(Duration::from_secs(1))));
    server.clock.advance(Duration::from_secs(1));
    let (calls, next) = work_off(&server, 1000);
    assert_eq!((calls, next), (10, None));
    assert_eq!(root.list("auth/token/accessors").data()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn children_end_with_their_parent_and_renewed_tokens_live_on() {
    let server = server();
    let parent = server.root().write("auth/token/create", json!({"ttl": 100})).token();
    let child = server.session(Some(&parent)).write("auth/token/create", json!({"ttl": 1000})).token();
    let other = server.root().write("auth/token/create", json!({"ttl": 100})).token();
    server.clock.advance(Duration::from_secs(50));
    assert_eq!(server.session(Some(&other)).write("auth/token/renew-self", json!({})).status, 200);
    server.clock.advance(Duration::from_secs(50));
    assert_eq!(work_off(&server, 10).1, Some(Duration::from_secs(50)));
    let alive = |token: &str| server.session(Some(token)).read("auth/token/lookup-self").status == 200;
    assert_eq!((alive(&parent), alive(&child), alive(&other)), (false, false, true));
    server.clock.advance(Duration::from_secs(50));
    work_off(&server, 10);
    assert!(!alive(&other));
}

#[test]
fn a_restart_and_a_jump_of_the_clock_lose_nothing() {
    let server = server();
    lease(&server, &server.root_token, 100);
    server.kernel.seal();
    assert_eq!(server.kernel.expire_due(10).unwrap(), None);
    server.clock.advance(Duration::from_secs(100));
    server.unseal();
    work_off(&server, 10);
    assert_eq!(names_out(&server), 0);
    lease(&server, &server.root_token, 100);
    let now = server.kernel.now();
    server.clock.set_wall(now.minus(Duration::from_secs(3600)));
    assert_eq!(work_off(&server, 10).1, Some(Duration::from_secs(3700)));
    server.clock.set_wall(now.plus(Duration::from_secs(100)));
    work_off(&server, 10);
    assert_eq!(names_out(&server), 0);
}

#[test]
fn tokens_are_leases_too() {
    let server = server();
    let root = server.root();
    let token = root.write("auth/token/create", json!({"ttl": 100, "no_parent": true})).token();
    assert_eq!(root.list("sys/leases/lookup/auth/token").data(), &json!({"keys": ["create/"]}));
    let keys = root.list("sys/leases/lookup/auth/token/create").data()["keys"].clone();
    let id = format!("auth/token/create/{}", keys[0].as_str().unwrap());
    assert_eq!(root.write("sys/leases/lookup", json!({ "lease_id": id })).data()["ttl"], 100);
    assert_eq!(root.write("sys/leases/revoke", json!({ "lease_id": id })).status, 204);
    assert_eq!(server.session(Some(&token)).read("auth/token/lookup-self").status, 403);
}
