//! The seal: a MAC of our own over what SOPS' MAC leaves out.
//!
//! SOPS' MAC covers the values alone. Somebody who can write the file can add a recipient, who gets the data key at the next
//! rotation; change which values are encrypted; or change the type beside a ciphertext. The seal is HMAC-SHA-256 under a
//! key derived from the data key, over recipients, threshold, rule, time, and the path and type of every value. It stands
//! in a field of the metadata that sops ignores, and drops when it writes the file.

use super::cipher::Cipher;
use super::crypt::MacScope;
use super::metadata::Metadata;
use super::selector::Selector;
use super::source::Format;
use super::tree::{Element, Item, Map, Node, Tree};
use super::value::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use strongroom_crypto::hkdf_sha256;
use strongroom_crypto::mac::{MacInProgress, MacKey};

/// What the seal of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealState {
    /// Recipients, rule and types are as when one of us sealed them.
    Intact,
    /// There is none: sops, or a version without seals, wrote the file last.
    Absent,
    /// It does not fit: somebody without the data key changed the metadata or a type.
    Broken,
}

const PREFIX: &str = "v1:";
const INFO: &[u8] = b"strongroom sops seal v1";

/// The seal of a file: `tree` in clear, `metadata` with its final MAC.
pub(super) fn make(format: Format, tree: &Tree, metadata: &Metadata, cipher: &Cipher) -> String {
    format!("{PREFIX}{}", BASE64.encode(transcript(format, tree, metadata, cipher).finish()))
}

/// What the seal that the metadata holds says about the tree in clear.
pub(super) fn check(format: Format, tree: &Tree, metadata: &Metadata, cipher: &Cipher) -> SealState {
    if metadata.seal.is_empty() {
        return SealState::Absent;
    }
    let tag = metadata.seal.strip_prefix(PREFIX).and_then(|text| BASE64.decode(text).ok());
    match tag {
        Some(tag) if transcript(format, tree, metadata, cipher).verify(&tag) => SealState::Intact,
        _ => SealState::Broken,
    }
}

fn transcript(format: Format, tree: &Tree, metadata: &Metadata, cipher: &Cipher) -> MacInProgress {
    let key = hkdf_sha256(b"", cipher.data_key().expose(), INFO);
    let mut seal = Transcript { mac: MacKey::new(&key).start(), format, selector: &metadata.selector };
    for group in &metadata.groups {
        seal.mark(b'G');
        for key in group {
            seal.text(key.recipient.kind().name());
            seal.text(&key.recipient.to_string());
        }
    }
    seal.mark(metadata.threshold);
    // A file that names no rule is read with the default one, whatever it was written with.
    let (rule, text) = match metadata.selector.is_implied() {
        true => ("", ""),
        false => (metadata.selector.kind().name(), metadata.selector.text()),
    };
    seal.text(rule);
    seal.text(text);
    seal.mark(u8::from(metadata.mac_scope == MacScope::EncryptedValues));
    seal.text(&metadata.last_modified);
    seal.text(&metadata.mac);
    for document in &tree.documents {
        seal.mark(b'D');
        seal.map(document, false);
    }
    seal.mac
}

struct Transcript<'a> {
    mac: MacInProgress,
    format: Format,
    selector: &'a Selector,
}

impl Transcript<'_> {
    fn mark(&mut self, mark: u8) {
        self.mac.update(&[mark]);
    }

    fn text(&mut self, text: &str) {
        self.mac.update(&(text.len() as u64).to_be_bytes());
        self.mac.update(text.as_bytes());
    }

    fn map(&mut self, map: &Map, matched: bool) {
        self.mark(b'{');
        for item in map {
            if let Item::Entry { key, node } = item {
                self.text(key);
                self.node(
                    node,
                    matched || (!self.selector.looks_at_comments() && self.selector.matches(key)),
                );
            }
        }
        self.mark(b'}');
    }

    fn node(&mut self, node: &Node, matched: bool) {
        match node {
            Node::Null => self.mark(b'0'),
            Node::Leaf(value) => {
                self.mark(b'V');
                self.text(self.kind_as_read(value, matched));
            }
            Node::Map(map) => self.map(map, matched),
            Node::List(elements) => {
                self.mark(b'[');
                for node in elements.iter().filter_map(Element::node) {
                    self.node(node, matched);
                }
                self.mark(b']');
            }
        }
    }

    /// The type that a reader finds: beside the ciphertext, or, of a value in clear, what the format can say. Where
    /// comments decide what is encrypted, only the former is known to be kept.
    fn kind_as_read(&self, value: &Value, matched: bool) -> &'static str {
        let empty = matches!(value, Value::Text(text) if text.expose().is_empty());
        let encrypted = !empty && !self.selector.looks_at_comments() && self.selector.encrypts(matched);
        match (encrypted, self.format, value) {
            (true, ..) => value.kind(),
            (false, Format::Env | Format::Ini, _)
            | (false, Format::Json | Format::Binary, Value::Time(_)) => "str",
            (false, ..) if self.selector.looks_at_comments() => "any",
            (false, ..) => value.kind(),
        }
    }
}
