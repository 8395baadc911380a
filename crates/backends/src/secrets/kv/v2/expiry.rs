//! Secrets that end at a time, and say so before it: `expires_at` and `expire_notice` of the metadata, and `expiring`.

use super::config::object;
use super::row::Header;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_kernel::{Call, Error, Key, Record, Response, Table};
use strongroom_secret::{Timestamp, format_duration};

/// By the time of their end.
const BY_END: Table = Table(4);
/// How far `expiring` looks ahead unless told.
const WITHIN_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most secrets in one answer.
const LISTED_MAX: usize = 10_000;

/// A row of the index.
#[derive(Serialize, Deserialize)]
struct Ending {
    path: String,
    at: Timestamp,
}

impl Record for Ending {}

/// What a reader is told of a secret that is about to end, or has ended.
pub(super) fn warnings(header: &Header, now: Timestamp) -> Vec<String> {
    let Some(end) = header.settings.expires_at else { return Vec::new() };
    if end <= now {
        return vec![format!("this secret expired at {end}: to use it again, set its metadata's expires_at")];
    }
    let left = end.since(now);
    if left <= header.settings.expire_notice {
        let left = Duration::from_secs(left.as_secs());
        return vec![format!("this secret expires at {end}, in {}", format_duration(left))];
    }
    Vec::new()
}

fn key(call: &Call<'_>, at: Timestamp) -> Key {
    // Times before 1970 sort as the first: they are over all the same.
    let at = u64::try_from(at.nanoseconds()).unwrap_or(0);
    let table = call.tx.id_key(&call.table(BY_END), &at.to_be_bytes());
    call.tx.path_key(&table, call.capture("path"))
}

/// Changes a secret's end, in its header and in the index.
pub(super) fn set(call: &mut Call<'_>, header: &mut Header, end: Option<Timestamp>) -> Result<(), Error> {
    if let Some(old) = header.settings.expires_at.filter(|old| Some(*old) != end) {
        let key = key(call, old);
        call.tx.delete(&key)?;
    }
    if let Some(at) = end {
        let path = call.capture("path").to_owned();
        let key = key(call, at);
        call.tx.put_record(&key, &Ending { path, at })?;
    }
    header.settings.expires_at = end;
    Ok(())
}

/// The secrets that end within a time from now, those that have ended among them; the next to end comes first.
pub(super) fn expiring(call: &mut Call<'_>) -> Result<Response, Error> {
    let within = call.fields().duration("within")?.unwrap_or(WITHIN_DEFAULT);
    let (now, until) = (call.now, call.now.plus(within));
    let table = call.table(BY_END);
    let endings: Vec<Ending> = {
        let mut endings = Vec::new();
        let all: &mut Vec<Ending> = &mut endings;
        call.tx.entries(&table, &mut |rest, value| {
            let at = rest.first_chunk::<8>().map_or(u64::MAX, |at| u64::from_be_bytes(*at));
            if at > u64::try_from(until.nanoseconds()).unwrap_or(0) || all.len() >= LISTED_MAX {
                return Ok(ControlFlow::Break(()));
            }
            all.push(decode(value)?);
            Ok(ControlFlow::Continue(()))
        })?;
        endings
    };
    if endings.is_empty() {
        return Err(Error::not_found());
    }
    let info: Map<String, Value> = endings
        .iter()
        .map(|ending| {
            let about = json!({ "expires_at": ending.at.rfc3339(), "is_expired": ending.at <= now });
            (ending.path.clone(), about)
        })
        .collect();
    let keys: Vec<String> = endings.into_iter().map(|ending| ending.path).collect();
    Ok(object(json!({ "keys": keys, "key_info": info })))
}

fn decode(value: &[u8]) -> Result<Ending, Error> {
    // After the byte of the record's version.
    value
        .split_first()
        .and_then(|(_, json)| serde_json::from_slice(json).ok())
        .ok_or_else(|| Error::internal("a row of the index of expiring secrets cannot be read"))
}
