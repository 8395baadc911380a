//! A full disk must cost no data and need no help: writes fail with a clear answer, reads go on, and once there is
//! room again writes do too.

use super::ledger::Ledger;
use super::{Options, Totals, check, first_start, recipe, restart};
use crate::http::{Api, errors_of};
use crate::outcome::Outcome;
use crate::server::Running;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const DISK_MEBIBYTES: u64 = 32;
/// Kept in a file of its own, which is deleted to make room.
const RESERVE_MEBIBYTES: u64 = 12;
/// So many that old versions are rarely dropped.
const KEYS: u64 = 100_000;
const WRITES_MAX: u64 = 1_000_000;

/// A mounted tmpfs, unmounted when dropped.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// None where mounting is not allowed.
    fn mount(folder: &Path) -> Result<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        let size = format!("size={DISK_MEBIBYTES}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output()?;
        Ok(mount.status.success().then(|| Self { folder: folder.to_owned() }))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

pub(crate) async fn run(options: &Options, seed: u64) -> Result<Outcome> {
    let folder = tempfile::tempdir()?;
    let recipe = recipe(options, folder.path())?;
    let Some(disk) = Disk::mount(&folder.path().join("data"))? else {
        println!("skipped: mounting a small tmpfs is not allowed here");
        return Ok(Outcome::skipped());
    };
    let reserve = disk.folder.join("reserve");
    std::fs::write(&reserve, vec![0; usize::try_from(RESERVE_MEBIBYTES << 20)?])?;
    let (mut running, keys, mut api) = first_start(&recipe).await?;
    let mut ledger = Ledger::new(seed, 0, KEYS);
    let mut totals = Totals::default();

    let refusal =
        write_until_refused(&mut api, &mut ledger, &mut running).await.with_context(|| recipe.log_end())?;
    println!("full after {} writes: {refusal}", ledger.acknowledged);
    // Whatever the refused write left behind, the server may not have counted it.
    check(&mut api, &mut ledger, &mut totals).await.context("reading from a full disk")?;
    std::fs::remove_file(&reserve)?;
    let before = ledger.acknowledged;
    for _ in 0..20 {
        let status = write(&mut api, &mut ledger).await?.0;
        if status != 200 {
            totals.problems.push(format!("a write after making room got {status}"));
        }
    }
    println!("{} writes after making room", ledger.acknowledged - before);
    running.kill()?;
    let (running, mut api, _) = restart(&recipe, &keys).await.with_context(|| recipe.log_end())?;
    check(&mut api, &mut ledger, &mut totals).await?;
    running.kill()?;
    println!("{} acknowledged writes, {} versions checked", ledger.acknowledged, totals.checked);
    for problem in &totals.problems {
        println!("{problem}");
    }
    Ok(Outcome::of_check(totals.problems.is_empty()))
}

/// Writes until the server says no; answers what it said.
async fn write_until_refused(api: &mut Api, ledger: &mut Ledger, running: &mut Running) -> Result<String> {
    for _ in 0..WRITES_MAX {
        match write(api, ledger).await {
            Ok((200, _)) => {}
            Ok((status @ (500 | 503 | 507), value)) => return Ok(format!("{status} {}", errors_of(&value))),
            Ok((status, value)) => bail!("the refusal has an odd status: {status} {}", errors_of(&value)),
            Err(error) if running.has_ended()? => {
                return Err(error.context("the server died of the full disk"));
            }
            Err(error) => return Err(error),
        }
    }
    bail!("{WRITES_MAX} writes went into {DISK_MEBIBYTES} MiB")
}

async fn write(api: &mut Api, ledger: &mut Ledger) -> Result<(u16, Value)> {
    let attempt = ledger.begin();
    let path = format!("crash/data/{}", ledger.path(attempt.key));
    let (status, value) = api.call("POST", &path, Some(&json!({"data": ledger.value(attempt)}))).await?;
    if status == 200 {
        let version = value.pointer("/data/version").and_then(Value::as_u64).context("no version")?;
        ledger.acknowledge(attempt, version);
    }
    Ok((status, value))
}
