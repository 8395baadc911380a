//! Single changes in the layout of a file: what a person would do in an editor.

use super::{Layout, Source, read, write};
use crate::document::{Document, NodeId, Path, Place, Step};
use crate::sops::edit::Location;
use crate::sops::merge::same_values;
use crate::sops::tree::{Map, Node, Tree};
use strongroom_secret::SecretString;

impl Source {
    /// Sets a place in the layout. `clear` is the tree before, `expected` the tree after. If the layout cannot follow, it
    /// is given up, and the file will be written afresh. Returns what `change` does.
    pub(in crate::sops) fn set(
        &mut self,
        clear: &Tree,
        metadata: &Map,
        location: &Location,
        node: &Node,
        expected: &Tree,
    ) -> Option<Tree> {
        let format = self.format;
        self.change(clear, metadata, expected, |document| {
            let value = write::value_of(format, "the value", node).ok()?;
            let path = read::document_path(format, &location.steps);
            match neighbour(document, location.document, &path, location.after.as_deref()) {
                Some((map, key, after)) => document.insert(map, &key, &value, Place::After(after)).ok(),
                None => document.set(location.document, &path, &value).ok(),
            }
        })
    }

    /// Removes a place from the layout, on the same terms.
    pub(in crate::sops) fn unset(
        &mut self,
        clear: &Tree,
        metadata: &Map,
        location: &Location,
        expected: &Tree,
    ) -> Option<Tree> {
        let format = self.format;
        if let (Layout::Lines(old), [Step::Key(key)]) = (&self.layout, location.steps.as_slice()) {
            self.layout = Layout::Lines(without_line(old.expose(), key));
            return None;
        }
        self.change(clear, metadata, expected, |document| {
            let id = document.find(location.document, &read::document_path(format, &location.steps))?.id();
            document.remove(id).ok()
        })
    }

    /// The tree as it is in the changed layout, where comments may have gone with their values. `None` if the layout is
    /// given up, or has no part in it.
    fn change(
        &mut self,
        clear: &Tree,
        metadata: &Map,
        expected: &Tree,
        change: impl FnOnce(&mut Document) -> Option<()>,
    ) -> Option<Tree> {
        let format = self.format;
        // Lines are matched to values in order when they are written.
        if matches!(self.layout, Layout::Lines(_)) {
            return None;
        }
        let Layout::Document { document, nodes } = std::mem::replace(&mut self.layout, Layout::Fresh) else {
            return None;
        };
        let mut document = write::clear_over(format, document, &nodes, clear, metadata)?;
        change(&mut document)?;
        let parsed = read::document(format, document).ok()?;
        if !same_values(&parsed.tree, expected) {
            return None;
        }
        self.layout = parsed.source.layout;
        Some(parsed.tree)
    }
}

/// The map that a new key goes into, the key, and the entry behind which it goes. `None` if the key is there already, or
/// nothing is known of a place for it.
fn neighbour(
    document: &Document,
    part: usize,
    path: &Path,
    after: Option<&str>,
) -> Option<(NodeId, String, NodeId)> {
    let (Step::Key(key), above) = path.split_last()? else { return None };
    let map = document.find(part, above)?;
    let entry = map.children().find(|node| node.key() == Some(after.unwrap_or_default()))?;
    document.find(part, path).is_none().then(|| (map.id(), key.clone(), entry.id()))
}

fn without_line(text: &str, key: &str) -> SecretString {
    let is_other =
        |line: &&str| line.split_once('=').is_none_or(|(found, _)| found != key || line.starts_with('#'));
    SecretString::new(text.split_inclusive('\n').filter(is_other).collect())
}
