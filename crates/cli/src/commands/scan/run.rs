//! One scan from rules to exit code: what is found is compared with what is known, asked about where that is wanted, and written
//! down.

use super::arguments::{CommonArgs, ReportArgs};
use super::known::Store;
use super::liveness;
use super::progress::ProgressLine;
use super::rules;
use crate::context::Context;
use crate::failure::Failure;
use crate::system::SystemClock;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use strongroom_detect::{Confidence, Detector, InlineIgnores, Options, RuleSet};
use strongroom_scan::baseline::Ignores;
use strongroom_scan::report::{self, Colour, Exit, Format, Redaction, Report, Summary, Template, Tool};
use strongroom_scan::{Located, Sink, Statistics, Watch};
use strongroom_secret::Clock;

/// `strongroom`'s code for a leak.
const FOUND: u8 = 7;
/// So many entries that nothing needs any more are named.
const UNUSED_SHOWN_MAX: usize = 20;
const TEMPLATE_BYTES_MAX: u64 = 1 << 20;

/// How a source hands over what it finds.
pub type Source<'s> = &'s mut dyn FnMut(&Detector, Watch<'_>, Sink<'_>) -> Result<Statistics, Failure>;

/// What a scan is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All there is: an entry of a baseline that nothing needed is not needed.
    Everything,
    Part,
}

/// What was found, and with which rules.
pub struct Findings {
    pub detector: Detector,
    pub found: Vec<Located>,
    pub statistics: Statistics,
    /// Known from a baseline or an ignore file.
    pub known: u64,
    /// Planted fakes, told to those who may know.
    pub honey: u64,
    /// What the baselines still list.
    pub unused: Vec<String>,
    pub took: Duration,
}

impl Findings {
    pub fn rules(&self) -> &RuleSet {
        self.detector.rules()
    }
}

/// Scans and reports. `root` is where files of rules and baselines are looked for.
pub fn perform(
    context: &Context,
    args: &CommonArgs,
    root: Option<&Path>,
    scope: Scope,
    source: Source<'_>,
) -> Result<ExitCode, Failure> {
    let form = Form::of(context, &args.report)?;
    let mut findings = collect(context, args, root, form.redaction, source)?;
    if args.validate.validate {
        liveness::ask(context, &args.validate, &mut findings)?;
    }
    form.write(&findings)?;
    if scope == Scope::Everything && !findings.statistics.ended_early {
        tell_unused(context, &findings.unused);
    }
    tell_summary(context, &form, &findings);
    let summary = Summary::new(&findings.found, findings.rules(), &findings.statistics);
    Ok(match summary.exit(args.report.max_findings) {
        Exit::Clean | Exit::Tolerated => ExitCode::SUCCESS,
        Exit::Found => ExitCode::from(args.report.exit_code.unwrap_or(FOUND)),
    })
}

/// Scans. What a baseline knows, or is not likely enough, is left out.
pub fn collect(
    context: &Context,
    args: &CommonArgs,
    root: Option<&Path>,
    redaction: Redaction,
    source: Source<'_>,
) -> Result<Findings, Failure> {
    let clock = SystemClock::new();
    let started = clock.monotonic();
    let loaded = rules::load(&args.rules, root)?;
    loaded.tell(context);
    let mut ignores = ignores(args, root, redaction)?;
    let mut options = Options::native();
    options.decode_depth_max = args.rules.decode_depth.unwrap_or(options.decode_depth_max);
    options.skipped_paths.extend(loaded.path.iter().map(|path| path.display().to_string()));
    if args.rules.no_inline_ignores {
        options.inline_ignores = InlineIgnores::Disregarded;
    }
    let mut store = Store::load(context, &args.known)?;
    options.known = store.matchers.clone();
    let detector = Detector::new(loaded.rules, options);
    let progress = ProgressLine::new(&clock, !args.report.no_progress && !context.project().quiet);
    let show = |now| progress.show(now);
    let watch = Watch { progress: Some(&show), cancelled: None };
    let least = args.rules.confidence.unwrap_or(Confidence::Low);
    let (mut found, mut known) = (Vec::new(), 0);
    let mut take = |located: Located| {
        if located.finding.confidence < least {
            return ControlFlow::Continue(());
        }
        if ignores.known(&located, detector.rules()).is_some() {
            known += 1;
            return ControlFlow::Continue(());
        }
        found.push(located);
        match args.report.stop_after.is_some_and(|count| found.len() >= count) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let statistics = source(&detector, watch, &mut take)?;
    drop(progress);
    let honey = store.tell(context, &mut found);
    let unused = ignores.unused().into_iter().map(|unused| match unused.line {
        0 => format!("{}: {}", unused.file, unused.text),
        line => format!("{}:{line}: {}", unused.file, unused.text),
    });
    let unused = unused.collect();
    let took = clock.monotonic().saturating_sub(started);
    Ok(Findings { found, statistics, known, honey, unused, took, detector })
}

fn ignores(args: &CommonArgs, root: Option<&Path>, redaction: Redaction) -> Result<Ignores, Failure> {
    let mut ignores = Ignores::new(redaction);
    for file in &args.known.baseline {
        ignores.add_file(file).map_err(|error| Failure::usage(error.to_string()))?;
    }
    if let Some(root) = root.filter(|_| !args.known.no_ignore_files) {
        ignores.add_usual(root).map_err(|error| {
            Failure::usage(error.to_string()).hint("--no-ignore-files scans without the files at the root")
        })?;
    }
    Ok(ignores)
}

/// Everything that is said of a report on the command line, checked before anything is scanned.
struct Form<'a> {
    args: &'a ReportArgs,
    kind: &'a str,
    template: Option<Template>,
    redaction: Redaction,
    colour: Colour,
}

impl<'a> Form<'a> {
    fn of(context: &'a Context, args: &'a ReportArgs) -> Result<Self, Failure> {
        let kind = args.format.as_deref().or(args.output.as_deref().and_then(by_ending));
        let kind = kind.or(context.wants_json().then_some("json")).unwrap_or("human");
        let template = match (kind, &args.template) {
            ("template", None) => return Err(Failure::usage("--format template needs --template FILE")),
            ("template", Some(path)) => Some(template(path)?),
            (_, Some(_)) => return Err(Failure::usage("--template goes with --format template alone")),
            (_, None) => None,
        };
        let redaction = match (args.reveal, args.redact) {
            (true, _) | (_, Some(0)) => Redaction::Revealed,
            (false, Some(percent)) => Redaction::Percent(percent),
            (false, None) => Redaction::WHOLE,
        };
        let plain = context.environment.variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = match args.output.is_none() && std::io::stdout().is_terminal() && !plain {
            true => Colour::Ansi,
            false => Colour::Plain,
        };
        Ok(Self { args, kind, template, redaction, colour })
    }

    fn is_human(&self) -> bool {
        matches!(self.kind, "human" | "table" | "raw")
    }

    fn write(&self, findings: &Findings) -> Result<(), Failure> {
        let now = SystemClock::new().now();
        let format = match (self.kind, &self.template) {
            ("json", _) => Format::Json,
            ("jsonl", _) => Format::JsonLines,
            ("csv", _) => Format::Csv,
            ("sarif", _) => Format::Sarif,
            ("junit", _) => Format::Junit,
            ("html", _) => Format::Html,
            ("github", _) => Format::GithubAnnotations,
            ("gitleaks", _) => Format::GitleaksJson,
            ("template", Some(template)) => Format::Template(template, now),
            _ => Format::Human(self.colour),
        };
        let tool = Tool::Strongroom { version: env!("CARGO_PKG_VERSION") };
        let report = Report {
            findings: &findings.found,
            rules: findings.rules(),
            statistics: &findings.statistics,
            redaction: self.redaction,
            tool,
        };
        write_to(self.args.output.as_deref(), &mut |out| report::write(&report, &format, out))
    }
}

/// The report for a person, without values.
pub fn write_report(findings: &Findings, out: &mut dyn Write) -> Result<(), Failure> {
    let report = Report {
        findings: &findings.found,
        rules: findings.rules(),
        statistics: &findings.statistics,
        redaction: Redaction::WHOLE,
        tool: Tool::Strongroom { version: env!("CARGO_PKG_VERSION") },
    };
    report::write(&report, &Format::Human(Colour::Plain), out)
        .map_err(|error| Failure::other(format!("cannot write the report: {error}")))
}

/// Writes to a file, or to standard output. Whoever reads our output may have gone away: that is no failure of a scan.
pub fn write_to(
    path: Option<&Path>,
    write: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let done = match path {
        None => {
            let mut out = BufWriter::new(std::io::stdout().lock());
            write(&mut out).and_then(|()| out.flush())
        }
        Some(path) => File::create(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            write(&mut out).and_then(|()| out.flush())
        }),
    };
    match done {
        Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => {
            let place = path.map_or("standard output".to_owned(), |path| path.display().to_string());
            Err(Failure::other(format!("cannot write the report to {place}: {error}")))
        }
        Ok(()) => Ok(()),
    }
}

fn by_ending(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?;
    let known = [
        ("json", "json"),
        ("jsonl", "jsonl"),
        ("csv", "csv"),
        ("sarif", "sarif"),
        ("html", "html"),
        ("xml", "junit"),
    ];
    known.iter().find(|(known, _)| ending.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
}

pub fn template(path: &Path) -> Result<Template, Failure> {
    let text = strongroom_project::files::read(path, TEMPLATE_BYTES_MAX)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let text = std::str::from_utf8(text.expose())
        .map_err(|_| Failure::usage(format!("{} is not UTF-8", path.display())))?;
    Template::parse(text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn tell_unused(context: &Context, unused: &[String]) {
    if context.project().quiet || unused.is_empty() {
        return;
    }
    for entry in unused.iter().take(UNUSED_SHOWN_MAX) {
        context.output.note(&format!("not needed any more: {entry}"));
    }
    if unused.len() > UNUSED_SHOWN_MAX {
        context.output.note(&format!("and {} more", unused.len() - UNUSED_SHOWN_MAX));
    }
}

/// One line: a person's report has the counts already.
fn tell_summary(context: &Context, form: &Form<'_>, findings: &Findings) {
    if context.project().quiet {
        return;
    }
    let seconds = findings.took.as_secs_f64();
    let known = match findings.known {
        0 => String::new(),
        count => format!(", {count} known and left out"),
    };
    let honey = match findings.honey {
        0 => String::new(),
        count => format!(", {count} planted as honey and left out"),
    };
    let counts = match form.is_human() {
        true => "took ".to_owned(),
        false => Summary::new(&findings.found, findings.rules(), &findings.statistics).to_string() + ", ",
    };
    context.output.note(&format!("{counts}{seconds:.3} s{known}{honey}"));
}
