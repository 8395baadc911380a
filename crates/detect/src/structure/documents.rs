use super::{Check, Verdict};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use serde_json::{Map, Value};

/// RFC 7519: a header with `alg`, a payload that is an object, and a signature as long as the algorithm's (RFC 7518, section 3.1).
pub(super) fn jwt(secret: &[u8]) -> Check {
    let mut parts = secret.split(|byte| *byte == b'.');
    let (header, payload, signature) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
    let header = header.and_then(base64_object);
    let Some(algorithm) = header.as_ref().and_then(|header| header.get("alg")?.as_str()) else {
        return Check::of(Verdict::Unlikely);
    };
    let Some(payload) = payload.and_then(base64_object) else {
        return Check::of(Verdict::Unlikely);
    };
    let signature_length =
        BASE64URL_NOPAD.decode(trimmed(signature)).map(|bytes| bytes.len()).unwrap_or_default();
    let verified = signature_lengths(algorithm).contains(&signature_length);
    let verdict = if verified { Verdict::Verified } else { Verdict::Plausible };
    match payload.get("exp").and_then(Value::as_u64) {
        Some(expiry) => Check::noted(verdict, format!("expires:{expiry}")),
        None => Check::of(verdict),
    }
}

pub(super) fn jwt_base64(secret: &[u8]) -> Check {
    let standard = BASE64_NOPAD.decode(trimmed(secret));
    match standard.or_else(|_| BASE64URL_NOPAD.decode(trimmed(secret))) {
        Ok(token) => jwt(&token),
        Err(_) => Check::of(Verdict::Unlikely),
    }
}

/// Grafana: keys of before service accounts (`n`, `k`, `id`), and Cloud's access policy tokens (`glc_`: `o`, `n`, `k`, `m`).
pub(super) fn grafana(secret: &[u8]) -> Check {
    let (document, wanted): (&[u8], &[&str]) = match secret.strip_prefix(b"glc_") {
        Some(document) => (document, &["o", "n", "k", "m"]),
        None => (secret, &["n", "k", "id"]),
    };
    Check::verified_or_unlikely(has_keys(document, wanted))
}

/// `pk.` or `sk.` or `tk.`, a document with the user's name and the token's id, and a signature.
pub(super) fn mapbox(secret: &[u8]) -> Check {
    let document = secret.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
    Check::verified_or_unlikely(has_keys(document, &["u", "a"]))
}

/// `sntrys_`, a document, `_`, and a secret.
pub(super) fn sentry_organisation(secret: &[u8]) -> Check {
    let document = secret.strip_prefix(b"sntrys_").unwrap_or_default();
    let end = document.iter().rposition(|byte| *byte == b'_').unwrap_or(document.len());
    Check::verified_or_unlikely(has_keys(document.get(..end).unwrap_or_default(), &["iat", "org"]))
}

/// `ops_` and a document with the account's keys.
pub(super) fn onepassword_service_account(secret: &[u8]) -> Check {
    let document = secret.strip_prefix(b"ops_").unwrap_or_default();
    Check::verified_or_unlikely(has_keys(document, &["signInAddress", "secretKey"]))
}

fn has_keys(document: &[u8], wanted: &[&str]) -> bool {
    base64_object(document).is_some_and(|object| wanted.iter().all(|key| object.contains_key(*key)))
}

fn base64_object(text: &[u8]) -> Option<Map<String, Value>> {
    let text = trimmed(text);
    let bytes = BASE64URL_NOPAD.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// The bytes that a signature of an algorithm may have.
fn signature_lengths(algorithm: &str) -> &'static [usize] {
    match algorithm {
        "HS256" => &[32],
        "HS384" => &[48],
        "HS512" => &[64],
        "ES256" | "ES256K" | "EdDSA" => &[64],
        "ES384" => &[96],
        "ES512" => &[132],
        "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" => &[128, 256, 384, 512],
        _ => &[],
    }
}
