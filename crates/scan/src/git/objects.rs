//! What objects say. gix reads them, and what is damaged is read as far as it goes: a commit whose author makes no sense
//! has a tree, parents and a message all the same.

use crate::located::Commit;
use gix_actor::SignatureRef;
use gix_hash::{Kind as HashKind, ObjectId};
use gix_object::commit::ref_iter::Token;
use gix_object::{CommitRefIter, TagRefIter, TreeRefIter};

/// What of a commit decides where it stands in a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) tree: ObjectId,
    pub(crate) parents: Vec<ObjectId>,
    /// The committer's time, in seconds since 1970.
    pub(crate) seconds: i64,
}

/// A merge has a few parents; more than these are not read.
const PARENTS_MAX: usize = 4096;

/// Tree, parents and time of a commit. `None` if it has no tree.
pub(crate) fn links(content: &[u8], hash: HashKind) -> Option<Links> {
    let mut tokens = CommitRefIter::from_bytes(content, hash);
    let tree = tokens.tree_id().ok()?;
    let parents = tokens.map_while(|token| match token {
        Ok(Token::Parent { id }) => Some(id),
        _ => None,
    });
    let parents = parents.take(PARENTS_MAX).collect();
    let seconds = signature(content, b"committer ").map_or(0, |committer| committer.seconds());
    Some(Links { tree, parents, seconds })
}

/// Who made a commit, and what they said.
pub(crate) fn commit(id: &ObjectId, content: &[u8]) -> Commit {
    told(id, content, b"author ")
}

/// Who made a tag, if it says so, told as if it were a commit.
pub(crate) fn tag(id: &ObjectId, content: &[u8]) -> Commit {
    told(id, content, b"tagger ")
}

fn told(id: &ObjectId, content: &[u8], field: &[u8]) -> Commit {
    let who = signature(content, field).unwrap_or_default().trim();
    Commit {
        id: id.to_string(),
        author: who.name.to_string(),
        email: who.email.to_string(),
        seconds: who.seconds(),
        offset_minutes: who.time().map_or(0, |time| time.offset / 60),
        message: String::from_utf8_lossy(halves(content).1).trim_end().to_owned(),
    }
}

/// What a tag is of: a commit mostly.
pub(crate) fn tagged(content: &[u8], hash: HashKind) -> Option<ObjectId> {
    TagRefIter::from_bytes(content, hash).target_id().ok()
}

/// The header of a commit or tag, and its message: gix gives none of a message whose header is damaged anywhere.
pub(crate) fn halves(content: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(content, b"\n\n") {
        Some(at) => (content.get(..at).unwrap_or_default(), content.get(at + 2..).unwrap_or_default()),
        None => (content, &[]),
    }
}

/// `Name <address> 1700000000 +0130`, behind the name of the field.
fn signature<'a>(content: &'a [u8], field: &[u8]) -> Option<SignatureRef<'a>> {
    let mut lines = content.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
    SignatureRef::from_bytes(lines.find_map(|line| line.strip_prefix(field))?).ok()
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Tree,
    Blob,
    Link,
    Submodule,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: EntryKind,
    pub(crate) name: &'a [u8],
    pub(crate) id: ObjectId,
}

/// The entries of a tree; they end where it is damaged. A mode that git does not write is a file's: gix takes it for a
/// submodule's, in which nothing would be looked at.
pub(crate) fn entries(content: &[u8], hash: HashKind) -> impl Iterator<Item = Entry<'_>> {
    TreeRefIter::from_bytes(content, hash).map_while(Result::ok).map(|entry| {
        let kind = match entry.mode.value() & 0o170_000 {
            0o040_000 => EntryKind::Tree,
            0o120_000 => EntryKind::Link,
            0o160_000 => EntryKind::Submodule,
            _ => EntryKind::Blob,
        };
        Entry { kind, name: entry.filename, id: entry.oid.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
        parent 1111111111111111111111111111111111111111\n\
        author A U Thor <a@example.com> 1700000000 -0130\n\
        committer C <c@example.com> 1700000001 +0000\n\nSubject\n\nBody\n";

    #[test]
    fn commits() {
        let links = links(COMMIT.as_bytes(), HashKind::Sha1).unwrap();
        assert_eq!((links.parents.len(), links.seconds), (1, 1_700_000_001));
        let id = ObjectId::from_hex(b"2222222222222222222222222222222222222222").unwrap();
        let commit = commit(&id, COMMIT.as_bytes());
        assert_eq!((commit.author.as_str(), commit.email.as_str()), ("A U Thor", "a@example.com"));
        assert_eq!((commit.seconds, commit.offset_minutes), (1_700_000_000, -90));
        assert_eq!(commit.message, "Subject\n\nBody");
    }

    #[test]
    fn damaged_headers_cost_no_message() {
        let text = COMMIT.replace("author A U Thor <a@example.com>", "author A U Thor a@example.com");
        let read = links(text.as_bytes(), HashKind::Sha1).unwrap();
        assert_eq!((read.parents.len(), read.seconds), (1, 1_700_000_001));
        let id = ObjectId::null(HashKind::Sha1);
        assert_eq!(commit(&id, text.as_bytes()).message, "Subject\n\nBody");
        let parents = "parent 1111111111111111111111111111111111111111\n".repeat(PARENTS_MAX + 1);
        let many = text.replacen("parent", &format!("{parents}parent"), 1);
        assert_eq!(links(many.as_bytes(), HashKind::Sha1).unwrap().parents.len(), PARENTS_MAX);
        assert!(links(b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee49\n", HashKind::Sha1).is_none());
    }

    #[test]
    fn odd_modes_are_files() {
        for (mode, kind) in
            [("0", EntryKind::Blob), ("040000", EntryKind::Tree), ("160000", EntryKind::Submodule)]
        {
            let tree = [mode.as_bytes(), b" name\0", &[1; 20]].concat();
            assert_eq!(entries(&tree, HashKind::Sha1).map(|entry| entry.kind).next(), Some(kind));
        }
    }

    #[test]
    fn trees_end_where_they_are_damaged() {
        let mut tree = b"100644 a.txt\0".to_vec();
        tree.extend([1; 20]);
        tree.extend(b"40000 folder\0");
        tree.extend([2; 20]);
        tree.extend(b"100644 cut off\0");
        let names: Vec<_> = entries(&tree, HashKind::Sha1).map(|entry| (entry.kind, entry.name)).collect();
        assert_eq!(names, [(EntryKind::Blob, &b"a.txt"[..]), (EntryKind::Tree, &b"folder"[..])]);
    }
}
