use super::{Discovered, compose};
use crate::compose::is_variable_name;
use crate::files;
use std::path::{Path, PathBuf};
use strongroom_formats::dotenv::{Dialect, Document, Kind, NO_ENVIRONMENT, Precedence};
use strongroom_secret::SecretString;
use thiserror::Error;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Dotenv,
    /// An object of texts, numbers and truth values; nested ones join their names with `__`.
    Json,
    /// A docker-compose file.
    Compose,
    /// What `heroku config` prints: `NAME: value`. (`heroku config --json` is JSON.)
    Heroku,
}

#[derive(Debug, Error)]
pub enum SourceError {
    #[error("{0}")]
    File(#[from] files::FileError),
    #[error("{file}: {reason}")]
    Malformed { file: String, reason: String },
}

const SOURCE_BYTES_MAX: u64 = 16 << 20;

impl Source {
    /// By the name of the file.
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Self::Json,
            Some("yml" | "yaml") => Self::Compose,
            Some("txt") if name.contains("heroku") => Self::Heroku,
            _ => Self::Dotenv,
        }
    }
}

/// Reads names and values from a file.
pub fn read_source(path: &Path, source: Source) -> Result<Vec<Discovered>, SourceError> {
    let bytes = files::read(path, SOURCE_BYTES_MAX)?;
    let file = path.display().to_string();
    let malformed = |reason: String| SourceError::Malformed { file: file.clone(), reason };
    if source == Source::Dotenv {
        return dotenv(path, bytes.expose()).map_err(malformed);
    }
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| malformed("not UTF-8 text".to_owned()))?;
    let mut beside = Vec::new();
    let pairs = match source {
        Source::Json => json(text).map_err(malformed)?,
        Source::Compose => {
            let said = compose::read(text).map_err(malformed)?;
            beside = env_files(path, &said.files)?;
            said.pairs
        }
        Source::Heroku | Source::Dotenv => heroku(text),
    };
    let found =
        pairs.into_iter().filter(|(name, ..)| is_variable_name(name)).map(|(name, value, line)| Discovered {
            name,
            value,
            doc: None,
            origin: line.map_or(file.clone(), |line| format!("{file}:{line}")),
            is_example: is_example(path),
        });
    Ok(found.chain(beside).collect())
}

/// What the files of `env_file` say. One that is not there is somebody else's, or is made later.
fn env_files(compose: &Path, files: &[PathBuf]) -> Result<Vec<Discovered>, SourceError> {
    let folder = compose.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for file in files {
        match read_source(&folder.join(file), Source::Dotenv) {
            Err(SourceError::File(error)) if error.is_missing() => {}
            outcome => found.extend(outcome?),
        }
    }
    Ok(found)
}

fn is_example(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["example", "sample", "template", "dist"].iter().any(|word| name.contains(word))
}

fn dotenv(path: &Path, bytes: &[u8]) -> Result<Vec<Discovered>, String> {
    let document = Document::from_bytes(bytes, Dialect::Python).map_err(|error| error.to_string())?;
    let values = document.resolve(NO_ENVIRONMENT, Precedence::File).map_err(|error| error.to_string())?;
    let mut found: Vec<Discovered> = Vec::new();
    let mut comment: Option<String> = None;
    for entry in document.entries() {
        match &entry.kind {
            Kind::Comment => comment = Some(comment_text(document.slice(entry.span))),
            Kind::Assignment(assignment) => {
                let name = document.key(assignment).to_owned();
                let doc = comment.take().filter(|doc| !doc.is_empty());
                if is_variable_name(&name) && !found.iter().any(|known| known.name == name) {
                    found.push(Discovered {
                        value: values.value(&name).map(SecretString::duplicate),
                        name,
                        doc,
                        origin: format!("{}:{}", path.display(), entry.line),
                        is_example: is_example(path),
                    });
                }
            }
            Kind::Blank | Kind::Bad(_) => comment = None,
        }
    }
    Ok(found)
}

/// The last line of a comment, without its sign. A line that looks like an assignment is no description.
fn comment_text(comment: &str) -> String {
    let last = comment.trim().lines().last().unwrap_or_default();
    let text = last.trim().trim_start_matches('#').trim();
    if text.contains('=') { String::new() } else { text.chars().take(120).collect() }
}

/// Name, value and line.
type Pair = (String, Option<SecretString>, Option<usize>);

fn json(text: &str) -> Result<Vec<Pair>, String> {
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| format!("not JSON (line {}, column {})", error.line(), error.column()))?;
    let mut pairs = Vec::new();
    flatten("", &value, 0, &mut pairs);
    if value.is_object() { Ok(pairs) } else { Err("not an object".to_owned()) }
}

/// Nested maps are not followed further than this.
const DEPTH_MAX: usize = 8;

fn flatten(prefix: &str, value: &serde_json::Value, depth: usize, pairs: &mut Vec<Pair>) {
    match value {
        serde_json::Value::Object(fields) if depth < DEPTH_MAX => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}__{name}") };
                flatten(&name, value, depth + 1, pairs);
            }
        }
        serde_json::Value::Null => pairs.push((prefix.to_owned(), None, None)),
        serde_json::Value::String(text) => pairs.push((prefix.to_owned(), Some(text.as_str().into()), None)),
        other => pairs.push((prefix.to_owned(), Some(other.to_string().into()), None)),
    }
}

fn heroku(text: &str) -> Vec<Pair> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("==="));
    let pairs = lines.filter_map(|(index, line)| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), Some(value.trim().into()), Some(index + 1)))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, text: &str, expected: &[(&str, Option<&str>)]) -> Vec<Discovered> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let found = read_source(&path, Source::of(&path)).unwrap();
        let pairs: Vec<_> = found
            .iter()
            .map(|found| (found.name.as_str(), found.value.as_ref().map(SecretString::expose)))
            .collect();
        assert_eq!(pairs, expected);
        found
    }

    #[test]
    fn dotenv_files_with_their_comments() {
        let text = "# Where the data is\nDATABASE_URL=postgres://h/d\n\n# OLD=1\nexport KEY='k'\nBARE\n";
        let expected = [("DATABASE_URL", Some("postgres://h/d")), ("KEY", Some("k")), ("BARE", None)];
        let found = check(".env.example", text, &expected);
        assert_eq!(found[0].doc.as_deref(), Some("Where the data is"));
        assert_eq!(found[1].doc, None);
        assert!(found[0].is_example);
    }

    #[test]
    fn other_files() {
        check(
            "settings.json",
            r#"{"A": "x", "N": 5, "DB": {"HOST": "h"}, "not-a-name": 1}"#,
            &[("A", Some("x")), ("DB__HOST", Some("h")), ("N", Some("5"))],
        );
        check(
            "docker-compose.yml",
            "services:\n  web:\n    env_file: not-there.env\n    environment:\n      - A=1\n      - C\n",
            &[("A", Some("1")), ("C", None)],
        );
        check(
            "heroku.txt",
            "=== shop Config Vars\nA:    1\nURL:  https://example.com\n",
            &[("A", Some("1")), ("URL", Some("https://example.com"))],
        );
    }
}
