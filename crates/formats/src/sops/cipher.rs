//! `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`: one value, encrypted on its own.
//!
//! AES-256-GCM with a nonce of 32 bytes, which GCM hashes down to a counter block (NIST SP 800-38D, 7.1); the tag of 16
//! bytes stands apart. The additional data is the path of the value: what is moved elsewhere does not decrypt.

use super::value::{Value, ValueError};
use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use strongroom_secret::{Entropy, SecretBytes};
use thiserror::Error;
use zeroize::Zeroizing;

/// The length of a data key, in bytes.
pub const DATA_KEY_BYTES: usize = 32;
/// The length of an initialisation vector, in bytes.
pub(super) const IV_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Why a text is no encrypted value, or does not decrypt.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CipherError {
    #[error("it does not have the form ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]")]
    Form,
    #[error("its {0} is not base64 of the right length")]
    Encoding(&'static str),
    #[error("it was changed, moved from another place, or encrypted with another data key")]
    Authentication,
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// The data key of one file, ready for use.
pub struct Cipher {
    gcm: AesGcm<Aes256, U32>,
    key: SecretBytes,
}

impl Cipher {
    /// `None` unless the key has 32 bytes.
    pub fn new(data_key: &[u8]) -> Option<Self> {
        let gcm = AesGcm::new_from_slice(data_key).ok()?;
        Some(Self { gcm, key: SecretBytes::new(data_key.to_vec()) })
    }

    /// The data key, to wrap it for a recipient.
    pub fn data_key(&self) -> &SecretBytes {
        &self.key
    }

    /// Decrypts one value. The empty text is the empty text.
    pub fn decrypt(&self, text: &str, additional_data: &[u8]) -> Result<Value, CipherError> {
        self.open(text, additional_data).map(|(value, _)| value)
    }

    /// As [`Cipher::decrypt`], with the IV that was used; `None` for the empty text.
    pub fn open(
        &self,
        text: &str,
        additional_data: &[u8],
    ) -> Result<(Value, Option<[u8; IV_BYTES]>), CipherError> {
        if text.is_empty() {
            return Ok((Value::text(""), None));
        }
        let parts = Parts::of(text).ok_or(CipherError::Form)?;
        let iv: [u8; IV_BYTES] = decoded(parts.iv, "iv")?;
        let tag: [u8; TAG_BYTES] = decoded(parts.tag, "tag")?;
        let mut data = Zeroizing::new(BASE64.decode(parts.data).map_err(|_| CipherError::Encoding("data"))?);
        self.gcm
            .decrypt_inout_detached(
                &Nonce::<U32>::from(iv),
                additional_data,
                data.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .map_err(|_| CipherError::Authentication)?;
        let value = Value::from_bytes(parts.kind, std::mem::take(&mut *data))?;
        Ok((value, Some(iv)))
    }

    /// Encrypts one value. The empty text stays empty.
    pub fn encrypt(&self, value: &Value, additional_data: &[u8], iv: [u8; IV_BYTES]) -> String {
        self.seal(&value.bytes(), value.kind(), additional_data, iv)
    }

    /// Encrypts bytes under the name of a type.
    pub fn seal(&self, bytes: &[u8], kind: &str, additional_data: &[u8], iv: [u8; IV_BYTES]) -> String {
        if bytes.is_empty() {
            return String::new();
        }
        let mut data = Zeroizing::new(bytes.to_vec());
        #[expect(
            clippy::expect_used,
            reason = "refused only above 64 GiB; plaintext must never pass unencrypted"
        )]
        let tag = self
            .gcm
            .encrypt_inout_detached(&Nonce::<U32>::from(iv), additional_data, data.as_mut_slice().into())
            .expect("AES-GCM takes up to 2^36 - 32 bytes");
        let mut text = String::with_capacity(data.len() * 4 / 3 + 130);
        text.push_str("ENC[AES256_GCM,data:");
        BASE64.encode_string(&*data, &mut text);
        text.push_str(",iv:");
        BASE64.encode_string(iv, &mut text);
        text.push_str(",tag:");
        BASE64.encode_string(tag, &mut text);
        text.push_str(",type:");
        text.push_str(kind);
        text.push(']');
        text
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher[redacted]")
    }
}

/// Whether a text is an encrypted comment. sops writes the comments of a list so: as items of it.
pub(super) fn is_encrypted_comment(text: &str) -> bool {
    Parts::of(text).is_some_and(|parts| parts.kind == "comment")
}

/// Whether a text has the form of an encrypted value.
pub fn is_encrypted(text: &str) -> bool {
    Parts::of(text).is_some()
}

struct Parts<'a> {
    data: &'a str,
    iv: &'a str,
    tag: &'a str,
    kind: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?;
        let (data, rest) = rest.split_once(",iv:")?;
        let (iv, rest) = rest.split_once(",tag:")?;
        let (tag, kind) = rest.split_once(",type:")?;
        Some(Self { data, iv, tag, kind })
    }
}

fn decoded<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], CipherError> {
    // The estimate of a slice decoder is rounded up to whole groups of three bytes.
    let mut buffer = [0_u8; IV_BYTES + 3];
    let length = BASE64.decode_slice(text, &mut buffer).map_err(|_| CipherError::Encoding(what))?;
    let bytes = buffer.get(..length).unwrap_or_default();
    bytes.try_into().map_err(|_| CipherError::Encoding(what))
}

/// The IVs of the values that were decrypted, so that a value that does not change keeps its ciphertext, and an edit
/// changes the lines that it is about and no others. Found by a hash over key, place, type and value.
#[derive(Default)]
pub(super) struct IvMemory(HashMap<[u8; 32], [u8; IV_BYTES]>);

impl IvMemory {
    pub(super) fn keep(&mut self, cipher: &Cipher, value: (&[u8], &str), place: &[u8], iv: [u8; IV_BYTES]) {
        self.0.insert(fingerprint(cipher, value, place), iv);
    }

    /// What another file with the same data key has.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The IV of the same value in the same place, or a fresh one.
    pub(super) fn iv(
        &self,
        cipher: &Cipher,
        value: (&[u8], &str),
        place: &[u8],
        entropy: &dyn Entropy,
    ) -> [u8; IV_BYTES] {
        let known = if self.0.is_empty() { None } else { self.0.get(&fingerprint(cipher, value, place)) };
        known.copied().unwrap_or_else(|| {
            let mut iv = [0; IV_BYTES];
            entropy.fill(&mut iv);
            iv
        })
    }
}

fn fingerprint(cipher: &Cipher, (bytes, kind): (&[u8], &str), place: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(cipher.key.expose());
    for part in [kind.as_bytes(), place] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(bytes);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the test of getsops/sops' `aes` package: a value that another program wrote.
    #[test]
    fn a_value_from_outside() {
        let cipher = Cipher::new(&[b'f'; 32]).unwrap();
        let text = "ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]";
        assert_eq!(cipher.decrypt(text, b"bar:"), Ok(Value::text("foo")));
        assert_eq!(cipher.decrypt(text, b"baz:"), Err(CipherError::Authentication));
        let (_, iv) = cipher.open(text, b"bar:").unwrap();
        assert_eq!(cipher.encrypt(&Value::text("foo"), b"bar:", iv.unwrap()), text);
    }

    #[test]
    fn what_is_not_an_encrypted_value() {
        let cipher = Cipher::new(&[7; 32]).unwrap();
        assert!(Cipher::new(&[7; 16]).is_none());
        let good = cipher.encrypt(&Value::Integer(5), b":", [1; 32]);
        assert_eq!(cipher.decrypt(&good, b":"), Ok(Value::Integer(5)));
        let broken = |from: &str, to: &str| cipher.decrypt(&good.replace(from, to), b":");
        assert_eq!(broken("ENC[", "ENC("), Err(CipherError::Form));
        assert_eq!(broken("]", ""), Err(CipherError::Form));
        assert_eq!(broken("iv:", "iv:AA"), Err(CipherError::Encoding("iv")));
        assert_eq!(broken("data:", "data:?"), Err(CipherError::Encoding("data")));
        assert_eq!(
            broken("type:int", "type:list"),
            Err(CipherError::Value(ValueError::UnknownType("list".into())))
        );
        assert_eq!(cipher.decrypt("", b":"), Ok(Value::text("")));
        assert_eq!(cipher.encrypt(&Value::text(""), b":", [1; 32]), "");
        assert!(is_encrypted(&good) && !is_encrypted("ENC[]"));
    }
}
