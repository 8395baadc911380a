//! The way of the server to other servers over HTTP: audit devices, auth methods that ask a provider.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_api::client::{TlsOptions, WebClient, WebRequest};
use strongroom_kernel::{CaFile, Outbound, OutboundError, OutboundRequest, OutboundResponse};
use strongroom_secret::SecretString;

/// Where Kubernetes keeps a pod's token; it is replaced about every hour.
const SERVICE_ACCOUNT_TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// Clients that are kept: texts of authorities come from users, and change.
const CLIENTS_MAX: usize = 256;

/// Which servers are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Trust {
    System,
    File(PathBuf),
    Text(String),
}

type Clients = Mutex<HashMap<Trust, Arc<WebClient>>>;

/// Makes clients as they are needed: one for each set of authorities, which keeps its connections.
pub fn outbound() -> Outbound {
    let clients: Clients = Mutex::default();
    Arc::new(move |request: &OutboundRequest<'_>| {
        let client = client(&clients, &Trust::of(request))?;
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

impl Trust {
    fn of(request: &OutboundRequest<'_>) -> Self {
        match request.ca_file {
            None => Self::System,
            Some(CaFile::At(path)) => Self::File(path.to_owned()),
            Some(CaFile::Text(text)) => Self::Text(text.to_owned()),
        }
    }
}

/// The token of the pod that this program runs in.
pub fn service_account_token() -> Option<SecretString> {
    std::fs::read_to_string(SERVICE_ACCOUNT_TOKEN_FILE).ok().map(SecretString::new)
}

fn client(clients: &Clients, trust: &Trust) -> Result<Arc<WebClient>, OutboundError> {
    if let Some(client) = clients.lock().get(trust) {
        return Ok(client.clone());
    }
    let mut options = TlsOptions::default();
    match trust {
        Trust::System => {}
        Trust::File(path) => options.ca_file = Some(path.clone()),
        Trust::Text(text) => options.ca_pem = Some(text.clone()),
    }
    let client = Arc::new(WebClient::new(&options).map_err(|error| OutboundError(error.to_string()))?);
    let mut clients = clients.lock();
    if clients.len() >= CLIENTS_MAX {
        clients.clear();
    }
    clients.insert(trust.clone(), client.clone());
    Ok(client)
}
