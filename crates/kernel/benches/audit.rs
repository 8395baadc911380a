//! What audit costs: formatting one record, and a request's two records through a file device.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use strongroom_crypto::mac::MacKey;
use strongroom_kernel::audit::{
    AuthFacts, Broker, BrokerOptions, CallerFacts, DataFacts, DeviceConfig, GrantingPolicy, MountFacts,
    Receipt, Record, RequestFacts, ResponseFacts,
};
use strongroom_secret::Timestamp;
use strongroom_testkit::FakeClock;

struct Texts {
    policies: Vec<String>,
    metadata: Map<String, Value>,
    data: Map<String, Value>,
}

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn texts() -> Texts {
    let metadata = json!({"created_time": "2026-01-01T00:00:00Z", "version": 3, "destroyed": false});
    let data =
        json!({"username": "shop", "password": "not-a-real-password", "url": "postgresql://db.example/shop"});
    Texts {
        policies: vec!["default".to_owned(), "shop-read".to_owned()],
        metadata: object(json!({"role_name": "shop"})),
        data: object(json!({"data": data, "metadata": metadata})),
    }
}

/// A read of a secret with four texts; two tokens and two accessors are hashed too.
fn records(texts: &Texts) -> [Record<'_>; 2] {
    let request = RequestFacts {
        id: "00000000-0000-4000-8000-000000000001",
        client_id: "entity-1",
        operation: "read",
        client_token: "hvs.not-a-real-token-not-a-real-token",
        client_token_accessor: "not-a-real-accessor",
        namespace_id: "root",
        path: "secret/data/shop/database",
        remote_address: Some([192, 0, 2, 7].into()),
        remote_port: 40_000,
        ..RequestFacts::default()
    };
    let auth = AuthFacts {
        client_token: request.client_token,
        accessor: request.client_token_accessor,
        display_name: "approle-shop",
        policies: &texts.policies,
        token_policies: &texts.policies,
        metadata: Some(&texts.metadata),
        entity_id: "entity-1",
        token_type: "service",
        token_ttl: Duration::from_secs(3600),
        token_issue_time: Some(Timestamp::from_seconds(1_767_225_600)),
        ..AuthFacts::default()
    };
    const GRANTING: &[GrantingPolicy<'static>] =
        &[GrantingPolicy { name: "shop-read", namespace_id: "root", namespace_path: "" }];
    let caller = CallerFacts { auth, allowed: Some(true), granting_policies: GRANTING, remaining_uses: 0 };
    let mount = MountFacts {
        point: "secret/",
        kind: "kv",
        accessor: "kv_1",
        class: "secret",
        ..MountFacts::default()
    };
    let time = Timestamp::from_nanoseconds(1_767_225_600_123_456_789);
    let asked = Record { time, caller, request, mount, ..Record::default() };
    let response = ResponseFacts { data: DataFacts::Map(&texts.data), ..ResponseFacts::default() };
    [asked.clone(), Record { response: Some(response), ..asked }]
}

fn broker(folder: &std::path::Path) -> Broker {
    let mac = MacKey::from_slice(b"a key for benchmarks");
    let broker = Broker::new(BrokerOptions::new(Arc::new(FakeClock::new()), mac));
    let path = folder.join("audit.log").display().to_string();
    broker
        .enable("file", DeviceConfig::parse("file", &[("file_path".to_owned(), path)].into()).unwrap())
        .unwrap();
    broker
}

/// CPU time of the whole process.
fn cpu() -> Duration {
    let schedstat = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(schedstat.sum())
}

/// Requests in flight at once, as many connections cause; prints the CPU time, which criterion does not know.
fn in_flight(broker: &Broker, texts: &Texts, window: usize, requests: u64) -> Duration {
    let (start, cpu_start) = (Instant::now(), cpu());
    let mut receipts: VecDeque<Receipt> = VecDeque::with_capacity(window);
    for _ in 0..requests {
        if receipts.len() == window {
            receipts.pop_front().unwrap().wait().unwrap();
        }
        receipts.push_back(broker.submit(&records(texts)));
    }
    for receipt in receipts {
        receipt.wait().unwrap();
    }
    let (wall, used) = (start.elapsed(), cpu() - cpu_start);
    if requests >= 10_000 {
        println!(
            "{window} in flight: {:.0} records/s, {:.2} µs CPU a request (two records)",
            2.0 * requests as f64 / wall.as_secs_f64(),
            used.as_secs_f64() * 1e6 / requests as f64,
        );
    }
    wall
}

fn audit(criterion: &mut Criterion) {
    let texts = texts();
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path());
    let records = records(&texts);
    let mac = MacKey::from_slice(b"a key for benchmarks");

    let mut group = criterion.benchmark_group("format");
    let [request, response] = &records;
    for (name, record) in [("request", request), ("response", response)] {
        group.bench_function(name, |bench| {
            let mut out = Vec::with_capacity(4096);
            bench.iter(|| {
                out.clear();
                black_box(record).format(&mut out, &Default::default(), &mac);
                black_box(out.len())
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("file device");
    group.throughput(Throughput::Elements(2)).sample_size(20).measurement_time(Duration::from_secs(2));
    for window in [1, 32] {
        group.bench_function(format!("{window} in flight"), |bench| {
            bench.iter_custom(|requests| in_flight(&broker, &texts, window, requests));
        });
        in_flight(&broker, &texts, window, 20_000);
    }
    group.finish();
}

criterion_group!(benches, audit);
criterion_main!(benches);
