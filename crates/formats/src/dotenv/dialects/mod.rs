//! How each dialect cuts a text into statements, and what a value means once it is cut out.
//!
//! A dialect is two functions: `statement` takes the next entry from a cursor; `decode` takes quotes and escapes off.

pub(super) mod compose;
pub(super) mod line_pattern;
pub(super) mod python;
pub(super) mod sops;
pub(super) mod strict;

use super::Dialect;
use super::text;
use super::tree::Kind;

/// The next entry: where it begins behind blank lines, and what it is. The cursor is then behind it.
pub(super) fn statement(dialect: Dialect, cursor: &mut Cursor<'_>) -> (usize, Kind) {
    match dialect {
        Dialect::Python => python::statement(cursor),
        Dialect::Node => line_pattern::statement(cursor, &line_pattern::NODE),
        Dialect::Compose => compose::statement(cursor),
        Dialect::Ruby => line_pattern::statement(cursor, &line_pattern::RUBY),
        Dialect::Sops => sops::statement(cursor),
        Dialect::Strict => strict::statement(cursor),
    }
}

/// A place in a text.
pub(super) struct Cursor<'t> {
    pub(super) text: &'t str,
    /// In bytes; always between two characters.
    pub(super) at: usize,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str, at: usize) -> Self {
        Self { text, at }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Goes over a character if it is the next one.
    pub(super) fn eat(&mut self, character: char) -> bool {
        let is_next = self.peek() == Some(character);
        if is_next {
            self.at += character.len_utf8();
        }
        is_next
    }

    /// Goes over all characters that are so, and answers whether there was one.
    pub(super) fn skip(&mut self, is_so: impl Fn(char) -> bool) -> bool {
        let start = self.at;
        let rest = self.rest();
        self.at += rest.find(|character| !is_so(character)).unwrap_or(rest.len());
        self.at > start
    }

    /// Goes to the end of the line, before its break.
    pub(super) fn skip_to_line_end(&mut self) {
        self.at = text::line_end(self.text, self.at).0;
    }

    /// Goes behind the line's break.
    pub(super) fn skip_line(&mut self) {
        self.at = text::line_end(self.text, self.at).1;
    }
}

/// Where a quoted text may end: from `at`, behind the opening quote, over all quotes up to the first that has no
/// backslash before it. Each call of `is_end` gets the position of a quote; the last one that it agrees to is the answer.
pub(super) fn last_closing_quote(
    text: &str,
    at: usize,
    quote: char,
    is_end: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut best = None;
    let mut from = at;
    while let Some(offset) = text.get(from..)?.find(quote) {
        let position = from + offset;
        let escaped = position > at && text.as_bytes().get(position - 1) == Some(&b'\\');
        if is_end(position) {
            best = Some(position);
        }
        if !escaped {
            break;
        }
        from = position + 1;
    }
    best
}
