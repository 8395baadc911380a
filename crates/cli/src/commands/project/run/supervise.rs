//! A program that we stay with: its output is redacted, it is restarted on change, its leases are renewed and in the end
//! revoked, its files go with it.
//!
//! Signals that are meant for the program are passed on; its exit code becomes ours, 128 + N if signal N ended it.

use super::files::SecretFiles;
use super::{FileKind, Injected, Plan};
use crate::commands::project::Session;
use crate::commands::run::{not_started, prepared};
use crate::failure::Failure;
use rustix::process::{Pid, Signal as Number, kill_process};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};
use strongroom_project::provider::Lease;
use strongroom_project::redact::Redactor;
use strongroom_project::resolve::{Opened, Resolution, Source};
use strongroom_secret::SecretBytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval, sleep_until, timeout};

/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often providers that reach hosts are asked for changes.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// Starts the program and stays until it ends.
pub fn supervise(session: &Session<'_>, plan: &Plan<'_>, first: Resolution) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("cannot wait for a program: {error}")))?;
    runtime.block_on(async {
        let mut supervisor = Supervisor::new(session, plan, first)?;
        let outcome = supervisor.run().await;
        supervisor.revoke();
        outcome
    })
}

struct Supervisor<'a> {
    session: &'a Session<'a>,
    plan: &'a Plan<'a>,
    opened: Opened,
    resolution: Resolution,
    leases: Vec<Held>,
    signals: Vec<(Number, Signal)>,
    seen: BTreeMap<PathBuf, Option<(SystemTime, u64)>>,
    asked: Instant,
}

/// A lease, and when it is to be renewed.
struct Held {
    provider: String,
    lease: Lease,
    renew_at: Instant,
}

/// Why the program is no longer waited for.
enum Event {
    Ended(ExitStatus),
    Changed(Resolution),
}

impl<'a> Supervisor<'a> {
    fn new(session: &'a Session<'a>, plan: &'a Plan<'a>, resolution: Resolution) -> Result<Self, Failure> {
        let failed = |error| Failure::other(format!("cannot watch for signals: {error}"));
        let passed = [
            (Number::TERM, SignalKind::terminate()),
            (Number::INT, SignalKind::interrupt()),
            (Number::HUP, SignalKind::hangup()),
            (Number::QUIT, SignalKind::quit()),
            (Number::USR1, SignalKind::user_defined1()),
            (Number::USR2, SignalKind::user_defined2()),
        ];
        let mut signals = Vec::new();
        for (number, kind) in passed {
            signals.push((number, signal(kind).map_err(failed)?));
        }
        let opened = session.providers()?;
        let leases = held(&resolution, Instant::now());
        let (seen, asked) = (states(&watched(session)), Instant::now());
        Ok(Self { session, plan, opened, resolution, leases, signals, seen, asked })
    }

    async fn run(&mut self) -> Result<ExitCode, Failure> {
        loop {
            let resolution = std::mem::take(&mut self.resolution);
            let files = self.files()?;
            let injected = Injected::new(self.session, self.plan.scope, &resolution, files)?;
            let mut child = self.start(&injected)?;
            let output = self.redact(&mut child, &resolution);
            let event = self.attend(&mut child, &resolution).await?;
            match event {
                Event::Ended(status) => {
                    // What is still in the pipes is shown first.
                    output.finish().await;
                    return Ok(code_of(status));
                }
                Event::Changed(newer) => {
                    self.session.note("secrets have changed: the program is started again");
                    self.stop(&mut child).await?;
                    output.finish().await;
                    self.revoke();
                    self.leases = held(&newer, Instant::now());
                    self.resolution = newer;
                }
            }
        }
    }

    fn files(&self) -> Result<SecretFiles, Failure> {
        match self.plan.files {
            FileKind::Memory => Ok(SecretFiles::in_memory()),
            FileKind::Temporary => {
                let runtime = self.session.surroundings.variables.text("XDG_RUNTIME_DIR").map(PathBuf::from);
                SecretFiles::in_folder(
                    runtime.filter(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir),
                )
            }
        }
    }

    fn start(&self, injected: &Injected<'_>) -> Result<Child, Failure> {
        let command = prepared(self.plan.words, self.plan.inherit, &injected.withheld, injected.variables())?;
        let mut command = Command::from(command);
        if self.plan.redact {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        command.spawn().map_err(|error| not_started(self.plan.words, &error))
    }

    fn redact(&self, child: &mut Child, resolution: &Resolution) -> Output {
        let secret = |name: &str| self.session.manifest.secret(name).is_some_and(|secret| secret.sensitive);
        let values: Vec<&SecretBytes> = resolution
            .secrets
            .iter()
            .filter(|(name, _)| secret(name))
            .map(|(_, resolved)| &resolved.value)
            .collect();
        let stdout = child.stdout.take().map(|pipe| {
            tokio::task::spawn(pump(pipe, tokio::io::stdout(), Redactor::new(values.iter().copied())))
        });
        let stderr = child.stderr.take().map(|pipe| {
            tokio::task::spawn(pump(pipe, tokio::io::stderr(), Redactor::new(values.iter().copied())))
        });
        Output { tasks: [stdout, stderr] }
    }

    /// Waits for whatever comes first: the end, a signal to pass on, a change, a lease that wants to be renewed.
    async fn attend(&mut self, child: &mut Child, current: &Resolution) -> Result<Event, Failure> {
        let mut look = interval(LOOK_EVERY);
        loop {
            let renewal = self.leases.iter().map(|held| held.renew_at).min();
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                status = child.wait() => {
                    return status.map(Event::Ended).map_err(|error| Failure::other(format!("cannot wait: {error}")));
                }
                number = next_signal(&mut self.signals) => pass_on(child, number),
                _ = look.tick(), if self.plan.watch => {
                    if let Some(newer) = self.changed(current) {
                        return Ok(Event::Changed(newer));
                    }
                }
                () = sleep_until(renewal.unwrap_or(far)), if renewal.is_some() => self.renew(),
            }
        }
    }

    /// New values, if files changed or hosts were not asked for a while, and the values are other ones.
    fn changed(&mut self, current: &Resolution) -> Option<Resolution> {
        let now = states(&watched(self.session));
        let remote = self.asked.elapsed() >= ASK_EVERY;
        if now == self.seen && !remote {
            return None;
        }
        self.seen = now;
        self.asked = Instant::now();
        match self.session.values(self.plan.selection()) {
            Ok(newer) => (!same_values(&newer, current)).then_some(newer),
            Err(failure) => {
                // The program goes on with what it has.
                self.session.context.output.note(failure.native_text().trim_end());
                None
            }
        }
    }

    async fn stop(&self, child: &mut Child) -> Result<(), Failure> {
        pass_on(child, Number::TERM);
        if timeout(self.plan.grace, child.wait()).await.is_err() {
            pass_on(child, Number::KILL);
        }
        child.wait().await.map(drop).map_err(|error| Failure::other(format!("cannot wait: {error}")))
    }

    fn renew(&mut self) {
        let now = Instant::now();
        for held in self.leases.iter_mut().filter(|held| held.renew_at <= now) {
            let Some(provider) = self.opened.provider(&held.provider) else { continue };
            match provider.renew(&held.lease) {
                Ok(lease) => *held = Held::new(&held.provider, lease, now),
                Err(error) => {
                    self.session.context.output.note(&format!("warning: a lease was not renewed: {error}"));
                    held.renew_at = now + held.lease.duration / 6 + Duration::from_secs(1);
                }
            }
        }
    }

    fn revoke(&mut self) {
        for held in std::mem::take(&mut self.leases) {
            let Some(provider) = self.opened.provider(&held.provider) else { continue };
            if let Err(error) = provider.revoke(&held.lease) {
                self.session.context.output.note(&format!("warning: a lease was not revoked: {error}"));
            }
        }
    }
}

impl Held {
    /// Renewed when two thirds of it are over.
    fn new(provider: &str, lease: Lease, now: Instant) -> Self {
        let renew_at = now + lease.duration * 2 / 3;
        Self { provider: provider.to_owned(), lease, renew_at }
    }
}

fn held(resolution: &Resolution, now: Instant) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    for resolved in resolution.secrets.values() {
        let Source::Provider(candidate) = &resolved.source else { continue };
        let Some(lease) = candidate.found.lease.as_ref().filter(|lease| lease.renewable) else { continue };
        if !held.iter().any(|known| known.lease.id == lease.id) {
            held.push(Held::new(&candidate.provider, lease.clone(), now));
        }
    }
    held
}

/// Whether a program with these values has to stay under our eyes.
pub fn has_leases(resolution: &Resolution) -> bool {
    let leased = |source: &Source| match source {
        Source::Provider(candidate) => candidate.found.lease.is_some(),
        _ => false,
    };
    resolution.secrets.values().any(|resolved| leased(&resolved.source))
}

struct Output {
    tasks: [Option<tokio::task::JoinHandle<()>>; 2],
}

impl Output {
    /// A grandchild may hold the pipe open for ever: it is waited for a moment only.
    async fn finish(self) {
        for task in self.tasks.into_iter().flatten() {
            // Whether it ended or not, the program is over.
            let _ = timeout(Duration::from_secs(1), task).await;
        }
    }
}

async fn pump(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut redactor: Redactor,
) {
    let mut chunk = vec![0; 1 << 14];
    loop {
        let length = from.read(&mut chunk).await.unwrap_or(0);
        let shown = match length {
            0 => redactor.finish(),
            _ => redactor.push(chunk.get(..length).unwrap_or_default()),
        };
        if to.write_all(&shown).await.is_err() || to.flush().await.is_err() || length == 0 {
            return;
        }
    }
}

async fn next_signal(signals: &mut [(Number, Signal)]) -> Number {
    std::future::poll_fn(|context| {
        for (number, signal) in signals.iter_mut() {
            if signal.poll_recv(context).is_ready() {
                return std::task::Poll::Ready(*number);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// A program that has just ended needs no signal.
fn pass_on(child: &Child, number: Number) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, number);
    }
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The manifest's files, and whatever of its providers' settings names a file.
fn watched(session: &Session<'_>) -> Vec<PathBuf> {
    let mut files = session.manifest.files();
    files.extend(strongroom_project::check::named_files(&session.manifest, &session.environment));
    files
}

fn states(files: &[PathBuf]) -> BTreeMap<PathBuf, Option<(SystemTime, u64)>> {
    let state = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(|file| (file.clone(), state(file))).collect()
}

fn same_values(one: &Resolution, other: &Resolution) -> bool {
    let names = |resolution: &Resolution| resolution.secrets.keys().cloned().collect::<Vec<_>>();
    names(one) == names(other)
        && one.secrets.iter().all(|(name, resolved)| other.value(name) == Some(&resolved.value))
}
