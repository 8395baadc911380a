use super::{Check, Verdict};
use data_encoding::BASE64;

const OPENSSH_MAGIC: &[u8] = b"openssh-key-v1\0";
const DER_SEQUENCE: u8 = 0x30;

/// A block from `-----BEGIN` to `-----END`, with line feeds that are real or written as `\n`. Verified: what it holds has the
/// frame of a key (one DER sequence of exactly its length; OpenSSH's magic; PGP's checksum line).
pub(super) fn private_key(secret: &[u8]) -> Check {
    let text = String::from_utf8_lossy(secret).replace("\\r", "\n").replace("\\n", "\n");
    let Some((label, after)) = text.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----"))
    else {
        return Check::of(Verdict::Plausible);
    };
    let body = after.split_once("-----END").map_or(after, |(body, _)| body);
    let encrypted = label.contains("ENCRYPTED") || body.contains("ENCRYPTED") || openssh_encrypted(body);
    let verified = match label {
        label if label.contains("PGP") => pgp_is_whole(body),
        label if label.contains("OPENSSH") => decoded(body).starts_with(OPENSSH_MAGIC),
        _ if encrypted && body.contains("Proc-Type") => !decoded(body).is_empty(),
        _ => is_one_sequence(&decoded(body)),
    };
    let verdict = if verified { Verdict::Verified } else { Verdict::Unlikely };
    if encrypted { Check::noted(verdict, "encrypted") } else { Check::of(verdict) }
}

/// The base64 of a block, without its headers. Empty if it is none.
fn decoded(body: &str) -> Vec<u8> {
    let lines = body.lines().filter(|line| !line.contains(':'));
    let is_base64 =
        |character: &char| character.is_ascii_alphanumeric() || matches!(character, '+' | '/' | '=');
    let text: String = lines.flat_map(str::chars).filter(is_base64).collect();
    BASE64.decode(text.as_bytes()).unwrap_or_default()
}

/// X.690, 8.1: a sequence whose length is that of the rest, and whose first element fits into it.
fn is_one_sequence(bytes: &[u8]) -> bool {
    let Some((content, after)) = element(bytes, DER_SEQUENCE) else { return false };
    let first = content.first().copied().unwrap_or_default();
    after.is_empty() && element(content, first).is_some()
}

/// The content of a DER element with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first().filter(|_| *found == tag)?;
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (length, rest) = rest
        .split_at_checked(usize::from(first & 0x7f))
        .filter(|(length, _)| (1..=3).contains(&length.len()))?;
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

/// After the magic stands the cipher's name; `none` means that anybody can read the key.
fn openssh_encrypted(body: &str) -> bool {
    let bytes = decoded(body);
    let name = bytes.strip_prefix(OPENSSH_MAGIC).and_then(|rest| rest.split_first_chunk::<4>());
    name.is_some_and(|(length, rest)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or_default();
        rest.get(..length).is_some_and(|name| name != b"none")
    })
}

/// RFC 4880, 6.1: the last line is `=` and the CRC-24 of the bytes.
fn pgp_is_whole(body: &str) -> bool {
    let Some((content, sum)) = body.trim().rsplit_once("\n=") else { return false };
    let Some(sum) = BASE64.decode(sum.trim().as_bytes()).ok().filter(|sum| sum.len() == 3) else {
        return false;
    };
    let bytes = decoded(content);
    let sum = sum.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    !bytes.is_empty() && crc24(&bytes) == sum
}

fn crc24(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ (u32::from(*byte) << 16), |crc, _| {
            let shifted = crc << 1;
            shifted ^ (0x0186_4cfb * (shifted >> 24 & 1))
        })
    };
    bytes.iter().fold(0x00b7_04ce, step) & 0x00ff_ffff
}
