use super::{google, open_with, text};
use crate::cloud::azure::{Azure, AzureOptions, ChallengeCheck};
use crate::provider::{Address, ErrorKind, Provider, Setting};
use crate::testing::{Received, Reply, TestServer, surroundings};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use strongroom_crypto::hash::sha256;
use strongroom_secret::SecretBytes;

const RESOURCE: &str = "https://127.0.0.1";

/// A vault with every secret, whose value is the token that it is read with; a directory and a machine's identity beside.
fn vault(request: &Received) -> Reply {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let target = request.target.as_str();
    if target.contains("/oauth2/") {
        let token = match body.as_str() {
            body if body.contains("client_secret=not-real") => "of-the-secret".to_owned(),
            body if body.contains("client_assertion=not-real-federated") => "of-the-federation".to_owned(),
            body => match body.split("client_assertion=").nth(1) {
                Some(assertion) => {
                    let (header, claims) = google::claims(assertion.split('&').next().unwrap());
                    assert_eq!(claims["iss"], "app");
                    format!("of-the-certificate {}", header["x5t#S256"].as_str().unwrap())
                }
                None if target.starts_with("/metadata") => "of-the-machine".to_owned(),
                None => {
                    return Reply::Json(401, json!({"error": "invalid_client", "error_description": "no"}));
                }
            },
        };
        if target.starts_with("/tenant") {
            assert!(body.contains("scope=https%3A%2F%2F127.0.0.1%2F.default"), "{body}");
        }
        return Reply::Json(
            200,
            json!({"access_token": token, "expires_in": "3599", "token_type": "Bearer"}),
        );
    }
    if target.starts_with("/msi") {
        assert_eq!(request.header("x-identity-header"), "not-real-header");
        return Reply::Json(200, json!({"access_token": "of-the-service", "expires_on": "4102444800"}));
    }
    match request.header("authorization") {
        "" => challenge(RESOURCE),
        token => Reply::Json(
            200,
            json!({"value": token.replace("Bearer ", ""),
            "id": "https://127.0.0.1/secrets/x/v1", "attributes": {"enabled": true, "created": 1_500_000_000}}),
        ),
    }
}

fn challenge(resource: &str) -> Reply {
    let header = format!("Bearer authorization=\"https://login.test/tenant\", resource=\"{resource}\"");
    Reply::Headed(401, vec![("www-authenticate", header)], "{}".to_owned())
}

/// Which token a secret is read with.
fn token_with(variables: &[(&str, &str)]) -> String {
    let server = TestServer::start(vault);
    let url = server.url();
    let msi = format!("{url}/msi");
    let home = tempfile::tempdir().unwrap();
    let certificate = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n{}",
        STANDARD.encode("der"),
        google::rsa_key().0
    );
    std::fs::write(home.path().join("certificate.pem"), certificate).unwrap();
    let federated = home.path().join("federated");
    std::fs::write(&federated, "not-real-federated\n").unwrap();
    let fill = |value: &'_ str| match value {
        "URL" => url.clone(),
        "MSI" => msi.clone(),
        "FEDERATED" => federated.display().to_string(),
        other => other.to_owned(),
    };
    let filled: Vec<(&str, String)> = variables.iter().map(|(name, value)| (*name, fill(value))).collect();
    let variables: Vec<(&str, &str)> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let provider = open_with("azure-key-vault", home.path(), &variables, &[("vault", text(&url))]);
    let found = provider.fetch(&[Address::of_path("x")]).remove(0).unwrap().unwrap();
    assert_eq!(found.version.as_deref(), Some("v1"));
    String::from_utf8(found.value.expose().to_vec()).unwrap()
}

const APP: [(&str, &str); 3] =
    [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "app"), ("AZURE_AUTHORITY_HOST", "URL")];

#[test]
fn every_source_of_credentials() {
    let with = |more: &[(&'static str, &'static str)]| token_with(&[&APP[..], more].concat());
    assert_eq!(with(&[("AZURE_CLIENT_SECRET", "not-real")]), "of-the-secret");
    let thumbprint = URL_SAFE_NO_PAD.encode(sha256(b"der"));
    assert_eq!(
        with(&[("AZURE_CLIENT_CERTIFICATE_PATH", "certificate.pem")]),
        format!("of-the-certificate {thumbprint}")
    );
    assert_eq!(with(&[("AZURE_FEDERATED_TOKEN_FILE", "FEDERATED")]), "of-the-federation");
    assert_eq!(
        token_with(&[("IDENTITY_ENDPOINT", "MSI"), ("IDENTITY_HEADER", "not-real-header")]),
        "of-the-service"
    );
    assert_eq!(token_with(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", "URL")]), "of-the-machine");
}

fn open(url: &str, more: &[(&str, Setting)]) -> Box<dyn Provider> {
    let variables = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_CLIENT_SECRET", "not-real"),
        ("AZURE_AUTHORITY_HOST", url),
    ];
    let settings = [&[("vault", text(url))], more].concat();
    open_with("azure-key-vault", Path::new("/nonexistent"), &variables, &settings)
}

#[test]
fn one_challenge_and_one_token_for_many_secrets_that_come_at_once() {
    let server = TestServer::start_slow(Duration::from_millis(20), vault);
    let provider = open(&server.url(), &[]);
    let addresses: Vec<_> = (0..30).map(|index| provider.address_of(&format!("S_{index}"))).collect();
    assert_eq!(addresses[3].path, "S-3");
    assert!(provider.fetch(&addresses).into_iter().all(|outcome| outcome.unwrap().is_some()));
    // The challenge, the token, and each secret once.
    assert_eq!(server.received().len(), 32);
    assert!(server.overlap_max() > 4);
}

#[test]
fn a_vault_that_asks_for_the_token_of_another_service_gets_none() {
    let server = TestServer::start(|_| challenge("https://management.azure.test"));
    let error = open(&server.url(), &[]).fetch(&[Address::of_path("x")]).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Integrity);
    assert!(error.message.contains("management.azure.test"), "{error}");
    assert_eq!(server.received().len(), 1);
    let unchecked = [("challenge", text("unchecked"))];
    let error = open(&server.url(), &unchecked).fetch(&[Address::of_path("x")]).remove(0).unwrap_err();
    assert_ne!(error.kind, ErrorKind::Integrity);
}

#[test]
fn names_that_azure_does_not_have_are_refused_before_anybody_is_asked() {
    let server = TestServer::start(vault);
    let error = open(&server.url(), &[]).fetch(&[Address::of_path("A_B")]).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Settings);
    assert!(server.received().is_empty());
}

#[test]
fn keys_encrypt_and_decrypt() {
    let server = TestServer::start(|request| {
        if request.target.contains("/oauth2/") || request.header("authorization").is_empty() {
            return vault(request);
        }
        let body = request.json();
        assert_eq!(body["alg"], "RSA-OAEP-256");
        let bytes: Vec<u8> = URL_SAFE_NO_PAD
            .decode(body["value"].as_str().unwrap())
            .unwrap()
            .iter()
            .map(|byte| byte ^ 1)
            .collect();
        Reply::Json(
            200,
            json!({"kid": "https://127.0.0.1/keys/k/v7", "value": URL_SAFE_NO_PAD.encode(bytes)}),
        )
    });
    let url = server.url();
    let variables = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_CLIENT_SECRET", "not-real"),
        ("AZURE_AUTHORITY_HOST", url.as_str()),
    ];
    let options = AzureOptions { challenge: ChallengeCheck::Checked, ..AzureOptions::default() };
    let azure = Azure::new(surroundings(Path::new("/nonexistent"), &variables), options);
    let encrypted = azure.key_encrypt(&url, "k", "", &SecretBytes::new(b"data key".to_vec())).unwrap();
    assert_eq!(encrypted.version, "v7");
    assert_eq!(azure.key_decrypt(&url, "k", "v7", &encrypted.ciphertext).unwrap().expose(), b"data key");
    let targets: Vec<String> = server.received().into_iter().map(|request| request.target).collect();
    assert!(targets.contains(&"/keys/k/encrypt?api-version=7.4".to_owned()), "{targets:?}");
    assert!(targets.contains(&"/keys/k/v7/decrypt?api-version=7.4".to_owned()), "{targets:?}");
}
