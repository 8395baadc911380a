//! `config/ca`: the key that signs.

use super::SETTINGS;
use crate::answer::object;
use crate::secret_serde;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use strongroom_crypto::keypair::{KeyKind, PrivateKey};
use strongroom_crypto::ssh::{self, SshError, SshPublicKey};
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::{Call, Data, Error, Key, Record, Response};
use strongroom_secret::{SecretBytes, SecretString};

/// A private key in any form is far smaller.
const KEY_TEXT_BYTES_MAX: usize = 32 * 1024;
const RSA_BITS: u64 = 4096;

/// The authority as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct AuthorityRecord {
    /// Drawn for each key, so that memory knows which one it holds.
    id: String,
    #[serde(with = "secret_serde")]
    pkcs8: SecretBytes,
    /// As OpenSSH writes it, on one line.
    public_key: String,
}

impl Record for AuthorityRecord {}

/// The parsed key by its id.
#[derive(Default)]
pub(super) struct Memory(RwLock<Option<(String, Arc<PrivateKey>)>>);

fn key(call: &Call<'_>) -> Key {
    call.tx.name_key(&call.table(SETTINGS), "ca")
}

fn find(call: &mut Call<'_>) -> Result<AuthorityRecord, Error> {
    let key = key(call);
    call.tx.record(&key)?.ok_or_else(|| Error::invalid("keys haven't been configured yet"))
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let key = key(call);
    Ok(call.tx.record::<AuthorityRecord>(&key)?.is_some())
}

/// Something that a caller brought, or asked for, is not usable.
pub(super) fn unusable(error: SshError) -> Error {
    Error::invalid(error.to_string())
}

/// The key that signs, parsed.
pub(super) fn signing_key(call: &mut Call<'_>) -> Result<Arc<PrivateKey>, Error> {
    let record = find(call)?;
    let memory = call.mount.memory.downcast_ref::<Memory>();
    if let Some(Memory(known)) = memory
        && let Some((id, key)) = &*known.read()
        && *id == record.id
    {
        return Ok(key.clone());
    }
    let key = PrivateKey::from_der(record.pkcs8.expose())
        .map_err(|error| Error::internal(format!("the stored key of the authority: {error}")))?;
    let key = Arc::new(key);
    if let Some(Memory(known)) = memory {
        *known.write() = Some((record.id, key.clone()));
    }
    Ok(key)
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let record = find(call)?;
    Ok(object(json!({ "public_key": record.public_key + "\n" })))
}

pub(super) fn public_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let body = (find(call)?.public_key + "\n").into_bytes();
    Ok(Response { data: Data::Bytes { content_type: "text/plain", body }, ..Response::default() })
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key(call);
    call.tx.delete(&key)?;
    Ok(Response::default())
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    if exists(call)? {
        return Err(Error::invalid("keys are already configured; delete them before reconfiguring"));
    }
    let fields = call.fields();
    let private = SecretString::from(fields.text("private_key")?.unwrap_or_default());
    let public = fields.text("public_key")?.unwrap_or_default();
    let (has_private, has_public) = (!private.expose().is_empty(), !public.is_empty());
    let is_made_here = match (fields.boolean("generate_signing_key")?, has_private, has_public) {
        (Some(true), false, false) | (None, false, false) => true,
        (Some(true), ..) => {
            return Err(Error::invalid(
                "public_key and private_key must not be set when generate_signing_key is set to true",
            ));
        }
        (_, true, true) => false,
        (Some(false), true, _) => return Err(Error::invalid("missing public_key")),
        (Some(false), ..) => return Err(Error::invalid("missing private_key")),
        (None, ..) => {
            return Err(Error::invalid(
                "only one of public_key and private_key set; both must be set to use, or both must be blank to \
                 auto-generate",
            ));
        }
    };
    let signing = if is_made_here { make(call)? } else { brought(&private, &public)? };
    let own = SshPublicKey::of(&signing).map_err(unusable)?;
    let record = AuthorityRecord {
        id: uuid_v4(call.entropy()),
        pkcs8: signing.to_pkcs8().map_err(|error| Error::internal(error.to_string()))?,
        public_key: own.to_line().map_err(unusable)?,
    };
    let key = key(call);
    call.tx.put_record(&key, &record)?;
    Ok(match is_made_here {
        true => object(json!({ "public_key": record.public_key + "\n" })),
        false => Response::default(),
    })
}

fn make(call: &Call<'_>) -> Result<PrivateKey, Error> {
    let fields = call.fields();
    let kind = fields.text("key_type")?.filter(|kind| !kind.is_empty());
    let bits = fields.count("key_bits")?.unwrap_or_default();
    let kind = key_kind(kind.as_deref().unwrap_or("ssh-rsa"), bits, RSA_BITS)?;
    PrivateKey::generate(kind, call.entropy()).map_err(|error| Error::invalid(error.to_string()))
}

/// A kind of key by its name and length; 0 asks for the usual one.
pub(super) fn key_kind(name: &str, bits: u64, rsa_bits: u64) -> Result<KeyKind, Error> {
    Ok(match (name, bits) {
        ("rsa" | "ssh-rsa", 0) => KeyKind::Rsa(u32::try_from(rsa_bits).unwrap_or_default()),
        ("rsa" | "ssh-rsa", 2048) => KeyKind::Rsa(2048),
        ("rsa" | "ssh-rsa", 3072) => KeyKind::Rsa(3072),
        ("rsa" | "ssh-rsa", 4096) => KeyKind::Rsa(4096),
        ("rsa" | "ssh-rsa", _) => {
            return Err(Error::invalid("key_bits of an rsa key must be 2048, 3072 or 4096"));
        }
        ("ecdsa-sha2-nistp256", _) | ("ec" | "ecdsa", 0 | 256) => KeyKind::EcdsaP256,
        ("ecdsa-sha2-nistp384", _) | ("ec" | "ecdsa", 384) => KeyKind::EcdsaP384,
        ("ecdsa-sha2-nistp521", _) | ("ec" | "ecdsa", 521) => KeyKind::EcdsaP521,
        ("ec" | "ecdsa", _) => return Err(Error::invalid("key_bits of an ec key must be 256, 384 or 521")),
        ("ed25519" | "ssh-ed25519", _) => KeyKind::Ed25519,
        _ => {
            return Err(Error::invalid(
                "unknown key type: it must be rsa (ssh-rsa), ec (ecdsa-sha2-nistp256, -nistp384, -nistp521) or \
                 ed25519 (ssh-ed25519)",
            ));
        }
    })
}

/// A key from elsewhere, if its halves belong together.
fn brought(private: &SecretString, public: &str) -> Result<PrivateKey, Error> {
    if private.expose().len() > KEY_TEXT_BYTES_MAX {
        return Err(Error::invalid(format!("private_key is longer than {KEY_TEXT_BYTES_MAX} bytes")));
    }
    let public = SshPublicKey::parse(public).map_err(|error| {
        Error::invalid(format!("Unable to parse public_key as an SSH public key: {error}"))
    })?;
    let block = match private.expose().contains("BEGIN OPENSSH PRIVATE KEY") {
        true => None,
        false => crate::pem::decode_all(private.expose())
            .and_then(|blocks| blocks.into_iter().find(|(label, _)| label.ends_with("PRIVATE KEY")))
            .map(|(_, der)| SecretBytes::new(der)),
    };
    let signing =
        ssh::private_key(private.expose(), block.as_ref().map(SecretBytes::expose)).map_err(|error| {
            Error::invalid(format!("Unable to parse private_key as an SSH private key: {error}"))
        })?;
    let own = SshPublicKey::of(&signing).map_err(unusable)?;
    if !own.is_key_of(&public) {
        return Err(Error::invalid("public_key and private_key do not belong together"));
    }
    Ok(signing)
}
