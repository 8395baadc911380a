//! Where the values to take out come from: the project, the server, a list. Never from arguments, which everybody can read.

use crate::commands::project::{Session, manifest_path};
use crate::commands::{clean_path, run};
use crate::context::Context;
use crate::failure::{Failure, Kind};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use strongroom_detect::redact::{LeftOut, Values};
use strongroom_formats::dotenv::{Dialect, Document};
use strongroom_project::files;
use strongroom_project::manifest::Environment;
use strongroom_project::resolve::{Depth, Selection, Source};
use strongroom_secret::SecretBytes;

#[derive(Args)]
#[command(next_help_heading = "Values to take out")]
pub struct ValueArgs {
    /// A list of values; - is standard input, and the text comes from FILE then
    #[arg(long, value_name = "FILE")]
    values: Vec<PathBuf>,
    /// How the list is written
    #[arg(long, value_enum, default_value = "lines", requires = "values")]
    values_format: ListFormat,
    /// A secret of the server, as secret/app: all its fields; may be given often
    #[arg(long, value_name = "PATH")]
    from: Vec<String>,
    /// The project's values too, where --values or --from is given
    #[arg(long)]
    project: bool,
    /// The project's values in all its environments, not only the one of -E
    #[arg(long)]
    all_environments: bool,
    /// Nothing of the project
    #[arg(long, conflicts_with_all = ["project", "all_environments"])]
    no_project: bool,
    /// Take common words out too, and values from four bytes on
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// One value a line
    Lines,
    /// NAME=value, as a .env file
    Dotenv,
    /// An object of names and values; objects in it are looked into
    Json,
}

/// A longer list is none of values.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// All values to take out. What cannot be is said by name.
pub fn values(context: &Context, args: &ValueArgs, texts: &[PathBuf]) -> Result<Values, Failure> {
    let mut collected =
        Collected { context, values: if args.force { Values::all() } else { Values::telling() } };
    for path in &args.values {
        collected.list(path, args.values_format, texts)?;
    }
    if !args.from.is_empty() {
        let client = context.client()?;
        for path in &args.from {
            let path = clean_path(path);
            for (field, value) in run::read(&client, path, "nothing was redacted")? {
                collected.json(&field, &value);
            }
        }
    }
    let is_named = !args.values.is_empty() || !args.from.is_empty();
    let wants_project = args.project || args.all_environments;
    if wants_project || (!is_named && !args.no_project && has_manifest(context)) {
        collected.project(args.all_environments)?;
    }
    Ok(collected.values)
}

/// Whether there is a project here; one that is named has to be there.
fn has_manifest(context: &Context) -> bool {
    context.project().manifest.is_some() || manifest_path(context).is_ok()
}

struct Collected<'a> {
    context: &'a Context,
    values: Values,
}

impl Collected<'_> {
    fn add(&mut self, name: &str, value: &SecretBytes) {
        match self.values.add(name, value) {
            // A setting that is not set.
            Ok(()) | Err(LeftOut::Empty) => {}
            Err(reason) if !self.context.project().quiet => {
                self.context.output.note(&format!("{name} is left in: {reason}"));
            }
            Err(_) => {}
        }
    }

    fn list(&mut self, path: &Path, format: ListFormat, texts: &[PathBuf]) -> Result<(), Failure> {
        let is_standard = |path: &Path| path == Path::new("-");
        if is_standard(path) && (texts.is_empty() || texts.iter().any(|text| is_standard(text))) {
            return Err(Failure::usage(
                "standard input cannot be both the list of values and the text".to_owned(),
            )
            .hint("name the text's file: strongroom redact --values - FILE"));
        }
        let bytes = if is_standard(path) { standard_input()? } else { files::read(path, LIST_BYTES_MAX)? };
        let named =
            if is_standard(path) { "the list of values".to_owned() } else { path.display().to_string() };
        let malformed = |what: String| Failure::new(Kind::Missing, format!("{named}: {what}"));
        match format {
            ListFormat::Lines => {
                for (number, line) in bytes.expose().split(|byte| *byte == b'\n').enumerate() {
                    self.add(&format!("line-{}", number + 1), &SecretBytes::new(line.trim_ascii().to_vec()));
                }
            }
            ListFormat::Dotenv => {
                let document = Document::from_bytes(bytes.expose(), Dialect::Python);
                let document = document.map_err(|error| malformed(error.to_string()))?;
                for (name, value) in document.literal_values().iter() {
                    let value = value.map(|value| value.expose().as_bytes().to_vec()).unwrap_or_default();
                    self.add(name, &SecretBytes::new(value));
                }
            }
            ListFormat::Json => {
                // The parser's own message may show what it read.
                let value: Value = serde_json::from_slice(bytes.expose()).map_err(|error| {
                    malformed(format!("no JSON: line {}, column {}", error.line(), error.column()))
                })?;
                let Value::Object(members) = value else {
                    return Err(malformed("an object of names and values is wanted".to_owned()));
                };
                members.iter().for_each(|(name, value)| self.json(name, value));
            }
        }
        Ok(())
    }

    /// A value, or all that are in it.
    fn json(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::String(text) => self.add(name, &SecretBytes::new(text.clone().into_bytes())),
            Value::Number(number) => self.add(name, &SecretBytes::new(number.to_string().into_bytes())),
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(number, item)| self.json(&format!("{name}.{number}"), item));
            }
            Value::Object(members) => {
                members.iter().for_each(|(key, member)| self.json(&format!("{name}.{key}"), member));
            }
        }
    }

    fn project(&mut self, all: bool) -> Result<(), Failure> {
        let session = Session::open(self.context)?;
        let environments: Vec<Environment> = match all {
            true => session.manifest.environments.values().cloned().collect(),
            false => vec![session.environment.clone()],
        };
        for environment in &environments {
            let opened = session.providers_of(environment)?;
            let request = session.request(Selection::All, Depth::First);
            let resolution = session.resolve_with(environment, &opened, &request);
            session.take_back(&opened, environment);
            let resolution = session.complete(resolution)?;
            for (name, resolved) in &resolution.secrets {
                let is_sensitive = session.manifest.secret(name).is_none_or(|secret| secret.sensitive);
                // What the manifest itself says is no secret.
                if is_sensitive && !matches!(resolved.source, Source::Default) {
                    self.add(name, &resolved.value);
                }
            }
        }
        Ok(())
    }
}

fn standard_input() -> Result<SecretBytes, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(LIST_BYTES_MAX + 1).read_to_end(&mut bytes);
    let bytes = SecretBytes::new(bytes);
    read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
    if bytes.expose().len() as u64 > LIST_BYTES_MAX {
        return Err(Failure::usage(format!("the list of values has more than {LIST_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}
