//! `sys/rotation/validate/`: whether a presented value is the current one, or one in its grace.

use super::plan::{Place, VALIDATE_FAILURES_DEFAULT};
use super::state::State;
use super::values::Values;
use super::{Rotation, generate, store};
use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::request::Response;
use serde_json::{Map, Value, json};
use std::sync::atomic::Ordering::Relaxed;
use strongroom_crypto::mac::MacKey;
use strongroom_secret::{SecretString, Timestamp};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// A value that is valid now.
struct Candidate {
    version: u64,
    value: SecretString,
    /// None for the current version.
    until: Option<Timestamp>,
}

pub(super) fn validate(call: &mut Call<'_>) -> Result<Response, Error> {
    let place = Place::named(call, call.capture("path"))?;
    let presented = SecretString::new(call.fields().required_text("value")?);
    let plan = store::read_plan(&mut call.tx, &place)?;
    let limit = plan.as_ref().map_or(VALIDATE_FAILURES_DEFAULT, |plan| plan.validate_failures_per_minute);
    let (client, uptime) = (call.request.client.address, call.kernel.clock.monotonic());
    let failures = &call.kernel.rotation.failures;
    if let Some(wait) = failures.wait(&place, client, limit, uptime) {
        let text = format!(
            "too many values that do not fit were presented from this address: try again in {} seconds",
            wait.as_secs() + 1
        );
        return Err(Error::new(ErrorKind::RateLimited, text));
    }
    let field = call.fields().text("field")?.or_else(|| plan.and_then(|plan| plan.field));
    let candidates = candidates(call, &place, field.as_deref())?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let found = fitting(call, &presented, &candidates);
    call.note_validated(&place, presented.expose(), found.is_some());
    let Some(found) = found else {
        failures.count(&place, client, limit, uptime);
        call.kernel.metrics.rotations.validations_failed.fetch_add(1, Relaxed);
        return Ok(Response::data(Map::from_iter([("valid".to_owned(), Value::from(false))])));
    };
    let mut answer = Map::from_iter([
        ("valid".to_owned(), Value::from(true)),
        ("version".to_owned(), Value::from(found.version)),
        ("state".to_owned(), Value::from(if found.until.is_some() { "grace" } else { "current" })),
    ]);
    if let Some(until) = found.until {
        answer.insert("valid_until".to_owned(), json!(now.wall_of(until).rfc3339()));
    }
    Ok(Response::data(answer))
}

/// What would be valid now, the current version first.
fn candidates(call: &mut Call<'_>, place: &Place, field: Option<&str>) -> Result<Vec<Candidate>, Error> {
    let kept = place.read(call)?;
    let state: State = store::read_state(&mut call.tx, place)?;
    let now = Rotation::moment(call.kernel, &mut call.tx)?;
    let mut candidates = Vec::new();
    if let Some(payload) = &kept.payload {
        let values = Values::of_payload(payload, field.as_ref().map(std::slice::from_ref))?;
        let value = values.presented(field).or_else(|| values.get(generate::WHOLE_FIELD));
        let value = value.ok_or_else(|| {
            Error::invalid(match field {
                Some(field) => format!("the secret has no text in a field {field:?}"),
                None => "the secret has several fields: say which one is checked, as field".to_owned(),
            })
        })?;
        candidates.push(Candidate { version: kept.version, value: value.duplicate(), until: None });
    }
    let valid = state.grace.iter().rev().filter(|grace| grace.until > now.steady);
    // Somebody who deletes or destroys a version means it.
    for grace in valid.filter(|grace| !kept.withheld.contains(&grace.version)) {
        let value = grace.values.presented(field).or_else(|| grace.values.get(generate::WHOLE_FIELD));
        candidates.extend(value.map(|value| Candidate {
            version: grace.version,
            value: value.duplicate(),
            until: Some(grace.until),
        }));
    }
    Ok(candidates)
}

/// The first candidate that is the presented value. All are compared, by keyed hashes of one length, whatever the first
/// comparisons come to.
fn fitting<'c>(
    call: &Call<'_>,
    presented: &SecretString,
    candidates: &'c [Candidate],
) -> Option<&'c Candidate> {
    let mut key = [0; 32];
    call.entropy().fill(&mut key);
    let key = MacKey::from_slice(&key);
    let tag = key.tag(presented.expose().as_bytes());
    let mut position = u64::MAX;
    for (number, candidate) in (0_u64..).zip(candidates) {
        let is_equal = key.tag(candidate.value.expose().as_bytes()).ct_eq(&tag);
        let is_first = is_equal & position.ct_eq(&u64::MAX);
        position = u64::conditional_select(&position, &number, is_first & Choice::from(1));
    }
    candidates.get(usize::try_from(position).ok()?)
}
