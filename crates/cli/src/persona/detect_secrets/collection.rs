//! The findings of a baseline: by file, then line, hash and type, as detect-secrets writes them.

use super::plugins::Enabled;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The release whose files these are.
pub(super) const VERSION: &str = "1.5.0";

#[derive(Debug, Clone)]
pub(super) struct Secret {
    pub(super) kind: String,
    /// SHA-1 of the value, in hex.
    pub(super) hash: String,
    pub(super) line: u64,
    pub(super) is_secret: Option<bool>,
    pub(super) is_verified: bool,
}

/// Secrets by file. Those of one file have different hashes or types.
#[derive(Debug, Clone, Default)]
pub(super) struct Collection {
    pub(super) files: BTreeMap<String, Vec<Secret>>,
}

impl Collection {
    pub(super) fn add(&mut self, path: &str, secret: Secret) {
        let known = self.files.entry(path.to_owned()).or_default();
        if !known.iter().any(|other| other.hash == secret.hash && other.kind == secret.kind) {
            known.push(secret);
            known.sort_by(|one, other| {
                (one.line, &one.hash, &one.kind).cmp(&(other.line, &other.hash, &other.kind))
            });
        }
    }

    pub(super) fn find(&self, path: &str, secret: &Secret) -> Option<&Secret> {
        self.files.get(path)?.iter().find(|other| other.hash == secret.hash && other.kind == secret.kind)
    }

    pub(super) fn len(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// What `known` does not have.
    pub(super) fn without(&self, known: &Self) -> Self {
        let mut left = Self::default();
        for (path, secrets) in &self.files {
            secrets
                .iter()
                .filter(|secret| known.find(path, secret).is_none())
                .for_each(|secret| left.add(path, secret.clone()));
        }
        left
    }

    /// Takes over what people said of the same secrets.
    pub(super) fn take_labels(&mut self, old: &Self) {
        for (path, secrets) in &mut self.files {
            for secret in secrets {
                if let Some(before) = old.find(path, secret) {
                    secret.is_secret = secret.is_secret.or(before.is_secret);
                    secret.is_verified |= before.is_verified;
                }
            }
        }
    }

    /// Of the files that were scanned, what is still there stays, with its new line.
    pub(super) fn trim(&mut self, scanned: &Self, paths: &[String]) {
        for path in paths {
            let Some(secrets) = self.files.get_mut(path) else { continue };
            secrets.retain_mut(|secret| match scanned.find(path, secret) {
                Some(now) => {
                    if secret.line > 0 {
                        secret.line = now.line;
                    }
                    true
                }
                None => false,
            });
            secrets.sort_by(|one, other| {
                (one.line, &one.hash, &one.kind).cmp(&(other.line, &other.hash, &other.kind))
            });
            if secrets.is_empty() {
                self.files.remove(path);
            }
        }
    }

    fn stored(&self, is_slim: bool) -> BTreeMap<&str, Vec<StoredSecret<'_>>> {
        let files = self.files.iter().filter(|(_, secrets)| !secrets.is_empty());
        let stored = files.map(|(path, secrets)| {
            (path.as_str(), secrets.iter().map(|secret| secret.stored(path, is_slim)).collect())
        });
        stored.collect()
    }

    pub(super) fn read(results: &Value) -> Option<Self> {
        let mut collection = Self::default();
        for (path, secrets) in results.as_object()? {
            for secret in secrets.as_array()? {
                collection.add(path, Secret::read(secret)?);
            }
        }
        Some(collection)
    }
}

impl Secret {
    fn stored<'s>(&'s self, path: &'s str, is_slim: bool) -> StoredSecret<'s> {
        StoredSecret {
            kind: &self.kind,
            filename: path,
            hashed_secret: &self.hash,
            is_verified: self.is_verified,
            line_number: Some(self.line).filter(|line| *line > 0 && !is_slim),
            is_secret: self.is_secret,
        }
    }

    fn read(value: &Value) -> Option<Self> {
        Some(Self {
            kind: value.get("type")?.as_str()?.to_owned(),
            hash: value.get("hashed_secret")?.as_str()?.to_owned(),
            line: value.get("line_number").and_then(Value::as_u64).unwrap_or(0),
            is_secret: value.get("is_secret").and_then(Value::as_bool),
            is_verified: value.get("is_verified").and_then(Value::as_bool).unwrap_or(false),
        })
    }
}

/// Which plugins and filters are in use, as a baseline keeps them.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) plugins: Vec<Enabled>,
    /// By path, with their parameters.
    pub(super) filters: BTreeMap<String, Map<String, Value>>,
}

impl Settings {
    pub(super) fn usual() -> Self {
        use super::filters::{ALLOWLIST, HEURISTICS, VERIFICATION};
        let mut filters: BTreeMap<_, _> =
            HEURISTICS.iter().chain([&ALLOWLIST]).map(|path| ((*path).to_owned(), Map::new())).collect();
        filters.insert(VERIFICATION.to_owned(), Map::from_iter([("min_level".to_owned(), json!(2))]));
        Self { plugins: Enabled::all(), filters }
    }

    /// Those of a baseline. Plugins of the user's own are Python, and are left out: their names are the second part.
    pub(super) fn read(baseline: &Value) -> Option<(Self, Vec<String>)> {
        let (mut plugins, mut foreign) = (Vec::new(), Vec::new());
        for used in baseline.get("plugins_used")?.as_array()? {
            let name = used.get("name")?.as_str()?;
            let Some(mut enabled) = Enabled::by_name(name) else {
                foreign.push(name.to_owned());
                continue;
            };
            enabled.limit = used.get("limit").and_then(Value::as_f64).or(enabled.limit);
            let exclude = used.get("keyword_exclude").and_then(Value::as_str);
            enabled.keyword_exclude = exclude.unwrap_or_default().to_owned();
            plugins.push(enabled);
        }
        let mut filters = BTreeMap::new();
        for used in baseline.get("filters_used").and_then(Value::as_array).into_iter().flatten() {
            let mut fields = used.as_object()?.clone();
            let path = fields.remove("path")?.as_str()?.to_owned();
            filters.insert(path, fields);
        }
        Some((Self { plugins, filters }, foreign))
    }

    pub(super) fn has(&self, filter: &str) -> bool {
        self.filters.contains_key(filter)
    }

    /// The document that detect-secrets writes, with its keys in its order.
    pub(super) fn document<'s>(&'s self, secrets: &'s Collection, form: Form<'s>) -> Document<'s> {
        Document {
            version: VERSION,
            plugins_used: self.plugins.iter().map(StoredPlugin::of).collect(),
            filters_used: self.filters.iter().map(|(path, fields)| StoredFilter { path, fields }).collect(),
            results: secrets.stored(form == Form::Slim),
            generated_at: if let Form::Whole { now } = form { Some(now) } else { None },
        }
    }
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    version: &'static str,
    plugins_used: Vec<StoredPlugin<'a>>,
    filters_used: Vec<StoredFilter<'a>>,
    results: BTreeMap<&'a str, Vec<StoredSecret<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generated_at: Option<&'a str>,
}

#[derive(Serialize)]
struct StoredPlugin<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyword_exclude: Option<&'a str>,
}

impl<'a> StoredPlugin<'a> {
    fn of(enabled: &'a Enabled) -> Self {
        let name = enabled.plugin().name;
        let keyword_exclude = (name == "KeywordDetector").then_some(enabled.keyword_exclude.as_str());
        Self { name, limit: enabled.limit, keyword_exclude }
    }
}

#[derive(Serialize)]
struct StoredFilter<'a> {
    path: &'a str,
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct StoredSecret<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    filename: &'a str,
    hashed_secret: &'a str,
    is_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_secret: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// With lines and the time.
    Whole {
        now: &'a str,
    },
    Slim,
}
