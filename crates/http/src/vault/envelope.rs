//! Vault's envelope around an answer, with its fields in Vault's order and its nulls.

use super::Wire;
use super::refusal::Refusal;
use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use strongroom_kernel::{Auth, Data, Error, Response, WrapInfo};
use zeroize::Zeroizing;

#[derive(Serialize)]
struct Envelope<'a> {
    request_id: &'a str,
    lease_id: &'a str,
    renewable: bool,
    lease_duration: u64,
    data: DataText<'a>,
    wrap_info: Option<WrapText<'a>>,
    warnings: Option<&'a [String]>,
    auth: Option<AuthText<'a>>,
    mount_type: &'a str,
}

const ENVELOPE_NAMES: [&str; 9] = [
    "request_id",
    "lease_id",
    "renewable",
    "lease_duration",
    "data",
    "wrap_info",
    "warnings",
    "auth",
    "mount_type",
];

#[derive(Serialize)]
#[serde(untagged)]
enum DataText<'a> {
    None,
    Map(&'a Map<String, Value>),
    Json(&'a RawValue),
}

#[derive(Serialize)]
struct AuthText<'a> {
    client_token: &'a str,
    accessor: &'a str,
    policies: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    token_policies: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    identity_policies: &'a [String],
    metadata: Option<&'a Map<String, Value>>,
    lease_duration: u64,
    renewable: bool,
    entity_id: &'a str,
    token_type: &'a str,
    orphan: bool,
    mfa_requirement: Option<&'a Value>,
    num_uses: u64,
}

#[derive(Serialize)]
struct WrapText<'a> {
    token: &'a str,
    accessor: &'a str,
    ttl: u64,
    creation_time: String,
    creation_path: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    wrapped_accessor: &'a str,
}

impl<'a> From<&'a Auth> for AuthText<'a> {
    fn from(auth: &'a Auth) -> Self {
        Self {
            client_token: auth.client_token.expose(),
            accessor: &auth.accessor,
            policies: &auth.policies,
            token_policies: &auth.token_policies,
            identity_policies: &auth.identity_policies,
            metadata: Some(&auth.metadata).filter(|metadata| !metadata.is_empty()),
            lease_duration: auth.lease_duration.as_secs(),
            renewable: auth.renewable,
            entity_id: &auth.entity_id,
            token_type: auth.token_type,
            orphan: auth.orphan,
            mfa_requirement: auth.mfa_requirement.as_ref(),
            num_uses: auth.num_uses,
        }
    }
}

impl<'a> From<&'a WrapInfo> for WrapText<'a> {
    fn from(wrap: &'a WrapInfo) -> Self {
        Self {
            token: wrap.token.expose(),
            accessor: &wrap.accessor,
            ttl: wrap.ttl.as_secs(),
            creation_time: wrap.creation_time.rfc3339(),
            creation_path: &wrap.creation_path,
            wrapped_accessor: &wrap.wrapped_accessor,
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Writes the answer of the kernel to the request `id`.
pub(crate) fn write(mut response: Response, id: &str) -> Result<Wire, Refusal> {
    let headers = std::mem::take(&mut response.headers);
    let mut wire = write_content(response, id)?;
    for (name, value) in headers {
        // A value that cannot stand in a header is left out: nothing that comes from outside makes a second header.
        if let Ok(value) = HeaderValue::from_str(&value) {
            wire.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    Ok(wire)
}

fn write_content(mut response: Response, id: &str) -> Result<Wire, Refusal> {
    let broken = |error: serde_json::Error| Refusal::from_kernel(Error::internal(error.to_string()), id);
    let status = response.status.and_then(|status| StatusCode::from_u16(status).ok());
    if let Data::Bytes { content_type, body } = &mut response.data {
        let content_type = HeaderValue::from_str(content_type).unwrap_or(JSON);
        return Ok(wire(status, content_type, std::mem::take(body)));
    }
    if let Data::Plain(value) = &response.data {
        return Ok(wire(status, JSON, serde_json::to_vec(value).map_err(broken)?));
    }
    if is_empty(&response) {
        let mut empty = Wire::default();
        *empty.status_mut() = status.unwrap_or(StatusCode::NO_CONTENT);
        return Ok(empty);
    }
    let mut buffer = Vec::with_capacity(1024);
    let envelope = envelope(&response, id);
    match &response.data {
        Data::Map(map) if response.flatten => write_flat(&mut buffer, map, &envelope),
        Data::Json(text) if response.flatten => {
            serde_json::from_str(text.get()).and_then(|map| write_flat(&mut buffer, &map, &envelope))
        }
        _ => serde_json::to_writer(&mut buffer, &envelope),
    }
    .map_err(broken)?;
    Ok(wire(status, JSON, buffer))
}

fn is_empty(response: &Response) -> bool {
    matches!(response.data, Data::None)
        && response.auth.is_none()
        && response.wrap.is_none()
        && response.warnings.is_empty()
        && response.lease_id.is_empty()
}

fn envelope<'a>(response: &'a Response, request_id: &'a str) -> Envelope<'a> {
    Envelope {
        request_id,
        lease_id: &response.lease_id,
        renewable: response.renewable,
        lease_duration: response.lease_duration.as_secs(),
        data: match &response.data {
            Data::Map(map) => DataText::Map(map),
            Data::Json(text) => DataText::Json(text),
            Data::None | Data::Bytes { .. } | Data::Plain(_) => DataText::None,
        },
        wrap_info: response.wrap.as_deref().map(WrapText::from),
        warnings: Some(&*response.warnings).filter(|warnings| !warnings.is_empty()),
        auth: response.auth.as_deref().map(AuthText::from),
        mount_type: &response.mount_type,
    }
}

/// The envelope with the data's fields before its own. A field of the envelope's name is in `data` alone.
fn write_flat(
    buffer: &mut Vec<u8>,
    map: &Map<String, Value>,
    envelope: &Envelope<'_>,
) -> serde_json::Result<()> {
    buffer.push(b'{');
    for (name, value) in map.iter().filter(|(name, _)| !ENVELOPE_NAMES.contains(&name.as_str())) {
        serde_json::to_writer(&mut *buffer, name)?;
        buffer.push(b':');
        serde_json::to_writer(&mut *buffer, value)?;
        buffer.push(b',');
    }
    let brace = buffer.len();
    serde_json::to_writer(&mut *buffer, envelope)?;
    buffer.remove(brace);
    Ok(())
}

/// The buffer is wiped when the last of it has been sent.
fn wire(status: Option<StatusCode>, content_type: HeaderValue, body: Vec<u8>) -> Wire {
    let mut response = Wire::new(Full::new(Bytes::from_owner(Zeroizing::new(body))));
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::json;
    use std::time::Duration;
    use strongroom_secret::{SecretString, Timestamp};

    fn text(response: Response) -> (u16, String) {
        let Ok(wire) = write(response, "the-id") else { panic!("an answer") };
        let status = wire.status().as_u16();
        let mut body = std::pin::pin!(wire.into_body().collect());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(Ok(body)) = body.as_mut().poll(&mut context) else { panic!("a body") };
        (status, String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    #[test]
    fn the_envelope_is_vaults() {
        assert_eq!(text(Response::default()), (204, String::new()));
        let mut response = Response::data(map(json!({"keys": ["a"]})));
        response.mount_type = "kv".into();
        let expected = r#"{"request_id":"the-id","lease_id":"","renewable":false,"lease_duration":0,"data":{"keys":["a"]},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}"#;
        assert_eq!(text(response), (200, expected.into()));
    }

    #[test]
    fn logins_and_wraps() {
        let auth = Auth {
            client_token: SecretString::from("hvs.not-a-real-token"),
            accessor: "accessor".into(),
            policies: vec!["default".into()],
            token_policies: vec!["default".into()],
            identity_policies: Vec::new(),
            metadata: Map::new(),
            lease_duration: Duration::from_secs(60),
            renewable: true,
            entity_id: String::new(),
            token_type: "service",
            orphan: true,
            num_uses: 3,
            mfa_requirement: None,
        };
        let wrap = WrapInfo {
            token: SecretString::from("hvs.not-a-real-wrap"),
            accessor: "a".into(),
            ttl: Duration::from_secs(300),
            creation_time: Timestamp::EPOCH,
            creation_path: "sys/wrapping/wrap".into(),
            wrapped_accessor: String::new(),
        };
        let response = Response {
            auth: Some(Box::new(auth)),
            wrap: Some(Box::new(wrap)),
            warnings: vec!["careful".into()],
            ..Response::default()
        };
        let (status, text) = text(response);
        assert_eq!(status, 200);
        assert!(text.contains(r#""data":null,"wrap_info":{"token":"hvs.not-a-real-wrap","accessor":"a","ttl":300,"creation_time":"1970-01-01T00:00:00Z","creation_path":"sys/wrapping/wrap"},"warnings":["careful"]"#), "{text}");
        assert!(text.contains(r#""auth":{"client_token":"hvs.not-a-real-token","accessor":"accessor","policies":["default"],"token_policies":["default"],"metadata":null,"lease_duration":60,"renewable":true,"entity_id":"","token_type":"service","orphan":true,"mfa_requirement":null,"num_uses":3}"#), "{text}");
    }

    #[test]
    fn flat_answers_say_it_twice() {
        let (_, text) = text(Response::data(map(json!({"secret/": {"type": "kv"}, "auth": 1}))).flattened());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["secret/"], value["data"]["secret/"]);
        assert_eq!((&value["auth"], &value["data"]["auth"]), (&Value::Null, &json!(1)));
        assert_eq!(text.matches("\"auth\"").count(), 2);
    }

    #[test]
    fn an_answer_may_have_headers_of_its_own() {
        let body = Data::Bytes { content_type: "application/problem+json", body: b"{}".to_vec() };
        let headers = vec![
            ("replay-nonce", "n1".to_owned()),
            ("link", "<https://a>;rel=\"index\"".to_owned()),
            ("link", "<https://b>;rel=\"up\"".to_owned()),
            ("location", "https://a\r\nset-cookie: x".to_owned()),
        ];
        let response = Response { data: body, status: Some(400), headers, ..Response::default() };
        let Ok(wire) = write(response, "the-id") else { panic!("an answer") };
        assert_eq!(wire.status().as_u16(), 400);
        assert_eq!(wire.headers()["content-type"], "application/problem+json");
        assert_eq!(wire.headers()["replay-nonce"], "n1");
        assert_eq!(wire.headers().get_all("link").iter().count(), 2);
        assert!(!wire.headers().contains_key("location") && !wire.headers().contains_key("set-cookie"));
    }

    #[test]
    fn plain_answers_have_no_envelope() {
        let response = Response { status: Some(503), ..Response::plain(json!({"sealed": true})) };
        assert_eq!(text(response), (503, r#"{"sealed":true}"#.into()));
        let raw = Data::Json(RawValue::from_string(r#"{"b": 1, "a": 2}"#.into()).unwrap());
        assert!(text(Response { data: raw, ..Response::default() }).1.contains(r#""data":{"b": 1, "a": 2}"#));
    }
}
