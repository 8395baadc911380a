//! `redact`: secrets out of a stream, or out of files.

mod copy;
mod sources;
mod summary;

use crate::commands::scan::arguments::{RuleArgs, confidences};
use crate::commands::scan::rules;
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::system::SystemEntropy;
use clap::{Args, ValueEnum};
use copy::{Input, copy};
use sources::ValueArgs;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use strongroom_detect::Confidence;
use strongroom_detect::redact::{HashKey, Json, Patterns, Redactor, Stream, Style};
use strongroom_project::files::{self, Links, Rewriting};
use strongroom_secret::SecretBytes;
use summary::Summary;

#[derive(Args)]
#[command(
    after_help = "Without FILE, standard input is copied to standard output, line by line as it comes; nothing is held longer than \
    50 ms.\nThe values to take out: those of the project here, as `run` would give them to a program; with --from or --values \
    those alone.\nExit codes: 0 done, 2 the command line is not usable, 3 a value or file is missing, 4 not permitted, 5 a provider \
    cannot be reached."
)]
pub struct RedactArgs {
    /// Files to redact; - is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change the files themselves, each as a whole; mode and owner stay
    #[arg(long, requires = "files")]
    in_place: bool,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    patterns: PatternArgs,
    /// What the text is: lines that are JSON stay JSON, a number that is replaced becomes a string
    #[arg(long = "as", value_enum, default_value = "auto")]
    text: TextKind,
    /// What is written instead of a value
    #[arg(long, value_enum, default_value = "mask")]
    style: StyleName,
    /// The key of --style hash, so that hashes are the same tomorrow and elsewhere; any file of 16 bytes and more [default: a
    /// new one each time]
    #[arg(long, value_name = "FILE")]
    hash_key: Option<PathBuf>,
    /// Say on standard error how often what was replaced; with --json as JSON
    #[arg(long)]
    summary: bool,
}

#[derive(Args)]
#[command(next_help_heading = "What the text itself shows to be a secret")]
struct PatternArgs {
    /// Take known values out alone: no rules, no names such as password= and Authorization:
    #[arg(long)]
    no_patterns: bool,
    /// More rules, in the format of `scan`
    #[arg(long, value_name = "FILE", conflicts_with = "no_patterns")]
    rules: Vec<PathBuf>,
    /// Only what rules find that is at least this likely [default: medium]
    #[arg(long, value_name = "LEVEL", value_parser = confidences(), conflicts_with = "no_patterns")]
    confidence: Option<Confidence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TextKind {
    /// Lines that begin with { or [ and are JSON are kept so
    Auto,
    /// All of it is JSON: documents on many lines too
    Json,
    /// None of it is JSON
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StyleName {
    /// ***
    Mask,
    /// [NAME]
    Name,
    /// [redacted:1a2b3c4d], the same for the same value
    Hash,
}

/// A larger file is no key.
const KEY_BYTES_MAX: u64 = 1 << 16;

pub fn run(context: &Context, args: &RedactArgs) -> Result<ExitCode, Failure> {
    let style = style(args)?;
    let values = sources::values(context, &args.values, &args.files)?;
    let redactor = Arc::new(with_patterns(context, args, Redactor::new(values, style))?);
    let mut summary = Summary::default();
    if args.files.is_empty() {
        to_output(&redactor, Path::new("-"), &mut summary)?;
    }
    for path in &args.files {
        match args.in_place {
            true => in_place(&redactor, path, &mut summary)?,
            false => to_output(&redactor, path, &mut summary)?,
        }
    }
    if args.summary || args.in_place {
        summary.tell(context, redactor.value_count());
    }
    Ok(ExitCode::SUCCESS)
}

fn with_patterns(context: &Context, args: &RedactArgs, redactor: Redactor) -> Result<Redactor, Failure> {
    let redactor = match args.text {
        TextKind::Text => redactor,
        TextKind::Auto => redactor.with_json(Json::Detected),
        TextKind::Json => redactor.with_json(Json::Always),
    };
    if args.patterns.no_patterns {
        if redactor.value_count() == 0 {
            return Err(Failure::usage("there are no values to take out, and --no-patterns")
                .hint("--values FILE, --from PATH, or a project with a strongroom.toml"));
        }
        return Ok(redactor);
    }
    let wanted = RuleArgs { rules: args.patterns.rules.clone(), ..RuleArgs::default() };
    let found = rules::load(&wanted, None)?;
    found.tell(context);
    let confidence = args.patterns.confidence.unwrap_or(Confidence::Medium);
    Ok(redactor.with_patterns(Patterns::new(found.rules, confidence)))
}

fn style(args: &RedactArgs) -> Result<Style, Failure> {
    match (args.style, &args.hash_key) {
        (StyleName::Mask, None) => Ok(Style::Mask),
        (StyleName::Name, None) => Ok(Style::Name),
        (StyleName::Mask | StyleName::Name, Some(_)) => {
            Err(Failure::usage("--hash-key is for --style hash".to_owned()))
        }
        (StyleName::Hash, None) => Ok(Style::Hash(HashKey::generate(&SystemEntropy))),
        (StyleName::Hash, Some(path)) => {
            let bytes = files::read(path, KEY_BYTES_MAX)?;
            let bytes = SecretBytes::new(bytes.expose().trim_ascii().to_vec());
            let key = HashKey::new(bytes);
            Ok(Style::Hash(key.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?))
        }
    }
}

/// A file, or standard input, to standard output.
fn to_output(redactor: &Arc<Redactor>, path: &Path, summary: &mut Summary) -> Result<(), Failure> {
    let mut stream = Stream::new(Arc::clone(redactor));
    let mut input = if path == Path::new("-") { Input::standard() } else { Input::file(path) }?;
    let output = std::io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let mut output = output.map_err(|error| Failure::other(format!("cannot write: {error}")))?;
    copy(&mut stream, &mut input, &mut output).map_err(|error| failed(path, &error))?;
    summary.add(path, &stream);
    Ok(())
}

fn in_place(redactor: &Arc<Redactor>, path: &Path, summary: &mut Summary) -> Result<(), Failure> {
    let mut stream = Stream::new(Arc::clone(redactor));
    files::rewrite(path, Links::Refuse, |old, new| {
        copy(&mut stream, &mut Input::of(old.try_clone()?), new)?;
        Ok(if stream.replaced().is_empty() { Rewriting::Same } else { Rewriting::Changed })
    })?;
    summary.add(path, &stream);
    Ok(())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Kind::Quiet, ""),
        _ => Failure::other(format!("{}: {error}", path.display())),
    }
}
