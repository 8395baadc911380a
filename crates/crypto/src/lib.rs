//! Pure cryptography: values in, values out, no input or output. Randomness is a parameter.
//!
//! AES-256-GCM, HKDF and Ed25519 come from aws-lc-rs; HMAC of short strings from RustCrypto, which is twice as fast
//! there because its keyed state is cloned. What is made here is thin: formats, the keyring, Shamir sharing in
//! Vault's share format, and the deterministic encryption of names.

pub mod aead;
mod arena;
pub mod cipher;
pub mod envelope;
pub mod hash;
pub mod jose;
pub mod jwk;
pub mod jws;
mod key;
pub mod keypair;
pub mod keyring;
pub mod mac;
pub mod names;
pub mod otp;
pub mod password;
pub mod shamir;
pub mod sign;
pub mod ssh;
pub mod token;
mod uniform;
pub mod wrap;
pub mod x509;

#[cfg(test)]
mod test_entropy;

pub use arena::{MemoryProtection, memory_protection};
pub use key::{KEY_BYTES, Key, KeyLengthError, hkdf_sha256, hkdf_sha256_bytes};
