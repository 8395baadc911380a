//! Which values of a file are encrypted: one rule a file, by the keys on the way to a value or by the comments on it.

use regex::Regex;
use std::fmt;
use thiserror::Error;

/// The rule in force when a file names none.
pub const UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// The rule of a file, by its name in the metadata and in `.sops.yaml`.
#[derive(Debug, Clone)]
pub struct Selector {
    kind: SelectorKind,
    text: String,
    regex: Option<Regex>,
    /// In force because the file names none; it is not written then.
    is_implied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelectorKind {
    /// All is encrypted, whatever the keys: binary files.
    Everything,
    UnencryptedSuffix,
    EncryptedSuffix,
    UnencryptedRegex,
    EncryptedRegex,
    UnencryptedCommentRegex,
    EncryptedCommentRegex,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SelectorError {
    #[error("{kind} is not a regular expression: {reason}")]
    Regex { kind: SelectorKind, reason: String },
    #[error("{} are both given: a file has one rule", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))]
    Several(Vec<SelectorKind>),
}

impl SelectorKind {
    /// The rules that have a name.
    pub const NAMED: [Self; 6] = [
        Self::EncryptedCommentRegex,
        Self::EncryptedRegex,
        Self::EncryptedSuffix,
        Self::UnencryptedCommentRegex,
        Self::UnencryptedRegex,
        Self::UnencryptedSuffix,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::UnencryptedSuffix => "unencrypted_suffix",
            Self::EncryptedSuffix => "encrypted_suffix",
            Self::UnencryptedRegex => "unencrypted_regex",
            Self::EncryptedRegex => "encrypted_regex",
            Self::UnencryptedCommentRegex => "unencrypted_comment_regex",
            Self::EncryptedCommentRegex => "encrypted_comment_regex",
        }
    }

    fn is_suffix(self) -> bool {
        matches!(self, Self::UnencryptedSuffix | Self::EncryptedSuffix)
    }
}

impl fmt::Display for SelectorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self {
            kind: SelectorKind::UnencryptedSuffix,
            text: UNENCRYPTED_SUFFIX.to_owned(),
            regex: None,
            is_implied: false,
        }
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.text) == (other.kind, &other.text)
    }
}

impl Eq for Selector {}

impl Selector {
    pub fn new(kind: SelectorKind, text: impl Into<String>) -> Result<Self, SelectorError> {
        let text = text.into();
        let regex = if kind.is_suffix() || kind == SelectorKind::Everything {
            None
        } else {
            let compiled = Regex::new(&text);
            Some(
                compiled
                    .map_err(|error| SelectorError::Regex { kind, reason: last_line(&error.to_string()) })?,
            )
        };
        Ok(Self { kind, text, regex, is_implied: false })
    }

    pub fn everything() -> Self {
        Self { kind: SelectorKind::Everything, text: String::new(), regex: None, is_implied: true }
    }

    /// The default, of a file that names no rule.
    pub(super) fn implied() -> Self {
        Self { is_implied: true, ..Self::default() }
    }

    pub(super) fn is_implied(&self) -> bool {
        self.is_implied
    }

    /// The one rule among those given; empty texts count as not given; the default if there is none.
    pub fn only(
        given: impl IntoIterator<Item = (SelectorKind, String)>,
    ) -> Result<Option<Self>, SelectorError> {
        let mut given: Vec<_> = given.into_iter().filter(|(_, text)| !text.is_empty()).collect();
        if given.len() > 1 {
            return Err(SelectorError::Several(given.into_iter().map(|(kind, _)| kind).collect()));
        }
        given.pop().map(|(kind, text)| Self::new(kind, text)).transpose()
    }

    pub fn kind(&self) -> SelectorKind {
        self.kind
    }

    /// The suffix or the regular expression.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn looks_at_comments(&self) -> bool {
        matches!(self.kind, SelectorKind::UnencryptedCommentRegex | SelectorKind::EncryptedCommentRegex)
    }

    /// Whether one key, or one comment where comments decide, is meant by the rule.
    pub(super) fn matches(&self, text: &str) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(text),
            None => self.kind.is_suffix() && text.ends_with(&self.text),
        }
    }

    /// Whether a value is encrypted, given that something on its way is meant by the rule, or nothing is.
    pub(super) fn encrypts(&self, matched: bool) -> bool {
        match self.kind {
            SelectorKind::Everything => true,
            SelectorKind::UnencryptedSuffix
            | SelectorKind::UnencryptedRegex
            | SelectorKind::UnencryptedCommentRegex => !matched,
            SelectorKind::EncryptedSuffix
            | SelectorKind::EncryptedRegex
            | SelectorKind::EncryptedCommentRegex => matched,
        }
    }
}

/// The sentence of a regex error without the drawing above it.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_and_a_regex_that_compiles() {
        let only = |given: &[(SelectorKind, &str)]| {
            Selector::only(given.iter().map(|(kind, text)| (*kind, (*text).to_owned())))
        };
        assert_eq!(only(&[]), Ok(None));
        assert_eq!(only(&[(SelectorKind::EncryptedSuffix, "")]), Ok(None));
        let two = only(&[(SelectorKind::EncryptedSuffix, "_s"), (SelectorKind::EncryptedRegex, "^x")]);
        assert_eq!(
            two.unwrap_err().to_string(),
            "encrypted_suffix and encrypted_regex are both given: a file has one rule"
        );
        let broken = Selector::new(SelectorKind::EncryptedRegex, "(").unwrap_err().to_string();
        assert_eq!(broken, "encrypted_regex is not a regular expression: unclosed group");
    }
}
