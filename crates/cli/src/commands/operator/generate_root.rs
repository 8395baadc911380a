//! `operator generate-root`: a new root token from a quorum of key shares. The server gives it out under a one-time
//! pad; `--decode` takes the pad off, here.

use super::{fields, flag, key_share, no_pgp, number, text};
use crate::commands::login::line_from_stdin;
use crate::context::Context;
use crate::failure::{Doing, Failure};
use crate::output::pairs;
use crate::system::SystemEntropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use clap::Args;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use strongroom_api::client::Client;
use strongroom_secret::{Entropy, SecretBytes, SecretString};

#[derive(Args)]
pub struct GenerateRootArgs {
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
    /// Take the pad off an encoded token, which - reads from standard input. Asks no server
    #[arg(long, value_name = "TOKEN", requires = "otp", allow_hyphen_values = true)]
    decode: Option<String>,
    /// Make a one-time pad of the right length
    #[arg(long)]
    generate_otp: bool,
    /// The one-time pad
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    otp: Option<String>,
    /// Which attempt a key share given is for
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
    #[arg(long, hide = true)]
    pgp_key: Option<String>,
}

const ATTEMPT: &str = "sys/generate-root/attempt";
/// `hvs.` and 24 characters: what a server without an opinion expects.
const OTP_CHARACTERS_DEFAULT: u64 = 28;
const OTP_CHARACTERS_MAX: u64 = 1024;

pub fn run(context: &Context, args: &GenerateRootArgs) -> Result<ExitCode, Failure> {
    no_pgp(args.pgp_key.as_ref())?;
    if let (Some(encoded), Some(otp)) = (&args.decode, &args.otp) {
        return decode(context, encoded, otp);
    }
    let client = context.client()?;
    if args.generate_otp {
        return generate_otp(context, &client);
    }
    if args.cancel {
        client.delete(ATTEMPT, &[]).while_doing(|| "canceling root token generation".to_owned())?;
        return context.output.success("Root token generation canceled (if it was started)");
    }
    if args.init {
        let body = args.otp.as_ref().map_or_else(|| json!({}), |otp| json!({ "otp": otp }));
        let started =
            client.write(ATTEMPT, &body).while_doing(|| "initializing root generation".to_owned())?;
        return print(context, &fields(started));
    }
    if args.status {
        return print(context, &status(&client)?);
    }
    provide(context, &client, args)
}

fn status(client: &Client) -> Result<Map<String, Value>, Failure> {
    let status = client.read(ATTEMPT, &[]).while_doing(|| "getting root generation status".to_owned())?;
    Ok(fields(status))
}

fn provide(context: &Context, client: &Client, args: &GenerateRootArgs) -> Result<ExitCode, Failure> {
    let status = status(client)?;
    if !flag(&status, "started") {
        return Err(Failure::usage("No root generation is in progress")
            .hint("begin with `operator generate-root --init`"));
    }
    let nonce = match (&args.nonce, &args.key) {
        (Some(nonce), _) => nonce.as_str(),
        // Who types the share at a prompt sees the nonce there.
        (None, None) => text(&status, "nonce"),
        (None, Some(_)) => return Err(Failure::usage("Missing nonce value: specify it via the -nonce flag")),
    };
    if args.key.is_none() {
        context.output.note(&format!("Operation nonce: {nonce}"));
    }
    let share = key_share(context, args.key.as_deref())?;
    let body = json!({ "key": share.expose(), "nonce": nonce });
    let answer =
        client.write("sys/generate-root/update", &body).while_doing(|| "posting unseal key".to_owned())?;
    print(context, &fields(answer))
}

fn print(context: &Context, status: &Map<String, Value>) -> Result<ExitCode, Failure> {
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(status);
    }
    let mut rows = vec![
        ("Nonce", text(status, "nonce").to_owned()),
        ("Started", flag(status, "started").to_string()),
        ("Progress", format!("{}/{}", number(status, "progress"), number(status, "required"))),
        ("Complete", flag(status, "complete").to_string()),
    ];
    if !text(status, "encoded_token").is_empty() {
        rows.push(("Encoded Token", text(status, "encoded_token").to_owned()));
    } else if !text(status, "encoded_root_token").is_empty() {
        rows.push(("Encoded Root Token", text(status, "encoded_root_token").to_owned()));
    }
    if !text(status, "otp").is_empty() {
        context.output.note("The one-time pad (OTP) decodes the root token at the end: keep it safe.");
        rows.push(("OTP", text(status, "otp").to_owned()));
    }
    if number(status, "otp_length") > 0 {
        rows.push(("OTP Length", number(status, "otp_length").to_string()));
    }
    context.output.text(&pairs(&rows))
}

fn decode(context: &Context, encoded: &str, otp: &str) -> Result<ExitCode, Failure> {
    let encoded = match encoded {
        "-" => line_from_stdin()?,
        given => SecretString::from(given),
    };
    let token = remove_pad(encoded.expose(), otp)?;
    if context.output.is_table() {
        return context.output.bare_text(token.expose());
    }
    context.output.structured(&json!({ "token": token.expose() }))
}

/// Base64 without padding, and exclusive or: the pad is as long as the token.
fn remove_pad(encoded: &str, otp: &str) -> Result<SecretString, Failure> {
    let wrong = |reason: &str| Failure::usage(format!("Error decoding root token: {reason}"));
    let bytes = STANDARD_NO_PAD.decode(encoded.trim().trim_end_matches('='));
    let bytes = SecretBytes::new(bytes.map_err(|_| wrong("it is not base64"))?);
    let pad = otp.trim().as_bytes();
    if bytes.expose().len() != pad.len() {
        return Err(wrong("the token and the one-time pad differ in length"));
    }
    let token: Vec<u8> = bytes.expose().iter().zip(pad).map(|(byte, pad)| byte ^ pad).collect();
    let token = String::from_utf8(token).map_err(|_| wrong("this is not its one-time pad"))?;
    Ok(SecretString::new(token))
}

fn generate_otp(context: &Context, client: &Client) -> Result<ExitCode, Failure> {
    let length = match number(&status(client)?, "otp_length") {
        0 => OTP_CHARACTERS_DEFAULT,
        length => length.min(OTP_CHARACTERS_MAX),
    };
    let otp = random_text(&SystemEntropy, usize::try_from(length).unwrap_or_default());
    if context.output.is_table() {
        return context.output.bare_text(otp.expose());
    }
    context.output.structured(&json!({ "otp": otp.expose(), "otp_length": length }))
}

/// Letters and digits, all equally likely: bytes beyond the last whole multiple of 62 are thrown away.
fn random_text(entropy: &dyn Entropy, length: usize) -> SecretString {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut byte = [0];
        entropy.fill(&mut byte);
        let [byte] = byte;
        if byte < 248
            && let Some(letter) = ALPHABET.get(usize::from(byte % 62))
        {
            text.push(char::from(*letter));
        }
    }
    SecretString::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pad_comes_off() {
        let (token, otp) = ("hvs.not-a-real-token", "ABCDEFGHIJKLMNOPQRST");
        let padded: Vec<u8> = token.bytes().zip(otp.bytes()).map(|(a, b)| a ^ b).collect();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        assert_eq!(remove_pad(&encoded, otp).unwrap().expose(), token);
        assert_eq!(remove_pad(&format!("{encoded}=\n"), otp).unwrap().expose(), token);
        assert!(remove_pad(&encoded, "short").is_err());
        assert!(remove_pad("%%%", otp).is_err());
        assert!(remove_pad("", "").unwrap().is_empty());
    }

    #[test]
    fn random_text_has_its_length_and_alphabet() {
        let text = random_text(&SystemEntropy, 100);
        assert!(text.expose().len() == 100 && text.expose().chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
