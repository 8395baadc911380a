//! `secrets …` and `auth …`: what is mounted where. The two differ in their paths and words alone.

use super::clean_path;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::values;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use strongroom_api::Response;

#[derive(Subcommand)]
pub enum SecretsCommand {
    /// What is mounted
    List(ListArgs),
    /// Mount a secrets engine
    Enable(Box<EnableArgs>),
    /// Unmount a secrets engine: its secrets are gone
    Disable(PathArgs),
    /// Change the settings of a mount
    Tune(Box<TuneArgs>),
    /// Move a mount to another path
    Move(MoveArgs),
}

#[derive(Subcommand)]
pub enum AuthCommand {
    /// What is mounted
    List(ListArgs),
    /// Mount an auth method
    Enable(Box<EnableArgs>),
    /// Unmount an auth method: its tokens end
    Disable(PathArgs),
    /// Change the settings of a mount
    Tune(Box<TuneArgs>),
    /// Move a mount to another path
    Move(MoveArgs),
    /// What a mounted method says about itself
    Help(PathArgs),
}

#[derive(Args)]
pub struct ListArgs {
    /// All that is known about each
    #[arg(long)]
    detailed: bool,
}

#[derive(Args)]
pub struct PathArgs {
    path: String,
}

#[derive(Args)]
pub struct MoveArgs {
    source: String,
    destination: String,
}

#[derive(Args)]
pub struct EnableArgs {
    /// As the server names it; `read sys/plugins/catalog` lists all that it has
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Where, if not under the type's name
    #[arg(long)]
    path: Option<String>,
    /// Keep it on this cluster
    #[arg(long)]
    local: bool,
    /// Wrap what it stores with the seal
    #[arg(long)]
    seal_wrap: bool,
    /// Never cache what it stores
    #[arg(long)]
    force_no_cache: bool,
    /// The plugin's name, where TYPE is `plugin`
    #[arg(long, value_name = "NAME")]
    plugin_name: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args)]
pub struct TuneArgs {
    path: String,
    #[command(flatten)]
    settings: Settings,
}

/// What can be set at first and changed later.
#[derive(Args)]
struct Settings {
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[arg(long, value_name = "DURATION")]
    default_lease_ttl: Option<String>,
    #[arg(long, value_name = "DURATION")]
    max_lease_ttl: Option<String>,
    /// The version of the key-value engine: 1 or 2
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
    /// key=value; may be given often
    #[arg(long, value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// unauth or hidden
    #[arg(long, value_name = "WHO")]
    listing_visibility: Option<String>,
    /// Names that the audit log shows in clear; may be given often
    #[arg(long, value_name = "NAME")]
    audit_non_hmac_request_keys: Vec<String>,
    #[arg(long, value_name = "NAME")]
    audit_non_hmac_response_keys: Vec<String>,
    #[arg(long, value_name = "NAME")]
    passthrough_request_headers: Vec<String>,
    #[arg(long, value_name = "NAME")]
    allowed_response_headers: Vec<String>,
    #[arg(long, value_name = "VERSION")]
    plugin_version: Option<String>,
    /// What an auth method makes: default-service, default-batch, service or batch
    #[arg(long, value_name = "TYPE")]
    token_type: Option<String>,
    /// Failed logins of a user after which no more are looked at, of an auth method
    #[arg(long, value_name = "COUNT")]
    user_lockout_threshold: Option<u64>,
    /// For how long
    #[arg(long, value_name = "DURATION")]
    user_lockout_duration: Option<String>,
    /// After this long without a failure the count starts again
    #[arg(long, value_name = "DURATION")]
    user_lockout_counter_reset_duration: Option<String>,
    /// Look at every login, however many failed
    #[arg(long)]
    user_lockout_disable: Option<bool>,
}

impl Settings {
    fn options(&self) -> Result<Map<String, Value>, Failure> {
        let mut options = values::parse(&self.options, &mut std::io::empty())?;
        if let Some(version) = self.version {
            options.insert("version".to_owned(), version.to_string().into());
        }
        Ok(options)
    }

    fn user_lockout(&self) -> Map<String, Value> {
        let values = [
            ("lockout_threshold", self.user_lockout_threshold.map(Value::from)),
            ("lockout_duration", self.user_lockout_duration.clone().map(Value::from)),
            (
                "lockout_counter_reset_duration",
                self.user_lockout_counter_reset_duration.clone().map(Value::from),
            ),
            ("lockout_disable", self.user_lockout_disable.map(Value::from)),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// Everything but the description and the options.
    fn config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        for (name, value) in [
            ("default_lease_ttl", &self.default_lease_ttl),
            ("max_lease_ttl", &self.max_lease_ttl),
            ("listing_visibility", &self.listing_visibility),
            ("plugin_version", &self.plugin_version),
            ("token_type", &self.token_type),
        ] {
            if let Some(value) = value {
                config.insert(name.to_owned(), value.clone().into());
            }
        }
        let lockout = self.user_lockout();
        if !lockout.is_empty() {
            config.insert("user_lockout_config".to_owned(), lockout.into());
        }
        for (name, values) in [
            ("audit_non_hmac_request_keys", &self.audit_non_hmac_request_keys),
            ("audit_non_hmac_response_keys", &self.audit_non_hmac_response_keys),
            ("passthrough_request_headers", &self.passthrough_request_headers),
            ("allowed_response_headers", &self.allowed_response_headers),
        ] {
            if !values.is_empty() {
                config.insert(name.to_owned(), values.clone().into());
            }
        }
        config
    }
}

/// What tells the two kinds of mounts apart.
struct Kind {
    /// Of the API: `sys/mounts`, `sys/auth`.
    api: &'static str,
    /// In front of a path where both kinds share an endpoint.
    prefix: &'static str,
    thing: &'static str,
    plural: &'static str,
}

const SECRETS: Kind =
    Kind { api: "sys/mounts", prefix: "", thing: "secrets engine", plural: "secrets engines" };
const AUTH: Kind =
    Kind { api: "sys/auth", prefix: "auth/", thing: "auth method", plural: "enabled authentications" };

pub fn secrets(context: &Context, command: SecretsCommand) -> Result<ExitCode, Failure> {
    match command {
        SecretsCommand::List(args) => list(context, &SECRETS, &args),
        SecretsCommand::Enable(args) => enable(context, &SECRETS, &args),
        SecretsCommand::Disable(args) => disable(context, &SECRETS, &args),
        SecretsCommand::Tune(args) => tune(context, &SECRETS, &args),
        SecretsCommand::Move(args) => relocate(context, &SECRETS, &args),
    }
}

pub fn auth(context: &Context, command: AuthCommand) -> Result<ExitCode, Failure> {
    match command {
        AuthCommand::List(args) => list(context, &AUTH, &args),
        AuthCommand::Enable(args) => enable(context, &AUTH, &args),
        AuthCommand::Disable(args) => disable(context, &AUTH, &args),
        AuthCommand::Tune(args) => tune(context, &AUTH, &args),
        AuthCommand::Move(args) => relocate(context, &AUTH, &args),
        AuthCommand::Help(args) => {
            super::generic::help_for(context, &format!("auth/{}/", clean_path(&args.path)))
        }
    }
}

fn list(context: &Context, kind: &Kind, args: &ListArgs) -> Result<ExitCode, Failure> {
    let response =
        context.client()?.read(kind.api, &[]).while_doing(|| format!("listing {}", kind.plural))?;
    let mounts = response.and_then(|response| response.data).unwrap_or_default();
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(&mounts);
    }
    let text = |mount: &Value, name: &str| {
        mount.get(name).map_or_else(String::new, |value| crate::output::show("", value))
    };
    if !args.detailed {
        let rows: Vec<_> = mounts
            .iter()
            .map(|(path, mount)| {
                vec![path.clone(), text(mount, "type"), text(mount, "accessor"), text(mount, "description")]
            })
            .collect();
        return context.output.table(&["Path", "Type", "Accessor", "Description"], &rows);
    }
    let header = [
        "Path",
        "Plugin",
        "Accessor",
        "Default TTL",
        "Max TTL",
        "Replication",
        "Seal Wrap",
        "Options",
        "Description",
        "UUID",
        "Version",
        "Running Version",
    ];
    let rows: Vec<_> = mounts
        .iter()
        .map(|(path, mount)| {
            let local = mount.get("local").and_then(Value::as_bool).unwrap_or_default();
            vec![
                path.clone(),
                text(mount, "type"),
                text(mount, "accessor"),
                lease_ttl(mount, "default_lease_ttl"),
                lease_ttl(mount, "max_lease_ttl"),
                if local { "local" } else { "replicated" }.to_owned(),
                text(mount, "seal_wrap"),
                mount
                    .get("options")
                    .filter(|options| !options.is_null())
                    .map_or_else(|| "map[]".to_owned(), |options| crate::output::show("", options)),
                text(mount, "description"),
                text(mount, "uuid"),
                text(mount, "plugin_version"),
                text(mount, "running_plugin_version"),
            ]
        })
        .collect();
    context.output.table(&header, &rows)
}

fn lease_ttl(mount: &Value, name: &str) -> String {
    let kind = mount.get("type").and_then(Value::as_str).unwrap_or_default();
    let seconds =
        mount.get("config").and_then(|config| config.get(name)).and_then(Value::as_i64).unwrap_or_default();
    match (kind, seconds) {
        ("system" | "cubbyhole", _) => String::new(),
        (_, 0) => "system".to_owned(),
        (_, seconds) => seconds.to_string(),
    }
}

fn enable(context: &Context, kind: &Kind, args: &EnableArgs) -> Result<ExitCode, Failure> {
    let engine = match (args.kind.trim(), &args.plugin_name) {
        ("plugin", Some(name)) => name.as_str(),
        (name, _) => name,
    };
    let path = clean_path(args.path.as_deref().unwrap_or(engine));
    let mut config = args.settings.config();
    if args.force_no_cache {
        config.insert("force_no_cache".to_owned(), true.into());
    }
    let body = json!({
        "type": engine,
        "description": args.settings.description.clone().unwrap_or_default(),
        "config": config,
        "options": args.settings.options()?,
        "local": args.local,
        "seal_wrap": args.seal_wrap,
    });
    let thing = kind.thing;
    context
        .client()?
        .write(&format!("{}/{path}", kind.api), &body)
        .while_doing(|| format!("enabling {engine} {thing}"))?;
    context.output.success(&format!(
        "Enabled {}{engine} {thing} at: {path}/",
        if kind.prefix.is_empty() { "the " } else { "" }
    ))
}

fn disable(context: &Context, kind: &Kind, args: &PathArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    let thing = kind.thing;
    context
        .client()?
        .delete(&format!("{}/{path}", kind.api), &[])
        .while_doing(|| format!("disabling {thing} at {path}/"))?;
    context.output.success(&format!("Disabled the {thing} (if it existed) at: {path}/"))
}

fn tune(context: &Context, kind: &Kind, args: &TuneArgs) -> Result<ExitCode, Failure> {
    let path = clean_path(&args.path);
    let mut body = args.settings.config();
    if let Some(description) = &args.settings.description {
        body.insert("description".to_owned(), description.clone().into());
    }
    let options = args.settings.options()?;
    if !options.is_empty() {
        body.insert("options".to_owned(), options.into());
    }
    let thing = kind.thing;
    let api_path = format!("sys/mounts/{}{path}/tune", kind.prefix);
    context
        .client()?
        .write(&api_path, &Value::Object(body))
        .while_doing(|| format!("tuning {thing} {path}/"))?;
    context.output.success(&format!("Tuned the {thing} at: {path}/"))
}

/// How often, and with which pause, the state of a move is asked for: two minutes at most.
const MOVE_QUESTIONS_MAX: u32 = 600;
const MOVE_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

fn relocate(context: &Context, kind: &Kind, args: &MoveArgs) -> Result<ExitCode, Failure> {
    let (source, destination) = (clean_path(&args.source), clean_path(&args.destination));
    let full = |path: &str| format!("{}{}/", kind.prefix, path.strip_prefix(kind.prefix).unwrap_or(path));
    let body = json!({ "from": full(source), "to": full(destination) });
    let thing = kind.thing;
    let doing = || format!("moving {thing} {source}/ to {destination}/");
    let client = context.client()?;
    let started = client.write("sys/remount", &body).while_doing(doing)?;
    let id =
        started.as_ref().and_then(|response| response.text("migration_id")).unwrap_or_default().to_owned();
    let done = format!("Finished moving {thing} {source}/ to {destination}/");
    if id.is_empty() {
        return context.output.success(&done);
    }
    for _ in 0..MOVE_QUESTIONS_MAX {
        let status = client.read(&format!("sys/remount/status/{id}"), &[]).while_doing(doing)?;
        match status.as_ref().and_then(move_state) {
            Some("success") => return context.output.success(&format!("{done}, with migration ID {id}")),
            Some("failure") => return Err(Failure::other("the move failed").doing(doing())),
            _ => std::thread::sleep(MOVE_PAUSE),
        }
    }
    Err(Failure::other(format!("the move goes on; its migration ID is {id}")).doing(doing()))
}

fn move_state(response: &Response) -> Option<&str> {
    response.field("migration_info")?.get("status")?.as_str()
}
