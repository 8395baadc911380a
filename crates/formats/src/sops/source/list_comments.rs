//! Comments in lists of YAML. sops writes them, once encrypted, as items: `- ENC[…,type:comment]`. Here they are comments
//! while a file is read, and become such items again when it is written.

use crate::document::{Document, Kind, Node, Placement, Style, Syntax};
use crate::sops::cipher::is_encrypted_comment;
use std::collections::BTreeSet;
use strongroom_secret::SecretString;

/// The text with `#ENC[…]` for each `- ENC[…,type:comment]`. `None` if there is no such item.
pub(super) fn as_comments(document: &Document) -> Option<SecretString> {
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
    Some(with_lines(document.expose(), &lines, "- ", "#"))
}

/// The text with `- ENC[…,type:comment]` for each such comment that stands in a list, in the column of its items.
pub(super) fn as_items(document: &Document) -> SecretString {
    let text = document.expose();
    if document.syntax() != Syntax::Yaml || !text.contains(",type:comment]") {
        return SecretString::from(text);
    }
    let is_comment = |node: &Node<'_>| {
        node.kind() == Kind::Comment(Placement::Line)
            && node.comment().is_some_and(is_encrypted_comment)
            && node
                .parent()
                .is_some_and(|parent| parent.kind() == Kind::List && parent.style() == Style::Block)
    };
    let lines: BTreeSet<usize> = document.walk().filter(is_comment).map(|node| node.line()).collect();
    with_lines(text, &lines, "#", "- ")
}

/// The text with `to` for `from` at the beginning of what stands on some lines.
fn with_lines(text: &str, lines: &BTreeSet<usize>, from: &str, to: &str) -> SecretString {
    let mut changed = String::with_capacity(text.len() + lines.len());
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let body = line.trim_start_matches(' ');
        match body.strip_prefix(from) {
            Some(rest) if lines.contains(&(number + 1)) => {
                changed.push_str(line.get(..line.len() - body.len()).unwrap_or_default());
                changed.push_str(to);
                changed.push_str(rest);
            }
            _ => changed.push_str(line),
        }
    }
    SecretString::new(changed)
}
