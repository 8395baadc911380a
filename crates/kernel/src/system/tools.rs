//! `sys/tools`: random bytes and hashes, for scripts that have no good source of their own; and `sys/decode-token`.

use super::fields::{field, method};
use crate::call::Call;
use crate::error::Error;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use serde_json::Map;
use strongroom_crypto::hash::HashAlgorithm;
use strongroom_crypto::token::{decode_base64, decode_with_otp, encode_base64};

const BYTES_DEFAULT: u64 = 32;
const BYTES_MAX: u64 = 128 * 1024;

const RANDOM_FIELDS: &[Field] = &[
    field("source", FieldKind::Text, "`platform`, `seal` or `all`: there is one source."),
    field("bytes", FieldKind::Integer, "How many; 32 by default."),
    field("urlbytes", FieldKind::Text, "The same, in the path."),
    field("format", FieldKind::Text, "`base64`, by default, or `hex`."),
];
const HASH_FIELDS: &[Field] = &[
    field("input", FieldKind::Text, "What to hash, in base64."),
    field(
        "algorithm",
        FieldKind::Text,
        "sha2-224 to sha2-512 and sha3-224 to sha3-512; sha2-256 by default.",
    ),
    field("urlalgorithm", FieldKind::Text, "The same, in the path."),
    field("format", FieldKind::Text, "`hex`, by default, or `base64`."),
];

const RANDOM_METHODS: &[Method] = &[method(Operation::Write, Run::Read(random), "Make them.")];
const HASH_METHODS: &[Method] = &[method(Operation::Write, Run::Read(hash), "Compute it.")];

const fn random_route(pattern: &'static str) -> Route {
    Route {
        pattern,
        summary: "Random bytes.",
        access: Access::Token,
        fields: RANDOM_FIELDS,
        methods: RANDOM_METHODS,
        exists: None,
    }
}

const fn hash_route(pattern: &'static str) -> Route {
    Route {
        pattern,
        summary: "A hash.",
        access: Access::Token,
        fields: HASH_FIELDS,
        methods: HASH_METHODS,
        exists: None,
    }
}

pub(super) const ROUTES: &[Route] = &[
    random_route("tools/random"),
    random_route("tools/random/{first}"),
    random_route("tools/random/{source}/{urlbytes}"),
    hash_route("tools/hash"),
    hash_route("tools/hash/{urlalgorithm}"),
    Route {
        pattern: "decode-token",
        summary: "A token out of what `sys/generate-root` gave. Nothing is looked up.",
        access: Access::Open,
        fields: &[
            field("encoded_token", FieldKind::Text, "The encoded token."),
            field("otp", FieldKind::Text, "The one-time password that it was encoded by."),
        ],
        methods: &[method(Operation::Write, Run::Read(decode), "Decode it.")],
        exists: None,
    },
];

/// Random bytes, as `sys/tools/random` and engines with a route of their own give them.
pub fn random(call: &mut Call<'_>) -> Result<Response, Error> {
    let first = call.capture("first");
    let (source, in_path) = match first.parse::<u64>() {
        Ok(_) => ("", first),
        Err(_) if first.is_empty() => (call.capture("source"), call.capture("urlbytes")),
        Err(_) => (first, ""),
    };
    let field = call.fields().text("source")?.unwrap_or_default();
    let source = if source.is_empty() { field.as_str() } else { source };
    if !["", "platform", "seal", "all"].contains(&source) {
        return Err(Error::invalid(format!("unsupported entropy source {source:?}")));
    }
    let bytes = match in_path {
        "" => call.fields().count("bytes")?.unwrap_or(BYTES_DEFAULT),
        text => text.parse().map_err(|_| Error::invalid("the number of bytes is not a number"))?,
    };
    if bytes == 0 || bytes > BYTES_MAX {
        return Err(Error::invalid(format!("\"bytes\" must be from 1 to {BYTES_MAX}")));
    }
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or_default()];
    call.entropy().fill(&mut buffer);
    let text = encoded(&buffer, call.fields().text("format")?.as_deref().unwrap_or("base64"))?;
    Ok(Response::data(Map::from_iter([("random_bytes".to_owned(), text.into())])))
}

fn encoded(bytes: &[u8], format: &str) -> Result<String, Error> {
    match format {
        "hex" => Ok(hex::encode(bytes)),
        "base64" => Ok(encode_base64(bytes)),
        other => Err(Error::invalid(format!(
            "unsupported encoding format {other:?}; must be \"hex\" or \"base64\""
        ))),
    }
}

/// A hash, likewise.
pub fn hash(call: &mut Call<'_>) -> Result<Response, Error> {
    let fields = call.fields();
    let input = decode_base64(&fields.required_text("input")?)
        .ok_or_else(|| Error::invalid("unable to decode input as base64"))?;
    let named = fields.text("algorithm")?.unwrap_or_else(|| "sha2-256".to_owned());
    let algorithm = match call.capture("urlalgorithm") {
        "" => named.as_str(),
        in_path => in_path,
    };
    let sum = HashAlgorithm::from_name(algorithm)
        .ok_or_else(|| Error::invalid(format!("unsupported algorithm {algorithm:?}")))?
        .digest(input.expose());
    let text = encoded(&sum, fields.text("format")?.as_deref().unwrap_or("hex"))?;
    Ok(Response::data(Map::from_iter([("sum".to_owned(), text.into())])))
}

fn decode(call: &mut Call<'_>) -> Result<Response, Error> {
    let encoded = call.fields().required_text("encoded_token")?;
    let otp = call.fields().required_text("otp")?;
    let token = decode_with_otp(&encoded, &otp).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(Response::data(Map::from_iter([("token".to_owned(), token.expose().into())])))
}
