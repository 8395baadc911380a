//! Walks a pack's trees of versions: roots are looked at whole, the others where they differ from what they grow on.

use super::database::{CHAIN_MAX, Database, Number, Reader};
use super::delta::Delta;
use super::error::ObjectError;
use super::forest::{self, Forest, NONE, Node};
use super::look::{Class, Eye};
use super::objects;
use super::options::Verification;
use super::pack::{Form, Pack};
use super::sightings::SecretKey;
use gix_object::{Kind, compute_hash};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A pack that several threads walk through.
pub(crate) struct Walk<'a> {
    pub(crate) database: &'a Database,
    pub(crate) pack: &'a Pack,
    pub(crate) forest: &'a Forest,
    /// The number of the pack's first object.
    pub(crate) first: Number,
    /// Objects that another pack has too, and that were looked at there.
    pub(crate) known: &'a (dyn Fn(Number) -> bool + Sync),
    pub(crate) next_root: &'a AtomicUsize,
    pub(crate) done: &'a AtomicU64,
    pub(crate) total: u64,
    pub(crate) verification: Verification,
}

/// A version that others grow on.
struct Version {
    content: Vec<u8>,
    class: Class,
    /// The secrets in it.
    hits: Vec<Hit>,
}

struct Hit {
    span: Range<usize>,
    key: SecretKey,
}

/// A version whose branches are being walked through. Of the branches the heaviest comes last, when the version itself
/// is not needed any more: so there are never more versions held than the logarithm of their number.
struct Frame {
    version: Version,
    next: u32,
    heaviest: u32,
    depth: usize,
}

/// What all held versions of one thread together may take; what is above it is made again later.
const HELD_BYTES_MAX: usize = 48 << 20;
/// So many roots are taken at once.
const ROOTS_AT_ONCE: usize = 4;

impl Walk<'_> {
    /// Walks until there are no more roots. Each thread calls this once, with a reader and an eye of its own.
    pub(crate) fn run(&self, reader: &mut Reader, eye: &mut Eye<'_>) {
        let mut walker = Walker {
            walk: self,
            reader,
            eye,
            spare: Vec::new(),
            later: Vec::new(),
            delta: Vec::new(),
            changed: Vec::new(),
        };
        loop {
            let from = self.next_root.fetch_add(ROOTS_AT_ONCE, Ordering::Relaxed);
            let Some(roots) = self.forest.roots.get(from..) else { break };
            if roots.is_empty() {
                break;
            }
            for root in roots.iter().take(ROOTS_AT_ONCE) {
                if walker.eye.is_over() {
                    return;
                }
                walker.tree(*root);
            }
        }
    }
}

struct Walker<'a, 'b, 'c> {
    walk: &'a Walk<'a>,
    reader: &'b mut Reader,
    eye: &'b mut Eye<'c>,
    spare: Vec<Vec<u8>>,
    /// Versions for which there was no room while others were held: made again, and walked from, afterwards.
    later: Vec<u32>,
    delta: Vec<u8>,
    changed: Vec<Range<usize>>,
}

impl Walker<'_, '_, '_> {
    fn tree(&mut self, root: u32) {
        let Some(node) = self.walk.forest.node(root) else { return };
        self.tell();
        let version = match self.root(&node) {
            Ok(Some(version)) => version,
            Ok(None) => return self.leave_out(&node, &ObjectError::TooLarge(0), Stem::LookedAt),
            Err(error) => return self.leave_out(&node, &error, Stem::LeftOut),
        };
        self.branches(root, version);
        while let Some(index) = self.later.pop() {
            let Some(node) = self.walk.forest.node(index) else { continue };
            match self.again(&node) {
                Ok(version) => self.branches(index, version),
                Err(error) => self.leave_out(&node, &error, Stem::LookedAt),
            }
        }
    }

    /// Walks through all that grows on a version.
    fn branches(&mut self, index: u32, version: Version) {
        let mut frames = Vec::new();
        let mut held = 0;
        self.hold(&mut frames, &mut held, index, version, 0);
        while let Some(frame) = frames.last_mut() {
            if self.eye.is_over() {
                return;
            }
            let Some(child) = self.walk.forest.node(frame.next) else {
                // All but the heaviest are done: it takes the place of what it grows on.
                let Some(frame) = frames.pop() else { break };
                held = held.saturating_sub(frame.version.content.len());
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
        if *held > 0 && *held + version.content.len() > HELD_BYTES_MAX {
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

    /// A root, looked at whole. `None` if it is too large to be held: it was looked at piece by piece.
    fn root(&mut self, node: &Node) -> Result<Option<Version>, ObjectError> {
        let pack = self.walk.pack;
        let header = pack.header(node.offset, &mut self.reader.piece)?;
        let mut content = self.spare.pop().unwrap_or_default();
        let number = self.walk.first + node.position;
        match header.form {
            Form::Whole(_) if header.size > self.reader.bytes_max => {
                if node.kind == Kind::Blob && !(self.walk.known)(number) {
                    self.eye.look_at_stream(number, pack, &header, self.reader);
                }
                return Ok(None);
            }
            Form::Whole(_) => self.inflate(node, header.data, header.size, &mut content)?,
            // The base is in another pack, if anywhere.
            Form::DeltaOf(_) => {
                let (kind, loaded) = self.walk.database.load_packed(pack, node.offset, self.reader)?;
                if kind != node.kind {
                    return Ok(None);
                }
                content.clear();
                content.extend_from_slice(&loaded);
            }
            Form::DeltaAt(_) => return Err(ObjectError::Corrupt("its delta is to where no object begins")),
        }
        let mut version = Version { content, class: Class::Text, hits: Vec::new() };
        self.look_at_whole(number, node, &mut version);
        Ok(Some(version))
    }

    /// A version that could not be held when it was made.
    fn again(&mut self, node: &Node) -> Result<Version, ObjectError> {
        let (_, loaded) = self.walk.database.load_packed(self.walk.pack, node.offset, self.reader)?;
        let mut version = Version { content: Vec::clone(&loaded), class: Class::Text, hits: Vec::new() };
        self.look_at_whole(self.walk.first + node.position, node, &mut version);
        Ok(version)
    }

    fn look_at_whole(&mut self, number: Number, node: &Node, version: &mut Version) {
        self.verify(node, &version.content);
        if node.first_child == NONE && (self.walk.known)(number) {
            return;
        }
        if node.kind != Kind::Blob {
            return self.look_at_message(number, version);
        }
        version.class = self.eye.class(&version.content);
        let hits = &mut version.hits;
        self.eye.look(number, &version.content, version.class, None, &mut |span, key| {
            hits.push(Hit { span, key });
        });
    }

    /// An object that is not what its name says is looked at all the same.
    fn verify(&mut self, node: &Node, content: &[u8]) {
        if self.walk.verification == Verification::Checksums {
            return;
        }
        let pack = self.walk.pack;
        if compute_hash(pack.hash, node.kind, content).ok() != pack.index.id(node.position) {
            let error = ObjectError::Corrupt("its content is not what its id says");
            self.eye.skip(forest::name(pack, node.position), &error);
        }
    }

    fn look_at_message(&mut self, number: Number, version: &Version) {
        let (_, message) = objects::halves(&version.content);
        self.eye.look_at_message(number, message);
    }

    /// What grows on `parent`, looked at where it differs.
    fn branch(&mut self, parent: &Version, depth: usize, node: &Node) -> Option<Version> {
        self.tell();
        let mut delta = std::mem::take(&mut self.delta);
        let grown = self.grow(parent, depth, node, &mut delta);
        self.delta = delta;
        match grown {
            Ok(version) => Some(version),
            Err(error) => {
                self.leave_out(node, &error, Stem::LeftOut);
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
        let header = self.walk.pack.header(node.offset, &mut self.reader.piece)?;
        self.inflate(node, header.data, header.size, delta)?;
        let parsed = Delta::parse(delta)?;
        if parsed.result_size > self.reader.bytes_max {
            return Err(ObjectError::TooLarge(parsed.result_size));
        }
        let mut version =
            Version { content: self.spare.pop().unwrap_or_default(), class: parent.class, hits: Vec::new() };
        parsed.apply(&parent.content, &mut version.content, &mut self.changed)?;
        self.verify(node, &version.content);
        let number = self.walk.first + node.position;
        if node.first_child == NONE && (self.walk.known)(number) {
            return Ok(version);
        }
        if node.kind != Kind::Blob {
            self.look_at_message(number, &version);
            return Ok(version);
        }
        if Class::can_change(&self.changed) {
            version.class = self.eye.class(&version.content);
        }
        for hit in &parent.hits {
            if let Some(span) = parsed.carried(&hit.span) {
                self.eye.saw_again(number, hit.key);
                version.hits.push(Hit { span, key: hit.key });
            }
        }
        let changed = (version.class == parent.class).then_some(self.changed.as_slice());
        let hits = &mut version.hits;
        self.eye.look(number, &version.content, version.class, changed, &mut |span, key| {
            hits.push(Hit { span, key });
        });
        Ok(version)
    }

    fn inflate(
        &mut self,
        node: &Node,
        data: u64,
        size: u64,
        target: &mut Vec<u8>,
    ) -> Result<(), ObjectError> {
        if size > self.reader.bytes_max {
            return Err(ObjectError::TooLarge(size));
        }
        let end = if node.span == NONE { self.walk.pack.end() } else { node.offset + u64::from(node.span) };
        let compressed = self.walk.pack.compressed(data, end, &mut self.reader.piece)?;
        let size = usize::try_from(size).map_err(|_| ObjectError::TooLarge(size))?;
        self.reader.inflater.whole(compressed, size, target)?;
        Ok(())
    }

    /// A node cannot be made, and so neither can what grows on it: named, all of them.
    fn leave_out(&mut self, node: &Node, error: &ObjectError, stem: Stem) {
        let pack = self.walk.pack;
        let mut left = Vec::new();
        match stem {
            Stem::LeftOut => self.eye.skip(forest::name(pack, node.position), error),
            Stem::LookedAt => {}
        }
        left.push(node.first_child);
        while let Some(index) = left.pop() {
            let Some(node) = self.walk.forest.node(index) else { continue };
            self.tell();
            self.eye.skip(forest::name(pack, node.position), error);
            left.push(node.next_sibling);
            left.push(node.first_child);
        }
    }

    fn tell(&self) {
        const EVERY: u64 = 1024;
        let done = self.walk.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(EVERY) {
            self.eye.watch().tell("objects", done, self.walk.total);
        }
    }
}

/// Whether the object itself was looked at, when those that grow on it could not be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stem {
    LookedAt,
    LeftOut,
}
