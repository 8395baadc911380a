//! gitleaks' command line, version 8, with the older verbs `detect` and `protect`.

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;

/// Gitleaks scans code, past or present, for secrets (Strongroom)
#[derive(Parser)]
#[command(name = "gitleaks", disable_version_flag = true, arg_required_else_help = true)]
pub(super) struct Line {
    #[command(flatten)]
    pub(super) flags: Flags,
    /// version for gitleaks
    #[arg(long)]
    pub(super) version: bool,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

#[derive(Args)]
pub(super) struct Flags {
    /// path to baseline with issues that can be ignored
    #[arg(short, long, global = true)]
    pub(super) baseline_path: Option<PathBuf>,
    /// config file path
    ///
    /// order of precedence: 1. --config/-c, 2. env var GITLEAKS_CONFIG, 3. env var GITLEAKS_CONFIG_TOML with the file content,
    /// 4. (target path)/.gitleaks.toml; if none of the four options are used, then Strongroom's own rules
    #[arg(short, long, global = true)]
    pub(super) config: Option<PathBuf>,
    /// accepted, and without effect
    #[arg(long, global = true, hide_short_help = true)]
    pub(super) diagnostics: Option<String>,
    /// accepted, and without effect
    #[arg(long, global = true, hide_short_help = true)]
    pub(super) diagnostics_dir: Option<String>,
    /// only enable specific rules by id
    #[arg(long, global = true, value_delimiter = ',')]
    pub(super) enable_rule: Vec<String>,
    /// exit code when leaks have been encountered
    #[arg(long, global = true, default_value_t = 1, allow_negative_numbers = true)]
    pub(super) exit_code: i32,
    /// path to .gitleaksignore file or folder containing one
    #[arg(short = 'i', long, global = true, default_value = ".")]
    pub(super) gitleaks_ignore_path: PathBuf,
    /// ignore gitleaks:allow comments
    #[arg(long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) ignore_gitleaks_allow: bool,
    /// log level (trace, debug, info, warn, error, fatal)
    #[arg(short, long, global = true, default_value = "info")]
    pub(super) log_level: String,
    /// allow scanning into nested archives up to this depth; 0: no archive is opened
    #[arg(long, global = true, default_value_t = 0)]
    pub(super) max_archive_depth: usize,
    /// allow recursive decoding up to this depth
    #[arg(long, global = true, default_value_t = 5)]
    pub(super) max_decode_depth: usize,
    /// files larger than this will be skipped
    #[arg(long, global = true, default_value_t = 0)]
    pub(super) max_target_megabytes: usize,
    /// suppress banner
    #[arg(long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) no_banner: bool,
    /// turn off color for verbose output
    #[arg(long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) no_color: bool,
    /// redact secrets from logs and stdout; to redact only parts of the secret apply a percent value from 0..100
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "100", default_value = "0", hide_default_value = true)]
    pub(super) redact: u32,
    /// output format (json, csv, junit, sarif, template)
    #[arg(short = 'f', long, global = true)]
    pub(super) report_format: Option<String>,
    /// report file (use "-" for stdout)
    #[arg(short, long, global = true)]
    pub(super) report_path: Option<PathBuf>,
    /// template file used to generate the report (implies --report-format=template)
    #[arg(long, global = true)]
    pub(super) report_template: Option<PathBuf>,
    /// set a timeout for gitleaks commands in seconds; 0: no timeout is set
    #[arg(long, global = true, default_value_t = 0)]
    pub(super) timeout: u64,
    /// show verbose output from scan
    #[arg(short, long, global = true, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub(super) verbose: bool,
}

#[derive(Subcommand)]
pub(super) enum Verb {
    /// scan git repositories for secrets
    Git(GitArgs),
    /// scan directories or files for secrets
    #[command(aliases = ["file", "directory"])]
    Dir(DirArgs),
    /// detect secrets from stdin
    Stdin,
    /// display gitleaks version
    Version,
    /// Generate the autocompletion script for the specified shell
    Completion { shell: clap_complete::Shell },
    /// detect secrets in code
    #[command(hide = true)]
    Detect(DetectArgs),
    /// protect secrets in code
    #[command(hide = true)]
    Protect(ProtectArgs),
}

#[derive(Args)]
pub(super) struct GitArgs {
    pub(super) repo: Option<PathBuf>,
    /// git log options
    #[arg(long, allow_hyphen_values = true)]
    pub(super) log_opts: Option<String>,
    /// the target platform used to generate links (github, gitlab)
    #[arg(long)]
    pub(super) platform: Option<String>,
    /// scan using git diff
    #[arg(long)]
    pub(super) pre_commit: bool,
    /// scan staged commits (good for pre-commit)
    #[arg(long)]
    pub(super) staged: bool,
}

#[derive(Args)]
pub(super) struct DirArgs {
    pub(super) path: Vec<PathBuf>,
    /// scan files that are symlinks to other files
    #[arg(long)]
    pub(super) follow_symlinks: bool,
}

#[derive(Args)]
pub(super) struct DetectArgs {
    /// path to source
    #[arg(short, long, default_value = ".")]
    pub(super) source: PathBuf,
    /// treat git repo as a regular directory and scan those files
    #[arg(long)]
    pub(super) no_git: bool,
    /// scan input from stdin
    #[arg(long)]
    pub(super) pipe: bool,
    #[arg(long)]
    pub(super) follow_symlinks: bool,
    /// git log options
    #[arg(long, allow_hyphen_values = true)]
    pub(super) log_opts: Option<String>,
    #[arg(long)]
    pub(super) platform: Option<String>,
}

#[derive(Args)]
pub(super) struct ProtectArgs {
    /// path to source
    #[arg(short, long, default_value = ".")]
    pub(super) source: PathBuf,
    /// detect secrets in a --staged state
    #[arg(long)]
    pub(super) staged: bool,
    #[arg(long, allow_hyphen_values = true)]
    pub(super) log_opts: Option<String>,
}
