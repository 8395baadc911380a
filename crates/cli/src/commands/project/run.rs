//! `run` with the manifest: resolve, check, inject, and become the program.

mod files;
mod supervise;

use super::Session;
use crate::commands::run::{Inherit, become_program};
use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use files::SecretFiles;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;
use strongroom_project::manifest::{Delivery, suggestion};
use strongroom_project::resolve::{Resolution, Selection};
use strongroom_secret::parse_duration;

#[derive(Args)]
#[command(next_help_heading = "With the project's manifest")]
pub struct ProjectRunArgs {
    /// The secrets of this scope alone
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    scope: Option<String>,
    /// How secrets with as = "file" are given: in memory, or as files that go with the program
    #[arg(long, value_enum, default_value = "memory", conflicts_with = "from")]
    files: FileKind,
    /// Take secret values out of what the program prints: as they are, in base64, URLs and JSON
    #[arg(long, conflicts_with = "from")]
    redact: bool,
    /// Start the program again when values change
    #[arg(long, conflicts_with = "from")]
    watch: bool,
    /// How long a program may take to end before it is killed, with --watch
    #[arg(long, default_value = "10s", value_name = "DURATION", requires = "watch")]
    grace: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileKind {
    /// Files without a name, in memory, at /proc/PID/fd/N
    Memory,
    /// Files of mode 0600 in a folder that is removed when the program ends
    Temporary,
}

/// What is to be run, and how.
pub struct Plan<'a> {
    pub words: &'a [OsString],
    pub inherit: Inherit,
    pub scope: Option<&'a str>,
    pub files: FileKind,
    pub redact: bool,
    pub watch: bool,
    pub grace: Duration,
}

impl Plan<'_> {
    pub fn selection(&self) -> Selection<'_> {
        self.scope.map_or(Selection::All, Selection::Scope)
    }

    /// Whether something is left to do while the program runs.
    fn stays(&self) -> bool {
        self.redact || self.watch || self.files == FileKind::Temporary
    }
}

pub fn run(
    context: &Context,
    args: &ProjectRunArgs,
    inherit: Inherit,
    words: &[OsString],
) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    if let Some(scope) = &args.scope {
        insist_on_scope(&session, scope)?;
    }
    let plan = Plan {
        words,
        inherit,
        scope: args.scope.as_deref(),
        files: args.files,
        redact: args.redact,
        watch: args.watch,
        grace: parse_duration(&args.grace).map_err(|error| Failure::usage(format!("--grace: {error}")))?,
    };
    let resolution = session.values(plan.selection())?;
    if plan.stays() || supervise::has_leases(&resolution) {
        return supervise::supervise(&session, &plan, resolution);
    }
    let injected = Injected::new(&session, plan.scope, &resolution, SecretFiles::in_memory())?;
    Err(become_program(words, inherit, &injected.withheld, injected.variables()))
}

pub fn insist_on_scope(session: &Session<'_>, scope: &str) -> Result<(), Failure> {
    if session.manifest.scopes.contains_key(scope) {
        return Ok(());
    }
    let failure =
        Failure::usage(format!("there is no scope {scope:?} in {}", session.manifest.path.display()));
    Err(match suggestion(scope, session.manifest.scopes.keys().map(String::as_str)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// What a program is given, and what it is not.
pub struct Injected<'r> {
    values: BTreeMap<&'r str, &'r OsStr>,
    paths: BTreeMap<String, OsString>,
    /// Declared secrets that this program does not get, even if our own environment has them.
    pub withheld: Vec<String>,
    /// Must live as long as the program.
    _files: SecretFiles,
}

impl<'r> Injected<'r> {
    pub fn new(
        session: &Session<'_>,
        scope: Option<&str>,
        resolution: &'r Resolution,
        mut files: SecretFiles,
    ) -> Result<Self, Failure> {
        let (mut values, mut paths, mut withheld) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for secret in &session.manifest.secrets {
            let in_scope = scope.is_none_or(|scope| session.manifest.in_scope(scope, &secret.name));
            if !in_scope || secret.delivery == Delivery::Internal {
                withheld.push(secret.name.clone());
                continue;
            }
            let Some((name, resolved)) = resolution.secrets.get_key_value(&secret.name) else { continue };
            if secret.delivery == Delivery::File {
                paths.insert(name.clone(), files.add(name, &resolved.value)?);
            } else {
                values.insert(name.as_str(), OsStr::from_bytes(resolved.value.expose()));
            }
        }
        Ok(Self { values, paths, withheld, _files: files })
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        let paths = self.paths.iter().map(|(name, path)| (name.as_str(), path.as_os_str()));
        self.values.iter().map(|(name, value)| (*name, *value)).chain(paths)
    }
}
