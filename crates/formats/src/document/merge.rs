//! Three-way merge of documents by key, for a git merge driver over decrypted files.
//!
//! What one side changed and the other did not is taken; what both changed alike is kept; what both changed
//! differently is a conflict, named by its path and never by its values. The result is *ours*, byte for byte, with
//! what *theirs* changed put into it: our comments, order and style stay, and so does every line that they left alone.
//!
//! Maps are merged key by key. A list is one value, unless one side alone changed it: there is no telling which item is
//! which.

use super::change::{ChangeError, Place};
use super::value::{Path, Step, Value};
use super::{Document, ValueError};

/// A merged document, and where the two sides disagree.
#[derive(Debug)]
pub struct Merged {
    /// Ours with their changes; at conflicts it is as ours.
    pub document: Document,
    /// In our order; then what they alone still have.
    pub conflicts: Vec<Conflict>,
}

/// A place where both sides changed the same thing in different ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The part (from 0) of a YAML stream.
    pub part: usize,
    pub path: Path,
    pub kind: ConflictKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictKind {
    /// Both have it, with different values.
    Changed,
    /// We removed it, they changed it.
    RemovedByUs,
    /// They removed it, we changed it.
    RemovedByThem,
    /// The number of YAML documents differs.
    Parts,
    /// Their change cannot be written into our text.
    Unwritable,
}

/// Why documents cannot be merged at all.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    #[error("the three documents are not of one syntax")]
    Syntax,
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "the whole document".to_owned() } else { self.path.to_string() };
        match self.kind {
            ConflictKind::Changed => write!(f, "{path}: changed on both sides"),
            ConflictKind::RemovedByUs => write!(f, "{path}: removed by us, changed by them"),
            ConflictKind::RemovedByThem => write!(f, "{path}: changed by us, removed by them"),
            ConflictKind::Parts => f.write_str("the number of documents in the file differs"),
            ConflictKind::Unwritable => write!(f, "{path}: their change does not fit into our text"),
        }
    }
}

/// Merges what `theirs` changed since `base` into `ours`, which is taken as it is.
///
/// # Errors
/// [`MergeError`] if the three are not of one syntax, or the aliases of one stand for too much.
pub fn merge(base: &Document, ours: Document, theirs: &Document) -> Result<Merged, MergeError> {
    if base.syntax() != ours.syntax() || theirs.syntax() != ours.syntax() {
        return Err(MergeError::Syntax);
    }
    let mut merged = Merged { document: ours, conflicts: Vec::new() };
    let parts = merged.document.parts().len();
    if base.parts().len() != parts || theirs.parts().len() != parts {
        if values(base)? != values(theirs)? {
            let conflict = Conflict { part: 0, path: Path::default(), kind: ConflictKind::Parts };
            merged.conflicts.push(conflict);
        }
        return Ok(merged);
    }
    let (base, theirs) = (values(base)?, values(theirs)?);
    let ours = values(&merged.document)?;
    for (part, ((base, ours), theirs)) in base.iter().zip(&ours).zip(&theirs).enumerate() {
        let mut plan = Plan { part, steps: Vec::new(), conflicts: Vec::new() };
        plan.node(&Path::default(), Some(base), Some(ours), Some(theirs), None);
        merged.conflicts.append(&mut plan.conflicts);
        for step in plan.steps {
            let path = step.path.clone();
            if make(&mut merged.document, part, step).is_err() {
                merged.conflicts.push(Conflict { part, path, kind: ConflictKind::Unwritable });
            }
        }
    }
    Ok(merged)
}

fn values(document: &Document) -> Result<Vec<Value>, ValueError> {
    document.parts().map(|part| part.value()).collect()
}

/// A change to make in our document.
struct Change<'v> {
    path: Path,
    /// What it becomes; nothing removes it.
    value: Option<&'v Value>,
    /// For a new key: the key that it follows in theirs.
    after: Option<&'v str>,
}

/// The changes of one part, found by walking three values at once.
struct Plan<'v> {
    part: usize,
    steps: Vec<Change<'v>>,
    conflicts: Vec<Conflict>,
}

impl<'v> Plan<'v> {
    /// Decides one place: `None` is where a side has nothing there.
    fn node(
        &mut self,
        path: &Path,
        base: Option<&'v Value>,
        ours: Option<&'v Value>,
        theirs: Option<&'v Value>,
        after: Option<&'v str>,
    ) {
        if theirs == base || theirs == ours {
            return;
        }
        match (base, ours, theirs) {
            (_, Some(Value::Map(ours)), Some(Value::Map(theirs))) => {
                let base = match base {
                    Some(Value::Map(base)) => base.as_slice(),
                    _ => &[],
                };
                self.map(path, base, ours, theirs);
            }
            _ if ours == base => {
                self.steps.push(Change { path: path.clone(), value: theirs, after });
            }
            (_, None, Some(_)) => self.conflict(path, ConflictKind::RemovedByUs),
            (_, Some(_), None) => self.conflict(path, ConflictKind::RemovedByThem),
            _ => self.conflict(path, ConflictKind::Changed),
        }
    }

    fn conflict(&mut self, path: &Path, kind: ConflictKind) {
        self.conflicts.push(Conflict { part: self.part, path: path.clone(), kind });
    }

    fn map(
        &mut self,
        path: &Path,
        base: &'v [(String, Value)],
        ours: &'v [(String, Value)],
        theirs: &'v [(String, Value)],
    ) {
        let (base_by_key, our_by_key, their_by_key) = (by_key(base), by_key(ours), by_key(theirs));
        for (key, value) in ours {
            let (of_base, of_them) = (base_by_key.get(key.as_str()), their_by_key.get(key.as_str()));
            self.node(&below(path, key), of_base.copied(), Some(value), of_them.copied(), None);
        }
        let mut before = None;
        for (key, value) in theirs {
            if !our_by_key.contains_key(key.as_str()) {
                self.node(
                    &below(path, key),
                    base_by_key.get(key.as_str()).copied(),
                    None,
                    Some(value),
                    before,
                );
            }
            before = Some(key.as_str());
        }
    }
}

fn by_key(entries: &[(String, Value)]) -> std::collections::HashMap<&str, &Value> {
    entries.iter().map(|(key, value)| (key.as_str(), value)).collect()
}

fn below(path: &Path, key: &str) -> Path {
    let mut path = path.clone();
    path.0.push(Step::from(key));
    path
}

fn make(document: &mut Document, part: usize, change: Change<'_>) -> Result<(), ChangeError> {
    let missing = || ChangeError::Missing(change.path.clone());
    let Some(value) = change.value else {
        let id = document.find(part, &change.path).ok_or_else(missing)?.id();
        return document.remove(id);
    };
    let neighbour = || {
        let (last, above) = change.path.split_last()?;
        let Step::Key(key) = last else { return None };
        let map = document.find(part, above)?;
        let after = change.after.and_then(|after| map.children().find(|node| node.key() == Some(after)));
        document.find(part, &change.path).is_none().then_some(())?;
        Some((map.id(), key.clone(), after?.id()))
    };
    match neighbour() {
        Some((map, key, after)) => document.insert(map, &key, value, Place::After(after)),
        None => document.set(part, &change.path, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Limits, Syntax};

    /// The merged text, then a line for each conflict.
    fn merged(syntax: Syntax, base: &str, ours: &str, theirs: &str) -> String {
        let parse = |text| Document::parse(syntax, text, &Limits::default()).unwrap();
        let merged = merge(&parse(base), parse(ours), &parse(theirs)).unwrap();
        let conflicts: String = merged.conflicts.iter().map(|conflict| format!("! {conflict}\n")).collect();
        format!("{}{conflicts}", merged.document.expose())
    }

    #[test]
    fn changes_of_both_sides_come_together() {
        let base = "# head\na: 1\nb:\n  c: x # c\n  d: y\ne: [1, 2]\n";
        let ours = "# head, ours\na: 1\nb:\n  c: x # c, ours\n  d: z\n  own: 1\ne: [1, 2]\n";
        let theirs =
            "# head\na: 2\nb:\n  c: 'w'\n  new: 1\n  d: y\ne: [1, 2, 3]\nf:\n  g: |\n    l1\n    l2\n";
        insta::assert_snapshot!(merged(Syntax::Yaml, base, ours, theirs), @"
        # head, ours
        a: 2
        b:
          c: w # c, ours
          new: 1
          d: z
          own: 1
        e:
          - 1
          - 2
          - 3
        f:
          g: |
            l1
            l2
        ");
    }

    #[test]
    fn removals_are_merged_too() {
        assert_eq!(
            merged(Syntax::Json, "{\"a\": 1, \"b\": 2}", "{\"a\": 1, \"b\": 2, \"c\": 3}", "{\"b\": 2}"),
            "{\"b\": 2, \"c\": 3}"
        );
        assert_eq!(merged(Syntax::Toml, "a = 1\n[t]\nb = 2\n", "a = 1\n", "a = 3\n[t]\nb = 2\n"), "a = 3\n");
        assert_eq!(
            merged(Syntax::Ini, "[a]\nk = 1\nl = 2\n", "[a]\nk = 1\nl = 3\n", "[a]\nl = 2\n[b]\nm = 4\n"),
            "[a]\nl = 3\n\n[b]\nm = 4\n"
        );
    }

    #[test]
    fn conflicts_are_named_by_path_and_leave_ours() {
        let base = "a: 1\nb: 2\nc: 3\nd:\n  e: [1]\n";
        let ours = "a: ours\nc: ours\nd:\n  e: [1, ours]\nsame: new\n";
        let theirs = "a: theirs\nb: theirs\nd:\n  e: [theirs]\nsame: new\n";
        let text = merged(Syntax::Yaml, base, ours, theirs);
        insta::assert_snapshot!(text, @"
        a: ours
        c: ours
        d:
          e: [1, ours]
        same: new
        ! a: changed on both sides
        ! c: changed by us, removed by them
        ! d.e: changed on both sides
        ! b: removed by us, changed by them
        ");
        assert!(!text.contains("theirs\n") || !text.contains("! theirs"));
    }

    #[test]
    fn parts_are_merged_one_by_one() {
        assert_eq!(
            merged(Syntax::Yaml, "a: 1\n---\nb: 1\n", "a: 2\n---\nb: 1\n", "a: 1\n---\nb: 2\n"),
            "a: 2\n---\nb: 2\n"
        );
        let text = merged(Syntax::Yaml, "a: 1\n", "a: 1\n", "a: 1\n---\nb: 2\n");
        assert_eq!(text, "a: 1\n! the number of documents in the file differs\n");
    }

    #[test]
    fn what_is_the_same_stays_byte_for_byte() {
        let ours = "a:   1   # c\r\nb: {x: 'y'}\r\n";
        assert_eq!(merged(Syntax::Yaml, "a: 1\n", ours, "a: 1\n"), ours);
        assert_eq!(merged(Syntax::Yaml, "a: 0\n", ours, "a: 1\nb:\n  x: y\n"), ours);
    }
}
