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
/// Its client certificate ended on 2026-11-18.
const EXPIRED: &str = "tests/integration_tests/api/auth_methods/test_cert.py";
const BEFORE_ITS_END: &str = "2026-11-01 00:00:00";

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
    let suite = Suite { python, source, home };
    let shifted = shifted_clock(&suite.home, &bin)?;
    let chooses = pytest.iter().any(|argument| argument.starts_with("tests/"));
    let is_expired = |argument: &String| argument.starts_with(EXPIRED);
    if chooses && pytest.iter().any(is_expired) {
        return suite.run(shifted.as_deref().unwrap_or(&bin), pytest);
    }
    let mut arguments = pytest.to_vec();
    if !chooses {
        arguments.extend(["tests/integration_tests".to_owned(), format!("--ignore={EXPIRED}")]);
    }
    let mut cases = suite.run(&bin, &arguments)?;
    if !chooses {
        match shifted {
            Some(bin) => cases.extend(suite.run(&bin, &[pytest, &[EXPIRED.to_owned()]].concat())?),
            None => println!("skipped: the cases of {EXPIRED}, which need libfaketime"),
        }
    }
    Ok(cases)
}

/// The suite, ready to run.
struct Suite {
    python: PathBuf,
    source: PathBuf,
    home: PathBuf,
}

impl Suite {
    /// Runs pytest once, with the `vault` of this folder.
    fn run(&self, bin: &Path, arguments: &[String]) -> Result<Vec<Case>> {
        let results = self.home.join("results.xml");
        let _ = std::fs::remove_file(&results);
        let mut command = Command::new(&self.python);
        command.args(["-m", "pytest", "--quiet", "--no-header", "--tb=line", "--disable-warnings"]);
        command.args([
            "-p",
            "no:cacheprovider",
            "--numprocesses=2",
            "--dist=loadfile",
            "--override-ini=addopts=",
        ]);
        command.arg(format!("--junitxml={}", results.display())).args(arguments);
        command.current_dir(&self.source).env("PATH", tools::path_with(bin)?).env_remove("VAULT_TOKEN");
        // Its exit status says only that some case failed; the results say which.
        command.status().context("starting pytest")?;
        pytest::results(&results)
    }
}

/// A folder with a `vault` whose clock stands before the end of the suite's client certificate, where libfaketime is
/// installed. It runs the link by that name, for the name is what makes it speak so. The client's clock is the real one: it does not look at its own certificate.
fn shifted_clock(home: &Path, bin_with_name: &Path) -> Result<Option<PathBuf>> {
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .iter()
        .map(|architecture| format!("/usr/lib/{architecture}/faketime/libfaketime.so.1"))
        .find(|path| Path::new(path).exists());
    let Some(library) = library else { return Ok(None) };
    let bin = home.join("bin-shifted");
    std::fs::create_dir_all(&bin)?;
    let script = format!(
        "#!/bin/sh\nLD_PRELOAD={library} FAKETIME='@{BEFORE_ITS_END}' FAKETIME_DONT_FAKE_MONOTONIC=1 exec {} \"$@\"\n",
        bin_with_name.join("vault").display()
    );
    let path = bin.join("vault");
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(Some(bin))
}
