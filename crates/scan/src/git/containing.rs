//! From which branches, tags and remotes one comes to a commit.

use super::commits::{Commits, Reach, Source};
use super::database::{Database, Reader};
use super::error::Error;
use super::options::GitOptions;
use super::refs;
use super::repository::{ObjectDirectories, Repository};
use crate::located::{Statistics, Watch};
use gix_hash::ObjectId;
use std::collections::BTreeMap;
use std::path::Path;

/// The names of the references from which each of `commits` (in hex) can be reached, sorted. A commit that is not here, and
/// one that nothing leads to, has none.
pub fn references_containing(
    path: &Path,
    commits: &[String],
    watch: Watch<'_>,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut statistics = Statistics::default();
    let repository = Repository::discover(path, &ObjectDirectories::default(), &mut statistics)?;
    let database = Database::open(&repository, &mut statistics);
    let references = refs::references(&repository, &mut statistics);
    let mut reader = Reader::new(GitOptions::default().blob_bytes_max);
    let mut source = Source { database: &database, reader: &mut reader, shallow: &repository.shallow, watch };
    let mut graph = Commits::default();
    let mut tips = Vec::new();
    for reference in &references {
        graph.gather(&reference.id, Reach::Reference, &mut source, &mut statistics);
        let tip = source.peel(&reference.id, &mut Vec::new(), Reach::Reference, &mut statistics);
        tips.extend(tip.and_then(|number| graph.find(number)).map(|index| (index, &reference.name)));
    }
    let children = children(&graph);
    let names = |commit: &String| {
        let index = ObjectId::from_hex(commit.as_bytes()).ok();
        let index = index.and_then(|id| database.find(&id)).and_then(|number| graph.find(number));
        let Some(index) = index else { return (commit.clone(), Vec::new()) };
        let reached = descendants(&children, index);
        let is_from = |tip: u32| reached.get(tip as usize) == Some(&true);
        let mut names: Vec<String> =
            tips.iter().filter(|(tip, _)| is_from(*tip)).map(|(_, name)| (*name).clone()).collect();
        names.sort();
        names.dedup();
        (commit.clone(), names)
    };
    Ok(commits.iter().map(names).collect())
}

/// The children of each commit.
fn children(graph: &Commits) -> Vec<Vec<u32>> {
    let mut children = vec![Vec::new(); graph.nodes.len()];
    for (child, node) in (0_u32..).zip(&graph.nodes) {
        for parent in &node.parents {
            if let Some(children) = children.get_mut(*parent as usize) {
                children.push(child);
            }
        }
    }
    children
}

/// Which commits come after one, itself included.
fn descendants(children: &[Vec<u32>], start: u32) -> Vec<bool> {
    let mut reached = vec![false; children.len()];
    let mut waiting = vec![start];
    while let Some(index) = waiting.pop() {
        match reached.get_mut(index as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        waiting.extend(children.get(index as usize).into_iter().flatten());
    }
    reached
}
