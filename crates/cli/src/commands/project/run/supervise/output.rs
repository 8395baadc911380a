//! What the program prints, on its way through the redactor.

use clap::ValueEnum;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use strongroom_detect::redact::{HELD_MAX, Json, Patterns, Redactor, Stream, Style, Values};
use strongroom_detect::{Confidence, builtin};
use strongroom_secret::SecretBytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

const CHUNK_BYTES: usize = 1 << 16;

/// The pipes of one program, if it has any.
pub struct Output {
    pipes: Vec<Pipe>,
    /// All that is taken out: a value that was replaced is still one.
    values: Vec<(String, SecretBytes)>,
    what: What,
}

/// What is taken out of what a program prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// The values that it was given
    Values,
    /// And whatever else looks like a secret or is called one
    Patterns,
}

struct Pipe {
    stream: Arc<Mutex<Stream>>,
    task: JoinHandle<()>,
}

impl Output {
    /// With what is to be said of values that cannot be taken out.
    pub fn of(
        child: &mut Child,
        what: What,
        values: &[(&str, &SecretBytes)],
        told: &mut BTreeSet<String>,
    ) -> (Self, Vec<String>) {
        let mut output = Self { pipes: Vec::new(), values: Vec::new(), what };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        if stdout.is_none() && stderr.is_none() {
            return (output, Vec::new());
        }
        let (redactor, notes) = output.redactor(values, told);
        let stdout = stdout.map(|pipe| Pipe::start(pipe, tokio::io::stdout(), &redactor));
        let stderr = stderr.map(|pipe| Pipe::start(pipe, tokio::io::stderr(), &redactor));
        output.pipes = stdout.into_iter().chain(stderr).collect();
        (output, notes)
    }

    /// Takes these values out too, from here on. Answers with what is to be said of those that cannot be; each is said once.
    pub fn learn(&mut self, values: &[(&str, &SecretBytes)], told: &mut BTreeSet<String>) -> Vec<String> {
        if self.pipes.is_empty() {
            return Vec::new();
        }
        let (redactor, notes) = self.redactor(values, told);
        for pipe in &self.pipes {
            pipe.stream.lock().unwrap_or_else(PoisonError::into_inner).set_redactor(Arc::clone(&redactor));
        }
        notes
    }

    fn redactor(
        &mut self,
        values: &[(&str, &SecretBytes)],
        told: &mut BTreeSet<String>,
    ) -> (Arc<Redactor>, Vec<String>) {
        for (name, value) in values {
            if !self.values.iter().any(|(known, other)| known == name && other == *value) {
                self.values.push(((*name).to_owned(), value.duplicate()));
            }
        }
        let mut notes = Vec::new();
        let mut all = Values::telling();
        for (name, value) in &self.values {
            if let Err(reason) = all.add(name, value)
                && told.insert(name.clone())
            {
                notes.push(format!("{name} is not taken out of the output: {reason}"));
            }
        }
        let redactor = Redactor::new(all, Style::Mask);
        let redactor = match self.what {
            What::Values => redactor,
            What::Patterns => {
                let patterns = Patterns::new(builtin::rules(), Confidence::Medium);
                redactor.with_patterns(patterns).with_json(Json::Detected)
            }
        };
        (Arc::new(redactor), notes)
    }

    /// A grandchild may hold the pipe open for ever: it is waited for a moment only.
    pub async fn finish(self) {
        for pipe in self.pipes {
            // Whether it ended or not, the program is over.
            let _ = timeout(Duration::from_secs(1), pipe.task).await;
        }
    }
}

impl Pipe {
    fn start(
        from: impl AsyncRead + Unpin + Send + 'static,
        to: impl AsyncWrite + Unpin + Send + 'static,
        redactor: &Arc<Redactor>,
    ) -> Self {
        let stream = Arc::new(Mutex::new(Stream::new(Arc::clone(redactor))));
        Self { stream: Arc::clone(&stream), task: tokio::spawn(pump(from, to, stream)) }
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, stream: Arc<Mutex<Stream>>) {
    let mut chunk = Zeroizing::new(vec![0; CHUNK_BYTES]);
    let mut shown = Vec::new();
    // The first byte that is held, and until when.
    let mut held: Option<(u64, Instant)> = None;
    loop {
        let read = match held {
            Some((_, until)) => timeout_at(until, from.read(&mut chunk)).await,
            None => Ok(from.read(&mut chunk).await),
        };
        let length = read.map(Result::unwrap_or_default);
        shown.clear();
        held = {
            let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            match length {
                Err(_) => stream.flush(&mut shown),
                Ok(0) => stream.finish(&mut shown),
                Ok(length) => stream.push(chunk.get(..length).unwrap_or_default(), &mut shown),
            }
            let before = held;
            let until = |from| before.filter(|(known, _)| *known == from).map(|(_, until)| until);
            // What is held even when it was flushed waits for what follows it.
            let held_from = stream.held_from().filter(|_| length.is_ok());
            held_from.map(|from| (from, until(from).unwrap_or_else(|| Instant::now() + HELD_MAX)))
        };
        if to.write_all(&shown).await.is_err() || to.flush().await.is_err() || length == Ok(0) {
            return;
        }
    }
}
