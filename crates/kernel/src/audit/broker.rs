//! Hands records to all devices, and says when they are written.

use super::chain::{ChainPoint, CheckpointSigner};
use super::config::{AuditError, DeviceConfig, FormatOptions, Permissions};
use super::device::{Device, DeviceHealth, Done, Item, Outcome, Progress, Submission, Worker};
use super::mask::hashed;
use super::record::{Record, RequestFacts, TIME_MEMBER};
use super::sink::{AuditSink, SinkFactory};
use parking_lot::{Mutex, RwLock};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;
use strongroom_crypto::mac::MacKey;
use strongroom_secret::Clock;
use zeroize::Zeroize;

/// Each device has a bit, and the submitter has one.
const DEVICES_MAX: usize = 63;
const SUBMITTER: u64 = 1 << 63;

/// What a broker is made of.
pub struct BrokerOptions {
    pub clock: Arc<dyn Clock>,
    /// Hashes values. It is one for all devices, so that their records can be compared.
    pub mac: MacKey,
    /// None: no checkpoints.
    pub signer: Option<CheckpointSigner>,
    pub sinks: SinkFactory,
    pub permissions: Permissions,
    /// How long a device is waited for.
    pub timeout: Duration,
    /// A checkpoint is due after so many records, or after this time if there are any.
    pub checkpoint_records: u64,
    pub checkpoint_interval: Duration,
}

impl BrokerOptions {
    /// Two seconds for a device; a checkpoint every 1,000 records or 10 seconds.
    pub fn new(clock: Arc<dyn Clock>, mac: MacKey) -> Self {
        Self {
            clock,
            mac,
            signer: None,
            sinks: SinkFactory::default(),
            permissions: Permissions::default(),
            timeout: Duration::from_secs(2),
            checkpoint_records: 1000,
            checkpoint_interval: Duration::from_secs(10),
        }
    }
}

/// The audit devices of a server.
pub struct Broker {
    clock: Arc<dyn Clock>,
    mac: MacKey,
    signer: Option<Arc<CheckpointSigner>>,
    sinks: SinkFactory,
    permissions: Permissions,
    timeout: Duration,
    checkpoint_records: u64,
    checkpoint_interval: Duration,
    devices: Arc<RwLock<Arc<Devices>>>,
    /// Held while devices come and go.
    watchdog: Mutex<Option<Watchdog>>,
}

/// The enabled devices, and the distinct formats they want.
#[derive(Default)]
struct Devices {
    list: Vec<Enabled>,
    forms: Vec<FormatOptions>,
}

#[derive(Clone)]
struct Enabled {
    device: Arc<Device>,
    format: FormatOptions,
    form: usize,
    done: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
}

/// Whether a device has to prove itself when it is enabled.
enum Proof {
    Test,
    None,
}

/// A record on its way: a future, and [`Receipt::wait`] for threads that may block.
#[must_use = "a request may go on only after its record is written"]
pub struct Receipt {
    state: ReceiptState,
}

enum ReceiptState {
    /// No device is enabled.
    Ready,
    Waiting {
        receiver: oneshot::Receiver<bool>,
        devices: Arc<Devices>,
    },
}

impl Broker {
    pub fn new(options: BrokerOptions) -> Self {
        Self {
            clock: options.clock,
            mac: options.mac,
            signer: options.signer.map(Arc::new),
            sinks: options.sinks,
            permissions: options.permissions,
            timeout: options.timeout,
            checkpoint_records: options.checkpoint_records.max(1),
            checkpoint_interval: options.checkpoint_interval,
            devices: Arc::default(),
            watchdog: Mutex::new(None),
        }
    }

    /// Enables a device that was just asked for: it has to open and to take a test record.
    pub fn enable(&self, path: &str, config: DeviceConfig) -> Result<(), AuditError> {
        let proof = if config.skip_test { Proof::None } else { Proof::Test };
        config.check(&self.permissions)?;
        self.start(path, config, None, proof)
    }

    /// Enables a device that was enabled before. If it does not work now, it is there and unhealthy.
    /// `last_line` is the newest line that is known to be written ([`DeviceHealth::last_line`]): if the device's file
    /// ends before it, the chain says so.
    pub fn restore(
        &self,
        path: &str,
        config: DeviceConfig,
        last_line: Option<ChainPoint>,
    ) -> Result<(), AuditError> {
        config.check(&self.permissions)?;
        self.start(path, config, last_line, Proof::None)
    }

    fn start(
        &self,
        path: &str,
        config: DeviceConfig,
        last_line: Option<ChainPoint>,
        proof: Proof,
    ) -> Result<(), AuditError> {
        let kind = config.kind();
        let sink = self.sinks.make(config.target).map_err(|error| AuditError::Test(error.to_string()))?;
        self.start_sink(path, kind, config.format, sink, last_line, proof)
    }

    /// Enables a device with a sink from outside, as [`Broker::restore`] does.
    pub fn restore_sink(
        &self,
        path: &str,
        kind: &'static str,
        format: FormatOptions,
        sink: Box<dyn AuditSink>,
    ) -> Result<(), AuditError> {
        self.start_sink(path, kind, format, sink, None, Proof::None)
    }

    fn start_sink(
        &self,
        path: &str,
        kind: &'static str,
        format: FormatOptions,
        sink: Box<dyn AuditSink>,
        last_line: Option<ChainPoint>,
        proof: Proof,
    ) -> Result<(), AuditError> {
        let path = with_slash(path)?;
        let mut watchdog = self.watchdog.lock();
        let bit = self.devices.read().free_bit(&path)?;
        let device = Arc::new(Device::new(path, kind, bit, self.clock.now()));
        let worker = Worker {
            device: Arc::clone(&device),
            sink,
            clock: Arc::clone(&self.clock),
            signer: self.signer.clone(),
            checkpoint_records: self.checkpoint_records,
            checkpoint_interval: self.checkpoint_interval,
            prefix: format.prefix.clone(),
            holds_secrets: format.raw,
            progress: Progress::after(last_line),
        };
        let done = self.spawn(worker, &proof)?;
        let enabled =
            Enabled { device: Arc::clone(&device), format, form: 0, done: Arc::new(Mutex::new(Some(done))) };
        if matches!(proof, Proof::Test) {
            self.test(&enabled)?;
        }
        watchdog.get_or_insert_with(|| Watchdog::start(&self.devices, &self.clock, self.timeout));
        let mut devices = self.devices.write();
        let list = devices.list.iter().cloned().chain([enabled]).collect();
        *devices = Arc::new(Devices::new(list));
        tracing::info!(device = device.path, kind, "audit device enabled");
        Ok(())
    }

    /// Starts a device's thread, and waits until its sink is open, or for no longer than for a record.
    fn spawn(&self, worker: Worker, proof: &Proof) -> Result<oneshot::Receiver<()>, AuditError> {
        let (opened, opening) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let device = Arc::clone(&worker.device);
        std::thread::Builder::new()
            .name(format!("audit {}", worker.device.path.chars().take(8).collect::<String>()))
            .spawn(move || worker.run(opened, done))
            .map_err(|error| AuditError::Test(error.to_string()))?;
        let failure = match opening.recv_timeout(self.timeout) {
            Ok(Ok(())) => return Ok(is_done),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it cannot be opened in time".to_owned(),
        };
        match proof {
            Proof::None => {
                device.mark_failed(self.clock.now(), &failure);
                Ok(is_done)
            }
            Proof::Test => {
                device.request_close();
                Err(AuditError::Test(failure))
            }
        }
    }

    /// Vault's test record, to one device alone.
    fn test(&self, enabled: &Enabled) -> Result<(), AuditError> {
        let request = RequestFacts { operation: "update", path: "sys/audit/test", ..RequestFacts::default() };
        let record = Record { time: self.clock.now(), request, ..Record::default() };
        let mut lines = Vec::new();
        record.format(&mut lines, &enabled.format, &self.mac);
        let (sender, receiver) = oneshot::channel();
        let device = &enabled.device;
        let submission = Arc::new(Submission::new(
            vec![lines],
            1,
            enabled.format.raw,
            self.clock.monotonic(),
            device.bit,
            to(sender),
        ));
        device.push(Item { submission, form: 0 });
        if receiver.recv_timeout(self.timeout) == Ok(true) {
            return Ok(());
        }
        let failure = device.health().failure.unwrap_or_else(|| "no answer in time".to_owned());
        device.request_close();
        Err(AuditError::Test(failure))
    }

    /// Takes a device out, after what it still has to write. Not an error if there is none.
    pub fn disable(&self, path: &str) -> Result<(), AuditError> {
        let path = with_slash(path)?;
        let _guard = self.watchdog.lock();
        let removed: Vec<Enabled> = {
            let mut devices = self.devices.write();
            let (removed, kept) =
                devices.list.iter().cloned().partition(|enabled| enabled.device.path == path);
            *devices = Arc::new(Devices::new(kept));
            removed
        };
        self.end(&removed);
        Ok(())
    }

    /// Opens every device again: for log rotation, at SIGHUP. Returns at once.
    pub fn reopen_all(&self) {
        for enabled in &self.devices.read().list {
            enabled.device.request_reopen();
        }
    }

    /// Whether a record has a chance to be written: no device is enabled, or one of them works.
    pub fn is_working(&self) -> bool {
        let devices = self.devices.read();
        devices.list.is_empty() || devices.list.iter().any(|enabled| enabled.device.is_healthy())
    }

    /// What is wrong with each device, for people.
    pub fn causes(&self) -> String {
        match self.devices.read().unavailable() {
            AuditError::Unavailable { causes, .. } => causes,
            other => other.to_string(),
        }
    }

    pub fn health(&self) -> Vec<DeviceHealth> {
        self.devices.read().list.iter().map(|enabled| enabled.device.health()).collect()
    }

    /// The text that stands for `value` in the records of the device at `path`.
    pub fn hash(&self, path: &str, value: &str) -> Result<String, AuditError> {
        let path = with_slash(path)?;
        match self.devices.read().list.iter().any(|enabled| enabled.device.path == path) {
            true => Ok(hashed(&self.mac, value.as_bytes())),
            false => Err(AuditError::UnknownDevice(path)),
        }
    }

    /// Writes what waits, with a last checkpoint, and ends all devices. Takes the timeout at most.
    pub fn close(&self) {
        let watchdog = self.watchdog.lock().take();
        let devices = std::mem::take(&mut *self.devices.write());
        self.end(&devices.list);
        drop(watchdog);
    }

    fn end(&self, devices: &[Enabled]) {
        for enabled in devices {
            enabled.device.request_close();
        }
        let deadline = self.timeout;
        for enabled in devices {
            let done = enabled.done.lock().take();
            let has_ended = done
                .is_none_or(|done| done.recv_timeout(deadline) != Err(oneshot::RecvTimeoutError::Timeout));
            if !has_ended {
                enabled.device.release_all();
            }
        }
    }

    /// Formats records and gives them to every device. The receipt is for all of them together: it succeeds once each
    /// healthy device has answered and at least one has written; it fails at the timeout at the latest.
    pub fn submit(&self, records: &[Record<'_>]) -> Receipt {
        self.submit_about(&mut About::default(), records)
    }

    /// As [`Self::submit`], for records of one request: what they have in common is formatted once, and kept in `about`.
    pub(crate) fn submit_about(&self, about: &mut About, records: &[Record<'_>]) -> Receipt {
        let devices = Arc::clone(&self.devices.read());
        if devices.list.is_empty() {
            return Receipt { state: ReceiptState::Ready };
        }
        about.be_for(&devices);
        let forms: Vec<Vec<u8>> = devices
            .forms
            .iter()
            .zip(&mut about.forms)
            .map(|(form, about)| self.format(records, form, about))
            .collect();
        let (sender, receiver) = oneshot::channel();
        self.push(&devices, forms, records.len() as u64, to(sender));
        Receipt { state: ReceiptState::Waiting { receiver, devices } }
    }

    /// Formats the record of an answer ahead of the time at which it will be submitted. None if no device is enabled.
    pub(crate) fn prepare(&self, about: &mut About, record: &Record<'_>) -> Option<Prepared> {
        let devices = Arc::clone(&self.devices.read());
        if devices.list.is_empty() {
            return None;
        }
        about.be_for(&devices);
        let records = std::slice::from_ref(record);
        let forms = devices.forms.iter().zip(&mut about.forms);
        let forms = forms.map(|(form, about)| self.format(records, form, about)).collect();
        Some(Prepared { devices, forms })
    }

    /// Whether the devices are still those that a record was prepared for.
    pub(crate) fn is_for(&self, prepared: &Prepared) -> bool {
        Arc::ptr_eq(&self.devices.read(), &prepared.devices)
    }

    /// Gives a prepared record to every device, with this time in it. `done` is told as a receipt would be.
    pub(crate) fn submit_prepared(&self, mut prepared: Prepared, done: Done) {
        let time = self.clock.now().to_string();
        let devices = Arc::clone(&prepared.devices);
        let mut forms = std::mem::take(&mut prepared.forms);
        for (lines, format) in forms.iter_mut().zip(&devices.forms) {
            set_time(lines, format, &time);
        }
        self.push(&devices, forms, 1, done);
    }

    fn push(&self, devices: &Devices, forms: Vec<Vec<u8>>, records: u64, done: Done) {
        let holds_secrets = devices.forms.iter().any(|form| form.raw);
        let awaited = devices.list.iter().fold(SUBMITTER, |bits, enabled| bits | enabled.device.bit);
        let now = self.clock.monotonic();
        let submission = Arc::new(Submission::new(forms, records, holds_secrets, now, awaited, done));
        for enabled in &devices.list {
            enabled.device.push(Item { submission: Arc::clone(&submission), form: enabled.form });
        }
        submission.settle(SUBMITTER, Outcome::NotWritten);
    }

    fn format(&self, records: &[Record<'_>], form: &FormatOptions, about: &mut Vec<u8>) -> Vec<u8> {
        let mut lines = Vec::with_capacity(2048 * records.len());
        for record in records {
            record.format_about(about, &mut lines, form, &self.mac);
        }
        lines
    }
}

/// A record, formatted for the devices that there were then.
pub(crate) struct Prepared {
    devices: Arc<Devices>,
    forms: Vec<Vec<u8>>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.devices.forms.iter().any(|form| form.raw) {
            self.forms.zeroize();
        }
    }
}

/// Puts another time into a record's line, which begins with it.
fn set_time(line: &mut Vec<u8>, format: &FormatOptions, time: &str) {
    let start = format.prefix.len() + TIME_MEMBER.len();
    let length = line.get(start..).and_then(|rest| memchr::memchr(b'"', rest)).unwrap_or_default();
    // The old line may hold secrets: it is wiped where it does not have the room.
    let mut before = std::mem::replace(line, Vec::with_capacity(line.len() + time.len()));
    line.extend_from_slice(before.get(..start).unwrap_or_default());
    line.extend_from_slice(time.as_bytes());
    line.extend_from_slice(before.get(start + length..).unwrap_or_default());
    if format.raw {
        before.zeroize();
    }
}

/// Sends what a submission comes to. Nobody may be waiting for it any more.
fn to(sender: oneshot::Sender<bool>) -> Done {
    Box::new(move |is_written| sender.send(is_written).unwrap_or_default())
}

/// What the records of one request have in common, in each of the formats that some device wants.
#[derive(Default)]
pub(crate) struct About {
    devices: Option<Arc<Devices>>,
    forms: Vec<Vec<u8>>,
}

impl About {
    /// Devices may come and go between the records of a request: then everything is formatted anew.
    fn be_for(&mut self, devices: &Arc<Devices>) {
        if !self.devices.as_ref().is_some_and(|known| Arc::ptr_eq(known, devices)) {
            self.wipe();
            self.forms = vec![Vec::new(); devices.forms.len()];
            self.devices = Some(Arc::clone(devices));
        }
    }

    fn wipe(&mut self) {
        if self.devices.as_ref().is_some_and(|devices| devices.forms.iter().any(|form| form.raw)) {
            self.forms.zeroize();
        }
    }
}

impl Drop for About {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.close();
    }
}

fn with_slash(path: &str) -> Result<String, AuditError> {
    match path.trim_matches('/') {
        "" => Err(AuditError::Option("backend path must be specified".to_owned())),
        path => Ok(format!("{path}/")),
    }
}

impl Devices {
    fn new(mut list: Vec<Enabled>) -> Self {
        let mut forms: Vec<FormatOptions> = Vec::new();
        for enabled in &mut list {
            enabled.form = forms.iter().position(|form| *form == enabled.format).unwrap_or(forms.len());
            if enabled.form == forms.len() {
                forms.push(enabled.format.clone());
            }
        }
        Self { list, forms }
    }

    /// A bit for a new device, if its path neither lies in another's nor contains one.
    fn free_bit(&self, path: &str) -> Result<u64, AuditError> {
        let overlaps = |other: &str| path.starts_with(other) || other.starts_with(path);
        if self.list.iter().any(|enabled| overlaps(&enabled.device.path)) {
            return Err(AuditError::PathInUse);
        }
        let used = self.list.iter().fold(0, |bits, enabled| bits | enabled.device.bit);
        (0..DEVICES_MAX)
            .map(|position| 1 << position)
            .find(|bit| used & bit == 0)
            .ok_or(AuditError::TooMany { max: DEVICES_MAX })
    }

    fn unavailable(&self) -> AuditError {
        let health: Vec<DeviceHealth> = self.list.iter().map(|enabled| enabled.device.health()).collect();
        let causes: Vec<String> = health
            .iter()
            .map(|device| format!("{}: {}", device.path, device.failure.as_deref().unwrap_or("overloaded")))
            .collect();
        AuditError::Unavailable {
            devices: health.into_iter().map(|device| device.path).collect(),
            causes: causes.join("; "),
        }
    }
}

impl Receipt {
    /// Blocks until the records are written.
    pub fn wait(self) -> Result<(), AuditError> {
        match self.state {
            ReceiptState::Ready => Ok(()),
            ReceiptState::Waiting { receiver, devices } => match receiver.recv() {
                Ok(true) => Ok(()),
                _ => Err(devices.unavailable()),
            },
        }
    }
}

impl Future for Receipt {
    type Output = Result<(), AuditError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            ReceiptState::Ready => Poll::Ready(Ok(())),
            ReceiptState::Waiting { receiver, devices } => {
                Pin::new(receiver).poll(context).map(|result| match result {
                    Ok(true) => Ok(()),
                    _ => Err(devices.unavailable()),
                })
            }
        }
    }
}

/// A thread that notices devices which do not answer.
struct Watchdog {
    /// Dropped, it ends the thread.
    stop: Option<std::sync::mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    fn start(devices: &Arc<RwLock<Arc<Devices>>>, clock: &Arc<dyn Clock>, timeout: Duration) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (devices, clock) = (Arc::clone(devices), Arc::clone(clock));
        let tick = (timeout / 20).clamp(Duration::from_millis(5), Duration::from_millis(250));
        let watch = move || {
            while stopped.recv_timeout(tick) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let devices = Arc::clone(&devices.read());
                for enabled in &devices.list {
                    enabled.device.check_overdue(clock.monotonic(), clock.now(), timeout);
                }
            }
        };
        match std::thread::Builder::new().name("audit watchdog".to_owned()).spawn(watch) {
            Ok(thread) => Self { stop: Some(stop), thread: Some(thread) },
            Err(error) => {
                tracing::error!(%error, "the audit watchdog could not be started: hung devices will block requests");
                Self { stop: None, thread: None }
            }
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported where it happened.
            thread.join().unwrap_or_default();
        }
    }
}
