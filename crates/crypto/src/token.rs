//! Random texts: tokens, ids, one-time pads.

use crate::uniform::UniformNumbers;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use strongroom_secret::{Entropy, SecretBytes, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why an encoded token does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OtpError {
    #[error("the encoded token is not base64")]
    Encoding,
    #[error("the one-time password has {otp} bytes and the token {token}: they must be equal")]
    Length { otp: usize, token: usize },
    #[error("the one-time password does not fit the encoded token")]
    Mismatch,
}

/// `length` characters of `0-9A-Za-z`, each equally likely: 5.95 bits a character.
pub fn random_base62(entropy: &dyn Entropy, length: usize) -> SecretString {
    let mut numbers = UniformNumbers::new(entropy);
    // Collected with its final capacity, so that no copy is left behind.
    let mut text = String::with_capacity(length);
    text.extend((0..length).map(|_| {
        let index = usize::from(numbers.up_to(61));
        char::from(BASE62.get(index).copied().unwrap_or(b'0'))
    }));
    SecretString::new(text)
}

/// `length` of these characters, at most 256, each equally likely. Empty without any.
pub fn random_text(entropy: &dyn Entropy, characters: &[char], length: usize) -> SecretString {
    let mut numbers = UniformNumbers::new(entropy);
    let last = characters.len().saturating_sub(1).min(255) as u8;
    let mut text = String::with_capacity(length.saturating_mul(4));
    text.extend((0..length).filter_map(|_| characters.get(usize::from(numbers.up_to(last)))));
    SecretString::new(text)
}

/// A random UUID (RFC 9562, version 4), as `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`.
pub fn uuid_v4(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xF << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{number:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| text.get(range).unwrap_or_default());
    parts.join("-")
}

/// Base64 with the standard alphabet and padding (RFC 4648, section 4).
pub fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The opposite of [`encode_base64`]; None if the text is not canonical.
pub fn decode_base64(text: &str) -> Option<SecretBytes> {
    STANDARD.decode(text).ok().map(SecretBytes::new)
}

/// A one-time password for `vault operator generate-root`: base62, as long as the token that it will hide.
pub fn generate_otp(entropy: &dyn Entropy, token_length: usize) -> SecretString {
    random_base62(entropy, token_length)
}

/// A token hidden as `vault operator generate-root` expects it: base64 without padding of token XOR password.
pub fn encode_with_otp(token: &SecretString, otp: &str) -> Result<String, OtpError> {
    let hidden = xor(token.expose().as_bytes(), otp.as_bytes())?;
    Ok(STANDARD_NO_PAD.encode(&*hidden))
}

/// The opposite of [`encode_with_otp`].
pub fn decode_with_otp(encoded: &str, otp: &str) -> Result<SecretString, OtpError> {
    let hidden = STANDARD_NO_PAD.decode(encoded).map_err(|_| OtpError::Encoding)?;
    let mut token = xor(&hidden, otp.as_bytes())?;
    let text = String::from_utf8(std::mem::take(&mut token)).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        OtpError::Mismatch
    })?;
    Ok(SecretString::new(text))
}

fn xor(token: &[u8], otp: &[u8]) -> Result<Zeroizing<Vec<u8>>, OtpError> {
    if token.len() != otp.len() {
        return Err(OtpError::Length { otp: otp.len(), token: token.len() });
    }
    Ok(Zeroizing::new(token.iter().zip(otp).map(|(left, right)| left ^ right).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::SeededEntropy;

    #[test]
    fn base62_has_the_length_and_the_characters() {
        let entropy = SeededEntropy::new(1);
        let text = random_base62(&entropy, 6200);
        assert_eq!(text.expose().len(), 6200);
        for character in BASE62 {
            let count = text.expose().bytes().filter(|byte| byte == character).count();
            assert!((50..170).contains(&count), "{count} of {}", char::from(*character));
        }
    }

    #[test]
    fn uuids_have_version_and_variant() {
        /// All bits set.
        struct Ones;
        impl Entropy for Ones {
            fn fill(&self, out: &mut [u8]) {
                out.fill(0xFF);
            }
        }
        assert_eq!(uuid_v4(&Ones), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let uuid = uuid_v4(&SeededEntropy::new(2));
        assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'));
    }

    /// Computed by Python: base64.b64encode(bytes(a ^ b for …)).rstrip("=").
    #[test]
    fn tokens_are_hidden_as_vault_hides_them() {
        let token = SecretString::from("hvs.FAKEFAKEFAKEFAKEFAKEFAKE");
        let otp = "0123456789abcdefghijklmnopqr";
        let encoded = encode_with_otp(&token, otp).unwrap();
        assert_eq!(encoded, "WEdBHXJ0fXJ+eConJSUuIyEpIi8tLSYrKTE6Nw");
        assert_eq!(decode_with_otp(&encoded, otp).unwrap(), token);
        assert_eq!(decode_with_otp(&encoded, "short"), Err(OtpError::Length { otp: 5, token: 28 }));
        assert_eq!(decode_with_otp("***", otp), Err(OtpError::Encoding));
    }
}
