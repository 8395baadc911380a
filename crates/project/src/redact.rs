//! Known values out of a stream: as they are, and as base64, in a URL, and in JSON. A value that is cut by the borders of
//! chunks is found all the same.

use crate::compose::UNRESERVED;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::utf8_percent_encode;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

/// What stands where a value stood.
pub const MASK: &[u8] = b"[redacted]";
/// Shorter values are in every text, and are left.
const VALUE_BYTES_MIN: usize = 4;

/// Replaces values in a stream. What might be the beginning of a value is held back until the next bytes show it.
pub struct Redactor {
    /// Sorted, without copies.
    patterns: Vec<SecretBytes>,
    held: Zeroizing<Vec<u8>>,
    /// By first byte, whether any pattern begins so.
    begins: [bool; 256],
}

impl Redactor {
    pub fn new<'v>(values: impl IntoIterator<Item = &'v SecretBytes>) -> Self {
        let mut redactor = Self { patterns: Vec::new(), held: Zeroizing::default(), begins: [false; 256] };
        redactor.learn(values);
        redactor
    }

    /// Takes these values out too, from here on.
    pub fn learn<'v>(&mut self, values: impl IntoIterator<Item = &'v SecretBytes>) {
        let patterns = &mut self.patterns;
        for value in values {
            patterns.extend(forms(value.expose()));
        }
        patterns.retain(|pattern| pattern.expose().len() >= VALUE_BYTES_MIN);
        patterns.sort_by(|one, other| one.expose().cmp(other.expose()));
        patterns.dedup_by(|one, other| one.expose() == other.expose());
        for first in patterns.iter().filter_map(|pattern| pattern.expose().first()) {
            if let Some(begins) = self.begins.get_mut(usize::from(*first)) {
                *begins = true;
            }
        }
    }

    /// Takes a chunk, and gives what can be shown by now.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(chunk);
        self.take(&text, End::MayGoOn)
    }

    /// Gives the rest.
    pub fn finish(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.held);
        self.take(&text, End::IsReached)
    }

    fn take(&mut self, text: &[u8], end: End) -> Vec<u8> {
        let mut shown = Vec::with_capacity(text.len());
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            match self.at(rest, end) {
                // A longer value may be under way.
                Here::Beginning => {
                    self.held.extend_from_slice(rest);
                    break;
                }
                Here::Value(length) => {
                    shown.extend_from_slice(MASK);
                    at += length;
                }
                Here::Nothing => {
                    shown.extend(rest.first());
                    at += 1;
                }
            }
        }
        shown
    }

    /// The longest value that begins here; `Beginning` if the text may go on and become a longer one.
    fn at(&self, rest: &[u8], end: End) -> Here {
        let first = rest.first().copied().unwrap_or_default();
        if !self.begins.get(usize::from(first)).copied().unwrap_or(false) {
            return Here::Nothing;
        }
        let longer = self.patterns.partition_point(|pattern| pattern.expose() < rest);
        // What begins with `rest` stands here: first `rest` itself, if it is a pattern, then the longer ones.
        let mut following = self.patterns.iter().skip(longer).map(SecretBytes::expose);
        let mut next = following.next();
        let whole = next == Some(rest);
        if whole {
            next = following.next();
        }
        if next.is_some_and(|next| next.starts_with(rest)) && end == End::MayGoOn {
            return Here::Beginning;
        }
        if whole {
            return Here::Value(rest.len());
        }
        // Sorted: the patterns that begin `rest` stand before it, the longest of them nearest, but not next to it.
        let group = self.patterns.partition_point(|pattern| pattern.expose().first() < Some(&first));
        let candidates = self.patterns.get(group..longer).unwrap_or_default();
        let fits = candidates.iter().map(SecretBytes::expose).filter(|pattern| rest.starts_with(pattern));
        fits.map(<[u8]>::len).max().map_or(Here::Nothing, Here::Value)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    MayGoOn,
    IsReached,
}

enum Here {
    Nothing,
    Beginning,
    Value(usize),
}

/// The value, its lines, and both in the encodings in which programs print them.
fn forms(value: &[u8]) -> Vec<SecretBytes> {
    let mut forms = encodings(value);
    // Programs that print line by line, and logs that indent.
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| line.len() >= 8);
    if value.contains(&b'\n') {
        lines.for_each(|line| forms.push(SecretBytes::new(line.to_vec())));
    }
    forms
}

fn encodings(value: &[u8]) -> Vec<SecretBytes> {
    let mut forms = vec![SecretBytes::new(value.to_vec())];
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(SecretBytes::new(engine.encode(value).into_bytes()));
    }
    let Ok(text) = std::str::from_utf8(value) else { return forms };
    let percent = utf8_percent_encode(text, UNRESERVED).to_string();
    forms.push(SecretBytes::new(percent.replace("%20", "+").into_bytes()));
    forms.push(SecretBytes::new(percent.into_bytes()));
    if let Ok(json) = serde_json::to_string(text) {
        let json = Zeroizing::new(json);
        let inner = json.get(1..json.len() - 1).unwrap_or_default();
        forms.push(SecretBytes::new(inner.as_bytes().to_vec()));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&str], text: &str, expected: &str) {
        let values: Vec<SecretBytes> =
            values.iter().map(|value| SecretBytes::new(value.as_bytes().to_vec())).collect();
        // However it is cut.
        for size in 1..=text.len().max(1) {
            let mut redactor = Redactor::new(&values);
            let mut shown = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                shown.extend(redactor.push(chunk));
            }
            shown.extend(redactor.finish());
            assert_eq!(String::from_utf8_lossy(&shown), expected, "in chunks of {size}");
        }
    }

    #[test]
    fn values_are_found_however_they_are_cut_and_written() {
        check(&["hunter2"], "a hunter2 b hunter", "a [redacted] b hunter");
        check(&["hunter2", "hunter2000"], "hunter2000 hunter2 hunter20", "[redacted] [redacted] [redacted]0");
        check(&["p@ss w/rd"], "u:p%40ss%20w%2Frd@h p%40ss+w%2Frd", "u:[redacted]@h [redacted]");
        check(&["hunter2"], "Basic aHVudGVyMg==!", "Basic [redacted]!");
        check(
            &["a\"b\nline two x"],
            r#"{"k":"a\"b\nline two x"} line two x"#,
            r#"{"k":"[redacted]"} [redacted]"#,
        );
        check(&["abc"], "abc", "abc");
        check(&["aaaa", "aaab"], "aaaaaab", "[redacted]aab");
        check(&[], "text", "text");
    }

    #[test]
    fn a_value_that_is_learnt_later_is_taken_out_beside_the_first() {
        let value = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
        let mut redactor = Redactor::new(&[value("hunter2")]);
        assert_eq!(redactor.push(b"a hunt"), b"a ");
        redactor.learn(&[value("swordfish")]);
        assert_eq!(redactor.push(b"er2 swordf"), b"[redacted] ");
        assert_eq!(redactor.push(b"ish"), b"[redacted]");
    }

    #[test]
    fn nothing_is_held_back_that_begins_no_value() {
        let mut redactor = Redactor::new(&[SecretBytes::new(b"hunter2".to_vec())]);
        assert_eq!(redactor.push(b"Password: "), b"Password: ");
        assert_eq!(redactor.push(b"hunt"), b"");
        assert_eq!(redactor.push(b"ing"), b"hunting");
    }
}
