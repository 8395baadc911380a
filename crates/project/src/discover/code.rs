//! Names of variables that code reads: Python (`os.environ`, `os.getenv`, pydantic settings), JavaScript and TypeScript
//! (`process.env`, `import.meta.env`), Rust (`env::var`, `env!`), Go (`os.Getenv`), Ruby (`ENV`), shell is left out.

use super::Discovered;
use crate::compose::is_variable_name;
use std::path::{Path, PathBuf};

/// Folders of what others wrote, or of what is made.
const SKIPPED: [&str; 12] = [
    "node_modules",
    "target",
    "venv",
    "__pycache__",
    "dist",
    "build",
    "vendor",
    "site-packages",
    "coverage",
    "bower_components",
    "out",
    "env",
];
const FILES_MAX: usize = 20_000;
const FILE_BYTES_MAX: u64 = 1 << 20;
const DEPTH_MAX: usize = 16;

/// What stands before a name, by the ends of files.
const MARKS: [(&[&str], &[&str]); 5] = [
    (&["py"], &["os.environ[", "os.environ.get(", "os.getenv(", "environ[", "environ.get(", "getenv("]),
    (
        &["js", "ts", "jsx", "tsx", "mjs", "cjs", "mts", "cts", "vue", "svelte"],
        &["process.env.", "process.env[", "import.meta.env.", "Deno.env.get(", "Bun.env."],
    ),
    (&["rs"], &["env::var(", "env::var_os(", "env!(", "option_env!("]),
    (&["go"], &["os.Getenv(", "os.LookupEnv("]),
    (&["rb"], &["ENV[", "ENV.fetch("]),
];

/// Names that systems set, and that are no project's.
const COMMON: [&str; 16] = [
    "PATH", "HOME", "USER", "SHELL", "PWD", "LANG", "TERM", "TMPDIR", "CI", "HOSTNAME", "EDITOR", "VISUAL",
    "LOGNAME", "OUT_DIR", "NODE_ENV", "TZ",
];

/// All names that code below a folder reads, in the order of files and lines.
pub fn names_in_code(folder: &Path) -> Vec<Discovered> {
    let mut files = Vec::new();
    gather(folder, 0, &mut files);
    let mut found: Vec<Discovered> = Vec::new();
    for path in files {
        let Ok(metadata) = path.metadata() else { continue };
        if metadata.len() > FILE_BYTES_MAX {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        for (name, line) in names(&path, &text) {
            let known = found.iter().any(|known| known.name == name);
            if !known && !COMMON.contains(&name.as_str()) && !name.starts_with("CARGO_") {
                let origin = format!("{shown}:{line}");
                found.push(Discovered { name, value: None, doc: None, origin, is_example: false });
            }
        }
    }
    found
}

/// Links are not followed: they may lead in a circle, or out of the project.
fn gather(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
        if kind.is_dir() && depth < DEPTH_MAX && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            gather(&entry.path(), depth + 1, files);
        } else if kind.is_file() && files.len() < FILES_MAX && !marks_for(&entry.path()).is_empty() {
            files.push(entry.path());
        }
    }
}

fn marks_for(path: &Path) -> &'static [&'static str] {
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    MARKS.iter().find(|(ends, _)| ends.contains(&end)).map_or(&[], |(_, marks)| marks)
}

fn names(path: &Path, text: &str) -> Vec<(String, usize)> {
    let marks = marks_for(path);
    let python = path.extension().is_some_and(|end| end == "py");
    let mut names = Vec::new();
    let mut settings: Option<Settings> = None;
    for (index, line) in text.lines().enumerate() {
        for mark in marks {
            for (at, _) in line.match_indices(mark) {
                let rest = line.get(at + mark.len()..).unwrap_or_default();
                names.extend(name_at(rest, mark.ends_with('.')).map(|name| (name, index + 1)));
            }
        }
        if python {
            settings = pydantic(settings, line, index + 1, &mut names);
        }
    }
    names
}

/// The name itself after a dot, or the text in quotes after a bracket.
fn name_at(rest: &str, bare: bool) -> Option<String> {
    let rest = if bare {
        rest
    } else {
        let trimmed = rest.trim_start();
        trimmed.strip_prefix(['"', '\'', '`'])?
    };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let closed = bare || after.starts_with(['"', '\'', '`']);
    (closed && is_variable_name(name)).then(|| name.to_owned())
}

/// A class of pydantic-settings on the way through its body.
struct Settings {
    indent: usize,
    prefix: String,
}

/// Fields of `class X(BaseSettings)` are variables: their names in capitals, after `env_prefix`.
fn pydantic(
    current: Option<Settings>,
    line: &str,
    number: usize,
    names: &mut Vec<(String, usize)>,
) -> Option<Settings> {
    let content = line.trim_start();
    let indent = line.len() - content.len();
    if content.starts_with("class ") && content.contains("BaseSettings") {
        return Some(Settings { indent, prefix: String::new() });
    }
    let mut settings = current?;
    if !content.is_empty() && indent <= settings.indent && !content.starts_with(['#', ')', '"']) {
        return None;
    }
    if let Some((_, rest)) = content.split_once("env_prefix=")
        && let Some(prefix) = rest.strip_prefix(['"', '\'']).and_then(|rest| rest.split(['"', '\'']).next())
    {
        settings.prefix = prefix.to_ascii_uppercase();
    }
    if let Some((field, kind)) = content.split_once(':')
        && is_variable_name(field.trim_end())
        && !kind.trim().is_empty()
        && !field.starts_with("model_config")
        && !["else", "try", "finally"].contains(&field)
    {
        names.push((format!("{}{}", settings.prefix, field.trim_end().to_ascii_uppercase()), number));
    }
    Some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, text: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let names: Vec<String> = names_in_code(folder.path()).into_iter().map(|found| found.name).collect();
        assert_eq!(names, expected, "{file}");
    }

    #[test]
    fn names_that_code_reads() {
        check(
            "a.py",
            "x = os.environ['A'] + os.getenv(\"B\", 'd')\nos.environ.get('C')\nos.getenv(name)\n",
            &["A", "B", "C"],
        );
        check(
            "b.ts",
            "const a = process.env.A ?? process.env['B'];\nimport.meta.env.VITE_C\nprocess.env.NODE_ENV",
            &["A", "B", "VITE_C"],
        );
        check("c.rs", "std::env::var(\"A\").unwrap(); env!(\"B\"); env::var(name)", &["A", "B"]);
        check("d.go", "os.Getenv(\"A\")\nv, ok := os.LookupEnv(\"B\")", &["A", "B"]);
        check("e.rb", "ENV['A'] || ENV.fetch(\"B\")", &["A", "B"]);
        check("node_modules/x/index.js", "process.env.HIDDEN", &[]);
        check("notes.txt", "process.env.NOPE", &[]);
    }

    #[test]
    fn fields_of_settings_classes() {
        let text = "class Settings(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix=\"app_\")\n    \"\"\"doc\"\"\"\n    db_url: PostgresDsn\n    port: int = 8080\n\n    def f(self):\n        pass\n\nclass Other:\n    not_this: int\n";
        check("settings.py", text, &["APP_DB_URL", "APP_PORT"]);
    }
}
