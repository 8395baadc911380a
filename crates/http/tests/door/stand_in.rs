//! A handler that says what it was asked, a running door, and a client of raw bytes.

use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use strongroom_http::{Address, Answer, CorsPolicy, Counters, Door, Handler, Listener, Options};
use strongroom_kernel::{Data, Error, Request, Response};
use strongroom_secret::{Clock, Timestamp};
use strongroom_testkit::SeededEntropy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Answers with what it was asked. Paths below `do/` make it behave in other ways.
#[derive(Default)]
pub(crate) struct Echo {
    /// Requests to `do/slow` that ran to their end.
    pub(crate) slow_ended: Arc<Mutex<usize>>,
}

impl Handler for Echo {
    fn handle(self: Arc<Self>, mut request: Request) -> Answer {
        Box::pin(async move {
            match request.path.as_str() {
                "do/nothing" => Ok(Response::default()),
                "do/fail" => {
                    let mut error = Error::denied().with_detail("for the log alone");
                    error.hint = Some("add read on do/fail".into());
                    Err(error)
                }
                "do/miss" => Err(Error::not_found()),
                "do/bytes" => {
                    let body = std::mem::take(&mut request.body.0);
                    Ok(Response {
                        data: Data::Bytes { content_type: "text/plain", body },
                        ..Response::default()
                    })
                }
                "do/slow" => {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    *self.slow_ended.lock() += 1;
                    Ok(Response::default())
                }
                "do/forever" => std::future::pending().await,
                _ => Ok(Response::plain(describe(&request))),
            }
        })
    }
}

fn describe(request: &Request) -> Value {
    json!({
        "operation": request.operation.as_str(),
        "path": request.path.as_str(),
        "namespace": request.namespace.as_str(),
        "fields": request.fields.0,
        "body": request.body.0.len(),
        "token": request.token.as_ref().map(|token| token.expose()),
        "wrap_ttl": request.wrap_ttl.map(|ttl| ttl.as_secs()),
        "address": request.client.address,
        "certificates": request.client.certificates.len(),
        "headers": request.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

/// The clock of tokio, which runs or stands as the test says.
pub(crate) struct TestClock(tokio::time::Instant);

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(tokio::time::Instant::now()))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::EPOCH.plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A door that is being served.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) cors: Arc<parking_lot::RwLock<Arc<CorsPolicy>>>,
    pub(crate) page_headers: strongroom_http::PageHeaders,
    stop: oneshot::Sender<()>,
    served: JoinHandle<usize>,
}

impl Running {
    /// Stops the door; how many requests were cut off.
    pub(crate) async fn stop(self) -> usize {
        let _ = self.stop.send(());
        self.served.await.unwrap()
    }
}

pub(crate) fn tcp() -> Listener {
    Listener::new(Address::Tcp("127.0.0.1:0".into()))
}

pub(crate) async fn start() -> Running {
    start_with(tcp(), Options::default(), Arc::default()).await
}

pub(crate) async fn start_with(listener: Listener, options: Options, handler: Arc<Echo>) -> Running {
    let entropy = Arc::new(SeededEntropy::new(7));
    let door = Door::bind(vec![listener], handler, TestClock::new(), entropy, options).await.unwrap();
    let address = door.tcp_addresses().first().copied().unwrap_or(([127, 0, 0, 1], 0).into());
    let (counters, cors, page_headers) = (door.counters(), door.cors(), door.page_headers());
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(door.serve(async {
        let _ = stopped.await;
    }));
    Running { address, counters, cors, page_headers, stop, served }
}

/// Sends bytes on a connection of their own and returns all that comes back until the server closes it.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse while we still send.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// One request on a connection that closes after it: status and body.
pub(crate) async fn ask(address: SocketAddr, head: &str, body: &str) -> (u16, Value) {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let text = format!("{head}\r\nhost: a\r\nconnection: close\r\n{length}\r\n{body}");
    let answer = exchange(address, text.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (status(head), serde_json::from_str(body).unwrap_or(Value::String(body.into())))
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}
