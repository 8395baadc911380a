//! Logins of service accounts, against a cluster of the test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use strongroom_crypto::jose::JoseKey;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_secret::Clock;
use strongroom_testkit::SeededEntropy;
use strongroom_testkit::outbound::{Received, WebServer};
use strongroom_testkit::server::{Answer, TestServer};

/// A cluster: it knows the tokens that it was told of, and lets holders of `reviewer` review.
struct Cluster {
    key: JoseKey,
    /// What is answered: the status of the review.
    review: Arc<Mutex<Value>>,
    received: Arc<Mutex<Vec<Received>>>,
    web: WebServer,
}

impl Cluster {
    fn start() -> Self {
        let review = Arc::new(Mutex::new(Value::Null));
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (answered, log) = (review.clone(), received.clone());
        let web = WebServer::start(move |request| {
            let is_reviewer =
                request.headers.iter().any(|line| line == "Authorization: Bearer a.b.c-reviewer")
                    || request.headers.iter().any(|line| line.starts_with("Authorization: Bearer ey"));
            let status = if request.path != "/apis/authentication.k8s.io/v1/tokenreviews" {
                404
            } else if is_reviewer {
                201
            } else {
                403
            };
            log.lock().unwrap().push(request);
            let status_of_review = answered.lock().unwrap().clone();
            Some((status, json!({"kind": "TokenReview", "status": status_of_review}).to_string()))
        });
        let key = JoseKey::generate(JwsAlgorithm::Es256, &SeededEntropy::new(3)).unwrap();
        Self { key, review, received, web }
    }

    fn knows(&self, namespace: &str, name: &str) {
        *self.review.lock().unwrap() = json!({
            "authenticated": true, "audiences": ["https://strongroom.example"],
            "user": {"username": format!("system:serviceaccount:{namespace}:{name}"), "uid": "uid-1",
                "groups": ["system:serviceaccounts"]},
        });
    }

    fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256"})), part(claims));
        format!("{signed}.{}", BASE64.encode(self.key.sign(signed.as_bytes()).unwrap()))
    }
}

fn claims(server: &TestServer) -> Value {
    let now = server.clock.now().seconds();
    json!({
        "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:shop:web",
        "aud": ["https://strongroom.example"], "exp": now + 3600, "iat": now, "nbf": now,
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": {"name": "web", "uid": "uid-1"},
            "pod": {"name": "web-7d", "uid": "uid-2"},
        },
    })
}

fn server(cluster: &Cluster) -> TestServer {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    root.write("sys/auth/kubernetes", json!({"type": "kubernetes"}));
    assert_eq!(root.read("auth/kubernetes/config").status, 404);
    let header = BASE64.encode(r#"{"alg":"RS256"}"#);
    let config =
        json!({"kubernetes_host": cluster.web.address, "token_reviewer_jwt": format!("{header}.e30.AA")});
    assert_eq!(root.write("auth/kubernetes/config", config).status, 204);
    let role = json!({
        "bound_service_account_names": "web,api-*", "bound_service_account_namespaces": "shop,team-*",
        "token_policies": "shop",
    });
    assert_eq!(root.write("auth/kubernetes/role/shop", role).status, 204);
    server
}

fn login(server: &TestServer, token: &str) -> Answer {
    server.session(None).write("auth/kubernetes/login", json!({"role": "shop", "jwt": token}))
}

#[track_caller]
fn refused(answer: &Answer, expected: u16, reason: &str) {
    let (status, text) = answer.refusal();
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(
        status == expected && (text.contains(reason) || detail.contains(reason)),
        "{answer:?}, not {reason}"
    );
}

#[test]
fn the_cluster_says_whose_token_it_is() {
    let cluster = Cluster::start();
    let server = server(&cluster);
    let token = cluster.token(&claims(&server));
    cluster.knows("shop", "web");
    let answer = login(&server, &token);
    let auth = &answer.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "shop"]), "{answer:?}");
    assert_eq!(
        auth["metadata"],
        json!({
            "role": "shop", "service_account_name": "web", "service_account_namespace": "shop",
            "service_account_secret_name": "", "service_account_uid": "uid-1",
        })
    );
    let sent: Value = serde_json::from_slice(&cluster.received.lock().unwrap()[0].body).unwrap();
    assert_eq!(sent["spec"], json!({"token": token}));
    // The tokens of secrets, which older clusters made.
    let legacy = json!({
        "kubernetes.io/serviceaccount/namespace": "shop", "kubernetes.io/serviceaccount/service-account.name": "web",
        "kubernetes.io/serviceaccount/service-account.uid": "uid-1", "kubernetes.io/serviceaccount/secret.name": "web-token",
    });
    let answer = login(&server, &cluster.token(&legacy));
    assert_eq!(answer.body["auth"]["metadata"]["service_account_secret_name"], "web-token", "{answer:?}");
    // Somebody else, nobody, an error.
    cluster.knows("shop", "other");
    refused(&login(&server, &token), 403, "another account's");
    *cluster.review.lock().unwrap() = json!({"authenticated": false});
    refused(&login(&server, &token), 403, "does not know the token");
    *cluster.review.lock().unwrap() = json!({"error": "expired"});
    refused(&login(&server, &token), 403, "does not know the token");
}

#[test]
fn what_the_role_does_not_allow_is_not_asked_about() {
    let cluster = Cluster::start();
    let server = server(&cluster);
    cluster.knows("shop", "web");
    let changed = |pointer: &str, value: Value| {
        let mut claims = claims(&server);
        *claims.pointer_mut(pointer).unwrap() = value;
        login(&server, &cluster.token(&claims))
    };
    refused(&changed("/kubernetes.io/namespace", json!("bank")), 403, "namespace not authorized");
    refused(
        &changed("/kubernetes.io/serviceaccount/name", json!("root")),
        403,
        "service account name not authorized",
    );
    refused(&changed("/exp", json!(server.clock.now().seconds() - 61)), 403, "expired");
    refused(&changed("/kubernetes.io", json!({})), 403, "no service account's");
    refused(&login(&server, "x"), 403, "three parts");
    let unknown = json!({"role": "none", "jwt": "a.b.c"});
    refused(&server.session(None).write("auth/kubernetes/login", unknown), 400, "invalid role name");
    assert!(cluster.received.lock().unwrap().is_empty());
}

#[test]
fn audiences_names_and_keys_are_checked_where_the_settings_say_so() {
    let cluster = Cluster::start();
    let server = server(&cluster);
    let root = server.root();
    cluster.knows("shop", "web");
    root.write(
        "auth/kubernetes/role/shop",
        json!({"audience": "other", "alias_name_source": "serviceaccount_name"}),
    );
    let token = cluster.token(&claims(&server));
    refused(&login(&server, &token), 403, "invalid audience");
    root.write("auth/kubernetes/role/shop", json!({"audience": "https://strongroom.example"}));
    let answer = login(&server, &token);
    let entity = answer.body["auth"]["entity_id"].as_str().unwrap().to_owned();
    let alias = root.read(&format!("identity/entity/id/{entity}")).data()["aliases"][0]["name"].clone();
    assert_eq!(alias, "shop/web");
    cluster.review.lock().unwrap()["audiences"] = json!([]);
    refused(&login(&server, &token), 403, "did not confirm the audience");
    cluster.knows("shop", "web");

    let spki = cluster.key.public().unwrap().spki().to_vec();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(spki));
    let config = json!({
        "kubernetes_host": cluster.web.address, "pem_keys": [pem], "disable_iss_validation": false,
        "issuer": "https://kubernetes.default.svc",
    });
    assert_eq!(root.write("auth/kubernetes/config", config).status, 204);
    // Without a reviewer's token the login's own is used.
    assert_eq!(login(&server, &token).status, 200);
    let forged = Cluster {
        key: JoseKey::generate(JwsAlgorithm::Es256, &SeededEntropy::new(4)).unwrap(),
        ..Cluster::start()
    };
    refused(&login(&server, &forged.token(&claims(&server))), 403, "pem_keys");
    let mut other = claims(&server);
    other["iss"] = json!("https://evil.example");
    refused(&login(&server, &cluster.token(&other)), 403, "invalid issuer");
}

#[test]
fn settings_are_checked() {
    let cluster = Cluster::start();
    let server = server(&cluster);
    let root = server.root();
    for (config, status, reason) in [
        (json!({}), 400, "no host provided"),
        (json!({"kubernetes_host": "cluster"}), 400, "must be https://HOST:PORT"),
        (
            json!({"kubernetes_host": "https://c", "disable_local_ca_jwt": true}),
            400,
            "kubernetes_ca_cert must be given",
        ),
        (json!({"kubernetes_host": "https://c", "token_reviewer_jwt": "x"}), 500, "three parts"),
        (json!({"kubernetes_host": "https://c", "pem_keys": ["x"]}), 400, "error parsing pem_keys"),
    ] {
        refused(&root.write("auth/kubernetes/config", config), status, reason);
    }
    let role = |role: Value| root.write("auth/kubernetes/role/new", role);
    refused(&role(json!({"bound_service_account_names": "a"})), 400, "can not be empty");
    let mixed = json!({"bound_service_account_names": "*,a", "bound_service_account_namespaces": "b"});
    refused(&role(mixed), 400, "can not mix");
    let both = json!({"bound_service_account_names": "*", "bound_service_account_namespaces": "*"});
    assert_eq!(role(both).status, 204);
    assert_eq!(root.list("auth/kubernetes/role").data()["keys"], json!(["new", "shop"]));
}
