//! The commits that references lead to, and the order in which they can be rewritten.

use super::find::CommitList;
use crate::git::database::{Database, Number};
use gix_hash::ObjectId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// All commits of a repository, by their place in this list.
pub(super) struct Graph {
    pub(super) list: CommitList,
    /// The ids of all commits, sorted, each with its place.
    ids: Vec<(ObjectId, Index)>,
}

/// A commit's place in the list.
pub(super) type Index = u32;

impl Graph {
    pub(super) fn new(list: CommitList, database: &Database) -> Self {
        let with_place = |(index, number)| Some((database.id(number)?, u32::try_from(index).ok()?));
        let numbers = list.commits.iter().map(|commit| commit.number).enumerate();
        let mut ids: Vec<(ObjectId, Index)> = numbers.filter_map(with_place).collect();
        // Of a commit that is in several packs the first counts.
        ids.sort_unstable();
        ids.dedup_by_key(|(id, _)| *id);
        Self { list, ids }
    }

    pub(super) fn len(&self) -> usize {
        self.list.commits.len()
    }

    pub(super) fn index_of(&self, id: &ObjectId) -> Option<Index> {
        let at = self.ids.binary_search_by(|(other, _)| other.cmp(id)).ok()?;
        self.ids.get(at).map(|(_, index)| *index)
    }

    fn index_of_number(&self, number: Number) -> Option<Index> {
        let at = self.list.commits.binary_search_by_key(&number, |commit| commit.number).ok()?;
        Index::try_from(at).ok()
    }

    /// The one commit whose id begins so.
    pub(super) fn starting_with(&self, word: &[u8]) -> Option<Index> {
        let mut lowest = [0_u8; 32];
        for (at, pair) in word.chunks(2).enumerate() {
            let digit =
                |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16)).unwrap_or(0) as u8;
            *lowest.get_mut(at)? = digit(0) << 4 | digit(1);
        }
        let from = self
            .ids
            .partition_point(|(id, _)| id.as_bytes() < lowest.get(..id.as_bytes().len()).unwrap_or_default());
        let fits = |at: usize| {
            let (id, index) = self.ids.get(at)?;
            begins_with(id.as_bytes(), word).then_some(*index)
        };
        match (fits(from), fits(from + 1)) {
            (Some(index), None) => Some(index),
            _ => None,
        }
    }

    pub(super) fn parents(&self, index: Index) -> impl Iterator<Item = Index> {
        let commit = self.list.commits.get(index as usize);
        let range = commit.map_or(0..0, |commit| {
            let first = commit.first_parent as usize;
            first..first + commit.parents as usize
        });
        let numbers = self.list.parents.get(range).unwrap_or_default();
        numbers.iter().filter_map(|number| self.index_of_number(*number))
    }

    /// The words in a commit's message that look like ids.
    pub(super) fn mentions(&self, index: Index) -> impl Iterator<Item = &[u8]> {
        let number = self.list.commits.get(index as usize).map_or(Number::MAX, |commit| commit.number);
        let from = self.list.mentions.partition_point(|(other, _)| *other < number);
        let rest = self.list.mentions.get(from..).unwrap_or_default();
        rest.iter().take_while(move |(other, _)| *other == number).map(|(_, word)| &**word)
    }

    /// All that tips lead to, parents before children, and otherwise the older first: so what a message names mostly comes
    /// before the message.
    pub(super) fn order(&self, tips: &[Index]) -> Vec<Index> {
        let mut waiting: Vec<u32> = vec![u32::MAX; self.len()];
        let mut reached = Vec::new();
        let mut stack = tips.to_vec();
        while let Some(index) = stack.pop() {
            let Some(slot) = waiting.get_mut(index as usize).filter(|slot| **slot == u32::MAX) else {
                continue;
            };
            *slot = 0;
            reached.push(index);
            stack.extend(self.parents(index));
        }
        let (starts, children) = self.children(&reached, &mut waiting);
        let seconds = |index: Index| self.list.commits.get(index as usize).map_or(0, |commit| commit.seconds);
        let is_ready = |index: &Index| waiting.get(*index as usize) == Some(&0);
        let mut ready: BinaryHeap<Reverse<(i64, Index)>> = reached
            .iter()
            .filter(|index| is_ready(index))
            .map(|index| Reverse((seconds(*index), *index)))
            .collect();
        let mut order = Vec::with_capacity(reached.len());
        while let Some(Reverse((_, index))) = ready.pop() {
            order.push(index);
            let from = starts.get(index as usize).copied().unwrap_or(0) as usize;
            let to = starts.get(index as usize + 1).copied().unwrap_or(0) as usize;
            for child in children.get(from..to).unwrap_or_default() {
                if let Some(slot) = waiting.get_mut(*child as usize) {
                    *slot -= 1;
                    if *slot == 0 {
                        ready.push(Reverse((seconds(*child), *child)));
                    }
                }
            }
        }
        order
    }

    /// The same commits from the tips down, each line of first parents in one go: trees that follow each other are alike.
    pub(super) fn by_lines(&self, tips: &[Index]) -> Vec<Index> {
        let mut met = vec![false; self.len()];
        let mut lines = Vec::new();
        let mut stack: Vec<Index> = tips.to_vec();
        stack.sort_by_key(|index| self.list.commits.get(*index as usize).map_or(0, |commit| commit.seconds));
        while let Some(tip) = stack.pop() {
            let mut next = Some(tip);
            while let Some(index) = next.take() {
                let Some(slot) = met.get_mut(index as usize).filter(|slot| !**slot) else { break };
                *slot = true;
                lines.push(index);
                let mut parents = self.parents(index);
                next = parents.next();
                stack.extend(parents);
            }
        }
        lines
    }

    /// The children of all commits, one after the other, and where each commit's begin. Counts parents in `waiting`.
    fn children(&self, reached: &[Index], waiting: &mut [u32]) -> (Vec<u32>, Vec<Index>) {
        let mut starts: Vec<u32> = vec![0; self.len() + 1];
        for index in reached {
            for parent in self.parents(*index) {
                if let Some(slot) = starts.get_mut(parent as usize + 1) {
                    *slot += 1;
                }
                if let Some(slot) = waiting.get_mut(*index as usize) {
                    *slot += 1;
                }
            }
        }
        let mut sum = 0;
        for slot in &mut starts {
            sum += *slot;
            *slot = sum;
        }
        let mut next = starts.clone();
        let mut children = vec![0; sum as usize];
        for index in reached {
            for parent in self.parents(*index) {
                if let Some(slot) = next.get_mut(parent as usize) {
                    if let Some(child) = children.get_mut(*slot as usize) {
                        *child = *index;
                    }
                    *slot += 1;
                }
            }
        }
        (starts, children)
    }
}

fn begins_with(id: &[u8], word: &[u8]) -> bool {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    word.iter().enumerate().all(|(at, digit)| {
        let byte = id.get(at / 2).copied().unwrap_or(0);
        let nibble = if at % 2 == 0 { byte >> 4 } else { byte & 0x0f };
        HEX.get(usize::from(nibble)) == Some(digit)
    })
}
