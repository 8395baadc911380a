//! `sign/` and `verify/`.

use super::batch::{Input, Item};
use super::keys;
use super::macs;
use super::ready::Ready;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use strongroom_crypto::hash::HashAlgorithm;
use strongroom_crypto::keypair::{EcdsaForm, KeyError, RsaPadding, Salt};
use strongroom_crypto::token::encode_base64;
use strongroom_kernel::{Call, Error, Response};

/// How a request wants its signatures.
struct Options {
    hash: HashAlgorithm,
    is_hashed: bool,
    padding: RsaPadding,
    form: EcdsaForm,
}

#[derive(Serialize)]
struct Signed {
    signature: String,
    key_version: u64,
    /// Of the key that was derived.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Verified {
    pub valid: bool,
}

impl Options {
    fn of(call: &Call<'_>) -> Result<Self, Error> {
        let fields = call.fields();
        let is_hashed = fields.boolean("prehashed")?.unwrap_or_default();
        let form = match fields.text("marshaling_algorithm")?.as_deref() {
            None | Some("asn1" | "") => EcdsaForm::Asn1,
            Some("jws") => EcdsaForm::Fixed,
            Some(_) => return Err(Error::invalid("invalid marshaling type: it must be asn1 or jws")),
        };
        let padding = match fields.text("signature_algorithm")?.as_deref() {
            None | Some("pss" | "") => RsaPadding::Pss(salt(call)?),
            Some("pkcs1v15") => RsaPadding::Pkcs1,
            Some(_) => {
                return Err(Error::invalid(
                    "unsupported rsa signature algorithm: it must be pss or pkcs1v15",
                ));
            }
        };
        Ok(Self { hash: hash_algorithm(call)?, is_hashed, padding, form })
    }
}

/// The hash that a request names: in its path, or in a field.
pub(super) fn hash_algorithm(call: &Call<'_>) -> Result<HashAlgorithm, Error> {
    let fields = call.fields();
    let name = match call.capture("urlalgorithm") {
        "" => match fields.text("hash_algorithm")?.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => fields.text("algorithm")?.unwrap_or_default(),
        },
        in_path => in_path.to_owned(),
    };
    if name.is_empty() {
        return Ok(HashAlgorithm::Sha2_256);
    }
    HashAlgorithm::from_name(&name).ok_or_else(|| {
        Error::invalid(
            "invalid hash algorithm: it must be sha2-224, sha2-256, sha2-384, sha2-512, sha3-224, sha3-256, sha3-384 \
             or sha3-512",
        )
    })
}

fn salt(call: &Call<'_>) -> Result<Salt, Error> {
    let Some(text) = call.fields().text("salt_length")? else { return Ok(Salt::Auto) };
    match text.to_ascii_lowercase().as_str() {
        "auto" | "" => Ok(Salt::Auto),
        // Go's constant for it.
        "hash" | "-1" => Ok(Salt::Digest),
        // As Go, which takes zero for "as long as can be".
        "0" => Ok(Salt::Auto),
        number => match number.parse::<i64>() {
            Ok(number) => u16::try_from(number)
                .map(Salt::Bytes)
                .map_err(|_| Error::invalid(format!("salt length is invalid: {number}"))),
            Err(_) => Err(Error::invalid("salt length neither 'auto', 'hash', nor an int")),
        },
    }
}

fn failed(error: KeyError) -> Error {
    match error {
        KeyError::Malformed | KeyError::Generation | KeyError::Signing => Error::internal(error.to_string()),
        error => Error::invalid(error.to_string()),
    }
}

fn signing_key(call: &mut Call<'_>, missing: &str, purpose: &str) -> Result<std::sync::Arc<Ready>, Error> {
    let ready = keys::required(call, missing)?;
    ready.key.check_not_deleted()?;
    if !ready.key.key_type.signs() {
        return Err(Error::invalid(format!(
            "key type {} does not support {purpose}",
            ready.key.key_type.name()
        )));
    }
    Ok(ready)
}

pub(super) fn sign(call: &mut Call<'_>) -> Result<Response, Error> {
    let options = Options::of(call)?;
    let ready = signing_key(call, "signing key not found", "signing")?;
    let asked = Item::of_fields(call).integer("key_version")?;
    let number = ready.version_to_write(asked, "signing")?;
    let input = Input::of(call)?;
    input.answer(call, |_, item| sign_item(&ready, number, &options, item))
}

fn sign_item(ready: &Ready, number: u64, options: &Options, item: Item<'_>) -> Result<Signed, Error> {
    let message = item.required_bytes("input", "missing input")?;
    let context = item.bytes("context")?;
    let derived =
        ready.key.settings.derived.then(|| ready.derive_pair(number, context.expose())).transpose()?;
    let key = match &derived {
        Some(key) => key,
        None => ready
            .pair(number)?
            .0
            .ok_or_else(|| Error::invalid("requested version for signing does not contain a private part"))?,
    };
    let Options { hash, padding, form, is_hashed } = *options;
    let signature = if is_hashed && key.kind().signs_digests() {
        key.sign_digest(hash, padding, form, message.expose())
    } else {
        key.sign(hash, padding, form, message.expose())
    };
    let signature = signature.map_err(failed)?;
    let body = match form {
        EcdsaForm::Asn1 => STANDARD.encode(&signature),
        EcdsaForm::Fixed => URL_SAFE_NO_PAD.encode(&signature),
    };
    let public_key = match &derived {
        Some(key) => Some(encode_base64(key.public().map_err(failed)?.ed25519_bytes().unwrap_or_default())),
        None => None,
    };
    Ok(Signed { signature: Ready::labelled(number, &body), key_version: number, public_key })
}

pub(super) fn verify(call: &mut Call<'_>) -> Result<Response, Error> {
    match what_is_given(call)? {
        "signature" => verify_signatures(call),
        "cmac" => macs::verify_cmacs(call),
        _ => macs::verify_hmacs(call),
    }
}

/// Which of them a request brings: all its items bring the same.
fn what_is_given(call: &Call<'_>) -> Result<&'static str, Error> {
    const KINDS: [&str; 3] = ["signature", "hmac", "cmac"];
    let input = Input::of(call)?;
    let mut given = None;
    for item in input.items() {
        let mut kinds = KINDS.into_iter().filter(|kind| item.has(kind));
        let kind = kinds.next().ok_or_else(|| {
            Error::invalid("neither a 'signature' nor an 'hmac' nor a 'cmac' was given to verify")
        })?;
        if kinds.next().is_some() || given.is_some_and(|given| given != kind) {
            return Err(Error::invalid(
                "provide one of 'signature', 'hmac' or 'cmac', the same in every item",
            ));
        }
        given = Some(kind);
    }
    given.ok_or_else(|| Error::invalid("missing batch input to process"))
}

fn verify_signatures(call: &mut Call<'_>) -> Result<Response, Error> {
    let options = Options::of(call)?;
    let ready = signing_key(call, "signature verification key not found", "verification")?;
    let input = Input::of(call)?;
    input.answer(call, |_, item| verify_item(&ready, &options, item))
}

fn verify_item(ready: &Ready, options: &Options, item: Item<'_>) -> Result<Verified, Error> {
    let message = item.required_bytes("input", "missing input")?;
    let text = item.text("signature").ok_or_else(|| Error::invalid("missing signature"))?;
    let (number, body) = ready.split(text, "signature")?;
    let Options { hash, padding, form, is_hashed } = *options;
    let signature = match form {
        EcdsaForm::Asn1 => STANDARD.decode(body),
        EcdsaForm::Fixed => URL_SAFE_NO_PAD.decode(body),
    };
    let signature = signature.map_err(|_| Error::invalid("invalid base64 signature value"))?;
    let context = item.bytes("context")?;
    let derived = match ready.key.settings.derived {
        true => Some(ready.derive_pair(number, context.expose())?.public().map_err(failed)?),
        false => None,
    };
    let public = match &derived {
        Some(public) => public,
        None => ready.pair(number)?.1,
    };
    let valid = if is_hashed && public.kind().signs_digests() {
        public.verify_digest(hash, padding, form, message.expose(), &signature)
    } else {
        public.verify(hash, padding, form, message.expose(), &signature)
    };
    Ok(Verified { valid: valid.map_err(failed)? })
}
