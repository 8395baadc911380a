//! Stands between a client and a server, and holds up the one request of those that change something at which a test wants to act:
//! the client is killed, or the server, before the server has heard of it or after it has answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The server has not heard of it.
    Before,
    /// The server has answered, and the client has not heard that.
    After,
}

/// What a test waits for.
pub(crate) enum Event {
    /// The request is here. It goes nowhere until the test has said so, and its client gets no answer.
    Reached(Sender<()>),
    /// The client has ended, with what it said.
    Ended(String),
}

pub(crate) struct Gate {
    port: u16,
    /// The requests that changed something, in order.
    seen: Arc<Mutex<Vec<String>>>,
}

struct Watch {
    server: u16,
    stop_at: (u64, Moment),
    count: AtomicU64,
    seen: Arc<Mutex<Vec<String>>>,
    events: Sender<Event>,
}

impl Gate {
    /// Lets everything through up to the request of this number, from 1.
    pub(crate) fn open(server: u16, stop_at: (u64, Moment), events: Sender<Event>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watch = Arc::new(Watch { server, stop_at, count: AtomicU64::new(0), seen: seen.clone(), events });
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let watch = watch.clone();
                // A client that is killed leaves a broken connection behind.
                std::thread::spawn(move || {
                    let _ = watch.pass(&stream);
                });
            }
        });
        Self { port, seen }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Watch {
    /// One request: a client that has another one connects again.
    fn pass(&self, client: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(client);
        let mut head = String::new();
        let mut length = 0;
        let mut first = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if first.is_empty() {
                line.trim_end().clone_into(&mut first);
            }
            let lower = line.to_ascii_lowercase();
            if let Some(number) = lower.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            if !lower.starts_with("connection:") {
                head.push_str(&line);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let moment = self.moment(&first);
        if moment == Some(Moment::Before) {
            return self.hold(client);
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.server))?;
        server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
        server.write_all(&body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        if moment == Some(Moment::After) {
            return self.hold(client);
        }
        let mut client = client;
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    }

    fn moment(&self, first: &str) -> Option<Moment> {
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if method == "GET" || method == "LIST" {
            return None;
        }
        self.seen.lock().unwrap().push(format!("{method} {path}"));
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        (number == self.stop_at.0).then_some(self.stop_at.1)
    }

    fn hold(&self, client: &TcpStream) -> std::io::Result<()> {
        let (go, gone) = channel();
        let _ = self.events.send(Event::Reached(go));
        let _ = gone.recv();
        client.shutdown(Shutdown::Both)
    }
}
