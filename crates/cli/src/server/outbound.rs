//! The way of the server to other servers over HTTP: audit devices, auth methods that ask a provider.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_api::client::{TlsOptions, WebClient, WebRequest};
use strongroom_kernel::{Outbound, OutboundError, OutboundRequest, OutboundResponse};

/// Makes clients as they are needed: one for each file of authorities, which keeps its connections.
pub fn outbound() -> Outbound {
    let clients: Mutex<HashMap<Option<PathBuf>, Arc<WebClient>>> = Mutex::default();
    Arc::new(move |request: &OutboundRequest<'_>| {
        let client = client(&clients, request.ca_file.cloned())?;
        let sent = client.send(&WebRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout: request.timeout,
            response_bytes_max: request.response_bytes_max,
        });
        let (status, body) = sent.map_err(|error| OutboundError(error.to_string()))?;
        Ok(OutboundResponse { status, body })
    })
}

fn client(
    clients: &Mutex<HashMap<Option<PathBuf>, Arc<WebClient>>>,
    ca_file: Option<PathBuf>,
) -> Result<Arc<WebClient>, OutboundError> {
    if let Some(client) = clients.lock().get(&ca_file) {
        return Ok(client.clone());
    }
    let options = TlsOptions { ca_file: ca_file.clone(), ..TlsOptions::default() };
    let client = Arc::new(WebClient::new(&options).map_err(|error| OutboundError(error.to_string()))?);
    clients.lock().insert(ca_file, client.clone());
    Ok(client)
}
