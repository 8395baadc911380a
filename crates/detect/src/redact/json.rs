//! Keeps JSON what it is: within a string only what stands there is replaced, and what reaches beyond one takes whole strings
//! and numbers with it, which become strings.
//!
//! A string never holds a line break, so lines are looked at by themselves: documents on one line, and those on many.

use super::known::Known;
use super::span::{Label, Span, join};
use std::ops::Range;

/// Whether a text is JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Json {
    /// It is text: a number that is a secret becomes `***`.
    Never,
    /// Lines are that begin with `{` or `[` and are JSON to their end.
    #[default]
    Detected,
    /// All lines are that can be: documents on many lines too.
    Always,
}

/// What is known of the line that a text begins in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Start {
    /// It goes on within a string.
    pub is_in_string: bool,
    /// Its beginning is gone, and it was JSON, or was not.
    pub is_json: Option<bool>,
}

/// A string with its quotes, or a number or word.
struct Token {
    range: Range<usize>,
    /// Where what is in the string begins and ends; `None`: it is no string.
    inside: Option<Range<usize>>,
}

/// A text of lines, the first and the last perhaps in part.
pub(super) struct Lines<'t> {
    pub text: &'t [u8],
    pub start: Start,
    pub json: Json,
}

impl Lines<'_> {
    /// Makes of spans what keeps JSON valid. Sorted and joined, before and after.
    pub(super) fn fit(&self, known: &Known, spans: &mut Vec<Span>) {
        if self.json == Json::Never {
            return;
        }
        let mut fitted: Vec<Span> = Vec::with_capacity(spans.len());
        let mut rest = spans.as_slice();
        let mut at = 0;
        while at < self.text.len() {
            let line = self.line(at);
            let count = rest.iter().take_while(|span| span.start < line.end).count();
            let (here, after) = rest.split_at(count);
            let reaches_on = here.last().is_some_and(|span| span.end > line.end);
            at = line.end;
            if reaches_on && self.json == Json::Detected {
                fitted.extend_from_slice(here);
                rest = after;
                continue;
            }
            let within = here.iter().map(|span| Span {
                start: span.start.max(line.start),
                end: span.end.min(line.end),
                ..*span
            });
            self.fit_line(known, &line, within.collect(), &mut fitted);
            // What reaches on is looked at in the next line too.
            rest = if reaches_on { rest.get(count - 1..).unwrap_or_default() } else { after };
        }
        join(&mut fitted);
        *spans = fitted;
    }

    fn line(&self, at: usize) -> Range<usize> {
        let rest = self.text.get(at..).unwrap_or_default();
        at..at + memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1)
    }

    fn fit_line(&self, known: &Known, line: &Range<usize>, spans: Vec<Span>, fitted: &mut Vec<Span>) {
        let text = self.text.get(line.clone()).unwrap_or_default();
        if spans.is_empty() && memchr::memchr(b'\\', text).is_none() {
            return;
        }
        let Some(tokens) = self.tokens_of(line) else {
            fitted.extend(spans);
            return;
        };
        for token in tokens {
            let after = spans.partition_point(|span| span.end <= token.range.start);
            let touching = spans.get(after..).unwrap_or_default();
            let touching: Vec<&Span> =
                touching.iter().take_while(|span| span.start < token.range.end).collect();
            match &token.inside {
                Some(inside)
                    if touching.iter().all(|span| inside.start <= span.start && span.end <= inside.end) =>
                {
                    if let Some(label) = self.hidden(known, inside, &touching) {
                        fitted.push(Span { start: inside.start, end: inside.end, label, is_quoted: false });
                    }
                    fitted.extend(touching.into_iter().map(|span| self.whole_escapes(inside, *span)));
                }
                _ => {
                    let label = touching.first().map(|span| span.label);
                    let whole = |label| Span {
                        start: token.range.start,
                        end: token.range.end,
                        label,
                        is_quoted: true,
                    };
                    fitted.extend(label.map(whole));
                }
            }
        }
    }

    /// A value that is written with escapes that nobody would expect: found when they are taken off.
    fn hidden(&self, known: &Known, inside: &Range<usize>, seen: &[&Span]) -> Option<Label> {
        let text = self.text.get(inside.clone())?;
        memchr::memchr(b'\\', text)?;
        let mut spans = Vec::new();
        known.search(&unescaped(text), &mut spans);
        join(&mut spans);
        spans.first().filter(|_| spans.len() > seen.len()).map(|span| span.label)
    }

    /// The span with the whole of the escapes that it begins or ends in.
    fn whole_escapes(&self, inside: &Range<usize>, mut span: Span) -> Span {
        let mut at = inside.start;
        while let Some(found) = self.text.get(at..span.end).and_then(|text| memchr::memchr(b'\\', text)) {
            let start = at + found;
            let end = (start + if self.text.get(start + 1) == Some(&b'u') { 6 } else { 2 }).min(inside.end);
            if start < span.start && span.start < end {
                span.start = start;
            }
            if start < span.end && span.end < end {
                span.end = end;
            }
            at = end;
        }
        span
    }

    /// The strings and scalars of a line that is JSON.
    fn tokens_of(&self, line: &Range<usize>) -> Option<Vec<Token>> {
        let start = if line.start == 0 { self.start } else { Start::default() };
        let text = self.text.get(line.clone())?;
        let may_be = match (start.is_json, self.json) {
            (Some(is_json), _) => is_json,
            (None, Json::Always) => true,
            (None, _) => matches!(text.trim_ascii_start().first(), Some(b'{' | b'[')),
        };
        let tokens = if may_be { tokens(text, start.is_in_string) } else { None };
        let moved = |range: Range<usize>| range.start + line.start..range.end + line.start;
        tokens.map(|tokens| {
            let moved = |token: Token| Token { range: moved(token.range), inside: token.inside.map(moved) };
            tokens.into_iter().map(moved).collect()
        })
    }

    /// What is to be known of a text that begins at `from`, when what is before it is gone.
    pub(super) fn start_at(&self, from: usize) -> Start {
        let first = memchr::memrchr(b'\n', self.text.get(..from).unwrap_or_default())
            .map_or(0, |newline| newline + 1);
        if self.json == Json::Never || (first == from && from > 0) {
            return Start::default();
        }
        if from == 0 {
            return self.start;
        }
        let tokens = self.tokens_of(&(first..from));
        let is_open = |token: &Token| {
            token.range.end == from
                && token.inside.as_ref().is_some_and(|inside| inside.end == token.range.end)
        };
        Start {
            is_in_string: tokens.as_ref().and_then(|tokens| tokens.last()).is_some_and(is_open),
            is_json: Some(tokens.is_some()),
        }
    }

    /// The place before a number or word that the text ends in, and that may go on.
    pub(super) fn before_open_scalar(&self, cut: usize) -> usize {
        let first =
            memchr::memrchr(b'\n', self.text.get(..cut).unwrap_or_default()).map_or(0, |newline| newline + 1);
        if self.json == Json::Never {
            return cut;
        }
        match self.tokens_of(&(first..cut)).and_then(|mut tokens| tokens.pop()) {
            Some(Token { range, inside: None }) if range.end == cut => range.start,
            _ => cut,
        }
    }
}

/// All strings and scalars, if there is nothing else but what JSON puts between them. The last may be cut.
fn tokens(text: &[u8], is_in_string: bool) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    if is_in_string {
        let end = string_end(text, 0);
        at = end.map_or(text.len(), |end| end + 1);
        tokens.push(Token { range: 0..at, inside: Some(0..end.unwrap_or(text.len())) });
    }
    while let Some(byte) = text.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b'{' | b'}' | b'[' | b']' | b':' | b',' => at += 1,
            b'"' => {
                let end = string_end(text, at + 1);
                let next = end.map_or(text.len(), |end| end + 1);
                tokens.push(Token { range: at..next, inside: Some(at + 1..end.unwrap_or(text.len())) });
                at = next;
            }
            _ => {
                let rest = text.get(at..)?;
                let is_scalar = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                let length = rest.iter().take_while(is_scalar).count();
                let scalar = rest.get(..length)?;
                let is_cut = at + length == text.len();
                if length == 0 || !(is_number(scalar) || is_word(scalar, is_cut)) {
                    return None;
                }
                tokens.push(Token { range: at..at + length, inside: None });
                at += length;
            }
        }
    }
    Some(tokens)
}

/// Where the quote stands that closes a string.
fn string_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            return Some(found);
        }
        at = found + 2;
    }
}

fn is_number(scalar: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    scalar.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-') && scalar.iter().all(is_part)
}

fn is_word(scalar: &[u8], is_cut: bool) -> bool {
    ["true", "false", "null"]
        .iter()
        .any(|word| word.as_bytes() == scalar || (is_cut && word.as_bytes().starts_with(scalar)))
}

/// What a string says. What is no escape stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut high: Option<u16> = None;
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let escaped = after.first().filter(|_| *byte == b'\\');
        let unit = after.get(1..5).filter(|_| escaped == Some(&b'u')).and_then(hex_unit);
        let (character, length) = match (escaped, unit) {
            (Some(b'u'), Some(unit)) => {
                let pair = high.take().map(|high| [high, unit]);
                let paired = pair.and_then(|pair| char::decode_utf16(pair).next()?.ok());
                if paired.is_none() && (0xd800..0xdc00).contains(&unit) {
                    high = Some(unit);
                }
                (paired.or(char::from_u32(u32::from(unit))), 6)
            }
            (Some(b'n'), _) => (Some('\n'), 2),
            (Some(b'r'), _) => (Some('\r'), 2),
            (Some(b't'), _) => (Some('\t'), 2),
            (Some(b'b'), _) => (Some('\u{8}'), 2),
            (Some(b'f'), _) => (Some('\u{c}'), 2),
            (Some(other @ (b'"' | b'\\' | b'/')), _) => (Some(char::from(*other)), 2),
            _ => {
                plain.push(*byte);
                (None, 1)
            }
        };
        if let Some(character) = character {
            plain.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    plain
}

fn hex_unit(digits: &[u8]) -> Option<u16> {
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(text, 16).ok()
}
