//! `run` counted in instructions: a budget that does not depend on how busy the machine is.
//!
//! valgrind's callgrind counts what the program does up to its `execve`, over a project with a manifest and 100 values in
//! `.env`. More than two per cent above the budget fails.

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Instructions of a release build, by scenario; 0 until one has been taken. Change one in the commit that means to, and say there why.
const BUDGETS: [(&str, u64); 2] = [("run with 100 values in .env", 0), ("version", 0)];
const SLACK_PERCENT: u64 = 2;

pub(crate) fn run() -> Result<Outcome> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: instruction counts: there is no valgrind here (Debian: valgrind)");
        return Ok(Outcome::skipped());
    }
    let binary = tools::build(Profile::Release)?;
    let folder = tempfile::tempdir()?;
    project(folder.path())?;
    let mut outcome = Outcome::default();
    for (scenario, budget) in BUDGETS {
        // A program that is not there: all is done up to the execve, and valgrind sees the end.
        let words: &[&str] = if scenario == "version" { &["version"] } else { &["run", "--", "./not-there"] };
        let counted = count(&binary, words, folder.path())?;
        if budget == 0 {
            println!("skipped: {scenario}: {counted} instructions, and no budget is set yet");
            outcome += Outcome::skipped();
            continue;
        }
        let fits = counted <= budget + budget * SLACK_PERCENT / 100;
        println!(
            "{scenario}: {counted} instructions, budget {budget}{}",
            if fits { "" } else { ": TOO MANY" }
        );
        outcome += Outcome::of_check(fits);
    }
    Ok(outcome)
}

fn project(folder: &Path) -> Result<()> {
    let mut manifest = String::from("version = 1\nproject = \"shop\"\n[secret]\n");
    let mut values = String::new();
    for number in 0..100 {
        writeln!(manifest, "NAME_{number} = \"string\"")?;
        writeln!(values, "NAME_{number}=value-{number}-not-a-real-secret")?;
    }
    std::fs::write(folder.join("strongroom.toml"), manifest)?;
    std::fs::write(folder.join(".env"), values)?;
    Ok(())
}

/// The instructions of the program itself, without those of the program that it becomes.
fn count(binary: &Path, words: &[&str], folder: &Path) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=no"])
        .arg(binary)
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !matches!(output.status.code(), Some(0 | 127)) {
        bail!("{words:?}: {}\n{said}", output.status);
    }
    let line = said.lines().find(|line| line.contains("Collected :")).context("valgrind says no count")?;
    let number = line.rsplit(':').next().unwrap_or_default().trim();
    number.parse().with_context(|| format!("{number:?} is no count"))
}
