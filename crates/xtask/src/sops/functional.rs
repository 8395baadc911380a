//! sops' own functional tests (getsops/sops, `functional-tests`), with our persona as `./sops`.

use crate::http::Api;
use crate::outcome::Outcome;
use crate::server::{self, Recipe};
use crate::tools;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

pub(super) fn run(binary: &Path, checkout: &Path, home: &Path) -> Result<Outcome> {
    let source = checkout.join("functional-tests");
    ensure!(source.join("src/lib.rs").is_file(), "{} has no functional-tests", checkout.display());
    if !tools::installed("gpg") {
        println!("skipped: sops' functional tests: gpg is not installed");
        return Ok(Outcome::skipped());
    }
    let folder = home.join("functional-tests");
    let _ = std::fs::remove_dir_all(&folder);
    copy_folder(&source, &folder)?;
    tools::link_as(&folder, "sops", binary)?;
    let gnupg = home.join("functional-gnupg");
    let _ = std::fs::remove_dir_all(&gnupg);
    std::fs::create_dir_all(&gnupg)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&gnupg, std::fs::Permissions::from_mode(0o700))?;
    }
    let mut import = Command::new("gpg");
    import.env("GNUPGHOME", &gnupg).args(["--batch", "--quiet", "--import"]);
    import.arg(checkout.join("pgp/sops_functional_tests_key.asc"));
    // Keys that are there already, or whose owner's trust is unknown, are no mistake.
    let _ = import.status()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (_server, address, token) = runtime.block_on(vault(binary, home))?;
    let output = Command::new("cargo")
        .args(["test", "--quiet", "--", "--test-threads=2"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", home.join("functional-target"))
        .env("GNUPGHOME", &gnupg)
        .env("VAULT_ADDR", address)
        .env("VAULT_TOKEN", token)
        .env_remove("SOPS_AGE_RECIPIENTS")
        .stderr(Stdio::inherit())
        .output()
        .context("starting cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let mut outcome = Outcome::default();
    for line in text.lines() {
        outcome += crate::suite::counts(line).unwrap_or_default();
    }
    ensure!(outcome.passed + outcome.failed > 0, "the functional tests did not run: {}", output.status);
    Ok(outcome)
}

/// Our own server with the two engines that the tests publish to.
async fn vault(binary: &Path, home: &Path) -> Result<(server::Running, String, String)> {
    let folder = home.join("functional-server");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let recipe = Recipe::new(binary, &Recipe::default_config(), &folder)?;
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, "");
    server::wait_for_answer(&mut api, &mut running).await?;
    let keys = server::initialise(&mut api).await?;
    server::unseal(&mut api, &keys).await?;
    for (path, version) in [("secret", "2"), ("kv", "1")] {
        let body = json!({ "type": "kv", "options": { "version": version } });
        api.must("POST", &format!("sys/mounts/{path}"), Some(&body)).await?;
    }
    Ok((running, format!("http://127.0.0.1:{}", recipe.port), keys.root_token))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
