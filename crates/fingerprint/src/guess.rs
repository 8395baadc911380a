//! How hard a value is to guess: an estimate that rather says too little.

/// A letter of a word is worth so much: ten thousand words of seven letters are 13 bits.
const WORD_LETTER_BITS: f64 = 2.0;

/// What stands between words is one of few.
const SEPARATOR_BITS: f64 = 2.0;

/// Bits that a searcher who knows how people and programs make values would have to try.
pub(crate) fn bits(value: &[u8]) -> f64 {
    let alphabet = alphabet_bits(value);
    let mut sum = 0.0;
    let mut rest = value;
    while !rest.is_empty() {
        let letters = word_length(rest);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (piece, after) = rest.split_at(letters.max(digits).max(1));
        sum += match letters {
            // A number, as ports and years are.
            0 if digits >= 3 => 10_f64.log2() * digits as f64,
            0 if digits > 0 => alphabet * digits as f64,
            0 if piece.iter().all(|byte| b" -_./:@".contains(byte)) => SEPARATOR_BITS,
            0 => alphabet,
            _ if looks_like_a_word(piece) => WORD_LETTER_BITS * letters as f64,
            _ => alphabet * letters as f64,
        };
        rest = after;
    }
    // What repeats itself is worth less than its length.
    sum.min(shannon(value) * value.len() as f64)
}

/// The letters that could be one word: of one case, or with a capital first.
fn word_length(bytes: &[u8]) -> usize {
    let capital = bytes.first().is_some_and(u8::is_ascii_uppercase);
    let lower = bytes.iter().skip(usize::from(capital)).take_while(|byte| byte.is_ascii_lowercase()).count();
    let upper = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if lower > 0 { lower + usize::from(capital) } else { upper }
}

/// Words have vowels, and few consonants in a row.
fn looks_like_a_word(letters: &[u8]) -> bool {
    let is_vowel = |byte: &u8| b"aeiouyAEIOUY".contains(byte);
    let vowels = letters.iter().filter(|byte| is_vowel(byte)).count();
    let longest = letters.split(is_vowel).map(<[u8]>::len).max().unwrap_or_default();
    letters.len() >= 3 && vowels * 5 >= letters.len() && longest <= 4
}

/// What a character of a random value of this kind is worth.
fn alphabet_bits(value: &[u8]) -> f64 {
    let any = |test: fn(&u8) -> bool| value.iter().any(test);
    let hex = |range: std::ops::RangeInclusive<u8>| {
        value.iter().all(|byte| byte.is_ascii_digit() || range.contains(byte))
    };
    if value.iter().all(u8::is_ascii_digit) {
        return 10_f64.log2();
    }
    if hex(b'a'..=b'f') || hex(b'A'..=b'F') {
        return 4.0;
    }
    let mut size = 0;
    size += if any(u8::is_ascii_lowercase) { 26 } else { 0 };
    size += if any(u8::is_ascii_uppercase) { 26 } else { 0 };
    size += if any(u8::is_ascii_digit) { 10 } else { 0 };
    // Of punctuation only a few are in use.
    size += if any(|byte| !byte.is_ascii_alphanumeric()) { 8 } else { 0 };
    f64::from(size.max(2)).log2()
}

pub fn shannon(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let length = value.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length);
    shares.map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_are_hard_and_words_are_not() {
        for hard in [
            "9f86d081884c7d659a2feaa0c55ad015",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzXQpLmNoRt",
            "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
            "qwmzxkpvrjbntrhsgvcl",
            "X7#kPq!9vLm2$Rt8Zw",
        ] {
            assert!(bits(hard.as_bytes()) >= 74.0, "{hard}: {}", bits(hard.as_bytes()));
        }
        for easy in [
            "correct horse battery staple",
            "Password1234!",
            "postgres://localhost:5432/shop",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "1234567890123456",
            "production",
            "9f86d081884c7d6",
            "",
        ] {
            assert!(bits(easy.as_bytes()) < 70.0, "{easy}: {}", bits(easy.as_bytes()));
        }
    }
}
