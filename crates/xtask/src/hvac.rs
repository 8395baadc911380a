//! `cargo xtask hvac`: the integration tests of hvac, the Python client of Vault, against our binary.
//!
//! hvac's source distribution holds its tests. They start a server by the name `vault` from PATH, a fresh one for each
//! class, over TLS. Cases that do not pass are listed with their reasons in a committed file; a case that fails and
//! is not listed, and a case that is listed and passes, both fail the run.

mod expected;
mod junit;

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result};
use clap::Args;
use expected::Expected;
use junit::{Case, Verdict};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const VERSION: &str = "2.4.0";

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Compare with this list of cases that do not pass [default: crates/xtask/hvac-expected.txt].
    #[arg(long)]
    expect: Option<PathBuf>,
    /// Compare with nothing: only count.
    #[arg(long, conflicts_with = "expect")]
    no_expect: bool,
    /// Print the table in Markdown.
    #[arg(long)]
    markdown: bool,
    /// Run this program under the name `vault` in place of our binary.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Which build of our binary to run.
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Passed on to pytest: paths below tests/, -k and so on. A partial run reports only what it ran.
    #[arg(last = true)]
    pytest: Vec<String>,
}

impl Options {
    /// A full run against this binary.
    pub(crate) fn of_binary(binary: PathBuf) -> Self {
        Self { binary: Some(binary), ..Self::default() }
    }
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => tools::build(options.profile.unwrap_or(Profile::Debug))?,
    };
    let cases = run_suite(&binary, &options.pytest)?;
    print!("{}", table(&cases, options.markdown));
    if options.no_expect {
        return Ok(count(&cases));
    }
    let list = options.expect.clone().unwrap_or_else(|| tools::root().join("crates/xtask/hvac-expected.txt"));
    let expected = Expected::read(&list)?;
    let complete = options.pytest.is_empty();
    let comparison = expected.compare(&cases, complete);
    for surprise in &comparison.surprises {
        println!("{surprise}");
    }
    println!("hvac {VERSION}: {} ({} cases do not pass, as listed)", comparison.outcome, comparison.expected);
    Ok(comparison.outcome)
}

/// Installs what the suite needs, runs it and reads its results.
fn run_suite(binary: &Path, pytest: &[String]) -> Result<Vec<Case>> {
    let home = tools::target().join("hvac");
    std::fs::create_dir_all(&home)?;
    let java = tools::installed("java");
    if !java {
        println!("skipped: the LDAP cases, whose directory server needs java in PATH");
    }
    let more: &[&str] = if java { &["python-ldap-test==0.3.1"] } else { &[] };
    let requirements = tools::root().join("crates/xtask/hvac-requirements.txt");
    let python = tools::python_environment(&home.join("venv"), &requirements, more)?;
    let source = unpack(&home, &python)?;
    let bin = home.join("bin");
    link_as_vault(&bin, binary)?;
    let results = home.join("results.xml");
    let _ = std::fs::remove_file(&results);
    let mut command = Command::new(&python);
    command.args(["-m", "pytest", "--quiet", "--no-header", "--tb=line", "--disable-warnings"]);
    command.args([
        "-p",
        "no:cacheprovider",
        "--numprocesses=2",
        "--dist=loadfile",
        "--override-ini=addopts=",
    ]);
    command.arg(format!("--junitxml={}", results.display()));
    let chooses = pytest.iter().any(|argument| argument.starts_with("tests/"));
    command.args(pytest).args((!chooses).then_some("tests/integration_tests"));
    command.current_dir(&source).env("PATH", tools::path_with(&bin)?).env_remove("VAULT_TOKEN");
    // Its exit status says only that some case failed; the results say which.
    command.status().context("starting pytest")?;
    let text = std::fs::read_to_string(&results).context("pytest wrote no results")?;
    junit::read(&text)
}

/// Fetches and unpacks the source distribution once; answers its folder.
fn unpack(home: &Path, python: &Path) -> Result<PathBuf> {
    let source = home.join(format!("hvac-{VERSION}"));
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
    pip.arg(format!("hvac=={VERSION}")).arg("--dest").arg(home);
    tools::succeed_in_three(&mut pip)?;
    let archive = home.join(format!("hvac-{VERSION}.tar.gz"));
    tools::succeed(
        Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(home),
    )?;
    // The tests run against the package that pip installed: the copy beside them would hide it.
    std::fs::remove_dir_all(source.join("hvac"))?;
    Ok(source)
}

fn link_as_vault(bin: &Path, binary: &Path) -> Result<()> {
    std::fs::create_dir_all(bin)?;
    let link = bin.join("vault");
    let _ = std::fs::remove_file(&link);
    let binary = binary.canonicalize().with_context(|| binary.display().to_string())?;
    Ok(std::os::unix::fs::symlink(binary, link)?)
}

fn count(cases: &[Case]) -> Outcome {
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
fn table(cases: &[Case], markdown: bool) -> String {
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
