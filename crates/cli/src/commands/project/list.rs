//! `list`: the project's secrets and where their values come from.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use strongroom_project::manifest::{Delivery, Secret};
use strongroom_project::resolve::{Depth, Resolution, Selection};

#[derive(Args)]
pub struct ProjectListArgs {
    /// Show the values
    #[arg(long)]
    reveal: bool,
    /// Those of this scope alone
    #[arg(long, value_name = "NAME")]
    scope: Option<String>,
}

pub fn run(context: &Context, args: &ProjectListArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    let opened = session.providers()?;
    let selection = args.scope.as_deref().map_or(Selection::All, Selection::Scope);
    if let Some(scope) = &args.scope {
        super::run::insist_on_scope(&session, scope)?;
    }
    let resolution = session.resolve(&opened, selection, Depth::First);
    if !args.reveal {
        session.take_back(&opened, &session.environment);
    }
    let listed = session.manifest.secrets.iter();
    let listed =
        listed.filter(|secret| args.scope.as_ref().is_none_or(|scope| secret.scopes.contains(scope)));
    if context.output.is_table() {
        let mut header = vec!["Name", "Type", "From", "Doc"];
        if args.reveal {
            header.insert(3, "Value");
        }
        let rows: Vec<Vec<String>> = listed.map(|secret| row(&session, secret, &resolution, args)).collect();
        return context.output.table(&header, &rows);
    }
    let secrets: Vec<Value> = listed.map(|secret| entry(&session, secret, &resolution, args)).collect();
    let answer = json!({
        "version": 1,
        "project": session.manifest.project,
        "environment": session.environment.name,
        "secrets": secrets,
        "problems": super::problems_json(&resolution.problems),
    });
    context.output.structured(&answer)
}

fn row(
    session: &Session<'_>,
    secret: &Secret,
    resolution: &Resolution,
    args: &ProjectListArgs,
) -> Vec<String> {
    let mut row = vec![
        secret.name.clone(),
        secret.value_type.word().to_owned(),
        state(session, secret, resolution),
        secret.doc.clone().unwrap_or_default(),
    ];
    if args.reveal {
        let value =
            resolution.value(&secret.name).map(|value| String::from_utf8_lossy(value.expose()).into_owned());
        row.insert(3, value.unwrap_or_default());
    }
    row
}

/// Where the value comes from, or why there is none.
fn state(session: &Session<'_>, secret: &Secret, resolution: &Resolution) -> String {
    match resolution.secrets.get(&secret.name) {
        Some(resolved) => resolved.origin(),
        None if secret.is_required_in(&session.environment) => "(missing)".to_owned(),
        None => "(not set)".to_owned(),
    }
}

fn entry(session: &Session<'_>, secret: &Secret, resolution: &Resolution, args: &ProjectListArgs) -> Value {
    let resolved = resolution.secrets.get(&secret.name);
    let delivery = match secret.delivery {
        Delivery::Variable => "variable",
        Delivery::File => "file",
        Delivery::Internal => "internal",
    };
    let mut entry = json!({
        "name": secret.name,
        "type": secret.value_type.word(),
        "doc": secret.doc,
        "sensitive": secret.sensitive,
        "required": secret.is_required_in(&session.environment),
        "as": delivery,
        "scopes": secret.scopes,
        "set": resolved.is_some(),
        "origin": resolved.map(|resolved| resolved.origin()),
    });
    if args.reveal
        && let Some(value) = resolution.value(&secret.name)
        && let Some(fields) = entry.as_object_mut()
    {
        fields.insert("value".to_owned(), String::from_utf8_lossy(value.expose()).into());
    }
    entry
}
