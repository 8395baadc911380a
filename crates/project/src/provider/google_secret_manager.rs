//! Google Secret Manager over REST: no batches, so requests run at the same time; every payload is checked by its CRC-32C.
//! <https://cloud.google.com/secret-manager/docs/reference/rest>

use super::settings::{Kind, Rule, Shape};
use super::whole::{Place, Whole, changed, hand_out, places};
use super::{Address, Outcome, Provider, ProviderError, Reach, SecretTree, Stored, remote};
use crate::at_once;
use crate::cloud::google::{Google, GoogleOptions, Service, check_crc32c, crc32c};
use crate::web::{Repeat, Request, form_body};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::collections::HashMap;
use strongroom_secret::SecretBytes;

pub(super) const KIND: Kind = Kind::new(
    "google-secret-manager",
    "Google Secret Manager",
    &[
        Rule::optional("prefix", Shape::Text, "what stands before every name: one secret of Google for each"),
        Rule::optional("path", Shape::Text, "one secret of Google, a JSON map with all names"),
        Rule::optional("project", Shape::Text, "instead of GOOGLE_CLOUD_PROJECT and the credentials' own"),
        Rule::optional(
            "credentials",
            Shape::Text,
            "file of credentials, instead of GOOGLE_APPLICATION_CREDENTIALS",
        ),
        Rule::optional("endpoint", Shape::Text, "the service's address, instead of Google's own"),
    ],
    |settings, surroundings| {
        let options = GoogleOptions {
            credentials_file: settings.text("credentials").map(|path| surroundings.path(path)),
            endpoint: settings.text("endpoint").map(str::to_owned),
        };
        Ok(Box::new(SecretManager {
            google: Google::over(remote::web(settings, surroundings), options),
            project: settings.text("project").map(str::to_owned),
            path: settings.text("path").map(str::to_owned),
            prefix: settings.text("prefix").unwrap_or_default().to_owned(),
        }))
    },
)
.also_called(&["gcp-secret-manager"])
.reaching_out();

struct SecretManager {
    google: Google,
    project: Option<String>,
    path: Option<String>,
    prefix: String,
}

const PAGES_MAX: usize = 1000;

impl Provider for SecretManager {
    fn place(&self) -> String {
        "Google Secret Manager".to_owned()
    }

    fn reach(&self) -> Reach {
        let endpoint = self.google.endpoint(Service::SecretManager, "");
        Reach::Host(endpoint.unwrap_or_else(|_| "Google Secret Manager".to_owned()))
    }

    fn address_of(&self, name: &str) -> Address {
        match &self.path {
            Some(path) => Address::of_key(path, name),
            None => Address::of_path(format!("{}{name}", self.prefix)),
        }
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let places = places(addresses);
        let answers = at_once(&places, self.google.web().limits().concurrency, |place| self.access(*place));
        let found: HashMap<_, _> = places.into_iter().zip(answers).collect();
        hand_out(addresses, &found)
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        match &address.key {
            None => self.add_version(&address.path, value),
            Some(_) => {
                let current = self.access((&address.path, None))?;
                let whole = changed(current.as_ref(), address, Some(value))?;
                self.add_version(&address.path, &whole.unwrap_or_default())
            }
        }
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        if address.key.is_some() {
            let current = self.access((&address.path, None))?;
            if let Some(whole) = changed(current.as_ref(), address, None)? {
                self.add_version(&address.path, &whole)?;
            }
            return Ok(());
        }
        let url = self.url(&self.resource(&address.path)?)?;
        match self.google.call(Service::SecretManager, || Request::new("DELETE", &url, Repeat::Safe)) {
            Err(failed) if failed.status == 404 => Ok(()),
            outcome => Ok(outcome.map(|_| ())?),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        if self.path.as_deref() == Some(path) {
            let whole = self.access((path, None))?;
            return Ok(whole.and_then(|whole| whole.names()).unwrap_or_default());
        }
        let parent = format!("projects/{}", self.project()?);
        let mut names = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES_MAX {
            let query = form_body(&[("pageSize", "1000"), ("pageToken", &token)]);
            let url =
                format!("{}/v1/{parent}/secrets?{query}", self.google.endpoint(Service::SecretManager, "")?);
            let answer = self.google.call(Service::SecretManager, || Request::get(&url))?;
            let page = answer.get("secrets").and_then(Value::as_array).into_iter().flatten();
            let page = page.filter_map(|secret| secret.get("name")?.as_str()?.rsplit('/').next());
            names.extend(page.filter(|name| name.starts_with(path)).map(str::to_owned));
            token = answer.get("nextPageToken").and_then(Value::as_str).unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
        }
        Ok(names)
    }
}

impl SecretManager {
    fn project(&self) -> Result<String, ProviderError> {
        self.project.clone().map_or_else(|| self.google.project(), Ok)
    }

    /// `projects/P/secrets/S`, from that or from the name alone.
    fn resource(&self, path: &str) -> Result<String, ProviderError> {
        let is_plain = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|character| character.is_ascii_alphanumeric() || "-_./:".contains(character))
        };
        if !is_plain(path) || path.contains("..") {
            return Err(ProviderError::settings(format!("{path:?} is no name of a secret of Google"))
                .hint("letters, digits, - and _, or projects/P/secrets/NAME"));
        }
        if path.starts_with("projects/") {
            return Ok(path.to_owned());
        }
        Ok(format!("projects/{}/secrets/{path}", self.project()?))
    }

    fn url(&self, resource: &str) -> Result<String, ProviderError> {
        Ok(format!("{}/v1/{resource}", self.google.endpoint(Service::SecretManager, resource)?))
    }

    /// `versions/V:access`.
    fn access(&self, (path, version): Place<'_>) -> Result<Option<Whole>, ProviderError> {
        let resource = self.resource(path)?;
        let version = crate::web::encoded(version.unwrap_or("latest"));
        let url = format!("{}/versions/{version}:access", self.url(&resource)?);
        let answer = match self.google.call(Service::SecretManager, || Request::get(&url)) {
            Ok(answer) => SecretTree::new(answer),
            Err(failed) if failed.status == 404 => return Ok(None),
            Err(failed) => return Err(failed.error.looked(format!("secret {path}"))),
        };
        let data = answer.expose().pointer("/payload/data").and_then(Value::as_str).unwrap_or_default();
        let bytes = BASE64.decode(data).map(SecretBytes::new).map_err(|_| {
            ProviderError::malformed(format!("the payload of Google's secret {path} is not base64"))
                .looked(&url)
        })?;
        check_crc32c(
            answer.expose().pointer("/payload/dataCrc32c"),
            bytes.expose(),
            &format!("secret {path}"),
        )?;
        let name = answer.expose().get("name").and_then(Value::as_str).unwrap_or(&resource);
        let mut whole = Whole::of_bytes(bytes, format!("Google secret {name}"));
        whole.version = name.rsplit_once("/versions/").map(|(_, version)| version.to_owned());
        Ok(Some(whole))
    }

    /// A new version; the secret is made if it is not there.
    fn add_version(&self, path: &str, value: &SecretBytes) -> Result<Stored, ProviderError> {
        let resource = self.resource(path)?;
        let body = SecretTree::new(json!({ "payload": {
            "data": BASE64.encode(value.expose()),
            "dataCrc32c": crc32c(value.expose()).to_string(),
        }}));
        let url = format!("{}:addVersion", self.url(&resource)?);
        let add = || {
            self.google
                .call(Service::SecretManager, || Request::json("POST", &url, body.expose(), Repeat::Unsafe))
        };
        let answer = match add() {
            Err(failed) if failed.status == 404 => {
                self.create(&resource)?;
                add()
            }
            outcome => outcome,
        };
        let answer = answer?;
        let name = answer.get("name").and_then(Value::as_str).unwrap_or_default();
        let version = name.rsplit_once("/versions/").map(|(_, version)| version.to_owned());
        Ok(Stored { version, origin: format!("Google secret {resource}") })
    }

    fn create(&self, resource: &str) -> Result<(), ProviderError> {
        let (parent, name) = resource.rsplit_once("/secrets/").unwrap_or_default();
        let query = form_body(&[("secretId", name)]);
        let endpoint = self.google.endpoint(Service::SecretManager, resource)?;
        let url = format!("{endpoint}/v1/{parent}/secrets?{query}");
        // A regional secret stays in its region.
        let body = match parent.contains("/locations/") {
            true => json!({}),
            false => json!({ "replication": { "automatic": {} } }),
        };
        self.google.call(Service::SecretManager, || Request::json("POST", &url, &body, Repeat::Unsafe))?;
        Ok(())
    }
}
