//! `cargo xtask database`: the database engine against real databases and the real program. Accounts while the server is
//! killed again and again: none without a lease, and no lease without one.

mod bench;

use crate::http::Api;
use crate::outcome::Outcome;
use crate::server::{self, Keys, Recipe, Running};
use crate::tools::{self, Profile};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use strongroom_testkit::SeededEntropy;
use strongroom_testkit::peers::{Kind, PASSWORD, Peer};

/// Clients that ask for accounts.
const WORKERS: usize = 4;
/// A round lasts for less than this before its kill.
const ROUND_MILLISECONDS: u64 = 400;
/// Until all is settled after a kill; a retry waits for some seconds.
const SETTLED_SECONDS_MAX: u64 = 300;
const SHORT_TTL_SECONDS: u64 = 2;

#[derive(Args)]
pub(crate) struct Options {
    /// How often the server is killed over PostgreSQL; a fifth of it over MariaDB and Redis.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// Repeats a run's choices (not its timing).
    #[arg(long)]
    seed: Option<u64>,
    /// Measure how many accounts are made and dropped in a second, beside psql; nothing else.
    #[arg(long)]
    bench: bool,
    /// Run this program in place of our binary.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Which build of our binary to run.
    #[arg(long, value_enum, default_value = "debug")]
    profile: Profile,
}

impl Options {
    /// A short run.
    pub(crate) fn short() -> Self {
        Self { kills: 4, seed: None, bench: false, binary: None, profile: Profile::Debug }
    }
}

pub(crate) fn run(options: &Options) -> Result<Outcome> {
    for (kind, package) in
        [(Kind::Mariadb, "mariadb-server"), (Kind::Redis, "redis-server"), (Kind::Postgres, "postgresql")]
    {
        if !kind.is_here() {
            tools::install_from_debian(&[package]);
        }
    }
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => tools::build(options.profile)?,
    };
    if options.bench {
        return bench::run(&binary);
    }
    let seed = options.seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut outcome = Outcome::default();
    for kind in [Kind::Postgres, Kind::Mariadb, Kind::Redis] {
        let Some(peer) = Peer::start(kind) else {
            outcome += Outcome::skipped();
            continue;
        };
        let kills = if kind == Kind::Postgres { options.kills } else { (options.kills / 5).max(3) };
        let folder = tempfile::tempdir()?;
        let recipe = Recipe::new(&binary, &Recipe::default_config(), folder.path())?;
        let problems = runtime
            .block_on(kill_again_and_again(&recipe, &peer, kills, seed))
            .with_context(|| recipe.log_end())?;
        outcome += told(&format!("{kind:?}: {kills} kills"), &problems);
    }
    Ok(outcome)
}

fn told(what: &str, problems: &[String]) -> Outcome {
    println!("{what}: {} problems", problems.len());
    problems.iter().for_each(|problem| println!("{problem}"));
    Outcome::of_check(problems.is_empty())
}

/// Where the database is, and how accounts are made there.
fn connection(peer: &Peer) -> (Value, Value) {
    let port = peer.port;
    let (plugin, url, creation) = match peer.kind {
        Kind::Postgres => (
            "postgresql-database-plugin",
            format!(
                "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable"
            ),
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; \
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"{{name}}\"",
        ),
        Kind::Mariadb => (
            "mysql-database-plugin",
            format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{port})/"),
            "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON mysql.* TO '{{name}}'@'%'",
        ),
        Kind::Redis => (
            "redis-database-plugin",
            format!("redis://127.0.0.1:{port}/"),
            "[\"~*\", \"+@read\", \"+acl|whoami\"]",
        ),
    };
    let config = json!({
        "plugin_name": plugin, "connection_url": url, "username": peer.administrator(), "password": PASSWORD,
        "allowed_roles": "*", "max_open_connections": 8,
    });
    (config, json!(creation))
}

async fn first_start(recipe: &Recipe, peer: &Peer) -> Result<(Running, Keys)> {
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, "");
    server::wait_for_answer(&mut api, &mut running).await?;
    let keys = server::initialise(&mut api).await?;
    server::unseal(&mut api, &keys).await?;
    if peer.kind == Kind::Postgres {
        // Grants on the same tables get in each other's way.
        for number in 0..4 {
            peer.ask(&format!("CREATE TABLE IF NOT EXISTS t{number} (id int)"));
        }
    }
    let (config, creation) = connection(peer);
    api.must("POST", "sys/mounts/database", Some(&json!({"type": "database"}))).await?;
    api.must("POST", "database/config/db", Some(&config)).await?;
    for (name, ttl) in [("long", 3600), ("short", SHORT_TTL_SECONDS)] {
        let role =
            json!({"db_name": "db", "creation_statements": creation, "default_ttl": ttl, "max_ttl": 7200});
        api.must("POST", &format!("database/roles/{name}"), Some(&role)).await?;
    }
    Ok((running, keys))
}

async fn restart(recipe: &Recipe, keys: &Keys) -> Result<(Running, Api)> {
    let mut running = recipe.start()?;
    let mut api = Api::new(recipe.endpoint()?, &keys.root_token);
    server::wait_for_answer(&mut api, &mut running).await?;
    server::unseal(&mut api, keys).await?;
    Ok((running, api))
}

/// Accounts that somebody was given, by the lease that was named with them, and their passwords.
type Given = Arc<Mutex<BTreeMap<String, (String, String)>>>;

async fn kill_again_and_again(recipe: &Recipe, peer: &Peer, kills: u64, seed: u64) -> Result<Vec<String>> {
    let random = SeededEntropy::new(seed);
    let (mut running, keys) = first_start(recipe, peer).await?;
    let given = Given::default();
    let mut problems = Vec::new();
    for kill in 1..=kills {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                tokio::spawn(ask(recipe.endpoint(), keys.root_token.clone(), given.clone(), worker))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.below(ROUND_MILLISECONDS))).await;
        running.kill()?;
        for worker in workers {
            worker.await??;
        }
        let (next, mut api) = restart(recipe, &keys).await?;
        running = next;
        if let Err(problem) = settled(&mut api, peer, &given).await? {
            problems.push(format!("kill {kill}: {problem}"));
        }
        if kill % 20 == 0 {
            eprintln!("{kill} kills, {} problems", problems.len());
        }
    }
    let mut api = Api::new(recipe.endpoint()?, &keys.root_token);
    api.must("POST", "sys/leases/revoke-prefix/database/creds", None).await?;
    given.lock().map_err(|_| anyhow::anyhow!("a worker has panicked"))?.clear();
    // What was revoked is taken back a moment later.
    let begun = Instant::now();
    while accounts(peer)? != 0 && begun.elapsed().as_secs() <= SETTLED_SECONDS_MAX {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if let Err(problem) = settled(&mut api, peer, &given).await? {
        problems.push(format!("after all leases were revoked: {problem}"));
    }
    if accounts(peer)? != 0 {
        problems.push("accounts are left after all leases were revoked".to_owned());
    }
    running.kill()?;
    Ok(problems)
}

/// Asks for accounts, long and short ones, renews and revokes, until the server is gone.
async fn ask(
    endpoint: Result<crate::http::Endpoint>,
    token: String,
    given: Given,
    worker: usize,
) -> Result<()> {
    let mut api = Api::new(endpoint?, &token);
    for number in worker.. {
        let role = if number % 3 == 0 { "short" } else { "long" };
        let Ok((200, answer)) = api.call("GET", &format!("database/creds/{role}"), None).await else {
            return Ok(());
        };
        let text =
            |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let lease = text("/lease_id");
        if role == "long" {
            let account = (text("/data/username"), text("/data/password"));
            given
                .lock()
                .map_err(|_| anyhow::anyhow!("a worker has panicked"))?
                .insert(lease.clone(), account);
        }
        let (path, body) = match number % 4 {
            0 => ("sys/leases/revoke", json!({"lease_id": lease, "sync": true})),
            1 => ("sys/leases/revoke", json!({"lease_id": lease})),
            2 => ("sys/leases/renew", json!({"lease_id": lease})),
            _ => continue,
        };
        if path.ends_with("revoke") {
            // Whether it was heard or not: nothing is promised of it any longer.
            given.lock().map_err(|_| anyhow::anyhow!("a worker has panicked"))?.remove(&lease);
        }
        if api.call("PUT", path, Some(&body)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits until there is an account for every lease and a lease for every account, and looks whether those that were
/// given log in.
async fn settled(api: &mut Api, peer: &Peer, given: &Given) -> Result<Result<(), String>> {
    let begun = Instant::now();
    loop {
        let long = leases(api, "long").await?;
        let short = leases(api, "short").await?;
        let unfinished = api.must("GET", "sys/outbox", None).await?;
        let unfinished = unfinished.pointer("/data/keys").and_then(Value::as_array).map_or(0, Vec::len);
        let accounts = accounts(peer)?;
        if unfinished == 0 && short.is_empty() && long.len() == accounts {
            let given = given.lock().map_err(|_| anyhow::anyhow!("a worker has panicked"))?;
            let lost = given.keys().find(|lease| !long.contains(lease)).cloned();
            // One of them is proven by a login: each costs a process.
            let last = given.values().next_back();
            let is_out = last.is_some_and(|(name, password)| !peer.lets_in(name, password));
            return Ok(match (lost, is_out) {
                (Some(lease), _) => Err(format!("the lease {lease} was given and is gone")),
                (None, true) => Err("an account that was given does not log in".to_owned()),
                (None, false) => Ok(()),
            });
        }
        if begun.elapsed().as_secs() > SETTLED_SECONDS_MAX {
            let (long, short) = (long.len(), short.len());
            return Ok(Err(format!(
                "{accounts} accounts, {long} leases, {short} that should have ended, {unfinished} unfinished"
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn leases(api: &mut Api, role: &str) -> Result<Vec<String>> {
    let prefix = format!("database/creds/{role}");
    match api.call("LIST", &format!("sys/leases/lookup/{prefix}"), None).await? {
        (200, answer) => {
            let keys =
                answer.pointer("/data/keys").and_then(Value::as_array).context("a list in another form")?;
            Ok(keys.iter().filter_map(Value::as_str).map(|key| format!("{prefix}/{key}")).collect())
        }
        (404, _) => Ok(Vec::new()),
        (status, answer) => bail!("listing leases: status {status}: {answer}"),
    }
}

/// Accounts that the server made.
fn accounts(peer: &Peer) -> Result<usize> {
    Ok(match peer.kind {
        Kind::Postgres => peer.ask("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'").parse()?,
        Kind::Mariadb => peer.ask("SELECT count(*) FROM mysql.user WHERE user LIKE 'v-%'").parse()?,
        Kind::Redis => peer.ask("ACL USERS").lines().filter(|line| line.contains("V_")).count(),
    })
}
