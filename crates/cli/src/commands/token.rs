//! `token …` and `print token`.

use super::clean_path;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::values;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use strongroom_api::Response;
use strongroom_api::client::Client;

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token
    Create(Box<CreateArgs>),
    /// What is known about a token: that in use, TOKEN, or (with --accessor) that of an accessor
    Lookup(WhichToken),
    /// Give a token more time
    Renew(RenewArgs),
    /// End a token and all that came from it
    Revoke(RevokeArgs),
    /// What a token may do at a path
    Capabilities(CapabilitiesArgs),
}

#[derive(Subcommand)]
pub enum PrintCommand {
    /// Print the token in use
    Token,
}

#[derive(Args)]
pub struct WhichToken {
    token: Option<String>,
    /// TOKEN is an accessor
    #[arg(long)]
    accessor: bool,
}

#[derive(Args)]
pub struct RenewArgs {
    #[command(flatten)]
    which: WhichToken,
    /// By how much, from now on
    #[arg(long, short, value_name = "DURATION")]
    increment: Option<String>,
}

#[derive(Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    which: WhichToken,
    /// The token in use
    #[arg(long = "self")]
    own: bool,
    /// path: by prefix; orphan: leave its children alone
    #[arg(long, value_parser = ["path", "orphan"])]
    mode: Option<String>,
}

#[derive(Args)]
pub struct CapabilitiesArgs {
    /// [TOKEN] PATH…
    #[arg(required = true, value_name = "TOKEN|PATH")]
    words: Vec<String>,
    /// The first word is an accessor
    #[arg(long)]
    accessor: bool,
}

#[derive(Args)]
pub struct CreateArgs {
    /// A policy of the token; may be given often
    #[arg(long, value_name = "NAME")]
    policy: Vec<String>,
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    #[arg(long, value_name = "DURATION")]
    explicit_max_ttl: Option<String>,
    /// Renewable without end, each time for this long
    #[arg(long, value_name = "DURATION")]
    period: Option<String>,
    /// Lives on when its parent ends
    #[arg(long)]
    orphan: bool,
    #[arg(long)]
    no_default_policy: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    renewable: Option<bool>,
    /// End after this many uses
    #[arg(long, value_name = "COUNT")]
    use_limit: Option<u64>,
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// key=value for the audit log; may be given often
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// The token itself, chosen by hand
    #[arg(long, value_name = "TOKEN")]
    id: Option<String>,
    /// service or batch
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[arg(long, value_name = "NAME")]
    entity_alias: Option<String>,
    /// Make it by this role
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
}

pub fn run(context: &Context, command: TokenCommand) -> Result<ExitCode, Failure> {
    match command {
        TokenCommand::Create(args) => create(context, &args),
        TokenCommand::Lookup(which) => lookup(context, &which),
        TokenCommand::Renew(args) => renew(context, &args),
        TokenCommand::Revoke(args) => revoke(context, &args),
        TokenCommand::Capabilities(args) => capabilities(context, &args),
    }
}

pub fn print(context: &Context, command: &PrintCommand) -> Result<ExitCode, Failure> {
    let PrintCommand::Token = command;
    match context.token()? {
        Some(token) => context.output.text(&format!("{}\n", token.expose())),
        None => Err(Failure::missing("there is no token").hint("`login` gets one")),
    }
}

fn create(context: &Context, args: &CreateArgs) -> Result<ExitCode, Failure> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.clone().map(Value::from);
    set("policies", (!args.policy.is_empty()).then(|| args.policy.clone().into()));
    set("ttl", text(&args.ttl));
    set("explicit_max_ttl", text(&args.explicit_max_ttl));
    set("period", text(&args.period));
    set("no_parent", args.orphan.then_some(Value::Bool(true)));
    set("no_default_policy", args.no_default_policy.then_some(Value::Bool(true)));
    set("renewable", args.renewable.map(Value::Bool));
    set("num_uses", args.use_limit.map(Value::from));
    set("display_name", text(&args.display_name));
    set("id", text(&args.id));
    set("type", text(&args.kind));
    set("entity_alias", text(&args.entity_alias));
    if !args.metadata.is_empty() {
        set("meta", Some(Value::Object(values::parse(&args.metadata, &mut std::io::empty())?)));
    }
    let path = match &args.role {
        Some(role) => format!("auth/token/create/{}", clean_path(role)),
        None => "auth/token/create".to_owned(),
    };
    let made =
        context.client()?.write(&path, &Value::Object(body)).while_doing(|| "creating token".to_owned())?;
    let made = made.ok_or_else(|| Failure::other("the server answered without a token"))?;
    context.output.response(&made)
}

fn lookup(context: &Context, which: &WhichToken) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let found = match (&which.token, which.accessor) {
        (None, true) => return Err(Failure::usage("--accessor needs an accessor")),
        (None, false) => client.read("auth/token/lookup-self", &[]),
        (Some(token), false) => client.write("auth/token/lookup", &json!({ "token": token })),
        (Some(accessor), true) => {
            client.write("auth/token/lookup-accessor", &json!({ "accessor": accessor }))
        }
    };
    let found = found.while_doing(|| "looking up token".to_owned())?;
    context
        .output
        .response(&found.ok_or_else(|| Failure::missing("the server knows nothing about the token"))?)
}

fn renew(context: &Context, args: &RenewArgs) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let mut body = Map::new();
    if let Some(increment) = &args.increment {
        body.insert("increment".to_owned(), increment.clone().into());
    }
    let path = match (&args.which.token, args.which.accessor) {
        (None, true) => return Err(Failure::usage("--accessor needs an accessor")),
        (None, false) => "auth/token/renew-self",
        (Some(token), false) => {
            body.insert("token".to_owned(), token.clone().into());
            "auth/token/renew"
        }
        (Some(accessor), true) => {
            body.insert("accessor".to_owned(), accessor.clone().into());
            "auth/token/renew-accessor"
        }
    };
    let renewed = client.write(path, &Value::Object(body)).while_doing(|| "renewing token".to_owned())?;
    context.output.response(&renewed.unwrap_or_default())
}

fn revoke(context: &Context, args: &RevokeArgs) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let mode = args.mode.as_deref();
    let outcome = match (&args.which.token, args.own, args.which.accessor, mode) {
        (None, true, false, None) => client.write("auth/token/revoke-self", &json!({})),
        (Some(token), false, false, None) => client.write("auth/token/revoke", &json!({ "token": token })),
        (Some(token), false, false, Some("orphan")) => {
            client.write("auth/token/revoke-orphan", &json!({ "token": token }))
        }
        (Some(path), false, false, Some("path")) => {
            client.write(&format!("sys/leases/revoke-prefix/{}", clean_path(path)), &json!({}))
        }
        (Some(accessor), false, true, None) => {
            client.write("auth/token/revoke-accessor", &json!({ "accessor": accessor }))
        }
        (None, false, ..) => return Err(Failure::usage("which token? Give one, or --self")),
        _ => return Err(Failure::usage("these flags do not go together")),
    };
    outcome.while_doing(|| "revoking token".to_owned())?;
    context.output.success("Revoked token (if it existed)")
}

fn capabilities(context: &Context, args: &CapabilitiesArgs) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let (holder, paths) = match args.words.as_slice() {
        [path] if !args.accessor => (None, std::slice::from_ref(path)),
        [holder, paths @ ..] if !paths.is_empty() => (Some(holder), paths),
        _ => return Err(Failure::usage("--accessor needs an accessor and a path")),
    };
    let found = ask_capabilities(&client, holder, paths, args.accessor)?;
    if !context.output.is_table() || context.output.field.is_some() {
        return match (found.field("capabilities"), paths) {
            (Some(list), [_]) => context.output.structured(list),
            _ => context.output.response(&found),
        };
    }
    for path in paths {
        let list = found.field(path).or_else(|| found.field("capabilities")).and_then(Value::as_array);
        let mut names: Vec<_> = list.into_iter().flatten().filter_map(Value::as_str).collect();
        names.sort_unstable();
        let label = if paths.len() > 1 { format!("{path}: ") } else { String::new() };
        context.output.text(&format!("{label}{}\n", names.join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn ask_capabilities(
    client: &Client,
    holder: Option<&String>,
    paths: &[String],
    by_accessor: bool,
) -> Result<Response, Failure> {
    let found = match (holder, by_accessor) {
        (None, _) => client.write("sys/capabilities-self", &json!({ "paths": paths })),
        (Some(token), false) => client.write("sys/capabilities", &json!({ "paths": paths, "token": token })),
        (Some(accessor), true) => {
            client.write("sys/capabilities-accessor", &json!({ "paths": paths, "accessor": accessor }))
        }
    };
    Ok(found.while_doing(|| "listing capabilities".to_owned())?.unwrap_or_default())
}
