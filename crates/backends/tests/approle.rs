//! Roles for machines, as their clients see them.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_testkit::server::{Answer, TestServer};

fn server() -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    let mounted = server.root().write("sys/auth/approle", json!({"type": "approle"}));
    assert_eq!(mounted.status, 204, "{mounted:?}");
    server
}

#[track_caller]
fn write(server: &TestServer, path: &str, body: Value) {
    let answer = server.root().write(&format!("auth/approle/{path}"), body);
    assert_eq!(answer.status, 204, "{answer:?}");
}

/// Makes the role `app` and returns its id.
#[track_caller]
fn role(server: &TestServer, body: Value) -> String {
    write(server, "role/app", body);
    text(server.root().read("auth/approle/role/app/role-id").data(), "role_id")
}

/// Makes a secret-id for the role `app`: the id and the accessor.
#[track_caller]
fn secret_id(server: &TestServer, body: Value) -> (String, String) {
    let made = server.root().write("auth/approle/role/app/secret-id", body);
    (text(made.data(), "secret_id"), text(made.data(), "secret_id_accessor"))
}

#[track_caller]
fn text(data: &Value, name: &str) -> String {
    data[name].as_str().unwrap_or_else(|| panic!("no {name} in {data}")).to_owned()
}

fn login(server: &TestServer, role_id: &str, secret_id: &str) -> Answer {
    let body = json!({ "role_id": role_id, "secret_id": secret_id });
    server.session(None).write("auth/approle/login", body)
}

fn refused() -> (u16, String) {
    (400, "invalid role or secret ID".to_owned())
}

#[test]
fn a_machine_logs_in() {
    let server = server();
    let id = role(&server, json!({"token_policies": "p1,p2", "token_ttl": "20m", "token_max_ttl": "30m"}));
    let (secret, _) = secret_id(&server, json!({"metadata": "{\"foo\": \"bar\"}"}));
    let answer = login(&server, &id, &secret);
    let auth = &answer.body["auth"];
    assert_eq!(auth["metadata"], json!({"foo": "bar", "role_name": "app"}));
    assert_eq!(auth["policies"], json!(["default", "p1", "p2"]));
    assert_eq!((&auth["lease_duration"], &auth["renewable"]), (&json!(1200), &json!(true)));
    assert_eq!((&auth["token_type"], &auth["orphan"]), (&json!("service"), &json!(true)));
    let looked_up = server.session(Some(&answer.token())).read("auth/token/lookup-self");
    assert_eq!(looked_up.data()["display_name"], "approle");
    assert_eq!(looked_up.data()["meta"]["role_name"], "app");
    assert_eq!(login(&server, &id, &secret).status, 200);
}

#[test]
fn whatever_is_wrong_gets_the_same_answer() {
    let server = server();
    let id = role(&server, json!({}));
    let (secret, _) = secret_id(&server, json!({}));
    assert_eq!(login(&server, &id, "wrong").refusal(), refused());
    assert_eq!(login(&server, "wrong", &secret).refusal(), refused());
    let without = |body: Value| server.session(None).write("auth/approle/login", body).refusal();
    assert_eq!(without(json!({})), (400, "missing role_id".into()));
    assert_eq!(without(json!({ "role_id": id })), (400, "missing secret_id".into()));
    assert_eq!(without(json!({"role_id": "wrong"})), (400, "missing secret_id".into()));
    // A secret-id of another role is none.
    write(&server, "role/other", json!({"role_id": "other-id"}));
    assert_eq!(login(&server, "other-id", &secret).refusal(), refused());
}

#[test]
fn a_role_is_read_as_vault_shows_it() {
    let server = server();
    let root = server.root();
    role(&server, json!({"token_policies": "default"}));
    let expected = json!({
        "bind_secret_id": true, "local_secret_ids": false, "secret_id_bound_cidrs": null, "secret_id_num_uses": 0,
        "secret_id_ttl": 0, "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0,
        "token_no_default_policy": false, "token_num_uses": 0, "token_period": 0, "token_policies": ["default"],
        "token_strictly_bind_ip": false, "token_ttl": 0, "token_type": "default"
    });
    assert_eq!(root.read("auth/approle/role/app").data(), &expected);
    assert_eq!(root.read("auth/approle/role/APP").data(), &expected);
    write(&server, "role/app", json!({"secret_id_num_uses": 3, "secret_id_ttl": "10m", "policies": "a"}));
    let read = root.read("auth/approle/role/app");
    assert_eq!((&read.data()["secret_id_num_uses"], &read.data()["secret_id_ttl"]), (&json!(3), &json!(600)));
    assert_eq!(read.data()["token_policies"], json!(["a"]));
    assert_eq!(root.read("auth/approle/role/nothing").refusal(), (404, String::new()));
}

#[test]
fn roles_are_listed_and_removed_with_their_secret_ids() {
    let server = server();
    let root = server.root();
    assert_eq!(root.list("auth/approle/role").refusal(), (404, String::new()));
    let id = role(&server, json!({"role_id": "fixed"}));
    write(&server, "role/other", json!({}));
    assert_eq!(root.list("auth/approle/role").data(), &json!({"keys": ["app", "other"]}));
    let (secret, _) = secret_id(&server, json!({}));
    assert_eq!(root.delete("auth/approle/role/app").status, 204);
    assert_eq!(root.delete("auth/approle/role/app").status, 204);
    assert_eq!(login(&server, &id, &secret).refusal(), refused());
    assert_eq!(root.list("auth/approle/role").data(), &json!({"keys": ["other"]}));
    // A new role of the same name and id does not take over the old one's secret-ids.
    role(&server, json!({"role_id": "fixed"}));
    assert_eq!(login(&server, "fixed", &secret).refusal(), refused());
    assert_eq!(root.list("auth/approle/role/app/secret-id").refusal(), (404, String::new()));
}

#[test]
fn a_role_id_is_changed() {
    let server = server();
    let root = server.root();
    let old = role(&server, json!({}));
    let (secret, _) = secret_id(&server, json!({}));
    write(&server, "role/app/role-id", json!({"role_id": "test_role_id"}));
    assert_eq!(root.read("auth/approle/role/app/role-id").data(), &json!({"role_id": "test_role_id"}));
    assert_eq!(login(&server, "test_role_id", &secret).status, 200);
    assert_eq!(login(&server, &old, &secret).refusal(), refused());
    write(&server, "role/other", json!({}));
    let taken = root.write("auth/approle/role/other/role-id", json!({"role_id": "test_role_id"}));
    assert_eq!(taken.refusal(), (400, "role_id is already in use by another role".into()));
}

#[test]
fn secret_ids_are_looked_up_and_destroyed() {
    let server = server();
    let root = server.root();
    role(&server, json!({}));
    assert_eq!(root.list("auth/approle/role/app/secret-id").refusal(), (404, String::new()));
    let (secret, accessor) =
        secret_id(&server, json!({"metadata": {"foo": "bar"}, "cidr_list": "127.0.0.1/32"}));
    assert_eq!(root.list("auth/approle/role/app/secret-id").data(), &json!({ "keys": [accessor] }));
    let look_up = || root.write("auth/approle/role/app/secret-id/lookup", json!({ "secret_id": secret }));
    let looked_up = look_up();
    let data = looked_up.data();
    assert_eq!((&data["cidr_list"], &data["metadata"]), (&json!(["127.0.0.1/32"]), &json!({"foo": "bar"})));
    assert_eq!((&data["secret_id_num_uses"], &data["secret_id_ttl"]), (&json!(0), &json!(0)));
    assert_eq!(data["expiration_time"], "0001-01-01T00:00:00Z");
    assert_eq!(data["token_bound_cidrs"], json!([]));
    assert!(!looked_up.body.to_string().contains(&secret));
    let by_accessor = |operation: &str| {
        let path = format!("auth/approle/role/app/secret-id-accessor/{operation}");
        root.write(&path, json!({ "secret_id_accessor": accessor }))
    };
    assert_eq!(by_accessor("lookup").data(), data);
    write(&server, "role/app/secret-id/destroy", json!({ "secret_id": secret }));
    assert_eq!(look_up().status, 204);
    assert_eq!(by_accessor("lookup").status, 404);
    let (_, accessor) = secret_id(&server, json!({}));
    write(&server, "role/app/secret-id-accessor/destroy", json!({ "secret_id_accessor": accessor }));
    assert_eq!(root.list("auth/approle/role/app/secret-id").status, 404);
    let missing = root.write("auth/approle/role/none/secret-id", json!({})).refusal();
    assert_eq!(missing, (404, "role \"none\" does not exist".into()));
}

#[test]
fn a_secret_id_can_be_brought_along() {
    let server = server();
    let id = role(&server, json!({}));
    let path = "auth/approle/role/app/custom-secret-id";
    let made =
        server.root().write(path, json!({"secret_id": "custom_secret", "cidr_list": ["127.0.0.1/32"]}));
    assert_eq!(made.data()["secret_id"], "custom_secret");
    assert_eq!((&made.data()["secret_id_ttl"], &made.data()["secret_id_num_uses"]), (&json!(0), &json!(0)));
    assert_eq!(login(&server, &id, "custom_secret").status, 200);
    let again = server.root().write(path, json!({"secret_id": "custom_secret"})).refusal();
    assert_eq!(again, (400, "SecretID is already registered".into()));
    assert_eq!(server.root().write(path, json!({})).refusal(), (400, "missing secret_id".into()));
}

#[test]
fn uses_of_a_secret_id_run_out() {
    let server = server();
    let id = role(&server, json!({"secret_id_num_uses": 2}));
    let (secret, accessor) = secret_id(&server, json!({}));
    assert_eq!(login(&server, &id, &secret).status, 200);
    let looked_up = server
        .root()
        .write("auth/approle/role/app/secret-id-accessor/lookup", json!({ "secret_id_accessor": accessor }));
    assert_eq!(looked_up.data()["secret_id_num_uses"], 1);
    assert_eq!(login(&server, &id, &secret).status, 200);
    assert_eq!(login(&server, &id, &secret).refusal(), refused());
    assert_eq!(server.root().list("auth/approle/role/app/secret-id").status, 404);
    let more = server.root().write("auth/approle/role/app/secret-id", json!({"num_uses": 3})).refusal();
    assert_eq!(more, (400, "num_uses cannot be higher than the role's secret_id_num_uses".into()));
    assert_eq!(server.root().write("auth/approle/role/app/secret-id", json!({"num_uses": 0})).status, 400);
}

#[test]
fn a_secret_id_ends_by_time_and_is_tidied() {
    let server = server();
    let root = server.root();
    let id = role(&server, json!({"secret_id_ttl": "10m"}));
    let (secret, accessor) = secret_id(&server, json!({"ttl": "5m"}));
    let (longer, _) = secret_id(&server, json!({}));
    let over = root.write("auth/approle/role/app/secret-id", json!({"ttl": "11m"})).refusal();
    assert_eq!(over, (400, "ttl cannot be longer than the role's secret_id_ttl".into()));
    server.clock.advance(Duration::from_secs(301));
    assert_eq!(login(&server, &id, &secret).refusal(), refused());
    assert_eq!(login(&server, &id, &longer).status, 200);
    let gone = root
        .write("auth/approle/role/app/secret-id-accessor/lookup", json!({ "secret_id_accessor": accessor }));
    assert_eq!(gone.status, 404);
    let tidied = root.write("auth/approle/tidy/secret-id", json!({}));
    assert_eq!(tidied.status, 202, "{tidied:?}");
    assert_eq!(root.list("auth/approle/role/app/secret-id").data()["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(login(&server, &id, &longer).status, 200);
    // The same text may become a secret-id again, and tidying leaves it alone.
    root.write("auth/approle/role/app/custom-secret-id", json!({ "secret_id": secret }));
    root.write("auth/approle/tidy/secret-id", json!({}));
    assert_eq!(login(&server, &id, &secret).status, 200);
}

#[test]
fn uses_without_a_limit_are_counted_too() {
    let server = server();
    let id = role(&server, json!({}));
    let (secret, _) = secret_id(&server, json!({}));
    let look_up = || {
        let path = "auth/approle/role/app/secret-id/lookup";
        server.root().write(path, json!({ "secret_id": secret })).data().clone()
    };
    assert_eq!(
        (&look_up()["use_count"], &look_up()["last_used_time"]),
        (&json!(0), &json!("0001-01-01T00:00:00Z"))
    );
    let first = server.kernel.now().rfc3339();
    for _ in 0..3 {
        assert_eq!(login(&server, &id, &secret).status, 200);
    }
    assert_eq!((&look_up()["use_count"], &look_up()["last_used_time"]), (&json!(3), &json!(first)));
    server.clock.advance(Duration::from_secs(61));
    let later = server.kernel.now().rfc3339();
    assert_eq!(login(&server, &id, &secret).status, 200);
    assert_eq!((&look_up()["use_count"], &look_up()["last_used_time"]), (&json!(4), &json!(later)));
}

#[test]
fn logins_are_bound_to_networks() {
    let server = server();
    let id = role(&server, json!({"secret_id_bound_cidrs": ["127.0.0.0/8", "10.0.0.0/8"]}));
    let (secret, _) = secret_id(&server, json!({"cidr_list": "127.0.0.1/32"}));
    let from = |address: &str| {
        let body = json!({ "role_id": id, "secret_id": secret });
        server.session(None).from_address(address).write("auth/approle/login", body)
    };
    assert_eq!(from("127.0.0.1").status, 200);
    assert_eq!(from("::ffff:127.0.0.1").status, 200);
    assert_eq!(from("127.0.0.2").refusal(), refused());
    assert_eq!(from("192.168.0.1").refusal(), refused());
    let outside =
        server.root().write("auth/approle/role/app/secret-id", json!({"cidr_list": "192.168.0.0/16"}));
    assert_eq!(outside.status, 400);
}

#[test]
fn a_role_without_secret_ids_needs_another_bound() {
    let server = server();
    let root = server.root();
    let unbound = root.write("auth/approle/role/app", json!({"bind_secret_id": false})).refusal();
    assert_eq!(unbound, (400, "at least one constraint should be enabled on the role".into()));
    let id = role(&server, json!({"bind_secret_id": false, "token_bound_cidrs": "127.0.0.1"}));
    let answer = server.session(None).write("auth/approle/login", json!({ "role_id": id }));
    assert_eq!(answer.status, 200, "{answer:?}");
    let elsewhere = server.session(None).from_address("127.0.0.2");
    assert_eq!(elsewhere.write("auth/approle/login", json!({ "role_id": id })).refusal(), refused());
    let none = root.write("auth/approle/role/app/secret-id", json!({})).refusal();
    assert_eq!(none, (400, "bind_secret_id is not set on the role".into()));
    assert_eq!(root.delete("auth/approle/role/app/token-bound-cidrs").status, 400);
}

#[test]
fn parts_of_a_role_have_paths_of_their_own() {
    let server = server();
    let root = server.root();
    role(&server, json!({}));
    for (segment, name, value, read, unset) in [
        ("policies", "token_policies", json!("a,b"), json!(["a", "b"]), json!([])),
        (
            "secret-id-bound-cidrs",
            "secret_id_bound_cidrs",
            json!("10.0.0.0/8"),
            json!(["10.0.0.0/8"]),
            Value::Null,
        ),
        ("token-bound-cidrs", "token_bound_cidrs", json!(["10.0.0.1"]), json!(["10.0.0.1"]), json!([])),
        ("secret-id-num-uses", "secret_id_num_uses", json!(7), json!(7), json!(0)),
        ("secret-id-ttl", "secret_id_ttl", json!("1h"), json!(3600), json!(0)),
        ("token-ttl", "token_ttl", json!("5m"), json!(300), json!(0)),
        ("token-max-ttl", "token_max_ttl", json!("1h"), json!(3600), json!(0)),
        ("token-num-uses", "token_num_uses", json!(9), json!(9), json!(0)),
        ("token-period", "token_period", json!("1h"), json!(3600), json!(0)),
        ("bind-secret-id", "bind_secret_id", json!(true), json!(true), json!(true)),
    ] {
        let path = format!("auth/approle/role/app/{segment}");
        // A path changes its own parameter alone.
        write(&server, &format!("role/app/{segment}"), json!({ name: value, "token_type": "batch" }));
        assert_eq!(root.read(&path).data()[name], read, "{segment}");
        assert_eq!(root.delete(&path).status, 204, "{segment}");
        assert_eq!(root.read(&path).data()[name], unset, "{segment}");
        assert_eq!(root.write(&path, json!({})).refusal(), (400, format!("missing {name}")), "{segment}");
        assert_eq!(root.read(&path.replace("app", "none")).status, 404, "{segment}");
    }
    assert_eq!(root.read("auth/approle/role/app").data()["token_type"], "default");
    write(&server, "role/app/period", json!({"period": "2h"}));
    assert_eq!(root.read("auth/approle/role/app/token-period").data()["token_period"], 7200);
    let list = root.read("auth/approle/role/app/local-secret-ids");
    assert_eq!(list.data(), &json!({"local_secret_ids": false}));
    assert_eq!(root.write("auth/approle/role/app", json!({"local_secret_ids": true})).status, 400);
}

#[test]
fn a_secret_id_can_be_wrapped() {
    let server = server();
    let id = role(&server, json!({}));
    let wrapping = server.root().wrapping(Duration::from_secs(300));
    let wrapped = wrapping.write("auth/approle/role/app/secret-id", json!({}));
    let info = &wrapped.body["wrap_info"];
    assert_eq!(info["ttl"], 300);
    assert_eq!(info["creation_path"], "auth/approle/role/app/secret-id");
    let token = text(info, "token");
    let unwrapped = server.session(Some(&token)).write("sys/wrapping/unwrap", json!({}));
    assert_eq!(unwrapped.data()["secret_id_accessor"], info["wrapped_accessor"]);
    assert_eq!(login(&server, &id, &text(unwrapped.data(), "secret_id")).status, 200);
}

#[test]
fn batch_tokens_are_handed_out_if_the_role_says_so() {
    let server = server();
    let id = role(&server, json!({"token_type": "batch", "token_ttl": "1h"}));
    let (secret, _) = secret_id(&server, json!({}));
    let answer = login(&server, &id, &secret);
    assert_eq!(
        (&answer.body["auth"]["token_type"], &answer.body["auth"]["renewable"]),
        (&json!("batch"), &json!(false))
    );
    assert!(answer.token().starts_with("hvb."));
    let periodic = server.root().write("auth/approle/role/app", json!({"token_period": "1h"}));
    assert_eq!(periodic.status, 400);
}

#[test]
fn renewal_follows_the_role() {
    let server = server();
    let id = role(&server, json!({"token_ttl": "1h"}));
    let (secret, _) = secret_id(&server, json!({}));
    let token = login(&server, &id, &secret).token();
    let renew = || server.session(Some(&token)).write("auth/token/renew-self", json!({}));
    write(&server, "role/app", json!({"token_ttl": "2h"}));
    let renewed = renew();
    assert_eq!(renewed.body["auth"]["lease_duration"], 7200, "{renewed:?}");
    server.root().delete("auth/approle/role/app");
    assert_eq!(renew().refusal(), (400, "role \"app\" does not exist during renewal".into()));
}

#[test]
fn what_is_wrong_with_a_role_is_said() {
    let server = server();
    let refused = |body: Value| server.root().write("auth/approle/role/app", body).refusal().0;
    assert_eq!(refused(json!({"token_policies": ["root"]})), 400);
    assert_eq!(refused(json!({"secret_id_num_uses": -1})), 400);
    assert_eq!(refused(json!({"secret_id_ttl": "x"})), 400);
    assert_eq!(refused(json!({"secret_id_bound_cidrs": "nowhere"})), 400);
    assert_eq!(refused(json!({"bind_secret_id": "maybe"})), 400);
    assert_eq!(refused(json!({"token_type": "paper"})), 400);
    assert_eq!(refused(json!({"role_id": "x".repeat(2000)})), 400);
    assert_eq!(server.root().list("auth/approle/role").status, 404);
}

#[test]
fn concurrent_logins_take_no_use_too_many() {
    let server = server();
    let id = role(&server, json!({}));
    let (secret, _) = secret_id(&server, json!({"num_uses": 3}));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let logins: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..3).map(|_| login(&server, &id, &secret).status).collect::<Vec<_>>()))
            .collect();
        logins.into_iter().flat_map(|login| login.join().unwrap_or_default()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
}

#[test]
fn lists_come_in_pages() {
    let server = server();
    for name in ["a", "b", "c"] {
        write(&server, &format!("role/{name}"), json!({}));
    }
    let page =
        |body: Value| server.root().send(strongroom_kernel::Operation::List, "auth/approle/role", body);
    assert_eq!(page(json!({"after": "a", "limit": 1})).data(), &json!({"keys": ["b"]}));
}
