//! One text on its way through a redactor, in whatever pieces it comes.

use super::Redactor;
use super::span::{Label, Span, join};
use super::style::Tally;
use std::sync::Arc;
use strongroom_secret::SecretBytes;
use zeroize::Zeroize;

/// So much of the beginning of a value is not shown, even if nothing follows it in time.
const TELLING_BYTES: usize = 8;

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
    spans: Vec<Span>,
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
        self.text.zeroize();
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
            spans: Vec::new(),
        }
    }

    /// From here on with other values. Those of the redactor before have to come first among them, in their order.
    pub fn set_redactor(&mut self, redactor: Arc<Redactor>) {
        self.redactor = redactor;
    }

    /// Takes a piece of the text, and appends what can be shown by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.taken += chunk.len() as u64;
        self.advance(chunk, End::MayGoOn, out);
    }

    /// Appends what is held back, because nothing has come for a while. Of a value that has begun at most seven bytes are shown;
    /// of more than those all is replaced, and the rest of it when it comes.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.advance(&[], End::Awaited, out);
    }

    /// Appends the rest. The stream can be used for another text.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(&[], End::Reached, out);
        self.open = None;
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
        let kept = std::mem::take(&mut self.text);
        if kept.is_empty() {
            self.look(chunk, end, out);
            return;
        }
        // Room for both, so that what is held does not move and leave a copy behind.
        let kept = SecretBytes::new(kept);
        let mut text = Vec::with_capacity(kept.expose().len() + chunk.len());
        text.extend_from_slice(kept.expose());
        text.extend_from_slice(chunk);
        self.look(SecretBytes::new(text).expose(), end, out);
    }

    /// Shows what can be shown of a text, and keeps what has to be kept.
    fn look(&mut self, text: &[u8], end: End, out: &mut Vec<u8>) {
        let redactor = Arc::clone(&self.redactor);
        let mut spans = std::mem::take(&mut self.spans);
        spans.clear();
        redactor.known.search(text, &mut spans);
        let beginning = if end == End::Reached { None } else { redactor.known.beginning(text) };
        if let (End::Awaited, Some((start, secret))) = (end, beginning)
            && text.len() - start >= TELLING_BYTES
        {
            spans.push(Span { start, end: text.len(), label: Label::Secret(secret) });
        }
        join(&mut spans);
        let cut = match (end, beginning) {
            (End::MayGoOn, Some((start, _))) => start.max(self.shown),
            _ => text.len(),
        };
        self.show(text, cut, &spans, out);
        self.keep(text, beginning.map_or(cut, |(start, _)| start.min(cut)), cut);
        self.spans = spans;
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
                    self.redactor.write_replacement(span.label, value, out);
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
