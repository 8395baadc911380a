//! Stretches of a text that are to be replaced.

use std::cmp::Reverse;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: usize,
    pub end: usize,
    pub label: Label,
    /// What is written instead is a JSON string.
    pub is_quoted: bool,
}

impl Span {
    pub(super) fn new(start: usize, end: usize, label: Label) -> Self {
        Self { start, end, label, is_quoted: false }
    }
}

/// What stands there. In this order: where two begin at one place and end at one place, the first is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// A known value, by its number.
    Secret(u32),
    /// A rule of the detector, by its number.
    Rule(u32),
    Name(Kind),
}

/// What a text calls a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Password,
    Token,
    Authorization,
    Cookie,
    UrlPassword,
    PrivateKey,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::UrlPassword => "url-password",
            Self::PrivateKey => "private-key",
        }
    }
}

/// Sorts, and joins what overlaps, and what touches and is of the same value. What comes first in the text gives its name, the
/// longest of those that begin together; a known value gives its name to whatever it overlaps.
pub(super) fn join(spans: &mut Vec<Span>) {
    spans.sort_unstable_by_key(|span| (span.start, Reverse(span.end), span.label));
    let mut joined = 0_usize;
    for at in 0..spans.len() {
        let Some(next) = spans.get(at).copied() else { break };
        let last = joined.checked_sub(1).and_then(|last| spans.get_mut(last));
        match last {
            Some(last) if next.start < last.end || (next.start == last.end && next.label == last.label) => {
                last.end = last.end.max(next.end);
                last.is_quoted |= next.is_quoted;
                let is_known = |label: Label| matches!(label, Label::Secret(_));
                if is_known(next.label) && !is_known(last.label) {
                    last.label = next.label;
                }
            }
            _ => {
                if let Some(place) = spans.get_mut(joined) {
                    *place = next;
                }
                joined += 1;
            }
        }
    }
    spans.truncate(joined);
}
