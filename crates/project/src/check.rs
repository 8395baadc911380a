//! What `check` looks at beyond the values: dates, files that git would take, modes, names that nobody declares.

mod git;

pub use git::{Tracked, ignored_patterns_missing, tracked};

use crate::files;
use crate::manifest::{Environment, Location, Manifest, PROCESS, Problem, ProblemKind, did_you_mean};
use crate::provider::{Reach, Setting};
use crate::resolve::Opened;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use strongroom_formats::dotenv::{self, BYTES_MAX, Dialect, Document};
use strongroom_secret::Timestamp;

/// What is looked at.
pub struct Report<'a> {
    pub manifest: &'a Manifest,
    pub now: Timestamp,
}

/// What the declarations alone show: what has expired.
pub fn of_declarations(report: &Report<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for secret in &report.manifest.secrets {
        let Some(day) = &secret.expires else { continue };
        let expired =
            Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z")).is_some_and(|day| day <= report.now);
        if expired {
            let message = format!("{} has expired: the manifest says {day}", secret.name);
            let problem =
                Problem::error(ProblemKind::Expired, message).at(report.manifest.location(secret.place));
            problems.push(
                problem.hint(format!("strongroom set {}, and a later day in the manifest", secret.name)),
            );
        }
    }
    problems
}

/// What the files with values look like from outside: to git, and to other users.
pub fn of_files(report: &Report<'_>) -> Vec<Problem> {
    let files = plain_files(report.manifest);
    let mut problems: Vec<Problem> = dangling(report.manifest);
    problems.extend(files.iter().filter_map(|file| open_to_others(file)));
    problems.extend(files.iter().flat_map(|file| of_lines(file)));
    if report.manifest.guard.gitignore {
        problems.extend(git::problems(&report.manifest.folder, &files));
    }
    problems
}

/// `.env` files that are links to nowhere: they count as not there, and nobody meant that.
fn dangling(manifest: &Manifest) -> Vec<Problem> {
    let entries = std::fs::read_dir(folder_of(manifest)).into_iter().flatten().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_env_file));
    let links = files.filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let path = manifest.folder.join(entry.file_name());
        (!path.exists()).then(|| {
            let message = format!("{} is a link to {}, which is not there", path.display(), target.display());
            Problem::warning(ProblemKind::Provider, message).hint("make that file, or remove the link")
        })
    });
    links.collect()
}

/// Paths that the settings of an environment's providers name, as far as they can be files: what `run --watch` watches.
pub fn named_files(manifest: &Manifest, environment: &Environment) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for provider in environment.order.iter().filter_map(|name| manifest.providers.get(name)) {
        for text in provider.settings.get("path").into_iter().flat_map(texts) {
            let text = text.replace("{env}", &environment.name).replace("{project}", &manifest.project);
            files.push(manifest.folder.join(text));
        }
    }
    files
}

/// Files that hold values in clear: `.env` files, and settings files that providers name.
pub fn plain_files(manifest: &Manifest) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder_of(manifest))
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| manifest.folder.join(entry.file_name()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_env_file))
        .collect();
    let of_files = |kind: &str| matches!(kind, "dotenv" | "json" | "yaml" | "toml");
    for provider in manifest.providers.values().filter(|provider| of_files(&provider.kind)) {
        for text in provider.settings.values().flat_map(texts) {
            for environment in manifest.environments.keys() {
                let text = text.replace("{env}", environment).replace("{project}", &manifest.project);
                files.push(manifest.folder.join(text));
            }
        }
    }
    files.retain(|path| path.is_file());
    files.sort();
    files.dedup();
    files
}

fn folder_of(manifest: &Manifest) -> &Path {
    if manifest.folder.as_os_str().is_empty() { Path::new(".") } else { &manifest.folder }
}

fn texts(setting: &Setting) -> Vec<&String> {
    match setting {
        Setting::Text(text) => vec![text],
        Setting::List(texts) => texts.iter().collect(),
        _ => Vec::new(),
    }
}

/// `.env`, `.env.local`, `.env.prod`; not `.env.example` and its like, nor what is encrypted.
fn is_env_file(name: &str) -> bool {
    let harmless = ["example", "sample", "template", "dist", "enc", "encrypted", "sops", "schema", "keys"];
    match name.strip_prefix(".env") {
        Some("") => true,
        Some(rest) => rest.starts_with('.') && !rest.split('.').any(|part| harmless.contains(&part)),
        None => false,
    }
}

/// What a reader of a `.env` file would want to know of its lines.
fn of_lines(path: &Path) -> Vec<Problem> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let bytes = files::read(path, BYTES_MAX as u64).ok().filter(|_| is_env_file(name));
    // A file that cannot be read at all is its provider's to complain about.
    let document = bytes.and_then(|bytes| Document::from_bytes(bytes.expose(), Dialect::Python).ok());
    let mut problems = Vec::new();
    for (line, issue) in document.iter().flat_map(dotenv::problems) {
        let location = Location { path: path.to_owned(), line, column: 1, snippet: None };
        problems.push(Problem::warning(ProblemKind::Provider, issue.to_string()).at(location));
    }
    problems
}

fn open_to_others(path: &Path) -> Option<Problem> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return None;
    }
    let verb = if mode & 0o022 == 0 { "read" } else { "changed" };
    let message = format!("{} can be {verb} by other users (mode {mode:04o})", path.display());
    Some(Problem::warning(ProblemKind::FileMode, message).hint(format!("chmod 600 {}", path.display())))
}

/// Names that local files hold and the manifest does not declare.
pub fn unused(manifest: &Manifest, environment: &Environment, opened: &Opened) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, provider) in opened.in_order(environment) {
        let kind = manifest.providers.get(name).map_or("", |provider| provider.kind.as_str());
        if kind == PROCESS || provider.reach() != Reach::Local {
            continue;
        }
        let path = provider.address_of("X").path;
        // A provider that cannot be listed has already said what is wrong, if anything is.
        let known: Vec<String> = provider.list(&path).unwrap_or_default();
        let declared = || manifest.secrets.iter().map(|secret| secret.name.as_str());
        for found in known.iter().filter(|found| !is_declared(manifest, name, found)) {
            let message = format!("{found} is in {}, but not in the manifest", provider.place());
            let hint = match did_you_mean(found, declared()) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!(
                    "`strongroom import --declare` declares it, `strongroom unset {found}` takes it away"
                ),
            };
            problems.push(Problem::warning(ProblemKind::Unused, message).hint(hint));
        }
    }
    problems
}

/// By its name, or as the place that some declaration's `ref` names.
fn is_declared(manifest: &Manifest, provider: &str, found: &str) -> bool {
    let referred =
        |address: &crate::provider::Address| address.key.as_deref() == Some(found) || address.path == found;
    manifest.secret(found).is_some()
        || found == crate::lock::KEY_NAME
        || manifest.secrets.iter().any(|secret| secret.references.get(provider).is_some_and(referred))
}
