//! Looks for the values of an index in a text.

use super::layers::{Layer, runs, unescaped};
use super::{Entry, Form, Index, KnownSecret};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use strongroom_fingerprint::{Head, Tag, classes};
use subtle::ConstantTimeEq;

/// Encodings within encodings are taken off this often.
const DEPTH_MAX: usize = 3;
/// All that is decoded of one text, as a multiple of its length, and a constant for short ones.
const DECODED_TIMES_MAX: usize = 16;
const DECODED_BYTES_MIN: usize = 64 << 10;

/// A value of the index, found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The bytes of the text it stands in: of the encoded text, if it was decoded.
    pub span: Range<usize>,
    /// Index into [`Matcher::secrets`].
    pub secret: usize,
    pub form: Form,
    /// Of the form that was found, whole whatever the index has of it: a server that made the index knows it.
    pub tag: Tag,
    /// Outermost first: `base64`, `hex`, `escapes`, `percent`, `entities`.
    pub decoded_from: Vec<&'static str>,
}

/// An index, made ready to be looked for. Shared by all threads.
pub struct Matcher {
    index: Index,
    /// Which entries begin so, by length.
    by_head: HashMap<Head, Vec<(u32, Vec<u32>)>>,
    /// Whether any value begins with a run this long, or with a character that is neither letter nor digit.
    runs: Vec<bool>,
    marks: [bool; 256],
    bytes_min: usize,
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matcher({} secrets)", self.index.len())
    }
}

impl Matcher {
    pub fn new(index: Index) -> Self {
        let mut by_head: HashMap<Head, Vec<(u32, Vec<u32>)>> = HashMap::new();
        let longest =
            index.entries.iter().map(|entry| entry.print.head.run as usize).max().unwrap_or_default();
        let mut lengths_of_runs = vec![false; longest + 1];
        let mut marks = [false; 256];
        for (number, entry) in index.entries.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let lengths = by_head.entry(entry.print.head).or_default();
            match lengths.iter_mut().find(|(length, _)| *length == entry.print.length) {
                Some((_, entries)) => entries.push(number),
                None => lengths.push((entry.print.length, vec![number])),
            }
            if let Some(run) = lengths_of_runs.get_mut(entry.print.head.run as usize) {
                *run = true;
            }
            if let (0, Some(mark)) = (entry.print.head.run, entry.print.head.next)
                && let Some(mark) = marks.get_mut(usize::from(mark))
            {
                *mark = true;
            }
        }
        let bytes_min =
            index.entries.iter().map(|entry| entry.print.length as usize).min().unwrap_or_default();
        Self { index, by_head, runs: lengths_of_runs, marks, bytes_min }
    }

    pub fn secrets(&self) -> &[KnownSecret] {
        &self.index.secrets
    }

    /// The address of the server that knows what hits are; None where the index names them.
    pub fn server(&self) -> Option<&str> {
        self.index.server.as_deref()
    }

    /// The tag by which who made the index would know a value.
    pub fn tag(&self, value: &[u8]) -> Tag {
        self.index.key.tag(value.trim_ascii())
    }

    /// Whether a hit could be met by chance: then the server has to confirm it.
    pub fn is_cut(&self) -> bool {
        self.index.tag_bytes < strongroom_fingerprint::TAG_BYTES
    }

    /// All values of the index in a text, in the order of the text. A value counts where no letter or digit touches it.
    pub fn search(&self, text: &[u8]) -> Vec<Hit> {
        if self.index.entries.is_empty() {
            return Vec::new();
        }
        let budget = text.len().saturating_mul(DECODED_TIMES_MAX).max(DECODED_BYTES_MIN);
        let mut search = Search { matcher: self, budget, hits: Vec::new(), seen: HashSet::new() };
        search.layer(text, &mut Vec::new(), &|range| range.clone());
        let mut hits = search.hits;
        hits.sort_by_key(|hit| (hit.span.start, hit.span.end, hit.secret));
        without_lines_of_wholes(hits)
    }

    fn candidates(&self, text: &[u8], start: usize, head: Head, hit: &mut Found<'_>) {
        let Some(lengths) = self.by_head.get(&head) else { return };
        for (length, entries) in lengths {
            let end = start + *length as usize;
            let Some(value) = text.get(start..end) else { continue };
            let touches = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
            if touches(value.last()) && touches(text.get(end)) {
                continue;
            }
            let filter = self.index.key.filter(value);
            let mut tag = None;
            for entry in entries.iter().filter_map(|number| self.index.entries.get(*number as usize)) {
                if entry.print.filter == filter && entry.print.classes == classes(value) {
                    let tag = tag.get_or_insert_with(|| self.index.key.tag(value));
                    let known = |tag: &Tag| tag.get(..self.index.tag_bytes).unwrap_or_default().to_vec();
                    if bool::from(known(tag).ct_eq(&known(&entry.print.tag))) {
                        hit(start..end, entry, tag);
                    }
                }
            }
        }
    }
}

type Found<'f> = dyn FnMut(Range<usize>, &Entry, &Tag) + 'f;

/// Of a key of several lines that was found whole, its lines are no news.
fn without_lines_of_wholes(hits: Vec<Hit>) -> Vec<Hit> {
    let whole: Vec<_> =
        hits.iter().filter(|hit| hit.form == Form::Whole).map(|hit| (hit.secret, hit.span.clone())).collect();
    let mut lines_of: Option<(usize, Vec<&'static str>)> = None;
    hits.into_iter()
        .filter(|hit| {
            let inside = whole.iter().any(|(secret, span)| {
                *secret == hit.secret && span.start <= hit.span.start && hit.span.end <= span.end
            });
            if hit.form == Form::Whole {
                return true;
            }
            // Of lines without the whole, one tells.
            let told = lines_of.as_ref().is_some_and(|(secret, from)| {
                hit.form == Form::Line && *secret == hit.secret && *from == hit.decoded_from
            });
            if hit.form == Form::Line {
                lines_of = Some((hit.secret, hit.decoded_from.clone()));
            }
            !inside && !told
        })
        .collect()
}

struct Search<'m> {
    matcher: &'m Matcher,
    /// What may still be decoded.
    budget: usize,
    hits: Vec<Hit>,
    seen: HashSet<(usize, Range<usize>)>,
}

impl Search<'_> {
    fn layer(
        &mut self,
        text: &[u8],
        path: &mut Vec<&'static str>,
        outer: &dyn Fn(&Range<usize>) -> Range<usize>,
    ) {
        self.plain(text, path, outer);
        if path.len() >= DEPTH_MAX {
            return;
        }
        let mut inner = Vec::new();
        let mut keep = |layer: Layer, budget: &mut usize| {
            if layer.text.len() <= *budget {
                *budget -= layer.text.len();
                inner.push(layer);
            }
        };
        let budget = &mut self.budget;
        runs(text, self.matcher.bytes_min, &mut |layer| keep(layer, budget));
        // The same escapes are not taken off twice: what is left of them is meant so.
        unescaped(text, &mut |layer| {
            if path.last() != Some(&layer.encoding) {
                keep(layer, budget);
            }
        });
        for layer in inner {
            path.push(layer.encoding);
            self.layer(&layer.text, path, &|range| outer(&layer.outer(range)));
            path.pop();
        }
    }

    fn plain(&mut self, text: &[u8], path: &[&'static str], outer: &dyn Fn(&Range<usize>) -> Range<usize>) {
        let matcher = self.matcher;
        let mut found = |range: Range<usize>, entry: &Entry, tag: &Tag| {
            let span = outer(&range);
            if self.seen.insert((entry.secret as usize, span.clone())) {
                let (secret, form) = (entry.secret as usize, entry.print.form);
                self.hits.push(Hit { span, secret, form, tag: *tag, decoded_from: path.to_vec() });
            }
        };
        let mut at = 0;
        while let Some(byte) = text.get(at) {
            if !byte.is_ascii_alphanumeric() {
                if matcher.marks.get(usize::from(*byte)) == Some(&true) {
                    matcher.candidates(text, at, Head { run: 0, next: Some(*byte) }, &mut found);
                }
                at += 1;
                continue;
            }
            let rest = text.get(at..).unwrap_or_default();
            let run = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            if matcher.runs.get(run) == Some(&true) {
                let run_u32 = u32::try_from(run).unwrap_or(u32::MAX);
                matcher.candidates(text, at, Head { run: run_u32, next: None }, &mut found);
                if let Some(next) = rest.get(run) {
                    matcher.candidates(text, at, Head { run: run_u32, next: Some(*next) }, &mut found);
                }
            }
            at += run;
        }
    }
}
