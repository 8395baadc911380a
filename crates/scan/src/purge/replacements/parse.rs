//! Files of replacements, as git-filter-repo and the BFG read them: one entry a line, `literal:`, `regex:` or `glob:` in front,
//! `==>` and what is put there behind.

use super::Replacements;
use super::template::Template;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::Look;
use strongroom_secret::SecretBytes;

/// What is put where nothing else was said.
pub const REPLACEMENT: &[u8] = b"***REMOVED***";

/// Where `^` and `$` of an expression match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// At the beginning and the end of the text, as in git-filter-repo.
    Whole,
    /// At those of each line, as in the BFG.
    Each,
}

/// What is wrong with a line. It does not show the line, which may hold a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ParseError {
    pub line: usize,
    pub what: String,
}

const FILE_BYTES_MAX: usize = 64 << 20;
const ENTRIES_MAX: usize = 100_000;
const EXPRESSION_BYTES_MAX: usize = 64 << 10;
/// A compiled expression may take this much memory.
const COMPILED_BYTES_MAX: usize = 16 << 20;

/// Reads a file and adds its entries. All that is wrong is said at once. `file` names it in what is said later.
pub fn read(text: &[u8], file: &str, lines: Lines, into: &mut Replacements) -> Result<(), Vec<ParseError>> {
    if text.len() > FILE_BYTES_MAX {
        return Err(vec![ParseError { line: 0, what: "the file has more than 64 MiB".to_owned() }]);
    }
    let mut errors = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let number = index + 1;
        if into.sources.len() >= ENTRIES_MAX {
            errors.push(ParseError {
                line: number,
                what: format!("there are more than {ENTRIES_MAX} entries"),
            });
            break;
        }
        if let Err(what) = entry(line, format!("line {number} of {file}"), lines, into) {
            errors.push(ParseError { line: number, what });
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn entry(line: &[u8], name: String, lines: Lines, into: &mut Replacements) -> Result<(), String> {
    let (what, replacement) = match memchr::memmem::rfind(line, b"==>") {
        Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 3..).unwrap_or_default()),
        None => (line, REPLACEMENT),
    };
    if let Some(pattern) = what.strip_prefix(b"regex:").filter(|pattern| !pattern.is_empty()) {
        return expression(pattern, replacement, name, lines, into);
    }
    if let Some(glob) = what.strip_prefix(b"glob:").filter(|glob| !glob.is_empty()) {
        return expression(&of_glob(glob, Glob::OfText), replacement, name, lines, into);
    }
    let value = what.strip_prefix(b"literal:").unwrap_or(what);
    if !value.is_empty() {
        into.add_literal(SecretBytes::new(value.to_vec()), replacement, name);
    }
    Ok(())
}

fn expression(
    pattern: &[u8],
    replacement: &[u8],
    name: String,
    lines: Lines,
    into: &mut Replacements,
) -> Result<(), String> {
    let regex = compile(pattern, lines)?;
    let template =
        Template::parse(replacement, &regex).map_err(|what| format!("what is put there: {what}"))?;
    if regex.is_match(b"") {
        return Err("the expression matches the empty text, which is everywhere".to_owned());
    }
    into.add_expression(regex, template, name, Bounds::of(pattern, lines));
    Ok(())
}

pub(in crate::purge) fn compile(pattern: &[u8], lines: Lines) -> Result<Regex, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "the expression is not UTF-8".to_owned())?;
    if pattern.len() > EXPRESSION_BYTES_MAX {
        return Err("the expression has more than 64 KiB".to_owned());
    }
    // Python's end of the text is written `\Z`.
    let pattern = pattern.replace(r"\Z", r"\z");
    RegexBuilder::new(&pattern)
        .unicode(false)
        .multi_line(lines == Lines::Each)
        .crlf(lines == Lines::Each)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| said_without_pattern(&error))
}

/// The library's errors show the expression.
fn said_without_pattern(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "the expression is too large when it is compiled".to_owned(),
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("the expression cannot be read: {reason}")
        }
    }
}

/// How long what an expression matches can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) length_min: usize,
    /// How far from a change it can match: nothing if there is no bound, or if it looks at where the text ends.
    pub(super) reach: Option<usize>,
}

impl Bounds {
    fn of(pattern: &[u8], lines: Lines) -> Self {
        const REACH_MAX: usize = 4096;
        // The end of a line of Windows has two bytes.
        const LOOKS_AT: usize = 2;
        let none = Self { length_min: 0, reach: None };
        let Ok(pattern) = std::str::from_utf8(pattern) else { return none };
        let mut parser = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .multi_line(lines == Lines::Each)
            .crlf(lines == Lines::Each)
            .build();
        let Ok(parsed) = parser.parse(&pattern.replace(r"\Z", r"\z")) else { return none };
        let properties = parsed.properties();
        let looks = properties.look_set();
        let anchored = looks.contains(Look::Start) || looks.contains(Look::End);
        let reach = properties.maximum_len().filter(|length| !anchored && *length <= REACH_MAX);
        Self {
            length_min: properties.minimum_len().unwrap_or(0),
            reach: reach.map(|length| length + LOOKS_AT),
        }
    }
}

/// What a glob is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::purge) enum Glob {
    /// A star ends at the end of the line.
    OfText,
    /// `{one,other}` is either, and a star is anything.
    OfPath,
}

/// A glob as an expression that is not anchored: `*`, `?`, `[abc]`, `[!abc]` (Python's `fnmatch`). The last star takes as
/// much as it can, those before it as little.
pub(in crate::purge) fn of_glob(glob: &[u8], kind: Glob) -> Vec<u8> {
    let mut pattern = match kind {
        Glob::OfText => Vec::new(),
        Glob::OfPath => b"(?s)".to_vec(),
    };
    let mut braces = 0_usize;
    let last_star = glob.iter().rposition(|byte| *byte == b'*');
    let mut at = 0;
    while let Some(byte) = glob.get(at) {
        at += 1;
        match byte {
            b'*' if pattern.ends_with(b".*?") || pattern.ends_with(b".*") => {}
            b'*' => {
                let run = glob.get(at..).unwrap_or_default().iter().take_while(|byte| **byte == b'*').count();
                pattern.extend_from_slice(if Some(at - 1 + run) == last_star { b".*" } else { b".*?" });
            }
            b'?' => pattern.push(b'.'),
            b'[' => match set(glob.get(at..).unwrap_or_default()) {
                Some((length, set)) => {
                    pattern.extend(set);
                    at += length;
                }
                None => pattern.extend_from_slice(b"\\["),
            },
            b'{' if kind == Glob::OfPath && glob.get(at..).is_some_and(|rest| rest.contains(&b'}')) => {
                pattern.extend_from_slice(b"(?:");
                braces += 1;
            }
            b',' if braces > 0 => pattern.push(b'|'),
            b'}' if braces > 0 => {
                pattern.push(b')');
                braces -= 1;
            }
            other => escape(*other, &mut pattern),
        }
    }
    // What was opened and not closed.
    pattern.extend(std::iter::repeat_n(b')', braces));
    pattern
}

/// What stands between brackets, and how long that is with the closing one.
fn set(rest: &[u8]) -> Option<(usize, Vec<u8>)> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    // A bracket that comes first is one of the set.
    let end = start + 1 + rest.get(start + 1..)?.iter().position(|byte| *byte == b']')?;
    let mut set = if negated { b"[^".to_vec() } else { b"[".to_vec() };
    for byte in rest.get(start..end)? {
        match byte {
            b'-' => set.push(b'-'),
            other => escape(*other, &mut set),
        }
    }
    set.push(b']');
    Some((end + 1, set))
}

fn escape(byte: u8, target: &mut Vec<u8>) {
    if byte.is_ascii_punctuation() {
        target.push(b'\\');
    }
    target.push(byte);
}
