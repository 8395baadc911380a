//! What is not a finding after all.

use crate::filter::Words;
use crate::pattern::Pattern;
use crate::rule::{Allowlist, Condition, Target};
use std::sync::{Arc, OnceLock};

/// Allowlists, each of them with its expressions joined into one when it is first needed.
#[derive(Debug)]
pub(super) struct Joined(Vec<One>);

#[derive(Debug)]
struct One {
    list: Arc<Allowlist>,
    paths: OnceLock<Pattern>,
    regexes: OnceLock<Pattern>,
    stopwords: OnceLock<Words>,
}

/// What allowlists are asked about.
pub(super) struct Asked<'a> {
    pub path: &'a str,
    pub commit: &'a str,
    pub secret: &'a [u8],
    pub matched: &'a [u8],
    pub line: &'a [u8],
}

impl Joined {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn new(lists: &[Arc<Allowlist>]) -> Self {
        let one = |list: &Arc<Allowlist>| One {
            list: list.clone(),
            paths: OnceLock::new(),
            regexes: OnceLock::new(),
            stopwords: OnceLock::new(),
        };
        Self(lists.iter().map(one).collect())
    }

    /// Whether everything in a file or a commit is allowed. Where all criteria have to be met, only if there are no others.
    pub(super) fn allows_fragment(&self, path: &str, commit: &str) -> bool {
        if path.is_empty() && commit.is_empty() {
            return false;
        }
        self.0.iter().any(|one| match one.list.condition {
            Condition::Any => one.has_commit(commit) || one.has_path(path),
            Condition::All => {
                one.list.regexes.is_empty()
                    && one.list.stopwords.is_empty()
                    && (one.list.commits.is_empty() || one.has_commit(commit))
                    && (one.list.paths.is_empty() || one.has_path(path))
            }
        })
    }

    /// Whether a finding is allowed. Where one criterion suffices, path and commit were asked about before.
    pub(super) fn allows_finding(&self, asked: &Asked<'_>) -> bool {
        self.0.iter().any(|one| match one.list.condition {
            Condition::Any => one.has_regex(asked) || one.has_stopword(asked.secret),
            Condition::All => {
                (one.list.commits.is_empty() || one.has_commit(asked.commit))
                    && (one.list.paths.is_empty() || one.has_path(asked.path))
                    && (one.list.regexes.is_empty() || one.has_regex(asked))
                    && (one.list.stopwords.is_empty() || one.has_stopword(asked.secret))
            }
        })
    }
}

impl One {
    fn has_commit(&self, commit: &str) -> bool {
        !commit.is_empty()
            && !self.list.commits.is_empty()
            && self.list.commits.contains(&commit.to_lowercase())
    }

    fn has_path(&self, path: &str) -> bool {
        if path.is_empty() || self.list.paths.is_empty() {
            return false;
        }
        self.paths.get_or_init(|| Pattern::any_of(self.list.paths.iter())).is_match(path.as_bytes())
    }

    fn has_regex(&self, asked: &Asked<'_>) -> bool {
        let target = match self.list.target {
            Target::Secret => asked.secret,
            Target::Match => asked.matched,
            Target::Line => asked.line,
        };
        if target.is_empty() || self.list.regexes.is_empty() {
            return false;
        }
        self.regexes.get_or_init(|| Pattern::any_of(self.list.regexes.iter())).is_match(target)
    }

    fn has_stopword(&self, secret: &[u8]) -> bool {
        if secret.is_empty() || self.list.stopwords.is_empty() {
            return false;
        }
        self.stopwords
            .get_or_init(|| Words::new(self.list.stopwords.clone()))
            .is_in(&secret.to_ascii_lowercase())
    }
}
