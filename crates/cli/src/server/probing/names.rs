//! Asking a name server (RFC 1035): one question, over UDP, and over TCP where the answer is too long for that.

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};
use strongroom_kernel::ProbeError;

const DNS_PORT: u16 = 53;
const UDP_BYTES_MAX: usize = 4096;
/// One lost datagram is no failure.
const UDP_TRY: Duration = Duration::from_secs(2);
const RESOLVER_FILE: &str = "/etc/resolv.conf";
const TEXTS_MAX: usize = 100;

/// The texts of a name, aliases followed.
pub(super) fn texts(
    name: &str,
    resolver: Option<SocketAddr>,
    deadline: Instant,
) -> Result<Vec<Vec<u8>>, ProbeError> {
    let resolver = match resolver.or_else(system_resolver) {
        Some(resolver) => resolver,
        None => return Err(failed("the server knows no name server: set dns_resolver")),
    };
    let answer = ask(name, TYPE::TXT, resolver, deadline)?;
    let packet = Packet::parse(&answer).map_err(|_| failed("the name server's answer is malformed"))?;
    let texts = packet.answers.iter().filter_map(|answer| match &answer.rdata {
        RData::TXT(text) => String::try_from(text.clone()).ok().map(String::into_bytes),
        _ => None,
    });
    Ok(texts.take(TEXTS_MAX).collect())
}

/// The addresses of a name: from this name server, or as the system finds them.
pub(super) fn addresses(
    name: &str,
    resolver: Option<SocketAddr>,
    deadline: Instant,
) -> Result<Vec<IpAddr>, ProbeError> {
    let Some(resolver) = resolver else {
        let found = (name, 0).to_socket_addrs().map_err(|_| failed(&format!("{name} was not found")))?;
        return Ok(found.map(|address| address.ip()).collect());
    };
    let mut found = Vec::new();
    let mut last = None;
    for kind in [TYPE::A, TYPE::AAAA] {
        match ask(name, kind, resolver, deadline) {
            Ok(answer) => {
                let packet =
                    Packet::parse(&answer).map_err(|_| failed("the name server's answer is malformed"))?;
                found.extend(packet.answers.iter().filter_map(|answer| match &answer.rdata {
                    RData::A(four) => Some(IpAddr::from(Ipv4Addr::from(four.address))),
                    RData::AAAA(six) => Some(IpAddr::from(Ipv6Addr::from(six.address))),
                    _ => None,
                }));
            }
            Err(error) => last = Some(error),
        }
    }
    match (found.is_empty(), last) {
        (true, Some(error)) => Err(error),
        _ => Ok(found),
    }
}

fn failed(what: &str) -> ProbeError {
    ProbeError::Names(what.to_owned())
}

/// The first name server of the system.
fn system_resolver() -> Option<SocketAddr> {
    let text = std::fs::read_to_string(RESOLVER_FILE).ok()?;
    let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let address = lines.find_map(|rest| rest.trim().parse::<IpAddr>().ok())?;
    Some(SocketAddr::new(address, DNS_PORT))
}

/// The answer to a question, as bytes that are an answer to it.
fn ask(name: &str, kind: TYPE, resolver: SocketAddr, deadline: Instant) -> Result<Vec<u8>, ProbeError> {
    let unusable = || failed(&format!("{name} is no name that can be asked for"));
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|_| failed("no randomness for a question"))?;
    let id = u16::from_be_bytes(id);
    let mut query = Packet::new_query(id);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = Name::new(name).map_err(|_| unusable())?;
    query.questions.push(Question::new(asked, QTYPE::TYPE(kind), CLASS::IN.into(), false));
    let query = query.build_bytes_vec().map_err(|_| unusable())?;
    let no_answer = |_| failed(&format!("the name server {resolver} does not answer"));
    let mut answer = over_udp(&query, id, resolver, deadline).map_err(no_answer)?;
    let is_cut = Packet::parse(&answer).map_or(true, |packet| packet.has_flags(PacketFlag::TRUNCATION));
    if is_cut {
        answer = over_tcp(&query, resolver, deadline).map_err(no_answer)?;
    }
    let packet = Packet::parse(&answer).map_err(|_| failed("the name server's answer is malformed"))?;
    if packet.id() != id {
        return Err(failed("the name server's answer is to another question"));
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => Ok(answer),
        code => Err(failed(&format!("the name server refuses to answer about {name}: {code:?}"))),
    }
}

fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(super::now());
    if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// What comes from elsewhere does not get through the socket; what is to another question is passed over.
fn over_udp(query: &[u8], id: u16, resolver: SocketAddr, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let own: SocketAddr = match resolver {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own)?;
    socket.connect(resolver)?;
    let mut buffer = vec![0; UDP_BYTES_MAX];
    loop {
        socket.send(query)?;
        let until = super::now() + UDP_TRY.min(left(deadline)?);
        while let Ok(rest) = left(until) {
            socket.set_read_timeout(Some(rest))?;
            let Ok(length) = socket.recv(&mut buffer) else { break };
            let answer = buffer.get(..length).unwrap_or_default();
            if answer.first_chunk::<2>() == Some(&id.to_be_bytes()) {
                return Ok(answer.to_vec());
            }
        }
        left(deadline)?;
    }
}

fn over_tcp(query: &[u8], resolver: SocketAddr, deadline: Instant) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&resolver, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let length = u16::try_from(query.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes()[..], query].concat())?;
    let mut length = [0; 2];
    stream.set_read_timeout(Some(left(deadline)?))?;
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.set_read_timeout(Some(left(deadline)?))?;
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
