//! JSON asked from other servers, by way of the kernel's [`strongroom_kernel::Outbound`].

use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;
use strongroom_kernel::{CaFile, Call, OutboundRequest};
use strongroom_secret::SecretString;

const TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_BYTES_MAX: u64 = 1 << 20;

/// A server that an operator named.
pub(crate) struct Peer<'p> {
    pub authorities: Authorities<'p>,
}

/// Whom a server must be trusted by.
#[derive(Clone, Copy)]
pub(crate) enum Authorities<'p> {
    System,
    /// The PEM file at a path.
    File(&'p str),
    /// PEM.
    Text(&'p str),
}

impl<'p> Authorities<'p> {
    /// As settings have them: empty for the system's.
    pub(crate) fn of_setting(pem: &'p str) -> Self {
        if pem.is_empty() { Self::System } else { Self::Text(pem) }
    }
}

/// What a server answered: the status, and the body if it is JSON of the form expected.
pub(crate) struct Answered<T> {
    pub status: u16,
    pub body: Option<T>,
}

impl Peer<'_> {
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        url: &str,
        headers: Vec<(String, SecretString)>,
    ) -> Result<Answered<T>, String> {
        self.send(call, "GET", url, headers, &[])
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        url: &str,
        headers: Vec<(String, SecretString)>,
        body: &[u8],
    ) -> Result<Answered<T>, String> {
        self.send(call, "POST", url, headers, body)
    }

    fn send<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        method: &'static str,
        url: &str,
        mut headers: Vec<(String, SecretString)>,
        body: &[u8],
    ) -> Result<Answered<T>, String> {
        headers.push(("Accept".to_owned(), "application/json".into()));
        let request = OutboundRequest {
            method,
            url,
            headers: &headers,
            body,
            timeout: TIMEOUT,
            ca_file: match self.authorities {
                Authorities::System => None,
                Authorities::File(path) => Some(CaFile::At(Path::new(path))),
                Authorities::Text(pem) => Some(CaFile::Text(pem)),
            },
            response_bytes_max: RESPONSE_BYTES_MAX,
        };
        let answer = (call.kernel.outbound())(&request).map_err(|error| error.to_string())?;
        Ok(Answered { status: answer.status, body: serde_json::from_slice(answer.body.expose()).ok() })
    }
}

/// An address that is asked: `https://HOST…`, or `http://` where the operator wants that; without credentials in it.
pub(crate) fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        !host.is_empty()
            && !host.contains('@')
            && url.bytes().all(|byte| byte.is_ascii_graphic())
            && !url.contains('#')
    })
}
