//! Finds secrets in text. Pure: rules and text in, findings out; no files, no network, no git.
//!
//! [`rule`] holds the rules as types, [`detector`] looks for them in a [`Fragment`], and answers with [`Finding`]s.

pub mod detector;
pub mod finding;
pub mod fragment;
pub mod known;
pub mod rule;

pub use detector::{Detector, Scratch};
pub use finding::{Confidence, Finding, Place};
pub use fragment::Fragment;
pub use rule::{Allowlist, Rule, RuleSet};
