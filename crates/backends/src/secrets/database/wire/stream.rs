//! Bytes to and from a database: TCP, a Unix socket, or TLS. Every wait ends at a deadline.

use super::{Place, Target, Tls, Trouble};
use rustls::{ClientConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use strongroom_kernel::Deadline;

/// For a connection to be made, of the time that there is.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 8192;

pub(super) struct Stream {
    inner: Inner,
    place: String,
}

enum Inner {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(super) fn open(target: &Target, deadline: &Deadline) -> Result<Self, Trouble> {
        let place = target.place.shown();
        let unreachable = |why: &dyn std::fmt::Display| Trouble::Unreachable(format!("{place}: {why}"));
        let inner = match &target.place {
            Place::Socket(path) => {
                Inner::Unix(UnixStream::connect(path).map_err(|error| unreachable(&error))?)
            }
            Place::Host(host, port) => {
                let addresses =
                    (host.as_str(), *port).to_socket_addrs().map_err(|error| unreachable(&error))?;
                let mut last = None;
                let mut stream = None;
                for address in addresses {
                    let limit = left(deadline, &place)?.min(CONNECT_MAX);
                    match TcpStream::connect_timeout(&address, limit) {
                        Ok(connected) => {
                            stream = Some(connected);
                            break;
                        }
                        Err(error) => last = Some(error),
                    }
                }
                let stream = stream.ok_or_else(|| match last {
                    Some(error) => unreachable(&error),
                    None => unreachable(&"the name has no address"),
                })?;
                // Statements are short and waited for.
                stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
                Inner::Tcp(stream)
            }
        };
        Ok(Self { inner, place })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Whether nobody on the way can read along.
    pub(super) fn is_private(&self) -> bool {
        matches!(self.inner, Inner::Unix(_) | Inner::Tls(_))
    }

    pub(super) fn is_socket(&self) -> bool {
        matches!(self.inner, Inner::Unix(_))
    }

    /// Goes on encrypted.
    pub(super) fn encrypt(self, tls: &Tls, deadline: &Deadline) -> Result<Self, Trouble> {
        let Self { inner: Inner::Tcp(socket), place } = self else { return Ok(self) };
        let unreachable = |why: &dyn std::fmt::Display| Trouble::Unreachable(format!("{place}: TLS: {why}"));
        let connection = tls.connection().map_err(|why| unreachable(&why))?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            limit(&stream.sock, left(deadline, &place)?).map_err(|error| unreachable(&error))?;
            uninterrupted(|| stream.conn.complete_io(&mut stream.sock))
                .map_err(|error| unreachable(&said(&error)))?;
        }
        Ok(Self { inner: Inner::Tls(Box::new(stream)), place })
    }

    pub(super) fn send(&mut self, bytes: &[u8], deadline: &Deadline) -> Result<(), Trouble> {
        let left = left(deadline, &self.place)?;
        let sent = match &mut self.inner {
            Inner::Tcp(stream) => limit(stream, left).and_then(|()| stream.write_all(bytes)),
            Inner::Unix(stream) => limit_unix(stream, left).and_then(|()| stream.write_all(bytes)),
            Inner::Tls(stream) => {
                limit(&stream.sock, left).and_then(|()| stream.write_all(bytes)).and_then(|()| stream.flush())
            }
        };
        sent.map_err(|error| Trouble::Unclear(format!("{}: {}", self.place, said(&error))))
    }

    /// Adds what has come to `buffer`; at least one byte.
    pub(super) fn receive(&mut self, buffer: &mut Vec<u8>, deadline: &Deadline) -> Result<(), Trouble> {
        let left = left(deadline, &self.place)?;
        let mut chunk = [0; READ_BYTES];
        let read = match &mut self.inner {
            Inner::Tcp(stream) => {
                limit(stream, left).and_then(|()| uninterrupted(|| stream.read(&mut chunk)))
            }
            Inner::Unix(stream) => {
                limit_unix(stream, left).and_then(|()| uninterrupted(|| stream.read(&mut chunk)))
            }
            Inner::Tls(stream) => {
                limit(&stream.sock, left).and_then(|()| uninterrupted(|| stream.read(&mut chunk)))
            }
        };
        match read {
            Ok(0) => Err(Trouble::Unclear(format!("{}: the server closed the connection", self.place))),
            Ok(count) => {
                buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) => Err(Trouble::Unclear(format!("{}: {}", self.place, said(&error)))),
        }
    }
}

/// A signal that ends a wait is no failure of the connection.
fn uninterrupted<T>(mut act: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn left(deadline: &Deadline, place: &str) -> Result<Duration, Trouble> {
    match deadline.left() {
        Duration::ZERO => Err(Trouble::Unclear(format!("{place}: the time for it is over"))),
        left => Ok(left),
    }
}

fn limit(socket: &TcpStream, left: Duration) -> std::io::Result<()> {
    socket.set_read_timeout(Some(left))?;
    socket.set_write_timeout(Some(left))
}

fn limit_unix(socket: &UnixStream, left: Duration) -> std::io::Result<()> {
    socket.set_read_timeout(Some(left))?;
    socket.set_write_timeout(Some(left))
}

fn said(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it did not answer in time".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_a_signal_interrupts_goes_on() {
        let mut answers = vec![Ok(5), Err(ErrorKind::Interrupted.into()), Err(ErrorKind::Interrupted.into())];
        assert_eq!(uninterrupted(|| answers.pop().unwrap()).unwrap(), 5);
        let timed_out = uninterrupted(|| Err::<(), _>(ErrorKind::TimedOut.into())).unwrap_err();
        assert_eq!(timed_out.kind(), ErrorKind::TimedOut);
    }
}
