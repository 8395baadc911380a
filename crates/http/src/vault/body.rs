//! Reading a body, never more of it than is allowed and never for longer.

use super::refusal::Refusal;
use crate::door::Shared;
use bytes::Buf;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{HeaderMap, StatusCode, header};
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroize;

/// The slowest body that is waited for.
const BYTES_PER_SECOND_MIN: usize = 64 << 10;

/// Reads a whole body of at most `bytes_max`.
pub(crate) async fn read(shared: &Shared, body: &mut Incoming, bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    if body.is_end_stream() {
        return Ok(Vec::new());
    }
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(Refusal::too_large(bytes_max));
    }
    let start = shared.clock.monotonic();
    let mut bytes = Vec::with_capacity(announced.clamp(512, BYTES_PER_SECOND_MIN));
    loop {
        let earned = Duration::from_secs((bytes.len() / BYTES_PER_SECOND_MIN) as u64);
        let spent = shared.clock.monotonic().saturating_sub(start);
        let left = (shared.options.body_timeout + earned).saturating_sub(spent);
        let frame = match timeout(left, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(_))) => return Err(wiped(bytes, Refusal::invalid("the request body is broken off"))),
            Err(_) => {
                let refusal =
                    Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time");
                return Err(wiped(bytes, refusal));
            }
        };
        let Ok(chunk) = frame.into_data() else { continue };
        if chunk.remaining() > bytes_max - bytes.len() {
            return Err(wiped(bytes, Refusal::too_large(bytes_max)));
        }
        append(&mut bytes, &chunk);
    }
}

fn wiped(mut bytes: Vec<u8>, refusal: Refusal) -> Refusal {
    bytes.zeroize();
    refusal
}

/// As `extend_from_slice`, but the old allocation is wiped where a new one is needed.
fn append(bytes: &mut Vec<u8>, chunk: &[u8]) {
    if bytes.capacity() - bytes.len() < chunk.len() {
        let mut larger = Vec::with_capacity((bytes.len() + chunk.len()).max(2 * bytes.capacity()));
        larger.extend_from_slice(bytes);
        bytes.zeroize();
        *bytes = larger;
    }
    bytes.extend_from_slice(chunk);
}

/// Reads on for a little and throws away what comes. A client that is still sending when the connection closes would
/// see it reset, and not the refusal. One that waits to be asked (`Expect: 100-continue`) is not asked.
pub(crate) async fn discard(headers: &HeaderMap, mut body: Incoming) {
    if body.is_end_stream() || headers.contains_key(header::EXPECT) {
        return;
    }
    let mut budget: usize = 4 << 20;
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Buf::remaining);
            match budget.checked_sub(length) {
                Some(left) => budget = left,
                None => return,
            }
        }
    };
    let _ = timeout(Duration::from_secs(2), read).await;
}
