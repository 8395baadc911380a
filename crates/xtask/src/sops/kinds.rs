//! Files that go round with keys of every kind that can be had here: age's ssh keys, plugins and identities behind a
//! passphrase, AWS KMS (moto), Cloud KMS, and transit of our own server.

use super::rounds::{Rounds, WAYS, Who, check};
use crate::http::Api;
use crate::outcome::Outcome;
use crate::server::{self, Recipe};
use crate::tools;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// age's own programs. `age-plugin-batchpass` gives it a passphrase without a terminal.
const AGE: [&str; 2] = ["filippo.io/age/cmd/age@v1.3.1", "filippo.io/age/cmd/age-plugin-batchpass@v1.3.1"];
const FORMATS: [&str; 2] = ["yaml", "env"];

pub(super) fn run(ours: &Path, peer: &Path, home: &Path) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let fresh = |name: &str| Rounds::new(ours, peer, &home.join("kinds").join(name));
    for kind in ["ed25519", "rsa"] {
        outcome += or_skipped(kind, ssh(fresh(kind)?, kind));
    }
    outcome += or_skipped("plugins of age", plugin(fresh("plugin")?, home));
    outcome += or_skipped("passphrases of age", passphrase(&fresh("passphrase")?, home));
    outcome += or_skipped("AWS and Google", clouds(fresh("clouds")?, home));
    outcome += transit(fresh("transit")?, ours, home).unwrap_or_else(|error| check("transit", Err(error)));
    Ok(outcome)
}

/// What cannot be set up here is skipped, and said so.
fn or_skipped(name: &str, result: Result<Outcome>) -> Outcome {
    result.unwrap_or_else(|error| {
        println!("skipped: {name}: {error:#}");
        Outcome::skipped()
    })
}

/// The same rounds as with other keys, in a format that keeps structure and in one that flattens it.
fn all_ways(rounds: &Rounds, kind: &str, flags: &[&str]) -> Outcome {
    let mut outcome = Outcome::default();
    for format in FORMATS {
        for (name, writer, reader) in WAYS {
            let result = rounds.there_and_back(format, flags, writer, reader);
            outcome += check(&format!("{kind} {format}: {name}"), result);
        }
    }
    outcome
}

fn ssh(mut rounds: Rounds, kind: &str) -> Result<Outcome> {
    let file = rounds.folder.join("id");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "not-a-real-key", "-t", kind, "-f"])
        .arg(&file)
        .status();
    ensure!(made.context("ssh-keygen")?.success(), "ssh-keygen makes no {kind} key");
    let public = std::fs::read_to_string(file.with_extension("pub"))?;
    let recipient: Vec<_> = public.split_whitespace().take(2).collect();
    std::fs::write(rounds.folder.join("identity.txt"), "")?;
    rounds.variables.push(("SOPS_AGE_SSH_PRIVATE_KEY_FILE", file.into()));
    Ok(all_ways(&rounds, kind, &[&format!("--age={}", recipient.join(" "))]))
}

/// With a plugin over age's own implementation of the protocol.
fn plugin(mut rounds: Rounds, home: &Path) -> Result<Outcome> {
    ensure!(tools::installed("go"), "go is not installed");
    let source = tools::root().join("crates/xtask/src/sops/plugin");
    let folder = home.join("plugin");
    std::fs::create_dir_all(&folder)?;
    for file in ["main.go", "go.mod"] {
        std::fs::copy(source.join(file), folder.join(file))?;
    }
    let bin = home.join("go");
    let program = bin.join("age-plugin-roundtest");
    let mut go = Command::new("go");
    go.args(["build", "-mod=mod", "-o"]).arg(&program).arg(".").current_dir(&folder);
    tools::succeed(&mut go)?;
    let new = Command::new(&program).arg("new").output()?;
    let text = String::from_utf8(new.stdout)?;
    let (recipient, identity) = text.trim().split_once('\n').context("no keys of the plugin")?;
    std::fs::write(rounds.folder.join("identity.txt"), identity)?;
    rounds.variables.push(("PATH", tools::path_with(&bin)?));
    Ok(all_ways(&rounds, "plugin", &[&format!("--age={recipient}")]))
}

/// An identity that age itself has put behind a passphrase, which is typed at a terminal.
fn passphrase(rounds: &Rounds, home: &Path) -> Result<Outcome> {
    ensure!(tools::installed("go"), "go is not installed");
    ensure!(tools::installed("script"), "script (of util-linux) is not installed");
    let bin = home.join("go");
    for package in AGE {
        let mut go = Command::new("go");
        tools::succeed(go.args(["install", package]).env("GOBIN", &bin).env("GOFLAGS", "-mod=mod"))?;
    }
    let identity = rounds.folder.join("identity.txt");
    let locked = rounds.folder.join("locked.age");
    let mut age = Command::new(bin.join("age"));
    age.args(["--encrypt", "--armor", "-j", "batchpass", "--output"]).arg(&locked).arg(&identity);
    age.env("PATH", tools::path_with(&bin)?).env("AGE_PASSPHRASE", "not-a-real-passphrase");
    tools::succeed(age.env("AGE_PASSPHRASE_WORK_FACTOR", "10"))?;
    let flag = format!("--age={}", rounds.recipient());
    let encrypted = rounds.output(Who::Us, &["encrypt", &flag, "plain.env"])?;
    std::fs::write(rounds.folder.join("locked.env"), encrypted)?;
    std::fs::rename(&locked, &identity)?;
    let mut outcome = Outcome::default();
    for (typed, opens) in [("not-a-real-passphrase", true), ("another", false)] {
        let result = at_terminal(rounds, typed).and_then(|shown| {
            ensure!(shown.contains("PASSWORD=") == opens, "after {typed:?}: {shown}");
            ensure!(opens || shown.contains("the passphrase is wrong"), "it is not said why: {shown}");
            Ok(())
        });
        outcome += check(&format!("an identity behind a passphrase, {typed:?}"), result);
    }
    Ok(outcome)
}

/// Decrypts at a terminal of its own, where the passphrase is typed once it is asked for. Returns what was shown.
fn at_terminal(rounds: &Rounds, typed: &str) -> Result<String> {
    let ours = rounds.command(Who::UsSealing);
    let line = format!("'{}' sops decrypt locked.env", ours.get_program().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]);
    script.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script.current_dir(&rounds.folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = script.spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    let mut stdout = child.stdout.take().context("no standard output")?;
    let (mut shown, mut piece) = (Vec::new(), [0_u8; 1024]);
    let mut asked = false;
    loop {
        let count = stdout.read(&mut piece)?;
        if count == 0 {
            break;
        }
        shown.extend_from_slice(piece.get(..count).unwrap_or_default());
        if !asked && String::from_utf8_lossy(&shown).contains("passphrase for identity") {
            asked = true;
            stdin.write_all(format!("{typed}\n").as_bytes())?;
        }
    }
    child.wait()?;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    ensure!(asked, "no passphrase was asked for: {shown}");
    ensure!(!shown.contains(typed), "the passphrase was shown");
    Ok(shown)
}

/// moto and a Cloud KMS of the test, while it runs.
struct Clouds {
    child: Child,
    said: Value,
}

impl Clouds {
    fn start(home: &Path) -> Result<Self> {
        // The same environment as that of the providers' tests.
        let venv = tools::target().join("providers/venv");
        std::fs::create_dir_all(tools::target().join("providers"))?;
        let requirements = tools::root().join("crates/xtask/providers-requirements.txt");
        let python = tools::python_environment(&venv, &requirements, &[])?;
        let script = tools::root().join("crates/xtask/src/sops/clouds.py");
        let log = std::fs::File::create(home.join("clouds.log"))?;
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        let said = serde_json::from_str(&line).context("the servers did not start")?;
        Ok(Self { child, said })
    }

    fn text(&self, name: &str) -> &str {
        self.said.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Drop for Clouds {
    fn drop(&mut self) {
        // It ends with its standard input.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn clouds(mut rounds: Rounds, home: &Path) -> Result<Outcome> {
    let clouds = Clouds::start(home)?;
    std::fs::write(rounds.folder.join("identity.txt"), "")?;
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-real"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", clouds.text("aws")),
        ("SOPS_GCP_KMS_CLIENT_TYPE", "rest"),
        ("SOPS_GCP_KMS_ENDPOINT", clouds.text("google")),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "not-a-real-token"),
    ];
    rounds.variables.extend(variables.map(|(name, value)| (name, OsString::from(value))));
    let kms = format!("--kms={}", clouds.text("aws_key"));
    let with_role = format!("{kms}+arn:aws:iam::123456789012:role/not-a-real-role");
    let google = "--gcp-kms=projects/p/locations/global/keyRings/r/cryptoKeys/k";
    let mut outcome = all_ways(&rounds, "AWS KMS", &[&kms]);
    outcome += all_ways(&rounds, "AWS KMS with a context", &[&kms, "--encryption-context=app:shop,env:dev"]);
    outcome += all_ways(&rounds, "AWS KMS with a role", &[&with_role]);
    outcome += all_ways(&rounds, "Cloud KMS", &[google]);
    Ok(outcome)
}

/// Keys that our own server keeps.
fn transit(mut rounds: Rounds, ours: &Path, home: &Path) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (running, address, token) = runtime.block_on(server(ours, &home.join("transit")))?;
    std::fs::write(rounds.folder.join("identity.txt"), "")?;
    rounds.variables.push(("VAULT_TOKEN", token.into()));
    let flag = format!("--hc-vault-transit={address}/v1/team/transit/keys/sops");
    let mut outcome = all_ways(&rounds, "transit", &[&flag]);
    let audit = home.join("transit/audit.log");
    outcome += check("transit: one unwrap for many copies", one_unwrap(&rounds, &flag, &audit));
    running.kill()?;
    Ok(outcome)
}

/// Files with one data key between them get a new recipient: the server is asked for that data key once.
fn one_unwrap(rounds: &Rounds, flag: &str, audit: &Path) -> Result<()> {
    const COPIES: usize = 100;
    let folder = rounds.folder.join("copies");
    std::fs::create_dir_all(&folder)?;
    let encrypted = rounds.output(Who::UsSealing, &["encrypt", flag, "plain.yaml"])?;
    for number in 0..COPIES {
        std::fs::write(folder.join(format!("{number}.yaml")), &encrypted)?;
    }
    let (_, uri) = flag.split_once('=').context("a flag without a value")?;
    let recipient = rounds.recipient();
    let rules = format!("creation_rules:\n  - hc_vault_transit_uri: {uri}\n    age: {recipient}\n");
    std::fs::write(folder.join(".sops.yaml"), rules)?;
    let unwraps = || -> Result<usize> {
        let records = std::fs::read_to_string(audit)?;
        let answered =
            |line: &&str| line.contains(r#""type":"response""#) && line.contains("transit/decrypt/");
        Ok(records.lines().filter(answered).count())
    };
    let before = unwraps()?;
    rounds.output(Who::UsSealing, &["updatekeys", "--yes", "copies"])?;
    let asked = unwraps()? - before;
    ensure!(asked == 1, "{COPIES} files with one data key took {asked} unwraps");
    for number in 0..COPIES {
        let updated = std::fs::read_to_string(folder.join(format!("{number}.yaml")))?;
        ensure!(updated.contains(recipient), "file {number} has no new recipient");
    }
    Ok(())
}

async fn server(ours: &Path, folder: &Path) -> Result<(server::Running, String, String)> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder)?;
    let recipe = Recipe::new(ours, &Recipe::default_config(), folder)?;
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, "");
    server::wait_for_answer(&mut api, &mut running).await?;
    let keys = server::initialise(&mut api).await?;
    server::unseal(&mut api, &keys).await?;
    api.must("POST", "sys/mounts/team/transit", Some(&json!({ "type": "transit" }))).await?;
    api.must("POST", "team/transit/keys/sops", Some(&json!({}))).await?;
    let audit = json!({ "type": "file", "options": { "file_path": folder.join("audit.log") } });
    api.must("PUT", "sys/audit/file", Some(&audit)).await?;
    Ok((running, format!("http://127.0.0.1:{}", recipe.port), keys.root_token))
}
