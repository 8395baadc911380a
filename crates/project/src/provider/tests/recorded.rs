//! What the official SDKs of Google and Azure said on the wire (`tests/recorded/record.py`), replayed to our providers: a
//! request that the SDK did not make is refused.

use super::{open_with, text};
use crate::cloud::azure::{Azure, AzureOptions, ChallengeCheck};
use crate::cloud::google::{Google, GoogleOptions};
use crate::provider::{Address, Provider};
use crate::testing::{Received, Reply, TestServer, surroundings};
use serde_json::{Value, json};
use std::path::Path;
use strongroom_secret::SecretBytes;

const GOOGLE: &str = include_str!("../../../tests/recorded/google.json");
const AZURE: &str = include_str!("../../../tests/recorded/azure.json");

/// Path and query without what says nothing: a slash at the end of a path, and the notation that the SDK asks for.
fn target(text: &str) -> String {
    let text = text.replace("?%24alt=json%3Benum-encoding%3Dint", "");
    text.replace("/?", "?")
}

/// Answers a request as the recording does that has the same method, target, body, and a token or none.
fn replay(recording: &str, token: bool) -> TestServer {
    let exchanges: Vec<Value> = serde_json::from_str(recording).unwrap();
    TestServer::start(move |request: &Received| {
        if request.target.contains("/oauth2/") {
            return Reply::Json(200, json!({"access_token": "not-real", "expires_in": 3600}));
        }
        let body = if request.body.is_empty() { Value::Null } else { request.json() };
        let is_same = |exchange: &&Value| {
            exchange["method"] == request.method.as_str()
                && target(exchange["target"].as_str().unwrap()) == target(&request.target)
                && (!token || exchange["has_token"] == !request.header("authorization").is_empty())
                && (exchange["body"] == body || exchange["status"] == 401)
        };
        let Some(exchange) = exchanges.iter().find(is_same) else {
            return Reply::Json(418, json!({"error": {"message": format!("not recorded: {request:?}")}}));
        };
        let headers = exchange["answer_headers"].as_object().unwrap();
        let challenge = headers.get("www-authenticate").and_then(Value::as_str).unwrap_or_default();
        let status = u16::try_from(exchange["status"].as_u64().unwrap()).unwrap();
        Reply::Headed(
            status,
            vec![("www-authenticate", challenge.to_owned())],
            exchange["answer"].to_string(),
        )
    })
}

fn read(provider: &dyn Provider, address: &str) -> Option<(String, Option<String>)> {
    let found = provider.fetch(&[Address::parse(address).unwrap()]).remove(0).unwrap()?;
    Some((String::from_utf8(found.value.expose().to_vec()).unwrap(), found.version))
}

const VALUE: &str = "not-a-real-value";

#[test]
fn google_is_asked_as_its_sdk_asks() {
    let server = replay(GOOGLE, false);
    let variables = [("GOOGLE_OAUTH_ACCESS_TOKEN", "not-real"), ("GOOGLE_CLOUD_PROJECT", "shop")];
    let settings = [("endpoint", text(&server.url()))];
    let provider = open_with("google-secret-manager", Path::new("/nonexistent"), &variables, &settings);
    assert_eq!(read(&*provider, "db-password"), Some((VALUE.to_owned(), Some("4".to_owned()))));
    assert_eq!(read(&*provider, "db-password?version=2"), Some((VALUE.to_owned(), Some("2".to_owned()))));
    assert_eq!(read(&*provider, "none"), None);
    let stored = provider.store(&Address::of_path("db-password"), &VALUE.as_bytes().to_vec().into()).unwrap();
    assert_eq!(stored.version.as_deref(), Some("5"));
    let options = GoogleOptions { endpoint: Some(server.url()), ..GoogleOptions::default() };
    let google = Google::new(surroundings(Path::new("/nonexistent"), &variables), options);
    let key = "projects/shop/locations/global/keyRings/r/cryptoKeys/sops";
    assert_eq!(google.kms_encrypt(key, &SecretBytes::new(b"data key".to_vec())).unwrap(), b"encrypted");
    assert_eq!(google.kms_decrypt(key, b"encrypted").unwrap().expose(), b"data key");
}

#[test]
fn azure_is_asked_as_its_sdk_asks() {
    let server = replay(AZURE, true);
    let url = server.url();
    let variables = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_CLIENT_SECRET", "not-real"),
        ("AZURE_AUTHORITY_HOST", url.as_str()),
    ];
    let settings = [("vault", text(&url)), ("challenge", text("unchecked"))];
    let provider = open_with("azure-key-vault", Path::new("/nonexistent"), &variables, &settings);
    assert_eq!(read(&*provider, "db-password"), Some((VALUE.to_owned(), Some("v4".to_owned()))));
    assert_eq!(read(&*provider, "db-password?version=v2"), Some((VALUE.to_owned(), Some("v2".to_owned()))));
    assert_eq!(read(&*provider, "none"), None);
    let stored = provider.store(&Address::of_path("db-password"), &VALUE.as_bytes().to_vec().into()).unwrap();
    assert_eq!(stored.version.as_deref(), Some("v5"));
    let options = AzureOptions { challenge: ChallengeCheck::Unchecked, ..AzureOptions::default() };
    let azure = Azure::new(surroundings(Path::new("/nonexistent"), &variables), options);
    // The SDK is challenged at another path of the vault; this client is, at the operation itself.
    let _ = azure.call(|| crate::web::Request::get(format!("{url}/secrets/db-password?api-version=7.4")));
    let encrypted = azure.key_encrypt(&url, "sops", "v7", &SecretBytes::new(b"data key".to_vec())).unwrap();
    assert_eq!((encrypted.ciphertext.as_slice(), encrypted.version.as_str()), (&b"encrypted"[..], "v7"));
    assert_eq!(azure.key_decrypt(&url, "sops", "v7", b"encrypted").unwrap().expose(), b"data key");
}
