//! A few threads for work that computes or waits for long, so that it holds up nothing else, with a bounded queue.

use crate::error::{Error, ErrorKind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The pool; without threads it runs work in place.
pub(crate) struct Pool {
    queue: Option<SyncSender<Job>>,
}

impl Pool {
    pub(crate) fn new(threads: usize, queue_max: usize) -> Self {
        Self::named("heavy", threads, queue_max)
    }

    pub(crate) fn named(name: &str, threads: usize, queue_max: usize) -> Self {
        if threads == 0 {
            return Self { queue: None };
        }
        let (sender, receiver) = sync_channel::<Job>(queue_max);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads {
            let receiver = receiver.clone();
            let spawned =
                std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || work(&receiver));
            if let Err(error) = spawned {
                tracing::error!(%error, "a thread for long work cannot be started");
            }
        }
        Self { queue: Some(sender) }
    }

    /// Hands work over and does not wait. False: the queue is full, and nothing was handed over.
    pub(crate) fn try_run(&self, job: Job) -> bool {
        match &self.queue {
            None => {
                job();
                true
            }
            Some(queue) => queue.try_send(job).is_ok(),
        }
    }

    /// Runs `work` on the pool and waits for its result without holding a thread.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let Some(queue) = &self.queue else { return Ok(work()) };
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || drop(sender.send(work())));
        match queue.try_send(job) {
            Ok(()) => receiver.await.map_err(|_| Error::internal("long work ended without a result")),
            Err(TrySendError::Full(_)) => {
                Err(Error::new(ErrorKind::RateLimited, "too many logins are waiting: try again in a moment"))
            }
            Err(TrySendError::Disconnected(_)) => Err(Error::internal("the threads for long work are gone")),
        }
    }
}

fn work(receiver: &Mutex<Receiver<Job>>) {
    loop {
        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}
