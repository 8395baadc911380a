//! Finds secrets in text. Pure: rules and text in, findings out; no files, no network, no git.
//!
//! [`config`] reads rules, [`rule`] holds them as types, [`detector`] looks for them in a [`Fragment`], and answers with [`Finding`]s.

mod assigned;
pub mod builtin;
pub mod config;
mod decode;
pub mod detector;
pub mod efficiency;
pub mod entropy;
pub mod filter;
pub mod finding;
pub mod fragment;
mod ignores;
pub mod known;
pub mod pattern;
mod prefilter;
pub mod redact;
pub mod rule;
pub mod structure;
mod window;

pub use detector::{Detector, InlineIgnores, Mode, Options, Scratch};
pub use finding::{Confidence, Finding, KnownValue, Place, RequiredFinding};
pub use fragment::{Fragment, PATH_UNKNOWN};
pub use pattern::Pattern;
pub use rule::{Allowlist, Rule, RuleSet, Severity};
pub use structure::{Structure, Verdict};
