//! One text on its way through a redactor, in whatever pieces it comes.

use super::Redactor;
use super::json::{Lines, Start};
use super::patterns::KeyBodies;
use super::span::{Label, Span, join};
use super::style::Tally;
use crate::Scratch;
use std::sync::Arc;
use strongroom_secret::{SecretBytes, wipe};

/// So much of the beginning of a value is not shown, even if nothing follows it in time.
const TELLING_BYTES: usize = 8;

/// A longer line is looked at in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;
/// So much of a line without end waits for what follows it.
const TAIL_BYTES: usize = 4 << 10;
/// So much of a chunk is looked at with what was kept before it.
const SEAM_BYTES: usize = 4 << 10;
/// So much of a line is kept when it was shown, for what follows in it.
const CONTEXT_BYTES: usize = 4 << 10;

/// A text that is redacted. Its result does not depend on how the text is cut, but for what [`Stream::flush`] lets go.
pub struct Stream {
    redactor: Arc<Redactor>,
    /// What is kept of the text: first what was shown and may be part of a value, then what is held back.
    pub(super) text: Vec<u8>,
    /// How much of `text` was shown, or replaced.
    shown: usize,
    /// The last replacement, if it may go on: where in `text` it ends for now.
    open: Option<(usize, Label)>,
    /// Bytes taken in all.
    taken: u64,
    tally: Tally,
    /// Whether `text` begins within a private key.
    is_in_key: bool,
    json_start: Start,
    spans: Vec<Span>,
    scratch: Scratch,
}

/// How often something was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// The secret's name, or what showed that it is one.
    pub name: String,
    /// Whether it is one of the known values.
    pub is_known: bool,
    pub count: u64,
}

/// How the text goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    MayGoOn,
    /// As before, and it is a line without end.
    IsLong,
    /// It may go on, but somebody waits for what is there.
    Awaited,
    Reached,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} bytes taken, {} held)", self.taken, self.text.len() - self.shown)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        wipe(&mut self.text);
    }
}

impl Stream {
    pub fn new(redactor: Arc<Redactor>) -> Self {
        Self {
            redactor,
            text: Vec::new(),
            shown: 0,
            open: None,
            taken: 0,
            tally: Tally::default(),
            is_in_key: false,
            json_start: Start::default(),
            spans: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// From here on with other values. Those of the redactor before have to come first among them, in their order.
    pub fn set_redactor(&mut self, redactor: Arc<Redactor>) {
        self.redactor = redactor;
    }

    /// Takes a piece of the text, and appends what can be shown by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.taken += chunk.len() as u64;
        if !self.redactor.is_by_line() {
            self.advance(chunk, End::MayGoOn, out);
            return;
        }
        // Lines are looked at whole.
        let (lines, rest) = chunk.split_at(memchr::memrchr(b'\n', chunk).map_or(0, |end| end + 1));
        if !lines.is_empty() {
            self.advance(lines, End::MayGoOn, out);
        }
        self.text = joined(std::mem::take(&mut self.text), rest);
        if self.text.len() - self.shown > LINE_BYTES_MAX {
            self.advance(&[], End::IsLong, out);
        }
    }

    /// Appends what is held back, because nothing has come for a while. Of a value that has begun at most seven bytes are shown;
    /// of more than those all is replaced, and the rest of it when it comes.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.advance(&[], End::Awaited, out);
    }

    /// Appends the rest. The stream can be used for another text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(&[], End::Reached, out);
        (self.open, self.is_in_key, self.json_start) = (None, false, Start::default());
    }

    /// Which byte of the text is the first that is held back; `None`: none is. When it has been the same for some time, it is time
    /// to [`flush`](Self::flush).
    pub fn held_from(&self) -> Option<u64> {
        let held = self.text.len() - self.shown;
        (held > 0).then(|| self.taken - held as u64)
    }

    /// What was replaced so far, most first.
    pub fn replaced(&self) -> Vec<Replaced> {
        self.redactor.replaced(&self.tally)
    }

    fn advance(&mut self, chunk: &[u8], end: End, out: &mut Vec<u8>) {
        if self.text.is_empty() {
            self.look(chunk, end, out);
            return;
        }
        // Of a long chunk only the beginning is copied to what was kept: after that, mostly nothing is.
        let seam = self.seam(chunk);
        if let Some((first, rest)) = chunk.split_at_checked(seam).filter(|(_, rest)| !rest.is_empty()) {
            self.look_joined(first, End::MayGoOn, out);
            return self.look_joined(rest, end, out);
        }
        self.look_joined(chunk, end, out);
    }

    fn look_joined(&mut self, chunk: &[u8], end: End, out: &mut Vec<u8>) {
        let kept = std::mem::take(&mut self.text);
        if kept.is_empty() {
            return self.look(chunk, end, out);
        }
        self.look(SecretBytes::new(joined(kept, chunk)).expose(), end, out);
    }

    /// How much of a chunk is looked at together with what was kept.
    fn seam(&self, chunk: &[u8]) -> usize {
        let after = chunk.get(SEAM_BYTES..).unwrap_or_default();
        if self.redactor.is_by_line() {
            return memchr::memchr(b'\n', after).map_or(chunk.len(), |end| SEAM_BYTES + end + 1);
        }
        chunk.len().min(SEAM_BYTES)
    }

    /// Shows what can be shown of a text, and keeps what has to be kept.
    fn look(&mut self, text: &[u8], end: End, out: &mut Vec<u8>) {
        let redactor = Arc::clone(&self.redactor);
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        redactor.known.search(text, &mut spans);
        let bodies = redactor.patterns.as_ref().map(|patterns| {
            patterns.search(text, self.shown, &mut self.scratch, &mut spans);
            let bodies = KeyBodies::of(text, self.is_in_key);
            bodies.add_spans(text, self.shown, &mut spans);
            bodies
        });
        let beginning = if end == End::Reached { None } else { redactor.known.beginning(text) };
        if let (End::Awaited, Some((start, secret))) = (end, beginning)
            && text.len() - start >= TELLING_BYTES
        {
            spans.push(Span::new(start, text.len(), Label::Secret(secret)));
        }
        join(&mut spans);
        let lines = Lines { text, start: self.json_start, json: redactor.json };
        lines.fit(&redactor.known, &mut spans);
        let beginning = beginning.map_or(text.len(), |(start, _)| start);
        let mut cut = self.cut(text, end, beginning, &spans);
        if matches!(end, End::Awaited | End::IsLong) {
            cut = lines.before_open_scalar(cut).max(self.shown);
        }
        self.show(text, cut, &spans, out);
        let mut from = beginning.min(cut);
        if redactor.is_by_line() && end != End::Reached {
            from = line_start(text, from).max(before_escape(text, from.saturating_sub(CONTEXT_BYTES)));
        }
        self.json_start = lines.start_at(from);
        self.is_in_key = bodies.is_some_and(|bodies| bodies.has(from));
        self.keep(text, from, cut);
        self.spans = spans;
    }

    /// How far the text can be shown.
    fn cut(&self, text: &[u8], end: End, beginning: usize, spans: &[Span]) -> usize {
        let cut = match end {
            End::Awaited | End::Reached => return text.len(),
            End::MayGoOn => beginning,
            // What touches the end may go on.
            End::IsLong => {
                let last = spans.last().filter(|span| span.end == text.len()).map(|span| span.start);
                beginning.min(text.len().saturating_sub(TAIL_BYTES)).min(last.unwrap_or(text.len()))
            }
        };
        // But a span without end is shown as far as it goes.
        let is_full = text.len() - cut > LINE_BYTES_MAX;
        if is_full { text.len() } else { cut.max(self.shown) }
    }

    /// Appends the text up to `cut`, with replacements.
    fn show(&mut self, text: &[u8], cut: usize, spans: &[Span], out: &mut Vec<u8>) {
        out.reserve(cut.saturating_sub(self.shown));
        let mut at = self.open.map_or(self.shown, |(end, _)| end.max(self.shown)).min(cut);
        for span in spans {
            if span.end <= at {
                continue;
            }
            if span.start >= cut {
                break;
            }
            let goes_on = self
                .open
                .is_some_and(|(end, label)| span.start < end || (span.start == end && span.label == label));
            let label = match self.open {
                Some((_, label)) if goes_on => label,
                _ => {
                    let start = span.start.max(at);
                    out.extend_from_slice(text.get(at..start).unwrap_or_default());
                    let value = text.get(span.start..span.end).unwrap_or_default();
                    self.redactor.write_replacement(span, value, out);
                    self.tally.count(span.label);
                    span.label
                }
            };
            self.open = Some((span.end, label));
            at = span.end.min(cut);
        }
        out.extend_from_slice(text.get(at..cut).unwrap_or_default());
    }

    /// Keeps the text from `from` on, of which what is before `cut` was shown.
    fn keep(&mut self, text: &[u8], from: usize, cut: usize) {
        self.text = text.get(from..).unwrap_or_default().to_vec();
        self.shown = cut - from;
        // What was replaced before anything else was shown can go on.
        self.open = self.open.filter(|(end, _)| *end >= cut).map(|(end, label)| (end - from, label));
    }
}

/// Both, without a copy of the first that is left behind where it was.
fn joined(mut first: Vec<u8>, second: &[u8]) -> Vec<u8> {
    if first.capacity() - first.len() >= second.len() {
        first.extend_from_slice(second);
        return first;
    }
    let first = SecretBytes::new(first);
    let mut both = Vec::with_capacity((first.expose().len() + second.len()).max(2 * first.expose().len()));
    both.extend_from_slice(first.expose());
    both.extend_from_slice(second);
    both
}

fn line_start(text: &[u8], at: usize) -> usize {
    memchr::memrchr(b'\n', text.get(..at).unwrap_or_default()).map_or(0, |newline| newline + 1)
}

/// The place itself, or the backslash before it if that makes something else of what stands there.
fn before_escape(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let slashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
    at - slashes % 2
}
