//! Checks the chain of a log, line by line, in bounded memory.

use super::chain::{ChainPoint, Checkpoint, Link};
use super::lines::{Lines, json_of, kind_of};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::sign::VerifyingKey;

const RESTARTS_MAX: usize = 1000;

/// What a log is checked against.
#[derive(Default, Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// A checkpoint's signature has to be good under one of these. None at all leaves signatures unchecked.
    pub public_keys: &'a [VerifyingKey],
    /// A line that must be there: if the log ends before it, its tail was cut off.
    pub last_line: Option<ChainPoint>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub lines: u64,
    /// Of requests and responses.
    pub records: u64,
    /// Records that the device could not take at the time, by its own account.
    pub records_dropped: u64,
    pub checkpoints: u64,
    /// Where the chain started anew, with the reason that the server gave. At most 1,000 are listed.
    pub restarts: Vec<Restart>,
    pub first_sequence: Option<u64>,
    pub last_sequence: Option<u64>,
    /// SHA-256 of the last line, in hexadecimal.
    pub last_hash: Option<String>,
    pub last_checkpoint: Option<CheckpointSeen>,
    /// Lines after the last checkpoint: their order is vouched for by the chain alone.
    pub lines_after_checkpoint: u64,
    /// The first thing that is wrong.
    pub broken: Option<Break>,
}

/// A line that says that the chain starts here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restart {
    pub log: String,
    pub line: u64,
    pub sequence: u64,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointSeen {
    pub log: String,
    pub line: u64,
    pub time: String,
    /// Of the line that it seals.
    pub sequence: u64,
    pub store_index: u64,
    pub key_id: String,
    pub signature: SignatureState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureState {
    Good,
    NotChecked,
}

/// Where a log stops being what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Break {
    pub log: String,
    /// The first is 1.
    pub line: u64,
    pub kind: BreakKind,
    pub expected: String,
    pub found: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakKind {
    /// The line's text is not what was written.
    Altered,
    /// Lines are missing before this one.
    Removed,
    /// The line was not written by the server.
    Inserted,
    /// The line belongs elsewhere in this log.
    Moved,
    /// The log ends too early.
    Truncated,
    /// A checkpoint does not fit its place, or its signature is wrong.
    Forged,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log, line, kind, expected, found } = self;
        let kind = match kind {
            BreakKind::Altered => "altered",
            BreakKind::Removed => "lines removed before it",
            BreakKind::Inserted => "inserted",
            BreakKind::Moved => "moved",
            BreakKind::Truncated => "truncated",
            BreakKind::Forged => "forged checkpoint",
        };
        write!(f, "{log}:{line}: {kind}: expected {expected}, found {found}")
    }
}

impl Report {
    pub fn is_intact(&self) -> bool {
        self.broken.is_none()
    }
}

/// Checks one log.
pub fn verify(log: &str, reader: impl BufRead, options: VerifyOptions<'_>) -> io::Result<Report> {
    let mut verifier = Verifier::new(options);
    verifier.read(log, reader)?;
    Ok(verifier.finish())
}

/// Checks the logs of one device, oldest first: rotated files and then the current one.
pub struct Verifier<'a> {
    options: VerifyOptions<'a>,
    report: Report,
    log: String,
    /// The line before, and the one before that.
    last: Option<Seen>,
    before_last: Option<Seen>,
    /// A line without a chain, on which the next line decides.
    suspect: Option<Suspect>,
    /// Sequence numbers that are missing: if they come later, lines were moved.
    gap: Option<std::ops::Range<u64>>,
    has_last_line: bool,
}

#[derive(Clone, Copy)]
struct Seen {
    line: u64,
    point: ChainPoint,
}

#[derive(Clone, Copy)]
struct Suspect {
    line: u64,
    hash: [u8; 32],
    is_complete: bool,
}

/// The members of our own lines.
#[derive(Deserialize)]
struct OwnLine {
    #[serde(default)]
    time: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    device: String,
    #[serde(default)]
    sequence: u64,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    store_index: u64,
    #[serde(default)]
    key_id: String,
    #[serde(default)]
    signature: String,
}

impl<'a> Verifier<'a> {
    pub fn new(options: VerifyOptions<'a>) -> Self {
        Self {
            options,
            report: Report::default(),
            log: String::new(),
            last: None,
            before_last: None,
            suspect: None,
            gap: None,
            has_last_line: false,
        }
    }

    /// For what follows a line: the first line that is read has to name it.
    pub(super) fn after(point: Option<ChainPoint>, options: VerifyOptions<'a>) -> Self {
        let last = point.map(|point| Seen { line: 0, point });
        Self { last, ..Self::new(options) }
    }

    /// Reads the next log, to its end. After a break only the counts go on.
    pub fn read(&mut self, log: &str, reader: impl BufRead) -> io::Result<()> {
        self.log = log.to_owned();
        let mut lines = Lines::new(reader);
        loop {
            let number = lines.number + 1;
            let Some(line) = lines.next()? else { break };
            self.line(number, line.bytes, line.is_complete);
        }
        // The last line of a log must be complete, even if another log follows.
        if let Some(suspect) = self.suspect.filter(|suspect| !suspect.is_complete) {
            self.break_at(suspect.line, BreakKind::Truncated, "a complete line", "a torn one");
        }
        Ok(())
    }

    pub fn finish(mut self) -> Report {
        if let Some(suspect) = self.suspect.filter(|_| self.last.is_some()) {
            self.break_at(
                suspect.line,
                BreakKind::Altered,
                "a line of the chain",
                "a line without a place in it",
            );
        }
        if let Some(expected) =
            self.options.last_line.filter(|point| point.sequence > 0 && !self.has_last_line)
        {
            let found = self.last.map(|last| last.point.sequence).unwrap_or_default();
            let line = self.last.map(|last| last.line).unwrap_or_default();
            let expected = format!("line {} of the chain, which is known to be written", expected.sequence);
            self.break_at(
                line,
                BreakKind::Truncated,
                &expected,
                &format!("the end after line {found} of the chain"),
            );
        }
        self.report.last_sequence = self.last.map(|last| last.point.sequence);
        self.report.last_hash = self.last.map(|last| hex::encode(last.point.hash));
        self.report
    }

    fn line(&mut self, number: u64, bytes: &[u8], is_complete: bool) {
        self.report.lines += 1;
        let kind = kind_of(bytes);
        match kind {
            Some("request" | "response") => self.report.records += 1,
            Some("checkpoint") => self.report.checkpoints += 1,
            _ => {}
        }
        let link = Link::read(bytes).filter(|_| is_complete);
        if self.report.broken.is_some() {
            return self.look_for_gap(number, link);
        }
        let hash = sha256(bytes);
        let Some(link) = link else {
            // Two in a row: the first one stays the suspect.
            if self.suspect.is_none() || self.last.is_none() {
                self.suspect = Some(Suspect { line: number, hash, is_complete });
            }
            return;
        };
        let own = matches!(kind, Some("checkpoint" | "chain-start" | "dropped"))
            .then(|| serde_json::from_slice::<OwnLine>(json_of(bytes)).ok())
            .flatten();
        self.linked_line(number, link, kind, own.as_ref());
        if self.report.broken.is_some() {
            return;
        }
        let seen = Seen { line: number, point: ChainPoint { sequence: link.sequence, hash } };
        self.report.first_sequence.get_or_insert(link.sequence);
        self.report.lines_after_checkpoint += 1;
        self.has_last_line |= self.options.last_line == Some(seen.point);
        self.before_last = self.last.replace(seen);
        if let (Some("checkpoint"), Some(own)) = (kind, &own) {
            self.checkpoint(number, link, own);
        }
    }

    /// Compares a line's place in the chain with the lines before it.
    fn linked_line(&mut self, number: u64, link: Link, kind: Option<&str>, own: Option<&OwnLine>) {
        let suspect = self.suspect.take();
        match (kind, own) {
            (Some("chain-start"), Some(own)) => return self.restart(number, link, own, suspect),
            (Some("dropped"), Some(own)) => self.report.records_dropped += own.count,
            _ => {}
        }
        let Some(last) = self.last else {
            if let Some(suspect) = suspect {
                self.break_at(
                    suspect.line,
                    BreakKind::Altered,
                    "a line of the chain",
                    "a line without a place in it",
                );
            }
            return;
        };
        let next = last.point.sequence.saturating_add(1);
        let follows = link.previous == last.point.hash;
        match suspect {
            None if follows && link.sequence == next => {}
            None if follows => {
                self.break_at(
                    number,
                    BreakKind::Altered,
                    &format!("number {next}"),
                    &format!("{}", link.sequence),
                );
            }
            None => self.mismatch(number, link, last, next),
            Some(suspect) if follows && link.sequence == next => {
                self.break_at(
                    suspect.line,
                    BreakKind::Inserted,
                    "no line here",
                    "a line without a place in the chain",
                );
            }
            Some(suspect) => {
                self.break_at(
                    suspect.line,
                    BreakKind::Altered,
                    &format!("line {next} of the chain"),
                    "another text",
                );
            }
        }
    }

    /// The line does not name the one before it.
    fn mismatch(&mut self, number: u64, link: Link, last: Seen, next: u64) {
        let found = format!("line {} of the chain", link.sequence);
        if link.sequence > next {
            self.gap = Some(next..link.sequence);
            return self.break_at(number, BreakKind::Removed, &format!("line {next} of the chain"), &found);
        }
        let before = self.before_last.map(|before| before.point.hash);
        if link.sequence == last.point.sequence && before.is_some_and(|hash| hash == link.previous) {
            return self.break_at(last.line, BreakKind::Inserted, "no line here", &found);
        }
        if link.sequence == next {
            let expected = format!("a line with hash {}", hex::encode(link.previous));
            let found = format!("one with hash {}", hex::encode(last.point.hash));
            return self.break_at(last.line, BreakKind::Altered, &expected, &found);
        }
        self.break_at(number, BreakKind::Inserted, &format!("line {next} of the chain"), &found);
    }

    /// A chain may start anew after any line, if it names that line, or as the first line of all.
    fn restart(&mut self, number: u64, link: Link, own: &OwnLine, suspect: Option<Suspect>) {
        let before = suspect.map(|suspect| suspect.hash).or(self.last.map(|last| last.point.hash));
        if let Some(hash) = before.filter(|hash| *hash != link.previous) {
            let line =
                suspect.map(|suspect| suspect.line).or(self.last.map(|last| last.line)).unwrap_or(number);
            let expected = format!("a line with hash {}", hex::encode(link.previous));
            return self.break_at(
                line,
                BreakKind::Altered,
                &expected,
                &format!("one with hash {}", hex::encode(hash)),
            );
        }
        if self.report.restarts.len() < RESTARTS_MAX {
            self.report.restarts.push(Restart {
                log: self.log.clone(),
                line: number,
                sequence: link.sequence,
                reason: own.reason.clone(),
            });
        }
    }

    fn checkpoint(&mut self, number: u64, link: Link, own: &OwnLine) {
        let point = ChainPoint { sequence: own.sequence, hash: link.previous };
        let fits = own.sequence.saturating_add(1) == link.sequence && own.hash == hex::encode(link.previous);
        let checkpoint = Checkpoint {
            time: &own.time,
            device: &own.device,
            point,
            store_index: own.store_index,
            key_id: &own.key_id,
        };
        let signature = match self.options.public_keys {
            [] => Some(SignatureState::NotChecked),
            keys => is_signed(&checkpoint, &own.signature, keys).then_some(SignatureState::Good),
        };
        let Some(signature) = signature.filter(|_| fits) else {
            let found = if fits { "a wrong signature" } else { "another line's checkpoint" };
            return self.break_at(number, BreakKind::Forged, "a checkpoint of the line before it", found);
        };
        self.report.lines_after_checkpoint = 0;
        self.report.last_checkpoint = Some(CheckpointSeen {
            log: self.log.clone(),
            line: number,
            time: own.time.clone(),
            sequence: own.sequence,
            store_index: own.store_index,
            key_id: own.key_id.clone(),
            signature,
        });
    }

    /// Lines that seemed to be removed may only have been moved.
    fn look_for_gap(&mut self, number: u64, link: Option<Link>) {
        let is_missing = |link: &Link| self.gap.as_ref().is_some_and(|gap| gap.contains(&link.sequence));
        if let (Some(link), Some(broken)) = (link.filter(is_missing), &mut self.report.broken) {
            broken.kind = BreakKind::Moved;
            broken.found =
                format!("{}; line {} of the chain is at {}:{number}", broken.found, link.sequence, self.log);
            self.gap = None;
        }
    }

    fn break_at(&mut self, line: u64, kind: BreakKind, expected: &str, found: &str) {
        self.report.broken.get_or_insert_with(|| Break {
            log: self.log.clone(),
            line,
            kind,
            expected: expected.to_owned(),
            found: found.to_owned(),
        });
    }
}

/// The most that is read from the end of a log to find its newest checkpoint.
const TAIL_BYTES_MAX: u64 = 64 << 20;

/// The store's position in the newest checkpoint of a log file that is signed by `key`: the store was at least there.
/// None if the end of the file has no such checkpoint.
pub fn signed_store_index(path: &Path, key: &VerifyingKey) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut lines = Lines::new(BufReader::with_capacity(1 << 20, file));
    let mut newest = None;
    while let Some(line) = lines.next()? {
        if kind_of(line.bytes) != Some("checkpoint") {
            continue;
        }
        let Ok(own) = serde_json::from_slice::<OwnLine>(json_of(line.bytes)) else { continue };
        let mut hash = [0; 32];
        if hex::decode_to_slice(&own.hash, &mut hash).is_err() {
            continue;
        }
        let checkpoint = Checkpoint {
            time: &own.time,
            device: &own.device,
            point: ChainPoint { sequence: own.sequence, hash },
            store_index: own.store_index,
            key_id: &own.key_id,
        };
        if is_signed(&checkpoint, &own.signature, std::slice::from_ref(key)) {
            newest = Some(own.store_index);
        }
    }
    Ok(newest)
}

fn is_signed(checkpoint: &Checkpoint<'_>, signature: &str, keys: &[VerifyingKey]) -> bool {
    let message = checkpoint.message();
    let Ok(signature) = hex::decode(signature) else { return false };
    keys.iter().any(|key| key.verify(&message, &signature).is_ok())
}
