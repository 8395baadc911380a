//! `run` counted in instructions: a budget that does not depend on how busy the machine is.
//!
//! valgrind's callgrind counts what the program does up to its `execve`, over a project with a manifest and 100 values in
//! `.env`, alone and with a SOPS file of an age key. More than two per cent above the budget fails.

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// What is counted, and how many instructions of a release build it may take. Change one in the commit that means to, and
/// say there why.
const BUDGETS: [(Scenario, u64); 3] = [
    (Scenario::Version, 1_650_000),
    (Scenario::RunWithEnv, 4_580_000),
    (Scenario::RunWithEnvAndSops, 6_135_000),
];
const SLACK_PERCENT: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Version,
    RunWithEnv,
    RunWithEnvAndSops,
}

impl Scenario {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Version => &["version"],
            // A program that is not there: all is done up to the execve, and valgrind sees the end.
            Self::RunWithEnv | Self::RunWithEnvAndSops => &["run", "--", "./not-there"],
        }
    }

    /// A project in an empty folder.
    pub(crate) fn prepare(self, binary: &Path, folder: &Path) -> Result<()> {
        let with_sops = self == Self::RunWithEnvAndSops;
        let order = if with_sops { r#""dotenv", "repo""# } else { r#""dotenv""# };
        let mut manifest =
            format!("version = 1\nproject = \"shop\"\n[env]\ndefault = {{ order = [{order}] }}\n");
        if with_sops {
            manifest.push_str("[provider]\nrepo = { type = \"sops\", path = \"values.enc.yaml\" }\n");
        }
        manifest.push_str("[secret]\n");
        let mut values = String::new();
        for number in 0..100 {
            writeln!(manifest, "NAME_{number} = \"string\"")?;
            writeln!(values, "NAME_{number}=value-{number}-not-a-real-secret")?;
        }
        if with_sops {
            manifest.push_str("ENCRYPTED = \"string\"\n");
            encrypted_file(binary, folder)?;
        }
        std::fs::write(folder.join("strongroom.toml"), manifest)?;
        std::fs::write(folder.join(".env"), values)?;
        Ok(())
    }
}

pub(crate) fn run() -> Result<Outcome> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: instruction counts: there is no valgrind here (Debian: valgrind)");
        return Ok(Outcome::skipped());
    }
    let binary = tools::build(Profile::Release)?;
    let mut outcome = Outcome::default();
    for (scenario, budget) in BUDGETS {
        let folder = tempfile::tempdir()?;
        scenario.prepare(&binary, folder.path())?;
        let counted = count(&binary, scenario.words(), folder.path())?;
        let fits = counted <= budget + budget * SLACK_PERCENT / 100;
        let verdict = if fits { "" } else { ": TOO MANY" };
        println!("{scenario:?}: {counted} instructions, budget {budget}{verdict}");
        outcome += Outcome::of_check(fits);
    }
    Ok(outcome)
}

/// A SOPS file, and the age key that opens it where the program looks for it.
fn encrypted_file(binary: &Path, folder: &Path) -> Result<()> {
    let sops = |words: &[&str]| -> Result<String> {
        let output = of_project(Command::new(binary).args(words), folder).output()?;
        if !output.status.success() {
            bail!("{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let recipient = sops(&["sops", "keygen"])?;
    std::fs::write(folder.join("values.enc.yaml"), "ENCRYPTED: not-a-real-secret\n")?;
    sops(&["sops", "encrypt", "--age", recipient.trim(), "--in-place", "values.enc.yaml"])?;
    Ok(())
}

pub(crate) fn of_project<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder)
}

/// The instructions of the program itself, without those of the program that it becomes.
fn count(binary: &Path, words: &[&str], folder: &Path) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=no"]);
    let output = of_project(valgrind.arg(binary).args(words), folder).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !matches!(output.status.code(), Some(0 | 127)) {
        bail!("{words:?}: {}\n{said}", output.status);
    }
    let line = said.lines().find(|line| line.contains("Collected :")).context("valgrind says no count")?;
    let number = line.rsplit(':').next().unwrap_or_default().trim();
    number.parse().with_context(|| format!("{number:?} is no count"))
}
