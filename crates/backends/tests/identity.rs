//! Identity: entities, aliases, groups, and what they bring to tokens. The auth method here believes everybody.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use strongroom_kernel::{
    Access, Backend, Call, Class, Error, LoginGrant, Method, Operation, Response, Route, Run,
};
use strongroom_testkit::server::TestServer;

const ROUTES: &[Route] = &[Route {
    pattern: "login/{name}",
    summary: "Lets anybody in.",
    access: Access::Open,
    fields: &[],
    methods: &[Method { operation: Operation::Write, run: Run::Write(login), summary: "" }],
    exists: None,
}];

static TRUSTING: Backend = Backend::new("trusting", Class::Auth, "Believes everybody.", &[ROUTES]);

fn login(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let grant = LoginGrant {
        display_name: name.clone(),
        alias: name,
        alias_metadata: call.fields().map("metadata")?.unwrap_or_default(),
        group_aliases: call.fields().list("groups")?.unwrap_or_default(),
        renewable: true,
        ..LoginGrant::default()
    };
    Ok(Response { login: Some(Box::new(grant)), ..Response::default() })
}

struct Place {
    server: TestServer,
    accessor: String,
}

fn place() -> Place {
    let server = TestServer::start(vec![&TRUSTING]);
    let root = server.root();
    assert_eq!(root.write("sys/auth/trusting", json!({"type": "trusting"})).status, 204);
    assert_eq!(root.write("sys/auth/other", json!({"type": "trusting"})).status, 204);
    let accessor = root.read("sys/auth").data()["trusting/"]["accessor"].as_str().unwrap().to_owned();
    Place { server, accessor }
}

impl Place {
    fn write(&self, path: &str, body: Value) -> Value {
        let answer = self.server.root().write(path, body);
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer.body["data"].clone()
    }

    fn read(&self, path: &str) -> Value {
        self.server.root().read(path).data().clone()
    }

    fn refused(&self, path: &str, body: Value) -> String {
        let (status, text) = self.server.root().write(path, body).refusal();
        assert_eq!(status, 400, "{text}");
        text
    }

    fn log_in(&self, name: &str, body: Value) -> (String, Value) {
        let answer = self.server.session(None).write(&format!("auth/trusting/login/{name}"), body);
        (answer.token(), answer.body["auth"].clone())
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}

#[test]
fn entities_are_kept() {
    let place = place();
    let root = place.server.root();
    assert_eq!(root.list("identity/entity/id").status, 404);
    let made = place.write("identity/entity", json!({"name": "test-entity"}));
    let id = id(&made);
    assert_eq!(made, json!({"aliases": null, "id": id, "name": "test-entity"}));
    assert_eq!(
        root.write("identity/entity", json!({"id": id, "metadata": {"something": "meta"}})).status,
        204
    );
    let read = place.read(&format!("identity/entity/id/{id}"));
    assert_eq!(
        (&read["metadata"], &read["policies"], &read["disabled"], &read["aliases"], &read["namespace_id"]),
        (&json!({"something": "meta"}), &json!([]), &json!(false), &json!([]), &json!("root"))
    );
    assert_eq!(
        root.list("identity/entity/id").data(),
        &json!({"keys": [id], "key_info": {id.clone(): {"name": "test-entity"}}})
    );
    assert_eq!(root.list("identity/entity/name").data(), &json!({"keys": ["test-entity"]}));
    assert_eq!(place.read("identity/entity/name/TEST-entity")["id"], json!(id));
    place.write(&format!("identity/entity/id/{id}"), json!({"name": "renamed"}));
    assert_eq!(root.read("identity/entity/name/test-entity").status, 404);
    assert_eq!(root.delete(&format!("identity/entity/id/{id}")).status, 204);
    assert_eq!(root.delete("identity/entity/id/None").status, 204);
    assert_eq!(root.read(&format!("identity/entity/id/{id}")).status, 404);
    assert_eq!(root.list("identity/entity/name").status, 404);
    assert_eq!(
        place.refused("identity/entity", json!({"name": "x", "policies": ["root"]})),
        "policies cannot contain root"
    );
}

#[test]
fn aliases_belong_to_one_entity() {
    let place = place();
    let root = place.server.root();
    let accessor = &place.accessor;
    let wrong = place.refused("identity/entity-alias", json!({"name": "a", "mount_accessor": "not-there"}));
    assert!(wrong.contains("invalid mount accessor"), "{wrong}");
    let made = place.write("identity/entity-alias", json!({"name": "a", "mount_accessor": accessor}));
    let (alias, entity) = (id(&made), made["canonical_id"].as_str().unwrap().to_owned());
    let again = place.write("identity/entity-alias", json!({"name": "a", "mount_accessor": accessor}));
    assert_eq!(again, made);
    let read = place.read(&format!("identity/entity-alias/id/{alias}"));
    assert_eq!((&read["mount_path"], &read["mount_type"]), (&json!("auth/trusting/"), &json!("trusting")));
    assert_eq!(root.list("identity/entity-alias/id").data()["keys"], json!([alias]));
    let found = place.write("identity/lookup/entity", json!({"alias_id": alias}));
    assert_eq!((&found["id"], &found["aliases"][0]["name"]), (&json!(entity), &json!("a")));
    let found =
        place.write("identity/lookup/entity", json!({"alias_name": "a", "alias_mount_accessor": accessor}));
    assert_eq!(found["id"], json!(entity));
    assert_eq!(root.write("identity/lookup/entity", json!({"id": "entity_id"})).status, 204);
    // With the entity its aliases go.
    assert_eq!(root.delete(&format!("identity/entity/id/{entity}")).status, 204);
    assert_eq!(root.list("identity/entity-alias/id").status, 404);
}

#[test]
fn a_login_makes_its_entity_once() {
    let place = place();
    let root = place.server.root();
    let (token, auth) = place.log_in("bob", json!({"metadata": {"team": "blue"}}));
    let entity = auth["entity_id"].as_str().unwrap().to_owned();
    assert_eq!(place.log_in("bob", json!({"metadata": {"team": "blue"}})).1["entity_id"], json!(entity));
    let read = place.read(&format!("identity/entity/id/{entity}"));
    assert!(read["name"].as_str().unwrap().starts_with("entity_"));
    assert_eq!(read["aliases"][0]["metadata"], json!({"team": "blue"}));
    place.log_in("bob", json!({"metadata": {"team": "red"}}));
    assert_eq!(
        place.read(&format!("identity/entity/id/{entity}"))["aliases"][0]["metadata"],
        json!({"team": "red"})
    );

    place.write(
        "sys/policies/acl/reader",
        json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }"}),
    );
    let own = place.server.session(Some(&token));
    assert_eq!(own.read("sys/mounts").status, 403);
    place.write(&format!("identity/entity/id/{entity}"), json!({"policies": ["reader"]}));
    assert_eq!(own.read("sys/mounts").status, 200);
    assert_eq!(own.read("auth/token/lookup-self").data()["identity_policies"], json!(["reader"]));
    let (_, auth) = place.log_in("bob", json!({}));
    assert_eq!(
        (&auth["policies"], &auth["identity_policies"]),
        (&json!(["default", "reader"]), &json!(["reader"]))
    );
    // It may read its own entity, by a template of the default policy.
    assert_eq!(own.read(&format!("identity/entity/id/{entity}")).status, 200);

    place.write(&format!("identity/entity/id/{entity}"), json!({"disabled": true}));
    assert_eq!(own.read("auth/token/lookup-self").status, 403);
    let refused = place.server.session(None).write("auth/trusting/login/bob", json!({}));
    assert_eq!(refused.status, 403);
    place.write(&format!("identity/entity/id/{entity}"), json!({"disabled": false}));
    assert_eq!(own.read("auth/token/lookup-self").status, 200);
    assert_eq!(root.delete(&format!("identity/entity/id/{entity}")).status, 204);
    assert_eq!(own.read("auth/token/lookup-self").status, 403);
}

#[test]
fn groups_bring_policies_to_their_members_and_to_the_groups_in_them() {
    let place = place();
    let (token, auth) = place.log_in("bob", json!({}));
    let entity = auth["entity_id"].clone();
    place.write(
        "sys/policies/acl/reader",
        json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }"}),
    );
    let inner = id(&place.write(
        "identity/group",
        json!({"name": "inner", "type": "internal", "member_entity_ids": [entity], "member_group_ids": null}),
    ));
    let outer = id(&place.write(
        "identity/group",
        json!({"name": "outer", "policies": "reader", "member_group_ids": [inner]}),
    ));
    let own = place.server.session(Some(&token));
    assert_eq!(own.read("sys/mounts").status, 200);
    let read = place.read(&format!("identity/group/id/{inner}"));
    assert_eq!(
        (&read["member_entity_ids"], &read["member_group_ids"], &read["parent_group_ids"], &read["alias"]),
        (&json!([entity]), &Value::Null, &json!([outer]), &json!({}))
    );
    let about = place.read(&format!("identity/entity/id/{}", entity.as_str().unwrap()));
    assert_eq!(
        (&about["direct_group_ids"], &about["inherited_group_ids"]),
        (&json!([inner]), &json!([outer]))
    );
    let cycle = place.refused("identity/group", json!({"id": inner, "member_group_ids": [outer]}));
    assert!(cycle.contains("cyclic"), "{cycle}");
    assert!(
        place.refused("identity/group", json!({"id": inner, "member_group_ids": [inner]})).contains("cyclic")
    );
    let root = place.server.root();
    assert_eq!(root.list("identity/group/name").data()["keys"], json!(["inner", "outer"]));
    assert_eq!(
        place.refused("identity/group/name/inner", json!({"type": "external"})),
        "group type cannot be changed"
    );
    assert_eq!(root.delete(&format!("identity/group/id/{outer}")).status, 204);
    assert_eq!(own.read("sys/mounts").status, 403);
    assert_eq!(place.read(&format!("identity/group/id/{inner}"))["parent_group_ids"], Value::Null);
    place.write("identity/group", json!({"id": inner, "policies": ["reader"]}));
    assert_eq!(own.read("sys/mounts").status, 200);
    place.write("identity/group", json!({"id": inner, "member_entity_ids": []}));
    assert_eq!(own.read("sys/mounts").status, 403);
    assert_eq!(place.read(&format!("identity/group/id/{inner}"))["member_entity_ids"], json!([]));
}

#[test]
fn external_groups_follow_the_logins() {
    let place = place();
    let accessor = &place.accessor;
    let made = place.write("identity/group-alias", json!({"name": "admins", "mount_accessor": accessor}));
    let (alias, group) = (id(&made), made["canonical_id"].as_str().unwrap().to_owned());
    let same = place
        .write("identity/group-alias", json!({"id": alias, "name": "admins", "mount_accessor": accessor}));
    assert_eq!(same, made);
    let read = place.read(&format!("identity/group/id/{group}"));
    assert_eq!((&read["type"], &read["member_entity_ids"]), (&json!("external"), &Value::Null));
    assert_eq!(read["alias"]["name"], "admins");
    let (_, auth) = place.log_in("bob", json!({"groups": ["admins", "unknown"]}));
    assert_eq!(
        place.read(&format!("identity/group/id/{group}"))["member_entity_ids"],
        json!([auth["entity_id"]])
    );
    place.write(&format!("identity/group/id/{group}"), json!({"policies": ["ops"]}));
    let (_, auth) = place.log_in("bob", json!({"groups": "admins"}));
    assert_eq!(auth["identity_policies"], json!(["ops"]));
    let (_, auth) = place.log_in("bob", json!({}));
    assert_eq!(auth["identity_policies"], json!([]));
    for body in [
        json!({"id": group}),
        json!({"alias_id": alias}),
        json!({"alias_name": "admins", "alias_mount_accessor": accessor}),
    ] {
        assert_eq!(place.write("identity/lookup/group", body)["alias"]["name"], "admins");
    }
    let root = place.server.root();
    assert_eq!(root.write("identity/lookup/group", json!({"id": "group_id"})).status, 204);
    assert_eq!(root.list("identity/group-alias/id").data()["keys"], json!([alias]));
    let refused =
        place.refused("identity/group", json!({"id": group, "member_entity_ids": [auth["entity_id"]]}));
    assert!(refused.contains("external"), "{refused}");
    // The mount goes, and with it the names by which it knew anybody.
    assert_eq!(root.delete("sys/auth/trusting").status, 204);
    while place.server.kernel.clean_up().unwrap() == strongroom_kernel::Tidied::More {}
    assert_eq!(root.list("identity/group-alias/id").status, 404);
    assert_eq!(root.list("identity/entity-alias/id").status, 404);
}

#[test]
fn entities_are_merged() {
    let place = place();
    let root = place.server.root();
    let other = root.read("sys/auth").data()["other/"]["accessor"].clone();
    let (token, auth) = place.log_in("bob", json!({}));
    let from = auth["entity_id"].clone();
    let into = id(&place.write("identity/entity", json!({"name": "robert", "policies": ["a"]})));
    let own = id(&place.write(
        "identity/entity-alias",
        json!({"name": "rob", "mount_accessor": place.accessor, "canonical_id": into}),
    ));
    place.write(
        "identity/entity-alias",
        json!({"name": "rob", "mount_accessor": other, "canonical_id": into}),
    );
    let conflict =
        place.refused("identity/entity/merge", json!({"from_entity_ids": [from], "to_entity_id": into}));
    assert!(conflict.contains("conflicting"), "{conflict}");
    place.write(
        "identity/entity/merge",
        json!({"from_entity_ids": from, "to_entity_id": into, "conflicting_alias_ids_to_keep": [own]}),
    );
    let read = place.read(&format!("identity/entity/id/{into}"));
    assert_eq!((read["aliases"].as_array().unwrap().len(), &read["merged_entity_ids"]), (2, &json!([from])));
    // Tokens of the former entity are now of the other.
    let found = place.server.session(Some(&token)).read("auth/token/lookup-self");
    assert_eq!(found.data()["identity_policies"], json!(["a"]));
    assert_eq!(
        place.refused("identity/entity/merge", json!({"from_entity_ids": [into], "to_entity_id": into})),
        "to_entity_id should not be present in from_entity_ids"
    );
}

#[test]
fn a_group_in_a_namespace_may_have_members_from_around_it() {
    let place = place();
    assert_eq!(place.server.root().write("sys/namespaces/team", json!({})).status, 200);
    let (token, auth) = place.log_in("bob", json!({}));
    let inside = place.server.root().in_namespace("team");
    let policy = json!({"policy": "path \"sys/mounts\" { capabilities = [\"read\"] }"});
    assert_eq!(inside.write("sys/policies/acl/reader", policy).status, 204);
    let group = json!({"name": "g", "policies": ["reader"], "member_entity_ids": [auth["entity_id"]]});
    assert_eq!(inside.write("identity/group", group).status, 200);
    let own = place.server.session(Some(&token)).in_namespace("team");
    assert_eq!(own.read("sys/mounts").status, 200);
    assert_eq!(place.server.session(Some(&token)).read("sys/mounts").status, 403);
    let found = place.server.session(Some(&token)).read("auth/token/lookup-self");
    assert_eq!(found.data()["external_namespace_policies"], json!({"team/": ["reader"]}));
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    let standard: String = part
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    let padded = format!("{standard}{}", "=".repeat((4 - standard.len() % 4) % 4));
    serde_json::from_slice(strongroom_crypto::token::decode_base64(&padded).unwrap().expose()).unwrap()
}

#[test]
fn identity_tokens_are_signed_and_checked() {
    let place = place();
    let root = place.server.root();
    assert_eq!(root.write("identity/oidc/config", json!({"issuer": ""})).status, 204);
    let warned = root.write("identity/oidc/config", json!({"issuer": "https://python-hvac.org:1234"}));
    assert_eq!((warned.status, warned.body["warnings"].as_array().unwrap().len()), (200, 1));
    let issuer = place.read("identity/oidc/.well-known/openid-configuration")["issuer"].clone();
    assert_eq!(issuer, "https://python-hvac.org:1234/v1/identity/oidc");
    let template = r#"{"who": {{identity.entity.name}}, "groups": {{identity.entity.groups.names}}}"#;
    place.write("identity/oidc/role/hvac", json!({"key": "hvac_key", "ttl": "24h", "template": template}));
    let client_id = place.read("identity/oidc/role/hvac")["client_id"].clone();
    let (token, auth) = place.log_in("bob", json!({}));
    let entity = auth["entity_id"].as_str().unwrap();
    place.write(
        "sys/policies/acl/oidc",
        json!({"policy": "path \"identity/oidc/token/*\" { capabilities = [\"read\"] }"}),
    );
    place.write(&format!("identity/entity/id/{entity}"), json!({"name": "b\"ob", "policies": ["oidc"]}));
    let own = place.server.session(Some(&token));
    assert_eq!(own.read("identity/oidc/token/hvac").refusal().1, "key \"hvac_key\" not found");
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let key = json!({"rotation_period": "24h", "verification_ttl": "24h", "algorithm": algorithm, "allowed_client_ids": [client_id]});
        place.write("identity/oidc/key/hvac_key", key);
        let issued = own.read("identity/oidc/token/hvac");
        let id_token = issued.data()["token"].as_str().unwrap().to_owned();
        assert_eq!((&issued.data()["client_id"], &issued.data()["ttl"]), (&client_id, &json!(86400)));
        let said = claims(&id_token);
        assert_eq!(
            (&said["sub"], &said["who"], &said["groups"]),
            (&json!(entity), &json!("b\"ob"), &json!([]))
        );
        let checked = |body: Value| root.write("identity/oidc/introspect", body).data().clone();
        assert_eq!(checked(json!({"token": id_token, "client_id": client_id})), json!({"active": true}));
        assert_eq!(checked(json!({"token": id_token, "client_id": "other"}))["active"], false);
        assert_eq!(checked(json!({"token": format!("{id_token}x")}))["active"], false);
        assert_eq!(checked(json!({"token": "not-a-token"}))["active"], false);
        let keys = place.read("identity/oidc/.well-known/keys");
        assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["alg"] == algorithm), "{keys}");
    }
    place.write("identity/oidc/key/hvac_key/", json!({"verification_ttl": 1800}));
    assert_eq!(
        &place.read("identity/oidc/key/hvac_key"),
        &json!({"algorithm": "EdDSA", "allowed_client_ids": [client_id], "rotation_period": 86400, "verification_ttl": 1800})
    );
    assert_eq!(root.list("identity/oidc/key").data()["keys"], json!(["default", "hvac_key"]));
    assert_eq!(root.list("identity/oidc/role").data()["keys"], json!(["hvac"]));
    assert_eq!(root.delete("identity/oidc/key/hvac_key").status, 400);
    assert_eq!(root.delete("identity/oidc/role/hvac").status, 204);
    assert_eq!(root.delete("identity/oidc/key/hvac_key").status, 204);
    assert_eq!(
        root.read("identity/oidc/token/hvac").refusal().1,
        "no entity associated with the request's token"
    );
}

#[test]
fn keys_rotate_and_the_former_verify_for_a_while() {
    let place = place();
    let root = place.server.root();
    place.write("identity/oidc/key/k", json!({"algorithm": "ES256", "rotation_period": "1h", "verification_ttl": "2h", "allowed_client_ids": "*"}));
    place.write("identity/oidc/role/r", json!({"key": "k", "ttl": "2h"}));
    let (token, auth) = place.log_in("bob", json!({}));
    place.write(
        "sys/policies/acl/oidc",
        json!({"policy": "path \"identity/oidc/token/*\" { capabilities = [\"read\"] }"}),
    );
    place.write(
        &format!("identity/entity/id/{}", auth["entity_id"].as_str().unwrap()),
        json!({"policies": ["oidc"]}),
    );
    let own = place.server.session(Some(&token));
    let first = own.read("identity/oidc/token/r").data()["token"].clone();
    place.server.clock.advance(std::time::Duration::from_secs(3600));
    let second = own.read("identity/oidc/token/r").data()["token"].clone();
    let count = || place.read("identity/oidc/.well-known/keys")["keys"].as_array().unwrap().len();
    assert_eq!(count(), 2);
    let is_active = |token: &Value| {
        root.write("identity/oidc/introspect", json!({"token": token})).data()["active"].clone()
    };
    assert_eq!((is_active(&first), is_active(&second)), (json!(true), json!(true)));
    place.server.clock.advance(std::time::Duration::from_secs(3600));
    assert_eq!((is_active(&first), is_active(&second)), (json!(false), json!(true)));
    assert_eq!(root.write("identity/oidc/key/k/rotate", json!({"verification_ttl": "1m"})).status, 204);
    place.server.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(is_active(&second), json!(false));
}
