//! `cargo xtask bench`: how many requests a Vault-compatible server answers, how fast, and at what cost.
//!
//! With a peer, both servers get the same work in turns (A B A B …) in one run on one machine, and what is reported is
//! the ratio of the medians: the machine's mood falls on both alike.

mod load;
mod report;
mod workload;

use crate::http::{Api, Endpoint, Trust};
use crate::outcome::Outcome;
use anyhow::{Context, Result};
use clap::Args;
use load::Measurement;
pub(crate) use load::histogram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use workload::{Prepared, Workload};

#[derive(Args)]
pub(crate) struct Options {
    /// What to measure, in this order.
    #[arg(value_enum, default_values_t = Workload::DEFAULT)]
    workloads: Vec<Workload>,
    /// The server: http://127.0.0.1:8200.
    #[arg(long)]
    addr: String,
    /// A token that may mount, write policies and enable auth methods there.
    #[arg(long, env = "VAULT_TOKEN")]
    token: String,
    /// The server's process, to tell CPU time and memory.
    #[arg(long)]
    server_pid: Option<u32>,
    /// A second server, measured in turns with the first.
    #[arg(long, requires = "peer_token")]
    peer: Option<String>,
    #[arg(long)]
    peer_token: Option<String>,
    #[arg(long)]
    peer_pid: Option<u32>,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// How long one round measures.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How long each round runs before it measures.
    #[arg(long, default_value_t = 1)]
    warmup: u64,
    /// Rounds for each server.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Secrets written before reading starts.
    #[arg(long, default_value_t = 1000)]
    secrets: u64,
    /// Length of a secret's value.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// Accept any certificate.
    #[arg(long)]
    tls_skip_verify: bool,
    /// Accept certificates of this authority (PEM).
    #[arg(long, conflicts_with = "tls_skip_verify")]
    cacert: Option<PathBuf>,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
}

/// A server under measurement.
struct Side {
    name: &'static str,
    endpoint: Endpoint,
    pid: Option<u32>,
    prepared: Arc<Prepared>,
}

/// All rounds of one workload on one server.
struct Rounds {
    workload: Workload,
    side: &'static str,
    measurements: Vec<Measurement>,
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    // One thread: the server has the other cores, and the cost of the client stays visible.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rounds = runtime.block_on(measure(options))?;
    if options.json {
        println!("{}", report::json(&rounds));
    } else {
        print!("{}", report::table(&rounds));
    }
    Ok(Outcome::default())
}

async fn measure(options: &Options) -> Result<Vec<Rounds>> {
    let mut sides =
        vec![prepare(options, "server", &options.addr, &options.token, options.server_pid).await?];
    if let (Some(peer), Some(token)) = (&options.peer, &options.peer_token) {
        sides.push(prepare(options, "peer", peer, token, options.peer_pid).await?);
    }
    let plan = load::Plan {
        clients: options.clients.max(1),
        warmup: Duration::from_secs(options.warmup),
        measured: Duration::from_secs(options.seconds.max(1)),
    };
    let mut all = Vec::new();
    for &workload in &options.workloads {
        let mut of_sides: Vec<Rounds> =
            sides.iter().map(|side| Rounds { workload, side: side.name, measurements: Vec::new() }).collect();
        for round in 1..=options.rounds.max(1) {
            for (side, rounds) in sides.iter().zip(&mut of_sides) {
                eprintln!("{workload}, round {round}, {}", side.name);
                rounds.measurements.push(load::run(side, workload, &plan).await?);
            }
        }
        all.extend(of_sides);
    }
    Ok(all)
}

async fn prepare(
    options: &Options,
    name: &'static str,
    address: &str,
    token: &str,
    pid: Option<u32>,
) -> Result<Side> {
    let trust = options.cacert.as_deref().map_or(Trust::Anything, Trust::File);
    if options.cacert.is_none() && !options.tls_skip_verify && address.starts_with("https") {
        anyhow::bail!("{address}: pass --cacert FILE or --tls-skip-verify");
    }
    let endpoint = Endpoint::parse(address, trust)?;
    let mut api = Api::new(endpoint.clone(), token);
    eprintln!("preparing {name} at {address}: {} secrets", options.secrets);
    let shape = workload::Shape { secrets: options.secrets.max(1), value_bytes: options.value_bytes };
    let prepared = workload::prepare(&mut api, &options.workloads, shape)
        .await
        .with_context(|| format!("preparing {address}"))?;
    Ok(Side { name, endpoint, pid, prepared: Arc::new(prepared) })
}
