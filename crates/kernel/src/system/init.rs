//! `sys/init`, `sys/seal-status`, `sys/unseal`, `sys/seal`: what works without keys.

use crate::call::Call;
use crate::error::{Error, ErrorKind};
use crate::kernel::Kernel;
use crate::request::{Operation, Request, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::seal::Sharing;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use strongroom_crypto::token::{decode_base64, encode_base64};
use strongroom_secret::SecretBytes;

const fn field(name: &'static str, kind: FieldKind, description: &'static str) -> Field {
    Field { name, kind, description }
}

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "init",
        summary: "Initialise the server.",
        access: Access::Open,
        fields: &[
            field("secret_shares", FieldKind::Integer, "How many unseal keys to make."),
            field("secret_threshold", FieldKind::Integer, "How many of them open the server."),
            field(
                "recovery_shares",
                FieldKind::Integer,
                "How many recovery keys to make, with an automatic seal.",
            ),
            field("recovery_threshold", FieldKind::Integer, "How many of them are needed."),
        ],
        methods: &[
            Method {
                operation: Operation::Read,
                run: Run::Bare(init_status),
                summary: "Say whether it is initialised.",
            },
            Method {
                operation: Operation::Write,
                run: Run::Bare(init),
                summary: "Make the keys and the root token.",
            },
        ],
        exists: None,
    },
    Route {
        pattern: "seal-status",
        summary: "Say whether the server is sealed.",
        access: Access::Open,
        fields: &[],
        methods: &[Method {
            operation: Operation::Read,
            run: Run::Bare(seal_status),
            summary: "Read the status.",
        }],
        exists: None,
    },
    Route {
        pattern: "unseal",
        summary: "Open the server with one of its unseal keys.",
        access: Access::Open,
        fields: &[
            field("key", FieldKind::Text, "One unseal key, in hex or base64."),
            field("reset", FieldKind::Boolean, "Forget the keys given so far."),
            field("migrate", FieldKind::Boolean, "The keys are for a change of the seal."),
        ],
        methods: &[Method { operation: Operation::Write, run: Run::Bare(unseal), summary: "Give one key." }],
        exists: None,
    },
    Route {
        pattern: "seal",
        summary: "Seal the server.",
        access: Access::Sudo,
        fields: &[],
        methods: &[Method { operation: Operation::Write, run: Run::Read(seal), summary: "Forget the keys." }],
        exists: None,
    },
];

fn init_status(kernel: &Arc<Kernel>, _: &Request) -> Result<Response, Error> {
    Ok(Response::plain(json!({ "initialized": kernel.is_initialized()? })))
}

fn init(kernel: &Arc<Kernel>, request: &Request) -> Result<Response, Error> {
    let fields = &request.fields;
    let pgp = ["pgp_keys", "recovery_pgp_keys", "root_token_pgp_key"];
    if let Some(name) = pgp
        .into_iter()
        .find(|name| fields.value(name).is_some_and(|v| !v.as_str().is_some_and(str::is_empty)))
    {
        return Err(Error::invalid(format!(
            "{name} is not supported: keys are given out in the clear, once"
        )));
    }
    let sharing = |shares: &str, threshold: &str| -> Result<Sharing, Error> {
        Ok(Sharing {
            shares: fields.count(shares)?.unwrap_or(5),
            threshold: fields.count(threshold)?.unwrap_or(3),
        })
    };
    let unseal = sharing("secret_shares", "secret_threshold")?;
    // Clients that know of one kind of shares alone mean those that there will be.
    let recovery = match fields.has("recovery_shares") {
        true => sharing("recovery_shares", "recovery_threshold")?,
        false => unseal,
    };
    let made = kernel.initialize(unseal, recovery)?;
    let hex = |keys: &[SecretBytes]| keys.iter().map(|key| hex::encode(key.expose())).collect::<Vec<_>>();
    let base64 =
        |keys: &[SecretBytes]| keys.iter().map(|key| encode_base64(key.expose())).collect::<Vec<_>>();
    let mut answer = json!({
        "keys": hex(&made.keys),
        "keys_base64": base64(&made.keys),
        "root_token": made.root_token.expose(),
    });
    if !made.recovery_keys.is_empty()
        && let Some(map) = answer.as_object_mut()
    {
        map.insert("recovery_keys".into(), json!(hex(&made.recovery_keys)));
        map.insert("recovery_keys_base64".into(), json!(base64(&made.recovery_keys)));
        kernel.unseal_automatically()?;
    }
    Ok(Response::plain(answer))
}

/// The fields of `sys/seal-status`, which the answer to unsealing has too.
pub(super) fn seal_status_fields(kernel: &Kernel) -> Result<Map<String, Value>, Error> {
    let record = kernel.seal_record()?;
    let sealed = kernel.is_sealed();
    let progress = kernel.progress.lock();
    let is_migrating = record.as_ref().is_some_and(|record| kernel.awaits_migration(record));
    let recovery = record.as_ref().and_then(|record| record.recovery.as_ref());
    let (threshold, shares) = match (&record, recovery) {
        (_, Some(recovery)) => (recovery.threshold, recovery.shares),
        (Some(record), None) => (record.threshold, record.shares),
        (None, None) => (0, 0),
    };
    let Value::Object(mut map) = json!({
        "type": record.as_ref().map_or(kernel.seal.kind(), |record| record.kind.as_str()),
        "initialized": record.is_some(),
        "sealed": sealed,
        "t": threshold,
        "n": shares,
        "progress": progress.unseal.count(),
        "nonce": progress.unseal.nonce,
        "version": kernel.settings().version,
        "build_date": "",
        "migration": is_migrating,
        "recovery_seal": recovery.is_some(),
        "storage_type": kernel.settings().storage_type,
    }) else {
        return Ok(Map::new());
    };
    if let Some(record) = record.filter(|_| !sealed) {
        map.insert("cluster_name".into(), json!(kernel.settings().cluster_name));
        map.insert("cluster_id".into(), json!(record.cluster_id));
    }
    Ok(map)
}

fn seal_status(kernel: &Arc<Kernel>, _: &Request) -> Result<Response, Error> {
    Ok(Response::plain(Value::Object(seal_status_fields(kernel)?)))
}

/// A key as people pass it on: hex, or base64.
pub(super) fn decode_key(text: &str) -> Result<SecretBytes, Error> {
    let text = text.trim();
    hex::decode(text)
        .ok()
        .map(SecretBytes::new)
        .or_else(|| decode_base64(text))
        .filter(|key| !key.expose().is_empty())
        .ok_or_else(|| Error::invalid("'key' must be a valid hex or base64 string"))
}

fn unseal(kernel: &Arc<Kernel>, request: &Request) -> Result<Response, Error> {
    let fields = &request.fields;
    if fields.boolean("reset")?.unwrap_or(false) {
        kernel.progress.lock().unseal.clear();
        return seal_status(kernel, request);
    }
    if !kernel.is_initialized()? {
        return Err(Error::new(ErrorKind::Invalid, "server is not yet initialized"));
    }
    let text = fields.text("key")?.filter(|text| !text.is_empty()).ok_or_else(|| {
        Error::invalid("'key' must be specified in request body as JSON, or 'reset' set to true")
    })?;
    let share = decode_key(&text)?;
    match fields.boolean("migrate")?.unwrap_or(false) {
        true => kernel.migrate_with_share(share)?,
        false => kernel.unseal_with_share(share)?,
    };
    seal_status(kernel, request)
}

fn seal(call: &mut Call<'_>) -> Result<Response, Error> {
    call.kernel.seal();
    Ok(Response::default())
}
