//! Why a request is allowed or not: in short beside a refusal, at length at `sys/internal/explain`.

use super::fields::{field, method};
use super::policies::{by_accessor, by_token};
use crate::call::Call;
use crate::caller::Caller;
use crate::error::Error;
use crate::mounts::Mount;
use crate::namespaces::Namespace;
use crate::policy::{self, AccessRequest, Acl, Explanation, MountHint, Privilege};
use crate::request::{Operation, Response};
use crate::route::{self, Access, FieldKind, Route, Run};
use serde_json::{Map, Value};
use std::sync::Arc;
use strongroom_secret::{MountPath, NamespacePath, RequestPath};

pub(super) const ROUTES: &[Route] = &[Route {
    pattern: "internal/explain",
    summary: "Why a request would be allowed or denied, and what rule would allow it.",
    access: Access::Token,
    fields: &[
        field("path", FieldKind::Text, "The path of the request."),
        field(
            "operation",
            FieldKind::Text,
            "create, read, update, patch, delete, list or scan; read by default.",
        ),
        field("namespace", FieldKind::Text, "A namespace below this one that the path is in."),
        field("parameters", FieldKind::Map, "The parameters of the request, where rules bound them."),
        field("wrap_ttl", FieldKind::Duration, "The lifetime of the wrapping token asked for."),
        field("token", FieldKind::Text, "Somebody else's token; needs sudo on this path."),
        field("accessor", FieldKind::Text, "Somebody else's accessor; needs sudo on this path."),
    ],
    methods: &[method(Operation::Write, Run::Read(explain), "Explain.")],
    exists: None,
}];

/// The reason for a refusal in one or two lines.
pub(crate) fn explain_text(acl: &Acl, wanted: &AccessRequest<'_>, mount: &Mount) -> String {
    let path = MountPath::parse(mount.path()).ok();
    let explanation = acl.explain(wanted, hint_of(mount, path.as_ref()));
    let mut text = explanation.reason.clone();
    if let Some(rule) = &explanation.rule {
        text.push_str(&format!(": {rule}"));
    }
    if let Some(hint) = explanation.hints.first() {
        text.push_str(&format!("; {hint}"));
    }
    if let Some(suggestion) = &explanation.suggestion {
        let words: Vec<&str> = suggestion.split_whitespace().collect();
        text.push_str(&format!("; this rule would allow it: {}", words.join(" ")));
    }
    text
}

fn hint_of<'m>(mount: &Mount, path: Option<&'m MountPath>) -> MountHint<'m> {
    let is_version_2 = mount.record.kind == "kv" && mount.backend.version == Some("2");
    match path {
        Some(path) if is_version_2 => MountHint::KvV2(path),
        _ => MountHint::Other,
    }
}

/// Whose permissions are asked about. Others' are for those with sudo.
fn subject(call: &mut Call<'_>) -> Result<Arc<Caller>, Error> {
    let caller = call.require_caller()?;
    let (token, accessor) = (call.fields().text("token")?, call.fields().text("accessor")?);
    if token.is_none() && accessor.is_none() {
        return Ok(caller);
    }
    let here = AccessRequest::new(
        call.namespace.path(),
        "sys/internal/explain",
        policy::Operation::Update,
        call.now,
    );
    if !caller.acl.has_sudo(&here) {
        return Err(Error::denied().with_detail("explaining somebody else's permissions needs sudo"));
    }
    match (token, accessor) {
        (Some(token), _) => by_token(call, &token),
        (None, accessor) => by_accessor(call, &accessor.unwrap_or_default()),
    }
}

fn operation(name: &str) -> Result<policy::Operation, Error> {
    let name = match name {
        "" => "read",
        "write" => "update",
        name => name,
    };
    policy::Operation::parse(name).ok_or_else(|| Error::invalid(format!("there is no operation {name:?}")))
}

fn explain(call: &mut Call<'_>) -> Result<Response, Error> {
    let subject = subject(call)?;
    let fields = call.fields();
    let operation = operation(&fields.text("operation")?.unwrap_or_default())?;
    let below = NamespacePath::parse(&fields.text("namespace")?.unwrap_or_default())?;
    let header = call.namespace.path().join(&below)?;
    let path = fields.required_text("path")?;
    let path = path.trim_start_matches('/');
    let path = RequestPath::parse(path.strip_prefix("v1/").unwrap_or(path))?;
    let (namespace, path) = call.topology.resolve(&header, &path)?;
    let parameters = fields.map("parameters")?;
    let mount = namespace.mount_of(path.as_str());
    let wanted = AccessRequest {
        privilege: privilege(mount, &path),
        parameters: parameters.as_ref(),
        wrap_ttl: fields.duration("wrap_ttl")?,
        ..AccessRequest::new(namespace.path(), path.as_str(), operation, call.now)
    };
    let mount_path = mount.and_then(|mount| MountPath::parse(mount.path()).ok());
    let hint = mount.map_or(MountHint::Unknown, |mount| hint_of(mount, mount_path.as_ref()));
    let explanation = subject.acl.explain(&wanted, hint);
    Ok(Response::data(shown(&explanation, &namespace, &subject)?))
}

/// Whether the route of a path asks for sudo.
fn privilege(mount: Option<&Arc<Mount>>, path: &RequestPath) -> Privilege {
    let route = mount.and_then(|mount| {
        let rest = path.as_str().strip_prefix(mount.path()).unwrap_or("");
        route::find(mount.backend.routes, rest)
    });
    match route {
        Some((route, _)) if matches!(route.access, Access::Sudo | Access::Recovery) => Privilege::Sudo,
        _ => Privilege::Ordinary,
    }
}

fn shown(
    explanation: &Explanation,
    namespace: &Namespace,
    subject: &Caller,
) -> Result<Map<String, Value>, Error> {
    let value = serde_json::to_value(explanation)
        .map_err(|error| Error::internal(format!("an explanation cannot be written: {error}")))?;
    let Value::Object(mut map) = value else { return Err(Error::internal("an explanation is an object")) };
    map.insert("text".to_owned(), explanation.to_string().into());
    map.insert("policies".to_owned(), subject.policies.clone().into());
    map.insert("identity_policies".to_owned(), subject.identity_policies.clone().into());
    map.insert("namespace".to_owned(), namespace.path().as_str().into());
    Ok(map)
}
