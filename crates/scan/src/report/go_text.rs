//! Text as Go's `encoding/json`, `encoding/csv` and `encoding/xml` write it: reports are compared byte by byte.

use std::fmt::Write;

/// The characters of a text, and `None` for each byte that is not part of one.
fn characters(mut bytes: &[u8]) -> impl Iterator<Item = Option<char>> {
    let mut valid = "".chars();
    std::iter::from_fn(move || {
        if let Some(character) = valid.next() {
            return Some(Some(character));
        }
        if bytes.is_empty() {
            return None;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                valid = text.chars();
                bytes = &[];
            }
            Err(error) if error.valid_up_to() > 0 => {
                let (text, rest) = bytes.split_at(error.valid_up_to());
                valid = std::str::from_utf8(text).unwrap_or_default().chars();
                bytes = rest;
            }
            Err(_) => {
                bytes = bytes.get(1..).unwrap_or_default();
                return Some(None);
            }
        }
        valid.next().map(Some)
    })
}

/// A JSON string with its quotes; `<`, `>`, `&` are escaped as Go does by default.
pub(super) fn json_string(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for character in characters(bytes) {
        match character {
            None => out.push_str("\\ufffd"),
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some(other @ ('\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')) => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
            Some(other) => out.push(other),
        }
    }
    out.push('"');
}

/// XML character data or the value of an attribute.
pub(super) fn xml(out: &mut String, bytes: &[u8]) {
    for character in characters(bytes) {
        match character {
            Some('"') => out.push_str("&#34;"),
            Some('\'') => out.push_str("&#39;"),
            Some('&') => out.push_str("&amp;"),
            Some('<') => out.push_str("&lt;"),
            Some('>') => out.push_str("&gt;"),
            Some('\t') => out.push_str("&#x9;"),
            Some('\n') => out.push_str("&#xA;"),
            Some('\r') => out.push_str("&#xD;"),
            None | Some('\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            Some(other) => out.push(other),
        }
    }
}

/// One field of a comma separated line. Bytes that are no UTF-8 stay as they are.
pub(super) fn csv_field(out: &mut Vec<u8>, field: &[u8]) {
    let begins_with_space = characters(field).next().flatten().is_some_and(char::is_whitespace);
    let special = field.iter().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if !(special || begins_with_space || field == b"\\.") {
        return out.extend_from_slice(field);
    }
    out.push(b'"');
    for byte in field {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// A float32: the shortest decimal that is read as the same number.
pub(super) fn float32(number: f64) -> String {
    format!("{}", number as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        let bytes = b"a\"b\\<c>&\x01\t\x7f\xff\xe2\x80\xa8\xc3\xa9\xe2\x82";
        let mut json = String::new();
        json_string(&mut json, bytes);
        assert_eq!(
            json,
            "\"a\\\"b\\\\\\u003cc\\u003e\\u0026\\u0001\\t\u{7f}\\ufffd\\u2028\u{e9}\\ufffd\\ufffd\""
        );
        let mut text = String::new();
        xml(&mut text, b"a\"'<>&\n\xff\x02");
        assert_eq!(text, "a&#34;&#39;&lt;&gt;&amp;&#xA;\u{fffd}\u{fffd}");
        for (field, expected) in
            [("", ""), ("a b", "a b"), (" a", "\" a\""), ("a,\"b", "\"a,\"\"b\""), ("\\.", "\"\\.\"")]
        {
            let mut out = Vec::new();
            csv_field(&mut out, field.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        assert_eq!(float32(5.015_371_0), "5.015371");
        assert_eq!(float32(3.0), "3");
    }
}
