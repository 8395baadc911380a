use memchr::memchr_iter;

/// The order of the bytes of a UTF-16 unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endian {
    Little,
    Big,
}

/// What the first bytes of a file say about the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, or another encoding that has ASCII in it: looked at as it is.
    Text,
    /// UTF-16, after `mark_bytes` of a byte order mark (0 or 2).
    Utf16 { endian: Endian, mark_bytes: usize },
    /// No text: a picture, a program, a database. The word names what it seems to be.
    Binary(&'static str),
}

/// How much of a file is looked at.
const HEAD_BYTES: usize = 8192;
/// Signatures of formats that have no text worth looking at, and begin with bytes that no text begins with.
/// Formats with text inside (PDF, SQLite, Java classes, pickles) are left to the count of their bytes.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF87a", "a GIF picture"),
    (b"GIF89a", "a GIF picture"),
    (b"\x7fELF", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xce\xfa\xed\xfe", "a program"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
    (b"\x00\x01\x00\x00\x00", "a font"),
    (b"OTTO\x00", "a font"),
    (b"OggS\x00", "sound"),
    (b"fLaC\x00", "sound"),
    (b"ID3\x02", "sound"),
    (b"ID3\x03", "sound"),
    (b"ID3\x04", "sound"),
    (b"\x1a\x45\xdf\xa3", "a film"),
];

/// Tells text from other things by a file's first bytes. In doubt it is text: a file that is skipped by mistake is a
/// leak that nobody sees, a binary file that is looked at costs some time.
///
/// A few NULs do not make a file binary: text files with a stray NUL exist (logs, fixtures, tab-separated dumps).
pub fn encoding_of(head: &[u8]) -> Encoding {
    let head = head.get(..HEAD_BYTES).unwrap_or(head);
    match head {
        [0xff, 0xfe, ..] => return Encoding::Utf16 { endian: Endian::Little, mark_bytes: 2 },
        [0xfe, 0xff, ..] => return Encoding::Utf16 { endian: Endian::Big, mark_bytes: 2 },
        _ => {}
    }
    if let Some((_, name)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Encoding::Binary(name);
    }
    if memchr::memchr(0, head).is_none() {
        return if is_mostly_control(head) { Encoding::Binary("binary data") } else { Encoding::Text };
    }
    if let Some(endian) = utf16_without_mark(head) {
        return Encoding::Utf16 { endian, mark_bytes: 0 };
    }
    let nulls = memchr_iter(0, head).count();
    if nulls * 10 > head.len() && !begins_with_text(head) || is_mostly_control(head) {
        return Encoding::Binary("binary data");
    }
    Encoding::Text
}

/// Text in UTF-16 has a zero in every second byte, nearly always: all of ASCII, and spaces and line ends of the rest.
fn utf16_without_mark(head: &[u8]) -> Option<Endian> {
    let pairs = head.len() / 2;
    if pairs < 4 {
        return None;
    }
    let (mut little, mut big) = (0, 0);
    for pair in head.chunks_exact(2) {
        match pair {
            [b'\t' | b'\n' | b'\r' | b' '..=b'~', 0] => little += 1,
            [0, b'\t' | b'\n' | b'\r' | b' '..=b'~'] => big += 1,
            _ => {}
        }
    }
    // Three quarters, so that text in another script with ASCII around it still counts.
    match () {
        () if little * 4 >= pairs * 3 => Some(Endian::Little),
        () if big * 4 >= pairs * 3 => Some(Endian::Big),
        () => None,
    }
}

/// Sparse files and fixed-width records: lines of text at first, zeros after it.
fn begins_with_text(head: &[u8]) -> bool {
    let text = head.iter().take_while(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')).count();
    text >= 32 && head.iter().take(text).any(|byte| *byte == b'\n')
}

/// More than three in ten bytes that neither text nor another encoding of text has. NULs are counted elsewhere.
fn is_mostly_control(head: &[u8]) -> bool {
    let control =
        head.iter().filter(|byte| matches!(byte, 0x01..=0x06 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f)).count();
    if control * 10 > head.len() * 3 {
        return true;
    }
    // Compressed and encrypted data is neither UTF-8 nor mostly ASCII.
    control * 20 > head.len() && std::str::from_utf8(head).is_err_and(|error| error.error_len().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, endian: Endian) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| match endian {
                Endian::Little => unit.to_le_bytes(),
                Endian::Big => unit.to_be_bytes(),
            })
            .collect()
    }

    #[test]
    fn texts_and_other_things() {
        assert_eq!(encoding_of(b""), Encoding::Text);
        assert_eq!(encoding_of(b"key = 1\n"), Encoding::Text);
        assert_eq!(encoding_of("Schl\u{fc}ssel".as_bytes()), Encoding::Text);
        assert_eq!(encoding_of(b"Schl\xfcssel = geheim\n"), Encoding::Text, "Latin-1");
        assert_eq!(encoding_of(b"\x1b[31mred\x1b[0m\n"), Encoding::Text, "a log with colours");
        assert_eq!(encoding_of(b"one\0two\nthree four five six\n"), Encoding::Text, "a stray NUL");
        assert_eq!(encoding_of(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Encoding::Binary("a PNG picture"));
        assert_eq!(encoding_of(b"\x7fELF\x02\x01\x01\0\0\0"), Encoding::Binary("a program"));
        assert_eq!(encoding_of(&[0; 4096]), Encoding::Binary("binary data"));
        let random: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(encoding_of(&random), Encoding::Binary("binary data"));
    }

    #[test]
    fn a_sparse_file_that_begins_with_text_is_text() {
        let mut head = b"password = abc\nhost = example.org\nport = 1\n".to_vec();
        head.resize(8192, 0);
        assert_eq!(encoding_of(&head), Encoding::Text);
    }

    #[test]
    fn utf16_with_and_without_mark() {
        for endian in [Endian::Little, Endian::Big] {
            let text = utf16("token = abc\r\nna\u{ef}ve = \u{65e5}\u{672c}\r\n", endian);
            assert_eq!(encoding_of(&text), Encoding::Utf16 { endian, mark_bytes: 0 });
            let marked = [utf16("\u{feff}", endian), text].concat();
            assert_eq!(encoding_of(&marked), Encoding::Utf16 { endian, mark_bytes: 2 });
        }
    }
}
