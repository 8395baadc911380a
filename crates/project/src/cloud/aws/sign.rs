//! Signature Version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use super::credentials::Credentials;
use crate::web::{Request, encoded};
use percent_encoding::percent_decode_str;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::mac::MacKey;
use strongroom_secret::Timestamp;

/// What a signature is good for.
pub(crate) struct Scope<'a> {
    pub(crate) region: &'a str,
    /// The service's signing name, as `secretsmanager`.
    pub(crate) service: &'a str,
    pub(crate) time: Timestamp,
}

/// Adds the date, the session token and the signature to a request. Its body and its other headers are final.
pub(crate) fn sign(mut request: Request, credentials: &Credentials, scope: &Scope<'_>) -> Request {
    let time = basic_time(scope.time);
    request = request.header("x-amz-date", time.as_str());
    if let Some(token) = &credentials.session_token {
        request = request.header("x-amz-security-token", token.duplicate());
    }
    let (canonical, names) = canonical_request(&request);
    let date = time.split('T').next().unwrap_or_default();
    let place = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{place}\n{}", hex::encode(sha256(canonical.as_bytes())));
    let signature = hex::encode(signing_key(credentials, date, scope).tag(to_sign.as_bytes()));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{place}, SignedHeaders={names}, Signature={signature}",
        credentials.access_key_id
    );
    request.header("authorization", authorization)
}

fn signing_key(credentials: &Credentials, date: &str, scope: &Scope<'_>) -> MacKey {
    let mut first = b"AWS4".to_vec();
    first.extend_from_slice(credentials.secret_access_key.expose().as_bytes());
    let mut key = MacKey::from_slice(&first);
    zeroize::Zeroize::zeroize(&mut first);
    for part in [date, scope.region, scope.service, "aws4_request"] {
        key = MacKey::from_slice(&key.tag(part.as_bytes()));
    }
    key
}

/// `20150830T123600Z`
fn basic_time(time: Timestamp) -> String {
    let whole = Timestamp::from_seconds(time.seconds()).rfc3339();
    whole.replace(['-', ':'], "")
}

/// The canonical request, and the names of its headers with `;` between them.
fn canonical_request(request: &Request) -> (String, String) {
    let (host, path, query) = parts(&request.url);
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| (name.to_lowercase(), folded(value.expose()))).collect();
    headers.push(("host".to_owned(), host.to_owned()));
    headers.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut lines: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        match lines.last_mut() {
            Some((last, values)) if *last == name => *values = format!("{values},{value}"),
            _ => lines.push((name, value)),
        }
    }
    let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let body = hex::encode(sha256(request.body.expose()));
    let (path, query) = (canonical_path(path), canonical_query(query));
    (format!("{}\n{path}\n{query}\n{lines}\n{names}\n{body}", request.method), names)
}

/// Host (with its port), path and query of a URL.
fn parts(url: &str) -> (&str, &str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    match rest.find('/') {
        Some(start) => {
            let (host, path) = rest.split_at(start);
            (host, path, query)
        }
        None => (rest, "/", query),
    }
}

/// White space at the ends goes, and within becomes one space.
fn folded(value: &str) -> String {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    words.join(" ")
}

/// Without `.`, `..` and doubled slashes; each segment encoded (once more, if it already was, as all services but S3 ask).
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut canonical: String = segments.iter().map(|segment| format!("/{}", encoded(segment))).collect();
    if canonical.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

fn canonical_query(query: &str) -> String {
    let again = |text: &str| {
        let raw: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&raw, UNRESERVED_KEPT).to_string()
    };
    let mut fields: Vec<(String, String)> = query
        .split('&')
        .filter(|field| !field.is_empty())
        .map(|field| field.split_once('=').unwrap_or((field, "")))
        .map(|(name, value)| (again(name), again(value)))
        .collect();
    fields.sort();
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    fields.join("&")
}

const UNRESERVED_KEPT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
