//! `cargo xtask crash`: kill -9 on the real server, in a loop, with every acknowledged write accounted for.
//!
//! Writers fill a KV v2 mount, each its own keys, and remember what the server acknowledged. The server is killed at
//! a random moment, started again with the same data and nothing else, and must then hold every acknowledged version
//! with its value. A write that was under way when the server died may be there or not, but whole.

mod disk_full;
mod ledger;

use crate::http::{Api, Connection, Endpoint, request};
use crate::outcome::Outcome;
use crate::server::{self, Keys, Recipe, Running};
use crate::tools::{self, Profile};
use anyhow::{Context, Result, bail};
use clap::Args;
use ledger::{Attempt, Ledger};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use strongroom_testkit::SeededEntropy;

/// Keys of each writer: few, so that they have many versions.
const KEYS: u64 = 20;

#[derive(Args)]
pub(crate) struct Options {
    /// How often the server is killed.
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// About how long the whole run writes.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Writers, each with one request under way.
    #[arg(long, default_value_t = 8)]
    writers: u64,
    /// Repeats a run's choices (not its timing).
    #[arg(long)]
    seed: Option<u64>,
    /// Fill the disk in place of killing: a small tmpfs, which takes the right to mount.
    #[arg(long)]
    disk_full: bool,
    /// Run this program in place of our binary.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// A configuration in JSON, with {dir} for the data folder and {port} for the port.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Which build of our binary to run.
    #[arg(long, value_enum, default_value = "debug")]
    profile: Profile,
}

impl Options {
    /// A short run against this binary.
    pub(crate) fn short(binary: PathBuf, disk_full: bool) -> Self {
        let (kills, seconds, writers) = (10, 10, 8);
        let profile = Profile::Debug;
        Self { kills, seconds, writers, seed: None, disk_full, binary: Some(binary), config: None, profile }
    }
}

/// Counts of a run.
#[derive(Default)]
struct Totals {
    acknowledged: u64,
    checked: u64,
    under_way_kept: u64,
    under_way_lost: u64,
    start_longest: Duration,
    problems: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let seed = options.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if options.disk_full {
        return runtime.block_on(disk_full::run(options, seed));
    }
    let folder = tempfile::tempdir()?;
    let recipe = recipe(options, folder.path())?;
    let totals = match runtime.block_on(kill_again_and_again(options, &recipe, seed)) {
        Ok(totals) => totals,
        Err(error) => {
            eprintln!("{}", recipe.log_end());
            let kept = folder.keep();
            return Err(error.context(format!("the data is kept in {}", kept.display())));
        }
    };
    println!(
        "{} kills; {} acknowledged writes, {} versions checked; of the writes under way {} were kept and {} lost; \
         longest start {} ms",
        options.kills,
        totals.acknowledged,
        totals.checked,
        totals.under_way_kept,
        totals.under_way_lost,
        totals.start_longest.as_millis()
    );
    for problem in &totals.problems {
        println!("{problem}");
    }
    if !totals.problems.is_empty() {
        println!("the data is kept in {}", folder.keep().display());
    }
    Ok(Outcome::of_check(totals.problems.is_empty()))
}

fn recipe(options: &Options, folder: &std::path::Path) -> Result<Recipe> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => tools::build(options.profile)?,
    };
    let config = match &options.config {
        Some(path) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        None => Recipe::default_config(),
    };
    std::fs::create_dir_all(folder.join("data"))?;
    Recipe::new(&binary, &config, folder)
}

/// Starts a new server and mounts what the writers write to.
async fn first_start(recipe: &Recipe) -> Result<(Running, Keys, Api)> {
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, "");
    server::wait_for_answer(&mut api, &mut running).await?;
    let keys = server::initialise(&mut api).await?;
    server::unseal(&mut api, &keys).await?;
    api.must("POST", "sys/mounts/crash", Some(&json!({"type": "kv", "options": {"version": "2"}}))).await?;
    Ok((running, keys, api))
}

/// Starts the server on the data that is there, with the kept share and no other help.
async fn restart(recipe: &Recipe, keys: &Keys) -> Result<(Running, Api, Duration)> {
    let start = Instant::now();
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, &keys.root_token);
    server::wait_for_answer(&mut api, &mut running).await?;
    server::unseal(&mut api, keys).await?;
    Ok((running, api, start.elapsed()))
}

async fn kill_again_and_again(options: &Options, recipe: &Recipe, seed: u64) -> Result<Totals> {
    let random = SeededEntropy::new(seed);
    let (mut running, keys, _) = first_start(recipe).await?;
    let mut ledgers: Vec<Ledger> =
        (0..options.writers.max(1)).map(|writer| Ledger::new(seed, writer, KEYS)).collect();
    let mut totals = Totals::default();
    let round_milliseconds_max = 2 * options.seconds * 1000 / options.kills.max(1);
    for _ in 0..options.kills {
        let pause = Duration::from_millis(random.below(round_milliseconds_max));
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = ledgers
            .drain(..)
            .map(|ledger| {
                tokio::spawn(write_until_error(
                    recipe.endpoint(),
                    keys.root_token.clone(),
                    ledger,
                    Arc::clone(&stop),
                ))
            })
            .collect();
        tokio::time::sleep(pause).await;
        running.kill()?;
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            ledgers.push(writer.await??);
        }
        if random.below(4) == 0 {
            // A second death, while it starts.
            let starting = recipe.start()?;
            tokio::time::sleep(Duration::from_millis(random.below(200))).await;
            starting.kill()?;
        }
        let (next, mut api, took) = restart(recipe, &keys).await?;
        running = next;
        totals.start_longest = totals.start_longest.max(took);
        for ledger in &mut ledgers {
            check(&mut api, ledger, &mut totals).await?;
        }
    }
    totals.acknowledged = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
    if totals.acknowledged == 0 {
        bail!("no write was ever acknowledged: {}", recipe.log_end());
    }
    running.kill()?;
    Ok(totals)
}

/// Writes one key after another until the server is gone. An answer that is an error is a problem of its own.
async fn write_until_error(
    endpoint: Result<Endpoint>,
    token: String,
    mut ledger: Ledger,
    stop: Arc<AtomicBool>,
) -> Result<Ledger> {
    let endpoint = endpoint?;
    let Ok(mut connection) = Connection::open(&endpoint).await else { return Ok(ledger) };
    while !stop.load(Ordering::Relaxed) {
        let attempt = ledger.begin();
        let body = json!({"data": ledger.value(attempt)}).to_string();
        let path = format!("crash/data/{}", ledger.path(attempt.key));
        let bytes = request(&endpoint.host_and_port, &token, "POST", &path, &body);
        match connection.exchange(&bytes).await {
            Err(_) => return Ok(ledger),
            Ok(answer) if answer.status == 200 => {
                let value: Value = serde_json::from_slice(answer.body)?;
                let version = value.pointer("/data/version").and_then(Value::as_u64).context("no version")?;
                ledger.acknowledge(attempt, version);
            }
            Ok(answer) => bail!("a write got {}: {}", answer.status, String::from_utf8_lossy(answer.body)),
        }
    }
    Ok(ledger)
}

/// Reads everything that a writer was promised.
async fn check(api: &mut Api, ledger: &mut Ledger, totals: &mut Totals) -> Result<()> {
    if let Some(attempt) = ledger.under_way.take() {
        let (status, value) = read(api, ledger, attempt.key, None).await?;
        let newest = (status == 200).then(|| version_of(&value)).flatten();
        let expected_next = ledger.newest(attempt.key).map_or(1, |(version, _)| version + 1);
        if newest == Some(expected_next) {
            totals.under_way_kept += 1;
            ledger.acknowledge(attempt, expected_next);
        } else {
            totals.under_way_lost += 1;
        }
    }
    for (key, version, sequence) in ledger.promised() {
        let (status, value) = read(api, ledger, key, Some(version)).await?;
        totals.checked += 1;
        let found = value.pointer("/data/data");
        let promised = ledger.value(Attempt { key, sequence });
        if status != 200 || found != Some(&promised) || version_of(&value) != Some(version) {
            let path = ledger.path(key);
            let what = if status == 200 { "another value" } else { "an error" };
            totals
                .problems
                .push(format!("{path}, version {version}: acknowledged, but read as {what} ({status})"));
        }
    }
    for (key, (version, _)) in ledger.newest_of_all() {
        let (status, value) = read(api, ledger, key, None).await?;
        if status != 200 || version_of(&value) != Some(version) {
            let path = ledger.path(key);
            totals
                .problems
                .push(format!("{path}: the newest version should be {version} ({status}: {value})"));
        }
    }
    Ok(())
}

async fn read(api: &mut Api, ledger: &Ledger, key: u64, version: Option<u64>) -> Result<(u16, Value)> {
    let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
    api.call("GET", &format!("crash/data/{}{query}", ledger.path(key)), None).await
}

fn version_of(value: &Value) -> Option<u64> {
    value.pointer("/data/metadata/version").and_then(Value::as_u64)
}
