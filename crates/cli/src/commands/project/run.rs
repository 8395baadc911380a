//! `run` with the manifest: resolve, check, inject, and become the program.

pub mod files;
mod supervise;

use super::Session;
use crate::commands::run::{Inherit, become_program};
use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use files::SecretFiles;
use rustix::process::Signal as Number;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;
use strongroom_project::leases::{Leases, has_leases};
use strongroom_project::manifest::{Delivery, suggestion};
use strongroom_project::provider::Setting;
use strongroom_project::resolve::{Resolution, Selection};
use strongroom_secret::parse_duration;
use supervise::What;

#[derive(Args)]
#[command(next_help_heading = "With the project's manifest")]
pub struct ProjectRunArgs {
    /// The secrets of this scope alone
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    scope: Option<String>,
    /// How secrets with as = "file" are given: in memory, or as files that go with the program
    #[arg(long, value_enum, default_value = "memory", conflicts_with = "from")]
    files: FileKind,
    /// Take secret values out of what the program prints, in any encoding; with =patterns, whatever looks like a secret too
    #[arg(
        long, value_enum, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "values",
        conflicts_with = "from"
    )]
    redact: Option<What>,
    /// Start the program again when values change
    #[arg(long, conflicts_with = "from")]
    watch: bool,
    /// Instead of starting it again: renew the files of secrets with as = "file", and send this signal (HUP, USR1 …)
    #[arg(long, value_name = "SIGNAL", requires = "watch", value_parser = signal_of)]
    watch_signal: Option<Number>,
    /// How often providers that are elsewhere are asked again, with --watch; files are looked at all the time
    #[arg(long, default_value = "60s", value_name = "DURATION", requires = "watch")]
    watch_every: String,
    /// How long a program may take to end before it is killed, with --watch; one that ends so soon after --watch-signal is
    /// started again
    #[arg(long, default_value = "10s", value_name = "DURATION", requires = "watch")]
    grace: String,
}

/// A signal by its name, with or without SIG, or by its number.
fn signal_of(text: &str) -> Result<Number, String> {
    const KNOWN: [(&str, Number); 9] = [
        ("HUP", Number::HUP),
        ("INT", Number::INT),
        ("QUIT", Number::QUIT),
        ("TERM", Number::TERM),
        ("USR1", Number::USR1),
        ("USR2", Number::USR2),
        ("WINCH", Number::WINCH),
        ("CONT", Number::CONT),
        ("ALRM", Number::ALARM),
    ];
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let is = |(known, number): &&(&str, Number)| *known == name || number.as_raw().to_string() == name;
    KNOWN
        .iter()
        .find(is)
        .map(|(_, number)| *number)
        .ok_or_else(|| format!("known signals are {}", KNOWN.map(|(name, _)| name).join(", ")))
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
    pub redact: Option<What>,
    pub watch: bool,
    pub on_change: OnChange,
    pub ask_every: Duration,
    pub grace: Duration,
}

/// What is done when values change.
#[derive(Debug, Clone, Copy)]
pub enum OnChange {
    Restart,
    Signal(Number),
}

impl Plan<'_> {
    pub fn selection(&self) -> Selection<'_> {
        self.scope.map_or(Selection::All, Selection::Scope)
    }

    /// Whether something is left to do while the program runs.
    fn stays(&self) -> bool {
        self.redact.is_some() || self.watch || self.files == FileKind::Temporary
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
        on_change: args.watch_signal.map_or(OnChange::Restart, OnChange::Signal),
        ask_every: duration("--watch-every", &args.watch_every)?.max(ASK_EVERY_MIN),
        grace: duration("--grace", &args.grace)?,
    };
    let opened = session.providers()?;
    let resolution = session.values_of(&opened, plan.selection())?;
    if plan.stays() || has_leases(&resolution) {
        let leases = Leases::new(opened, &resolution, session.surroundings.clock.monotonic());
        return supervise::supervise(session, &plan, leases, resolution);
    }
    // Our own logins end here: nothing comes after execve.
    drop(opened);
    let injected = Injected::new(&session, plan.scope, &resolution, SecretFiles::in_memory())?;
    Err(become_program(words, inherit, &injected.withheld, injected.variables()))
}

/// No service is asked more often.
const ASK_EVERY_MIN: Duration = Duration::from_millis(100);

fn duration(flag: &str, text: &str) -> Result<Duration, Failure> {
    parse_duration(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
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
    files: SecretFiles,
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
        withheld.extend(credentials_of(session));
        Ok(Self { values, paths, withheld, files })
    }

    /// The files alone: the variables are handed over.
    pub fn into_files(self) -> SecretFiles {
        self.files
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        let paths = self.paths.iter().map(|(name, path)| (name.as_str(), path.as_os_str()));
        self.values.iter().map(|(name, value)| (*name, *value)).chain(paths)
    }
}

/// The variables that providers log in with: ours, unless the manifest declares them for the program.
fn credentials_of(session: &Session<'_>) -> Vec<String> {
    let named = session.environment.order.iter().filter_map(|name| session.manifest.providers.get(name));
    let of_settings = named.filter_map(|provider| match provider.settings.get("credential") {
        Some(Setting::Text(variable)) => Some(variable.clone()),
        _ => None,
    });
    of_settings.filter(|name| session.manifest.secret(name).is_none()).collect()
}
