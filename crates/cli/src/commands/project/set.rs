//! `set` and `unset`: values in, from a prompt, standard input, a file or a generator; and out again.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use crate::terminal::ask_hidden;
use clap::Args;
use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_project::change::{Target, generate};
use strongroom_project::compose::is_variable_name;
use strongroom_project::files::{Links, change, read};
use strongroom_project::infer::guess;
use strongroom_project::manifest::{Generator, GeneratorKind, Manifest, did_you_mean};
use strongroom_secret::SecretBytes;

#[derive(Args)]
#[command(after_help = "The value comes from a prompt, or from standard input if that is no terminal.")]
pub struct SetArgs {
    /// The name of the secret
    name: String,
    /// The value itself: other programs and your shell's history see it
    value: Option<String>,
    /// Read the value from FILE, as it is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["value", "generate"])]
    from_file: Option<PathBuf>,
    /// Make a value, as `generate` of the secret says
    #[arg(long, conflicts_with = "value")]
    generate: bool,
    /// Declare the secret in the manifest if it is not there
    #[arg(long)]
    declare: bool,
    /// The provider to write to [otherwise: the first of the environment that can be written to]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

#[derive(Args)]
pub struct UnsetArgs {
    /// The name of the secret
    name: String,
    /// The provider to take it from [otherwise: where `set` would write]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

/// A value larger than this is a mistake.
const VALUE_BYTES_MAX: u64 = 16 << 20;

pub fn run(context: &Context, args: &SetArgs) -> Result<ExitCode, Failure> {
    let mut session = Session::open(context)?;
    session.insist_on_change(&session.environment)?;
    if session.manifest.secret(&args.name).is_none() && !args.declare {
        session.declared(&args.name)?;
    }
    insist_on_provider(&session, args.provider.as_deref())?;
    let value = value(&session, args)?;
    if session.manifest.secret(&args.name).is_none() {
        declare(&session.manifest, &args.name, &value)?;
        session.note(&format!("declared {} in {}", args.name, session.manifest.path.display()));
        session = Session::open(context)?;
    }
    let secret = session.declared(&args.name)?;
    if secret.compose.is_some() {
        let parts: Vec<&str> = secret.compose.iter().flat_map(|template| template.names()).collect();
        return Err(Failure::usage(format!("{} is composed of {}", args.name, parts.join(", ")))
            .hint("set those instead"));
    }
    let problems = secret.value_type.problems(&secret.constraints, value.expose());
    if !problems.is_empty() {
        let list = problems.iter().map(|problem| format!("{} {problem}", args.name)).collect::<Vec<_>>();
        return Err(Failure::missing(list.join("\n       ")).hint("nothing was written"));
    }
    let opened = session.providers()?;
    let target = Target {
        manifest: &session.manifest,
        environment: &session.environment,
        opened: &opened,
        provider: args.provider.as_deref(),
    };
    let change = target.store(&args.name, &value)?;
    let origin = change.stored.map(|stored| stored.origin).unwrap_or(change.provider);
    session.note(&format!("{} is kept in {origin}", args.name));
    Ok(ExitCode::SUCCESS)
}

pub fn unset(context: &Context, args: &UnsetArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    session.insist_on_change(&session.environment)?;
    insist_on_provider(&session, args.provider.as_deref())?;
    let opened = session.providers()?;
    let target = Target {
        manifest: &session.manifest,
        environment: &session.environment,
        opened: &opened,
        provider: args.provider.as_deref(),
    };
    let change = target.remove(&args.name)?;
    let place = opened.provider(&change.provider).map(|provider| provider.place()).unwrap_or_default();
    if change.was_there {
        session.note(&format!("{} is no longer in {} ({place})", args.name, change.provider));
        return Ok(ExitCode::SUCCESS);
    }
    session.note(&format!("{} was not in {} ({place}): nothing was changed", args.name, change.provider));
    let known = session.manifest.secrets.iter().map(|secret| secret.name.as_str());
    if session.manifest.secret(&args.name).is_none()
        && let Some(near) = did_you_mean(&args.name, known)
    {
        session.note(&format!("  hint: did you mean {near:?}?"));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn insist_on_provider(session: &Session<'_>, provider: Option<&str>) -> Result<(), Failure> {
    let Some(name) = provider else { return Ok(()) };
    let environment = &session.environment;
    if environment.order.iter().any(|known| known == name) {
        return Ok(());
    }
    let order = environment.order.join(", ");
    Err(Failure::usage(format!("the environment {:?} has no provider {name:?}", environment.name))
        .hint(format!("it has: {order}")))
}

fn value(session: &Session<'_>, args: &SetArgs) -> Result<SecretBytes, Failure> {
    if let Some(value) = &args.value {
        session.note(
            "warning: a value on the command line is seen by other programs and kept in the shell's history",
        );
        return Ok(SecretBytes::new(value.clone().into_bytes()));
    }
    if args.generate {
        let usual = Generator { kind: GeneratorKind::Password, length: 32 };
        let declared = session.manifest.secret(&args.name).and_then(|secret| secret.generate);
        return Ok(generate(declared.unwrap_or(usual), session.surroundings.entropy.as_ref()));
    }
    if let Some(path) = &args.from_file {
        return Ok(read(path, VALUE_BYTES_MAX)?);
    }
    if std::io::stdin().is_terminal() {
        if !session.context.may_ask() {
            return Err(Failure::usage("there is no value, and nobody may be asked")
                .hint("standard input, --from-file FILE or --generate gives one"));
        }
        let answer = ask_hidden(&format!("{}: ", args.name))
            .map_err(|error| Failure::other(format!("cannot ask: {error}")))?;
        return Ok(SecretBytes::new(answer.expose().as_bytes().to_vec()));
    }
    from_stdin()
}

/// Standard input without its last line break, which `echo` adds.
pub fn from_stdin() -> Result<SecretBytes, Failure> {
    let mut bytes = Vec::with_capacity(1 << 16);
    let failed = |error| Failure::other(format!("cannot read standard input: {error}"));
    std::io::stdin().take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > VALUE_BYTES_MAX {
        return Err(Failure::usage("a value has at most 16 MiB"));
    }
    for end in [b'\n', b'\r'] {
        if bytes.last() == Some(&end) {
            bytes.pop();
        }
    }
    Ok(SecretBytes::new(bytes))
}

/// Adds a declaration at the end of the manifest, with the type that the value seems to have.
pub fn declare(manifest: &Manifest, name: &str, value: &SecretBytes) -> Result<(), Failure> {
    if !is_variable_name(name) {
        return Err(Failure::usage(format!("{name:?} cannot be the name of a variable"))
            .hint("letters, digits and _, not beginning with a digit"));
    }
    let file = change(&manifest.path, Links::Follow, VALUE_BYTES_MAX)?;
    let mut text = file.content().map(|bytes| bytes.expose().to_vec()).unwrap_or_default();
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    let guess = guess(name, std::str::from_utf8(value.expose()).ok());
    text.extend_from_slice(format!("\n[secret.{name}]\n{}", guess.lines()).as_bytes());
    Ok(file.replace(&text)?)
}
