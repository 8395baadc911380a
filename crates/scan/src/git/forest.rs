//! The entries of a pack as trees of versions: each root is whole, each branch a delta to what it grows on.

use super::error::ObjectError;
use super::pack::{Form, Pack};
use super::stored::Piece;
use crate::located::{SkipReason, Statistics};
use gix_object::Kind;

pub(crate) const NONE: u32 = u32::MAX;

/// An entry that is to be scanned, or that such a one is built on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) offset: u64,
    /// In the index, by which its id is found.
    pub(crate) position: u32,
    /// How many bytes of the pack it takes; `u32::MAX` for more.
    pub(crate) span: u32,
    pub(crate) kind: Kind,
    pub(crate) first_child: u32,
    pub(crate) next_sibling: u32,
    /// How many nodes its tree has, itself included.
    pub(crate) weight: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Forest {
    pub(crate) nodes: Vec<Node>,
    /// Whole entries, and deltas to objects outside of the pack.
    pub(crate) roots: Vec<u32>,
}

/// Which kinds are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) blobs: bool,
    /// Commits and tags.
    pub(crate) messages: bool,
    pub(crate) trees: bool,
}

impl Wanted {
    fn has(self, kind: Kind) -> bool {
        match kind {
            Kind::Blob => self.blobs,
            Kind::Commit | Kind::Tag => self.messages,
            Kind::Tree => self.trees,
        }
    }
}

/// Where an entry's base is, in the order of offsets.
const OUTSIDE: u32 = u32::MAX - 1;

/// All entries by offset: `offset << bits | position in the index`, one word each, for packs of many millions.
pub(crate) struct Order {
    words: Vec<u64>,
    bits: u32,
}

impl Order {
    pub(crate) fn of(pack: &Pack) -> Result<Self, ObjectError> {
        let count = pack.index.count();
        let bits = (u32::BITS - count.leading_zeros()).max(1);
        if pack.end() >> (u64::BITS - bits) != 0 {
            return Err(ObjectError::TooLarge(pack.end()));
        }
        let mut words = Vec::with_capacity(count as usize);
        for position in 0..count {
            let offset = pack.index.offset(position).ok_or(ObjectError::Missing)?;
            // An offset outside of the pack is kept for the header to be refused.
            words.push(offset.min(pack.end()) << bits | u64::from(position));
        }
        words.sort_unstable();
        Ok(Self { words, bits })
    }

    pub(crate) fn count(&self) -> usize {
        self.words.len()
    }

    pub(crate) fn offset(&self, at: usize) -> u64 {
        self.words.get(at).map_or(0, |word| word >> self.bits)
    }

    pub(crate) fn position(&self, at: usize) -> u32 {
        let mask = (1_u64 << self.bits) - 1;
        self.words.get(at).map_or(NONE, |word| u32::try_from(word & mask).unwrap_or(NONE))
    }

    pub(crate) fn find(&self, offset: u64) -> Option<usize> {
        let at = self.words.partition_point(|word| word >> self.bits < offset);
        (self.offset(at) == offset && at < self.words.len()).then_some(at)
    }
}

/// Reads the headers of all entries; nothing is decompressed.
pub(crate) fn grow(pack: &Pack, wanted: Wanted, statistics: &mut Statistics) -> Result<Forest, ObjectError> {
    let order = Order::of(pack)?;
    let count = order.words.len();
    let mut kinds: Vec<Option<Kind>> = vec![None; count];
    let mut bases: Vec<u32> = vec![NONE; count];
    let mut piece = Piece::default();
    let mut later = Vec::new();
    for at in 0..count {
        let (kind, base) = match pack.header(order.offset(at), &mut piece) {
            Ok(header) => match header.form {
                Form::Whole(kind) => (Some(kind), NONE),
                Form::DeltaAt(offset) => base_of(order.find(offset), &kinds),
                Form::DeltaOf(id) => match pack.index.find(&id) {
                    Some(position) => {
                        let offset = pack.index.offset(position).ok_or(ObjectError::Missing)?;
                        base_of(order.find(offset), &kinds)
                    }
                    None => (None, OUTSIDE),
                },
            },
            Err(error) => {
                statistics.skip(name(pack, order.position(at)), reason(&error), error.to_string());
                continue;
            }
        };
        put(&mut kinds, at, kind);
        put(&mut bases, at, base);
        if kind.is_none() {
            later.push(at);
        }
    }
    settle(&mut kinds, &bases, &later);
    for at in later.into_iter().filter(|at| kinds.get(*at).is_some_and(Option::is_none)) {
        statistics.skip(name(pack, order.position(at)), SkipReason::Corrupt, "its deltas lead to no object");
    }
    Ok(plant(pack, &order, &kinds, &bases, wanted, statistics))
}

fn put<T>(list: &mut [T], at: usize, value: T) {
    if let Some(slot) = list.get_mut(at) {
        *slot = value;
    }
}

fn base_of(base: Option<usize>, kinds: &[Option<Kind>]) -> (Option<Kind>, u32) {
    let kind = base.and_then(|base| kinds.get(base).copied().flatten());
    // A delta to where nothing begins is refused when it is planted.
    (kind, base.and_then(|base| u32::try_from(base).ok()).unwrap_or(NONE))
}

/// Deltas to objects that come later in the pack: their kind is known once the others are.
fn settle(kinds: &mut [Option<Kind>], bases: &[u32], later: &[usize]) {
    for &at in later {
        let mut chain = vec![at];
        let mut next = bases.get(at).copied().unwrap_or(NONE);
        let kind = loop {
            if next == OUTSIDE {
                // The base of a thin pack's delta is of the same kind; which one shows when it is read.
                break Some(Kind::Blob);
            }
            let base = next as usize;
            match kinds.get(base) {
                None => break None,
                Some(Some(kind)) => break Some(*kind),
                Some(None) if chain.len() > super::database::CHAIN_MAX => break None,
                Some(None) => chain.push(base),
            }
            next = bases.get(base).copied().unwrap_or(NONE);
        };
        for at in chain {
            put(kinds, at, kind);
        }
    }
}

fn plant(
    pack: &Pack,
    order: &Order,
    kinds: &[Option<Kind>],
    bases: &[u32],
    wanted: Wanted,
    statistics: &mut Statistics,
) -> Forest {
    // Where the entries that are wanted stand among themselves.
    let mut chosen: Vec<u32> = Vec::new();
    let mut forest = Forest::default();
    for (at, kind) in kinds.iter().enumerate() {
        let Some(kind) = kind.filter(|kind| wanted.has(*kind)) else { continue };
        let offset = order.offset(at);
        let end = if at + 1 < order.words.len() { order.offset(at + 1) } else { pack.end() };
        forest.nodes.push(Node {
            offset,
            position: order.position(at),
            span: u32::try_from(end.saturating_sub(offset)).unwrap_or(NONE),
            kind,
            first_child: NONE,
            next_sibling: NONE,
            weight: 1,
        });
        chosen.push(u32::try_from(at).unwrap_or(NONE));
    }
    // From the last to the first, so that children come in the order of the pack.
    for (index, at) in chosen.iter().enumerate().rev() {
        let base = bases.get(*at as usize).copied().unwrap_or(NONE);
        let index = u32::try_from(index).unwrap_or(NONE);
        if base == NONE || base == OUTSIDE {
            forest.roots.push(index);
        } else if let Ok(parent) = chosen.binary_search(&base) {
            forest.adopt(parent, index);
        }
    }
    forest.roots.reverse();
    let reached = forest.weigh();
    if reached < forest.nodes.len() {
        let lost = forest.nodes.len() - reached;
        for _ in 0..lost {
            statistics.skip(
                name(pack, NONE),
                SkipReason::Corrupt,
                "an object whose deltas run in a circle or have no base",
            );
        }
    }
    forest
}

impl Forest {
    pub(crate) fn node(&self, index: u32) -> Option<Node> {
        self.nodes.get(index as usize).copied()
    }

    fn adopt(&mut self, parent: usize, child: u32) {
        let Some(parent) = self.nodes.get_mut(parent) else { return };
        let before = std::mem::replace(&mut parent.first_child, child);
        if let Some(child) = self.nodes.get_mut(child as usize) {
            child.next_sibling = before;
        }
    }

    /// Sets the weights and says how many nodes the roots lead to.
    fn weigh(&mut self) -> usize {
        let mut visited: Vec<(u32, u32)> = Vec::new();
        let mut reached = 0;
        for root in self.roots.clone() {
            visited.clear();
            visited.push((root, NONE));
            let mut next = 0;
            while let Some(&(index, _)) = visited.get(next) {
                let mut child = self.node(index).map_or(NONE, |node| node.first_child);
                while let Some(node) = self.node(child) {
                    visited.push((child, index));
                    child = node.next_sibling;
                }
                next += 1;
            }
            reached += visited.len();
            for &(index, parent) in visited.iter().rev() {
                let weight = self.node(index).map_or(0, |node| node.weight);
                if let Some(parent) = self.nodes.get_mut(parent as usize) {
                    parent.weight += weight;
                }
            }
        }
        reached
    }
}

pub(crate) fn reason(error: &ObjectError) -> SkipReason {
    match error {
        ObjectError::Corrupt(_) => SkipReason::Corrupt,
        ObjectError::Missing => SkipReason::Missing,
        ObjectError::TooLarge(_) => SkipReason::TooLarge,
        ObjectError::TooDeep => SkipReason::TooDeep,
        ObjectError::Unreadable(kind) => super::loose::reason_of(*kind),
    }
}

/// An object's id, or if that is not known the name of its pack.
pub(crate) fn name(pack: &Pack, position: u32) -> String {
    if let Some(id) = pack.index.id(position) {
        return id.to_string();
    }
    pack.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
