const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];

/// Whether a text is Bech32 (BIP-173) with this human-readable part: the same case throughout, and its checksum right.
pub(super) fn is_valid(text: &[u8], prefix: &str) -> bool {
    let mixed = text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase);
    let text = text.to_ascii_lowercase();
    let Some(data) = text.strip_prefix(prefix.as_bytes()).and_then(|rest| rest.strip_prefix(b"1")) else {
        return false;
    };
    let Some(values) = data.iter().map(value).collect::<Option<Vec<u32>>>() else {
        return false;
    };
    let expanded = prefix.bytes().map(|byte| u32::from(byte) >> 5);
    let low = prefix.bytes().map(|byte| u32::from(byte) & 31);
    let all = expanded.chain([0]).chain(low).chain(values);
    !mixed && polymod(all) == 1
}

fn value(character: &u8) -> Option<u32> {
    let position = ALPHABET.iter().position(|known| known == character)?;
    u32::try_from(position).ok()
}

fn polymod(values: impl Iterator<Item = u32>) -> u32 {
    values.fold(1, |sum, value| {
        let shifted = ((sum & 0x01ff_ffff) << 5) ^ value;
        let top = sum >> 25;
        GENERATOR
            .iter()
            .enumerate()
            .fold(shifted, |sum, (bit, constant)| sum ^ (constant * ((top >> bit) & 1)))
    })
}
