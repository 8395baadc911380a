//! Takes values, files and folders out of a history: out of every commit, and out of what is beside it.
//!
//! As little as possible is done. Each object of each pack is looked at once, versions where they differ (`find`, `walk`).
//! From the commits down only trees are read that were not met before, and only those written that change (`trees`); then
//! commits, from the first that changes (`commits`). All that is new goes into one pack (`pack_writer`), and what stays as it is
//! follows as it was stored (`kept`, `carry`). Until then the repository is as it was; then all references move at once
//! (`references`), what is around them follows (`settle`), what is old goes (`cleaning`), and everything that is left is looked
//! at once more (`proof`).

mod backup;
mod before;
mod carry;
mod cleaning;
mod commits;
mod delta_writer;
mod error;
mod files;
mod find;
mod git_command;
mod graph;
mod kept;
mod notes;
mod pack_writer;
mod preflight;
mod proof;
mod protection;
mod references;
mod removals;
mod replacements;
mod rewriting;
mod run;
mod sample;
mod settle;
mod sizes;
mod trees;
mod undo;
mod walk;

pub use error::Error;
pub use preflight::Force;
pub use proof::{Proof, REMAINING_MAX, Remaining};
pub use references::Moved;
pub use removals::{Removals, Trace};
pub use replacements::{
    Lines, ParseError, REPLACEMENT, Replacements, Source, Weakness, read as read_replacements,
};
pub use rewriting::{BinaryFiles, ContentRules, GlobKind, Plan, Touched};
pub use run::{Options, Report, purge};
pub use sample::Sample;
pub use sizes::biggest_blobs;
pub use undo::{Undone, backups, remove_backup, undo};
