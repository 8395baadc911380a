//! A device: a bounded queue, and a thread that writes what waits in it with one call per batch.

use super::chain::{Chain, ChainPoint, CheckpointSigner, Start, resume};
use super::sink::{AuditSink, Tail};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use strongroom_secret::{Clock, Timestamp};
use zeroize::Zeroize;

/// What waits for a device at most. What comes on top is dropped and counted.
const QUEUE_BYTES_MAX: usize = 64 << 20;
const QUEUE_RECORDS_MAX: usize = 1 << 17;
/// How much goes into one write, give or take a record.
const BATCH_BYTES: usize = 1 << 20;
/// How often a thread with something due looks at the clock.
const TICK: Duration = Duration::from_millis(50);
const LOSS_CHECK_INTERVAL: Duration = Duration::from_secs(1);
const RETRY_AFTER_MIN: Duration = Duration::from_millis(100);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// The state of a device, as the health answer names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceHealth {
    pub path: String,
    pub kind: &'static str,
    /// A device that is not healthy is tried again and again, but not waited for.
    pub healthy: bool,
    /// What is wrong, if anything is.
    pub failure: Option<String>,
    /// Since when it is as it is.
    pub since: Timestamp,
    pub records_written: u64,
    pub records_dropped: u64,
    pub records_waiting: usize,
    /// The last line written.
    pub last_line: Option<ChainPoint>,
}

/// Records that were submitted together: their lines in every format that some device wants, and who still has to
/// answer.
pub(super) struct Submission {
    pub(super) forms: Vec<Vec<u8>>,
    pub(super) records: u64,
    pub(super) holds_secrets: bool,
    pub(super) submitted: Duration,
    awaited: AtomicU64,
    succeeded: AtomicBool,
    done: Mutex<Option<Done>>,
}

/// Told once whether somebody has written. It runs on a device's thread, or on the submitter's.
pub(super) type Done = Box<dyn FnOnce(bool) + Send>;

impl Submission {
    /// `awaited` has a bit for each party that has to settle.
    pub(super) fn new(
        forms: Vec<Vec<u8>>,
        records: u64,
        holds_secrets: bool,
        submitted: Duration,
        awaited: u64,
        done: Done,
    ) -> Self {
        Self {
            forms,
            records,
            holds_secrets,
            submitted,
            awaited: AtomicU64::new(awaited),
            succeeded: AtomicBool::new(false),
            done: Mutex::new(Some(done)),
        }
    }

    /// One party is through. The last one completes the receipt; settling twice does nothing.
    pub(super) fn settle(&self, bit: u64, outcome: Outcome) {
        if outcome == Outcome::Written {
            self.succeeded.store(true, Ordering::Release);
        }
        let before = self.awaited.fetch_and(!bit, Ordering::AcqRel);
        let is_last = before & bit != 0 && before & !bit == 0;
        if let Some(done) = is_last.then(|| self.done.lock().take()).flatten() {
            done(self.succeeded.load(Ordering::Acquire));
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if let Some(done) = self.done.get_mut().take() {
            done(false);
        }
        if self.holds_secrets {
            self.forms.zeroize();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    NotWritten,
}

/// A submission as it waits at one device.
pub(super) struct Item {
    pub(super) submission: Arc<Submission>,
    pub(super) form: usize,
}

impl Item {
    fn lines(&self) -> &[u8] {
        self.submission.forms.get(self.form).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The part of a device that is shared between its thread and the broker.
pub(super) struct Device {
    pub(super) path: String,
    pub(super) kind: &'static str,
    /// Its own bit in [`Submission::awaited`].
    pub(super) bit: u64,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// What the thread is writing. Locked after `queue` where both are.
    in_flight: Mutex<Vec<Item>>,
}

struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    status: Status,
    failure: Option<String>,
    since: Timestamp,
    written: u64,
    dropped: u64,
    last_line: Option<ChainPoint>,
    reopen: bool,
    closing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Healthy,
    /// Not waited for.
    Unhealthy,
}

impl Device {
    pub(super) fn new(path: String, kind: &'static str, bit: u64, now: Timestamp) -> Self {
        let queue = Queue {
            items: VecDeque::new(),
            bytes: 0,
            status: Status::Healthy,
            failure: None,
            since: now,
            written: 0,
            dropped: 0,
            last_line: None,
            reopen: false,
            closing: false,
        };
        Self { path, kind, bit, queue: Mutex::new(queue), wake: Condvar::new(), in_flight: Mutex::default() }
    }

    /// Queues a submission. If it is not waited for here, or does not fit, it is settled at once.
    pub(super) fn push(&self, item: Item) {
        let size = item.lines().len();
        let mut queue = self.queue.lock();
        let is_full =
            queue.bytes.saturating_add(size) > QUEUE_BYTES_MAX || queue.items.len() >= QUEUE_RECORDS_MAX;
        if is_full || queue.closing {
            queue.dropped += item.submission.records;
            drop(queue);
            return item.submission.settle(self.bit, Outcome::NotWritten);
        }
        if queue.status == Status::Unhealthy {
            item.submission.settle(self.bit, Outcome::NotWritten);
        }
        queue.bytes += size;
        queue.items.push_back(item);
        drop(queue);
        self.wake.notify_one();
    }

    pub(super) fn request_reopen(&self) {
        self.queue.lock().reopen = true;
        self.wake.notify_one();
    }

    pub(super) fn request_close(&self) {
        self.queue.lock().closing = true;
        self.wake.notify_one();
    }

    /// Stops waiting for a device that has not answered for `timeout`.
    pub(super) fn check_overdue(&self, monotonic: Duration, now: Timestamp, timeout: Duration) {
        let queue = self.queue.lock();
        if queue.status == Status::Unhealthy {
            return;
        }
        let in_flight = self.in_flight.lock();
        let oldest = in_flight.first().or(queue.items.front());
        let is_overdue =
            oldest.is_some_and(|item| monotonic.saturating_sub(item.submission.submitted) >= timeout);
        drop(in_flight);
        if is_overdue {
            self.give_up(queue, now, format!("no answer for {} ms", timeout.as_millis()));
        }
    }

    /// Marks the device as failed from outside its thread.
    pub(super) fn mark_failed(&self, now: Timestamp, failure: &str) {
        self.give_up(self.queue.lock(), now, failure.to_owned());
    }

    /// Nobody waits for this device any more, until it has caught up.
    fn give_up(&self, mut queue: MutexGuard<'_, Queue>, now: Timestamp, failure: String) {
        if queue.status == Status::Healthy {
            tracing::error!(device = self.path, failure, "audit device failed: going on without it");
            queue.status = Status::Unhealthy;
            queue.since = now;
        }
        queue.failure = Some(failure);
        for item in queue.items.iter().chain(self.in_flight.lock().iter()) {
            item.submission.settle(self.bit, Outcome::NotWritten);
        }
    }

    /// At the end: nobody waits any more for what was not written.
    pub(super) fn release_all(&self) {
        let queue = self.queue.lock();
        let in_flight = self.in_flight.lock();
        for item in queue.items.iter().chain(in_flight.iter()) {
            item.submission.settle(self.bit, Outcome::NotWritten);
        }
        let lost = queue.items.len() + in_flight.len();
        if lost > 0 {
            tracing::error!(
                device = self.path,
                submissions = lost,
                "audit device closed with records not written"
            );
        }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.queue.lock().status == Status::Healthy
    }

    pub(super) fn health(&self) -> DeviceHealth {
        let queue = self.queue.lock();
        DeviceHealth {
            path: self.path.clone(),
            kind: self.kind,
            healthy: queue.status == Status::Healthy,
            failure: queue.failure.clone(),
            since: queue.since,
            records_written: queue.written,
            records_dropped: queue.dropped,
            records_waiting: queue.items.len() + self.in_flight.lock().len(),
            last_line: queue.last_line,
        }
    }
}

/// What a device's thread works with.
pub(super) struct Worker {
    pub(super) device: Arc<Device>,
    pub(super) sink: Box<dyn AuditSink>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signer: Option<Arc<CheckpointSigner>>,
    pub(super) checkpoint_records: u64,
    pub(super) checkpoint_interval: Duration,
    pub(super) prefix: String,
    pub(super) holds_secrets: bool,
    pub(super) progress: Progress,
}

/// How far a worker is.
#[derive(Default)]
pub(super) struct Progress {
    chain: Chain,
    /// The newest point that is known: before the first opening, from outside.
    known: Option<ChainPoint>,
    is_open: bool,
    /// To be written before anything else.
    start: Option<Start>,
    batch: Vec<u8>,
    checked: Duration,
    /// Since the last checkpoint.
    unsigned: u64,
    signed: Duration,
    dropped_noted: u64,
    retry_after: Duration,
    retry_at: Option<Duration>,
    /// So many records are to be written one by one.
    singly: usize,
}

impl Progress {
    pub(super) fn after(known: Option<ChainPoint>) -> Self {
        Self { known, ..Self::default() }
    }
}

enum Errand {
    Write,
    Close,
}

impl Worker {
    /// Opens the sink, and tells `opened` how it went. Then works until the device is closed.
    pub(super) fn run(mut self, opened: oneshot::Sender<io::Result<()>>, done: oneshot::Sender<()>) {
        self.progress.signed = self.clock.monotonic();
        let result = self.open();
        if let Err(error) = &result {
            self.fail(error);
        }
        // Whoever enabled the device may have stopped waiting for it.
        opened.send(result).unwrap_or_default();
        loop {
            let errand = self.wait();
            self.flush();
            if matches!(errand, Errand::Close) {
                break;
            }
        }
        self.close();
        done.send(()).unwrap_or_default();
    }

    /// Waits for something to do, and takes a batch of records if none is held from before.
    fn wait(&mut self) -> Errand {
        let mut queue = self.device.queue.lock();
        loop {
            if std::mem::take(&mut queue.reopen) {
                self.progress.is_open = false;
                return Errand::Write;
            }
            let mut in_flight = self.device.in_flight.lock();
            let may_write = self.progress.retry_at.is_none_or(|at| self.clock.monotonic() >= at);
            if queue.closing || (may_write && (!in_flight.is_empty() || !queue.items.is_empty())) {
                if in_flight.is_empty() {
                    self.progress.singly = take_batch(&mut queue, &mut in_flight, self.progress.singly);
                }
                let is_last = queue.closing && (queue.items.is_empty() || self.progress.retry_at.is_some());
                return if is_last { Errand::Close } else { Errand::Write };
            }
            let is_unsigned = self.signer.is_some() && self.progress.unsigned > 0;
            let has_business = is_unsigned || self.progress.retry_at.is_some();
            drop(in_flight);
            if may_write && self.checkpoint_is_due() {
                return Errand::Write;
            }
            match has_business {
                true => drop(self.device.wake.wait_for(&mut queue, TICK)),
                false => self.device.wake.wait(&mut queue),
            }
            // Requests that are being served at this moment can join the batch: fewer writes and fewer wake-ups.
            MutexGuard::unlocked(&mut queue, std::thread::yield_now);
        }
    }

    fn checkpoint_is_due(&self) -> bool {
        let waited = self.clock.monotonic().saturating_sub(self.progress.signed);
        let unsigned = self.progress.unsigned;
        self.signer.is_some()
            && unsigned > 0
            && (unsigned >= self.checkpoint_records || waited >= self.checkpoint_interval)
    }

    fn open(&mut self) -> io::Result<()> {
        let tail = self.sink.reopen()?;
        let is_first = self.progress.known.is_none_or(|known| known != self.progress.chain.point);
        // A stream that is connected again goes on with its chain.
        if tail == Tail::Stream && !is_first {
            self.progress.is_open = true;
            return Ok(());
        }
        match resume(tail, self.progress.known) {
            Ok(point) => {
                self.progress.chain.point = point;
                self.progress.known = Some(point);
                self.device.queue.lock().last_line = Some(point);
            }
            Err(start) => {
                if self.progress.known.is_some() || start.ends_torn_line {
                    tracing::warn!(
                        device = self.device.path,
                        reason = start.reason,
                        "audit chain starts anew"
                    );
                }
                self.progress.start = Some(start);
            }
        }
        self.progress.is_open = true;
        self.progress.checked = self.clock.monotonic();
        Ok(())
    }

    /// Once in a while: is the file still the one under its name?
    fn check_loss(&mut self) {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.progress.checked) < LOSS_CHECK_INTERVAL {
            return;
        }
        self.progress.checked = now;
        if let Some(loss) = self.sink.loss() {
            tracing::error!(
                device = self.device.path,
                loss,
                "audit records were removed: going on in a new file"
            );
            self.progress.is_open = false;
        }
    }

    /// Writes the batch in flight and what else is due. What fails is tried once more at once, then later.
    fn flush(&mut self) {
        if self.progress.is_open {
            self.check_loss();
        }
        let mut failure = None;
        for _ in 0..2 {
            match self.write_batch() {
                Ok(()) => return self.settle_batch(),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return self.drop_refused(),
                Err(error) => {
                    self.progress.is_open = false;
                    failure = Some(error);
                }
            }
        }
        if let Some(error) = failure {
            self.fail(&error);
        }
    }

    fn write_batch(&mut self) -> io::Result<()> {
        if !self.progress.is_open {
            self.open()?;
        }
        let dropped = self.device.queue.lock().dropped;
        let time = self.clock.now();
        let Progress { chain, start, batch, dropped_noted, .. } = &mut self.progress;
        let mut next = *chain;
        batch.clear();
        if let Some(start) = start {
            next.append_start(batch, &self.prefix, time, start);
        }
        if dropped > *dropped_noted {
            next.append_dropped(batch, &self.prefix, time, dropped - *dropped_noted);
        }
        let mut lines = 0;
        for item in self.device.in_flight.lock().iter() {
            let mut rest = item.lines();
            while let Some((line, after)) =
                memchr::memchr(b'\n', rest).and_then(|feed| rest.split_at_checked(feed))
            {
                next.append(batch, line);
                lines += 1;
                rest = after.get(1..).unwrap_or_default();
            }
        }
        self.progress.unsigned += lines;
        let is_due = self.checkpoint_is_due();
        if let Some(signer) = self.signer.as_ref().filter(|_| is_due) {
            next.append_checkpoint(&mut self.progress.batch, &self.prefix, &self.device.path, time, signer);
        }
        let result = match self.progress.batch.is_empty() {
            true => Ok(()),
            false => self.sink.write(&self.progress.batch),
        };
        if self.holds_secrets {
            self.progress.batch.zeroize();
        }
        match &result {
            Ok(()) => self.accept(next, dropped, is_due),
            Err(_) => self.progress.unsigned -= lines,
        }
        result
    }

    fn accept(&mut self, chain: Chain, dropped: u64, is_signed: bool) {
        let progress = &mut self.progress;
        progress.chain = chain;
        progress.known = Some(chain.point);
        progress.start = None;
        progress.dropped_noted = dropped;
        progress.retry_at = None;
        progress.retry_after = Duration::ZERO;
        if is_signed {
            progress.unsigned = 0;
            progress.signed = self.clock.monotonic();
        }
    }

    /// Completes the receipts of the batch. A device that had failed is healthy again once no more than a batch waits.
    fn settle_batch(&mut self) {
        // First the account, then the receipts: who has one finds its record in the account.
        let batch = std::mem::take(&mut *self.device.in_flight.lock());
        self.note_written(batch.iter().map(|item| item.submission.records).sum());
        for item in batch {
            item.submission.settle(self.device.bit, Outcome::Written);
        }
    }

    fn note_written(&self, records: u64) {
        let mut queue = self.device.queue.lock();
        queue.written += records;
        queue.last_line = Some(self.progress.chain.point);
        if queue.status == Status::Unhealthy && queue.bytes < BATCH_BYTES {
            queue.status = Status::Healthy;
            queue.failure = None;
            queue.since = self.clock.now();
            tracing::warn!(device = self.device.path, "audit device works again");
        }
    }

    /// The sink will never take this batch: its records go one by one, and those that are refused are dropped.
    fn drop_refused(&mut self) {
        let batch = std::mem::take(&mut *self.device.in_flight.lock());
        match batch.len() {
            0 | 1 => self.discard(batch),
            count => {
                self.progress.singly = count;
                self.put_back(batch);
            }
        }
    }

    fn put_back(&self, items: Vec<Item>) {
        let mut queue = self.device.queue.lock();
        for item in items.into_iter().rev() {
            queue.bytes += item.lines().len();
            queue.items.push_front(item);
        }
    }

    fn discard(&self, items: Vec<Item>) {
        for item in items {
            tracing::error!(
                device = self.device.path,
                "an audit record was refused as too long, and dropped"
            );
            self.device.queue.lock().dropped += item.submission.records;
            item.submission.settle(self.device.bit, Outcome::NotWritten);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        let wait = self.progress.retry_after.saturating_mul(2).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX);
        self.progress.retry_after = wait;
        self.progress.retry_at = Some(self.clock.monotonic().saturating_add(wait));
        self.device.give_up(self.device.queue.lock(), self.clock.now(), error.to_string());
    }

    /// Signs what is not signed yet, and lets go of what could not be written.
    fn close(&mut self) {
        if self.progress.is_open && self.progress.unsigned > 0 && self.progress.retry_at.is_none() {
            self.checkpoint_interval = Duration::ZERO;
            if let Err(error) = self.write_batch() {
                tracing::error!(device = self.device.path, %error, "the last audit checkpoint was not written");
            }
        }
        self.device.release_all();
    }
}

/// Moves records into a batch; a single one if some are to go one by one. Returns how many of those are left.
fn take_batch(queue: &mut Queue, batch: &mut Vec<Item>, singly: usize) -> usize {
    let mut bytes = 0;
    while bytes < BATCH_BYTES && (singly == 0 || batch.is_empty()) {
        let Some(item) = queue.items.pop_front() else { break };
        bytes += item.lines().len();
        batch.push(item);
    }
    queue.bytes = queue.bytes.saturating_sub(bytes);
    singly.saturating_sub(1)
}
