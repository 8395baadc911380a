//! What makes tampering show. Every line of a device ends with
//! `"chain":{"sequence":N,"previous":"<SHA-256 of the line before, without its line feed>"}`, and signed checkpoints
//! say, outside a forger's reach, how far the chain went and what its last hash was.

use super::mask::{write_hex, write_text};
use super::sink::Tail;
use std::io::Write;
use strongroom_crypto::hash::sha256;
use strongroom_secret::Timestamp;

/// A line's place in its chain, and its SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChainPoint {
    /// Counts lines from 1; 0 is before the first.
    pub sequence: u64,
    pub hash: [u8; 32],
}

type Sign = dyn Fn(&[u8]) -> [u8; 64] + Send + Sync;

/// Signs checkpoints: plain functions, so that keys stay where they are.
pub struct CheckpointSigner {
    /// Says which public key verifies the signature.
    pub key_id: String,
    /// Ed25519 over the message.
    pub sign: Box<Sign>,
    /// The store's position, which ties the log to what was stored by then.
    pub store_index: Box<dyn Fn() -> u64 + Send + Sync>,
}

/// A checkpoint's content. Everything in its line is under its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint<'a> {
    pub(super) time: &'a str,
    pub(super) device: &'a str,
    /// The line before the checkpoint.
    pub(super) point: ChainPoint,
    pub(super) store_index: u64,
    pub(super) key_id: &'a str,
}

impl Checkpoint<'_> {
    /// The signed bytes: a title and the fields, one a line. Texts are in JSON form, so that none can hold a line feed.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut out = b"strongroom audit checkpoint v1\n".to_vec();
        for text in [self.time, self.device, self.key_id] {
            write_text(&mut out, text);
            out.push(b'\n');
        }
        write!(out, "{}\n{}\n", self.point.sequence, self.store_index).unwrap_or_default();
        write_hex(&mut out, &self.point.hash);
        out
    }
}

/// A device's chain as it grows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chain {
    pub(super) point: ChainPoint,
}

impl Chain {
    /// Appends a line (an object, without line feed) with its place in the chain, and its line feed.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, line: &[u8]) {
        let start = out.len();
        let sequence = self.point.sequence.saturating_add(1);
        out.extend_from_slice(line.strip_suffix(b"}").unwrap_or(line));
        write!(out, ",\"chain\":{{\"sequence\":{sequence},\"previous\":\"").unwrap_or_default();
        write_hex(out, &self.point.hash);
        out.extend_from_slice(b"\"}}");
        let hash = out.get(start..).map(sha256).unwrap_or_default();
        self.point = ChainPoint { sequence, hash };
        out.push(b'\n');
    }

    /// Appends a line that says why the chain starts, or starts anew, here.
    pub(super) fn append_start(&mut self, out: &mut Vec<u8>, prefix: &str, time: Timestamp, start: &Start) {
        if start.ends_torn_line {
            out.push(b'\n');
        }
        self.point = start.after;
        let mut line =
            format!("{prefix}{{\"time\":\"{time}\",\"type\":\"chain-start\",\"reason\":").into_bytes();
        write_text(&mut line, &start.reason);
        line.push(b'}');
        self.append(out, &line);
    }

    /// Appends a line that says how many records this device could not take.
    pub(super) fn append_dropped(&mut self, out: &mut Vec<u8>, prefix: &str, time: Timestamp, count: u64) {
        let line = format!("{prefix}{{\"time\":\"{time}\",\"type\":\"dropped\",\"count\":{count}}}");
        self.append(out, line.as_bytes());
    }

    pub(super) fn append_checkpoint(
        &mut self,
        out: &mut Vec<u8>,
        prefix: &str,
        device: &str,
        time: Timestamp,
        signer: &CheckpointSigner,
    ) {
        let time = time.rfc3339();
        let store_index = (signer.store_index)();
        let checkpoint =
            Checkpoint { time: &time, device, point: self.point, store_index, key_id: &signer.key_id };
        let signature = (signer.sign)(&checkpoint.message());
        let mut line =
            format!("{prefix}{{\"time\":\"{time}\",\"type\":\"checkpoint\",\"device\":").into_bytes();
        write_text(&mut line, device);
        write!(line, ",\"sequence\":{},\"hash\":\"", self.point.sequence).unwrap_or_default();
        write_hex(&mut line, &self.point.hash);
        write!(line, "\",\"store_index\":{store_index},\"key_id\":").unwrap_or_default();
        write_text(&mut line, &signer.key_id);
        write!(line, ",\"signature\":\"{}\"}}", hex::encode(signature)).unwrap_or_default();
        self.append(out, &line);
    }
}

/// Why and where a chain starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) reason: String,
    /// What the starting line follows.
    pub(super) after: ChainPoint,
    /// A line feed goes before it.
    pub(super) ends_torn_line: bool,
}

/// How a chain goes on, given how the device's target ends and the last point that we know of.
pub(super) fn resume(tail: Tail, known: Option<ChainPoint>) -> Result<ChainPoint, Start> {
    let start = |reason: &str, after| Start { reason: reason.to_owned(), after, ends_torn_line: false };
    let (last, torn) = match tail {
        Tail::Stream => return Err(start("a stream is opened", known.unwrap_or_default())),
        Tail::Empty => {
            return Err(match known {
                None => start("a new file", ChainPoint::default()),
                Some(point) => start("the file begins anew: rotated, removed or replaced", point),
            });
        }
        Tail::Lines { last, torn } => (last, torn),
    };
    let known = known.unwrap_or_default();
    let found = last.as_deref().and_then(|line| {
        Link::read(line).map(|link| ChainPoint { sequence: link.sequence, hash: sha256(line) })
    });
    let newest = found.unwrap_or_default().sequence.max(known.sequence);
    if let Some(torn) = torn {
        let after = ChainPoint { sequence: newest, hash: sha256(&torn) };
        return Err(Start { ends_torn_line: true, ..start("the last line is torn", after) });
    }
    let hash = last.as_deref().map(sha256).unwrap_or_default();
    match found {
        None => Err(start("the last line is not of a chain", ChainPoint { sequence: newest, hash })),
        Some(point) if point.sequence > known.sequence || point == known => Ok(point),
        Some(point) => Err(start(
            &format!(
                "the file ends with line {} of its chain, though {} were written: truncated or replaced",
                point.sequence, known.sequence
            ),
            ChainPoint { sequence: newest, hash },
        )),
    }
}

/// The chain member at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) sequence: u64,
    pub(super) previous: [u8; 32],
}

impl Link {
    /// Reads it where [`Chain::append`] put it, and nowhere else: no JSON is parsed.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        const MEMBER: &[u8] = b",\"chain\":{\"sequence\":";
        let rest = line.strip_suffix(b"\"}}")?;
        let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(64)?)?;
        let mut previous = [0; 32];
        hex::decode_to_slice(digits, &mut previous).ok()?;
        let rest = rest.strip_suffix(b",\"previous\":\"")?;
        let length = rest.iter().rev().take(20).take_while(|byte| byte.is_ascii_digit()).count();
        let (rest, number) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        let sequence = std::str::from_utf8(number).ok()?.parse().ok()?;
        rest.ends_with(MEMBER).then_some(Self { sequence, previous })
    }
}
