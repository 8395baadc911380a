//! The persona `dotenv`: python-dotenv's command line. Its words, output, messages and exit codes; `list` and `get` read
//! a file as python-dotenv does. Writing differs in what python-dotenv loses: blank lines, comments, `export` and line
//! breaks stay, and a value that its form would spoil is written in one that brings it back.

mod click;
mod print;

use super::Program;
use crate::environment::Environment;
use click::{Opt, Syntax, Takes, UsageError, Words};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use strongroom_formats::dotenv::{
    BYTES_MAX, Copies, Dialect, Document, Export, FinalNewline, Kind, Precedence, Quoting, SetOptions, Values,
};
use strongroom_project::files::{self, FileError, Links};
use strongroom_secret::SecretString;

pub(super) const PROGRAM: Program = Program { name: "dotenv", run };

/// The release whose command line this is.
const VERSION: &str = "1.2.2";

const HELP: Opt = Opt { names: &["--help"], takes: Takes::Nothing };
const GROUP: Syntax = Syntax {
    path: "dotenv",
    usage: "[OPTIONS] COMMAND [ARGS]...",
    options: &[
        Opt { names: &["-f", "--file"], takes: Takes::Value },
        Opt { names: &["-q", "--quote"], takes: Takes::Value },
        Opt { names: &["-e", "--export"], takes: Takes::Value },
        Opt { names: &["--version"], takes: Takes::Nothing },
        HELP,
    ],
    words: Words::Last,
};
const LIST: Syntax = Syntax {
    path: "dotenv list",
    usage: "[OPTIONS]",
    options: &[Opt { names: &["--format"], takes: Takes::Value }, HELP],
    words: Words::Mixed,
};
const SET: Syntax =
    Syntax { path: "dotenv set", usage: "[OPTIONS] KEY VALUE", options: &[HELP], words: Words::Mixed };
const GET: Syntax =
    Syntax { path: "dotenv get", usage: "[OPTIONS] KEY", options: &[HELP], words: Words::Mixed };
const UNSET: Syntax =
    Syntax { path: "dotenv unset", usage: "[OPTIONS] KEY", options: &[HELP], words: Words::Mixed };
const RUN: Syntax = Syntax {
    path: "dotenv run",
    usage: "[OPTIONS] [COMMANDLINE]...",
    options: &[Opt { names: &["--override", "--no-override"], takes: Takes::Nothing }, HELP],
    words: Words::Program,
};

/// How a command ended that did not succeed.
enum Ended {
    /// With a message on standard error.
    Error(u8, String),
    /// With a message on standard output.
    Told(u8, String),
}

impl From<UsageError> for Ended {
    fn from(error: UsageError) -> Self {
        Self::Error(2, error.0)
    }
}

fn run(words: &[OsString], environment: &Environment) -> ExitCode {
    match group(words, environment) {
        Ok(output) => tell(&mut std::io::stdout(), &output, 0),
        Err(Ended::Told(code, output)) => tell(&mut std::io::stdout(), &output, code),
        Err(Ended::Error(code, message)) => tell(&mut std::io::stderr(), &message, code),
    }
}

fn tell(stream: &mut dyn Write, text: &str, code: u8) -> ExitCode {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Ok(()) => ExitCode::from(code),
        // Nobody reads any more.
        Err(_) => ExitCode::from(1),
    }
}

/// What stands before the command.
struct Settings {
    file: PathBuf,
    quoting: Quoting,
    export: Export,
}

fn group(words: &[OsString], environment: &Environment) -> Result<String, Ended> {
    if words.is_empty() {
        return Err(Ended::Error(2, print::GROUP_HELP.to_owned()));
    }
    let parsed = GROUP.parse(words)?;
    let has = |name: &str| parsed.options.iter().find(|(option, _)| *option == name);
    if let Some((eager, _)) = parsed.options.iter().find(|(name, _)| matches!(*name, "--version" | "--help"))
    {
        return Ok(match *eager {
            "--version" => format!("dotenv, version {VERSION}\n"),
            _ => print::GROUP_HELP.to_owned(),
        });
    }
    let mut settings = Settings {
        file: std::env::current_dir().map(|folder| folder.join(".env")).unwrap_or_default(),
        quoting: Quoting::Always,
        export: Export::Keep,
    };
    if let Some((_, file)) = has("--file") {
        settings.file = file.into();
    }
    if let Some((_, mode)) = has("--quote") {
        let mode = GROUP.choice("'-q' / '--quote'", mode, &["always", "never", "auto"])?;
        settings.quoting = match mode {
            "never" => Quoting::Never,
            "auto" => Quoting::Auto,
            _ => Quoting::Always,
        };
    }
    if let Some((_, value)) = has("--export") {
        settings.export = truth(value)?;
    }
    let Some((name, rest)) = parsed.words.split_first() else {
        return Err(GROUP.wrong("Missing command.").into());
    };
    match name.to_str() {
        Some("list") => list(&settings, rest, environment),
        Some("set") => set(&settings, rest),
        Some("get") => get(&settings, rest, environment),
        Some("unset") => unset(&settings, rest),
        Some("run") => become_program(&settings, rest, environment),
        _ => {
            let name = name.to_string_lossy();
            let near = click::near(&name, ["get", "list", "run", "set", "unset"].into_iter());
            Err(GROUP.wrong(&format!("No such command '{name}'.{near}")).into())
        }
    }
}

/// A truth value, in click's words.
fn truth(value: &OsStr) -> Result<Export, UsageError> {
    match value.to_string_lossy().trim().to_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Ok(Export::Add),
        "" | "0" | "false" | "f" | "no" | "n" | "off" => Ok(Export::Keep),
        _ => Err(GROUP.wrong(&format!(
            "Invalid value for '-e' / '--export': '{}' is not a valid boolean. Recognized values: , 0, 1, f, false, n, \
             no, off, on, t, true, y, yes",
            value.to_string_lossy()
        ))),
    }
}

fn list(settings: &Settings, words: &[OsString], environment: &Environment) -> Result<String, Ended> {
    let parsed = LIST.parse(words)?;
    if wants_help(&parsed) {
        return Ok(print::LIST_HELP.to_owned());
    }
    let mut format = "simple";
    if let Some((_, value)) = parsed.options.iter().rfind(|(name, _)| *name == "--format") {
        format = LIST.choice("'--format'", value, &["simple", "json", "shell", "export"])?;
    }
    LIST.arguments(parsed.words, [])?;
    let values = values_of(&open(&settings.file)?, environment)?;
    Ok(print::listed(&values, format))
}

fn get(settings: &Settings, words: &[OsString], environment: &Environment) -> Result<String, Ended> {
    let parsed = GET.parse(words)?;
    if wants_help(&parsed) {
        return Ok(print::GET_HELP.to_owned());
    }
    let [key] = GET.arguments(parsed.words, ["KEY"])?;
    let values = values_of(&open(&settings.file)?, environment)?;
    match key.to_str().and_then(|key| values.value(key)).filter(|value| !value.is_empty()) {
        Some(value) => Ok(format!("{}\n", value.expose())),
        None => Err(Ended::Told(1, String::new())),
    }
}

fn set(settings: &Settings, words: &[OsString]) -> Result<String, Ended> {
    let parsed = SET.parse(words)?;
    if wants_help(&parsed) {
        return Ok(print::SET_HELP.to_owned());
    }
    let [key, value] = SET.arguments(parsed.words, ["KEY", "VALUE"])?;
    let (key, value) = (text(key)?, SecretString::new(text(value)?));
    let change = files::change(&settings.file, Links::Replace, BYTES_MAX as u64).map_err(failed)?;
    let before = change.content().map(|content| content.expose()).unwrap_or_default();
    let document =
        Document::from_bytes(before, Dialect::Python).map_err(|error| unreadable(settings, &error))?;
    warn(&document);
    let options = SetOptions {
        readers: Vec::new(),
        quoting: settings.quoting,
        export: settings.export,
        copies: Copies::All,
        final_newline: FinalNewline::Always,
    };
    let edited = document.set(&key, &value, &options).map_err(|error| failed(error.to_string()))?;
    change.replace(edited.text.expose().as_bytes()).map_err(failed)?;
    Ok(format!("{key}={}\n", value.expose()))
}

fn unset(settings: &Settings, words: &[OsString]) -> Result<String, Ended> {
    let parsed = UNSET.parse(words)?;
    if wants_help(&parsed) {
        return Ok(print::UNSET_HELP.to_owned());
    }
    let [key] = UNSET.arguments(parsed.words, ["KEY"])?;
    let (key, file) = (text(key)?, settings.file.display());
    if !settings.file.exists() {
        return Err(Ended::Error(1, format!("Can't delete from {file} - it doesn't exist.\n")));
    }
    let change = files::change(&settings.file, Links::Replace, BYTES_MAX as u64).map_err(failed)?;
    let before = change.content().map(|content| content.expose()).unwrap_or_default();
    let document =
        Document::from_bytes(before, Dialect::Python).map_err(|error| unreadable(settings, &error))?;
    warn(&document);
    let Some(edited) = document.unset(&key).map_err(|error| failed(error.to_string()))? else {
        return Err(Ended::Error(1, format!("Key {key} not removed from {file} - key doesn't exist.\n")));
    };
    change.replace(edited.text.expose().as_bytes()).map_err(failed)?;
    Ok(format!("Successfully removed {key}\n"))
}

/// Becomes the program: what follows here is not seen again, unless that fails.
fn become_program(
    settings: &Settings,
    words: &[OsString],
    environment: &Environment,
) -> Result<String, Ended> {
    let parsed = RUN.parse(words)?;
    if wants_help(&parsed) {
        return Ok(print::RUN_HELP.to_owned());
    }
    if !settings.file.is_file() {
        let file = settings.file.display();
        return Err(RUN
            .wrong(&format!("Invalid value: Invalid value for '-f' \"{file}\" does not exist."))
            .into());
    }
    let values = values_of(&open(&settings.file)?, environment)?;
    let Some((program, arguments)) = parsed.words.split_first() else {
        return Err(Ended::Told(1, "No command given.\n".to_owned()));
    };
    let overrides = parsed.options.last().is_none_or(|(name, _)| *name != "--no-override");
    let mut command = Command::new(program);
    command.args(arguments);
    for (key, value) in values.iter() {
        if let Some(value) = value.filter(|_| overrides || environment.variable(key).is_none()) {
            command.env(key, value.expose());
        }
    }
    let error = command.exec();
    Err(failed(format!("cannot run {}: {}", program.display(), print::reason(&error))))
}

fn wants_help(parsed: &click::Parsed) -> bool {
    parsed.options.iter().any(|(name, _)| *name == "--help")
}

fn open(file: &Path) -> Result<Document, Ended> {
    let bytes = files::read(file, BYTES_MAX as u64).map_err(|error| {
        Ended::Error(2, format!("Error opening env file: {}\n", print::os_error(&error, file)))
    })?;
    let document = Document::from_bytes(bytes.expose(), Dialect::Python);
    let document = document.map_err(|error| failed(format!("{} {error}", file.display())))?;
    warn(&document);
    Ok(document)
}

fn values_of(document: &Document, environment: &Environment) -> Result<Values, Ended> {
    let lookup = |name: &str| environment.variable(name).map(SecretString::expose);
    document.resolve(&lookup, Precedence::File).map_err(|error| failed(error.to_string()))
}

/// python-dotenv's warnings, which count the blank lines before a statement as its own.
fn warn(document: &Document) {
    let bad = document.entries().iter().filter(|entry| matches!(entry.kind, Kind::Bad(_)));
    for entry in bad {
        let line = entry.first_line;
        let warning = format!("python-dotenv could not parse statement starting at line {line}\n");
        // A closed standard error is no reason to fail.
        let _ = std::io::stderr().write_all(warning.as_bytes());
    }
}

fn text(word: OsString) -> Result<String, Ended> {
    word.into_string().map_err(|_| failed("names and values are UTF-8"))
}

fn unreadable(settings: &Settings, error: &dyn std::error::Error) -> Ended {
    failed(format!("{} {error}", settings.file.display()))
}

/// Where python-dotenv ends with a traceback, and 1.
fn failed(message: impl Into<Complaint>) -> Ended {
    Ended::Error(1, format!("Error: {}\n", message.into().0))
}

struct Complaint(String);

impl From<String> for Complaint {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for Complaint {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<FileError> for Complaint {
    fn from(error: FileError) -> Self {
        Self(error.to_string())
    }
}
