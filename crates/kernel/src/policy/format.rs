//! Printing a policy's text in one style. Only white space changes: every token and comment stays as it is.

use super::lexer::{Dialect, Token, TokenKind, dialect, tokens};
use super::problem::{PolicyError, Problems};
use super::syntax;

const INDENT: &str = "  ";

/// A policy's text with two spaces per level, single spaces around `=` and after commas, and at most one empty
/// line in a row. What stands on one line stays there; where braces or brackets span lines, they end theirs.
/// The text must be of the right structure; what it says is not judged.
pub fn format(text: &str) -> Result<String, PolicyError> {
    let mut problems = Problems::default();
    syntax::parse(text, &mut problems);
    problems.or(())?;
    let dialect = dialect(text);
    let mut printer = Printer { dialect, ..Printer::default() };
    let tokens = tokens(text, dialect, &mut Problems::default());
    for (token, broken) in tokens.iter().zip(spanning_lines(&tokens)) {
        printer.print(token, broken);
    }
    Ok(printer.finish())
}

/// For each token whether it is a brace or bracket whose pair has a line end in between.
fn spanning_lines(tokens: &[Token<'_>]) -> Vec<bool> {
    let mut broken = vec![false; tokens.len()];
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut line_ends = 0;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Newline => line_ends += 1,
            TokenKind::Mark('{' | '[') => open.push((index, line_ends)),
            TokenKind::Mark('}' | ']') => {
                let Some((start, line_ends_before)) = open.pop() else { continue };
                for end in [start, index] {
                    if let Some(broken) = broken.get_mut(end) {
                        *broken = line_ends > line_ends_before;
                    }
                }
            }
            _ => {}
        }
    }
    broken
}

struct Printer {
    text: String,
    dialect: Dialect,
    depth: usize,
    /// Line ends since the last token.
    line_ends: usize,
    previous: Option<Previous>,
    /// The previous token opened something that spans lines.
    opened_lines: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
    Word,
    Mark(char),
    /// After it the line must end.
    LineComment,
    Heredoc,
}

impl Default for Printer {
    fn default() -> Self {
        Self {
            text: String::new(),
            dialect: Dialect::Hcl,
            depth: 0,
            line_ends: 0,
            previous: None,
            opened_lines: false,
        }
    }
}

impl Printer {
    fn print(&mut self, token: &Token<'_>, broken: bool) {
        if token.kind == TokenKind::Newline {
            self.line_ends += 1;
            return;
        }
        if matches!(token.kind, TokenKind::Mark('}' | ']')) {
            self.depth = self.depth.saturating_sub(1);
        }
        self.space_before(token, broken);
        self.text.push_str(token.source.trim_end_matches(['\r', '\n']));
        if matches!(token.kind, TokenKind::Mark('{' | '[')) {
            self.depth += 1;
        }
        self.line_ends = 0;
        self.opened_lines = broken && matches!(token.kind, TokenKind::Mark('{' | '['));
        self.previous = Some(match token.kind {
            TokenKind::Mark(mark) => Previous::Mark(mark),
            TokenKind::Comment if !token.source.starts_with("/*") => Previous::LineComment,
            TokenKind::Text if token.source.starts_with('<') => Previous::Heredoc,
            _ => Previous::Word,
        });
    }

    fn space_before(&mut self, token: &Token<'_>, broken: bool) {
        let Some(previous) = self.previous else { return };
        let must_end = matches!(previous, Previous::LineComment | Previous::Heredoc);
        let closes_lines = broken && matches!(token.kind, TokenKind::Mark('}' | ']'));
        let begins_lines = self.opened_lines && token.kind != TokenKind::Comment;
        if self.line_ends > 0 || must_end || closes_lines || begins_lines {
            let after_opening = matches!(previous, Previous::Mark('{' | '['));
            let before_closing = matches!(token.kind, TokenKind::Mark('}' | ']'));
            let empty_line = self.line_ends > 1 && !after_opening && !before_closing;
            self.text.push_str(if empty_line { "\n\n" } else { "\n" });
            self.text.push_str(&INDENT.repeat(self.depth));
        } else if self.needs_space(previous, token.kind) {
            self.text.push(' ');
        }
    }

    fn needs_space(&self, previous: Previous, next: TokenKind) -> bool {
        match (previous, next) {
            (Previous::Mark('['), _) | (_, TokenKind::Mark(']' | ',')) => false,
            (Previous::Mark('{'), TokenKind::Mark('}')) => false,
            (_, TokenKind::Mark(':')) => self.dialect == Dialect::Hcl,
            _ => true,
        }
    }

    fn finish(mut self) -> String {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text
    }
}
