//! What is prohibited, and what is allowed all the same: extended regular expressions of POSIX, as grep reads them.

use super::Ended;
use super::repository::Repository;
use regex::bytes::{Regex, RegexBuilder};
use std::fs;
use std::path::Path;
use strongroom_secret::SecretString;

/// Compiled expressions may take this much memory: real configurations have some dozens.
const COMPILED_BYTES_MAX: usize = 64 << 20;

/// What is registered for AWS, with the keys that its documentation shows allowed. The forms are AWS's own: ids of 20
/// characters by their four first ones (IAM's "unique ID prefixes"), secret keys of 40, account ids of 12 digits, keys of Bedrock.
pub(super) const AWS: [(&str, &str); 8] = [
    ("secrets.providers", "git secrets --aws-provider"),
    ("secrets.patterns", "A(3T[0-9A-Z]|BIA|CCA|GPA|IDA|IPA|KIA|NPA|NVA|ROA|SIA)[0-9A-Z]{16}"),
    ("secrets.patterns", "ABSK[+/0-9A-Za-z]{109,}={0,2}"),
    ("secrets.patterns", "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t"),
    (
        "secrets.patterns",
        r#"["']?([Aa][Ww][Ss]_?)?([Ss]ecret|SECRET)?_?([Aa]ccess|ACCESS)?_?([Kk]ey|KEY)["']?[[:space:]]*(=>|[:=])[[:space:]]*["']?[+/=0-9A-Za-z]{40}["']?"#,
    ),
    (
        "secrets.patterns",
        r#"["']?([Aa][Ww][Ss]_?)?([Aa]ccount|ACCOUNT)_?([Ii]d|ID)?["']?[[:space:]]*(=>|[:=])[[:space:]]*["']?([0-9]{4}-?){2}[0-9]{4}["']?"#,
    ),
    ("secrets.allowed", "AKIAIOSFODNN7EXAMPLE"),
    ("secrets.allowed", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
];

/// The prohibited ones. `None`: there are none, and nothing is found.
pub(super) struct Patterns {
    any: Option<Regex>,
}

impl Patterns {
    /// From the configuration and from what the providers print.
    pub(super) fn load(repository: &Repository) -> Result<Self, Ended> {
        let configured = repository.all("secrets.patterns")?;
        let mut patterns: Vec<SecretString> = configured.into_iter().map(SecretString::from).collect();
        for command in repository.all("secrets.providers")? {
            patterns.extend(repository.provided(&command)?);
        }
        let mut translated = Vec::new();
        for pattern in &patterns {
            let lines = pattern.expose().lines().filter(|line| !line.is_empty());
            translated.extend(lines.map(|line| format!("(?:{})", translate(line))));
        }
        if translated.is_empty() {
            return Ok(Self { any: None });
        }
        let word = "[0-9A-Za-z_]";
        // As grep -w: what stands before and after is no part of a word.
        let any = format!(
            "(?:^|[^{inside}])(?:{})(?:[^{inside}]|$)",
            translated.join("|"),
            inside = &word[1..word.len() - 1]
        );
        let any = compile(&any).map_err(|reason| {
            // The expressions of providers are credentials: only those of the configuration are told.
            let bad = translated.iter().position(|one| compile(one).is_err());
            let which = bad.map_or(String::new(), |number| format!(" (number {})", number + 1));
            Ended::fatal(format_args!(
                "a prohibited pattern{which} is no extended regular expression: {reason}"
            ))
        })?;
        Ok(Self { any: Some(any) })
    }

    pub(super) fn are_none(&self) -> bool {
        self.any.is_none()
    }

    /// Whether a line, without its end, has one.
    pub(super) fn match_line(&self, line: &[u8]) -> bool {
        self.any.as_ref().is_some_and(|any| any.is_match(line))
    }
}

/// What makes a line that was found no finding: tried on `path:number:line`.
pub(super) struct Allowed {
    any: Option<Regex>,
}

impl Allowed {
    pub(super) fn load(repository: &Repository) -> Result<Self, Ended> {
        let mut lines = repository.all("secrets.allowed")?;
        if let Some(top) = repository.top()
            && let Ok(text) = fs::read(top.join(".gitallowed"))
        {
            let text = String::from_utf8_lossy(&text).into_owned();
            let own =
                text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
            lines.extend(own.map(str::to_owned));
        }
        let mut translated = Vec::new();
        for line in lines.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty()) {
            let one = format!("(?:{})", translate(line));
            compile(&one).map_err(|reason| {
                Ended::fatal(format_args!(
                    "the allowed pattern {line:?} is no extended regular expression: {reason}"
                ))
            })?;
            translated.push(one);
        }
        if translated.is_empty() {
            return Ok(Self { any: None });
        }
        let any = compile(&translated.join("|")).map_err(Ended::fatal)?;
        Ok(Self { any: Some(any) })
    }

    pub(super) fn admits(&self, line: &[u8]) -> bool {
        self.any.as_ref().is_some_and(|any| any.is_match(line))
    }
}

/// The reason does not repeat the expression.
fn compile(pattern: &str) -> Result<Regex, &'static str> {
    RegexBuilder::new(pattern).unicode(false).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => "it is too large",
            _ => "its syntax is wrong, or it refers back to a group, which is not supported",
        }
    })
}

/// A text that stands for itself.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.|$(){}?+*^[]".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// The values of the credentials in an ini file, one a line, as patterns.
pub(super) fn of_aws_file(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut patterns = String::new();
    for line in text.lines() {
        if !line.contains("aws_access_key_id") && !line.contains("aws_secret_access_key") {
            continue;
        }
        // What stands between the first two equals signs, as awk's second field.
        let value = line.split('=').nth(1).unwrap_or_default().replace([' ', '"'], "");
        patterns.push_str(&literal(&value));
        patterns.push('\n');
    }
    patterns
}

/// A POSIX extended expression (IEEE 1003.1, section 9.4, with GNU's escapes) in the syntax of our matcher.
fn translate(posix: &str) -> String {
    let mut out = String::with_capacity(posix.len() + 8);
    let mut rest = posix;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        match character {
            '[' => rest = bracket(rest, &mut out),
            '\\' => rest = escape(after, &mut out),
            '{' if !is_interval(rest) => {
                out.push_str("\\{");
                rest = after;
            }
            _ => {
                out.push(character);
                rest = after;
            }
        }
    }
    out
}

fn is_interval(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|text| text.split_once('}')).map(|(inner, _)| inner);
    inner.is_some_and(|inner| {
        inner.starts_with(|first: char| first.is_ascii_digit())
            && inner.chars().all(|character| character.is_ascii_digit() || character == ',')
    })
}

/// What follows a backslash outside of brackets.
fn escape<'t>(text: &'t str, out: &mut String) -> &'t str {
    let Some(character) = text.chars().next() else {
        out.push_str("\\\\");
        return text;
    };
    match character {
        'w' | 'W' | 's' | 'S' | 'b' | 'B' => out.extend(['\\', character]),
        '<' => out.push_str("\\b{start}"),
        '>' => out.push_str("\\b{end}"),
        '`' => out.push_str("\\A"),
        '\'' => out.push_str("\\z"),
        '1'..='9' => out.extend(['\\', character]),
        _ => out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4]))),
    }
    &text[character.len_utf8()..]
}

/// A bracket expression, in which a backslash is a character as any other. Without an end it is a bracket.
fn bracket<'t>(text: &'t str, out: &mut String) -> &'t str {
    let inner = &text[1..];
    let (negated, body) = match inner.strip_prefix('^') {
        Some(body) => (true, body),
        None => (false, inner),
    };
    let mut class = String::from(if negated { "[^" } else { "[" });
    let mut rest = body;
    loop {
        let Some(character) = rest.chars().next() else {
            out.push_str("\\[");
            return inner;
        };
        let is_first = rest.len() == body.len();
        if character == ']' && !is_first {
            class.push(']');
            out.push_str(&class);
            return &rest[1..];
        }
        if let Some(end) = rest.strip_prefix("[:").and_then(|named| named.find(":]")) {
            class.push_str(&rest[..end + 4]);
            rest = &rest[end + 4..];
            continue;
        }
        let is_range = character == '-' && !is_first && !rest[1..].starts_with(']');
        if !is_range && r"\[]^-&~".contains(character) {
            class.push('\\');
        }
        class.push(character);
        rest = &rest[character.len_utf8()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_posix() {
        let check = |posix: &str, expected: &str| assert_eq!(translate(posix), expected, "{posix}");
        check("a|b(c)+", "a|b(c)+");
        check(r"[\+=]{4}", r"[\\+=]{4}");
        check("[]a-]", r"[\]a\-]");
        check("[^]a]", r"[^\]a]");
        check("[[:alpha:]_-]", r"[[:alpha:]_\-]");
        check("[a-z]", "[a-z]");
        check(r"\-\d\.\/", r"\-d\./");
        check(r"\<a\>\s", r"\b{start}a\b{end}\s");
        check("{a}", r"\{a}");
        check("[", r"\[");
        for (_, pattern) in AWS {
            compile(&translate(pattern)).unwrap();
        }
        compile(&translate(&literal(r"a.b[c]\d$"))).unwrap();
    }
}
