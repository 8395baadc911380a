//! `kv …`: the key-value engine, version 1 or 2, by the names people use (`secret/app`, without `data/`).

use super::clean_path;
use super::generic::nothing_at;
use crate::context::Context;
use crate::failure::{Doing, Failure, Kind};
use crate::output::columns;
use crate::values;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use strongroom_api::Response;
use strongroom_api::client::{Client, KvMount, KvVersion};

#[derive(Subcommand)]
pub enum KvCommand {
    /// Show a secret
    Get(GetArgs),
    /// Write a secret, as its next version
    Put(PutArgs),
    /// Change some fields of a secret
    Patch(PatchArgs),
    /// List the names below a path
    List(WhichSecret),
    /// Delete the newest version, or some; `undelete` brings them back
    Delete(VersionsArgs),
    /// Bring deleted versions back
    Undelete(VersionsArgs),
    /// Remove versions for good
    Destroy(VersionsArgs),
    /// Write an old version as the newest
    Rollback(RollbackArgs),
    /// What is kept about a secret besides its fields
    #[command(subcommand)]
    Metadata(MetadataCommand),
    /// Turn a version 1 mount into version 2
    EnableVersioning(MountArgs),
}

#[derive(Subcommand)]
pub enum MetadataCommand {
    /// Show the metadata and all versions
    Get(WhichSecret),
    /// Set the metadata
    Put(MetadataArgs),
    /// Change some of the metadata
    Patch(MetadataArgs),
    /// Remove the secret with all its versions
    Delete(WhichSecret),
}

#[derive(Args)]
pub struct WhichSecret {
    /// Mount and name, as secret/app; with --mount, the name alone
    path: String,
    /// Where the engine is mounted
    #[arg(long, value_name = "PATH")]
    mount: Option<String>,
}

#[derive(Args)]
pub struct GetArgs {
    #[command(flatten)]
    which: WhichSecret,
    /// A version, instead of the newest
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
}

#[derive(Args)]
pub struct PutArgs {
    #[command(flatten)]
    which: WhichSecret,
    /// key=value, key=@file, key=- (standard input), @file.json, or - (JSON from standard input)
    #[arg(required = true, value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// Write only if this is the newest version; 0: only if there is none
    #[arg(long, value_name = "VERSION", allow_hyphen_values = true)]
    cas: Option<i64>,
}

#[derive(Args)]
pub struct PatchArgs {
    #[command(flatten)]
    which: WhichSecret,
    /// As of `put`
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// Write only if this is the newest version
    #[arg(long, value_name = "VERSION", allow_hyphen_values = true)]
    cas: Option<i64>,
    /// patch: let the server merge; rw: read, merge here, write [otherwise: patch, then rw]
    #[arg(long, value_parser = ["patch", "rw"])]
    method: Option<String>,
    /// A field to remove; may be given often
    #[arg(long, value_name = "KEY")]
    remove_data: Vec<String>,
}

#[derive(Args)]
pub struct VersionsArgs {
    #[command(flatten)]
    which: WhichSecret,
    /// The versions meant
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    versions: Vec<u64>,
}

#[derive(Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    which: WhichSecret,
    /// The version to go back to
    #[arg(long, value_name = "NUMBER")]
    version: u64,
}

#[derive(Args)]
pub struct MountArgs {
    mount: String,
}

#[derive(Args)]
pub struct MetadataArgs {
    #[command(flatten)]
    which: WhichSecret,
    /// How many versions to keep
    #[arg(long, value_name = "COUNT")]
    max_versions: Option<u64>,
    /// Refuse writes without --cas
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    cas_required: Option<bool>,
    /// Delete a version this long after it was written
    #[arg(long, value_name = "DURATION")]
    delete_version_after: Option<String>,
    /// key=value of one's own; may be given often
    #[arg(long, value_name = "KEY=VALUE")]
    custom_metadata: Vec<String>,
    /// A key of the custom metadata to remove (patch alone)
    #[arg(long, value_name = "KEY")]
    remove_custom_metadata: Vec<String>,
}

pub fn run(context: &Context, command: KvCommand) -> Result<ExitCode, Failure> {
    match command {
        KvCommand::Get(args) => get(context, &args),
        KvCommand::Put(args) => put(context, &args),
        KvCommand::Patch(args) => patch(context, &args),
        KvCommand::List(which) => list(context, &which),
        KvCommand::Delete(args) => delete(context, &args),
        KvCommand::Undelete(args) => change_versions(context, &args, "undelete"),
        KvCommand::Destroy(args) => change_versions(context, &args, "destroy"),
        KvCommand::Rollback(args) => rollback(context, &args),
        KvCommand::Metadata(MetadataCommand::Get(which)) => metadata_get(context, &which),
        KvCommand::Metadata(MetadataCommand::Put(args)) => metadata_put(context, &args),
        KvCommand::Metadata(MetadataCommand::Patch(args)) => metadata_patch(context, &args),
        KvCommand::Metadata(MetadataCommand::Delete(which)) => metadata_delete(context, &which),
        KvCommand::EnableVersioning(args) => enable_versioning(context, &args),
    }
}

/// A secret that was found a mount for.
struct Secret {
    client: Client,
    mount: KvMount,
    /// With the mount at its beginning.
    path: String,
}

impl Secret {
    fn find(context: &Context, which: &WhichSecret) -> Result<Self, Failure> {
        let mut client = context.client()?;
        let name = clean_path(&which.path);
        let asked = match &which.mount {
            Some(mount) => clean_path(mount),
            None => name,
        };
        let wrap_ttl = client.set_wrap_ttl(None);
        let mount = client.kv_mount(asked).while_doing(|| format!("asking which engine serves {asked}"))?;
        client.set_wrap_ttl(wrap_ttl);
        let path = match &which.mount {
            Some(mount) => format!("{}/{name}", clean_path(mount)),
            None => name.to_owned(),
        };
        Ok(Self { client, mount, path })
    }

    fn api_path(&self, section: &str) -> String {
        self.mount.api_path(&self.path, section)
    }

    fn is_two(&self) -> bool {
        self.mount.version == KvVersion::Two
    }

    fn needs_two(&self, what: &str) -> Result<(), Failure> {
        if self.is_two() {
            return Ok(());
        }
        Err(Failure::new(Kind::Missing, format!("K/V engine mount must be version 2 for {what}")))
    }

    /// The answer to a read of `data`, which may be that of a deleted version.
    fn read(&self, version: Option<u64>) -> Result<Option<Response>, Failure> {
        let path = self.api_path("data");
        let query: Vec<_> = version.map(|version| ("version", version.to_string())).into_iter().collect();
        self.client.read(&path, &query).while_doing(|| format!("reading {path}"))
    }
}

fn get(context: &Context, args: &GetArgs) -> Result<ExitCode, Failure> {
    let secret = Secret::find(context, &args.which)?;
    let path = secret.api_path("data");
    let version = args.version.filter(|version| secret.is_two() && *version > 0);
    let response = secret.read(version)?.ok_or_else(|| nothing_at(&path))?;
    let output = &context.output;
    let fields = response.field("data").and_then(Value::as_object);
    if let Some(field) = &output.field
        && secret.is_two()
        && response.wrap_info.is_none()
    {
        let fields = fields.ok_or_else(|| no_data(&path))?;
        if field == "data" && !fields.contains_key("data") {
            return output.bare(response.field("data").unwrap_or(&Value::Null));
        }
        return output.map(fields);
    }
    if response.wrap_info.is_some() || !output.is_table() || output.field.is_some() {
        return output.response(&response);
    }
    output.warnings(&response);
    let mut text = String::new();
    if !secret.is_two() {
        text.push_str(&section("Data", response.data.as_ref().unwrap_or(&Map::new())));
        return output.text(&text);
    }
    text.push_str(&path_section("Secret Path", &path));
    if let Some(metadata) = response.field("metadata").and_then(Value::as_object) {
        text.push_str(&section("Metadata", metadata));
        text.push('\n');
    }
    if let Some(fields) = fields {
        text.push_str(&section("Data", fields));
    }
    output.text(&text)
}

fn no_data(path: &str) -> Failure {
    Failure::missing(format!("No data found at {path}")).hint("the version is deleted or destroyed")
}

fn put(context: &Context, args: &PutArgs) -> Result<ExitCode, Failure> {
    let data = Value::Object(values::parse(&args.data, &mut values::StandardInput::new())?);
    let secret = Secret::find(context, &args.which)?;
    let path = secret.api_path("data");
    let body = match (secret.is_two(), args.cas.filter(|cas| *cas >= 0)) {
        (false, _) => data,
        (true, None) => json!({ "data": data, "options": {} }),
        (true, Some(cas)) => json!({ "data": data, "options": { "cas": cas } }),
    };
    let written = secret.client.write(&path, &body).while_doing(|| format!("writing data to {path}"))?;
    show_written(context, &path, written)
}

fn show_written(context: &Context, path: &str, written: Option<Response>) -> Result<ExitCode, Failure> {
    let Some(written) = written else {
        return context.output.success(&format!("Data written to: {path}"));
    };
    if !context.output.is_table() || context.output.field.is_some() || written.wrap_info.is_some() {
        return context.output.response(&written);
    }
    context.output.warnings(&written);
    let metadata = written.data.unwrap_or_default();
    context.output.text(&(path_section("Secret Path", path) + &section("Metadata", &metadata)))
}

fn patch(context: &Context, args: &PatchArgs) -> Result<ExitCode, Failure> {
    if args.data.is_empty() && args.remove_data.is_empty() {
        return Err(Failure::usage("Must supply data"));
    }
    let mut data = values::parse(&args.data, &mut values::StandardInput::new())?;
    data.extend(args.remove_data.iter().map(|key| (key.clone(), Value::Null)));
    let secret = Secret::find(context, &args.which)?;
    secret.needs_two("patch support")?;
    let path = secret.api_path("data");
    let by_server = || {
        let mut options = Map::new();
        if let Some(cas) = args.cas.filter(|cas| *cas > 0) {
            options.insert("cas".to_owned(), cas.into());
        }
        let body = json!({ "data": data, "options": options });
        secret.client.patch(&path, &body).while_doing(|| format!("writing data to {path}"))
    };
    let written = match args.method.as_deref() {
        Some("rw") => read_then_write(&secret, data.clone(), args.cas)?,
        Some(_) => by_server()?,
        // A server without the verb, or a policy without the capability, leaves reading and writing.
        None => match by_server() {
            Err(failure) if matches!(failure.status(), Some(403 | 405)) => {
                read_then_write(&secret, data.clone(), args.cas)?
            }
            outcome => outcome?,
        },
    };
    show_written(context, &path, written)
}

fn read_then_write(
    secret: &Secret,
    changes: Map<String, Value>,
    cas: Option<i64>,
) -> Result<Option<Response>, Failure> {
    let path = secret.api_path("data");
    let current = secret.read(None)?.ok_or_else(|| nothing_at(&path))?;
    let version = current.field("metadata").and_then(|metadata| metadata.get("version")).cloned();
    let Some(Value::Object(fields)) = current.field("data") else {
        return Err(no_data(&path).hint("patch only works on existing data"));
    };
    let mut fields = fields.clone();
    for (key, value) in changes {
        if value.is_null() {
            fields.remove(&key);
        } else {
            fields.insert(key, value);
        }
    }
    let cas = cas.filter(|cas| *cas > 0).map(Value::from).or(version).unwrap_or(Value::Null);
    let body = json!({ "data": fields, "options": { "cas": cas } });
    secret.client.write(&path, &body).while_doing(|| format!("writing data to {path}"))
}

fn list(context: &Context, which: &WhichSecret) -> Result<ExitCode, Failure> {
    let secret = Secret::find(context, which)?;
    let path = secret.api_path("metadata");
    let found = secret.client.list(&path, &[]).while_doing(|| format!("listing {path}"))?;
    match found.filter(|found| found.field("keys").is_some()) {
        Some(found) => context.output.keys(&found),
        None => Err(nothing_at(&path)),
    }
}

fn delete(context: &Context, args: &VersionsArgs) -> Result<ExitCode, Failure> {
    let secret = Secret::find(context, &args.which)?;
    let path = secret.api_path("data");
    let outcome = if secret.is_two() && !args.versions.is_empty() {
        secret.client.write(&secret.api_path("delete"), &json!({ "versions": args.versions }))
    } else {
        secret.client.delete(&path, &[])
    };
    match outcome.while_doing(|| format!("deleting {path}"))? {
        Some(response) => context.output.response(&response),
        None => context.output.success(&format!("Data deleted (if it existed) at: {path}")),
    }
}

fn change_versions(context: &Context, args: &VersionsArgs, section: &str) -> Result<ExitCode, Failure> {
    if args.versions.is_empty() {
        return Err(Failure::usage(
            "No versions provided, use the \"-versions\" flag to specify the version to change",
        ));
    }
    let secret = Secret::find(context, &args.which)?;
    secret.needs_two(section)?;
    let path = secret.api_path(section);
    let outcome = secret.client.write(&path, &json!({ "versions": args.versions }));
    super::generic::written(context, &path, outcome)
}

fn rollback(context: &Context, args: &RollbackArgs) -> Result<ExitCode, Failure> {
    let secret = Secret::find(context, &args.which)?;
    secret.needs_two("rollback support")?;
    let path = secret.api_path("data");
    let current = secret.read(None)?.ok_or_else(|| nothing_at(&path))?;
    let cas = current.field("metadata").and_then(|metadata| metadata.get("version")).cloned();
    let cas = cas.ok_or_else(|| no_data(&path))?;
    let old = secret.read(Some(args.version))?.ok_or_else(|| nothing_at(&path))?;
    let fields = match old.field("data") {
        Some(Value::Object(fields)) => fields,
        _ => return Err(Failure::missing(format!("version {} is deleted or destroyed", args.version))),
    };
    let body = json!({ "data": fields, "options": { "cas": cas } });
    let written = secret.client.write(&path, &body).while_doing(|| format!("writing data to {path}"))?;
    match written {
        Some(response) => context.output.response(&response),
        None => context.output.success(&format!("Data written to: {path}")),
    }
}

fn metadata_get(context: &Context, which: &WhichSecret) -> Result<ExitCode, Failure> {
    let secret = Secret::find(context, which)?;
    secret.needs_two("metadata")?;
    let path = secret.api_path("metadata");
    let response = secret.client.read(&path, &[]).while_doing(|| format!("reading {path}"))?;
    let mut response = response.ok_or_else(|| nothing_at(&path))?;
    if response.wrap_info.is_some() || !context.output.is_table() || context.output.field.is_some() {
        return context.output.response(&response);
    }
    context.output.warnings(&response);
    let mut metadata = response.data.take().unwrap_or_default();
    let versions = match metadata.remove("versions") {
        Some(Value::Object(versions)) => versions,
        _ => Map::new(),
    };
    let mut text = path_section("Metadata Path", &path) + &section("Metadata", &metadata);
    let mut numbered: Vec<_> = versions
        .iter()
        .filter_map(|(number, fields)| Some((number.parse::<u64>().ok()?, fields.as_object()?)))
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    for (number, fields) in numbered {
        text.push('\n');
        text.push_str(&section(&format!("Version {number}"), fields));
    }
    context.output.text(&text)
}

fn metadata_body(args: &MetadataArgs) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    if let Some(count) = args.max_versions {
        body.insert("max_versions".to_owned(), count.into());
    }
    if let Some(required) = args.cas_required {
        body.insert("cas_required".to_owned(), required.into());
    }
    if let Some(duration) = &args.delete_version_after {
        body.insert("delete_version_after".to_owned(), duration.clone().into());
    }
    let mut custom = values::parse(&args.custom_metadata, &mut std::io::empty())?;
    custom.extend(args.remove_custom_metadata.iter().map(|key| (key.clone(), Value::Null)));
    if !custom.is_empty() {
        body.insert("custom_metadata".to_owned(), custom.into());
    }
    Ok(body)
}

fn metadata_put(context: &Context, args: &MetadataArgs) -> Result<ExitCode, Failure> {
    if !args.remove_custom_metadata.is_empty() {
        return Err(Failure::usage("--remove-custom-metadata goes with `kv metadata patch`"));
    }
    let body = metadata_body(args)?;
    let secret = Secret::find(context, &args.which)?;
    secret.needs_two("metadata")?;
    let path = secret.api_path("metadata");
    let outcome = secret.client.write(&path, &Value::Object(body));
    super::generic::written(context, &path, outcome)
}

fn metadata_patch(context: &Context, args: &MetadataArgs) -> Result<ExitCode, Failure> {
    let body = metadata_body(args)?;
    let secret = Secret::find(context, &args.which)?;
    secret.needs_two("metadata")?;
    let path = secret.api_path("metadata");
    let outcome = secret.client.patch(&path, &Value::Object(body));
    super::generic::written(context, &path, outcome)
}

fn metadata_delete(context: &Context, which: &WhichSecret) -> Result<ExitCode, Failure> {
    let secret = Secret::find(context, which)?;
    secret.needs_two("metadata")?;
    let path = secret.api_path("metadata");
    secret.client.delete(&path, &[]).while_doing(|| format!("deleting {path}"))?;
    context.output.success(&format!("Data deleted (if it existed) at: {path}"))
}

fn enable_versioning(context: &Context, args: &MountArgs) -> Result<ExitCode, Failure> {
    let mount = clean_path(&args.mount);
    let body = json!({ "options": { "version": "2" } });
    let outcome = context.client()?.write(&format!("sys/mounts/{mount}/tune"), &body);
    outcome.while_doing(|| format!("tuning secrets engine {mount}/"))?;
    context.output.success(&format!("Tuned the secrets engine at: {mount}/"))
}

fn path_section(title: &str, path: &str) -> String {
    format!("{}\n{path}\n\n", padded(title, path.len()))
}

/// A map under a heading as wide as its names.
fn section(title: &str, fields: &Map<String, Value>) -> String {
    let widest = fields.keys().map(String::len).max().unwrap_or(0);
    let rows: Vec<_> =
        fields.iter().map(|(name, value)| vec![name.clone(), crate::output::show(name, value)]).collect();
    let table = if rows.is_empty() { String::new() } else { columns(&["Key", "Value"], &rows) };
    format!("{}\n{table}", padded(title, widest + 9))
}

/// `== Title ==`, about as wide as `width`.
fn padded(title: &str, width: usize) -> String {
    let free = width.saturating_sub(title.len() + 2);
    let signs = if free == 0 { 4 } else { free + free % 2 };
    let side = "=".repeat(signs / 2);
    format!("{side} {title} {side}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_as_wide_as_what_they_head() {
        assert_eq!(padded("Secret Path", "secret/data/application".len()), "===== Secret Path =====");
        assert_eq!(padded("Data", 12), "=== Data ===");
        assert_eq!(padded("Metadata", 3), "== Metadata ==");
    }
}
