//! What the program prints, on its way through the redactor.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use strongroom_project::redact::Redactor;
use strongroom_secret::SecretBytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The pipes of one program, if it has any.
pub struct Output {
    pipes: Vec<Pipe>,
}

struct Pipe {
    redactor: Arc<Mutex<Redactor>>,
    task: JoinHandle<()>,
}

impl Output {
    pub fn of(child: &mut Child, values: &[&SecretBytes]) -> Self {
        let stdout = child.stdout.take().map(|pipe| Pipe::start(pipe, tokio::io::stdout(), values));
        let stderr = child.stderr.take().map(|pipe| Pipe::start(pipe, tokio::io::stderr(), values));
        Self { pipes: stdout.into_iter().chain(stderr).collect() }
    }

    /// More values to take out.
    pub fn learn(&mut self, values: &[&SecretBytes]) {
        for pipe in &self.pipes {
            pipe.redactor.lock().unwrap_or_else(PoisonError::into_inner).learn(values.iter().copied());
        }
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
        values: &[&SecretBytes],
    ) -> Self {
        let redactor = Arc::new(Mutex::new(Redactor::new(values.iter().copied())));
        Self { redactor: Arc::clone(&redactor), task: tokio::spawn(pump(from, to, redactor)) }
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    redactor: Arc<Mutex<Redactor>>,
) {
    let mut chunk = vec![0; 1 << 14];
    loop {
        let length = from.read(&mut chunk).await.unwrap_or(0);
        let shown = {
            let mut redactor = redactor.lock().unwrap_or_else(PoisonError::into_inner);
            match length {
                0 => redactor.finish(),
                _ => redactor.push(chunk.get(..length).unwrap_or_default()),
            }
        };
        if to.write_all(&shown).await.is_err() || to.flush().await.is_err() || length == 0 {
            return;
        }
    }
}
