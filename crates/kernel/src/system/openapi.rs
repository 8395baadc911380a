//! `sys/internal/specs/openapi` and `?help=1`, both from the route tables that serve requests.
//! Format: OpenAPI 3.0.2, <https://spec.openapis.org/oas/v3.0.2>, with Vault's `x-vault-` extensions.

use super::fields::{field, method};
use crate::backend::{Backend, Class};
use crate::call::Call;
use crate::error::Error;
use crate::mounts::Mount;
use crate::pipeline::Routed;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::system::is_own_mount;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use strongroom_secret::MountPath;

pub(super) const ROUTES: &[Route] = &[Route {
    pattern: "internal/specs/openapi",
    summary: "All paths of the mounts that the caller can reach, as an OpenAPI document.",
    access: Access::Token,
    fields: &[field(
        "generic_mount_paths",
        FieldKind::Boolean,
        "Name mounts by their type, as `{kv_mount_path}`.",
    )],
    methods: &[method(Operation::Read, Run::Read(openapi), "Read the document.")],
    exists: None,
}];

/// Stands for a mount as a whole where help is asked for and no route has that path.
pub(crate) static MOUNT_HELP: Route =
    Route { pattern: "", summary: "", access: Access::Token, fields: &[], methods: &[], exists: None };

fn openapi(call: &mut Call<'_>) -> Result<Response, Error> {
    let caller = call.require_caller()?;
    let is_generic = call.fields().boolean("generic_mount_paths")?.unwrap_or_default();
    let mut paths = BTreeMap::new();
    for mount in call.namespace.mounts.values() {
        let is_reached = MountPath::parse(mount.path())
            .is_ok_and(|path| caller.acl.reaches_mount(call.namespace.path(), &path, call.now));
        if is_reached {
            add_mount(&mut paths, mount, is_generic);
        }
    }
    Ok(Response::plain(document(&call.kernel.settings().version, paths)))
}

fn document(version: &str, paths: BTreeMap<String, Map<String, Value>>) -> Value {
    json!({
        "openapi": "3.0.2",
        "info": {
            "title": "Strongroom API",
            "description": "HTTP API. All paths are below /v1/.",
            "version": version,
        },
        "paths": paths,
    })
}

fn add_mount(paths: &mut BTreeMap<String, Map<String, Value>>, mount: &Mount, is_generic: bool) {
    let kind = mount.record.kind.as_str();
    let is_named = is_generic && !is_own_mount(mount.path());
    let (prefix, parameter) = match mount.record.class {
        _ if !is_named => (format!("/{}", mount.path()), None),
        Class::Secret => (format!("/{{{kind}_mount_path}}/"), Some(format!("{kind}_mount_path"))),
        Class::Auth => (format!("/auth/{{{kind}_mount_path}}/"), Some(format!("{kind}_mount_path"))),
    };
    for route in mount.backend.routes.iter().copied().flatten() {
        add_route(paths, route, mount, &prefix, parameter.as_deref());
    }
}

/// The pattern as OpenAPI writes it, and the names in it.
fn template(pattern: &str) -> (String, Vec<&str>) {
    let pattern = pattern.strip_suffix("/?").unwrap_or(pattern);
    let mut names = Vec::new();
    let segments: Vec<String> = pattern
        .split('/')
        .map(|segment| match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(name) => {
                let name = name.strip_suffix("..").unwrap_or(name);
                names.push(name);
                format!("{{{name}}}")
            }
            None => segment.to_owned(),
        })
        .collect();
    (segments.join("/"), names)
}

fn add_route(
    paths: &mut BTreeMap<String, Map<String, Value>>,
    route: &Route,
    mount: &Mount,
    prefix: &str,
    mount_parameter: Option<&str>,
) {
    let (path, names) = template(route.pattern);
    let mut parameters: Vec<Value> = names.iter().map(|name| path_parameter(name, route)).collect();
    if let Some(name) = mount_parameter {
        let at = mount.path().strip_prefix("auth/").unwrap_or(mount.path()).trim_end_matches('/');
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": "Where it is mounted.",
            "schema": { "type": "string", "default": at },
        }));
    }
    for method in route.methods {
        let is_folder = matches!(method.operation, Operation::List | Operation::Scan);
        // A list has a path of its own, so that it does not hide the read of the same path.
        let key = if is_folder { format!("{prefix}{path}/") } else { format!("{prefix}{path}") };
        let key = if path.is_empty() { prefix.to_owned() } else { key };
        let verb = match method.operation {
            Operation::Read | Operation::List | Operation::Scan => "get",
            Operation::Write => "post",
            Operation::Patch => "patch",
            Operation::Delete => "delete",
            Operation::Help => continue,
        };
        let item = paths.entry(key).or_default();
        item.entry("description").or_insert_with(|| route.summary.into());
        if !parameters.is_empty() {
            item.entry("parameters").or_insert_with(|| parameters.clone().into());
        }
        match route.access {
            Access::Sudo | Access::Recovery => drop(item.insert("x-vault-sudo".to_owned(), true.into())),
            Access::Open | Access::OwnToken => {
                drop(item.insert("x-vault-unauthenticated".to_owned(), true.into()))
            }
            Access::Token => {}
        }
        if route.exists.is_some() {
            item.insert("x-vault-createSupported".to_owned(), true.into());
        }
        // Where both exist, the list of names is the answer that programs look for.
        if method.operation != Operation::Scan || !item.contains_key(verb) {
            item.insert(verb.to_owned(), operation(route, method, mount, &names));
        }
    }
}

fn path_parameter(name: &str, route: &Route) -> Value {
    let described = route.fields.iter().find(|field| field.name == name);
    json!({
        "name": name, "in": "path", "required": true, "schema": { "type": "string" },
        "description": described.map_or("", |field| field.description),
    })
}

fn operation(route: &Route, method: &Method, mount: &Mount, names: &[&str]) -> Value {
    let verb = method.operation.as_str();
    let words: Vec<String> = route
        .pattern
        .split('/')
        .map(|segment| segment.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>())
        .filter(|word| !word.is_empty())
        .collect();
    let id = [vec![mount.record.kind.clone(), verb.to_owned()], words].concat().join("-");
    let tag = match (mount.record.class, mount.record.kind.as_str()) {
        (Class::Auth, _) => "auth",
        (Class::Secret, "system") => "system",
        (Class::Secret, "identity") => "identity",
        (Class::Secret, _) => "secrets",
    };
    let mut value = json!({
        "summary": method.summary,
        "operationId": id,
        "tags": [tag],
        "responses": { "200": { "description": "OK" } },
    });
    let Some(map) = value.as_object_mut() else { return value };
    let own: Vec<&Field> = route.fields.iter().filter(|field| !names.contains(&field.name)).collect();
    match method.operation {
        Operation::Write | Operation::Patch if !own.is_empty() => {
            let properties: Map<String, Value> =
                own.iter().map(|field| (field.name.to_owned(), schema(field))).collect();
            let body = json!({ "content": { "application/json": {
                "schema": { "type": "object", "properties": properties },
            } } });
            map.insert("requestBody".to_owned(), body);
        }
        Operation::List | Operation::Scan => {
            let flag = json!([{
                "name": verb, "in": "query", "required": true,
                "schema": { "type": "string", "enum": ["true"] },
            }]);
            map.insert("parameters".to_owned(), flag);
        }
        _ => {}
    }
    value
}

fn schema(field: &Field) -> Value {
    let mut schema = match field.kind {
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Integer => json!({ "type": "integer" }),
        FieldKind::Boolean => json!({ "type": "boolean" }),
        FieldKind::Duration => json!({ "type": "string", "format": "seconds" }),
        FieldKind::List => json!({ "type": "array", "items": { "type": "string" } }),
        FieldKind::Map => json!({ "type": "object", "format": "map" }),
        FieldKind::Time => json!({ "type": "string", "format": "date-time" }),
        FieldKind::Any => json!({}),
    };
    if let Some(map) = schema.as_object_mut() {
        map.insert("description".to_owned(), field.description.into());
    }
    schema
}

/// What a route does, or what a mount has, for `?help=1`.
pub(crate) fn help(routed: &Routed, version: &str) -> Response {
    let mut paths = BTreeMap::new();
    let text = if std::ptr::eq(routed.route, &raw const MOUNT_HELP) {
        add_mount(&mut paths, &routed.mount, false);
        mount_help(routed.mount.backend)
    } else {
        let prefix = format!("/{}", routed.mount.path());
        add_route(&mut paths, routed.route, &routed.mount, &prefix, None);
        route_help(routed)
    };
    Response::plain(json!({ "help": text, "see_also": null, "openapi": document(version, paths) }))
}

fn route_help(routed: &Routed) -> String {
    let route = routed.route;
    let pattern = route.pattern;
    let mut text =
        format!("Request:        {}\nMatching Route: {pattern}\n\n{}\n", routed.path, route.summary);
    text.push_str("\n## OPERATIONS\n");
    for method in route.methods {
        text.push_str(&format!("\n    {}\n        {}\n", method.operation.as_str(), method.summary));
    }
    if !route.fields.is_empty() {
        text.push_str("\n## PARAMETERS\n");
    }
    for field in route.fields {
        let kind = format!("{:?}", field.kind).to_lowercase();
        text.push_str(&format!("\n    {} ({kind})\n        {}\n", field.name, field.description));
    }
    text
}

fn mount_help(backend: &Backend) -> String {
    let mut text = format!(
        "## DESCRIPTION\n\n{}\n\n## PATHS\n\nHelp on any of them is at the path itself, with `?help=1`.\n",
        backend.summary
    );
    for route in backend.routes.iter().copied().flatten() {
        text.push_str(&format!("\n    {}\n        {}\n", route.pattern, route.summary));
    }
    text
}
