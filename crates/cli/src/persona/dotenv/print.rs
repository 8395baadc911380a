//! What python-dotenv prints.

use std::fmt::Write;
use std::io;
use std::path::Path;
use strongroom_formats::dotenv::Values;
use strongroom_project::files::FileError;

pub(super) const GROUP_HELP: &str = "\
Usage: dotenv [OPTIONS] COMMAND [ARGS]...

  This script is used to set, get or unset values from a .env file.

Options:
  -f, --file PATH                 Location of the .env file, defaults to .env
                                  file in current working directory.
  -q, --quote [always|never|auto]
                                  Whether to quote or not the variable values.
                                  Default mode is always. This does not affect
                                  parsing.
  -e, --export BOOLEAN            Whether to write the dot file as an
                                  executable bash script.
  --version                       Show the version and exit.
  --help                          Show this message and exit.

Commands:
  get    Retrieve the value for the given key.
  list   Display all the stored key/value.
  run    Run command with environment variables present.
  set    Store the given key/value.
  unset  Removes the given key.
";

pub(super) const LIST_HELP: &str = "\
Usage: dotenv list [OPTIONS]

  Display all the stored key/value.

Options:
  --format [simple|json|shell|export]
                                  The format in which to display the list.
                                  Default format is simple, which displays
                                  name=value without quotes.
  --help                          Show this message and exit.
";

pub(super) const GET_HELP: &str = "\
Usage: dotenv get [OPTIONS] KEY

  Retrieve the value for the given key.

Options:
  --help  Show this message and exit.
";

pub(super) const SET_HELP: &str = "\
Usage: dotenv set [OPTIONS] KEY VALUE

  Store the given key/value.

  This doesn't follow symlinks, to avoid accidentally modifying a file at a
  potentially untrusted path.

Options:
  --help  Show this message and exit.
";

pub(super) const UNSET_HELP: &str = "\
Usage: dotenv unset [OPTIONS] KEY

  Removes the given key.

  This doesn't follow symlinks, to avoid accidentally modifying a file at a
  potentially untrusted path.

Options:
  --help  Show this message and exit.
";

pub(super) const RUN_HELP: &str = "\
Usage: dotenv run [OPTIONS] [COMMANDLINE]...

  Run command with environment variables present.

Options:
  --override / --no-override  Override variables from the environment file
                              with those from the .env file.
  --help                      Show this message and exit.
";

/// All values, sorted by name, in one of `list`'s formats.
pub(super) fn listed(values: &Values, format: &str) -> String {
    let mut sorted: Vec<_> = values.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    let mut text = String::new();
    if format == "json" {
        let member = |(key, value): &(&str, Option<&strongroom_secret::SecretString>)| {
            let value = value.map_or_else(|| "null".to_owned(), |value| json_text(value.expose()));
            format!("\n  {}: {value}", json_text(key))
        };
        let members: Vec<_> = sorted.iter().map(member).collect();
        let end = if members.is_empty() { "" } else { "\n" };
        return format!("{{{}{end}}}\n", members.join(","));
    }
    let prefix = if format == "export" { "export " } else { "" };
    for (key, value) in sorted {
        let Some(value) = value else { continue };
        let value = value.expose();
        // Writing to a String does not fail.
        let _ = match format {
            "simple" => writeln!(text, "{key}={value}"),
            _ => writeln!(text, "{prefix}{key}={}", for_shell(value)),
        };
    }
    text
}

/// Python's `json.dumps` of a text: nothing but printable ASCII.
fn json_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0c' => quoted.push_str("\\f"),
            '\x08' => quoted.push_str("\\b"),
            ' '..='~' => quoted.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Python's `shlex.quote`.
fn for_shell(text: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// Python's `[Errno 2] No such file or directory: '.env'`.
pub(super) fn os_error(error: &FileError, file: &Path) -> String {
    let number = match error {
        FileError::Missing(_) => Some(rustix::io::Errno::NOENT.raw_os_error()),
        FileError::NotAFile { .. } => Some(rustix::io::Errno::ISDIR.raw_os_error()),
        other => other.os_error(),
    };
    match number {
        Some(number) => {
            let text = reason(&io::Error::from_raw_os_error(number));
            format!("[Errno {number}] {text}: {}", python_text(&file.to_string_lossy()))
        }
        None => error.to_string(),
    }
}

/// The system's words for an error, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Python's `repr` of a text without control characters.
fn python_text(text: &str) -> String {
    if text.contains('\'') && !text.contains('"') {
        return format!("\"{}\"", text.replace('\\', "\\\\"));
    }
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
