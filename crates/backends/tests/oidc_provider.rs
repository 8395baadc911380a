//! This server as an OpenID Connect provider: the whole code flow, and everything that is refused on the way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::keypair::PublicKey;
use strongroom_testkit::server::{Answer, TestServer};

const REDIRECT: &str = "https://app.example/callback";
const VERIFIER: &str = "a-verifier-of-a-test-that-is-long-enough-0001";
const PROVIDER: &str = "identity/oidc/provider/company";

/// A server with one person, one group, one scope, one provider and one application.
struct Place {
    server: TestServer,
    entity_id: String,
    group_id: String,
    token: String,
    client_id: String,
    client_secret: String,
}

fn place() -> Place {
    let server = TestServer::start(strongroom_backends::all()).restarted(|settings| {
        settings.api_address = "https://room.example:8200".to_owned();
    });
    let root = server.root();
    let done = |path: &str, body: Value| {
        let answer = root.write(path, body);
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer
    };
    done("sys/auth/userpass", json!({"type": "userpass"}));
    done("auth/userpass/users/ann", json!({"password": "not-a-real-password"}));
    let login =
        server.session(None).write("auth/userpass/login/ann", json!({"password": "not-a-real-password"}));
    let entity_id = login.body["auth"]["entity_id"].as_str().unwrap().to_owned();
    let mail = json!({"email": "ann@example.com"});
    done(&format!("identity/entity/id/{entity_id}"), json!({"name": "ann", "metadata": mail}));
    let group = done("identity/group", json!({"name": "engineers", "member_entity_ids": [entity_id]}));
    let group_id = group.data()["id"].as_str().unwrap().to_owned();
    done("identity/oidc/assignment/engineers", json!({"group_ids": [group_id]}));
    let profile =
        r#"{"username": {{identity.entity.name}}, "contact": {"email": {{identity.entity.metadata.email}}}}"#;
    done("identity/oidc/scope/profile", json!({"template": "e30=", "description": "to be replaced"}));
    done("identity/oidc/scope/profile", json!({"template": profile}));
    done(
        "identity/oidc/scope/groups",
        json!({"template": r#"{"groups": {{identity.entity.groups.names}}}"#}),
    );
    done("identity/oidc/key/apps", json!({"algorithm": "ES256", "allowed_client_ids": "*"}));
    let client = json!({"key": "apps", "redirect_uris": [REDIRECT, "http://127.0.0.1/cb"], "assignments": "engineers"});
    done("identity/oidc/client/app", client);
    let client = root.read("identity/oidc/client/app").data().clone();
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    let (client_id, client_secret) = (text("client_id"), text("client_secret"));
    done(PROVIDER, json!({"allowed_client_ids": [client_id], "scopes_supported": ["profile", "groups"]}));
    let token = login.token();
    Place { server, entity_id, group_id, token, client_id, client_secret }
}

impl Place {
    /// What an application's authorization request says.
    fn request(&self) -> Value {
        json!({
            "response_type": "code", "client_id": self.client_id, "redirect_uri": REDIRECT,
            "scope": "openid profile unknown", "state": "the-state", "nonce": "the-nonce",
            "code_challenge": BASE64.encode(sha256(VERIFIER.as_bytes())), "code_challenge_method": "S256",
        })
    }

    fn authorize(&self, request: Value) -> Answer {
        self.server.session(Some(&self.token)).read_with(&format!("{PROVIDER}/authorize"), request)
    }

    fn code(&self) -> String {
        let answer = self.authorize(self.request());
        assert_eq!(answer.data()["state"], "the-state");
        answer.data()["code"].as_str().unwrap().to_owned()
    }

    fn exchange_with(&self, changes: Value) -> Answer {
        let body = json!({
            "grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER,
        });
        let client = self.server.session(None).with_basic(&self.client_id, &self.client_secret);
        client.write(&format!("{PROVIDER}/token"), with(&body, changes))
    }

    fn exchange(&self, code: &str) -> Answer {
        self.exchange_with(json!({ "code": code }))
    }

    fn userinfo(&self, access_token: &Value) -> Answer {
        self.server.session(access_token.as_str()).read(&format!("{PROVIDER}/userinfo"))
    }

    fn root_write(&self, path: &str, body: Value) -> Answer {
        let answer = self.server.root().write(path, body);
        assert!(answer.status < 300, "{path}: {answer:?}");
        answer
    }

    /// The claims of an ID token, whose signature is checked by the published keys.
    fn verified(&self, token: &Value) -> Map<String, Value> {
        let (signed, signature) = token.as_str().unwrap().rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let part = |text: &str| -> Value { serde_json::from_slice(&BASE64.decode(text).unwrap()).unwrap() };
        let header = part(header);
        let keys = self.server.session(None).read(&format!("{PROVIDER}/.well-known/keys"));
        let keys = keys.data()["keys"].as_array().unwrap().clone();
        let jwk = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap();
        assert_eq!((&jwk["alg"], &jwk["use"]), (&header["alg"], &json!("sig")));
        let algorithm = JwsAlgorithm::parse(header["alg"].as_str().unwrap()).unwrap();
        let key = PublicKey::from_jwk(|name| jwk[name].as_str()).unwrap();
        assert!(algorithm.verify(&key, signed.as_bytes(), &BASE64.decode(signature).unwrap()));
        part(claims).as_object().unwrap().clone()
    }
}

fn with(base: &Value, changes: Value) -> Value {
    let mut all = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, reason: &str) {
    let said = &answer.body["data"];
    let description = said["error_description"].as_str().unwrap_or_default();
    assert_eq!((answer.status, said["error"].as_str()), (status, Some(code)), "{answer:?}");
    assert!(description.contains(reason), "{description:?}, not {reason:?}");
}

fn left_half(text: &str) -> String {
    BASE64.encode(&sha256(text.as_bytes())[..16])
}

#[test]
fn an_application_lets_people_in() {
    let place = place();
    let discovery = place.server.session(None).read(&format!("{PROVIDER}/.well-known/openid-configuration"));
    let issuer = "https://room.example:8200/v1/identity/oidc/provider/company";
    assert_eq!(discovery.data()["issuer"], issuer);
    assert_eq!(
        discovery.data()["authorization_endpoint"],
        "https://room.example:8200/ui/vault/identity/oidc/provider/company/authorize"
    );
    assert_eq!(discovery.data()["scopes_supported"], json!(["profile", "groups", "openid"]));
    let code = place.code();
    let answer = place.exchange(&code);
    let tokens = answer.data();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(86400)));
    let claims = place.verified(&tokens["id_token"]);
    let now = claims["iat"].as_i64().unwrap();
    let expected = json!({
        "iss": issuer, "sub": place.entity_id, "aud": place.client_id, "nonce": "the-nonce", "iat": now,
        "exp": now + 86400, "namespace": "root", "username": "ann", "contact": {"email": "ann@example.com"},
        "at_hash": left_half(tokens["access_token"].as_str().unwrap()), "c_hash": left_half(&code),
    });
    assert_eq!(Value::Object(claims), expected);
    let told = place.userinfo(&tokens["access_token"]);
    assert_eq!(
        told.data(),
        &json!({"sub": place.entity_id, "username": "ann", "contact": {"email": "ann@example.com"}})
    );
    let posted = place.server.session(tokens["access_token"].as_str());
    assert_eq!(posted.write(&format!("{PROVIDER}/userinfo"), json!({})).data(), told.data());
}

#[test]
fn an_access_token_is_good_for_userinfo_alone() {
    let place = place();
    place.root_write(&format!("identity/entity/id/{}", place.entity_id), json!({"policies": ["all"]}));
    place.root_write(
        "sys/policies/acl/all",
        json!({"policy": "path \"*\" { capabilities = [\"read\", \"update\"] }"}),
    );
    let access_token = place.exchange(&place.code()).data()["access_token"].clone();
    let session = place.server.session(access_token.as_str());
    assert_eq!(session.read("sys/mounts").status, 403);
    assert_eq!(session.read("auth/token/lookup-self").status, 403);
    assert_eq!(session.read_with(&format!("{PROVIDER}/authorize"), place.request()).status, 403);
    assert_eq!(place.userinfo(&access_token).status, 200);
    // Of another provider, of nobody, of a login; and when its time is over.
    let other = session.read("identity/oidc/provider/default/userinfo");
    refused(&other, 401, "invalid_token", "malformed, expired or revoked");
    let challenge = other.body["headers"][0].clone();
    assert_eq!(
        challenge,
        json!([
            "www-authenticate",
            "Bearer error=\"invalid_token\", error_description=\"access token is malformed, expired or revoked\""
        ])
    );
    let userinfo = format!("{PROVIDER}/userinfo");
    refused(&place.server.session(None).read(&userinfo), 401, "invalid_token", "");
    refused(&place.server.session(Some(&place.token)).read(&userinfo), 401, "invalid_token", "");
    refused(&place.server.session(Some("hvb.not-a-real-token")).read(&userinfo), 401, "invalid_token", "");
    refused(
        &session.read("identity/oidc/provider/nobody/userinfo"),
        400,
        "invalid_request",
        "provider not found",
    );
    place.server.clock.advance(Duration::from_secs(86400));
    refused(&place.userinfo(&access_token), 401, "invalid_token", "");
}

#[test]
fn a_code_is_good_once_and_for_five_minutes() {
    let place = place();
    let code = place.code();
    let access_token = place.exchange(&code).data()["access_token"].clone();
    assert_eq!(place.userinfo(&access_token).status, 200);
    refused(&place.exchange(&code), 400, "invalid_grant", "invalid or expired");
    // Somebody has it twice: what the first got is good no longer.
    refused(&place.userinfo(&access_token), 401, "invalid_token", "revoked");
    let late = place.code();
    place.server.clock.advance(Duration::from_secs(300));
    refused(&place.exchange(&late), 400, "invalid_grant", "invalid or expired");
    refused(&place.exchange("not-a-code"), 400, "invalid_grant", "invalid or expired");
    refused(&place.exchange(&BASE64.encode([0xff; 32])), 400, "invalid_grant", "invalid or expired");
    // A failed exchange uses it up: nobody gets to guess the verifier.
    let code = place.code();
    let wrong = json!({"code": code, "code_verifier": "not-the-verifier"});
    refused(&place.exchange_with(wrong), 400, "invalid_grant", "invalid code_verifier");
    refused(&place.exchange(&code), 400, "invalid_grant", "invalid or expired");
}

#[test]
fn a_code_belongs_to_its_client_redirect_and_verifier() {
    let place = place();
    for (changes, code, reason) in [
        (json!({"redirect_uri": "http://127.0.0.1/cb"}), "invalid_grant", "redirect_uri does not match"),
        (json!({"redirect_uri": null}), "invalid_request", "redirect_uri parameter is required"),
        (json!({"code_verifier": null}), "invalid_request", "expected code_verifier"),
        (json!({"grant_type": "password"}), "unsupported_grant_type", "unsupported"),
        (json!({"grant_type": null}), "invalid_request", "grant_type"),
        (json!({"code": null}), "invalid_request", "code parameter is required"),
        (json!({"client_secret": "x"}), "invalid_request", "two ways"),
        (json!({"client_id": "x"}), "invalid_request", "two ways"),
    ] {
        let mut changes = changes;
        if changes.get("code").is_none() {
            changes["code"] = json!(place.code());
        }
        refused(&place.exchange_with(changes), 400, code, reason);
    }
    let redirect = with(&place.request(), json!({"code_challenge": null, "code_challenge_method": null}));
    let code = place.authorize(redirect.clone()).data()["code"].clone();
    refused(
        &place.exchange_with(json!({ "code": code })),
        400,
        "invalid_request",
        "unexpected code_verifier",
    );
    let code = place.authorize(redirect).data()["code"].clone();
    assert_eq!(place.exchange_with(json!({"code": code, "code_verifier": null})).status, 200);
    // Another client cannot use it, nor use it up.
    place.root_write("identity/oidc/client/other", json!({"key": "apps", "redirect_uris": [REDIRECT]}));
    place.root_write(PROVIDER, json!({"allowed_client_ids": "*"}));
    let other = place.server.root().read("identity/oidc/client/other").data().clone();
    let code = place.code();
    let body = json!({
        "grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER, "code": code,
        "client_id": other["client_id"], "client_secret": other["client_secret"],
    });
    let stranger = place.server.session(None).write(&format!("{PROVIDER}/token"), body);
    refused(&stranger, 400, "invalid_grant", "invalid or expired");
    assert_eq!(place.exchange(&code).status, 200);
}

#[test]
fn clients_prove_who_they_are() {
    let place = place();
    let path = format!("{PROVIDER}/token");
    let body = |code: String| json!({"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER, "code": code});
    let posted = with(
        &body(place.code()),
        json!({"client_id": place.client_id, "client_secret": place.client_secret}),
    );
    assert_eq!(place.server.session(None).write(&path, posted.clone()).status, 200);
    for (changes, reason) in [
        (json!({"client_secret": null}), "failed to authenticate"),
        (json!({"client_secret": "hvo_secret_not-a-real-one"}), "failed to authenticate"),
        (json!({"client_id": "nobody"}), "failed to authenticate"),
    ] {
        let answer = place.server.session(None).write(&path, with(&posted, changes));
        refused(&answer, 401, "invalid_client", reason);
        assert_eq!(answer.body["headers"][1], json!(["www-authenticate", "Basic"]));
    }
    let wrong = place.server.session(None).with_basic(&place.client_id, "not-a-real-secret");
    refused(&wrong.write(&path, body(place.code())), 401, "invalid_client", "failed to authenticate");
    refused(
        &place.server.session(None).write(&path, body(place.code())),
        400,
        "invalid_request",
        "client_id",
    );
    // A provider, or a key, that does not let the client in.
    let code = place.code();
    place.root_write("identity/oidc/key/apps", json!({"allowed_client_ids": "another"}));
    refused(&place.exchange(&code), 401, "invalid_client", "not authorized to use the key");
    place.root_write(PROVIDER, json!({"allowed_client_ids": "another"}));
    refused(&place.exchange(&code), 401, "invalid_client", "not authorized to use the provider");
    refused(
        &place.authorize(place.request()),
        400,
        "unauthorized_client",
        "not authorized to use the provider",
    );
}

#[test]
fn public_clients_have_no_secret_and_must_use_pkce() {
    let place = place();
    let client =
        json!({"client_type": "public", "redirect_uris": "http://127.0.0.1/cb", "assignments": "allow_all"});
    place.root_write("identity/oidc/client/desk", client);
    place.root_write(PROVIDER, json!({"allowed_client_ids": "*"}));
    let client = place.server.root().read("identity/oidc/client/desk").data().clone();
    assert_eq!((client.get("client_secret"), &client["key"]), (None, &json!("default")));
    // The port of the own machine may be any.
    let own = "http://127.0.0.1:51234/cb";
    let request = with(&place.request(), json!({"client_id": client["client_id"], "redirect_uri": own}));
    let bare = with(&request, json!({"code_challenge": null}));
    refused(&place.authorize(bare), 400, "invalid_request", "PKCE is required");
    for (changes, reason) in [
        (json!({"code_challenge_method": "S512"}), "invalid code_challenge_method"),
        (json!({"code_challenge": "short"}), "invalid code_challenge"),
        (json!({"code_challenge": "=".repeat(43)}), "invalid code_challenge"),
    ] {
        refused(&place.authorize(with(&request, changes)), 400, "invalid_request", reason);
    }
    let plain = with(&request, json!({"code_challenge": VERIFIER, "code_challenge_method": null}));
    for request in [request, plain] {
        let code = place.authorize(request).data()["code"].clone();
        let body = json!({
            "grant_type": "authorization_code", "redirect_uri": own, "code_verifier": VERIFIER, "code": code,
            "client_id": client["client_id"],
        });
        let path = format!("{PROVIDER}/token");
        let secret = with(&body, json!({"client_secret": "x"}));
        refused(&place.server.session(None).write(&path, secret), 401, "invalid_client", "");
        let answer = place.server.session(None).write(&path, body);
        assert_eq!(place.verified(&answer.data()["id_token"])["aud"], client["client_id"]);
    }
}

#[test]
fn a_request_that_cannot_be_granted_says_why() {
    let place = place();
    for (changes, code, reason) in [
        (json!({"client_id": null}), "invalid_client_id", "required"),
        (json!({"client_id": "nobody"}), "invalid_client_id", "not found"),
        (json!({"redirect_uri": null}), "invalid_request", "redirect_uri"),
        (json!({"redirect_uri": "https://app.example/callback/"}), "invalid_redirect_uri", "not allowed"),
        (json!({"redirect_uri": "https://evil.example/"}), "invalid_redirect_uri", "not allowed"),
        (json!({"scope": "profile"}), "invalid_request", "openid"),
        (json!({"scope": null}), "invalid_request", "openid"),
        (json!({"response_type": "token"}), "unsupported_response_type", "unsupported"),
        (json!({"response_type": null}), "invalid_request", "response_type"),
        (json!({"request": "x"}), "request_not_supported", "request"),
        (json!({"request_uri": "x"}), "request_uri_not_supported", "request_uri"),
        (json!({"max_age": "-1"}), "invalid_request", "max_age"),
        (json!({"nonce": "x".repeat(1025)}), "invalid_request", "nonce"),
    ] {
        let answer = place.authorize(with(&place.request(), changes));
        refused(&answer, 400, code, reason);
        assert_eq!(answer.body["data"]["state"], "the-state");
    }
    let by_form =
        place.server.session(Some(&place.token)).write(&format!("{PROVIDER}/authorize"), place.request());
    assert_eq!(place.exchange(by_form.data()["code"].as_str().unwrap()).status, 200);
    let nobody = place.server.session(Some(&place.token));
    let nobody = nobody.read_with("identity/oidc/provider/nobody/authorize", place.request());
    refused(&nobody, 400, "invalid_request", "provider not found");
    let path = format!("{PROVIDER}/authorize");
    let root = place.server.root().read_with(&path, place.request());
    refused(&root, 400, "access_denied", "entity must be associated");
    assert_eq!(place.server.session(None).read_with(&path, place.request()).status, 403);
}

#[test]
fn how_long_ago_a_login_was_is_checked_and_said() {
    let place = place();
    place.server.clock.advance(Duration::from_secs(90));
    let asked = |age: u64| place.authorize(with(&place.request(), json!({"max_age": age.to_string()})));
    refused(&asked(60), 400, "max_age_violation", "re-authentication");
    let code = asked(90).data()["code"].as_str().unwrap().to_owned();
    let claims = place.verified(&place.exchange(&code).data()["id_token"]);
    assert_eq!(claims["auth_time"].as_i64().unwrap() + 90, claims["iat"].as_i64().unwrap());
}

#[test]
fn only_who_is_assigned_gets_in_and_only_as_long() {
    let place = place();
    let (code, late) = (place.code(), place.code());
    let access_token = place.exchange(&code).data()["access_token"].clone();
    let by_group = format!("identity/group/id/{}", place.group_id);
    place.root_write(&by_group, json!({"member_entity_ids": []}));
    refused(&place.authorize(place.request()), 400, "access_denied", "assignment");
    refused(&place.exchange(&late), 400, "invalid_grant", "assignment");
    refused(&place.userinfo(&access_token), 403, "access_denied", "assignment");
    place.root_write("identity/oidc/assignment/engineers", json!({"entity_ids": place.entity_id}));
    assert_eq!(place.userinfo(&access_token).status, 200);
    let code = place.code();
    place.root_write(&format!("identity/entity/id/{}", place.entity_id), json!({"disabled": true}));
    refused(&place.exchange(&code), 400, "invalid_grant", "disabled");
    refused(&place.userinfo(&access_token), 401, "invalid_token", "");
    place.root_write(&format!("identity/entity/id/{}", place.entity_id), json!({"disabled": false}));
    assert_eq!(place.server.root().delete("identity/oidc/client/app").status, 204);
    refused(&place.userinfo(&access_token), 403, "access_denied", "client");
    refused(&place.authorize(place.request()), 400, "invalid_client_id", "not found");
}

#[test]
fn scopes_that_contradict_each_other_are_refused() {
    let place = place();
    place.root_write(
        "identity/oidc/scope/names",
        json!({"template": r#"{"username": {{identity.entity.id}}}"#}),
    );
    let warned = place.root_write(PROVIDER, json!({"scopes_supported": ["profile", "names"]}));
    let warning = warned.body["warnings"][0].as_str().unwrap();
    assert!(warning.contains("\"username\" in scopes \"names\", \"profile\""), "{warning}");
    let both = with(&place.request(), json!({"scope": "openid profile names"}));
    let code = place.authorize(both).data()["code"].as_str().unwrap().to_owned();
    refused(&place.exchange(&code), 400, "invalid_request", "conflicting top-level claim");
    // One of them alone does no harm; and an access token tells what the provider's scopes still are.
    let access_token = place.exchange(&place.code()).data()["access_token"].clone();
    assert_eq!(place.userinfo(&access_token).data()["username"], "ann");
    place.root_write(PROVIDER, json!({"scopes_supported": []}));
    assert_eq!(place.userinfo(&access_token).data(), &json!({ "sub": place.entity_id }));
}

#[test]
fn what_is_set_up_is_kept_and_shown() {
    let place = place();
    let root = place.server.root();
    assert_eq!(root.list("identity/oidc/assignment").data()["keys"], json!(["allow_all", "engineers"]));
    assert_eq!(root.list("identity/oidc/scope").data()["keys"], json!(["groups", "profile"]));
    let clients = root.list("identity/oidc/client");
    assert_eq!(clients.data()["keys"], json!(["app"]));
    assert_eq!(
        clients.data()["key_info"]["app"],
        json!({
            "access_token_ttl": 86400, "assignments": ["engineers"], "client_id": place.client_id,
            "client_type": "confidential", "id_token_ttl": 86400, "key": "apps",
            "redirect_uris": [REDIRECT, "http://127.0.0.1/cb"],
        })
    );
    assert!(place.client_secret.starts_with("hvo_secret_") && place.client_secret.len() == 75);
    assert_eq!(root.list("identity/oidc/provider").data()["keys"], json!(["company", "default"]));
    let of_client = root.send(
        strongroom_kernel::Operation::List,
        "identity/oidc/provider",
        json!({"allowed_client_id": "somebody"}),
    );
    assert_eq!(of_client.data()["keys"], json!(["default"]));
    assert_eq!(
        root.read("identity/oidc/provider/default").data(),
        &json!({
            "allowed_client_ids": ["*"], "scopes_supported": [],
            "issuer": "https://room.example:8200/v1/identity/oidc/provider/default",
        })
    );
    assert_eq!(
        root.read("identity/oidc/assignment/allow_all").data(),
        &json!({"entity_ids": ["*"], "group_ids": ["*"]})
    );
    assert_eq!(root.read("identity/oidc/key/default").data()["algorithm"], "RS256");
    let warned = root.write("identity/oidc/provider/default", json!({"issuer": "https://id.example"}));
    assert_eq!(warned.status, 200);
    let moved = root.read("identity/oidc/provider/default").data().clone();
    assert_eq!(moved["issuer"], "https://id.example/v1/identity/oidc/provider/default");
    assert_eq!(moved["allowed_client_ids"], json!(["*"]));
    for path in [
        "client/app",
        "provider/company",
        "scope/profile",
        "scope/groups",
        "assignment/engineers",
        "key/apps",
    ] {
        assert_eq!(root.delete(&format!("identity/oidc/{path}")).status, 204, "{path}");
        assert_eq!(root.read(&format!("identity/oidc/{path}")).status, 404, "{path}");
    }
}

#[test]
fn what_makes_no_sense_is_not_taken() {
    let place = place();
    let root = place.server.root();
    for (path, body, reason) in [
        (
            "assignment/allow_all",
            json!({"entity_ids": "x"}),
            "modification of assignment \"allow_all\" not allowed",
        ),
        ("scope/openid", json!({"template": "{}"}), "the \"openid\" scope name is reserved"),
        ("scope/x", json!({"template": "{\"sub\": \"me\"}"}), "top level key \"sub\" not allowed"),
        ("scope/x", json!({"template": "{{nothing}}"}), "parameter that there is not"),
        ("scope/x", json!({"template": "[]"}), "error parsing template JSON"),
        ("scope/-x", json!({}), "a name has letters"),
        ("client/app", json!({"key": "default"}), "key modification is not allowed"),
        ("client/app", json!({"client_type": "public"}), "client_type modification is not allowed"),
        ("client/new", json!({"client_type": "secret"}), "invalid client_type \"secret\""),
        ("client/new", json!({"key": "nothing"}), "key \"nothing\" does not exist"),
        ("client/new", json!({"assignments": "nobody"}), "assignment \"nobody\" does not exist"),
        ("client/new", json!({"id_token_ttl": "25h"}), "cannot be greater than the verification_ttl"),
        ("client/new", json!({"access_token_ttl": 0}), "must be greater than zero"),
        ("client/new", json!({"redirect_uris": "javascript:alert(1)"}), "a redirect URI is absolute"),
        ("client/new", json!({"redirect_uris": "https://app.example/#x"}), "a redirect URI is absolute"),
        ("provider/new", json!({"scopes_supported": "nothing"}), "scope \"nothing\" does not exist"),
        ("provider/new", json!({"issuer": "https://id.example/path"}), "invalid issuer"),
        ("key/apps", json!({"verification_ttl": "1h"}), "clients with an id_token_ttl greater than 3600"),
    ] {
        let (status, text) = root.write(&format!("identity/oidc/{path}"), body).refusal();
        assert!(status == 400 && text.contains(reason), "{path}: {status} {text}, not {reason}");
    }
    for (path, reason) in [
        ("assignment/allow_all", "deletion of assignment \"allow_all\" not allowed"),
        ("assignment/engineers", "referenced by these clients: app"),
        ("scope/profile", "referenced by these providers: company"),
        ("provider/default", "deletion of OIDC provider \"default\" not allowed"),
        ("key/apps", "referenced by these clients: app"),
    ] {
        let (status, text) = root.delete(&format!("identity/oidc/{path}")).refusal();
        assert!(status == 400 && text.contains(reason), "{path}: {status} {text}, not {reason}");
    }
}

#[test]
fn a_namespace_has_providers_of_its_own() {
    let place = place();
    place.root_write("sys/namespaces/team", json!({}));
    let team = place.server.root().in_namespace("team");
    assert_eq!(team.list("identity/oidc/provider").data()["keys"], json!(["default"]));
    let own = team.read("identity/oidc/provider/default");
    assert_eq!(own.data()["issuer"], "https://room.example:8200/v1/team/identity/oidc/provider/default");
    let page = team.read("identity/oidc/provider/default/.well-known/openid-configuration");
    assert_eq!(
        page.data()["authorization_endpoint"],
        "https://room.example:8200/ui/vault/team/identity/oidc/provider/default/authorize"
    );
    let client = json!({"redirect_uris": REDIRECT, "assignments": "allow_all"});
    assert_eq!(team.write("identity/oidc/client/app", client).status, 204);
    let client = team.read("identity/oidc/client/app").data().clone();
    // Somebody of the namespace around it, with a policy there.
    place.root_write(
        "sys/policies/acl/team",
        json!({"policy": "path \"team/identity/oidc/provider/+/authorize\" { capabilities = [\"read\"] }"}),
    );
    place.root_write(&format!("identity/entity/id/{}", place.entity_id), json!({"policies": ["team"]}));
    let request = with(&place.request(), json!({"client_id": client["client_id"]}));
    let person = place.server.session(Some(&place.token)).in_namespace("team");
    let code = person.read_with("identity/oidc/provider/default/authorize", request).data()["code"].clone();
    let body = json!({"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER, "code": code});
    let (id, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
    let app = place.server.session(None).in_namespace("team").with_basic(id, secret);
    let answer = app.write("identity/oidc/provider/default/token", body);
    let access_token = answer.data()["access_token"].as_str().unwrap().to_owned();
    let told = place.server.session(Some(&access_token)).in_namespace("team");
    let told = told.read("identity/oidc/provider/default/userinfo");
    assert_eq!(told.data(), &json!({ "sub": place.entity_id }));
    // Its clients are not those of the root namespace.
    refused(
        &place.authorize(with(&place.request(), json!({"client_id": client["client_id"]}))),
        400,
        "invalid_client_id",
        "",
    );
}
