//! Values that nobody knows, by what the text calls them: `password=…`, `"api_key": "…"`, `Authorization: Bearer …`,
//! `postgres://user:…@host`, cookies, statements of databases.

use super::span::{Kind, Label, Span};
use super::style::is_replacement;
use crate::efficiency;
use crate::prefilter::{Prefilter, Standing};
use data_encoding::BASE64_NOPAD;
use std::ops::Range;

/// A longer value is no value.
const VALUE_BYTES_MAX: usize = 16 << 10;
/// What may follow a keyword within one name.
const NAME_REST_MAX: usize = 32;

/// What is looked for, and what it is the beginning of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A name; whatever is assigned to it is one.
    Password,
    /// A name; what is assigned to it may be a word or a number.
    Token,
    /// A name that wants nothing after it: `DB_PASS`.
    ShortPassword,
    Authorization,
    Bearer,
    Basic,
    Cookie,
    Url,
    /// `IDENTIFIED BY '…'`
    Statement,
}

const KEYWORDS: &[(&str, Shape)] = &[
    ("passw", Shape::Password),
    ("passphrase", Shape::Password),
    ("pwd", Shape::Password),
    ("_pass", Shape::ShortPassword),
    ("pass=", Shape::ShortPassword),
    ("secret", Shape::Token),
    ("token", Shape::Token),
    ("api_key", Shape::Token),
    ("api-key", Shape::Token),
    ("apikey", Shape::Token),
    ("access_key", Shape::Token),
    ("access-key", Shape::Token),
    ("accesskey", Shape::Token),
    ("account_key", Shape::Token),
    ("accountkey", Shape::Token),
    ("auth_key", Shape::Token),
    ("authkey", Shape::Token),
    ("private_key", Shape::Token),
    ("private-key", Shape::Token),
    ("privatekey", Shape::Token),
    ("signing_key", Shape::Token),
    ("encryption_key", Shape::Token),
    ("master_key", Shape::Token),
    ("credential", Shape::Token),
    ("signature=", Shape::Token),
    ("&sig=", Shape::Token),
    ("authorization", Shape::Authorization),
    ("bearer", Shape::Bearer),
    ("basic ", Shape::Basic),
    ("cookie", Shape::Cookie),
    ("://", Shape::Url),
    ("identified by", Shape::Statement),
];

/// What follows a keyword where the name is of something else.
const HARMLESS_RESTS: &[&str] = &[
    "age",
    "api",
    "ar",
    "arn",
    "attempt",
    "at",
    "auth",
    "bucket",
    "budget",
    "cache",
    "changed",
    "class",
    "count",
    "created",
    "endpoint",
    "enabled",
    "error",
    "expir",
    "field",
    "file",
    "format",
    "header",
    "hint",
    "ion",
    "iz",
    "is",
    "kind",
    "len",
    "limit",
    "manager",
    "max",
    "min",
    "mount",
    "name",
    "namespace",
    "number",
    "path",
    "per",
    "policy",
    "prefix",
    "provider",
    "rate",
    "ref",
    "required",
    "reset",
    "rotat",
    "server",
    "service",
    "size",
    "source",
    "state",
    "status",
    "store",
    "ttl",
    "type",
    "updated",
    "uri",
    "url",
    "usage",
    "used",
    "user",
    "valid",
    "version",
];

/// What is assigned where no value is.
const NO_VALUES: &[&str] = &[
    "true",
    "false",
    "null",
    "none",
    "nil",
    "undefined",
    "yes",
    "no",
    "on",
    "off",
    "required",
    "optional",
    "invalid",
    "incorrect",
    "missing",
    "expired",
    "wrong",
    "empty",
    "unset",
    "unknown",
    "string",
    "str",
    "bytes",
    "hidden",
    "redacted",
    "masked",
    "filtered",
    "removed",
    "changed",
    "changeme",
    "example",
    "denied",
    "failed",
    "mismatch",
];

pub(super) struct Names {
    prefilter: Prefilter,
}

impl Names {
    pub(super) fn new() -> Self {
        let keywords = KEYWORDS.iter().map(|(keyword, _)| (*keyword, Standing::Anywhere));
        Self { prefilter: Prefilter::new(keywords).0 }
    }

    /// What is to be looked for, by number.
    pub(super) fn keywords() -> Vec<&'static str> {
        KEYWORDS.iter().map(|(keyword, _)| *keyword).collect()
    }

    /// All values with names that end after `from`, in no order.
    pub(super) fn search(&self, text: &[u8], from: usize, spans: &mut Vec<Span>) {
        let mut looking = Looking::new(text, from, spans);
        self.prefilter.hits(text, 0..text.len(), &mut |keyword, at| looking.look(keyword as usize, at));
    }
}

/// On the way through a text, from one keyword to the next.
pub(super) struct Looking<'t, 's> {
    text: &'t [u8],
    from: usize,
    looked: Looked,
    spans: &'s mut Vec<Span>,
}

impl<'t, 's> Looking<'t, 's> {
    /// For values that end after `from`.
    pub(super) fn new(text: &'t [u8], from: usize, spans: &'s mut Vec<Span>) -> Self {
        Self { text, from, looked: Looked::default(), spans }
    }

    /// Looks at a keyword, by its number, and the place where it begins.
    pub(super) fn look(&mut self, keyword: usize, at: usize) {
        let Some((word, shape)) = KEYWORDS.get(keyword) else { return };
        if self.looked.has(*shape, at) {
            return;
        }
        let place = Place { text: self.text, start: at, end: at + word.len() };
        place.values(*shape, &mut self.looked, &mut |kind, range| {
            if range.end > self.from && !range.is_empty() {
                self.spans.push(Span::new(range.start, range.end, Label::Name(kind)));
            }
        });
    }
}

/// What need not be looked at again: a text of keywords alone is looked at once and not once for each.
#[derive(Default)]
struct Looked {
    /// Until here it is part of a value.
    taken: usize,
    /// Until here it is no password, and no token.
    no_password: usize,
    no_token: usize,
}

impl Looked {
    fn has(&self, shape: Shape, at: usize) -> bool {
        let not = match shape {
            Shape::Password | Shape::ShortPassword => self.no_password,
            Shape::Token => self.no_token,
            _ => 0,
        };
        at < self.taken.max(not)
    }
}

/// Where a keyword stands.
struct Place<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
}

/// What is assigned, and how it is written.
struct Assigned {
    range: Range<usize>,
    is_quoted: bool,
    /// `: `, as before a sentence.
    is_spoken: bool,
}

impl<'t> Place<'t> {
    fn values(&self, shape: Shape, looked: &mut Looked, found: &mut dyn FnMut(Kind, Range<usize>)) {
        let keyword = self.text.get(self.start..self.end).unwrap_or_default();
        match shape {
            Shape::Password if is_harmless(self.name_rest(), keyword) => {}
            Shape::ShortPassword if !self.name_rest().is_empty() => {}
            Shape::Token if is_harmless(self.name_rest(), keyword) => {}
            Shape::Password | Shape::ShortPassword => {
                let Some(assigned) = self.assigned() else { return };
                if self.is_password(&assigned) {
                    looked.taken = assigned.range.end;
                    found(Kind::Password, assigned.range);
                } else {
                    looked.no_password = assigned.range.end;
                }
            }
            Shape::Authorization if self.name_rest().is_empty() => {
                self.authorization().into_iter().for_each(|range| found(Kind::Authorization, range));
            }
            Shape::Token | Shape::Authorization => {
                let Some(assigned) = self.assigned() else { return };
                if self.is_token(&assigned) {
                    looked.taken = assigned.range.end;
                    found(Kind::Token, assigned.range);
                } else {
                    looked.no_token = assigned.range.end;
                }
            }
            Shape::Bearer => {
                let range = self.after_scheme(self.end).filter(|range| is_bearer(self.get(range)));
                range.into_iter().for_each(|range| found(Kind::Authorization, range));
            }
            Shape::Basic => {
                let range = self.after_scheme(self.end - 1).filter(|range| is_basic(self.get(range)));
                range.into_iter().for_each(|range| found(Kind::Authorization, range));
            }
            Shape::Cookie => self.cookies(&mut |range| found(Kind::Cookie, range)),
            Shape::Url => self.user_info().into_iter().for_each(|range| found(Kind::UrlPassword, range)),
            Shape::Statement => {
                let at = self.skip(self.end, b" \t", 8);
                let literal = self.quoted(at).filter(|range| is_anything(self.get(range)));
                literal.into_iter().for_each(|range| found(Kind::Password, range));
            }
        }
    }

    fn get(&self, range: &Range<usize>) -> &'t [u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn at(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    /// The place after at most `most` of these bytes.
    fn skip(&self, at: usize, bytes: &[u8], most: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + rest.iter().take(most).take_while(|byte| bytes.contains(byte)).count()
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let rest = rest.get(..VALUE_BYTES_MAX).unwrap_or(rest);
        at + memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len())
    }

    /// What of the name follows the keyword.
    fn name_rest(&self) -> &'t [u8] {
        let rest = self.text.get(self.end..).unwrap_or_default();
        if self.text.get(self.end - 1) == Some(&b'=') {
            return &[];
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let mut length = 0;
        while let Some(byte) = rest.get(length) {
            let dotted = *byte == b'.' && rest.get(length + 1).copied().is_some_and(is_name);
            if !(is_name(*byte) || dotted) || length >= NAME_REST_MAX {
                break;
            }
            length += 1;
        }
        rest.get(..length).unwrap_or_default()
    }

    fn is_password(&self, assigned: &Assigned) -> bool {
        let value = self.get(&assigned.range);
        let is_folder = self.get(&(self.start..self.end)) == b"PWD" && value.starts_with(b"/");
        is_anything(value) && !is_folder && !self.is_sentence(assigned)
    }

    fn is_token(&self, assigned: &Assigned) -> bool {
        let value = self.get(&assigned.range);
        let is_several = self.name_rest().eq_ignore_ascii_case(b"s");
        let is_long = value.len() >= 16 && value.iter().any(u8::is_ascii_digit);
        is_token(value) && (!is_several || is_long) && !self.is_sentence(assigned)
    }

    /// `Password: must be …`
    fn is_sentence(&self, assigned: &Assigned) -> bool {
        let value = self.get(&assigned.range);
        let next = self.text.get(assigned.range.end..).unwrap_or_default();
        let is_word = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'\'');
        let word: &[u8] = match next.split_first() {
            Some((b' ', rest)) => rest.split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default(),
            _ => return false,
        };
        let after = next.get(1 + word.len());
        !assigned.is_quoted
            && assigned.is_spoken
            && is_word(value)
            && !word.is_empty()
            && is_word(word)
            && !matches!(after, Some(b'=' | b':'))
    }

    /// What is assigned to the name that the keyword is in.
    fn assigned(&self) -> Option<Assigned> {
        let name_end = self.end + self.name_rest().len();
        let closed = self.skip(name_end, b"\\\"'`]", 4);
        let spaced = self.skip(closed, b" \t", 8);
        let has_equals = self.text.get(self.end - 1) == Some(&b'=');
        let rest = self.text.get(spaced..)?;
        let (operator, is_spoken) = match rest {
            _ if has_equals => (0, false),
            [b'=', b'=', b'>' | b'=', ..] => (3, false),
            [b'=', b'>' | b'=', ..] | [b':', b'=', ..] => (2, false),
            [b':', b':', ..] => return None,
            [b'=', ..] => (1, false),
            [b':', ..] => (1, closed == name_end),
            [b'%', b'3', b'd' | b'D' | b'a' | b'A', ..] => (3, false),
            [b'>', ..] if self.is_element() => (1, false),
            [first, ..] if spaced > closed && closed == name_end => {
                // `--password hunter2`, `PASSWORD 'hunter2'`
                let literal = matches!(first, b'\'' | b'"') && self.name_rest().ends_with(b"ord");
                let literal =
                    literal || (matches!(first, b'\'' | b'"') && self.name_rest().ends_with(b"ORD"));
                if !literal && (*first == b'-' || !self.is_option()) {
                    return None;
                }
                (0, false)
            }
            _ => return None,
        };
        let mut at = self.skip(spaced + operator, b" \t", 8);
        // How Rust prints what may be missing.
        if self.text.get(at..).is_some_and(|rest| rest.starts_with(b"Some(")) {
            at += 5;
        }
        let end = memchr::memchr(b']', self.text.get(at..self.line_end(at))?).map(|end| at + end + 1);
        if end.is_some_and(|end| is_replacement(self.get(&(at..end)))) {
            return None;
        }
        // A list or an object is no value.
        if matches!(
            self.text.get(at..at + 2),
            Some([b'[' | b'{', b' ' | b'"' | b'\'' | b'\n' | b'\r' | b'{' | b'[' | b']' | b'}'])
        ) {
            return None;
        }
        if let Some(range) = self.quoted(at) {
            return Some(Assigned { range, is_quoted: true, is_spoken });
        }
        Some(Assigned { range: at..self.unquoted_end(at), is_quoted: false, is_spoken })
    }

    /// Whether the name begins with `--`.
    fn is_option(&self) -> bool {
        let before = self.text.get(..self.start).unwrap_or_default();
        let name = before
            .iter()
            .rev()
            .take(64)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .count();
        before.get(before.len() - name..).is_some_and(|name| name.starts_with(b"--"))
    }

    /// Whether the name begins with `<`.
    fn is_element(&self) -> bool {
        let before = self.text.get(..self.start).unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte);
        let name = before.iter().rev().take(64).take_while(|byte| is_name(byte)).count();
        before.len().checked_sub(name + 1).and_then(|at| self.at(at)) == Some(b'<')
    }

    /// What stands in quotes from here on: to the quote that closes it, or to the end of the line.
    fn quoted(&self, at: usize) -> Option<Range<usize>> {
        let slashes = self.skip(at, b"\\", 3) - at;
        let quote = self.at(at + slashes).filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))?;
        let start = at + slashes + 1;
        let line_end = self.line_end(start);
        let mut place = start;
        while place < line_end {
            let here = self.skip(place, b"\\", line_end - place) - place;
            match self.at(place + here) {
                // As many backslashes as before the first quote, or none in between: it closes.
                Some(byte) if byte == quote && here <= slashes => return Some(start..place),
                _ => place += here + 1,
            }
        }
        Some(start..line_end)
    }

    /// Where a value without quotes ends.
    fn unquoted_end(&self, start: usize) -> usize {
        let line_end = self.line_end(start);
        let mut at = start;
        while at < line_end && !self.ends_value(at, line_end) {
            at += 1;
        }
        at
    }

    fn ends_value(&self, at: usize, line_end: usize) -> bool {
        let next = self.at(at + 1).filter(|_| at + 1 < line_end);
        match self.at(at) {
            Some(b' ' | b'\t' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'|' | 0) | None => true,
            Some(b'\\') => matches!(next, Some(b'n' | b'r' | b't' | b'"' | b'\'') | None),
            Some(b')' | b']' | b'}') => next.is_none_or(|next| !next.is_ascii_alphanumeric()),
            Some(b',' | b';' | b'&') => {
                next.is_none_or(|next| b" \t\"'{[}])".contains(&next)) || self.is_member(at + 1)
            }
            _ => false,
        }
    }

    /// Whether `name=` or `name:` stands here.
    fn is_member(&self, at: usize) -> bool {
        let rest = self.text.get(at..).unwrap_or_default();
        let is_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        let length = rest.iter().take(64).take_while(is_name).count();
        length > 0 && matches!(rest.get(length), Some(b'=' | b':'))
    }

    /// What follows the name of a scheme.
    fn after_scheme(&self, at: usize) -> Option<Range<usize>> {
        let rest = self.text.get(at..)?;
        let start = match rest {
            [b'%', b'2', b'0', ..] => at + 3,
            [b' ' | b'\t' | b'+', ..] => self.skip(at + 1, b" \t", 8),
            _ => return None,
        };
        let is_letter = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._~+/=-".contains(byte);
        let length = self.text.get(start..)?.iter().take(VALUE_BYTES_MAX).take_while(is_letter).count();
        Some(start..start + length)
    }

    /// The credentials of a header, or of a variable that holds one.
    fn authorization(&self) -> Option<Range<usize>> {
        let closed = self.skip(self.end, b"\\\"'`]", 4);
        let spaced = self.skip(closed, b" \t", 8);
        let operated = self.skip(spaced, b":=>", 2);
        if operated == spaced {
            return None;
        }
        let at = self.skip(operated, b" \t", 8);
        let whole = self.quoted(at).unwrap_or_else(|| at..self.line_end(at));
        let value = self.get(&whole);
        let word = value.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let (scheme, rest) = value.split_at(word);
        let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
        let start = whole.start + word + spaces;
        let named =
            |schemes: &[&str]| schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
        let many = [
            "digest",
            "oauth",
            "signature",
            "hawk",
            "aws4-hmac-sha256",
            "aws",
            "sharedkey",
            "negotiate",
            "ntlm",
        ];
        if spaces > 0 && named(&many) {
            return Some(start..whole.end);
        }
        if spaces > 0 && named(&["bearer", "basic", "token", "apikey", "key", "dpop", "splunk"]) {
            let end = self.unquoted_end(start).min(whole.end);
            return Some(start..end).filter(|range| is_anything(self.get(range)) && range.len() >= 4);
        }
        let end = self.unquoted_end(whole.start).min(whole.end);
        Some(whole.start..end).filter(|range| is_token(self.get(range)))
    }

    /// Values of cookies, without what is said about them.
    fn cookies(&self, found: &mut dyn FnMut(Range<usize>)) {
        const ATTRIBUTES: [&str; 7] =
            ["path", "domain", "expires", "max-age", "samesite", "priority", "version"];
        let closed = self.skip(self.end, b"\\\"'`]", 4);
        let spaced = self.skip(closed, b" \t", 8);
        let operated = self.skip(spaced, b":=", 2);
        if operated == spaced {
            return;
        }
        let at = self.skip(operated, b" \t", 8);
        let whole = self.quoted(at).unwrap_or_else(|| at..self.line_end(at));
        let mut start = whole.start;
        for part in self.get(&whole).split(|byte| *byte == b';') {
            if let Some(equals) = memchr::memchr(b'=', part) {
                let (name, value) = part.split_at(equals);
                let value = value.get(1..).unwrap_or_default();
                let value_length = value.iter().take_while(|byte| !b" \t\"'\\,".contains(byte)).count();
                let value_start = start + equals + 1;
                let name = name.trim_ascii();
                let is_attribute = ATTRIBUTES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
                if !is_attribute
                    && value_length >= 8
                    && !is_replacement(value.get(..value_length).unwrap_or_default())
                {
                    found(value_start..value_start + value_length);
                }
            }
            start += part.len() + 1;
        }
    }

    /// The password before the host of a URL, or a token that stands there alone.
    fn user_info(&self) -> Option<Range<usize>> {
        let rest = self.text.get(self.end..)?;
        let rest = rest.get(..2048).unwrap_or(rest);
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || b"\"'<>`\\|".contains(byte);
        let length = rest.iter().position(is_end).unwrap_or(rest.len());
        let rest = rest.get(..length)?;
        let authority = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let colon = memchr::memchr(b':', rest.get(..authority)?);
        // A password may have such characters in it, if what is before them is no port.
        let after_colon = colon.and_then(|colon| rest.get(colon + 1..authority)).unwrap_or_default();
        let is_port = after_colon.iter().all(u8::is_ascii_digit);
        let within = if colon.is_some() && !is_port { rest } else { rest.get(..authority)? };
        let at = memchr::memrchr(b'@', rest.get(..authority)?).or_else(|| memchr::memrchr(b'@', within))?;
        match colon.filter(|colon| *colon < at) {
            Some(colon) => {
                Some(self.end + colon + 1..self.end + at).filter(|range| is_anything(self.get(range)))
            }
            None => {
                let user = rest.get(..at)?;
                let is_long = user.len() >= 16 && user.iter().any(u8::is_ascii_digit);
                (is_long && !is_replacement(user)).then(|| self.end..self.end + at)
            }
        }
    }
}

/// Whether the name is of something about the secret, and not of itself.
fn is_harmless(rest: &[u8], keyword: &[u8]) -> bool {
    let rest: Vec<u8> = rest.iter().map(u8::to_ascii_lowercase).collect();
    // `passw` is the beginning of a word.
    let rest = ["ord", "d"].iter().find_map(|end| rest.strip_prefix(end.as_bytes())).unwrap_or(&rest);
    let start = rest.iter().take_while(|byte| b"_-.".contains(byte)).count();
    let bare = rest.get(start..).unwrap_or_default();
    let is_id = bare == b"id" || bare.starts_with(b"id_") || bare.starts_with(b"_id");
    (is_id && !keyword.eq_ignore_ascii_case(b"secret"))
        || HARMLESS_RESTS.iter().any(|harmless| bare.starts_with(harmless.as_bytes()))
}

/// Whether something is assigned at all.
fn is_anything(value: &[u8]) -> bool {
    !value.is_empty()
        && !is_replacement(value)
        && !is_placeholder(value)
        && !NO_VALUES.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// `${NAME}`, `$NAME`, `{{name}}`, `<name>`, `%s`, `$(command)`
fn is_placeholder(value: &[u8]) -> bool {
    match value {
        [b'$', b'{' | b'(', ..]
        | [b'{', b'{', ..]
        | [b'<', .., b'>']
        | [b'%', b's' | b'(' | b'v' | b'd', ..]
        | b"{}" => true,
        [b'$', rest @ ..] => rest.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_'),
        _ => false,
    }
}

/// Whether a value is a token, and no word, number, path or piece of a program.
fn is_token(value: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphabetic() || b"_-./:".contains(byte);
    let is_lower = |byte: &u8| byte.is_ascii_lowercase() || b"_-./:".contains(byte);
    let is_word = (value.len() <= 24 && value.iter().all(is_lower))
        || (value.iter().all(is_name) && efficiency::is_wordlike(value));
    let is_number =
        value.len() < 12 && value.iter().all(|byte| byte.is_ascii_digit() || b".,-+".contains(byte));
    let is_path = value.starts_with(b"/") || value.starts_with(b"./") || value.starts_with(b"~/");
    let is_url = memchr::memmem::find(value, b"://").is_some();
    let is_call = value.ends_with(b"(") || value.ends_with(b"[") || value.ends_with(b"()");
    value.len() >= 6 && is_anything(value) && !is_word && !is_number && !is_path && !is_url && !is_call
}

fn is_bearer(value: &[u8]) -> bool {
    value.len() >= 8
        && !is_replacement(value)
        && (value.iter().any(u8::is_ascii_digit) || (value.len() >= 20 && !efficiency::is_wordlike(value)))
}

/// `user:password` in base64.
fn is_basic(value: &[u8]) -> bool {
    let bare = value.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let decoded = BASE64_NOPAD.decode(value.get(..bare).unwrap_or_default());
    decoded.is_ok_and(|decoded| decoded.contains(&b':') && std::str::from_utf8(&decoded).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::span::join;

    /// The text with what was found in brackets.
    fn marked(text: &str) -> String {
        let mut spans = Vec::new();
        Names::new().search(text.as_bytes(), 0, &mut spans);
        join(&mut spans);
        let (mut shown, mut at) = (String::new(), 0);
        for span in spans {
            shown += &format!("{}«{}»", &text[at..span.start], &text[span.start..span.end]);
            at = span.end;
        }
        shown + &text[at..]
    }

    /// What is in «» is found, and nothing else.
    fn check(expected: &str) {
        assert_eq!(marked(&expected.replace(['«', '»'], "")), expected);
    }

    #[test]
    fn passwords_by_name() {
        for line in [
            "password=«hunter2»",
            "user=ann password=«hunter2» host=db",
            "DB_PASSWORD: «hunter2»",
            "db.password = «hunter2», next",
            "{\"password\":\"«hunter2»\",\"user\":\"ann\"}",
            "{\"password\": «123456»}",
            "{\\\"password\\\":\\\"«hun\\\\\\\"ter2»\\\"}",
            "{'passwd': '«hunter 2»'}",
            "<password>«hunter2»</password>",
            "https://host/login?user=a&password=«hun%20ter2»&next=1",
            "mysql --user root --password «hunter2» shop",
            "mysql --password=«hunter2» shop",
            "ALTER USER ann WITH PASSWORD '«hunter2»';",
            "CREATE USER 'ann' IDENTIFIED BY '«hunter2»';",
            "Config { password: Some(\"«hunter2»\"), retries: 3 }",
            "MYSQL_PASS=«hunter2»",
            "pwd=«a,b;c» x",
            "passphrase = \"«a b c»\"",
            "password=«hunter2»\\nnext line",
            "\"password\": \"«never closed",
        ] {
            check(&line.replace("never closed", "never closed»"));
        }
    }

    #[test]
    fn what_is_said_about_passwords_stays() {
        for line in [
            "password_length=12 password_policy=strict",
            "Password: must be at least 8 characters",
            "password: incorrect",
            "PWD=/home/ann OLDPWD=/",
            "password=*** password=[DB_PASSWORD] password=\"\"",
            "password=${DB_PASSWORD} password=$DB_PASSWORD",
            "passwordless login, compass: north",
            "Secret::new(password)",
            "password reset for ann",
            "max_tokens=512 tokens: 1234 token_count=123456789",
            "token_type=bearer token: expired secret_name=shop-secrets",
            "invalid token: signature does not match",
            "secret: shop-database-credentials token = get_token()",
            "secretary: Bob Smith 1234",
            "Basic authentication is required",
            "Bearer token is missing",
            "http://host:8080/path@x https://ann@host/",
            "cookie: none",
        ] {
            check(line);
        }
    }

    #[test]
    fn tokens_and_headers() {
        for line in [
            "X-Vault-Token: «hvs.not-a-real-token1»",
            "api_key=«abc123def456» ok",
            "client_secret: «0ff1ce-n0t-a-real-one»",
            "secret_id=«2f6c1f0e-0000-4000-8000-1b0a8d8e0f00»",
            "Authorization: Bearer «abc.def-ghi123»",
            "-H 'Authorization: Basic «YW5uOmh1bnRlcjI=»'",
            "\"authorization\": \"token «abcdef123456»\"",
            "Authorization: Digest «username=\"ann\", response=\"0f0f\"»",
            "sent Bearer «abcdef0123456789» to host",
            "Basic «YW5uOmh1bnRlcjI=» sent",
            "Cookie: theme=dark; session=«0123456789abcdef»; lang=en",
            "Set-Cookie: sid=«abcdefgh12»; Path=/; Max-Age=3600",
            "postgres://ann:«hunter2»@db:5432/shop",
            "postgres://ann:«hun/ter2»@db:5432/shop?x=1",
            "redis://:«hunter2»@cache/0",
            "https://«ghp_n0tARealToken000»@github.com/a/b",
            "https://s.example/?sv=1&sig=«abc%2Fdef1234%3D»&se=2",
        ] {
            check(line);
        }
    }

    #[test]
    fn any_bytes() {
        for length in 0..40 {
            for (keyword, _) in KEYWORDS {
                let tail: String =
                    "=:\"'\\%3d <>@;&,".chars().cycle().skip(length % 7).take(length).collect();
                marked(&format!("{keyword}{tail}"));
                marked(&format!("{keyword}{tail}{keyword}"));
            }
        }
    }
}
