use super::Side;
use super::workload::Workload;
use crate::http::Connection;
use crate::process::Usage;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use strongroom_testkit::SeededEntropy;

/// How one round goes.
pub(crate) struct Plan {
    pub clients: usize,
    pub warmup: Duration,
    pub measured: Duration,
}

/// One round on one server.
pub(crate) struct Measurement {
    /// Latencies of the requests that succeeded, in microseconds.
    pub latencies: Histogram<u64>,
    /// Requests that did not, by status or kind of failure.
    pub errors: BTreeMap<String, u64>,
    pub elapsed: Duration,
    /// The server's counters at the start and the end of the measured time.
    pub usage: Option<(Usage, Usage)>,
    /// The CPU time that this client took in it.
    pub client_cpu_microseconds: u64,
}

impl Measurement {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// How busy the one thread of the client was, from 0 to 1. Near 1 it, and not the server, sets the pace.
    pub(crate) fn client_load(&self) -> f64 {
        self.client_cpu_microseconds as f64 / 1e6 / self.elapsed.as_secs_f64()
    }
}

/// What one client saw.
struct Tally {
    latencies: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

/// Latencies up to a minute, in microseconds, to three digits.
pub(crate) fn histogram() -> Result<Histogram<u64>> {
    let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3).context("histogram bounds")?;
    histogram.auto(true);
    Ok(histogram)
}

pub(crate) async fn run(side: &Side, workload: Workload, plan: &Plan) -> Result<Measurement> {
    let start = Instant::now() + plan.warmup;
    let end = start + plan.measured;
    let prepared = Arc::clone(&side.prepared);
    let clients: Vec<_> = (0..plan.clients)
        .map(|number| {
            let (endpoint, prepared) = (side.endpoint.clone(), Arc::clone(&prepared));
            tokio::spawn(async move {
                let random = SeededEntropy::new(number as u64);
                let mut tally = Tally { latencies: histogram()?, errors: BTreeMap::new() };
                let mut buffer = Vec::with_capacity(1024);
                while Instant::now() < end {
                    let mut connection = Connection::open(&endpoint).await?;
                    while Instant::now() < end {
                        prepared.next(workload, &random, &mut buffer);
                        if !exchange(&mut connection, &buffer, start, &mut tally).await {
                            break;
                        }
                    }
                }
                anyhow::Ok(tally)
            })
        })
        .collect();
    tokio::time::sleep_until(start.into()).await;
    let (before, own_before) = (usage(side.pid)?, Usage::of(std::process::id())?);
    tokio::time::sleep_until(end.into()).await;
    let (after, own_after) = (usage(side.pid)?, Usage::of(std::process::id())?);
    let mut measurement = Measurement {
        latencies: histogram()?,
        errors: BTreeMap::new(),
        elapsed: plan.measured,
        usage: before.zip(after),
        client_cpu_microseconds: own_after.cpu_microseconds_since(&own_before),
    };
    for client in clients {
        let tally = client.await?.context("a client could not connect")?;
        measurement.latencies.add(&tally.latencies)?;
        for (kind, count) in tally.errors {
            *measurement.errors.entry(kind).or_default() += count;
        }
    }
    Ok(measurement)
}

/// One request. False when the connection cannot go on.
async fn exchange(connection: &mut Connection, bytes: &[u8], start: Instant, tally: &mut Tally) -> bool {
    let sent = Instant::now();
    let (error, goes_on) = match connection.exchange(bytes).await {
        Ok(answer) if answer.status < 300 => (None, !answer.closes),
        Ok(answer) => (Some(answer.status.to_string()), !answer.closes),
        Err(_) => (Some("connection".to_owned()), false),
    };
    if sent >= start {
        match error {
            None => {
                let microseconds = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
                tally.latencies.saturating_record(microseconds.max(1));
            }
            Some(kind) => *tally.errors.entry(kind).or_default() += 1,
        }
    }
    goes_on
}

fn usage(pid: Option<u32>) -> Result<Option<Usage>> {
    pid.map(Usage::of).transpose()
}
