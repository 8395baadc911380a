//! The keys of an open server, and what is done with them: below here everything is ciphertext.

use crate::decoded::Decoded;
use crate::error::Error;
use crate::fingerprints::{ScanKeys, TagIndexes};
use crate::hidden_names::HiddenNames;
use strongroom_crypto::Key;
use strongroom_crypto::keyring::Keyring;
use strongroom_crypto::mac::MacKey;
use strongroom_crypto::names::{Folder, NameCipher};
use strongroom_secret::{Entropy, SecretBytes};

/// Everything derived from the keyring. Held while the server is open, dropped (and wiped) when it is sealed.
pub struct Keys {
    /// Encrypts the keyring where it is stored.
    pub(crate) root: Key,
    pub keyring: Keyring,
    pub names: NameCipher,
    /// What was made of names by that cipher.
    pub(crate) hidden: HiddenNames,
    /// Token → accessor, and accessor → storage key.
    pub tokens: MacKey,
    /// Values in audit records.
    pub audit: MacKey,
    /// Secret-ids, password-free look-ups and other handles that backends store as keyed hashes.
    pub handles: MacKey,
    /// Fingerprints of values, by namespace.
    pub(crate) scan: ScanKeys,
    /// Which rows hold the tags that were made by them.
    pub(crate) tags: TagIndexes,
    /// What was read with these keys.
    pub(crate) decoded: Decoded,
}

impl Keys {
    pub fn new(keyring: Keyring, root: Key) -> Self {
        Self {
            root,
            names: NameCipher::new(&keyring.derive("storage names")),
            tokens: MacKey::new(&keyring.derive("tokens")),
            audit: MacKey::new(&keyring.derive("audit values")),
            handles: MacKey::new(&keyring.derive("handles")),
            scan: ScanKeys::default(),
            tags: TagIndexes::default(),
            hidden: HiddenNames::default(),
            decoded: Decoded::default(),
            keyring,
        }
    }

    /// Encrypts a value for the place where it will be stored: it opens nowhere else.
    pub(crate) fn seal(&self, entropy: &dyn Entropy, key: &[u8], plain: &[u8]) -> Vec<u8> {
        self.keyring.encrypt(entropy, key, plain)
    }

    pub(crate) fn open(&self, key: &[u8], sealed: &[u8]) -> Result<SecretBytes, Error> {
        self.keyring.decrypt(key, sealed).map_err(|error| {
            Error::internal(format!(
                "an entry of the store cannot be decrypted ({error}): it was altered or moved"
            ))
        })
    }

    pub(crate) fn reveal(&self, tweak: &[u8], hidden: &[u8]) -> Result<String, Error> {
        reveal_in(&mut self.names.folder(tweak), hidden)
    }
}

/// One of the names of a folder.
pub(crate) fn reveal_in(folder: &mut Folder<'_>, hidden: &[u8]) -> Result<String, Error> {
    let name = folder.reveal(hidden).ok().and_then(|bytes| std::str::from_utf8(bytes).ok());
    name.map(str::to_owned)
        .ok_or_else(|| Error::internal("a name in the store cannot be decrypted: it was altered or moved"))
}
