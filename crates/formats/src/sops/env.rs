//! `.env` as sops reads it: a line is `KEY=value` or a comment, nothing is quoted, `\n` in a value is a line feed.

use super::source::SourceError;
use super::tree::{Comment, Item, Map, Node};
use zeroize::Zeroizing;

/// The lines, blank ones left out: a key for each value, none for a comment.
pub(super) fn read(text: &str) -> Result<Map, SourceError> {
    let mut map = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            map.push(Item::Comment(Comment::own_line(comment)));
        } else if let Some((key, value)) = line.split_once('=') {
            map.push(Item::entry(key, Node::text(value.replace("\\n", "\n"))));
        } else {
            return Err(SourceError::Line {
                line: number + 1,
                what: "it is neither KEY=value nor a comment",
            });
        }
    }
    Ok(map)
}

/// Writes `map` over the lines of `old`: blank lines stay where they are.
pub(super) fn write_over(old: &str, map: &Map) -> Result<Zeroizing<String>, SourceError> {
    let mut text = Zeroizing::new(String::with_capacity(old.len() * 2));
    let mut items = map.iter();
    let ending = if old.contains("\r\n") { "\r\n" } else { "\n" };
    for line in old.trim_end_matches(['\r', '\n']).split('\n') {
        if !matches!(line, "" | "\r") {
            let Some(item) = items.next() else { continue };
            write_line(&mut text, item)?;
        }
        text.push_str(ending);
    }
    for item in items {
        write_line(&mut text, item)?;
        text.push_str(ending);
    }
    Ok(text)
}

pub(super) fn write(map: &Map) -> Result<Zeroizing<String>, SourceError> {
    let mut text = Zeroizing::new(String::new());
    for item in map {
        write_line(&mut text, item)?;
        text.push('\n');
    }
    Ok(text)
}

fn write_line(text: &mut String, item: &Item) -> Result<(), SourceError> {
    match item {
        Item::Comment(comment) => {
            text.push('#');
            text.push_str(&comment.text);
        }
        Item::Entry { key, node } => {
            text.push_str(key);
            text.push('=');
            match node {
                Node::Null => {}
                Node::Leaf(value) => {
                    let value = value.plain_text().ok_or_else(|| SourceError::NotText(key.clone()))?;
                    text.push_str(&value.replace('\n', "\\n"));
                }
                Node::Map(_) | Node::List(_) => return Err(SourceError::Nested(key.clone())),
            }
        }
    }
    Ok(())
}
