//! `cargo xtask interop`: what the engines make, checked by somebody else's programs, and the other way round. The Python scripts
//! beside this file talk to a server of ours, to the package `cryptography`, to Authlib, to OpenSSH and to certbot.

use crate::http::Api;
use crate::outcome::Outcome;
use crate::server::{self, Recipe};
use crate::tools;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) fn run(binary: &Path) -> Result<Outcome> {
    let home = tools::target().join("interop");
    std::fs::create_dir_all(&home)?;
    let source = tools::root().join("crates/xtask/src/interop");
    let python = tools::python_environment(&home.join("venv"), &source.join("requirements.txt"), &[])?;
    if !Path::new("/usr/sbin/sshd").exists() {
        tools::install_from_debian(&["openssh-server", "openssh-client"]);
    }
    let folder = tempfile::tempdir()?;
    let recipe = Recipe::new(binary, &Recipe::default_config(), folder.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(check(&recipe, &python, &source))
}

/// What speaks to the server, one after another.
const SCRIPTS: [&str; 4] = ["check.py", "ssh.py", "oidc_client.py", "acme_clients.py"];

async fn check(recipe: &Recipe, python: &PathBuf, source: &Path) -> Result<Outcome> {
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, "");
    server::wait_for_answer(&mut api, &mut running).await.with_context(|| recipe.log_end())?;
    let keys = server::initialise(&mut api).await?;
    server::unseal(&mut api, &keys).await?;
    let mut outcome = Outcome::default();
    for script in SCRIPTS {
        let status = Command::new(python)
            .arg(source.join(script))
            .env("VAULT_ADDR", format!("http://127.0.0.1:{}", recipe.port))
            .env("VAULT_TOKEN", &keys.root_token)
            .status()
            .with_context(|| format!("starting {script}"))?;
        outcome += Outcome::of_check(status.success());
    }
    running.kill()?;
    Ok(outcome)
}
