//! Requests to servers that do not speak this API.

use super::transport::{NameResolver, TlsConnector};
use super::{ClientError, TlsOptions, agent_settings, bad, sensitive, tls, transport_failure};
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::{SecretBytes, SecretString};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};
use ureq::{Agent, http};

/// A client for any HTTP server. Nothing is repeated, and redirects are not followed.
pub struct WebClient {
    agent: Agent,
}

/// One request.
pub struct WebRequest<'a> {
    /// `GET`, `POST`
    pub method: &'a str,
    /// Absolute, as it is sent.
    pub url: &'a str,
    pub headers: &'a [(String, SecretString)],
    /// Sent where there is one.
    pub body: &'a [u8],
    /// For the whole exchange.
    pub timeout: Duration,
    pub response_bytes_max: u64,
}

impl WebClient {
    /// Reads the TLS files; connects to nothing yet. Proxies are those of the environment.
    pub fn new(options: &TlsOptions) -> Result<Self, ClientError> {
        let plain = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
        let tls = Arc::new(tls::client_config(options)?);
        let wrapped = plain.chain(TlsConnector { config: tls, server_name: options.server_name.clone() });
        Ok(Self { agent: Agent::with_parts(agent_settings().build(), wrapped, NameResolver::default()) })
    }

    /// Sends a request; any status is an answer.
    pub fn send(&self, request: &WebRequest<'_>) -> Result<(u16, SecretBytes), ClientError> {
        let mut head = http::Request::builder().method(request.method).uri(request.url);
        for (name, value) in request.headers {
            head = head.header(name.as_str(), sensitive(value.expose(), "header")?);
        }
        let timeout = Some(request.timeout);
        let sent = match request.body {
            [] => {
                let made = head.body(()).map_err(|error| bad("the address", &error))?;
                self.agent.run(self.agent.configure_request(made).timeout_global(timeout).build())
            }
            body => {
                let made = head.body(body).map_err(|error| bad("the address", &error))?;
                self.agent.run(self.agent.configure_request(made).timeout_global(timeout).build())
            }
        };
        let host = host(request.url);
        let failed = |error| transport_failure(host.clone(), &host, request.timeout, error);
        let mut answer = sent.map_err(failed)?;
        let body = answer.body_mut().with_config().limit(request.response_bytes_max).read_to_vec();
        match body {
            Ok(body) => Ok((answer.status().as_u16(), SecretBytes::new(body))),
            Err(ureq::Error::BodyExceedsLimit(limit_bytes)) => {
                Err(ClientError::TooLarge { url: host, limit_bytes })
            }
            Err(error) => Err(transport_failure(host.clone(), &host, request.timeout, error)),
        }
    }
}

/// Scheme, host and port alone: what else an address says may be a credential.
fn host(url: &str) -> String {
    match url.parse::<http::Uri>() {
        Ok(uri) => {
            let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())
        }
        Err(_) => "the address".to_owned(),
    }
}
