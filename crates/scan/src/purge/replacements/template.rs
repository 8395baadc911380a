//! What an expression is replaced by: groups as git-filter-repo writes them (`\1`, `\g<name>`) and as the BFG does (`$1`,
//! `${name}`). A `$` that no group follows is a dollar.

use regex::bytes::{Captures, Regex};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
}

impl Template {
    /// Reads a replacement. `Err` says what is wrong with it, without showing it.
    pub(super) fn parse(text: &[u8], regex: &Regex) -> Result<Self, &'static str> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some((&byte, after)) = rest.split_first() {
            let (length, part) = match byte {
                b'\\' => backslash(after, regex)?,
                b'$' => dollar(after, regex).unwrap_or((0, Part::Text(vec![b'$']))),
                other => (0, Part::Text(vec![other])),
            };
            template.push(part);
            rest = after.get(length..).unwrap_or_default();
        }
        Ok(template)
    }

    fn push(&mut self, part: Part) {
        match (self.parts.last_mut(), part) {
            (Some(Part::Text(text)), Part::Text(more)) => text.extend(more),
            (_, part) => self.parts.push(part),
        }
    }

    /// A group that took no part in the match is nothing.
    pub(super) fn expand(&self, captures: &Captures<'_>, target: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => target.extend_from_slice(text),
                Part::Group(number) => {
                    target.extend_from_slice(captures.get(*number).map_or(&[][..], |group| group.as_bytes()));
                }
            }
        }
    }
}

/// What follows a backslash, and how many bytes of it were taken (Python's `re.sub`).
fn backslash(after: &[u8], regex: &Regex) -> Result<(usize, Part), &'static str> {
    let text = |byte| Ok((1, Part::Text(vec![byte])));
    match after.first() {
        Some(b'n') => text(b'\n'),
        Some(b't') => text(b'\t'),
        Some(b'r') => text(b'\r'),
        Some(b'g') if after.get(1) == Some(&b'<') => {
            let end = after.iter().position(|byte| *byte == b'>').ok_or("\\g< has no >")?;
            let group = by_name(after.get(2..end).unwrap_or_default(), regex);
            Ok((end + 1, Part::Group(group.ok_or("it names a group that the expression does not have")?)))
        }
        Some(b'0'..=b'9') => {
            let (length, group) = number(after);
            match group.filter(|group| *group < regex.captures_len()) {
                Some(group) => Ok((length, Part::Group(group))),
                None => Err("it names a group that the expression does not have"),
            }
        }
        // `\$` is the BFG's dollar, `\\` a backslash.
        Some(other) if !other.is_ascii_alphanumeric() => text(*other),
        Some(_) => Ok((0, Part::Text(vec![b'\\']))),
        None => Err("it ends with a backslash"),
    }
}

fn dollar(after: &[u8], regex: &Regex) -> Option<(usize, Part)> {
    if after.first() == Some(&b'{') {
        let end = after.iter().position(|byte| *byte == b'}')?;
        return Some((end + 1, Part::Group(by_name(after.get(1..end)?, regex)?)));
    }
    let (length, group) = number(after);
    Some((length, Part::Group(group.filter(|group| *group < regex.captures_len())?)))
}

/// A number of at most two digits.
fn number(text: &[u8]) -> (usize, Option<usize>) {
    let length = text.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    let digits = text.get(..length).and_then(|digits| std::str::from_utf8(digits).ok());
    (length, digits.and_then(|digits| digits.parse().ok()))
}

fn by_name(name: &[u8], regex: &Regex) -> Option<usize> {
    let name = std::str::from_utf8(name).ok()?;
    if let Ok(number) = name.parse::<usize>() {
        return (number < regex.captures_len()).then_some(number);
    }
    regex.capture_names().position(|known| known == Some(name))
}
