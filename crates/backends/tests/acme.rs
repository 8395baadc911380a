//! ACME in the PKI engine: the protocol and what it refuses. What other people's clients make of it, `cargo xtask test interop` looks at.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here shall fail the test")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom_crypto::hash::HashAlgorithm;
use strongroom_crypto::jose::JoseKey;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_crypto::keypair::{KeyKind, PrivateKey};
use strongroom_crypto::mac::hmac;
use strongroom_crypto::x509::{AlternativeNames, Purposes, ReadCertificate, SignatureScheme, request};
use strongroom_testkit::SeededEntropy;
use strongroom_testkit::outbound::WebServer;
use strongroom_testkit::server::{Answer, TestServer};

const BASE: &str = "https://pki.example.com/v1/pki/";

/// Where the client of a test puts its proofs.
type Proof = Arc<Mutex<String>>;

/// An authority with ACME, and a web server that every name leads to.
fn server(settings: Value) -> (TestServer, Proof) {
    let server = TestServer::start(strongroom_backends::all());
    let root = server.root();
    assert_eq!(root.write("sys/mounts/pki", json!({ "type": "pki" })).status, 204);
    let made = json!({ "common_name": "Root", "key_type": "ec", "ttl": "700h" });
    assert_eq!(root.write("pki/root/generate/internal", made).status, 200);
    let proof = Proof::default();
    let shown = proof.clone();
    let web = WebServer::start(move |_| Some((200, shown.lock().unwrap().clone())));
    let port: u16 = web.address.rsplit(':').next().unwrap().parse().unwrap();
    let refused = root.write("pki/config/acme", json!({ "enabled": true }));
    assert!(refused.refusal().1.contains("config/cluster"), "{}", refused.body);
    assert_eq!(root.write("pki/config/cluster", json!({ "path": BASE })).status, 200);
    let mut all = json!({ "enabled": true, "eab_policy": "not-required", "http01_port": port });
    all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let set = root.write("pki/config/acme", all);
    assert_eq!(set.status, 200, "{}", set.body);
    assert!(set.data().get("nonce_key").is_none());
    (server, proof)
}

/// Somebody with a key and, once it is made, an account.
struct Client<'s> {
    server: &'s TestServer,
    key: JoseKey,
    directory: &'static str,
    account: Option<String>,
}

fn encode(value: &Value) -> String {
    BASE64.encode(value.to_string())
}

fn header(answer: &Answer, wanted: &str) -> Option<String> {
    let headers = answer.body["headers"].as_array()?;
    headers.iter().find(|header| header[0] == wanted).and_then(|header| header[1].as_str()).map(str::to_owned)
}

fn content(answer: &Answer) -> Value {
    serde_json::from_str(answer.body["data"].as_str().unwrap()).unwrap()
}

/// The end of an error's name.
fn problem(answer: &Answer) -> String {
    let kind = content(answer)["type"].as_str().unwrap_or_default().to_owned();
    kind.trim_start_matches("urn:ietf:params:acme:error:").to_owned()
}

fn path_of(url: &str) -> String {
    format!("pki/{}", url.strip_prefix(BASE).unwrap())
}

impl<'s> Client<'s> {
    fn new(server: &'s TestServer, seed: u64) -> Self {
        let key = JoseKey::generate(JwsAlgorithm::EdDsa, &SeededEntropy::new(seed)).unwrap();
        Self { server, key, directory: "acme/", account: None }
    }

    fn url(&self, rest: &str) -> String {
        format!("{BASE}{}{rest}", self.directory)
    }

    fn jwk(&self) -> Value {
        let members = self.key.public().unwrap().jwk().unwrap();
        Value::from(
            members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>(),
        )
    }

    fn nonce(&self) -> String {
        let answer = self.server.session(None).read(&format!("pki/{}new-nonce", self.directory));
        header(&answer, "replay-nonce").unwrap()
    }

    /// A request as it is sent, `change` made to its header before it is signed.
    fn signed(
        &self,
        url: &str,
        payload: Option<&Value>,
        change: impl FnOnce(&mut Map<String, Value>),
    ) -> Value {
        let mut header = json!({ "alg": "EdDSA", "nonce": self.nonce(), "url": url });
        match &self.account {
            Some(account) => header["kid"] = account.clone().into(),
            None => header["jwk"] = self.jwk(),
        }
        change(header.as_object_mut().unwrap());
        let (protected, payload) = (encode(&header), payload.map(encode).unwrap_or_default());
        let signature = BASE64.encode(self.key.sign(format!("{protected}.{payload}").as_bytes()).unwrap());
        json!({ "protected": protected, "payload": payload, "signature": signature })
    }

    fn send(&self, body: Value, url: &str) -> Answer {
        self.server.session(None).write(&path_of(url), body)
    }

    fn post(&self, url: &str, payload: Option<&Value>) -> Answer {
        self.send(self.signed(url, payload, |_| ()), url)
    }

    fn register(&mut self, more: Value) -> Answer {
        let url = self.url("new-account");
        let answer = self.post(&url, Some(&more));
        self.account = header(&answer, "location");
        answer
    }

    fn order(&self, names: &[&str]) -> Answer {
        let identifiers: Vec<_> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        self.post(&self.url("new-order"), Some(&json!({ "identifiers": identifiers })))
    }

    /// Proves every name of an order, or tries to.
    fn prove(&self, order: &Value, proof: &Proof) {
        for url in order["authorizations"].as_array().unwrap() {
            let authorization = content(&self.post(url.as_str().unwrap(), None));
            let challenges = authorization["challenges"].as_array().unwrap();
            let http = challenges.iter().find(|challenge| challenge["type"] == "http-01").unwrap();
            let thumbprint = self.key.public().unwrap().thumbprint().unwrap();
            *proof.lock().unwrap() = format!("{}.{thumbprint}\n", http["token"].as_str().unwrap());
            let answered = self.post(http["url"].as_str().unwrap(), Some(&json!({})));
            assert_eq!(content(&answered)["status"], "processing");
            self.server.kernel.look_around();
        }
    }

    fn finalize(&self, order: &Value, names: &[&str]) -> Answer {
        let key = PrivateKey::generate(KeyKind::EcdsaP256, &SeededEntropy::new(9)).unwrap();
        let names = AlternativeNames {
            dns: names.iter().map(|name| (*name).to_owned()).collect(),
            ..AlternativeNames::default()
        };
        let scheme = SignatureScheme::for_key(key.kind(), 0, false).unwrap();
        let der = request(&key, scheme, Vec::new().into(), &names, &Purposes::default()).unwrap();
        self.post(order["finalize"].as_str().unwrap(), Some(&json!({ "csr": BASE64.encode(der) })))
    }
}

#[test]
fn a_name_that_was_proven_gets_a_certificate() {
    let (server, proof) = server(json!({}));
    let mut client = Client::new(&server, 1);
    assert_eq!(client.register(json!({ "contact": ["mailto:a@example.com"] })).status, 201);
    let made = client.order(&["A.example.com.", "b.example.com"]);
    assert_eq!(made.status, 201);
    let (order_url, order) = (header(&made, "location").unwrap(), content(&made));
    assert_eq!(order["identifiers"][0]["value"], "a.example.com");
    assert_eq!(order["status"], "pending");
    assert_eq!(problem(&client.finalize(&order, &["a.example.com", "b.example.com"])), "orderNotReady");
    client.prove(&order, &proof);
    assert_eq!(content(&client.post(&order_url, None))["status"], "ready");
    for other in [&["a.example.com"][..], &["a.example.com", "c.example.com"], &[]] {
        assert_eq!(problem(&client.finalize(&order, other)), "badCSR");
    }
    let done = content(&client.finalize(&order, &["b.example.com", "a.example.com"]));
    assert_eq!(done["status"], "valid");
    let chain = client.post(done["certificate"].as_str().unwrap(), None);
    let pem = chain.body["data"].as_str().unwrap();
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
    let der: String = pem.lines().skip(1).take_while(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(der).unwrap();
    let certificate = ReadCertificate::from_der(&der).unwrap();
    assert_eq!(certificate.names().unwrap().dns, ["a.example.com", "b.example.com"]);
    // Its own account takes it back, once; nobody else's does.
    let payload = json!({ "certificate": BASE64.encode(&der), "reason": 1 });
    let mut stranger = Client::new(&server, 2);
    stranger.register(json!({}));
    let url = client.url("revoke-cert");
    assert_eq!(problem(&stranger.post(&url, Some(&payload))), "unauthorized");
    assert_eq!(stranger.post(&order_url, None).status, 404);
    let reason = json!({ "certificate": BASE64.encode(&der), "reason": 7 });
    assert_eq!(problem(&client.post(&url, Some(&reason))), "badRevocationReason");
    assert_eq!(client.post(&url, Some(&payload)).status, 200);
    assert_eq!(problem(&client.post(&url, Some(&payload))), "alreadyRevoked");
    let listed = content(&client.post(&client.url("orders"), None));
    assert_eq!(listed["orders"], json!([order_url]));
}

#[test]
fn a_name_that_is_not_proven_gets_none() {
    let (server, proof) = server(json!({}));
    let mut client = Client::new(&server, 1);
    client.register(json!({}));
    let made = client.order(&["a.example.com"]);
    let order = content(&made);
    let authorization = order["authorizations"][0].as_str().unwrap().to_owned();
    let http = content(&client.post(&authorization, None))["challenges"][0].clone();
    *proof.lock().unwrap() = "something else".to_owned();
    client.post(http["url"].as_str().unwrap(), Some(&json!({})));
    let state = || content(&client.post(&authorization, None))["status"].as_str().unwrap().to_owned();
    for _ in 0..5 {
        assert_eq!(state(), "pending");
        server.clock.advance(Duration::from_secs(20));
        server.kernel.look_around();
    }
    assert_eq!(state(), "invalid");
    let shown = content(&client.post(http["url"].as_str().unwrap(), None));
    assert_eq!(shown["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse");
    assert_eq!(content(&client.post(&header(&made, "location").unwrap(), None))["status"], "invalid");
    assert_eq!(problem(&client.finalize(&order, &["a.example.com"])), "orderNotReady");
}

#[test]
fn what_is_not_signed_as_it_should_be_is_refused() {
    let (server, _) = server(json!({}));
    let mut client = Client::new(&server, 1);
    client.register(json!({}));
    let url = client.url("orders");
    let sent = client.signed(&url, None, |_| ());
    assert_eq!(client.send(sent.clone(), &url).status, 200);
    let replayed = client.send(sent, &url);
    assert_eq!((problem(&replayed).as_str(), replayed.status), ("badNonce", 400));
    assert!(header(&replayed, "replay-nonce").is_some());
    let old = client.signed(&url, None, |_| ());
    server.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(problem(&client.send(old, &url)), "badNonce");
    let elsewhere = client.url("new-order");
    for (name, value, expected) in [
        ("nonce", json!("AAAA"), "badNonce"),
        ("url", json!(elsewhere), "unauthorized"),
        ("kid", json!(client.url("account/nobody")), "accountDoesNotExist"),
        ("kid", Value::Null, "malformed"),
        ("jwk", client.jwk(), "malformed"),
        ("alg", json!("none"), "badSignatureAlgorithm"),
        ("alg", json!("HS256"), "badSignatureAlgorithm"),
        ("alg", json!("ES256"), "badPublicKey"),
        ("crit", json!(["x"]), "malformed"),
    ] {
        let sent = client.signed(&url, None, |header| drop(header.insert(name.to_owned(), value.clone())));
        assert_eq!(problem(&client.send(sent, &url)), expected, "{name} {value}");
    }
    // What stands beside the signed members would otherwise be read as a parameter of the engine.
    let mut beside = client.signed(&url, None, |_| ());
    beside["ttl"] = "87600h".into();
    assert_eq!(problem(&client.send(beside, &url)), "malformed");
    let mut forged = client.signed(&url, None, |_| ());
    forged["payload"] = encode(&json!({})).into();
    assert_eq!(problem(&client.send(forged, &url)), "malformed");
}

#[test]
fn accounts_are_bound_to_others_change_their_keys_and_end() {
    let (server, _) = server(json!({ "eab_policy": "always-required" }));
    let mut client = Client::new(&server, 1);
    assert_eq!(problem(&client.register(json!({}))), "externalAccountRequired");
    let made = server.root().write("pki/acme/new-eab", json!({}));
    let (id, key) = (made.data()["id"].as_str().unwrap(), made.data()["key"].as_str().unwrap());
    assert_eq!(server.session(None).write("pki/acme/new-eab", json!({})).status, 403);
    assert_eq!(server.root().list("pki/eab").data()["keys"], json!([id]));
    let bind = |key: &[u8], jwk: &Value, url: &str| {
        let protected = encode(&json!({ "alg": "HS256", "kid": id, "url": url }));
        let payload = encode(jwk);
        let tag = hmac(HashAlgorithm::Sha2_256, key, format!("{protected}.{payload}").as_bytes());
        let binding = json!({ "protected": protected, "payload": payload, "signature": BASE64.encode(tag) });
        json!({ "externalAccountBinding": binding })
    };
    let (url, secret, jwk) = (client.url("new-account"), BASE64.decode(key).unwrap(), client.jwk());
    let other = Client::new(&server, 5);
    for wrong in [
        bind(b"guessed", &jwk, &url),
        bind(&secret, &other.jwk(), &url),
        bind(&secret, &jwk, "https://elsewhere.example.com/"),
    ] {
        assert_eq!(problem(&client.register(wrong)), "unauthorized");
    }
    assert_eq!(client.register(bind(&secret, &jwk, &url)).status, 201);
    // It counts once.
    let mut second = Client::new(&server, 6);
    let used = bind(&secret, &second.jwk(), &url);
    assert_eq!(problem(&second.register(used)), "unauthorized");
    // Another key for the account: the old one counts no longer.
    let account = client.account.clone().unwrap();
    let mut next = Client::new(&server, 7);
    let change = client.url("key-change");
    let inner = next.signed(&change, Some(&json!({ "account": account, "oldKey": jwk })), |header| {
        header.remove("nonce");
    });
    assert_eq!(client.post(&change, Some(&inner)).status, 200);
    assert_eq!(problem(&client.post(&client.url("orders"), None)), "malformed");
    next.account = Some(account.clone());
    assert_eq!(next.post(&next.url("orders"), None).status, 200);
    let ended = next.post(&account, Some(&json!({ "status": "deactivated" })));
    assert_eq!(content(&ended)["status"], "deactivated");
    assert_eq!(problem(&next.post(&next.url("orders"), None)), "unauthorized");
}

#[test]
fn directories_have_rules_of_their_own() {
    let (server, _) = server(json!({ "default_directory_policy": "forbid", "allowed_roles": "web" }));
    let root = server.root();
    let role = json!({ "allowed_domains": "example.com", "allow_subdomains": true, "key_type": "any" });
    for name in ["web", "other"] {
        assert_eq!(root.write(&format!("pki/roles/{name}"), role.clone()).status, 200);
    }
    let anybody = server.session(None);
    assert_eq!(anybody.read("pki/acme/directory").status, 403);
    assert_eq!(anybody.read("pki/roles/other/acme/directory").status, 403);
    assert_eq!(anybody.read("pki/roles/web/acme/directory").status, 200);
    assert_eq!(anybody.read("pki/issuer/default/roles/web/acme/directory").status, 200);
    let mut client = Client { directory: "roles/web/acme/", ..Client::new(&server, 1) };
    assert_eq!(client.register(json!({})).status, 201);
    assert_eq!(problem(&client.order(&["a.example.org"])), "rejectedIdentifier");
    assert_eq!(problem(&client.order(&["127.0.0.1"])), "rejectedIdentifier");
    assert_eq!(problem(&client.order(&[])), "malformed");
    let wildcard = content(&client.order(&["*.example.com"]));
    let authorization = content(&client.post(wildcard["authorizations"][0].as_str().unwrap(), None));
    assert_eq!(
        (&authorization["wildcard"], &authorization["identifier"]["value"]),
        (&json!(true), &json!("example.com"))
    );
    let kinds: Vec<_> =
        authorization["challenges"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, ["dns-01"]);
    // An account counts in its own directory.
    let elsewhere = client.signed(&format!("{BASE}issuer/default/roles/web/acme/orders"), None, |_| ());
    let answer = anybody.write("pki/issuer/default/roles/web/acme/orders", elsewhere);
    assert_eq!(problem(&answer), "accountDoesNotExist");
    let url = client.url("orders");
    let sent = client.signed(&url, None, |_| ());
    assert_eq!(root.write("pki/config/acme", json!({ "enabled": false })).status, 200);
    assert_eq!(problem(&client.send(sent, &url)), "unauthorized");
}
