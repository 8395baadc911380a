//! The way of the server to other servers that speak no HTTP: directories.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use strongroom_api::client::{SecureStream, TlsOptions, Verification};
use strongroom_kernel::{ByteStream, StreamRequest, StreamTls, Streams};

struct Plain(TcpStream);

struct Secure(SecureStream);

/// Opens TCP connections.
pub fn streams() -> Streams {
    Arc::new(|request: &StreamRequest<'_>| {
        let host = request.host.trim_start_matches('[').trim_end_matches(']');
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (host, request.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, request.connect_timeout) {
                Ok(socket) => {
                    socket.set_read_timeout(Some(request.timeout))?;
                    socket.set_write_timeout(Some(request.timeout))?;
                    return Ok(Box::new(Plain(socket)) as Box<dyn ByteStream>);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    })
}

impl ByteStream for Plain {
    fn start_tls(self: Box<Self>, tls: &StreamTls<'_>) -> io::Result<Box<dyn ByteStream>> {
        let options = TlsOptions {
            ca_pem: Some(tls.ca_pem.to_owned()).filter(|pem| !pem.is_empty()),
            verification: match tls.skips_verification {
                true => Verification::Skipped,
                false => Verification::Required,
            },
            ..TlsOptions::default()
        };
        let stream = SecureStream::open(self.0, tls.host, &options)
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Box::new(Secure(stream)))
    }
}

impl ByteStream for Secure {
    fn start_tls(self: Box<Self>, _: &StreamTls<'_>) -> io::Result<Box<dyn ByteStream>> {
        Err(io::Error::other("the connection is in TLS already"))
    }
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Plain {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Read for Secure {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Secure {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
