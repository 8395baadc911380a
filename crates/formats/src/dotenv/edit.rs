//! Changing a file: text in, text out, and every byte that the change is not about stays.

use super::Dialect;
use super::dialects::python;
use super::quote::{self, Form, Meaning, reads_back};
use super::text::{self, TextError};
use super::tree::{Assignment, Document, Entry, Quote};
use strongroom_secret::SecretString;
use zeroize::Zeroizing;

/// How `set` writes.
#[derive(Debug, Clone)]
pub struct SetOptions {
    /// All of these have to read the value back, beside the document's own dialect.
    pub readers: Vec<Dialect>,
    pub quoting: Quoting,
    pub export: Export,
    pub copies: Copies,
    pub final_newline: FinalNewline,
}

/// Which form of a value is tried first. One that is not read back is never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// As the value was quoted before; a new one is quoted if it has to be.
    Keep,
    /// python-dotenv's `always`: single quotes.
    Always,
    /// python-dotenv's `auto`: single quotes around anything but letters and digits.
    Auto,
    /// python-dotenv's `never`.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    Keep,
    /// Puts `export` before the name.
    Add,
}

/// Of several lines with one name, which are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// The last one, which is the one that counts.
    Last,
    All,
}

/// What the last line ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalNewline {
    /// What it ended with before.
    Keep,
    Always,
}

impl Default for SetOptions {
    fn default() -> Self {
        Self {
            readers: Vec::new(),
            quoting: Quoting::Keep,
            export: Export::Keep,
            copies: Copies::Last,
            final_newline: FinalNewline::Keep,
        }
    }
}

/// A new text, and where it differs.
#[derive(Debug)]
pub struct Edited {
    pub text: SecretString,
    /// The lines that were changed, added or taken away, from 1.
    pub lines: Vec<usize>,
}

/// Why a file is not changed. Never with a value in it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("{0:?} cannot be a name: no line that begins with it is read back")]
    Name(String),
    #[error("{}", unwritable(.readers))]
    Value { readers: Vec<Dialect> },
    #[error("line {line} would no longer be read as it is: is a quote left open above it?")]
    Disturbed { line: usize },
    #[error("the file {0}")]
    Text(#[from] TextError),
}

fn unwritable(readers: &[Dialect]) -> String {
    let names: Vec<_> = readers.iter().map(|dialect| dialect.name()).collect();
    match names.as_slice() {
        [only] => format!("the dialect {only} has no way of writing this value"),
        _ => format!("no way of writing this value is read alike by {}: ask for fewer", names.join(", ")),
    }
}

impl Document {
    /// Gives a name a value. The value comes back as it is, `$` and all. A line that is there keeps its place, spacing,
    /// `export`, quotes and comment, as far as the value is then read back; a new one goes to the end.
    pub fn set(&self, key: &str, value: &SecretString, options: &SetOptions) -> Result<Edited, EditError> {
        self.write(key, value, Meaning::Literal, options)
    }

    /// As `set`, but references to variables in the value are meant as such.
    pub fn set_template(
        &self,
        key: &str,
        template: &SecretString,
        options: &SetOptions,
    ) -> Result<Edited, EditError> {
        self.write(key, template, Meaning::Template, options)
    }

    /// Takes all lines of a name away; `None` if there is none. Comments and blank lines around them stay.
    pub fn unset(&self, key: &str) -> Result<Option<Edited>, EditError> {
        let mut pieces = Vec::new();
        let mut lines = Vec::new();
        let mut from = 0;
        for (entry, _) in self.assignments().filter(|(_, assignment)| self.key(assignment) == key) {
            pieces.push(self.text().get(from..self.line_start(entry)).unwrap_or_default());
            lines.push(entry.line);
            from = entry.span.end;
        }
        if lines.is_empty() {
            return Ok(None);
        }
        pieces.push(self.text().get(from..).unwrap_or_default());
        let edited = Edited { text: SecretString::new(pieces.concat()), lines };
        let new = Self::parse(edited.text.expose(), self.dialect())?;
        self.others_unchanged(&new, key)?;
        if let Some((entry, _)) = new.assignments().find(|(_, assignment)| new.key(assignment) == key) {
            return Err(EditError::Disturbed { line: entry.line });
        }
        Ok(Some(edited))
    }

    fn write(
        &self,
        key: &str,
        value: &SecretString,
        meaning: Meaning,
        options: &SetOptions,
    ) -> Result<Edited, EditError> {
        let readers = self.readers(options);
        let writer = Writer { key, value: value.expose(), meaning, options, readers: &readers };
        let mut targets: Vec<_> =
            self.assignments().filter(|(_, assignment)| self.key(assignment) == key).collect();
        if options.copies == Copies::Last {
            targets.drain(..targets.len().saturating_sub(1));
        }
        let edited =
            if targets.is_empty() { self.append(&writer)? } else { self.rewrite(&writer, &targets)? };
        let new = Self::parse(edited.text.expose(), self.dialect())?;
        self.others_unchanged(&new, key)?;
        let last = new.assignments().rfind(|(_, assignment)| new.key(assignment) == key);
        let found = last.is_some_and(|(entry, _)| {
            let line = new.text().get(new.line_start(entry)..new.line_break_start(entry)).unwrap_or_default();
            reads_back(line, key, value.expose(), meaning, self.dialect())
        });
        if found {
            Ok(edited)
        } else {
            Err(EditError::Disturbed { line: edited.lines.last().copied().unwrap_or(1) })
        }
    }

    fn readers(&self, options: &SetOptions) -> Vec<Dialect> {
        let mut readers = vec![self.dialect()];
        for reader in &options.readers {
            if !readers.contains(reader) {
                readers.push(*reader);
            }
        }
        readers
    }

    fn append(&self, writer: &Writer<'_>) -> Result<Edited, EditError> {
        let text = self.text();
        let line_break = self.line_break();
        let carriage_return_ends = matches!(self.dialect(), Dialect::Python | Dialect::Node | Dialect::Ruby);
        let is_ended = text.ends_with('\n') || (carriage_return_ends && text.ends_with('\r'));
        let ends = text.is_empty() || is_ended;
        let export = if writer.options.export == Export::Add { "export " } else { "" };
        let line = writer.line(&[Frame::plain(export, writer.key, "")], Quote::None, IsNew::Yes)?;
        let mut pieces = vec![text];
        if !ends {
            pieces.push(line_break);
        }
        pieces.push(&line);
        if ends || writer.options.final_newline == FinalNewline::Always {
            pieces.push(line_break);
        }
        let lines = vec![text::line_breaks(text) + if ends { 1 } else { 2 }];
        Ok(Edited { text: SecretString::new(pieces.concat()), lines })
    }

    fn rewrite(&self, writer: &Writer<'_>, targets: &[(&Entry, &Assignment)]) -> Result<Edited, EditError> {
        let mut new = Vec::with_capacity(targets.len());
        for (entry, assignment) in targets {
            new.push(self.new_line(writer, entry, assignment)?);
        }
        let mut pieces = Vec::new();
        let mut from = 0;
        for ((entry, _), line) in targets.iter().zip(&new) {
            pieces.push(self.text().get(from..self.line_start(entry)).unwrap_or_default());
            pieces.push(line);
            pieces.push(self.text().get(self.line_break_start(entry)..entry.span.end).unwrap_or_default());
            from = entry.span.end;
        }
        let rest = self.text().get(from..).unwrap_or_default();
        pieces.push(rest);
        let is_open = rest.is_empty() && !self.text().ends_with(['\n', '\r']);
        if is_open && writer.options.final_newline == FinalNewline::Always {
            pieces.push(self.line_break());
        }
        let lines = targets.iter().map(|(entry, _)| entry.line).collect();
        Ok(Edited { text: SecretString::new(pieces.concat()), lines })
    }

    /// The line of an assignment with another value, without its break.
    fn new_line(
        &self,
        writer: &Writer<'_>,
        entry: &Entry,
        assignment: &Assignment,
    ) -> Result<Zeroizing<String>, EditError> {
        let text = self.text();
        let piece = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let start = self.line_start(entry);
        let ends = self.line_break_start(entry);
        let key_end = assignment.key.end
            + usize::from(text.get(assignment.key.end..).is_some_and(|rest| rest.starts_with('\'')));
        let (head, tail) = match assignment.value {
            Some(value) => (piece(start, value.span.start).to_owned(), piece(value.span.end, ends)),
            None => (piece(start, key_end).to_owned() + "=", piece(key_end, ends)),
        };
        let adds_export = writer.options.export == Export::Add && !assignment.export;
        let head = if adds_export { format!("export {}", head.trim_start()) } else { head };
        let export = if adds_export || assignment.export { "export " } else { "" };
        let frames = [
            Frame { head: head.clone(), tail: tail.to_owned() },
            Frame::plain(export, writer.key, tail),
            Frame { head, tail: String::new() },
            Frame::plain(export, writer.key, ""),
            Frame::plain("", writer.key, ""),
        ];
        let quote = assignment.value.map_or(Quote::None, |value| value.quote);
        let is_new = if assignment.value.is_some() { IsNew::No } else { IsNew::Yes };
        writer.line(&frames, quote, is_new)
    }

    /// Where an entry's own first line starts, behind the blank lines before it.
    fn line_start(&self, entry: &Entry) -> usize {
        let all = self.slice(entry.span);
        let blank = all.len() - all.trim_start_matches(python::is_space).len();
        let last_break = all.get(..blank).and_then(|blank| blank.rfind(['\n', '\r']));
        entry.span.start + last_break.map_or(0, |at| at + 1)
    }

    /// Where an entry's last line ends. To sops a carriage return is part of the value.
    fn line_break_start(&self, entry: &Entry) -> usize {
        let text = self.slice(entry.span);
        let without = if self.ends_lines_with_line_feeds() {
            text.strip_suffix('\n').unwrap_or(text)
        } else {
            text.trim_end_matches(['\n', '\r'])
        };
        entry.span.start + without.len()
    }

    /// The kind of line break in use.
    fn line_break(&self) -> &'static str {
        let first = self.text().split_inclusive('\n').next().unwrap_or_default();
        if first.ends_with("\r\n") && !self.ends_lines_with_line_feeds() { "\r\n" } else { "\n" }
    }

    fn ends_lines_with_line_feeds(&self) -> bool {
        matches!(self.dialect(), Dialect::Sops | Dialect::Strict)
    }

    /// Insists that all lines of a new text but those of `key` are read as before.
    fn others_unchanged(&self, new: &Self, key: &str) -> Result<(), EditError> {
        let mut before = self.assignments().filter(|(_, assignment)| self.key(assignment) != key);
        let mut after = new.assignments().filter(|(_, assignment)| new.key(assignment) != key);
        loop {
            let pair = (before.next(), after.next());
            let ((old_entry, old), (_, new_assignment)) = match pair {
                (None, None) => return Ok(()),
                (Some(old), Some(new)) => (old, new),
                (Some((entry, _)), None) | (None, Some((entry, _))) => {
                    return Err(EditError::Disturbed { line: entry.line });
                }
            };
            let value = |document: &Self, assignment: &Assignment| {
                assignment.value.map(|value| Zeroizing::new(document.slice(value.span).to_owned()))
            };
            if self.key(old) != new.key(new_assignment) || value(self, old) != value(new, new_assignment) {
                return Err(EditError::Disturbed { line: old_entry.line });
            }
        }
    }
}

/// What stands around a value in its line.
struct Frame {
    /// Up to and with the `=`.
    head: String,
    /// White space and a comment.
    tail: String,
}

impl Frame {
    fn plain(export: &str, key: &str, tail: &str) -> Self {
        Self { head: format!("{export}{key}="), tail: tail.to_owned() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsNew {
    Yes,
    No,
}

struct Writer<'w> {
    key: &'w str,
    value: &'w str,
    meaning: Meaning,
    options: &'w SetOptions,
    readers: &'w [Dialect],
}

impl Writer<'_> {
    /// The first of all forms in the first of all frames that every reader reads back.
    fn line(&self, frames: &[Frame], quote: Quote, is_new: IsNew) -> Result<Zeroizing<String>, EditError> {
        let first = self.first_forms(quote, is_new);
        for frame in frames {
            for form in quote::forms(&first) {
                let value = form.write(self.value);
                let line = Zeroizing::new([&frame.head, value.as_str(), &frame.tail].concat());
                if self
                    .readers
                    .iter()
                    .all(|reader| reads_back(&line, self.key, self.value, self.meaning, *reader))
                {
                    return Ok(line);
                }
            }
        }
        let plain = format!("{}=x", self.key);
        let named = |reader: &Dialect| reads_back(&plain, self.key, "x", Meaning::Literal, *reader);
        if self.readers.iter().all(named) {
            Err(EditError::Value { readers: self.readers.to_vec() })
        } else {
            Err(EditError::Name(self.key.to_owned()))
        }
    }

    fn first_forms(&self, quote: Quote, is_new: IsNew) -> Vec<Form> {
        const PYTHON: &[Form] = &[Form::SingleEscapedQuote];
        let all_letters = !self.value.is_empty() && self.value.chars().all(char::is_alphanumeric);
        let first = match self.options.quoting {
            Quoting::Never => &[Form::Bare],
            Quoting::Auto if all_letters => &[Form::Bare],
            Quoting::Always | Quoting::Auto => PYTHON,
            // Not single quotes: in them, most dialects put nothing in.
            Quoting::Keep if self.meaning == Meaning::Template => &[Form::Bare, Form::Double],
            Quoting::Keep if is_new == IsNew::No && quote != Quote::None => quote::like(quote),
            Quoting::Keep if quote::is_simple(self.value) => &[Form::Bare],
            Quoting::Keep => &[Form::Single, Form::Double, Form::DoubleEscaped],
        };
        first.to_vec()
    }
}
