//! `sys/generate-root`, and the same under OpenBao's `sys/generate-root-token`: a new root token for those who hold
//! enough keys. The new token leaves hidden by a one-time password that the caller chose.
//!
//! A caller needs a token with `sudo` beside the keys: strangers could otherwise cancel or crowd out an attempt
//! (CVE-2026-5807). Where no token is left, the server's configuration opens these paths until one is made.

use super::fields::method;
use super::init::decode_key;
use super::{in_root_namespace, root_token};
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::request::{Operation, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::seal::{Shares, join, unwrap_root};
use serde_json::json;
use strongroom_crypto::token::{encode_with_otp, generate_otp, random_base62, uuid_v4};
use strongroom_secret::SecretString;

/// `hvs.` and 24 characters.
const TOKEN_CHARACTERS: usize = 28;
const TOKEN_PREFIX: &str = "hvs.";

/// The making of a root token that is under way.
pub(crate) struct GenerateRoot {
    otp: SecretString,
    shares: Shares,
}

const FIELDS: &[Field] = &[
    Field { name: "otp", kind: FieldKind::Text, description: "A one-time password as long as a token." },
    Field {
        name: "key",
        kind: FieldKind::Text,
        description: "One unseal or recovery key, in hex or base64.",
    },
    Field { name: "nonce", kind: FieldKind::Text, description: "Names the attempt." },
];

const ATTEMPT: &[Method] = &[
    method(Operation::Read, Run::Read(status), "Say how far it is."),
    method(Operation::Write, Run::Heavy(start), "Start."),
    method(Operation::Delete, Run::Heavy(cancel), "Cancel."),
];
const GIVING: &[Method] = &[method(Operation::Write, Run::Heavy(update), "Give one key.")];

const fn attempt(pattern: &'static str) -> Route {
    Route {
        pattern,
        summary: "Start, watch or cancel the making of a root token.",
        access: Access::Recovery,
        fields: FIELDS,
        methods: ATTEMPT,
        exists: None,
    }
}

const fn giving(pattern: &'static str) -> Route {
    Route {
        pattern,
        summary: "Give one key.",
        access: Access::Recovery,
        fields: FIELDS,
        methods: GIVING,
        exists: None,
    }
}

pub(super) const ROUTES: &[Route] = &[
    attempt("generate-root"),
    attempt("generate-root/attempt"),
    giving("generate-root/update"),
    attempt("generate-root-token/attempt"),
    giving("generate-root-token/update"),
];

/// The keys that prove the right: how many are needed, and what they open.
fn proof(kernel: &Kernel) -> Result<(u64, Vec<u8>), Error> {
    let record = kernel.seal_record()?.ok_or_else(crate::seal::not_initialized)?;
    Ok(match record.recovery {
        Some(recovery) => (recovery.threshold, recovery.root_key),
        None => (record.threshold, record.root_key),
    })
}

fn status(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let kernel = call.kernel;
    let (required, _) = proof(kernel)?;
    let progress = kernel.progress.lock();
    let attempt = progress.generate_root.as_ref();
    Ok(Response::plain(json!({
        "started": attempt.is_some(),
        "nonce": attempt.map_or("", |attempt| attempt.shares.nonce.as_str()),
        "progress": attempt.map_or(0, |attempt| attempt.shares.count()),
        "required": required,
        "complete": false,
        "encoded_token": "",
        "encoded_root_token": "",
        "pgp_fingerprint": "",
        "otp": "",
        "otp_length": TOKEN_CHARACTERS,
    })))
}

fn start(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let (kernel, request) = (call.kernel, call.request);
    if request.fields.text("pgp_key")?.is_some_and(|key| !key.is_empty()) {
        return Err(Error::invalid("pgp_key is not supported: give an otp"));
    }
    let (required, _) = proof(kernel)?;
    let given = request.fields.text("otp")?.filter(|otp| !otp.is_empty()).map(SecretString::new);
    let was_given = given.is_some();
    let otp = given.unwrap_or_else(|| generate_otp(kernel.entropy(), TOKEN_CHARACTERS));
    if otp.expose().len() != TOKEN_CHARACTERS {
        return Err(Error::invalid(format!(
            "incorrect \"otp\" length: it must have {TOKEN_CHARACTERS} characters"
        )));
    }
    let nonce = uuid_v4(kernel.entropy());
    let mut progress = kernel.progress.lock();
    if progress.generate_root.is_some() {
        return Err(Error::invalid("root generation already in progress"));
    }
    let shown = if was_given { String::new() } else { otp.expose().to_owned() };
    progress.generate_root =
        Some(GenerateRoot { otp, shares: Shares { nonce: nonce.clone(), given: Vec::new() } });
    Ok(Response::plain(json!({
        "started": true,
        "nonce": nonce,
        "progress": 0,
        "required": required,
        "complete": false,
        "encoded_token": "",
        "encoded_root_token": "",
        "pgp_fingerprint": "",
        "otp": shown,
        "otp_length": TOKEN_CHARACTERS,
    })))
}

fn cancel(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    call.kernel.progress.lock().generate_root = None;
    Ok(Response::default())
}

fn update(call: &mut Call<'_>) -> Result<Response, Error> {
    in_root_namespace(call)?;
    let (kernel, request) = (call.kernel, call.request);
    let (required, wrapped) = proof(kernel)?;
    let share = decode_key(
        &request.fields.required_text("key").map_err(|_| Error::invalid("'key' must be specified"))?,
    )?;
    let mut progress = kernel.progress.lock();
    let attempt =
        progress.generate_root.as_mut().ok_or_else(|| Error::invalid("no root generation in progress"))?;
    if request.fields.text("nonce")?.as_deref() != Some(attempt.shares.nonce.as_str()) {
        return Err(Error::invalid("incorrect nonce supplied; it names another attempt"));
    }
    attempt.shares.add(share);
    if attempt.shares.count() < required {
        drop(progress);
        return status(call);
    }
    if let Err(error) = join(&attempt.shares.given, required).and_then(|key| unwrap_root(&key, &wrapped)) {
        progress.generate_root = None;
        return Err(error);
    }
    let random = random_base62(kernel.entropy(), TOKEN_CHARACTERS - TOKEN_PREFIX.len());
    let id = SecretString::new(format!("{TOKEN_PREFIX}{}", random.expose()));
    let token = root_token(kernel, &mut call.tx, call.now, Some(id))?;
    // The attempt ends with the commit: a handler that is run again finds it as it was.
    call.tx.after_commit(Effect::RootGenerated);
    let encoded = encode_with_otp(&token, attempt.otp.expose())
        .map_err(|error| Error::internal(format!("the new token cannot be encoded: {error}")))?;
    Ok(Response::plain(json!({
        "started": true,
        "nonce": attempt.shares.nonce,
        "progress": required,
        "required": required,
        "complete": true,
        "encoded_token": encoded,
        "encoded_root_token": encoded,
        "pgp_fingerprint": "",
        "otp": "",
        "otp_length": TOKEN_CHARACTERS,
    })))
}
