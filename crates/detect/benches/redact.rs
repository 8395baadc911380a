//! A log through the redactor: `cargo bench -p strongroom-detect --bench redact`.
//!
//! 32 MB of ordinary lines of several kinds of programs; a thousand known values of the kinds that projects have. One line in five
//! thousand holds a value, one in fifty speaks of a token. Times are of the processor, so that a busy machine shows the same.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark fails by panicking")]

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustix::time::{ClockId, clock_gettime};
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use strongroom_detect::redact::{Patterns, Redactor, Stream, Style, Values};
use strongroom_detect::{Confidence, builtin};
use strongroom_secret::SecretBytes;

const LOG_BYTES: usize = 32 << 20;
const CHUNK_BYTES: usize = 256 << 10;

struct CpuTime;

impl CpuTime {
    fn now() -> Duration {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    }
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    fn one<'t>(&mut self, list: &[&'t str]) -> &'t str {
        list[self.below(list.len())]
    }

    fn text(&mut self, alphabet: &str, length: usize) -> String {
        (0..length).map(|_| char::from(alphabet.as_bytes()[self.below(alphabet.len())])).collect()
    }

    fn hex(&mut self, length: usize) -> String {
        self.text("0123456789abcdef", length)
    }
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const SIGNS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,-./:;<=>?@^_~";

/// Tokens with a prefix, passwords with and without signs, base64 and hex keys, addresses of databases, private keys.
fn known(random: &mut Random) -> Vec<String> {
    (0..1000)
        .map(|number| match number % 20 {
            0..=6 => {
                let prefix = random.one(&["sk_test_", "tok-", "app_", "xk-", "svc."]);
                format!("{prefix}{}", random.text(LETTERS, 24 + number % 17))
            }
            7..=9 => random.text(SIGNS, 12 + number % 13),
            10..=12 => random.text(LETTERS, 8 + number % 9),
            13..=15 => random.text(LETTERS, 43) + "=",
            16 | 17 => random.hex(32 << (number & 1)),
            18 => {
                format!("postgres://app{number}:{}@db{number}.internal:5432/shop", random.text(LETTERS, 20))
            }
            _ => {
                let lines: Vec<String> = (0..25).map(|_| random.text(LETTERS, 64)).collect();
                format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
            }
        })
        .collect()
}

const WORDS: &[&str] = &[
    "user",
    "order",
    "payment",
    "cache",
    "retry",
    "worker",
    "queue",
    "session",
    "request",
    "handler",
    "timeout",
    "connection",
    "closed",
    "opened",
    "failed",
    "completed",
    "started",
    "processing",
    "invoice",
    "shipment",
    "customer",
    "index",
    "rebuilt",
    "batch",
    "of",
    "for",
    "with",
    "from",
    "after",
    "in",
    "the",
    "to",
    "partition",
    "offset",
    "committed",
    "lag",
    "refreshed",
    "scheduler",
    "tick",
    "heartbeat",
    "leader",
    "elected",
    "snapshot",
    "compaction",
    "email",
    "sent",
];
const PATHS: &[&str] = &[
    "/api/v1/orders",
    "/api/v1/users",
    "/healthz",
    "/static/app.js",
    "/login",
    "/search",
    "/metrics",
    "/images/logo.png",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "curl/8.5.0",
    "kube-probe/1.29",
    "Go-http-client/2.0",
];

fn line(random: &mut Random, log: &mut String) -> std::fmt::Result {
    let (hour, minute, second) = (random.below(24), random.below(60), random.below(60));
    let milli = random.below(1000);
    let time = format!("2026-11-{:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", 1 + random.below(30));
    let words = |random: &mut Random, count: usize| {
        (0..count).map(|_| random.one(WORDS)).collect::<Vec<_>>().join(" ")
    };
    match random.below(8) {
        0 | 1 => {
            let (a, b, c) = (random.below(256), random.below(256), random.below(256));
            let (path, agent) = (random.one(PATHS), random.one(AGENTS));
            let status = random.one(&["200", "200", "200", "304", "404", "500"]);
            let (size, id) = (random.below(100_000), random.below(1_000_000));
            writeln!(
                log,
                "10.{a}.{b}.{c} - - [{time}] \"GET {path}/{id}?page=2&sort=asc HTTP/1.1\" {status} {size} \"-\" \"{agent}\""
            )
        }
        2 | 3 => {
            let level = random.one(&["info", "info", "warn", "error", "debug"]);
            let count = 4 + random.below(8);
            let message = words(random, count);
            let (trace, span) = (random.hex(32), random.hex(16));
            let duration = random.below(5000);
            writeln!(
                log,
                "{{\"ts\":\"{time}\",\"level\":\"{level}\",\"msg\":\"{message}\",\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",\"duration_ms\":{duration}}}"
            )
        }
        4 => {
            let level = random.one(&["INFO", "WARN", "ERROR", "DEBUG"]);
            let count = 6 + random.below(10);
            let message = words(random, count);
            writeln!(
                log,
                "{time} {level} [worker-{}] com.example.shop.{}: {message}",
                random.below(32),
                random.one(WORDS)
            )
        }
        5 => {
            let (pod, node) = (random.hex(10), random.below(40));
            let count = 5 + random.below(5);
            let message = words(random, count);
            writeln!(
                log,
                "I1130 {hour:02}:{minute:02}:{second:02}.{milli:06} 1 controller.go:{}] pod shop-{pod} node-{node} {message}",
                random.below(900)
            )
        }
        6 => {
            let id = format!(
                "{}-{}-4{}-a{}-{}",
                random.hex(8),
                random.hex(4),
                random.hex(3),
                random.hex(3),
                random.hex(12)
            );
            writeln!(
                log,
                "{time} level=info component={} request_id={id} rows={} took={}us query=\"SELECT * FROM orders WHERE id = $1\"",
                random.one(WORDS),
                random.below(1000),
                random.below(90_000)
            )
        }
        _ => {
            let at = random.one(WORDS);
            writeln!(
                log,
                "    at com.example.shop.{at}.{}(Service.java:{}) ~[shop-1.{}.jar:?]",
                random.one(WORDS),
                random.below(2000),
                random.below(40)
            )
        }
    }
}

fn log(random: &mut Random, values: &[String]) -> Vec<u8> {
    let mut log = String::with_capacity(LOG_BYTES + 4096);
    let mut lines = 0_usize;
    while log.len() < LOG_BYTES {
        line(random, &mut log).unwrap();
        lines += 1;
        if lines.is_multiple_of(50) {
            writeln!(
                log,
                "2026-11-30 INFO token of session {} refreshed, expires_in=3600",
                random.below(1000)
            )
            .unwrap();
        }
        if lines.is_multiple_of(5000) {
            let value = values[random.below(values.len())].lines().next_back().unwrap_or_default();
            writeln!(log, "2026-11-30 WARN cannot log in with {value}").unwrap();
        }
    }
    log.into_bytes()
}

fn redactor(values: &[String]) -> Redactor {
    let mut all = Values::telling();
    for (number, value) in values.iter().enumerate() {
        all.add(&format!("V{number}"), &SecretBytes::new(value.clone().into_bytes())).unwrap();
    }
    Redactor::new(all, Style::Mask)
}

fn patterns() -> Patterns {
    Patterns::new(builtin::rules(), Confidence::Medium)
}

fn through(redactor: &Arc<Redactor>, log: &[u8], shown: &mut Vec<u8>) -> usize {
    let mut stream = Stream::new(Arc::clone(redactor));
    let mut bytes = 0;
    for chunk in log.chunks(CHUNK_BYTES) {
        shown.clear();
        stream.push(chunk, shown);
        bytes += shown.len();
    }
    shown.clear();
    stream.finish(shown);
    bytes + shown.len()
}

fn logs(criterion: &mut Criterion<CpuTime>) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let values = known(&mut random);
    let log = log(&mut random, &values);
    let mut shown = Vec::with_capacity(2 * CHUNK_BYTES);
    let mut group = criterion.benchmark_group("redact 32 MB of logs");
    group.throughput(Throughput::Bytes(log.len() as u64)).sample_size(10);
    group.bench_function("copied, for comparison", |bencher| {
        bencher.iter(|| {
            log.chunks(CHUNK_BYTES).for_each(|chunk| {
                shown.clear();
                shown.extend_from_slice(black_box(chunk));
                black_box(&shown);
            });
        });
    });
    let ten = Arc::new(redactor(&values[..10]));
    group.bench_function("10 values", |bencher| bencher.iter(|| through(&ten, black_box(&log), &mut shown)));
    let thousand = Arc::new(redactor(&values));
    group.bench_function("1,000 values", |bencher| {
        bencher.iter(|| through(&thousand, black_box(&log), &mut shown))
    });
    let names = Arc::new(redactor(&[]).with_patterns(Patterns::of_names()));
    group.bench_function("names", |bencher| bencher.iter(|| through(&names, black_box(&log), &mut shown)));
    let alone = Arc::new(redactor(&[]).with_patterns(patterns()));
    group.bench_function("patterns", |bencher| bencher.iter(|| through(&alone, black_box(&log), &mut shown)));
    let both = Arc::new(redactor(&values).with_patterns(patterns()));
    group.bench_function("1,000 values and patterns", |bencher| {
        bencher.iter(|| through(&both, black_box(&log), &mut shown));
    });
    group.finish();
    criterion.bench_function("redact: 1,000 values made ready", |bencher| {
        bencher.iter(|| redactor(black_box(&values)))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = logs
}
criterion_main!(benches);
