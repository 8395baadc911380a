//! Authorization codes: good for five minutes and for one exchange (RFC 6749, section 4.1.2). A code is its own end and
//! 192 random bits; it is stored as a keyed hash.

use super::super::super::ended::{end_bytes, sweep};
use super::super::store::folder;
use crate::call::Call;
use crate::error::Error;
use crate::transaction::{Key, Record};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strongroom_secret::{SecretString, Timestamp};

const CODES: &str = "codes";
/// Codes whose access tokens are refused.
const REVOKED: &str = "revoked";
const LIFETIME: Duration = Duration::from_secs(300);
const END_BYTES: usize = 8;
const RANDOM_BYTES: usize = 24;
const HANDLE_BYTES: usize = 16;

/// What was authorized.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub provider: String,
    pub client_id: String,
    pub entity_id: String,
    pub redirect_uri: String,
    pub nonce: String,
    pub scopes: Vec<String>,
    /// When somebody logged in, where the client asked for how long ago that may be.
    pub auth_time: Option<i64>,
    pub challenge: Option<Challenge>,
}

/// What the verifier is compared with (RFC 7636).
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Challenge {
    pub method: ChallengeMethod,
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ChallengeMethod {
    Plain,
    S256,
}

/// A code as stored. Once used it stays until its end, so that another use is noticed.
#[derive(Serialize, Deserialize)]
struct Stored {
    grant: Grant,
    is_used: bool,
    /// The end of the access token that was given for it.
    access_until: Option<Timestamp>,
}

impl Record for Stored {}

/// That the access token of a code is refused.
#[derive(Serialize, Deserialize)]
struct Revoked {}

impl Record for Revoked {}

/// Names a code without being one: access tokens carry it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Handle(#[serde(with = "hex::serde")] [u8; HANDLE_BYTES]);

/// What became of a code that was presented.
pub(super) enum Taken {
    Fresh {
        grant: Box<Grant>,
        handle: Handle,
        end: Timestamp,
    },
    /// Somebody else had it, or has it now: what was given for it is good no longer.
    UsedBefore,
    Unknown,
}

pub(super) fn issue(call: &mut Call<'_>, grant: Grant) -> Result<SecretString, Error> {
    let end = call.now.plus(LIFETIME);
    let mut bytes = end_bytes(end).to_vec();
    let mut random = [0; RANDOM_BYTES];
    call.entropy().fill(&mut random);
    bytes.extend(random);
    let folder = folder(&call.tx, call.namespace.id(), CODES);
    sweep(&mut call.tx, &folder, call.now)?;
    let handle = handle_of(call, &bytes);
    let key = row(call, CODES, end, handle);
    call.tx.put_record(&key, &Stored { grant, is_used: false, access_until: None })?;
    Ok(SecretString::new(BASE64.encode(&bytes)))
}

/// Uses a code up. Whoever presents it a second time gets nothing, and the first one's access token ends, if both are the
/// same client: others cannot end what is not theirs.
pub(super) fn take(call: &mut Call<'_>, code: &str, client_id: &str) -> Result<Taken, Error> {
    let bytes = BASE64.decode(code).unwrap_or_default();
    let Some(end) = bytes.first_chunk::<END_BYTES>().filter(|_| bytes.len() == END_BYTES + RANDOM_BYTES)
    else {
        return Ok(Taken::Unknown);
    };
    let end = Timestamp::from_nanoseconds(i64::from_be_bytes(*end));
    let handle = handle_of(call, &bytes);
    let key = row(call, CODES, end, handle);
    let Some(mut stored) = call.tx.record::<Stored>(&key)? else { return Ok(Taken::Unknown) };
    if end <= call.now || stored.grant.client_id != client_id {
        return Ok(Taken::Unknown);
    }
    if stored.is_used {
        if let Some(until) = stored.access_until {
            let folder = folder(&call.tx, call.namespace.id(), REVOKED);
            sweep(&mut call.tx, &folder, call.now)?;
            let revoked = row(call, REVOKED, until, handle);
            call.tx.put_record(&revoked, &Revoked {})?;
        }
        return Ok(Taken::UsedBefore);
    }
    stored.is_used = true;
    call.tx.put_record(&key, &stored)?;
    Ok(Taken::Fresh { grant: Box::new(stored.grant), handle, end })
}

/// Notes until when the access token is good that was given for a code.
pub(super) fn note_access(
    call: &mut Call<'_>,
    handle: Handle,
    end: Timestamp,
    access_until: Timestamp,
) -> Result<(), Error> {
    let key = row(call, CODES, end, handle);
    let Some(stored) = call.tx.record::<Stored>(&key)? else { return Ok(()) };
    call.tx.put_record(&key, &Stored { access_until: Some(access_until), ..stored })
}

pub(super) fn is_revoked(
    call: &mut Call<'_>,
    handle: Handle,
    access_until: Timestamp,
) -> Result<bool, Error> {
    let key = row(call, REVOKED, access_until, handle);
    Ok(call.tx.record::<Revoked>(&key)?.is_some())
}

fn row(call: &Call<'_>, kind: &str, end: Timestamp, handle: Handle) -> Key {
    let folder = folder(&call.tx, call.namespace.id(), kind);
    call.tx.id_key(&folder, &[&end_bytes(end)[..], &handle.0].concat())
}

fn handle_of(call: &Call<'_>, code: &[u8]) -> Handle {
    let tag = call.tx.keys().handles.start().with(b"oidc code\0").with(code).finish();
    Handle(tag.first_chunk().copied().unwrap_or_default())
}
