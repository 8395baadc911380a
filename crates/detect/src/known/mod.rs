//! Fingerprints of values that a store holds: found exactly, in any encoding, without holding one of them. What a fingerprint
//! is made of is in the crate `fingerprint`.
//!
//! The scanner takes runs of letters and digits, compares head and length, then the 32 bits, then the HMAC.

mod file;
pub(crate) mod findings;
mod layers;
mod search;
mod server;

pub use file::{BYTES_MAX, FileError};
pub use findings::RULE_ID;
pub use search::{Hit, Matcher};
pub use server::ServerIndex;
pub use strongroom_fingerprint::{BITS_MIN, Form, LeftOut, ScanKey, TAG_BYTES, VALUE_BYTES_MAX};

use data_encoding::HEXLOWER;
use strongroom_fingerprint::{Fingerprint, fingerprints, fingerprints_of_any};
use strongroom_secret::{Entropy, SecretBytes};

/// A shorter value is met by chance, and is not searched for.
pub const SEARCHED_BYTES_MIN: usize = 6;

/// The values of a store, as something that can be looked for and not read.
pub struct Index {
    key: ScanKey,
    /// How many bytes of each tag there are: those of an index that was cut say less to whoever steals it.
    tag_bytes: usize,
    secrets: Vec<KnownSecret>,
    entries: Vec<Entry>,
    /// The address of the server that knows what hits are; None for an index that names them itself.
    server: Option<String>,
}

/// What a hit names. Never the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSecret {
    /// The same for the same name and version under one scan key, and says neither.
    pub id: String,
    pub name: String,
    /// The provider's name of the version, or nothing where it has none.
    pub version: Option<String>,
    /// Where the value is kept, for people.
    pub origin: String,
}

/// The fingerprint of one form of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    secret: u32,
    print: Fingerprint,
}

/// Makes an index of values.
pub struct Builder {
    index: Index,
    weak: Weak,
}

/// What becomes of values that can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weak {
    LeftOut,
    /// For an index that is never written: nobody can steal it.
    Taken,
}

impl Builder {
    pub fn new(key: ScanKey) -> Self {
        let index =
            Index { key, tag_bytes: TAG_BYTES, secrets: Vec::new(), entries: Vec::new(), server: None };
        Self { index, weak: Weak::LeftOut }
    }

    /// For one search by this process: takes values in that can be guessed, as long as they have [`SEARCHED_BYTES_MIN`]
    /// bytes. Its index must not be written down.
    pub fn for_search(entropy: &dyn Entropy) -> Self {
        Self { weak: Weak::Taken, ..Self::new(ScanKey::generate(entropy)) }
    }

    /// Takes a value in, in all its forms.
    pub fn add(
        &mut self,
        name: &str,
        version: Option<&str>,
        origin: &str,
        value: &SecretBytes,
    ) -> Result<(), LeftOut> {
        let index = &mut self.index;
        let is_searched = value.expose().trim_ascii().len() >= SEARCHED_BYTES_MIN;
        let made = match self.weak {
            Weak::Taken if is_searched => fingerprints_of_any(&index.key, value.expose())?,
            Weak::Taken | Weak::LeftOut => fingerprints(&index.key, value.expose())?,
        };
        let secret = u32::try_from(index.secrets.len()).unwrap_or(u32::MAX);
        index.entries.extend(made.into_iter().map(|print| Entry { secret, print }));
        let named = [name.as_bytes(), b"\0", version.unwrap_or_default().as_bytes()].concat();
        let id = index.key.id(b"id", &named);
        index.secrets.push(KnownSecret {
            id: HEXLOWER.encode(id.get(..8).unwrap_or_default()),
            name: name.to_owned(),
            version: version.map(str::to_owned),
            origin: origin.to_owned(),
        });
        Ok(())
    }

    pub fn build(self) -> Index {
        self.index
    }
}

impl Index {
    /// How many values can be found.
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

#[cfg(test)]
mod tests;
