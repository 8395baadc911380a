//! `sys/config/cors` and `sys/config/auditing/request-headers`.

use super::fields::{field, method};
use crate::call::Call;
use crate::error::Error;
use crate::namespaces::ROOT_NAMESPACE;
use crate::request::{Operation, Response};
use crate::route::{Access, FieldKind, Route, Run};
use crate::settings::{self, CorsSettings, ServerSettings};
use serde_json::{Map, Value, json};

const HEADERS_MAX: usize = 100;
/// Headers that hold credentials; the doors do not even hand them on.
const SECRET_HEADERS: [&str; 4] = ["x-vault-token", "authorization", "proxy-authorization", "cookie"];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "config/cors",
        summary: "Which web pages may use the API.",
        access: Access::Sudo,
        fields: &[
            field("allowed_origins", FieldKind::List, "Origins as `https://example.org`, or `*` for all."),
            field("allowed_headers", FieldKind::List, "Headers that pages may send beside the usual ones."),
        ],
        methods: &[
            method(Operation::Read, Run::Read(read_cors), "Read the setting."),
            method(Operation::Write, Run::Write(write_cors), "Allow origins."),
            method(Operation::Delete, Run::Write(delete_cors), "Allow none."),
        ],
        exists: None,
    },
    Route {
        pattern: "config/auditing/request-headers/?",
        summary: "The request headers that audit records.",
        access: Access::Sudo,
        fields: &[],
        methods: &[method(Operation::Read, Run::Read(list_headers), "List them.")],
        exists: None,
    },
    Route {
        pattern: "config/auditing/request-headers/{header}",
        summary: "A request header that audit records.",
        access: Access::Sudo,
        fields: &[
            field("header", FieldKind::Text, "The header's name."),
            field("hmac", FieldKind::Boolean, "Record a keyed hash in place of the value."),
        ],
        methods: &[
            method(Operation::Read, Run::Read(read_header), "Read the setting."),
            method(Operation::Write, Run::Write(write_header), "Record it."),
            method(Operation::Delete, Run::Write(delete_header), "Record it no longer."),
        ],
        exists: None,
    },
];

fn stored(call: &mut Call<'_>) -> Result<ServerSettings, Error> {
    match call.namespace.id() {
        ROOT_NAMESPACE => settings::read(&mut call.tx),
        _ => Err(Error::invalid("settings of the server are changed in the root namespace")),
    }
}

fn read_cors(call: &mut Call<'_>) -> Result<Response, Error> {
    let cors = stored(call)?.cors;
    let mut map = Map::from_iter([("enabled".to_owned(), cors.is_enabled.into())]);
    if cors.is_enabled {
        map.insert("allowed_origins".to_owned(), json!(cors.allowed_origins));
        map.insert("allowed_headers".to_owned(), json!(cors.allowed_headers));
    }
    Ok(Response::data(map).flattened())
}

fn write_cors(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut settings = stored(call)?;
    let allowed_origins = call.fields().list("allowed_origins")?.unwrap_or_default();
    if allowed_origins.is_empty() {
        return Err(Error::invalid("at least one origin or the wildcard must be provided"));
    }
    if allowed_origins.len() > 1 && allowed_origins.iter().any(|origin| origin == "*") {
        return Err(Error::invalid(
            "to allow all origins the '*' must be the only value for allowed_origins",
        ));
    }
    let allowed_headers = call.fields().list("allowed_headers")?.unwrap_or_default();
    settings.cors = CorsSettings { is_enabled: true, allowed_origins, allowed_headers };
    settings::write(&mut call.tx, &settings)?;
    Ok(Response::default())
}

fn delete_cors(call: &mut Call<'_>) -> Result<Response, Error> {
    let settings = ServerSettings { cors: CorsSettings::default(), ..stored(call)? };
    settings::write(&mut call.tx, &settings)?;
    Ok(Response::default())
}

fn list_headers(call: &mut Call<'_>) -> Result<Response, Error> {
    let headers = stored(call)?.audited_headers;
    let shown: Map<String, Value> =
        headers.into_iter().map(|(name, hmac)| (name, json!({ "hmac": hmac }))).collect();
    Ok(Response::data(Map::from_iter([("headers".to_owned(), shown.into())])).flattened())
}

fn header(call: &Call<'_>) -> String {
    call.capture("header").to_ascii_lowercase()
}

fn read_header(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = header(call);
    let settings = stored(call)?;
    let hmac = settings
        .audited_headers
        .get(&name)
        .ok_or_else(|| Error::invalid("Could not find header in config"))?;
    Ok(Response::data(Map::from_iter([(name, json!({ "hmac": hmac }))])).flattened())
}

fn write_header(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = header(call);
    if SECRET_HEADERS.contains(&name.as_str()) {
        return Err(Error::invalid(format!("{name} holds a credential and is never recorded")));
    }
    let mut settings = stored(call)?;
    if settings.audited_headers.len() >= HEADERS_MAX {
        return Err(Error::invalid(format!("audit records at most {HEADERS_MAX} headers")));
    }
    let hmac = call.fields().boolean("hmac")?.unwrap_or_default();
    settings.audited_headers.insert(name, hmac);
    settings::write(&mut call.tx, &settings)?;
    Ok(Response::default())
}

fn delete_header(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut settings = stored(call)?;
    settings.audited_headers.remove(&header(call));
    settings::write(&mut call.tx, &settings)?;
    Ok(Response::default())
}
