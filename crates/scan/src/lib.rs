//! Brings texts to the detector, from files, git histories, archives and streams; reports, baselines.
//!
//! [`files`] walks folders and reads streams; what it meets is told apart in [`content`] and opened in `archive`.
//! [`git`] reads histories. What all sources answer with is in [`located`]; [`report`] writes it down, and
//! [`baseline`] knows what need not be said again. [`purge`] takes out of a history what should not be in it.

mod archive;
pub mod baseline;
pub mod content;
pub mod files;
pub mod git;
pub mod located;
#[cfg(test)]
mod planted;
pub mod purge;
pub mod report;

pub use archive::ArchiveLimits;
pub use content::{Binaries, ContentOptions, Cutting};
pub use files::{FilesOptions, scan_files, scan_stream};
pub use located::{Commit, Located, Origin, Progress, Sink, SkipReason, Skipped, Statistics, Watch};
