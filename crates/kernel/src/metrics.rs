//! Counts of what the server did, for `sys/metrics`. All are plain counters: nothing here waits for anything.

use crate::backend::Backend;
use crate::error::Error;
use crate::request::{Operation, Response};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use strongroom_secret::Timestamp;

const OPERATIONS: [Operation; 7] = [
    Operation::Read,
    Operation::Write,
    Operation::Patch,
    Operation::Delete,
    Operation::List,
    Operation::Scan,
    Operation::Help,
];
/// Upper bounds of the buckets of latency, in microseconds.
const BUCKETS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000, 10_000_000];

/// The counters of a kernel since its start.
pub(crate) struct Metrics {
    by_backend: Vec<(&'static Backend, Answers)>,
    /// Requests that no mount served.
    unrouted: Answers,
    buckets: [AtomicU64; BUCKETS_US.len()],
    requests: AtomicU64,
    microseconds: AtomicU64,
    running: AtomicU64,
    tokens_made: AtomicU64,
    leases_made: AtomicU64,
    wrapped: AtomicU64,
    pub(crate) rotations: crate::rotation::Counters,
}

/// Answers by operation and by the first digit of their status.
type Answers = [[AtomicU64; 6]; OPERATIONS.len()];

/// A request that is being served, until dropped.
pub(crate) struct Running<'m>(&'m Metrics);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new(backends: impl Iterator<Item = &'static Backend>) -> Self {
        Self {
            by_backend: backends.map(|backend| (backend, Answers::default())).collect(),
            unrouted: Answers::default(),
            buckets: Default::default(),
            requests: AtomicU64::new(0),
            microseconds: AtomicU64::new(0),
            running: AtomicU64::new(0),
            tokens_made: AtomicU64::new(0),
            leases_made: AtomicU64::new(0),
            wrapped: AtomicU64::new(0),
            rotations: Default::default(),
        }
    }

    pub(crate) fn start(&self) -> Running<'_> {
        self.running.fetch_add(1, Relaxed);
        Running(self)
    }

    /// Counts an answer.
    pub(crate) fn answered(
        &self,
        backend: Option<&'static Backend>,
        operation: Operation,
        outcome: &Result<Response, Error>,
        took: Duration,
    ) {
        let status = match outcome {
            Ok(response) => response.status.unwrap_or(200),
            Err(error) => error.kind.status(),
        };
        let answers = self
            .by_backend
            .iter()
            .find(|(known, _)| backend.is_some_and(|backend| std::ptr::eq(*known, backend)))
            .map_or(&self.unrouted, |(_, answers)| answers);
        let row = OPERATIONS.iter().position(|known| *known == operation).and_then(|row| answers.get(row));
        if let Some(count) = row.and_then(|row| row.get(usize::from(status / 100))) {
            count.fetch_add(1, Relaxed);
        }
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Relaxed);
        self.microseconds.fetch_add(microseconds, Relaxed);
        let bucket = BUCKETS_US.iter().position(|bound| microseconds <= *bound);
        if let Some(count) = bucket.and_then(|bucket| self.buckets.get(bucket)) {
            count.fetch_add(1, Relaxed);
        }
        let Ok(response) = outcome else { return };
        self.tokens_made.fetch_add(u64::from(response.auth.is_some()), Relaxed);
        self.leases_made.fetch_add(u64::from(!response.lease_id.is_empty()), Relaxed);
        self.wrapped.fetch_add(u64::from(response.wrap.is_some()), Relaxed);
    }

    /// Everything in Prometheus' text format (version 0.0.4). `gauges` are added: name, help and value.
    pub(crate) fn prometheus(&self, gauges: &[(&str, &str, f64)]) -> String {
        let mut text = String::with_capacity(8 * 1024);
        header(&mut text, "strongroom_requests_total", "counter", "Requests by operation, type and status.");
        for (backend, answers) in &self.by_backend {
            write_answers(&mut text, backend.kind, backend.version, answers);
        }
        write_answers(&mut text, "", None, &self.unrouted);
        self.write_latency(&mut text);
        let rotations = &self.rotations;
        let counters = [
            ("strongroom_rotations_total", "Rotations that promoted a new version.", &rotations.promoted),
            ("strongroom_rotations_rolled_back_total", "Rotations that failed.", &rotations.rolled_back),
            ("strongroom_rotation_steps_failed_total", "Steps that failed.", &rotations.steps_failed),
            (
                "strongroom_validations_failed_total",
                "Presented values that did not fit.",
                &rotations.validations_failed,
            ),
            ("strongroom_tokens_created_total", "Answers with a token.", &self.tokens_made),
            ("strongroom_leases_created_total", "Answers with a lease.", &self.leases_made),
            ("strongroom_wrapped_total", "Answers that were wrapped.", &self.wrapped),
        ];
        for (name, help, count) in counters {
            header(&mut text, name, "counter", help);
            line(&mut text, name, "", count.load(Relaxed) as f64);
        }
        header(&mut text, "strongroom_requests_running", "gauge", "Requests being served.");
        line(&mut text, "strongroom_requests_running", "", self.running.load(Relaxed) as f64);
        for (name, help, value) in gauges {
            header(&mut text, name, "gauge", help);
            line(&mut text, name, "", *value);
        }
        text
    }

    /// Everything as Vault's JSON gives it: counts and times since the start, `uptime` ago. Times are in milliseconds.
    pub(crate) fn json(&self, gauges: &[(&str, &str, f64)], uptime: Duration, now: Timestamp) -> Value {
        let mut counters = Vec::new();
        for (backend, answers) in &self.by_backend {
            json_answers(&mut counters, backend.kind, backend.version, answers, uptime);
        }
        json_answers(&mut counters, "", None, &self.unrouted, uptime);
        let mut count = |name: &str, count: &AtomicU64| {
            counters.push(aggregate(
                name,
                count.load(Relaxed),
                count.load(Relaxed) as f64,
                uptime,
                json!({}),
            ));
        };
        count("strongroom_tokens_created_total", &self.tokens_made);
        count("strongroom_leases_created_total", &self.leases_made);
        count("strongroom_wrapped_total", &self.wrapped);
        count("strongroom_rotations_total", &self.rotations.promoted);
        count("strongroom_rotations_rolled_back_total", &self.rotations.rolled_back);
        count("strongroom_rotation_steps_failed_total", &self.rotations.steps_failed);
        count("strongroom_validations_failed_total", &self.rotations.validations_failed);
        let running = ("strongroom_requests_running", "", self.running.load(Relaxed) as f64);
        let gauge =
            |(name, _, value): &(&str, &str, f64)| json!({"Name": name, "Value": value, "Labels": {}});
        let milliseconds = self.microseconds.load(Relaxed) as f64 / 1e3;
        let requests = self.requests.load(Relaxed);
        json!({
            "Timestamp": now.rfc3339(),
            "Gauges": gauges.iter().chain([&running]).map(gauge).collect::<Vec<_>>(),
            "Points": [],
            "Counters": counters,
            "Samples": [aggregate("strongroom_request", requests, milliseconds, uptime, json!({}))],
        })
    }

    fn write_latency(&self, text: &mut String) {
        let name = "strongroom_request_seconds";
        header(text, name, "histogram", "How long requests took, audit and commit included.");
        let mut below = 0;
        for (bound, count) in BUCKETS_US.iter().zip(&self.buckets) {
            below += count.load(Relaxed);
            let label = format!("{{le=\"{}\"}}", *bound as f64 / 1e6);
            line(text, "strongroom_request_seconds_bucket", &label, below as f64);
        }
        let requests = self.requests.load(Relaxed) as f64;
        line(text, "strongroom_request_seconds_bucket", "{le=\"+Inf\"}", requests);
        line(text, "strongroom_request_seconds_sum", "", self.microseconds.load(Relaxed) as f64 / 1e6);
        line(text, "strongroom_request_seconds_count", "", requests);
    }
}

fn write_answers(text: &mut String, kind: &str, version: Option<&str>, answers: &Answers) {
    for (operation, row) in OPERATIONS.iter().zip(answers) {
        for (class, count) in row.iter().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                let version = version.unwrap_or_default();
                let operation = operation.as_str();
                let label = format!(
                    "{{operation=\"{operation}\",type=\"{kind}\",version=\"{version}\",status=\"{class}xx\"}}"
                );
                line(text, "strongroom_requests_total", &label, count as f64);
            }
        }
    }
}

fn json_answers(
    counters: &mut Vec<Value>,
    kind: &str,
    version: Option<&str>,
    answers: &Answers,
    uptime: Duration,
) {
    for (operation, row) in OPERATIONS.iter().zip(answers) {
        for (class, count) in row.iter().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                let labels = json!({
                    "operation": operation.as_str(),
                    "type": kind,
                    "version": version.unwrap_or_default(),
                    "status": format!("{class}xx"),
                });
                let name = "strongroom_requests_total";
                counters.push(aggregate(name, count, count as f64, uptime, labels));
            }
        }
    }
}

/// One measured value as Vault's JSON has it. `Rate` is the sum by the second.
fn aggregate(name: &str, count: u64, sum: f64, uptime: Duration, labels: Value) -> Value {
    let mean = if count > 0 { sum / count as f64 } else { 0.0 };
    let rate = sum / uptime.as_secs_f64().max(1.0);
    json!({ "Name": name, "Count": count, "Rate": rate, "Sum": sum, "Mean": mean, "Labels": labels })
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let _infallible = writeln!(text, "{name}{labels} {value}");
}
