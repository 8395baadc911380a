//! A SOPS file on its way: encrypted ([`Encrypted`]), in clear with all that is needed to encrypt it again ([`Opened`]), or
//! in clear for the first time ([`Draft`]).

use super::cipher::{Cipher, CipherError, IV_BYTES, IvMemory};
use super::crypt::{self, CryptError, Rules};
use super::edit::{self, Changed, EditError, Location};
use super::metadata::{MasterKey, Metadata, MetadataError, VERSION, time_text};
use super::restricted::{self, Part, RestrictedError, RestrictedValue};
use super::seal::{self, SealState};
use super::source::{self, Format, Parsed, Source, SourceError};
use super::tree::{Node, Tree};
use super::value::Value;
use crate::document::{Indent, Step};
use std::fmt;
use strongroom_secret::{Entropy, SecretBytes, Timestamp};
use thiserror::Error;

/// Why a file is not decrypted although its data key is known.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error(transparent)]
    Value(#[from] CryptError),
    #[error("MAC mismatch. File has {stored}, computed {computed}")]
    MacMismatch { stored: String, computed: String },
    #[error("the MAC cannot be decrypted: {0}")]
    MacUnreadable(CipherError),
    #[error("the seal is broken: recipients, rules or types were changed by somebody without the data key")]
    Seal,
}

/// Whether values are given out although they may have been tampered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    Required,
    /// MAC and seal are not looked at.
    Ignored,
}

/// Whether our own seal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealPolicy {
    Write,
    /// Only over a seal that is there already.
    Keep,
}

/// An encrypted file.
#[derive(Debug)]
pub struct Encrypted {
    source: Source,
    tree: Tree,
    pub metadata: Metadata,
}

/// A file in clear.
pub struct Opened {
    source: Source,
    tree: Tree,
    pub metadata: Metadata,
    cipher: Cipher,
    memory: IvMemory,
    seal: SealState,
    restricted: Vec<RestrictedValue>,
}

/// A file that was never encrypted.
#[derive(Debug)]
pub struct Draft {
    source: Source,
    tree: Tree,
}

impl Encrypted {
    /// Reads a file.
    ///
    /// # Errors
    /// Among others [`MetadataError::Missing`] if the file is not encrypted.
    pub fn read(format: Format, bytes: &[u8]) -> Result<Self, SourceError> {
        let Parsed { source, tree, metadata } = source::read_encrypted(format, bytes)?;
        let metadata = Metadata::from_map(&metadata.ok_or(MetadataError::Missing)?)?;
        Ok(Self { source, tree, metadata })
    }

    pub fn format(&self) -> Format {
        self.source.format()
    }

    /// The values as they stand in the file: those that are not encrypted can be read.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Decrypts, for reading alone: an edit of what comes out gives every value a new ciphertext.
    pub fn open(self, cipher: Cipher, verification: Verification) -> Result<Opened, OpenError> {
        let Self { source, mut tree, metadata } = self;
        let mac = crypt::decrypt(&mut tree, &cipher, rules(&metadata, source.format()))?;
        Opened::new(source, tree, metadata, cipher).verified(mac, verification)
    }

    /// Decrypts, for editing: what does not change keeps its ciphertext.
    pub fn open_for_edit(self, cipher: Cipher, verification: Verification) -> Result<Opened, OpenError> {
        let Self { source, mut tree, metadata } = self;
        let rules = rules(&metadata, source.format());
        let (mac, memory) = crypt::decrypt_for_edit(&mut tree, &cipher, rules)?;
        let opened = Opened { memory, ..Opened::new(source, tree, metadata, cipher) };
        opened.verified(mac, verification)
    }

    /// The file with other metadata and the same values, as after wrapping the data key anew.
    pub fn write(self) -> Result<SecretBytes, SourceError> {
        self.source.write_encrypted(&self.tree, &self.metadata)
    }
}

impl Opened {
    fn new(source: Source, tree: Tree, metadata: Metadata, cipher: Cipher) -> Self {
        let (memory, seal, restricted) = (IvMemory::default(), SealState::Absent, Vec::new());
        Self { source, tree, metadata, cipher, memory, seal, restricted }
    }

    fn verified(mut self, computed: String, verification: Verification) -> Result<Self, OpenError> {
        if verification == Verification::Ignored {
            return Ok(self);
        }
        let stored = match self.cipher.decrypt(&self.metadata.mac, self.metadata.last_modified.as_bytes()) {
            Ok(value) => value.as_text().unwrap_or_default().to_owned(),
            Err(error) => return Err(OpenError::MacUnreadable(error)),
        };
        if stored != computed {
            let stored = if stored.is_empty() { "no MAC".to_owned() } else { stored };
            return Err(OpenError::MacMismatch { stored, computed });
        }
        self.seal = seal::check(self.format(), &self.tree, &self.metadata, &self.cipher);
        if self.seal == SealState::Broken { Err(OpenError::Seal) } else { Ok(self) }
    }

    pub fn format(&self) -> Format {
        self.source.format()
    }

    /// The values in clear.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// What the file's seal said when it was opened.
    pub fn seal(&self) -> SealState {
        self.seal
    }

    /// Opens the restricted values that `unwrap` opens. Those and the others are closed in what is written.
    pub fn open_restricted(&mut self, unwrap: &mut dyn FnMut(&MasterKey) -> Result<SecretBytes, String>) {
        self.restricted = restricted::open(&mut self.tree, unwrap);
    }

    /// The restricted values, in the order of the file; those that were added come last.
    pub fn restricted(&self) -> &[RestrictedValue] {
        &self.restricted
    }

    pub fn restricted_mut(&mut self) -> &mut [RestrictedValue] {
        &mut self.restricted
    }

    /// Document and place of the values that are not restricted, and are meant.
    pub fn unrestricted(&mut self, is_meant: &dyn Fn(&[Step]) -> bool) -> Vec<(usize, Vec<Step>)> {
        restricted::unrestricted(&mut self.tree, &self.restricted, is_meant)
    }

    /// From here on a value is for the recipients of a part alone.
    pub fn restrict(&mut self, document: usize, steps: Vec<Step>, part: &Part) {
        self.restricted.push(RestrictedValue::new(document, steps, part));
    }

    /// Open restricted values for which `is_meant` holds are for all recipients again. Returns how many.
    pub fn lift(&mut self, is_meant: &dyn Fn(&RestrictedValue) -> bool) -> usize {
        let before = self.restricted.len();
        self.restricted.retain(|value| !(value.is_open() && is_meant(value)));
        before - self.restricted.len()
    }

    pub fn cipher(&self) -> &Cipher {
        &self.cipher
    }

    /// From here on another data key: every value gets a new ciphertext.
    pub fn renew_data_key(&mut self, cipher: Cipher) {
        self.cipher = cipher;
        self.memory = IvMemory::default();
    }

    /// Keeps the ciphertexts of another version of the file, where it has the same data key.
    pub fn remember(&mut self, other: Self) {
        if self.cipher.data_key() == other.cipher.data_key() {
            self.memory.extend(other.memory);
        }
    }

    /// The file in clear, in its own format and layout.
    pub fn write_plain(self) -> Result<SecretBytes, SourceError> {
        self.source.write_plain(&self.tree)
    }

    /// The values in another format.
    pub fn emit(&self, format: Format, indent: Indent) -> Result<SecretBytes, SourceError> {
        source::emit_plain(format, &self.tree, indent)
    }

    /// The same values, to be written in another format and afresh.
    #[must_use]
    pub fn converted(mut self, format: Format) -> Self {
        self.source = Source::fresh(format);
        self
    }

    /// The file in clear with its metadata, for a person to look at.
    pub fn write_with_metadata(self) -> Result<SecretBytes, SourceError> {
        self.source.write_encrypted(&self.tree, &self.metadata)
    }

    /// What an editor made of [`Opened::write_with_metadata`], without the metadata. `None` if there is none in it.
    pub fn content_alone(&self, bytes: &[u8]) -> Option<SecretBytes> {
        if self.format() == Format::Binary {
            return None;
        }
        let Parsed { source, tree, metadata } = source::read_encrypted(self.format(), bytes).ok()?;
        metadata?;
        source.write_plain(&tree).ok()
    }

    /// Takes over what an editor made of the file in clear.
    pub fn with_content(mut self, bytes: &[u8]) -> Result<Self, (Box<Self>, SourceError)> {
        match Draft::read(self.format(), bytes) {
            Ok(draft) => {
                self.source = draft.source;
                self.tree = draft.tree;
                Ok(self)
            }
            Err(error) => Err((Box::new(self), error)),
        }
    }

    /// Sets the value at a place.
    pub fn set(&mut self, location: &Location, node: Node) -> Result<Changed, EditError> {
        let mut changed_tree = self.tree.duplicate();
        let changed = edit::set(&mut changed_tree, location, node.duplicate())?;
        if changed == Changed::Yes {
            let metadata = self.metadata.to_map();
            let in_layout = self.source.set(&self.tree, &metadata, location, &node, &changed_tree);
            self.tree = in_layout.unwrap_or(changed_tree);
        }
        Ok(changed)
    }

    /// Removes what stands at a place.
    pub fn unset(&mut self, location: &Location) -> Result<(), EditError> {
        let mut changed_tree = self.tree.duplicate();
        edit::unset(&mut changed_tree, location)?;
        let metadata = self.metadata.to_map();
        let in_layout = self.source.unset(&self.tree, &metadata, location, &changed_tree);
        self.tree = in_layout.unwrap_or(changed_tree);
        Ok(())
    }

    /// Encrypts under the data key that it has, in its own layout.
    pub fn encrypt(
        mut self,
        policy: SealPolicy,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<SecretBytes, EncryptError> {
        self.renew_metadata(policy, entropy, now)?;
        Ok(self.source.write_encrypted(&self.tree, &self.metadata)?)
    }

    /// The tree encrypted in place; MAC, time, version and seal to match.
    fn renew_metadata(
        &mut self,
        policy: SealPolicy,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<(), EncryptError> {
        restricted::close(&mut self.tree, &self.restricted, entropy)?;
        let clear = self.tree.duplicate();
        let rules = rules(&self.metadata, self.source.format());
        let mac = crypt::encrypt(&mut self.tree, &self.cipher, rules, &self.memory, entropy)?;
        let metadata = &mut self.metadata;
        metadata.last_modified = time_text(now);
        let mut iv = [0; IV_BYTES];
        entropy.fill(&mut iv);
        metadata.mac = self.cipher.encrypt(&Value::text(mac), metadata.last_modified.as_bytes(), iv);
        if is_older(&metadata.version, VERSION) {
            VERSION.clone_into(&mut metadata.version);
        }
        metadata.seal = match policy {
            SealPolicy::Keep if metadata.seal.is_empty() => String::new(),
            _ => seal::make(self.source.format(), &clear, metadata, &self.cipher),
        };
        Ok(())
    }
}

impl Draft {
    /// Reads a file in clear.
    ///
    /// # Errors
    /// Among others [`SourceError::Reserved`] if the file looks encrypted already.
    pub fn read(format: Format, bytes: &[u8]) -> Result<Self, SourceError> {
        let Parsed { source, tree, metadata } = source::read_plain(format, bytes)?;
        if metadata.is_some() {
            return Err(SourceError::Reserved("sops".to_owned()));
        }
        if tree.documents.is_empty() {
            return Err(SourceError::Empty);
        }
        Ok(Self { source, tree })
    }

    /// The values, to be written in another format than the one they were read in.
    pub fn converted(self, format: Format) -> Self {
        if format == self.source.format() { self } else { Self { source: Source::fresh(format), ..self } }
    }

    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Ready to be encrypted under a data key that was wrapped for the recipients of `metadata`.
    pub fn with_key(self, metadata: Metadata, cipher: Cipher) -> Opened {
        Opened::new(self.source, self.tree, metadata, cipher)
    }
}

/// Why a tree is not encrypted or not written.
#[derive(Debug, Error)]
pub enum EncryptError {
    #[error(transparent)]
    Value(#[from] CryptError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Restricted(#[from] RestrictedError),
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("metadata", &self.metadata)
            .field("seal", &self.seal)
            .finish_non_exhaustive()
    }
}

fn rules(metadata: &Metadata, format: Format) -> Rules<'_> {
    Rules { selector: &metadata.selector, scope: metadata.mac_scope, format }
}

/// Compares versions number by number; what is no version is older than any.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        core.split('.').map(|part| part.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    numbers(version) < numbers(than)
}
