//! What a hook does. It stops what it is asked about if a secret is in it, and says what was found, where, and what to do.

use super::hooks::{before, folder};
use super::{Hook, git};
use crate::commands::project::{self, check};
use crate::commands::scan::arguments::CommonArgs;
use crate::commands::scan::run::{Findings, collect, write_report};
use crate::commands::scan::sources::{self, git_failure};
use crate::context::Context;
use crate::failure::Failure;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use strongroom_detect::Confidence;
use strongroom_project::manifest::Manifest;
use strongroom_scan::git::{Compared, Push, scan_push, scan_uncommitted};
use strongroom_scan::report::Redaction;
use strongroom_scan::{ContentOptions, scan_stream};

/// What git hands to a hook on its standard input.
const INPUT_BYTES_MAX: u64 = 64 << 20;
const MESSAGE_BYTES_MAX: u64 = 16 << 20;
/// A line of a commit's message from which on nothing is part of it (git-commit(1), `--cleanup=scissors`).
const SCISSORS: &str = "------------------------ >8 ------------------------";

pub fn run(context: &Context, hook: Hook, arguments: &[OsString]) -> Result<ExitCode, Failure> {
    let input = if hook == Hook::PrePush { read_input()? } else { Vec::new() };
    if let Some(code) = run_before(hook, arguments, &input)? {
        return Ok(code);
    }
    let (what, findings) = match hook {
        Hook::PreCommit => {
            check_manifest(context)?;
            ("what is about to be committed", staged(context)?)
        }
        Hook::PrePush => {
            let Some(findings) = pushed(context, &input)? else { return Ok(ExitCode::SUCCESS) };
            ("what is about to be pushed", findings)
        }
        Hook::CommitMsg => {
            let Some(file) = arguments.first() else {
                return Err(Failure::usage("commit-msg needs the file of the message, as git passes it"));
            };
            ("the commit's message", message(context, Path::new(file))?)
        }
    };
    stop(what, hook, &findings)
}

fn read_input() -> Result<Vec<u8>, Failure> {
    let mut input = Vec::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_end(&mut input);
    read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
    Ok(input)
}

/// Runs the hook that was there before ours. Its failure is the answer.
fn run_before(hook: Hook, arguments: &[OsString], input: &[u8]) -> Result<Option<ExitCode>, Failure> {
    let Ok(folder) = folder() else { return Ok(None) };
    let path = before(&folder.join(hook.name()));
    if !fs::metadata(&path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0) {
        return Ok(None);
    }
    let path = fs::canonicalize(&path).unwrap_or(path);
    let failed = |error: std::io::Error| Failure::other(format!("{}: {error}", path.display()));
    let stdin = if hook == Hook::PrePush { Stdio::piped() } else { Stdio::inherit() };
    let mut child = Command::new(&path).args(arguments).stdin(stdin).spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A hook need not read what it is given.
        let _ = stdin.write_all(input);
    }
    let status = child.wait().map_err(failed)?;
    match status.code() {
        Some(0) => Ok(None),
        code => Ok(Some(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))),
    }
}

/// A project that wants it has its manifest checked before each commit.
fn check_manifest(context: &Context) -> Result<(), Failure> {
    let Ok(path) = project::manifest_path(context) else { return Ok(()) };
    match Manifest::load(&path) {
        Ok(manifest) if !manifest.guard.precommit => Ok(()),
        _ => check::manifest_only(context),
    }
}

/// Hooks are quiet and sure: what is hardly likely does not stop anybody.
fn arguments(confidence: Confidence) -> CommonArgs {
    let mut common = CommonArgs::default();
    common.rules.confidence = Some(confidence);
    common.report.no_progress = true;
    common.known.known = super::known();
    // Somebody on a train commits, too: the hook says that it looked for less.
    common.known.lenient = true;
    common
}

fn staged(context: &Context) -> Result<Findings, Failure> {
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    collect(
        context,
        &arguments(Confidence::Medium),
        Some(&top),
        Redaction::WHOLE,
        &mut |detector, watch, sink| {
            let options = sources::of_hook(context);
            scan_uncommitted(&top, Compared::Staged, detector, &options, watch, sink).map_err(git_failure)
        },
    )
}

/// The commits that the other side does not have. `None`: nothing is pushed but deletions.
fn pushed(context: &Context, input: &[u8]) -> Result<Option<Findings>, Failure> {
    let text = String::from_utf8_lossy(input);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"]).unwrap_or_else(|_| ".".to_owned()));
    let common = arguments(Confidence::Medium);
    let findings = collect(context, &common, Some(&top), Redaction::WHOLE, &mut |detector, watch, sink| {
        let options = sources::of_hook(context);
        scan_push(&top, &text, Push::Outgoing, detector, &options, watch, sink).map_err(git_failure)
    })?;
    Ok(Some(findings))
}

fn message(context: &Context, file: &Path) -> Result<Findings, Failure> {
    let bytes = strongroom_project::files::read(file, MESSAGE_BYTES_MAX)
        .map_err(|error| Failure::other(error.to_string()))?;
    let comment = git(&["config", "core.commentChar"]).unwrap_or_default();
    let comment = if comment.is_empty() || comment == "auto" { "#".to_owned() } else { comment };
    let text = String::from_utf8_lossy(bytes.expose());
    // Lines that git takes out are empty here, so that the numbers of the others stay.
    let kept: Vec<&str> = text
        .lines()
        .take_while(|line| !(line.starts_with(&comment) && line.contains(SCISSORS)))
        .map(|line| if line.starts_with(&comment) { "" } else { line })
        .collect();
    let kept = kept.join("\n");
    collect(
        context,
        &arguments(Confidence::Medium),
        Some(Path::new(".")),
        Redaction::WHOLE,
        &mut |detector, watch, sink| {
            let name = file.display().to_string();
            Ok(scan_stream(detector, &mut kept.as_bytes(), &name, &ContentOptions::default(), watch, sink))
        },
    )
}

/// Says what was found and what is to be done, and answers with the exit code.
fn stop(what: &str, hook: Hook, findings: &Findings) -> Result<ExitCode, Failure> {
    let count = findings.found.len();
    if count == 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let plural = if count == 1 { "a secret is" } else { "secrets are" };
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "strongroom: stopped: {plural} in {what}\n");
    write_report(findings, &mut out)?;
    let _ = out.write_all(advice(hook).as_bytes());
    Ok(ExitCode::from(1))
}

fn advice(hook: Hook) -> String {
    let (remove, skip) = match hook {
        Hook::PreCommit => (
            "take it out of the file, keep it with `strongroom set NAME`, read it from the environment; then git add the file",
            "git commit --no-verify",
        ),
        Hook::PrePush => (
            "it is in a commit: take it out of the file, and rewrite the commit (git commit --amend, git rebase -i)",
            "git push --no-verify",
        ),
        Hook::CommitMsg => ("write the message without it", "git commit --no-verify"),
    };
    format!(
        "\nWhat to do:\n\
         \x20 remove   {remove}\n\
         \x20 rotate   if anybody else can have seen it, change it where it was issued: what was seen is known\n\
         \x20 allow    if it is no secret: a comment `strongroom:allow` in its line, or `strongroom scan baseline update`\n\
         \x20 skip     {skip} does not ask\n"
    )
}
