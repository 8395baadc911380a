//! Scans what the git command prints, for findings that are equal to gitleaks', line by line.

use super::error::Error;
use super::link::WebAddress;
use super::patch::{self, Hunk, Met};
use super::repository::{ObjectDirectories, Repository};
use crate::located::{Located, Origin, Sink, SkipReason, Statistics, Watch};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError, mpsc::sync_channel};
use strongroom_detect::{Detector, Fragment, Scratch};

/// Which patches git is asked for.
#[derive(Debug, Clone)]
pub enum Patches {
    /// `git log -p -U0 --full-history --all --diff-filter=tuxdb`.
    Log,
    /// `git log -p -U0` with these arguments, as they are.
    LogOf(Vec<String>),
    /// `git diff -U0 --no-ext-diff --staged .`
    Staged,
    /// `git diff -U0 --no-ext-diff .`
    WorkingTree,
}

impl Patches {
    fn command(&self, path: &Path) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(path);
        match self {
            Self::Log => command.args(["log", "-p", "-U0", "--full-history", "--all", "--diff-filter=tuxdb"]),
            Self::LogOf(arguments) => command.args(["log", "-p", "-U0"]).args(arguments),
            Self::Staged => command.args(["diff", "-U0", "--no-ext-diff", "--staged", "."]),
            Self::WorkingTree => command.args(["diff", "-U0", "--no-ext-diff", "."]),
        };
        command
    }

    fn origin(&self) -> Origin {
        match self {
            Self::Log | Self::LogOf(_) => Origin::History,
            Self::Staged => Origin::Staged,
            Self::WorkingTree => Origin::WorkingTree,
        }
    }
}

/// Hunks are handed to the threads in lots of about this size.
const LOT_BYTES: usize = 256 << 10;
const LOT_HUNKS_MAX: usize = 512;
/// What git says when something goes wrong is kept up to this size.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;

type Lot = (usize, Vec<Hunk>);

/// Each hunk's added lines are a text of their own. Findings come in the order of git's output.
pub fn scan_patches(
    path: &Path,
    patches: &Patches,
    threads: usize,
    detector: &Detector,
    watch: Watch<'_>,
    sink: Sink<'_>,
) -> Result<Statistics, Error> {
    let mut child = patches
        .command(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| Error::GitNotRun { source })?;
    let remote = Repository::discover(path, &ObjectDirectories::default(), &mut Statistics::default());
    let web = remote.ok().and_then(|repository| WebAddress::of_remote(repository.remote.as_deref()?));
    let origin = patches.origin();
    let (lots, waiting) = sync_channel::<Lot>(threads.clamp(1, 64) * 2);
    let (results, done) = channel();
    let waiting = Mutex::new(waiting);
    let mut statistics = Statistics::default();
    let (message, read) = std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, 64) {
            let (waiting, results, web) = (&waiting, results.clone(), web.as_ref());
            scope.spawn(move || work(waiting, &results, detector, web, origin));
        }
        drop(results);
        let errors = child.stderr.take();
        let message = scope.spawn(move || first_bytes(errors));
        let mut order = Order { next: 0, early: BTreeMap::new() };
        let mut writer = Writer { lots: Some(lots), hunks: Vec::new(), bytes: 0, number: 0 };
        let read = feed(&mut child, &mut writer, &done, &mut order, watch, &mut statistics, sink);
        drop(writer);
        // The threads end when there are no more lots; what they found comes still.
        for result in &done {
            order.take(result, &mut statistics, sink);
        }
        (message.join().unwrap_or_default(), read)
    });
    if statistics.ended_early {
        drop(child.kill());
        drop(child.wait());
        return Ok(statistics);
    }
    let status = child.wait().map_err(|source| Error::GitNotRun { source })?;
    if !status.success() || read.is_err() {
        let message = if message.is_empty() { format!("it ended with {status}") } else { message };
        return Err(Error::GitFailed { message });
    }
    Ok(statistics)
}

fn first_bytes(source: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        drop(source.by_ref().take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes));
        // git must not wait for somebody to read on.
        drop(io::copy(&mut source, &mut io::sink()));
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

struct Writer {
    lots: Option<std::sync::mpsc::SyncSender<Lot>>,
    hunks: Vec<Hunk>,
    bytes: usize,
    number: usize,
}

impl Writer {
    fn add(&mut self, hunk: Hunk) {
        self.bytes += hunk.added.len();
        self.hunks.push(hunk);
        if self.bytes >= LOT_BYTES || self.hunks.len() >= LOT_HUNKS_MAX {
            self.send();
        }
    }

    fn send(&mut self) {
        let hunks = std::mem::take(&mut self.hunks);
        self.bytes = 0;
        if let Some(lots) = &self.lots
            && !hunks.is_empty()
        {
            self.number += usize::from(lots.send((self.number, hunks)).is_ok());
        }
    }
}

fn feed(
    child: &mut Child,
    writer: &mut Writer,
    done: &Receiver<Done>,
    order: &mut Order,
    watch: Watch<'_>,
    statistics: &mut Statistics,
    sink: Sink<'_>,
) -> io::Result<()> {
    let Some(output) = child.stdout.take() else { return Ok(()) };
    let mut reader = BufReader::with_capacity(256 << 10, output);
    let mut last_commit = None;
    let read = patch::read(&mut reader, &mut |met| {
        match met {
            Met::Hunk(hunk) => {
                let commit = hunk.commit.as_ref().map(|commit| commit.id.clone());
                if commit.is_some() && commit != last_commit {
                    statistics.commits += 1;
                    last_commit = commit;
                    watch.tell("commits", statistics.commits, 0);
                }
                writer.add(hunk);
            }
            Met::Binary { path, .. } => statistics.skip(&*path, SkipReason::Binary, ""),
            Met::TooLong { path } => statistics.skip(&*path, SkipReason::TooLarge, "a part of its changes"),
        }
        for result in done.try_iter() {
            order.take(result, statistics, sink);
        }
        statistics.ended_early |= watch.is_cancelled();
        if statistics.ended_early { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    writer.send();
    writer.lots = None;
    read
}

/// What a lot led to.
struct Done {
    number: usize,
    texts: u64,
    bytes: u64,
    found: Vec<Located>,
}

fn work(
    waiting: &Mutex<Receiver<Lot>>,
    results: &Sender<Done>,
    detector: &Detector,
    web: Option<&WebAddress>,
    origin: Origin,
) {
    let mut scratch = Scratch::default();
    loop {
        let lot = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, hunks)) = lot else { return };
        let mut done = Done { number, texts: 0, bytes: 0, found: Vec::new() };
        for hunk in hunks {
            let commit = hunk.commit.as_deref().map(|commit| commit.id.as_str());
            let fragment = Fragment {
                text: &hunk.added,
                path: &hunk.path,
                commit,
                first_line: hunk.first_line,
                changed: None,
            };
            done.texts += 1;
            done.bytes += hunk.added.len() as u64;
            for finding in detector.scan(&fragment, &mut scratch) {
                let link = match (web, commit) {
                    (Some(web), Some(commit)) => web.line(commit, &hunk.path, &finding.place),
                    _ => String::new(),
                };
                let mut located = Located::outside_git(finding, hunk.path.to_string(), origin);
                located.commit.clone_from(&hunk.commit);
                located.link = link;
                done.found.push(located);
            }
        }
        if results.send(done).is_err() {
            return;
        }
    }
}

/// Puts what the threads found back into the order of the patches.
struct Order {
    next: usize,
    early: BTreeMap<usize, Done>,
}

impl Order {
    fn take(&mut self, done: Done, statistics: &mut Statistics, sink: Sink<'_>) {
        self.early.insert(done.number, done);
        while let Some(done) = self.early.remove(&self.next) {
            self.next += 1;
            statistics.texts += done.texts;
            statistics.bytes += done.bytes;
            statistics.bytes_looked_at += done.bytes;
            for located in done.found {
                if statistics.ended_early {
                    return;
                }
                statistics.findings += 1;
                statistics.ended_early = sink(located).is_break();
            }
        }
    }
}
