//! The values of an incident, for as long as a run needs them; and what is kept of them: fingerprints, readable for their owner alone.

use super::desk::{Desk, Folder};
use super::subject::value_of_version;
use super::{RunArgs, history, open};
use crate::context::Context;
use crate::failure::Failure;
use crate::system::SystemEntropy;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_detect::known::{BYTES_MAX, Builder, Index, Matcher, ScanKey};
use strongroom_kernel::incident::Incident;
use strongroom_project::files::{self, Links};
use strongroom_secret::SecretBytes;

/// What is looked for.
#[derive(Default)]
pub struct Sought {
    pub values: Vec<(String, SecretBytes)>,
    pub matchers: Vec<Arc<Matcher>>,
    /// What cannot be looked for, and why.
    pub missing: Vec<String>,
}

fn path(context: &Context, id: &str) -> Result<PathBuf, Failure> {
    Ok(Folder::place(context)?.join(format!("{id}.fingerprints")))
}

/// Keeps fingerprints of the values for the scans to come. A value that could be guessed from them is left out.
pub fn keep(context: &Context, incident: &Incident, values: &[(String, SecretBytes)]) -> Result<(), Failure> {
    let mut builder = Builder::new(ScanKey::generate(&SystemEntropy));
    let mut count = 0;
    for (name, value) in values {
        match builder.add(name, None, &incident.id, value) {
            Ok(()) => count += 1,
            Err(_) if context.project().quiet => {}
            Err(reason) => context.output.note(&format!(
                "no fingerprint of {name} is kept ({reason}): give the value to later steps by --value -"
            )),
        }
    }
    if count == 0 {
        return Ok(());
    }
    super::desk::make_folder(&Folder::place(context)?)?;
    let path = path(context, &incident.id)?;
    let bytes = builder.build().to_bytes();
    files::change(&path, Links::Refuse, BYTES_MAX)?.replace(bytes.expose())?;
    Ok(())
}

/// Finds the values, or their fingerprints: on standard input, at the server, or kept when the incident was opened.
pub fn gather(
    context: &Context,
    args: &RunArgs,
    desk: &Desk,
    incident: &Incident,
) -> Result<Sought, Failure> {
    let mut sought = Sought::default();
    if let Some(word) = &args.value {
        sought.values.push(("the value".to_owned(), open::read_value(word)?));
    }
    if let Some(client) = desk.client() {
        for secret in &incident.facts.secrets {
            // Without its number the current version would be taken, which may be another by now.
            let Some(version) = secret.version else { continue };
            match value_of_version(client, &secret.name, secret.field.as_deref(), version)? {
                found if found.is_empty() => {
                    sought.missing.push(format!("{} version {version} cannot be read", secret.name));
                }
                found => sought.values.extend(found),
            }
        }
    }
    if !sought.values.is_empty() {
        let (matcher, left_out) = history::matcher(&sought.values);
        sought
            .missing
            .extend(left_out.into_iter().map(|name| format!("{name} is too short to be looked for")));
        sought.matchers.push(Arc::new(matcher));
    }
    match files::read(&path(context, &incident.id)?, BYTES_MAX) {
        Ok(bytes) => {
            let index = Index::from_bytes(bytes.expose())
                .map_err(|error| Failure::other(format!("the incident's fingerprints: {error}")))?;
            sought.matchers.push(Arc::new(Matcher::new(index)));
            // They were made of the same values.
            sought.missing.clear();
        }
        // Opened elsewhere: what a step ends can be looked for afterwards all the same.
        Err(error) if error.is_missing() => keep(context, incident, &sought.values)?,
        Err(error) => return Err(error.into()),
    }
    sought.matchers.retain(|matcher| !matcher.secrets().is_empty());
    Ok(sought)
}
