//! Finding the rule that decides on a path. The cost grows with the path's length, hardly with the number of rules.

use super::pattern::{Pattern, Segment, Specificity};
use std::collections::HashMap;

/// The position of a rule in its `Acl`.
pub(super) type RuleIndex = usize;

#[derive(Debug, Default)]
pub(super) struct RuleTable {
    exact: HashMap<Box<str>, RuleIndex>,
    prefixes: PrefixTable,
    wildcards: WildcardNode,
    has_wildcards: bool,
    /// By rule: what decides between rules that match without being exact.
    specificities: Vec<Specificity>,
}

impl RuleTable {
    pub(super) fn build<'a>(patterns: impl Iterator<Item = &'a Pattern>) -> Self {
        let mut table = Self::default();
        let mut prefixes = Vec::new();
        for (index, pattern) in patterns.enumerate() {
            table.specificities.push(pattern.specificity());
            match (pattern.has_segment_wildcards(), pattern.glob) {
                (true, _) => {
                    table.has_wildcards = true;
                    table.wildcards.insert(&pattern.segments, pattern.glob, index);
                }
                (false, true) => prefixes.push((pattern.text().into(), index)),
                (false, false) => {
                    table.exact.insert(pattern.text().into(), index);
                }
            }
        }
        table.prefixes = PrefixTable::build(prefixes);
        table.wildcards.finish();
        table
    }

    /// The rule for a path as it is.
    pub(super) fn find(&self, path: &str) -> Option<RuleIndex> {
        self.exact.get(path).copied().or_else(|| self.find_inexact(path))
    }

    /// The rule for a folder, given with its trailing slash. Rules speak of folders with and without it; the exact
    /// ones of both spellings come before all others.
    pub(super) fn find_folder(&self, folder: &str) -> Option<RuleIndex> {
        let bare = folder.strip_suffix('/').unwrap_or(folder);
        let exact = self.exact.get(folder).or_else(|| self.exact.get(bare)).copied();
        exact.or_else(|| self.find_inexact(folder)).or_else(|| self.find_inexact(bare))
    }

    fn find_inexact(&self, path: &str) -> Option<RuleIndex> {
        let prefix = self.prefixes.longest(path);
        if !self.has_wildcards {
            return prefix;
        }
        let mut best = Best { specificities: &self.specificities, rule: prefix };
        self.wildcards.find(Some(path), &mut best);
        best.rule
    }
}

struct Best<'a> {
    specificities: &'a [Specificity],
    rule: Option<RuleIndex>,
}

impl Best<'_> {
    fn offer(&mut self, rule: RuleIndex) {
        let specificity = |rule: RuleIndex| self.specificities.get(rule);
        if self.rule.is_none_or(|best| specificity(rule) > specificity(best)) {
            self.rule = Some(rule);
        }
    }
}

/// Prefixes in order. Whatever prefixes of a path are in the table, the last entry not after the path is either
/// one of them or begins with the longest of them; so following each entry to its own longest prefix finds it.
#[derive(Debug, Default)]
struct PrefixTable(Vec<PrefixEntry>);

#[derive(Debug)]
struct PrefixEntry {
    prefix: Box<str>,
    rule: RuleIndex,
    /// The longest other entry that this one begins with.
    parent: Option<usize>,
}

impl PrefixTable {
    fn build(mut prefixes: Vec<(Box<str>, RuleIndex)>) -> Self {
        prefixes.sort_unstable();
        let mut entries: Vec<PrefixEntry> = Vec::with_capacity(prefixes.len());
        for (prefix, rule) in prefixes {
            let mut parent = entries.len().checked_sub(1);
            while let Some(entry) = parent.and_then(|index| entries.get(index)) {
                if prefix.starts_with(&*entry.prefix) {
                    break;
                }
                parent = entry.parent;
            }
            entries.push(PrefixEntry { prefix, rule, parent });
        }
        Self(entries)
    }

    fn longest(&self, path: &str) -> Option<RuleIndex> {
        let mut candidate = self.0.partition_point(|entry| *entry.prefix <= *path).checked_sub(1);
        while let Some(entry) = candidate.and_then(|index| self.0.get(index)) {
            if path.starts_with(&*entry.prefix) {
                return Some(entry.rule);
            }
            candidate = entry.parent;
        }
        None
    }
}

/// A tree over the segments of the rules that contain `+`. A node is reached by one path only, so a search visits
/// each at most once.
#[derive(Debug, Default)]
struct WildcardNode {
    literal: HashMap<Box<str>, WildcardNode>,
    any: Option<Box<WildcardNode>>,
    /// The rule that ends here.
    end: Option<RuleIndex>,
    /// The rules whose last segment, here, is a prefix; collected first, then put in order.
    globs: PrefixTable,
    globs_collected: Vec<(Box<str>, RuleIndex)>,
}

impl WildcardNode {
    fn insert(&mut self, segments: &[Segment], glob: bool, rule: RuleIndex) {
        match segments {
            [] => self.end = Some(rule),
            [Segment::Literal(prefix)] if glob => self.globs_collected.push((prefix.clone(), rule)),
            [Segment::Literal(name), rest @ ..] => {
                self.literal.entry(name.clone()).or_default().insert(rest, glob, rule);
            }
            [Segment::Any, rest @ ..] => self.any.get_or_insert_default().insert(rest, glob, rule),
        }
    }

    fn finish(&mut self) {
        self.globs = PrefixTable::build(std::mem::take(&mut self.globs_collected));
        self.literal.values_mut().for_each(Self::finish);
        if let Some(any) = &mut self.any {
            any.finish();
        }
    }

    fn find(&self, rest: Option<&str>, best: &mut Best<'_>) {
        let Some(rest) = rest else {
            if let Some(rule) = self.end {
                best.offer(rule);
            }
            return;
        };
        if let Some(rule) = self.globs.longest(rest) {
            best.offer(rule);
        }
        let (name, rest) = match rest.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (rest, None),
        };
        if let Some(node) = self.literal.get(name) {
            node.find(rest, best);
        }
        if let Some(node) = &self.any {
            node.find(rest, best);
        }
    }
}
