use super::pieces::piece_buffer;
use super::{Encoding, Endian, Piece, Pieces, Utf16Reader, encoding_of};
use crate::archive::{self, ArchiveLimits, Budget, Kind, Within};
use crate::located::{Located, Origin, SkipReason, Statistics, Watch};
use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::SyncSender;
use strongroom_detect::{Detector, Finding, Fragment, Scratch};
use strongroom_secret::SecretBytes;

/// What is looked at, and how.
#[derive(Debug, Clone)]
pub struct ContentOptions {
    pub archives: ArchiveLimits,
    pub binaries: Binaries,
    pub cutting: Cutting,
}

impl Default for ContentOptions {
    fn default() -> Self {
        Self { archives: ArchiveLimits::default(), binaries: Binaries::Skipped, cutting: Cutting::Whole }
    }
}

/// What happens to files that are no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binaries {
    Skipped,
    /// Looked at like text.
    LookedAt,
}

/// Into what fragments a file is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// Files up to some megabytes whole, longer ones in pieces that overlap: nothing is missed.
    Whole,
    /// As gitleaks does, about 100 kB each, at an empty line if one is near: for findings and columns like its own.
    /// UTF-16 is not converted, as there.
    Gitleaks,
}

/// Something that can be read, and what is known of it.
pub(crate) struct Opened<'a> {
    pub(crate) reader: &'a mut dyn Read,
    /// The file itself, where it is one: a zip is read from its end.
    pub(crate) file: Option<&'a File>,
    /// All of it has been read already.
    pub(crate) ended: bool,
}

impl<'a> Opened<'a> {
    pub(crate) fn stream(reader: &'a mut dyn Read) -> Self {
        Self { reader, file: None, ended: false }
    }
}

/// A line in a finding is cut to this much around its match: a minified file has megabytes in one.
const LINE_BYTES_MAX: usize = 4096;

/// Looks at texts with one thread's buffers, and keeps what it finds.
pub(crate) struct Inspector<'a> {
    detector: &'a Detector,
    options: &'a ContentOptions,
    origin: Origin,
    scratch: Scratch,
    /// One for each level of archives in archives.
    buffers: Vec<Vec<u8>>,
    link_path: String,
    /// Takes what is found at once, instead of `found`.
    outlet: Option<(SyncSender<Located>, Watch<'a>)>,
    pub(crate) found: Vec<Located>,
    pub(crate) statistics: Statistics,
}

impl<'a> Inspector<'a> {
    pub(crate) fn new(detector: &'a Detector, options: &'a ContentOptions, origin: Origin) -> Self {
        Self {
            detector,
            options,
            origin,
            scratch: Scratch::default(),
            buffers: Vec::new(),
            link_path: String::new(),
            outlet: None,
            found: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// What is found is handed over when its piece has been looked at.
    pub(crate) fn handing_over(self, sender: SyncSender<Located>, watch: Watch<'a>) -> Self {
        Self { outlet: Some((sender, watch)), ..self }
    }

    pub(crate) fn skip(&mut self, what: &str, reason: SkipReason, detail: &str) {
        self.statistics.skip(what, reason, detail);
    }

    /// The rules look at nothing under this path.
    pub(crate) fn skips_path(&self, path: &str) -> bool {
        self.detector.skips_path(path)
    }

    /// A file on disk; `link_path` is how one came to it, or empty.
    pub(crate) fn inspect_file(&mut self, file: &File, path: String, link_path: String) {
        self.link_path = link_path;
        let mut reader = file;
        self.inspect_outermost(Opened { reader: &mut reader, file: Some(file), ended: false }, path);
        self.link_path.clear();
    }

    pub(crate) fn inspect_outermost(&mut self, opened: Opened<'_>, path: String) {
        let limits = &self.options.archives;
        let within = Within {
            path,
            depth_left: limits.depth,
            decompressed: false,
            budget: Budget::new(limits.clone()),
        };
        self.inspect(opened, within);
    }

    /// Anything: a file, a member of an archive.
    pub(crate) fn inspect(&mut self, opened: Opened<'_>, within: Within) {
        if self.skips_path(&within.path) {
            return self.skip(&within.path, SkipReason::Allowed, "");
        }
        let mut buffer = self.buffers.pop().unwrap_or_else(piece_buffer);
        let filled = match fill(opened.reader, &mut buffer) {
            Ok(filled) => filled,
            Err((filled, error)) => {
                self.skip_rest(&within.path, &error);
                Filled { count: filled, ended: true }
            }
        };
        let buffer = self.inspect_filled(buffer, filled, opened, within);
        self.buffers.push(buffer);
    }

    fn inspect_filled(
        &mut self,
        buffer: Vec<u8>,
        filled: Filled,
        opened: Opened<'_>,
        within: Within,
    ) -> Vec<u8> {
        let head = buffer.get(..filled.count).unwrap_or_default();
        if head.is_empty() {
            return buffer;
        }
        if let Some(kind) = Kind::of(head) {
            if let Some(inner) = self.enter(kind, &within) {
                let opened = Opened { ended: filled.ended, ..opened };
                archive::inspect(self, kind, head, opened, &inner);
            }
            return buffer;
        }
        if self.options.cutting == Cutting::Gitleaks {
            super::gitleaks::inspect(self, &mut head.chain(opened.reader), &within.path);
            return buffer;
        }
        match encoding_of(head) {
            Encoding::Binary(what) if self.options.binaries == Binaries::Skipped => {
                self.skip(&within.path, SkipReason::Binary, what);
                buffer
            }
            Encoding::Utf16 { endian, mark_bytes } => {
                let source = head.get(mark_bytes..).unwrap_or_default().chain(opened.reader);
                self.inspect_utf16(source, endian, &within.path);
                buffer
            }
            _ => {
                self.statistics.texts += 1;
                let pieces = Pieces::begun(opened.reader, buffer, filled.count, filled.ended);
                self.look_at_pieces(pieces, &within.path)
            }
        }
    }

    /// Whether an archive may be opened, and what that leaves for those inside it.
    fn enter(&mut self, kind: Kind, within: &Within) -> Option<Within> {
        let costs = usize::from(!(within.decompressed && kind == Kind::Tar));
        match within.depth_left.checked_sub(costs) {
            Some(depth_left) => Some(Within { depth_left, ..within.clone() }),
            None => {
                let detail = match self.options.archives.depth {
                    0 => "an archive, which is not opened".to_owned(),
                    depth => format!("an archive within {depth} others"),
                };
                self.skip(&within.path, SkipReason::TooDeep, &detail);
                None
            }
        }
    }

    fn inspect_utf16(&mut self, source: impl Read, endian: Endian, path: &str) {
        self.statistics.texts += 1;
        let buffer = self.buffers.pop().unwrap_or_default();
        let pieces = Pieces::new(Utf16Reader::new(source, endian), buffer);
        let buffer = self.look_at_pieces(pieces, path);
        self.buffers.push(buffer);
    }

    fn look_at_pieces<R: Read>(&mut self, mut pieces: Pieces<R>, path: &str) -> Vec<u8> {
        loop {
            match pieces.next() {
                Ok(Some(piece)) if !self.is_over() => self.look(&piece, path),
                Ok(_) => break,
                Err(error) => {
                    self.skip_rest(path, &error);
                    break;
                }
            }
        }
        pieces.into_buffer()
    }

    /// Something broke off; what came before has been looked at.
    pub(crate) fn skip_rest(&mut self, path: &str, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::PermissionDenied => SkipReason::PermissionDenied,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                SkipReason::Corrupt
            }
            _ if archive::is_limit(error) => SkipReason::TooLarge,
            _ => SkipReason::Unreadable,
        };
        self.skip(path, reason, &error.to_string());
    }

    fn look(&mut self, piece: &Piece<'_>, path: &str) {
        self.statistics.bytes += piece.own.len() as u64;
        self.statistics.bytes_looked_at += piece.text.len() as u64;
        let fragment = Fragment { first_line: piece.first_line, ..Fragment::whole(piece.text, path) };
        for mut finding in self.detector.scan(&fragment, &mut self.scratch) {
            if piece.own.contains(&finding.span.start) {
                move_right(&mut finding, piece);
                self.keep(finding, path);
            }
        }
    }

    pub(super) fn look_at_fragment(&mut self, fragment: &Fragment<'_>) {
        self.statistics.bytes += fragment.text.len() as u64;
        self.statistics.bytes_looked_at += fragment.text.len() as u64;
        for finding in self.detector.scan(fragment, &mut self.scratch) {
            self.keep(finding, fragment.path);
        }
    }

    fn keep(&mut self, mut finding: Finding, path: &str) {
        cut_line(&mut finding);
        self.statistics.findings += 1;
        let mut located = Located::outside_git(finding, path.to_owned(), self.origin);
        located.link_path.clone_from(&self.link_path);
        match &self.outlet {
            None => self.found.push(located),
            Some((sender, _)) => self.statistics.ended_early |= sender.send(located).is_err(),
        }
    }

    /// Nobody wants more.
    pub(super) fn is_over(&mut self) -> bool {
        if let Some((_, watch)) = &self.outlet {
            watch.tell("bytes", self.statistics.bytes, 0);
            self.statistics.ended_early |= watch.is_cancelled();
        }
        self.statistics.ended_early
    }
}

struct Filled {
    count: usize,
    ended: bool,
}

/// Reads until the buffer is full or the source ends. An error comes with what was read before it.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<Filled, (usize, io::Error)> {
    let mut count = 0;
    while let Some(room) = buffer.get_mut(count..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => return Ok(Filled { count, ended: true }),
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((count, error)),
        }
    }
    Ok(Filled { count, ended: false })
}

/// In a line that began before the piece did, columns count from the piece's beginning.
fn move_right(finding: &mut Finding, piece: &Piece<'_>) {
    let place = &mut finding.place;
    if place.start_line == piece.first_line {
        place.start_column += piece.first_line_cut;
    }
    if place.end_line == piece.first_line {
        place.end_column += piece.first_line_cut;
    }
}

/// Keeps a line's part around the match, if it is long.
fn cut_line(finding: &mut Finding) {
    let line = finding.line.expose();
    let matched = finding.matched.expose();
    if line.len() <= LINE_BYTES_MAX.max(2 * matched.len()) {
        return;
    }
    let at = memchr::memmem::find(line, matched).unwrap_or(0);
    let margin = LINE_BYTES_MAX.saturating_sub(matched.len()) / 2;
    let range = at.saturating_sub(margin)..(at + matched.len() + margin).min(line.len());
    finding.line = SecretBytes::from(line.get(range).unwrap_or_default().to_vec());
}
