//! The forms in which a value may stand in a text: as it is, and as programs encode, escape and quote it.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use strongroom_secret::SecretBytes;

/// Lines of a value of several from here on are looked for by themselves.
const LINE_BYTES_MIN: usize = 8;
/// Shorter encoded forms stand in too many texts.
const ENCODED_BYTES_MIN: usize = 6;
/// Longer forms are looked for in pieces, so that what is held back of a stream stays small.
pub(super) const PIECE_BYTES_MAX: usize = 256;
/// Every character as its number is written for values up to here: it makes them six times as long.
const NUMBERED_BYTES_MAX: usize = 1024;
/// Where `base64` and PEM break their lines.
const WRAPS: [usize; 2] = [64, 76];

/// All that is to be looked for of one value, without doubles. White space around the value is none of it.
pub(super) fn patterns(value: &[u8]) -> Vec<SecretBytes> {
    let value = value.trim_ascii();
    let mut forms = Forms::default();
    forms.add(value.to_vec());
    forms.codes(value);
    forms.escapes(value);
    if value.contains(&b'\n') {
        forms.add(with_carriage_returns(value));
        let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        // What says what follows (`-----BEGIN …`) is no secret.
        for line in lines.filter(|line| line.len() >= LINE_BYTES_MIN && !line.starts_with(b"-----")) {
            forms.add(line.to_vec());
            forms.escapes(line);
        }
    }
    forms.pieces()
}

#[derive(Default)]
struct Forms(Vec<SecretBytes>);

impl Forms {
    fn add(&mut self, form: Vec<u8>) {
        self.0.push(SecretBytes::new(form));
    }

    fn add_encoded(&mut self, form: Vec<u8>) {
        let form = SecretBytes::new(form);
        if form.expose().len() >= ENCODED_BYTES_MIN {
            self.0.push(form);
        }
    }

    /// Base64 wherever in what was encoded the value stands, and hex.
    fn codes(&mut self, value: &[u8]) {
        for (padded, bare) in [(&BASE64, &BASE64_NOPAD), (&BASE64URL, &BASE64URL_NOPAD)] {
            self.add_encoded(padded.encode(value).into_bytes());
            self.add_encoded(bare.encode(value).into_bytes());
            for before in 0..3 {
                self.add_encoded(within_base64(bare, value, before));
            }
        }
        let whole = SecretBytes::new(BASE64.encode(value).into_bytes());
        for width in WRAPS.into_iter().filter(|width| whole.expose().len() > *width) {
            let lines = whole.expose().chunks(width).filter(|line| line.len() >= LINE_BYTES_MIN);
            lines.for_each(|line| self.add(line.to_vec()));
        }
        self.add_encoded(HEXLOWER.encode(value).into_bytes());
        self.add_encoded(HEXUPPER.encode(value).into_bytes());
        if value.len() <= NUMBERED_BYTES_MAX {
            self.add(numbered(value, Case::Lower));
            self.add(numbered(value, Case::Upper));
        }
    }

    /// What URLs, JSON, shells, programming languages and XML make of it: often the value itself.
    fn escapes(&mut self, value: &[u8]) {
        // What none of them would change.
        if value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte)) {
            return;
        }
        for kept in PERCENT_KEEPS {
            for case in [Case::Lower, Case::Upper] {
                self.add(percent(value, kept, case, b"%20"));
                self.add(percent(value, kept, case, b"+"));
            }
        }
        for style in &JSON_STYLES {
            self.add(json(value, style));
        }
        let once = SecretBytes::new(json(value, &JSON_PLAIN));
        self.add(json(once.expose(), &JSON_PLAIN));
        for replacements in REPLACEMENTS {
            self.add(replaced(value, replacements));
        }
        self.add(backslashed(value));
    }

    fn pieces(self) -> Vec<SecretBytes> {
        let mut pieces = Vec::with_capacity(self.0.len());
        for form in self.0 {
            let bytes = form.expose();
            if bytes.len() <= PIECE_BYTES_MAX {
                pieces.push(form);
                continue;
            }
            // The last piece overlaps the one before it, so that all have the same length.
            let last = bytes.len() - PIECE_BYTES_MAX;
            let starts = (0..last).step_by(PIECE_BYTES_MAX).chain([last]);
            let piece = |start: usize| bytes.get(start..start + PIECE_BYTES_MAX).unwrap_or_default();
            pieces.extend(starts.map(|start| SecretBytes::new(piece(start).to_vec())));
        }
        pieces.sort_by(|one, other| one.expose().cmp(other.expose()));
        pieces.dedup_by(|one, other| one.expose() == other.expose());
        pieces
    }
}

/// Room for any form, so that a vector does not grow and leave copies behind.
fn room(value: &[u8]) -> Vec<u8> {
    Vec::with_capacity(value.len().saturating_mul(12))
}

fn with_carriage_returns(value: &[u8]) -> Vec<u8> {
    let mut form = room(value);
    for (at, byte) in value.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| value.get(before));
        if *byte == b'\n' && before != Some(&b'\r') {
            form.push(b'\r');
        }
        form.push(*byte);
    }
    form
}

/// The characters of base64 that the value alone decides, with `before` bytes before it in its group of three.
fn within_base64(encoding: &Encoding, value: &[u8], before: usize) -> Vec<u8> {
    let mut group = Vec::with_capacity(value.len() + before);
    group.resize(before, 0);
    group.extend_from_slice(value);
    let group = SecretBytes::new(group);
    let encoded = SecretBytes::new(encoding.encode(group.expose()).into_bytes());
    let first = (8 * before).div_ceil(6);
    let last = 8 * group.expose().len() / 6;
    encoded.expose().get(first..last).unwrap_or_default().to_vec()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Upper,
}

fn push_hex(form: &mut Vec<u8>, number: u32, digits: u32, case: Case) {
    for digit in (0..digits).rev() {
        let value = (number >> (4 * digit)) & 15;
        let letter = char::from_digit(value, 16).unwrap_or('0');
        let letter = if case == Case::Upper { letter.to_ascii_uppercase() } else { letter };
        form.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Which characters, beside letters and digits, percent-encoding leaves: RFC 3986's unreserved ones; `encodeURIComponent`;
/// HTML forms; what keeps `/`; userinfo as Go writes it; `encodeURI`.
const PERCENT_KEEPS: [&[u8]; 6] =
    [b"-._~", b"-_.!~*'()", b"-._*", b"-._~/", b"-._~$&+,;=", b"-_.!~*'();/?:@&=+$,#"];

fn percent(value: &[u8], kept: &[u8], case: Case, space: &[u8]) -> Vec<u8> {
    let mut form = room(value);
    for byte in value {
        match byte {
            b' ' => form.extend_from_slice(space),
            _ if byte.is_ascii_alphanumeric() || kept.contains(byte) => form.push(*byte),
            _ => {
                form.push(b'%');
                push_hex(&mut form, u32::from(*byte), 2, case);
            }
        }
    }
    form
}

/// How a library writes JSON.
struct Json {
    /// Characters that become numbers.
    numbered: &'static str,
    beyond_ascii: Beyond,
    escaped_slash: bool,
    case: Case,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Kept,
    Numbered,
}

const JSON_PLAIN: Json =
    Json { numbered: "", beyond_ascii: Beyond::Kept, escaped_slash: false, case: Case::Lower };

/// Most libraries; Python; PHP; Go; Gson; .NET; and what escapes `/` alone.
const JSON_STYLES: [Json; 7] = [
    JSON_PLAIN,
    Json { beyond_ascii: Beyond::Numbered, ..JSON_PLAIN },
    Json { beyond_ascii: Beyond::Numbered, escaped_slash: true, ..JSON_PLAIN },
    Json { numbered: "<>&\u{2028}\u{2029}", ..JSON_PLAIN },
    Json { numbered: "<>&='", ..JSON_PLAIN },
    Json { numbered: "\"<>&'+`", beyond_ascii: Beyond::Numbered, case: Case::Upper, ..JSON_PLAIN },
    Json { escaped_slash: true, ..JSON_PLAIN },
];

fn json(value: &[u8], style: &Json) -> Vec<u8> {
    let mut form = room(value);
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            let is_numbered = style.numbered.contains(character)
                || (!character.is_ascii() && style.beyond_ascii == Beyond::Numbered);
            match character {
                _ if is_numbered => push_units(&mut form, character, style.case),
                '"' => form.extend_from_slice(b"\\\""),
                '\\' => form.extend_from_slice(b"\\\\"),
                '\n' => form.extend_from_slice(b"\\n"),
                '\r' => form.extend_from_slice(b"\\r"),
                '\t' => form.extend_from_slice(b"\\t"),
                '\u{8}' => form.extend_from_slice(b"\\b"),
                '\u{c}' => form.extend_from_slice(b"\\f"),
                '\0'..' ' => push_units(&mut form, character, style.case),
                '/' if style.escaped_slash => form.extend_from_slice(b"\\/"),
                _ => form.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        form.extend_from_slice(chunk.invalid());
    }
    form
}

fn push_units(form: &mut Vec<u8>, character: char, case: Case) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        form.extend_from_slice(b"\\u");
        push_hex(form, u32::from(*unit), 4, case);
    }
}

/// Every character as its number.
fn numbered(value: &[u8], case: Case) -> Vec<u8> {
    let mut form = room(value);
    for chunk in value.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_units(&mut form, character, case));
        form.extend_from_slice(chunk.invalid());
    }
    form
}

/// Single characters, and what stands for them.
type Replacements = &'static [(u8, &'static [u8])];

const REPLACEMENTS: [Replacements; 10] = [
    // Within single quotes of a shell, as most write it and as Python does.
    &[(b'\'', b"'\\''")],
    &[(b'\'', b"'\"'\"'")],
    // Within double quotes of a shell; of a program.
    &[(b'\\', b"\\\\"), (b'"', b"\\\""), (b'$', b"\\$"), (b'`', b"\\`")],
    // Within single quotes of a program, and $'…'.
    &[(b'\\', b"\\\\"), (b'\'', b"\\'"), (b'\n', b"\\n"), (b'\r', b"\\r"), (b'\t', b"\\t")],
    // Doubled, as SQL and CSV do.
    &[(b'\'', b"''")],
    &[(b'"', b"\"\"")],
    // XML and HTML: text; attributes by several libraries.
    &[(b'&', b"&amp;"), (b'<', b"&lt;"), (b'>', b"&gt;")],
    &[(b'&', b"&amp;"), (b'<', b"&lt;"), (b'>', b"&gt;"), (b'"', b"&quot;"), (b'\'', b"&apos;")],
    &[(b'&', b"&amp;"), (b'<', b"&lt;"), (b'>', b"&gt;"), (b'"', b"&quot;"), (b'\'', b"&#x27;")],
    &[(b'&', b"&amp;"), (b'<', b"&lt;"), (b'>', b"&gt;"), (b'"', b"&#34;"), (b'\'', b"&#39;")],
];

fn replaced(value: &[u8], replacements: Replacements) -> Vec<u8> {
    let mut form = room(value);
    for byte in value {
        match replacements.iter().find(|(from, _)| from == byte) {
            Some((_, to)) => form.extend_from_slice(to),
            None => form.push(*byte),
        }
    }
    form
}

/// A backslash before all that a shell might take for its own (`printf %q`).
fn backslashed(value: &[u8]) -> Vec<u8> {
    let mut form = room(value);
    for byte in value {
        let is_plain = byte.is_ascii_alphanumeric() || b"_-./:=@%+,^".contains(byte) || !byte.is_ascii();
        if !is_plain {
            form.push(b'\\');
        }
        form.push(*byte);
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(value: &str) -> Vec<String> {
        let patterns = patterns(value.as_bytes());
        patterns.iter().map(|form| String::from_utf8(form.expose().to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_plain_value_has_few_forms() {
        insta::assert_snapshot!(forms("hunter2").join("\n"), @r"
        68756E74657232
        68756e74657232
        \u0068\u0075\u006E\u0074\u0065\u0072\u0032
        \u0068\u0075\u006e\u0074\u0065\u0072\u0032
        aHVudGVyM
        aHVudGVyMg
        aHVudGVyMg==
        h1bnRlcj
        hunter2
        odW50ZXIy
        ");
    }

    #[test]
    fn escapes_of_several_worlds() {
        let all = forms("p@ss w/\"d'<é>&$");
        for form in [
            "p%40ss%20w%2F%22d%27%3C%C3%A9%3E%26%24",
            "p%40ss+w%2f%22d%27%3c%c3%a9%3e%26%24",
            "p@ss w/\\\"d'<é>&$",
            "p@ss w/\\\"d'<\\u00e9>&$",
            "p@ss w\\/\\\"d'<\\u00e9>&$",
            "p@ss w/\\\"d'\\u003cé\\u003e\\u0026$",
            "p@ss w/\\u0022d\\u0027\\u003C\\u00E9\\u003E\\u0026$",
            "p@ss w/\\\\\\\"d'<é>&$",
            "p@ss w/\"d'\\''<é>&$",
            "p@ss w/\\\"d'<é>&\\$",
            "p@ss w/\"d'&lt;é&gt;&amp;$",
            "p@ss w/&quot;d&apos;&lt;é&gt;&amp;$",
            "p@ss w/&#34;d&#39;&lt;é&gt;&amp;$",
            "p@ss\\ w/\\\"d\\'\\<é\\>\\&\\$",
        ] {
            assert!(all.iter().any(|known| known == form), "{form}");
        }
    }

    #[test]
    fn base64_is_known_wherever_the_value_stands_in_it() {
        let value = b"not-a-real-secret+/?";
        let known = patterns(value);
        for before in 0..7 {
            for after in 0..4 {
                let text = ["x".repeat(before).as_bytes(), value, "\u{7f}".repeat(after).as_bytes()].concat();
                for encoding in [&BASE64, &BASE64URL] {
                    let encoded = encoding.encode(&text).into_bytes();
                    let is_in = |form: &SecretBytes| {
                        encoded.windows(form.expose().len()).any(|window| window == form.expose())
                    };
                    assert!(known.iter().any(is_in), "{before} {after}");
                }
            }
        }
    }

    #[test]
    fn long_values_are_known_in_pieces_and_by_line() {
        let key =
            format!("-----BEGIN X-----\n{}\n{}\nshort\n-----END X-----\n", "a1".repeat(32), "b2".repeat(200));
        let all = forms(&key);
        assert!(all.iter().all(|form| form.len() <= PIECE_BYTES_MAX));
        assert!(all.contains(&"a1".repeat(32)) && all.contains(&"b2".repeat(128)));
        assert!(!all.iter().any(|form| form == "-----BEGIN X-----" || form == "short"));
    }
}
