//! How much a text is like words: names in programs are, secrets are not.
//!
//! A model of three characters in a row, counted over names and words of source code and documentation, says how many bits each
//! character of a text costs. Names cost two to four, what was drawn at random six and more, in any alphabet. It does the work
//! of a language model's vocabulary (betterleaks' token efficiency) in 22 KB, and needs no preparation.

/// Bits × 16 of the third character after the first two: letters without case, digits as one, all else as one.
static TRIGRAMS: &[u8; KINDS * KINDS * KINDS] = include_bytes!("trigrams.bin");
const KINDS: usize = 28;
const DIGIT: usize = 26;
const OTHER: usize = 27;

/// Texts that cost less are words. Of 3,000 random texts of twelve small letters one costs so little.
const WORDLIKE_BITS: f64 = 4.9;
/// Longer texts are judged by their beginning.
const LENGTH_MAX: usize = 4096;

/// Bits for each character.
pub fn bits(text: &[u8]) -> f64 {
    let text = text.get(..LENGTH_MAX).unwrap_or(text);
    let (mut sum, mut one, mut two) = (0_u64, OTHER, OTHER);
    for byte in text {
        let three = kind(*byte);
        sum += u64::from(TRIGRAMS.get((one * KINDS + two) * KINDS + three).copied().unwrap_or(u8::MAX));
        (one, two) = (two, three);
    }
    #[expect(clippy::cast_precision_loss, reason = "the text is short")]
    {
        sum as f64 / 16.0 / text.len().max(1) as f64
    }
}

/// What the third of three characters costs after the first two, in sixteenths of a bit.
pub(crate) fn trigram_bits(one: u8, two: u8, three: u8) -> u8 {
    TRIGRAMS.get((kind(one) * KINDS + kind(two)) * KINDS + kind(three)).copied().unwrap_or(u8::MAX)
}

/// Whether a text consists of words or pieces of words.
pub fn is_wordlike(text: &[u8]) -> bool {
    !text.is_empty() && bits(text) < WORDLIKE_BITS
}

fn kind(byte: u8) -> usize {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => usize::from(letter - b'a'),
        b'0'..=b'9' => DIGIT,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_and_secrets_are_not() {
        for name in [
            "client_secret_value",
            "getAccessToken",
            "application/json",
            "AUTHORIZATION_HEADER",
            "correcthorsebattery",
            "aaaaaaaaaaaa",
        ] {
            assert!(is_wordlike(name.as_bytes()), "{name} {}", bits(name.as_bytes()));
        }
        for secret in
            ["q7Zk2mXv9LpR4tWb", "9f86d081884c7d659a2feaa0c55ad015", "zqxwvkjhpfgd", "A3T7KQ2M5XWJ9ZRB"]
        {
            assert!(!is_wordlike(secret.as_bytes()), "{secret} {}", bits(secret.as_bytes()));
        }
        assert!(!is_wordlike(b""));
    }
}
