//! `sys/leases`: what was handed out for a time, looked up, renewed and taken back. The tokens of logins are leases as
//! well; theirs are named by the path of the login and a handle of the token.

use super::fields::{field, method};
use crate::call::Call;
use crate::error::Error;
use crate::grants::{self, bound_ttl};
use crate::leases::{self, LeaseRecord};
use crate::outbox::{Outward, end_outward_lease, extend_outward_lease};
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Route, Run};
use crate::tokens::{self, Children, TokenEntry, TokenRow};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

/// Leases that one revocation by prefix takes back at once; more of them end now and are taken back by the expirer.
const TAKEN_BACK_AT_ONCE: usize = 64;
/// Leases that one request looks at.
const LOOKED_AT_MAX: usize = 100_000;
const IRREVOCABLE_SHOWN_MAX: usize = 10_000;

const LEASE_ID: Field = field("lease_id", FieldKind::Text, "The lease.");
const URL_LEASE_ID: Field = field("url_lease_id", FieldKind::Text, "The lease, in the path.");
const INCREMENT: Field = field("increment", FieldKind::Duration, "The wished lifetime from now on.");
const PREFIX: &[Field] = &[field("prefix", FieldKind::Text, "The path below which the leases are.")];
const REVOCATION: &[Field] =
    &[LEASE_ID, URL_LEASE_ID, field("sync", FieldKind::Boolean, "Fail if it cannot be taken back now.")];
const RENEWAL: &[Field] = &[LEASE_ID, URL_LEASE_ID, INCREMENT];
const COUNTING: &[Field] = &[
    field("type", FieldKind::Text, "irrevocable, or all."),
    field("include_child_namespaces", FieldKind::Boolean, "Count those of the namespaces below as well."),
];

const fn route(
    pattern: &'static str,
    access: Access,
    fields: &'static [Field],
    methods: &'static [crate::route::Method],
    summary: &'static str,
) -> Route {
    Route { pattern, summary, access, fields, methods, exists: None }
}

macro_rules! does {
    ($operation:ident, $run:expr, $summary:literal) => {
        &[method(Operation::$operation, $run, $summary)]
    };
}

const RENEW: &[crate::route::Method] = does!(Write, Run::Outward(renew), "Renew it.");
const REVOKE: &[crate::route::Method] = does!(Write, Run::Outward(revoke), "Revoke it.");
const REVOKE_PREFIX: &[crate::route::Method] = does!(Write, Run::Heavy(revoke_prefix), "Revoke them.");
const REVOKE_FORCE: &[crate::route::Method] = does!(Write, Run::Heavy(revoke_force), "Remove them.");

// Each under its present path and, for old clients, under its former one.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route("leases", Access::Sudo, COUNTING, does!(Read, Run::Read(irrevocable), "List them."), "Leases that could not be taken back."),
    route("leases/count", Access::Sudo, COUNTING, does!(Read, Run::Read(count), "Count them."), "How many leases there are, by mount."),
    route("leases/lookup", Access::Token, &[LEASE_ID], &[
        method(Operation::Write, Run::Read(lookup), "Look it up."),
        method(Operation::List, Run::Read(list), "List what is at the top."),
    ], "Say what is known of a lease."),
    route("leases/lookup/?", Access::Sudo, PREFIX, does!(List, Run::Read(list), "List what is at the top."), "The leases below a path."),
    route("leases/lookup/{prefix..}", Access::Sudo, PREFIX, does!(List, Run::Read(list), "List what is below it."), "The leases below a path."),
    route("leases/renew", Access::Token, RENEWAL, RENEW, "Extend the life of a lease."),
    route("leases/renew/{url_lease_id..}", Access::Token, RENEWAL, RENEW, "Extend the life of a lease."),
    route("renew", Access::Token, RENEWAL, RENEW, "Extend the life of a lease."),
    route("renew/{url_lease_id..}", Access::Token, RENEWAL, RENEW, "Extend the life of a lease."),
    route("leases/revoke", Access::Token, REVOCATION, REVOKE, "Take back what was handed out."),
    route("leases/revoke/{url_lease_id..}", Access::Token, REVOCATION, REVOKE, "Take back what was handed out."),
    route("revoke", Access::Token, REVOCATION, REVOKE, "Take back what was handed out."),
    route("revoke/{url_lease_id..}", Access::Token, REVOCATION, REVOKE, "Take back what was handed out."),
    route("leases/revoke-prefix/{prefix..}", Access::Sudo, PREFIX, REVOKE_PREFIX, "Take back everything below a path."),
    route("revoke-prefix/{prefix..}", Access::Sudo, PREFIX, REVOKE_PREFIX, "Take back everything below a path."),
    route("leases/revoke-force/{prefix..}", Access::Sudo, PREFIX, REVOKE_FORCE, "Forget the leases below a path, even if they cannot be taken back."),
    route("revoke-force/{prefix..}", Access::Sudo, PREFIX, REVOKE_FORCE, "Forget the leases below a path, even if they cannot be taken back."),
    route("leases/tidy", Access::Token, &[], does!(Write, Run::Read(tidy), "Start."), "Look for leases that lead nowhere."),
];

fn lease_id(call: &Call<'_>) -> Result<String, Error> {
    let named = match call.fields().text("lease_id")?.filter(|id| !id.is_empty()) {
        Some(id) => Some(id),
        None => call.fields().text("url_lease_id")?,
    };
    let id = named.unwrap_or_else(|| call.capture("url_lease_id").to_owned());
    match id.trim_matches('/') {
        "" => Err(Error::invalid("lease_id must be specified")),
        id => Ok(id.to_owned()),
    }
}

/// The lease id of a token.
fn token_lease_id(path: &str, row: TokenRow) -> String {
    format!("{path}/h{}", hex::encode(row.0))
}

/// The token whose lease has this id.
fn token_of(call: &mut Call<'_>, id: &str) -> Result<Option<(TokenRow, TokenEntry)>, Error> {
    let Some((path, handle)) = id.rsplit_once('/') else { return Ok(None) };
    let row = handle.strip_prefix('h').and_then(|text| {
        let mut row = [0; 20];
        hex::decode_to_slice(text, &mut row).ok().map(|()| TokenRow(row))
    });
    let Some(row) = row else { return Ok(None) };
    let entry = tokens::read(&mut call.tx, call.namespace.id(), row)?;
    Ok(entry.filter(|entry| entry.path == path && entry.expires.is_some()).map(|entry| (row, entry)))
}

fn lookup(call: &mut Call<'_>) -> Result<Response, Error> {
    let id = lease_id(call)?;
    let now = call.now;
    if let Some(lease) = leases::read(&mut call.tx, call.namespace.id(), &id)? {
        return Ok(described(json!({
            "expire_time": lease.expires.rfc3339(),
            "id": id,
            "issue_time": lease.issued.rfc3339(),
            "last_renewal": lease.last_renewal.map(|at| at.rfc3339()),
            "path": lease.path(),
            "renewable": lease.is_renewable,
            "ttl": lease.ttl_left(now).as_secs(),
        })));
    }
    let (_, entry) = token_of(call, &id)?.ok_or_else(|| Error::invalid("invalid lease"))?;
    Ok(described(json!({
        "expire_time": entry.expires.map(|at| at.rfc3339()),
        "id": id,
        "issue_time": entry.created.rfc3339(),
        "last_renewal": entry.last_renewal.map(|at| at.rfc3339()),
        "path": entry.path,
        "renewable": entry.is_renewable,
        "ttl": entry.ttl_left(now).as_secs(),
    })))
}

fn described(value: Value) -> Response {
    match value {
        Value::Object(map) => Response::data(map),
        _ => Response::default(),
    }
}

fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let prefix = call.capture("prefix").trim_matches('/').to_owned();
    let namespace = call.namespace.id();
    let mut names: BTreeSet<String> =
        leases::children(&mut call.tx, namespace, &prefix)?.into_iter().collect();
    hide_ended(call, &prefix, &mut names)?;
    for (path, row) in tokens::below_path(&mut call.tx, namespace, &prefix, LOOKED_AT_MAX)? {
        let id = token_lease_id(&path, row);
        let rest = id.strip_prefix(prefix.as_str()).unwrap_or_default().trim_start_matches('/');
        names.extend(match rest.split_once('/') {
            Some((folder, _)) => Some(format!("{folder}/")),
            None => Some(rest.to_owned()).filter(|name| !name.is_empty()),
        });
    }
    Response::keys(tokens::page(call.fields(), names.into_iter().collect())?)
}

/// What a disabled mount handed out is over, though taking it back may be under way: a mount that has come in its place
/// does not show it.
fn hide_ended(call: &mut Call<'_>, prefix: &str, names: &mut BTreeSet<String>) -> Result<(), Error> {
    let retiring: Vec<u64> = call.namespace.retiring.iter().map(|mount| mount.record.id).collect();
    if retiring.is_empty() {
        return Ok(());
    }
    let namespace = call.namespace.id();
    for name in std::mem::take(names) {
        let path = format!("{prefix}/{name}");
        for id in leases::below(&mut call.tx, namespace, path.trim_matches('/'), LOOKED_AT_MAX)? {
            let lease = leases::read(&mut call.tx, namespace, &id)?;
            if lease.is_some_and(|lease| !retiring.contains(&lease.mount)) {
                names.insert(name);
                break;
            }
        }
    }
    Ok(())
}

fn renew(call: &mut Call<'_>) -> Result<Outward, Error> {
    let id = lease_id(call)?;
    let increment = call.fields().duration("increment")?.unwrap_or_default();
    let Some(lease) = leases::read(&mut call.tx, call.namespace.id(), &id)? else {
        return Err(match token_of(call, &id)? {
            Some(_) => Error::invalid("tokens cannot be renewed through this endpoint"),
            None => Error::invalid("lease not found"),
        });
    };
    if lease.expires <= call.now {
        return Err(Error::invalid("lease expired"));
    }
    if !lease.is_renewable {
        return Err(Error::invalid("lease is not renewable"));
    }
    let age = call.now.since(lease.issued);
    let lifetime = call
        .at_mount(lease.namespace, lease.mount, |call| {
            let renew = call.mount.backend.renew.ok_or_else(|| Error::invalid("lease is not renewable"))?;
            let renewal = renew(call, &lease)?;
            let ttls = grants::mount_ttls(call.kernel, &call.mount);
            let wished = if increment.is_zero() { renewal.ttl } else { increment };
            Ok(bound_ttl(ttls, wished, renewal.ttl_max.unwrap_or(lease.ttl_max), Duration::ZERO, age))
        })
        .unwrap_or_else(|| Err(Error::invalid("the mount of this lease is gone")))?;
    if lifetime.ttl.is_zero() {
        return Err(Error::invalid("past the max TTL, cannot renew"));
    }
    let renewed =
        LeaseRecord { expires: call.now.plus(lifetime.ttl), last_renewal: Some(call.now), ..lease.clone() };
    let (id, ttl, warnings) = (lease.id.clone(), lifetime.ttl, lifetime.warnings);
    let answer = move || Response {
        lease_id: id.clone(),
        lease_duration: ttl,
        renewable: true,
        warnings: warnings.clone(),
        ..Response::default()
    };
    if let Some(outward) = extend_outward_lease(call, &lease, renewed.clone(), answer.clone())? {
        return Ok(outward);
    }
    grants::save_renewed(&mut call.tx, &renewed, lease.expires)?;
    Ok(Outward::Answer(answer()))
}

/// What happens to a lease that its engine cannot take back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    Refuse,
    /// It ends now, and the expirer goes on trying.
    TryLater,
    /// Forget it.
    Force,
}

fn revoke(call: &mut Call<'_>) -> Result<Outward, Error> {
    let id = lease_id(call)?;
    let on_failure = match call.fields().boolean("sync")?.unwrap_or(false) {
        true => OnFailure::Refuse,
        false => OnFailure::TryLater,
    };
    if let Some(lease) = leases::read(&mut call.tx, call.namespace.id(), &id)? {
        if lease.is_outward && on_failure == OnFailure::Refuse {
            return end_outward_lease(call, &lease);
        }
        take_back(call, &lease, on_failure)?;
    } else if let Some((row, entry)) = token_of(call, &id)? {
        grants::revoke_token(call.kernel, &mut call.tx, entry.namespace, row, Children::Revoke)?;
    }
    Ok(Outward::nothing())
}

fn take_back(call: &mut Call<'_>, lease: &LeaseRecord, on_failure: OnFailure) -> Result<(), Error> {
    if lease.is_outward {
        return end_soon(call, lease, on_failure);
    }
    let before = call.tx.save_point();
    let taken = call.at_mount(lease.namespace, lease.mount, |call| match call.mount.backend.revoke {
        Some(revoke) => revoke(call, lease),
        None => Ok(()),
    });
    let failure = match taken {
        None | Some(Ok(())) => return leases::remove(&mut call.tx, lease),
        Some(Err(failure)) => failure,
    };
    call.tx.restore(before);
    tracing::warn!(lease = %lease.id, error = ?failure, "a lease could not be taken back");
    match on_failure {
        OnFailure::Refuse => Err(failure),
        OnFailure::Force => leases::remove(&mut call.tx, lease),
        OnFailure::TryLater => leases::end_anew(&mut call.tx, lease.clone(), call.now),
    }
}

/// The expirer takes it back, for its subject is outside the store. What it has failed at already is not tried again
/// where force is asked for.
fn end_soon(call: &mut Call<'_>, lease: &LeaseRecord, on_failure: OnFailure) -> Result<(), Error> {
    if on_failure == OnFailure::Force && lease.revocation_failures > 0 {
        return leases::remove(&mut call.tx, lease);
    }
    let is_forced = on_failure == OnFailure::Force;
    leases::end_anew(&mut call.tx, LeaseRecord { is_forced, ..lease.clone() }, call.now)
}

fn revoke_prefix(call: &mut Call<'_>) -> Result<Response, Error> {
    below_prefix(call, OnFailure::TryLater)
}

fn revoke_force(call: &mut Call<'_>) -> Result<Response, Error> {
    below_prefix(call, OnFailure::Force)
}

fn below_prefix(call: &mut Call<'_>, on_failure: OnFailure) -> Result<Response, Error> {
    let prefix = call.capture("prefix").trim_matches('/').to_owned();
    let namespace = call.namespace.id();
    let now = call.now;
    for (number, id) in leases::below(&mut call.tx, namespace, &prefix, LOOKED_AT_MAX)?.iter().enumerate() {
        if number >= TAKEN_BACK_AT_ONCE && on_failure == OnFailure::TryLater {
            grants::end_lease(&mut call.tx, namespace, id, now)?;
        } else if let Some(lease) = leases::read(&mut call.tx, namespace, id)? {
            take_back(call, &lease, on_failure)?;
        }
    }
    let mut rows = tokens::below_path(&mut call.tx, namespace, &prefix, LOOKED_AT_MAX)?;
    if let Some((row, entry)) = token_of(call, &prefix)? {
        rows.push((entry.path, row));
    }
    for (_, row) in rows {
        grants::revoke_token(call.kernel, &mut call.tx, namespace, row, Children::Revoke)?;
    }
    Ok(Response::default())
}

/// Which leases a count is of.
fn counts_all(call: &Call<'_>) -> Result<bool, Error> {
    match call.fields().text("type")?.as_deref() {
        Some("irrevocable") => Ok(false),
        Some("all") => Ok(true),
        _ => Err(Error::invalid("\"type\" must be \"irrevocable\" or \"all\"")),
    }
}

fn seen_namespaces(call: &Call<'_>) -> Result<Vec<u64>, Error> {
    if !call.fields().boolean("include_child_namespaces")?.unwrap_or(false) {
        return Ok(vec![call.namespace.id()]);
    }
    let own = call.namespace.path();
    Ok(call
        .topology
        .namespaces()
        .filter(|other| other.path().is_within(own))
        .map(|other| other.id())
        .collect())
}

fn count(call: &mut Call<'_>) -> Result<Response, Error> {
    let (total, counts) = if counts_all(call)? { count_all(call)? } else { count_irrevocable(call)? };
    let counts: Map<String, Value> = counts.into_iter().map(|(name, count)| (name, json!(count))).collect();
    Ok(described(json!({ "lease_count": total, "counts": counts })))
}

type Counts = (u64, BTreeMap<String, u64>);

/// By the paths of the mounts, those that they had before among them; no lease is read.
fn count_all(call: &mut Call<'_>) -> Result<Counts, Error> {
    let topology = call.topology.clone();
    let (mut total, mut counts) = (0, BTreeMap::new());
    for id in seen_namespaces(call)? {
        let Some(namespace) = topology.namespace_by_id(id) else { continue };
        let mounts: Vec<_> = namespace.mounts.values().chain(&namespace.retiring).collect();
        let mut paths: BTreeMap<&str, String> = BTreeMap::new();
        for mount in &mounts {
            let name = format!("{}{}", namespace.path(), mount.path());
            paths.insert(mount.path(), name.clone());
            for former in &mount.record.former_paths {
                paths.entry(former).or_insert_with(|| name.clone());
            }
        }
        total += leases::count_below(&mut call.tx, id, "")?;
        for (path, name) in paths {
            let count = leases::count_below(&mut call.tx, id, path)?;
            if count > 0 {
                *counts.entry(name).or_default() += count;
            }
        }
    }
    Ok((total, counts))
}

fn count_irrevocable(call: &mut Call<'_>) -> Result<Counts, Error> {
    let (mut total, mut counts) = (0, BTreeMap::new());
    for namespace in seen_namespaces(call)? {
        for lease in leases::irrevocable(&mut call.tx, namespace)? {
            total += 1;
            *counts.entry(mount_name(call, namespace, lease.mount)).or_default() += 1;
        }
    }
    Ok((total, counts))
}

fn mount_name(call: &Call<'_>, namespace: u64, mount: u64) -> String {
    let name = crate::mounts::by_id(call.topology, namespace, mount).map(|mount| mount.path().to_owned());
    let path = call.topology.namespace_by_id(namespace).map(|namespace| namespace.path().to_string());
    format!("{}{}", path.unwrap_or_default(), name.unwrap_or_else(|| format!("{mount:016x}")))
}

fn irrevocable(call: &mut Call<'_>) -> Result<Response, Error> {
    let all = counts_all(call)?;
    let mut found = Vec::new();
    for namespace in seen_namespaces(call)? {
        match all {
            false => found.extend(leases::irrevocable(&mut call.tx, namespace)?),
            true => leases::visit(&mut call.tx, namespace, &mut |lease| {
                found.push(lease);
                match found.len() < IRREVOCABLE_SHOWN_MAX {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?,
        }
    }
    found.truncate(IRREVOCABLE_SHOWN_MAX);
    let shown = found
        .into_iter()
        .map(|lease| json!({ "lease_id": lease.id, "failed_attempts": lease.revocation_failures }));
    let shown: Vec<Value> = shown.collect();
    Ok(described(json!({ "lease_count": shown.len(), "leases": shown })))
}

/// Leases and their indexes change together, so that nothing is ever left over; old clients still ask.
fn tidy(_: &mut Call<'_>) -> Result<Response, Error> {
    let response = Response { status: Some(202), ..Response::default() };
    Ok(response.with_warning(
        "Tidy operation successfully started. Any information from the operation will be printed to the server's log.",
    ))
}
