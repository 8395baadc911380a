//! A program that we stay with: its output is redacted, it is restarted or told on change, its leases are renewed and in the
//! end revoked, its files go with it.
//!
//! Signals that are meant for the program are passed on, even while a provider is waited for; its exit code becomes ours,
//! 128 + N if signal N ended it.

mod output;
mod signals;
mod watch;

use super::files::SecretFiles;
use super::{FileKind, Injected, OnChange, Plan};
use crate::commands::project::Session;
use crate::commands::run::{not_started, prepared};
use crate::failure::Failure;
use output::Output;
pub use output::What;
use rustix::process::Signal as Number;
use signals::Forwarding;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use strongroom_project::leases::Leases;
use strongroom_project::manifest::Delivery;
use strongroom_project::resolve::Resolution;
use strongroom_secret::SecretBytes;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, sleep, timeout};
use watch::{Changes, Watch};

/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest that is slept for a lease: a machine may be asleep itself in between.
const LEASE_LOOK_MAX: Duration = Duration::from_secs(600);

/// Starts the program and stays until it ends.
pub fn supervise(
    session: Session<'_>,
    plan: &Plan<'_>,
    leases: Leases,
    first: Resolution,
) -> Result<ExitCode, Failure> {
    // The second thread moves output and signals while the first one waits for a provider.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("cannot wait for a program: {error}")))?;
    let outcome = runtime.block_on(async {
        let mut supervisor = Supervisor::new(session, plan, leases, first)?;
        let outcome = supervisor.run().await;
        supervisor.give_back();
        outcome
    });
    runtime.shutdown_background();
    outcome
}

struct Supervisor<'a> {
    session: Session<'a>,
    plan: &'a Plan<'a>,
    leases: Leases,
    resolution: Resolution,
    forwarding: Forwarding,
    watch: Watch,
    /// When the program was last told of a change by signal.
    told: Option<Instant>,
    /// Secrets that were said to stay in the output.
    left_out: BTreeSet<String>,
}

/// Why the program is no longer waited for.
enum Event {
    Ended(ExitStatus),
    /// It is to be started again, with these values.
    Changed(Resolution, Leases),
}

impl<'a> Supervisor<'a> {
    fn new(
        session: Session<'a>,
        plan: &'a Plan<'a>,
        leases: Leases,
        resolution: Resolution,
    ) -> Result<Self, Failure> {
        let forwarding = Forwarding::start()
            .map_err(|error| Failure::other(format!("cannot watch for signals: {error}")))?;
        let watch = Watch::new(&session, leases.opened(), plan.ask_every);
        Ok(Self {
            session,
            plan,
            leases,
            resolution,
            forwarding,
            watch,
            told: None,
            left_out: BTreeSet::new(),
        })
    }

    async fn run(&mut self) -> Result<ExitCode, Failure> {
        loop {
            let files = self.files()?;
            let injected = Injected::new(&self.session, self.plan.scope, &self.resolution, files)?;
            let mut child = self.start(&injected)?;
            let mut files = injected.into_files();
            let mut left_out = std::mem::take(&mut self.left_out);
            let (mut output, notes) = Output::of(
                &mut child,
                self.plan.redact.unwrap_or(What::Values),
                &self.secret_values(),
                &mut left_out,
            );
            self.left_out = left_out;
            notes.iter().for_each(|note| self.session.note(note));
            self.forwarding.aim(&child);
            let event = self.attend(&mut child, &mut files, &mut output).await?;
            match event {
                Event::Ended(status) => {
                    // What is still in the pipes is shown first.
                    output.finish().await;
                    if let Some((newer, leases)) = self.ended_by_being_told() {
                        self.replace(newer, leases);
                        continue;
                    }
                    return Ok(code_of(status));
                }
                Event::Changed(newer, leases) => {
                    self.session.note("secrets have changed: the program is started again");
                    self.forwarding.forget_ends();
                    let status = self.stop(&mut child).await?;
                    output.finish().await;
                    self.replace(newer, leases);
                    if self.forwarding.ends_us() {
                        return Ok(code_of(status));
                    }
                }
            }
        }
    }

    fn replace(&mut self, newer: Resolution, leases: Leases) {
        self.give_back();
        (self.resolution, self.leases) = (newer, leases);
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
        if self.plan.redact.is_some() {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        command.spawn().map_err(|error| not_started(self.plan.words, &error))
    }

    fn secret_values(&self) -> Vec<(&str, &SecretBytes)> {
        let secret = |name: &str| self.session.manifest.secret(name).is_some_and(|secret| secret.sensitive);
        let secrets = self.resolution.secrets.iter().filter(|(name, _)| secret(name));
        secrets.map(|(name, resolved)| (name.as_str(), &resolved.value)).collect()
    }

    /// Waits for whatever comes first: the end, a change, a lease that wants to be renewed.
    async fn attend(
        &mut self,
        child: &mut Child,
        files: &mut SecretFiles,
        output: &mut Output,
    ) -> Result<Event, Failure> {
        let mut look = interval(LOOK_EVERY);
        loop {
            let due = self.leases.due().map(|due| due.saturating_sub(self.now()).min(LEASE_LOOK_MAX));
            tokio::select! {
                status = child.wait() => {
                    self.forwarding.rest();
                    return status.map(Event::Ended).map_err(|error| Failure::other(format!("cannot wait: {error}")));
                }
                _ = look.tick(), if self.plan.watch => {
                    if let Some(event) = self.look(child, files, output)? {
                        return Ok(event);
                    }
                }
                () = sleep(due.unwrap_or_default()), if due.is_some() => {
                    let notes = self.leases.renew(self.now());
                    notes.iter().for_each(|note| self.session.context.output.note(note));
                }
            }
        }
    }

    fn now(&self) -> Duration {
        self.session.surroundings.clock.monotonic()
    }

    /// What to do about a change, if there is one.
    fn look(
        &mut self,
        child: &Child,
        files: &mut SecretFiles,
        output: &mut Output,
    ) -> Result<Option<Event>, Failure> {
        let newer = match self.watch.changed(&mut self.session, self.plan.selection(), &self.resolution) {
            Changes::Values(newer) => newer,
            Changes::Nothing if !self.leases.has_ended() => return Ok(None),
            Changes::Nothing => Resolution::default(),
        };
        match self.plan.on_change {
            // What has run out cannot be put into a program's variables.
            OnChange::Signal(number) if !newer.secrets.is_empty() => {
                self.tell(child, number, newer, files, output)?;
                Ok(None)
            }
            OnChange::Signal(_) | OnChange::Restart => {
                Ok(self.anew().map(|(newer, leases)| Event::Changed(newer, leases)))
            }
        }
    }

    /// All values, from providers that are asked anew; the program goes on with what it has if that fails.
    fn anew(&mut self) -> Option<(Resolution, Leases)> {
        let values = || {
            let opened = self.session.providers()?;
            let resolution = self.session.values_of(&opened, self.plan.selection())?;
            let leases = Leases::new(opened, &resolution, self.now());
            Ok::<_, Failure>((resolution, leases))
        };
        match values() {
            Ok(found) => Some(found),
            Err(failure) => {
                self.session.context.output.note(failure.native_text().trim_end());
                None
            }
        }
    }

    /// New values in the files that the program knows, and a signal to read them.
    fn tell(
        &mut self,
        child: &Child,
        number: Number,
        newer: Resolution,
        files: &mut SecretFiles,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let mut fixed = Vec::new();
        for (name, resolved) in newer.secrets {
            let before = self.resolution.value(&name);
            let has_changed = before != Some(&resolved.value);
            match self.session.manifest.secret(&name).map(|secret| secret.delivery) {
                Some(Delivery::File) if has_changed && before.is_some() => {
                    files.replace(&name, &resolved.value)?;
                }
                Some(Delivery::Internal) | None => {}
                Some(_) if has_changed => fixed.push(name.clone()),
                Some(_) => {}
            }
            self.resolution.secrets.insert(name, resolved);
        }
        let mut left_out = std::mem::take(&mut self.left_out);
        let notes = output.learn(&self.secret_values(), &mut left_out);
        self.left_out = left_out;
        notes.iter().for_each(|note| self.session.note(note));
        self.session.note("secrets have changed: the program is told");
        if !fixed.is_empty() {
            let names = fixed.join(", ");
            self.session.note(&format!(
                "  {names}: a running program keeps its variables; as = \"file\" changes, or a start without --watch-signal"
            ));
        }
        self.told = Some(Instant::now());
        self.forwarding.forget_ends();
        signals::send(child, number);
        Ok(())
    }

    /// A program that ends when it is told of new values is started again with them.
    fn ended_by_being_told(&mut self) -> Option<(Resolution, Leases)> {
        let told = self.told.take()?;
        if told.elapsed() > self.plan.grace || self.forwarding.ends_us() {
            return None;
        }
        self.session.note("the program has ended on the signal: it is started again");
        self.anew()
    }

    async fn stop(&self, child: &mut Child) -> Result<ExitStatus, Failure> {
        signals::send(child, Number::TERM);
        if timeout(self.plan.grace, child.wait()).await.is_err() {
            signals::send(child, Number::KILL);
        }
        let status = child.wait().await.map_err(|error| Failure::other(format!("cannot wait: {error}")));
        self.forwarding.rest();
        status
    }

    fn give_back(&mut self) {
        for note in self.leases.give_back() {
            self.session.context.output.note(&note);
        }
    }
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
