use super::database::{Database, Number, Reader};
use super::objects::{self, Links};
use crate::located::{SkipReason, Statistics, Watch};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// How one comes to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Reference,
    Reflog,
    Nothing,
}

/// A commit as a node.
#[derive(Debug)]
pub(crate) struct CommitNode {
    pub(crate) number: Number,
    pub(crate) tree: ObjectId,
    /// Indexes into [`Commits::nodes`]; those that are not here are left out.
    pub(crate) parents: Vec<u32>,
    pub(crate) seconds: i64,
    pub(crate) reach: Reach,
}

/// Commits, gathered from where references lead to, backwards.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    pub(crate) nodes: Vec<CommitNode>,
    known: HashMap<Number, u32>,
    /// References that lead to trees and blobs without a commit.
    pub(crate) bare: Vec<(Kind, ObjectId)>,
}

/// Tags of tags of tags: more are not followed.
const TAGS_DEPTH_MAX: usize = 32;

impl Commits {
    pub(crate) fn find(&self, number: Number) -> Option<u32> {
        self.known.get(&number).copied()
    }

    /// Adds a tip and all that came before it.
    pub(crate) fn gather(
        &mut self,
        tip: &ObjectId,
        reach: Reach,
        source: &mut Source<'_>,
        statistics: &mut Statistics,
    ) {
        let Some(start) = source.peel(tip, &mut self.bare, reach, statistics) else { return };
        let mut waiting = vec![(start, None::<u32>)];
        while let Some((number, child)) = waiting.pop() {
            if let Some(index) = self.known.get(&number) {
                self.join(child, *index);
                continue;
            }
            let Some(links) = source.links(number, statistics) else { continue };
            let Ok(index) = u32::try_from(self.nodes.len()) else { return };
            self.known.insert(number, index);
            self.join(child, index);
            for parent in &links.parents {
                match source.database.find(parent) {
                    Some(parent) => waiting.push((parent, Some(index))),
                    None => source.miss_parent(number, parent, statistics),
                }
            }
            let Links { tree, seconds, .. } = links;
            self.nodes.push(CommitNode { number, tree, parents: Vec::new(), seconds, reach });
            if index.is_multiple_of(4096) {
                source.watch.tell("commits", u64::from(index), 0);
            }
            if source.watch.is_cancelled() {
                return;
            }
        }
    }

    fn join(&mut self, child: Option<u32>, parent: u32) {
        if let Some(child) = child.and_then(|child| self.nodes.get_mut(child as usize)) {
            child.parents.push(parent);
        }
    }

    /// All from `from` on (what was gathered since), parents before children, older before younger.
    pub(crate) fn oldest_first(&self, from: u32) -> Vec<u32> {
        let count = self.nodes.len();
        let mut missing = vec![0_u32; count];
        let mut children: Vec<(u32, u32)> = Vec::new();
        let mut ready = BinaryHeap::new();
        for (index, node) in self.nodes.iter().enumerate().skip(from as usize) {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let parents = node.parents.iter().filter(|parent| **parent >= from);
            let before = children.len();
            children.extend(parents.map(|parent| (*parent, index)));
            let parents = children.len() - before;
            if let Some(slot) = missing.get_mut(index as usize) {
                *slot = u32::try_from(parents).unwrap_or(u32::MAX);
            }
            if parents == 0 {
                ready.push(Reverse((node.seconds, index)));
            }
        }
        children.sort_unstable();
        let mut order = Vec::with_capacity(count.saturating_sub(from as usize));
        while let Some(Reverse((_, index))) = ready.pop() {
            order.push(index);
            let first = children.partition_point(|(parent, _)| *parent < index);
            for (_, child) in children.iter().skip(first).take_while(|(parent, _)| *parent == index) {
                let Some(slot) = missing.get_mut(*child as usize) else { continue };
                *slot = slot.saturating_sub(1);
                if *slot == 0 {
                    let seconds = self.nodes.get(*child as usize).map_or(0, |node| node.seconds);
                    ready.push(Reverse((seconds, *child)));
                }
            }
        }
        order
    }
}

/// Where commits are read from.
pub(crate) struct Source<'a> {
    pub(crate) database: &'a Database,
    pub(crate) reader: &'a mut Reader,
    pub(crate) shallow: &'a BTreeSet<ObjectId>,
    pub(crate) watch: Watch<'a>,
}

impl Source<'_> {
    /// The commit that a reference, or a tag of tags, leads to.
    pub(crate) fn peel(
        &mut self,
        tip: &ObjectId,
        bare: &mut Vec<(Kind, ObjectId)>,
        reach: Reach,
        statistics: &mut Statistics,
    ) -> Option<Number> {
        let mut id = *tip;
        for _ in 0..TAGS_DEPTH_MAX {
            let Some(number) = self.database.find(&id) else {
                // A reflog outlives what it tells of.
                if reach == Reach::Reference {
                    statistics.skip(id.to_string(), SkipReason::Missing, "a reference leads to it");
                }
                return None;
            };
            match self.database.load(number, self.reader) {
                Ok((Kind::Commit, _)) => return Some(number),
                Ok((Kind::Tag, content)) => id = objects::tagged(&content, self.database.hash)?,
                Ok((kind, _)) => {
                    bare.push((kind, id));
                    return None;
                }
                Err(super::error::ObjectError::TooLarge(_)) => {
                    bare.push((Kind::Blob, id));
                    return None;
                }
                Err(error) => {
                    statistics.skip(id.to_string(), super::forest::reason(&error), error.to_string());
                    return None;
                }
            }
        }
        statistics.skip(tip.to_string(), SkipReason::TooDeep, "a tag of a tag of a tag");
        None
    }

    pub(crate) fn links(&mut self, number: Number, statistics: &mut Statistics) -> Option<Links> {
        let name = |database: &Database| database.id(number).map(|id| id.to_string()).unwrap_or_default();
        match self.database.load(number, self.reader) {
            Ok((Kind::Commit, content)) => {
                let links = objects::links(&content, self.database.hash);
                if links.is_none() {
                    statistics.skip(name(self.database), SkipReason::Corrupt, "a commit without a tree");
                }
                links
            }
            Ok(_) => {
                statistics.skip(
                    name(self.database),
                    SkipReason::Corrupt,
                    "it is said to be a commit, and is none",
                );
                None
            }
            Err(error) => {
                statistics.skip(name(self.database), super::forest::reason(&error), error.to_string());
                None
            }
        }
    }

    pub(crate) fn miss_parent(&self, child: Number, parent: &ObjectId, statistics: &mut Statistics) {
        if self.database.id(child).is_some_and(|child| self.shallow.contains(&child)) {
            statistics.shallow_commits += 1;
        } else {
            statistics.skip(
                parent.to_string(),
                SkipReason::Missing,
                "a commit that another one names as its parent",
            );
        }
    }
}
