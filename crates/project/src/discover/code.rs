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
        &["process.env.", "process.env?.", "process.env[", "import.meta.env.", "Deno.env.get(", "Bun.env."],
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

/// Names with their lines, in order.
fn names(path: &Path, text: &str) -> Vec<(String, usize)> {
    let marks = marks_for(path);
    let newlines: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line_of = |at: usize| newlines.partition_point(|newline| *newline < at) + 1;
    let mut names = Vec::new();
    for mark in marks {
        for (at, _) in text.match_indices(mark) {
            let rest = text.get(at + mark.len()..).unwrap_or_default();
            names.extend(name_at(rest, mark.ends_with('.')).map(|name| (name, line_of(at))));
        }
    }
    if marks.contains(&"process.env.") {
        let found = destructured(text);
        names.extend(found.into_iter().map(|(name, at)| (name, line_of(at))));
    }
    if path.extension().is_some_and(|end| end == "py") {
        let mut settings: Option<Settings> = None;
        for (index, line) in text.lines().enumerate() {
            settings = pydantic(settings, line, index + 1, &mut names);
        }
    }
    names.sort_by_key(|(_, line)| *line);
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
    /// Where its fields stand.
    body: Option<usize>,
    prefix: String,
    /// Which of the names take the prefix: it may be said after them.
    prefixed: Vec<usize>,
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
        return Some(Settings { indent, body: None, prefix: String::new(), prefixed: Vec::new() });
    }
    let mut settings = current?;
    if !content.is_empty() && indent <= settings.indent && !content.starts_with(['#', ')', '"']) {
        return None;
    }
    if let Some(prefix) = argument(content, "env_prefix") {
        settings.prefix = prefix.to_ascii_uppercase();
        for index in &settings.prefixed {
            if let Some((name, _)) = names.get_mut(*index) {
                *name = format!("{}{name}", settings.prefix);
            }
        }
        settings.prefixed.clear();
    }
    // What stands deeper is the body of a function, or of `class Config`.
    let body = *settings.body.get_or_insert(indent);
    if let Some((field, kind)) = content.split_once(':')
        && indent == body
        && is_variable_name(field.trim_end())
        && !kind.trim().is_empty()
        && !kind.trim_start().starts_with("ClassVar")
        && !field.starts_with("model_config")
    {
        // A name of its own takes no prefix.
        let own = ["validation_alias", "alias", "env"].iter().find_map(|word| argument(kind, word));
        let name = match own.filter(|own| is_variable_name(own)) {
            Some(own) => own.to_ascii_uppercase(),
            None => {
                if settings.prefix.is_empty() {
                    settings.prefixed.push(names.len());
                }
                format!("{}{}", settings.prefix, field.trim_end().to_ascii_uppercase())
            }
        };
        names.push((name, number));
    }
    Some(settings)
}

/// The text in quotes after `name =`.
fn argument<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(name).find_map(|(at, _)| {
        let (before, rest) = (line.get(..at)?, line.get(at + name.len()..)?);
        let value = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix(['"', '\''])?;
        (!before.ends_with(is_word)).then(|| value.split(['"', '\'']).next())?
    })
}

/// The names in `const { A, B: b, C = 'x' } = process.env`, over as many lines as it takes.
fn destructured(text: &str) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    for source in ["process.env", "import.meta.env", "Bun.env"] {
        for (at, _) in text.match_indices(source) {
            let after = text.get(at + source.len()..).unwrap_or_default();
            let is_whole = !after.starts_with(|c: char| c.is_alphanumeric() || "._[?".contains(c));
            let before = text.get(..at).unwrap_or_default().trim_end();
            let pattern = before.strip_suffix('=').and_then(|before| before.trim_end().strip_suffix('}'));
            let Some((_, inner)) = pattern.filter(|_| is_whole).and_then(|before| before.rsplit_once('{'))
            else {
                continue;
            };
            let parts = inner.split(',').filter_map(|part| part.split([':', '=']).next());
            let parts = parts.map(str::trim).filter(|name| is_variable_name(name));
            names.extend(parts.map(|name| (name.to_owned(), at)));
        }
    }
    names
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
        let older = "class Settings(BaseSettings):\n    \"\"\"Ours.\"\"\"\n\n    # first\n    db_url: str = Field(..., env=\"DATABASE_URL\")\n    token: SecretStr\n    kinds: ClassVar[int] = 1\n\n    class Config:\n        env_prefix = 'shop_'\n        env_file: str = \".env\"\n\nsettings = Settings()\n";
        check("config.py", older, &["DATABASE_URL", "SHOP_TOKEN"]);
        let alias = "class Settings(BaseSettings):\n    key: str = Field(validation_alias=\"API_KEY\")\n";
        check("settings/base.py", alias, &["API_KEY"]);
    }

    #[test]
    fn names_over_several_lines() {
        check("a.py", "x = os.getenv(\n    \"A\",\n    \"d\",\n)\nos.environ['B']\n", &["A", "B"]);
        check(
            "b.js",
            "const {\n  A,\n  B: b,\n  C = 'x',\n} = process.env;\nconst { D } = other;\nprocess.env?.E;\nconst env = { ...process.env };\n",
            &["A", "B", "C", "E"],
        );
    }
}
