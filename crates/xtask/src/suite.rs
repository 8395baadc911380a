//! `cargo xtask test`: everything a change must pass, with one summary at the end.

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use crate::{crash, database, dotenv, hvac, instructions, interop, purge, rotation, sops, tidy};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(Args)]
pub(crate) struct Options {
    /// Which parts to run; all of them if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Passed on to `cargo test` of the part `rust`.
    #[arg(last = true)]
    cargo_test: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Unit and integration tests of the workspace.
    Rust,
    /// House rules.
    Tidy,
    /// Tests of the Python package.
    Python,
    /// Programs that use hvac, and prompts at a terminal, against our binary.
    Clients,
    /// hvac's integration tests against our binary.
    Hvac,
    /// python-dotenv's tests against our library and persona, and comparisons with other readers of .env files.
    Dotenv,
    /// Files that go round with sops, and its functional tests.
    Sops,
    /// Ciphertexts, signatures and certificates against Python's cryptography package.
    Interop,
    /// The providers for AWS against moto's server.
    Providers,
    /// What we write for shells and other tools, read by them.
    Readers,
    /// Accounts in PostgreSQL, MariaDB and Redis, with a short loop of kills, and a service whose password changes.
    Database,
    /// A short crash loop and a full disk.
    Crash,
    /// A history with all the odd things, purged by us and by git-filter-repo.
    Purge,
    /// A service whose PostgreSQL password is rotated, short.
    Rotation,
    /// What starting a program costs, in instructions.
    Instructions,
}

const ALL: [Part; 15] = [
    Part::Tidy,
    Part::Rust,
    Part::Python,
    Part::Clients,
    Part::Dotenv,
    Part::Sops,
    Part::Providers,
    Part::Readers,
    Part::Hvac,
    Part::Interop,
    Part::Database,
    Part::Crash,
    Part::Purge,
    Part::Rotation,
    Part::Instructions,
];

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let parts = if options.parts.is_empty() { ALL.to_vec() } else { options.parts.clone() };
    let mut total = Outcome::default();
    let mut lines = Vec::new();
    for part in parts {
        println!("=== {part:?}");
        let start = Instant::now();
        let outcome = run_part(part, options).unwrap_or_else(|error| {
            println!("error: {error:#}");
            Outcome::of_check(false)
        });
        lines.push(format!("{:<9} {outcome}, {} s", format!("{part:?}"), start.elapsed().as_secs()));
        total += outcome;
    }
    println!("=== Summary");
    for line in lines {
        println!("{line}");
    }
    println!("{total}");
    Ok(total)
}

fn run_part(part: Part, options: &Options) -> Result<Outcome> {
    match part {
        Part::Rust => cargo_test(&options.cargo_test),
        Part::Tidy => tidy::run(),
        Part::Python => python(),
        Part::Clients => with_binary(clients),
        Part::Dotenv => dotenv::run(&dotenv::Options::default()),
        Part::Sops => sops::run(&sops::Options::default()),
        Part::Providers => providers(),
        Part::Readers => readers(),
        Part::Hvac => with_binary(|binary| hvac::run(&hvac::Options::of_binary(binary.to_owned()))),
        Part::Interop => with_binary(interop::run),
        Part::Database => databases(),
        Part::Instructions => instructions::run(),
        Part::Purge => purge::run(&purge::Options::default()),
        Part::Rotation => with_binary(|binary| rotation::run(&rotation::Options::short(binary))),
        Part::Crash => with_binary(|binary| {
            let mut outcome = crash::run(&crash::Options::short(binary.to_owned(), false))?;
            outcome += crash::run(&crash::Options::short(binary.to_owned(), true))?;
            Ok(outcome)
        }),
    }
}

/// The tests with real databases, which the part `rust` runs as well where it finds them; here they have to be there.
fn databases() -> Result<Outcome> {
    let mut outcome = database::run(&database::Options::short())?;
    let mut command = test_alone("database");
    if outcome.skipped == 0 {
        command.env("STRONGROOM_TEST_PEERS", "required");
    }
    outcome += run_cargo_test(&mut command)?;
    Ok(outcome)
}

/// Runs what needs our binary.
fn with_binary(run: impl FnOnce(&Path) -> Result<Outcome>) -> Result<Outcome> {
    run(&tools::build(Profile::Debug)?)
}

/// Runs the workspace's tests and adds up the counts that the test programs print.
fn cargo_test(arguments: &[String]) -> Result<Outcome> {
    let mut command = Command::new("cargo");
    command.args(["test", "--workspace", "--no-fail-fast"]).args(arguments);
    let outcome = run_cargo_test(&mut command)?;
    tools::tests_are_built();
    Ok(outcome)
}

/// One file of tests, with the features that the whole workspace has: see `tools::tests_are_built`.
fn test_alone(name: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--workspace", "--test", name]);
    command
}

fn run_cargo_test(command: &mut Command) -> Result<Outcome> {
    command.current_dir(tools::root()).stdout(Stdio::piped());
    let mut child = command.spawn().context("starting cargo")?;
    let mut outcome = Outcome::default();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        match counts(&line) {
            Some(of_program) => outcome += of_program,
            None if line.ends_with("... ok") || line.trim().is_empty() || line.starts_with("running ") => {}
            None => println!("{line}"),
        }
    }
    let status = child.wait()?;
    if !status.success() && outcome.failed == 0 {
        bail!("cargo test: {status}");
    }
    println!("{outcome}");
    Ok(outcome)
}

/// The counts in libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
pub(crate) fn counts(line: &str) -> Option<Outcome> {
    let (_, rest) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |name: &str| -> Option<u64> {
        rest.split("; ").find_map(|part| part.strip_suffix(name)?.trim().parse().ok())
    };
    Some(Outcome { passed: number("passed")?, failed: number("failed")?, skipped: number("ignored")? })
}

fn python() -> Result<Outcome> {
    let folder = tools::root().join("crates/python");
    if !folder.join("tests").is_dir() {
        println!("skipped: there is no Python package yet");
        return Ok(Outcome::skipped());
    }
    let home = tools::target().join("python");
    std::fs::create_dir_all(&home)?;
    let environment =
        tools::python_environment(&home.join("venv"), &folder.join("test-requirements.txt"), &[])?;
    let status = Command::new(environment).args(["-m", "pytest", "--quiet"]).current_dir(&folder).status()?;
    Ok(Outcome::of_check(status.success()))
}

/// Runs the tests of `crates/xtask/python` against our binary.
fn clients(binary: &Path) -> Result<Outcome> {
    let folder = tools::root().join("crates/xtask/python");
    let home = tools::target().join("clients");
    std::fs::create_dir_all(&home)?;
    let environment = tools::python_environment(&home.join("venv"), &folder.join("requirements.txt"), &[])?;
    // Where it cannot be installed, the tests with a real directory say that they were skipped.
    tools::install_from_debian(&["slapd"]);
    let status = Command::new(environment)
        .args(["-m", "pytest", "--quiet", "-rs", "-p", "no:cacheprovider"])
        .current_dir(&folder)
        .env("STRONGROOM_BINARY", binary)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()?;
    Ok(Outcome::of_check(status.success()))
}

/// Installs moto, an independent AWS, and runs the tests that wait for it.
fn providers() -> Result<Outcome> {
    let home = tools::target().join("providers");
    std::fs::create_dir_all(&home)?;
    let requirements = tools::root().join("crates/xtask/providers-requirements.txt");
    let python = match tools::python_environment(&home.join("venv"), &requirements, &[]) {
        Ok(python) => python,
        Err(error) => {
            println!("skipped: moto cannot be installed: {error:#}");
            return Ok(Outcome::skipped());
        }
    };
    let mut command = test_alone("moto");
    run_cargo_test(command.args(["--", "--ignored"]).env("STRONGROOM_TEST_PYTHON", python))
}

/// Installs other shells and readers in Python, and runs the tests that wait for them. A test says which of them is missing.
fn readers() -> Result<Outcome> {
    tools::install_from_debian(&["dash", "zsh", "fish"]);
    let home = tools::target().join("readers");
    std::fs::create_dir_all(&home)?;
    let requirements = tools::root().join("crates/xtask/readers-requirements.txt");
    let python = match tools::python_environment(&home.join("venv"), &requirements, &[]) {
        Ok(python) => python,
        Err(error) => {
            println!("skipped: the readers in Python cannot be installed: {error:#}");
            return Ok(Outcome::skipped());
        }
    };
    let mut command = test_alone("readers");
    run_cargo_test(command.args(["--", "--ignored", "--nocapture"]).env("STRONGROOM_TEST_PYTHON", python))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_test_program() {
        let line = "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.20s";
        assert_eq!(counts(line), Some(Outcome { passed: 10, failed: 2, skipped: 1 }));
        assert_eq!(counts("test a ... ok"), None);
    }
}
