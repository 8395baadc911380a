//! `sys/internal/ui`: what clients and the web page ask before they show anything.

use super::fields::{field, method};
use super::mounts::{entry, shown_path};
use crate::backend::Class;
use crate::call::Call;
use crate::caller::{self, Caller};
use crate::error::{Error, ErrorKind};
use crate::mounts::MountRecord;
use crate::request::{Operation, Response};
use crate::route::{Access, FieldKind, Route, Run};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_secret::{MountPath, RequestPath};

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "internal/ui/mounts/?",
        summary: "The mounts that the caller can reach; without a token, those that are shown to anybody.",
        access: Access::OwnToken,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(mounts), "List them.")],
        exists: None,
    },
    Route {
        pattern: "internal/ui/mounts/{path..}",
        summary: "The mount that serves a path.",
        access: Access::OwnToken,
        fields: &[field("path", FieldKind::Text, "Any path at or below the mount.")],
        methods: &[method(Operation::Read, Run::Read(mount), "Say which it is.")],
        exists: None,
    },
    Route {
        pattern: "internal/ui/resultant-acl",
        summary: "What the caller's policies grant together.",
        access: Access::Token,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(resultant_acl), "Read the merged rules.")],
        exists: None,
    },
    Route {
        pattern: "internal/ui/namespaces",
        summary: "The namespaces below this one that the caller can reach.",
        access: Access::OwnToken,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(namespaces), "List them.")],
        exists: None,
    },
];

/// The caller, if a token came with the request.
fn caller(call: &mut Call<'_>) -> Result<Option<Arc<Caller>>, Error> {
    let request = call.request;
    let Some(token) = request.token.as_ref().filter(|token| !token.is_empty()) else { return Ok(None) };
    let caller = caller::authenticate(
        call.kernel,
        &mut call.tx,
        call.topology,
        call.namespace,
        token.expose(),
        &request.client,
        call.now,
    )?;
    if caller.token.is_wrapping {
        return Err(Error::denied());
    }
    Ok(Some(caller))
}

fn reaches(call: &Call<'_>, caller: &Caller, path: &str) -> bool {
    MountPath::parse(path).is_ok_and(|path| caller.acl.reaches_mount(call.namespace.path(), &path, call.now))
}

fn mounts(call: &mut Call<'_>) -> Result<Response, Error> {
    let caller = caller(call)?;
    let (mut secret, mut auth) = (Map::new(), Map::new());
    for mount in call.namespace.mounts.values() {
        let record = &mount.record;
        let shown = match &caller {
            Some(caller) if reaches(call, caller, &record.path) => entry(record),
            _ if record.config.listing_visibility == "unauth" => public_entry(record),
            _ => continue,
        };
        let map = if record.class == Class::Auth { &mut auth } else { &mut secret };
        map.insert(shown_path(record).to_owned(), shown);
    }
    Ok(Response::data(Map::from_iter([
        ("secret".to_owned(), Value::Object(secret)),
        ("auth".to_owned(), Value::Object(auth)),
    ])))
}

fn public_entry(mount: &MountRecord) -> Value {
    let options = if mount.options.is_empty() { Value::Null } else { mount.options.clone().into() };
    json!({ "type": mount.kind, "description": mount.description, "options": options })
}

fn mount(call: &mut Call<'_>) -> Result<Response, Error> {
    let path = call.capture("path").to_owned();
    let denied = || {
        Error::new(
            ErrorKind::Denied,
            format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path {path:?}"
            ),
        )
    };
    let caller = caller(call)?.ok_or_else(denied)?;
    // The path may go through namespaces, as that of the request itself.
    let (namespace, rest) = call.topology.resolve(call.namespace.path(), &RequestPath::parse(&path)?)?;
    let mount = namespace.mount_of(rest.as_str()).ok_or_else(denied)?;
    let is_reached = MountPath::parse(mount.path())
        .is_ok_and(|path| caller.acl.reaches_mount(namespace.path(), &path, call.now));
    if !is_reached {
        return Err(denied());
    }
    let below = namespace.path().as_str().strip_prefix(call.namespace.path().as_str()).unwrap_or_default();
    match entry(&mount.record) {
        Value::Object(mut map) => {
            map.insert("path".to_owned(), format!("{below}{}", mount.path()).into());
            Ok(Response::data(map))
        }
        _ => Err(denied()),
    }
}

fn resultant_acl(call: &mut Call<'_>) -> Result<Response, Error> {
    let caller = call.require_caller()?;
    let (mut exact, mut glob) = (Map::new(), Map::new());
    for (path, is_glob, capabilities) in caller.acl.resultant() {
        let map = if is_glob { &mut glob } else { &mut exact };
        map.insert(path, json!({ "capabilities": capabilities }));
    }
    Ok(Response::data(Map::from_iter([
        ("root".to_owned(), caller.acl.is_root_in(call.namespace.path()).into()),
        ("exact_paths".to_owned(), Value::Object(exact)),
        ("glob_paths".to_owned(), Value::Object(glob)),
    ])))
}

fn namespaces(call: &mut Call<'_>) -> Result<Response, Error> {
    let caller = caller(call)?.ok_or_else(Error::denied)?;
    let here = call.namespace.path().as_str();
    let keys = call
        .topology
        .namespaces()
        .filter(|namespace| !namespace.record.is_tainted)
        .filter_map(|namespace| namespace.path().as_str().strip_prefix(here))
        .filter(|below| !below.is_empty() && reaches(call, &caller, below))
        .map(str::to_owned)
        .collect();
    Response::keys(keys)
}
