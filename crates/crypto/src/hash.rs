//! Digests: SHA-2 (FIPS 180-4) and SHA-3 (FIPS 202).

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

/// The length of a SHA-256 digest, in bytes.
pub const SHA256_BYTES: usize = 32;

/// The algorithms by the names that Vault's `sys/tools/hash` uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    Sha2_224,
    Sha2_256,
    Sha2_384,
    Sha2_512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl HashAlgorithm {
    pub const ALL: [Self; 8] = [
        Self::Sha2_224,
        Self::Sha2_256,
        Self::Sha2_384,
        Self::Sha2_512,
        Self::Sha3_224,
        Self::Sha3_256,
        Self::Sha3_384,
        Self::Sha3_512,
    ];

    /// As `sha2-256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha2_224 => "sha2-224",
            Self::Sha2_256 => "sha2-256",
            Self::Sha2_384 => "sha2-384",
            Self::Sha2_512 => "sha2-512",
            Self::Sha3_224 => "sha3-224",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_384 => "sha3-384",
            Self::Sha3_512 => "sha3-512",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// 28 to 64 bytes, as the name says in bits.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha2_224 => Sha224::digest(message).to_vec(),
            Self::Sha2_256 => Sha256::digest(message).to_vec(),
            Self::Sha2_384 => Sha384::digest(message).to_vec(),
            Self::Sha2_512 => Sha512::digest(message).to_vec(),
            Self::Sha3_224 => Sha3_224::digest(message).to_vec(),
            Self::Sha3_256 => Sha3_256::digest(message).to_vec(),
            Self::Sha3_384 => Sha3_384::digest(message).to_vec(),
            Self::Sha3_512 => Sha3_512::digest(message).to_vec(),
        }
    }
}

pub fn sha256(message: &[u8]) -> [u8; SHA256_BYTES] {
    Sha256::digest(message).into()
}

/// SHA-1 (FIPS 180-4), broken as a protection: only for names that other programs have made with it.
pub fn sha1(message: &[u8]) -> [u8; 20] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, message);
    let mut bytes = [0; 20];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// A SHA-256 over a message that comes in pieces.
#[derive(Clone, Default)]
pub struct Sha256InProgress(Sha256);

impl Sha256InProgress {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// [`Sha256InProgress::update`], for chains of calls.
    #[must_use]
    pub fn with(mut self, piece: &[u8]) -> Self {
        self.0.update(piece);
        self
    }

    pub fn finish(self) -> [u8; SHA256_BYTES] {
        self.0.finalize().into()
    }
}

impl std::fmt::Debug for Sha256InProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256InProgress")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "abc" in NIST's "Cryptographic Standards and Guidelines: Examples with Intermediate Values".
    #[test]
    fn digests_of_abc() {
        let digests = [
            ("sha2-224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            ("sha2-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "sha2-384",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "sha2-512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            ("sha3-224", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
            ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
            (
                "sha3-384",
                "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
            ),
            (
                "sha3-512",
                "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e\
                 10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
            ),
        ];
        for (name, digest) in digests {
            assert_eq!(hex::encode(HashAlgorithm::from_name(name).unwrap().digest(b"abc")), digest, "{name}");
        }
        assert_eq!(HashAlgorithm::from_name("md5"), None);
        assert_eq!(hex::encode(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(Sha256InProgress::new().with(b"a").with(b"bc").finish(), sha256(b"abc"));
    }
}
