//! `cargo xtask dotenv`: the `.env` dialects against those who know.
//!
//! python-dotenv's source distribution holds its tests. They import a package named `dotenv`: here one of our own
//! (`dotenv/shim`), which asks our library and our binary under the name `dotenv`. Then seeded texts are read by our
//! dialects and by the peers themselves: python-dotenv from PyPI, and npm's dotenv where node is installed.

mod compare;

use crate::outcome::Outcome;
use crate::pytest::{self, Case, Expected};
use crate::tools::{self, Profile};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release whose tests are run.
const VERSION: &str = "1.2.2";

#[derive(Args, Default)]
pub(crate) struct Options {
    /// How many texts are compared with each peer [default: 3000].
    #[arg(long)]
    texts: Option<usize>,
    /// The seed of the texts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Passed on to pytest. A partial run reports only what it ran.
    #[arg(last = true)]
    pytest: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let home = tools::target().join("dotenv");
    std::fs::create_dir_all(&home)?;
    let binary = tools::build(Profile::Debug)?;
    let library = build_library()?;
    let cases = run_suite(&home, &binary, &library, &options.pytest)?;
    print!("{}", pytest::table(&cases, false));
    let expected = Expected::read(&tools::root().join("crates/xtask/dotenv-expected.txt"))?;
    let comparison = expected.compare(&cases, options.pytest.is_empty());
    for surprise in &comparison.surprises {
        println!("{surprise}");
    }
    println!(
        "python-dotenv {VERSION}: {} ({} cases do not pass, as listed)",
        comparison.outcome, comparison.expected
    );
    let mut outcome = comparison.outcome;
    outcome += compare::run(&home, &library, options.texts.unwrap_or(3000), options.seed)?;
    Ok(outcome)
}

/// The library as a process (`crates/project/examples/dotenv_library.rs`).
fn build_library() -> Result<PathBuf> {
    tools::build_debug(&["--package", "strongroom-project", "--example", "dotenv_library"])?;
    Ok(tools::target().join("debug/examples/dotenv_library"))
}

fn run_suite(home: &Path, binary: &Path, library: &Path, pytest: &[String]) -> Result<Vec<Case>> {
    let requirements = tools::root().join("crates/xtask/dotenv-requirements.txt");
    let python = tools::python_environment(&home.join("venv"), &requirements, &[])?;
    let source = pytest::unpack(home, &python, "python-dotenv", VERSION)?;
    let bin = home.join("bin");
    tools::link_as(&bin, "dotenv", binary)?;
    let results = home.join("results.xml");
    let _ = std::fs::remove_file(&results);
    let mut command = Command::new(&python);
    command.args(["-m", "pytest", "--quiet", "--no-header", "--tb=line", "--disable-warnings"]);
    command.args(["-p", "no:cacheprovider", "--override-ini=addopts=", "--override-ini=pythonpath="]);
    command.arg(format!("--junitxml={}", results.display()));
    command.args(pytest).arg("tests").current_dir(&source);
    command.env("PYTHONPATH", tools::root().join("crates/xtask/src/dotenv/shim"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("STRONGROOM_DOTENV_LIBRARY", library).env("PATH", tools::path_with(&bin)?);
    // Its exit status says only that some case failed; the results say which.
    command.status().context("starting pytest")?;
    pytest::results(&results)
}
