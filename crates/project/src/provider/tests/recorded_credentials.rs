//! How the official SDKs of the clouds, and hvac, get their credentials (`tests/recorded/credentials.py`), replayed to ours: a
//! request that the SDK did not make is refused, and one that it made must come.

use super::{open_with, text};
use crate::provider::{Address, ErrorKind, Provider, ProviderError, Setting};
use crate::testing::{Received, Reply, TestServer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tempfile::TempDir;

const RECORDED: &str = include_str!("../../../tests/recorded/credentials.json");

/// A server that answers as it was recorded, and a home folder with the files that the SDK had.
struct Replay {
    server: TestServer,
    home: TempDir,
    recorded: Value,
}

/// Fields in which clients differ without a difference: scopes that include each other, an empty list for none, a wish for
/// more in the answer.
const LOOSE: [&str; 3] = ["scope", "delegates", "client_info"];
/// Requests of SDKs that ask for more than a token.
const NOT_NEEDED: [&str; 2] =
    ["/.well-known/openid-configuration", "service-accounts/default/?recursive=true"];

impl Replay {
    fn new(name: &str) -> Self {
        let recorded = serde_json::from_str::<Value>(RECORDED).unwrap()[name].take();
        assert!(recorded.is_object(), "{name} is recorded");
        let exchanges = recorded["exchanges"].as_array().unwrap().clone();
        let server = TestServer::start(move |request| {
            if let Some(reply) = service(request) {
                return reply;
            }
            let found = exchanges.iter().find(|exchange| is_same(exchange, request));
            let Some(exchange) = found else {
                return Reply::Json(
                    418,
                    json!({"error": "not_recorded", "error_description": format!("{request:?}")}),
                );
            };
            let body =
                exchange["answer"].as_str().map_or_else(|| exchange["answer"].to_string(), str::to_owned);
            let headers = match exchange["answer_headers"]["metadata-flavor"].as_str() {
                Some(flavor) => vec![("metadata-flavor", flavor.to_owned())],
                None => Vec::new(),
            };
            Reply::Headed(u16::try_from(exchange["status"].as_u64().unwrap()).unwrap(), headers, body)
        });
        let replay = Self { server, home: tempfile::tempdir().unwrap(), recorded };
        replay.write_files();
        replay
    }

    fn write_files(&self) {
        if let Some(config) = self.recorded["config"].as_str() {
            self.write(".aws/config", config);
        }
        if let Some(name) = self.recorded["cache_name"].as_str() {
            self.write(&format!(".aws/sso/cache/{name}.json"), &self.recorded["cache"].to_string());
        }
        if self.recorded["file"].is_object() {
            self.write("credentials.json", &self.filled(&self.recorded["file"].to_string()));
            self.write("oidc", r#"{"jwt": "not-a-real-oidc-token"}"#);
        }
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn filled(&self, text: &str) -> String {
        let (url, home) = (self.server.url(), self.home.path().display().to_string());
        text.replace("SERVER", &url).replace("HOST", &url.replace("http://", "")).replace("HOME", &home)
    }

    fn open(&self, kind: &str, variables: &[(&str, &str)], settings: &[(&str, &str)]) -> Box<dyn Provider> {
        let filled: Vec<(&str, String)> =
            variables.iter().map(|(name, value)| (*name, self.filled(value))).collect();
        let variables: Vec<(&str, &str)> =
            filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let settings: Vec<(&str, Setting)> =
            settings.iter().map(|(name, value)| (*name, text(&self.filled(value)))).collect();
        open_with(kind, self.home.path(), &variables, &settings)
    }

    /// The credential that a secret was read with, once all that was recorded was asked for.
    fn value(&self, provider: &dyn Provider, address: &str) -> String {
        let found = provider.fetch(&[Address::parse(address).unwrap()]).remove(0).unwrap().unwrap();
        self.all_was_asked();
        String::from_utf8(found.value.expose().to_vec()).unwrap()
    }

    fn all_was_asked(&self) {
        let received = self.server.received();
        for exchange in self.recorded["exchanges"].as_array().unwrap() {
            let is_needed = !NOT_NEEDED.iter().any(|end| exchange["target"].as_str().unwrap().ends_with(end));
            // Ours may end later than the first value is read.
            let is_end = exchange["target"].as_str().unwrap().ends_with("revoke-self");
            let was_asked = received.iter().any(|request| is_same(exchange, request));
            assert!(was_asked || is_end || !is_needed, "not asked for: {exchange}");
        }
    }
}

/// The service that the credentials are for: it tells what it was shown.
fn service(request: &Received) -> Option<Reply> {
    let shown = request.header("authorization");
    if request.header("x-amz-target") == "secretsmanager.GetSecretValue" {
        let key =
            shown.split("Credential=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let value = format!("{key} {}", request.header("x-amz-security-token"));
        return Some(Reply::Json(200, json!({"Name": "x", "SecretString": value})));
    }
    if request.target.starts_with("/v1/projects/shop/secrets/") {
        return Some(Reply::Json(
            200,
            json!({"name": "x/versions/1", "payload": {"data": STANDARD.encode(shown)}}),
        ));
    }
    if request.target.starts_with("/secrets/") {
        if shown.is_empty() {
            let challenge =
                "Bearer authorization=\"https://login.test\", resource=\"https://vault.azure.net\"";
            return Some(Reply::Headed(
                401,
                vec![("www-authenticate", challenge.to_owned())],
                "{}".to_owned(),
            ));
        }
        return Some(Reply::Json(200, json!({"value": shown, "id": "https://v/secrets/x/v1"})));
    }
    (request.method == "GET" && request.target == "/v1/secret/data/a").then(|| {
        let data = json!({"k": request.header("x-vault-token")});
        Reply::Json(200, json!({"data": {"data": data, "metadata": {"version": 1}}}))
    })
}

fn is_same(exchange: &Value, request: &Received) -> bool {
    let headers = exchange["headers"].as_object().unwrap();
    let same_header = |(name, value): (&String, &Value)| {
        let (recorded, sent) = (value.as_str().unwrap(), request.header(name));
        // A signature is of its time.
        let signer = recorded.split_once('/').filter(|_| recorded.starts_with("AWS4-HMAC-SHA256"));
        recorded == sent || signer.is_some_and(|(signer, _)| sent.starts_with(&format!("{signer}/")))
    };
    // Vault takes both for a write, and Go's client sends PUT.
    let method = |text: &str| {
        if text == "PUT" && request.target.starts_with("/v1/auth/") { "POST" } else { text }.to_owned()
    };
    exchange["method"] == method(&request.method)
        && target(exchange["target"].as_str().unwrap()) == target(&request.target)
        && headers.iter().all(same_header)
        && same_fields(&exchange["body"], &body(request))
}

fn same_fields(recorded: &Value, sent: &Value) -> bool {
    let fields = |value: &Value| -> Map<String, Value> {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        fields.retain(|name, _| !LOOSE.contains(&name.as_str()));
        fields
    };
    fields(recorded) == fields(sent)
}

/// The path, and the fields of the query.
fn target(text: &str) -> (String, BTreeMap<String, String>) {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    (path.to_owned(), form(query).into_iter().collect())
}

fn form(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let fields = text.split('&').filter_map(|field| field.split_once('='));
    fields.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn body(request: &Received) -> Value {
    if request.header("content-type").starts_with("application/x-www-form-urlencoded") {
        let fields = form(&String::from_utf8_lossy(&request.body));
        return fields
            .into_iter()
            .map(|(name, value)| (name, Value::from(value)))
            .collect::<Map<_, _>>()
            .into();
    }
    request.json()
}

fn aws(replay: &Replay, variables: &[(&str, &str)], settings: &[(&str, &str)]) -> String {
    let variables =
        [variables, &[("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_REGION", "eu-west-1")]].concat();
    let settings = [settings, &[("endpoint", "SERVER")]].concat();
    replay.value(&*replay.open("aws-secrets-manager", &variables, &settings), "x")
}

const OF_A_ROLE: &str = "ASIAEXAMPLE not-a-real-session";

#[test]
fn aws_containers_and_pods() {
    let replay = Replay::new("aws container");
    replay.write("token", "not-a-real-pod-token\n");
    let address = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/v1/credentials");
    let of_file = [address, ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "HOME/token")];
    assert_eq!(aws(&replay, &of_file, &[]), OF_A_ROLE);
    let of_variable = [address, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not-a-real-pod-token")];
    assert_eq!(aws(&replay, &of_variable, &[]), OF_A_ROLE);
}

#[test]
fn aws_instances_by_version_two_alone() {
    let replay = Replay::new("aws instance");
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "SERVER"), ("AWS_REGION", "eu-west-1")];
    let provider = replay.open("aws-secrets-manager", &variables, &[("endpoint", "SERVER")]);
    assert_eq!(replay.value(&*provider, "x"), OF_A_ROLE);
    let methods: Vec<String> = replay.server.received().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["PUT", "GET", "GET", "POST"]);
}

const SSO: [(&str, &str); 2] = [("AWS_ENDPOINT_URL_SSO", "SERVER"), ("AWS_ENDPOINT_URL_SSO_OIDC", "SERVER")];

fn cached_token(replay: &Replay) -> Value {
    let name = replay.recorded["cache_name"].as_str().unwrap();
    let path = replay.home.path().join(format!(".aws/sso/cache/{name}.json"));
    let mut cached: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    cached.as_object_mut().unwrap().remove("expiresAt");
    cached
}

#[test]
fn aws_single_sign_on() {
    let replay = Replay::new("aws sso");
    assert_eq!(aws(&replay, &SSO, &[("profile", "dev")]), OF_A_ROLE);
    assert_eq!(cached_token(&replay), replay.recorded["cache_afterwards"]);
}

#[test]
fn aws_single_sign_on_that_has_expired_is_refreshed_and_written_back() {
    let replay = Replay::new("aws sso refresh");
    assert_eq!(aws(&replay, &SSO, &[("profile", "dev")]), OF_A_ROLE);
    assert_eq!(cached_token(&replay), replay.recorded["cache_afterwards"]);
}

#[test]
fn aws_web_identity() {
    let replay = Replay::new("aws web identity");
    replay.write("token", "not-a-real-oidc-token\n");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/token"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
        ("AWS_ROLE_SESSION_NAME", "here"),
        ("AWS_ENDPOINT_URL_STS", "SERVER"),
    ];
    assert_eq!(aws(&replay, &variables, &[]), OF_A_ROLE);
}

#[test]
fn aws_profiles_with_a_role_on_another_profile() {
    let replay = Replay::new("aws profile role");
    let sts = [("AWS_ENDPOINT_URL_STS", "SERVER")];
    assert_eq!(aws(&replay, &sts, &[("profile", "app")]), OF_A_ROLE);
    assert_eq!(aws(&replay, &[sts[0], ("AWS_PROFILE", "app")], &[]), OF_A_ROLE);
}

fn google(name: &str) -> String {
    let replay = Replay::new(name);
    let variables =
        [("GOOGLE_APPLICATION_CREDENTIALS", "HOME/credentials.json"), ("GOOGLE_CLOUD_PROJECT", "shop")];
    let variables = &variables[usize::from(!replay.recorded["file"].is_object())..];
    let variables = [variables, &[("GCE_METADATA_HOST", "HOST")]].concat();
    let provider = replay.open("google-secret-manager", &variables, &[("endpoint", "SERVER")]);
    replay.value(&*provider, "x")
}

#[test]
fn google_logins_of_people_federations_and_machines() {
    assert_eq!(google("google user"), "Bearer not-a-real-access-token");
    assert_eq!(google("google workload"), "Bearer not-a-real-access-token");
    assert_eq!(google("google workload impersonation"), "Bearer not-a-real-impersonated-token");
    assert_eq!(google("google impersonation"), "Bearer not-a-real-impersonated-token");
    assert_eq!(google("google metadata"), "Bearer not-a-real-access-token");
}

/// Who we are at AWS, as a request that Google sends on.
#[test]
fn google_federation_with_an_identity_of_aws() {
    let mut replay = Replay::new("google workload aws");
    let subject = replay.recorded["subject"].take();
    replay.server = TestServer::start(move |request| {
        if let Some(reply) = service(request) {
            return reply;
        }
        let fields: BTreeMap<String, String> =
            form(&String::from_utf8_lossy(&request.body)).into_iter().collect();
        let sent = percent_decode_str(&fields["subject_token"]).decode_utf8_lossy().into_owned();
        let sent: Value = serde_json::from_str(&sent).unwrap();
        let headers = |value: &Value| -> BTreeMap<String, String> {
            let pairs = value["headers"].as_array().unwrap().iter();
            let pair = |pair: &Value| {
                let value = pair["value"].as_str().unwrap();
                // The SDK does not sign the target's header, and we do: what is signed differs.
                let value = value.split("/aws4_request").next().unwrap();
                (pair["key"].as_str().unwrap().to_lowercase(), value.to_owned())
            };
            pairs.map(pair).collect()
        };
        assert_eq!(headers(&sent), headers(&subject));
        assert_eq!((&sent["url"], &sent["method"]), (&subject["url"], &subject["method"]));
        Reply::Json(200, json!({"access_token": "federated", "expires_in": 3599}))
    });
    replay.write_files();
    let variables = [
        ("GOOGLE_APPLICATION_CREDENTIALS", "HOME/credentials.json"),
        ("GOOGLE_CLOUD_PROJECT", "shop"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-secret"),
        ("AWS_SESSION_TOKEN", "not-a-real-session"),
        ("AWS_REGION", "eu-west-1"),
    ];
    let provider = replay.open("google-secret-manager", &variables, &[("endpoint", "SERVER")]);
    assert_eq!(replay.value(&*provider, "x"), "Bearer federated");
}

fn azure(name: &str, variables: &[(&str, &str)]) -> String {
    let replay = Replay::new(name);
    replay.write("token", "not-a-real-federated-token\n");
    let settings = [("vault", "SERVER"), ("challenge", "unchecked")];
    replay.value(&*replay.open("azure-key-vault", variables, &settings), "x")
}

#[test]
fn azure_applications_workloads_and_machines() {
    const TOKEN: &str = "Bearer not-a-real-token";
    let app = [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "app"), ("AZURE_AUTHORITY_HOST", "SERVER")];
    let with = |more: (&'static str, &'static str)| [&app[..], &[more]].concat();
    let secret = with(("AZURE_CLIENT_SECRET", "not-a-real-client-secret"));
    assert_eq!(azure("azure client secret", &secret), TOKEN);
    assert_eq!(azure("azure workload", &with(("AZURE_FEDERATED_TOKEN_FILE", "HOME/token"))), TOKEN);
    let machine = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "SERVER");
    assert_eq!(azure("azure machine", &[machine]), TOKEN);
    assert_eq!(azure("azure machine named", &[machine, ("AZURE_CLIENT_ID", "app")]), TOKEN);
    let service = [("IDENTITY_ENDPOINT", "SERVER/msi/token"), ("IDENTITY_HEADER", "not-a-real-header")];
    assert_eq!(azure("azure service", &service), TOKEN);
}

/// Logs in, reads, and takes its own login back.
fn vault(name: &str, settings: &[(&str, &str)], credential: &str) {
    let replay = Replay::new(name);
    replay.write("credential", credential);
    let settings = [settings, &[("address", "SERVER"), ("credential-file", "credential")]].concat();
    let provider = replay.open("vault", &[], &settings);
    assert_eq!(replay.value(&*provider, "secret/a#k"), "hvs.not-a-real-token");
    drop(provider);
    let last = replay.server.received().pop().unwrap();
    let recorded = replay.recorded["exchanges"].as_array().unwrap().last().unwrap().clone();
    assert!(
        recorded["target"].as_str().unwrap().ends_with("revoke-self") && is_same(&recorded, &last),
        "{last:?}"
    );
}

#[test]
fn vault_logins() {
    vault("vault approle", &[("auth", "approle"), ("role", "role")], "not-a-real-secret-id");
    vault("vault userpass", &[("auth", "userpass"), ("user", "ann")], "not-a-real-password");
    vault("vault jwt", &[("auth", "jwt"), ("role", "app")], "not-a-real-jwt");
    vault("vault kubernetes", &[("auth", "kubernetes"), ("role", "app")], "not-a-real-jwt\n");
}

fn error_of(
    kind: &str,
    status: u16,
    answer: Value,
    variables: &[(&str, &str)],
    settings: &[(&str, &str)],
) -> ProviderError {
    let mut replay = Replay::new("aws container");
    replay.server = TestServer::start(move |request| match request.target.starts_with("/secrets/") {
        true => service(request).unwrap(),
        false => Reply::Headed(
            status,
            Vec::new(),
            answer.as_str().map_or_else(|| answer.to_string(), str::to_owned),
        ),
    });
    replay.write("token", "not-a-real-token");
    let provider = replay.open(kind, variables, settings);
    provider.fetch(&[Address::of_path("x")]).remove(0).unwrap_err()
}

/// What has expired says so, and what to do about it.
#[test]
fn expired_credentials() {
    let check = |error: ProviderError, message: &str, hint: &str| {
        assert_eq!(error.kind, ErrorKind::Authentication, "{error}");
        assert!(error.message.contains(message), "{error}");
        let said = error.hint.unwrap_or_default();
        assert!(said.contains(hint), "{said}");
        assert!(!error.message.contains("not-a-real"), "{}", error.message);
    };
    let keys = json!({"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "not-a-real-secret", "Token": "not-a-real",
        "Expiration": "2026-11-22T11:00:00Z"});
    let container = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "SERVER/x"), ("AWS_REGION", "eu-west-1")];
    let endpoint = [("endpoint", "SERVER")];
    check(
        error_of("aws-secrets-manager", 200, keys, &container, &endpoint),
        "have expired at 2026-11-22T11:00:00Z",
        "clock",
    );
    let variables = [
        ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-secret"),
        ("AWS_CREDENTIAL_EXPIRATION", "2026-11-22T11:59:59+00:00"),
        ("AWS_REGION", "eu-west-1"),
    ];
    check(
        error_of("aws-secrets-manager", 500, json!({}), &variables, &endpoint),
        "have expired",
        "aws sso login",
    );
    let sts = "<ErrorResponse><Error><Code>ExpiredTokenException</Code><Message>Token expired</Message></Error></ErrorResponse>";
    let identity = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/token"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/app"),
        ("AWS_ENDPOINT_URL_STS", "SERVER"),
        ("AWS_REGION", "eu-west-1"),
    ];
    check(
        error_of("aws-secrets-manager", 400, json!(sts), &identity, &[]),
        "ExpiredTokenException",
        "a new one",
    );
    let azure = [
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "app"),
        ("AZURE_AUTHORITY_HOST", "SERVER"),
        ("AZURE_CLIENT_SECRET", "not-a-real-client-secret"),
    ];
    let old = json!({"error": "invalid_client",
        "error_description": "AADSTS7000222: The provided client secret keys for app 'app' are expired. Trace ID: x"});
    let settings = [("vault", "SERVER"), ("challenge", "unchecked")];
    check(error_of("azure-key-vault", 401, old, &azure, &settings), "AADSTS7000222", "AZURE_CLIENT_SECRET");
    let federated = [&azure[..3], &[("AZURE_FEDERATED_TOKEN_FILE", "HOME/token")]].concat();
    let old = json!({"error": "invalid_client",
        "error_description": "AADSTS700024: Client assertion is not within its valid time range."});
    check(error_of("azure-key-vault", 401, old, &federated, &settings), "AADSTS700024", "a new one");
}
