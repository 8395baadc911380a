//! `cargo xtask bench-developer`: whole processes of the developer's side beside their peers, in turns, in one run.
//!
//! A row is a piece of work and the programs that do it (`Work`). To add one: a function that makes its `Work`, and a line
//! in `run`.

use crate::instructions::{Scenario, of_project};
use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct Options {
    /// How often each program runs.
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// Our binary [default: a release build].
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// The same work, by several programs.
struct Work {
    name: &'static str,
    contenders: Vec<Contender>,
}

struct Contender {
    name: &'static str,
    command: Command,
    times: Vec<Duration>,
}

impl Contender {
    fn new(name: &'static str, mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self { name, command, times: Vec::new() }
    }

    fn quantile(&self, hundredths: usize) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) * hundredths / 100).copied().unwrap_or_default()
    }
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let home = tools::target().join("bench-developer");
    std::fs::create_dir_all(&home)?;
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize()?,
        None => tools::build(Profile::Release)?,
    };
    let project = tempfile::tempdir()?;
    let mut works = vec![dotenv_run(&home, &binary)?, project_run(project.path(), &binary)?];
    for work in &mut works {
        measure(work, options.rounds)?;
        print!("{}", table(work));
    }
    Ok(Outcome::of_check(true))
}

/// A program started with a `.env` of 100 names. The first contender is the program alone.
fn dotenv_run(home: &Path, binary: &Path) -> Result<Work> {
    let line = |n: usize| format!("KEY_{n}=\"value of ${{KEY_0}} {n}\" # a comment\n");
    let text = "KEY_0=start\n".to_owned() + &(1..100).map(line).collect::<String>();
    let file = home.join("hundred.env");
    std::fs::write(&file, &text)?;
    let bin = home.join("bin");
    tools::link_as(&bin, "dotenv", binary)?;
    let peers = tools::root().join("crates/xtask/dotenv-peer-requirements.txt");
    let python = tools::python_environment(&home.join("python-dotenv"), &peers, &["click==8.3.1"])?;
    let dotenv = |program: PathBuf| {
        let mut command = Command::new(program);
        command.arg("-f").arg(&file).args(["run", "--", "true"]);
        command
    };
    let mut native = Command::new(binary);
    native.args(["dotenv", "run", "-f"]).arg(&file).args(["--", "true"]);
    let mut contenders = vec![
        Contender::new("true alone", Command::new("true")),
        Contender::new("dotenv run (ours)", dotenv(bin.join("dotenv"))),
        Contender::new("strongroom dotenv run", native),
        Contender::new("dotenv run (python-dotenv)", dotenv(python.with_file_name("dotenv"))),
    ];
    contenders.extend(node_peers(&home.join("node"), &text)?);
    Ok(Work { name: "run -- true, a .env of 100 names", contenders })
}

const NODE_PEERS: [&str; 2] = ["@dotenvx/dotenvx@2.38.2", "varlock@1.20.0"];

/// dotenvx and varlock on the same text, where there is Node.
fn node_peers(home: &Path, text: &str) -> Result<Vec<Contender>> {
    let project = home.join("project");
    std::fs::create_dir_all(&project)?;
    std::fs::write(project.join(".env"), text)?;
    let install = ["install", "--silent", "--no-fund", "--no-audit", "--prefix"];
    let installed = Command::new("npm").args(install).arg(home).args(NODE_PEERS).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("skipped: dotenvx and varlock: npm did not install them");
        return Ok(Vec::new());
    }
    let peer = |name: &str| {
        let mut command = Command::new(home.join("node_modules/.bin").join(name));
        command.current_dir(&project).env("VARLOCK_TELEMETRY_DISABLED", "true").arg("run");
        command
    };
    let (mut dotenvx, mut varlock) = (peer("dotenvx"), peer("varlock"));
    dotenvx.args(["--quiet", "-f", ".env", "--", "true"]);
    varlock.args(["--", "true"]);
    Ok(vec![Contender::new("dotenvx run", dotenvx), Contender::new("varlock run", varlock)])
}

/// A program started by a manifest, with a `.env` of 100 names and a SOPS file of an age key.
fn project_run(folder: &Path, binary: &Path) -> Result<Work> {
    Scenario::RunWithEnvAndSops.prepare(binary, folder)?;
    let mut ours = Command::new(binary);
    of_project(ours.args(["run", "--", "true"]), folder);
    let contenders =
        vec![Contender::new("true alone", Command::new("true")), Contender::new("strongroom run", ours)];
    Ok(Work { name: "run -- true, manifest, .env and SOPS", contenders })
}

/// In turns, so that a busy moment hits all of them; the first round warms up.
fn measure(work: &mut Work, rounds: usize) -> Result<()> {
    for round in 0..=rounds {
        for contender in &mut work.contenders {
            let start = Instant::now();
            let status =
                contender.command.status().with_context(|| format!("starting {}", contender.name))?;
            let time = start.elapsed();
            if !status.success() {
                bail!("{}: {status}", contender.name);
            }
            if round > 0 {
                contender.times.push(time);
            }
        }
    }
    Ok(())
}

/// Milliseconds, and how much they are over the first contender's.
fn table(work: &Work) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let floor = work.contenders.first().map(|first| first.quantile(50)).unwrap_or_default();
    let mut text = format!("{:<36} {:>8} {:>8} {:>8} {:>8}\n", work.name, "min", "median", "p90", "over");
    for contender in &work.contenders {
        let median = contender.quantile(50);
        let _ = writeln!(
            text,
            "{:<36} {:>8.2} {:>8.2} {:>8.2} {:>8.2}",
            contender.name,
            milliseconds(contender.quantile(0)),
            milliseconds(median),
            milliseconds(contender.quantile(90)),
            milliseconds(median.saturating_sub(floor)),
        );
    }
    text
}
