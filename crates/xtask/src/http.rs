//! A keep-alive HTTP/1.1 client that costs little: the load generator shares its cores with the server it measures.
//! It sends bytes that the caller has prepared and reads the status and the body, nothing more.

use anyhow::{Context, Result, anyhow, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const HEADERS_MAX: usize = 64;
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Where a server listens: `http://127.0.0.1:8200`.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub host_and_port: String,
    tls: Option<TlsConnector>,
}

/// How far to trust a server's certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trust<'a> {
    /// Any certificate.
    Anything,
    /// Certificates that lead to one in this PEM file.
    File(&'a Path),
}

impl Endpoint {
    /// Reads an address with its scheme; `trust` matters for https alone.
    pub(crate) fn parse(address: &str, trust: Trust<'_>) -> Result<Self> {
        let address = address.trim_end_matches('/');
        let (scheme, host_and_port) = address
            .split_once("://")
            .with_context(|| format!("{address:?} has no scheme: write http://host:port"))?;
        let tls = match scheme {
            "http" => None,
            "https" => Some(TlsConnector::from(Arc::new(client_config(trust)?))),
            _ => bail!("{address:?}: the scheme must be http or https"),
        };
        Ok(Self { host_and_port: host_and_port.to_owned(), tls })
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }
}

/// One connection. After an error it is of no use; open another.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    filled: usize,
}

/// The head of a response.
struct Head {
    status: u16,
    length: usize,
    body: Body,
    closes: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Sized(usize),
    Chunked,
}

/// A response: its status, and its body in the connection's own buffer.
pub(crate) struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
    /// The server closes the connection after this.
    pub closes: bool,
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self> {
        let tcp = TcpStream::connect(&endpoint.host_and_port)
            .await
            .with_context(|| format!("connecting to {}", endpoint.host_and_port))?;
        tcp.set_nodelay(true)?;
        let stream = match &endpoint.tls {
            None => Stream::Plain(tcp),
            Some(connector) => {
                let host = endpoint
                    .host_and_port
                    .rsplit_once(':')
                    .map_or(&*endpoint.host_and_port, |(host, _)| host);
                let name = ServerName::try_from(host.to_owned())?;
                Stream::Tls(Box::new(connector.connect(name, tcp).await?))
            }
        };
        Ok(Self { stream, buffer: vec![0; 16 * 1024], filled: 0 })
    }

    /// Sends a whole prepared request and reads the whole response.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        let head = loop {
            self.fill().await?;
            if let Some(head) = parse_head(self.received())? {
                break head;
            }
        };
        let body_length = match head.body {
            Body::Sized(length) => {
                while self.filled < head.length + length {
                    self.fill().await?;
                }
                length
            }
            Body::Chunked => self.unchunk(head.length).await?,
        };
        let body = self.buffer.get(head.length..head.length + body_length).unwrap_or_default();
        Ok(Answer { status: head.status, body, closes: head.closes })
    }

    fn received(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }

    async fn fill(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            if self.filled >= RESPONSE_BYTES_MAX {
                bail!("the response is longer than {RESPONSE_BYTES_MAX} bytes");
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        match self.stream.read(room).await? {
            0 => bail!("the server closed the connection"),
            count => self.filled += count,
        }
        Ok(())
    }

    /// Takes a chunked body apart in place and answers its length (RFC 9112, section 7.1; trailers are not expected).
    async fn unchunk(&mut self, start: usize) -> Result<usize> {
        let (mut read, mut written) = (start, start);
        loop {
            let (size, size_length) = loop {
                match httparse::parse_chunk_size(self.buffer.get(read..self.filled).unwrap_or_default()) {
                    Ok(httparse::Status::Complete((used, size))) => break (usize::try_from(size)?, used),
                    Ok(httparse::Status::Partial) => self.fill().await?,
                    Err(_) => bail!("a chunk size that is not one"),
                }
            };
            read += size_length;
            while self.filled < read + size + 2 {
                self.fill().await?;
            }
            if size == 0 {
                return Ok(written - start);
            }
            self.buffer.copy_within(read..read + size, written);
            written += size;
            read += size + 2;
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.context("a response without a status")?;
    let (mut body, mut closes) = (Body::Sized(0), false);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = Body::Sized(std::str::from_utf8(header.value)?.trim().parse()?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = header.value.eq_ignore_ascii_case(b"close");
        }
    }
    if matches!(status, 204 | 304) {
        body = Body::Sized(0);
    }
    Ok(Some(Head { status, length, body, closes }))
}

/// The bytes of a request.
pub(crate) fn request(host: &str, token: &str, method: &str, path: &str, body: &str) -> Vec<u8> {
    let token_line = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
    let body_lines = if body.is_empty() && method != "POST" && method != "PUT" {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    };
    format!("{method} /v1/{path} HTTP/1.1\r\nHost: {host}\r\n{token_line}{body_lines}\r\n{body}").into_bytes()
}

/// Calls for setting things up, where cost does not matter.
pub(crate) struct Api {
    pub endpoint: Endpoint,
    pub token: String,
    connection: Option<Connection>,
}

impl Api {
    pub(crate) fn new(endpoint: Endpoint, token: &str) -> Self {
        Self { endpoint, token: token.to_owned(), connection: None }
    }

    /// One request and its response; an empty or unreadable body is `Value::Null`.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let bytes = request(&self.endpoint.host_and_port, &self.token, method, path, &text);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint).await?,
        };
        let answer = connection.exchange(&bytes).await.with_context(|| format!("{method} {path}"))?;
        let (status, closes) = (answer.status, answer.closes);
        let value = serde_json::from_slice(answer.body).unwrap_or(Value::Null);
        if !closes {
            self.connection = Some(connection);
        }
        Ok((status, value))
    }

    /// A call that must succeed.
    pub(crate) async fn must(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        match self.call(method, path, body).await? {
            (200..=299, value) => Ok(value),
            (status, value) => Err(anyhow!("{method} {path}: status {status}: {}", errors_of(&value))),
        }
    }
}

/// The server's own words about an error.
pub(crate) fn errors_of(value: &Value) -> String {
    value.get("errors").unwrap_or(value).to_string()
}

fn client_config(trust: Trust<'_>) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    Ok(match trust {
        Trust::Anything => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth(),
        Trust::File(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in
                CertificateDer::pem_file_iter(path).with_context(|| path.display().to_string())?
            {
                roots.add(certificate?)?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    })
}

/// Takes every certificate: measuring a server on this machine is not the place to judge it.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// What a client makes of these bytes, sent in pieces of `piece` bytes.
    fn answer_to(response: &'static [u8], piece: usize) -> Result<(u16, Vec<u8>)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = format!("http://{}", listener.local_addr()?);
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await?;
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await?;
                for part in response.chunks(piece) {
                    stream.write_all(part).await?;
                    stream.flush().await?;
                    tokio::task::yield_now().await;
                }
                stream.shutdown().await
            });
            let endpoint = Endpoint::parse(&address, Trust::Anything)?;
            let mut connection = Connection::open(&endpoint).await?;
            let bytes = request("h", "t", "GET", "sys/health", "");
            let answer =
                connection.exchange(&bytes).await.map(|answer| (answer.status, answer.body.to_vec()));
            let _ = server.await?;
            answer
        })
    }

    #[test]
    fn bodies_in_every_framing_and_any_pieces() {
        for piece in [1, 7, 4096] {
            let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            assert_eq!(answer_to(sized, piece).unwrap(), (200, b"hello".to_vec()));
            let chunked =
                b"HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
            assert_eq!(answer_to(chunked, piece).unwrap(), (404, b"hello".to_vec()));
            assert_eq!(answer_to(b"HTTP/1.1 204 No Content\r\n\r\n", piece).unwrap(), (204, Vec::new()));
        }
    }

    #[test]
    fn a_response_cut_short_is_an_error() {
        assert!(answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", 64).is_err());
        assert!(answer_to(b"HTTP/1.1 200", 64).is_err());
        assert!(answer_to(b"not http at all\r\n\r\n", 64).is_err());
    }
}
