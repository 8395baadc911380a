//! What a request pays the embedded store: a point read, and a durable commit alone and in company.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use strongroom_secret::Entropy;
use strongroom_storage::embedded::{EmbeddedOptions, EmbeddedStorage};
use strongroom_storage::{CommitIndex, Storage, Transaction, Write, commit};

const ENTRIES: u64 = 100_000;
const VALUE: [u8; 200] = [0xA5; 200];

struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

/// Spreads consecutive numbers over all keys, as hashed keys are.
fn key(number: u64) -> Vec<u8> {
    let high = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    [high.to_be_bytes(), number.to_be_bytes()].concat()
}

fn filled(folder: &std::path::Path, entries: u64) -> EmbeddedStorage {
    let store = EmbeddedStorage::open(folder, &Zeros, &EmbeddedOptions::default()).unwrap();
    let mut keys: Vec<_> = (0..entries).map(key).collect();
    keys.sort();
    store.replace(CommitIndex(0), &mut keys.into_iter().map(|key| Ok((key, VALUE.to_vec())))).unwrap();
    store
}

fn reads(criterion: &mut Criterion) {
    let folder = tempfile::TempDir::new().unwrap();
    let store = filled(folder.path(), ENTRIES);
    let mut group = criterion.benchmark_group("read one of 100,000");
    group.throughput(Throughput::Elements(1));
    let mut number = 0_u64;
    let mut next = || {
        number = (number + 7_919) % ENTRIES;
        key(number)
    };
    group.bench_function("snapshot and read", |bencher| {
        bencher.iter(|| black_box(store.snapshot().unwrap().read(&next()).unwrap().unwrap()));
    });
    group.bench_function("snapshot and read after a commit", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                put(&store, next());
                let begin = Instant::now();
                black_box(store.snapshot().unwrap().read(&next()).unwrap().unwrap());
                total += begin.elapsed();
            }
            total
        });
    });
    let snapshot = store.snapshot().unwrap();
    group.bench_function("read", |bencher| {
        bencher.iter(|| black_box(snapshot.read(&next()).unwrap().unwrap()));
    });
    group.finish();
}

fn put(store: &EmbeddedStorage, key: Vec<u8>) {
    let writes = vec![Write { key, value: Some(VALUE.to_vec()) }];
    commit(store, Transaction { base: CommitIndex(0), reads: vec![], writes }).unwrap();
}

fn commits(criterion: &mut Criterion) {
    let folder = tempfile::TempDir::new().unwrap();
    let store = filled(folder.path(), ENTRIES);
    let number = AtomicU64::new(0);
    let mut group = criterion.benchmark_group("durable commit");
    group.sample_size(10).measurement_time(Duration::from_secs(4)).throughput(Throughput::Elements(1));
    for writers in [1, 8, 64] {
        let before = store.stats();
        group.bench_function(BenchmarkId::new("writers", writers), |bencher| {
            bencher.iter_custom(|rounds| {
                let begin = Instant::now();
                std::thread::scope(|scope| {
                    for writer in 0..writers {
                        let share = rounds / writers + u64::from(writer < rounds % writers);
                        let (store, number) = (&store, &number);
                        scope.spawn(move || {
                            (0..share).for_each(|_| {
                                put(store, key(number.fetch_add(1, Ordering::Relaxed) % ENTRIES))
                            });
                        });
                    }
                });
                begin.elapsed()
            });
        });
        let stats = store.stats();
        let per_sync =
            (stats.transactions - before.transactions) as f64 / (stats.commits - before.commits) as f64;
        println!("{writers} writers: {per_sync:.1} transactions a sync, log {} KiB", stats.log_bytes >> 10);
    }
    group.finish();
}

criterion_group!(benches, reads, commits);
criterion_main!(benches);
