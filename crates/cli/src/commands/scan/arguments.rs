//! The flags of `scan`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use strongroom_detect::Confidence;

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 nothing found, 7 secrets found (or as --exit-code says), others: the scan did not take place."
)]
pub struct ScanArgs {
    #[command(subcommand)]
    pub command: Option<ScanCommand>,
    /// A path of the API was given here once
    #[arg(hide = true)]
    pub path: Vec<String>,
}

#[derive(Subcommand)]
pub enum ScanCommand {
    /// Files and folders
    #[command(visible_aliases = ["directory", "file", "files"])]
    Dir(DirArgs),
    /// The whole history of a git repository: every object, merge commits and what nothing leads to any more included
    Git(GitArgs),
    /// A history, again and again: what was looked at before is not looked at again
    History(HistoryArgs),
    /// What is staged for the next commit
    Staged(StagedArgs),
    /// Standard input
    Stdin(StdinArgs),
    /// Archives and images of containers: zip, tar, gz, bz2, xz, zst, one inside the other
    Archive(ArchiveArgs),
    /// The rules: which there are, what they say, whether they do what they should
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Findings that are known, and what a person said of them
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Fingerprints of values that a project really uses, for --known
    #[command(subcommand)]
    Fingerprints(FingerprintsCommand),
}

#[derive(Args)]
pub struct DirArgs {
    /// Files and folders [default: .]
    pub paths: Vec<PathBuf>,
    /// Leave out what .gitignore names
    #[arg(long)]
    pub gitignore: bool,
    /// Follow symbolic links
    #[arg(long)]
    pub follow_links: bool,
    /// Look at binary files as well
    #[arg(long)]
    pub binary: bool,
    /// Leave out larger files
    #[arg(long, value_name = "MEGABYTES", default_value_t = 0, hide_default_value = true)]
    pub max_megabytes: u64,
    /// Archives within archives, at most; 0 opens none
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub archive_depth: usize,
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Args)]
pub struct GitArgs {
    /// A folder of the repository [default: .]
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub history: HistorySelection,
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Args)]
pub struct HistorySelection {
    /// Only these revisions and ranges, as main, v1..v2, ^old; what nothing leads to is left out then
    #[arg(long, value_name = "REVISION", allow_hyphen_values = true)]
    pub range: Vec<String>,
    /// Only this branch
    #[arg(long, value_name = "NAME")]
    pub branch: Vec<String>,
    /// Only commits since then: 2026-01-31, or 30d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only commits until then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only these paths, as globs
    #[arg(long = "path", value_name = "GLOB")]
    pub paths: Vec<String>,
    /// Leave out the messages of commits and tags
    #[arg(long)]
    pub no_messages: bool,
    /// Leave out what only a reflog or nothing leads to
    #[arg(long)]
    pub no_unreachable: bool,
    /// Enter submodules that are checked out
    #[arg(long)]
    pub submodules: bool,
}

#[derive(Args)]
pub struct HistoryArgs {
    /// A folder of the repository [default: .]
    pub path: Option<PathBuf>,
    /// Remember what was looked at, and look only at what is new [default: on]
    #[arg(long)]
    pub incremental: bool,
    /// Look at everything again
    #[arg(long, conflicts_with = "incremental")]
    pub fresh: bool,
    /// Where it is remembered [default: strongroom in the repository's git folder]
    #[arg(long, value_name = "FILE")]
    pub cache: Option<PathBuf>,
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Args)]
pub struct StagedArgs {
    /// A folder of the repository [default: .]
    pub path: Option<PathBuf>,
    /// What is not staged yet, instead
    #[arg(long)]
    pub unstaged: bool,
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Args)]
pub struct StdinArgs {
    /// The name to give it, for rules that go by names
    #[arg(long, value_name = "PATH", default_value = "")]
    pub name: String,
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Args)]
pub struct ArchiveArgs {
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Archives within archives, at most
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub archive_depth: usize,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What all scans take.
#[derive(Args, Default)]
pub struct CommonArgs {
    #[command(flatten)]
    pub rules: RuleArgs,
    #[command(flatten)]
    pub known: KnownArgs,
    #[command(flatten)]
    pub report: ReportArgs,
    #[command(flatten)]
    pub validate: ValidateArgs,
}

#[derive(Args, Default)]
#[command(next_help_heading = "Rules")]
pub struct RuleArgs {
    /// Rules in gitleaks' or betterleaks' format, instead of ours [default: .strongroom-rules.toml, .gitleaks.toml or
    /// .betterleaks.toml in the folder that is scanned, else our own]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// More rules, beside the others
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Only these rules
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub enable_rule: Vec<String>,
    /// All but these rules
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub disable_rule: Vec<String>,
    /// Only findings that are at least this likely [default: low]
    #[arg(long, value_name = "LEVEL", value_parser = confidences())]
    pub confidence: Option<Confidence>,
    /// Decode base64, hex, percent and escapes within each other this often; 0: never [default: 5]
    #[arg(long, value_name = "COUNT")]
    pub decode_depth: Option<usize>,
    /// Report what comments such as `strongroom:allow` allow, too
    #[arg(long)]
    pub no_inline_ignores: bool,
}

#[derive(Args, Default)]
#[command(next_help_heading = "Known values and findings")]
pub struct KnownArgs {
    /// Find these values exactly, in any encoding: those of a server at an address, those of a file of `scan fingerprints`;
    /// without a value, those of the server that is configured
    #[arg(long, value_name = "FILE|ADDRESS", num_args = 0..=1, default_missing_value = "server")]
    pub known: Vec<String>,
    /// A server that does not answer is no failure: the scan goes on with what is known of it
    #[arg(skip)]
    pub lenient: bool,
    /// Findings to put up with: a baseline of ours, a report of gitleaks, .gitleaksignore, .secrets.baseline, .gitallowed
    #[arg(long, value_name = "FILE")]
    pub baseline: Vec<PathBuf>,
    /// Read no such file under its usual name
    #[arg(long)]
    pub no_ignore_files: bool,
}

#[derive(Args, Default)]
#[command(next_help_heading = "Report")]
pub struct ReportArgs {
    /// The form of the report
    #[arg(long, value_name = "FORM", value_parser = PossibleValuesParser::new(FORMATS))]
    pub format: Option<String>,
    /// A template of gitleaks (Go's text/template), for --format template
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Write the report to FILE
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show values
    #[arg(long, conflicts_with = "redact")]
    pub reveal: bool,
    /// Hide this many percent of each value [default: 100]
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "100",
        value_parser = clap::value_parser!(u32).range(0..=100))]
    pub redact: Option<u32>,
    /// The exit code for findings [default: 7]
    #[arg(long, value_name = "CODE")]
    pub exit_code: Option<u8>,
    /// Put up with this many findings: they are reported, and the exit code is 0
    #[arg(long, value_name = "COUNT", default_value_t = 0, hide_default_value = true)]
    pub max_findings: u64,
    /// End the scan after this many findings
    #[arg(long, value_name = "COUNT")]
    pub stop_after: Option<usize>,
    /// Show no progress
    #[arg(long)]
    pub no_progress: bool,
}

#[derive(Args, Default)]
#[command(next_help_heading = "Liveness")]
pub struct ValidateArgs {
    /// Ask the services that issued them whether secrets are still valid: over the network
    #[arg(long)]
    pub validate: bool,
    /// Ask only these hosts; HOST=ADDRESS asks another address in its place
    #[arg(long, value_name = "HOST[=ADDRESS]", value_delimiter = ',', requires = "validate")]
    pub validate_host: Vec<String>,
}

pub const FORMATS: [&str; 12] = [
    "human", "table", "json", "jsonl", "csv", "sarif", "junit", "html", "github", "template", "gitleaks",
    "raw",
];

pub fn confidences() -> impl TypedValueParser<Value = Confidence> {
    let names = Confidence::ALL.map(Confidence::name);
    PossibleValuesParser::new(names).map(|name| Confidence::named(&name).unwrap_or(Confidence::Low))
}

#[derive(Subcommand)]
pub enum RulesCommand {
    /// All rules, one a line
    List(RulesArgs),
    /// What a rule looks for, and what is to be done when it finds something
    Show(RuleArgsOfOne),
    /// Whether rules can be used, find their examples and leave their counterexamples alone
    Check(RulesArgs),
}

#[derive(Args)]
pub struct RulesArgs {
    /// A file of rules, instead of ours
    pub file: Option<PathBuf>,
}

#[derive(Args)]
pub struct RuleArgsOfOne {
    pub id: String,
    /// A file of rules, instead of ours
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
}

#[derive(Subcommand)]
pub enum BaselineCommand {
    /// Write down what is found now, without a single value
    Create(BaselineArgs),
    /// Add what is new, take out what is gone; what a person said stays
    Update(BaselineArgs),
    /// Walk through the findings and say of each whether it is a secret
    #[command(
        after_help = "Keys: y it is a secret, n it is none, s skip, b back, q quit. What was said is kept at once."
    )]
    Audit(BaselineArgs),
}

#[derive(Args)]
pub struct BaselineArgs {
    /// What the baseline is for: a folder [default: .]
    pub path: Option<PathBuf>,
    /// The baseline [default: .strongroom-baseline in that folder]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What is looked at [default: the history and the files of a repository, else the files]
    #[arg(long, value_enum)]
    pub from: Option<BaselineFrom>,
    /// Replace a baseline that is there
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub rules: RuleArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BaselineFrom {
    Files,
    History,
    Both,
}

#[derive(Subcommand)]
pub enum FingerprintsCommand {
    /// Fingerprints of all values that a server keeps, to be passed to --known where it cannot be reached
    Fetch(FetchArgs),
    /// Fingerprints of the values of this project in its environment (-E), to be passed to --known
    Export(FingerprintsArgs),
}

#[derive(Args)]
pub struct FetchArgs {
    /// The file to write; it is readable for you alone
    #[arg(long, short, value_name = "FILE", default_value = "strongroom-fingerprints.json")]
    pub output: PathBuf,
    /// Bytes of each tag, 2 to 16: with 2 the file says too little to search for a value, and the server confirms what is found
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=16))]
    pub tag_bytes: u8,
}

#[derive(Args)]
pub struct FingerprintsArgs {
    /// The file to write; it is readable for you alone
    #[arg(long, short, value_name = "FILE", default_value = "strongroom-fingerprints.json")]
    pub output: PathBuf,
    /// Of all environments, not of one
    #[arg(long)]
    pub all_environments: bool,
}
