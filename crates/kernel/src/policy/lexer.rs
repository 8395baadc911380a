//! The words of HCL 1, the dialect policies are written in, and of JSON.
//! <https://github.com/hashicorp/hcl/blob/hcl1/README.md>

use super::problem::{Position, Problem, Problems, quoted};
use std::iter::Peekable;
use std::str::CharIndices;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Hcl,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A bare word; also `true`, `false` and (in JSON) `null`.
    Word,
    Text,
    Number,
    /// One of `{ } [ ] = : ,`.
    Mark(char),
    Comment,
    Newline,
}

#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind,
    pub(super) position: Position,
    /// As it stands in the text.
    pub(super) source: &'a str,
    /// What a `Text` says, its escapes resolved; empty for the others.
    pub(super) value: String,
}

pub(super) fn dialect(text: &str) -> Dialect {
    if text.trim_start().starts_with('{') { Dialect::Json } else { Dialect::Hcl }
}

/// Takes a text apart; comments and line ends are kept for those who print.
pub(super) fn tokens<'a>(text: &'a str, dialect: Dialect, problems: &mut Problems) -> Vec<Token<'a>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let position = Position { line: 1, column: 1 };
    let mut lexer = Lexer { text, dialect, characters: text.char_indices().peekable(), position };
    let mut tokens = Vec::new();
    while let Some((start, position, first)) = lexer.bump() {
        match lexer.token(start, position, first) {
            Ok(Some(token)) => tokens.push(token),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
        if problems.is_full() {
            break;
        }
    }
    tokens
}

struct Lexer<'a> {
    text: &'a str,
    dialect: Dialect,
    characters: Peekable<CharIndices<'a>>,
    position: Position,
}

impl<'a> Lexer<'a> {
    fn bump(&mut self) -> Option<(usize, Position, char)> {
        let (start, character) = self.characters.next()?;
        let position = self.position;
        if character == '\n' {
            self.position = Position { line: position.line.saturating_add(1), column: 1 };
        } else {
            self.position.column = position.column.saturating_add(1);
        }
        Some((start, position, character))
    }

    fn peek(&mut self) -> Option<char> {
        self.characters.peek().map(|(_, character)| *character)
    }

    /// The byte offset of what comes next.
    fn offset(&mut self) -> usize {
        self.characters.peek().map_or(self.text.len(), |(offset, _)| *offset)
    }

    fn bump_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.bump();
        }
    }

    fn since(&mut self, start: usize) -> &'a str {
        let end = self.offset();
        self.text.get(start..end).unwrap_or_default()
    }

    fn token(&mut self, start: usize, position: Position, first: char) -> Result<Option<Token<'a>>, Problem> {
        let mut value = String::new();
        let kind = match first {
            '\n' => TokenKind::Newline,
            ' ' | '\t' | '\r' => return Ok(None),
            '{' | '}' | '[' | ']' | '=' | ':' | ',' => TokenKind::Mark(first),
            '"' => {
                value = self.text_token(start, position)?;
                TokenKind::Text
            }
            '#' if self.dialect == Dialect::Hcl => self.line_comment(),
            '/' if self.dialect == Dialect::Hcl => self.comment(position)?,
            '<' if self.dialect == Dialect::Hcl && self.peek() == Some('<') => {
                value = self.heredoc(position)?;
                TokenKind::Text
            }
            '-' | '0'..='9' => {
                self.bump_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'));
                TokenKind::Number
            }
            _ if first == '_' || first.is_alphabetic() => {
                self.bump_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
                TokenKind::Word
            }
            _ => return Err(Problem::new(position, format!("unexpected character {first:?}"))),
        };
        Ok(Some(Token { kind, position, source: self.since(start), value }))
    }

    fn line_comment(&mut self) -> TokenKind {
        self.bump_while(|c| c != '\n');
        TokenKind::Comment
    }

    fn comment(&mut self, position: Position) -> Result<TokenKind, Problem> {
        match self.peek() {
            Some('/') => Ok(self.line_comment()),
            Some('*') => {
                self.bump();
                let mut previous = ' ';
                while let Some((_, _, character)) = self.bump() {
                    if previous == '*' && character == '/' {
                        return Ok(TokenKind::Comment);
                    }
                    previous = character;
                }
                Err(Problem::new(position, "comment is not closed").with_hint("close it with */"))
            }
            _ => Err(Problem::new(position, "unexpected character '/'").with_hint("paths stand in quotes")),
        }
    }

    fn text_token(&mut self, start: usize, position: Position) -> Result<String, Problem> {
        let mut escaped = false;
        loop {
            match self.peek() {
                None | Some('\n') => {
                    let hint = "close it with a double quote on the same line";
                    return Err(Problem::new(position, "text is not closed").with_hint(hint));
                }
                Some(character) => {
                    self.bump();
                    if character == '"' && !escaped {
                        break;
                    }
                    escaped = character == '\\' && !escaped;
                }
            }
        }
        let source = self.since(start);
        let value = match self.dialect {
            Dialect::Json => serde_json::from_str(source).ok(),
            Dialect::Hcl => source.strip_prefix('"').and_then(|rest| unescape(rest.strip_suffix('"')?)),
        };
        value.ok_or_else(|| {
            Problem::new(position, format!("{} has an escape that is not known", quoted(source)))
        })
    }

    /// `<<MARK` or `<<-MARK`, lines, and the mark alone on a line.
    fn heredoc(&mut self, position: Position) -> Result<String, Problem> {
        self.bump();
        let indented = self.peek() == Some('-');
        if indented {
            self.bump();
        }
        let mark_start = self.offset();
        self.bump_while(|c| c != '\n');
        let mark = self.since(mark_start).trim();
        let mut lines: Vec<&str> = Vec::new();
        while self.bump().is_some() {
            let line_start = self.offset();
            self.bump_while(|c| c != '\n');
            let line = self.since(line_start);
            if line.trim() == mark && !mark.is_empty() {
                let margin = if indented { margin(&lines) } else { 0 };
                return Ok(lines
                    .iter()
                    .map(|line| format!("{}\n", line.get(margin..).unwrap_or_default()))
                    .collect());
            }
            lines.push(line);
        }
        Err(Problem::new(position, "text is not closed").with_hint("close it with its mark alone on a line"))
    }
}

fn margin(lines: &[&str]) -> usize {
    let blank = |line: &&&str| !line.trim().is_empty();
    lines
        .iter()
        .filter(blank)
        .map(|line| line.len() - line.trim_start_matches([' ', '\t']).len())
        .min()
        .unwrap_or(0)
}

/// Resolves HCL's escapes, which are Go's.
fn unescape(text: &str) -> Option<String> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        value.push(match characters.next()? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            kept @ ('"' | '\\') => kept,
            'x' => code_point(&mut characters, 2).filter(char::is_ascii)?,
            'u' => code_point(&mut characters, 4)?,
            'U' => code_point(&mut characters, 8)?,
            _ => return None,
        });
    }
    Some(value)
}

fn code_point(characters: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let mut code = 0_u32;
    for _ in 0..digits {
        code = code.checked_mul(16)?.checked_add(characters.next()?.to_digit(16)?)?;
    }
    char::from_u32(code)
}
/// Writes a text as HCL and JSON both read it.
pub(super) fn escape(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
