//! A key in use: its versions parsed once each, when they are first needed.

use super::key::{TransitKey, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use strongroom_crypto::cipher::{Cipher, CipherKey};
use strongroom_crypto::keypair::{KeyKind, OaepHash, PrivateKey, PublicKey};
use strongroom_crypto::mac::MacKey;
use strongroom_crypto::{Key, hkdf_sha256_bytes};
use strongroom_kernel::Error;
use strongroom_secret::SecretBytes;

/// What stands before everything that a key makes: `vault:v3:`.
const PREFIX: &str = "vault:v";
/// The convergent nonce's key stands after the cipher's in what is derived.
const NONCE_KEY_BYTES: usize = 32;

/// A key with its versions parsed.
pub(super) struct Ready {
    pub key: TransitKey,
    parsed: BTreeMap<u64, OnceLock<Option<Parsed>>>,
}

/// The key of one version, parsed.
enum Parsed {
    Cipher(CipherKey),
    Pair { private: Option<PrivateKey>, public: PublicKey },
}

/// One encryption's parts beside the key.
pub(super) struct Sealing<'a> {
    pub context: &'a [u8],
    pub additional_data: &'a [u8],
    /// Fresh random bytes, as many as the cipher's nonce has.
    pub nonce: &'a [u8],
}

impl Ready {
    pub(super) fn new(key: TransitKey) -> Self {
        let parsed = key.versions.keys().map(|number| (*number, OnceLock::new())).collect();
        Self { key, parsed }
    }

    fn version(&self, number: u64) -> Result<&Version, Error> {
        self.key.versions.get(&number).ok_or_else(|| Error::invalid("no such key version"))
    }

    fn parsed(&self, number: u64) -> Result<&Parsed, Error> {
        let version = self.version(number)?;
        self.parsed
            .get(&number)
            .and_then(|cell| cell.get_or_init(|| self.parse(version)).as_ref())
            .ok_or_else(|| Error::internal(format!("version {number} of a transit key cannot be parsed")))
    }

    fn parse(&self, version: &Version) -> Option<Parsed> {
        if let Some(cipher) = self.key.key_type.cipher() {
            return CipherKey::new(cipher, version.material.expose()).ok().map(Parsed::Cipher);
        }
        let kind = self.key.key_type.pair()?;
        let private = match version.material.expose() {
            [] => None,
            pkcs8 => Some(PrivateKey::from_pkcs8(kind, pkcs8).ok()?),
        };
        Some(Parsed::Pair { private, public: PublicKey::from_spki(&version.public).ok()? })
    }

    /// The version to encrypt or sign with: zero asks for the latest.
    pub(super) fn version_to_write(&self, asked: i64, purpose: &str) -> Result<u64, Error> {
        let Ok(asked) = u64::try_from(asked) else {
            return Err(Error::invalid(format!("requested version for {purpose} is negative")));
        };
        match asked {
            0 => Ok(self.key.latest),
            asked if asked > self.key.latest => Err(Error::invalid(format!(
                "requested version for {purpose} is higher than the latest key version"
            ))),
            asked if asked < self.key.min_encryption || asked < self.key.min_available => {
                Err(Error::invalid(format!(
                    "requested version for {purpose} is less than the minimum encryption key version"
                )))
            }
            asked => Ok(asked),
        }
    }

    /// Splits `vault:v3:…` and checks that the version may still be used; `what` is `ciphertext` or `signature`.
    pub(super) fn split<'t>(&self, text: &'t str, what: &str) -> Result<(u64, &'t str), Error> {
        let invalid = |reason: &str| Error::invalid(format!("invalid {what}: {reason}"));
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| invalid("no prefix"))?;
        let (number, body) = rest.split_once(':').ok_or_else(|| invalid("wrong number of fields"))?;
        let number: u64 = number.parse().map_err(|_| invalid("version number could not be decoded"))?;
        // The first versions of Vault counted from zero.
        let number = number.max(1);
        if number > self.key.latest {
            return Err(invalid("version is too new"));
        }
        if number < self.key.min_decryption || number < self.key.min_available {
            return Err(Error::invalid("ciphertext or signature version is disallowed by policy (too old)"));
        }
        Ok((number, body))
    }

    /// Text as keys of this engine write it.
    pub(super) fn labelled(number: u64, body: &str) -> String {
        format!("{PREFIX}{number}:{body}")
    }

    pub(super) fn encrypt(
        &self,
        number: u64,
        plaintext: &[u8],
        parts: &Sealing<'_>,
    ) -> Result<String, Error> {
        let sealed = match self.key.key_type.cipher() {
            Some(cipher) => self.seal(cipher, number, plaintext, parts)?,
            None => self.encrypt_rsa(number, plaintext)?,
        };
        let mut text = String::with_capacity(sealed.len() * 4 / 3 + 24);
        text.push_str(PREFIX);
        text.push_str(&number.to_string());
        text.push(':');
        STANDARD.encode_string(&sealed, &mut text);
        Ok(text)
    }

    fn seal(
        &self,
        cipher: Cipher,
        number: u64,
        plaintext: &[u8],
        parts: &Sealing<'_>,
    ) -> Result<Vec<u8>, Error> {
        let too_long = |error: strongroom_crypto::cipher::CipherError| Error::invalid(error.to_string());
        let mut sealed = Vec::with_capacity(plaintext.len() + cipher.overhead_bytes());
        if !self.key.settings.derived {
            let Parsed::Cipher(key) = self.parsed(number)? else {
                return Err(self.unsupported("encryption"));
            };
            key.seal_onto(&mut sealed, parts.nonce, parts.additional_data, plaintext).map_err(too_long)?;
            return Ok(sealed);
        }
        let convergent = self.key.settings.convergent;
        let derived = self.derive(
            number,
            parts.context,
            cipher.key_bytes() + if convergent { NONCE_KEY_BYTES } else { 0 },
        )?;
        let (key, nonce_key) = derived.expose().split_at_checked(cipher.key_bytes()).unwrap_or_default();
        let key = CipherKey::new(cipher, key).map_err(|error| Error::internal(error.to_string()))?;
        if !convergent {
            key.seal_onto(&mut sealed, parts.nonce, parts.additional_data, plaintext).map_err(too_long)?;
            return Ok(sealed);
        }
        if !parts.additional_data.is_empty() {
            // Two tags under one nonce would give the authentication key away.
            return Err(Error::invalid("associated_data cannot be used with convergent encryption"));
        }
        // Convergent encryption, version 3: the nonce is a keyed hash of the plaintext.
        let tag = MacKey::from_slice(nonce_key).tag(plaintext);
        let nonce = tag.get(..cipher.nonce_bytes()).unwrap_or_default();
        key.seal_onto(&mut sealed, nonce, b"", plaintext).map_err(too_long)?;
        Ok(sealed)
    }

    fn encrypt_rsa(&self, number: u64, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let Parsed::Pair { public, .. } = self.parsed(number)? else {
            return Err(self.unsupported("encryption"));
        };
        public.encrypt_oaep(OaepHash::Sha2_256, plaintext).map_err(|error| Error::invalid(error.to_string()))
    }

    pub(super) fn decrypt(
        &self,
        ciphertext: &str,
        context: &[u8],
        additional_data: &[u8],
    ) -> Result<SecretBytes, Error> {
        let (number, body) = self.split(ciphertext, "ciphertext")?;
        let sealed = STANDARD
            .decode(body)
            .map_err(|_| Error::invalid("invalid ciphertext: could not decode base64"))?;
        let unable = || Error::invalid("invalid ciphertext: unable to decrypt");
        let Some(cipher) = self.key.key_type.cipher() else {
            let (private, _) = self.pair(number)?;
            let private = private.ok_or_else(|| {
                Error::invalid("cannot decrypt ciphertext, key version does not have a private counterpart")
            })?;
            return private.decrypt_oaep(OaepHash::Sha2_256, &sealed).map_err(|_| unable());
        };
        if !self.key.settings.derived {
            let Parsed::Cipher(key) = self.parsed(number)? else {
                return Err(self.unsupported("decryption"));
            };
            return key.open(additional_data, &sealed).map_err(|_| unable());
        }
        let derived = self.derive(number, context, cipher.key_bytes())?;
        let key = CipherKey::new(cipher, derived.expose()).map_err(|e| Error::internal(e.to_string()))?;
        key.open(additional_data, &sealed).map_err(|_| unable())
    }

    /// The private key, where it is known, and the public key of a version.
    pub(super) fn pair(&self, number: u64) -> Result<(Option<&PrivateKey>, &PublicKey), Error> {
        match self.parsed(number)? {
            Parsed::Pair { private, public } => Ok((private.as_ref(), public)),
            Parsed::Cipher(_) => Err(self.unsupported("signing")),
        }
    }

    /// The key for one context (HKDF-SHA256, RFC 5869, without salt).
    fn derive(&self, number: u64, context: &[u8], bytes: usize) -> Result<SecretBytes, Error> {
        if context.is_empty() {
            return Err(Error::invalid(
                "missing 'context' for key derivation; the key was created using a derived key, which means \
                 additional, per-request information must be included in order to perform operations with the key",
            ));
        }
        if self.key.key_type.pair() != Some(KeyKind::Ed25519) {
            return Ok(hkdf_sha256_bytes(self.version(number)?.material.expose(), context, bytes));
        }
        // As Vault has it: the seed and the public key together.
        let (private, public) = self.pair(number)?;
        let seed = private.and_then(PrivateKey::seed).ok_or_else(|| self.unsupported("derivation"))?;
        let both = [&seed.expose()[..], public.ed25519_bytes().unwrap_or_default()].concat();
        Ok(hkdf_sha256_bytes(SecretBytes::new(both).expose(), context, bytes))
    }

    /// The Ed25519 key for one context.
    pub(super) fn derive_pair(&self, number: u64, context: &[u8]) -> Result<PrivateKey, Error> {
        let seed = self.derive(number, context, strongroom_crypto::KEY_BYTES)?;
        let seed = Key::try_from(seed.expose()).map_err(|error| Error::internal(error.to_string()))?;
        Ok(PrivateKey::ed25519(seed))
    }

    /// The key that HMACs are made with.
    pub(super) fn hmac_key(&self, number: u64) -> Result<&SecretBytes, Error> {
        let version = self.version(number)?;
        Ok(if self.key.key_type == super::key_type::KeyType::Hmac {
            &version.material
        } else {
            &version.hmac
        })
    }

    /// The key that CMACs are made with.
    pub(super) fn cmac_key(&self, number: u64) -> Result<&SecretBytes, Error> {
        if !self.key.key_type.makes_cmacs() {
            return Err(self.unsupported("CMAC"));
        }
        Ok(&self.version(number)?.material)
    }

    pub(super) fn unsupported(&self, what: &str) -> Error {
        Error::invalid(format!("{what} not supported for key type {}", self.key.key_type.name()))
    }
}
