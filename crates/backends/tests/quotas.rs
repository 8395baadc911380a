//! Limits of rates and of leases.

use serde_json::json;
use std::time::Duration;
use strongroom_kernel::{
    Access, Backend, Call, Class, Error, LoginGrant, Method, Operation, Response, Route, Run,
};
use strongroom_testkit::server::TestServer;

const LOGIN: &[Route] = &[Route {
    pattern: "login",
    summary: "Lets anybody in.",
    access: Access::Open,
    fields: &[],
    methods: &[Method { operation: Operation::Write, run: Run::Write(login), summary: "" }],
    exists: None,
}];

fn login(_: &mut Call<'_>) -> Result<Response, Error> {
    let mut grant = LoginGrant::default();
    grant.token.ttl = Duration::from_secs(300);
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

static DOOR: Backend = Backend::new("door", Class::Auth, "door", &[LOGIN]);

#[test]
fn quotas_are_read_back() {
    let server = TestServer::start(vec![&DOOR]);
    let root = server.root();
    let wish =
        json!({"name": "q", "path": "cubbyhole/*", "rate": 100, "interval": "600", "block_interval": "600"});
    assert_eq!(root.list("sys/quotas/rate-limit").status, 404);
    assert_eq!(root.write("sys/quotas/rate-limit/q", wish.clone()).status, 204);
    assert_eq!(
        root.read("sys/quotas/rate-limit/q").data(),
        &json!({"block_interval": 600, "interval": 600, "name": "q", "path": "cubbyhole/*", "rate": 100, "role": "",
            "type": "rate-limit"})
    );
    assert_eq!(root.list("sys/quotas/rate-limit").data(), &json!({"keys": ["q"]}));
    assert_eq!(root.write("sys/quotas/rate-limit/twin", wish).status, 400);
    assert_eq!(root.write("sys/quotas/rate-limit/x", json!({"path": "/not-exist", "rate": 1})).status, 400);
    assert_eq!(root.write("sys/quotas/rate-limit/x", json!({"rate": 0})).status, 400);
    assert_eq!(root.delete("sys/quotas/rate-limit/q").status, 204);
    assert_eq!(root.read("sys/quotas/rate-limit/q").status, 404);
}

#[test]
fn each_client_has_its_own_rate() {
    let server = TestServer::start(vec![&DOOR]);
    let root = server.root();
    let wish = json!({"path": "cubbyhole", "rate": 2, "interval": "10s"});
    assert_eq!(root.write("sys/quotas/rate-limit/q", wish).status, 204);
    let statuses: Vec<u16> = (0..3).map(|_| root.read("cubbyhole/x").status).collect();
    assert_eq!(statuses, [404, 404, 429]);
    assert_eq!(root.read("sys/mounts").status, 200, "the quota covers the cubbyhole alone");
    assert_eq!(server.root().from_address("10.0.0.9").read("cubbyhole/x").status, 404);
    server.clock.advance(Duration::from_secs(5));
    assert_eq!(root.read("cubbyhole/x").status, 404);
    root.delete("sys/quotas/rate-limit/q");
    assert!((0..9).all(|_| root.read("cubbyhole/x").status == 404));
    root.write("sys/quotas/rate-limit/wide", json!({"path": "sys", "rate": 1000}));
    root.write("sys/quotas/rate-limit/all", json!({"rate": 1, "interval": "1h"}));
    assert_eq!(root.read("cubbyhole/x").status, 404);
    assert_eq!(root.read("cubbyhole/x").status, 429);
    server.kernel.seal();
    server.unseal();
    assert_eq!(root.read("cubbyhole/x").status, 429, "the quotas are there again after unsealing");
    assert!((0..9).all(|_| root.read("sys/mounts").status == 200), "the narrower quota counts");
}

#[test]
fn leases_are_counted() {
    let server = TestServer::start(vec![&DOOR]);
    let root = server.root();
    root.write("sys/auth/door", json!({"type": "door"}));
    assert_eq!(
        root.write("sys/quotas/lease-count/q", json!({"path": "auth/door", "max_leases": 3})).status,
        204
    );
    let login = || server.session(None).write("auth/door/login", json!({})).status;
    assert_eq!([login(), login(), login(), login()], [200, 200, 200, 429]);
    assert_eq!(root.read("sys/quotas/lease-count/q").data()["counter"], 3);
    assert_eq!(root.list("sys/quotas/rate-limit").status, 404);
    server.clock.advance(Duration::from_secs(301));
    assert_eq!(login(), 200, "leases that ended no longer count");
}
