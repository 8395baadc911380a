//! AWS Secrets Manager: twenty secrets a request, requests at the same time.
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/>

use super::settings::{Checked, Kind, Rule, Shape};
use super::whole::{Place, Whole, changed, hand_out, places};
use super::{Address, ErrorKind, Outcome, Provider, ProviderError, Reach, SecretTree, Stored, remote};
use crate::at_once;
use crate::cloud::aws::{Aws, AwsOptions, CallError, Service, region_of_arn};
use crate::surroundings::Surroundings;
use crate::web::{Repeat, set};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use strongroom_secret::{SecretBytes, Timestamp};

pub(super) const KIND: Kind = Kind::new(
    "aws-secrets-manager",
    "AWS Secrets Manager",
    &[
        Rule::optional("prefix", Shape::Text, "what stands before every name: one secret of AWS for each"),
        Rule::optional("path", Shape::Text, "one secret of AWS, a JSON map with all names"),
        Rule::optional("region", Shape::Text, "instead of AWS_REGION and the profile's"),
        Rule::optional(
            "profile",
            Shape::Text,
            "a profile of ~/.aws: nothing else is looked at for credentials",
        ),
        Rule::optional("role", Shape::Text, "the ARN of a role to take on"),
        Rule::optional(
            "endpoint",
            Shape::Text,
            "the service's address, instead of AWS_ENDPOINT_URL and AWS's own",
        ),
    ],
    |settings, surroundings| {
        let path = settings.text("path").map(str::to_owned);
        let prefix = settings.text("prefix").unwrap_or_default().to_owned();
        Ok(Box::new(SecretsManager { aws: aws(settings, surroundings), path, prefix }))
    },
)
.reaching_out();

/// The client that a provider's settings describe.
pub(super) fn aws(settings: &Checked<'_>, surroundings: &Arc<Surroundings>) -> Aws {
    let text = |name: &str| settings.text(name).map(str::to_owned);
    let options = AwsOptions {
        profile: text("profile"),
        region: text("region"),
        endpoint: text("endpoint"),
        role: text("role"),
    };
    Aws::over(remote::web(settings, surroundings), options)
}

struct SecretsManager {
    aws: Aws,
    path: Option<String>,
    prefix: String,
}

/// Secrets in a `BatchGetSecretValue`.
const BATCH_MAX: usize = 20;
/// Pages of a list or a batch: 100,000 secrets.
const PAGES_MAX: usize = 1000;

type Answers<'a> = Vec<(Place<'a>, Result<Option<Whole>, ProviderError>)>;

impl Provider for SecretsManager {
    fn place(&self) -> String {
        "AWS Secrets Manager".to_owned()
    }

    fn reach(&self) -> Reach {
        Reach::Host(self.aws.shown_endpoint(Service::SecretsManager))
    }

    fn address_of(&self, name: &str) -> Address {
        match &self.path {
            Some(path) => Address::of_key(path, name),
            None => Address::of_path(format!("{}{name}", self.prefix)),
        }
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let places = places(addresses);
        let mut by_region: BTreeMap<Option<&str>, Vec<Place<'_>>> = BTreeMap::new();
        let (newest, versioned): (Vec<_>, Vec<_>) =
            places.into_iter().partition(|(_, version)| version.is_none());
        for place in newest {
            by_region.entry(region_of_arn(place.0)).or_default().push(place);
        }
        let batches = by_region.values().flat_map(|places| places.chunks(BATCH_MAX));
        let mut work: Vec<Vec<Place<'_>>> = batches.map(<[_]>::to_vec).collect();
        work.extend(versioned.into_iter().map(|place| vec![place]));
        let answers = at_once(&work, self.aws.web().limits().concurrency, |places| match places.as_slice() {
            [place] => vec![(*place, self.one(*place))],
            places => self.batch(places),
        });
        let found: HashMap<_, _> = answers.into_iter().flatten().collect();
        hand_out(addresses, &found)
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        match &address.key {
            None => self.put(&address.path, value),
            Some(_) => {
                let current = self.one((&address.path, None))?;
                let whole = changed(current.as_ref(), address, Some(value))?;
                self.put(&address.path, &whole.unwrap_or_default())
            }
        }
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        if address.key.is_some() {
            let current = self.one((&address.path, None))?;
            if let Some(whole) = changed(current.as_ref(), address, None)? {
                self.put(&address.path, &whole)?;
            }
            return Ok(());
        }
        // AWS keeps it for its recovery window (30 days).
        let body = json!({ "SecretId": address.path });
        match self.call(&address.path, "DeleteSecret", &body) {
            Err(failed) if is_absent(&failed) => Ok(()),
            outcome => outcome.map(|_| ()).map_err(CallError::into),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        if self.path.as_deref() == Some(path) {
            let whole = self.one((path, None))?;
            return Ok(whole.and_then(|whole| whole.names()).unwrap_or_default());
        }
        let mut names = Vec::new();
        let mut token = Value::Null;
        for _ in 0..PAGES_MAX {
            let mut body = json!({ "MaxResults": 100 });
            if !path.is_empty() {
                set(&mut body, "Filters", json!([{ "Key": "name", "Values": [path] }]));
            }
            if !token.is_null() {
                set(&mut body, "NextToken", token);
            }
            let answer = self.call("", "ListSecrets", &body)?;
            let page = answer.get("SecretList").and_then(Value::as_array).into_iter().flatten();
            names.extend(page.filter_map(|secret| secret.get("Name")?.as_str().map(str::to_owned)));
            token = answer.get("NextToken").cloned().unwrap_or(Value::Null);
            if token.is_null() {
                break;
            }
        }
        // The filter does not tell capitals from others.
        names.retain(|name| name.starts_with(path));
        Ok(names)
    }
}

impl SecretsManager {
    fn call(&self, path: &str, operation: &str, body: &Value) -> Result<Value, CallError> {
        self.aws.call_in(region_of_arn(path), Service::SecretsManager, operation, body, Repeat::Safe)
    }

    /// `GetSecretValue`.
    fn one(&self, (path, version): Place<'_>) -> Result<Option<Whole>, ProviderError> {
        let mut body = json!({ "SecretId": path });
        if let Some(version) = version {
            set(&mut body, if is_version_id(version) { "VersionId" } else { "VersionStage" }, version);
        }
        match self.call(path, "GetSecretValue", &body) {
            Ok(answer) => whole(&SecretTree::new(answer)).map(Some),
            Err(failed) if is_absent(&failed) => Ok(None),
            Err(failed) => Err(failed.error.looked(format!("secret {path}"))),
        }
    }

    /// `BatchGetSecretValue`, and one by one where that is not permitted.
    fn batch<'a>(&self, places: &[Place<'a>]) -> Answers<'a> {
        match self.pages(places) {
            Ok(answers) => answers,
            Err(failed) if failed.error.kind == ErrorKind::Denied => {
                let one = |place: &Place<'a>| (*place, self.one(*place));
                at_once(places, self.aws.web().limits().concurrency, one)
            }
            Err(failed) => places.iter().map(|place| (*place, Err(failed.error.clone()))).collect(),
        }
    }

    fn pages<'a>(&self, places: &[Place<'a>]) -> Result<Answers<'a>, CallError> {
        let ids: Vec<&str> = places.iter().map(|(path, _)| *path).collect();
        let mut answers = Vec::new();
        let mut token = Value::Null;
        for _ in 0..PAGES_MAX {
            let mut body = json!({ "SecretIdList": ids });
            if !token.is_null() {
                set(&mut body, "NextToken", token);
            }
            let region_of = places.first().map_or("", |(path, _)| *path);
            let answer = SecretTree::new(self.call(region_of, "BatchGetSecretValue", &body)?);
            let list = |name: &str| answer.expose().get(name).and_then(Value::as_array).into_iter().flatten();
            for value in list("SecretValues") {
                if let Some(place) = places.iter().find(|(path, _)| is_named(value, path)) {
                    answers.push((*place, whole_of(value).map(Some)));
                }
            }
            for error in list("Errors") {
                let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
                if let Some(place) = places.iter().find(|(path, _)| *path == text("SecretId")) {
                    answers.push((*place, batch_error(text("ErrorCode"), text("Message"), place.0)));
                }
            }
            token = answer.expose().get("NextToken").cloned().unwrap_or(Value::Null);
            if token.is_null() {
                break;
            }
        }
        Ok(answers)
    }

    /// A new version, or a new secret.
    fn put(&self, path: &str, value: &SecretBytes) -> Result<Stored, ProviderError> {
        let token = self.request_token();
        let mut body = match std::str::from_utf8(value.expose()) {
            Ok(text) => json!({ "SecretString": text, "ClientRequestToken": token }),
            Err(_) => json!({ "SecretBinary": BASE64.encode(value.expose()), "ClientRequestToken": token }),
        };
        set(&mut body, "SecretId", path);
        let answer = match self.call(path, "PutSecretValue", &body) {
            Err(failed) if is_absent(&failed) && region_of_arn(path).is_none() => {
                if let Some(fields) = body.as_object_mut() {
                    fields.remove("SecretId");
                }
                set(&mut body, "Name", path);
                self.call(path, "CreateSecret", &body)
            }
            outcome => outcome,
        };
        // The body holds the value.
        drop(SecretTree::new(body));
        let answer = answer?;
        let version = answer.get("VersionId").and_then(Value::as_str).map(str::to_owned);
        Ok(Stored { version, origin: format!("AWS secret {path}") })
    }

    /// A random UUID: the id of the new version, so that a repeated request makes one version.
    fn request_token(&self) -> String {
        let mut random = [0; 16];
        self.aws.web().surroundings().entropy.fill(&mut random);
        uuid_of(random)
    }
}

/// By its name, its ARN, or its ARN without the six random characters at the end.
fn is_named(secret: &Value, path: &str) -> bool {
    let text = |name: &str| secret.get(name).and_then(Value::as_str).unwrap_or_default();
    let rest = text("ARN").strip_prefix(path);
    text("Name") == path
        || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') && rest.len() == 7)
}

/// A UUID of version 4 (RFC 9562, section 5.4).
fn uuid_of(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let text = hex::encode(random);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default().to_owned();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

/// Ids are UUIDs or their like (32 to 64 characters); labels are words.
fn is_version_id(version: &str) -> bool {
    version.len() >= 32 && version.chars().all(|character| character.is_ascii_hexdigit() || character == '-')
}

fn is_absent(failed: &CallError) -> bool {
    // A secret that waits for its deletion has no value either.
    failed.code == "ResourceNotFoundException"
        || failed.code == "InvalidRequestException" && failed.error.message.contains("delet")
}

fn batch_error(code: &str, message: &str, path: &str) -> Result<Option<Whole>, ProviderError> {
    let kind = match code {
        "ResourceNotFoundException" => return Ok(None),
        "InvalidRequestException" if message.contains("delet") => return Ok(None),
        "AccessDeniedException" => ErrorKind::Denied,
        "DecryptionFailure" => ErrorKind::Denied,
        "InternalServiceError" => ErrorKind::Unreachable,
        _ => ErrorKind::Malformed,
    };
    Err(ProviderError::new(kind, format!("AWS refuses the secret {path}: {code}: {message}")))
}

fn whole(answer: &SecretTree) -> Result<Whole, ProviderError> {
    whole_of(answer.expose())
}

fn whole_of(answer: &Value) -> Result<Whole, ProviderError> {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let name = text("Name").unwrap_or_default();
    let bytes = match (text("SecretString"), text("SecretBinary")) {
        (Some(value), _) => value.as_bytes().to_vec(),
        (None, Some(binary)) => BASE64.decode(binary).map_err(|_| {
            ProviderError::malformed(format!("the binary value of the AWS secret {name} is not base64"))
        })?,
        (None, None) => {
            return Err(ProviderError::malformed(format!("the AWS secret {name} came without a value")));
        }
    };
    let mut whole = Whole::of_bytes(bytes.into(), format!("AWS secret {name}"));
    whole.version = text("VersionId").map(str::to_owned);
    let created = answer.get("CreatedDate").and_then(Value::as_f64);
    whole.created = created.map(|seconds| Timestamp::from_seconds(seconds as i64));
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ids_or_labels() {
        assert!(is_version_id("4d2f0c3a-0f6e-4b3e-8f0a-1b2c3d4e5f60"));
        for label in ["AWSPREVIOUS", "AWSCURRENT", "my-label", "deadbeef"] {
            assert!(!is_version_id(label), "{label}");
        }
        assert!(is_version_id(&uuid_of([0xab; 16])));
        assert_eq!(uuid_of([0; 16]), "00000000-0000-4000-8000-000000000000");
    }
}
