//! `doctor`: what stands between this project and its secrets.

use super::{Session, manifest_path};
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;
use strongroom_project::lock::{self, Lock};
use strongroom_project::manifest::{Manifest, Problem};
use strongroom_project::provider::Reach;
use strongroom_project::resolve::{Depth, Opened, Selection};
use strongroom_project::trust::reaches;

#[derive(Args)]
pub struct DoctorArgs {}

struct Finding {
    what: String,
    state: State,
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    Odd,
    Bad,
}

pub fn run(context: &Context, _args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut findings = Vec::new();
    let outcome = examine(context, &mut findings);
    if let Err(failure) = &outcome {
        findings.push(finding("stopped", State::Bad, failure.native_text().trim_end().to_owned()));
    }
    let bad = findings.iter().any(|finding| finding.state == State::Bad);
    let word = |state| match state {
        State::Fine => "ok",
        State::Odd => "note",
        State::Bad => "bad",
    };
    if context.output.is_table() {
        for finding in &findings {
            let detail = finding.detail.replace('\n', "\n        ");
            context.output.text(&format!("{:<5} {}: {detail}\n", word(finding.state), finding.what))?;
        }
    } else {
        let list: Vec<Value> = findings
            .iter()
            .map(|finding| json!({"what": finding.what, "state": word(finding.state), "detail": finding.detail}))
            .collect();
        context.output.structured(&json!({"version": 1, "ok": !bad, "findings": list}))?;
    }
    let code = outcome.err().map_or(1, |failure| failure.native_code());
    Ok(if bad { ExitCode::from(code) } else { ExitCode::SUCCESS })
}

fn finding(what: &str, state: State, detail: impl Into<String>) -> Finding {
    Finding { what: what.to_owned(), state, detail: detail.into() }
}

fn examine(context: &Context, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    findings.push(finding("program", State::Fine, format!("strongroom {}", env!("CARGO_PKG_VERSION"))));
    let path = manifest_path(context)?;
    let session = Session::open(context)?;
    let count = session.manifest.secrets.len();
    findings.push(finding("manifest", State::Fine, format!("{} declares {count} secrets", path.display())));
    let files = session.manifest.files();
    let present: Vec<String> =
        files.iter().skip(1).filter(|file| file.exists()).map(|file| file.display().to_string()).collect();
    if !present.is_empty() {
        findings.push(finding("more files", State::Fine, present.join(", ")));
    }
    let environment = &session.environment;
    let order = environment.order.join(", ");
    findings.push(finding("environment", State::Fine, format!("{} (providers: {order})", environment.name)));
    let opened = session.opened(environment)?;
    trust(&session, &opened, findings)?;
    providers(&session, &opened, findings)?;
    lock_state(&session.manifest, &environment.name, findings)
}

fn trust(session: &Session<'_>, opened: &Opened, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let wanted = reaches(&session.environment, opened);
    let detail = wanted.join(", ");
    let trusted = match session.trust_store() {
        Some(store) => store.trusts(&session.manifest, &wanted)?,
        None => wanted.is_empty(),
    };
    findings.push(match (wanted.is_empty(), trusted) {
        (true, _) => finding("trust", State::Fine, "reads local files alone: none is needed"),
        (false, true) => finding("trust", State::Fine, detail),
        (false, false) => {
            finding("trust", State::Bad, format!("not given yet (`strongroom trust`): {detail}"))
        }
    });
    Ok(())
}

/// Each provider is asked for everything, on its own, so that one that fails does not hide another.
fn providers(session: &Session<'_>, opened: &Opened, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let opened = session.providers().map(|_| opened)?;
    for (name, provider) in opened.in_order(&session.environment) {
        let what = format!("provider {name}");
        let addresses: Vec<_> = session
            .manifest
            .secrets
            .iter()
            .filter(|secret| secret.compose.is_none())
            .filter_map(|secret| opened.address(name, &secret.name, secret.references.get(name)))
            .collect();
        let outcomes = provider.fetch(&addresses);
        let has = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Some(_)))).count();
        let reach = match provider.reach() {
            Reach::Local => "local",
            Reach::Command(_) => "runs a program",
            Reach::Host(_) => "remote",
        };
        let place = provider.place();
        findings.push(match outcomes.into_iter().find_map(Result::err) {
            Some(error) => {
                let hint = error.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                finding(&what, State::Bad, format!("{place}: {}{hint}", error.message))
            }
            None => {
                finding(&what, State::Fine, format!("{place} ({reach}) has {has} of {}", addresses.len()))
            }
        });
    }
    let resolution = session.resolve(opened, Selection::All, Depth::First);
    session.take_back(opened, &session.environment);
    let errors = resolution.problems.iter().filter(|problem| Problem::is_error(problem)).count();
    findings.push(match errors {
        0 => finding("values", State::Fine, "all that are required are there and valid"),
        count => finding(
            "values",
            State::Bad,
            format!("{count} are missing or not valid: `strongroom check` says which"),
        ),
    });
    Ok(())
}

fn lock_state(manifest: &Manifest, environment: &str, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let path = lock::path(manifest);
    let lock = Lock::load(manifest)?;
    findings.push(match lock.env.get(environment) {
        Some(locked) => {
            finding("lock", State::Fine, format!("{} holds {} versions", path.display(), locked.secret.len()))
        }
        None => finding("lock", State::Odd, format!("{} does not hold this environment", path.display())),
    });
    Ok(())
}
