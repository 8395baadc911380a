//! `cargo xtask rotation`: a Python service that asks PostgreSQL something all the time, with credentials that are rotated
//! (static roles and plans, one account and two that take turns), while the server is killed in every step and at random.
//! Not one of its queries may fail, and at no moment may neither the old nor the new credentials work.

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;
use strongroom_testkit::peers::{self, Kind, Peer};

#[derive(Args)]
pub(crate) struct Options {
    /// How often the password is changed, in each way. From 100 on the server is killed at each step's audit records, not only
    /// at the promotion's.
    #[arg(long, default_value_t = 100)]
    rotations: u32,
    /// How often the server is killed at a random moment of a rotation, in each way.
    #[arg(long, default_value_t = 40)]
    kills: u32,
    /// How often it is killed in each step, in each way.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Repeats a run's choices (not its timing).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run this program in place of our binary.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Which build of our binary to run.
    #[arg(long, value_enum, default_value = "debug")]
    profile: Profile,
}

impl Options {
    /// A short run against this binary.
    pub(crate) fn short(binary: &Path) -> Self {
        Self {
            rotations: 10,
            kills: 2,
            rounds: 1,
            seed: 1,
            binary: Some(binary.to_owned()),
            profile: Profile::Debug,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let home = tools::target().join("rotation");
    std::fs::create_dir_all(&home)?;
    let source = tools::root().join("crates/xtask/src/rotation");
    let python = tools::python_environment(&home.join("venv"), &source.join("requirements.txt"), &[])?;
    let Some(postgres) = Peer::start(Kind::Postgres) else {
        println!("PostgreSQL is not on this machine: rotation is not tried against it");
        return Ok(Outcome::default());
    };
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => tools::build(options.profile)?,
    };
    let status = Command::new(python)
        .arg(source.join("service.py"))
        .env("STRONGROOM", binary)
        .env("POSTGRES_PORT", postgres.port.to_string())
        .env("POSTGRES_PASSWORD", peers::PASSWORD)
        .env("ROTATIONS", options.rotations.to_string())
        .env("KILLS", options.kills.to_string())
        .env("ROUNDS", options.rounds.to_string())
        .env("SEED", options.seed.to_string())
        .status()
        .context("starting service.py")?;
    Ok(Outcome::of_check(status.success()))
}
