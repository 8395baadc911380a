//! `scan fingerprints export`: the values that a project really uses, as something a scan can look for and nobody can read.

use super::arguments::{FetchArgs, FingerprintsArgs, FingerprintsCommand};
use crate::commands::project::Session;
use crate::context::Context;
use crate::failure::Failure;
use crate::system::SystemEntropy;
use std::collections::BTreeSet;
use std::process::ExitCode;
use strongroom_detect::known::{BYTES_MAX, Builder, ScanKey};
use strongroom_project::files::{Links, change};
use strongroom_project::manifest::Environment;
use strongroom_project::resolve::{Depth, Selection, Source};

pub fn run(context: &Context, command: &FingerprintsCommand) -> Result<ExitCode, Failure> {
    let args = match command {
        FingerprintsCommand::Export(args) => args,
        FingerprintsCommand::Fetch(args) => return fetch(context, args),
    };
    let session = Session::open(context)?;
    let environments: Vec<Environment> = match args.all_environments {
        true => session.manifest.environments.values().cloned().collect(),
        false => vec![session.environment.clone()],
    };
    let mut export =
        Export { builder: Builder::new(ScanKey::generate(&SystemEntropy)), taken: 0, seen: BTreeSet::new() };
    for environment in &environments {
        export.take(&session, environment)?;
    }
    write(context, args, export)
}

fn fetch(context: &Context, args: &FetchArgs) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let index = super::known::fetched(&client, usize::from(args.tag_bytes))?;
    change(&args.output, Links::Refuse, BYTES_MAX)?.replace(index.to_bytes().expose())?;
    context.output.note(&format!(
        "{}: fingerprints of what {} keeps; it holds the scan key: keep it out of the repository",
        args.output.display(),
        client.address()
    ));
    Ok(ExitCode::SUCCESS)
}

struct Export {
    builder: Builder,
    taken: usize,
    /// Names and versions that are in already: environments share values.
    seen: BTreeSet<(String, Option<String>, String)>,
}

impl Export {
    fn take(&mut self, session: &Session<'_>, environment: &Environment) -> Result<(), Failure> {
        let opened = session.providers_of(environment)?;
        let request = session.request(Selection::All, Depth::First);
        let resolution = session.complete(session.resolve_with(environment, &opened, &request))?;
        for (name, resolved) in &resolution.secrets {
            // What the manifest itself says is no secret.
            if matches!(resolved.source, Source::Default) {
                continue;
            }
            let sensitive = session.manifest.secret(name).is_none_or(|secret| secret.sensitive);
            let version = resolved.candidate().and_then(|candidate| candidate.found.version.clone());
            let origin = resolved.origin();
            if !sensitive || !self.seen.insert((name.clone(), version.clone(), origin.clone())) {
                continue;
            }
            match self.builder.add(name, version.as_deref(), &origin, &resolved.value) {
                Ok(()) => self.taken += 1,
                Err(reason) => session.note(&format!("{name} ({}) is left out: {reason}", environment.name)),
            }
        }
        Ok(())
    }
}

fn write(context: &Context, args: &FingerprintsArgs, export: Export) -> Result<ExitCode, Failure> {
    let bytes = export.builder.build().to_bytes();
    change(&args.output, Links::Refuse, BYTES_MAX)?.replace(bytes.expose())?;
    context.output.note(&format!(
        "{}: fingerprints of {} values; it holds the scan key: keep it out of the repository. \
         strongroom scan dir --known {} looks for them",
        args.output.display(),
        export.taken,
        args.output.display()
    ));
    Ok(ExitCode::SUCCESS)
}
