//! Connections of a test's server to servers of the test: TCP without TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use strongroom_kernel::{ByteStream, StreamTls, Streams};

struct Plain(TcpStream);

pub(crate) fn streams() -> Streams {
    Arc::new(|request| {
        let socket = TcpStream::connect((request.host, request.port))?;
        socket.set_read_timeout(Some(request.timeout))?;
        Ok(Box::new(Plain(socket)) as Box<dyn ByteStream>)
    })
}

impl ByteStream for Plain {
    fn start_tls(self: Box<Self>, _: &StreamTls<'_>) -> io::Result<Box<dyn ByteStream>> {
        Err(io::Error::other("no TLS in this test"))
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
