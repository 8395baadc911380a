//! Looks at servers that anybody named: a bounded GET, and the certificate that a TLS server shows. Which addresses may be reached
//! is for the caller to say, for every host on the way, and what it says is what is connected to: a name is not asked for twice.

use super::agent_settings;
use super::transport::TlsConnector;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Connector, NextTimeout, TcpConnector};
use ureq::{Agent, Error};

/// The addresses of a host and a port that may be reached; why there are none.
pub type Addresses = Arc<dyn Fn(&str, u16) -> Result<Vec<SocketAddr>, String> + Send + Sync>;

/// Why a look saw nothing.
#[derive(Debug, Error)]
pub enum LookError {
    /// The host was not found, or may not be reached.
    #[error("{0}")]
    Host(String),
    #[error("{0}")]
    Connection(String),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Answer(String),
}

/// One look.
#[derive(Debug, Clone, Copy)]
pub struct LookLimits {
    /// For all of it, redirects too.
    pub timeout: Duration,
    pub redirects_max: u32,
    pub body_bytes_max: u64,
}

/// The status and the body of an address. Redirects are followed; certificates on the way are not judged, for what is asked is who
/// answers, and not who they are.
pub fn look_at(url: &str, addresses: &Addresses, limits: LookLimits) -> Result<(u16, Vec<u8>), LookError> {
    let tls = TlsConnector { config: Arc::new(tls_config(&[])?), server_name: None };
    let settings = agent_settings()
        .proxy(None)
        .max_redirects(limits.redirects_max)
        .max_redirects_will_error(true)
        .timeout_global(Some(limits.timeout))
        .build();
    let connector = ().chain(TcpConnector::default()).chain(tls);
    let agent = Agent::with_parts(settings, connector, Asking(addresses.clone()));
    let mut answer = agent.get(url).call().map_err(told)?;
    let body = answer.body_mut().with_config().limit(limits.body_bytes_max).read_to_vec().map_err(told)?;
    Ok((answer.status().as_u16(), body))
}

fn told(error: Error) -> LookError {
    match error {
        Error::Other(error) => match error.downcast::<NotReached>() {
            Ok(why) => LookError::Host(why.0),
            Err(_) => LookError::Connection("the server does not answer as it should".to_owned()),
        },
        Error::HostNotFound => LookError::Host("the host was not found".to_owned()),
        Error::Timeout(_) => LookError::Connection("the server did not answer in time".to_owned()),
        Error::Io(error) => LookError::Connection(format!("no connection: {}", error.kind())),
        Error::ConnectionFailed => LookError::Connection("no connection".to_owned()),
        Error::TooManyRedirects => LookError::Answer("there are too many redirects".to_owned()),
        Error::BodyExceedsLimit(_) => LookError::Answer("the answer is too long".to_owned()),
        Error::Tls(why) => LookError::Tls(why.to_owned()),
        _ => LookError::Connection("the server does not answer as it should".to_owned()),
    }
}

/// Asks the caller about every host.
struct Asking(Addresses);

#[derive(Debug, Error)]
#[error("{0}")]
struct NotReached(String);

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asking")
    }
}

impl Resolver for Asking {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port_of_scheme = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(port_of_scheme);
        let found = (self.0)(host, port).map_err(|why| Error::Other(Box::new(NotReached(why))))?;
        let mut addresses = self.empty();
        // As many as there is room for.
        found.into_iter().take(8).for_each(|address| addresses.push(address));
        if addresses.is_empty() {
            return Err(Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// The first certificate, in DER, that a server shows for a name and this protocol.
pub fn certificate_shown(
    addresses: &[SocketAddr],
    server_name: &str,
    protocol: &[u8],
    timeout: Duration,
) -> Result<Vec<u8>, LookError> {
    let refused = |error: std::io::Error| LookError::Connection(format!("no connection: {}", error.kind()));
    let name = ServerName::try_from(server_name.to_owned())
        .map_err(|_| LookError::Host("the name is none that TLS can ask for".to_owned()))?;
    let mut last = LookError::Host("the host was not found".to_owned());
    for address in addresses {
        let connected = TcpStream::connect_timeout(address, timeout).and_then(|socket| {
            socket.set_read_timeout(Some(timeout))?;
            socket.set_write_timeout(Some(timeout))?;
            Ok(socket)
        });
        match connected.map_err(refused) {
            Ok(socket) => return handshake(socket, name, protocol),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn handshake(
    mut socket: TcpStream,
    name: ServerName<'static>,
    protocol: &[u8],
) -> Result<Vec<u8>, LookError> {
    let failed = |error: &dyn fmt::Display| LookError::Tls(format!("the handshake failed: {error}"));
    let config = Arc::new(tls_config(&[protocol])?);
    let mut connection = ClientConnection::new(config, name).map_err(|error| failed(&error))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| failed(&error))?;
    }
    if connection.alpn_protocol() != Some(protocol) {
        return Err(LookError::Tls(format!(
            "the server does not agree to the protocol {}",
            String::from_utf8_lossy(protocol)
        )));
    }
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    shown.map(|certificate| certificate.to_vec()).ok_or_else(|| failed(&"no certificate is shown"))
}

fn tls_config(protocols: &[&[u8]]) -> Result<ClientConfig, LookError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| LookError::Tls(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Unjudged(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// Takes what is shown. The usual check of a handshake's signature refuses certificates with critical extensions that it does not
/// know, which the ones of RFC 8737 have; what counts here is who answers at an address, and nothing secret is sent there.
#[derive(Debug)]
struct Unjudged(Arc<CryptoProvider>);

impl ServerCertVerifier for Unjudged {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
