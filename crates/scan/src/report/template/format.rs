//! `fmt` verbs, quoting and layouts of times, as Go has them.

use super::value::Value;
use jiff::Timestamp;
use std::fmt::Write;

/// `fmt.Sprintf`, with the verbs that make sense here.
pub(super) fn printf(format: &[u8], arguments: &[Value]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut bytes = format.iter().copied().peekable();
    let mut arguments = arguments.iter();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag @ (b'-' | b'0' | b'+' | b' ' | b'#')) = bytes.peek().copied() {
            spec.left |= flag == b'-';
            spec.zero |= flag == b'0';
            spec.plus |= flag == b'+';
            bytes.next();
        }
        let number = |bytes: &mut std::iter::Peekable<_>| {
            let mut value = 0_usize;
            while let Some(digit @ b'0'..=b'9') = bytes.peek().copied() {
                value = value.saturating_mul(10).saturating_add(usize::from(digit - b'0')).min(10_000);
                bytes.next();
            }
            value
        };
        spec.width = number(&mut bytes);
        if bytes.peek() == Some(&b'.') {
            bytes.next();
            spec.precision = Some(number(&mut bytes));
        }
        match bytes.next() {
            Some(b'%') => out.push(b'%'),
            Some(verb) => match arguments.next() {
                Some(value) => out.extend(spec.pad(spec.verb(verb, value)?)),
                None => return Err("there are fewer arguments than verbs".to_owned()),
            },
            None => return Err("the format ends in a %".to_owned()),
        }
    }
    match arguments.next() {
        None => Ok(out),
        Some(_) => Err("there are more arguments than verbs".to_owned()),
    }
}

#[derive(Default)]
struct Spec {
    left: bool,
    zero: bool,
    plus: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn verb(&self, verb: u8, value: &Value) -> Result<Vec<u8>, String> {
        let cut = |bytes: Vec<u8>| match self.precision {
            Some(count) => {
                String::from_utf8_lossy(&bytes).chars().take(count).collect::<String>().into_bytes()
            }
            None => bytes,
        };
        let sign = |text: String| if self.plus && !text.starts_with('-') { format!("+{text}") } else { text };
        match (verb, value) {
            (b's' | b'v', Value::Text(_)) => Ok(cut(value.printed())),
            (b'v', Value::Float(number) | Value::Float32(number)) if self.precision.is_some() => {
                Ok(sign(format!("{number:.*}", self.precision.unwrap_or(6))).into_bytes())
            }
            (b's' | b'v', _) => Ok(value.printed()),
            (b'q', _) => Ok(quote(&cut(value.printed())).into_bytes()),
            (b'd', Value::Integer(number)) => Ok(sign(number.to_string()).into_bytes()),
            (b'x', Value::Integer(number)) => Ok(format!("{number:x}").into_bytes()),
            (b'x', Value::Text(text)) => Ok(hex::encode(text.expose()).into_bytes()),
            (b't', Value::Truth(truth)) => Ok(truth.to_string().into_bytes()),
            (b'f' | b'F', _) => match value.as_float() {
                Some(number) => Ok(sign(format!("{number:.*}", self.precision.unwrap_or(6))).into_bytes()),
                None => Err("%f needs a number".to_owned()),
            },
            (b'g', _) if value.as_float().is_some() => Ok(value.printed()),
            (verb, _) => Err(format!("%{} does not fit its argument, or is not supported", char::from(verb))),
        }
    }

    fn pad(&self, text: Vec<u8>) -> Vec<u8> {
        let length = String::from_utf8_lossy(&text).chars().count();
        let missing = self.width.saturating_sub(length);
        match (self.left, self.zero) {
            (true, _) => [text, vec![b' '; missing]].concat(),
            (false, true) => [vec![b'0'; missing], text].concat(),
            (false, false) => [vec![b' '; missing], text].concat(),
        }
    }
}

/// `strconv.Quote`.
pub(super) fn quote(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\u{b}' => out.push_str("\\v"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..='\u{1f}' | '\u{7f}' => {
                    let _ = write!(out, "\\x{:02x}", u32::from(character));
                }
                other if is_printable(other) => out.push(other),
                other if u32::from(other) > 0xffff => {
                    let _ = write!(out, "\\U{:08x}", u32::from(other));
                }
                other => {
                    let _ = write!(out, "\\u{:04x}", u32::from(other));
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// As a character within a text: Rust and Go call the same ones printable.
fn is_printable(character: char) -> bool {
    let within = String::from_iter(['a', character]);
    !within.escape_debug().to_string().contains("\\u")
}

/// What stands in a layout, longest first where one begins another, and what `strftime` calls it.
const LAYOUT: &[(&str, &str)] = &[
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "UTC"),
    ("2006", "%Y"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    ("Z07:00", "Z"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
    ("5", "%-S"),
];

/// A time in a layout of Go's, in UTC.
pub(super) fn date(layout: &str, seconds: i64) -> String {
    let mut format = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((name, code)) = LAYOUT.iter().find(|(name, _)| rest.starts_with(name)) {
            format.push_str(code);
            rest = rest.get(name.len()..).unwrap_or_default();
            continue;
        }
        if first == '%' {
            format.push('%');
        }
        format.push(first);
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    jiff::fmt::strtime::format(&format, &time.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}
