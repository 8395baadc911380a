//! The command line: one definition for every face.

use crate::commands;
use crate::server::ServerArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// One program for the whole life of a secret: keep, hand out, change, watch, clean up
#[derive(Parser)]
#[command(
    name = "strongroom",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Arguments {
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub command: Command,
}

/// Every flag has an environment variable: STRONGROOM_NAME, or VAULT_NAME.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection and output")]
pub struct Globals {
    /// Where the server is: http://, https:// or unix:///path [env: STRONGROOM_ADDR, VAULT_ADDR]
    #[arg(long, global = true, value_name = "URL")]
    pub address: Option<String>,
    /// Read the token from FILE [otherwise: STRONGROOM_TOKEN, VAULT_TOKEN, ~/.vault-token]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The namespace to work in [env: STRONGROOM_NAMESPACE, VAULT_NAMESPACE]
    #[arg(long, global = true, alias = "ns", value_name = "PATH")]
    pub namespace: Option<String>,
    /// PEM file of the authorities to trust [env: …_CACERT]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub ca_cert: Option<PathBuf>,
    /// Folder of such files [env: …_CAPATH]
    #[arg(long, global = true, value_name = "FOLDER", hide_short_help = true)]
    pub ca_path: Option<PathBuf>,
    /// PEM file of the certificate to present [env: …_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_cert: Option<PathBuf>,
    /// PEM file of its key [env: …_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,
    /// The name to expect in the server's certificate [env: …_TLS_SERVER_NAME]
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Trust any certificate: for experiments alone [env: …_SKIP_VERIFY]
    #[arg(long, global = true, hide_short_help = true)]
    pub tls_skip_verify: bool,
    /// Have the answer wrapped, for this long [env: …_WRAP_TTL]
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true)]
    pub wrap_ttl: Option<String>,
    /// Send one more header, as name=value
    #[arg(long, global = true, value_name = "NAME=VALUE", hide_short_help = true)]
    pub header: Vec<String>,
    /// How answers are printed [env: STRONGROOM_FORMAT, VAULT_FORMAT]
    // A text, as `scan` has forms of its own under this name.
    #[arg(long, global = true, value_parser = formats())]
    pub format: Option<String>,
    /// Print this one field of the answer, as it is
    #[arg(long, global = true, value_name = "NAME")]
    pub field: Option<String>,
    /// Never ask anything
    #[arg(long, global = true, alias = "no-input", hide_short_help = true)]
    pub non_interactive: bool,
    #[command(flatten)]
    pub project: ProjectGlobals,
}

/// Of the commands that work with a project's manifest. Each has an environment variable as well.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Project")]
pub struct ProjectGlobals {
    /// Work as if started in FOLDER
    #[arg(short = 'C', long = "directory", global = true, value_name = "FOLDER")]
    pub directory: Option<PathBuf>,
    /// The environment of the project, as dev or prod [env: STRONGROOM_ENV]
    #[arg(short = 'E', long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// The manifest, instead of the strongroom.toml here or above [env: STRONGROOM_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// JSON, without values unless --reveal is given; as --format json
    #[arg(long, global = true, conflicts_with = "format")]
    pub json: bool,
    /// Say nothing but errors [env: STRONGROOM_QUIET]
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Do not ask for confirmation, nor whether a manifest is trusted [env: STRONGROOM_YES]
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Reach no host: take what the cache has [env: STRONGROOM_OFFLINE]
    #[arg(long, global = true)]
    pub offline: bool,
    /// Insist on the versions in strongroom.lock [env: STRONGROOM_LOCKED]
    #[arg(long, global = true)]
    pub locked: bool,
}

/// A command with a flag that is called as a global one, and is another: it has to be there when the global ones are handed
/// down, which a flag that is defined later is not.
#[derive(Subcommand)]
pub enum EagerCommand {
    /// Start a server
    Server(ServerArgs),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    #[value(alias = "pretty")]
    Table,
    Json,
    #[value(alias = "yml")]
    Yaml,
    /// The body of the answer, byte for byte
    Raw,
}

/// The names of `Format`, as a text.
fn formats() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(Format::value_variants().iter().filter_map(ValueEnum::to_possible_value))
}

// A command that is a group of others. (A doc comment would become its help.)
#[derive(Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Group<C: Subcommand> {
    #[command(subcommand)]
    pub command: C,
}

/// `defer`: a command's flags are defined when it is asked for, not at every start.
#[derive(Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Run a program with secrets as environment variables
    Run(commands::run::RunArgs),
    /// Make a manifest for this project from what is here
    Init(commands::project::init::InitArgs),
    /// Say all that is wrong with the project's secrets
    Check(commands::project::check::CheckArgs),
    /// Print the value of one secret
    Get(commands::project::get::GetArgs),
    /// Keep a value: from a prompt, standard input or a file
    Set(commands::project::set::SetArgs),
    /// Take a value away
    Unset(commands::project::set::UnsetArgs),
    /// Where a value comes from, and what it overrides
    Explain(commands::project::explain::ExplainArgs),
    /// Which secrets differ between two environments, by name
    Diff(commands::project::diff::DiffArgs),
    /// The values of a provider in your editor
    Edit(commands::project::edit::EditArgs),
    /// Write the values for another tool
    Export(commands::project::export::ExportArgs),
    /// Take values from a file
    Import(commands::project::import::ImportArgs),
    /// Fill placeholders of a file in
    Template(commands::project::template::TemplateArgs),
    /// Write down which versions an environment has, or compare
    Lock(commands::project::lock::LockArgs),
    /// Make .env.example and typed settings from the manifest
    Generate(commands::project::generate::GenerateArgs),
    /// What stands between this project and its secrets
    Doctor(commands::project::doctor::DoctorArgs),
    /// Look for secrets where they should not be: files, histories, archives, streams
    Scan(Box<commands::scan::arguments::ScanArgs>),
    /// Take secrets out of what is printed, logged or kept: known values in any encoding, and what looks like one
    Redact(Box<commands::redact::RedactArgs>),
    /// Take values, files and folders out of the whole history of a git repository
    Purge(Box<commands::purge::arguments::PurgeArgs>),
    /// Keep secrets out of the repository: hooks, jobs, .gitignore
    Guard(Group<commands::guard::GuardCommand>),
    /// Let this project's manifest reach hosts and run commands
    Trust(commands::project::guard::TrustArgs),
    /// Print what puts a project's values into a shell while one is in its folder
    Hook(commands::project::hook::HookArgs),
    #[command(hide = true)]
    HookEnv(commands::project::hook::HookEnvArgs),
    #[command(hide = true)]
    KeepFolder(commands::project::run::files::KeepFolderArgs),
    /// .env files: list, get, set, unset, run, lint
    Dotenv(Group<commands::dotenv::DotenvCommand>),
    /// Is the server there, initialised, unsealed?
    #[command(after_help = "Exit codes: 0 unsealed, 2 sealed, anything else: no answer.")]
    Status,
    /// Get a token, and keep it in ~/.vault-token
    Login(commands::login::LoginArgs),
    /// Work with the key-value engine
    Kv(Group<commands::kv::KvCommand>),
    /// Show all secrets below a path
    Tree(commands::tree::TreeArgs),
    /// Read a path of the API
    Read(commands::generic::ReadArgs),
    /// Write to a path of the API
    Write(commands::generic::WriteArgs),
    /// Change parts of what is at a path of the API
    Patch(commands::generic::PatchArgs),
    /// List the project's secrets, or what is below a path of the API
    List(commands::generic::ListArgs),
    /// List everything below a path of the API, at all depths: `scan` of the persona vault
    #[command(hide = true)]
    ScanPath(commands::generic::PathArgs),
    /// Delete at a path of the API
    Delete(commands::generic::DeleteArgs),
    /// Open a wrapped answer
    Unwrap(commands::generic::UnwrapArgs),
    /// What the server says about a path of the API
    PathHelp(commands::generic::PathHelpArgs),
    /// Tokens: create, look up, renew, revoke
    Token(Group<commands::token::TokenCommand>),
    /// Secrets engines: what is mounted where
    Secrets(Group<commands::mounts::SecretsCommand>),
    /// Auth methods: what is mounted where
    #[command(disable_help_subcommand = true)]
    Auth(Group<commands::mounts::AuthCommand>),
    /// Policies: write, check, explain
    Policy(Group<commands::policy::PolicyCommand>),
    /// Leases: list, renew, revoke
    Lease(Group<commands::lease::LeaseCommand>),
    /// Change a secret by its plan: now, or when it is due
    Rotate(commands::rotate::RotateArgs),
    /// Is a presented value a secret's current one, or one in its grace?
    Validate(commands::rotate::ValidateArgs),
    /// Planted fakes whose use raises an alarm
    Honey(Group<commands::honey::HoneyCommand>),
    /// A secret got out: what is known of it, and what is done about it
    Incident(Group<commands::incident::IncidentCommand>),
    /// Entities and groups
    Identity(Group<commands::collection::IdentityCommand>),
    /// Namespaces
    Namespace(Group<commands::namespace::NamespaceCommand>),
    /// Limits
    Quota(Group<commands::collection::QuotaCommand>),
    /// Audit devices and their files
    Audit(Group<commands::audit::AuditCommand>),
    /// Set up, unseal, rekey, take snapshots
    Operator(Group<commands::operator::OperatorCommand>),
    /// Files whose values are encrypted one by one: SOPS files, which sops reads too
    Sops(Box<commands::sops::SopsArgs>),
    #[command(flatten)]
    Eager(EagerCommand),
    /// Print the token in use
    Print(Group<commands::token::PrintCommand>),
    /// Print a script that completes our commands in a shell
    Completions(commands::manual::CompletionsArgs),
    /// Write the manual pages
    Man(commands::manual::ManArgs),
    /// The versions of this program and of the interface it answers to
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn no_two_flags_of_a_command_have_one_name() {
        Arguments::command().debug_assert();
    }
}
