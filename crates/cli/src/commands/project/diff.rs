//! `diff`: what differs between two environments, by name. Values are compared, and not shown.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use strongroom_project::manifest::ProblemKind;
use strongroom_project::resolve::{Depth, Resolution, Selection};

#[derive(Args)]
#[command(after_help = "Exit codes: 0 nothing differs, 1 something does.")]
pub struct DiffArgs {
    /// The one environment
    left: String,
    /// The other
    right: String,
}

pub fn run(context: &Context, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let session = Session::open_in(context, Some(&args.left))?;
    let left = of(&session, &args.left)?;
    let right = of(&session, &args.right)?;
    let mut rows = Vec::new();
    for secret in &session.manifest.secrets {
        let state = match (left.value(&secret.name), right.value(&secret.name)) {
            (Some(one), Some(other)) if one == other => continue,
            (None, None) => continue,
            (Some(_), Some(_)) => "differs",
            (Some(_), None) => "only in the first",
            (None, Some(_)) => "only in the second",
        };
        let origin = |resolution: &Resolution| {
            resolution.secrets.get(&secret.name).map(|resolved| resolved.origin()).unwrap_or_default()
        };
        rows.push(vec![secret.name.clone(), state.to_owned(), origin(&left), origin(&right)]);
    }
    let code = if rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) };
    if context.output.is_table() {
        if !rows.is_empty() {
            context.output.table(&["Name", "State", &args.left, &args.right], &rows)?;
        }
        return Ok(code);
    }
    let differences: Vec<_> = rows
        .iter()
        .map(|row| json!({"name": row.first(), "state": row.get(1), "left": row.get(2), "right": row.get(3)}))
        .collect();
    context.output.structured(
        &json!({"version": 1, "left": args.left, "right": args.right, "differences": differences}),
    )?;
    Ok(code)
}

/// What an environment has. What it lacks is a difference, no error; a provider that fails is.
fn of(session: &Session<'_>, name: &str) -> Result<Resolution, Failure> {
    let environment = session.in_environment(name)?;
    let opened = session.providers_of(&environment)?;
    let resolution =
        session.resolve_with(&environment, &opened, &session.request(Selection::All, Depth::First));
    session.take_back(&opened, &environment);
    let harmless = [ProblemKind::Missing, ProblemKind::Invalid, ProblemKind::Expired];
    let fatal: Vec<_> =
        resolution.problems.iter().filter(|problem| !harmless.contains(&problem.kind)).cloned().collect();
    if fatal.is_empty() { Ok(resolution) } else { Err(fatal.into()) }
}
