use super::Check;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};

/// Fields of a macaroon's packets (libmacaroons, version 2 of the binary format).
const END: u8 = 0;
const LOCATION: u8 = 1;
const SIGNATURE: u8 = 6;

/// `pypi-` and a macaroon of version 2 whose location is pypi.org or test.pypi.org and which ends in a signature of 32 bytes.
pub(super) fn pypi(secret: &[u8]) -> Check {
    let text = secret.strip_prefix(b"pypi-").unwrap_or_default();
    let bytes = BASE64URL_NOPAD.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).unwrap_or_default();
    let known = |location: &[u8]| location == b"pypi.org" || location == b"test.pypi.org";
    Check::verified_or_unlikely(location(&bytes).is_some_and(known))
}

/// The location of a macaroon, if all of it has the form of one.
fn location(bytes: &[u8]) -> Option<&[u8]> {
    let (2, mut rest) = bytes.split_first().map(|(version, rest)| (*version, rest))? else {
        return None;
    };
    let mut location = None;
    loop {
        let (kind, after) = rest.split_first()?;
        rest = after;
        if *kind == END {
            continue;
        }
        let (length, after) = variable_number(rest)?;
        let (value, after) = after.split_at_checked(length)?;
        match *kind {
            LOCATION if location.is_none() => location = Some(value),
            SIGNATURE => return location.filter(|_| length == 32 && after.is_empty()),
            _ => {}
        }
        rest = after;
    }
}

/// Seven bits a byte, the lowest first.
fn variable_number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_usize;
    for (index, byte) in bytes.iter().take(3).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}
