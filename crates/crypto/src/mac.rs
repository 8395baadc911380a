//! HMAC-SHA256 (RFC 2104) with the keyed state computed once; HMAC with other hashes and AES-CMAC for whoever asks by
//! name.

use crate::hash::HashAlgorithm;
use crate::key::Key;
use aws_lc_rs::cmac;
use hmac::{Hmac, KeyInit, Mac, SimpleHmac};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use std::fmt;

/// The length of a tag, in bytes.
pub const MAC_BYTES: usize = 32;

/// An HMAC-SHA256 key. Holds the state after the key block, so that a tag costs no key set-up; wiped when dropped.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

/// An HMAC-SHA256 under way.
#[derive(Clone)]
pub struct MacInProgress(Hmac<Sha256>);

impl MacKey {
    pub fn new(key: &Key) -> Self {
        Self::from_slice(key.expose())
    }

    /// A key of any length, for formats that name one. Own keys are [`Key`]s.
    pub fn from_slice(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of every length")]
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    pub fn tag(&self, message: &[u8]) -> [u8; MAC_BYTES] {
        self.start().with(message).finish()
    }

    /// Whether `tag` is the whole tag of `message`, in time that depends on lengths alone.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.start().with(message).verify(tag)
    }

    /// Begins a tag over a message that comes in pieces.
    pub fn start(&self) -> MacInProgress {
        MacInProgress(self.0.clone())
    }
}

/// HMAC with the hash of one's choice and a key of any length.
pub fn hmac(algorithm: HashAlgorithm, key: &[u8], message: &[u8]) -> Vec<u8> {
    fn tag<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of every length")]
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    }
    match algorithm {
        HashAlgorithm::Sha2_224 => tag::<Hmac<Sha224>>(key, message),
        HashAlgorithm::Sha2_256 => tag::<Hmac<Sha256>>(key, message),
        HashAlgorithm::Sha2_384 => tag::<Hmac<Sha384>>(key, message),
        HashAlgorithm::Sha2_512 => tag::<Hmac<Sha512>>(key, message),
        HashAlgorithm::Sha3_224 => tag::<SimpleHmac<Sha3_224>>(key, message),
        HashAlgorithm::Sha3_256 => tag::<SimpleHmac<Sha3_256>>(key, message),
        HashAlgorithm::Sha3_384 => tag::<SimpleHmac<Sha3_384>>(key, message),
        HashAlgorithm::Sha3_512 => tag::<SimpleHmac<Sha3_512>>(key, message),
    }
}

/// AES-CMAC (RFC 4493) with a key of 16 or 32 bytes; None for other keys.
pub fn aes_cmac(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match key.len() {
        16 => cmac::AES_128,
        32 => cmac::AES_256,
        _ => return None,
    };
    let key = cmac::Key::new(algorithm, key).ok()?;
    cmac::sign(&key, message).ok().map(|tag| tag.as_ref().to_vec())
}

impl MacInProgress {
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// [`MacInProgress::update`], for chains of calls.
    #[must_use]
    pub fn with(mut self, piece: &[u8]) -> Self {
        self.0.update(piece);
        self
    }

    pub fn finish(self) -> [u8; MAC_BYTES] {
        self.0.finalize().into_bytes().into()
    }

    /// Whether `tag` is the whole tag, in time that depends on its length alone.
    #[must_use]
    pub fn verify(self, tag: &[u8]) -> bool {
        self.0.verify_slice(tag).is_ok()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for MacInProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2; RFC 4493, example 2; FIPS 202's HMAC-SHA3-256 of NIST's examples follows the same code.
    #[test]
    fn vectors_of_other_macs() {
        let tag = hmac(HashAlgorithm::Sha2_512, b"Jefe", b"what do ya want for nothing?");
        assert_eq!(
            hex::encode(tag),
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
        );
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let message = hex::decode("6bc1bee22e409f96e93d7e117393172a").unwrap();
        assert_eq!(hex::encode(aes_cmac(&key, &message).unwrap()), "070a16b46b4d4144f79bdd9dd04a287c");
        assert_eq!(aes_cmac(b"short", b""), None);
    }

    /// RFC 4231, test cases 1, 2, 3, 6 and 7.
    #[test]
    fn vectors_of_rfc_4231() {
        let long = b"This is a test using a larger than block-size key and a larger than block-size data. \
            The key needs to be hashed before being used by the HMAC algorithm.";
        let cases: [(&[u8], &[u8], &str); 5] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (&[0xaa; 131], long, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"),
        ];
        for (key, message, tag) in cases {
            let key = MacKey::from_slice(key);
            assert_eq!(hex::encode(key.tag(message)), tag);
            let (head, tail) = message.split_at(message.len() / 2);
            assert_eq!(hex::encode(key.start().with(head).with(tail).finish()), tag);
        }
    }

    #[test]
    fn only_the_whole_right_tag_verifies() {
        let key = MacKey::new(&Key::from_bytes(&[2; 32]));
        let tag = key.tag(b"message");
        assert!(key.verify(b"message", &tag));
        assert!(!key.verify(b"massage", &tag));
        assert!(!key.verify(b"message", &tag[..16]));
        assert!(!key.verify(b"message", b""));
    }
}
