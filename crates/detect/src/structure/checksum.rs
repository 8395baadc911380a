use sha2::{Digest, Sha256};

/// CRC-32 as in zlib and Ethernet (reflected, polynomial 0xEDB88320).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    };
    !bytes.iter().fold(!0, step)
}

/// CRC-16/XMODEM (polynomial 0x1021, from zero).
pub(super) fn crc16_xmodem(bytes: &[u8]) -> u16 {
    let step = |crc: u16, byte: &u8| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| (crc << 1) ^ (0x1021 * (crc >> 15)))
    };
    bytes.iter().fold(0, step)
}

/// The first four bytes of SHA-256 of SHA-256: the checksum of Base58Check.
pub(super) fn sha256_twice(bytes: &[u8]) -> [u8; 4] {
    let digest = Sha256::digest(Sha256::digest(bytes));
    let mut first = [0; 4];
    first.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    first
}

/// A number in base62 with digits `0-9A-Za-z`, most significant first. `None`: other characters, or more than 32 bits.
pub(super) fn base62_number(digits: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    };
    digits.iter().try_fold(0_u32, |number, byte| number.checked_mul(62)?.checked_add(u32::from(digit(byte)?)))
}

/// A number in exactly eight hexadecimal digits.
pub(super) fn hexadecimal_number(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.len() == 8 && !text.starts_with('+'))?;
    u32::from_str_radix(text, 16).ok()
}
