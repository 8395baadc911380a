//! The commits between others: what is in `A..B`, or younger than a date, found without walking the whole history.

use super::commits::{CommitNode, Commits, Reach, Source};
use super::database::Number;
use super::objects::Links;
use super::revisions::Tips;
use crate::located::Statistics;
use gix_hash::ObjectId;
use std::collections::{BinaryHeap, HashMap};

/// Which commits, by their committer's time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Period {
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
}

impl Period {
    pub(crate) fn is_open(self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    fn has(self, seconds: i64) -> bool {
        self.since.is_none_or(|since| since <= seconds) && self.until.is_none_or(|until| seconds <= until)
    }
}

/// Clocks differ: so many more commits are looked at when it seems that there is nothing left.
const SLACK: usize = 256;

struct Seen {
    links: Links,
    excluded: bool,
    /// Its parents were put into the queue.
    done: bool,
}

/// The chosen commits, oldest first, with the numbers of their parents.
pub(crate) fn commits(
    tips: &Tips,
    period: Period,
    source: &mut Source<'_>,
    statistics: &mut Statistics,
) -> Vec<Number> {
    let mut excluded = tips.excluded.clone();
    for (left, right) in &tips.symmetric {
        excluded.extend(shared(left, right, source));
    }
    let mut bare = Vec::new();
    let mut walk = Walk { seen: HashMap::new(), queue: BinaryHeap::new(), included_left: 0 };
    for (ids, is_excluded) in [(&excluded, true), (&tips.included, false)] {
        for id in ids {
            // What is excluded may well not be here: a remote's commit that was not fetched.
            let reach = if is_excluded { Reach::Reflog } else { Reach::Reference };
            let Some(number) = source.peel(id, &mut bare, reach, statistics) else { continue };
            walk.push(number, is_excluded, source, statistics);
        }
    }
    let mut slack = SLACK;
    while let Some((seconds, number)) = walk.queue.pop() {
        if source.watch.is_cancelled() {
            break;
        }
        let Some(seen) = walk.seen.get_mut(&number).filter(|seen| !seen.done) else { continue };
        seen.done = true;
        let is_excluded = seen.excluded;
        let parents = seen.links.parents.clone();
        let too_old = period.since.is_some_and(|since| seconds < since);
        if !is_excluded {
            walk.included_left = walk.included_left.saturating_sub(1);
        }
        for parent in parents {
            match source.database.find(&parent) {
                Some(parent) => walk.push(parent, is_excluded || too_old, source, statistics),
                None => source.miss_parent(number, &parent, statistics),
            }
        }
        if walk.included_left == 0 {
            slack -= 1;
            if slack == 0 {
                break;
            }
        } else {
            slack = SLACK;
        }
    }
    walk.chosen(period, source)
}

struct Walk {
    seen: HashMap<Number, Seen>,
    /// The youngest first.
    queue: BinaryHeap<(i64, Number)>,
    /// How many in the queue are not excluded.
    included_left: usize,
}

impl Walk {
    fn push(&mut self, number: Number, excluded: bool, source: &mut Source<'_>, statistics: &mut Statistics) {
        let mut waiting = vec![number];
        while let Some(number) = waiting.pop() {
            match self.seen.get_mut(&number) {
                None => {
                    let Some(links) = source.links(number, statistics) else { continue };
                    self.queue.push((links.seconds, number));
                    self.included_left += usize::from(!excluded);
                    self.seen.insert(number, Seen { links, excluded, done: false });
                }
                Some(seen) if excluded && !seen.excluded => {
                    // It was thought to be wanted, and so were those before it.
                    seen.excluded = true;
                    if seen.done {
                        waiting.extend(
                            seen.links.parents.iter().filter_map(|parent| source.database.find(parent)),
                        );
                    } else {
                        self.included_left = self.included_left.saturating_sub(1);
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn chosen(self, period: Period, source: &Source<'_>) -> Vec<Number> {
        let mut commits = Commits::default();
        let chosen: Vec<(Number, Links)> = self
            .seen
            .into_iter()
            .filter(|(_, seen)| !seen.excluded && period.has(seen.links.seconds))
            .map(|(number, seen)| (number, seen.links))
            .collect();
        let index_of: HashMap<Number, u32> =
            (0..).zip(&chosen).map(|(index, (number, _))| (*number, index)).collect();
        for (number, links) in chosen {
            let parents = links.parents.iter().filter_map(|parent| source.database.find(parent));
            let parents = parents.filter_map(|parent| index_of.get(&parent).copied()).collect();
            let Links { tree, seconds, .. } = links;
            commits.nodes.push(CommitNode { number, tree, parents, seconds, reach: Reach::Reference });
        }
        let order = commits.oldest_first(0);
        order
            .into_iter()
            .filter_map(|index| commits.nodes.get(index as usize))
            .map(|node| node.number)
            .collect()
    }
}

/// The commits that come before both; only the whole of both histories tells.
fn shared(left: &ObjectId, right: &ObjectId, source: &mut Source<'_>) -> Vec<ObjectId> {
    let mut of_left = Commits::default();
    let mut of_right = Commits::default();
    let mut ignored = Statistics::default();
    of_left.gather(left, Reach::Reference, source, &mut ignored);
    of_right.gather(right, Reach::Reference, source, &mut ignored);
    let both = of_left.nodes.iter().filter(|node| of_right.find(node.number).is_some());
    both.filter_map(|node| source.database.id(node.number)).collect()
}
