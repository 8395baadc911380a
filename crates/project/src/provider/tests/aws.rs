use crate::provider::{Address, ErrorKind, Kind, Provider, Setting, Settings};
use crate::testing::{NOW_SECONDS, Received, Reply, TestServer, surroundings};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const KEYS: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "not-real"),
    ("AWS_REGION", "eu-west-1"),
];

fn open(
    kind: &str,
    endpoint: &str,
    variables: &[(&str, &str)],
    more: &[(&str, Setting)],
) -> Box<dyn Provider> {
    let mut settings: Settings =
        more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    settings.insert("endpoint".to_owned(), Setting::Text(endpoint.to_owned()));
    settings.insert("retries".to_owned(), Setting::Number(0));
    Kind::named(kind).unwrap().open(&settings, &surroundings(Path::new("/nonexistent"), variables)).unwrap()
}

/// Every secret is there: its value is its name in capitals.
fn secrets(request: &Received) -> Reply {
    let secret = |name: &str| {
        json!({"ARN": format!("arn:aws:secretsmanager:eu-west-1:1:secret:{name}-AbCdEf"), "Name": name,
            "VersionId": "v", "SecretString": name.to_uppercase(), "CreatedDate": 1.5e9})
    };
    let body = request.json();
    match request.header("x-amz-target") {
        "secretsmanager.GetSecretValue" => Reply::Json(200, secret(body["SecretId"].as_str().unwrap())),
        "secretsmanager.BatchGetSecretValue" => {
            let ids = body["SecretIdList"].as_array().unwrap();
            assert!(ids.len() <= 20);
            let values: Vec<Value> = ids.iter().map(|id| secret(id.as_str().unwrap())).collect();
            Reply::Json(200, json!({"SecretValues": values, "Errors": []}))
        }
        other => Reply::Json(400, json!({"__type": "UnknownOperationException", "message": other})),
    }
}

fn addresses(count: usize) -> Vec<Address> {
    (0..count).map(|index| Address::of_path(format!("shop/secret-{index}"))).collect()
}

#[test]
fn five_hundred_secrets_are_twenty_five_requests_that_overlap() {
    let server = TestServer::start_slow(Duration::from_millis(20), secrets);
    let provider = open("aws-secrets-manager", &server.url(), &KEYS, &[]);
    let addresses = addresses(500);
    let outcomes = provider.fetch(&addresses);
    assert_eq!(outcomes.len(), 500);
    for (address, outcome) in addresses.iter().zip(outcomes) {
        let found = outcome.unwrap().unwrap();
        assert_eq!(found.value.expose(), address.path.to_uppercase().as_bytes());
        assert_eq!(found.version.as_deref(), Some("v"));
    }
    assert_eq!(server.received().len(), 25);
    assert!(server.overlap_max() > 4, "at most {} at once", server.overlap_max());
}

#[test]
fn many_entries_of_one_secret_are_one_request() {
    let map: Value =
        (0..500).map(|index| (format!("K{index}"), json!(index))).collect::<serde_json::Map<_, _>>().into();
    let server = TestServer::start(move |_| {
        Reply::Json(200, json!({"Name": "shop", "SecretString": map.to_string()}))
    });
    let provider =
        open("aws-secrets-manager", &server.url(), &KEYS, &[("path", Setting::Text("shop".into()))]);
    let addresses: Vec<_> = (0..500).map(|index| provider.address_of(&format!("K{index}"))).collect();
    let outcomes = provider.fetch(&addresses);
    assert!(outcomes.into_iter().all(|outcome| outcome.unwrap().is_some()));
    assert_eq!(server.received().len(), 1);
}

#[test]
fn twenty_five_parameters_are_three_requests() {
    let server = TestServer::start_slow(Duration::from_millis(20), |request| {
        let body = request.json();
        assert_eq!(body["WithDecryption"], true);
        let names = body["Names"].as_array().unwrap().clone();
        let parameters: Vec<Value> = names
            .iter()
            .filter(|name| *name != "shop/secret-7")
            .map(|name| json!({"Name": name, "Value": "x", "Version": 3}))
            .collect();
        Reply::Json(200, json!({"Parameters": parameters, "InvalidParameters": ["shop/secret-7"]}))
    });
    let provider = open("aws-ssm", &server.url(), &KEYS, &[]);
    let found: Vec<_> = provider.fetch(&addresses(25)).into_iter().map(Result::unwrap).collect();
    assert_eq!(found.iter().filter(|found| found.is_none()).count(), 1);
    assert!(found[7].is_none());
    assert_eq!(server.received().len(), 3);
    assert!(server.overlap_max() > 1);
}

#[test]
fn requests_are_signed_for_their_service_and_carry_the_session() {
    let server = TestServer::start(secrets);
    let variables = [&KEYS[..], &[("AWS_SESSION_TOKEN", "not-real-session")]].concat();
    open("aws-secrets-manager", &server.url(), &variables, &[]).fetch(&addresses(1));
    let request = server.received().remove(0);
    let authorization = request.header("authorization");
    let start = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/eu-west-1/secretsmanager/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
    assert!(authorization.starts_with(start), "{authorization}");
    assert_eq!(request.header("x-amz-security-token"), "not-real-session");
}

#[test]
fn without_permission_for_batches_secrets_come_one_by_one() {
    let server = TestServer::start(|request| match request.header("x-amz-target") {
        "secretsmanager.BatchGetSecretValue" => {
            Reply::Json(400, json!({"__type": "AccessDeniedException", "Message": "no"}))
        }
        _ => secrets(request),
    });
    let provider = open("aws-secrets-manager", &server.url(), &KEYS, &[]);
    assert!(provider.fetch(&addresses(5)).into_iter().all(|outcome| outcome.unwrap().is_some()));
    assert_eq!(server.received().len(), 6);
}

#[test]
fn a_batch_says_what_is_missing_and_what_is_refused() {
    let server = TestServer::start(|_| {
        Reply::Json(
            200,
            json!({
            "SecretValues": [{"Name": "shop/secret-0", "SecretBinary": "AP8="}],
            "Errors": [
                {"SecretId": "shop/secret-1", "ErrorCode": "ResourceNotFoundException", "Message": "none"},
                {"SecretId": "shop/secret-2", "ErrorCode": "AccessDeniedException", "Message": "no"}]}),
        )
    });
    let outcomes = open("aws-secrets-manager", &server.url(), &KEYS, &[]).fetch(&addresses(3));
    assert_eq!(outcomes[0].as_ref().unwrap().as_ref().unwrap().value.expose(), [0, 255]);
    assert!(outcomes[1].as_ref().unwrap().is_none());
    assert_eq!(outcomes[2].as_ref().unwrap_err().kind, ErrorKind::Denied);
}

/// The error of one fetch from a server that always answers so.
fn error_of(reply: impl Fn() -> Reply + Send + Sync + 'static) -> crate::provider::ProviderError {
    let server = TestServer::start(move |_| reply());
    let provider = open("aws-secrets-manager", &server.url(), &KEYS, &[]);
    provider.fetch(&addresses(1)).remove(0).unwrap_err()
}

#[test]
fn refusals_say_what_to_do() {
    let refusal = |code: &'static str| move || Reply::Json(400, json!({"__type": code, "message": "m"}));
    let error = error_of(refusal("com.amazonaws#ExpiredTokenException"));
    assert_eq!(error.kind, ErrorKind::Authentication);
    assert!(error.hint.unwrap().contains("expired"));
    let error = error_of(refusal("AccessDeniedException"));
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.hint.unwrap().contains("GetSecretValue"));
    assert!(error.looked.iter().any(|place| place.contains("AWS_ACCESS_KEY_ID")), "{:?}", error.looked);
    assert_eq!(error_of(refusal("ThrottlingException")).kind, ErrorKind::Unreachable);
    assert_eq!(error_of(|| Reply::Headed(200, Vec::new(), "<html>".to_owned())).kind, ErrorKind::Malformed);
    assert_eq!(error_of(|| Reply::Json(200, json!({"Name": "x"}))).kind, ErrorKind::Malformed);
}

#[test]
fn a_clock_that_is_off_is_named() {
    let error = error_of(|| {
        let body = json!({"__type": "InvalidSignatureException", "message": "Signature expired"}).to_string();
        Reply::Headed(400, vec![("date", "Sun, 22 Nov 2026 11:00:00 GMT".to_owned())], body)
    });
    assert_eq!(NOW_SECONDS % 3600, 0);
    assert_eq!(error.hint.unwrap(), "this machine's clock is 60 minutes ahead of AWS's: set it right");
}

#[test]
fn throttled_requests_are_repeated() {
    let asked = AtomicUsize::new(0);
    let server = TestServer::start(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Json(400, json!({"__type": "ThrottlingException"})),
        _ => secrets(request),
    });
    let kind = Kind::named("aws-secrets-manager").unwrap();
    let settings = [("endpoint".to_owned(), Setting::Text(server.url()))].into();
    let provider = kind.open(&settings, &surroundings(Path::new("/nonexistent"), &KEYS)).unwrap();
    assert!(provider.fetch(&addresses(1)).remove(0).unwrap().is_some());
    assert_eq!(server.received().len(), 2);
}

#[test]
fn without_credentials_every_place_that_was_looked_at_is_named() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings::default();
    let variables = [("AWS_REGION", "eu-west-1"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let around = surroundings(home.path(), &variables);
    let provider = Kind::named("aws-secrets-manager").unwrap().open(&settings, &around).unwrap();
    let error = provider.fetch(&addresses(1)).remove(0).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Authentication);
    let looked = error.looked.join("\n");
    for place in [
        "AWS_ACCESS_KEY_ID",
        ".aws/config",
        ".aws/credentials",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED",
    ] {
        assert!(looked.contains(place), "{place} in\n{looked}");
    }
}
