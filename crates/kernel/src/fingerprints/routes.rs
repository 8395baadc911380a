//! `sys/fingerprints`.

use super::export::export;
use super::resolve::{Found, Place, Seen, Teller, find};
use super::{KeptValue, leaves};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::request::{Operation, Response};
use crate::rotation::Place as GuessedPlace;
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use strongroom_fingerprint::{LeftOut, ScanKey, TAG_BYTES, Tag, fingerprints};
use strongroom_secret::SecretString;

/// Fingerprints in one question.
const TAGS_MAX: usize = 1000;
/// Values that are compared, where a value has no fingerprints.
const COMPARED_MAX: usize = 200_000;
/// Values that no secret holds, which one address may ask about in a minute.
const MISSES_PER_MINUTE: u32 = 60;

const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

const fn method(operation: Operation, run: Run, summary: &'static str) -> Method {
    Method { operation, run, summary }
}

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "fingerprints",
        summary: "The fingerprints of the values that this namespace keeps, for a scan.",
        access: Access::Sudo,
        fields: &[
            field("cursor", FieldKind::Text, "From an earlier answer: what has come since."),
            field("limit", FieldKind::Integer, "Fingerprints in one answer, at most 16384."),
            field(
                "tag_bytes",
                FieldKind::Integer,
                "Bytes of each tag, 2 to 16: with few, a stolen index says less.",
            ),
        ],
        methods: &[
            method(Operation::Read, Run::Heavy(export), "Read a page."),
            method(Operation::Write, Run::Heavy(export), "The same, for long cursors."),
        ],
        exists: None,
    },
    Route {
        pattern: "fingerprints/resolve",
        summary: "Which secrets and versions fingerprints are of, whether they are live, and who may read them.",
        access: Access::Token,
        fields: &[field("tags", FieldKind::List, "The tags of fingerprints, 32 hexadecimal digits each.")],
        methods: &[method(
            Operation::Write,
            Run::Heavy(resolve),
            "Resolve. Secrets whose metadata the caller may not read are counted, unless it has sudo here.",
        )],
        exists: None,
    },
    Route {
        pattern: "fingerprints/lookup",
        summary: "Which secrets hold a value.",
        access: Access::Token,
        fields: &[field("value", FieldKind::Text, "The value.")],
        methods: &[method(
            Operation::Write,
            Run::Heavy(look_up),
            "Look for it. Secrets whose metadata the caller may not read are counted, unless it has sudo here.",
        )],
        exists: None,
    },
];

fn resolve(call: &mut Call<'_>) -> Result<Response, Error> {
    let tags = call.fields().list("tags")?.unwrap_or_default();
    if tags.is_empty() || tags.len() > TAGS_MAX {
        return Err(Error::invalid(format!("tags names 1 to {TAGS_MAX} fingerprints")));
    }
    let tags = tags.iter().map(|text| tag(text)).collect::<Result<Vec<_>, _>>()?;
    let found = find(call, &tags)?;
    let key = scan_key(call);
    let mut answer = Map::from_iter([("is_complete".to_owned(), Value::from(!found.is_full()))]);
    let mut teller = Teller::new(call, "sys/fingerprints/resolve", key)?;
    let mut resolved = Map::new();
    for (tag, places) in &found.places {
        let mut about = teller.places(tag, places)?;
        about.insert("known".to_owned(), (!places.is_empty()).into());
        resolved.insert(hex::encode(tag), about.into());
    }
    answer.insert("fingerprints".to_owned(), resolved.into());
    Ok(Response::data(answer))
}

fn scan_key(call: &Call<'_>) -> Arc<ScanKey> {
    call.tx.keys().scan.of(call.tx.keys(), call.namespace.id())
}

fn tag(text: &str) -> Result<Tag, Error> {
    let bytes = hex::decode(text).ok().and_then(|bytes| Tag::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        Error::invalid(format!("{text:?} is no tag: it has {} hexadecimal digits", 2 * TAG_BYTES))
    })
}

fn look_up(call: &mut Call<'_>) -> Result<Response, Error> {
    let value = SecretString::new(call.fields().required_text("value")?);
    let (client, uptime) = (call.request.client.address, call.kernel.clock.monotonic());
    let everywhere = GuessedPlace { namespace: call.namespace.id(), mount: 0, path: String::new() };
    let failures = &call.kernel.guesses;
    if let Some(wait) = failures.wait(&everywhere, client, MISSES_PER_MINUTE, uptime) {
        let text = format!(
            "too many values that no secret holds were asked about from this address: try again in {} seconds",
            wait.as_secs() + 1
        );
        return Err(Error::new(ErrorKind::RateLimited, text));
    }
    let key = scan_key(call);
    let (tag, found, is_guessable) = match fingerprints(&key, value.expose().as_bytes()) {
        Ok(made) => {
            let whole = made.first().map(|print| print.tag).unwrap_or_default();
            (whole, find(call, &[whole])?, false)
        }
        Err(LeftOut::Guessable { .. } | LeftOut::TooLong) => {
            let tag = key.tag(value.expose().trim().as_bytes());
            (tag, compare(call, &key, tag)?, true)
        }
    };
    let none = BTreeMap::new();
    let places = found.places.get(&tag).unwrap_or(&none);
    if places.is_empty() {
        failures.count(&everywhere, client, MISSES_PER_MINUTE, uptime);
    }
    let is_complete = !found.is_full();
    let mut answer = Teller::new(call, "sys/fingerprints/lookup", key)?.places(&tag, places)?;
    answer.insert("known".to_owned(), (!places.is_empty()).into());
    answer.insert("tag".to_owned(), hex::encode(tag).into());
    answer.insert("is_complete".to_owned(), is_complete.into());
    // Of such a value only what is kept now is known.
    answer.insert("is_guessable".to_owned(), is_guessable.into());
    Ok(Response::data(answer))
}

/// Looks for a value that has no fingerprints in the values themselves. They are compared by keyed hashes of one length.
fn compare(call: &mut Call<'_>, key: &ScanKey, tag: Tag) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut left = COMPARED_MAX;
    for (mount, _) in super::export::mounts(call)? {
        let Some(functions) = mount.backend.fingerprints else { continue };
        let mut after = Some(Vec::new());
        while let Some(place) = after.take().filter(|_| left > 0 && !found.is_full()) {
            let piece = call.tx.untracked(|tx| (functions.values)(tx, &mount, &place))?;
            left = left.saturating_sub(piece.values.len());
            for KeptValue { path, version, created, payload } in &piece.values {
                leaves::visit(payload.expose(), &mut |name, text| {
                    if key.tag(text.trim().as_bytes()) == tag {
                        let place =
                            Place { mount: mount.record.id, path: path.clone(), name: name.to_owned() };
                        found.add(tag, place, Seen { version: *version, created: *created, form: None });
                    }
                });
            }
            after = piece.next;
        }
    }
    Ok(found)
}
