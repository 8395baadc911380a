//! A value in the encodings in which it gets into files.

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};

/// Forms shorter than this stand in texts by chance.
const FORM_BYTES_MIN: usize = 10;

/// The forms that differ from the value itself, each with the name of its encoding.
pub(super) fn encoded(value: &[u8]) -> Vec<(&'static str, strongroom_secret::SecretBytes)> {
    let mut forms: Vec<(&'static str, Vec<u8>)> = Vec::new();
    forms.push(("base64", BASE64.encode(value).into_bytes()));
    forms.push(("base64url", BASE64URL.encode(value).into_bytes()));
    for start in 0..3 {
        forms.push(("base64", of_base64(value, start, &BASE64)));
        forms.push(("base64url", of_base64(value, start, &BASE64URL)));
    }
    forms.push(("hex", HEXLOWER.encode(value).into_bytes()));
    forms.push(("hex", HEXUPPER.encode(value).into_bytes()));
    forms.push(("percent encoding", percent(value)));
    forms.push(("JSON", json(value)));
    if memchr::memmem::find(value, b"\r\n").is_none() && value.contains(&b'\n') {
        let lines: Vec<&[u8]> = value.split(|byte| *byte == b'\n').collect();
        forms.push(("lines of Windows", lines.join(&b"\r\n"[..])));
    }
    forms.retain(|(_, form)| form.len() >= FORM_BYTES_MIN && form != value);
    // The longer ones first: a form that ends where the encoding does is replaced to its end.
    forms.sort_by(|one, other| (other.1.len(), &one.1, one.0).cmp(&(one.1.len(), &other.1, other.0)));
    forms.dedup_by(|one, other| one.1 == other.1);
    forms.into_iter().map(|(name, form)| (name, strongroom_secret::SecretBytes::new(form))).collect()
}

/// What of the base64 of a longer text is this value's alone, if it begins `start` bytes behind a group of three.
fn of_base64(value: &[u8], start: usize, encoding: &data_encoding::Encoding) -> Vec<u8> {
    let mut padded = vec![0; start];
    padded.extend_from_slice(value);
    let text = encoding.encode(&padded);
    // The first letters also say something of what stands before, the last ones of what comes after.
    let first = [0, 2, 3].get(start).copied().unwrap_or(0);
    let whole = padded.len() / 3 * 4;
    text.get(first..whole).unwrap_or_default().as_bytes().to_vec()
}

fn percent(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for byte in value {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(*byte);
        } else {
            text.extend(format!("%{byte:02X}").into_bytes());
        }
    }
    text
}

fn json(value: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(value).ok().and_then(|text| serde_json::to_string(text).ok());
    let quoted = text.unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().as_bytes().to_vec()
}
