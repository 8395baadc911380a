//! `cargo xtask sops`: files go round between our persona and the sops binary, and sops' own functional tests run with our
//! persona in its place.

mod functional;
mod kinds;
mod rounds;
mod shapes;

use crate::outcome::Outcome;
use crate::tools::{self, Profile};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that files go round with.
const PEER: &str = "github.com/getsops/sops/v3/cmd/sops@v3.13.3";

#[derive(Args, Default)]
pub(crate) struct Options {
    /// The sops binary; without it, the one in PATH, or one built with Go.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// A checkout of getsops/sops, for its functional tests; SOPS_CHECKOUT names one too.
    #[arg(long)]
    checkout: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let home = tools::target().join("sops");
    std::fs::create_dir_all(&home)?;
    let binary = tools::build(Profile::Debug)?;
    let bin = home.join("bin");
    tools::link_as(&bin, "sops", &binary)?;
    let mut outcome = match peer(options, &home) {
        Ok(peer) => {
            let mut outcome = rounds::run(&binary, &peer, &home)?;
            outcome += shapes::run(&binary, &peer, &home)?;
            outcome += kinds::run(&binary, &peer, &home)?;
            outcome
        }
        Err(error) => {
            println!("skipped: files that go round with sops: {error:#}");
            Outcome::skipped()
        }
    };
    let checkout = options.checkout.clone().or_else(|| std::env::var_os("SOPS_CHECKOUT").map(PathBuf::from));
    outcome += match checkout {
        Some(checkout) => functional::run(&binary, &checkout, &home)?,
        None => {
            println!(
                "skipped: sops' functional tests: --checkout or SOPS_CHECKOUT names a checkout of getsops/sops"
            );
            Outcome::skipped()
        }
    };
    println!("{outcome}");
    Ok(outcome)
}

/// The sops binary, found or built.
fn peer(options: &Options, home: &Path) -> Result<PathBuf> {
    if let Some(peer) = &options.peer {
        return Ok(peer.clone());
    }
    let built = home.join("go/sops");
    if built.is_file() {
        return Ok(built);
    }
    if tools::installed("sops") {
        return Ok(PathBuf::from("sops"));
    }
    if !tools::installed("go") {
        bail!("neither sops nor go is installed");
    }
    println!("building {PEER}");
    let mut go = Command::new("go");
    go.args(["install", PEER]).env("GOBIN", home.join("go")).env("GOFLAGS", "-mod=mod");
    tools::succeed(&mut go).context("go install")?;
    Ok(built)
}
