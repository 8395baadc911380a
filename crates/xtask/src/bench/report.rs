use super::Rounds;
use super::load::{Measurement, histogram};
use crate::process::Usage;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Above this share of its thread the client may be what limits the figure.
const CLIENT_LOAD_SUSPECT: f64 = 0.9;

/// All rounds of one workload on one server, put together.
struct Summary {
    requests_per_second: f64,
    latencies: Option<Histogram<u64>>,
    errors: BTreeMap<String, u64>,
    cpu_microseconds_per_request: Option<f64>,
    usage: Option<Usage>,
    client_load: f64,
}

impl Summary {
    fn of(measurements: &[Measurement]) -> Self {
        let mut latencies = histogram().ok();
        let mut errors = BTreeMap::new();
        let (mut cpu, mut requests) = (0, 0);
        for measurement in measurements {
            if let Some(all) = &mut latencies {
                let _ = all.add(&measurement.latencies);
            }
            for (kind, count) in &measurement.errors {
                *errors.entry(kind.clone()).or_default() += count;
            }
            if let Some((before, after)) = &measurement.usage {
                cpu += after.cpu_microseconds_since(before);
                requests += measurement.latencies.len();
            }
        }
        Self {
            requests_per_second: median(measurements.iter().map(Measurement::requests_per_second)),
            latencies,
            errors,
            cpu_microseconds_per_request: (requests > 0).then(|| cpu as f64 / requests as f64),
            usage: measurements.last().and_then(|last| last.usage).map(|(_, after)| after),
            client_load: median(measurements.iter().map(Measurement::client_load)),
        }
    }

    /// The latency, in microseconds, that this share of the requests stayed under.
    fn quantile(&self, quantile: f64) -> u64 {
        self.latencies.as_ref().map_or(0, |latencies| latencies.value_at_quantile(quantile))
    }

    fn longest(&self) -> u64 {
        self.latencies.as_ref().map_or(0, Histogram::max)
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// One row for each workload and server; with two servers, a row of ratios (first over second).
pub(crate) fn table(rounds: &[Rounds]) -> String {
    let mut text = format!(
        "{:<14} {:<7} {:>10} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>8}  {}\n",
        "workload",
        "side",
        "req/s",
        "p50 µs",
        "p90",
        "p99",
        "p99.9",
        "max",
        "cpu µs/rq",
        "RSS MiB",
        "client",
        "errors"
    );
    for pair in rounds.chunk_by(|left, right| left.workload == right.workload) {
        let summaries: Vec<Summary> = pair.iter().map(|rounds| Summary::of(&rounds.measurements)).collect();
        for (rounds, summary) in pair.iter().zip(&summaries) {
            row(&mut text, rounds, summary);
        }
        if let [first, second] = summaries.as_slice() {
            let _ = writeln!(
                text,
                "{:<14} {:<7} {:>9.2}x {:>7.2}x {:>17.2}x {:>28}",
                "",
                "ratio",
                first.requests_per_second / second.requests_per_second,
                ratio(first.quantile(0.5), second.quantile(0.5)),
                ratio(first.quantile(0.99), second.quantile(0.99)),
                match (first.cpu_microseconds_per_request, second.cpu_microseconds_per_request) {
                    (Some(first), Some(second)) => format!("{:.2}x", first / second),
                    _ => String::new(),
                },
            );
        }
    }
    text
}

fn ratio(first: u64, second: u64) -> f64 {
    first as f64 / second as f64
}

fn row(text: &mut String, rounds: &Rounds, summary: &Summary) {
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let resident = summary.usage.map(|usage| usage.resident_kilobytes as f64 / 1024.0);
    let suspect = if summary.client_load > CLIENT_LOAD_SUSPECT { "!" } else { "" };
    let errors: Vec<String> = summary.errors.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
    let _ = writeln!(
        text,
        "{:<14} {:<7} {:>10.0} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>8}  {}",
        rounds.workload.to_string(),
        rounds.side,
        summary.requests_per_second,
        summary.quantile(0.5),
        summary.quantile(0.9),
        summary.quantile(0.99),
        summary.quantile(0.999),
        summary.longest(),
        optional(summary.cpu_microseconds_per_request),
        optional(resident),
        format!("{:.0}%{suspect}", summary.client_load * 100.0),
        errors.join(", "),
    );
}

/// The same figures and those of every round.
pub(crate) fn json(rounds: &[Rounds]) -> Value {
    let entries = rounds.iter().map(|rounds| {
        let summary = Summary::of(&rounds.measurements);
        json!({
            "workload": rounds.workload.to_string(),
            "side": rounds.side,
            "requests_per_second": summary.requests_per_second,
            "requests_per_second_rounds":
                rounds.measurements.iter().map(Measurement::requests_per_second).collect::<Vec<_>>(),
            "latency_microseconds": {
                "p50": summary.quantile(0.5),
                "p90": summary.quantile(0.9),
                "p99": summary.quantile(0.99),
                "p99.9": summary.quantile(0.999),
                "max": summary.longest(),
            },
            "cpu_microseconds_per_request": summary.cpu_microseconds_per_request,
            "server": summary.usage.map(|usage| usage.json()),
            "client_load": summary.client_load,
            "errors": summary.errors,
        })
    });
    Value::Array(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median(std::iter::empty()), 0.0);
    }
}
