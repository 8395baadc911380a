//! The Vault door: what Vault's clients send becomes a [`Request`], what the kernel says becomes Vault's JSON.
//!
//! Source: <https://developer.hashicorp.com/vault/api-docs>, and the behaviour of Vault 1.14 and later.

mod body;
mod envelope;
pub mod json_limits;
mod parse;
mod path;
mod query;
mod refusal;

use crate::connection::Peer;
use crate::cors::{Verdict, name_origin};
use crate::door::Shared;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use std::sync::Arc;
use strongroom_kernel::{Error, ErrorKind, Request};
use tokio::sync::OwnedSemaphorePermit;

pub(crate) use refusal::Refusal;

/// An answer as it goes out.
pub(crate) type Wire = hyper::Response<Full<Bytes>>;

const PREFIX: &str = "/v1/";

const PAGE: &str = "Strongroom, a secrets server.\n\n\
    The API is Vault's, below /v1/: point a Vault client at this address,\n\
    or ask GET /v1/sys/health how the server is.\n";

/// Answers one request, whatever it is.
pub(crate) async fn answer(shared: &Shared, peer: &Peer, request: hyper::Request<Incoming>) -> Wire {
    let (head, mut body) = request.into_parts();
    let verdict = match head.headers.contains_key(header::ORIGIN) {
        true => Arc::clone(&shared.cors.read()).judge(&head.method, &head.headers),
        false => Ok(Verdict::Silent),
    };
    let (result, origin) = match verdict {
        Ok(Verdict::Silent) => (respond(shared, peer, &head, &mut body).await, None),
        Ok(Verdict::Allowed(origin)) => (respond(shared, peer, &head, &mut body).await, Some(origin)),
        Ok(Verdict::Preflight(response)) => (Ok(response), None),
        Err(refusal) => (Err(refusal), None),
    };
    let mut response = match result {
        Ok(response) => response,
        Err(refusal) => {
            body::discard(&head.headers, body).await;
            refusal.into_response()
        }
    };
    add_headers(response.headers_mut(), peer, origin);
    response
}

fn add_headers(headers: &mut HeaderMap, peer: &Peer, origin: Option<HeaderValue>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if peer.listener.tls.is_some() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        );
    }
    if let Some(origin) = origin {
        name_origin(headers, origin);
    }
}

async fn respond(shared: &Shared, peer: &Peer, head: &Parts, body: &mut Incoming) -> Result<Wire, Refusal> {
    parse::check_host(head)?;
    let Some(path) = head.uri.path().strip_prefix(PREFIX) else { return outside(shared, head) };
    let permit = Arc::clone(&shared.requests).try_acquire_owned().map_err(|_| Refusal::busy())?;
    let request = parse::request(shared, peer, head, path, body).await?;
    let id = request.id.clone();
    match run(shared, request, permit).await {
        Ok(response) => envelope::write(response, &id),
        Err(error) => Err(Refusal::from_kernel(error, &id)),
    }
}

/// Hands a request to the kernel in a task of its own: it ends even if the client goes away.
async fn run(
    shared: &Shared,
    request: Request,
    permit: OwnedSemaphorePermit,
) -> Result<strongroom_kernel::Response, Error> {
    let work = Arc::clone(&shared.handler).handle(request);
    let task = tokio::spawn(async move {
        let answer = work.await;
        drop(permit);
        answer
    });
    match tokio::time::timeout(shared.options.request_timeout, task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(failure)) => Err(Error::internal(format!("the handler of a request ended early: {failure}"))),
        Err(_) => Err(Error::new(
            ErrorKind::Unavailable,
            "the request took too long and goes on without you: read the entry before you try again",
        )),
    }
}

/// Everything that is not the API.
fn outside(shared: &Shared, head: &Parts) -> Result<Wire, Refusal> {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if is_read && matches!(head.uri.path(), "/" | "/ui" | "/ui/") {
        let mut response = Wire::new(Full::from(PAGE));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        for (name, value) in shared.page_headers.read().iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        return Ok(response);
    }
    Err(Refusal::new(StatusCode::NOT_FOUND, "no handler for route: the API is below /v1/"))
}
