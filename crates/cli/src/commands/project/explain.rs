//! `explain`: where a value comes from, what it overrides, and what the manifest asks of it. Never the value.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::ExitCode;
use strongroom_project::manifest::Secret;
use strongroom_project::provider::{Address, Freshness};
use strongroom_project::resolve::{Candidate, Depth, Opened, Resolution, Selection};
use strongroom_secret::format_duration;

#[derive(Args)]
pub struct ExplainArgs {
    /// The name of the secret
    name: String,
}

pub fn run(context: &Context, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    let secret = session.declared(&args.name)?;
    let opened = session.providers()?;
    let names = [args.name.clone()];
    let resolution = session.resolve(&opened, Selection::Names(&names), Depth::Every);
    session.take_back(&opened, &session.environment);
    if context.output.is_table() {
        return context.output.text(&text(&session, &opened, secret, &resolution));
    }
    context.output.structured(&answer(&session, &opened, secret, &resolution))
}

fn text(session: &Session<'_>, opened: &Opened, secret: &Secret, resolution: &Resolution) -> String {
    let location = session.manifest.location(secret.place);
    let declared = format!("{}:{}", location.path.display(), location.line);
    let mut out = format!("{} ({}), declared at {declared}\n", secret.name, secret.value_type.word());
    // Writing to a String does not fail.
    if let Some(doc) = &secret.doc {
        let _ = writeln!(out, "  {doc}");
    }
    let _ = writeln!(out, "\nIn the environment {:?}:", session.environment.name);
    let resolved = resolution.secrets.get(&secret.name);
    match resolved {
        Some(resolved) => {
            let _ = writeln!(out, "  value from {}", resolved.origin());
            if let Some(candidate) = resolved.candidate() {
                let _ = write!(out, "{}", facts(candidate));
            }
            for candidate in &resolved.overridden {
                let _ = writeln!(out, "  overrides {} ({})", candidate.found.origin, candidate.provider);
            }
        }
        None if secret.is_required_in(&session.environment) => {
            out.push_str("  no value, and one is required\n")
        }
        None => out.push_str("  no value; none is required\n"),
    }
    out.push_str("\nLooked up in this order:\n");
    for (name, address, place) in lookups(session, opened, secret) {
        let _ = writeln!(out, "  {name}: {}", address.shown_in(&place));
    }
    for problem in &resolution.problems {
        let _ = write!(out, "\n{}", problem.render());
    }
    out
}

/// Version and age of a value, where the provider knows them.
fn facts(candidate: &Candidate) -> String {
    let found = &candidate.found;
    let mut out = format!("    provider {}\n", candidate.provider);
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(out, "    {name} {value}");
    };
    if let Some(version) = &found.version {
        fact("version", version.clone());
    }
    if let Some(created) = found.created {
        fact("created", created.rfc3339());
    }
    if let Some(expires) = found.expires {
        fact("expires", expires.rfc3339());
    }
    match found.freshness {
        Freshness::Fresh => {}
        Freshness::Cached { age } => fact("from the cache,", format!("{} old", format_duration(age))),
        Freshness::Stale { age } => {
            fact("from the cache,", format!("{} old: the provider did not answer", format_duration(age)));
        }
    }
    out
}

fn lookups(session: &Session<'_>, opened: &Opened, secret: &Secret) -> Vec<(String, Address, String)> {
    let providers = opened.in_order(&session.environment);
    let lookup = |(name, provider): (&str, &dyn strongroom_project::provider::Provider)| {
        let address = opened.address(name, &secret.name, secret.references.get(name))?;
        Some((name.to_owned(), address, provider.place()))
    };
    providers.filter_map(lookup).collect()
}

fn answer(session: &Session<'_>, opened: &Opened, secret: &Secret, resolution: &Resolution) -> Value {
    let resolved = resolution.secrets.get(&secret.name);
    let candidate = |candidate: &Candidate| {
        json!({
            "provider": candidate.provider,
            "origin": candidate.found.origin,
            "version": candidate.found.version,
            "created": candidate.found.created.map(|time| time.rfc3339()),
            "expires": candidate.found.expires.map(|time| time.rfc3339()),
        })
    };
    let lookups: Vec<Value> = lookups(session, opened, secret)
        .into_iter()
        .map(|(provider, address, place)| json!({"provider": provider, "address": address.to_string(), "place": place}))
        .collect();
    json!({
        "version": 1,
        "name": secret.name,
        "environment": session.environment.name,
        "type": secret.value_type.word(),
        "required": secret.is_required_in(&session.environment),
        "origin": resolved.map(|resolved| resolved.origin()),
        "source": resolved.and_then(|resolved| resolved.candidate()).map(candidate),
        "overrides": resolved.iter().flat_map(|resolved| &resolved.overridden).map(candidate).collect::<Vec<_>>(),
        "lookups": lookups,
        "problems": super::problems_json(&resolution.problems),
    })
}
