//! `.env` files, read in order: what stands in a later file wins.

use super::settings::{Kind, Rule, Shape};
use super::{Address, ErrorKind, Found, Outcome, Provider, ProviderError, Stored};
use crate::files::{self, FileError, Links};
use crate::surroundings::Surroundings;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_formats::dotenv::{BYTES_MAX, Dialect, Document, Precedence, SetOptions, TextError, Values};
use strongroom_secret::{SecretBytes, SecretString};

const DIALECTS: &[&str] = &["python", "node", "compose", "ruby", "sops", "strict"];

pub(super) const KIND: Kind = Kind::new(
    "dotenv",
    ".env files",
    &[
        Rule::optional(
            "path",
            Shape::Texts,
            "files, later ones win; .env, .env.local, .env.{env} and .env.{env}.local",
        ),
        Rule::optional("dialect", Shape::Choice(DIALECTS), "whose rules the files are read by; python"),
    ],
    |settings, surroundings| {
        let named = settings.texts("path");
        let names = if named.is_empty() { vec![".env", ".env.local"] } else { named };
        let files =
            names.into_iter().map(|name| File { name: name.to_owned(), path: surroundings.path(name) });
        let dialect = settings.text("dialect").and_then(|name| name.parse().ok()).unwrap_or_default();
        Ok(Box::new(Dotenv { files: files.collect(), dialect, surroundings: Arc::clone(surroundings) }))
    },
);

struct Dotenv {
    files: Vec<File>,
    dialect: Dialect,
    surroundings: Arc<Surroundings>,
}

struct File {
    /// As the manifest says it.
    name: String,
    path: PathBuf,
}

/// A file that is there, with its values.
struct Read<'d> {
    file: &'d File,
    values: Values,
    /// The last line of each name: the one that counts.
    lines: HashMap<String, usize>,
}

impl Provider for Dotenv {
    fn place(&self) -> String {
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        names.join(", ")
    }

    fn address_of(&self, name: &str) -> Address {
        Address::of_path(name)
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        match self.read_all() {
            Ok(files) => addresses.iter().map(|address| Ok(find(&files, address))).collect(),
            Err(error) => addresses.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn store(&self, address: &Address, value: &SecretBytes) -> Result<Stored, ProviderError> {
        let text = std::str::from_utf8(value.expose()).map_err(|_| {
            ProviderError::settings(format!("{} is not text: .env files hold text alone", name_of(address)))
        })?;
        let text = SecretString::from(text);
        self.change(address, |document, name| {
            let edited = document.set(name, &text, &SetOptions::default());
            edited.map(Some).map_err(|error| error.to_string())
        })
    }

    fn remove(&self, address: &Address) -> Result<(), ProviderError> {
        self.change(address, |document, name| document.unset(name).map_err(|error| error.to_string()))
            .map(drop)
    }

    fn list(&self, _path: &str) -> Result<Vec<String>, ProviderError> {
        let mut names: Vec<String> = Vec::new();
        for file in self.read_all()? {
            for (name, _) in file.values.iter() {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        Ok(names)
    }
}

impl Dotenv {
    fn read_all(&self) -> Result<Vec<Read<'_>>, ProviderError> {
        let files = self.files.iter().filter_map(|file| self.read(file).transpose());
        files.collect()
    }

    /// `None` if there is no such file. Variables that values refer to come from the file, else from the process.
    fn read<'d>(&self, file: &'d File) -> Result<Option<Read<'d>>, ProviderError> {
        let bytes = match files::read(&file.path, BYTES_MAX as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(failed(file, &error)),
        };
        let document =
            Document::from_bytes(bytes.expose(), self.dialect).map_err(|error| malformed(file, &error))?;
        let environment = |name: &str| self.surroundings.variables.text(name);
        let values = document.resolve(&environment, Precedence::File);
        let values = values
            .map_err(|error| ProviderError::new(ErrorKind::Malformed, format!("{}: {error}", file.name)))?;
        let lines = document.assignments();
        let lines =
            lines.map(|(entry, assignment)| (document.key(assignment).to_owned(), entry.line)).collect();
        Ok(Some(Read { file, values, lines }))
    }

    /// Changes the last file that has the name; else the last one that is there and is not somebody's own (`.local`);
    /// else the first.
    fn change(
        &self,
        address: &Address,
        edit: impl FnOnce(&Document, &str) -> Result<Option<strongroom_formats::dotenv::Edited>, String>,
    ) -> Result<Stored, ProviderError> {
        let name = name_of(address);
        let present = self.read_all()?;
        let has =
            |read: &&Read<'_>| read.values.find(name).is_some() && of_file(&address.path, address, read.file);
        let shared = |read: &&Read<'_>| !read.file.name.ends_with(".local");
        let chosen = present.iter().rfind(has).or_else(|| present.iter().rfind(shared));
        let named = self.files.iter().find(|file| address.key.is_some() && file.name == address.path);
        let file = named.or(chosen.map(|read| read.file)).or(self.files.first());
        let Some(file) = file else {
            return Err(ProviderError::settings("there is no file to write to"));
        };
        let change = files::change(&file.path, Links::Follow, BYTES_MAX as u64)
            .map_err(|error| failed(file, &error))?;
        let before = change.content().map(SecretBytes::expose).unwrap_or_default();
        let document = Document::from_bytes(before, self.dialect).map_err(|error| malformed(file, &error))?;
        let refused =
            |error: String| ProviderError::new(ErrorKind::Settings, format!("{}: {error}", file.name));
        let edited = edit(&document, name).map_err(refused)?;
        let line = edited.as_ref().and_then(|edited| edited.lines.first().copied());
        if let Some(edited) = edited {
            change.replace(edited.text.expose().as_bytes()).map_err(|error| failed(file, &error))?;
        }
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        Ok(Stored { version: None, origin: format!("{}{line}", file.name) })
    }
}

/// `NAME`, or `file#NAME`.
fn name_of(address: &Address) -> &str {
    address.key.as_deref().unwrap_or(&address.path)
}

fn of_file(path: &str, address: &Address, file: &File) -> bool {
    address.key.is_none() || file.name == path
}

fn find(files: &[Read<'_>], address: &Address) -> Option<Found> {
    let name = name_of(address);
    let mut places = files.iter().rev().filter(|read| of_file(&address.path, address, read.file));
    places.find_map(|read| {
        let value = read.values.value(name)?;
        let line = read.lines.get(name).map(|line| format!(":{line}")).unwrap_or_default();
        let bytes = SecretBytes::new(value.expose().as_bytes().to_vec());
        Some(Found::new(bytes, format!("{}{line}", read.file.name)))
    })
}

fn failed(file: &File, error: &FileError) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, error.to_string()).looked(file.path.display())
}

fn malformed(file: &File, error: &TextError) -> ProviderError {
    ProviderError::new(ErrorKind::Malformed, format!("{}: {error}", file.name)).looked(file.path.display())
}
