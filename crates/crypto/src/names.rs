//! Deterministic, authenticated encryption of one segment of a path, so that storage keys do not show names.
//!
//! The construction is SIV (Rogaway and Shrimpton, "Deterministic Authenticated-Encryption", 2006) with HMAC-SHA256
//! as the pseudorandom function and AES-256 in counter mode:
//!
//! ```text
//! padded = segment, 0x80, 0x00 … to a multiple of 16 bytes
//! siv    = first 16 bytes of HMAC-SHA256(k1, length of tweak as u32 BE, tweak, padded)
//! hidden = siv, AES-256-CTR(k2, initial counter block siv, padded)
//! ```
//!
//! The same segment under the same tweak gives the same bytes, which is what a key needs; equal names elsewhere do
//! not show, because the tweak (the parent folder) differs. Lengths show in steps of 16. Order is not kept.

use crate::key::Key;
use crate::mac::{MacInProgress, MacKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use std::fmt;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

const SIV_BYTES: usize = 16;
const PADDING_BLOCK_BYTES: usize = 16;
const PADDING_START: u8 = 0x80;

/// Hidden bytes that do not reveal: another key, another tweak, or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("authentication failed")]
pub struct NameNotRevealed;

/// Hides and reveals segments under one key.
pub struct NameCipher {
    mac: MacKey,
    cipher: EncryptingKey,
}

impl NameCipher {
    pub fn new(key: &Key) -> Self {
        let unbound =
            UnboundCipherKey::new(&AES_256, key.derive("strongroom name cipher: encryption").expose());
        #[expect(
            clippy::expect_used,
            reason = "refused only for a wrong key length, and the length is in the type"
        )]
        let cipher = unbound.and_then(EncryptingKey::ctr).expect("a 32-byte key");
        Self { mac: MacKey::new(&key.derive("strongroom name cipher: authentication")), cipher }
    }

    /// 32 bytes for a segment of up to 15 bytes, 16 more for each 16 bytes after that.
    pub fn hide(&self, tweak: &[u8], segment: &[u8]) -> Vec<u8> {
        let padded_length = (segment.len() / PADDING_BLOCK_BYTES + 1) * PADDING_BLOCK_BYTES;
        let mut hidden = Vec::with_capacity(SIV_BYTES + padded_length);
        hidden.extend_from_slice(&[0; SIV_BYTES]);
        hidden.extend_from_slice(segment);
        hidden.push(PADDING_START);
        hidden.resize(SIV_BYTES + padded_length, 0);
        if let Some((siv, padded)) = hidden.split_first_chunk_mut() {
            *siv = siv_of(self.tweaked(tweak), padded);
            self.apply_key_stream(*siv, padded);
        }
        hidden
    }

    /// The segment that [`NameCipher::hide`] was given under the same tweak.
    pub fn reveal(&self, tweak: &[u8], hidden: &[u8]) -> Result<Vec<u8>, NameNotRevealed> {
        self.folder(tweak).reveal(hidden).map(<[u8]>::to_vec)
    }

    /// Reveals many segments under one tweak.
    pub fn folder(&self, tweak: &[u8]) -> Folder<'_> {
        Folder { names: self, tweaked: self.tweaked(tweak), padded: Zeroizing::new(Vec::new()) }
    }

    fn tweaked(&self, tweak: &[u8]) -> MacInProgress {
        let tweak_length = u32::try_from(tweak.len()).unwrap_or(u32::MAX);
        self.mac.start().with(&tweak_length.to_be_bytes()).with(tweak)
    }

    fn apply_key_stream(&self, siv: [u8; SIV_BYTES], bytes: &mut [u8]) {
        let context = EncryptionContext::Iv128(FixedLength::from(siv));
        #[expect(
            clippy::expect_used,
            reason = "counter mode takes every length and the IV has the one length"
        )]
        self.cipher.less_safe_encrypt(bytes, context).expect("counter mode takes every length");
    }
}

/// One tweak, and the room in which segments are revealed.
pub struct Folder<'n> {
    names: &'n NameCipher,
    tweaked: MacInProgress,
    padded: Zeroizing<Vec<u8>>,
}

impl Folder<'_> {
    /// The segment, until the next one is revealed.
    pub fn reveal(&mut self, hidden: &[u8]) -> Result<&[u8], NameNotRevealed> {
        let (siv, body) = hidden.split_first_chunk::<SIV_BYTES>().ok_or(NameNotRevealed)?;
        if body.is_empty() || body.len() % PADDING_BLOCK_BYTES != 0 {
            return Err(NameNotRevealed);
        }
        if self.padded.capacity() < body.len() {
            // A buffer that grows by itself would leave names behind.
            self.padded = Zeroizing::new(Vec::with_capacity(2 * body.len()));
        }
        self.padded.clear();
        self.padded.extend_from_slice(body);
        self.names.apply_key_stream(*siv, &mut self.padded);
        let authentic: bool = siv_of(self.tweaked.clone(), &self.padded).ct_eq(siv).into();
        if !authentic {
            return Err(NameNotRevealed);
        }
        let end = self.padded.iter().rposition(|byte| *byte != 0).ok_or(NameNotRevealed)?;
        match self.padded.split_at_checked(end) {
            Some((segment, [PADDING_START, ..])) => Ok(segment),
            _ => Err(NameNotRevealed),
        }
    }
}

fn siv_of(tweaked: MacInProgress, padded: &[u8]) -> [u8; SIV_BYTES] {
    let tag = tweaked.with(padded).finish();
    let mut siv = [0; SIV_BYTES];
    siv.iter_mut().zip(tag).for_each(|(out, byte)| *out = byte);
    siv
}

impl fmt::Debug for NameCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cipher() -> NameCipher {
        NameCipher::new(&Key::from_bytes(&[3; 32]))
    }

    proptest! {
        #[test]
        fn what_is_hidden_reveals(tweak: Vec<u8>, segment: Vec<u8>, flip in any::<prop::sample::Index>()) {
            let hidden = cipher().hide(&tweak, &segment);
            prop_assert_eq!(hidden.len(), 16 + (segment.len() / 16 + 1) * 16);
            prop_assert_eq!(&hidden, &cipher().hide(&tweak, &segment));
            prop_assert_eq!(cipher().reveal(&tweak, &hidden), Ok(segment));
            let mut changed = hidden.clone();
            changed[flip.index(hidden.len())] ^= 0x40;
            prop_assert_eq!(cipher().reveal(&tweak, &changed), Err(NameNotRevealed));
        }

        #[test]
        fn outside_bytes_do_not_panic(tweak: Vec<u8>, hidden: Vec<u8>) {
            prop_assert_eq!(cipher().reveal(&tweak, &hidden), Err(NameNotRevealed));
        }
    }

    /// Recomputed with the Python package cryptography.
    #[test]
    fn format_is_fixed() {
        let hidden = cipher().hide(b"folder", b"database");
        assert_eq!(hex::encode(hidden), "c1be2a86b8bb409f803efe879c873fa8ff7fd9521d1796b0d11c9885e9911282");
        let hidden = cipher().hide(b"", b"a name of sixteen bytes or more");
        let expected = "aca3e97c7f85ff0557f34f4c077498455d84325b8f5e8b97\
                        9ddb360c2c2c72a9b3630b646d5cb9b03b833da888ea5f56";
        assert_eq!(hex::encode(hidden), expected);
    }

    #[test]
    fn the_tweak_counts_and_does_not_run_into_the_segment() {
        let hidden = cipher().hide(b"ab", b"c");
        assert_ne!(hidden, cipher().hide(b"a", b"bc"));
        assert_eq!(cipher().reveal(b"a", &hidden), Err(NameNotRevealed));
    }
}
