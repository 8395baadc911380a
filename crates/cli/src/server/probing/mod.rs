//! Looks whether somebody holds a name (ACME): a file on a web server, a text in the names' zone, a certificate. Whoever asks for a
//! certificate chooses where we connect to, so every address is judged before.

mod names;

use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use strongroom_api::client::{Addresses, LookError, LookLimits, certificate_shown, look_at};
use strongroom_kernel::{Probe, ProbeError, ProbeRequest, Prober};

const REDIRECTS_MAX: u32 = 10;
/// A key authorization has 87 characters.
const BODY_BYTES_MAX: u64 = 4096;
const ACME_PROTOCOL: &[u8] = b"acme-tls/1";
/// Where clouds tell machines their secrets, outside of the networks that are refused anyway: Alibaba's, Azure's, Oracle's and
/// Amazon's.
const METADATA: [&str; 4] = ["100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"];

pub fn prober() -> Prober {
    Arc::new(|request: &ProbeRequest| look(request))
}

fn look(request: &ProbeRequest) -> Result<Vec<Vec<u8>>, ProbeError> {
    let deadline = now() + request.timeout;
    match &request.probe {
        Probe::Texts { name } => names::texts(name, request.resolver, deadline),
        Probe::Http { host, port, path } => {
            let (allowed, resolver, http_port) = (request.allowed.clone(), request.resolver, *port);
            let addresses: Addresses = Arc::new(move |host, port| {
                // Redirects lead to web servers, and not into every service that a network has.
                if ![80, 443, http_port].contains(&port) {
                    return Err(format!("a redirect leads to port {port}: only 80 and 443 are followed"));
                }
                reachable(host, port, resolver, &allowed, deadline)
            });
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            let url = match port {
                80 => format!("http://{host}/{path}"),
                port => format!("http://{host}:{port}/{path}"),
            };
            let limits = LookLimits {
                timeout: left(deadline),
                redirects_max: REDIRECTS_MAX,
                body_bytes_max: BODY_BYTES_MAX,
            };
            match look_at(&url, &addresses, limits).map_err(translated)? {
                (200, body) => Ok(vec![body]),
                (status, _) => {
                    Err(ProbeError::Answer(format!("the web server answers with status {status}")))
                }
            }
        }
        Probe::Certificate { host, port, server_name } => {
            let found = reachable(host, *port, request.resolver, &request.allowed, deadline);
            let addresses = found.map_err(ProbeError::Connection)?;
            let shown = certificate_shown(&addresses, server_name, ACME_PROTOCOL, left(deadline));
            Ok(vec![shown.map_err(translated)?])
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sockets wait by the machine's clock, and this is the composition root"
)]
fn now() -> Instant {
    Instant::now()
}

fn left(deadline: Instant) -> Duration {
    // Zero would mean no limit to some.
    deadline.saturating_duration_since(now()).max(Duration::from_millis(1))
}

fn translated(error: LookError) -> ProbeError {
    match error {
        LookError::Host(why) | LookError::Connection(why) => ProbeError::Connection(why),
        LookError::Tls(why) => ProbeError::Tls(why),
        LookError::Answer(why) => ProbeError::Answer(why),
    }
}

/// The addresses of a host that may be reached.
fn reachable(
    host: &str,
    port: u16,
    resolver: Option<SocketAddr>,
    allowed: &[IpNet],
    deadline: Instant,
) -> Result<Vec<SocketAddr>, String> {
    let found = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => names::addresses(host, resolver, deadline).map_err(|error| error.to_string())?,
    };
    if found.is_empty() {
        return Err(format!("{host} has no address"));
    }
    let may_be_reached = |address: &IpAddr| {
        !is_inner(*address) || allowed.iter().any(|network| network.contains(&address.to_canonical()))
    };
    let reached: Vec<_> =
        found.into_iter().filter(may_be_reached).map(|address| SocketAddr::new(address, port)).collect();
    match reached.is_empty() {
        true => Err(format!(
            "{host} leads to an address of the server's own machine, or of its link, which is not looked at"
        )),
        false => Ok(reached),
    }
}

/// Whether an address means the server itself, its link, or a cloud's service for this machine.
fn is_inner(address: IpAddr) -> bool {
    if METADATA.iter().any(|known| known.parse() == Ok(address.to_canonical())) {
        return true;
    }
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            first == 0
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unicast_link_local()
                || embedded_v4(address).is_some_and(is_inner)
        }
    }
}

/// The address that a translator (RFC 6052) or a tunnel (RFC 3056) would reach.
fn embedded_v4(address: Ipv6Addr) -> Option<IpAddr> {
    let octets = address.octets();
    let four = match octets {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => [a, b, c, d],
        [0x20, 0x02, a, b, c, d, ..] => [a, b, c, d],
        // IPv4-compatible, long out of use.
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => [a, b, c, d],
        _ => return None,
    };
    Some(IpAddr::from(four))
}

#[cfg(test)]
mod tests;
