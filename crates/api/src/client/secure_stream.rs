//! TLS on a connection that speaks no HTTP.

use super::tls::client_config;
use super::{ClientError, TlsOptions};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// A connection in TLS, after its handshake.
pub struct SecureStream(StreamOwned<ClientConnection, TcpStream>);

impl SecureStream {
    /// Shakes hands with `host`, within the time that the socket has.
    pub fn open(mut socket: TcpStream, host: &str, options: &TlsOptions) -> Result<Self, ClientError> {
        let failed = |reason: String| ClientError::Tls { address: host.to_owned(), reason };
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned())
            .map_err(|_| failed("the host is not a name that TLS can check".to_owned()))?;
        let config = Arc::new(client_config(options)?);
        let mut connection =
            ClientConnection::new(config, name).map_err(|error| failed(error.to_string()))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(|error| failed(error.to_string()))?;
        }
        Ok(Self(StreamOwned::new(connection, socket)))
    }
}

impl Read for SecureStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for SecureStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
