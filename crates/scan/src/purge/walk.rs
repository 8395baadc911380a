//! A walk through a pack's trees of versions, each made once from the one that it grows on.

use super::find::{Finder, HELD_BYTES_MAX, Met};
use crate::git::database::{CHAIN_MAX, Database, Number};
use crate::git::delta::Delta;
use crate::git::error::ObjectError;
use crate::git::forest::{self, Forest, NONE, Node};
use crate::git::pack::{Form, Pack};
use gix_object::Kind;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A pack that several threads walk through.
pub(super) struct Walk<'a> {
    database: &'a Database,
    pack: &'a Pack,
    forest: &'a Forest,
    /// The number of the pack's first object.
    first: Number,
    next_root: AtomicUsize,
}

/// A version that others grow on.
struct Version {
    content: Vec<u8>,
    holds: bool,
}

/// A version whose branches are being walked through, the heaviest last: so few are held at a time.
struct Frame {
    version: Version,
    next: u32,
    heaviest: u32,
    depth: usize,
}

/// What the held versions of one thread may take; what is above it is made again later.
const VERSIONS_BYTES_MAX: usize = 48 << 20;
const ROOTS_AT_ONCE: usize = 4;

impl<'a> Walk<'a> {
    pub(super) fn new(database: &'a Database, pack: &'a Pack, forest: &'a Forest, first: Number) -> Self {
        Self { database, pack, forest, first, next_root: AtomicUsize::new(0) }
    }

    /// Walks until there are no more roots. Each thread calls this once.
    pub(super) fn run(&self, finder: &mut Finder<'_>) {
        let mut walker = Walker {
            walk: self,
            finder,
            spare: Vec::new(),
            later: Vec::new(),
            delta: Vec::new(),
            changed: Vec::new(),
        };
        loop {
            let from = self.next_root.fetch_add(ROOTS_AT_ONCE, Ordering::Relaxed);
            let Some(roots) = self.forest.roots.get(from..) else { break };
            if roots.is_empty() || walker.finder.is_over() {
                break;
            }
            for root in roots.iter().take(ROOTS_AT_ONCE) {
                walker.tree(*root);
            }
        }
    }
}

struct Walker<'a, 'f, 'b> {
    walk: &'a Walk<'a>,
    finder: &'b mut Finder<'f>,
    spare: Vec<Vec<u8>>,
    /// Versions for which there was no room: made again, and walked from, afterwards.
    later: Vec<u32>,
    delta: Vec<u8>,
    changed: Vec<Range<usize>>,
}

impl Walker<'_, '_, '_> {
    fn tree(&mut self, root: u32) {
        let Some(node) = self.walk.forest.node(root) else { return };
        self.finder.tell();
        match self.root(&node) {
            Ok(Some(version)) => self.branches(root, version),
            Ok(None) => self.leave_out(node.first_child, &ObjectError::TooLarge(HELD_BYTES_MAX)),
            Err(error) => {
                self.finder.skip(forest::name(self.walk.pack, node.position), &error);
                self.leave_out(node.first_child, &error);
            }
        }
        while let Some(index) = self.later.pop() {
            let Some(node) = self.walk.forest.node(index) else { continue };
            match self.whole(&node) {
                // It was looked at; what grows on it is looked at whole.
                Ok(content) => self.branches(index, Version { content, holds: true }),
                Err(error) => self.leave_out(node.first_child, &error),
            }
        }
    }

    /// A root, looked at whole. Nothing if it was looked at piece by piece.
    fn root(&mut self, node: &Node) -> Result<Option<Version>, ObjectError> {
        let header = self.walk.pack.header(node.offset, &mut self.finder.reader.piece)?;
        let number = self.walk.first + node.position;
        let is_whole = matches!(header.form, Form::Whole(_));
        let is_large = header.size > HELD_BYTES_MAX;
        if is_whole && is_large && node.kind == Kind::Blob && node.first_child == NONE {
            self.finder.look_at_entry(number, self.walk.pack, &header)?;
            return Ok(None);
        }
        let mut content = self.spare.pop().unwrap_or_default();
        match header.form {
            Form::Whole(_) => self.inflate(node, header.data, header.size, &mut content)?,
            Form::DeltaOf(_) => content = self.whole(node)?,
            Form::DeltaAt(_) => return Err(ObjectError::Corrupt("its delta is to where no object begins")),
        }
        let holds = self.finder.look(&Met { number, kind: node.kind, content: &content, changed: None });
        Ok(Some(Version { content, holds }))
    }

    fn whole(&mut self, node: &Node) -> Result<Vec<u8>, ObjectError> {
        let (_, content) =
            self.walk.database.load_packed(self.walk.pack, node.offset, &mut self.finder.reader)?;
        Ok(Vec::clone(&content))
    }

    fn branches(&mut self, index: u32, version: Version) {
        let mut frames = Vec::new();
        let mut held = 0;
        self.hold(&mut frames, &mut held, index, version, 0);
        while let Some(frame) = frames.last_mut() {
            if self.finder.is_over() {
                return;
            }
            let Some(child) = self.walk.forest.node(frame.next) else {
                // All but the heaviest are done: it takes the place of what it grows on.
                let Some(frame) = frames.pop() else { break };
                held -= frame.version.content.len();
                if let Some(heaviest) = self.walk.forest.node(frame.heaviest)
                    && let Some(version) = self.branch(&frame.version, frame.depth, &heaviest)
                {
                    self.hold(&mut frames, &mut held, frame.heaviest, version, frame.depth + 1);
                }
                self.recycle(frame.version.content);
                continue;
            };
            let index = std::mem::replace(&mut frame.next, child.next_sibling);
            if index == frame.heaviest {
                continue;
            }
            let depth = frame.depth + 1;
            if let Some(version) = self.branch(&frame.version, frame.depth, &child) {
                self.hold(&mut frames, &mut held, index, version, depth);
            }
        }
    }

    /// Keeps a version for its branches, if it has any.
    fn hold(
        &mut self,
        frames: &mut Vec<Frame>,
        held: &mut usize,
        index: u32,
        version: Version,
        depth: usize,
    ) {
        let Some(node) = self.walk.forest.node(index) else { return };
        if node.first_child == NONE {
            return self.recycle(version.content);
        }
        if *held > 0 && *held + version.content.len() > VERSIONS_BYTES_MAX {
            self.later.push(index);
            return;
        }
        let mut heaviest = (0, NONE);
        let mut child = node.first_child;
        while let Some(other) = self.walk.forest.node(child) {
            if other.weight >= heaviest.0 {
                heaviest = (other.weight, child);
            }
            child = other.next_sibling;
        }
        *held += version.content.len();
        frames.push(Frame { version, next: node.first_child, heaviest: heaviest.1, depth });
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        const SPARE_MAX: usize = 8;
        const SPARE_BYTES_MAX: usize = 1 << 20;
        if self.spare.len() < SPARE_MAX && buffer.capacity() <= SPARE_BYTES_MAX {
            self.spare.push(buffer);
        }
    }

    /// What grows on `parent`, looked at where it differs.
    fn branch(&mut self, parent: &Version, depth: usize, node: &Node) -> Option<Version> {
        self.finder.tell();
        let mut delta = std::mem::take(&mut self.delta);
        let grown = self.grow(parent, depth, node, &mut delta);
        self.delta = delta;
        match grown {
            Ok(version) => Some(version),
            Err(error) => {
                self.finder.skip(forest::name(self.walk.pack, node.position), &error);
                self.leave_out(node.first_child, &error);
                None
            }
        }
    }

    fn grow(
        &mut self,
        parent: &Version,
        depth: usize,
        node: &Node,
        delta: &mut Vec<u8>,
    ) -> Result<Version, ObjectError> {
        if depth > CHAIN_MAX {
            return Err(ObjectError::TooDeep);
        }
        let header = self.walk.pack.header(node.offset, &mut self.finder.reader.piece)?;
        self.inflate(node, header.data, header.size, delta)?;
        let parsed = Delta::parse(delta)?;
        if parsed.result_size > self.finder.reader.bytes_max {
            return Err(ObjectError::TooLarge(parsed.result_size));
        }
        let mut content = self.spare.pop().unwrap_or_default();
        parsed.apply(&parent.content, &mut content, &mut self.changed)?;
        // What holds a value may hold it still, where nothing changed.
        let changed = (!parent.holds).then_some(self.changed.as_slice());
        let number = self.walk.first + node.position;
        let holds = self.finder.look(&Met { number, kind: node.kind, content: &content, changed });
        Ok(Version { content, holds })
    }

    fn inflate(
        &mut self,
        node: &Node,
        data: u64,
        size: u64,
        target: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        let pack = self.walk.pack;
        let reader = &mut self.finder.reader;
        if size > reader.bytes_max {
            return Err(ObjectError::TooLarge(size));
        }
        let end = if node.span == NONE { pack.end() } else { node.offset + u64::from(node.span) };
        let compressed = pack.compressed(data, end, &mut reader.piece)?;
        let size = usize::try_from(size).map_err(|_| ObjectError::TooLarge(size))?;
        reader.inflater.whole(compressed, size, target)?;
        Ok(())
    }

    /// What grows on something that cannot be made cannot be made either: named, all of it.
    fn leave_out(&mut self, first: u32, error: &ObjectError) {
        let mut left = vec![first];
        while let Some(index) = left.pop() {
            let Some(node) = self.walk.forest.node(index) else { continue };
            self.finder.tell();
            self.finder.skip(forest::name(self.walk.pack, node.position), error);
            left.push(node.next_sibling);
            left.push(node.first_child);
        }
    }
}
