//! Connections of the server to other servers that speak no HTTP. The kernel has no network: what opens them comes in from
//! outside.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// Where to, and for how long to wait.
#[derive(Debug, Clone, Copy)]
pub struct StreamRequest<'r> {
    pub host: &'r str,
    pub port: u16,
    pub connect_timeout: Duration,
    /// For one read or one write.
    pub timeout: Duration,
}

/// How TLS is begun on a connection.
#[derive(Debug, Clone, Copy)]
pub struct StreamTls<'r> {
    /// Whom the certificate must name.
    pub host: &'r str,
    /// PEM of the authorities to trust in place of the system's; empty for those.
    pub ca_pem: &'r str,
    /// The certificate is not looked at: for experiments alone.
    pub skips_verification: bool,
}

/// An open connection.
pub trait ByteStream: Read + Write + Send {
    /// The same connection, in TLS from here on.
    fn start_tls(self: Box<Self>, tls: &StreamTls<'_>) -> io::Result<Box<dyn ByteStream>>;
}

/// Opens a connection.
pub type Streams = Arc<dyn Fn(&StreamRequest<'_>) -> io::Result<Box<dyn ByteStream>> + Send + Sync>;

/// A server that reaches no other.
pub(crate) fn unreachable() -> Streams {
    Arc::new(|_| Err(io::Error::other("this server has no way to other servers")))
}
