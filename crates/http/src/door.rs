use crate::connection::{self, Peer};
use crate::cors::CorsPolicy;
use crate::counters::Counters;
use crate::listener::{BindError, Listener, Socket, Stream};
use crate::request_id::RequestIds;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use parking_lot::RwLock;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use strongroom_kernel::{Error, Kernel, Request, Response};
use strongroom_secret::{Clock, Entropy, limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What a [`Handler`] comes to.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

/// Who serves requests: the kernel, and in tests something smaller. The future is spawned: it runs to its end even if
/// the client goes away.
pub trait Handler: Send + Sync + 'static {
    fn handle(self: Arc<Self>, request: Request) -> Answer;
}

impl Handler for Kernel {
    fn handle(self: Arc<Self>, request: Request) -> Answer {
        Box::pin(Kernel::handle(self, request))
    }
}

/// Headers that are added to answers of the web page. What cannot be a header is left out.
pub type PageHeaders = Arc<RwLock<Arc<Vec<(String, String)>>>>;

/// The bounds of a door, for all its listeners together.
#[derive(Debug, Clone)]
pub struct Options {
    /// A request body, in bytes.
    pub body_bytes_max: usize,
    /// The body of a snapshot that is restored, in bytes.
    pub snapshot_bytes_max: usize,
    /// The head of an HTTP/1 request or the header list of an HTTP/2 request, in bytes; at least 8192.
    pub header_bytes_max: usize,
    /// Open connections. At the cap, new ones wait in the operating system's queue.
    pub connections_max: usize,
    /// Requests being served, those of clients that went away included. At the cap, new ones get 503.
    pub requests_max: usize,
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// For the head of a request, from its first byte; for the first request, from the start of the connection.
    pub header_timeout: Duration,
    /// For the body of a request. It grows by a second for every 64 KiB that have arrived.
    pub body_timeout: Duration,
    /// For a connection without a request.
    pub idle_timeout: Duration,
    /// For the work on a request, after it has been read.
    pub request_timeout: Duration,
    /// For running requests, once the door is told to stop.
    pub shutdown_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body_bytes_max: limits::BODY_BYTES_MAX,
            snapshot_bytes_max: 512 << 20,
            header_bytes_max: 64 << 10,
            connections_max: 8192,
            requests_max: 8192,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            request_timeout: Duration::from_secs(90),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Listeners that are bound, and what stands behind them.
pub struct Door {
    shared: Arc<Shared>,
    sockets: Vec<(Socket, Arc<Listener>)>,
}

/// What every connection of a door needs.
pub(crate) struct Shared {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) request_ids: RequestIds,
    pub(crate) cors: Arc<RwLock<Arc<CorsPolicy>>>,
    pub(crate) page_headers: PageHeaders,
    pub(crate) counters: Arc<Counters>,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) http: auto::Builder<TokioExecutor>,
    connections: Arc<Semaphore>,
}

impl Door {
    /// Binds every listener. The sockets accept from now on; nothing is served before [`Self::serve`].
    pub async fn bind(
        listeners: Vec<Listener>,
        handler: Arc<dyn Handler>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        options: Options,
    ) -> Result<Self, BindError> {
        let mut sockets = Vec::with_capacity(listeners.len());
        for listener in listeners {
            sockets.push((Socket::bind(&listener.address).await?, Arc::new(listener)));
        }
        Ok(Self { shared: Arc::new(Shared::new(handler, clock, entropy, options)), sockets })
    }

    /// The addresses of the TCP listeners, with the port that was chosen where 0 was asked for.
    pub fn tcp_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|(socket, _)| socket.tcp_address()).collect()
    }

    /// The cell that holds the policy for browsers; what is put there holds from the next request on.
    pub fn cors(&self) -> Arc<RwLock<Arc<CorsPolicy>>> {
        Arc::clone(&self.shared.cors)
    }

    /// The cell that holds the headers of the web page, by name and value: `sys/config/ui/headers`.
    pub fn page_headers(&self) -> PageHeaders {
        Arc::clone(&self.shared.page_headers)
    }

    /// Counts of connections, requests and answers.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Serves until `shutdown` ends; then stops accepting, closes idle connections and lets running requests end, for
    /// at most the shutdown timeout. Returns how many requests were still running after that.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> usize {
        let (stop, stopping) = watch::channel(false);
        for (socket, listener) in self.sockets {
            tokio::spawn(accept(Arc::clone(&self.shared), socket, listener, stopping.clone()));
        }
        drop(stopping);
        shutdown.await;
        stop.send_replace(true);
        // When every accept loop and every connection has ended, nobody watches any more.
        let grace = self.shared.options.shutdown_timeout;
        let drained = async {
            stop.closed().await;
            let all = u32::try_from(self.shared.options.requests_max).unwrap_or(u32::MAX);
            self.shared.requests.acquire_many(all).await.is_ok()
        };
        let _ = tokio::time::timeout(grace, drained).await;
        self.shared.options.requests_max.saturating_sub(self.shared.requests.available_permits())
    }
}

impl Shared {
    fn new(
        handler: Arc<dyn Handler>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        mut options: Options,
    ) -> Self {
        let permits_max = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        options.connections_max = options.connections_max.clamp(1, permits_max);
        options.requests_max = options.requests_max.clamp(1, permits_max);
        Self {
            handler,
            clock,
            request_ids: RequestIds::new(entropy),
            cors: Arc::default(),
            page_headers: Arc::default(),
            counters: Arc::default(),
            requests: Arc::new(Semaphore::new(options.requests_max)),
            connections: Arc::new(Semaphore::new(options.connections_max)),
            http: http_builder(&options),
            options,
        }
    }
}

/// HTTP/1.1 and HTTP/2 with bounds. Time limits on heads are those of `connection`, so hyper's own is off.
fn http_builder(options: &Options) -> auto::Builder<TokioExecutor> {
    let header_bytes_max = options.header_bytes_max.max(8192);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Takes connections from one socket until the door stops.
async fn accept(
    shared: Arc<Shared>,
    socket: Socket,
    listener: Arc<Listener>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = next_connection(&shared, &socket) => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Some((permit, stream, address)) => {
                let peer = Peer::new(Arc::clone(&listener), address);
                let (shared, stopping) = (Arc::clone(&shared), stopping.clone());
                tokio::spawn(async move {
                    connection::accept(shared, stream, peer, stopping).await;
                    drop(permit);
                });
            }
            // Most often out of file descriptors: wait until connections have closed.
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn next_connection(
    shared: &Shared,
    socket: &Socket,
) -> Option<(OwnedSemaphorePermit, Stream, Option<SocketAddr>)> {
    let permit = Arc::clone(&shared.connections).acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((stream, address)) => Some((permit, stream, address)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            None
        }
    }
}
