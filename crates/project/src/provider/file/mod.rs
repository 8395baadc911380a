//! Files of a project: `.env` files, settings in JSON, YAML, TOML and INI, and SOPS files. Of several files, a later one wins.

mod dotenv;
mod sops;
mod tree;

use super::settings::{Checked, Kind, Rule, SettingsError, Shape};
use super::whole::{Place, Whole, places};
use super::{Address, ErrorKind, Outcome, Provider, ProviderError, Reach, Stored};
use crate::files::{self, FileError, Links};
use crate::sops::Keys;
use crate::surroundings::Surroundings;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_formats::document::Syntax;
use strongroom_formats::dotenv::Dialect;
use strongroom_formats::sops::Format;
use strongroom_secret::SecretBytes;

const PATHS: Rule = Rule::required("path", Shape::Texts, "the file, or several of which a later one wins");

pub(super) const DOTENV: Kind = Kind::new(
    "dotenv",
    ".env files",
    &[
        Rule::optional("path", Shape::Texts, "the files, of which a later one wins; .env and .env.local"),
        Rule::optional(
            "dialect",
            Shape::Choice(&["python", "node", "compose", "ruby", "sops", "strict"]),
            "whose rules they are read by; python",
        ),
    ],
    |settings, surroundings| {
        let dialect = settings.text("dialect").and_then(|name| name.parse().ok()).unwrap_or(Dialect::Python);
        let mut paths = settings.texts("path");
        if paths.is_empty() {
            paths = vec![".env", ".env.local"];
        }
        Ok(Box::new(Files::new(Form::Dotenv(dialect), &paths, surroundings)?))
    },
);
pub(super) const JSON: Kind = Kind::new("json", "settings in JSON", &[PATHS], |settings, surroundings| {
    open(Form::Tree(Syntax::Json), settings, surroundings)
});
pub(super) const YAML: Kind = Kind::new("yaml", "settings in YAML", &[PATHS], |settings, surroundings| {
    open(Form::Tree(Syntax::Yaml), settings, surroundings)
});
pub(super) const TOML: Kind = Kind::new("toml", "settings in TOML", &[PATHS], |settings, surroundings| {
    open(Form::Tree(Syntax::Toml), settings, surroundings)
});
pub(super) const INI: Kind = Kind::new("ini", "settings in INI", &[PATHS], |settings, surroundings| {
    open(Form::Tree(Syntax::Ini), settings, surroundings)
});
pub(super) const SOPS: Kind = Kind::new(
    "sops",
    "files that SOPS encrypts",
    &[
        PATHS,
        Rule::optional(
            "format",
            Shape::Choice(&["yaml", "json", "dotenv", "ini", "toml", "binary"]),
            "what the files hold, where their names do not say",
        ),
    ],
    |settings, surroundings| {
        let format = settings.text("format").and_then(Format::named);
        open(Form::Sops { format, keys: settings.keys(surroundings) }, settings, surroundings)
    },
);

fn open(
    form: Form,
    settings: &Checked<'_>,
    surroundings: &Arc<Surroundings>,
) -> Result<Box<dyn Provider>, SettingsError> {
    Ok(Box::new(Files::new(form, &settings.texts("path"), surroundings)?))
}

/// What is in the files.
enum Form {
    Dotenv(Dialect),
    Tree(Syntax),
    Sops { format: Option<Format>, keys: Arc<Keys> },
}

struct Files {
    form: Form,
    /// The files as the manifest names them, with commas: the path of addresses that mean all of them.
    label: String,
    /// A later one wins.
    files: Vec<File>,
    surroundings: Arc<Surroundings>,
}

#[derive(Clone)]
struct File {
    /// As the manifest says it.
    name: String,
    path: PathBuf,
}

/// No file of settings is larger.
const FILE_BYTES_MAX: u64 = 64 << 20;

impl Provider for Files {
    fn place(&self) -> String {
        self.label.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Local
    }

    fn address_of(&self, name: &str) -> Address {
        Address::of_key(&self.label, name)
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = addresses.iter().map(|_| Ok(None)).collect();
        for place in places(addresses) {
            let layers = self.layers(place);
            for (address, outcome) in addresses.iter().zip(&mut outcomes) {
                if (address.path.as_str(), address.version.as_deref()) == place {
                    *outcome = match &layers {
                        Ok(layers) => part_of_layers(layers, address),
                        Err(error) => Err(error.clone()),
                    };
                }
            }
        }
        outcomes
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        let file = self.file_to_change(address)?;
        self.change(&file, address, Some(value))?;
        let written = self.read(&file, &[])?.and_then(|whole| whole.part(address).transpose()).transpose()?;
        Ok(Stored { version: None, origin: written.map_or(file.name, |found| found.origin) })
    }

    /// From every file that has it.
    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        for file in self.files_of(&address.path) {
            let is_there = match self.read(&file, &[])? {
                Some(whole) => whole.part(address)?.is_some(),
                None => false,
            };
            if is_there {
                self.change(&file, address, None)?;
            }
        }
        Ok(())
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        let mut names = Vec::new();
        for whole in &self.layers((path, None))? {
            for name in whole.names().unwrap_or_default() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }
}

impl Files {
    fn new(form: Form, paths: &[&str], surroundings: &Arc<Surroundings>) -> Result<Self, SettingsError> {
        if paths.is_empty() || paths.iter().any(|path| path.is_empty()) {
            return Err(SettingsError::of("path", "no file is named"));
        }
        let file = |name: &&str| File { name: (*name).to_owned(), path: surroundings.path(name) };
        Ok(Self {
            form,
            label: paths.join(", "),
            files: paths.iter().map(file).collect(),
            surroundings: Arc::clone(surroundings),
        })
    }

    /// The files that an address means: all, or the one that it names.
    fn files_of(&self, path: &str) -> Vec<File> {
        if path.is_empty() || path == self.label {
            return self.files.clone();
        }
        vec![File { name: path.to_owned(), path: self.surroundings.path(path) }]
    }

    /// The files that are there, the winning one last.
    fn layers(&self, (path, version): Place<'_>) -> Result<Vec<Whole>, ProviderError> {
        if let Some(version) = version {
            let message = format!("a file has no versions, and version {version} is asked for");
            return Err(ProviderError::settings(message).looked(path));
        }
        let mut layers = Vec::new();
        for file in self.files_of(path) {
            if let Some(whole) = self.read(&file, &layers)? {
                layers.push(whole);
            }
        }
        Ok(layers)
    }

    /// One file; `below` are those that it is laid over.
    fn read(&self, file: &File, below: &[Whole]) -> Result<Option<Whole>, ProviderError> {
        let bytes = match files::read(&file.path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(unusable(&error)),
        };
        let whole = match &self.form {
            Form::Dotenv(dialect) => dotenv::read(&bytes, *dialect, &file.name, below, &self.surroundings),
            Form::Tree(syntax) => tree::read(&bytes, *syntax, &file.name),
            Form::Sops { format, keys } => sops::read(&bytes, format_of(*format, file), &file.name, keys),
        };
        whole.map(Some).map_err(|error| error.looked(file.path.display()))
    }

    /// The file that wins for this key; else the last one that is there and is not somebody's own (`.local`); else the
    /// first.
    fn file_to_change(&self, address: &Address) -> Result<File, ProviderError> {
        if address.key.is_none() {
            return Err(ProviderError::settings("a file holds several secrets: say which entry is meant")
                .looked(address)
                .hint("path#key"));
        }
        let mut shared = None;
        let files = self.files_of(&address.path);
        for file in files.iter().rev() {
            let Some(whole) = self.read(file, &[])? else { continue };
            if whole.part(address)?.is_some() {
                return Ok(file.clone());
            }
            if !file.name.ends_with(".local") && shared.is_none() {
                shared = Some(file.clone());
            }
        }
        let chosen = shared.or_else(|| files.into_iter().next());
        chosen.ok_or_else(|| ProviderError::settings("no file is named"))
    }

    /// Sets or (with no value) removes one entry; every other byte of the file stays.
    fn change(
        &self,
        file: &File,
        address: &Address,
        value: Option<&SecretBytes>,
    ) -> Result<(), ProviderError> {
        let key = address.key.as_deref().unwrap_or_default();
        let text = value.map(|value| std::str::from_utf8(value.expose())).transpose().map_err(|_| {
            ProviderError::settings(format!("{key} is not text, and an entry of a file is"))
                .looked(&file.name)
        })?;
        let change =
            files::change(&file.path, Links::Follow, FILE_BYTES_MAX).map_err(|error| unusable(&error))?;
        let old = change.content();
        let new = match &self.form {
            Form::Dotenv(dialect) => dotenv::changed(old, *dialect, &file.name, key, text),
            Form::Tree(syntax) => tree::changed(old, *syntax, &file.name, key, text),
            Form::Sops { format, keys } => {
                sops::changed(old, format_of(*format, file), &file.name, keys, key, text)
            }
        }?;
        change.replace(new.expose()).map_err(|error| unusable(&error))
    }
}

fn format_of(said: Option<Format>, file: &File) -> Format {
    said.unwrap_or_else(|| Format::of_path(&file.path))
}

/// What an address names, in the topmost layer that has it.
fn part_of_layers(layers: &[Whole], address: &Address) -> Outcome {
    for layer in layers.iter().rev() {
        if let Some(found) = layer.part(address)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn unusable(error: &FileError) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, error.to_string())
}
