use super::database::{Database, Number, Reader};
use super::error::ObjectError;
use super::forest;
use super::pack::{Header, Pack};
use super::sightings::{SecretKey, Sightings};
use super::stream::EntryStream;
use crate::content::{ContentOptions, Inspector, Opened};
use crate::located::{Origin, Statistics, Watch};
use std::io::Read;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use strongroom_detect::{Detector, Fragment, PATH_UNKNOWN, Scratch};

/// What a text is, as far as looking at it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Text,
    /// It has a NUL at its beginning: UTF-16, an archive, a picture.
    Other,
}

/// So far NULs are looked for, as git does to tell text from other files.
const HEAD_BYTES: usize = 8000;

impl Class {
    pub(crate) fn of(content: &[u8]) -> Self {
        let head = content.get(..HEAD_BYTES).unwrap_or(content);
        if memchr::memchr(0, head).is_some() { Self::Other } else { Self::Text }
    }

    /// Whether a version that differs there may be of another class.
    pub(crate) fn can_change(changed: &[Range<usize>]) -> bool {
        changed.first().is_some_and(|range| range.start < HEAD_BYTES)
    }
}

/// One thread's detector: looks at texts, and keeps in mind where it saw something.
pub(crate) struct Eye<'a> {
    database: &'a Database,
    detector: &'a Detector,
    scratch: Scratch,
    /// For what is no plain text.
    inspector: Inspector<'a>,
    watch: Watch<'a>,
    /// Ends all threads.
    over: &'a AtomicBool,
    pub(crate) sightings: Sightings,
    pub(crate) statistics: Statistics,
}

impl<'a> Eye<'a> {
    pub(crate) fn new(
        database: &'a Database,
        detector: &'a Detector,
        content: &'a ContentOptions,
        watch: Watch<'a>,
        over: &'a AtomicBool,
    ) -> Self {
        Self {
            database,
            detector,
            scratch: Scratch::default(),
            inspector: Inspector::new(detector, content, Origin::History),
            watch,
            over,
            sightings: Sightings::default(),
            statistics: Statistics::default(),
        }
    }

    pub(crate) fn watch(&self) -> Watch<'a> {
        self.watch
    }

    pub(crate) fn is_over(&mut self) -> bool {
        if self.watch.is_cancelled() {
            self.over.store(true, Ordering::Relaxed);
        }
        self.statistics.ended_early |= self.over.load(Ordering::Relaxed);
        self.statistics.ended_early
    }

    pub(crate) fn class(&self, content: &[u8]) -> Class {
        Class::of(content)
    }

    /// Looks at a blob, whole or where it changed, and tells `hit` what it sees.
    pub(crate) fn look(
        &mut self,
        number: Number,
        content: &[u8],
        class: Class,
        changed: Option<&[Range<usize>]>,
        hit: &mut dyn FnMut(Range<usize>, SecretKey),
    ) {
        if class == Class::Other {
            let mut content = content;
            return self.inspect(number, &mut content);
        }
        self.statistics.texts += 1;
        self.statistics.bytes += content.len() as u64;
        let looked_at = changed.map_or(content.len(), |ranges| ranges.iter().map(Range::len).sum());
        self.statistics.bytes_looked_at += looked_at as u64;
        if looked_at == 0 {
            return;
        }
        let fragment = Fragment { changed, ..Fragment::whole(content, PATH_UNKNOWN) };
        for finding in self.detector.scan(&fragment, &mut self.scratch) {
            let key = SecretKey::of(&finding);
            self.sightings.add(number, key);
            hit(finding.span.clone(), key);
        }
    }

    /// A secret that a version has from the one that it grows on.
    pub(crate) fn saw_again(&mut self, number: Number, key: SecretKey) {
        self.sightings.add(number, key);
    }

    /// What a commit or a tag says.
    pub(crate) fn look_at_message(&mut self, number: Number, message: &[u8]) {
        self.statistics.texts += 1;
        self.statistics.bytes += message.len() as u64;
        self.statistics.bytes_looked_at += message.len() as u64;
        for finding in self.detector.scan(&Fragment::whole(message, ""), &mut self.scratch) {
            self.sightings.add(number, SecretKey::of(&finding));
        }
    }

    /// UTF-16, an archive, a blob that is too large to be held.
    pub(crate) fn inspect(&mut self, number: Number, source: &mut dyn Read) {
        let name = self.database.id(number).map(|id| id.to_string()).unwrap_or_default();
        self.inspector.inspect_outermost(Opened::stream(source), format!("{PATH_UNKNOWN}{name}"));
        for located in self.inspector.found.drain(..) {
            self.sightings.add(number, SecretKey::of(&located.finding));
        }
        let mut statistics = std::mem::take(&mut self.inspector.statistics);
        statistics.findings = 0;
        self.statistics.add(statistics.without_prefix(PATH_UNKNOWN));
    }

    /// A blob that is too large to be held, piece by piece.
    pub(crate) fn look_at_stream(
        &mut self,
        number: Number,
        pack: &Pack,
        header: &Header,
        reader: &mut Reader,
    ) {
        self.inspect(number, &mut EntryStream::new(pack, header, &mut reader.inflater, &mut reader.piece));
    }

    pub(crate) fn skip(&mut self, what: String, error: &ObjectError) {
        self.statistics.skip(what, forest::reason(error), error.to_string());
    }
}
