//! The flags of `purge`.

use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
#[command(after_help = "\
Values are never arguments: they come from files, standard input (-) or the project's providers.
Exit codes: 0 done and proven, 7 something is left (it is named), others: nothing was changed, and the message says why.
A run that was killed is ended by the next one.")]
pub struct PurgeArgs {
    /// A folder of the repository [default: .]
    pub path: Option<PathBuf>,

    /// Values, one a line, as they are; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "What is taken out")]
    pub values: Vec<PathBuf>,
    /// Entries as git-filter-repo and the BFG read them: literal:, regex: or glob: in front, ==> and something else behind; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "What is taken out")]
    pub replace_text: Vec<PathBuf>,
    /// The value of a secret of the project, by its name in the manifest
    #[arg(long, value_name = "NAME", help_heading = "What is taken out")]
    pub secret: Vec<String>,
    /// Also take out what base64, hex, URLs, JSON make of the values (on for --values and --secret)
    #[arg(long, help_heading = "What is taken out")]
    pub encodings: bool,
    /// Files of such a name: *.pem, id_{rsa,dsa}
    #[arg(long, value_name = "GLOB", help_heading = "What is taken out")]
    pub delete_files: Vec<String>,
    /// Folders of such a name, with all that is in them
    #[arg(long, value_name = "GLOB", help_heading = "What is taken out")]
    pub delete_folders: Vec<String>,
    /// This file or folder, from the top of the repository
    #[arg(long = "path", value_name = "PATH", help_heading = "What is taken out")]
    pub paths: Vec<String>,
    /// Files and folders whose whole path is such; a star is anything, / too
    #[arg(long, value_name = "GLOB", help_heading = "What is taken out")]
    pub path_glob: Vec<String>,
    /// Files of more bytes: 500K, 10M, 1G
    #[arg(long, value_name = "SIZE", help_heading = "What is taken out")]
    pub strip_blobs_bigger_than: Option<String>,
    /// Files by the ids of their blobs, one a line
    #[arg(long, value_name = "FILE", help_heading = "What is taken out")]
    pub strip_blobs_with_ids: Option<PathBuf>,

    /// Replace in files of such a name alone
    #[arg(long, value_name = "GLOB", help_heading = "Where")]
    pub include: Vec<String>,
    /// Do not replace in files of such a name
    #[arg(long, value_name = "GLOB", help_heading = "Where")]
    pub exclude: Vec<String>,
    /// Leave binary files as they are, as git-filter-repo and the BFG do
    #[arg(long, help_heading = "Where")]
    pub skip_binary: bool,
    /// Leave names of files and folders as they are
    #[arg(long, help_heading = "Where")]
    pub keep_names: bool,
    /// Leave messages of commits and tags as they are, but for ids that change
    #[arg(long, help_heading = "Where")]
    pub keep_messages: bool,

    /// Change nothing; say what would be changed, with a few lines of it
    #[arg(short = 'n', long, help_heading = "How")]
    pub dry_run: bool,
    /// Go on in a shallow clone, with values that are short or common words, with objects that cannot be read
    #[arg(long, help_heading = "How")]
    pub force: bool,
    /// Keep no backup
    #[arg(long, help_heading = "How")]
    pub no_backup: bool,
    /// Leave the old objects where they are, and look at nothing afterwards
    #[arg(long, help_heading = "How")]
    pub no_gc: bool,
    /// Put back what the last purge with a backup changed
    #[arg(long, help_heading = "Afterwards", conflicts_with_all = ["remove_backups", "dry_run"])]
    pub undo: bool,
    /// Remove the backups, which hold what was purged
    #[arg(long, help_heading = "Afterwards", conflicts_with = "dry_run")]
    pub remove_backups: bool,
}
