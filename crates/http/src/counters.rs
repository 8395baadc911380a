use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the start of a door, for metrics and for `sys/in-flight-req`.
#[derive(Debug, Default)]
pub struct Counters {
    connections_open: AtomicU64,
    connections_total: AtomicU64,
    requests_running: AtomicU64,
    requests_total: AtomicU64,
    answers_by_class: [AtomicU64; 6],
}

/// The counts at one moment, each read on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountersSnapshot {
    pub connections_open: u64,
    pub connections_total: u64,
    pub requests_running: u64,
    pub requests_total: u64,
    /// Answers by the first digit of their status, 2 to 5.
    pub answers_2xx: u64,
    pub answers_3xx: u64,
    pub answers_4xx: u64,
    pub answers_5xx: u64,
}

impl Counters {
    pub fn snapshot(&self) -> CountersSnapshot {
        let answers = |class: usize| self.answers_by_class.get(class).map_or(0, |count| count.load(Relaxed));
        CountersSnapshot {
            connections_open: self.connections_open.load(Relaxed),
            connections_total: self.connections_total.load(Relaxed),
            requests_running: self.requests_running.load(Relaxed),
            requests_total: self.requests_total.load(Relaxed),
            answers_2xx: answers(2),
            answers_3xx: answers(3),
            answers_4xx: answers(4),
            answers_5xx: answers(5),
        }
    }

    pub(crate) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections_open.fetch_add(1, Relaxed);
        self.connections_total.fetch_add(1, Relaxed);
        OpenConnection(Arc::clone(self))
    }

    pub(crate) fn request_started(&self) {
        self.requests_running.fetch_add(1, Relaxed);
        self.requests_total.fetch_add(1, Relaxed);
    }

    pub(crate) fn request_ended(&self) {
        self.requests_running.fetch_sub(1, Relaxed);
    }

    pub(crate) fn answered(&self, status: u16) {
        if let Some(count) = self.answers_by_class.get(usize::from(status / 100)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// A connection, counted as open until dropped.
pub(crate) struct OpenConnection(Arc<Counters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections_open.fetch_sub(1, Relaxed);
    }
}
