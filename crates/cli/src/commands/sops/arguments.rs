//! The flags of `strongroom sops`, which are those of sops and a few more.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What holds for every verb.
#[derive(Debug, Default, Args)]
pub struct SopsGlobals {
    /// The file with the rules, instead of the nearest .sops.yaml: each command line has a flag of its own for it.
    #[arg(skip)]
    pub rules: Option<PathBuf>,
    /// In which order the keys of a group are tried
    #[arg(long, global = true, env = "SOPS_DECRYPTION_ORDER", hide_env = true, value_name = "age,pgp…")]
    pub decryption_order: Option<String>,
    /// Spaces of indentation of what is written afresh
    #[arg(long, global = true)]
    pub indent: Option<usize>,
    /// How many files are worked on at the same time
    #[arg(long, global = true, default_value_t = 4, value_name = "N")]
    pub parallel: usize,
    #[arg(long, global = true, hide = true)]
    pub verbose: bool,
    /// Taken for sops' sake: keys are always used from here
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true)]
    pub enable_local_keyservice: Option<Option<String>>,
    #[arg(long, global = true, hide = true)]
    pub keyservice: Vec<String>,
}

#[derive(Subcommand)]
pub enum SopsCommand {
    /// Encrypt files, or standard input
    Encrypt(EncryptArgs),
    /// Decrypt files, or standard input
    Decrypt(DecryptArgs),
    /// Edit a file in clear, in an editor
    Edit(EditArgs),
    /// Set one value of a file
    Set(SetArgs),
    /// Remove one value of a file
    Unset(UnsetArgs),
    /// Give files a new data key, and all values new ciphertexts
    Rotate(RotateArgs),
    /// Wrap the data keys of files for the keys that .sops.yaml names
    Updatekeys(UpdateKeysArgs),
    /// Say whether files are encrypted, and whether their seals are intact
    Filestatus(StatusArgs),
    /// Add or delete key groups
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Put a file where .sops.yaml says
    Publish(PublishArgs),
    /// Run a command with the values of a file as variables
    ExecEnv(ExecEnvArgs),
    /// Run a command with the decrypted file in a pipe
    ExecFile(ExecFileArgs),
    /// Make an age key where it is looked for, and print its recipient
    Keygen(super::keygen::KeygenArgs),
    /// Keep values for some of a file's recipients alone
    Restrict(RestrictArgs),
    /// Who can decrypt a file: list them, add to them, remove from them
    #[command(subcommand)]
    Recipients(RecipientsCommand),
    /// Merge and compare encrypted files in git
    #[command(subcommand)]
    Git(GitCommand),
}

#[derive(Debug, Default, Clone, Args)]
pub struct FormatArgs {
    /// Read it as yaml, json, dotenv, ini, toml or binary, whatever its name
    #[arg(long, value_name = "FORMAT")]
    pub input_type: Option<String>,
    /// Write it as yaml, json, dotenv, ini, toml or binary
    #[arg(long, value_name = "FORMAT")]
    pub output_type: Option<String>,
    /// The name by which rules and formats are found
    #[arg(long, value_name = "NAME")]
    pub filename_override: Option<PathBuf>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct TargetArgs {
    /// Replace the files
    #[arg(long, short)]
    pub in_place: bool,
    /// Write to this file
    #[arg(long, value_name = "FILE", conflicts_with = "in_place")]
    pub output: Option<PathBuf>,
}

/// Recipients, each flag a list between commas.
#[derive(Debug, Default, Clone, Args)]
pub struct KeyArgs {
    /// age recipients: age1…, ssh-ed25519 …, ssh-rsa …
    #[arg(long, short, env = "SOPS_AGE_RECIPIENTS", hide_env = true)]
    pub age: Option<String>,
    /// Fingerprints of OpenPGP keys
    #[arg(long, short, env = "SOPS_PGP_FP", hide_env = true)]
    pub pgp: Option<String>,
    /// ARNs of AWS KMS keys
    #[arg(long, short, env = "SOPS_KMS_ARN", hide_env = true)]
    pub kms: Option<String>,
    #[arg(long)]
    pub aws_profile: Option<String>,
    /// key:value pairs that AWS KMS binds to the data key
    #[arg(long)]
    pub encryption_context: Option<String>,
    /// Resources of Google Cloud KMS
    #[arg(long, env = "SOPS_GCP_KMS_IDS", hide_env = true)]
    pub gcp_kms: Option<String>,
    #[arg(long, env = "SOPS_HUAWEICLOUD_KMS_IDS", hide_env = true, hide = true)]
    pub hckms: Option<String>,
    /// Addresses of keys in Azure Key Vault
    #[arg(long, env = "SOPS_AZURE_KEYVAULT_URLS", hide_env = true)]
    pub azure_kv: Option<String>,
    /// Addresses of transit keys: `https://vault.example.com:8200/v1/transit/keys/NAME`
    #[arg(long, env = "SOPS_VAULT_URIS", hide_env = true)]
    pub hc_vault_transit: Option<String>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct RuleArgs {
    /// Values under keys with this ending are not encrypted
    #[arg(long, value_name = "SUFFIX")]
    pub unencrypted_suffix: Option<String>,
    /// Only values under keys with this ending are encrypted
    #[arg(long, value_name = "SUFFIX")]
    pub encrypted_suffix: Option<String>,
    #[arg(long, value_name = "REGEX")]
    pub unencrypted_regex: Option<String>,
    #[arg(long, value_name = "REGEX")]
    pub encrypted_regex: Option<String>,
    #[arg(long, value_name = "REGEX")]
    pub unencrypted_comment_regex: Option<String>,
    #[arg(long, value_name = "REGEX")]
    pub encrypted_comment_regex: Option<String>,
    /// How many key groups must answer
    #[arg(long, value_name = "N")]
    pub shamir_secret_sharing_threshold: Option<u8>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct EncryptArgs {
    /// Files and folders; standard input without any
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub formats: FormatArgs,
    #[command(flatten)]
    pub keys: KeyArgs,
    #[command(flatten)]
    pub rule: RuleArgs,
}

#[derive(Debug, Default, Clone, Args)]
pub struct DecryptArgs {
    /// Files and folders; standard input without any
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub formats: FormatArgs,
    /// Only what stands at ["key"][0]
    #[arg(long, value_name = "PATH")]
    pub extract: Option<String>,
    /// Give the values out although they may have been tampered with
    #[arg(long)]
    pub ignore_mac: bool,
}

#[derive(Debug, Default, Clone, Args)]
pub struct EditArgs {
    pub file: PathBuf,
    #[command(flatten)]
    pub formats: FormatArgs,
    #[command(flatten)]
    pub keys: KeyArgs,
    #[command(flatten)]
    pub rule: RuleArgs,
    #[arg(long)]
    pub ignore_mac: bool,
    /// Show the metadata in the editor (it is not changed there)
    #[arg(long, short)]
    pub show_master_keys: bool,
}

#[derive(Debug, Default, Clone, Args)]
pub struct SetArgs {
    pub file: PathBuf,
    /// The place, as ["key"][0]
    pub path: String,
    /// The value, as JSON. It is seen in the list of processes: --value-stdin and --value-file are not
    pub value: Option<String>,
    /// VALUE is a file that holds the value
    #[arg(long, conflicts_with = "value_stdin")]
    pub value_file: bool,
    /// The value comes from standard input
    #[arg(long)]
    pub value_stdin: bool,
    /// Do nothing if the value is there already
    #[arg(long)]
    pub idempotent: bool,
    #[command(flatten)]
    pub formats: FormatArgs,
    #[arg(long)]
    pub ignore_mac: bool,
    #[arg(long, hide = true)]
    pub shamir_secret_sharing_threshold: Option<u8>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct UnsetArgs {
    pub file: PathBuf,
    /// The place, as ["key"][0]
    pub path: String,
    /// Do nothing if there is none
    #[arg(long)]
    pub idempotent: bool,
    #[command(flatten)]
    pub formats: FormatArgs,
    #[arg(long)]
    pub ignore_mac: bool,
    #[arg(long, hide = true)]
    pub shamir_secret_sharing_threshold: Option<u8>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct RotateArgs {
    /// Files and folders
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub target: TargetArgs,
    #[command(flatten)]
    pub formats: FormatArgs,
    #[arg(long)]
    pub encryption_context: Option<String>,
    #[arg(long)]
    pub add_age: Option<String>,
    #[arg(long)]
    pub rm_age: Option<String>,
    #[arg(long)]
    pub add_pgp: Option<String>,
    #[arg(long)]
    pub rm_pgp: Option<String>,
    #[arg(long)]
    pub add_kms: Option<String>,
    #[arg(long)]
    pub rm_kms: Option<String>,
    #[arg(long)]
    pub add_gcp_kms: Option<String>,
    #[arg(long)]
    pub rm_gcp_kms: Option<String>,
    #[arg(long, hide = true)]
    pub add_hckms: Option<String>,
    #[arg(long, hide = true)]
    pub rm_hckms: Option<String>,
    #[arg(long)]
    pub add_azure_kv: Option<String>,
    #[arg(long)]
    pub rm_azure_kv: Option<String>,
    #[arg(long)]
    pub add_hc_vault_transit: Option<String>,
    #[arg(long)]
    pub rm_hc_vault_transit: Option<String>,
    #[arg(long)]
    pub ignore_mac: bool,
}

#[derive(Debug, Default, Clone, Args)]
pub struct UpdateKeysArgs {
    /// Files and folders
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    #[arg(long, value_name = "FORMAT")]
    pub input_type: Option<String>,
    #[arg(long, hide = true)]
    pub shamir_secret_sharing_threshold: Option<u8>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct StatusArgs {
    /// Files and folders
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    #[arg(long, value_name = "FORMAT")]
    pub input_type: Option<String>,
}

#[derive(Subcommand)]
pub enum GroupsCommand {
    /// Add a key group
    Add(Box<GroupAddArgs>),
    /// Delete a key group, by its number from 0
    Delete(GroupDeleteArgs),
}

#[derive(Debug, Default, Clone, Args)]
pub struct GroupAddArgs {
    #[arg(long, short)]
    pub file: PathBuf,
    #[arg(long, short)]
    pub in_place: bool,
    #[arg(long)]
    pub age: Vec<String>,
    #[arg(long)]
    pub pgp: Vec<String>,
    #[arg(long)]
    pub kms: Vec<String>,
    #[arg(long)]
    pub aws_profile: Option<String>,
    #[arg(long)]
    pub encryption_context: Option<String>,
    #[arg(long)]
    pub gcp_kms: Vec<String>,
    #[arg(long, hide = true)]
    pub hckms: Vec<String>,
    #[arg(long)]
    pub azure_kv: Vec<String>,
    #[arg(long)]
    pub hc_vault_transit: Vec<String>,
    #[arg(long, value_name = "N")]
    pub shamir_secret_sharing_threshold: Option<u8>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct GroupDeleteArgs {
    #[arg(long, short)]
    pub file: PathBuf,
    #[arg(long, short)]
    pub in_place: bool,
    pub index: usize,
    #[arg(long, value_name = "N")]
    pub shamir_secret_sharing_threshold: Option<u8>,
}

#[derive(Debug, Default, Clone, Args)]
pub struct PublishArgs {
    pub file: PathBuf,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Leave the ending of the file's name out
    #[arg(long)]
    pub omit_extensions: bool,
    /// The file is a folder: all that is in it
    #[arg(long)]
    pub recursive: bool,
}

#[derive(Debug, Default, Clone, Args)]
pub struct ExecEnvArgs {
    pub file: PathBuf,
    /// For /bin/sh -c
    pub command: String,
    /// Only the file's values, no other variables
    #[arg(long)]
    pub pristine: bool,
    /// Run it as this user
    #[arg(long)]
    pub user: Option<String>,
    /// Become the command instead of waiting for it
    #[arg(long)]
    pub same_process: bool,
    /// Do not wait for the command
    #[arg(long, hide = true)]
    pub background: bool,
    #[arg(long, value_name = "FORMAT")]
    pub input_type: Option<String>,
    #[arg(long, hide = true)]
    pub ignore_mac: bool,
}

#[derive(Debug, Default, Clone, Args)]
pub struct ExecFileArgs {
    pub file: PathBuf,
    /// For /bin/sh -c; {} is the path of the decrypted file
    pub command: String,
    /// A file on disk instead of a pipe
    #[arg(long)]
    pub no_fifo: bool,
    /// The name of the decrypted file
    #[arg(long)]
    pub filename: Option<PathBuf>,
    /// Run it as this user
    #[arg(long)]
    pub user: Option<String>,
    #[arg(long, hide = true)]
    pub background: bool,
    #[command(flatten)]
    pub formats: FormatArgs,
    #[arg(long, hide = true)]
    pub ignore_mac: bool,
}

#[derive(Subcommand)]
pub enum RecipientsCommand {
    /// Who can decrypt files
    List(StatusArgs),
    /// Let others decrypt files
    Add(RecipientsArgs),
    /// Take files away from somebody: they get a new data key
    Remove(RecipientsArgs),
}

#[derive(Debug, Default, Clone, Args)]
pub struct RecipientsArgs {
    /// Files and folders
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// age1…, a fingerprint, an ARN, a resource, an address
    #[arg(long = "recipient", short, required = true)]
    pub recipients: Vec<String>,
    #[arg(long, value_name = "FORMAT")]
    pub input_type: Option<String>,
}

#[derive(Debug, Default, Clone, Args)]
#[command(
    after_help = "Without places, the restricted values of the file are listed. Others find a text in their place, and so does sops."
)]
pub struct RestrictArgs {
    pub file: PathBuf,
    /// As '["database"]["password"]': the value, or all values below
    #[arg(value_name = "PLACE")]
    pub places: Vec<String>,
    /// Whom they are for, of those who can decrypt the file: age1…, a fingerprint, an ARN, a resource, an address
    #[arg(long = "recipient", short, requires = "places", value_name = "RECIPIENT")]
    pub recipients: Vec<String>,
    /// Let all who can decrypt the file have them again
    #[arg(long, requires = "places", conflicts_with = "recipients")]
    pub lift: bool,
    #[arg(long, value_name = "FORMAT")]
    pub input_type: Option<String>,
}

#[derive(Subcommand)]
pub enum GitCommand {
    /// Set up this repository: merge and diff for files of these patterns
    Install {
        /// As in .gitattributes; without any, those that .gitattributes names already
        patterns: Vec<String>,
    },
    /// Merge three versions of a file (git calls this: %O %A %B %P)
    Merge {
        base: PathBuf,
        ours: PathBuf,
        theirs: PathBuf,
        /// The name of the file in the repository
        name: PathBuf,
    },
    /// Print a file in clear, for `git diff` (git calls this)
    Textconv { file: PathBuf },
}
