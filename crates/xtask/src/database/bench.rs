//! `cargo xtask database --bench`: accounts made and taken away through the server, beside PostgreSQL's own client on the
//! same server in the same run. PostgreSQL syncs its log, as it does where it is used.

use super::{accounts, first_start};
use crate::http::Api;
use crate::outcome::Outcome;
use crate::process::Usage;
use crate::server::Recipe;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use strongroom_testkit::peers::{Kind, PASSWORD, Peer};

/// Processes of `psql` that are started one after another.
const PROCESSES: usize = 60;
const ACCOUNTS: usize = 400;
const TABLES: usize = 20;

/// What a role is made by, with its name in place of `NAME`.
const CREATION: &str = "CREATE ROLE \"NAME\" LOGIN PASSWORD 'not-a-real-password' VALID UNTIL '2099-01-01'; \
                        GRANT SELECT ON ALL TABLES IN SCHEMA public TO \"NAME\"";
const REVOCATION: &str = "DROP OWNED BY \"NAME\"; DROP ROLE \"NAME\"";

pub(super) fn run(binary: &Path) -> Result<Outcome> {
    let Some(peer) = Peer::start_with(Kind::Postgres, &["-c", "fsync=on"]) else {
        return Ok(Outcome::skipped());
    };
    for number in 0..TABLES {
        peer.ask(&format!("CREATE TABLE t{number} (id int)"));
    }
    let filled = |statement: &str, number: usize| statement.replace("NAME", &format!("by-hand-{number}"));
    let begun = Instant::now();
    for number in 0..PROCESSES {
        peer.ask(&filled(CREATION, number));
    }
    told("made by psql, a process each", PROCESSES, begun.elapsed(), None);
    let begun = Instant::now();
    for number in 0..PROCESSES {
        peer.ask(&filled(REVOCATION, number));
    }
    told("dropped by psql, a process each", PROCESSES, begun.elapsed(), None);
    for (what, statement) in [("made", CREATION), ("dropped", REVOCATION)] {
        let script: String =
            (0..ACCOUNTS).map(|number| format!("BEGIN; {}; COMMIT;\n", filled(statement, number))).collect();
        let begun = Instant::now();
        peer.ask(&script);
        told(&format!("{what} by psql, all on one connection"), ACCOUNTS, begun.elapsed(), None);
    }
    let folder = tempfile::tempdir()?;
    let recipe = Recipe::new(binary, &Recipe::default_config(), folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(through_server(&recipe, &peer)).with_context(|| recipe.log_end())?;
    Ok(Outcome::of_check(true))
}

fn told(what: &str, count: usize, took: Duration, usage: Option<(Usage, Usage)>) {
    let rate = count as f64 / took.as_secs_f64();
    let cpu = usage.map_or(String::new(), |(before, after)| {
        let each = after.cpu_microseconds_since(&before) as f64 / count as f64 / 1000.0;
        format!(", {each:.2} ms of the server's CPU time each")
    });
    println!("{what}: {rate:.0} a second ({count} in {:.2} s{cpu})", took.as_secs_f64());
}

async fn through_server(recipe: &Recipe, peer: &Peer) -> Result<()> {
    let (running, keys) = first_start(recipe, peer).await?;
    let mut api = Api::new(recipe.endpoint()?, &keys.root_token);
    let wide = json!({"max_open_connections": 16, "password": PASSWORD});
    api.must("POST", "database/config/db", Some(&wide)).await?;
    for clients in [1, 4, 16] {
        let before = Usage::of(running.id())?;
        let begun = Instant::now();
        let tasks: Vec<_> = (0..clients)
            .map(|_| {
                let mut api = Api::new(api.endpoint.clone(), &keys.root_token);
                tokio::spawn(async move {
                    for _ in 0..ACCOUNTS / clients {
                        api.must("GET", "database/creds/long", None).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let usage = (before, Usage::of(running.id())?);
        told(&format!("made through the server, {clients} clients"), ACCOUNTS, begun.elapsed(), Some(usage));
        let before = Usage::of(running.id())?;
        let begun = Instant::now();
        api.must("POST", "sys/leases/revoke-prefix/database/creds", None).await?;
        while api.call("LIST", "sys/leases/lookup/database/creds/long", None).await?.0 == 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let usage = (before, Usage::of(running.id())?);
        told("dropped after revoke-prefix", ACCOUNTS, begun.elapsed(), Some(usage));
        anyhow::ensure!(accounts(peer)? == 0, "accounts are left");
    }
    running.kill()
}
