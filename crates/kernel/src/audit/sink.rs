//! Where a device's bytes go: files, the local syslog, sockets. What needs an HTTP client comes from outside.

use super::config::{SocketTransport, Target};
use super::http_sink::HttpSink;
use super::lines::LINE_BYTES_MAX;
use crate::outbound::Outbound;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A place for lines. Its calls may block: a device makes them on its own thread.
pub trait AuditSink: Send {
    /// Opens, or closes and opens again, and says how what is there ends.
    fn reopen(&mut self) -> io::Result<Tail>;

    /// Writes whole lines, each with its line feed. After an error none of them counts as written, and the device
    /// reopens. `InvalidInput` says that these lines will never be taken (too long), whatever is tried.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Why what was written is no longer where it should be; asked about once a second.
    fn loss(&mut self) -> Option<&'static str> {
        None
    }
}

/// How a sink's target ends when it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// Nobody knows: it cannot be read back.
    Stream,
    Empty,
    /// The last line that is complete, and what stands after it, each without line feed.
    Lines {
        last: Option<Vec<u8>>,
        torn: Option<Vec<u8>>,
    },
}

/// Makes sinks; what those on the network go through comes from outside.
#[derive(Default)]
pub struct SinkFactory {
    http: Option<Outbound>,
}

impl SinkFactory {
    /// A factory that makes sinks of the kind `http` too.
    pub fn with_http(outbound: Outbound) -> Self {
        Self { http: Some(outbound) }
    }

    pub(super) fn make(&self, target: Target) -> io::Result<Box<dyn AuditSink>> {
        Ok(match target {
            Target::Stdout => Box::new(StdoutSink),
            Target::Discard => Box::new(DiscardSink),
            Target::File { path, mode } => Box::new(FileSink::new(path, mode)),
            Target::Syslog { facility, tag } => Box::new(SyslogSink::new("/dev/log".into(), facility, &tag)),
            Target::Socket { address, transport, write_timeout } => {
                Box::new(SocketSink { address, transport, write_timeout, connection: None })
            }
            Target::Http(target) => match &self.http {
                Some(outbound) => Box::new(HttpSink::new(target, outbound.clone())),
                None => {
                    return Err(io::Error::other("this server was built without an HTTP client for audit"));
                }
            },
        })
    }
}

struct StdoutSink;

impl AuditSink for StdoutSink {
    fn reopen(&mut self) -> io::Result<Tail> {
        Ok(Tail::Stream)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(lines)?;
        out.flush()
    }
}

struct DiscardSink;

impl AuditSink for DiscardSink {
    fn reopen(&mut self) -> io::Result<Tail> {
        Ok(Tail::Stream)
    }

    fn write(&mut self, _lines: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A regular file that is only appended to.
pub(super) struct FileSink {
    path: PathBuf,
    mode: Option<u32>,
    open: Option<OpenFile>,
}

struct OpenFile {
    file: File,
    device: u64,
    inode: u64,
    length: u64,
}

impl FileSink {
    pub(super) fn new(path: PathBuf, mode: Option<u32>) -> Self {
        Self { path, mode, open: None }
    }

    /// Pipes would block, and a link may point to where the configuration does not allow a file.
    fn check_kind(&self) -> io::Result<()> {
        match self.path.symlink_metadata() {
            Ok(found) if found.is_file() => Ok(()),
            Ok(found) if found.is_symlink() => Err(io::Error::other("it is a symbolic link")),
            Ok(found) if found.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Ok(found) if found.file_type().is_fifo() => {
                Err(io::Error::other("it is a pipe, not a regular file"))
            }
            Ok(_) => Err(io::Error::other("it is not a regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl AuditSink for FileSink {
    fn reopen(&mut self) -> io::Result<Tail> {
        self.open = None;
        self.check_kind()?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(self.mode.unwrap_or(0o600));
        let mut file = options.open(&self.path)?;
        let found = file.metadata()?;
        let named = self.path.symlink_metadata()?;
        if !found.is_file() || (found.dev(), found.ino()) != (named.dev(), named.ino()) {
            return Err(io::Error::other("the file was exchanged while it was opened"));
        }
        if let Some(mode) = self.mode.filter(|mode| found.permissions().mode() & 0o7777 != *mode) {
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        let tail = read_tail(&mut file, found.len())?;
        self.open = Some(OpenFile { file, device: found.dev(), inode: found.ino(), length: found.len() });
        Ok(tail)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let open = self.open.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        match open.file.write_all(lines) {
            Ok(()) => {
                open.length = open.length.saturating_add(lines.len() as u64);
                Ok(())
            }
            Err(error) => {
                // A part may be there, as when the disk is full: take it back, so that no line is torn. If this fails
                // as well, the next opening finds the torn line and says so in the chain.
                if open.file.metadata().is_ok_and(|now| now.len() > open.length) {
                    drop(open.file.set_len(open.length));
                }
                Err(error)
            }
        }
    }

    fn loss(&mut self) -> Option<&'static str> {
        let open = self.open.as_ref()?;
        match self.path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some("the file was deleted"),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Some("the file's folder was replaced by something that is none")
            }
            Err(_) => None,
            Ok(now) if (now.dev(), now.ino()) != (open.device, open.inode) => Some("the file was replaced"),
            Ok(now) if now.len() < open.length => Some("the file was truncated"),
            Ok(_) => None,
        }
    }
}

/// The last lines of a file of `length` bytes, read from its end.
fn read_tail(file: &mut File, length: u64) -> io::Result<Tail> {
    if length == 0 {
        return Ok(Tail::Empty);
    }
    let mut size = 64 << 10;
    loop {
        let start = length.saturating_sub(size);
        file.seek(SeekFrom::Start(start))?;
        let mut end = Vec::new();
        (&*file).take(length - start).read_to_end(&mut end)?;
        if let Some(tail) = split_tail(&end, start == 0) {
            return Ok(tail);
        }
        if size >= 2 * LINE_BYTES_MAX as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its last line is too long to be a record",
            ));
        }
        size *= 8;
    }
}

/// None if the last complete line begins before `end`.
fn split_tail(end: &[u8], is_all: bool) -> Option<Tail> {
    let (complete, torn) = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(feed) => (end.get(..feed), end.get(feed + 1..).unwrap_or_default()),
        None => (None, end),
    };
    let torn = Some(torn.to_vec()).filter(|torn| !torn.is_empty());
    let Some(complete) = complete else {
        return is_all.then_some(Tail::Lines { last: None, torn });
    };
    let start = match complete.iter().rposition(|byte| *byte == b'\n') {
        Some(feed) => feed + 1,
        None if is_all => 0,
        None => return None,
    };
    Some(Tail::Lines { last: complete.get(start..).map(<[u8]>::to_vec), torn })
}

/// The local syslog: one datagram a line, in the form of RFC 3164 without its time, which the syslog adds.
pub(super) struct SyslogSink {
    path: PathBuf,
    head: String,
    socket: Option<UnixDatagram>,
}

impl SyslogSink {
    /// Severity 6, informational.
    pub(super) fn new(path: PathBuf, facility: u8, tag: &str) -> Self {
        let priority = u32::from(facility) * 8 + 6;
        let head = format!("<{priority}>{tag}[{}]: ", std::process::id());
        Self { path, head, socket: None }
    }
}

impl AuditSink for SyslogSink {
    fn reopen(&mut self) -> io::Result<Tail> {
        self.socket = None;
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        self.socket = Some(socket);
        Ok(Tail::Stream)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        let mut message = self.head.clone().into_bytes();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            message.truncate(self.head.len());
            message.extend_from_slice(line);
            socket.send(&message).map_err(too_long)?;
        }
        Ok(())
    }
}

/// A datagram that is too long is too long for ever.
fn too_long(error: io::Error) -> io::Error {
    const EMSGSIZE: i32 = 90;
    match error.raw_os_error() {
        Some(EMSGSIZE) => {
            io::Error::new(io::ErrorKind::InvalidInput, "the record is too long for a datagram")
        }
        _ => error,
    }
}

/// A socket: lines over a stream, or one datagram a line.
pub(super) struct SocketSink {
    address: String,
    transport: SocketTransport,
    write_timeout: Duration,
    connection: Option<Connection>,
}

enum Connection {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Unix(UnixStream),
}

impl SocketSink {
    fn connect(&self) -> io::Result<Connection> {
        let timeout = Some(self.write_timeout);
        match self.transport {
            SocketTransport::Unix => {
                let stream = UnixStream::connect(Path::new(&self.address))?;
                stream.set_write_timeout(timeout)?;
                Ok(Connection::Unix(stream))
            }
            SocketTransport::Udp => {
                let address = self.address.to_socket_addrs()?.next();
                let address = address.ok_or_else(|| io::Error::other("the address names no host"))?;
                let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
                socket.connect(address)?;
                socket.set_write_timeout(timeout)?;
                Ok(Connection::Udp(socket))
            }
            SocketTransport::Tcp => {
                let mut failure = io::Error::new(io::ErrorKind::NotFound, "the address names no host");
                for address in self.address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, self.write_timeout) {
                        Ok(stream) => {
                            stream.set_write_timeout(timeout)?;
                            return Ok(Connection::Tcp(stream));
                        }
                        Err(error) => failure = error,
                    }
                }
                Err(failure)
            }
        }
    }
}

impl AuditSink for SocketSink {
    fn reopen(&mut self) -> io::Result<Tail> {
        self.connection = None;
        self.connection = Some(self.connect()?);
        Ok(Tail::Stream)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self.connection.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))? {
            Connection::Tcp(stream) => stream.write_all(lines),
            Connection::Unix(stream) => stream.write_all(lines),
            Connection::Udp(socket) => {
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    socket.send(line).map_err(too_long)?;
                }
                Ok(())
            }
        }
    }
}
