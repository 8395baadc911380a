//! `purge`: takes values, files and folders out of a repository's history.

pub mod arguments;
pub mod print;

use super::project::Session;
use super::scan::progress::ProgressLine;
use super::scan::sources::{git_failure, threads};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use crate::system::SystemClock;
use arguments::PurgeArgs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_project::files::read;
use strongroom_project::resolve::Selection;
use strongroom_scan::Watch;
use strongroom_scan::git::ObjectId;
use strongroom_scan::purge::{
    self, BinaryFiles, Error, Force, GlobKind, Lines, Options, Plan, REPLACEMENT, Removals, Replacements,
    Report,
};
use strongroom_secret::{Clock, SecretBytes};

/// `strongroom`'s code for a leak.
const LEFT: u8 = 7;
const FILE_BYTES_MAX: u64 = 64 << 20;

pub fn run(context: &Context, args: &PurgeArgs) -> Result<ExitCode, Failure> {
    let path = args.path.as_deref().unwrap_or(Path::new("."));
    if args.undo {
        return undo(context, path);
    }
    if args.remove_backups {
        return remove_backups(context, path);
    }
    let plan = plan(context, args)?;
    if plan.replacements.is_empty() && plan.removals.is_empty() {
        return Err(Failure::usage("nothing was named that is to be purged").hint(
            "values: --values FILE, --replace-text FILE, --secret NAME; files: --path, --delete-files, --delete-folders, \
             --strip-blobs-bigger-than, --strip-blobs-with-ids",
        ));
    }
    let options = Options {
        dry_run: args.dry_run,
        force: if args.force { Force::Yes } else { Force::No },
        threads: threads(),
        name: name_of_run(),
        backup: !args.no_backup,
        clean: !args.no_gc,
    };
    let report = perform(path, &plan, &options, !context.project().quiet)?;
    if context.output.is_table() {
        context.output.text(&print::text(&report, &options))?;
    } else {
        context.output.structured(&print::json(&report, &options))?;
    }
    let proven = report.proof.as_ref().is_none_or(purge::Proof::holds);
    Ok(if proven { ExitCode::SUCCESS } else { ExitCode::from(LEFT) })
}

/// Runs a purge with a line that says how far it is.
pub fn perform(path: &Path, plan: &Plan, options: &Options, progress: bool) -> Result<Report, Failure> {
    let clock = SystemClock::new();
    let line = ProgressLine::new(&clock, progress);
    let show = |progress| line.show(progress);
    let watch = Watch { progress: Some(&show), cancelled: None };
    purge::purge(path, plan, options, watch).map_err(failure)
}

/// A folder's name that sorts by time.
pub fn name_of_run() -> String {
    let seconds = SystemClock::new().now().seconds();
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

pub fn failure(error: Error) -> Failure {
    let (message, hint) = (error.to_string(), error.hint().map(str::to_owned));
    let failure = match error {
        Error::Git(error) => return git_failure(error),
        Error::Object { .. } => Failure::new(Kind::Integrity, message),
        Error::Unfinished { .. } => Failure::other(message).exit_code(LEFT),
        _ => Failure::other(message),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn plan(context: &Context, args: &PurgeArgs) -> Result<Plan, Failure> {
    let mut replacements = Replacements::default();
    for file in &args.values {
        for (number, line) in input(file)?.expose().split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                let name = format!("line {} of {}", number + 1, shown(file));
                replacements.add_literal(SecretBytes::new(line.to_vec()), REPLACEMENT, name);
            }
        }
    }
    if !args.secret.is_empty() {
        add_secrets(context, &args.secret, &mut replacements)?;
    }
    // What a file of replacements says is done as it says; other tools read the same file.
    if !args.encodings {
        replacements.add_encoded_forms();
    }
    for file in &args.replace_text {
        let text = input(file)?;
        purge::read_replacements(text.expose(), &shown(file), Lines::Whole, &mut replacements)
            .map_err(|errors| unreadable(file, &errors))?;
    }
    if args.encodings {
        replacements.add_encoded_forms();
    }
    replacements.prepare();
    let mut plan = Plan {
        replacements,
        removals: removals(args)?,
        names: !args.keep_names,
        messages: !args.keep_messages,
        ..Plan::default()
    };
    if args.skip_binary {
        plan.content.binaries = BinaryFiles::LeftAlone;
    }
    for (globs, kind) in [(&args.include, GlobKind::Including), (&args.exclude, GlobKind::Excluding)] {
        for glob in globs {
            plan.content.add_glob(glob, kind).map_err(|what| Failure::usage(format!("{glob:?}: {what}")))?;
        }
    }
    Ok(plan)
}

pub fn unreadable(file: &Path, errors: &[purge::ParseError]) -> Failure {
    let mut text = format!("{} cannot be used", shown(file));
    for error in errors.iter().take(20) {
        text.push_str(&format!("\n  {error}"));
    }
    Failure::usage(text)
}

/// Values of the project. A value of several lines is looked for whole.
fn add_secrets(context: &Context, names: &[String], replacements: &mut Replacements) -> Result<(), Failure> {
    let session = Session::open(context)?;
    for name in names {
        session.declared(name)?;
    }
    let resolution = session.values(Selection::Names(names))?;
    for name in names {
        let Some(resolved) = resolution.secrets.get(name) else {
            let environment = &session.environment.name;
            return Err(Failure::missing(format!("{name} has no value in the environment {environment:?}")));
        };
        let value = SecretBytes::new(resolved.value.expose().trim_ascii().to_vec());
        replacements.add_literal(value, REPLACEMENT, format!("the secret {name}"));
    }
    Ok(())
}

fn removals(args: &PurgeArgs) -> Result<Removals, Failure> {
    let mut removals = Removals::default();
    let odd = |text: &str, what: String| Failure::usage(format!("{text:?}: {what}"));
    for glob in &args.delete_files {
        removals.add_files(glob).map_err(|what| odd(glob, what))?;
    }
    for glob in &args.delete_folders {
        removals.add_folders(glob).map_err(|what| odd(glob, what))?;
    }
    for path in &args.paths {
        removals.add_path(path).map_err(|what| odd(path, what))?;
    }
    for glob in &args.path_glob {
        removals.add_path_glob(glob).map_err(|what| odd(glob, what))?;
    }
    if let Some(size) = &args.strip_blobs_bigger_than {
        removals.larger_than = Some(bytes(size)?);
    }
    if let Some(file) = &args.strip_blobs_with_ids {
        removals.blobs.extend(ids(file)?);
    }
    Ok(removals)
}

/// Ids, one a line; what follows an id on its line says something else.
pub fn ids(file: &Path) -> Result<Vec<ObjectId>, Failure> {
    let text = input(file)?;
    let mut ids = Vec::new();
    for (number, line) in text.expose().split(|byte| *byte == b'\n').enumerate() {
        let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
        let Some(word) = word.filter(|word| !word.starts_with(b"#")) else { continue };
        let id = ObjectId::from_hex(word);
        ids.push(id.map_err(|_| {
            Failure::usage(format!("{}, line {}: it is no id of an object", shown(file), number + 1))
        })?);
    }
    Ok(ids)
}

/// `500`, `10K`, `1.5M`, `2G`, with or without a B.
pub fn bytes(text: &str) -> Result<u64, Failure> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (number, unit) = match lower.chars().last() {
        Some('k') => (lower.strip_suffix('k'), 1_u64 << 10),
        Some('m') => (lower.strip_suffix('m'), 1 << 20),
        Some('g') => (lower.strip_suffix('g'), 1 << 30),
        _ => (Some(lower), 1),
    };
    let odd = || Failure::usage(format!("{text:?} is no size: write 500K, 10M or 1G"));
    let number: u64 = number.and_then(|number| number.parse().ok()).ok_or_else(odd)?;
    number.checked_mul(unit).ok_or_else(odd)
}

/// What a file says, or standard input.
pub fn input(file: &Path) -> Result<SecretBytes, Failure> {
    if file != Path::new("-") {
        return Ok(read(file, FILE_BYTES_MAX)?);
    }
    let mut text = Vec::new();
    let read = std::io::stdin().take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| Failure::other(format!("standard input cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::usage("there are more than 64 MiB on standard input"));
    }
    Ok(SecretBytes::new(text))
}

fn shown(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

fn undo(context: &Context, path: &Path) -> Result<ExitCode, Failure> {
    let runs = purge::backups(path).map_err(failure)?;
    let Some(last) = runs.last() else {
        return Err(Failure::missing("no purge of this repository has a backup"));
    };
    let undone = purge::undo(path, last).map_err(failure)?;
    context.output.success(&format!(
        "{} references are where they were before the purge of {}; its backup is still there",
        undone.references.len(),
        last.file_name().unwrap_or_default().to_string_lossy()
    ))
}

fn remove_backups(context: &Context, path: &Path) -> Result<ExitCode, Failure> {
    let runs: Vec<PathBuf> = purge::backups(path).map_err(failure)?;
    for run in &runs {
        purge::remove_backup(run).map_err(failure)?;
    }
    context.output.success(&format!("{} backups are removed", runs.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let read = |text: &str| bytes(text).ok();
        assert_eq!(
            (read("500"), read("10K"), read("1MB"), read("2g")),
            (Some(500), Some(10_240), Some(1 << 20), Some(2 << 30))
        );
        assert_eq!(
            (read(""), read("x"), read("1T"), read("99999999999999999999G")),
            (None, None, None, None)
        );
    }
}
