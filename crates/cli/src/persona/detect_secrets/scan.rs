//! Files and lines under the plugins and filters that are in use.

use super::collection::{Collection, Secret, Settings};
use super::filters::{
    ALLOWLIST, BASELINE_FILE, EXCLUDE_FILES, EXCLUDE_LINES, EXCLUDE_SECRETS, VERIFICATION, drops,
    is_allowlisted, skips_file,
};
use super::plugins::{Enabled, FileKind, Look, PLUGINS, Quotes, entropy_of};
use super::warn;
use crate::failure::Failure;
use regex::Regex;
use serde_json::Value;
use sha1::{Digest, Sha1};
use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use strongroom_secret::SecretString;

const FILE_BYTES_MAX: u64 = 256 << 20;
const DEPTH_MAX: usize = 256;

/// Which lines are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// Those without a comment that allows what is on them.
    Others,
    Allowlisted,
}

/// A value with where it stands; only reports and audits ask for it.
pub(super) struct Raw {
    pub(super) secret: Secret,
    pub(super) value: SecretString,
}

pub(super) struct Scanner<'s> {
    settings: &'s Settings,
    words: Vec<String>,
    lines: Vec<Regex>,
    files: Vec<Regex>,
    secrets: Vec<Regex>,
}

impl<'s> Scanner<'s> {
    pub(super) fn new(settings: &'s Settings, words: Vec<String>) -> Result<Self, Failure> {
        let patterns = |path: &str| -> Result<Vec<Regex>, Failure> {
            let given = settings.filters.get(path).and_then(|fields| fields.get("pattern"));
            let texts: Vec<&str> = match given {
                Some(Value::String(one)) => vec![one.as_str()],
                Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
                _ => Vec::new(),
            };
            let refused = |text: &str| {
                Failure::usage(format!("{text:?} is no regular expression here: look-around and back-references are not supported"))
                    .exit_code(1)
            };
            texts.into_iter().map(|text| Regex::new(text).map_err(|_| refused(text))).collect()
        };
        Ok(Self {
            settings,
            words,
            lines: patterns(EXCLUDE_LINES)?,
            files: patterns(EXCLUDE_FILES)?,
            secrets: patterns(EXCLUDE_SECRETS)?,
        })
    }

    pub(super) fn scan(&self, paths: &[PathBuf], lines: Lines) -> Collection {
        let mut found = Collection::default();
        for path in paths {
            let name = path.to_string_lossy().into_owned();
            for raw in self.file(path, &name, lines) {
                found.add(&name, raw.secret);
            }
        }
        found
    }

    /// All secrets of a file, with their values.
    pub(super) fn file(&self, path: &Path, name: &str, lines: Lines) -> Vec<Raw> {
        let is_on = |filter: &str| self.settings.has(filter);
        let is_baseline = self
            .settings
            .filters
            .get(BASELINE_FILE)
            .and_then(|fields| fields.get("filename")?.as_str())
            .is_some_and(|baseline| Path::new(baseline).file_name() == path.file_name());
        if is_baseline
            || skips_file(name, &is_on)
            || self.files.iter().any(|pattern| pattern.is_match(name))
            || !path.is_file()
        {
            return Vec::new();
        }
        let bytes = match fs::metadata(path).and_then(|metadata| match metadata.len() > FILE_BYTES_MAX {
            true => Err(std::io::Error::other("it is too large")),
            false => fs::read(path),
        }) {
            Ok(bytes) => bytes,
            Err(_) => {
                warn(&format!("Unable to open file: {name}"));
                return Vec::new();
            }
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => self.text(text, name, lines),
            // As there: what is no text is passed over.
            Err(_) => Vec::new(),
        }
    }

    fn text(&self, text: &str, name: &str, lines: Lines) -> Vec<Raw> {
        let mut found = Vec::new();
        let mut before = "";
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_end();
            let allowed = is_allowlisted(line, before, name);
            before = line;
            let wanted = match lines {
                Lines::Others => !(allowed && self.settings.has(ALLOWLIST)),
                Lines::Allowlisted => allowed,
            };
            if wanted && !self.lines.iter().any(|pattern| pattern.is_match(line)) {
                self.line(line, name, (index + 1) as u64, &mut found);
            }
        }
        found
    }

    fn line(&self, line: &str, name: &str, number: u64, found: &mut Vec<Raw>) {
        let verified_only =
            self.settings.filters.get(VERIFICATION).and_then(|fields| fields.get("min_level")?.as_u64())
                == Some(3);
        if verified_only {
            return;
        }
        for enabled in &self.settings.plugins {
            for value in enabled.look(line, FileKind::of(name), Quotes::Required) {
                if !self.drops(&value, line, enabled) {
                    found.push(Raw {
                        secret: secret(enabled, &value, number),
                        value: SecretString::from(value),
                    });
                }
            }
        }
    }

    fn drops(&self, value: &str, line: &str, enabled: &Enabled) -> bool {
        let lower = value.to_lowercase();
        drops(value, line, enabled.plugin(), &|filter| self.settings.has(filter))
            || self.secrets.iter().any(|pattern| pattern.is_match(value))
            || self.words.iter().any(|word| lower.contains(word.as_str()))
    }

    /// What each plugin says of a text, one a line.
    pub(super) fn verdicts(&self, text: &str) -> String {
        let names = self.settings.plugins.iter().map(|enabled| enabled.plugin().name.len());
        let width = names.max().unwrap_or_default();
        let mut plugins: Vec<&Enabled> = self.settings.plugins.iter().collect();
        plugins.sort_by_key(|enabled| enabled.plugin().name);
        let verdict = |enabled: &Enabled| {
            let found = enabled.look(text, FileKind::Code, Quotes::Optional);
            let found: Vec<_> = found.into_iter().filter(|value| !self.drops(value, text, enabled)).collect();
            match (&enabled.plugin().look, found.last()) {
                (_, None) => "False".to_owned(),
                (Look::Entropy { characters, .. }, Some(value)) => {
                    let entropy = (entropy_of(value, characters) * 1000.0).round() / 1000.0;
                    match entropy < enabled.limit.unwrap_or_default() {
                        true => format!("False ({entropy})"),
                        false => format!("True  ({entropy})"),
                    }
                }
                (_, Some(_)) if self.settings.has(VERIFICATION) => "True  (unverified)".to_owned(),
                (_, Some(_)) => "True".to_owned(),
            }
        };
        let lines =
            plugins.iter().map(|enabled| format!("{:width$}: {}", enabled.plugin().name, verdict(enabled)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn secret(enabled: &Enabled, value: &str, line: u64) -> Secret {
    let hash = hex::encode(Sha1::digest(value.as_bytes()));
    let kind = enabled.plugin().kind.to_owned();
    Secret { kind, hash, line, is_secret: None, is_verified: false }
}

/// The class of a type.
pub(super) fn class_of(kind: &str) -> &str {
    PLUGINS.iter().find(|plugin| plugin.kind == kind).map_or(kind, |plugin| plugin.name)
}

/// The text of `--string`, or the first line of standard input.
pub(super) fn line_of(text: &str) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| Failure::other(error.to_string()))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Files as they are named, and below folders those that git tracks, or all.
pub(super) fn files(paths: &[PathBuf], all: bool) -> Result<Vec<PathBuf>, Failure> {
    let tracked = match all || !paths.iter().any(|path| path.is_dir()) {
        true => None,
        false => match tracked() {
            Some(tracked) => Some(tracked),
            None => {
                warn("Did not detect git repository. Try scanning all files instead.");
                return Ok(Vec::new());
            }
        },
    };
    let mut found = BTreeSet::new();
    for path in paths {
        gather(path, DEPTH_MAX, tracked.as_ref(), &mut found);
    }
    Ok(found.into_iter().collect())
}

fn gather(path: &Path, depth: usize, tracked: Option<&BTreeSet<PathBuf>>, found: &mut BTreeSet<PathBuf>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries.filter(|_| depth > 0) {
            let inner = entry.path();
            let is_link = inner.is_symlink() && inner.is_dir();
            if !is_link {
                gather(&inner, depth - 1, tracked, found);
            }
        }
        return;
    }
    let name = path.strip_prefix("./").unwrap_or(path).to_owned();
    if tracked.is_none_or(|tracked| tracked.contains(&name)) {
        found.insert(name);
    }
}

/// What git tracks below the folder that we are in.
fn tracked() -> Option<BTreeSet<PathBuf>> {
    use std::os::unix::ffi::OsStrExt;
    let output = Command::new("git").args(["ls-files", "-z"]).stdin(Stdio::null()).output().ok()?;
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names = names.map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name))).collect();
    output.status.success().then_some(names)
}
