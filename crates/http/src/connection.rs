//! One connection: the handshake, the time limits between requests, and its orderly end.

use crate::counters::Counters;
use crate::door::Shared;
use crate::listener::{Listener, Stream};
use crate::tls;
use crate::vault;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use strongroom_secret::Clock;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Who is at the other end.
pub(crate) struct Peer {
    pub(crate) listener: Arc<Listener>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    /// The chain of a client that has shown to hold the leaf's key, in DER, leaf first. No one has vouched for it.
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl Peer {
    pub(crate) fn new(listener: Arc<Listener>, address: Option<SocketAddr>) -> Self {
        Self {
            listener,
            address: address.map(|address| address.ip().to_canonical()),
            port: address.map_or(0, |address| address.port()),
            certificates: Vec::new(),
        }
    }
}

/// Serves a fresh connection until it ends.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    stream: Stream,
    mut peer: Peer,
    stopping: watch::Receiver<bool>,
) {
    let _open = shared.counters.connection();
    let Some(tls) = peer.listener.tls.as_ref().map(|tls| tls.current()) else {
        return match stream {
            Stream::Tcp(stream) => serve(shared, stream, peer, stopping).await,
            Stream::Unix(stream) => serve(shared, stream, peer, stopping).await,
        };
    };
    let Stream::Tcp(stream) = stream else {
        // TLS over a socket in the file system protects nothing: the file's permissions do.
        tracing::warn!("TLS is not served on Unix sockets");
        return;
    };
    match timeout(shared.options.handshake_timeout, handshake(stream, TlsAcceptor::from(tls))).await {
        Ok(Ok(Some(stream))) => {
            peer.certificates = tls::presented_chain(stream.get_ref().1);
            serve(shared, stream, peer, stopping).await;
        }
        Ok(Ok(None)) => tracing::debug!(address = ?peer.address, "plain HTTP on a TLS port"),
        Ok(Err(error)) => tracing::debug!(address = ?peer.address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(address = ?peer.address, "TLS handshake timed out"),
    }
}

type TlsStream = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;

/// None if the client spoke plain HTTP: it has been told so, as Go's servers do.
async fn handshake(
    mut stream: tokio::net::TcpStream,
    acceptor: TlsAcceptor,
) -> io::Result<Option<TlsStream>> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first.iter().all(u8::is_ascii_uppercase) {
        let answer = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
            Client sent an HTTP request to an HTTPS server.\n";
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        return Ok(None);
    }
    acceptor.accept(stream).await.map(Some)
}

/// Speaks HTTP on an open stream until one side ends it.
pub(crate) async fn serve<S>(shared: Arc<Shared>, stream: S, peer: Peer, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(&shared));
    let peer = Arc::new(peer);
    let service = service_fn(|request: Request<Incoming>| {
        let running = Running::new(Arc::clone(&activity), Arc::clone(&shared.counters), request.version());
        let (shared, peer) = (Arc::clone(&shared), Arc::clone(&peer));
        async move {
            let response = vault::answer(&shared, &peer, request).await;
            running.counters.answered(response.status().as_u16());
            drop(running);
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Watched { stream, activity: Arc::clone(&activity) });
    let mut connection = pin!(shared.http.serve_connection(io, service));
    let mut timer = Timer::new(&activity);
    let grace = tokio::select! {
        biased;
        ended = connection.as_mut() => return log_end(peer.address, ended),
        () = poll_fn(|context| activity.poll_expired(&mut timer, context)) => Duration::from_secs(1),
        _ = stopping.wait_for(|stop| *stop) => shared.options.shutdown_timeout,
    };
    connection.as_mut().graceful_shutdown();
    if let Ok(ended) = timeout(grace, connection).await {
        log_end(peer.address, ended);
    }
}

fn log_end(address: Option<IpAddr>, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(?address, error, "connection failed");
    }
}

/// What a connection is doing, as far as its time limits care. Times are those of the clock's monotonic time.
struct Activity {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

struct State {
    requests: usize,
    /// The first bytes of a head have come. HTTP/2 sends bytes between requests (pings, windows): there it is never set
    /// after the first request.
    head_started: bool,
    http2: bool,
    since: Duration,
}

impl Activity {
    fn new(shared: &Shared) -> Self {
        let state = State { requests: 0, head_started: true, http2: false, since: shared.clock.monotonic() };
        Self {
            state: Mutex::new(state),
            clock: Arc::clone(&shared.clock),
            header_timeout: shared.options.header_timeout,
            idle_timeout: shared.options.idle_timeout,
        }
    }

    fn bytes_received(&self) {
        let mut state = self.state.lock();
        if state.requests == 0 && !state.head_started && !state.http2 {
            state.head_started = true;
            state.since = self.clock.monotonic();
        }
    }

    fn request_started(&self, version: Version) {
        let mut state = self.state.lock();
        state.requests += 1;
        state.head_started = false;
        state.http2 = version == Version::HTTP_2;
    }

    fn request_ended(&self) {
        let mut state = self.state.lock();
        state.requests = state.requests.saturating_sub(1);
        state.since = self.clock.monotonic();
    }

    /// When the connection has been quiet for too long; None while a request runs, which has its own limits.
    fn deadline(&self) -> Option<Duration> {
        let state = self.state.lock();
        let limit = if state.head_started { self.header_timeout } else { self.idle_timeout };
        (state.requests == 0).then(|| state.since.saturating_add(limit))
    }

    /// Ready once the deadline has passed. The timer is set again only when it has to fire earlier or has fired: in the
    /// common case, requests one after another, nobody touches it.
    fn poll_expired(&self, timer: &mut Timer, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = self.deadline();
            if deadline.is_some_and(|deadline| deadline < timer.due) {
                *timer = Timer::new(self);
            }
            ready!(timer.sleep.as_mut().poll(context));
            if deadline.is_some_and(|deadline| deadline <= self.clock.monotonic()) {
                return Poll::Ready(());
            }
            *timer = Timer::new(self);
        }
    }
}

/// A timer that fires when a connection's deadline is due.
struct Timer {
    due: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Timer {
    fn new(activity: &Activity) -> Self {
        let now = activity.clock.monotonic();
        let due = activity.deadline().unwrap_or_else(|| now.saturating_add(activity.header_timeout));
        let wait = due.saturating_sub(now).max(Duration::from_millis(1));
        Self { due, sleep: Box::pin(sleep(wait)) }
    }
}

/// A request that is being answered; counted until dropped.
struct Running {
    activity: Arc<Activity>,
    counters: Arc<Counters>,
}

impl Running {
    fn new(activity: Arc<Activity>, counters: Arc<Counters>, version: Version) -> Self {
        activity.request_started(version);
        counters.request_started();
        Self { activity, counters }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.request_ended();
        self.counters.request_ended();
    }
}

/// A stream that notes when bytes come in.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.bytes_received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
