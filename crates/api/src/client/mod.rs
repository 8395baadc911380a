//! A blocking client: one connection, bounded answers, errors as types. Nothing is read from the environment.

mod address;
mod error;
mod kv;
mod probe;
mod secure_stream;
mod tls;
mod transport;
mod web;

pub use address::Address;
pub use error::{ClientError, ServerError, ServerErrorKind};
pub use kv::{KvMount, KvVersion};
pub use probe::{Addresses, LookError, LookLimits, certificate_shown, look_at};
pub use secure_stream::SecureStream;
pub use tls::{TlsOptions, Verification};
pub use web::{WebClient, WebRequest};

use crate::{ErrorBody, Health, InitAnswer, InitRequest, Leader, Response, SealStatus};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::{SecretBytes, SecretString};
use transport::{NameResolver, NoResolver, SocketConnector, TlsConnector};
use ureq::config::ConfigBuilder;
use ureq::http;
use ureq::typestate::AgentScope;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, Body, Proxy, SendBody};
use zeroize::Zeroize;

/// Everything a client needs to know, from outside.
#[derive(Debug)]
pub struct ClientConfig {
    pub address: Address,
    pub token: Option<SecretString>,
    pub namespace: Option<String>,
    /// Ask for every answer wrapped, with this time to live (`60s`).
    pub wrap_ttl: Option<String>,
    pub tls: TlsOptions,
    pub proxy: ProxyChoice,
    /// For a whole request. Snapshots are exempt.
    pub timeout: Duration,
    /// How often a request is repeated that the server says it did not carry out.
    pub retries_max: u32,
    /// The pause before the first repetition; it doubles.
    pub retry_pause: Duration,
    pub response_bytes_max: u64,
    /// Sent as they are, after our own.
    pub headers: Vec<(String, SecretString)>,
}

impl ClientConfig {
    /// The defaults of the `vault` command: 60 seconds, two repetitions.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            token: None,
            namespace: None,
            wrap_ttl: None,
            tls: TlsOptions::default(),
            proxy: ProxyChoice::Environment,
            timeout: Duration::from_secs(60),
            retries_max: 2,
            retry_pause: Duration::from_millis(500),
            response_bytes_max: 64 << 20,
            headers: Vec::new(),
        }
    }
}

/// Through which proxy requests go. A Unix socket never uses one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// `HTTPS_PROXY`, `NO_PROXY` and their like.
    Environment,
    Address(String),
    Direct,
}

/// The verb of a request, with the two that Vault's API adds to HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    /// With a JSON merge patch (RFC 7396).
    Patch,
    Delete,
    List,
    /// A recursive list (OpenBao).
    Scan,
}

impl Method {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::List => "LIST",
            Self::Scan => "SCAN",
        }
    }

    const fn only_reads(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Scan)
    }
}

/// Names and values of a query, not yet encoded.
pub type Query<'a> = [(&'a str, String)];

/// One request.
pub struct Request<'a> {
    pub method: Method,
    /// Below `/v1/`, not encoded.
    pub path: &'a str,
    pub query: &'a Query<'a>,
    pub body: Option<&'a Value>,
}

/// An answer as it came: any status below 400, and 404 where [`Client::send`] is told to accept it.
pub struct Reply {
    pub status: u16,
    pub url: String,
    pub body: SecretBytes,
}

/// A connection to one server in the name of one token.
pub struct Client {
    agent: Agent,
    config: ClientConfig,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.config.address).finish_non_exhaustive()
    }
}

impl Client {
    /// Reads the TLS files; connects to nothing yet.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self { agent: agent(&config)?, config })
    }

    pub fn address(&self) -> &Address {
        &self.config.address
    }

    pub fn token(&self) -> Option<&SecretString> {
        self.config.token.as_ref()
    }

    pub fn namespace(&self) -> Option<&str> {
        self.config.namespace.as_deref()
    }

    pub fn set_token(&mut self, token: Option<SecretString>) {
        self.config.token = token;
    }

    /// Sets the wrapping of later answers and returns what it was.
    pub fn set_wrap_ttl(&mut self, wrap_ttl: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.config.wrap_ttl, wrap_ttl)
    }

    /// `GET path`: `None` where there is nothing.
    pub fn read(&self, path: &str, query: &Query<'_>) -> Result<Option<Response>, ClientError> {
        self.ask(&Request { method: Method::Get, path, query, body: None })
    }

    /// A list, asked for as `GET path?list=true`, which every proxy lets through.
    pub fn list(&self, path: &str, query: &Query<'_>) -> Result<Option<Response>, ClientError> {
        self.enumerate(path, "list", query)
    }

    /// A recursive list. Servers without it answer with an error of the kind `BadRequest` or `NotFound`.
    pub fn scan(&self, path: &str, query: &Query<'_>) -> Result<Option<Response>, ClientError> {
        self.enumerate(path, "scan", query)
    }

    fn enumerate(&self, path: &str, verb: &str, query: &Query<'_>) -> Result<Option<Response>, ClientError> {
        let mut whole = vec![(verb, "true".to_owned())];
        whole.extend(query.iter().cloned());
        let path = format!("{}/", path.trim_end_matches('/'));
        self.ask(&Request { method: Method::Get, path: &path, query: &whole, body: None })
    }

    /// `PUT path`: `None` where the server says nothing in return.
    pub fn write(&self, path: &str, body: &Value) -> Result<Option<Response>, ClientError> {
        self.ask(&Request { method: Method::Put, path, query: &[], body: Some(body) })
    }

    /// `PATCH path` with a JSON merge patch.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Option<Response>, ClientError> {
        self.ask(&Request { method: Method::Patch, path, query: &[], body: Some(body) })
    }

    pub fn delete(&self, path: &str, query: &Query<'_>) -> Result<Option<Response>, ClientError> {
        self.ask(&Request { method: Method::Delete, path, query, body: None })
    }

    /// Opens a wrapped answer. Without a token, the client's own is the wrapping token.
    pub fn unwrap_response(&self, token: Option<&SecretString>) -> Result<Option<Response>, ClientError> {
        let mut body = serde_json::Map::new();
        if let Some(token) = token {
            body.insert("token".to_owned(), Value::String(token.expose().to_owned()));
        }
        self.write("sys/wrapping/unwrap", &Value::Object(body))
    }

    pub fn seal_status(&self) -> Result<SealStatus, ClientError> {
        self.typed(&Request { method: Method::Get, path: "sys/seal-status", query: &[], body: None })
    }

    pub fn leader(&self) -> Result<Leader, ClientError> {
        self.typed(&Request { method: Method::Get, path: "sys/leader", query: &[], body: None })
    }

    /// The health, whatever it is: the answer's status is always 200.
    pub fn health(&self) -> Result<Health, ClientError> {
        let query: Vec<_> =
            ["standbycode", "sealedcode", "uninitcode", "drsecondarycode", "performancestandbycode"]
                .map(|name| (name, "200".to_owned()))
                .to_vec();
        self.typed(&Request { method: Method::Get, path: "sys/health", query: &query, body: None })
    }

    pub fn initialize(&self, request: &InitRequest) -> Result<InitAnswer, ClientError> {
        let body = serde_json::to_value(request).map_err(std::io::Error::other)?;
        self.typed(&Request { method: Method::Put, path: "sys/init", query: &[], body: Some(&body) })
    }

    /// Gives one key share. `None` starts over.
    pub fn unseal(&self, share: Option<&SecretString>) -> Result<SealStatus, ClientError> {
        let body = match share {
            Some(share) => serde_json::json!({ "key": share.expose() }),
            None => serde_json::json!({ "reset": true }),
        };
        self.typed(&Request { method: Method::Put, path: "sys/unseal", query: &[], body: Some(&body) })
    }

    /// Gives one key of the seal before, for a change of the seal.
    pub fn unseal_migrating(&self, share: &SecretString) -> Result<SealStatus, ClientError> {
        let body = serde_json::json!({ "key": share.expose(), "migrate": true });
        self.typed(&Request { method: Method::Put, path: "sys/unseal", query: &[], body: Some(&body) })
    }

    /// An answer that is not an envelope.
    pub fn typed<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<T, ClientError> {
        let reply = self.send(request)?;
        serde_json::from_slice(reply.body.expose())
            .map_err(|error| ClientError::BadResponse { url: reply.url, reason: error.to_string() })
    }

    /// An answer that is an envelope; `None` for an empty one, and for a 404 that holds nothing.
    pub fn ask(&self, request: &Request<'_>) -> Result<Option<Response>, ClientError> {
        let reply = match self.send(request) {
            Ok(reply) => reply,
            Err(ClientError::Server(error)) if error.status == 404 => return nothing_found(error),
            Err(error) => return Err(error),
        };
        if reply.status == 204 || reply.body.expose().is_empty() {
            return Ok(None);
        }
        Response::parse(reply.body.expose())
            .map(Some)
            .map_err(|error| ClientError::BadResponse { url: reply.url, reason: error.to_string() })
    }

    /// Sends a request, repeats it where that is safe, and follows one redirect (from a standby to the active server).
    pub fn send(&self, request: &Request<'_>) -> Result<Reply, ClientError> {
        let url = self.url(request);
        let mut body = request.body.map(serde_json::to_vec).transpose().map_err(std::io::Error::other)?;
        let outcome = self.repeat(request.method, &url, body.as_deref());
        body.zeroize();
        outcome
    }

    /// Streams the body of `GET path` into `sink` and returns how many bytes it had. No limits of time or size.
    pub fn download(&self, path: &str, sink: &mut dyn Write) -> Result<u64, ClientError> {
        let request = Request { method: Method::Get, path, query: &[], body: None };
        let url = self.url(&request);
        let mut answer = self.once(Method::Get, &url, None, Limit::None)?;
        if answer.status().as_u16() >= 300 {
            return Err(self.refusal(Method::Get, url, &mut answer));
        }
        Ok(std::io::copy(&mut answer.body_mut().as_reader(), sink)?)
    }

    /// Streams `source` as the body of `POST path`. No limits of time or size.
    pub fn upload(&self, path: &str, source: &mut dyn Read) -> Result<(), ClientError> {
        let request = Request { method: Method::Post, path, query: &[], body: None };
        let url = self.url(&request);
        let head = self
            .head(Method::Post, &url)?
            .body(SendBody::from_reader(source))
            .map_err(|error| bad(&url, &error))?;
        let configured = self.agent.configure_request(head).timeout_global(None).build();
        let mut answer = self.agent.run(configured).map_err(|error| self.failure(&url, error))?;
        if answer.status().as_u16() >= 300 {
            return Err(self.refusal(Method::Post, url, &mut answer));
        }
        Ok(())
    }

    fn url(&self, request: &Request<'_>) -> String {
        let mut path = encode_path(request.path);
        for (index, (name, value)) in request.query.iter().enumerate() {
            path.push(if index == 0 { '?' } else { '&' });
            path.extend(utf8_percent_encode(name, QUERY_ENCODED));
            path.push('=');
            path.extend(utf8_percent_encode(value, QUERY_ENCODED));
        }
        self.config.address.url(&path)
    }

    fn repeat(&self, method: Method, url: &str, body: Option<&[u8]>) -> Result<Reply, ClientError> {
        let mut url = url.to_owned();
        let mut redirected = false;
        let mut repetition = 0;
        loop {
            let mut answer = self.once(method, &url, body, Limit::Time)?;
            let status = answer.status().as_u16();
            if matches!(status, 301 | 302 | 307 | 308) && !redirected {
                url = redirect_target(&url, &answer)?;
                redirected = true;
                continue;
            }
            if status < 300 {
                let body = self.whole_body(&url, &mut answer)?;
                return Ok(Reply { status, url, body });
            }
            let error = self.refusal(method, url.clone(), &mut answer);
            if repetition >= self.config.retries_max || !worth_repeating(method, &error) {
                return Err(error);
            }
            std::thread::sleep(self.config.retry_pause.saturating_mul(1 << repetition.min(6)));
            repetition += 1;
        }
    }

    fn once(
        &self,
        method: Method,
        url: &str,
        body: Option<&[u8]>,
        limit: Limit,
    ) -> Result<http::Response<Body>, ClientError> {
        let timeout = match limit {
            Limit::Time => Some(self.config.timeout),
            Limit::None => None,
        };
        let head = self.head(method, url)?;
        let outcome = match body {
            Some(body) => {
                let kind = match method {
                    Method::Patch => "application/merge-patch+json",
                    _ => "application/json",
                };
                let request =
                    head.header("Content-Type", kind).body(body).map_err(|error| bad(url, &error))?;
                self.agent.run(self.agent.configure_request(request).timeout_global(timeout).build())
            }
            None => {
                let request = head.body(()).map_err(|error| bad(url, &error))?;
                self.agent.run(self.agent.configure_request(request).timeout_global(timeout).build())
            }
        };
        outcome.map_err(|error| self.failure(url, error))
    }

    fn head(&self, method: Method, url: &str) -> Result<http::request::Builder, ClientError> {
        let mut builder =
            http::Request::builder().method(method.name()).uri(url).header("X-Vault-Request", "true");
        if let Some(token) = &self.config.token {
            builder = builder.header("X-Vault-Token", sensitive(token.expose(), "token")?);
        }
        if let Some(namespace) = &self.config.namespace {
            builder = builder.header("X-Vault-Namespace", sensitive(namespace, "namespace")?);
        }
        if let Some(ttl) = &self.config.wrap_ttl {
            builder = builder.header("X-Vault-Wrap-TTL", sensitive(ttl, "wrapping time")?);
        }
        for (name, value) in &self.config.headers {
            builder = builder.header(name.as_str(), sensitive(value.expose(), "header")?);
        }
        Ok(builder)
    }

    fn whole_body(&self, url: &str, answer: &mut http::Response<Body>) -> Result<SecretBytes, ClientError> {
        let limit_bytes = self.config.response_bytes_max;
        match answer.body_mut().with_config().limit(limit_bytes).read_to_vec() {
            Ok(body) => Ok(SecretBytes::new(body)),
            Err(ureq::Error::BodyExceedsLimit(_)) => {
                Err(ClientError::TooLarge { url: url.to_owned(), limit_bytes })
            }
            Err(error) => Err(self.failure(url, error)),
        }
    }

    fn refusal(&self, method: Method, url: String, answer: &mut http::Response<Body>) -> ClientError {
        let status = answer.status().as_u16();
        let url = self.config.address.shown(url);
        let body = match self.whole_body(&url, answer) {
            Ok(body) => body,
            Err(error) => return error,
        };
        let parsed: ErrorBody = serde_json::from_slice(body.expose()).unwrap_or_default();
        let response =
            Response::parse(body.expose()).ok().filter(|response| response.field("errors").is_none());
        let mut messages = parsed.errors;
        if messages.is_empty() && response.is_none() {
            messages.extend(plain_text(body.expose()));
        }
        ClientError::Server(Box::new(ServerError {
            method,
            url,
            status,
            messages,
            hint: parsed.hint,
            response,
        }))
    }

    fn failure(&self, url: &str, error: ureq::Error) -> ClientError {
        transport_failure(self.config.address.to_string(), url, self.config.timeout, error)
    }
}

/// Why there was no answer, in words.
fn transport_failure(address: String, url: &str, timeout: Duration, error: ureq::Error) -> ClientError {
    match error {
        ureq::Error::Timeout(_) => ClientError::Timeout { address, seconds: timeout.as_secs() },
        ureq::Error::Io(error) => io_failure(address, &error),
        ureq::Error::HostNotFound => {
            ClientError::Unreachable { address, reason: "the host's name is not known".to_owned() }
        }
        ureq::Error::ConnectionFailed => {
            ClientError::Unreachable { address, reason: "no connection was made".to_owned() }
        }
        ureq::Error::ConnectProxyFailed(reason) => {
            ClientError::Unreachable { address, reason: format!("the proxy refused: {reason}") }
        }
        ureq::Error::InvalidProxyUrl => {
            ClientError::Unreachable { address, reason: "the proxy's address is not usable".to_owned() }
        }
        ureq::Error::Tls(reason) => ClientError::Tls { address, reason: reason.to_owned() },
        ureq::Error::Other(error) => ClientError::Tls { address, reason: error.to_string() },
        other => ClientError::BadResponse { url: url.to_owned(), reason: other.to_string() },
    }
}

#[derive(Clone, Copy)]
enum Limit {
    Time,
    None,
}

/// Every status is an answer, redirects are the caller's business.
fn agent_settings() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("strongroom/", env!("CARGO_PKG_VERSION")))
}

fn agent(config: &ClientConfig) -> Result<Agent, ClientError> {
    let mut builder = agent_settings();
    if let Some(path) = config.address.socket() {
        let settings = builder.proxy(None).build();
        return Ok(Agent::with_parts(settings, SocketConnector { path: path.to_owned() }, NoResolver));
    }
    match &config.proxy {
        ProxyChoice::Environment => {}
        ProxyChoice::Direct => builder = builder.proxy(None),
        ProxyChoice::Address(proxy) => {
            let proxy = Proxy::new(proxy).map_err(|_| ClientError::Address {
                address: "the proxy".to_owned(),
                reason: "it is not a URL".to_owned(),
            })?;
            builder = builder.proxy(Some(proxy));
        }
    }
    web_agent(builder.build(), config.address.uses_tls().then_some(&config.tls))
}

/// An agent over this client's connections (names, proxies, TLS), for services that are no Vault. Without TLS options it
/// speaks plain HTTP alone, and reads no certificates.
pub fn web_agent(settings: ureq::config::Config, tls: Option<&TlsOptions>) -> Result<Agent, ClientError> {
    let plain = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
    let Some(options) = tls else {
        return Ok(Agent::with_parts(settings, plain, NameResolver::default()));
    };
    let config = Arc::new(tls::client_config(options)?);
    let wrapped = plain.chain(TlsConnector { config, server_name: options.server_name.clone() });
    Ok(Agent::with_parts(settings, wrapped, NameResolver::default()))
}

/// What stays as it is in a path: RFC 3986's unreserved and sub-delimiters, and `/ : @`.
const PATH_ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=');
const QUERY_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode_path(path: &str) -> String {
    utf8_percent_encode(path.trim_start_matches('/'), PATH_ENCODED).to_string()
}

fn sensitive(text: &str, what: &'static str) -> Result<http::HeaderValue, ClientError> {
    let mut value = http::HeaderValue::from_str(text).map_err(|_| ClientError::Header { what })?;
    value.set_sensitive(true);
    Ok(value)
}

fn bad(url: &str, error: &http::Error) -> ClientError {
    ClientError::Address { address: url.to_owned(), reason: error.to_string() }
}

fn io_failure(address: String, error: &std::io::Error) -> ClientError {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let reason = match tls {
            rustls::Error::InvalidMessage(_) => {
                "what answers there does not speak TLS (is it http://?)".to_owned()
            }
            other => other.to_string(),
        };
        return ClientError::Tls { address, reason };
    }
    let reason = match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "nothing listens there (connection refused)".to_owned(),
        std::io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        _ => error.to_string(),
    };
    ClientError::Unreachable { address, reason }
}

fn nothing_found(error: Box<ServerError>) -> Result<Option<Response>, ClientError> {
    match *error {
        ServerError { response: Some(response), .. } if !response.is_empty() => Ok(Some(response)),
        ServerError { ref messages, .. } if messages.is_empty() => Ok(None),
        _ => Err(ClientError::Server(error)),
    }
}

/// A body that is neither an answer nor an error of this API (a proxy's page, say), cut to one line.
fn plain_text(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    (!line.trim_start().starts_with('{')).then(|| line.trim().chars().take(200).collect())
}

/// The server did not carry the request out (412, 429, a gateway without a server behind it). A sealed server stays so.
fn worth_repeating(method: Method, error: &ClientError) -> bool {
    let Some(server) = error.server() else { return false };
    match server.status {
        412 | 429 => server.kind() != ServerErrorKind::Conflict,
        500 | 502 | 504 => method.only_reads(),
        503 => method.only_reads() && server.kind() != ServerErrorKind::Sealed,
        _ => false,
    }
}

/// The token goes along, so the target must be as safe as the source.
fn redirect_target(from: &str, answer: &http::Response<Body>) -> Result<String, ClientError> {
    let refused = |reason: &str| ClientError::BadResponse { url: from.to_owned(), reason: reason.to_owned() };
    let location = answer.headers().get("Location").and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| refused("it redirects to nowhere"))?;
    if from.starts_with("https://") && !location.starts_with("https://") {
        return Err(refused("it redirects away from https"));
    }
    if !location.starts_with("http://") && !location.starts_with("https://") {
        return Err(refused("it redirects to something that is not a URL"));
    }
    Ok(location.to_owned())
}

#[cfg(test)]
mod tests;
