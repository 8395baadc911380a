//! The forms that sops gives encrypted values in YAML.
//!
//! A value is written plainly, whatever quotes its value in clear had. A comment in a list is written as an item,
//! `- ENC[…,type:comment]`: here it is a comment while a file is read, and becomes such an item again when it is written.

use crate::document::{Document, Kind, Node, Placement, Style, Syntax};
use crate::sops::cipher::{is_encrypted, is_encrypted_comment};
use std::collections::BTreeSet;
use strongroom_secret::SecretString;

/// The text with `#ENC[…]` for each `- ENC[…,type:comment]`. `None` if there is no such item.
pub(super) fn items_as_comments(document: &Document) -> Option<SecretString> {
    if document.syntax() != Syntax::Yaml || !document.expose().contains(",type:comment]") {
        return None;
    }
    let is_item = |node: &Node<'_>| {
        matches!(node.kind(), Kind::Scalar(_))
            && node.style() == Style::Plain
            && node.key().is_none()
            && is_encrypted_comment(node.raw())
    };
    let lines: BTreeSet<usize> = document.walk().filter(is_item).map(|node| node.line()).collect();
    if lines.is_empty() {
        return None;
    }
    let text = document.expose();
    let mut changed = String::with_capacity(text.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let body = line.trim_start_matches(' ');
        match body.strip_prefix("- ") {
            Some(rest) if lines.contains(&(number + 1)) => {
                changed.push_str(line.get(..line.len() - body.len()).unwrap_or_default());
                changed.push('#');
                changed.push_str(rest);
            }
            _ => changed.push_str(line),
        }
    }
    Some(SecretString::new(changed))
}

/// The text of an encrypted document as sops would have it.
pub(super) fn as_sops_writes(document: &Document) -> SecretString {
    let text = document.expose();
    if document.syntax() != Syntax::Yaml {
        return SecretString::from(text);
    }
    let mut changed = String::with_capacity(text.len());
    let mut done = 0;
    for node in document.walk() {
        let Some((length, new)) = form(&node) else { continue };
        // What a node shows of the text lies in the text.
        let start = (node.raw().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let Some(before) = text.get(done..start) else { continue };
        changed.push_str(before);
        changed.push_str(&new);
        done = start + length;
    }
    changed.push_str(text.get(done..).unwrap_or_default());
    SecretString::new(changed)
}

/// How many bytes of a node are replaced, and by what.
fn form(node: &Node<'_>) -> Option<(usize, String)> {
    let parent = node.parent()?;
    match (node.kind(), node.style()) {
        (Kind::Scalar(_), Style::SingleQuoted | Style::DoubleQuoted) if parent.style() == Style::Block => {
            let scalar = node.scalar()?;
            is_encrypted(scalar.expose()).then(|| (node.raw().len(), scalar.expose().to_owned()))
        }
        (Kind::Comment(Placement::Line), _)
            if parent.kind() == Kind::List && parent.style() == Style::Block =>
        {
            node.comment().is_some_and(is_encrypted_comment).then(|| (1, "- ".to_owned()))
        }
        _ => None,
    }
}
