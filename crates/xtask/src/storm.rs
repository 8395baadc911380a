//! `cargo xtask storm`: many tokens that end within one minute, and what reads of KV notice of it.

use crate::http::{Api, Connection, Endpoint, request};
use crate::outcome::Outcome;
use crate::process::Usage;
use crate::server::{self, Recipe};
use crate::tools::{self, Profile};
use anyhow::{Context, Result};
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use strongroom_testkit::SeededEntropy;

const SECRETS: u64 = 1000;
/// All of them end within this.
const WINDOW: Duration = Duration::from_secs(60);
/// Reads before the storm, to compare with.
const CALM: Duration = Duration::from_secs(10);
/// Between two reads of one reader: it looks on, and is not the load.
const READ_PAUSE: Duration = Duration::from_millis(2);

#[derive(Args)]
pub(crate) struct Options {
    /// Tokens that end within one minute.
    #[arg(long, default_value_t = 100_000)]
    tokens: u64,
    /// Connections that make them.
    #[arg(long, default_value_t = 32)]
    makers: u64,
    /// Tokens that are made in a second at the least, so that none ends before all are made.
    #[arg(long, default_value_t = 1000)]
    rate: u64,
    /// Connections that read secrets meanwhile.
    #[arg(long, default_value_t = 4)]
    readers: u64,
    /// Run this program in place of our binary.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Which build of our binary to run.
    #[arg(long, value_enum, default_value = "release")]
    profile: Profile,
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => tools::build(options.profile)?,
    };
    let folder = tempfile::tempdir()?;
    let recipe = Recipe::new(&binary, &Recipe::default_config(), folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(storm(options, &recipe)).with_context(|| recipe.log_end())?;
    Ok(Outcome::of_check(true))
}

async fn storm(options: &Options, recipe: &Recipe) -> Result<()> {
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, "");
    server::wait_for_answer(&mut api, &mut running).await?;
    let keys = server::initialise(&mut api).await?;
    server::unseal(&mut api, &keys).await?;
    api.must("POST", "sys/mounts/kv", Some(&json!({"type": "kv", "options": {"version": "2"}}))).await?;
    for number in 0..SECRETS {
        let secret = json!({"data": {"value": "not-a-real-secret"}});
        api.must("POST", &format!("kv/data/s{number}"), Some(&secret)).await?;
    }
    let lead = Duration::from_secs(options.tokens / options.rate.max(1) + CALM.as_secs() + 5);
    let begun = Instant::now();
    let first_end = begun + lead;
    make(options, &api.endpoint, &keys.root_token, first_end).await?;
    let left = first_end.saturating_duration_since(Instant::now());
    println!("{} tokens were made in {:.1} s", options.tokens, begun.elapsed().as_secs_f64());
    anyhow::ensure!(left > CALM, "they were made too slowly: give a lower --rate");
    let calm = read(options, &api.endpoint, &keys.root_token, Instant::now() + CALM).await?;
    told("before", &calm);
    tokio::time::sleep_until(first_end.into()).await;
    let before = Usage::of(running.id())?;
    let read = read(options, &api.endpoint, &keys.root_token, Instant::now() + WINDOW);
    let meanwhile = read.await?;
    let usage = Usage::of(running.id())?.cpu_microseconds_since(&before);
    told("while they end", &meanwhile);
    println!("the server's CPU time in that minute: {:.1} s", usage as f64 / 1e6);
    let begun = Instant::now();
    loop {
        // The root token stays.
        let left = api.must("LIST", "auth/token/accessors", None).await?;
        let left = left.pointer("/data/keys").and_then(Value::as_array).map_or(0, Vec::len);
        if left <= 1 {
            break;
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(600), "{left} tokens are left");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("the last was revoked {:.1} s after the last had ended", begun.elapsed().as_secs_f64());
    running.kill()
}

async fn make(options: &Options, endpoint: &Endpoint, token: &str, first_end: Instant) -> Result<()> {
    let makers: Vec<_> = (0..options.makers)
        .map(|maker| {
            let mut api = Api::new(endpoint.clone(), token);
            let numbers = (maker..options.tokens).step_by(usize::try_from(options.makers).unwrap_or(1));
            tokio::spawn(async move {
                for number in numbers {
                    let until = first_end.saturating_duration_since(Instant::now()).as_secs();
                    let body = json!({"ttl": until + number % WINDOW.as_secs(), "no_default_policy": true});
                    api.must("POST", "auth/token/create", Some(&body)).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for maker in makers {
        maker.await??;
    }
    Ok(())
}

async fn read(options: &Options, endpoint: &Endpoint, token: &str, end: Instant) -> Result<Histogram<u64>> {
    let readers: Vec<_> = (0..options.readers)
        .map(|reader| {
            let (endpoint, token) = (endpoint.clone(), token.to_owned());
            tokio::spawn(async move {
                let random = SeededEntropy::new(reader);
                let mut latencies = crate::bench::histogram()?;
                let mut connection = Connection::open(&endpoint).await?;
                while Instant::now() < end {
                    let path = format!("kv/data/s{}", random.below(SECRETS));
                    let bytes = request(&endpoint.host_and_port, &token, "GET", &path, "");
                    let sent = Instant::now();
                    let answer = connection.exchange(&bytes).await?;
                    anyhow::ensure!(answer.status == 200, "{path}: status {}", answer.status);
                    latencies.record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX).max(1))?;
                    tokio::time::sleep(READ_PAUSE).await;
                }
                anyhow::Ok(latencies)
            })
        })
        .collect();
    let mut all = crate::bench::histogram()?;
    for reader in readers {
        all.add(reader.await??)?;
    }
    Ok(all)
}

fn told(when: &str, latencies: &Histogram<u64>) {
    let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
    let limit = 20_000;
    let late = latencies.len() - latencies.count_between(0, limit);
    println!(
        "reads {when}: {}, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms, {late} over 20 ms",
        latencies.len(),
        milliseconds(latencies.value_at_quantile(0.5)),
        milliseconds(latencies.value_at_quantile(0.99)),
        milliseconds(latencies.value_at_quantile(0.999)),
        milliseconds(latencies.max()),
    );
}
