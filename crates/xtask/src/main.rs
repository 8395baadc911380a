//! The project's development commands: `cargo xtask test | bench | hvac | interop | crash | tidy`.
#![allow(
    clippy::disallowed_methods,
    reason = "development only: it measures real time and reads the environment"
)]

mod bench;
mod bench_developer;
mod bench_scan;
mod crash;
mod database;
mod dotenv;
mod http;
mod hvac;
mod instructions;
mod interop;
mod outcome;
mod process;
mod purge;
mod pytest;
mod rotation;
mod server;
mod sops;
mod storm;
mod suite;
mod tidy;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's development commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything: unit tests, house rules, the Python client's tests, the hvac suite, a short crash loop.
    Test(suite::Options),
    /// Measure a Vault-compatible server, alone or against a peer in the same run.
    Bench(bench::Options),
    /// Measure whole processes of the developer's side beside their peers, in the same run.
    BenchDeveloper(bench_developer::Options),
    /// Measure scans of a stream, folders and histories beside their peers, in the same run.
    BenchScan(bench_scan::Options),
    /// Run hvac's own integration tests against our binary.
    Hvac(hvac::Options),
    /// Run python-dotenv's own tests against our .env library and persona, and compare with its readers and npm's.
    Dotenv(dotenv::Options),
    /// Send files round between our persona and sops, and run sops' own functional tests against it.
    Sops(sops::Options),
    /// Check what the engines make against Python's cryptography package.
    Interop,
    /// Kill the server again and again and account for every acknowledged write.
    Crash(crash::Options),
    /// Make accounts in real databases while the server is killed, and change passwords of a service that works.
    Database(database::Options),
    /// Purge histories beside git-filter-repo and compare them commit by commit, or measure.
    Purge(purge::Options),
    /// Let 100,000 tokens end within a minute, and measure what reads notice.
    Storm(storm::Options),
    /// Rotate a service's PostgreSQL password under load, and kill the server in every step.
    Rotation(rotation::Options),
    /// Check the house rules.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Test(options) => suite::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::BenchDeveloper(options) => bench_developer::run(&options),
        Command::BenchScan(options) => bench_scan::run(&options),
        Command::Hvac(options) => hvac::run(&options),
        Command::Dotenv(options) => dotenv::run(&options),
        Command::Sops(options) => sops::run(&options),
        Command::Interop => tools::build(tools::Profile::Debug).and_then(|binary| interop::run(&binary)),
        Command::Crash(options) => crash::run(&options),
        Command::Database(options) => database::run(&options),
        Command::Purge(options) => purge::run(&options),
        Command::Storm(options) => storm::run(&options),
        Command::Rotation(options) => rotation::run(&options),
        Command::Tidy => tidy::run(),
    };
    match result {
        Ok(outcome) if outcome.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
