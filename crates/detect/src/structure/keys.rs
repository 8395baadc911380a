use super::{Check, Verdict, base58, bech32, checksum};
use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};

/// The English words of BIP-39, sorted, one a line.
const BIP39_WORDS: &str = include_str!("bip39-english.txt");
/// NATS: five bits that make a seed begin with `S` (nkeys, `PrefixByteSeed`).
const NATS_SEED_PREFIX: u8 = 18 << 3;

/// age, "native X25519 recipients": Bech32 of `age-secret-key-`, in capitals; `age-secret-key-pq-` for hybrid keys.
pub(super) fn age(secret: &[u8]) -> Check {
    let verified =
        ["age-secret-key-", "age-secret-key-pq-"].iter().any(|prefix| bech32::is_valid(secret, prefix));
    Check::verified_or_unlikely(verified)
}

/// NIP-19.
pub(super) fn nostr(secret: &[u8]) -> Check {
    Check::verified_or_impossible(bech32::is_valid(secret, "nsec"))
}

/// Two bytes of prefix, 32 bytes of seed, and their CRC-16, little-endian.
pub(super) fn nats_seed(secret: &[u8]) -> Check {
    let verified = BASE32_NOPAD.decode(secret).ok().is_some_and(|bytes| {
        let Some((seed, sum)) = bytes.split_last_chunk::<2>() else { return false };
        let seed_prefix = seed.first().is_some_and(|byte| byte & 0xf8 == NATS_SEED_PREFIX);
        seed.len() == 34 && seed_prefix && checksum::crc16_xmodem(seed) == u16::from_le_bytes(*sum)
    });
    Check::verified_or_impossible(verified)
}

/// 12, 15, 18, 21 or 24 words of eleven bits each; the last bits are the first of the SHA-256 of the others.
pub(super) fn bip39(secret: &[u8]) -> Check {
    let verified = std::str::from_utf8(secret).ok().and_then(word_bits).is_some_and(|bits| {
        let sum_length = bits.len() / 33;
        let (entropy, sum) = bits.split_at(bits.len() - sum_length);
        let bytes: Vec<u8> = entropy
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
            .collect();
        let digest = Sha256::digest(&bytes);
        let first = digest.first().copied().unwrap_or_default();
        sum.iter().enumerate().all(|(place, bit)| (first >> (7 - place) & 1 == 1) == *bit)
    });
    Check::verified_or_impossible(verified)
}

fn word_bits(phrase: &str) -> Option<Vec<bool>> {
    let known: Vec<&str> = BIP39_WORDS.lines().collect();
    let mut bits = Vec::new();
    for word in
        phrase.split(|character: char| !character.is_ascii_alphabetic()).filter(|word| !word.is_empty())
    {
        let index = known.binary_search(&word.to_ascii_lowercase().as_str()).ok()?;
        bits.extend((0..11).rev().map(|bit| index >> bit & 1 == 1));
        if bits.len() > 24 * 11 {
            return None;
        }
    }
    matches!(bits.len() / 11, 12 | 15 | 18 | 21 | 24).then_some(bits)
}

/// 0x80 (0xef for test networks), 32 bytes, and 0x01 if the public key is compressed.
pub(super) fn bitcoin_wif(secret: &[u8]) -> Check {
    let network = base58::decode_checked(secret).and_then(|payload| {
        match (payload.len(), payload.first()?, payload.last()?) {
            (33, 0x80, _) | (34, 0x80, 1) => Some(Check::of(Verdict::Verified)),
            (33, 0xef, _) | (34, 0xef, 1) => Some(Check::noted(Verdict::Verified, "test-network")),
            _ => None,
        }
    });
    network.unwrap_or(Check::of(Verdict::Impossible))
}

/// BIP-32: four bytes of version, 41 of place, a zero, and 32 bytes of key.
pub(super) fn extended_private_key(secret: &[u8]) -> Check {
    let verified = base58::decode_checked(secret)
        .is_some_and(|payload| payload.len() == 78 && payload.get(45) == Some(&0));
    Check::verified_or_unlikely(verified)
}
