//! `operator …`: setting up, unsealing, keys, snapshots.

mod generate_root;
mod rekey;
mod snapshot;

use super::login::{ask, line_from_stdin};
use super::status;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::output::pairs;
use crate::persona::Face;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::process::ExitCode;
use strongroom_api::client::{Client, Method, Request};
use strongroom_api::{InitAnswer, InitRequest, Response};
use strongroom_secret::SecretString;

#[derive(Subcommand)]
pub enum OperatorCommand {
    /// Set a new server up: makes the key shares and the first root token
    Init(InitArgs),
    /// Give a key share; enough of them unseal the server
    Unseal(UnsealArgs),
    /// Seal the server
    Seal,
    /// Make new key shares
    Rekey(rekey::RekeyArgs),
    /// Make a new root token, with the key shares
    GenerateRoot(generate_root::GenerateRootArgs),
    /// Begin a new encryption key
    Rotate,
    /// Which encryption key is in use
    KeyStatus,
    /// Copies of all that is stored
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    /// As `snapshot`, under the name that the vault command has for it
    #[command(subcommand, hide = true)]
    Raft(RaftCommand),
    /// The servers of the cluster
    Members,
    /// Let another server of the cluster take over
    StepDown,
}

#[derive(Subcommand)]
pub enum RaftCommand {
    #[command(subcommand)]
    Snapshot(snapshot::SnapshotCommand),
    ListPeers,
}

#[derive(Args)]
pub struct InitArgs {
    /// Only say whether it is set up: 0 yes, 2 no
    #[arg(long)]
    status: bool,
    /// How many key shares to make
    #[arg(long, short = 'n', default_value_t = 5, value_name = "COUNT")]
    key_shares: u64,
    /// How many of them it takes to unseal
    #[arg(long, short = 't', default_value_t = 3, value_name = "COUNT")]
    key_threshold: u64,
    /// How many recovery keys to make, where the seal opens by itself (default: as --key-shares)
    #[arg(long, value_name = "COUNT")]
    recovery_shares: Option<u64>,
    /// How many of them are needed (default: as --key-threshold)
    #[arg(long, value_name = "COUNT")]
    recovery_threshold: Option<u64>,
    /// Not supported: shares are not encrypted to PGP keys
    #[arg(long, hide = true)]
    pgp_keys: Option<String>,
    /// Not supported
    #[arg(long, hide = true)]
    root_token_pgp_key: Option<String>,
}

#[derive(Args)]
pub struct UnsealArgs {
    /// A key share; - reads it from standard input; without it, it is asked for
    key: Option<String>,
    /// Forget the shares given so far
    #[arg(long)]
    reset: bool,
    /// The share is of the seal before: enough of them change the seal to the one that the server is configured with
    #[arg(long, conflicts_with = "reset")]
    migrate: bool,
}

pub fn run(context: &Context, command: OperatorCommand) -> Result<ExitCode, Failure> {
    match command {
        OperatorCommand::Init(args) => init(context, &args),
        OperatorCommand::Unseal(args) => unseal(context, &args),
        OperatorCommand::Seal => {
            context.client()?.write("sys/seal", &json!({})).while_doing(|| "sealing".to_owned())?;
            context.output.success(match context.output.face {
                Face::Vault => "Vault is sealed.",
                Face::Native => "The server is sealed.",
            })
        }
        OperatorCommand::Rekey(args) => rekey::run(context, &args),
        OperatorCommand::GenerateRoot(args) => generate_root::run(context, &args),
        OperatorCommand::Rotate => rotate(context),
        OperatorCommand::KeyStatus => key_status(context, &context.client()?),
        OperatorCommand::Snapshot(command) | OperatorCommand::Raft(RaftCommand::Snapshot(command)) => {
            snapshot::run(context, &command)
        }
        OperatorCommand::Raft(RaftCommand::ListPeers) => peers(context),
        OperatorCommand::Members => members(context),
        OperatorCommand::StepDown => {
            let client = context.client()?;
            client.write("sys/step-down", &json!({})).while_doing(|| "stepping down".to_owned())?;
            context.output.success(&format!("Stepped down: {}", client.address()))
        }
    }
}

fn no_pgp(flag: Option<&String>) -> Result<(), Failure> {
    match flag {
        None => Ok(()),
        Some(_) => Err(Failure::usage("PGP keys are not supported").hint("pipe each share into gpg instead")),
    }
}

fn init(context: &Context, args: &InitArgs) -> Result<ExitCode, Failure> {
    no_pgp(args.pgp_keys.as_ref().or(args.root_token_pgp_key.as_ref()))?;
    let client = context.client_without_token()?;
    if args.status {
        return init_status(context, &client);
    }
    let request = InitRequest {
        secret_shares: args.key_shares,
        secret_threshold: args.key_threshold,
        recovery_shares: args.recovery_shares.or(args.recovery_threshold.map(|_| args.key_shares)),
        recovery_threshold: args.recovery_threshold.or(args.recovery_shares.map(|_| args.key_threshold)),
    };
    let made = client.initialize(&request).while_doing(|| "initializing".to_owned())?;
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(&machine_form(&request, &made));
    }
    let server = match context.output.face {
        Face::Vault => "Vault",
        Face::Native => "Server",
    };
    let mut text = String::new();
    for (index, key) in in_base64(&made).iter().enumerate() {
        text.push_str(&format!("Unseal Key {}: {key}\n", index + 1));
    }
    for (index, key) in made.recovery_keys_base64.iter().enumerate() {
        text.push_str(&format!("Recovery Key {}: {key}\n", index + 1));
    }
    text.push_str(&format!("\nInitial Root Token: {}\n\n", made.root_token));
    if made.keys.is_empty() {
        let (shares, threshold) = recovery_sharing(&request);
        text.push_str(&format!(
            "Success! {server} is initialized\n\n\
             Recovery key initialized with {shares} key shares and a key threshold of {threshold}. Please\n\
             securely distribute the key shares printed above. They are shown this once.\n"
        ));
    } else {
        let (shares, threshold) = (request.secret_shares, request.secret_threshold);
        text.push_str(&format!(
            "{server} initialized with {shares} key shares and a key threshold of {threshold}. Please\n\
             securely distribute the key shares printed above. When the server is\n\
             re-sealed, restarted, or stopped, you must supply at least {threshold} of these\n\
             keys to unseal it before it can start servicing requests.\n\n\
             They are shown this once. Without {threshold} of them everything is lost.\n"
        ));
    }
    context.output.text(&text)
}

/// Shares and threshold of the recovery keys.
fn recovery_sharing(request: &InitRequest) -> (u64, u64) {
    (
        request.recovery_shares.unwrap_or(request.secret_shares),
        request.recovery_threshold.unwrap_or(request.secret_threshold),
    )
}

fn in_base64(made: &InitAnswer) -> &[String] {
    if made.keys_base64.len() == made.keys.len() { &made.keys_base64 } else { &made.keys }
}

/// The names under which `vault operator init -format=json` prints them.
fn machine_form(request: &InitRequest, made: &InitAnswer) -> serde_json::Map<String, Value> {
    let stored = made.keys.is_empty();
    let value = json!({
        "unseal_keys_b64": made.keys_base64,
        "unseal_keys_hex": made.keys,
        "unseal_shares": if stored { 1 } else { request.secret_shares },
        "unseal_threshold": if stored { 1 } else { request.secret_threshold },
        "recovery_keys_b64": made.recovery_keys_base64,
        "recovery_keys_hex": made.recovery_keys,
        "recovery_keys_shares": made.recovery_keys.len(),
        "recovery_keys_threshold": if stored { recovery_sharing(request).1 } else { 0 },
        "root_token": made.root_token,
    });
    match value {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    }
}

fn init_status(context: &Context, client: &Client) -> Result<ExitCode, Failure> {
    let request = Request { method: Method::Get, path: "sys/init", query: &[], body: None };
    let answer: Value =
        client.typed(&request).while_doing(|| "checking init status".to_owned()).map_err(|failure| {
            // 2 means something else here.
            failure.exit_code(1)
        })?;
    let initialized = answer.get("initialized").and_then(Value::as_bool).unwrap_or_default();
    if context.output.is_table() {
        let text = if initialized { "Vault is initialized\n" } else { "Vault is not initialized\n" };
        context.output.text(text)?;
    } else {
        context.output.structured(&json!({ "initialized": initialized }))?;
    }
    Ok(if initialized { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn unseal(context: &Context, args: &UnsealArgs) -> Result<ExitCode, Failure> {
    let client = context.client_without_token()?;
    let share = match (args.reset, args.key.as_deref()) {
        (true, _) => None,
        (false, key) => Some(key_share(context, key)?),
    };
    let answered = match &share {
        Some(share) if args.migrate => client.unseal_migrating(share),
        share => client.unseal(share.as_ref()),
    };
    let status = answered.while_doing(|| "unsealing".to_owned())?;
    status::print(context, &client, &status)
}

/// A key share from the command line, from standard input (`-`), or from the terminal.
fn key_share(context: &Context, given: Option<&str>) -> Result<SecretString, Failure> {
    match given.map(str::trim) {
        Some("-") => line_from_stdin(),
        Some(key) => Ok(SecretString::from(key)),
        None => ask(context, "Unseal Key (will be hidden): ", "unseal key")
            .map_err(|failure| failure.hint("give it as `-`, on standard input")),
    }
}

fn rotate(context: &Context) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    client.write("sys/rotate", &json!({})).while_doing(|| "rotating key".to_owned())?;
    if context.output.is_table() {
        context.output.text("Success! Rotated key\n\n")?;
    }
    key_status(context, &client)
}

fn key_status(context: &Context, client: &Client) -> Result<ExitCode, Failure> {
    let status = client.read("sys/key-status", &[]).while_doing(|| "reading key status".to_owned())?;
    let fields = status.and_then(|status| status.data).unwrap_or_default();
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(&fields);
    }
    let text = |name: &str| fields.get(name).map_or_else(String::new, |value| crate::output::show("", value));
    context.output.text(&pairs(&[
        ("Key Term", text("term")),
        ("Install Time", text("install_time")),
        ("Encryption Count", text("encryptions")),
    ]))
}

fn members(context: &Context) -> Result<ExitCode, Failure> {
    let answer = context
        .client()?
        .read("sys/ha-status", &[])
        .while_doing(|| "reading the cluster's state".to_owned())?;
    let answer = answer.unwrap_or_default();
    let columns = ["hostname", "api_address", "cluster_address", "active_node", "version", "last_echo"];
    let header = ["Host Name", "API Address", "Cluster Address", "Active Node", "Version", "Last Echo"];
    nodes(context, &answer, answer.field("nodes"), &columns, &header)
}

fn peers(context: &Context) -> Result<ExitCode, Failure> {
    let path = "sys/storage/raft/configuration";
    let answer = context
        .client()?
        .read(path, &[])
        .while_doing(|| "reading the raft cluster configuration".to_owned())?;
    let answer = answer.unwrap_or_default();
    let servers = answer.field("config").and_then(|config| config.get("servers"));
    nodes(
        context,
        &answer,
        servers,
        &["node_id", "address", "leader", "voter"],
        &["Node", "Address", "Leader", "Voter"],
    )
}

fn nodes(
    context: &Context,
    answer: &Response,
    list: Option<&Value>,
    columns: &[&str],
    header: &[&str],
) -> Result<ExitCode, Failure> {
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.response(answer);
    }
    let cell = |node: &Value, name: &&str| match node.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(value) => crate::output::show("", value),
    };
    let row = |node: &Value| columns.iter().map(|name| cell(node, name)).collect();
    let rows: Vec<Vec<String>> = list.and_then(Value::as_array).into_iter().flatten().map(row).collect();
    context.output.table(header, &rows)
}

/// A yes or no of an answer, as the tables print it.
fn flag(answer: &serde_json::Map<String, Value>, name: &str) -> bool {
    answer.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn number(answer: &serde_json::Map<String, Value>, name: &str) -> u64 {
    answer.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'a>(answer: &'a serde_json::Map<String, Value>, name: &str) -> &'a str {
    answer.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The answer of an endpoint that has no envelope, or one: its fields either way.
fn fields(answer: Option<Response>) -> serde_json::Map<String, Value> {
    answer.and_then(|answer| answer.data).unwrap_or_default()
}
