//! AWS Systems Manager Parameter Store: ten parameters a request, or a whole folder.
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/>

use super::aws_secrets_manager::aws;
use super::settings::{Kind, Rule, Shape};
use super::whole::{Place, Whole, hand_out, places};
use super::{Address, ErrorKind, Outcome, Provider, ProviderError, Reach, SecretTree, Stored};
use crate::at_once;
use crate::cloud::aws::{Aws, Service};
use crate::web::{Repeat, set};
use serde_json::{Value, json};
use std::collections::HashMap;
use strongroom_secret::{SecretBytes, Timestamp};

pub(super) const KIND: Kind = Kind::new(
    "aws-parameter-store",
    "AWS Systems Manager Parameter Store",
    &[
        Rule::optional("path", Shape::Text, "the folder of the parameters, as /shop/prod"),
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
        let folder = settings.text("path").unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Box::new(ParameterStore { aws: aws(settings, surroundings), folder }))
    },
)
.also_called(&["aws-ssm"])
.reaching_out();

struct ParameterStore {
    aws: Aws,
    /// Without a slash at its end.
    folder: String,
}

/// Parameters in a `GetParameters`.
const BATCH_MAX: usize = 10;
const PAGES_MAX: usize = 1000;

impl Provider for ParameterStore {
    fn place(&self) -> String {
        "AWS Parameter Store".to_owned()
    }

    fn reach(&self) -> Reach {
        Reach::Host(self.aws.shown_endpoint(Service::ParameterStore))
    }

    fn address_of(&self, name: &str) -> Address {
        match self.folder.as_str() {
            "" => Address::of_path(name),
            folder => Address::of_path(format!("{folder}/{name}")),
        }
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let places = places(addresses);
        let work: Vec<&[Place<'_>]> = places.chunks(BATCH_MAX).collect();
        let answers = at_once(&work, self.aws.web().limits().concurrency, |places| self.batch(places));
        let found: HashMap<_, _> = answers.into_iter().flatten().collect();
        hand_out(addresses, &found)
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        if address.key.is_some() {
            return Err(super::cannot(self, "set one entry of a parameter", address));
        }
        let text = std::str::from_utf8(value.expose())
            .map_err(|_| ProviderError::settings("a parameter of AWS must be UTF-8").looked(address))?;
        let body = SecretTree::new(json!({
            "Name": address.path, "Value": text, "Type": "SecureString", "Overwrite": true,
        }));
        let answer = self.call("PutParameter", body.expose(), Repeat::Unsafe)?;
        let version = answer.get("Version").and_then(Value::as_i64).map(|version| version.to_string());
        Ok(Stored { version, origin: format!("AWS parameter {}", address.path) })
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        if address.key.is_some() {
            return Err(super::cannot(self, "remove one entry of a parameter", address));
        }
        // Deletes what is there, and says what is not, without an error.
        self.call("DeleteParameters", &json!({ "Names": [address.path] }), Repeat::Safe).map(|_| ())
    }

    /// All parameters below a folder.
    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        let folder = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let mut names = Vec::new();
        let mut token = Value::Null;
        for _ in 0..PAGES_MAX {
            let mut body =
                json!({ "Path": folder, "Recursive": true, "MaxResults": 10, "WithDecryption": false });
            if !token.is_null() {
                set(&mut body, "NextToken", token);
            }
            let answer = self.call("GetParametersByPath", &body, Repeat::Safe)?;
            let page = answer.get("Parameters").and_then(Value::as_array).into_iter().flatten();
            names.extend(page.filter_map(|parameter| parameter.get("Name")?.as_str().map(str::to_owned)));
            token = answer.get("NextToken").cloned().unwrap_or(Value::Null);
            if token.is_null() {
                break;
            }
        }
        Ok(names)
    }
}

impl ParameterStore {
    fn call(&self, operation: &str, body: &Value, repeat: Repeat) -> Result<Value, ProviderError> {
        Ok(self.aws.call(Service::ParameterStore, operation, body, repeat)?)
    }

    /// `GetParameters`. A version or a label stands behind the name, after a colon.
    fn batch<'a>(&self, places: &[Place<'a>]) -> Vec<(Place<'a>, Result<Option<Whole>, ProviderError>)> {
        let selector = |(path, version): &Place<'a>| match version {
            Some(version) => format!("{path}:{version}"),
            None => (*path).to_owned(),
        };
        let names: Vec<String> = places.iter().map(selector).collect();
        let body = json!({ "Names": names, "WithDecryption": true });
        let answer = match self.call("GetParameters", &body, Repeat::Safe) {
            Ok(answer) => SecretTree::new(answer),
            // One name that is not permitted fails all ten: ask for each, so that the others come.
            Err(error) if error.kind == ErrorKind::Denied && places.len() > 1 => {
                let one = |place: &Place<'a>| self.batch(std::slice::from_ref(place));
                return at_once(places, self.aws.web().limits().concurrency, one)
                    .into_iter()
                    .flatten()
                    .collect();
            }
            Err(error) => {
                let error = error.looked(format!("parameters {}", names.join(", ")));
                return places.iter().map(|place| (*place, Err(error.clone()))).collect();
            }
        };
        let parameters = answer.expose().get("Parameters").and_then(Value::as_array);
        let of = |(index, place): (usize, &Place<'a>)| {
            let parameter = parameters
                .into_iter()
                .flatten()
                .find(|parameter| names.get(index).is_some_and(|name| is_answer_to(parameter, name, *place)));
            (*place, parameter.map(whole).transpose())
        };
        places.iter().enumerate().map(of).collect()
    }
}

/// The answer has the name without its selector, and the selector beside it.
fn is_answer_to(parameter: &Value, asked: &str, (path, version): Place<'_>) -> bool {
    let text = |name: &str| parameter.get(name).and_then(Value::as_str);
    let name = text("Name").unwrap_or_default();
    let is_path = name == path || text("ARN") == Some(path);
    let selector = text("Selector").unwrap_or_default();
    let is_version = match version {
        None => selector.is_empty(),
        Some(version) => {
            let number = parameter.get("Version").and_then(Value::as_i64).map(|number| number.to_string());
            selector.trim_start_matches(':') == version || number.as_deref() == Some(version)
        }
    };
    name == asked || is_path && is_version
}

fn whole(parameter: &Value) -> Result<Whole, ProviderError> {
    let text = |name: &str| parameter.get(name).and_then(Value::as_str);
    let name = text("Name").unwrap_or_default();
    let value = text("Value")
        .ok_or_else(|| ProviderError::malformed(format!("the AWS parameter {name} came without a value")))?;
    let mut whole = Whole::of_bytes(value.as_bytes().to_vec().into(), format!("AWS parameter {name}"));
    whole.version = parameter.get("Version").and_then(Value::as_i64).map(|version| version.to_string());
    let created = parameter.get("LastModifiedDate").and_then(Value::as_f64);
    whole.created = created.map(|seconds| Timestamp::from_seconds(seconds as i64));
    Ok(whole)
}
