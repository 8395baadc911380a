//! The forms of a value: as it is, decoded, a line of it, the password in it.

use crate::{Fingerprint, Head, ScanKey, guess};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use strongroom_secret::SecretBytes;

/// A value must be this hard to guess, in bits, beyond what its fingerprint tells.
pub const BITS_MIN: f64 = 64.0;
/// What a fingerprint tells of a value: where its first other character stands, and which.
const TOLD_BITS: f64 = 10.0;
/// Longer values are not taken: nobody commits them unchanged.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// A value has at most so many forms, its lines among them.
const FORMS_MAX: usize = 256;
/// Shorter values are the base64 or hex of nothing that is hard to guess.
const ENCODED_CHARACTERS_MIN: usize = 16;

/// Which form of a value a fingerprint is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// The value, without white space around it. The first of each value's forms.
    Whole,
    /// The bytes that the value is the base64 or hex of.
    Decoded,
    /// One line of a value of several.
    Line,
    /// The password in a value that is an address (`postgres://user:password@host`).
    Password,
}

impl Form {
    pub const ALL: [Self; 4] = [Self::Whole, Self::Decoded, Self::Line, Self::Password];

    pub fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Decoded => "decoded",
            Self::Line => "line",
            Self::Password => "password",
        }
    }

    pub fn by_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.word() == word)
    }
}

/// Why a value has no fingerprints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    #[error("it can be guessed: about {bits} bits, and less than {min} would let a stolen index be searched", min = BITS_MIN)]
    Guessable { bits: u32 },
    #[error("it is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
}

/// The fingerprints of a value in all its forms, the whole first.
pub fn fingerprints(key: &ScanKey, value: &[u8]) -> Result<Vec<Fingerprint>, LeftOut> {
    let trimmed = value.trim_ascii();
    let bits = unguessable_bits(trimmed.get(..VALUE_BYTES_MAX).unwrap_or(trimmed));
    if bits < BITS_MIN {
        return Err(LeftOut::Guessable { bits: bits.max(0.0) as u32 });
    }
    fingerprints_of_any(key, value)
}

/// The same, of a value that may be guessed too: for what is not kept.
pub fn fingerprints_of_any(key: &ScanKey, value: &[u8]) -> Result<Vec<Fingerprint>, LeftOut> {
    let trimmed = value.trim_ascii();
    if trimmed.len() > VALUE_BYTES_MAX {
        return Err(LeftOut::TooLong);
    }
    let mut made = vec![key.fingerprint(Form::Whole, trimmed)];
    let mut take = |form, bytes: &[u8]| {
        if made.len() < FORMS_MAX && !bytes.is_empty() && unguessable_bits(bytes) >= BITS_MIN {
            made.push(key.fingerprint(form, bytes));
        }
    };
    if let Some(decoded) = decoded_value(trimmed) {
        take(Form::Decoded, decoded.expose());
    }
    if let Some(password) = password_of_address(trimmed) {
        take(Form::Password, password.expose());
    }
    lines(trimmed).for_each(|line| take(Form::Line, line));
    Ok(made)
}

/// What an attacker who holds the fingerprint would still have to guess.
fn unguessable_bits(value: &[u8]) -> f64 {
    guess::bits(value) - if Head::of(value).next.is_some() { TOLD_BITS } else { 0.0 }
}

/// The lines of a value of several, without those that say what they are (`-----BEGIN …`).
fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let several = value.contains(&b'\n');
    value
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(move |line| several && !line.starts_with(b"-----"))
}

/// What a value is the base64 or hex of, if its letters say so: what is of letters and digits alone may be any token.
pub fn decoded_value(value: &[u8]) -> Option<SecretBytes> {
    let bare = value.strip_suffix(b"==").or(value.strip_suffix(b"=")).unwrap_or(value);
    if value.len() < ENCODED_CHARACTERS_MIN || value.contains(&b'\n') {
        return None;
    }
    if value.iter().all(u8::is_ascii_hexdigit) {
        return HEXLOWER_PERMISSIVE.decode(value).ok().map(SecretBytes::new);
    }
    let telling = bare.len() < value.len() || value.iter().any(|byte| matches!(byte, b'+' | b'/'));
    if !telling || !value.len().is_multiple_of(4) {
        return None;
    }
    BASE64_NOPAD.decode(bare).or_else(|_| BASE64URL_NOPAD.decode(bare)).ok().map(SecretBytes::new)
}

/// The password in an address, without percent-encoding: RFC 3986, section 3.2.1.
pub fn password_of_address(value: &[u8]) -> Option<SecretBytes> {
    let scheme = value.iter().take(32).position(|byte| *byte == b':')?;
    let authority = value.get(scheme..)?.strip_prefix(b"://")?;
    if value.contains(&b'\n') {
        return None;
    }
    let end = authority.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(authority.len());
    let authority = authority.get(..end)?;
    let user = authority.get(..authority.iter().rposition(|byte| *byte == b'@')?)?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    Some(SecretBytes::new(without_percent(user.get(colon + 1..)?)))
}

fn without_percent(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after.first_chunk::<2>()) {
            (b'%', Some(digits)) => {
                HEXLOWER_PERMISSIVE.decode(digits).ok().and_then(|byte| byte.first().copied())
            }
            _ => None,
        };
        plain.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    plain
}
