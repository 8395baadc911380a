//! `lock`: what an environment has now, written down, so that `--locked` can insist on it.

use super::Session;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use clap::Args;
use serde_json::json;
use std::process::ExitCode;
use strongroom_project::change::{Target, generate};
use strongroom_project::lock::{self, KEY_BYTES, KEY_NAME, Key, Lock};
use strongroom_project::manifest::{Environment, Generator, GeneratorKind, Problem};
use strongroom_project::resolve::{Depth, Opened, Request, Resolution, Selection};

#[derive(Args)]
pub struct LockArgs {
    /// Say what differs from the lock, and change nothing
    #[arg(long)]
    check: bool,
    /// Insist on the version before the present one from now on; may be given often
    #[arg(long, value_name = "NAME")]
    rollback: Vec<String>,
    /// Every environment, not only the one of -E
    #[arg(long, conflicts_with = "rollback")]
    all: bool,
}

pub fn run(context: &Context, args: &LockArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    let mut lock = Lock::load(&session.manifest)?;
    if !args.rollback.is_empty() {
        return roll_back(&session, &mut lock, &args.rollback);
    }
    let environments: Vec<Environment> = match args.all {
        true => session.manifest.environments.values().cloned().collect(),
        false => vec![session.environment.clone()],
    };
    if args.check {
        return check(&session, &lock, &environments);
    }
    let mut changed = Vec::new();
    for environment in &environments {
        let opened = session.providers_of(environment)?;
        let resolution = session.complete(resolve_in(&session, environment, &opened))?;
        let key = match session.manifest.guard.fingerprints {
            true => Some(key_or_new(&session, environment, &opened)?),
            false => None,
        };
        for name in lock.update(&environment.name, &resolution, key.as_ref(), session.now()) {
            changed.push((environment.name.clone(), name));
        }
        session.take_back(&opened, environment);
    }
    lock.save(&session.manifest)?;
    report(&session, &changed)
}

fn report(session: &Session<'_>, changed: &[(String, String)]) -> Result<ExitCode, Failure> {
    let path = lock::path(&session.manifest);
    if !session.context.output.is_table() {
        let changed: Vec<_> = changed
            .iter()
            .map(|(environment, name)| json!({"environment": environment, "name": name}))
            .collect();
        return session.context.output.structured(&json!({"version": 1, "changed": changed}));
    }
    for (environment, name) in changed {
        session.note(&format!("  {environment}: {name}"));
    }
    session.note(&format!("{} holds {} changes", path.display(), changed.len()));
    Ok(ExitCode::SUCCESS)
}

fn check(session: &Session<'_>, lock: &Lock, environments: &[Environment]) -> Result<ExitCode, Failure> {
    let mut problems = Vec::new();
    for environment in environments {
        let opened = session.providers_of(environment)?;
        let resolution = session.complete(resolve_in(session, environment, &opened))?;
        problems.extend(against(session, lock, environment, &opened, &resolution)?);
        session.take_back(&opened, environment);
    }
    if !session.context.output.is_table() {
        let ok = !problems.iter().any(Problem::is_error);
        let answer = json!({"version": 1, "ok": ok, "problems": super::problems_json(&problems)});
        session.context.output.structured(&answer)?;
        let code = Failure::of_problems(&problems).native_code();
        return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(code) });
    }
    if problems.iter().any(Problem::is_error) {
        return Err(problems.into());
    }
    problems.iter().for_each(|problem| session.note(problem.render().trim_end()));
    Ok(ExitCode::SUCCESS)
}

/// Drift, and rotations that are due. Without a lock for the environment: nothing.
pub fn against(
    session: &Session<'_>,
    lock: &Lock,
    environment: &Environment,
    opened: &Opened,
    resolution: &Resolution,
) -> Result<Vec<Problem>, Failure> {
    if !lock.env.contains_key(&environment.name) {
        return Ok(Vec::new());
    }
    let key = key(environment, opened)?;
    let mut problems = lock.drift(&session.manifest, environment, resolution, key.as_ref());
    problems.extend(lock.rotation_due(&session.manifest, environment, session.now()));
    Ok(problems)
}

/// Resolves with the versions of the lock, and fails if something is not as it says.
pub fn locked(
    session: &Session<'_>,
    opened: &Opened,
    selection: Selection<'_>,
) -> Result<Resolution, Failure> {
    let lock = Lock::load(&session.manifest)?;
    let environment = &session.environment;
    if !lock.env.contains_key(&environment.name) {
        let path = lock::path(&session.manifest);
        let message = format!("{} has no environment {:?}", path.display(), environment.name);
        return Err(Failure::new(Kind::Integrity, message).hint("`strongroom lock` writes it down"));
    }
    let pins = |name: &str, provider: &str| lock.pin(&environment.name, name, provider);
    let request = Request { pins: Some(&pins), ..session.request(selection, Depth::First) };
    let resolution = session.complete(session.resolve_with(environment, opened, &request))?;
    let key = key(environment, opened)?;
    let drift = lock.drift(&session.manifest, environment, &resolution, key.as_ref());
    // Of a part of the secrets, the others are not missing.
    let drift: Vec<Problem> = match selection {
        Selection::All => drift,
        _ => drift.into_iter().filter(|problem| !problem.message.contains("no value any more")).collect(),
    };
    if drift.is_empty() { Ok(resolution) } else { Err(drift.into()) }
}

fn resolve_in(session: &Session<'_>, environment: &Environment, opened: &Opened) -> Resolution {
    session.resolve_with(environment, opened, &session.request(Selection::All, Depth::First))
}

/// The key that the environment's own providers keep.
fn key(environment: &Environment, opened: &Opened) -> Result<Option<Key>, Failure> {
    for (name, provider) in opened.in_order(environment) {
        let Some(address) = opened.address(name, KEY_NAME, None) else { continue };
        for outcome in provider.fetch(&[address]) {
            if let Some(found) = outcome? {
                return Ok(Some(Key::new(found.value)));
            }
        }
    }
    Ok(None)
}

fn key_or_new(session: &Session<'_>, environment: &Environment, opened: &Opened) -> Result<Key, Failure> {
    if let Some(key) = key(environment, opened)? {
        return Ok(key);
    }
    let generator = Generator { kind: GeneratorKind::Base64, length: KEY_BYTES };
    let value = generate(generator, session.surroundings.entropy.as_ref());
    let target = Target { manifest: &session.manifest, environment, opened, provider: None };
    let change = target.store(KEY_NAME, &value).map_err(|error| {
        Failure::from(error).hint(format!(
            "fingerprints need a key: keep one as {KEY_NAME} where the environment's secrets are, or say fingerprints = false in [guard]"
        ))
    })?;
    session.note(&format!("a new key for fingerprints is kept with {} as {KEY_NAME}", change.provider));
    Ok(Key::new(value))
}

fn roll_back(session: &Session<'_>, lock: &mut Lock, names: &[String]) -> Result<ExitCode, Failure> {
    for name in names {
        session.declared(name)?;
        let Some(version) = lock.roll_back(&session.environment.name, name) else {
            return Err(Failure::missing(format!(
                "the lock knows no version of {name} before the present one"
            )));
        };
        session.note(&format!("{name} is locked to version {version}: `strongroom run --locked` takes it"));
    }
    lock.save(&session.manifest)?;
    Ok(ExitCode::SUCCESS)
}
