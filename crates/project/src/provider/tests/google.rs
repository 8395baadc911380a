use super::{open_with, text};
use crate::cloud::google::{Google, GoogleOptions, crc32c};
use crate::provider::{Address, ErrorKind, Provider};
use crate::testing::{NOW_SECONDS, Received, Reply, TestServer, surroundings};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use strongroom_crypto::jose::JoseKey;
use strongroom_crypto::jws::JwsAlgorithm;
use strongroom_secret::SecretBytes;

const TOKEN: [(&str, &str); 2] =
    [("GOOGLE_OAUTH_ACCESS_TOKEN", "not-real"), ("GOOGLE_CLOUD_PROJECT", "shop")];

/// A key in PEM form, and its public half.
pub(super) fn rsa_key() -> &'static (String, JoseKey) {
    static KEY: OnceLock<(String, JoseKey)> = OnceLock::new();
    KEY.get_or_init(|| {
        let around = surroundings(Path::new("/"), &[]);
        let key = JoseKey::generate(JwsAlgorithm::Rs256, &*around.entropy).unwrap();
        let der = STANDARD.encode(key.to_bytes().unwrap().expose());
        (format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"), key)
    })
}

/// The claims of a token, once its signature is checked.
pub(super) fn claims(token: &str) -> (Value, Value) {
    let mut parts = token.split('.');
    let (header, claims, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = rsa_key().1.public().unwrap();
    assert!(JwsAlgorithm::Rs256.verify(&key, format!("{header}.{claims}").as_bytes(), &signature));
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (read(header), read(claims))
}

fn payload(value: &str) -> Value {
    json!({"name": "projects/1/secrets/x/versions/3",
        "payload": {"data": STANDARD.encode(value), "dataCrc32c": crc32c(value.as_bytes()).to_string()}})
}

fn open(endpoint: &str, variables: &[(&str, &str)]) -> Box<dyn Provider> {
    open_with("google-secret-manager", Path::new("/nonexistent"), variables, &[("endpoint", text(endpoint))])
}

#[test]
fn secrets_come_at_the_same_time_and_each_once() {
    let server = TestServer::start_slow(Duration::from_millis(20), |request| {
        let name = request.target.split('/').nth(5).unwrap();
        Reply::Json(200, payload(name))
    });
    let provider = open(&server.url(), &TOKEN);
    let addresses: Vec<_> = (0..40).map(|index| provider.address_of(&format!("S{index}"))).collect();
    for (index, outcome) in provider.fetch(&[&addresses[..], &addresses[..]].concat()).into_iter().enumerate()
    {
        let found = outcome.unwrap().unwrap();
        assert_eq!(found.value.expose(), format!("S{}", index % 40).as_bytes());
        assert_eq!(found.version.as_deref(), Some("3"));
    }
    assert_eq!(server.received().len(), 40);
    assert!(server.overlap_max() > 4);
    let request = server.received().remove(0);
    assert!(request.target.starts_with("/v1/projects/shop/secrets/S"), "{}", request.target);
    assert!(request.target.ends_with("/versions/latest:access"), "{}", request.target);
    assert_eq!(request.header("authorization"), "Bearer not-real");
}

#[test]
fn a_damaged_payload_is_refused() {
    let server = TestServer::start(|_| {
        Reply::Json(200, json!({"payload": {"data": STANDARD.encode("value"), "dataCrc32c": "1"}}))
    });
    let error = open(&server.url(), &TOKEN).fetch(&[Address::of_path("x")]).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
}

#[test]
fn missing_is_nothing_and_refused_is_an_error() {
    let server = TestServer::start(|request| match request.target.contains("/a/") {
        true => Reply::Json(404, json!({"error": {"status": "NOT_FOUND", "message": "no"}})),
        false => Reply::Json(403, json!({"error": {"status": "PERMISSION_DENIED", "message": "no"}})),
    });
    let mut outcomes = open(&server.url(), &TOKEN).fetch(&[
        Address::of_path("a"),
        Address::of_path("b"),
        Address::of_path("c d"),
    ]);
    assert_eq!(outcomes.pop().unwrap().unwrap_err().kind, ErrorKind::Settings);
    assert_eq!(outcomes.pop().unwrap().unwrap_err().kind, ErrorKind::Denied);
    assert!(outcomes.pop().unwrap().unwrap().is_none());
}

#[test]
fn a_service_account_signs_its_own_token() {
    let home = tempfile::tempdir().unwrap();
    let file = json!({"type": "service_account", "project_id": "of-the-file", "private_key_id": "k1",
        "client_email": "robot@shop.test", "private_key": rsa_key().0, "universe_domain": "cloud.test"});
    std::fs::write(home.path().join("key.json"), file.to_string()).unwrap();
    let server = TestServer::start(|_| Reply::Json(200, payload("v")));
    let settings = [("endpoint", text(&server.url())), ("credentials", text("key.json"))];
    let provider = open_with("google-secret-manager", home.path(), &[], &settings);
    assert!(provider.fetch(&[Address::of_path("x")]).remove(0).unwrap().is_some());
    let request = server.received().remove(0);
    assert!(request.target.starts_with("/v1/projects/of-the-file/"));
    let (header, claims) = claims(request.header("authorization").strip_prefix("Bearer ").unwrap());
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!(
        claims,
        json!({"iss": "robot@shop.test", "sub": "robot@shop.test",
        "aud": "https://secretmanager.cloud.test/", "iat": NOW_SECONDS, "exp": NOW_SECONDS + 3600})
    );
}

/// A server that gives tokens, acts for accounts, and holds the secret `x`.
fn everything(request: &Received) -> Reply {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    match request.target.as_str() {
        "/token"
            if body.contains("grant_type=refresh_token")
                && body.contains("refresh_token=not-real-refresh") =>
        {
            Reply::Json(200, json!({"access_token": "of-the-user", "expires_in": 3599}))
        }
        "/sts"
            if body.contains("subject_token=not-real-oidc")
                && body.contains("audience=%2F%2Fiam.test%2Fpool") =>
        {
            Reply::Json(200, json!({"access_token": "federated", "expires_in": 3599}))
        }
        "/impersonate" if request.header("authorization") == "Bearer federated" => {
            Reply::Json(200, json!({"accessToken": "of-the-account", "expireTime": "2026-11-22T13:00:00Z"}))
        }
        "/computeMetadata/v1/instance/service-accounts/default/token" => {
            let flavor = vec![("metadata-flavor", request.header("metadata-flavor").to_owned())];
            Reply::Headed(
                200,
                flavor,
                json!({"access_token": "of-the-machine", "expires_in": 100}).to_string(),
            )
        }
        target if target.starts_with("/v1/") => Reply::Json(200, payload(request.header("authorization"))),
        target => Reply::Json(
            400,
            json!({"error": "invalid_grant", "error_description": format!("{target} {body}")}),
        ),
    }
}

/// Which token a secret is read with, with this file of credentials.
fn token_with(file: Option<Value>, variables: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    let server = TestServer::start(everything);
    if let Some(file) = file {
        let folder = home.path().join(".config/gcloud");
        std::fs::create_dir_all(&folder).unwrap();
        let text = file.to_string().replace("SERVER", &server.url());
        std::fs::write(folder.join("application_default_credentials.json"), text).unwrap();
    }
    std::fs::write(home.path().join("oidc"), r#"{"jwt": "not-real-oidc"}"#).unwrap();
    let host = server.url().replace("http://", "");
    let variables = [variables, &[("GOOGLE_CLOUD_PROJECT", "shop"), ("GCE_METADATA_HOST", &host)]].concat();
    let settings = [("endpoint", text(&server.url()))];
    let provider = open_with("google-secret-manager", home.path(), &variables, &settings);
    let found = provider.fetch(&[Address::of_path("x")]).remove(0).unwrap().unwrap();
    String::from_utf8(found.value.expose().to_vec()).unwrap()
}

#[test]
fn every_source_of_credentials() {
    assert_eq!(token_with(None, &[]), "Bearer of-the-machine");
    assert_eq!(
        token_with(None, &[("CLOUDSDK_AUTH_ACCESS_TOKEN", "of-the-variable")]),
        "Bearer of-the-variable"
    );
    let user = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s",
        "refresh_token": "not-real-refresh", "token_uri": "SERVER/token"});
    assert_eq!(token_with(Some(user), &[]), "Bearer of-the-user");
    let external = json!({"type": "external_account", "audience": "//iam.test/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "SERVER/sts",
        "service_account_impersonation_url": "SERVER/impersonate",
        "credential_source": {"file": "oidc", "format": {"type": "json", "subject_token_field_name": "jwt"}}});
    assert_eq!(token_with(Some(external), &[]), "Bearer of-the-account");
}

#[test]
fn a_login_that_has_expired_says_so() {
    let home = tempfile::tempdir().unwrap();
    let server = TestServer::start(everything);
    let file = json!({"type": "authorized_user", "client_id": "c", "client_secret": "s",
        "refresh_token": "old", "token_uri": format!("{}/token", server.url())});
    std::fs::write(home.path().join("adc.json"), file.to_string()).unwrap();
    let variables = [("GOOGLE_APPLICATION_CREDENTIALS", "adc.json"), ("GOOGLE_CLOUD_PROJECT", "shop")];
    let provider =
        open_with("google-secret-manager", home.path(), &variables, &[("endpoint", text(&server.url()))]);
    let error = provider.fetch(&[Address::of_path("x")]).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
    assert!(error.hint.unwrap().contains("log in again"));
    assert!(!error.message.contains("not-real"));
}

#[test]
fn keys_encrypt_and_decrypt_with_checksums() {
    let server = TestServer::start(|request| {
        let body = request.json();
        let turned = |name: &str| {
            let bytes: Vec<u8> =
                STANDARD.decode(body[name].as_str().unwrap()).unwrap().iter().map(|byte| byte ^ 1).collect();
            (STANDARD.encode(&bytes), crc32c(&bytes).to_string())
        };
        match request.target.as_str() {
            "/v1/projects/p/locations/l/keyRings/r/cryptoKeys/k:encrypt" => {
                let (text, sum) = turned("plaintext");
                Reply::Json(
                    200,
                    json!({"ciphertext": text, "ciphertextCrc32c": sum, "verifiedPlaintextCrc32c": true}),
                )
            }
            _ => {
                let (text, sum) = turned("ciphertext");
                Reply::Json(200, json!({"plaintext": text, "plaintextCrc32c": sum}))
            }
        }
    });
    let options = GoogleOptions { endpoint: Some(server.url()), ..GoogleOptions::default() };
    let google = Google::new(surroundings(Path::new("/nonexistent"), &TOKEN), options);
    let key = "projects/p/locations/l/keyRings/r/cryptoKeys/k";
    let encrypted = google.kms_encrypt(key, &SecretBytes::new(b"data key".to_vec())).unwrap();
    assert_ne!(encrypted, b"data key");
    assert_eq!(google.kms_decrypt(key, &encrypted).unwrap().expose(), b"data key");
    assert_eq!(google.kms_decrypt("alias", &encrypted).unwrap_err().kind, ErrorKind::Settings);
}
