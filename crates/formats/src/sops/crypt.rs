//! A tree encrypted or decrypted in one walk, and the MAC over its values.
//!
//! The MAC is SHA-512 over the bytes of all values in the order of the file, without keys, comments or separators, in
//! capital hexadecimal digits. With `mac_only_encrypted` only encrypted values count, after 32 bytes that no other
//! file begins with.

use super::cipher::{Cipher, CipherError, IvMemory, is_encrypted_comment};
use super::selector::{Selector, SelectorKind};
use super::source::Format;
use super::tree::{Comment, Element, Item, Map, Node, Placement, Tree};
use super::value::Value;
use sha2::{Digest, Sha512};
use std::fmt::Write as _;
use strongroom_secret::Entropy;
use thiserror::Error;
use zeroize::Zeroizing;

/// Deeper nesting is refused: the walk is recursive.
pub(super) const NESTING_MAX: usize = 256;

/// SHA-256 of `sops`: what a MAC over encrypted values alone begins with.
const MAC_ONLY_ENCRYPTED_START: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Which values the MAC covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MacScope {
    #[default]
    AllValues,
    EncryptedValues,
}

/// A value that cannot be encrypted or decrypted, by its place as `["a"]["b"][0]`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {reason}")]
pub struct CryptError {
    pub place: String,
    pub reason: CryptReason,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CryptReason {
    #[error("the value cannot be decrypted: {0}")]
    Cipher(#[from] CipherError),
    #[error("the value should be encrypted and is not: was it changed by hand?")]
    NotEncrypted,
    #[error("the comment, encrypted, would match unencrypted_comment_regex and could not be decrypted again")]
    CommentMatches,
    #[error("nested more than {NESTING_MAX} levels deep")]
    Nesting,
}

/// What decides about values and the MAC of a file.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) selector: &'a Selector,
    pub(super) scope: MacScope,
    pub(super) format: Format,
}

/// Decrypts all that the selector means, in place. Returns the MAC of what was found.
pub(super) fn decrypt(tree: &mut Tree, cipher: &Cipher, rules: Rules<'_>) -> Result<String, CryptError> {
    Walk::new(Work::Decrypt { cipher, memory: None }, rules).tree(tree)
}

/// As [`decrypt`], keeping the IVs for an encryption that follows.
pub(super) fn decrypt_for_edit(
    tree: &mut Tree,
    cipher: &Cipher,
    rules: Rules<'_>,
) -> Result<(String, IvMemory), CryptError> {
    let mut memory = IvMemory::default();
    let mac = Walk::new(Work::Decrypt { cipher, memory: Some(&mut memory) }, rules).tree(tree)?;
    Ok((mac, memory))
}

/// Encrypts all that the selector means, in place. Returns the MAC of what was found.
pub(super) fn encrypt(
    tree: &mut Tree,
    cipher: &Cipher,
    rules: Rules<'_>,
    memory: &IvMemory,
    entropy: &dyn Entropy,
) -> Result<String, CryptError> {
    Walk::new(Work::Encrypt { cipher, memory, entropy }, rules).tree(tree)
}

enum Work<'a> {
    Decrypt { cipher: &'a Cipher, memory: Option<&'a mut IvMemory> },
    Encrypt { cipher: &'a Cipher, memory: &'a IvMemory, entropy: &'a dyn Entropy },
}

struct Walk<'a> {
    work: Work<'a>,
    selector: &'a Selector,
    scope: MacScope,
    /// In INI, sops has the comment above a key behind it, so that it decides about the next one; and the comment above a
    /// section as the first thing in it, so that it decides about its first key alone.
    comments_come_late: bool,
    hash: Sha512,
    /// The keys on the way, each followed by a colon: the additional data of a value here.
    path: String,
    /// Whether a comment that still counts matches, for each level from the top. Only where comments decide.
    comments: Vec<bool>,
    depth: usize,
}

impl<'a> Walk<'a> {
    fn new(work: Work<'a>, Rules { selector, scope, format }: Rules<'a>) -> Self {
        let mut hash = Sha512::new();
        if scope == MacScope::EncryptedValues {
            hash.update(MAC_ONLY_ENCRYPTED_START);
        }
        let comments_come_late = format == Format::Ini && selector.looks_at_comments();
        let (path, comments) = (String::new(), Vec::new());
        Self { work, selector, scope, comments_come_late, hash, path, comments, depth: 0 }
    }

    fn tree(mut self, tree: &mut Tree) -> Result<String, CryptError> {
        for document in &mut tree.documents {
            self.map(document, false)?;
        }
        let mut mac = String::with_capacity(128);
        for byte in self.hash.finalize() {
            let _ = write!(mac, "{byte:02X}");
        }
        Ok(mac)
    }

    /// `matched`: a key on the way here is meant by the selector.
    fn map(&mut self, map: &mut Map, matched: bool) -> Result<(), CryptError> {
        self.enter()?;
        let comments_come_late = self.comments_come_late && self.depth == 2;
        let mut late = Vec::new();
        for item in map {
            match item {
                Item::Comment(comment) => {
                    if comments_come_late && comment.placement != Placement::AboveSection {
                        late.push(comment);
                    } else {
                        self.comment(comment, matched)?;
                    }
                }
                Item::Entry { key, node } => {
                    let length = self.path.len();
                    self.path.push_str(key);
                    self.path.push(':');
                    let matched =
                        matched || (!self.selector.looks_at_comments() && self.selector.matches(key));
                    self.node(node, matched).map_err(|error| error.below(&format!("[{key:?}]")))?;
                    self.path.truncate(length);
                    self.forget_comments();
                    for comment in late.drain(..) {
                        self.comment(comment, matched)?;
                    }
                }
            }
        }
        for comment in late {
            self.comment(comment, matched)?;
        }
        self.leave();
        Ok(())
    }

    fn list(&mut self, elements: &mut [Element], matched: bool) -> Result<(), CryptError> {
        self.enter()?;
        let mut index = 0_usize;
        for element in elements {
            match element {
                Element::Comment(comment) => self.comment(comment, matched)?,
                Element::Node(node)
                    if node.as_text().is_some_and(is_encrypted_comment) && self.decrypts() =>
                {
                    let mut comment = Comment::own_line(node.as_text().unwrap_or_default());
                    self.comment(&mut comment, matched)?;
                    *element = Element::Comment(comment);
                }
                Element::Node(node) => {
                    self.node(node, matched).map_err(|error| error.below(&format!("[{index}]")))?;
                    self.forget_comments();
                    index += 1;
                }
            }
        }
        self.leave();
        Ok(())
    }

    fn node(&mut self, node: &mut Node, matched: bool) -> Result<(), CryptError> {
        match node {
            Node::Null => Ok(()),
            Node::Leaf(value) => self.value(value, matched).map_err(CryptError::here),
            Node::Map(map) => self.map(map, matched),
            Node::List(elements) => self.list(elements, matched),
        }
    }

    fn value(&mut self, value: &mut Value, matched: bool) -> Result<(), CryptReason> {
        let encrypted = self.selector.encrypts(self.decides(matched));
        let counts = encrypted || self.scope == MacScope::AllValues;
        match &mut self.work {
            Work::Encrypt { cipher, memory, entropy } => {
                let bytes = value.bytes();
                if counts {
                    self.hash.update(&bytes);
                }
                if encrypted {
                    let place = self.path.as_bytes();
                    let iv = memory.iv(cipher, (&bytes, value.kind()), place, *entropy);
                    let text = cipher.encrypt(value, place, iv);
                    drop(bytes);
                    *value = Value::text(text);
                }
            }
            Work::Decrypt { cipher, memory } => {
                if encrypted {
                    let text = value.as_text().ok_or(CryptReason::NotEncrypted)?;
                    let (plain, iv) = match cipher.open(text, self.path.as_bytes()) {
                        Err(CipherError::Form) if !text.starts_with("ENC[") => {
                            return Err(CryptReason::NotEncrypted);
                        }
                        opened => opened?,
                    };
                    if let (Some(memory), Some(iv)) = (memory, iv) {
                        memory.keep(cipher, (&plain.bytes(), plain.kind()), self.path.as_bytes(), iv);
                    }
                    *value = plain;
                }
                if counts {
                    self.hash.update(value.bytes());
                }
            }
        }
        Ok(())
    }

    /// Comments are encrypted as values are, but are not in the MAC. A comment that does not decrypt was not encrypted.
    fn comment(&mut self, comment: &mut Comment, matched: bool) -> Result<(), CryptError> {
        let matches = self.selector.looks_at_comments() && self.selector.matches(&comment.text);
        // The comment that switches encryption on stays readable itself; the one that switches it off counts for itself.
        let own = matches && self.selector.kind() == SelectorKind::UnencryptedCommentRegex;
        let encrypted = self.selector.encrypts(self.decides(matched) || own);
        if matches && let Some(level) = self.comments.last_mut() {
            *level = true;
        }
        if !encrypted {
            return Ok(());
        }
        let place = if self.path.is_empty() { b":" } else { self.path.as_bytes() };
        match &mut self.work {
            Work::Encrypt { cipher, memory, entropy } => {
                let bytes = comment.text.as_bytes();
                let iv = memory.iv(cipher, (bytes, "comment"), place, *entropy);
                let text = cipher.seal(bytes, "comment", place, iv);
                if self.selector.kind() == SelectorKind::UnencryptedCommentRegex
                    && self.selector.matches(&text)
                {
                    return Err(CryptError::here(CryptReason::CommentMatches));
                }
                *comment.text = text;
            }
            Work::Decrypt { cipher, memory } => {
                let Ok((plain, iv)) = cipher.open(&comment.text, place) else { return Ok(()) };
                if let (Some(memory), Some(iv)) = (memory, iv) {
                    memory.keep(cipher, (&plain.bytes(), "comment"), place, iv);
                }
                if let Some(text) = plain.as_text() {
                    comment.text = Zeroizing::new(text.to_owned());
                }
            }
        }
        Ok(())
    }

    fn decrypts(&self) -> bool {
        matches!(self.work, Work::Decrypt { .. })
    }

    fn decides(&self, matched: bool) -> bool {
        matched || self.comments.contains(&true)
    }

    fn enter(&mut self) -> Result<(), CryptError> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(CryptError::here(CryptReason::Nesting));
        }
        if self.selector.looks_at_comments() {
            self.comments.push(false);
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.comments.pop();
    }

    /// A comment counts up to the next value.
    fn forget_comments(&mut self) {
        if let Some(level) = self.comments.last_mut() {
            *level = false;
        }
    }
}

impl CryptError {
    fn here(reason: CryptReason) -> Self {
        Self { place: String::new(), reason }
    }

    fn below(mut self, step: &str) -> Self {
        self.place.insert_str(0, step);
        self
    }
}
