//! `.sops.yaml`: for whom new files are encrypted and which of their values, by their paths; and where files are published.

use super::recipients::{self, AwsSettings, RecipientError};
use super::restricted::Restriction;
use regex::Regex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use strongroom_formats::document::{Document, Limits, ParseError, Syntax, Value};
use strongroom_formats::sops::{
    AwsKmsKey, AzureKey, Indent, MacScope, Recipient, RecipientKind, Selector, SelectorError, SelectorKind,
};
use thiserror::Error;

/// The exact name of the file.
pub const FILE_NAME: &str = ".sops.yaml";
/// A name that people give it by mistake.
const OTHER_NAME: &str = ".sops.yml";
const FOLDERS_MAX: usize = 100;
const BYTES_MAX: u64 = 4 << 20;
/// `merge` goes no deeper.
const MERGES_MAX: usize = 20;

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    #[error("{}: it is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    #[error("{}: {error}", .path.display())]
    Parse { path: PathBuf, error: ParseError },
    #[error("{}: {place}: {what}", .path.display())]
    Content { path: PathBuf, place: String, what: String },
    #[error("no matching creation rules found")]
    NoRule { path: PathBuf, file: PathBuf },
    #[error("no matching destination found in config")]
    NoDestination { path: PathBuf, file: PathBuf },
}

/// The file, read.
#[derive(Debug)]
pub struct Config {
    pub path: PathBuf,
    /// `None` if the file has none at all: it then says nothing about new files.
    creation_rules: Option<Vec<CreationRule>>,
    destination_rules: Vec<DestinationRule>,
    pub stores: Stores,
}

/// How files of one path are encrypted.
#[derive(Debug, Clone)]
pub struct CreationRule {
    path_regex: Option<Regex>,
    /// A rule always has one group; it may be empty, and then nothing can be encrypted by it.
    pub groups: Vec<Vec<Recipient>>,
    pub threshold: u8,
    pub selector: Option<Selector>,
    pub mac_scope: MacScope,
    /// Values that are for some of the recipients alone; sops passes over this.
    pub restrictions: Vec<Restriction>,
}

impl CreationRule {
    /// Whether the rule is for some paths, and not for all that no other is for.
    pub fn has_path(&self) -> bool {
        self.path_regex.is_some()
    }
}

/// Where files of one path are published.
#[derive(Debug)]
pub struct DestinationRule {
    path_regex: Option<Regex>,
    pub destination: Option<Destination>,
    pub omit_extensions: bool,
    /// For whom they are encrypted anew before that; without keys they go as they are.
    pub recreation: CreationRule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    S3 { bucket: String, prefix: String },
    Gcs { bucket: String, prefix: String },
    Vault { address: String, path: String, mount: String, version: u8 },
}

/// The indentation of files that are written afresh.
#[derive(Debug, Clone, Copy)]
pub struct Stores {
    pub yaml: Indent,
    pub json: Indent,
    pub binary: Indent,
}

impl Default for Stores {
    fn default() -> Self {
        Self { yaml: Indent::Usual, json: Indent::Usual, binary: Indent::Usual }
    }
}

/// What was found on the way up.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub path: Option<PathBuf>,
    /// A file of the wrong name that lies nearer.
    pub misnamed: Option<PathBuf>,
}

/// Looks for the file in a folder and those above it.
pub fn find(folder: &Path) -> Found {
    let mut found = Found::default();
    for folder in folder.ancestors().take(FOLDERS_MAX) {
        let path = folder.join(FILE_NAME);
        if path.exists() {
            found.path = Some(path);
            break;
        }
        let other = folder.join(OTHER_NAME);
        if found.misnamed.is_none() && other.exists() {
            found.misnamed = Some(other);
        }
    }
    found
}

impl Config {
    pub fn load(path: &Path, aws_context: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let bytes = crate::files::read(path, BYTES_MAX)?;
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| ConfigError::NotText(path.to_owned()))?;
        let limits = Limits { bytes_max: BYTES_MAX as usize, ..Limits::default() };
        let parse_error = |error| ConfigError::Parse { path: path.to_owned(), error };
        let document = Document::parse(Syntax::Yaml, text, &limits).map_err(parse_error)?;
        let value = match document.root(0).map(|root| root.value()) {
            None => Value::Map(Vec::new()),
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                let place = format!("line {}", error.line);
                return Err(ConfigError::Content {
                    path: path.to_owned(),
                    place,
                    what: error.what.to_owned(),
                });
            }
        };
        Reader { path, aws_context }.config(&value)
    }

    /// The first rule for a file. `None` if the file has no creation rules at all.
    pub fn creation_rule(&self, file: &Path) -> Result<Option<&CreationRule>, ConfigError> {
        let Some(rules) = &self.creation_rules else { return Ok(None) };
        // Paths are compared as seen from the folder of the file with the rules.
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let relative = file.strip_prefix(folder).unwrap_or(file).to_string_lossy().into_owned();
        let rule =
            rules.iter().find(|rule| rule.path_regex.as_ref().is_none_or(|regex| regex.is_match(&relative)));
        match rule {
            Some(rule) => Ok(Some(rule)),
            None => Err(ConfigError::NoRule { path: self.path.clone(), file: file.to_owned() }),
        }
    }

    /// The first destination for a file; its path is compared as it was given.
    pub fn destination_rule(&self, file: &Path) -> Result<&DestinationRule, ConfigError> {
        let name = file.to_string_lossy();
        let rule = self
            .destination_rules
            .iter()
            .find(|rule| rule.path_regex.as_ref().is_none_or(|regex| regex.is_match(&name)));
        rule.ok_or_else(|| ConfigError::NoDestination { path: self.path.clone(), file: file.to_owned() })
    }
}

struct Reader<'a> {
    path: &'a Path,
    /// The encryption context of keys that are given by their ARN alone.
    aws_context: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn wrong<T>(&self, place: &str, what: impl Into<String>) -> Result<T, ConfigError> {
        Err(ConfigError::Content { path: self.path.to_owned(), place: place.to_owned(), what: what.into() })
    }

    fn recipient<T>(&self, place: &str, result: Result<T, RecipientError>) -> Result<T, ConfigError> {
        result.or_else(|error| self.wrong(place, error.to_string()))
    }

    fn config(&self, value: &Value) -> Result<Config, ConfigError> {
        let creation_rules = match value.get("creation_rules") {
            None | Some(Value::Scalar(_)) => None,
            Some(rules) => {
                let rules = self.items("creation_rules", rules)?;
                let read = |(number, rule)| self.creation_rule(&format!("creation_rules[{number}]"), rule);
                Some(rules.iter().enumerate().map(read).collect::<Result<_, _>>()?)
            }
        };
        let destination_rules = match value.get("destination_rules") {
            None | Some(Value::Scalar(_)) => Vec::new(),
            Some(rules) => {
                let rules = self.items("destination_rules", rules)?;
                let read =
                    |(number, rule)| self.destination_rule(&format!("destination_rules[{number}]"), rule);
                rules.iter().enumerate().map(read).collect::<Result<_, _>>()?
            }
        };
        let indent = |name: &str| self.indent(value, name);
        let stores = Stores { yaml: indent("yaml")?, json: indent("json")?, binary: indent("json_binary")? };
        Ok(Config { path: self.path.to_owned(), creation_rules, destination_rules, stores })
    }

    fn indent(&self, value: &Value, store: &str) -> Result<Indent, ConfigError> {
        let place = format!("stores.{store}.indent");
        let given =
            value.get("stores").and_then(|stores| stores.get(store)).and_then(|store| store.get("indent"));
        match given.and_then(Value::as_scalar).map(|scalar| scalar.expose().parse::<i64>()) {
            None | Some(Ok(-1)) => Ok(Indent::Usual),
            Some(Ok(0)) if store == "yaml" => Ok(Indent::Usual),
            Some(Ok(spaces @ 0..=16)) => Ok(Indent::Spaces(usize::try_from(spaces).unwrap_or_default())),
            Some(_) => self.wrong(&place, "the indentation is a number of spaces up to 16"),
        }
    }

    fn creation_rule(&self, place: &str, rule: &Value) -> Result<CreationRule, ConfigError> {
        let given = SelectorKind::NAMED
            .into_iter()
            .map(|kind| Ok((kind, self.text(place, rule, kind.name())?)))
            .collect::<Result<Vec<_>, ConfigError>>()?;
        let selector =
            Selector::only(given).or_else(|error: SelectorError| self.wrong(place, error.to_string()))?;
        let threshold = match self.text(place, rule, "shamir_threshold")?.as_str() {
            "" => 0,
            text => {
                text.parse().or_else(|_| self.wrong(place, "shamir_threshold is a number from 0 to 255"))?
            }
        };
        let mac_scope = match self.text(place, rule, "mac_only_encrypted")?.as_str() {
            "true" => MacScope::EncryptedValues,
            "" | "false" => MacScope::AllValues,
            _ => return self.wrong(place, "mac_only_encrypted is true or false"),
        };
        let groups = match rule.get("key_groups") {
            Some(Value::List(groups)) if !groups.is_empty() => {
                let read = |(number, group)| self.group(&format!("{place}.key_groups[{number}]"), group, 0);
                groups.iter().enumerate().map(read).collect::<Result<_, _>>()?
            }
            _ => vec![self.flat_keys(place, rule)?],
        };
        let path_regex = self.regex(place, rule, "path_regex")?;
        let restrictions = self.restrictions(place, rule)?;
        Ok(CreationRule { path_regex, groups, threshold, selector, mac_scope, restrictions })
    }

    /// `restricted`: a list of `key_regex` with the keys as they stand in a rule.
    fn restrictions(&self, place: &str, rule: &Value) -> Result<Vec<Restriction>, ConfigError> {
        let read = |(number, restriction): (usize, &Value)| {
            let place = format!("{place}.restricted[{number}]");
            let Some(key_regex) = self.regex(&place, restriction, "key_regex")? else {
                return self.wrong(&place, "key_regex is missing: which values does this mean?");
            };
            let recipients = self.flat_keys(&place, restriction)?;
            if recipients.is_empty() {
                return self.wrong(&place, "no keys: whom are these values for?");
            }
            Ok(Restriction { key_regex, recipients })
        };
        self.optional_items(place, rule, "restricted")?.iter().enumerate().map(read).collect()
    }

    /// The keys that stand in the rule itself.
    fn flat_keys(&self, place: &str, rule: &Value) -> Result<Vec<Recipient>, ConfigError> {
        const FIELDS: [(&str, RecipientKind); 7] = [
            ("age", RecipientKind::Age),
            ("pgp", RecipientKind::Pgp),
            ("kms", RecipientKind::AwsKms),
            ("gcp_kms", RecipientKind::GcpKms),
            ("hckms", RecipientKind::HuaweiKms),
            ("azure_keyvault", RecipientKind::AzureKeyVault),
            ("hc_vault_transit_uri", RecipientKind::VaultTransit),
        ];
        let aws = AwsSettings {
            context: self.aws_context.clone(),
            profile: self.text(place, rule, "aws_profile")?,
        };
        let mut keys = Vec::new();
        for (field, kind) in FIELDS {
            let place = format!("{place}.{field}");
            for text in self.texts(&place, rule.get(field))? {
                keys.extend(self.recipient(&place, recipients::parse_list(kind, &text, &aws))?);
            }
        }
        Ok(keys)
    }

    /// A group of `key_groups`; each key once.
    fn group(&self, place: &str, group: &Value, depth: usize) -> Result<Vec<Recipient>, ConfigError> {
        if depth > MERGES_MAX {
            return self.wrong(place, "too many groups are merged into each other");
        }
        let mut keys = Vec::new();
        for (number, merged) in self.optional_items(place, group, "merge")?.iter().enumerate() {
            keys.extend(self.group(&format!("{place}.merge[{number}]"), merged, depth + 1)?);
        }
        let aws = AwsSettings::default();
        for (field, kind) in [
            ("age", RecipientKind::Age),
            ("pgp", RecipientKind::Pgp),
            ("hc_vault", RecipientKind::VaultTransit),
        ] {
            let place = format!("{place}.{field}");
            for text in self.texts(&place, group.get(field))? {
                keys.extend(self.recipient(&place, recipients::parse_list(kind, &text, &aws))?);
            }
        }
        for (field, number, key) in
            self.keyed(place, group, &["kms", "gcp_kms", "hckms", "azure_keyvault"])?
        {
            keys.push(self.structured_key(&format!("{place}.{field}[{number}]"), field, key)?);
        }
        let mut once: Vec<Recipient> = Vec::new();
        for key in keys {
            if !once.contains(&key) {
                once.push(key);
            }
        }
        Ok(once)
    }

    fn keyed<'v>(
        &self,
        place: &str,
        group: &'v Value,
        fields: &[&'static str],
    ) -> Result<Vec<(&'static str, usize, &'v Value)>, ConfigError> {
        let mut all = Vec::new();
        for field in fields {
            let items = self.optional_items(place, group, field)?;
            all.extend(items.iter().enumerate().map(|(number, key)| (*field, number, key)));
        }
        Ok(all)
    }

    fn structured_key(&self, place: &str, field: &str, key: &Value) -> Result<Recipient, ConfigError> {
        let needed = |name: &str| match self.text(place, key, name)? {
            text if text.is_empty() => self.wrong(place, format!("{name} is missing")),
            text => Ok(text),
        };
        Ok(match field {
            "kms" => Recipient::AwsKms(AwsKmsKey {
                arn: needed("arn")?,
                role: self.text(place, key, "role")?,
                context: self.context(place, key)?,
                profile: self.text(place, key, "aws_profile")?,
            }),
            "gcp_kms" => Recipient::GcpKms(needed("resource_id")?),
            "hckms" => Recipient::HuaweiKms(needed("key_id")?),
            _ => Recipient::AzureKeyVault(AzureKey {
                vault_url: needed("vaultUrl")?,
                name: needed("key")?,
                version: self.text(place, key, "version")?,
            }),
        })
    }

    fn context(&self, place: &str, key: &Value) -> Result<BTreeMap<String, String>, ConfigError> {
        match key.get("context") {
            None | Some(Value::Scalar(_)) => Ok(BTreeMap::new()),
            Some(Value::Map(entries)) => {
                let pair = |(name, value): &(String, Value)| match value.as_scalar() {
                    Some(scalar) => Ok((name.clone(), scalar.expose().to_owned())),
                    None => self.wrong(place, "context is a map of texts"),
                };
                entries.iter().map(pair).collect()
            }
            Some(Value::List(_)) => self.wrong(place, "context is a map of texts"),
        }
    }

    fn destination_rule(&self, place: &str, rule: &Value) -> Result<DestinationRule, ConfigError> {
        let text = |name: &str| self.text(place, rule, name);
        let mut destinations = Vec::new();
        if !text("s3_bucket")?.is_empty() {
            destinations.push(Destination::S3 { bucket: text("s3_bucket")?, prefix: text("s3_prefix")? });
        }
        if !text("gcs_bucket")?.is_empty() {
            destinations.push(Destination::Gcs { bucket: text("gcs_bucket")?, prefix: text("gcs_prefix")? });
        }
        if !text("vault_path")?.is_empty() {
            let mount = text("vault_kv_mount_name")?;
            destinations.push(Destination::Vault {
                address: text("vault_address")?,
                path: text("vault_path")?,
                mount: if mount.is_empty() { "secret".to_owned() } else { mount },
                version: if text("vault_kv_version")? == "1" { 1 } else { 2 },
            });
        }
        if destinations.len() > 1 {
            return self.wrong(
                place,
                "more than one destination: a rule has one of s3_bucket, gcs_bucket, vault_path",
            );
        }
        let recreation = match rule.get("recreation_rule") {
            Some(rule @ Value::Map(_)) => self.creation_rule(&format!("{place}.recreation_rule"), rule)?,
            _ => self.creation_rule(place, &Value::Map(Vec::new()))?,
        };
        Ok(DestinationRule {
            path_regex: self.regex(place, rule, "path_regex")?,
            destination: destinations.pop(),
            omit_extensions: text("omit_extensions")? == "true",
            recreation,
        })
    }

    fn regex(&self, place: &str, rule: &Value, name: &str) -> Result<Option<Regex>, ConfigError> {
        let text = self.text(place, rule, name)?;
        if text.is_empty() {
            return Ok(None);
        }
        match Regex::new(&text) {
            Ok(regex) => Ok(Some(regex)),
            Err(_) => self.wrong(&format!("{place}.{name}"), format!("{text:?} is not a regular expression")),
        }
    }

    fn items<'v>(&self, place: &str, value: &'v Value) -> Result<&'v [Value], ConfigError> {
        match value {
            Value::List(items) => Ok(items),
            _ => self.wrong(place, "a list belongs here"),
        }
    }

    fn optional_items<'v>(
        &self,
        place: &str,
        value: &'v Value,
        name: &str,
    ) -> Result<&'v [Value], ConfigError> {
        match value.get(name) {
            None | Some(Value::Scalar(_)) => Ok(&[]),
            Some(value) => self.items(&format!("{place}.{name}"), value),
        }
    }

    /// A scalar as text; empty if it is not there.
    fn text(&self, place: &str, map: &Value, name: &str) -> Result<String, ConfigError> {
        match map.get(name) {
            None => Ok(String::new()),
            Some(Value::Scalar(scalar)) => Ok(scalar.expose().to_owned()),
            Some(_) => self.wrong(place, format!("{name} is a single value")),
        }
    }

    /// A text or a list of texts.
    fn texts(&self, place: &str, value: Option<&Value>) -> Result<Vec<String>, ConfigError> {
        let text = |value: &Value| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => self.wrong(place, "a text, or a list of texts, belongs here"),
        };
        match value {
            None => Ok(Vec::new()),
            Some(Value::List(items)) => items.iter().map(text).collect(),
            Some(Value::Scalar(strongroom_formats::document::Scalar::Null)) => Ok(Vec::new()),
            Some(value) => Ok(vec![text(value)?]),
        }
    }
}
