//! Logins with JSON Web Tokens, against issuers of the test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom_crypto::jose::JoseKey;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_testkit::SeededEntropy;
use strongroom_testkit::outbound::{Received, WebServer};
use strongroom_testkit::server::{Answer, TestServer};

/// An issuer: keys with ids, of which some are published.
struct Issuer {
    keys: Vec<(String, JoseKey)>,
    published: Arc<Mutex<usize>>,
    asked: Arc<AtomicUsize>,
    /// What the token endpoint answers, by code.
    codes: Arc<Mutex<HashMap<String, Value>>>,
    token_requests: Arc<Mutex<Vec<Received>>>,
    web: WebServer,
}

impl Issuer {
    fn start() -> Self {
        let entropy = SeededEntropy::new(7);
        let keys: Vec<(String, JoseKey)> = [JwsAlgorithm::Rs256, JwsAlgorithm::Rs256, JwsAlgorithm::Es256]
            .into_iter()
            .enumerate()
            .map(|(at, algorithm)| (format!("key-{at}"), JoseKey::generate(algorithm, &entropy).unwrap()))
            .collect();
        let sets: Vec<Value> = keys.iter().map(|(id, key)| jwk(id, key)).collect();
        let published = Arc::new(Mutex::new(1));
        let asked = Arc::new(AtomicUsize::new(0));
        let codes: Arc<Mutex<HashMap<String, Value>>> = Arc::default();
        let token_requests: Arc<Mutex<Vec<Received>>> = Arc::default();
        let address: Arc<Mutex<String>> = Arc::default();
        let web = {
            let (published, asked, address) = (published.clone(), asked.clone(), address.clone());
            let (codes, token_requests) = (codes.clone(), token_requests.clone());
            WebServer::start(move |request| {
                let base = address.lock().unwrap().clone();
                let body = match request.path.as_str() {
                    "/.well-known/openid-configuration" => json!({
                        "issuer": base, "jwks_uri": format!("{base}/keys"),
                        "authorization_endpoint": format!("{base}/authorize"),
                        "token_endpoint": format!("{base}/token"),
                        "userinfo_endpoint": format!("{base}/userinfo"),
                    }),
                    "/keys" => {
                        asked.fetch_add(1, Relaxed);
                        json!({ "keys": sets[..*published.lock().unwrap()] })
                    }
                    "/token" => {
                        let body = String::from_utf8(request.body.clone()).unwrap();
                        token_requests.lock().unwrap().push(request);
                        let code = body.split('&').find_map(|pair| pair.strip_prefix("code=")).unwrap();
                        match codes.lock().unwrap().remove(code) {
                            Some(answer) => answer,
                            None => return Some((400, r#"{"error": "invalid_grant"}"#.to_owned())),
                        }
                    }
                    "/userinfo" => json!({"sub": "248289", "email": "ann@example.com", "groups": ["ops"]}),
                    _ => return Some((404, "{}".to_owned())),
                };
                Some((200, body.to_string()))
            })
        };
        (*address.lock().unwrap()).clone_from(&web.address);
        Self { keys, published, asked, codes, token_requests, web }
    }

    fn url(&self) -> &str {
        &self.web.address
    }

    fn token(&self, key: usize, claims: &Value) -> String {
        let (id, key) = &self.keys[key];
        let header = json!({"alg": key.algorithm().as_str(), "kid": id, "typ": "JWT"});
        let signed = format!("{}.{}", part(&header), part(claims));
        format!("{signed}.{}", BASE64.encode(key.sign(signed.as_bytes()).unwrap()))
    }
}

fn part(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn jwk(id: &str, key: &JoseKey) -> Value {
    let mut jwk = json!({"kid": id, "use": "sig", "alg": key.algorithm().as_str()});
    for (name, value) in key.public().unwrap().jwk().unwrap() {
        jwk[name] = json!(value);
    }
    jwk
}

fn server(kind: &str) -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    assert_eq!(server.root().write(&format!("sys/auth/{kind}"), json!({"type": kind})).status, 204);
    server
}

fn seconds(server: &TestServer) -> i64 {
    use strongroom_secret::Clock;
    server.clock.now().seconds()
}

fn login(server: &TestServer, role: &str, token: &str) -> Answer {
    server.session(None).write("auth/jwt/login", json!({"role": role, "jwt": token}))
}

#[track_caller]
fn refused(answer: &Answer, reason: &str) {
    let (status, text) = answer.refusal();
    assert!(status == 400 && text.contains(reason), "{status} {text}, not {reason}");
}

fn with(base: &Value, changes: Value) -> Value {
    let mut claims = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// The claims that GitHub Actions puts into a job's token.
fn github_claims(issuer: &str, now: i64) -> Value {
    json!({
        "iss": issuer, "aud": "https://strongroom.example", "sub": "repo:acme/app:ref:refs/heads/main",
        "jti": "0001", "iat": now, "nbf": now - 5, "exp": now + 300,
        "ref": "refs/heads/main", "ref_type": "branch", "sha": "0123456789abcdef", "repository": "acme/app",
        "repository_owner": "acme", "repository_id": "74", "run_id": "3", "run_attempt": "1", "actor": "ann",
        "workflow": "release", "event_name": "push", "environment": "production",
        "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
        "runner_environment": "github-hosted",
    })
}

#[test]
fn jobs_of_github_actions_log_in_by_repository_and_branch() {
    let issuer = Issuer::start();
    let server = server("jwt");
    let root = server.root();
    let config = json!({"oidc_discovery_url": issuer.url(), "bound_issuer": issuer.url()});
    assert_eq!(root.write("auth/jwt/config", config).status, 204);
    let role = json!({
        "role_type": "jwt", "user_claim": "repository", "bound_audiences": "https://strongroom.example",
        "bound_claims_type": "glob", "bound_claims": {"sub": "repo:acme/app:*", "ref": ["refs/heads/main", "refs/tags/v*"]},
        "claim_mappings": {"repository": "repository", "run_id": "run", "actor": "actor"},
        "token_policies": "deploy", "token_ttl": "10m",
    });
    assert_eq!(root.write("auth/jwt/role/app", role).status, 204);
    let now = seconds(&server);
    let claims = github_claims(issuer.url(), now);
    let answer = login(&server, "app", &issuer.token(0, &claims));
    let auth = &answer.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "deploy"]), "{answer:?}");
    assert_eq!(
        auth["metadata"],
        json!({"repository": "acme/app", "run": "3", "actor": "ann", "role": "app"})
    );
    assert_eq!(auth["lease_duration"], 600);
    let token = answer.token();
    let looked_up = server.session(Some(&token)).read("auth/token/lookup-self");
    assert_eq!(looked_up.data()["display_name"], "jwt-acme/app");
    assert_eq!(looked_up.data()["meta"]["role"], "app");
    assert_eq!(server.session(Some(&token)).write("auth/token/renew-self", json!({})).status, 200);

    for (change, reason) in [
        (json!({"sub": "repo:evil/app:ref:refs/heads/main"}), "claim \"sub\" does not match"),
        (json!({"ref": "refs/heads/other"}), "claim \"ref\" does not match"),
        (json!({"ref": null}), "claim \"ref\" is missing"),
        (json!({"aud": "https://other.example"}), "invalid audience"),
        (json!({"aud": null}), "invalid audience"),
        (json!({"iss": "https://evil.example"}), "invalid issuer"),
        (json!({"exp": now - 61}), "token is expired"),
        (json!({"exp": null}), "expiration time (exp) claim is missing"),
        (json!({"exp": "tomorrow"}), "the claim exp is no time"),
        (json!({"nbf": now + 62}), "not yet valid"),
        (json!({"nbf": null, "iat": now + 62}), "not yet valid"),
        (json!({"repository": null}), "claim \"repository\" not found in token"),
        (json!({"repository": ["a"]}), "could not be converted to string"),
        (json!({"actor": {"a": 1}}), "error converting claim"),
    ] {
        refused(&login(&server, "app", &issuer.token(0, &with(&claims, change))), reason);
    }
    refused(&login(&server, "none", &issuer.token(0, &claims)), "role \"none\" could not be found");
    root.delete("auth/jwt/role/app");
    assert_eq!(server.session(Some(&token)).write("auth/token/renew-self", json!({})).status, 400);
}

/// The claims that GitLab puts into a job's `id_tokens`.
#[test]
fn jobs_of_gitlab_log_in_by_project_and_protected_branch() {
    let issuer = Issuer::start();
    let server = server("jwt");
    let root = server.root();
    let config =
        json!({"jwks_url": format!("{}/keys", issuer.url()), "bound_issuer": "https://gitlab.example"});
    assert_eq!(root.write("auth/jwt/config", config).status, 204);
    let role = json!({
        "role_type": "jwt", "user_claim": "project_path", "bound_audiences": ["https://strongroom.example"],
        "bound_claims": {"project_id": "22", "ref": "main", "ref_protected": "true"}, "token_policies": ["staging"],
        "groups_claim": "/user_access_levels/groups",
    });
    assert_eq!(root.write("auth/jwt/role/staging", role).status, 204);
    let now = seconds(&server);
    let claims = json!({
        "namespace_id": "72", "namespace_path": "my-group", "project_id": "22", "project_path": "my-group/my-project",
        "user_id": "1", "user_login": "sample-user", "user_email": "sample-user@example.com",
        "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch",
        "ref_path": "refs/heads/main", "ref_protected": "true", "environment": "test-environment2",
        "runner_id": 1, "runner_environment": "self-hosted", "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "iss": "https://gitlab.example", "iat": now, "nbf": now - 5, "exp": now + 3600,
        "sub": "project_path:my-group/my-project:ref_type:branch:ref:main", "aud": "https://strongroom.example",
        "user_access_levels": {"groups": ["a", "b"]},
    });
    let answer = login(&server, "staging", &issuer.token(0, &claims));
    assert_eq!(answer.body["auth"]["policies"], json!(["default", "staging"]), "{answer:?}");
    // A boolean where the role has its text is the same.
    let token = issuer.token(0, &with(&claims, json!({"ref_protected": true})));
    assert_eq!(login(&server, "staging", &token).status, 200);
    let token = issuer.token(0, &with(&claims, json!({"ref_protected": "false"})));
    refused(&login(&server, "staging", &token), "claim \"ref_protected\" does not match");
    let token = issuer.token(0, &with(&claims, json!({"user_access_levels": null})));
    refused(&login(&server, "staging", &token), "claim not found in token");
}

#[test]
fn only_signatures_of_the_issuers_keys_count() {
    let issuer = Issuer::start();
    let server = server("jwt");
    let root = server.root();
    root.write("auth/jwt/config", json!({"jwks_url": format!("{}/keys", issuer.url())}));
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": "a"});
    root.write("auth/jwt/role/r", role);
    let claims = json!({"sub": "ann", "aud": "a", "exp": seconds(&server) + 300});
    let good = issuer.token(0, &claims);
    assert_eq!(login(&server, "r", &good).status, 200);
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), parts[1]);
    refused(&login(&server, "r", &unsigned), "algorithm that is not accepted");
    // HMAC with the public key as its secret: there is no HMAC here.
    let hmac = json!({"alg": "HS256", "kid": "key-0"});
    refused(
        &login(&server, "r", &format!("{}.{}.{}", part(&hmac), parts[1], parts[2])),
        "algorithm that is not accepted",
    );
    let other = part(&with(&claims, json!({"sub": "root"})));
    refused(
        &login(&server, "r", &format!("{}.{other}.{}", parts[0], parts[2])),
        "no known key successfully validated",
    );
    let crit = json!({"alg": "RS256", "kid": "key-0", "crit": ["x"]});
    refused(&login(&server, "r", &format!("{}.{}.{}", part(&crit), parts[1], parts[2])), "crit");
    for broken in ["", "a", "a.b", "a.b.c", "....", &format!("{good}.x"), &"x".repeat(70_000)] {
        assert_eq!(login(&server, "r", broken).status, 400, "{broken:.10}");
    }
    // A key that says RS256 does not verify PS256.
    let pss = json!({"alg": "PS256", "kid": "key-0"});
    refused(
        &login(&server, "r", &format!("{}.{}.{}", part(&pss), parts[1], parts[2])),
        "no known key successfully validated",
    );
    let listed = json!({"jwks_url": format!("{}/keys", issuer.url()), "jwt_supported_algs": "ES256"});
    root.write("auth/jwt/config", listed);
    refused(&login(&server, "r", &good), "which jwt_supported_algs does not list");
}

#[test]
fn an_unknown_key_has_the_issuer_asked_again_but_not_each_time() {
    let issuer = Issuer::start();
    let server = server("jwt");
    let root = server.root();
    root.write("auth/jwt/config", json!({"jwks_url": format!("{}/keys", issuer.url())}));
    root.write("auth/jwt/role/r", json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": "a"}));
    let claims = json!({"sub": "ann", "aud": "a", "exp": seconds(&server) + 3000});
    let asked = || issuer.asked.load(Relaxed);
    assert_eq!(asked(), 1, "the settings were tried");
    assert_eq!(login(&server, "r", &issuer.token(0, &claims)).status, 200);
    assert_eq!(asked(), 1);
    // A key that is not published, shown many times: asked at most once in five seconds.
    server.clock.advance(Duration::from_secs(6));
    for _ in 0..20 {
        assert_eq!(login(&server, "r", &issuer.token(1, &claims)).status, 400);
    }
    assert_eq!(asked(), 2);
    *issuer.published.lock().unwrap() = 3;
    server.clock.advance(Duration::from_secs(6));
    assert_eq!(login(&server, "r", &issuer.token(1, &claims)).status, 200);
    assert_eq!(login(&server, "r", &issuer.token(2, &claims)).status, 200);
    assert_eq!(asked(), 3);
    // A wrong signature of a known key asks nobody.
    server.clock.advance(Duration::from_secs(6));
    let good = issuer.token(0, &claims);
    let bad = format!("{}.{}", good.rsplit_once('.').unwrap().0, BASE64.encode([7; 256]));
    assert_eq!(login(&server, "r", &bad).status, 400);
    assert_eq!(asked(), 3);
    server.clock.advance(Duration::from_secs(3601));
    let claims = json!({"sub": "ann", "aud": "a", "exp": seconds(&server) + 3000});
    assert_eq!(login(&server, "r", &issuer.token(0, &claims)).status, 200);
    assert_eq!(asked(), 4, "after an hour they are asked for anew");
}

#[test]
fn settings_and_roles_are_checked() {
    let issuer = Issuer::start();
    let server = server("jwt");
    let root = server.root();
    assert_eq!(root.read("auth/jwt/config").status, 404);
    refused(&login(&server, "r", "x"), "could not load configuration");
    let keys = format!("{}/keys", issuer.url());
    for (config, reason) in [
        (json!({}), "exactly one of"),
        (json!({"jwks_url": keys, "oidc_discovery_url": issuer.url()}), "exactly one of"),
        (
            json!({"oidc_discovery_url": format!("{}/other", issuer.url())}),
            "error checking oidc discovery URL",
        ),
        (json!({"jwks_url": format!("{}/other", issuer.url())}), "error checking jwks URL"),
        (json!({"jwks_url": "ftp://x"}), "an address must be https://HOST"),
        (json!({"jwks_url": "https://user:secret@host/keys"}), "an address must be https://HOST"),
        (json!({"jwks_url": keys, "jwks_ca_pem": "x"}), "could not parse CA PEM"),
        (json!({"jwt_validation_pubkeys": ["x"]}), "error parsing public key 1"),
        (json!({"jwks_url": keys, "jwt_supported_algs": ["HS256"]}), "unsupported signing algorithm"),
        (json!({"jwks_url": keys, "jwt_supported_algs": ["none"]}), "unsupported signing algorithm"),
        (json!({"oidc_discovery_url": issuer.url(), "oidc_client_secret": "s"}), "both 'oidc_client_id'"),
        (json!({"oidc_discovery_url": issuer.url(), "oidc_response_types": "id_token"}), "only \"code\""),
        (
            json!({"oidc_discovery_url": issuer.url(), "provider_config": {"provider": "azure"}}),
            "provider_config",
        ),
    ] {
        refused(&root.write("auth/jwt/config", config), reason);
    }
    let config =
        json!({"oidc_discovery_url": issuer.url(), "oidc_client_id": "c", "oidc_client_secret": "s"});
    assert_eq!(root.write("auth/jwt/config", config).status, 204);
    let shown = root.read("auth/jwt/config").data().clone();
    assert_eq!((&shown["oidc_client_id"], &shown["oidc_client_secret"]), (&json!("c"), &Value::Null));
    let role = |role: Value| root.write("auth/jwt/role/r", role);
    for (body, reason) in [
        (json!({"role_type": "jwt", "bound_audiences": "a"}), "a user claim must be defined"),
        (json!({"role_type": "jwt", "user_claim": "sub"}), "at least one bound constraint"),
        (json!({"user_claim": "sub"}), "'allowed_redirect_uris' must be set"),
        (json!({"role_type": "saml", "user_claim": "sub"}), "invalid 'role_type'"),
        (json!({"role_type": "jwt", "user_claim": "sub", "bound_claims": {"a": {}}}), "bound_claims must be"),
        (
            json!({"role_type": "jwt", "user_claim": "sub", "bound_claims": {"a": 1}, "bound_claims_type": "glob"}),
            "of type glob",
        ),
        (
            json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "s", "claim_mappings": {"a": "x", "b": "x"}}),
            "multiple keys",
        ),
        (
            json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "s", "claim_mappings": {"a": "role"}}),
            "reserved",
        ),
        (
            json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "s", "token_policies": "root"}),
            "root",
        ),
    ] {
        refused(&role(body), reason);
    }
    let leeways = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_subject": "s", "clock_skew_leeway": -1, "expiration_leeway": "90s",
    });
    assert_eq!(role(leeways).status, 204);
    let shown = root.read("auth/jwt/role/r").data().clone();
    assert_eq!((&shown["clock_skew_leeway"], &shown["expiration_leeway"]), (&json!(-1), &json!(90)));
    assert_eq!(root.list("auth/jwt/role").data()["keys"], json!(["r"]));
    // The names of roles are the same in upper and lower case.
    assert_eq!(root.read("auth/jwt/role/R").status, 200);
    let now = seconds(&server);
    let token = |claims: Value| issuer.token(0, &with(&json!({"sub": "s", "iss": issuer.url()}), claims));
    refused(&login(&server, "r", &token(json!({"exp": now - 1}))), "expired");
    assert_eq!(login(&server, "r", &token(json!({"exp": now + 1}))).status, 200);
    assert_eq!(
        login(&server, "r", &token(json!({"iat": now - 89}))).status,
        200,
        "the role gives it 90 seconds"
    );
    refused(&login(&server, "r", &token(json!({"iat": now - 91}))), "expired");
    refused(&login(&server, "r", &token(json!({"exp": now + 1, "aud": "x"}))), "no audiences bound");
}

#[test]
fn keys_can_stand_in_the_settings() {
    let issuer = Issuer::start();
    let server = server("jwt");
    let root = server.root();
    let key = &issuer.keys[2].1;
    let spki = key.public().unwrap().spki().to_vec();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(spki)
    );
    assert_eq!(root.write("auth/jwt/config", json!({"jwt_validation_pubkeys": [pem]})).status, 204);
    root.write("auth/jwt/role/r", json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "s"}));
    let claims = json!({"sub": "s", "exp": seconds(&server) + 60});
    assert_eq!(login(&server, "r", &issuer.token(2, &claims)).status, 200);
    refused(&login(&server, "r", &issuer.token(0, &claims)), "no known key");
}

/// A mount for logins in a browser, with the role `people`.
fn oidc() -> (Issuer, TestServer) {
    let issuer = Issuer::start();
    let server = server("oidc");
    let config = json!({
        "oidc_discovery_url": issuer.url(), "oidc_client_id": "strongroom", "oidc_client_secret": "not-a-real-secret",
        "default_role": "people",
    });
    assert_eq!(server.root().write("auth/oidc/config", config).status, 204);
    let role = json!({
        "user_claim": "email", "groups_claim": "groups", "oidc_scopes": "email,groups", "max_age": "1h",
        "allowed_redirect_uris": "http://localhost:8250/oidc/callback,https://app.example/cb", "token_policies": "people",
    });
    assert_eq!(server.root().write("auth/oidc/role/people", role).status, 204);
    (issuer, server)
}

/// Asks for the address of a login; gives its query.
fn begin(server: &TestServer, redirect_uri: &str) -> HashMap<String, String> {
    let asked = json!({"role": "people", "redirect_uri": redirect_uri, "client_nonce": "n-client"});
    let answer = server.session(None).write("auth/oidc/oidc/auth_url", asked);
    let url = answer.data()["auth_url"].as_str().unwrap().to_owned();
    let query = url.split_once('?').unwrap_or_default().1.to_owned();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            (name.to_owned(), value.replace("%3A", ":").replace("%2F", "/").replace("%20", " "))
        })
        .collect()
}

fn id_claims(issuer: &Issuer, server: &TestServer, nonce: &str) -> Value {
    let now = seconds(server);
    json!({
        "iss": issuer.url(), "sub": "248289", "aud": "strongroom", "iat": now, "exp": now + 300, "nonce": nonce,
        "auth_time": now - 60,
    })
}

fn finish(server: &TestServer, query: &HashMap<String, String>, code: &str, client_nonce: &str) -> Answer {
    let shown = json!({"state": query["state"], "code": code, "client_nonce": client_nonce});
    server.session(None).read_with("auth/oidc/oidc/callback", shown)
}

#[test]
fn people_log_in_at_the_provider() {
    let (issuer, server) = oidc();
    let query = begin(&server, "http://localhost:9999/oidc/callback");
    assert_eq!(query["client_id"], "strongroom");
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    assert_eq!((query["scope"].as_str(), query["max_age"].as_str()), ("openid email groups", "3600"));
    let id_token = issuer.token(0, &id_claims(&issuer, &server, &query["nonce"]));
    let tokens = json!({"id_token": id_token, "access_token": "not-a-real-token", "token_type": "Bearer"});
    issuer.codes.lock().unwrap().insert("c1".to_owned(), tokens.clone());
    let wrong = finish(&server, &query, "c1", "n-other");
    refused(&wrong, "invalid client_nonce");
    let answer = finish(&server, &query, "c1", "n-client");
    assert_eq!(answer.body["auth"]["policies"], json!(["default", "people"]), "{answer:?}");
    assert_eq!(answer.body["auth"]["metadata"], json!({"role": "people"}));
    let looked_up = server.session(Some(&answer.token())).read("auth/token/lookup-self").data().clone();
    assert_eq!(looked_up["display_name"], "oidc-ann@example.com");
    // The provider was shown who we are, and the verifier of the challenge.
    let sent = issuer.token_requests.lock().unwrap()[0].clone();
    let body = String::from_utf8(sent.body).unwrap();
    let verifier = body.split('&').find_map(|pair| pair.strip_prefix("code_verifier=")).unwrap();
    let challenge = BASE64.encode(strongroom_crypto::hash::sha256(verifier.as_bytes()));
    assert_eq!(query["code_challenge"], challenge);
    assert!(sent.headers.iter().any(|line| line.starts_with("Authorization: Basic ")), "{:?}", sent.headers);
    // Once.
    issuer.codes.lock().unwrap().insert("c2".to_owned(), tokens);
    refused(&finish(&server, &query, "c1", "n-client"), "Expired or missing OAuth state");
    refused(&finish(&server, &query, "c2", "n-client"), "Expired or missing OAuth state");
}

#[test]
fn what_a_provider_gives_must_be_for_this_login() {
    let (issuer, server) = oidc();
    let attempt = |change: Value| {
        let query = begin(&server, "https://app.example/cb");
        let claims = with(&id_claims(&issuer, &server, &query["nonce"]), change);
        let tokens = json!({"id_token": issuer.token(0, &claims), "access_token": "not-a-real-token"});
        issuer.codes.lock().unwrap().insert("c".to_owned(), tokens);
        finish(&server, &query, "c", "n-client")
    };
    assert_eq!(attempt(json!({})).status, 200);
    let now = seconds(&server);
    for (change, reason) in [
        (json!({"nonce": "other"}), "invalid nonce"),
        (json!({"nonce": null}), "invalid nonce"),
        (json!({"aud": "somebody-else"}), "invalid audience"),
        (json!({"aud": ["strongroom", "other"], "azp": "other"}), "invalid authorized party"),
        (json!({"iss": "https://evil.example"}), "invalid issuer"),
        (json!({"exp": now - 100}), "expired"),
        (json!({"auth_time": now - 4000}), "too old"),
        (json!({"auth_time": null}), "too old"),
        (json!({"sub": "somebody-else"}), "userinfo speaks of somebody else"),
    ] {
        refused(&attempt(change), reason);
    }
    // A code that the provider does not know, an error of the provider, a state that is old or made up.
    let query = begin(&server, "https://app.example/cb");
    refused(&finish(&server, &query, "unknown", "n-client"), "the provider refused it with status 400");
    let shown = json!({"state": query["state"], "error": "access_denied", "client_nonce": "n-client"});
    refused(&server.session(None).read_with("auth/oidc/oidc/callback", shown), "refused the login");
    server.clock.advance(Duration::from_secs(601));
    refused(&finish(&server, &query, "c", "n-client"), "Expired or missing OAuth state");
    refused(
        &server.session(None).read_with("auth/oidc/oidc/callback", json!({"state": "AAAA", "code": "c"})),
        "Expired or missing OAuth state",
    );
    // Nobody is sent where the role does not allow it.
    assert!(begin(&server, "https://evil.example/cb").is_empty());
    assert!(begin(&server, "http://localhost:1/other").is_empty());
    refused(
        &server.session(None).write("auth/oidc/login", json!({"role": "people", "jwt": "x"})),
        "role with oidc role_type is not allowed",
    );
}
