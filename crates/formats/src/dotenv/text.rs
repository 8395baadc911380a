//! From bytes to text: bounded, UTF-8, with a mark of the byte order taken for what it is.

use std::borrow::Cow;
use strongroom_secret::SecretString;
use zeroize::Zeroizing;

/// The largest file that is read, in bytes. Trees of it take some twenty times that at worst.
pub const BYTES_MAX: usize = 16 << 20;
/// The most entries (statements, comments, runs of blank lines) of one file.
pub const ENTRIES_MAX: usize = 1_000_000;

pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("has {bytes} bytes, and at most {BYTES_MAX} are read: this is hardly a file of settings")]
    TooLarge { bytes: usize },
    #[error("line {line}: the file has more than {ENTRIES_MAX} entries, the most that is read")]
    TooManyEntries { line: usize },
    #[error("is UTF-16: save it as UTF-8 (iconv --from-code={encoding} --to-code=UTF-8 does)")]
    Utf16 { encoding: &'static str },
    #[error("line {line}: not UTF-8: save the file as UTF-8")]
    NotUtf8 { line: usize },
}

/// The bytes as text, byte for byte.
pub(super) fn decode(bytes: &[u8]) -> Result<SecretString, TextError> {
    if bytes.len() > BYTES_MAX {
        return Err(TextError::TooLarge { bytes: bytes.len() });
    }
    if let Some(encoding) = utf16(bytes) {
        return Err(TextError::Utf16 { encoding });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            Err(TextError::NotUtf8 { line: 1 + before.iter().filter(|byte| **byte == b'\n').count() })
        }
    }
}

/// By its mark of the byte order; without one, by the zeros that every second byte of western text then is.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, ..] => return Some("UTF-16LE"),
        [0xfe, 0xff, ..] => return Some("UTF-16BE"),
        _ => {}
    }
    let head = bytes.get(..bytes.len().min(64) & !1)?;
    let zeros = |parity: usize| head.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let pairs = head.len() / 2;
    match (zeros(0), zeros(1)) {
        (0, odd) if pairs >= 2 && odd == pairs => Some("UTF-16LE"),
        (even, 0) if pairs >= 2 && even == pairs => Some("UTF-16BE"),
        _ => None,
    }
}

/// Where a line ends: at `\r\n`, `\n` or `\r`. Answers the position behind `at`'s line and its break.
pub(super) fn line_end(text: &str, at: usize) -> (usize, usize) {
    let rest = text.get(at..).unwrap_or_default();
    match rest.find(['\n', '\r']) {
        None => (text.len(), text.len()),
        Some(offset) => {
            let end = at + offset;
            let is_pair = text.get(end..).is_some_and(|rest| rest.starts_with("\r\n"));
            (end, end + if is_pair { 2 } else { 1 })
        }
    }
}

/// How many line breaks a text holds; `\r\n` is one.
pub(super) fn line_breaks(text: &str) -> usize {
    let bytes = text.as_bytes();
    let pairs = bytes.windows(2).filter(|pair| *pair == b"\r\n").count();
    bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() - pairs
}

/// The text with each `\r\n` and `\r` as `\n`: what a program sees that opens a file in text mode.
pub(super) fn with_unix_breaks(text: &str) -> Cow<'_, str> {
    if !text.contains('\r') {
        return Cow::Borrowed(text);
    }
    let mut unix = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\r' {
            unix.push(character);
            continue;
        }
        characters.next_if_eq(&'\n');
        unix.push('\n');
    }
    Cow::Owned(unix)
}

/// A secret text on its way; wiped when dropped. It does not grow past `capacity`, so it leaves no copies behind.
pub(super) fn buffer(capacity: usize) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(capacity))
}

pub(super) fn secret(mut buffer: Zeroizing<String>) -> SecretString {
    SecretString::new(std::mem::take(&mut *buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_named() {
        let le = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert_eq!(decode(&le("\u{feff}A=1\n")), Err(TextError::Utf16 { encoding: "UTF-16LE" }));
        assert_eq!(decode(&le("A=1\n")), Err(TextError::Utf16 { encoding: "UTF-16LE" }));
        let be = "A=1\n".encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        assert_eq!(decode(&be), Err(TextError::Utf16 { encoding: "UTF-16BE" }));
        assert_eq!(decode(b"A=\0\n").unwrap().expose(), "A=\0\n");
        assert_eq!(decode(b"").unwrap().expose(), "");
    }

    #[test]
    fn what_is_not_text_is_refused_by_line() {
        assert_eq!(decode(b"A=1\nB=\xff\n"), Err(TextError::NotUtf8 { line: 2 }));
        assert_eq!(decode(&vec![b'a'; BYTES_MAX + 1]), Err(TextError::TooLarge { bytes: BYTES_MAX + 1 }));
    }

    #[test]
    fn breaks_of_all_kinds() {
        assert_eq!(line_breaks("a\r\nb\nc\rd"), 3);
        assert_eq!(with_unix_breaks("a\r\nb\nc\rd"), "a\nb\nc\nd");
        assert_eq!(line_end("a\r\nb", 0), (1, 3));
        assert_eq!(line_end("a", 0), (1, 1));
    }
}
