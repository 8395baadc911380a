use super::checksum;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Work grows with the square of the length; the longest thing asked about has 112 characters.
const LENGTH_MAX: usize = 128;

/// Base58 with Bitcoin's alphabet.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > LENGTH_MAX {
        return None;
    }
    let mut number: Vec<u8> = Vec::with_capacity(text.len()); // least significant byte first
    for character in text {
        let mut carry = ALPHABET.iter().position(|known| known == character)?;
        for byte in &mut number {
            carry += usize::from(*byte) * 58;
            *byte = low_byte(carry);
            carry >>= 8;
        }
        while carry > 0 {
            number.push(low_byte(carry));
            carry >>= 8;
        }
    }
    let zeros = text.iter().take_while(|character| **character == b'1').count();
    number.resize(number.len() + zeros, 0);
    number.reverse();
    Some(number)
}

/// The payload, if the four bytes at the end are its checksum.
pub(super) fn decode_checked(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = decode(text)?;
    let payload_length = bytes.len().checked_sub(4)?;
    let sum = bytes.split_off(payload_length);
    (checksum::sha256_twice(&bytes) == *sum).then_some(bytes)
}

fn low_byte(number: usize) -> u8 {
    number.to_le_bytes().first().copied().unwrap_or_default()
}
