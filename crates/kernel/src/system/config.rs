//! `sys/config/cors`, `sys/config/auditing/request-headers` and `sys/config/ui/headers`.

use super::fields::{field, method};
use super::in_root_namespace;
use crate::call::Call;
use crate::error::Error;
use crate::request::{Operation, Response};
use crate::route::{Access, FieldKind, Route, Run};
use crate::settings::{self, CorsSettings, ServerSettings};
use serde_json::{Map, Value, json};

const HEADERS_MAX: usize = 100;
const VALUES_MAX: usize = 20;
const VALUE_BYTES_MAX: usize = 8192;
/// Headers that hold credentials. The doors hand on none of them but the codes of a second factor, which logins read.
const SECRET_HEADERS: [&str; 5] =
    ["x-vault-token", "authorization", "proxy-authorization", "cookie", "x-vault-mfa"];

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
    Route {
        pattern: "config/ui/headers/?",
        summary: "The headers that answers of the web page carry beside the usual ones.",
        access: Access::Sudo,
        fields: &[],
        methods: &[method(Operation::List, Run::Read(list_page_headers), "List their names.")],
        exists: None,
    },
    Route {
        pattern: "config/ui/headers/{header}",
        summary: "A header that answers of the web page carry.",
        access: Access::Sudo,
        fields: &[
            field("header", FieldKind::Text, "The header's name."),
            field("values", FieldKind::List, "Its values; the header is sent once for each."),
            field("multivalue", FieldKind::Boolean, "Show all values, not the first alone."),
        ],
        methods: &[
            method(Operation::Read, Run::Read(read_page_header), "Read its values."),
            method(Operation::Write, Run::Write(write_page_header), "Send it."),
            method(Operation::Delete, Run::Write(delete_page_header), "Send it no longer."),
        ],
        exists: None,
    },
];

fn stored(call: &mut Call<'_>) -> Result<ServerSettings, Error> {
    in_root_namespace(call)?;
    settings::read(&mut call.tx)
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

/// Headers that say where an answer ends, or that the server sets itself.
const FIXED_HEADERS: [&str; 7] = [
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "set-cookie",
    "transfer-encoding",
    "upgrade",
];

fn list_page_headers(call: &mut Call<'_>) -> Result<Response, Error> {
    Response::keys(stored(call)?.page_headers.into_keys().collect())
}

fn read_page_header(call: &mut Call<'_>) -> Result<Response, Error> {
    let headers = stored(call)?.page_headers;
    let name = call.capture("header");
    let (_, values) =
        headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).ok_or_else(Error::not_found)?;
    let shown = match call.fields().boolean("multivalue")?.unwrap_or_default() {
        true => ("values".to_owned(), json!(values)),
        false => ("value".to_owned(), json!(values.first())),
    };
    Ok(Response::data(Map::from_iter([shown])))
}

fn write_page_header(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut settings = stored(call)?;
    let name = call.capture("header").to_owned();
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("x-vault-") {
        return Err(Error::invalid("X-Vault headers cannot be set"));
    }
    if FIXED_HEADERS.contains(&lower.as_str()) || !name.bytes().all(is_token_byte) {
        return Err(Error::invalid(format!("{name:?} is not a header that can be set")));
    }
    let values = call.fields().list("values")?.unwrap_or_default();
    let is_sendable = |value: &String| {
        value.len() <= VALUE_BYTES_MAX
            && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
    };
    if values.is_empty() {
        return Err(Error::invalid("header and values must be specified"));
    }
    if values.len() > VALUES_MAX || !values.iter().all(is_sendable) {
        return Err(Error::invalid(format!(
            "values: at most {VALUES_MAX} of at most {VALUE_BYTES_MAX} printable ASCII characters"
        )));
    }
    settings.page_headers.retain(|known, _| !known.eq_ignore_ascii_case(&name));
    if settings.page_headers.len() >= HEADERS_MAX {
        return Err(Error::invalid(format!("at most {HEADERS_MAX} headers can be set")));
    }
    settings.page_headers.insert(name, values);
    settings::write(&mut call.tx, &settings)?;
    Ok(Response::default())
}

/// What a header's name consists of: RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn delete_page_header(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut settings = stored(call)?;
    let name = call.capture("header").to_owned();
    settings.page_headers.retain(|known, _| !known.eq_ignore_ascii_case(&name));
    settings::write(&mut call.tx, &settings)?;
    Ok(Response::default())
}
