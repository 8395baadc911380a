//! `init`: a manifest from what a project already has.

use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_project::discover::{Discovered, Source, SourceError, merged, names_in_code, read_source};
use strongroom_project::files::{Links, change};
use strongroom_project::guard::{make_public, write_gitignore};
use strongroom_project::infer::{Guess, guess, is_placeholder};
use strongroom_project::manifest::{FILE_NAME, json_schema, reference_tables};
use strongroom_secret::SecretString;

#[derive(Args)]
#[command(
    after_help = "Without --from: .env files, .env.example and its like, docker-compose files, and the names that the \
    code reads. Values are looked at to guess types, and stay where they are."
)]
pub struct InitArgs {
    /// Take names and types from FILE: .env, JSON, docker-compose, or what `heroku config` prints; may be given often
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Do not look for names in the code
    #[arg(long)]
    no_code: bool,
    /// The name of the project [otherwise: the folder's]
    #[arg(long)]
    project: Option<String>,
    /// Replace a manifest that is there
    #[arg(long)]
    force: bool,
    /// Print the manifest instead of writing it
    #[arg(long)]
    dry_run: bool,
    /// Print the JSON Schema of manifests
    #[arg(long, exclusive = true)]
    schema: bool,
    /// Print the tables of all keys, in Markdown
    #[arg(long, exclusive = true, hide = true)]
    reference: bool,
}

pub fn run(context: &Context, args: &InitArgs) -> Result<ExitCode, Failure> {
    if args.schema {
        return context.output.text(&json_schema());
    }
    if args.reference {
        return context.output.text(&reference_tables());
    }
    let path = context.project().manifest.unwrap_or_else(|| PathBuf::from(FILE_NAME));
    if path.exists() && !args.force && !args.dry_run {
        return Err(Failure::usage(format!("{} is there already", path.display()))
            .hint("--force replaces it; `strongroom import` adds to it"));
    }
    let found = discover(args)?;
    let text = manifest_text(&project_name(args), &found);
    if args.dry_run {
        return context.output.text(&text);
    }
    change(&path, Links::Refuse, MANIFEST_BYTES_MAX)?.replace(text.as_bytes())?;
    make_public(&path)?;
    report(context, &path, &found)
}

const MANIFEST_BYTES_MAX: u64 = 1 << 20;

fn discover(args: &InitArgs) -> Result<Vec<Discovered>, Failure> {
    let mut found = Vec::new();
    let named = !args.from.is_empty();
    let sources = if named { args.from.clone() } else { usual_sources() };
    for source in sources {
        match read_source(&source, Source::of(&source)) {
            Ok(names) => found.extend(names),
            Err(error @ SourceError::File(_)) if named => return Err(Failure::other(error.to_string())),
            Err(SourceError::File(_)) => {}
            Err(error) => return Err(Failure::missing(error.to_string())),
        }
    }
    if !args.no_code && !named {
        found.extend(names_in_code(Path::new(".")));
    }
    Ok(merged(found))
}

/// Files of this folder that are likely to name variables, the real ones before the examples.
fn usual_sources() -> Vec<PathBuf> {
    let mut names: Vec<String> = std::fs::read_dir(".")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            let compose = ["docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"];
            let encrypted = name.ends_with(".enc") || name.contains(".enc.");
            (name.starts_with(".env") && !encrypted) || compose.contains(&name.as_str())
        })
        .collect();
    names.sort_by_key(|name| (name.contains("compose"), name.contains("example"), name.len()));
    names.into_iter().map(PathBuf::from).collect()
}

fn project_name(args: &InitArgs) -> String {
    let folder = || std::env::current_dir().ok()?.file_name()?.to_str().map(str::to_owned);
    let name = args.project.clone().or_else(folder).unwrap_or_default();
    let plain: String =
        name.chars().map(|c| if c.is_alphanumeric() || "_-.".contains(c) { c } else { '-' }).collect();
    if plain.is_empty() { "project".to_owned() } else { plain }
}

fn manifest_text(project: &str, found: &[Discovered]) -> String {
    let mut text = format!(
        "version = 1\nproject = \"{project}\"\n\n\
         # Where each environment gets its values: the first provider that has one gives it.\n\
         [env]\ndefault = {{ order = [\"process\", \"dotenv\"] }}\n\n\
         # What the program needs. Values never stand here.\n[secret]\n"
    );
    for variable in found {
        let guess = guess(&variable.name, variable.value.as_ref().map(SecretString::expose));
        // Writing to a String does not fail.
        let _ = writeln!(text, "{} = {}", variable.name, guess.inline(&more_keys(variable, &guess)));
    }
    if found.is_empty() {
        text.push_str("# DATABASE_URL = { type = \"url\", doc = \"Where the data is\" }\n");
    }
    text.push_str("\n# Made by `strongroom generate`, verified by `strongroom check --frozen`.\n");
    text.push_str("[generate]\nenv-example = \".env.example\"\n");
    text
}

/// What is known beyond the type. Examples come from example files alone: real values stay where they are.
fn more_keys(variable: &Discovered, guess: &Guess) -> Vec<(&'static str, String)> {
    let quoted = |text: &str| toml_text(text);
    let mut keys = Vec::new();
    if let Some(doc) = &variable.doc {
        keys.push(("doc", quoted(doc)));
    }
    match &variable.value {
        Some(value) if variable.is_example && !is_placeholder(value.expose()) && !guess.sensitive => {
            keys.push(("example", quoted(value.expose())));
        }
        _ if has_no_value(variable) => keys.push(("optional", "true".to_owned())),
        _ => {}
    }
    keys
}

/// Nobody gives it a value, or a file that is in use gives an empty one: the program does without. An example's empty value
/// asks for one.
fn has_no_value(variable: &Discovered) -> bool {
    variable.value.as_ref().is_none_or(|value| value.expose().is_empty() && !variable.is_example)
}

/// A TOML basic string: JSON's, with DEL escaped as well.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn report(context: &Context, path: &Path, found: &[Discovered]) -> Result<ExitCode, Failure> {
    let note = |text: &str| {
        if !context.project().quiet {
            context.output.note(text);
        }
    };
    note(&format!("{} declares {} variables", path.display(), found.len()));
    for variable in found.iter().filter(|variable| has_no_value(variable)) {
        note(&format!("  {} has no value yet, and is optional ({})", variable.name, variable.origin));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.join(".git").exists() {
        let added = write_gitignore(folder)?;
        if !added.is_empty() {
            note(&format!(".gitignore now has {}", added.join(", ")));
        }
    }
    note("next: look it through, then `strongroom check`, then `strongroom run -- your-program`");
    Ok(ExitCode::SUCCESS)
}
