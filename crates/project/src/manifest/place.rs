//! Where something stands in the files of a manifest, and how that place is shown: without any value.

use std::path::{Path, PathBuf};

/// A span of bytes in one of the manifest's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub file: usize,
    pub start: usize,
    pub end: usize,
}

/// The texts of a manifest's files, by the index that a `Place` holds.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<(PathBuf, String)>,
}

/// A place as people and editors name it. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub path: PathBuf,
    pub line: usize,
    pub column: usize,
    /// The line itself with its texts masked, and a line of carets below.
    pub snippet: Option<String>,
}

impl Sources {
    pub(crate) fn add(&mut self, path: PathBuf, text: String) -> usize {
        self.files.push((path, text));
        self.files.len() - 1
    }

    pub(crate) fn path(&self, file: usize) -> &Path {
        self.files.get(file).map_or(Path::new(""), |(path, _)| path)
    }

    pub(crate) fn text(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |(_, text)| text)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    pub(crate) fn location(&self, place: Place) -> Location {
        let text = self.text(place.file);
        let start = floor(text, place.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| start + at);
        let line_text = text.get(line_start..line_end).unwrap_or_default().trim_end_matches('\r');
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let end = floor(text, place.end.max(start)).min(line_end);
        let width = text.get(start..end).unwrap_or_default().chars().count();
        let snippet = snippet(line, line_text, column, width);
        Location { path: self.path(place.file).to_owned(), line, column, snippet: Some(snippet) }
    }
}

/// The nearest boundary of a character at or before `index`.
fn floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A line longer than this is not shown.
const SNIPPET_CHARACTERS_MAX: usize = 160;

fn snippet(line: usize, text: &str, column: usize, width: usize) -> String {
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    if text.chars().count() > SNIPPET_CHARACTERS_MAX {
        return format!("{margin} |\n{number} | (a line of {} characters)", text.chars().count());
    }
    let (carets, indent) = ("^".repeat(width.max(1)), " ".repeat(column - 1));
    format!("{margin} |\n{number} | {}\n{margin} | {indent}{carets}", masked(text))
}

/// The line with everything inside quotes as dots, but for words of the manifest's own language. A manifest should hold
/// no value; if somebody put one there by mistake, our messages do not spread it.
fn masked(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['"', '\'', '#']) {
        let (plain, tail) = rest.split_at(at);
        shown.push_str(plain);
        let quote = tail.chars().next().unwrap_or('#');
        if quote == '#' {
            return shown + tail;
        }
        let inside = tail.get(1..).unwrap_or_default();
        let end = closing(inside, quote);
        let content = inside.get(..end).unwrap_or_default();
        shown.push(quote);
        if super::keys::is_word_of_ours(content) {
            shown.push_str(content);
        } else {
            shown.extend(content.chars().map(|_| '·'));
        }
        rest = inside.get(end..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix(quote) {
            shown.push(quote);
            rest = after;
        }
    }
    shown + rest
}

/// Where the quoted text ends: at its quote, or with the line.
fn closing(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' && quote == '"' {
            escaped = true;
        } else if character == quote {
            return at;
        }
    }
    inside.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_without_values() {
        let mut sources = Sources::default();
        let text = "version = 1\nA = { type = \"url\", default = \"hunter2\" } # note\n";
        let file = sources.add("strongroom.toml".into(), text.to_owned());
        let start = text.find("default").unwrap();
        let location = sources.location(Place { file, start, end: start + 7 });
        assert_eq!((location.line, location.column), (2, 21));
        insta::assert_snapshot!(location.snippet.unwrap(), @r#"
          |
        2 | A = { type = "url", default = "·······" } # note
          |                     ^^^^^^^
        "#);
    }

    #[test]
    fn odd_places_do_not_panic() {
        let mut sources = Sources::default();
        let file = sources.add("x".into(), "é = \"ü".to_owned());
        for start in 0..12 {
            for end in 0..12 {
                sources.location(Place { file, start, end });
            }
        }
        assert_eq!(sources.location(Place { file: 9, start: 3, end: 1 }).line, 1);
    }
}
