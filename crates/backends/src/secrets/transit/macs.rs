//! `hmac/`, `cmac/`, and their side of `verify/`.

use super::batch::{Input, Item};
use super::keys;
use super::ready::Ready;
use super::signing::{Verified, hash_algorithm};
use serde::Serialize;
use strongroom_crypto::mac;
use strongroom_crypto::token::encode_base64;
use strongroom_kernel::{Call, Error, Response};
use strongroom_secret::SecretBytes;

const NOT_FOUND: &str = "encryption key not found";
/// Shorter tags are guessed too easily (NIST SP 800-38B, appendix A).
const CMAC_BYTES_MIN: u64 = 8;
const CMAC_BYTES: usize = 16;

#[derive(Serialize)]
struct Hmac {
    hmac: String,
}

#[derive(Serialize)]
struct Cmac {
    cmac: String,
}

/// The version that a request names for a new tag.
fn version(call: &Call<'_>, ready: &Ready) -> Result<u64, Error> {
    let asked = Item::of_fields(call).integer("key_version")?;
    ready.version_to_write(asked, "HMAC")
}

pub(super) fn hmac(call: &mut Call<'_>) -> Result<Response, Error> {
    let ready = keys::required(call, NOT_FOUND)?;
    ready.key.check_not_deleted()?;
    let (algorithm, number) = (hash_algorithm(call)?, version(call, &ready)?);
    let key = ready.hmac_key(number)?;
    Input::of(call)?.answer(call, |_, item| {
        let message = item.required_bytes("input", "missing input for HMAC")?;
        let tag = mac::hmac(algorithm, key.expose(), message.expose());
        Ok(Hmac { hmac: Ready::labelled(number, &encode_base64(&tag)) })
    })
}

pub(super) fn verify_hmacs(call: &mut Call<'_>) -> Result<Response, Error> {
    let ready = keys::required(call, NOT_FOUND)?;
    ready.key.check_not_deleted()?;
    let algorithm = hash_algorithm(call)?;
    Input::of(call)?.answer(call, |_, item| {
        let (number, message, given) = to_verify(&ready, item, "hmac", "HMAC")?;
        let tag = mac::hmac(algorithm, ready.hmac_key(number)?.expose(), message.expose());
        // Secret bytes compare in constant time.
        Ok(Verified { valid: SecretBytes::new(tag) == given })
    })
}

/// The version, the message and the tag of an item.
fn to_verify(
    ready: &Ready,
    item: Item<'_>,
    name: &str,
    what: &str,
) -> Result<(u64, SecretBytes, SecretBytes), Error> {
    let message = item.required_bytes("input", "missing input")?;
    let text = item.text(name).ok_or_else(|| Error::invalid(format!("missing {name}")))?;
    let (number, body) = ready.split(text, what)?;
    let given = strongroom_crypto::token::decode_base64(body)
        .ok_or_else(|| Error::invalid(format!("unable to decode verification {what} as base64")))?;
    Ok((number, message, given))
}

pub(super) fn cmac(call: &mut Call<'_>) -> Result<Response, Error> {
    let ready = keys::required(call, NOT_FOUND)?;
    ready.key.check_not_deleted()?;
    let (length, number) = (tag_length(call)?, version(call, &ready)?);
    let key = ready.cmac_key(number)?;
    Input::of(call)?.answer(call, |_, item| {
        let message = item.required_bytes("input", "missing input for CMAC")?;
        let tag = full_cmac(key, &message)?;
        let tag = tag.get(..length).unwrap_or(&tag);
        Ok(Cmac { cmac: Ready::labelled(number, &encode_base64(tag)) })
    })
}

pub(super) fn verify_cmacs(call: &mut Call<'_>) -> Result<Response, Error> {
    let ready = keys::required(call, NOT_FOUND)?;
    ready.key.check_not_deleted()?;
    let length = tag_length(call)?;
    Input::of(call)?.answer(call, |_, item| {
        let (number, message, given) = to_verify(&ready, item, "cmac", "CMAC")?;
        let tag = full_cmac(ready.cmac_key(number)?, &message)?;
        let tag = tag.get(..length).unwrap_or(&tag);
        Ok(Verified { valid: SecretBytes::new(tag.to_vec()) == given })
    })
}

fn full_cmac(key: &SecretBytes, message: &SecretBytes) -> Result<Vec<u8>, Error> {
    mac::aes_cmac(key.expose(), message.expose())
        .ok_or_else(|| Error::internal("a CMAC key has another length"))
}

/// How many bytes of a tag are wanted: all of them by default.
fn tag_length(call: &Call<'_>) -> Result<usize, Error> {
    let length = match call.capture("urlmac_length") {
        "" => call.fields().count("mac_length")?.filter(|length| *length > 0),
        text => {
            Some(text.parse().map_err(|_| Error::invalid("the length of a CMAC must be a number of bytes"))?)
        }
    };
    match length {
        None => Ok(CMAC_BYTES),
        Some(length @ CMAC_BYTES_MIN..=16) => Ok(usize::try_from(length).unwrap_or(CMAC_BYTES)),
        Some(_) => Err(Error::invalid(format!("a CMAC has from {CMAC_BYTES_MIN} to {CMAC_BYTES} bytes"))),
    }
}
