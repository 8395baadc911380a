//! Percent-decoding: once, and strictly.

use std::borrow::Cow;
use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum DecodeError {
    #[error("malformed percent-encoding")]
    Malformed,
    #[error("not valid UTF-8")]
    NotUtf8,
    #[error("encoded slash: a name cannot hold one")]
    EncodedSlash,
}

/// Decodes the path of a URL. An encoded slash is refused: decoded, it would look like a border between segments to
/// everything that follows, and what is checked would not be what was meant.
pub(crate) fn decode_path(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    let decoded = decode(text, |byte| byte)?;
    match &decoded {
        Cow::Owned(path) if path.matches('/').count() != text.matches('/').count() => {
            Err(DecodeError::EncodedSlash)
        }
        _ => Ok(decoded),
    }
}

/// Decodes a name or a value of a query or a form, where a plus is a space.
pub(crate) fn decode_form(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    decode(text, |byte| if byte == b'+' { b' ' } else { byte })
}

fn decode(text: &str, plain: impl Fn(u8) -> u8) -> Result<Cow<'_, str>, DecodeError> {
    if text.bytes().all(|byte| byte != b'%' && plain(byte) == byte) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next())? << 4 | hex_digit(bytes.next())?,
            byte => plain(byte),
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| DecodeError::NotUtf8)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, DecodeError> {
    let digit = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(DecodeError::Malformed)?;
    u8::try_from(digit).map_err(|_| DecodeError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once() {
        for (text, expected) in [
            ("secret/data/a", Ok("secret/data/a")),
            ("a%20b/%C3%BC+", Ok("a b/ü+")),
            ("a%252fb", Ok("a%2fb")),
            ("a%2fb", Err(DecodeError::EncodedSlash)),
            ("a%2Fb", Err(DecodeError::EncodedSlash)),
            ("a%zz", Err(DecodeError::Malformed)),
            ("a%2", Err(DecodeError::Malformed)),
            ("a%ff", Err(DecodeError::NotUtf8)),
        ] {
            assert_eq!(decode_path(text).as_deref(), expected.as_ref().copied(), "{text}");
        }
        assert_eq!(decode_form("a+b%2Bc%2f").as_deref(), Ok("a b+c/"));
    }
}
