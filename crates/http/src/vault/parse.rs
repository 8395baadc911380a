//! From the head and the body of an HTTP request to the kernel's [`Request`].

use super::path::{decode_form, decode_path};
use super::query::{self, Query};
use super::refusal::Refusal;
use super::{body, json_limits};
use crate::connection::Peer;
use crate::door::Shared;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, StatusCode, Version, header};
use serde_json::{Map, Value};
use std::time::Duration;
use strongroom_crypto::token::decode_base64;
use strongroom_kernel::{BasicCredentials, Body, Client, Fields, Operation, Request};
use strongroom_secret::{NamespacePath, RequestPath, SecretString, parse_duration};

/// The longest `Authorization: Basic` that is looked at.
const BASIC_BYTES_MAX: usize = 4096;

/// HTTP/1.1 wants to know which host is meant (RFC 9112, section 3.2).
pub(crate) fn check_host(head: &Parts) -> Result<(), Refusal> {
    if head.version == Version::HTTP_11 && head.headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Refusal::invalid("missing required Host header"));
    }
    Ok(())
}

/// Reads everything there is to a request. `path` is what follows `/v1/`, as it came.
pub(crate) async fn request(
    shared: &Shared,
    peer: &Peer,
    head: &Parts,
    path: &str,
    body: &mut Incoming,
) -> Result<Request, Refusal> {
    if peer.listener.require_request_header && text_header(head, "x-vault-request")? != Some("true") {
        return Err(Refusal::new(StatusCode::PRECONDITION_FAILED, "missing 'X-Vault-Request' header"));
    }
    let query = match head.uri.query() {
        Some(text) => query::parse(text).map_err(|error| Refusal::invalid(format!("query: {error}")))?,
        None => Query::default(),
    };
    let operation = operation(head, &query)?;
    let path = request_path(path, operation)?;
    let client = client(peer, &head.headers)?;
    let form = BodyForm::of(operation, &path, &head.headers);
    let namespace = namespace(head)?;
    let token = token(head)?;
    let basic = text_header(head, "authorization")?.and_then(basic);
    let wrap_ttl = wrap_ttl(head)?;
    let bytes_max = match form {
        BodyForm::Snapshot => shared.options.snapshot_bytes_max,
        BodyForm::Raw | BodyForm::Form | BodyForm::Json => shared.options.body_bytes_max,
    };
    let body = Body(body::read(shared, body, bytes_max).await?);
    Ok(Request {
        id: shared.request_ids.next(),
        operation,
        namespace,
        path,
        fields: fields(operation, form, query.fields, &body)?,
        body,
        token,
        basic,
        wrap_ttl,
        client,
        headers: recordable_headers(&head.headers),
    })
}

/// Who is on the other end.
pub(crate) fn client(peer: &Peer, headers: &HeaderMap) -> Result<Client, Refusal> {
    let address = match &peer.listener.forwarded_for {
        Some(rule) => rule.client(peer.address, headers)?,
        None => peer.address,
    };
    Ok(Client { address, port: peer.port, certificates: peer.certificates.clone() })
}

fn operation(head: &Parts, query: &Query) -> Result<Operation, Refusal> {
    Ok(match head.method {
        Method::GET | Method::HEAD if query.help => Operation::Help,
        Method::GET | Method::HEAD if query.scan => Operation::Scan,
        Method::GET | Method::HEAD if query.list => Operation::List,
        Method::GET | Method::HEAD => Operation::Read,
        Method::PUT | Method::POST => Operation::Write,
        Method::DELETE => Operation::Delete,
        Method::PATCH => {
            check_patch_type(&head.headers)?;
            Operation::Patch
        }
        _ => match head.method.as_str() {
            "LIST" => Operation::List,
            "SCAN" => Operation::Scan,
            "HELP" => Operation::Help,
            _ => return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "unsupported operation")),
        },
    })
}

fn check_patch_type(headers: &HeaderMap) -> Result<(), Refusal> {
    match media_type(headers) {
        Some("application/merge-patch+json" | "application/json") => Ok(()),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "PATCH requires Content-Type of application/merge-patch+json",
        )),
    }
}

/// The content type without its parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    text.split(';').next().map(str::trim)
}

fn request_path(text: &str, operation: Operation) -> Result<RequestPath, Refusal> {
    let decoded = decode_path(text).map_err(|error| Refusal::invalid(format!("path: {error}")))?;
    let path = RequestPath::parse(&decoded).map_err(|error| Refusal::invalid(error.to_string()))?;
    Ok(match operation {
        Operation::List | Operation::Scan => path.to_folder(),
        _ => path,
    })
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyForm {
    Json,
    /// `a=1&b=2`
    Form,
    /// Bytes for the engine, not parsed here.
    Raw,
    /// As `Raw`, with a limit of its own.
    Snapshot,
}

impl BodyForm {
    fn of(operation: Operation, path: &RequestPath, headers: &HeaderMap) -> Self {
        if operation == Operation::Write && path.as_str().starts_with("sys/storage/raft/snapshot") {
            return Self::Snapshot;
        }
        match media_type(headers) {
            Some("application/ocsp-request") => Self::Raw,
            Some("application/x-www-form-urlencoded") => Self::Form,
            _ => Self::Json,
        }
    }
}

/// The named parameters: those of the body, and those of the query where the operation has no body of its own.
fn fields(
    operation: Operation,
    form: BodyForm,
    query: Map<String, Value>,
    body: &Body,
) -> Result<Fields, Refusal> {
    let parsed = match form {
        BodyForm::Raw | BodyForm::Snapshot => Map::new(),
        // `curl -d '{…}'` calls JSON a form.
        BodyForm::Form if !matches!(first_byte(&body.0), Some(b'{' | b'[')) => parse_form(&body.0)?,
        BodyForm::Form | BodyForm::Json => parse_json(&body.0)?,
    };
    if matches!(operation, Operation::Write | Operation::Patch) {
        return Ok(Fields(parsed));
    }
    let mut fields = Fields(query);
    fields.0.extend(parsed);
    Ok(fields)
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

pub(crate) fn parse_form(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::invalid("form: not valid UTF-8"))?;
    query::parse_form(text).map_err(|error| Refusal::invalid(format!("form: {error}")))
}

/// An object; nothing and `null` are an empty one. The parser's messages name places and never values, as long as it is
/// given an object: anything else is refused before.
fn parse_json(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match first_byte(body) {
        None => return Ok(Map::new()),
        Some(b'{') => {}
        Some(b'n') if body.trim_ascii() == b"null" => return Ok(Map::new()),
        Some(_) => return Err(Refusal::invalid("failed to parse JSON input: the body must be an object")),
    }
    json_limits::check(body)
        .map_err(|error| Refusal::invalid(format!("failed to parse JSON input: {error}")))?;
    serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("failed to parse JSON input: {error}")))
}

fn text_header<'a>(head: &'a Parts, name: &'static str) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = head.headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Refusal::invalid(format!("header {name} is not text"))),
    }
}

fn namespace(head: &Parts) -> Result<NamespacePath, Refusal> {
    match text_header(head, "x-vault-namespace")? {
        Some(text) => NamespacePath::parse(text)
            .map_err(|error| Refusal::invalid(format!("X-Vault-Namespace: {error}"))),
        None => Ok(NamespacePath::root()),
    }
}

fn token(head: &Parts) -> Result<Option<SecretString>, Refusal> {
    let token = match text_header(head, "x-vault-token")? {
        Some(token) => Some(token),
        None => text_header(head, "authorization")?.and_then(bearer),
    };
    Ok(token.map(str::trim).filter(|token| !token.is_empty()).map(SecretString::from))
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Names and secrets of OAuth's clients are forms before they are base64 (RFC 6749, section 2.3.1).
fn basic(authorization: &str) -> Option<BasicCredentials> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > BASIC_BYTES_MAX {
        return None;
    }
    let plain = decode_base64(encoded.trim())?;
    let (user, password) = std::str::from_utf8(plain.expose()).ok()?.split_once(':')?;
    Some(BasicCredentials {
        user: decode_form(user).ok()?.into_owned(),
        password: SecretString::new(decode_form(password).ok()?.into_owned()),
    })
}

fn wrap_ttl(head: &Parts) -> Result<Option<Duration>, Refusal> {
    let Some(text) = text_header(head, "x-vault-wrap-ttl")? else { return Ok(None) };
    let ttl = parse_duration(text).map_err(|error| Refusal::invalid(format!("X-Vault-Wrap-TTL: {error}")))?;
    Ok(Some(ttl).filter(|ttl| !ttl.is_zero()))
}

/// Every header that holds no credential.
pub(crate) fn recordable_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| {
            !matches!(name.as_str(), "x-vault-token" | "authorization" | "proxy-authorization" | "cookie")
        })
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}
