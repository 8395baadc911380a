//! Shannon's entropy, in bits for each character.

use std::collections::BTreeMap;

/// As gitleaks counts: runes are counted, and their number divided by the length in bytes. A byte that is no UTF-8 counts as U+FFFD.
pub fn of_text(text: &[u8]) -> f64 {
    if text.is_ascii() {
        return of_bytes(text);
    }
    let mut counts: BTreeMap<char, u32> = BTreeMap::new();
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            *counts.entry(letter).or_default() += 1;
        }
        for _ in chunk.invalid() {
            *counts.entry(char::REPLACEMENT_CHARACTER).or_default() += 1;
        }
    }
    sum(counts.into_values(), text.len())
}

/// Of bytes.
pub fn of_bytes(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    sum(counts.into_iter().filter(|count| *count > 0), bytes.len())
}

fn sum(counts: impl Iterator<Item = u32>, length: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "texts are far shorter than 2^52")]
    let share = 1.0 / length.max(1) as f64;
    let sum: f64 = counts
        .map(|count| {
            let frequency = f64::from(count) * share;
            frequency * frequency.log2()
        })
        .sum();
    // No `-0`.
    (-sum).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_as_gitleaks_does() {
        assert_eq!(of_text(b""), 0.0);
        assert_eq!(of_text(b"aaaa"), 0.0);
        assert_eq!(of_text(b"abcd"), 2.0);
        // Two runes in four bytes: each has a quarter.
        assert_eq!(of_text("éü".as_bytes()), 1.0);
        assert_eq!(of_text(b"\xff\xfe"), 0.0);
        assert_eq!(of_bytes(b"\xff\xfe"), 1.0);
    }
}
