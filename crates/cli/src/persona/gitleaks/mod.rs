//! The persona `gitleaks`: its verbs and flags, the order in which it looks for rules, its reports, its log on standard error and
//! its exit codes. Without a configuration the rules are our own.
//!
//! What differs on purpose: a folder that is no repository is an error (gitleaks says so and answers with 0).

mod arguments;
mod log;
mod print;

use super::Program;
use crate::commands::scan::rules::own_text;
use crate::commands::scan::run::{template, write_to};
use crate::commands::scan::sources::threads;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::system::SystemClock;
use arguments::{Flags, Line, Verb};
use clap::{CommandFactory, Parser};
use log::{Level, Log};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use strongroom_detect::config::{self, Reading, Wanted};
use strongroom_detect::{Detector, InlineIgnores, Mode, Options, RuleSet, builtin};
use strongroom_scan::baseline::Ignores;
use strongroom_scan::files::Links;
use strongroom_scan::git::{Patches, scan_patches};
use strongroom_scan::report::{self, Format, Redaction, Report, Tool};
use strongroom_scan::{
    ArchiveLimits, ContentOptions, Cutting, FilesOptions, Located, Sink, Statistics, Watch, scan_files,
    scan_stream,
};
use strongroom_secret::Clock;

pub(super) const PROGRAM: Program = Program { name: "gitleaks", run };

/// The release whose command line this is.
const VERSION: &str = "8.30.0";
const CONFIG_BYTES_MAX: u64 = 32 << 20;
/// gitleaks' code for a flag that it does not know.
const UNKNOWN_FLAG: u8 = 126;

const BANNER: &str = "
    \u{25cb}
    \u{2502}\u{2572}
    \u{2502} \u{25cb}
    \u{25cb} \u{2591}
    \u{2591}    gitleaks (strongroom)

";

fn run(words: &[OsString], environment: &Environment) -> ExitCode {
    let words = std::iter::once(OsString::from("gitleaks")).chain(words.iter().cloned());
    let line = match Line::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    let log = Log::new(&line.flags.log_level, line.flags.no_color);
    match perform(&line, environment, &log) {
        Ok(code) => code,
        Err(failure) => {
            log.line(Level::Fatal, &failure.message());
            ExitCode::from(failure.code_or(1))
        }
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    // A closed standard output or error leaves nobody to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::UnknownArgument => ExitCode::from(UNKNOWN_FLAG),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ExitCode::SUCCESS,
        _ => ExitCode::from(u8::from(error.exit_code() != 0)),
    }
}

/// What a verb scans.
enum Target {
    Files { path: PathBuf, links: Links },
    Stream,
    Patches { path: PathBuf, patches: Patches },
}

impl Target {
    /// Where configurations and ignore files are looked for.
    fn source(&self) -> &Path {
        match self {
            Self::Files { path, .. } | Self::Patches { path, .. } => path,
            Self::Stream => Path::new("."),
        }
    }
}

fn perform(line: &Line, environment: &Environment, log: &Log) -> Result<ExitCode, Failure> {
    if line.version {
        return say(&format!("gitleaks version {VERSION}\n"));
    }
    let target = match &line.verb {
        None => return say(&Line::command().render_help().to_string()),
        Some(Verb::Version) => return say(&format!("{VERSION}\n")),
        Some(Verb::Completion { shell }) => {
            clap_complete::generate(*shell, &mut Line::command(), "gitleaks", &mut std::io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        Some(verb) => target(verb, log),
    };
    if !line.flags.no_banner {
        let _ = std::io::stderr().write_all(BANNER.as_bytes());
    }
    let session = Session { flags: &line.flags, environment, log };
    session.scan(&target)
}

fn say(text: &str) -> Result<ExitCode, Failure> {
    write_to(None, &mut |out| out.write_all(text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}

fn target(verb: &Verb, log: &Log) -> Target {
    let links = |follow: bool| if follow { Links::ToFiles } else { Links::Skipped };
    let here = || PathBuf::from(".");
    let diff = |staged: bool| if staged { Patches::Staged } else { Patches::WorkingTree };
    match verb {
        Verb::Git(args) => {
            let patches = match args.pre_commit || args.staged {
                true => diff(args.staged),
                false => of_log(args.log_opts.as_deref(), log),
            };
            Target::Patches { path: args.repo.clone().unwrap_or_else(here), patches }
        }
        Verb::Dir(args) => {
            // With several paths gitleaks scans the folder it is in.
            let path = if let [only] = args.path.as_slice() { only.clone() } else { here() };
            Target::Files { path, links: links(args.follow_symlinks) }
        }
        Verb::Detect(args) if args.no_git => {
            Target::Files { path: args.source.clone(), links: links(args.follow_symlinks) }
        }
        Verb::Detect(args) if !args.pipe => {
            Target::Patches { path: args.source.clone(), patches: of_log(args.log_opts.as_deref(), log) }
        }
        Verb::Protect(args) => Target::Patches { path: args.source.clone(), patches: diff(args.staged) },
        Verb::Detect(_) | Verb::Stdin | Verb::Version | Verb::Completion { .. } => Target::Stream,
    }
}

/// `--log-opts` is cut at spaces, whatever is quoted in it.
fn of_log(options: Option<&str>, log: &Log) -> Patches {
    let Some(options) = options.filter(|options| !options.is_empty()) else { return Patches::Log };
    let words: Vec<String> = options.split(' ').map(str::to_owned).collect();
    let is_quoted = |word: &&String| {
        word.len() > 2 && ['"', '\''].iter().any(|quote| word.starts_with(*quote) && word.ends_with(*quote))
    };
    let quoted: Vec<_> = words.iter().filter(is_quoted).cloned().collect();
    if !quoted.is_empty() {
        let list = quoted.join(" ");
        log.line(
            Level::Warn,
            &format!("the following `--log-opts` values may not work as expected: [{list}]"),
        );
    }
    Patches::LogOf(words)
}

struct Session<'s> {
    flags: &'s Flags,
    environment: &'s Environment,
    log: &'s Log,
}

/// What was found.
struct Scanned {
    found: Vec<Located>,
    statistics: Statistics,
    /// Why the scan is not whole.
    partial: Option<String>,
    took: Duration,
}

impl Session<'_> {
    fn scan(&self, target: &Target) -> Result<ExitCode, Failure> {
        let clock = SystemClock::new();
        let started = clock.monotonic();
        let flags = self.flags;
        let detector = self.detector(target)?;
        let mut ignores = self.ignores(target.source())?;
        let form = self.form()?;
        let deadline = (flags.timeout > 0).then(|| started + Duration::from_secs(flags.timeout));
        let cancelled = AtomicBool::new(false);
        let watch_time = |_| {
            if deadline.is_some_and(|deadline| clock.monotonic() > deadline) {
                cancelled.store(true, Ordering::Relaxed);
            }
        };
        let watch = Watch { progress: Some(&watch_time), cancelled: Some(&cancelled) };
        let redaction = self.redaction();
        let mut scanned = Scanned {
            found: Vec::new(),
            statistics: Statistics::default(),
            partial: None,
            took: Duration::ZERO,
        };
        let mut sink = |located: Located| {
            if ignores.known(&located, detector.rules()).is_none() {
                if flags.verbose {
                    print::finding(&located, detector.rules(), redaction, flags.no_color);
                }
                scanned.found.push(located);
            }
            watch_time(strongroom_scan::Progress { counted: "", done: 0, total: 0 });
            ControlFlow::Continue(())
        };
        let outcome = self.look(target, &detector, watch, &mut sink);
        match outcome {
            Ok(statistics) => scanned.statistics = statistics,
            Err(message) => {
                self.log.line(Level::Error, &message);
                scanned.partial = Some(message);
            }
        }
        if cancelled.load(Ordering::Relaxed) {
            scanned.partial = Some("context deadline exceeded".to_owned());
        }
        scanned.took = clock.monotonic().saturating_sub(started);
        self.finish(target, &detector, &scanned, form.as_ref())
    }

    fn look(
        &self,
        target: &Target,
        detector: &Detector,
        watch: Watch<'_>,
        sink: Sink<'_>,
    ) -> Result<Statistics, String> {
        let archives = match self.flags.max_archive_depth {
            0 => ArchiveLimits::NONE,
            depth => ArchiveLimits { depth, ..ArchiveLimits::default() },
        };
        let content = ContentOptions { archives, cutting: Cutting::Gitleaks, ..ContentOptions::default() };
        match target {
            Target::Files { path, links } => {
                let options = FilesOptions {
                    content,
                    links: *links,
                    file_bytes_max: self.flags.max_target_megabytes as u64 * 1_000_000,
                    ignore_files: strongroom_scan::files::IgnoreFiles::Disregarded,
                    ..FilesOptions::default()
                };
                scan_files(detector, std::slice::from_ref(path), &options, watch, sink)
                    .map_err(|error| error.to_string())
            }
            Target::Stream => Ok(scan_stream(detector, &mut std::io::stdin(), "", &content, watch, sink)),
            Target::Patches { path, patches } => {
                scan_patches(path, patches, threads(), detector, watch, sink)
                    .map_err(|error| error.to_string())
            }
        }
    }

    fn redaction(&self) -> Redaction {
        match self.flags.redact {
            0 => Redaction::Revealed,
            percent => Redaction::Percent(percent.min(100)),
        }
    }

    fn detector(&self, target: &Target) -> Result<Detector, Failure> {
        let (mut rules, path) = self.rules(target.source())?;
        if !self.flags.enable_rule.is_empty() {
            self.log.line(
                Level::Info,
                &format!("Overriding enabled rules: {}", self.flags.enable_rule.join(", ")),
            );
            for id in &self.flags.enable_rule {
                if rules.index_of(id).is_none() {
                    return Err(Failure::usage(format!("Requested rule {id} not found in rules")));
                }
            }
            rules.rules.retain(|rule| self.flags.enable_rule.contains(&rule.id));
        }
        let mut options = Options { mode: Mode::Compatible, ..Options::compatible() };
        options.decode_depth_max = self.flags.max_decode_depth;
        options.megabytes_max = self.flags.max_target_megabytes;
        if self.flags.ignore_gitleaks_allow {
            options.inline_ignores = InlineIgnores::Disregarded;
        }
        // Neither the configuration nor the baseline is looked at.
        let own = path.unwrap_or_else(|| target.source().join(".gitleaks.toml"));
        options.skipped_paths.push(shown(&own));
        options.skipped_paths.extend(self.flags.baseline_path.as_deref().map(shown));
        Ok(Detector::new(rules, options))
    }

    /// -c, GITLEAKS_CONFIG, GITLEAKS_CONFIG_TOML, the target's .gitleaks.toml, our own.
    fn rules(&self, source: &Path) -> Result<(RuleSet, Option<PathBuf>), Failure> {
        let variable = |name: &str| self.environment.variable(name).filter(|value| !value.is_empty());
        let named = self
            .flags
            .config
            .clone()
            .or_else(|| variable("GITLEAKS_CONFIG").map(|path| PathBuf::from(path.expose())));
        if let Some(path) = named {
            let text = read_config(&path)
                .map_err(|reason| Failure::usage(format!("unable to load gitleaks config, err: {reason}")))?;
            return Ok((self.read_rules(&text, &path.display().to_string())?, Some(path)));
        }
        if let Some(text) = variable("GITLEAKS_CONFIG_TOML") {
            return Ok((self.read_rules(text.expose(), "GITLEAKS_CONFIG_TOML")?, None));
        }
        let metadata = fs::metadata(source).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            Failure::missing(format!("stat {}: {reason}", source.display())).exit_code(1)
        })?;
        let own = source.join(".gitleaks.toml");
        if metadata.is_dir() && own.is_file() {
            let text = read_config(&own)
                .map_err(|reason| Failure::usage(format!("unable to load gitleaks config, err: {reason}")))?;
            return Ok((self.read_rules(&text, &own.display().to_string())?, None));
        }
        Ok((builtin::rules(), None))
    }

    fn read_rules(&self, text: &str, name: &str) -> Result<RuleSet, Failure> {
        let mut load = |wanted: Wanted<'_>| match wanted {
            Wanted::Default => Ok(own_text()),
            Wanted::Path(path) => read_config(Path::new(path)),
        };
        let loaded = config::read(text, name, Reading::Checked, &mut load)
            .map_err(|problem| Failure::usage(format!("Failed to load config error={problem}")))?;
        // gitleaks takes all rules or none.
        if let Some(problem) = loaded.loss() {
            let hint = if problem.hint.is_empty() { String::new() } else { format!(": {}", problem.hint) };
            return Err(Failure::usage(format!("Failed to load config error={problem}{hint}")));
        }
        for problem in &loaded.problems {
            self.log.line(Level::Warn, &problem.to_string());
        }
        Ok(loaded.rules)
    }

    fn ignores(&self, source: &Path) -> Result<Ignores, Failure> {
        let mut ignores = Ignores::new(self.redaction());
        let given = &self.flags.gitleaks_ignore_path;
        let mut seen: Vec<PathBuf> = Vec::new();
        for path in [given.clone(), given.join(".gitleaksignore"), source.join(".gitleaksignore")] {
            let same = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if path.is_file() && !seen.contains(&same) {
                let text = strongroom_scan::baseline::read(&path)
                    .map_err(|error| Failure::usage(error.to_string()))?;
                // Whatever the file's name is, it has fingerprints in it.
                ignores.add(".gitleaksignore", &text).map_err(|error| Failure::usage(error.to_string()))?;
                seen.push(same);
            }
        }
        if let Some(path) = &self.flags.baseline_path
            && let Err(error) = ignores.add_file(path)
        {
            let message = "Could not load baseline. The path must point of a gitleaks report generated using the default format";
            self.log.line(Level::Error, &format!("{message}: {error}"));
        }
        Ok(ignores)
    }

    /// The report that is wanted, checked before the scan.
    fn form(&self) -> Result<Option<Form>, Failure> {
        let Some(path) = self.flags.report_path.clone().filter(|path| !path.as_os_str().is_empty()) else {
            return Ok(None);
        };
        let is_stdout = path == Path::new("-");
        let ending =
            path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        let given = self.flags.report_format.clone().filter(|format| !format.is_empty());
        let kind = match given {
            Some(kind) => kind.trim().to_lowercase(),
            None if matches!(ending.as_str(), "csv" | "json" | "sarif") => ending,
            None => return Err(Failure::usage("Unknown report format: ")),
        };
        let kind = match (kind.as_str(), &self.flags.report_template) {
            ("csv", _) => Kind::Csv,
            ("json", _) => Kind::Json,
            ("junit", _) => Kind::Junit,
            ("sarif", _) => Kind::Sarif,
            ("template", Some(path)) => Kind::Template(template(path)?),
            ("template", None) => {
                return Err(Failure::usage("Invalid report template: template path cannot be empty"));
            }
            (other, _) => return Err(Failure::usage(format!("unknown report format {other}"))),
        };
        if self.flags.report_template.is_some() && !matches!(kind, Kind::Template(_)) {
            return Err(Failure::usage("Report format must be 'template' if --report-template is specified"));
        }
        if !is_stdout {
            let existed = path.exists();
            fs::OpenOptions::new().create(true).append(true).open(&path).map_err(|error| {
                Failure::other(format!("Report path is not writable: {} error={error}", path.display()))
            })?;
            if !existed {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(Some(Form { path: (!is_stdout).then_some(path), kind }))
    }

    fn finish(
        &self,
        target: &Target,
        detector: &Detector,
        scanned: &Scanned,
        form: Option<&Form>,
    ) -> Result<ExitCode, Failure> {
        let Scanned { found, statistics, partial, took } = scanned;
        if matches!(target, Target::Patches { .. }) {
            self.log.line(Level::Info, &format!("{} commits scanned.", statistics.commits));
        }
        let bytes = format!("scanned ~{} bytes ({})", statistics.bytes, log::size(statistics.bytes));
        let count = found.len();
        match partial {
            None => {
                self.log.line(Level::Info, &format!("{bytes} in {}", log::duration(*took)));
                match count {
                    0 => self.log.line(Level::Info, "no leaks found"),
                    _ => self.log.line(Level::Warn, &format!("leaks found: {count}")),
                }
            }
            Some(_) => {
                self.log.line(Level::Warn, &bytes);
                self.log.line(Level::Warn, &format!("partial scan completed in {}", log::duration(*took)));
                match count {
                    0 => self.log.line(Level::Warn, "no leaks found in partial scan"),
                    _ => self.log.line(Level::Warn, &format!("{count} leaks found in partial scan")),
                }
            }
        }
        self.log.skipped(statistics);
        if let Some(form) = form {
            let report = Report {
                findings: found,
                rules: detector.rules(),
                statistics,
                redaction: self.redaction(),
                tool: Tool::Gitleaks,
            };
            form.write(&report)?;
        }
        if partial.is_some() {
            return Ok(ExitCode::from(1));
        }
        // As the operating system cuts it.
        Ok(if count == 0 { ExitCode::SUCCESS } else { ExitCode::from((self.flags.exit_code & 0xff) as u8) })
    }
}

struct Form {
    /// `None`: standard output.
    path: Option<PathBuf>,
    kind: Kind,
}

enum Kind {
    Csv,
    Json,
    Junit,
    Sarif,
    Template(report::Template),
}

impl Form {
    fn write(&self, report: &Report<'_>) -> Result<(), Failure> {
        let now = SystemClock::new().now();
        let format = match &self.kind {
            Kind::Csv => Format::Csv,
            Kind::Json => Format::GitleaksJson,
            Kind::Junit => Format::Junit,
            Kind::Sarif => Format::Sarif,
            Kind::Template(template) => Format::Template(template, now),
        };
        write_to(self.path.as_deref(), &mut |out| report::write(report, &format, out))
    }
}

fn read_config(path: &Path) -> Result<String, String> {
    let bytes = strongroom_project::files::read(path, CONFIG_BYTES_MAX).map_err(|error| error.to_string())?;
    String::from_utf8(bytes.expose().to_vec()).map_err(|_| format!("{} is not UTF-8", path.display()))
}

/// A path as findings have it.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_has_two_meanings() {
        Line::command().debug_assert();
    }

    #[test]
    fn lines_of_the_readme() {
        let parsed = |line: &str| Line::try_parse_from(line.split(' '));
        let line = parsed("gitleaks git --pre-commit --redact --staged --verbose").unwrap();
        assert!(line.flags.verbose && line.flags.redact == 100);
        assert!(matches!(line.verb, Some(Verb::Git(args)) if args.staged && args.pre_commit));
        let line = parsed("gitleaks -v git -v --log-opts=--all commitA..commitB path_to_repo");
        assert!(line.is_err(), "the shell would have kept the words together");
        let line = parsed("gitleaks dir -v --redact=20 path").unwrap();
        assert_eq!(line.flags.redact, 20);
        let line = parsed("gitleaks detect --no-git -s x --report-path r.json --no-banner=true").unwrap();
        assert!(line.flags.no_banner && matches!(line.verb, Some(Verb::Detect(args)) if args.no_git));
        let unknown = parsed("gitleaks git --nope").err().unwrap();
        assert_eq!(unknown.kind(), clap::error::ErrorKind::UnknownArgument);
    }
}
