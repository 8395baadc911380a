//! For tests: a small HTTP server that counts what it is asked, and surroundings that are told.

use crate::surroundings::{Surroundings, Variables};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use strongroom_secret::{Clock, Entropy, Timestamp};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What is answered.
pub(crate) enum Reply {
    Json(u16, Value),
    Headed(u16, Vec<(&'static str, String)>, String),
    /// These bytes, and then the connection is closed.
    Raw(String),
    /// These bytes, and then nothing more comes.
    Hang(String),
}

pub(crate) struct TestServer {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    overlap_max: Arc<AtomicUsize>,
}

impl TestServer {
    pub(crate) fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_slow(Duration::ZERO, answer)
    }

    /// A server that takes this long for every request.
    pub(crate) fn start_slow(
        delay: Duration,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let overlap_max = Arc::new(AtomicUsize::new(0));
        let shared = (Arc::clone(&received), Arc::clone(&overlap_max), Arc::new(AtomicUsize::new(0)));
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, answer) = (shared.clone(), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = read_request(&mut stream) {
                        let (received, overlap_max, under_way) = &shared;
                        received.lock().unwrap().push(request.clone());
                        let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                        overlap_max.fetch_max(now, Ordering::SeqCst);
                        thread::sleep(delay);
                        let reply = answer(&request);
                        under_way.fetch_sub(1, Ordering::SeqCst);
                        if !send(stream.get_mut(), reply) {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, received, overlap_max }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The most requests that were under way at once.
    pub(crate) fn overlap_max(&self) -> usize {
        self.overlap_max.load(Ordering::SeqCst)
    }
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Received { method, target, headers, body: Vec::new() };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// Whether the connection goes on.
fn send(stream: &mut TcpStream, reply: Reply) -> bool {
    let (status, headers, body) = match reply {
        Reply::Json(status, body) => (status, Vec::new(), body.to_string()),
        Reply::Headed(status, headers, body) => (status, headers, body),
        Reply::Raw(text) => {
            let _ = stream.write_all(text.as_bytes());
            return false;
        }
        Reply::Hang(text) => {
            let _ = stream.write_all(text.as_bytes());
            // Until the other side goes away.
            let _ = stream.read(&mut [0; 1]);
            return false;
        }
    };
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).is_ok()
}

/// The time that a test sets; it stands still.
pub(crate) struct TestClock {
    now: Timestamp,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// The same bytes again and again.
struct TestEntropy;

impl Entropy for TestEntropy {
    fn fill(&self, out: &mut [u8]) {
        for (index, byte) in out.iter_mut().enumerate() {
            *byte = u8::try_from(index * 37 % 251).unwrap();
        }
    }
}

/// 2026-11-22T12:00:00Z
pub(crate) const NOW_SECONDS: i64 = 1_795_348_800;

/// Surroundings with these variables, and a home folder that is the working folder too.
pub(crate) fn surroundings(home: &Path, variables: &[(&str, &str)]) -> Arc<Surroundings> {
    surroundings_at(NOW_SECONDS, home, variables)
}

/// As `surroundings`, at another time.
pub(crate) fn surroundings_at(
    now_seconds: i64,
    home: &Path,
    variables: &[(&str, &str)],
) -> Arc<Surroundings> {
    let pairs = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Arc::new(Surroundings {
        variables: Variables::from_pairs(pairs),
        home: Some(home.to_owned()),
        folder: home.to_owned(),
        clock: Arc::new(TestClock { now: Timestamp::from_seconds(now_seconds) }),
        entropy: Arc::new(TestEntropy),
    })
}
