//! Versions of one folder differ in few entries: what becomes of the others was settled with the version before.

use super::delta_writer::{common_prefix, common_suffix};
use super::trees::{Edit, RawEntries, RawEntry};
use std::collections::HashMap;
use std::sync::Arc;

/// What folders looked like when they were read last, by their paths.
#[derive(Debug, Default)]
pub(super) struct Befores {
    by_path: HashMap<Vec<u8>, Before>,
    bytes: usize,
}

/// A version of a folder, and what became of its entries.
#[derive(Debug)]
pub(super) struct Before {
    content: Arc<Vec<u8>>,
    /// Where entries begin, and the end of the last one.
    starts: Vec<u32>,
    edits: Vec<Edit>,
}

/// A version of a folder beside the one before it.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    starts: Vec<u32>,
    /// The entries that differ.
    pub(super) entries: Vec<RawEntry>,
    /// What became of those that do not, in their order.
    pub(super) edits: Vec<Edit>,
    /// So many of these edits come before the entries that differ.
    head_edits: usize,
}

const BYTES_MAX: usize = 32 << 20;
/// What an edit takes, about.
const EDIT_BYTES: usize = 160;

impl Before {
    fn bytes(&self) -> usize {
        self.content.len() + 4 * self.starts.len() + EDIT_BYTES * self.edits.len()
    }

    fn edits_before(&self, offset: usize) -> usize {
        self.edits.partition_point(|edit| edit.entry.whole.start < offset)
    }
}

impl Befores {
    pub(super) fn take(&mut self, path: &[u8]) -> Option<Before> {
        let before = self.by_path.remove(path)?;
        self.bytes -= before.bytes();
        Some(before)
    }

    pub(super) fn put(&mut self, path: &[u8], before: Before) {
        let bytes = before.bytes();
        if bytes > BYTES_MAX / 4 {
            return;
        }
        if self.bytes + bytes > BYTES_MAX {
            self.by_path.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        if let Some(other) = self.by_path.insert(path.to_vec(), before) {
            self.bytes -= other.bytes();
        }
    }
}

impl Parsed {
    /// Takes a folder apart where it is not as it was before.
    pub(super) fn of(content: &[u8], before: Option<Before>, id_bytes: usize) -> Result<Self, &'static str> {
        if let Some(before) = before
            && let Some(parsed) = Self::beside(content, before, id_bytes)?
        {
            return Ok(parsed);
        }
        let mut parsed = Self { starts: vec![0], ..Self::default() };
        parsed.read(content, 0, content.len(), id_bytes)?;
        Ok(parsed)
    }

    /// Nothing if what both end with does not begin with an entry in the new version.
    fn beside(content: &[u8], before: Before, id_bytes: usize) -> Result<Option<Self>, &'static str> {
        let old = before.content.as_slice();
        let same = common_prefix(old, content);
        let ends = before.starts.get(1..).unwrap_or_default();
        let head = ends.partition_point(|end| *end as usize <= same);
        let start = before.starts.get(head).map_or(0, |start| *start as usize);
        let same =
            common_suffix(old.get(start..).unwrap_or_default(), content.get(start..).unwrap_or_default());
        let tail = before.starts.partition_point(|start| old.len() - *start as usize > same).max(head);
        let tail_bytes = before.starts.get(tail).map_or(0, |start| old.len() - *start as usize);
        let (head_edits, tail_edits) =
            (before.edits_before(start), before.edits_before(old.len() - tail_bytes));
        let mut parsed = Self {
            starts: before.starts.get(..=head).unwrap_or(&[0]).to_vec(),
            head_edits,
            ..Self::default()
        };
        parsed.read(content, start, content.len() - tail_bytes, id_bytes)?;
        if parsed.starts.last().map(|start| *start as usize) != Some(content.len() - tail_bytes) {
            return Ok(None);
        }
        let moved = |at: usize| at + content.len() - old.len();
        let rest = before.starts.get(tail + 1..).unwrap_or_default();
        parsed.starts.extend(rest.iter().map(|start| moved(*start as usize) as u32));
        parsed.edits = before.edits;
        parsed.edits.drain(head_edits..tail_edits);
        for edit in parsed.edits.iter_mut().skip(head_edits) {
            for range in [&mut edit.entry.whole, &mut edit.entry.name, &mut edit.entry.id] {
                *range = moved(range.start)..moved(range.end);
            }
        }
        Ok(Some(parsed))
    }

    /// Reads entries up to `end`, or beyond it if none ends there.
    fn read(
        &mut self,
        content: &[u8],
        start: usize,
        end: usize,
        id_bytes: usize,
    ) -> Result<(), &'static str> {
        let mut entries = RawEntries { content, at: start, id_bytes };
        while entries.at < end
            && let Some(entry) = entries.next_entry()?
        {
            self.starts.push(u32::try_from(entry.whole.end).map_err(|_| "the tree is too large")?);
            self.entries.push(entry);
        }
        Ok(())
    }

    /// How many entries the folder has.
    pub(super) fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The edits before the entries that differ, and those behind them.
    pub(super) fn split(&self, mut edits: Vec<Edit>) -> (Vec<Edit>, Vec<Edit>) {
        let tail = edits.split_off(self.head_edits.min(edits.len()));
        (edits, tail)
    }

    pub(super) fn into_before(self, content: &Arc<Vec<u8>>, edits: &[Edit]) -> Before {
        Before { content: Arc::clone(content), starts: self.starts, edits: edits.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(entries: &[(&str, u8)]) -> Arc<Vec<u8>> {
        let entry = |(name, id): &(&str, u8)| [b"100644 ", name.as_bytes(), b"\0", &[*id; 20]].concat();
        Arc::new(entries.iter().flat_map(entry).collect())
    }

    /// The names of the entries that are read anew when one version comes after another.
    fn read_anew(old: &[(&str, u8)], new: &[(&str, u8)]) -> Vec<String> {
        let (old, new) = (folder(old), folder(new));
        let whole = Parsed::of(&new, None, 20).unwrap();
        let before = Parsed::of(&old, None, 20).unwrap().into_before(&old, &[]);
        let parsed = Parsed::of(&new, Some(before), 20).unwrap();
        assert_eq!(parsed.starts, whole.starts);
        let name = |entry: &RawEntry| String::from_utf8(new[entry.name.clone()].to_vec()).unwrap();
        parsed.entries.iter().map(name).collect()
    }

    #[test]
    fn only_what_differs_is_read() {
        let old = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
        assert_eq!(read_anew(&old, &old), [""; 0]);
        assert_eq!(read_anew(&old, &[("a", 1), ("b", 9), ("c", 3), ("d", 4)]), ["b"]);
        assert_eq!(read_anew(&old, &[("a", 1), ("c", 3), ("d", 4)]), [""; 0]);
        assert_eq!(read_anew(&old, &[("a", 1), ("b", 2), ("b2", 7), ("c", 3), ("d", 4)]), ["b2"]);
        assert_eq!(read_anew(&old, &[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]), ["e"]);
        assert_eq!(read_anew(&old, &[]), [""; 0]);
        assert_eq!(read_anew(&[], &old), ["a", "b", "c", "d"]);
        assert_eq!(read_anew(&old, &[("A", 1), ("b", 2), ("c", 3), ("d", 5)]), ["A", "b", "c", "d"]);
    }

    /// What both end with looks like entries in the old version, and stands within an id of the new one.
    #[test]
    fn an_end_that_is_no_entry_of_the_new_version() {
        let old = folder(&[("a", 1), ("b", 2)]);
        let entry = old.get(29..).unwrap_or_default().to_vec();
        assert_eq!(entry.len(), 29);
        let mut new = b"100644 x\0".to_vec();
        new.extend([7; 11]);
        new.extend(&entry[..9]);
        new.extend(b"100644 y\0");
        new.extend([2; 20]);
        let before = Parsed::of(&old, None, 20).unwrap().into_before(&old, &[]);
        assert_eq!(Parsed::of(&new, Some(before), 20).unwrap().entries.len(), 2);
    }
}
