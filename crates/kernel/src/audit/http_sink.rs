//! Lines that are posted to a server, a batch at a time.

use super::config::HttpTarget;
use super::sink::{AuditSink, Tail};
use crate::outbound::{CaFile, Outbound, OutboundRequest};
use std::io;

/// An answer is read no further: its status says all.
const RESPONSE_BYTES_MAX: u64 = 64 << 10;

/// Posts each batch as `application/x-ndjson`; any status from 200 to 299 says that it was taken.
pub(crate) struct HttpSink {
    target: HttpTarget,
    outbound: Outbound,
}

impl HttpSink {
    pub(crate) fn new(mut target: HttpTarget, outbound: Outbound) -> Self {
        target.headers.push(("Content-Type".to_owned(), "application/x-ndjson".into()));
        Self { target, outbound }
    }
}

impl AuditSink for HttpSink {
    fn reopen(&mut self) -> io::Result<Tail> {
        Ok(Tail::Stream)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let request = OutboundRequest {
            method: "POST",
            url: self.target.uri.expose(),
            headers: &self.target.headers,
            body: lines,
            timeout: self.target.write_timeout,
            ca_file: self.target.ca_file.as_deref().map(CaFile::At),
            response_bytes_max: RESPONSE_BYTES_MAX,
        };
        let response = (self.outbound)(&request).map_err(|error| io::Error::other(error.to_string()))?;
        match response.status {
            200..300 => Ok(()),
            // Content too large: it will be tomorrow as well.
            413 => Err(io::Error::new(io::ErrorKind::InvalidInput, "the server says that it is too large")),
            status => Err(io::Error::other(format!("the server answered with status {status}"))),
        }
    }
}
