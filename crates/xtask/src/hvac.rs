//! `cargo xtask hvac`: the integration tests of hvac, the Python client of Vault, against our binary.
//!
//! hvac's source distribution holds its tests. They start a server by the name `vault` from PATH, a fresh one for each
//! class, over TLS. Cases that do not pass are listed with their reasons in a committed file; a case that fails and
//! is not listed, and a case that is listed and passes, both fail the run.

use crate::outcome::Outcome;
use crate::pytest::{self, Case, Expected};
use crate::tools::{self, Profile};
use anyhow::{Context, Result};
use clap::Args;
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
    print!("{}", pytest::table(&cases, options.markdown));
    if options.no_expect {
        return Ok(pytest::count(&cases));
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
    let source = pytest::unpack(&home, &python, "hvac", VERSION)?;
    let own_copy = source.join("hvac");
    if own_copy.is_dir() {
        // The tests run against the package that pip installed: the copy beside them would hide it.
        std::fs::remove_dir_all(own_copy)?;
    }
    let bin = home.join("bin");
    tools::link_as(&bin, "vault", binary)?;
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
    pytest::results(&results)
}
