//! `incident …`: a secret that got out, from the first hit to the proof that it is over. What an incident is, and how it changes,
//! is in the kernel; here is what is done outside of it.

mod accesses;
mod desk;
mod history;
mod notify;
mod open;
mod proof;
mod report;
mod revoke;
mod rotate;
mod run;
mod show;
mod store;
mod subject;
mod values;

pub use open::read_value;

use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_kernel::incident::{Act, Change, Evidence, StepKind};
use strongroom_secret::Timestamp;

#[derive(Subcommand)]
pub enum IncidentCommand {
    /// Say that a secret got out: what is known of it is gathered
    #[command(
        after_help = "A secret is named as the server has it (secret/app/db, secret/app/db#password), or as the manifest does. \
                      Without a server the incident is a file in the project's .strongroom folder."
    )]
    Open(Box<OpenArgs>),
    /// All incidents
    List(PlaceArgs),
    /// What is known of one, its steps and its history
    Show(IdArgs),
    /// Do the steps one by one, from where it stands: revoke, rotate, purge, re-scan, notify, post-mortem
    #[command(
        after_help = "Each step is asked about, unless --yes is given, and looks first at what is done already: a run that broke \
                      off is run again. Exit codes: 0 all that was begun is done, 1 a step is not done."
    )]
    Run(Box<RunArgs>),
    /// The report, as one file: what happened, a time line, who read it, what was done
    Report(ReportArgs),
    /// Say what became of a step
    Step(StepArgs),
    /// Add a line to the history
    Note(NoteArgs),
    /// The end, once all steps are done or skipped
    Close(CloseArgs),
    /// It is not over after all
    Reopen(ReopenArgs),
}

/// Where incidents are kept.
#[derive(Args, Default)]
pub struct PlaceArgs {
    /// In the project's folder, though there is a server
    #[arg(long)]
    local: bool,
}

#[derive(Args)]
pub struct OpenArgs {
    /// The secret, and the member of it that got out
    #[arg(value_name = "NAME[#FIELD]")]
    name: Option<String>,
    /// Which version got out; the current one by default
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
    /// The value that got out, on standard input: -
    #[arg(long, value_name = "-")]
    value: Option<String>,
    /// A report of `scan --format json` with what was found
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Which finding of the report: its fingerprint, or its number from 1
    #[arg(long, value_name = "ID", requires = "report")]
    finding: Option<String>,
    /// What happened, in a line
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A folder of the repository whose history is searched [default: here, if this is one]
    #[arg(long, value_name = "FOLDER")]
    repository: Option<PathBuf>,
    /// Search no history
    #[arg(long)]
    no_history: bool,
    /// Audit files with who read the secret; oldest first [default: those of the server, where they can be read here]
    #[arg(long, value_name = "FILE")]
    audit: Vec<PathBuf>,
    /// Leases that came from the secret, to be revoked: a prefix
    #[arg(long, value_name = "PREFIX")]
    leases: Vec<String>,
    /// A token that got out, to be revoked: its accessor
    #[arg(long, value_name = "ACCESSOR")]
    accessor: Vec<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
pub struct IdArgs {
    /// The incident, or the beginning of its id
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
pub struct RunArgs {
    /// The incident, or the beginning of its id
    id: String,
    /// This step alone, whatever is next
    #[arg(long, value_name = "STEP", value_parser = step_named)]
    only: Option<StepKind>,
    /// The next step alone
    #[arg(long, conflicts_with = "only")]
    next: bool,
    /// Destroy versions for good, instead of deleting them
    #[arg(long)]
    destroy: bool,
    /// End the version that got out though it is the current one: whoever uses it stops
    #[arg(long)]
    revoke_current: bool,
    /// Go on with a step that somebody else has begun
    #[arg(long)]
    take_over: bool,
    /// The value that got out, on standard input: -
    #[arg(long, value_name = "-")]
    value: Option<String>,
    /// A folder of the repository [default: here, if this is one]
    #[arg(long, value_name = "FOLDER")]
    repository: Option<PathBuf>,
    /// Another clone or mirror that has to be free of the value
    #[arg(long, value_name = "FOLDER")]
    also: Vec<PathBuf>,
    /// Who is told, beside the text for a mail
    #[arg(long, value_name = "URL")]
    webhook: Vec<String>,
    /// Where the report goes [default: beside the project's incidents]
    #[arg(long, value_name = "FOLDER")]
    report_folder: Option<PathBuf>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
pub struct ReportArgs {
    /// The incident, or the beginning of its id
    id: String,
    /// Write it to FILE; a name that ends in .html asks for HTML
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: Option<report::Form>,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
pub struct StepArgs {
    /// The incident, or the beginning of its id
    id: String,
    /// revoke, rotate, purge, rescan, notify or post-mortem
    #[arg(value_parser = step_named)]
    step: StepKind,
    #[command(flatten)]
    act: ActArgs,
    /// Begin what somebody else has begun
    #[arg(long, requires = "begin")]
    take_over: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct ActArgs {
    /// You are at it
    #[arg(long)]
    begin: bool,
    /// It is done: what shows it
    #[arg(long, value_name = "EVIDENCE")]
    done: Option<String>,
    /// A part of it is done: what shows it
    #[arg(long, value_name = "EVIDENCE")]
    progress: Option<String>,
    /// It need not be done: why
    #[arg(long, value_name = "REASON")]
    skip: Option<String>,
    /// It failed: why
    #[arg(long, value_name = "REASON")]
    fail: Option<String>,
    /// It is to be done again: why
    #[arg(long, value_name = "REASON")]
    reopen: Option<String>,
}

#[derive(Args)]
pub struct NoteArgs {
    /// The incident, or the beginning of its id
    id: String,
    text: String,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
pub struct CloseArgs {
    /// The incident, or the beginning of its id
    id: String,
    /// What came of it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Although steps are neither done nor skipped; needs a note
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Args)]
pub struct ReopenArgs {
    /// The incident, or the beginning of its id
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    place: PlaceArgs,
}

fn step_named(text: &str) -> Result<StepKind, String> {
    let all = StepKind::ALL.map(StepKind::as_str).join(", ");
    StepKind::named(text).ok_or_else(|| format!("the steps are {all}"))
}

pub fn run(context: &Context, command: IncidentCommand) -> Result<ExitCode, Failure> {
    match command {
        IncidentCommand::Open(args) => open::run(context, &args),
        IncidentCommand::List(args) => show::list(context, &args),
        IncidentCommand::Show(args) => show::show(context, &args),
        IncidentCommand::Run(args) => run::run(context, &args),
        IncidentCommand::Report(args) => report::run(context, &args),
        IncidentCommand::Step(args) => {
            let act = args.act.act(args.take_over);
            change(context, &args.id, &args.place, Change::Step { step: args.step, act })
        }
        IncidentCommand::Note(args) => {
            change(context, &args.id, &args.place, Change::Note { text: args.text })
        }
        IncidentCommand::Close(args) => {
            let close = Change::Close { note: args.note, force: args.force };
            change(context, &args.id, &args.place, close)
        }
        IncidentCommand::Reopen(args) => {
            change(context, &args.id, &args.place, Change::Reopen { reason: args.reason })
        }
    }
}

impl ActArgs {
    fn act(self, take_over: bool) -> Act {
        let shown = |text: String| vec![evidence("by hand", &text)];
        match self {
            Self { done: Some(text), .. } => Act::Done { evidence: shown(text) },
            Self { progress: Some(text), .. } => Act::Progress { evidence: shown(text) },
            Self { skip: Some(reason), .. } => Act::Skip { reason },
            Self { fail: Some(reason), .. } => Act::Fail { reason },
            Self { reopen: Some(reason), .. } => Act::Reopen { reason },
            _ => Act::Begin { take_over },
        }
    }
}

/// One change of an incident as it is now.
fn change(context: &Context, id: &str, place: &PlaceArgs, change: Change) -> Result<ExitCode, Failure> {
    let (desk, incident) = desk::Desk::find(context, place, id)?;
    let after = desk.change(&incident, change)?;
    show::changed(context, &after)
}

fn evidence(of: &str, text: &str) -> Evidence {
    Evidence { of: of.to_owned(), text: text.to_owned(), at: Timestamp::EPOCH }
}
