//! Reads what `git log -p` and `git diff` print: the added lines of each hunk, with commit and path.

use crate::located::Commit;
use std::io::{self, BufRead};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The lines that a hunk adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// Behind the change; unquoted.
    pub path: Arc<str>,
    /// `None` for a diff without commits.
    pub commit: Option<Arc<Commit>>,
    /// Where they begin in the new file.
    pub first_line: u64,
    /// Joined as they stand in the file, with their line ends.
    pub added: Vec<u8>,
}

/// A part of a file's changes that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Met {
    Hunk(Hunk),
    /// A file that git takes for no text; nothing of it is in the patch.
    Binary {
        path: Arc<str>,
        commit: Option<Arc<Commit>>,
    },
    /// A line or hunk of more bytes than are held: what is left of it was passed over.
    TooLong {
        path: Arc<str>,
    },
}

/// A line, and all that one hunk adds, is held up to this size.
const BYTES_MAX: usize = 48 << 20;
/// A commit's message is kept up to this size.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// Reads to the end, or until `each` has enough. Lines that fit nothing are passed over.
pub fn read(reader: &mut dyn BufRead, each: &mut dyn FnMut(Met) -> ControlFlow<()>) -> io::Result<()> {
    let mut patch =
        Patch { reader, line: Vec::new(), was_cut: false, commit: None, path: "".into(), is_deleted: false };
    while patch.next_line()? {
        let line = patch.line.as_slice();
        if line.starts_with(b"commit ") {
            patch.commit()?;
        }
        let line = patch.line.as_slice();
        if let Some(header) = line.strip_prefix(b"diff --git ") {
            patch.is_deleted = false;
            patch.path = default_name(header).into();
        } else if line.starts_with(b"deleted file mode ") {
            patch.is_deleted = true;
        } else if let Some(name) = line.strip_prefix(b"rename to ").or_else(|| line.strip_prefix(b"copy to "))
        {
            patch.path = unquoted(name).into();
        } else if let Some(name) = line.strip_prefix(b"+++ ") {
            patch.new_name(name.to_vec());
        } else if line.starts_with(b"Binary files ") && !patch.is_deleted {
            let met = Met::Binary { path: Arc::clone(&patch.path), commit: patch.commit.clone() };
            if each(met).is_break() {
                return Ok(());
            }
        } else if let Some(ranges) = hunk_header(line)
            && patch.hunk(ranges, each)?.is_break()
        {
            return Ok(());
        }
    }
    Ok(())
}

struct Patch<'a> {
    reader: &'a mut dyn BufRead,
    /// The line that was read last, without its end.
    line: Vec<u8>,
    /// It was longer than what is held.
    was_cut: bool,
    commit: Option<Arc<Commit>>,
    path: Arc<str>,
    is_deleted: bool,
}

impl Patch<'_> {
    /// False at the end.
    fn next_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        self.was_cut = false;
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok(!self.line.is_empty());
            }
            let end = memchr::memchr(b'\n', buffer);
            let piece = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            let room = BYTES_MAX - self.line.len();
            self.was_cut |= piece.len() > room;
            self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
            let read = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(read);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    /// Reads a commit's header and message, up to its first file or the next commit.
    fn commit(&mut self) -> io::Result<()> {
        loop {
            let id =
                self.line.get(7..).unwrap_or_default().split(|byte| *byte == b' ').next().unwrap_or_default();
            let mut commit = Commit {
                id: String::from_utf8_lossy(id).into_owned(),
                author: String::new(),
                email: String::new(),
                seconds: 0,
                offset_minutes: 0,
                message: String::new(),
            };
            self.fields(&mut commit)?;
            let goes_on = self.message(&mut commit)?;
            self.commit = Some(Arc::new(commit));
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn fields(&mut self, commit: &mut Commit) -> io::Result<()> {
        while self.next_line()? && !self.line.trim_ascii().is_empty() {
            let line = String::from_utf8_lossy(&self.line);
            if let Some(who) = line.strip_prefix("Author:") {
                let (name, rest) = who.split_once('<').unwrap_or((who, ""));
                commit.author = name.trim().to_owned();
                commit.email = rest.split('>').next().unwrap_or_default().trim().to_owned();
            } else if let Some(when) = line.strip_prefix("Date:").or_else(|| line.strip_prefix("AuthorDate:"))
                && let Some((seconds, offset)) = date(when.trim())
            {
                (commit.seconds, commit.offset_minutes) = (seconds, offset);
            }
        }
        Ok(())
    }

    /// The first paragraph on one line, an empty line, the rest. True if the next commit was met.
    fn message(&mut self, commit: &mut Commit) -> io::Result<bool> {
        let mut title = String::new();
        let mut body = String::new();
        let mut in_title = true;
        let mut empty_lines = 0;
        while self.next_line()? {
            if self.line.starts_with(b"diff --") || self.line.starts_with(b"--- ") {
                break;
            }
            if self.line.starts_with(b"commit ") {
                commit.message = joined(title, &body);
                return Ok(true);
            }
            let line = String::from_utf8_lossy(&self.line);
            let text = line.strip_prefix("    ").unwrap_or(&line).trim_end();
            let is_full = title.len() + body.len() + text.len() > MESSAGE_BYTES_MAX;
            if text.trim().is_empty() {
                in_title &= title.is_empty();
                empty_lines += 1;
            } else if in_title {
                title.push_str(if title.is_empty() { "" } else { " " });
                title.push_str(text.trim());
                empty_lines = 0;
            } else if !is_full {
                if !body.is_empty() {
                    body.push_str(if empty_lines > 0 { "\n\n" } else { "\n" });
                }
                body.push_str(text);
                empty_lines = 0;
            }
        }
        commit.message = joined(title, &body);
        Ok(false)
    }

    fn new_name(&mut self, name: Vec<u8>) {
        let name = name.strip_suffix(b"\t").unwrap_or(&name);
        let name = unquoted(name);
        if name == "/dev/null" {
            self.is_deleted = true;
        } else {
            self.path = without_prefix(&name).into();
        }
    }

    fn hunk(
        &mut self,
        ranges: Ranges,
        each: &mut dyn FnMut(Met) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let (mut old_left, mut new_left) = (ranges.old_lines, ranges.new_lines);
        let mut added = Vec::new();
        let mut is_too_long = false;
        let mut last_was_added = false;
        while old_left > 0 || new_left > 0 {
            if !self.next_line()? {
                break;
            }
            let (operation, text) =
                self.line.split_first().map_or((b' ', &[][..]), |(first, rest)| (*first, rest));
            if operation != b'\\' {
                last_was_added = operation == b'+';
            }
            match operation {
                b'+' => {
                    new_left = new_left.saturating_sub(1);
                    is_too_long |= self.was_cut || added.len() + text.len() > BYTES_MAX;
                    if added.len() + text.len() <= BYTES_MAX {
                        added.extend_from_slice(text);
                        added.push(b'\n');
                    }
                }
                b'-' => old_left = old_left.saturating_sub(1),
                b'\\' => {}
                _ => {
                    old_left = old_left.saturating_sub(1);
                    new_left = new_left.saturating_sub(1);
                }
            }
        }
        if last_was_added && self.reader.fill_buf()?.first() == Some(&b'\\') {
            // `\ No newline at end of file`
            self.next_line()?;
            added.pop();
        }
        if self.is_deleted {
            return Ok(ControlFlow::Continue(()));
        }
        if is_too_long && each(Met::TooLong { path: Arc::clone(&self.path) }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let (path, commit) = (Arc::clone(&self.path), self.commit.clone());
        Ok(each(Met::Hunk(Hunk { path, commit, first_line: ranges.new_first, added })))
    }
}

fn joined(title: String, body: &str) -> String {
    if body.is_empty() { title } else { format!("{title}\n\n{body}") }
}

struct Ranges {
    old_lines: u64,
    new_first: u64,
    new_lines: u64,
}

/// `@@ -1,2 +3,4 @@ …`
fn hunk_header(line: &[u8]) -> Option<Ranges> {
    let rest = line.strip_prefix(b"@@ -")?;
    let end = memchr::memmem::find(rest, b" @@")?;
    let text = std::str::from_utf8(rest.get(..end)?).ok()?;
    let (old, new) = text.split_once(" +")?;
    let range = |text: &str| -> Option<(u64, u64)> {
        let (first, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((first.parse().ok()?, count.parse().ok()?))
    };
    let ((_, old_lines), (new_first, new_lines)) = (range(old)?, range(new)?);
    Some(Ranges { old_lines, new_first, new_lines })
}

/// The name in `a/NAME b/NAME`, which is the only one for a file whose mode alone changed, or that is no text.
fn default_name(header: &[u8]) -> String {
    if header.ends_with(b"\"") {
        let quotes: Vec<usize> = memchr::memmem::find_iter(header, b" \"").collect();
        let start = quotes.last().map_or(0, |at| at + 1);
        return without_prefix(&unquoted(header.get(start..).unwrap_or_default())).to_owned();
    }
    // Both names are equal: the line is cut in its middle.
    let half = header.len().saturating_sub(1) / 2;
    let (first, second) =
        (header.get(..half).unwrap_or_default(), header.get(half + 1..).unwrap_or_default());
    let (first, second) = (String::from_utf8_lossy(first), String::from_utf8_lossy(second));
    if without_prefix(&first) == without_prefix(&second) {
        without_prefix(&second).to_owned()
    } else {
        String::new()
    }
}

fn without_prefix(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, rest)| rest)
}

/// git puts names with odd bytes into quotes, as C does (git-config(1), core.quotePath).
fn unquoted(name: &[u8]) -> String {
    let Some(inner) = name.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return String::from_utf8_lossy(name).into_owned();
    };
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'\\' {
            bytes.push(first);
            continue;
        }
        let octal = after.get(..3).filter(|digits| digits.iter().all(|digit| matches!(digit, b'0'..=b'7')));
        if let Some(digits) = octal {
            let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            bytes.push(u8::try_from(value & 0xff).unwrap_or_default());
            rest = after.get(3..).unwrap_or_default();
            continue;
        }
        let Some((&escaped, after)) = after.split_first() else { break };
        bytes.push(match escaped {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            other => other,
        });
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `Mon Jan 2 15:04:05 2006 -0700`, or one of git's other formats that begin with the year or are a number.
fn date(text: &str) -> Option<(i64, i32)> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words.as_slice() {
        [_, month, day, time, year, offset] => {
            const MONTHS: [&str; 12] =
                ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = MONTHS.iter().position(|name| name == month)?;
            let month = i64::try_from(month).ok()? + 1;
            moment(year.parse().ok()?, month, day.parse().ok()?, time, offset)
        }
        [day, time, offset] => {
            let mut parts = day.split('-').map(|part| part.parse::<i64>().ok());
            moment(parts.next()??, parts.next()??, parts.next()??, time, offset)
        }
        [seconds] => Some((seconds.parse().ok()?, 0)),
        _ => None,
    }
}

fn moment(year: i64, month: i64, day: i64, time: &str, offset: &str) -> Option<(i64, i32)> {
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let mut parts = time.split(':').map(|part| part.parse::<u32>().ok().map(i64::from));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let offset: i32 = offset.replace(':', "").parse().ok().filter(|offset: &i32| offset.abs() <= 9999)?;
    let offset_minutes = offset / 100 * 60 + offset % 100;
    // Days since 1970-01-01, counted in years that begin in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let local = days * 86_400 + hours * 3600 + minutes * 60 + seconds;
    Some((local - i64::from(offset_minutes) * 60, offset_minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<Met> {
        let mut met = Vec::new();
        read(&mut text.as_bytes(), &mut |one| {
            met.push(one);
            ControlFlow::Continue(())
        })
        .unwrap();
        met
    }

    fn hunks(text: &str) -> Vec<(String, u64, String)> {
        let hunks = check(text).into_iter().filter_map(|met| match met {
            Met::Hunk(hunk) => {
                Some((hunk.path.to_string(), hunk.first_line, String::from_utf8(hunk.added).unwrap()))
            }
            _ => None,
        });
        hunks.collect()
    }

    const LOG: &str = "commit 1111111111111111111111111111111111111111 (HEAD -> main)\n\
        Author: A U Thor <a@example.com>\nDate:   Tue Nov 14 22:13:20 2023 -0130\n\n    A title\n    of two lines\n\n    \
        Body\n\n    more\n\ndiff --git a/a.txt b/a.txt\nindex 1..2 100644\n--- a/a.txt\n+++ b/a.txt\n\
        @@ -1 +1,2 @@ context\n-old\n+new\n+++ not a header\n@@ -9,0 +11 @@\n+last\n\\ No newline at end of file\n\
        diff --git a/bin b/bin\nBinary files a/bin and b/bin differ\n\
        commit 2222222222222222222222222222222222222222\nAuthor: B <b@example.com>\nDate:   Thu Jan 1 00:00:01 1970 +0000\n\n    \
        empty\n\ncommit 3333333333333333333333333333333333333333\nAuthor: C <c@example.com>\n\n    third\n\n\
        diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
        diff --git a/old b/sub/new name\nsimilarity index 90%\nrename from old\nrename to sub/new name\n\
        --- a/old\n+++ b/sub/new name\t\n@@ -0,0 +1 @@\n+y\n";

    #[test]
    fn added_lines_by_hunk() {
        let expected =
            [("a.txt", 1, "new\n++ not a header\n"), ("a.txt", 11, "last"), ("sub/new name", 1, "y\n")];
        let expected = expected.map(|(path, line, text)| (path.to_owned(), line, text.to_owned()));
        assert_eq!(hunks(LOG), expected);
    }

    #[test]
    fn commits_of_hunks() {
        let met = check(LOG);
        let Met::Hunk(Hunk { commit: Some(commit), .. }) = &met[0] else { panic!("{met:?}") };
        assert_eq!(commit.id, "1".repeat(40));
        assert_eq!((commit.author.as_str(), commit.email.as_str()), ("A U Thor", "a@example.com"));
        assert_eq!((commit.seconds, commit.offset_minutes), (1_700_000_000 + 90 * 60, -90));
        assert_eq!(commit.message, "A title of two lines\n\nBody\n\nmore");
        assert!(matches!(&met[2], Met::Binary { path, .. } if &**path == "bin"));
        let Met::Hunk(Hunk { commit: Some(commit), .. }) = &met[3] else { panic!("{met:?}") };
        assert_eq!(commit.message, "third");
    }

    #[test]
    fn quoted_names() {
        let text = "diff --git \"a/t\\303\\244b\\t\" \"b/t\\303\\244b\\t\"\n--- /dev/null\n+++ \"b/t\\303\\244b\\t\"\n@@ -0,0 +1 @@\n+x\n";
        assert_eq!(hunks(text), [("t\u{e4}b\t".to_owned(), 1, "x\n".to_owned())]);
    }

    #[test]
    fn damaged_patches_end_quietly() {
        assert_eq!(hunks("@@ -1,9 +1,9 @@\n+a\n"), [(String::new(), 1, "a\n".to_owned())]);
        assert_eq!(hunks("@@ -1,9999999999999999999999 +1 @@\n+a\n"), []);
        assert_eq!(check("commit \nAuthor:\nDate: Mon Jan 99 1:1:1 2006 +0\n\n"), []);
        assert_eq!(
            check("diff --git \n+++ \nBinary files "),
            [Met::Binary { path: "".into(), commit: None }]
        );
    }
}
