//! The personas `detect-secrets` (scan, audit) and `detect-secrets-hook`: their command lines, baselines and exit codes. A baseline
//! that detect-secrets wrote is read, and what is written is what it reads.
//!
//! What is other than there: nothing is asked over the network (detect-secrets verifies by itself; `strongroom scan --validate` is
//! for that), and plugins and filters in Python are not run, which is said.

mod audit;
mod collection;
mod filters;
mod plugins;
mod scan;

use super::Program;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::system::SystemClock;
use clap::{Args, CommandFactory, Parser, Subcommand};
use collection::{Collection, Form, Settings, VERSION};
use filters::{BASELINE_FILE, EXCLUDE_FILES, EXCLUDE_LINES, EXCLUDE_SECRETS, VERIFICATION};
use plugins::PLUGINS;
use regex::Regex;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use strongroom_secret::Clock;

pub(super) const PROGRAM: Program = Program { name: "detect-secrets", run };
pub(super) const HOOK: Program = Program { name: "detect-secrets-hook", run: run_hook };

const BASELINE_BYTES_MAX: u64 = 256 << 20;
const NEW_SECRETS: u8 = 1;
const BASELINE_CHANGED: u8 = 3;

#[derive(Parser)]
#[command(name = "detect-secrets", version = VERSION, arg_required_else_help = true)]
struct Line {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Args)]
struct Globals {
    /// Verbose mode.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Run as if detect-secrets was started in <path>, rather than in the current working directory.
    #[arg(short = 'C', value_name = "path")]
    root: Option<PathBuf>,
    /// Accepted; all cores are used.
    #[arg(short, long)]
    cores: Option<usize>,
}

#[derive(Subcommand)]
enum Action {
    /// Creates a baseline by scanning a repository for secrets.
    Scan(Box<ScanArgs>),
    /// Manually assesses a baseline to determine validity of secrets found.
    Audit(audit::AuditArgs),
}

#[derive(Args)]
struct ScanArgs {
    /// Scans the entire codebase and outputs a snapshot of currently identified secrets.
    #[arg(default_value = ".")]
    path: Vec<PathBuf>,
    /// Scans an individual string, and displays configured plugins' verdict.
    #[arg(long, num_args = 0..=1, default_missing_value = "-")]
    string: Option<String>,
    /// Only scans the lines that are flagged with `allowlist secret`.
    #[arg(long)]
    only_allowlisted: bool,
    /// Scan all files recursively (as compared to only scanning git tracked files).
    #[arg(long)]
    all_files: bool,
    /// If provided, will update existing baseline by importing settings from it.
    #[arg(long, value_name = "FILENAME")]
    baseline: Option<PathBuf>,
    /// Use all plugins, whatever the baseline says.
    #[arg(long)]
    force_use_all_plugins: bool,
    /// Slim baselines have neither lines nor a time.
    #[arg(long)]
    slim: bool,
    #[command(flatten)]
    options: PluginArgs,
}

/// Settings of plugins and filters.
#[derive(Args)]
struct PluginArgs {
    /// Lists all plugins that will be used for the scan.
    #[arg(long)]
    list_all_plugins: bool,
    /// Custom plugins are Python and are not run.
    #[arg(short, long)]
    plugin: Vec<PathBuf>,
    /// Sets the entropy limit for high entropy strings, between 0.0 and 8.0; defaults to 4.5.
    #[arg(long)]
    base64_limit: Option<f64>,
    /// As above, for hex; defaults to 3.0.
    #[arg(long)]
    hex_limit: Option<f64>,
    /// Plugin class names to disable. e.g. Base64HighEntropyString
    #[arg(long)]
    disable_plugin: Vec<String>,
    /// Disables additional verification of secrets via network call. Nothing is verified over the network here.
    #[arg(short, long, conflicts_with = "only_verified")]
    no_verify: bool,
    /// Only flags secrets that can be verified: none, as nothing is verified over the network here.
    #[arg(long)]
    only_verified: bool,
    /// If lines match this regex, it will be ignored.
    #[arg(long)]
    exclude_lines: Vec<String>,
    /// If filenames match this regex, it will be ignored.
    #[arg(long)]
    exclude_files: Vec<String>,
    /// If secrets match this regex, it will be ignored.
    #[arg(long)]
    exclude_secrets: Vec<String>,
    /// Text file with a list of words; if a secret contains a word in the list we ignore it.
    #[arg(long)]
    word_list: Option<PathBuf>,
    /// Custom filters are Python and are not run.
    #[arg(short, long)]
    filter: Vec<String>,
    /// Specify filter to disable. e.g. detect_secrets.filters.common.is_invalid_file
    #[arg(long)]
    disable_filter: Vec<String>,
}

#[derive(Parser)]
#[command(name = "detect-secrets-hook", version = VERSION)]
struct HookLine {
    #[command(flatten)]
    globals: Globals,
    /// Filenames to check.
    filenames: Vec<PathBuf>,
    /// Print detect-secrets-hook output as JSON
    #[arg(long)]
    json: bool,
    /// Explicitly ignore secrets through a baseline generated by `detect-secrets scan`
    #[arg(long, value_name = "FILENAME")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    options: PluginArgs,
}

fn run(words: &[OsString], _environment: &Environment) -> ExitCode {
    let words = std::iter::once(OsString::from("detect-secrets")).chain(words.iter().cloned());
    let line = match Line::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    ended(perform(&line))
}

fn run_hook(words: &[OsString], _environment: &Environment) -> ExitCode {
    let words = std::iter::once(OsString::from("detect-secrets-hook")).chain(words.iter().cloned());
    match HookLine::try_parse_from(words) {
        Ok(line) => ended(hook(&line)),
        Err(error) => usage(&error),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    // A closed standard output or error leaves nobody to tell.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn ended(outcome: Result<ExitCode, Failure>) -> ExitCode {
    outcome.unwrap_or_else(|failure| {
        let _ = writeln!(std::io::stderr(), "error: {}", failure.message());
        ExitCode::from(failure.code_or(1))
    })
}

fn say(text: &str) {
    let mut stdout = std::io::stdout();
    // Whoever reads may have gone away.
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.write_all(b"\n"))
        .and_then(|()| stdout.flush());
}

fn warn(text: &str) {
    let _ = writeln!(std::io::stderr(), "[WARNING] {text}");
}

fn perform(line: &Line) -> Result<ExitCode, Failure> {
    if let Some(root) = &line.globals.root {
        std::env::set_current_dir(root).map_err(|error| {
            Failure::usage(format!("cannot work in {}: {error}", root.display())).exit_code(1)
        })?;
    }
    match &line.action {
        None => {
            say(&Line::command().render_help().to_string());
            Ok(ExitCode::SUCCESS)
        }
        Some(Action::Scan(args)) => scan_action(args),
        Some(Action::Audit(args)) => audit::run(args),
    }
}

fn scan_action(args: &ScanArgs) -> Result<ExitCode, Failure> {
    let baseline = args.baseline.as_deref().map(load).transpose()?;
    let mut settings = baseline.as_ref().map_or_else(Settings::usual, |baseline| baseline.settings.clone());
    if args.force_use_all_plugins {
        settings.plugins = Settings::usual().plugins;
    }
    args.options.apply(&mut settings)?;
    if args.options.list_all_plugins {
        let names: Vec<_> = settings.plugins.iter().map(|enabled| enabled.plugin().name).collect();
        say(&names.join("\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let scanner = scan::Scanner::new(&settings, args.options.words()?)?;
    if let Some(text) = &args.string {
        say(&scanner.verdicts(&scan::line_of(text)?));
        return Ok(ExitCode::SUCCESS);
    }
    let files = scan::files(&args.path, args.all_files)?;
    let lines = if args.only_allowlisted { scan::Lines::Allowlisted } else { scan::Lines::Others };
    let mut found = scanner.scan(&files, lines);
    let now = now();
    match (&args.baseline, baseline) {
        (Some(path), Some(before)) => {
            found.take_labels(&before.secrets);
            let form = if args.slim { Form::Slim } else { Form::Whole { now: &now } };
            write(path, &settings.document(&found, form))?;
        }
        _ => {
            let form = if args.slim { Form::Slim } else { Form::Whole { now: &now } };
            say(&pretty(&settings.document(&found, form)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn hook(line: &HookLine) -> Result<ExitCode, Failure> {
    let baseline = line.baseline.as_deref().map(load).transpose()?;
    if let Some(path) = &line.baseline
        && is_unstaged(path)
    {
        let name = path.display();
        say(&format!("Your baseline file ({name}) is unstaged.\n`git add {name}` to fix this."));
        return Ok(ExitCode::from(1));
    }
    let mut settings = baseline.as_ref().map_or_else(Settings::usual, |baseline| baseline.settings.clone());
    line.options.apply(&mut settings)?;
    let scanner = scan::Scanner::new(&settings, line.options.words()?)?;
    let found = scanner.scan(&line.filenames, scan::Lines::Others);
    let new = baseline.as_ref().map_or_else(|| found.clone(), |baseline| found.without(&baseline.secrets));
    if new.len() > 0 {
        match line.json {
            true => say(&pretty(&settings.document(&new, Form::Whole { now: &now() }))),
            false => tell(&new),
        }
        return Ok(ExitCode::from(NEW_SECRETS));
    }
    let (Some(path), Some(mut baseline)) = (&line.baseline, baseline) else { return Ok(ExitCode::SUCCESS) };
    let before = pretty(&baseline.settings.document(&baseline.secrets, Form::Slim));
    let lines_before: Vec<u64> =
        baseline.secrets.files.values().flatten().map(|secret| secret.line).collect();
    let paths: Vec<String> = line.filenames.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    baseline.secrets.trim(&found, &paths);
    let after = pretty(&baseline.settings.document(&baseline.secrets, Form::Slim));
    let lines_after: Vec<u64> = baseline.secrets.files.values().flatten().map(|secret| secret.line).collect();
    if before == after && lines_before == lines_after && baseline.version == VERSION {
        return Ok(ExitCode::SUCCESS);
    }
    write(path, &settings.document(&baseline.secrets, Form::Whole { now: &now() }))?;
    say(&format!(
        "The baseline file was updated.\nProbably to keep line numbers of secrets up-to-date.\nPlease `git add {}`, thank you.\n\n",
        path.display()
    ));
    Ok(ExitCode::from(BASELINE_CHANGED))
}

fn tell(new: &Collection) {
    let mut text = String::from("ERROR: Potential secrets about to be committed to git repo!\n\n");
    for (path, secrets) in &new.files {
        for secret in secrets {
            text.push_str(&format!("Secret Type: {}\nLocation:    {path}:{}\n\n", secret.kind, secret.line));
        }
    }
    text.push_str(&format!("\nTotal secrets detected: {}\n", new.len()));
    text.push_str(
        "Possible mitigations:\n  \
         - Keep the value with `strongroom set NAME`, and read it from the environment\n  \
         - Mark false positives with an inline `pragma: allowlist secret` comment\n\n\
         If a secret has already been committed, change it where it was issued, and\n\
         take it out of the history.",
    );
    say(&text);
}

/// A file of detect-secrets, read.
struct Baseline {
    version: String,
    settings: Settings,
    secrets: Collection,
}

fn load(path: &Path) -> Result<Baseline, Failure> {
    let refused = |text: String| Failure::usage(text).exit_code(1);
    let bytes = strongroom_project::files::read(path, BASELINE_BYTES_MAX).map_err(|_| {
        Failure::usage(format!("argument --baseline: Invalid path: {}", path.display())).exit_code(2)
    })?;
    let document: Value =
        serde_json::from_slice(bytes.expose()).map_err(|_| refused("Unable to read baseline.".to_owned()))?;
    let invalid = || refused("Invalid baseline.".to_owned());
    let version = document.get("version").and_then(Value::as_str).ok_or_else(invalid)?.to_owned();
    let (mut settings, foreign) = Settings::read(&document).ok_or_else(invalid)?;
    let secrets = document.get("results").and_then(Collection::read).ok_or_else(invalid)?;
    for name in foreign {
        warn(&format!("the plugin {name} is Python and is not run"));
    }
    let name = json!(path.display().to_string());
    settings.filters.insert(BASELINE_FILE.to_owned(), Map::from_iter([("filename".to_owned(), name)]));
    Ok(Baseline { version, settings, secrets })
}

fn write(path: &Path, document: &impl Serialize) -> Result<(), Failure> {
    fs::write(path, pretty(document) + "\n")
        .map_err(|error| Failure::other(format!("{}: {error}", path.display())))
}

fn pretty(document: &impl Serialize) -> String {
    // Texts and numbers: nothing in it cannot be written.
    serde_json::to_string_pretty(document).unwrap_or_default()
}

fn now() -> String {
    let now = jiff::Timestamp::from_second(SystemClock::new().now().seconds()).unwrap_or_default();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Whether git has changes of the file that are not staged.
fn is_unstaged(path: &Path) -> bool {
    let output =
        Command::new("git").args(["diff", "--name-only", "--"]).arg(path).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

impl PluginArgs {
    /// Puts what the flags say over what a baseline says.
    fn apply(&self, settings: &mut Settings) -> Result<(), Failure> {
        let refused = |text: String| Failure::usage(text).exit_code(1);
        for name in &self.disable_plugin {
            if !PLUGINS.iter().any(|plugin| plugin.name == name) {
                return Err(Failure::usage(format!(
                    "argument --disable-plugin: Invalid plugin classname: {name}"
                ))
                .exit_code(2));
            }
            settings.plugins.retain(|enabled| enabled.plugin().name != name);
        }
        for (limit, name) in
            [(self.base64_limit, "Base64HighEntropyString"), (self.hex_limit, "HexHighEntropyString")]
        {
            let Some(limit) = limit else { continue };
            if !(0.0..=8.0).contains(&limit) {
                return Err(Failure::usage(format!("{limit} must be between 0.0 and 8.0")).exit_code(2));
            }
            settings
                .plugins
                .iter_mut()
                .filter(|enabled| enabled.plugin().name == name)
                .for_each(|enabled| enabled.limit = Some(limit));
        }
        for (path, patterns) in [
            (EXCLUDE_LINES, &self.exclude_lines),
            (EXCLUDE_FILES, &self.exclude_files),
            (EXCLUDE_SECRETS, &self.exclude_secrets),
        ] {
            for pattern in patterns {
                Regex::new(pattern).map_err(|_| {
                    refused(format!("{pattern:?} is no regular expression here: look-around and back-references are not supported"))
                })?;
            }
            if !patterns.is_empty() {
                let fields = Map::from_iter([("pattern".to_owned(), json!(patterns))]);
                settings.filters.insert(path.to_owned(), fields);
            }
        }
        match (self.no_verify, self.only_verified) {
            (true, _) => drop(settings.filters.remove(VERIFICATION)),
            (_, only) => {
                let level = Map::from_iter([("min_level".to_owned(), json!(if only { 3 } else { 2 }))]);
                settings.filters.insert(VERIFICATION.to_owned(), level);
            }
        }
        for name in &self.disable_filter {
            if settings.filters.remove(name).is_none() {
                warn(&format!("Redundant --disable-filter \"{name}\""));
            }
        }
        let python =
            self.plugin.iter().map(|path| path.display().to_string()).chain(self.filter.iter().cloned());
        python.for_each(|name| warn(&format!("{name} is Python and is not run")));
        Ok(())
    }

    fn words(&self) -> Result<Vec<String>, Failure> {
        let Some(path) = &self.word_list else { return Ok(Vec::new()) };
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("argument --word-list: {}: {error}", path.display())).exit_code(2)
        })?;
        Ok(text.lines().map(|word| word.trim().to_lowercase()).filter(|word| !word.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_has_two_meanings() {
        Line::command().debug_assert();
        HookLine::command().debug_assert();
    }
}
