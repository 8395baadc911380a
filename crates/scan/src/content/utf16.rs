use super::Endian;
use std::io::{self, Read};

const BLOCK_BYTES: usize = 64 * 1024;

/// Reads UTF-16 as UTF-8. Half a surrogate pair becomes U+FFFD, as does half a unit at the end.
#[derive(Debug)]
pub struct Utf16Reader<R> {
    source: R,
    endian: Endian,
    /// A byte or a high surrogate that waits for what belongs to it.
    held: Vec<u8>,
    text: String,
    given: usize,
    ended: bool,
}

impl<R: Read> Utf16Reader<R> {
    /// The source stands after the byte order mark.
    pub fn new(source: R, endian: Endian) -> Self {
        Self { source, endian, held: Vec::new(), text: String::new(), given: 0, ended: false }
    }

    fn unit(&self, pair: &[u8]) -> u16 {
        match (self.endian, pair) {
            (Endian::Little, [low, high]) | (Endian::Big, [high, low]) => u16::from_be_bytes([*high, *low]),
            _ => 0xfffd,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.given = 0;
        let mut bytes = std::mem::take(&mut self.held);
        let before = bytes.len();
        bytes.resize(before + BLOCK_BYTES, 0);
        let count = loop {
            match self.source.read(bytes.get_mut(before..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        bytes.truncate(before + count);
        self.ended = count == 0;
        let mut whole = bytes.len() / 2 * 2;
        let last = bytes.get(whole.saturating_sub(2)..whole).unwrap_or_default();
        if !self.ended && last.len() == 2 && (0xd800..0xdc00).contains(&self.unit(last)) {
            whole -= 2;
        }
        let units = bytes.get(..whole).unwrap_or_default().chunks_exact(2).map(|pair| self.unit(pair));
        let text: String =
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        self.text = text;
        self.held = bytes.split_off(whole);
        if self.ended && !self.held.is_empty() {
            self.held.clear();
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if self.ended {
                return Ok(0);
            }
            self.fill()?;
        }
        let rest = self.text.as_bytes().get(self.given..).unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

/// How many bytes of UTF-16 the given UTF-8 stands for: where, in the file, a place of the converted text is.
/// Add the byte order mark. The text may begin or end within a character.
pub fn offset_in_utf16(text: &[u8]) -> u64 {
    text.iter()
        .map(|byte| match byte {
            0x80..=0xbf => 0,
            0xf0.. => 4,
            _ => 2,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, endian: Endian) -> Vec<u8> {
        let bytes = |unit: u16| match endian {
            Endian::Little => unit.to_le_bytes(),
            Endian::Big => unit.to_be_bytes(),
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// Gives few bytes at a time, so that every boundary is met.
    struct Dripping<'a>(&'a [u8], usize);

    impl Read for Dripping<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(out.len());
            self.0.read(&mut out[..count])
        }
    }

    #[test]
    fn every_split_gives_the_same_text() {
        let text = "a\u{e9}\u{65e5}\u{1f511} key\r\n\u{1f512}";
        for endian in [Endian::Little, Endian::Big] {
            let bytes = encoded(text, endian);
            for step in 1..=bytes.len() {
                let mut read = String::new();
                Utf16Reader::new(Dripping(&bytes, step), endian).read_to_string(&mut read).unwrap();
                assert_eq!(read, text);
            }
        }
    }

    #[test]
    fn halves_become_replacement_characters() {
        let mut read = String::new();
        Utf16Reader::new(&b"a\0\x00\xd8b\0\x00\xd8x"[..], Endian::Little).read_to_string(&mut read).unwrap();
        assert_eq!(read, "a\u{fffd}b\u{fffd}\u{fffd}");
    }

    #[test]
    fn places_map_back() {
        let text = "a\u{e9}\u{65e5}\u{1f511}key";
        let at = text.find("key").unwrap();
        assert_eq!(offset_in_utf16(&text.as_bytes()[..at]), (1 + 1 + 1 + 2) * 2);
        let units: Vec<u8> = encoded(text, Endian::Little);
        assert_eq!(&units[offset_in_utf16(&text.as_bytes()[..at]) as usize..][..6], b"k\0e\0y\0");
    }
}
