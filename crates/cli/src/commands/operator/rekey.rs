//! `operator rekey`: new key shares, from a quorum of the old.

use super::{fields, flag, key_share, no_pgp, number, text};
use crate::context::Context;
use crate::failure::{Doing, Failure};
use clap::Args;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use strongroom_api::client::Client;

#[derive(Args)]
pub struct RekeyArgs {
    /// A key share; - reads it from standard input; without it, it is asked for
    key: Option<String>,
    /// Begin
    #[arg(long)]
    init: bool,
    /// Give up
    #[arg(long)]
    cancel: bool,
    /// How far it is
    #[arg(long)]
    status: bool,
    /// How many new key shares to make
    #[arg(long, short = 'n', default_value_t = 5, value_name = "COUNT")]
    key_shares: u64,
    /// How many of them it takes to unseal
    #[arg(long, short = 't', default_value_t = 3, value_name = "COUNT")]
    key_threshold: u64,
    /// Which attempt a key share given is for
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
    /// With --init: the new shares count only after they were given once; otherwise: this is about that
    #[arg(long)]
    verify: bool,
    /// barrier, or recovery
    #[arg(long, default_value = "barrier", value_parser = ["barrier", "recovery", "hsm"])]
    target: String,
    #[arg(long, hide = true)]
    pgp_keys: Option<String>,
}

impl RekeyArgs {
    fn folder(&self) -> &'static str {
        if self.target == "barrier" { "sys/rekey" } else { "sys/rekey-recovery-key" }
    }

    /// Where the state of the attempt, or that of its verification, is.
    fn attempt(&self) -> String {
        format!("{}/{}", self.folder(), if self.verify && !self.init { "verify" } else { "init" })
    }
}

pub fn run(context: &Context, args: &RekeyArgs) -> Result<ExitCode, Failure> {
    no_pgp(args.pgp_keys.as_ref())?;
    let client = context.client()?;
    if args.cancel {
        client.delete(&args.attempt(), &[]).while_doing(|| "canceling rekey".to_owned())?;
        return context.output.success("Canceled rekeying (if it was started)");
    }
    if args.init {
        let body = json!({
            "secret_shares": args.key_shares,
            "secret_threshold": args.key_threshold,
            "require_verification": args.verify,
        });
        let started = client.write(&args.attempt(), &body).while_doing(|| "initializing rekey".to_owned())?;
        return print(context, &fields(started));
    }
    if args.status {
        return print(context, &status(&client, args)?);
    }
    provide(context, &client, args)
}

fn status(client: &Client, args: &RekeyArgs) -> Result<Map<String, Value>, Failure> {
    Ok(fields(client.read(&args.attempt(), &[]).while_doing(|| "getting rekey status".to_owned())?))
}

fn provide(context: &Context, client: &Client, args: &RekeyArgs) -> Result<ExitCode, Failure> {
    let status = status(client, args)?;
    if !flag(&status, "started") {
        return Err(Failure::usage("No rekey is in progress").hint("begin with `operator rekey --init`"));
    }
    let nonce = match (&args.nonce, &args.key) {
        (Some(nonce), _) => nonce.as_str(),
        // Who types the share at a prompt sees the nonce there.
        (None, None) => text(&status, "nonce"),
        (None, Some(_)) => return Err(Failure::usage("Missing nonce value: specify it via the -nonce flag")),
    };
    if args.key.is_none() {
        context.output.note(&format!("Rekey operation nonce: {nonce}"));
    }
    let share = key_share(context, args.key.as_deref())?;
    let body = json!({ "key": share.expose(), "nonce": nonce });
    let path = format!("{}/{}", args.folder(), if args.verify { "verify" } else { "update" });
    let answer = fields(client.write(&path, &body).while_doing(|| "posting unseal key".to_owned())?);
    if !flag(&answer, "complete") {
        return print(context, &self::status(client, args)?);
    }
    if !context.output.is_table() {
        return context.output.map(&answer);
    }
    if args.verify {
        return context.output.text(
            "Rekey verification successful. The rekey operation is complete and the new keys are now active.\n",
        );
    }
    print_shares(context, &status, &answer)
}

fn print_shares(
    context: &Context,
    status: &Map<String, Value>,
    answer: &Map<String, Value>,
) -> Result<ExitCode, Failure> {
    let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let (hexadecimal, base64) = (list("keys"), list("keys_base64"));
    let shares = if base64.len() == hexadecimal.len() { base64 } else { hexadecimal };
    let mut message = String::from("\n");
    for (index, share) in shares.iter().enumerate() {
        message.push_str(&format!("Key {}: {}\n", index + 1, share.as_str().unwrap_or_default()));
    }
    message.push_str(&format!("\nOperation nonce: {}\n\n", text(answer, "nonce")));
    let (count, threshold) = (number(status, "n"), number(status, "t"));
    if flag(answer, "verification_required") || flag(status, "verification_required") {
        message.push_str(&format!(
            "These {count} key shares do NOT count until {threshold} of them were given to\n\
             `operator rekey --verify`, with the nonce {}. Until then keep the old ones.\n",
            text(answer, "verification_nonce")
        ));
    } else {
        message.push_str(&format!(
            "Vault unseal keys rekeyed to {count} key shares and a key threshold of {threshold}. Please\n\
             securely distribute the key shares printed above. The old ones are worthless now.\n"
        ));
    }
    context.output.text(&message)
}

fn print(context: &Context, status: &Map<String, Value>) -> Result<ExitCode, Failure> {
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(status);
    }
    let is_verification = !status.contains_key("required");
    let started = flag(status, "started");
    let mut rows = Vec::new();
    let mut add = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    if is_verification {
        add("Started", started.to_string());
        add("New Shares", number(status, "n").to_string());
        add("New Threshold", number(status, "t").to_string());
        add("Verification Nonce", text(status, "nonce").to_owned());
        add("Verification Progress", format!("{}/{}", number(status, "progress"), number(status, "t")));
        return context.output.table(&["Key", "Value"], &rows);
    }
    add("Nonce", text(status, "nonce").to_owned());
    add("Started", started.to_string());
    if started {
        let (progress, required) = (number(status, "progress"), number(status, "required"));
        let note = if progress == required { " (verification in progress)" } else { "" };
        add("Rekey Progress", format!("{progress}/{required}{note}"));
        add("New Shares", number(status, "n").to_string());
        add("New Threshold", number(status, "t").to_string());
        add("Verification Required", flag(status, "verification_required").to_string());
        if !text(status, "verification_nonce").is_empty() {
            add("Verification Nonce", text(status, "verification_nonce").to_owned());
        }
    }
    context.output.table(&["Key", "Value"], &rows)
}
