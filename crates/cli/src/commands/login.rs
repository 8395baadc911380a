//! `login`: credentials to a token, kept in the token file.

mod browser;

use super::clean_path;
use crate::context::Context;
use crate::failure::{Doing, Failure, Kind};
use crate::persona::Face;
use crate::terminal::ask_hidden;
use crate::token_file;
use crate::values;
use clap::Args;
use serde_json::{Map, Value};
use std::io::Read;
use std::process::ExitCode;
use strongroom_api::client::Client;
use strongroom_api::{Auth, Response};
use strongroom_secret::SecretString;

#[derive(Args)]
pub struct LoginArgs {
    /// How to authenticate: token, userpass, ldap, approle, cert, jwt, kubernetes…
    #[arg(long, default_value = "token")]
    method: String,
    /// Where the method is mounted, if not under its own name
    #[arg(long)]
    path: Option<String>,
    /// Leave the token file as it is
    #[arg(long)]
    no_store: bool,
    /// Store the token, print nothing
    #[arg(long, conflicts_with = "no_store")]
    no_print: bool,
    /// Print the token and nothing else; store nothing
    #[arg(long)]
    token_only: bool,
    /// With oidc: print the address of the provider's page, open nothing
    #[arg(long, alias = "skip-browser")]
    no_browser: bool,
    /// The credentials: key=value, key=@file, key=-. What is missing is asked for. A single word is a token
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
}

pub fn run(context: &Context, args: &LoginArgs) -> Result<ExitCode, Failure> {
    let method = clean_path(&args.method);
    let mut words = args.data.clone();
    if let Some(first) = words.first_mut()
        && method == "token"
        && !first.contains('=')
    {
        first.insert_str(0, "token=");
    }
    let credentials = values::parse_credentials(&words, &mut values::StandardInput::new())?;
    let mut client = context.client_without_token()?;
    let mount = credentials.get("mount").and_then(Value::as_str).or(args.path.as_deref()).unwrap_or(method);
    let mount = clean_path(mount).to_owned();
    let response = authenticate(context, &mut client, method, &mount, args, credentials).map_err(refused)?;
    let response = second_factor(context, &client, response)?;
    let response = open_wrapping(&mut client, response, args)?;
    finish(context, args, &response)
}

/// Credentials that are wrong come back as a bad request.
fn refused(failure: Failure) -> Failure {
    let failure = failure.doing("authenticating");
    if failure.status() == Some(400) { failure.kind(Kind::Denied) } else { failure }
}

fn authenticate(
    context: &Context,
    client: &mut Client,
    method: &str,
    mount: &str,
    args: &LoginArgs,
    mut credentials: Map<String, Value>,
) -> Result<Response, Failure> {
    credentials.remove("mount");
    match method {
        "token" => with_token(context, client, &credentials),
        "userpass" | "ldap" | "okta" | "radius" => {
            let name = match credentials.remove("username") {
                Some(Value::String(name)) => name,
                _ => {
                    return Err(
                        Failure::usage(format!("{method} needs a user name")).hint("write username=NAME")
                    );
                }
            };
            if !credentials.contains_key("password") {
                let password = ask(context, "Password (will be hidden): ", "password")?;
                credentials.insert("password".to_owned(), password.expose().into());
            }
            log_in(client, &format!("auth/{mount}/login/{name}"), credentials)
        }
        "github" if !credentials.contains_key("token") => {
            let token = ask(context, "GitHub Personal Access Token (will be hidden): ", "token")?;
            credentials.insert("token".to_owned(), token.expose().into());
            log_in(client, &format!("auth/{mount}/login"), credentials)
        }
        "oidc" if !credentials.contains_key("jwt") => {
            let login = browser::Login::parse(&credentials, args.no_browser)?;
            browser::log_in(context, client, mount, &login)
        }
        _ => log_in(client, &format!("auth/{mount}/login"), credentials),
    }
}

fn log_in(client: &Client, path: &str, credentials: Map<String, Value>) -> Result<Response, Failure> {
    let response = client.write(path, &Value::Object(credentials))?;
    response.ok_or_else(|| Failure::other("the server answered without a token"))
}

/// Looks up the token given and shows it as if it had just been made.
fn with_token(
    context: &Context,
    client: &mut Client,
    credentials: &Map<String, Value>,
) -> Result<Response, Failure> {
    let token = match credentials.get("token").and_then(Value::as_str) {
        Some(token) => SecretString::from(token.trim()),
        None => ask(context, "Token (will be hidden): ", "token")?,
    };
    client.set_token(Some(token.duplicate()));
    let wrap_ttl = client.set_wrap_ttl(None);
    let found = client.read("auth/token/lookup-self", &[])?;
    client.set_wrap_ttl(wrap_ttl);
    let found = found.ok_or_else(|| Failure::other("the server knows nothing about the token"))?;
    let names = |field: &str| -> Vec<String> {
        let values = found.field(field).and_then(Value::as_array);
        values.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let auth = Auth {
        client_token: token,
        accessor: found.text("accessor").unwrap_or_default().to_owned(),
        policies: [names("policies"), names("identity_policies")].concat(),
        token_policies: names("policies"),
        identity_policies: names("identity_policies"),
        metadata: found.field("meta").and_then(Value::as_object).cloned().unwrap_or_default(),
        lease_duration: found.field("ttl").and_then(Value::as_i64).unwrap_or_default(),
        renewable: found.field("renewable").and_then(Value::as_bool).unwrap_or_default(),
        ..Auth::default()
    };
    Ok(Response { auth: Some(auth), ..Response::default() })
}

/// A login that needs a second factor is finished with codes from the terminal; without one it is shown as it is.
fn second_factor(context: &Context, client: &Client, response: Response) -> Result<Response, Failure> {
    let Some(requirement) = response.auth.as_ref().and_then(|auth| auth.mfa_requirement.as_ref()) else {
        return Ok(response);
    };
    if !context.may_ask() {
        return Ok(response);
    }
    let mut payload = Map::new();
    let constraints = requirement.get("mfa_constraints").and_then(Value::as_object);
    for (name, constraint) in constraints.into_iter().flatten() {
        let methods = constraint.get("any").and_then(Value::as_array);
        let method = methods.into_iter().flatten().next();
        let text = |field: &str| method.and_then(|method| method.get(field)).and_then(Value::as_str);
        let id = text("id").ok_or_else(|| Failure::other(format!("the rule {name:?} has no method left")))?;
        if payload.contains_key(id) {
            continue;
        }
        let shown = text("name").filter(|name| !name.is_empty()).unwrap_or(id).to_owned();
        let code = ask(context, &format!("Code of {shown} (will be hidden): "), "code")?;
        payload.insert(id.to_owned(), Value::from(vec![code.expose().to_owned()]));
    }
    let id = requirement.get("mfa_request_id").cloned().unwrap_or_default();
    let body = serde_json::json!({ "mfa_request_id": id, "mfa_payload": payload });
    let validated = client.write("sys/mfa/validate", &body).map_err(|error| refused(error.into()))?;
    validated.ok_or_else(|| Failure::other("the server answered without a token"))
}

/// A wrapped token is opened if it is to be stored.
fn open_wrapping(client: &mut Client, response: Response, args: &LoginArgs) -> Result<Response, Failure> {
    let stays_wrapped = args.no_store || args.token_only;
    let Some(wrap) = response.wrap_info.as_ref().filter(|_| response.auth.is_none() && !stays_wrapped) else {
        return Ok(response);
    };
    client.set_token(Some(wrap.token.duplicate()));
    client.set_wrap_ttl(None);
    let opened = client.unwrap_response(None).while_doing(|| "extracting token".to_owned())?;
    opened.ok_or_else(|| Failure::other("the wrapped answer holds no token"))
}

fn finish(context: &Context, args: &LoginArgs, response: &Response) -> Result<ExitCode, Failure> {
    let output = &context.output;
    let Some(auth) = &response.auth else {
        return match (&response.wrap_info, args.token_only) {
            (Some(wrap), true) => output.bare_text(wrap.token.expose()),
            (Some(_), false) => output.response(response),
            (None, _) => Err(Failure::other("the server answered without a token")),
        };
    };
    if auth.mfa_requirement.is_some() {
        output.note("The login needs a second factor: validate it at sys/mfa/validate.");
        return output.structured(response);
    }
    if args.token_only {
        return output.bare_text(auth.client_token.expose());
    }
    if args.no_store {
        output.note("The token was not stored: pass it with each request in STRONGROOM_TOKEN (VAULT_TOKEN).");
    } else {
        let file = context.stored_token_file();
        let file = file.ok_or_else(|| {
            Failure::other("there is no home folder to keep the token in").hint("--no-store prints it")
        })?;
        token_file::store(&file, &auth.client_token)?;
        if context.environment.token().is_some() {
            output.note("warning: a token in the environment (STRONGROOM_TOKEN, VAULT_TOKEN) goes before the stored one");
        }
    }
    if args.no_print {
        return Ok(ExitCode::SUCCESS);
    }
    if output.is_table() && output.field.is_none() && !args.no_store {
        let again = match output.face {
            Face::Vault => "run \"vault login\"\nagain. Future Vault requests will",
            Face::Native => "log in again.\nFuture requests will",
        };
        output.text(&format!(
            "Success! You are now authenticated. The token information displayed below\n\
             is already stored in the token helper. You do NOT need to {again} automatically use this token.\n\n",
        ))?;
    }
    output.response(response)
}

/// Asks on the terminal, without echo.
pub fn ask(context: &Context, prompt: &str, what: &str) -> Result<SecretString, Failure> {
    if !context.may_ask() {
        return Err(Failure::usage(format!("the {what} is missing"))
            .hint(format!("write {what}=-, and give it on standard input")));
    }
    let answer = ask_hidden(prompt);
    let answer = answer.map_err(|error| Failure::other(format!("cannot ask for the {what}: {error}")))?;
    Ok(SecretString::from(answer.expose().trim()))
}

/// All of standard input, without white space at its ends.
pub fn line_from_stdin() -> Result<SecretString, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(1 << 16).read_to_string(&mut text);
    read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
    let text = SecretString::new(text);
    Ok(SecretString::from(text.expose().trim()))
}
