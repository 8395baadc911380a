use crate::forwarded::ForwardedFor;
use crate::tls::TlsReloader;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};

/// Where to listen, and how to treat who comes in there.
pub struct Listener {
    pub address: Address,
    /// None for plain HTTP.
    pub tls: Option<Arc<TlsReloader>>,
    /// How to find the client's address behind a proxy; None where the connection's own address is the client's.
    pub forwarded_for: Option<ForwardedFor>,
    /// Refuses requests without `X-Vault-Request: true`, which a browser cannot be tricked into sending.
    pub require_request_header: bool,
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `host:port`; an empty host is every address, port 0 is any free port.
    Tcp(String),
    /// A socket in the file system with its permission bits, as `0o660`.
    Unix { path: PathBuf, mode: u32 },
}

/// Why a listener could not be bound.
#[derive(Debug, Error)]
pub enum BindError {
    #[error("address {0} is in use: another server is running there; stop it or choose another address")]
    InUse(String),
    #[error("address {0} is not allowed: ports below 1024 and folders of others need a privilege")]
    NotAllowed(String),
    #[error("address {0} is not one of this machine's")]
    NotHere(String),
    #[error("address {address} cannot be listened on: {source}")]
    Other { address: String, source: io::Error },
}

impl Listener {
    pub fn new(address: Address) -> Self {
        Self { address, tls: None, forwarded_for: None, require_request_header: false }
    }
}

impl BindError {
    fn new(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied => Self::NotAllowed(address),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(address),
            _ => Self::Other { address, source },
        }
    }
}

/// A bound socket. A Unix socket's file goes when it is dropped.
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Removes the file of a socket when dropped.
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const BACKLOG: u32 = 1024;

impl Socket {
    pub(crate) async fn bind(address: &Address) -> Result<Self, BindError> {
        match address {
            Address::Tcp(text) => bind_tcp(text).await.map_err(|error| BindError::new(text, error)),
            Address::Unix { path, mode } => bind_unix(path, *mode)
                .await
                .map_err(|error| BindError::new(&path.display().to_string(), error)),
        }
    }

    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Fails only if the client is gone already, which the first read will say.
                let _ = stream.set_nodelay(true);
                Ok((Stream::Tcp(stream), Some(address)))
            }
            Self::Unix { listener, .. } => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

async fn bind_tcp(text: &str) -> io::Result<Socket> {
    let text = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host(&text).await? {
        match bind_tcp_address(address) {
            Ok(listener) => return Ok(Socket::Tcp(listener)),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn bind_tcp_address(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The permission bits are set between bind and listen: before that nobody can connect.
async fn bind_unix(path: &Path, mode: u32) -> io::Result<Socket> {
    remove_stale_socket(path).await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(Socket::Unix { listener: socket.listen(BACKLOG)?, _file: file })
}

/// Removes a socket that a server left behind when it was killed. Anything but a dead socket stays.
async fn remove_stale_socket(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}
