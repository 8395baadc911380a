//! Logins with a second factor.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use serde_json::{Value, json};
use std::time::Duration;
use strongroom_crypto::otp::{OtpHash, one_time_password};
use strongroom_secret::Clock;
use strongroom_testkit::server::{Answer, TestServer};

/// A server with Ann, who logs in by password, and a TOTP method for her mount.
struct Place {
    server: TestServer,
    method: String,
    entity: String,
    key: Vec<u8>,
}

fn place() -> Place {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    root.write("sys/auth/userpass", json!({"type": "userpass"}));
    root.write(
        "auth/userpass/users/ann",
        json!({"password": "not-a-real-password", "token_policies": "app"}),
    );
    let login =
        server.session(None).write("auth/userpass/login/ann", json!({"password": "not-a-real-password"}));
    let entity = login.body["auth"]["entity_id"].as_str().unwrap().to_owned();
    let made =
        root.write("identity/mfa/method/totp", json!({"issuer": "Strongroom Test", "method_name": "phone"}));
    let method = made.data()["method_id"].as_str().unwrap().to_owned();
    let request = json!({"method_id": method, "entity_id": entity});
    let url = root.write("identity/mfa/method/totp/admin-generate", request).data()["url"].clone();
    let url = url.as_str().unwrap();
    assert!(url.starts_with("otpauth://totp/Strongroom%20Test:"), "{url}");
    let secret = url.split_once("secret=").unwrap().1;
    let key = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let rule = json!({"mfa_method_ids": [method], "auth_method_types": "userpass"});
    assert_eq!(root.write("identity/mfa/login-enforcement/people", rule).status, 204);
    Place { server, method, entity, key }
}

impl Place {
    /// The code of now, or of some periods from it.
    fn code(&self, periods: i64) -> String {
        let step = self.server.clock.now().seconds() / 30 + periods;
        one_time_password(OtpHash::Sha1, &self.key, u64::try_from(step).unwrap(), 6)
    }

    fn login(&self) -> Answer {
        self.server.session(None).write("auth/userpass/login/ann", json!({"password": "not-a-real-password"}))
    }

    /// A login's second step.
    fn validate(&self, login: &Answer, code: &str) -> Answer {
        let id = &login.body["auth"]["mfa_requirement"]["mfa_request_id"];
        let body = json!({"mfa_request_id": id, "mfa_payload": {self.method.as_str(): [code]}});
        self.server.session(None).write("sys/mfa/validate", body)
    }

    fn login_with(&self, header: &str) -> Answer {
        let session = self.server.session(None).with_header("x-vault-mfa", header);
        session.write("auth/userpass/login/ann", json!({"password": "not-a-real-password"}))
    }
}

#[track_caller]
fn refused(answer: &Answer, expected: u16, reason: &str) {
    let (status, text) = answer.refusal();
    assert!(status == expected && text.contains(reason), "{answer:?}, not {reason}");
}

#[test]
fn a_login_waits_for_its_code() {
    let place = place();
    let login = place.login();
    let auth = &login.body["auth"];
    assert_eq!(auth["client_token"], "", "{login:?}");
    assert_eq!(
        auth["mfa_requirement"]["mfa_constraints"],
        json!({"people": {"any": [{"type": "totp", "id": place.method, "uses_passcode": true, "name": "phone"}]}})
    );
    refused(&place.validate(&login, "000000"), 403, "failed to validate TOTP passcode");
    let code = place.code(0);
    let done = place.validate(&login, &code);
    assert_eq!(done.body["auth"]["policies"], json!(["app", "default"]), "{done:?}");
    assert_eq!(done.body["auth"]["entity_id"], place.entity);
    let looked_up = place.server.session(Some(&done.token())).read("auth/token/lookup-self");
    assert_eq!(looked_up.data()["path"], "auth/userpass/login/ann");
    assert_eq!(
        place.server.session(Some(&done.token())).write("auth/token/renew-self", json!({})).status,
        200
    );
    // A login is finished once, and a code counts once.
    refused(&place.validate(&login, &place.code(1)), 400, "invalid request ID");
    let second = place.login();
    refused(&place.validate(&second, &code), 403, "failed to validate");
    refused(&place.validate(&second, &place.code(-1)), 403, "failed to validate");
    assert_eq!(place.validate(&second, &place.code(1)).status, 200);
    // And only for a while.
    let third = place.login();
    place.server.clock.advance(Duration::from_secs(301));
    refused(&place.validate(&third, &place.code(0)), 400, "took too long");
    for body in [
        json!({}),
        json!({"mfa_request_id": "x"}),
        json!({"mfa_request_id": "AAAA", "mfa_payload": {"a": ["1"]}}),
        json!({"mfa_request_id": ["x"], "mfa_payload": 1}),
    ] {
        assert_eq!(place.server.session(None).write("sys/mfa/validate", body).status, 400);
    }
}

#[test]
fn a_code_can_come_with_the_password() {
    let place = place();
    let login = place.login_with(&format!("{}:{}", place.method, place.code(0)));
    assert!(!login.token().is_empty());
    refused(&place.login_with(&format!("phone:{}", place.code(0))), 403, "failed to validate");
    assert_eq!(place.login_with(&format!("phone:passcode={}", place.code(1))).status, 200);
    refused(&place.login_with("other:123456"), 403, "no code for one of its methods");
    refused(&place.login_with("nonsense"), 400, "METHOD:CODE");
    // A wrong password is a wrong password, whatever code comes with it.
    let wrong = place.server.session(None).with_header("x-vault-mfa", "phone:123456");
    refused(
        &wrong.write("auth/userpass/login/ann", json!({"password": "wrong"})),
        400,
        "invalid username or password",
    );
}

#[test]
fn guessing_is_ended() {
    let place = place();
    for _ in 0..5 {
        refused(&place.login_with("phone:000000"), 403, "failed to validate");
    }
    // Now even the right one is not looked at, on either way.
    refused(
        &place.login_with(&format!("phone:{}", place.code(0))),
        403,
        "maximum TOTP validation attempts 5 exceeded",
    );
    let login = place.login();
    refused(&place.validate(&login, &place.code(0)), 403, "maximum TOTP validation attempts");
    place.server.clock.advance(Duration::from_secs(300));
    assert_eq!(place.login_with(&format!("phone:{}", place.code(0))).status, 200);
}

#[test]
fn rules_reach_mounts_groups_and_entities() {
    let place = place();
    let root = place.server.root();
    let mounts = root.read("sys/auth").data().clone();
    let accessor = mounts["userpass/"]["accessor"].clone();
    let group = root.write("identity/group", json!({"name": "admins", "member_entity_ids": [place.entity]}));
    let group = group.data()["id"].clone();
    let rule = |body: Value| {
        root.delete("identity/mfa/login-enforcement/people");
        let mut rule = json!({"mfa_method_ids": [place.method]});
        rule.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        assert_eq!(root.write("identity/mfa/login-enforcement/people", rule).status, 204);
        place.login().body["auth"]["client_token"] == ""
    };
    assert!(rule(json!({"auth_method_accessors": [accessor]})));
    assert!(!rule(json!({"auth_method_accessors": ["auth_userpass_0"]})));
    assert!(rule(json!({"identity_group_ids": [group]})));
    assert!(rule(json!({"identity_entity_ids": [place.entity]})));
    assert!(!rule(json!({"identity_entity_ids": ["other"]})));
    // A rule of the namespaces around it holds as well.
    root.write("sys/namespaces/team", json!({}));
    let team = place.server.root().in_namespace("team");
    team.write("sys/auth/userpass", json!({"type": "userpass"}));
    team.write("auth/userpass/users/bob", json!({"password": "not-a-real-password"}));
    let bob = || {
        let session = place.server.session(None).in_namespace("team");
        session.write("auth/userpass/login/bob", json!({"password": "not-a-real-password"}))
    };
    assert!(!bob().token().is_empty());
    assert!(rule(json!({"auth_method_types": ["userpass"]})));
    assert_eq!(bob().body["auth"]["client_token"], "");
}

#[test]
fn methods_and_rules_are_checked() {
    let place = place();
    let root = place.server.root();
    for (body, reason) in [
        (json!({}), "issuer must be set"),
        (json!({"issuer": "i", "digits": 7}), "digits can only be 6 or 8"),
        (json!({"issuer": "i", "skew": 2}), "skew must be"),
        (json!({"issuer": "i", "algorithm": "MD5"}), "algorithm must be"),
        (json!({"issuer": "i", "key_size": 5}), "key_size must be"),
        (json!({"issuer": "i", "period": 0}), "period must be"),
        (json!({"issuer": "i", "method_name": "phone"}), "already exists"),
    ] {
        refused(&root.write("identity/mfa/method/totp", body), 400, reason);
    }
    let shown = root.read(&format!("identity/mfa/method/totp/{}", place.method)).data().clone();
    assert_eq!(
        (&shown["digits"], &shown["algorithm"], &shown["type"]),
        (&json!(6), &json!("SHA1"), &json!("totp"))
    );
    assert_eq!(root.list("identity/mfa/method").data()["keys"], json!([place.method]));
    assert_eq!(root.list("identity/mfa/login-enforcement").data()["keys"], json!(["people"]));
    let rule = |body: Value| root.write("identity/mfa/login-enforcement/new", body);
    refused(&rule(json!({})), 400, "missing method ids");
    refused(&rule(json!({"mfa_method_ids": [place.method]})), 400, "must be specified");
    refused(&rule(json!({"mfa_method_ids": ["x"], "auth_method_types": "a"})), 400, "doesn't exist");
    let method = format!("identity/mfa/method/totp/{}", place.method);
    refused(&root.delete(&method), 400, "still used by an enforcement");
    // A key is shown once, and can be taken away.
    let request = json!({"method_id": place.method, "entity_id": place.entity});
    let again = root.write("identity/mfa/method/totp/admin-generate", request.clone());
    assert!(again.body["warnings"][0].as_str().unwrap().contains("already has a secret"), "{again:?}");
    assert_eq!(root.write("identity/mfa/method/totp/admin-destroy", request).status, 204);
    refused(&place.login_with(&format!("phone:{}", place.code(0))), 403, "failed to validate");
    root.delete("identity/mfa/login-enforcement/people");
    assert_eq!(root.delete(&method).status, 204);
    // Everybody may make their own key.
    let made = root.write("identity/mfa/method/totp", json!({"issuer": "i"})).data()["method_id"].clone();
    root.write(
        "sys/policy/app",
        json!({"policy": "path \"identity/mfa/method/totp/generate\" { capabilities = [\"update\"] }"}),
    );
    let token = place.login().token();
    let own = place
        .server
        .session(Some(&token))
        .write("identity/mfa/method/totp/generate", json!({"method_id": made}));
    assert!(own.data()["url"].as_str().unwrap().contains(&place.entity));
}
