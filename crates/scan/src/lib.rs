//! Brings texts to the detector, from files, git histories, archives and streams; reports, baselines.
//!
//! [`git`] reads histories. What all sources answer with is in [`located`].

pub mod git;
pub mod located;

pub use located::{Commit, Located, Origin, Progress, Sink, SkipReason, Skipped, Statistics, Watch};
