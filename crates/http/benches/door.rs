//! Requests per second of the door with a handler that does nothing: what the door alone costs. Client and server
//! share the cores. Run: `cargo bench -p strongroom-http`.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Map, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use strongroom_http::{Address, Answer, Door, Handler, Listener, Options};
use strongroom_kernel::{Request, Response};
use strongroom_testkit::{FakeClock, SeededEntropy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Answers as a KV read does, without looking.
struct Fixed;

impl Handler for Fixed {
    fn handle(self: Arc<Self>, request: Request) -> Answer {
        Box::pin(async move {
            drop(request);
            let data = json!({"username": "not-a-real-user", "password": "not-a-real-password"});
            let metadata = json!({"version": 1, "destroyed": false, "created_time": "2026-01-01T00:00:00Z"});
            Ok(Response::data(Map::from_iter([("data".into(), data), ("metadata".into(), metadata)])))
        })
    }
}

const CONNECTIONS: u64 = 32;

const REQUEST: &[u8] = b"GET /v1/secret/data/app/database HTTP/1.1\r\nhost: 127.0.0.1:8200\r\n\
    user-agent: bench\r\naccept-encoding: gzip, deflate\r\naccept: */*\r\nconnection: keep-alive\r\n\
    x-vault-token: hvs.not-a-real-token\r\nx-vault-request: true\r\n\r\n";

/// `count` requests, one after another, on one connection.
async fn client(address: SocketAddr, count: u64) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = [0; 4096];
    for _ in 0..count {
        stream.write_all(REQUEST).await.unwrap();
        let mut length = 0;
        while !answer.get(..length).is_some_and(|answer| answer.ends_with(b"}")) {
            length += stream.read(answer.get_mut(length..).unwrap()).await.unwrap();
        }
    }
}

async fn clients(address: SocketAddr, requests: u64) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> =
        (0..CONNECTIONS).map(|_| tokio::spawn(client(address, requests.div_ceil(CONNECTIONS)))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

fn read(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let listeners = vec![Listener::new(Address::Tcp("127.0.0.1:0".into()))];
    let entropy = Arc::new(SeededEntropy::new(1));
    let door =
        Door::bind(listeners, Arc::new(Fixed), Arc::new(FakeClock::new()), entropy, Options::default());
    let door = runtime.block_on(door).unwrap();
    let address = door.tcp_addresses().first().copied().unwrap();
    runtime.spawn(door.serve(std::future::pending()));
    let mut group = criterion.benchmark_group("door");
    group.throughput(Throughput::Elements(1));
    group.bench_function("read, 32 connections", |bencher| {
        bencher.iter_custom(|requests| runtime.block_on(clients(address, requests.max(CONNECTIONS))));
    });
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
