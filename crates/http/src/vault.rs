//! The Vault door: what Vault's clients send becomes a [`Request`], what the kernel says becomes Vault's JSON.
//!
//! Source: <https://developer.hashicorp.com/vault/api-docs>, and the behaviour of Vault 1.14 and later.

mod authorize;
mod body;
mod envelope;
pub mod json_limits;
mod parse;
mod path;
mod query;
mod refusal;

use crate::connection::Peer;
use crate::cors::{Verdict, name_origin};
use crate::door::{Answer, Shared};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use strongroom_kernel::{Error, ErrorKind, Operation, Request};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::block_in_place;

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
    // CORS is about the API: the pages' own forms name an origin too.
    let is_asked = head.uri.path().starts_with(PREFIX) && head.headers.contains_key(header::ORIGIN);
    let verdict = match is_asked {
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
    let Some(path) = head.uri.path().strip_prefix(PREFIX) else {
        return match authorize::place(head.uri.path()) {
            Some(place) => authorize::answer(shared, peer, head, place, body).await,
            None => outside(shared, head),
        };
    };
    let permit = Arc::clone(&shared.requests).try_acquire_owned().map_err(|_| Refusal::busy())?;
    let request = parse::request(shared, peer, head, path, body).await?;
    let id = request.id.clone();
    match run(shared, request, permit).await {
        Ok(response) => envelope::write(response, &id),
        Err(error) => Err(Refusal::from_kernel(error, &id)),
    }
}

/// Hands a request to the kernel, to its end even if the client goes away or the time is over.
async fn run(
    shared: &Shared,
    request: Request,
    permit: OwnedSemaphorePermit,
) -> Result<strongroom_kernel::Response, Error> {
    let reach = match request.operation {
        Operation::List | Operation::Scan => Reach::Long,
        _ => Reach::Short,
    };
    let work = Arc::clone(&shared.handler).handle(request);
    let work: Answer = Box::pin(async move {
        let answer = work.await;
        drop(permit);
        answer
    });
    let work = Detaching { work: Some(work), reach };
    tokio::time::timeout(shared.options.request_timeout, work).await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Unavailable,
            "the request took too long and goes on without you: read the entry before you try again",
        ))
    })
}

/// How long a request may hold its thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Short,
    /// It may go through a million entries: other requests of this thread are moved to another one.
    Long,
}

/// Work that goes on in a task of its own when nobody waits for it any longer. As long as somebody does, a task would be
/// one more to wake.
struct Detaching {
    work: Option<Answer>,
    reach: Reach,
}

impl Future for Detaching {
    type Output = Result<strongroom_kernel::Response, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let can_move = || Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
        let is_moved = self.reach == Reach::Long && can_move();
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = match is_moved {
            true => block_in_place(|| work.as_mut().poll(context)),
            false => work.as_mut().poll(context),
        };
        let answer = std::task::ready!(polled);
        self.work = None;
        Poll::Ready(answer)
    }
}

impl Drop for Detaching {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

/// Everything that is not the API.
fn outside(shared: &Shared, head: &Parts) -> Result<Wire, Refusal> {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if is_read && matches!(head.uri.path(), "/" | "/ui" | "/ui/") {
        let mut response = Wire::new(Full::from(PAGE));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, plain);
        add_page_headers(shared, &mut response);
        return Ok(response);
    }
    Err(Refusal::new(StatusCode::NOT_FOUND, "no handler for route: the API is below /v1/"))
}

/// What operators want on every page.
fn add_page_headers(shared: &Shared, response: &mut Wire) {
    for (name, value) in shared.page_headers.read().iter() {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
}
