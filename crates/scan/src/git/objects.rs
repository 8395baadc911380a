use super::oid::{HashKind, ObjectId};
use crate::located::Commit;

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
pub(crate) fn links(content: &[u8]) -> Option<Links> {
    let mut tree = None;
    let mut parents = Vec::new();
    let mut seconds = 0;
    for line in content.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty()) {
        if let Some(hex) = line.strip_prefix(b"tree ") {
            tree = tree.or_else(|| ObjectId::from_hex(hex));
        } else if let Some(hex) = line.strip_prefix(b"parent ") {
            parents.extend(ObjectId::from_hex(hex).filter(|_| parents.len() < PARENTS_MAX));
        } else if let Some(who) = line.strip_prefix(b"committer ") {
            seconds = signature(who).2;
            break;
        }
    }
    Some(Links { tree: tree?, parents, seconds })
}

/// Who made a commit, and what they said.
pub(crate) fn commit(id: &ObjectId, content: &[u8]) -> Commit {
    let (header, message) = halves(content);
    let line = header.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"author "));
    let (author, email, seconds, offset_minutes) = signature(line.unwrap_or_default());
    let message = String::from_utf8_lossy(message).trim_end().to_owned();
    Commit { id: id.to_string(), author, email, seconds, offset_minutes, message }
}

/// Who made a tag, if it says so, told as if it were a commit.
pub(crate) fn tag(id: &ObjectId, content: &[u8]) -> Commit {
    let (header, message) = halves(content);
    let line = header.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"tagger "));
    let (author, email, seconds, offset_minutes) = signature(line.unwrap_or_default());
    let message = String::from_utf8_lossy(message).trim_end().to_owned();
    Commit { id: id.to_string(), author, email, seconds, offset_minutes, message }
}

/// What a tag is of: a commit mostly.
pub(crate) fn tagged(content: &[u8]) -> Option<ObjectId> {
    let (line, _) = content.split_at_checked(content.iter().position(|byte| *byte == b'\n')?)?;
    ObjectId::from_hex(line.strip_prefix(b"object ")?)
}

/// The header of a commit or tag, and its message.
pub(crate) fn halves(content: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memmem::find(content, b"\n\n") {
        Some(at) => (content.get(..at).unwrap_or_default(), content.get(at + 2..).unwrap_or_default()),
        None => (content, &[]),
    }
}

/// `Name <address> 1700000000 +0130`.
fn signature(line: &[u8]) -> (String, String, i64, i32) {
    let text = String::from_utf8_lossy(line);
    let (name, rest) = text.split_once('<').unwrap_or((&text, ""));
    let (email, time) = rest.rsplit_once('>').unwrap_or((rest, ""));
    let mut words = time.split_ascii_whitespace();
    let seconds = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let offset = words.next().and_then(|word| word.parse::<i32>().ok()).unwrap_or(0);
    let offset = if offset.abs() > 9999 { 0 } else { offset / 100 * 60 + offset % 100 };
    (name.trim().to_owned(), email.to_owned(), seconds, offset)
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

/// The entries of a tree; it ends where the tree is damaged.
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
    hash: HashKind,
}

pub(crate) fn entries(content: &[u8], hash: HashKind) -> Entries<'_> {
    Entries { rest: content, hash }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let space = self.rest.iter().take(8).position(|byte| *byte == b' ')?;
        let (mode, rest) = self.rest.split_at_checked(space)?;
        let rest = rest.get(1..)?;
        let (name, rest) = rest.split_at_checked(memchr::memchr(0, rest)?)?;
        let (id, rest) = rest.get(1..)?.split_at_checked(self.hash.length())?;
        self.rest = rest;
        let kind = match mode {
            b"40000" | b"040000" => EntryKind::Tree,
            b"120000" => EntryKind::Link,
            b"160000" => EntryKind::Submodule,
            _ => EntryKind::Blob,
        };
        Some(Entry { kind, name, id: ObjectId::from_bytes(id)? })
    }
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
        let links = links(COMMIT.as_bytes()).unwrap();
        assert_eq!((links.parents.len(), links.seconds), (1, 1_700_000_001));
        let id = ObjectId::from_hex(b"2222222222222222222222222222222222222222").unwrap();
        let commit = commit(&id, COMMIT.as_bytes());
        assert_eq!((commit.author.as_str(), commit.email.as_str()), ("A U Thor", "a@example.com"));
        assert_eq!((commit.seconds, commit.offset_minutes), (1_700_000_000, -90));
        assert_eq!(commit.message, "Subject\n\nBody");
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
