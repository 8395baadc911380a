//! The manifest, `strongroom.toml`: which secrets a project needs, what they must look like, and where each environment
//! gets them. Values never stand in it.
//!
//! Read in three steps: files become trees that know their places (`files`, `tree`, checked against `keys`), trees are
//! merged, and the whole becomes the types here (`reader`), with every name resolved. Nothing else reads the trees.

mod files;
mod keys;
mod place;
mod problem;
mod reader;
mod schema;
mod shape;
mod tree;

pub use files::local_path;
pub use place::{Location, Place};
pub use problem::{Problem, ProblemKind, Severity, did_you_mean, suggestion};
pub use schema::{json_schema, reference_tables};

use crate::compose::Template;
use crate::provider::{Address, Settings};
use crate::value_type::{Constraints, ValueType};
use place::Sources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name under which a manifest is looked for.
pub const FILE_NAME: &str = "strongroom.toml";

/// Providers that every project has.
pub const PROCESS: &str = "process";
pub const DOTENV: &str = "dotenv";

/// A manifest in which every name leads somewhere.
#[derive(Debug)]
pub struct Manifest {
    pub path: PathBuf,
    /// The folder that relative paths start from.
    pub folder: PathBuf,
    pub project: String,
    pub environments: BTreeMap<String, Environment>,
    pub providers: BTreeMap<String, ProviderDeclaration>,
    /// In the order of the file.
    pub secrets: Vec<Secret>,
    pub scopes: BTreeMap<String, Vec<String>>,
    pub groups: Vec<Group>,
    /// Files to make, by what they are (a key of `[generate]`).
    pub generated: Vec<(String, PathBuf)>,
    pub guard: Guard,
    /// What is odd, but no error.
    pub warnings: Vec<Problem>,
    default_environment: Option<String>,
    by_name: BTreeMap<String, usize>,
    sources: Sources,
}

#[derive(Debug, Clone)]
pub struct Environment {
    pub name: String,
    /// The names of providers: the first that has a secret gives it.
    pub order: Vec<String>,
    /// Itself, the one it inherits from, and so on.
    pub lineage: Vec<String>,
    pub protected: bool,
    pub doc: Option<String>,
    pub place: Place,
}

/// A provider as declared, with placeholders.
#[derive(Debug, Clone)]
pub struct ProviderDeclaration {
    pub name: String,
    pub kind: String,
    pub settings: Settings,
    pub place: Place,
    pub setting_places: BTreeMap<String, Place>,
    /// Of the file that declares it: `{folder}`.
    pub folder: PathBuf,
}

#[derive(Debug, Clone)]
pub struct Secret {
    pub name: String,
    pub place: Place,
    pub value_type: ValueType,
    pub constraints: Constraints,
    pub doc: Option<String>,
    pub example: Option<String>,
    pub sensitive: bool,
    pub required: Required,
    pub default: Default,
    pub compose: Option<Template>,
    pub delivery: Delivery,
    pub generate: Option<Generator>,
    pub rotate: Option<Rotation>,
    /// RFC 3339 date, as `2027-01-31`.
    pub expires: Option<String>,
    pub references: BTreeMap<String, Address>,
    pub scopes: Vec<String>,
    /// Who may read it: teams and jobs.
    pub readers: Vec<String>,
}

/// Where a secret must have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    Always,
    Never,
    In(Vec<String>),
    Unless(Vec<String>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Default {
    #[default]
    None,
    Everywhere(String),
    ByEnvironment(BTreeMap<String, String>),
}

/// How a program gets a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Variable,
    /// A file, whose path is in the variable.
    File,
    /// Not at all: it is for composing others.
    Internal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generator {
    pub kind: GeneratorKind,
    /// Characters; bytes for hex and base64.
    pub length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GeneratorKind {
    Password,
    Hex,
    Base64,
    Uuid,
    Digits,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub every: Option<Duration>,
    pub via: Option<String>,
    pub overlap: Option<Duration>,
}

/// Secrets that stand for each other.
#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    pub rule: GroupRule,
    pub members: Vec<String>,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupRule {
    ExactlyOne,
    AtLeastOne,
    Together,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    pub gitignore: bool,
    pub precommit: bool,
    pub fingerprints: bool,
}

impl Manifest {
    /// Reads the manifest with all files that belong to it, or says all that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let mut loader = files::Loader::new();
        let whole = loader.load(path);
        if loader.broken {
            return Err(problem::in_order(loader.problems));
        }
        reader::read(path, whole, loader.sources, loader.problems)
    }

    /// The manifest in this folder or the nearest above it.
    pub fn find(folder: &Path) -> Option<PathBuf> {
        folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
    }

    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(*self.by_name.get(name)?)
    }

    pub fn location(&self, place: Place) -> Location {
        self.sources.location(place)
    }

    /// All files that it was read from, and the local one that might be.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.sources.paths().map(Path::to_owned).collect();
        files.extend(local_path(&self.path).filter(|local| !files.contains(local)));
        files
    }

    /// The environment by name, or the one that counts without a name: `default-env`, else `default`, else the only one.
    pub fn environment(&self, name: Option<&str>) -> Result<&Environment, Vec<Problem>> {
        let wanted = name.or(self.default_environment.as_deref());
        let known = || self.environments.keys().map(String::as_str);
        let found = match wanted {
            Some(wanted) => self.environments.get(wanted),
            None => self.environments.get("default").or_else(|| self.only_environment()),
        };
        found.ok_or_else(|| {
            let names = known().collect::<Vec<_>>().join(", ");
            let problem = match wanted {
                Some(wanted) => Problem::error(
                    ProblemKind::Manifest,
                    format!("there is no environment {wanted:?} in {}", self.path.display()),
                )
                .maybe_hint(suggestion(wanted, known())),
                None => Problem::error(ProblemKind::Manifest, "which environment?").hint(format!(
                    "-E NAME, STRONGROOM_ENV, or default-env in the manifest; there is: {names}"
                )),
            };
            vec![problem]
        })
    }

    fn only_environment(&self) -> Option<&Environment> {
        let mut all = self.environments.values();
        all.next().filter(|_| all.next().is_none())
    }

    /// Whether a secret belongs to a scope, directly or because a member is composed of it.
    pub fn in_scope(&self, scope: &str, name: &str) -> bool {
        self.scopes.get(scope).is_some_and(|members| members.iter().any(|member| member == name))
    }
}

impl Secret {
    /// The default in this environment, or in the nearest that it inherits from.
    pub fn default_in(&self, environment: &Environment) -> Option<&str> {
        match &self.default {
            Default::None => None,
            Default::Everywhere(text) => Some(text),
            Default::ByEnvironment(texts) => {
                environment.lineage.iter().find_map(|name| texts.get(name)).map(String::as_str)
            }
        }
    }

    pub fn is_required_in(&self, environment: &Environment) -> bool {
        let among = |names: &[String]| environment.lineage.iter().any(|name| names.contains(name));
        match &self.required {
            Required::Always => true,
            Required::Never => false,
            Required::In(names) => among(names),
            Required::Unless(names) => !among(names),
        }
    }

    pub fn is_injected(&self) -> bool {
        self.delivery != Delivery::Internal
    }
}

impl GeneratorKind {
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "password" => Self::Password,
            "hex" => Self::Hex,
            "base64" => Self::Base64,
            "uuid" => Self::Uuid,
            "digits" => Self::Digits,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
