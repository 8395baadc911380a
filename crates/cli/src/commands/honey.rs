//! `honey …`: planted fakes whose use raises an alarm. The server watches; this plants.

use super::clean_path;
use super::incident::read_value;
use crate::context::Context;
use crate::failure::{Doing, Failure, Kind};
use crate::system::SystemEntropy;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_api::client::Client;
use strongroom_crypto::token::random_base62;
use strongroom_project::files::{self, Links};

const PLANTED_BYTES_MAX: u64 = 16 << 20;
const PASSWORD_CHARACTERS: usize = 24;

#[derive(Subcommand)]
pub enum HoneyCommand {
    /// Make a fake, and plant it
    #[command(
        after_help = "A fake looks like the real thing, and nothing in a file says what it is: note down yourself where it is, \
                      by --note. Give its name, file and use to nobody who need not know."
    )]
    Create(Box<CreateArgs>),
    /// All of them, with their last uses
    List,
    /// One of them, with who used it
    Show(NameArgs),
    /// Its use raises no alarm any more. What was planted stays where it is
    Remove(NameArgs),
}

#[derive(Args)]
pub struct CreateArgs {
    /// The name of the honey
    name: String,
    #[command(flatten)]
    kind: KindArgs,
    /// Where it is planted, or why
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who is told of a use: https://…
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// A PEM file of authorities on the server, for the webhook
    #[arg(long, value_name = "FILE", requires = "webhook")]
    webhook_ca_file: Option<String>,
    /// A use opens an incident
    #[arg(long)]
    incident: bool,
    /// Write it to this file, as a line that looks as if somebody had left it there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret", "user"])]
    plant: Option<PathBuf>,
    /// The name that it has in the file [default: VAULT_TOKEN, VAULT_SECRET_ID or DB_PASSWORD]
    #[arg(long, value_name = "NAME", requires = "plant")]
    key: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct KindArgs {
    /// A secret of the server whose value nobody needs: any read of it is a use. Made where it is not there
    #[arg(long, value_name = "PATH")]
    secret: Option<String>,
    /// A token of ours that was never given to anybody
    #[arg(long)]
    token: bool,
    /// A secret-id that no role has
    #[arg(long)]
    secret_id: bool,
    /// A user who is not there, as auth/userpass/admin
    #[arg(long, value_name = "MOUNT/NAME")]
    user: Option<String>,
    /// A password of no account: used where it is presented to be validated
    #[arg(long)]
    password: bool,
    /// Any value, on standard input: -
    #[arg(long, value_name = "-")]
    value: Option<String>,
}

#[derive(Args)]
pub struct NameArgs {
    name: String,
}

pub fn run(context: &Context, command: HoneyCommand) -> Result<ExitCode, Failure> {
    match command {
        HoneyCommand::Create(args) => create(context, &args),
        HoneyCommand::List => list(context),
        HoneyCommand::Show(args) => show(context, &args.name),
        HoneyCommand::Remove(args) => {
            context
                .client()?
                .delete(&path(&args.name), &[])
                .while_doing(|| format!("removing the honey {}", args.name))?;
            context.output.success(&format!("{} raises no alarm any more.", args.name))
        }
    }
}

fn path(name: &str) -> String {
    format!("sys/honey/{}", clean_path(name))
}

fn create(context: &Context, args: &CreateArgs) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    // What cannot be planted is not made.
    let line = args.plant.as_deref().map(|file| Line::of(file, args)).transpose()?;
    let mut body = Map::from_iter([
        ("note".to_owned(), json!(args.note.clone().unwrap_or_default())),
        ("opens_incident".to_owned(), json!(args.incident)),
    ]);
    if let Some(url) = &args.webhook {
        body.insert("webhook".to_owned(), url.clone().into());
    }
    if let Some(file) = &args.webhook_ca_file {
        body.insert("ca_file".to_owned(), file.clone().into());
    }
    body.extend(kind(&client, args)?);
    let made = client
        .write(&path(&args.name), &body.into())
        .while_doing(|| format!("planting the honey {}", args.name))?;
    let mut made = made.and_then(|made| made.data).unwrap_or_default();
    if let (Some(line), Some(Value::String(fake))) = (line, made.get("value")) {
        line.plant(fake)?;
        made.insert("planted_in".to_owned(), line.file.display().to_string().into());
    }
    context.output.map(&made)
}

/// What the server is told of the kind.
fn kind(client: &Client, args: &CreateArgs) -> Result<Map<String, Value>, Failure> {
    let told = match &args.kind {
        KindArgs { secret: Some(path), .. } => {
            let path = clean_path(path);
            make_secret(client, path)?;
            json!({ "kind": "kv", "path": path })
        }
        KindArgs { token: true, .. } => json!({ "kind": "token" }),
        KindArgs { secret_id: true, .. } => json!({ "kind": "secret-id" }),
        KindArgs { user: Some(user), .. } => {
            let (mount, user) = clean_path(user).rsplit_once('/').ok_or_else(|| {
                Failure::usage("a user is named with the mount: --user auth/userpass/admin")
            })?;
            json!({ "kind": "user", "mount": mount, "user": user })
        }
        KindArgs { value: Some(word), .. } => {
            let value = read_value(word)?;
            let value = std::str::from_utf8(value.expose())
                .map_err(|_| Failure::usage("the value on standard input is not UTF-8"))?;
            json!({ "kind": "value", "value": value })
        }
        KindArgs { .. } => {
            let value = random_base62(&SystemEntropy, PASSWORD_CHARACTERS);
            json!({ "kind": "value", "value": value.expose() })
        }
    };
    match told {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// A secret that is not there is made, and looks like others.
fn make_secret(client: &Client, path: &str) -> Result<(), Failure> {
    let mount = client.kv_mount(path).while_doing(|| format!("looking for {path}"))?;
    let about = mount.api_path(path, "metadata");
    if client.read(&about, &[]).while_doing(|| format!("looking for {path}"))?.is_some() {
        return Ok(());
    }
    let password = random_base62(&SystemEntropy, PASSWORD_CHARACTERS);
    let data = json!({ "username": "app", "password": password.expose() });
    let body = if about == path { data } else { json!({ "data": data, "options": { "cas": 0 } }) };
    client.write(&mount.api_path(path, "data"), &body).while_doing(|| format!("making {path}"))?;
    Ok(())
}

/// A line of a file that looks like its others.
struct Line<'a> {
    file: &'a Path,
    key: String,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// NAME=value
    Environment,
    /// name = value
    Ini,
    /// name = "value"
    Toml,
    /// name: "value"
    Yaml,
}

impl<'a> Line<'a> {
    fn of(file: &'a Path, args: &CreateArgs) -> Result<Self, Failure> {
        let form = form_of(file).ok_or_else(|| {
            Failure::usage(format!("what a line of {} looks like is not known", file.display()))
                .hint("files of variables (.env), INI, properties, TOML and YAML are known; else make it without --plant")
        })?;
        let usual = match &args.kind {
            KindArgs { token: true, .. } => "VAULT_TOKEN",
            KindArgs { secret_id: true, .. } => "VAULT_SECRET_ID",
            _ => "DB_PASSWORD",
        };
        let key = match (&args.key, form) {
            (Some(key), _) => key.clone(),
            (None, Form::Environment) => usual.to_owned(),
            (None, _) => usual.to_lowercase(),
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if key.is_empty() || !key.chars().all(is_plain) {
            return Err(Failure::usage("--key: a name has letters, digits, '_', '-' and '.'"));
        }
        Ok(Self { file, key, form })
    }

    fn plant(&self, fake: &str) -> Result<(), Failure> {
        let change = files::change(self.file, Links::Refuse, PLANTED_BYTES_MAX)?;
        let before = change.content().map(|content| content.expose().to_vec()).unwrap_or_default();
        let text = String::from_utf8(before).map_err(|_| {
            Failure::new(Kind::Other, format!("{} is not UTF-8: nothing was planted", self.file.display()))
        })?;
        let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { ending };
        let text = format!("{text}{gap}{}{ending}", self.text(fake)?);
        change.replace(text.as_bytes())?;
        Ok(())
    }

    fn text(&self, fake: &str) -> Result<String, Failure> {
        let key = &self.key;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@+=".contains(c);
        if fake.contains(['\n', '\r', '"', '\\', '\'']) {
            return Err(Failure::usage("the value has line breaks or quotation marks: plant it by hand"));
        }
        let quoted = |fake: &str| format!("\"{fake}\"");
        let value = if fake.chars().all(is_plain) { fake.to_owned() } else { quoted(fake) };
        Ok(match self.form {
            Form::Environment => format!("{key}={value}"),
            Form::Ini => format!("{key} = {fake}"),
            Form::Toml => format!("{key} = {}", quoted(fake)),
            Form::Yaml => format!("{key}: {}", quoted(fake)),
        })
    }
}

fn form_of(file: &Path) -> Option<Form> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    if name == ".env" || name.starts_with(".env.") || name.ends_with(".env") || name == ".envrc" {
        return Some(Form::Environment);
    }
    match name.rsplit_once('.')?.1 {
        "ini" | "cfg" | "conf" | "cnf" | "properties" => Some(Form::Ini),
        "toml" => Some(Form::Toml),
        "yaml" | "yml" => Some(Form::Yaml),
        "sh" => Some(Form::Environment),
        _ => None,
    }
}

fn list(context: &Context) -> Result<ExitCode, Failure> {
    let answer = context.client()?.read("sys/honey", &[]).while_doing(|| "listing honey".to_owned())?;
    let answer = answer.and_then(|answer| answer.data).unwrap_or_default();
    let all = answer.get("key_info").and_then(Value::as_object).cloned().unwrap_or_default();
    if !context.output.is_table() {
        return context.output.structured(&all.values().collect::<Vec<_>>());
    }
    if all.is_empty() {
        return context.output.text("No honey is planted.\n");
    }
    let row = |honey: &Value| {
        let text = |name: &str| honey[name].as_str().unwrap_or_default().to_owned();
        vec![
            text("name"),
            text("kind"),
            honey["uses"].to_string(),
            text("last_used"),
            text("incident"),
            text("note"),
        ]
    };
    let rows: Vec<_> = all.values().map(row).collect();
    context.output.table(&["Name", "Kind", "Uses", "Last used", "Incident", "Note"], &rows)
}

fn show(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let found =
        context.client()?.read(&path(name), &[]).while_doing(|| format!("reading the honey {name}"))?;
    let found = found.ok_or_else(|| Failure::missing(format!("there is no honey {name:?}")))?;
    let mut honey = found.data.unwrap_or_default();
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(&honey);
    }
    let uses = honey.remove("last_uses").unwrap_or_default();
    context.output.map(&honey)?;
    let row = |used: &Value| {
        let text = |name: &str| used[name].as_str().unwrap_or_default().to_owned();
        vec![text("time"), text("how"), text("from"), text("who"), text("path"), text("request_id")]
    };
    let rows: Vec<_> = uses.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return context.output.text("\nNobody used it.\n");
    }
    context.output.text("\n")?;
    context.output.table(&["Time", "How", "From", "Who", "Path", "Request"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_their_files() {
        let check = |file: &str, fake: &str, expected: &str| {
            let form = form_of(Path::new(file)).unwrap();
            let line = Line { file: Path::new(file), key: "vault_token".to_owned(), form };
            assert_eq!(line.text(fake).unwrap(), expected);
        };
        check(".env.production", "hvs.fake", "vault_token=hvs.fake");
        check("a/.env", "two words", "vault_token=\"two words\"");
        check("config.ini", "hvs.fake", "vault_token = hvs.fake");
        check("config.toml", "hvs.fake", "vault_token = \"hvs.fake\"");
        check("values.yaml", "hvs.fake", "vault_token: \"hvs.fake\"");
        assert_eq!(form_of(Path::new("settings.json")), None);
        assert_eq!(form_of(Path::new("Makefile")), None);
    }
}
