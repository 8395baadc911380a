//! Values for some of a file's recipients alone.
//!
//! A restricted value is encrypted twice: within, under a part key that is wrapped for its own recipients; without, as every
//! value of the file. Whoever opens the file and is not among them finds a text, and so does sops: it decrypts, checks,
//! edits and writes the file as any other, and hands the text on as it is. The text holds all that is needed to open it:
//!
//! `RESTRICTED[v1,keys:B64,value:ENC[AES256_GCM,…,type:T]]`
//!
//! `keys` is the JSON of one key group as it stands in SOPS' metadata, in base64. The additional data of the value is
//! `restricted:` and its path as in SOPS: a text that is moved elsewhere does not open. Values that were restricted together
//! share a part key and its wrappings, so that they are unwrapped once.

use super::cipher::{Cipher, IV_BYTES};
use super::edit::path_text;
use super::metadata::{MasterKey, read_group, write_group};
use super::source::{Format, emit_node, read_plain};
use super::tree::{Element, Item, Node, Tree};
use super::value::Value;
use crate::document::{Indent, Step};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::sync::Arc;
use strongroom_secret::{Entropy, SecretBytes};
use thiserror::Error;

const BEGINNING: &str = "RESTRICTED[v1,keys:";
const VALUE: &str = ",value:";

/// The recipients of some values, and the key that is wrapped for them.
#[derive(Debug, Clone)]
pub struct Part {
    pub keys: Vec<MasterKey>,
    pub cipher: Arc<Cipher>,
}

/// A restricted value of an opened file.
#[derive(Debug)]
pub struct RestrictedValue {
    /// Which document of a YAML stream, from 0.
    pub document: usize,
    pub steps: Vec<Step>,
    pub keys: Vec<MasterKey>,
    /// `None` if it is for others.
    cipher: Option<Arc<Cipher>>,
    /// As it stood in the file, and what was in it.
    old: Option<(String, Value)>,
}

/// Why a restricted value is not written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place} is restricted to {recipients}, and was changed by somebody who cannot open it")]
pub struct RestrictedError {
    pub place: String,
    pub recipients: String,
}

impl RestrictedValue {
    /// Whether we are among its recipients.
    pub fn is_open(&self) -> bool {
        self.cipher.is_some()
    }

    /// As `["a"]["b"]`.
    pub fn place(&self) -> String {
        path_text(&self.steps)
    }

    /// As people name them.
    pub fn recipients(&self) -> String {
        self.keys.iter().map(|key| key.recipient.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// The part that it belongs to, if it is open.
    pub fn part(&self) -> Option<Part> {
        Some(Part { keys: self.keys.clone(), cipher: Arc::clone(self.cipher.as_ref()?) })
    }

    /// From here on it belongs to another part.
    pub fn move_to(&mut self, part: &Part) {
        self.keys.clone_from(&part.keys);
        self.cipher = Some(Arc::clone(&part.cipher));
        self.old = None;
    }

    /// Whether a place is meant: the value's own, what now stands below it, or another item of the same list.
    fn covers(&self, document: usize, steps: &[Step]) -> bool {
        let among = |(last, list): (&Step, &[Step])| {
            matches!(last, Step::Index(_)) && steps.get(list.len()).is_some() && steps.starts_with(list)
        };
        self.document == document
            && (steps.starts_with(&self.steps) || self.steps.split_last().is_some_and(among))
    }

    pub(super) fn new(document: usize, steps: Vec<Step>, part: &Part) -> Self {
        let cipher = Some(Arc::clone(&part.cipher));
        Self { document, steps, keys: part.keys.clone(), cipher, old: None }
    }
}

/// Whether a text is a restricted value that is still closed.
pub fn is_restricted(text: &str) -> bool {
    parse(text).is_some()
}

/// Opens what `unwrap` opens, in place. All restricted values are listed, in the order of the file.
pub(super) fn open(
    tree: &mut Tree,
    unwrap: &mut dyn FnMut(&MasterKey) -> Result<SecretBytes, String>,
) -> Vec<RestrictedValue> {
    let mut found = Vec::new();
    for_each_leaf(tree, &mut |document, steps, value| {
        let Some(text) = value.as_text().filter(|text| text.starts_with(BEGINNING)) else { return };
        let Some((keys, inner)) = parse(text) else { return };
        let part_key = keys.iter().find_map(|key| unwrap(key).ok());
        let cipher = part_key.and_then(|key| Cipher::new(key.expose())).map(Arc::new);
        let plain = cipher.as_ref().and_then(|cipher| cipher.decrypt(inner, &place(steps)).ok());
        let mut restricted =
            RestrictedValue { document, steps: steps.to_vec(), keys, cipher: None, old: None };
        if let Some(plain) = plain {
            restricted.cipher = cipher;
            restricted.old = Some((text.to_owned(), plain.duplicate()));
            *value = plain;
        }
        found.push(restricted);
    });
    found
}

/// Closes restricted values again. What did not change keeps its text.
pub(super) fn close(
    tree: &mut Tree,
    values: &[RestrictedValue],
    entropy: &dyn Entropy,
) -> Result<(), RestrictedError> {
    let mut refused = None;
    for_each_leaf(tree, &mut |document, steps, value| {
        let own = values.iter().find(|value| value.document == document && value.steps == steps);
        let covering = || values.iter().find(|value| value.covers(document, steps));
        let Some(restricted) = own.or_else(covering) else { return };
        let text = value.as_text().filter(|text| is_restricted(text));
        match (&restricted.cipher, &restricted.old) {
            (_, Some((text, plain))) if plain == value => *value = Value::text(text.clone()),
            _ if text.is_some() => {}
            (Some(cipher), _) => {
                let mut iv = [0; IV_BYTES];
                entropy.fill(&mut iv);
                *value = Value::text(sealed(&restricted.keys, cipher, value, &place(steps), iv));
            }
            (None, _) => {
                refused =
                    Some(RestrictedError { place: path_text(steps), recipients: restricted.recipients() });
            }
        }
    });
    refused.map_or(Ok(()), Err)
}

/// Document and place of every value that is not restricted, and is meant.
pub(super) fn unrestricted(
    tree: &mut Tree,
    values: &[RestrictedValue],
    is_meant: &dyn Fn(&[Step]) -> bool,
) -> Vec<(usize, Vec<Step>)> {
    let mut found = Vec::new();
    for_each_leaf(tree, &mut |document, steps, _| {
        if is_meant(steps) && !values.iter().any(|value| value.covers(document, steps)) {
            found.push((document, steps.to_vec()));
        }
    });
    found
}

fn for_each_leaf(tree: &mut Tree, work: &mut dyn FnMut(usize, &[Step], &mut Value)) {
    let mut steps = Vec::new();
    for (number, document) in tree.documents.iter_mut().enumerate() {
        for item in document {
            let Item::Entry { key, node } = item else { continue };
            steps.push(Step::Key(key.clone()));
            walk(number, node, &mut steps, work);
            steps.pop();
        }
    }
}

fn walk(
    document: usize,
    node: &mut Node,
    steps: &mut Vec<Step>,
    work: &mut dyn FnMut(usize, &[Step], &mut Value),
) {
    match node {
        Node::Null => {}
        Node::Leaf(value) => work(document, steps, value),
        Node::Map(map) => {
            for item in map {
                let Item::Entry { key, node } = item else { continue };
                steps.push(Step::Key(key.clone()));
                walk(document, node, steps, work);
                steps.pop();
            }
        }
        Node::List(elements) => {
            let nodes = elements.iter_mut().filter_map(|element| match element {
                Element::Node(node) => Some(node),
                Element::Comment(_) => None,
            });
            for (index, node) in nodes.enumerate() {
                steps.push(Step::Index(index));
                walk(document, node, steps, work);
                steps.pop();
            }
        }
    }
}

/// The additional data: the keys on the way, as SOPS joins them. The place in a list is not part of it there either.
fn place(steps: &[Step]) -> Vec<u8> {
    let mut data = b"restricted:".to_vec();
    for step in steps {
        if let Step::Key(key) = step {
            data.extend_from_slice(key.as_bytes());
            data.push(b':');
        }
    }
    data
}

fn sealed(keys: &[MasterKey], cipher: &Cipher, value: &Value, place: &[u8], iv: [u8; IV_BYTES]) -> String {
    let group = Node::Map(write_group(keys));
    let keys = emit_node(Format::Json, &group, Indent::Spaces(0)).unwrap_or_default();
    format!("{BEGINNING}{}{VALUE}{}]", BASE64.encode(keys.expose()), cipher.encrypt(value, place, iv))
}

fn parse(text: &str) -> Option<(Vec<MasterKey>, &str)> {
    let rest = text.strip_prefix(BEGINNING)?.strip_suffix(']')?;
    let (keys, value) = rest.split_once(VALUE)?;
    let json = BASE64.decode(keys).ok()?;
    let parsed = read_plain(Format::Json, &json).ok()?;
    let keys = read_group(parsed.tree.documents.first()?).ok()?;
    (!keys.is_empty()).then_some((keys, value))
}
