//! `dotenv …`: `.env` files in the dialect of whoever reads them. No server, no network.

mod lint;

use super::run::{Inherit, become_program};
use crate::context::Context;
use crate::failure::{Failure, Kind, did_you_mean};
use crate::terminal::ask_hidden;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_formats::dotenv::{
    BYTES_MAX, Dialect, Document, EditError, Export, Precedence, ResolveError, SetOptions, TextError, Values,
};
use strongroom_project::files::{self, FileError, Links};
use strongroom_secret::SecretString;

#[derive(Subcommand)]
pub enum DotenvCommand {
    /// The names in a file, and the lines they are on; with --values, what they stand for
    List(ListArgs),
    /// One value, as the dialect's programs get it
    Get(GetArgs),
    /// Give a name a value: one line changes, everything else stays
    #[command(
        after_help = "Without VALUE and --from-file the value is asked for, or read from standard input (one line break at its \
        end is left out).\nExit codes: 0 written, 3 there is no way of writing the value that all --readers read back."
    )]
    Set(SetArgs),
    /// Take a name out
    Unset(UnsetArgs),
    /// Run a program with the file's values as environment variables
    #[command(
        after_help = "Exit codes: 3 the file cannot be read as a whole, 126 the program cannot be run, 127 there is no such \
        program; otherwise the program's own."
    )]
    Run(RunArgs),
    /// What is wrong with files, and where the programs that read them disagree. Runs nothing
    #[command(after_help = "Exit codes: 0 nothing to say, 3 something to say.")]
    Lint(lint::LintArgs),
}

/// Which file, and by whose rules.
#[derive(Args)]
struct FileArgs {
    /// The file
    #[arg(long, short, default_value = ".env", value_name = "FILE")]
    file: PathBuf,
    /// If it is not in this folder, look for it in those above
    #[arg(long)]
    find: bool,
    /// Whose rules it is read by
    #[arg(long, value_enum, default_value = "python")]
    dialect: DialectName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DialectName {
    /// python-dotenv
    Python,
    /// dotenv of npm
    Node,
    /// Docker Compose
    Compose,
    /// dotenv of RubyGems, but nothing is run
    Ruby,
    /// sops: no quotes
    Sops,
    /// Only what all of them read alike
    Strict,
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Show the values, too
    #[arg(long)]
    values: bool,
}

#[derive(Args)]
pub struct GetArgs {
    #[command(flatten)]
    file: FileArgs,
    name: String,
}

#[derive(Args)]
pub struct SetArgs {
    #[command(flatten)]
    file: FileArgs,
    name: String,
    /// The value. Others on this machine can see it while the command runs, and the shell may keep it
    value: Option<String>,
    /// Take the value from this file, as it is
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    from_file: Option<PathBuf>,
    /// Who else has to read the value back
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DIALECTS")]
    readers: Vec<DialectName>,
    /// References to variables in the value are meant as such
    #[arg(long)]
    template: bool,
    /// Put export before the name
    #[arg(long)]
    export: bool,
    /// If the file is a link, change what it leads to
    #[arg(long)]
    follow_links: bool,
}

#[derive(Args)]
pub struct UnsetArgs {
    #[command(flatten)]
    file: FileArgs,
    name: String,
    /// If the file is a link, change what it leads to
    #[arg(long)]
    follow_links: bool,
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    file: FileArgs,
    /// What is set already stays as it is
    #[arg(long)]
    no_override: bool,
    /// Start the program with these variables alone
    #[arg(long, alias = "no-inherit")]
    clean: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

pub fn run(context: &Context, command: DotenvCommand) -> Result<ExitCode, Failure> {
    match command {
        DotenvCommand::List(args) => list(context, &args),
        DotenvCommand::Get(args) => get(context, &args),
        DotenvCommand::Set(args) => set(context, &args),
        DotenvCommand::Unset(args) => unset(context, &args),
        DotenvCommand::Run(args) => run_program(context, &args),
        DotenvCommand::Lint(args) => lint::run(context, &args),
    }
}

fn list(context: &Context, args: &ListArgs) -> Result<ExitCode, Failure> {
    let (path, document) = args.file.open(context)?;
    let values = if args.values {
        resolve(context, &path, &document, Precedence::File)?
    } else {
        document.literal_values()
    };
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for (entry, assignment) in document.assignments() {
        lines.insert(document.key(assignment), entry.line);
    }
    let line = |key: &str| lines.get(key).copied().unwrap_or_default();
    if !context.output.is_table() {
        let member = |(key, value): (&str, Option<&SecretString>)| {
            let value = if args.values { json!(value.map(SecretString::expose)) } else { json!(line(key)) };
            (key.to_owned(), value)
        };
        return context.output.structured(&values.iter().map(member).collect::<Map<String, Value>>());
    }
    let row = |(key, value): (&str, Option<&SecretString>)| {
        let value = args.values.then(|| value.map_or("", SecretString::expose).to_owned());
        [Some(key.to_owned()), Some(line(key).to_string()), value].into_iter().flatten().collect()
    };
    let rows: Vec<Vec<String>> = values.iter().map(row).collect();
    let header = ["Name", "Line", "Value"];
    context.output.table(header.get(..if args.values { 3 } else { 2 }).unwrap_or_default(), &rows)
}

fn get(context: &Context, args: &GetArgs) -> Result<ExitCode, Failure> {
    let (path, document) = args.file.open(context)?;
    let values = resolve(context, &path, &document, Precedence::File)?;
    match values.find(&args.name) {
        Some(Some(value)) => context.output.bare(&json!(value.expose())),
        Some(None) => {
            Err(Failure::missing(format!("{} stands in {} without a value", args.name, path.display())))
        }
        None => Err(no_name(&args.name, &path, values.iter().map(|(key, _)| key))),
    }
}

fn set(context: &Context, args: &SetArgs) -> Result<ExitCode, Failure> {
    let value = args.value(context)?;
    let path = args.file.path();
    let change = files::change(&path, links(args.follow_links), BYTES_MAX as u64)?;
    let before = change.content().map(|content| content.expose()).unwrap_or_default();
    let dialect = args.file.dialect.into();
    let document = Document::from_bytes(before, dialect).map_err(|error| of_text(&path, &error))?;
    let options = SetOptions {
        readers: args.readers.iter().map(|reader| (*reader).into()).collect(),
        export: if args.export { Export::Add } else { Export::Keep },
        ..SetOptions::default()
    };
    let edited = if args.template {
        document.set_template(&args.name, &value, &options)
    } else {
        document.set(&args.name, &value, &options)
    };
    let edited = edited.map_err(|error| of_edit(&path, &error))?;
    change.replace(edited.text.expose().as_bytes())?;
    let line = edited.lines.last().copied().unwrap_or(1);
    context.output.note(&format!("{}:{line}: {} is set", path.display(), args.name));
    Ok(ExitCode::SUCCESS)
}

fn unset(context: &Context, args: &UnsetArgs) -> Result<ExitCode, Failure> {
    let path = args.file.path();
    let change = files::change(&path, links(args.follow_links), BYTES_MAX as u64)?;
    let content = change.content().ok_or_else(|| FileError::Missing(path.clone()))?;
    let document = Document::from_bytes(content.expose(), args.file.dialect.into());
    let document = document.map_err(|error| of_text(&path, &error))?;
    let edited = document.unset(&args.name).map_err(|error| of_edit(&path, &error))?;
    let Some(edited) = edited else {
        let known = document.assignments().map(|(_, assignment)| document.key(assignment));
        return Err(no_name(&args.name, &path, known));
    };
    change.replace(edited.text.expose().as_bytes())?;
    let lines: Vec<_> = edited.lines.iter().map(ToString::to_string).collect();
    context.output.note(&format!("{}: {} is gone from line {}", path.display(), args.name, lines.join(", ")));
    Ok(ExitCode::SUCCESS)
}

fn run_program(context: &Context, args: &RunArgs) -> Result<ExitCode, Failure> {
    let (path, document) = args.file.open(context)?;
    let precedence = if args.no_override { Precedence::Environment } else { Precedence::File };
    let values = resolve(context, &path, &document, precedence)?;
    let mut variables = BTreeMap::new();
    for (key, value) in values.iter() {
        let is_set = context.environment.variable(key).is_some();
        let Some(value) = value.filter(|_| !(args.no_override && is_set)) else { continue };
        if key.is_empty() || key.contains(['=', '\0']) || value.expose().contains('\0') {
            return Err(Failure::missing(format!(
                "{}: {key:?} cannot be a variable of a process",
                path.display()
            ))
            .hint("names hold no =, and neither names nor values hold NUL; the program was not started"));
        }
        variables.insert(key.to_owned(), value.duplicate());
    }
    let inherit = if args.clean { Inherit::Nothing } else { Inherit::All };
    let variables = variables
        .iter()
        .map(|(name, value): (&String, &SecretString)| (name.as_str(), OsStr::new(value.expose())));
    Err(become_program(&args.command, inherit, &[], variables))
}

impl FileArgs {
    /// The file, or one of its name in a folder above.
    fn path(&self) -> PathBuf {
        let above = || files::find_upward(&std::env::current_dir().ok()?, &self.file);
        let found = if self.find { above() } else { None };
        found.unwrap_or_else(|| self.file.clone())
    }

    /// Reads the file, and warns of what its dialect skips.
    fn open(&self, context: &Context) -> Result<(PathBuf, Document), Failure> {
        let path = self.path();
        let document = open(&path, self.dialect.into())?;
        if !document.dialect().refuses_bad_lines() {
            for (entry, bad) in document.bad_lines() {
                context.output.note(&format!("warning: {}:{}: skipped: {bad}", path.display(), entry.line));
            }
        }
        Ok((path, document))
    }
}

impl SetArgs {
    fn value(&self, context: &Context) -> Result<SecretString, Failure> {
        if let Some(value) = &self.value {
            context.output.note(
                "warning: a value on the command line is seen by others on this machine: leave it out, and it is asked for",
            );
            return Ok(value.as_str().into());
        }
        if let Some(file) = &self.from_file {
            return as_text(&files::read(file, BYTES_MAX as u64)?, &file.display().to_string());
        }
        if std::io::stdin().is_terminal() {
            if !context.may_ask() {
                return Err(Failure::usage("the value is not given, and may not be asked for"));
            }
            return ask_hidden(&format!("Value of {} (is not shown): ", self.name))
                .map_err(|error| Failure::other(format!("cannot ask: {error}")));
        }
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        let read = std::io::stdin().take(BYTES_MAX as u64).read_to_end(&mut bytes);
        read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        as_text(&line.to_vec().into(), "standard input")
    }
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::Python => Self::Python,
            DialectName::Node => Self::Node,
            DialectName::Compose => Self::Compose,
            DialectName::Ruby => Self::Ruby,
            DialectName::Sops => Self::Sops,
            DialectName::Strict => Self::Strict,
        }
    }
}

fn as_text(bytes: &strongroom_secret::SecretBytes, source: &str) -> Result<SecretString, Failure> {
    let text = std::str::from_utf8(bytes.expose());
    text.map(SecretString::from).map_err(|_| Failure::usage(format!("{source} holds no UTF-8 text")))
}

fn links(follow: bool) -> Links {
    if follow { Links::Follow } else { Links::Refuse }
}

fn open(path: &Path, dialect: Dialect) -> Result<Document, Failure> {
    let bytes = files::read(path, BYTES_MAX as u64)?;
    Document::from_bytes(bytes.expose(), dialect).map_err(|error| of_text(path, &error))
}

fn resolve(
    context: &Context,
    path: &Path,
    document: &Document,
    precedence: Precedence,
) -> Result<Values, Failure> {
    let lookup = |name: &str| context.environment.variable(name).map(SecretString::expose);
    document.resolve(&lookup, precedence).map_err(|error| of_resolve(path, &error))
}

fn no_name<'k>(name: &str, path: &Path, known: impl Iterator<Item = &'k str>) -> Failure {
    let failure = Failure::missing(format!("there is no {name} in {}", path.display()));
    match did_you_mean(name, known) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure,
    }
}

fn of_text(path: &Path, error: &TextError) -> Failure {
    Failure::missing(format!("{}: {error}", path.display()))
}

fn of_edit(path: &Path, error: &EditError) -> Failure {
    Failure::missing(format!("{}: {error}", path.display())).hint("nothing was written")
}

fn of_resolve(path: &Path, error: &ResolveError) -> Failure {
    Failure::missing(format!("{}: {error}", path.display()))
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let kind = match &error {
            FileError::Missing(_) | FileError::NotAFile { .. } | FileError::TooLarge { .. } => Kind::Missing,
            FileError::Link { .. } | FileError::Dangling { .. } => Kind::Usage,
            FileError::Changed(_) | FileError::Locked { .. } | FileError::Owner { .. } => Kind::Other,
            FileError::Io { .. } => Kind::Other,
        };
        let hint = match &error {
            FileError::Missing(path) if path.ends_with(".env") => {
                Some("--file names another one, --find looks in the folders above")
            }
            FileError::Link { .. } => Some("--follow-links changes what the link leads to"),
            _ => None,
        };
        let failure = Self::new(kind, error.to_string());
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
