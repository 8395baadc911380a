//! Python test-suites from outside: fetched, run, and measured by a committed list of the cases that do not pass.

mod expected;
mod junit;

pub(crate) use expected::Expected;
pub(crate) use junit::{Case, Verdict};

use crate::outcome::Outcome;
use crate::tools;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads the JUnit XML that pytest wrote.
pub(crate) fn results(path: &Path) -> Result<Vec<Case>> {
    let text = std::fs::read_to_string(path).context("pytest wrote no results")?;
    junit::read(&text)
}

/// Fetches and unpacks a package's source distribution once; answers its folder.
pub(crate) fn unpack(home: &Path, python: &Path, package: &str, version: &str) -> Result<PathBuf> {
    let name = format!("{}-{version}", package.replace('-', "_"));
    let source = home.join(&name);
    if source.join("tests").is_dir() {
        return Ok(source);
    }
    let mut pip = Command::new(python);
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-binary",
        ":all:",
    ]);
    pip.arg(format!("{package}=={version}")).arg("--dest").arg(home);
    tools::succeed_in_three(&mut pip)?;
    let archive = home.join(format!("{name}.tar.gz"));
    tools::succeed(
        Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(home),
    )?;
    Ok(source)
}

pub(crate) fn count(cases: &[Case]) -> Outcome {
    let mut outcome = Outcome::default();
    for case in cases {
        outcome += match case.verdict {
            Verdict::Passed => Outcome::of_check(true),
            Verdict::Failed | Verdict::Error => Outcome::of_check(false),
            Verdict::Skipped => Outcome::skipped(),
        };
    }
    outcome
}

/// One row for each file, and a sum.
pub(crate) fn table(cases: &[Case], markdown: bool) -> String {
    let mut files: BTreeMap<&str, Vec<Case>> = BTreeMap::new();
    for case in cases {
        files.entry(case.file()).or_default().push(case.clone());
    }
    let mut text = String::new();
    let mut row = |name: &str, outcome: Outcome| {
        let Outcome { passed, failed, skipped } = outcome;
        let _ = if markdown {
            writeln!(text, "| {name} | {passed} | {failed} | {skipped} |")
        } else {
            writeln!(text, "{name:<42} {passed:>7} {failed:>7} {skipped:>8}")
        };
    };
    let heading = if markdown { "| file | passed | failed | skipped |\n|---|---|---|---|\n" } else { "" };
    for (name, cases) in &files {
        row(name, count(cases));
    }
    row("all", count(cases));
    let plain = format!("{:<42} {:>7} {:>7} {:>8}\n", "file", "passed", "failed", "skipped");
    format!("{}{text}", if markdown { heading } else { &plain })
}
