//! `cargo xtask crash`: kill -9 on the real server, in a loop, with every acknowledged write accounted for.
//!
//! Writers fill a KV v2 mount, each its own keys, and remember what the server acknowledged. The server is killed at
//! a random moment, started again with the same data and nothing else, and must then hold every acknowledged version
//! with its value. A write that was under way when the server died may be there or not, but whole.
//!
//! Rounds are counted in writes, not in seconds: on a slow machine the run takes longer and is worth the same.

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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use strongroom_testkit::SeededEntropy;

/// Keys of each writer: few, so that they have many versions.
const KEYS: u64 = 20;
/// After its last write, a round goes on for less than this: otherwise every kill would come just after a commit.
const LATER_MICROSECONDS: u64 = 20_000;
/// A server that acknowledges nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// How often a run says how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Options {
    /// How often the server is killed.
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// Writes acknowledged between two kills: a number below this, chosen anew each time.
    #[arg(long, default_value_t = 2000)]
    writes: u64,
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
        let (kills, writes, writers) = (10, 2000, 8);
        let profile = Profile::Debug;
        Self { kills, writes, writers, seed: None, disk_full, binary: Some(binary), config: None, profile }
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

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.checked += other.checked;
        self.under_way_kept += other.under_way_kept;
        self.under_way_lost += other.under_way_lost;
        self.start_longest = self.start_longest.max(other.start_longest);
        self.problems.extend(other.problems);
    }
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
    let mut told = Instant::now();
    for kill in 1..=options.kills {
        let round = Round {
            writes: random.below(options.writes),
            later: Duration::from_micros(random.below(LATER_MICROSECONDS)),
        };
        ledgers = write_and_kill(recipe, &keys, ledgers, running, &round).await?;
        if random.below(4) == 0 {
            // A second death, while it starts.
            let starting = recipe.start()?;
            tokio::time::sleep(Duration::from_millis(random.below(200))).await;
            starting.kill()?;
        }
        let (next, _, took) = restart(recipe, &keys).await?;
        running = next;
        totals.start_longest = totals.start_longest.max(took);
        ledgers = check_all(recipe, &keys, ledgers, &mut totals).await?;
        totals.acknowledged = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            let (acknowledged, problems) = (totals.acknowledged, totals.problems.len());
            eprintln!("{kill} kills, {acknowledged} acknowledged writes, {problems} problems");
        }
    }
    if totals.acknowledged == 0 {
        bail!("no write was ever acknowledged: {}", recipe.log_end());
    }
    running.kill()?;
    Ok(totals)
}

/// When the server dies: after so many acknowledged writes, and so much later.
struct Round {
    writes: u64,
    later: Duration,
}

/// What the writers of a round share.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

/// Lets every ledger's writer write until the round is over and the server dead.
async fn write_and_kill(
    recipe: &Recipe,
    keys: &Keys,
    ledgers: Vec<Ledger>,
    running: Running,
    round: &Round,
) -> Result<Vec<Ledger>> {
    let progress = Arc::new(Progress::default());
    let endpoint = recipe.endpoint()?;
    let start = |ledger| {
        let (endpoint, token) = (endpoint.clone(), keys.root_token.clone());
        tokio::spawn(write_until_error(endpoint, token, ledger, Arc::clone(&progress)))
    };
    let writers: Vec<_> = ledgers.into_iter().map(start).collect();
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        let acknowledged = progress.acknowledged.load(Ordering::Relaxed);
        // Writers that have all ended met an error, which they tell below.
        if acknowledged >= round.writes || writers.iter().all(tokio::task::JoinHandle::is_finished) {
            break;
        }
        if acknowledged > seen {
            (seen, since) = (acknowledged, Instant::now());
        }
        if since.elapsed() >= SILENCE_MAX {
            bail!("no write was acknowledged for {} s", SILENCE_MAX.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(round.later).await;
    running.kill()?;
    progress.stop.store(true, Ordering::Relaxed);
    let mut ledgers = Vec::with_capacity(writers.len());
    for writer in writers {
        ledgers.push(writer.await??);
    }
    Ok(ledgers)
}

/// Writes one key after another until the server is gone. An answer that is an error is a problem of its own.
async fn write_until_error(
    endpoint: Endpoint,
    token: String,
    mut ledger: Ledger,
    progress: Arc<Progress>,
) -> Result<Ledger> {
    let Ok(mut connection) = Connection::open(&endpoint).await else { return Ok(ledger) };
    while !progress.stop.load(Ordering::Relaxed) {
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
                progress.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => bail!("a write got {}: {}", answer.status, String::from_utf8_lossy(answer.body)),
        }
    }
    Ok(ledger)
}

/// Checks all ledgers at once, each over a connection of its own: one after another they took most of a run.
async fn check_all(
    recipe: &Recipe,
    keys: &Keys,
    ledgers: Vec<Ledger>,
    totals: &mut Totals,
) -> Result<Vec<Ledger>> {
    let endpoint = recipe.endpoint()?;
    let start = |mut ledger: Ledger| {
        let mut api = Api::new(endpoint.clone(), &keys.root_token);
        tokio::spawn(async move {
            let mut found = Totals::default();
            check(&mut api, &mut ledger, &mut found).await?;
            anyhow::Ok((ledger, found))
        })
    };
    let checks: Vec<_> = ledgers.into_iter().map(start).collect();
    let mut ledgers = Vec::with_capacity(checks.len());
    for checked in checks {
        let (ledger, found) = checked.await??;
        ledgers.push(ledger);
        *totals += found;
    }
    Ok(ledgers)
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
