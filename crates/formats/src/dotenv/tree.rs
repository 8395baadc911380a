//! The tree: a file as a sequence of entries that together are all of its bytes.

use super::Dialect;
use super::dialects::{self, Cursor};
use super::text::{self, BYTE_ORDER_MARK, ENTRIES_MAX, TextError};
use std::sync::Arc;
use strongroom_secret::SecretString;

/// A `.env` file as one dialect reads it. Every byte of it is kept.
#[derive(Debug, Clone)]
pub struct Document {
    text: Arc<SecretString>,
    dialect: Dialect,
    entries: Vec<Entry>,
}

/// A piece of the text, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// A statement, a comment or a run of blank lines, with its line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// All of it. The entries' spans cover the text without a gap, but for a mark of the byte order before the first.
    pub span: Span,
    /// The line on which the span starts, from 1. Python's statements start with the blank lines before them.
    pub first_line: usize,
    /// The line on which what is not blank starts, from 1.
    pub line: usize,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Blank,
    Comment,
    Assignment(Assignment),
    /// Text that the dialect cannot read.
    Bad(Bad),
}

/// `export KEY = VALUE # comment`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub export: bool,
    /// Without quotes.
    pub key: Span,
    /// `None` for a name alone.
    pub value: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// With quotes, without white space around it.
    pub span: Span,
    /// The quotes that the dialect takes off.
    pub quote: Quote,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    None,
    Single,
    Double,
    Backtick,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    #[error("there is no name")]
    NoName,
    #[error("the name holds a character that no name can")]
    Name,
    #[error("a quote is opened and not closed")]
    OpenQuote,
    #[error("there is something behind the closing quote")]
    BehindValue,
    #[error("there is no = behind the name")]
    NoSeparator,
    #[error("a blank line holds white space")]
    WhiteSpaceAlone,
    #[error("there is white space around the name or the value")]
    WhiteSpace,
    #[error("the value holds a character that readers take for more than itself")]
    ValueCharacter,
    #[error("a comment does not start at the line's start")]
    CommentIndented,
    #[error("the name is exported")]
    Exported,
    #[error("the line ends with a carriage return")]
    CarriageReturn,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

impl Quote {
    pub(super) fn of(character: char) -> Option<Self> {
        match character {
            '\'' => Some(Self::Single),
            '"' => Some(Self::Double),
            '`' => Some(Self::Backtick),
            _ => None,
        }
    }

    pub fn character(self) -> Option<char> {
        match self {
            Self::None => None,
            Self::Single => Some('\''),
            Self::Double => Some('"'),
            Self::Backtick => Some('`'),
        }
    }
}

impl Document {
    /// Reads a file's bytes.
    pub fn from_bytes(bytes: &[u8], dialect: Dialect) -> Result<Self, TextError> {
        Self::of(Arc::new(text::decode(bytes)?), dialect)
    }

    /// Reads a text.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, TextError> {
        Self::from_bytes(text.as_bytes(), dialect)
    }

    /// The same text, as another dialect reads it.
    pub fn read_as(&self, dialect: Dialect) -> Result<Self, TextError> {
        if dialect == self.dialect { Ok(self.clone()) } else { Self::of(Arc::clone(&self.text), dialect) }
    }

    fn of(text: Arc<SecretString>, dialect: Dialect) -> Result<Self, TextError> {
        let entries = read(text.expose(), dialect)?;
        Ok(Self { text, dialect, entries })
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The whole text, byte for byte.
    pub fn text(&self) -> &str {
        self.text.expose()
    }

    pub fn has_byte_order_mark(&self) -> bool {
        self.text().starts_with(BYTE_ORDER_MARK)
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The statements that give a name a value, or name it.
    pub fn assignments(&self) -> impl DoubleEndedIterator<Item = (&Entry, &Assignment)> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Assignment(assignment) => Some((entry, assignment)),
            _ => None,
        })
    }

    /// What cannot be read: the lines and the reasons.
    pub fn bad_lines(&self) -> impl Iterator<Item = (&Entry, Bad)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::Bad(bad) => Some((entry, bad)),
            _ => None,
        })
    }

    /// The line on which git's mark of a merge conflict begins, if the file holds one.
    pub fn merge_conflict(&self) -> Option<usize> {
        // Such a mark is no assignment: most files need no look at their text.
        self.bad_lines().next()?;
        let line = |mark: &str| self.text().lines().position(|line| line.starts_with(mark));
        let (start, end) = (line("<<<<<<< ")?, line(">>>>>>> ")?);
        (start < end).then_some(start + 1)
    }

    /// The text of a span. It may be secret.
    pub fn slice(&self, span: Span) -> &str {
        self.text().get(span.start..span.end).unwrap_or_default()
    }

    pub fn key(&self, assignment: &Assignment) -> &str {
        self.slice(assignment.key)
    }

    /// A value as it is written, without its quotes.
    pub(super) fn inner(&self, value: Value) -> &str {
        let text = self.slice(value.span);
        if value.quote == Quote::None { text } else { text.get(1..text.len() - 1).unwrap_or_default() }
    }
}

fn read(text: &str, dialect: Dialect) -> Result<Vec<Entry>, TextError> {
    let mut entries = Vec::new();
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let mut cursor = Cursor::new(text, start);
    let mut first_line = 1;
    while !cursor.is_at_end() {
        if entries.len() == ENTRIES_MAX {
            return Err(TextError::TooManyEntries { line: first_line });
        }
        let start = cursor.at;
        let (begins, kind) = dialects::statement(dialect, &mut cursor);
        if cursor.at <= start {
            // No dialect stands still; if one did, the rest of the text would be one bad entry.
            cursor.at = text.len();
        }
        let span = Span::new(start, cursor.at);
        let blank = text.get(start..begins.clamp(start, cursor.at)).unwrap_or_default();
        let line = first_line + text::line_breaks(blank);
        entries.push(Entry { span, first_line, line, kind });
        first_line += text::line_breaks(text.get(start..cursor.at).unwrap_or_default());
    }
    Ok(entries)
}
