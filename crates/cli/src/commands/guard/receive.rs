//! `guard receive`: the pre-receive hook of a server. Objects of a push lie in quarantine until the hook allows them
//! (git-receive-pack(1)): the scan is told where.

use super::git;
use crate::commands::scan::arguments::CommonArgs;
use crate::commands::scan::run::{collect, write_report};
use crate::commands::scan::sources::{self, git_failure};
use crate::context::Context;
use crate::failure::Failure;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_detect::Confidence;
use strongroom_scan::git::{Push, scan_push};
use strongroom_scan::report::Redaction;

const INPUT_BYTES_MAX: u64 = 64 << 20;

pub fn run(context: &Context, rules: Option<&Path>, baseline: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut input = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES_MAX).read_to_string(&mut input);
    read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
    if input.trim().is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let folder = PathBuf::from(git(&["rev-parse", "--git-dir"])?);
    let mut common = CommonArgs::default();
    common.rules.confidence = Some(Confidence::Medium);
    common.rules.config = rules.map(Path::to_owned);
    common.known.baseline = baseline.map(Path::to_owned).into_iter().collect();
    common.report.no_progress = true;
    let findings =
        collect(context, &common, Some(&folder), Redaction::WHOLE, &mut |detector, watch, sink| {
            let options = sources::of_hook(context);
            scan_push(&folder, &input, Push::Incoming, detector, &options, watch, sink).map_err(git_failure)
        })?;
    if findings.found.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    // git shows a hook's standard error to whoever pushes.
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "strongroom: this push is refused: it brings secrets\n");
    write_report(&findings, &mut out)?;
    let _ = out.write_all(
        "\nWhat to do:\n  \
         remove   take it out of the commits that are pushed (git rebase -i, git commit --amend); a further commit does not take it out\n  \
         rotate   change it where it was issued: it has left your machine\n  \
         allow    if it is no secret: a comment `strongroom:allow` in its line\n"
            .as_bytes(),
    );
    Ok(ExitCode::from(1))
}
