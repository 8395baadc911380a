//! `sys/rekey` and `sys/rekey-recovery-key`: the root key's shares are handed out anew.
//!
//! These need a token with `sudo` beside the shares: callers without one could otherwise disturb a rekeying.

use super::init::decode_key;
use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::request::{Operation, Request, Response};
use crate::route::{Access, Field, FieldKind, Method, Route, Run};
use crate::seal::{
    RecoveryRecord, SEAL_ROW, SealRecord, Shares, Sharing, join, split, unwrap_root, wrap_root,
};
use serde_json::{Value, json};
use strongroom_crypto::Key;
use strongroom_crypto::token::{encode_base64, uuid_v4};
use strongroom_secret::SecretBytes;

/// A change of the key shares that is under way.
pub(crate) struct Rekey {
    sharing: Sharing,
    is_verified: bool,
    old: Shares,
    /// The new shares, given out and waiting to be shown back.
    pending: Option<Pending>,
}

struct Pending {
    record: SealRecord,
    proof: Shares,
}

/// Whose shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Unseal,
    Recovery,
}

const FIELDS: &[Field] = &[
    Field { name: "secret_shares", kind: FieldKind::Integer, description: "How many new keys to make." },
    Field { name: "secret_threshold", kind: FieldKind::Integer, description: "How many of them are needed." },
    Field {
        name: "require_verification",
        kind: FieldKind::Boolean,
        description: "The new keys count once they were shown back.",
    },
    Field { name: "key", kind: FieldKind::Text, description: "One key, in hex or base64." },
    Field { name: "nonce", kind: FieldKind::Text, description: "Names the attempt." },
];

macro_rules! routes {
    ($init:literal, $update:literal, $verify:literal, $backup:literal, $target:expr) => {
        &[
            Route {
                pattern: $init,
                summary: "Start, watch or cancel a change of the key shares.",
                access: Access::Sudo,
                fields: FIELDS,
                methods: &[
                    Method {
                        operation: Operation::Read,
                        run: Run::Read(|call| status(call, $target)),
                        summary: "Say how far it is.",
                    },
                    Method {
                        operation: Operation::Write,
                        run: Run::Heavy(|call| start(call, $target)),
                        summary: "Start.",
                    },
                    Method {
                        operation: Operation::Delete,
                        run: Run::Heavy(|call| cancel(call, $target)),
                        summary: "Cancel.",
                    },
                ],
                exists: None,
            },
            Route {
                pattern: $update,
                summary: "Give one of the present keys.",
                access: Access::Sudo,
                fields: FIELDS,
                methods: &[Method {
                    operation: Operation::Write,
                    run: Run::Heavy(|call| update(call, $target)),
                    summary: "Give one key.",
                }],
                exists: None,
            },
            Route {
                pattern: $verify,
                summary: "Show the new keys back, one by one.",
                access: Access::Sudo,
                fields: FIELDS,
                methods: &[
                    Method {
                        operation: Operation::Read,
                        run: Run::Read(|call| verify_status(call, $target)),
                        summary: "Say how far it is.",
                    },
                    Method {
                        operation: Operation::Write,
                        run: Run::Heavy(|call| verify(call, $target)),
                        summary: "Give one new key.",
                    },
                    Method {
                        operation: Operation::Delete,
                        run: Run::Heavy(|call| verify_again(call, $target)),
                        summary: "Start the verification again.",
                    },
                ],
                exists: None,
            },
            Route {
                pattern: $backup,
                summary: "Keys are never kept: there is nothing to fetch.",
                access: Access::Sudo,
                fields: &[],
                methods: &[
                    Method {
                        operation: Operation::Read,
                        run: Run::Read(no_backup),
                        summary: "Always an error.",
                    },
                    Method {
                        operation: Operation::Delete,
                        run: Run::Read(|_| Ok(Response::default())),
                        summary: "Nothing to do.",
                    },
                ],
                exists: None,
            },
        ]
    };
}

pub(super) const ROUTES: &[Route] =
    routes!("rekey/init", "rekey/update", "rekey/verify", "rekey/backup", Target::Unseal);

/// The names that OpenBao gives to the same.
pub(super) const ROTATE_ROUTES: &[Route] = routes!(
    "rotate/root/init",
    "rotate/root/update",
    "rotate/root/verify",
    "rotate/root/backup",
    Target::Unseal
);

pub(super) const ROTATE_RECOVERY_ROUTES: &[Route] = routes!(
    "rotate/recovery/init",
    "rotate/recovery/update",
    "rotate/recovery/verify",
    "rotate/recovery/backup",
    Target::Recovery
);

pub(super) const RECOVERY_ROUTES: &[Route] = routes!(
    "rekey-recovery-key/init",
    "rekey-recovery-key/update",
    "rekey-recovery-key/verify",
    "rekey-recovery-key/backup",
    Target::Recovery
);

fn no_backup(_: &mut Call<'_>) -> Result<Response, Error> {
    Err(Error::invalid("no backed-up keys found"))
}

/// The present sharing and the root key under it.
fn present(call: &Call<'_>, target: Target) -> Result<(SealRecord, Sharing, Vec<u8>), Error> {
    let record = call.kernel.seal_record()?.ok_or_else(crate::seal::not_initialized)?;
    let found = match (target, &record.recovery) {
        (Target::Unseal, None) => {
            (Sharing { shares: record.shares, threshold: record.threshold }, record.root_key.clone())
        }
        (Target::Unseal, Some(_)) => {
            return Err(Error::invalid(
                "the seal opens by itself and has no shares: rekey the recovery key instead",
            ));
        }
        (Target::Recovery, Some(recovery)) => {
            (Sharing { shares: recovery.shares, threshold: recovery.threshold }, recovery.root_key.clone())
        }
        (Target::Recovery, None) => {
            return Err(Error::invalid("recovery keys exist with an automatic seal alone"));
        }
    };
    Ok((record, found.0, found.1))
}

impl crate::seal::SealProgress {
    fn slot(&mut self, target: Target) -> &mut Option<Rekey> {
        match target {
            Target::Unseal => &mut self.rekey,
            Target::Recovery => &mut self.recovery_rekey,
        }
    }

    /// A rekeying was committed.
    pub(crate) fn rekeyed(&mut self, target: Target) {
        *self.slot(target) = None;
    }
}

fn status(call: &mut Call<'_>, target: Target) -> Result<Response, Error> {
    let (_, present, _) = present(call, target)?;
    let mut progress = call.kernel.progress.lock();
    let rekey = progress.slot(target).as_ref();
    Ok(Response::plain(json!({
        "started": rekey.is_some(),
        "nonce": rekey.map_or("", |rekey| rekey.old.nonce.as_str()),
        "t": rekey.map_or(0, |rekey| rekey.sharing.threshold),
        "n": rekey.map_or(0, |rekey| rekey.sharing.shares),
        "progress": rekey.map_or(0, |rekey| rekey.old.count()),
        "required": present.threshold,
        "pgp_fingerprints": null,
        "backup": false,
        "verification_required": rekey.is_some_and(|rekey| rekey.is_verified),
        "verification_nonce": rekey
            .and_then(|rekey| rekey.pending.as_ref())
            .map_or("", |pending| pending.proof.nonce.as_str()),
    })))
}

fn start(call: &mut Call<'_>, target: Target) -> Result<Response, Error> {
    present(call, target)?;
    let fields = call.fields();
    if fields.list("pgp_keys")?.is_some_and(|keys| !keys.is_empty())
        || fields.boolean("backup")?.unwrap_or(false)
    {
        return Err(Error::invalid(
            "pgp_keys and backup are not supported: keys are given out in the clear, once",
        ));
    }
    let sharing = Sharing {
        shares: fields.count("secret_shares")?.unwrap_or(5),
        threshold: fields.count("secret_threshold")?.unwrap_or(3),
    }
    .check()?;
    let is_verified = fields.boolean("require_verification")?.unwrap_or(false);
    let nonce = uuid_v4(call.entropy());
    {
        let mut progress = call.kernel.progress.lock();
        let slot = progress.slot(target);
        if slot.is_some() {
            return Err(Error::invalid("rekey already in progress"));
        }
        *slot = Some(Rekey { sharing, is_verified, old: Shares { nonce, given: Vec::new() }, pending: None });
    }
    status(call, target)
}

fn cancel(call: &mut Call<'_>, target: Target) -> Result<Response, Error> {
    *call.kernel.progress.lock().slot(target) = None;
    Ok(Response::default())
}

fn given_key(request: &Request) -> Result<SecretBytes, Error> {
    decode_key(&request.fields.required_text("key").map_err(|_| Error::invalid("'key' must be specified"))?)
}

fn check_nonce(request: &Request, nonce: &str) -> Result<(), Error> {
    match request.fields.text("nonce")?.as_deref() {
        Some(given) if given == nonce => Ok(()),
        _ => Err(Error::invalid(format!(
            "incorrect nonce supplied; nonce for this rekey operation is {nonce:?}"
        ))),
    }
}

fn none_started() -> Error {
    Error::invalid("no rekey in progress")
}

fn update(call: &mut Call<'_>, target: Target) -> Result<Response, Error> {
    let (record, present, wrapped) = present(call, target)?;
    let share = given_key(call.request)?;
    let kernel = call.kernel;
    let mut progress = kernel.progress.lock();
    let rekey = progress.slot(target).as_mut().ok_or_else(none_started)?;
    check_nonce(call.request, &rekey.old.nonce)?;
    if rekey.pending.is_some() {
        return Err(Error::invalid("the present keys were given already: verify the new ones"));
    }
    rekey.old.add(share);
    if rekey.old.count() < present.threshold {
        drop(progress);
        return status(call, target);
    }
    let opened = join(&rekey.old.given, present.threshold).and_then(|key| unwrap_root(&key, &wrapped));
    let root_key = match opened {
        Ok(root_key) => root_key,
        Err(error) => {
            rekey.old.given.clear();
            return Err(error);
        }
    };
    let sharing_key = Key::generate(kernel.entropy());
    let shares = split(kernel, &sharing_key, rekey.sharing)?;
    let new_record = with_sharing(record, target, rekey.sharing, wrap_root(kernel, &sharing_key, &root_key));
    let nonce = rekey.old.nonce.clone();
    let verification_nonce = match rekey.is_verified {
        true => {
            let proof = Shares { nonce: uuid_v4(kernel.entropy()), given: Vec::new() };
            let verification_nonce = proof.nonce.clone();
            rekey.pending = Some(Pending { record: new_record, proof });
            Some(verification_nonce)
        }
        false => {
            call.tx.put_bare(SEAL_ROW, new_record.to_bytes()?);
            call.tx.after_commit(Effect::Rekeyed(target));
            None
        }
    };
    Ok(Response::plain(complete(&nonce, rekey.sharing, &shares, verification_nonce)))
}

fn complete(
    nonce: &str,
    sharing: Sharing,
    shares: &[SecretBytes],
    verification_nonce: Option<String>,
) -> Value {
    json!({
        "complete": true,
        "nonce": nonce,
        "t": sharing.threshold,
        "n": sharing.shares,
        "keys": shares.iter().map(|share| hex::encode(share.expose())).collect::<Vec<_>>(),
        "keys_base64": shares.iter().map(|share| encode_base64(share.expose())).collect::<Vec<_>>(),
        "pgp_fingerprints": null,
        "backup": false,
        "verification_required": verification_nonce.is_some(),
        "verification_nonce": verification_nonce.unwrap_or_default(),
    })
}

fn with_sharing(mut record: SealRecord, target: Target, sharing: Sharing, root_key: Vec<u8>) -> SealRecord {
    match target {
        Target::Unseal => {
            record.shares = sharing.shares;
            record.threshold = sharing.threshold;
            record.root_key = root_key;
        }
        Target::Recovery => {
            record.recovery =
                Some(RecoveryRecord { shares: sharing.shares, threshold: sharing.threshold, root_key });
        }
    }
    record
}

fn verify_status(call: &mut Call<'_>, target: Target) -> Result<Response, Error> {
    let mut progress = call.kernel.progress.lock();
    let rekey = progress.slot(target).as_ref().ok_or_else(none_started)?;
    let pending =
        rekey.pending.as_ref().ok_or_else(|| Error::invalid("no rekey verification in progress"))?;
    Ok(Response::plain(json!({
        "nonce": pending.proof.nonce,
        "started": true,
        "t": rekey.sharing.threshold,
        "n": rekey.sharing.shares,
        "progress": pending.proof.count(),
    })))
}

fn verify_again(call: &mut Call<'_>, target: Target) -> Result<Response, Error> {
    {
        let mut progress = call.kernel.progress.lock();
        let rekey = progress.slot(target).as_mut().ok_or_else(none_started)?;
        let pending =
            rekey.pending.as_mut().ok_or_else(|| Error::invalid("no rekey verification in progress"))?;
        pending.proof = Shares { nonce: uuid_v4(call.kernel.entropy()), given: Vec::new() };
    }
    verify_status(call, target)
}

fn verify(call: &mut Call<'_>, target: Target) -> Result<Response, Error> {
    let share = given_key(call.request)?;
    let mut progress = call.kernel.progress.lock();
    let rekey = progress.slot(target).as_mut().ok_or_else(none_started)?;
    let sharing = rekey.sharing;
    let pending =
        rekey.pending.as_mut().ok_or_else(|| Error::invalid("no rekey verification in progress"))?;
    check_nonce(call.request, &pending.proof.nonce)?;
    pending.proof.add(share);
    if pending.proof.count() < sharing.threshold {
        drop(progress);
        return verify_status(call, target);
    }
    let wrapped = match target {
        Target::Unseal => pending.record.root_key.clone(),
        Target::Recovery => pending.record.recovery.as_ref().map(|r| r.root_key.clone()).unwrap_or_default(),
    };
    let opened = join(&pending.proof.given, sharing.threshold).and_then(|key| unwrap_root(&key, &wrapped));
    if let Err(error) = opened {
        pending.proof.given.clear();
        return Err(error);
    }
    call.tx.put_bare(SEAL_ROW, pending.record.to_bytes()?);
    call.tx.after_commit(Effect::Rekeyed(target));
    Ok(Response::plain(json!({ "complete": true, "nonce": pending.proof.nonce })))
}
