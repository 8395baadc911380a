//! Lines and columns.

use crate::{Mode, Place};
use std::ops::Range;

/// Where the newlines of a text are, found when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Lines {
    newlines: Vec<usize>,
    is_known: bool,
}

/// Where a match is, and the line (or lines) that it stands in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub place: Place,
    pub line: Range<usize>,
}

impl Lines {
    pub(super) fn forget(&mut self) {
        self.newlines.clear();
        self.is_known = false;
    }

    fn of(&mut self, text: &[u8]) -> &[usize] {
        if !self.is_known {
            self.newlines.extend(memchr::memchr_iter(b'\n', text));
            self.is_known = true;
        }
        &self.newlines
    }

    pub(super) fn locate(
        &mut self,
        text: &[u8],
        found: &Range<usize>,
        first_line: u64,
        mode: Mode,
    ) -> Located {
        let newlines = self.of(text);
        match mode {
            Mode::Compatible => compatible(newlines, text, found, first_line),
            Mode::Native => native(newlines, text, found, first_line),
        }
    }

    /// The line before the one that begins at `start`.
    pub(super) fn before<'t>(&mut self, text: &'t [u8], start: usize) -> &'t [u8] {
        let newlines = self.of(text);
        let at = newlines.partition_point(|newline| *newline < start);
        let Some(end) = at.checked_sub(1).and_then(|at| newlines.get(at)) else { return &[] };
        let begin = at.checked_sub(2).and_then(|at| newlines.get(at)).map_or(0, |newline| newline + 1);
        text.get(begin..*end).unwrap_or_default()
    }
}

fn native(newlines: &[usize], text: &[u8], found: &Range<usize>, first_line: u64) -> Located {
    let last = found.end.saturating_sub(1).max(found.start);
    let (first, end) =
        (newlines.partition_point(|at| *at < found.start), newlines.partition_point(|at| *at < last));
    let begin_of =
        |line: usize| line.checked_sub(1).and_then(|at| newlines.get(at)).map_or(0, |newline| newline + 1);
    let start = begin_of(first);
    let stop = newlines.get(end).copied().unwrap_or(text.len()).max(start);
    let place = Place {
        start_line: first_line + first as u64,
        start_column: (found.start - start) as u64 + 1,
        end_line: first_line + end as u64,
        end_column: (last - begin_of(end)) as u64 + 1,
    };
    let carriage = usize::from(text.get(start..stop).is_some_and(|line| line.ends_with(b"\r")));
    Located { place, line: start..stop - carriage }
}

/// As gitleaks counts. A line begins with the newline before it: so columns are one too high on every line but the first. A match
/// after the last newline has the whole text as its line; one that ends there, but begins before, has no last column.
fn compatible(newlines: &[usize], text: &[u8], found: &Range<usize>, first_line: u64) -> Located {
    let (start, end) = (found.start, found.end);
    let alone = [text.len()];
    let newlines = if newlines.is_empty() { &alone } else { newlines };
    let begin_of = |line: usize| line.checked_sub(1).and_then(|at| newlines.get(at)).copied().unwrap_or(0);
    let starts_in = newlines.partition_point(|newline| *newline <= start);
    let ends_in = newlines.partition_point(|newline| *newline < end);
    let (mut start_line, mut end_line, mut start_column, mut end_column) = (0, 0, 0, 0);
    let mut line = 0..0;
    if let Some(newline) = newlines.get(starts_in) {
        (start_line, end_line) = (starts_in, starts_in);
        start_column = start - begin_of(starts_in) + 1;
        line = begin_of(starts_in)..*newline;
    }
    if let Some(newline) = newlines.get(ends_in).filter(|_| end > begin_of(ends_in)) {
        end_column = end - begin_of(ends_in);
        if ends_in >= starts_in {
            end_line = ends_in;
            line.end = *newline;
        }
    }
    if starts_in >= newlines.len() {
        let last = begin_of(newlines.len());
        (start_line, end_line) = (newlines.len(), newlines.len());
        (start_column, end_column) = (start + 1 - last.min(start), end.saturating_sub(last));
        let after = text.get(end..).unwrap_or_default();
        line = 0..end + memchr::memchr2(b'\n', b'\r', after).unwrap_or(after.len());
    }
    line.end = line.end.max(end);
    let place = Place {
        start_line: first_line + start_line as u64,
        start_column: start_column as u64,
        end_line: first_line + end_line as u64,
        end_column: end_column as u64,
    };
    Located { place, line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, found: &str, mode: Mode) -> (u64, u64, u64, u64, String) {
        let start = text.find(found).unwrap();
        let located = Lines::default().locate(text.as_bytes(), &(start..start + found.len()), 1, mode);
        let place = located.place;
        (
            place.start_line,
            place.start_column,
            place.end_line,
            place.end_column,
            text[located.line].to_owned(),
        )
    }

    #[test]
    fn gitleaks_columns() {
        let text = "one two\nthree four\nfive";
        let compatible = |found| check(text, found, Mode::Compatible);
        assert_eq!(compatible("two"), (1, 5, 1, 7, "one two".into()));
        assert_eq!(compatible("four"), (2, 8, 2, 11, "\nthree four".into()));
        assert_eq!(compatible("five"), (3, 2, 3, 5, text.into()));
        assert_eq!(compatible("two\nthree"), (1, 5, 2, 6, "one two\nthree four".into()));
        assert_eq!(compatible("four\nfive"), (2, 8, 2, 0, "\nthree four\nfive".into()));
        assert_eq!(check("only", "nly", Mode::Compatible), (1, 2, 1, 4, "only".into()));
    }

    #[test]
    fn right_columns() {
        let text = "one two\r\nthree four\nfive";
        let native = |found| check(text, found, Mode::Native);
        assert_eq!(native("two"), (1, 5, 1, 7, "one two".into()));
        assert_eq!(native("four"), (2, 7, 2, 10, "three four".into()));
        assert_eq!(native("five"), (3, 1, 3, 4, "five".into()));
        assert_eq!(native("three four\nfive"), (2, 1, 3, 4, "three four\nfive".into()));
    }
}
