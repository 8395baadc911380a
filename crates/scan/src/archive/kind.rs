/// A format that holds other files, or one other file in fewer bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With everything that is a zip: jar, war, whl, apk, ipa, docx, xlsx, nupkg, vsix…
    Zip,
    Tar,
    Gzip,
    Bzip2,
    Xz,
    Zstandard,
    /// One that is known and not opened.
    Foreign(&'static str),
}

const TAR_BLOCK_BYTES: usize = 512;

impl Kind {
    /// By the first bytes, never by the name.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            // The third byte is the method; there is only deflate.
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            // A block begins with the digits of pi, an empty file with those of its square root.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstandard),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Some(Self::Foreign("7z")),
            [b'R', b'a', b'r', b'!', 0x1a, 0x07, ..] => Some(Self::Foreign("rar")),
            _ => is_tar(head).then_some(Self::Tar),
        }
    }
}

/// A tar has no signature at its front; the header's checksum tells (and `ustar`, in all but the oldest).
fn is_tar(head: &[u8]) -> bool {
    let Some(block) = head.get(..TAR_BLOCK_BYTES) else {
        return false;
    };
    let Some((checksum, name)) = block.get(148..156).zip(block.first()) else {
        return false;
    };
    let digits: Vec<u8> = checksum.iter().copied().filter(|byte| !matches!(byte, 0 | b' ')).collect();
    let expected = std::str::from_utf8(&digits).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let of_checksum: u32 = checksum.iter().map(|byte| u32::from(*byte)).sum();
    *name != 0 && expected == Some(sum - of_checksum + 8 * u32::from(b' '))
}
