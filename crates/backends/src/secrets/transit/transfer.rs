//! Keys that leave and come: `export/`, `byok-export/`, `backup/`, `restore`, `import`, `wrapping_key`.

use super::key::{self, Settings, TransitKey, Version};
use super::key_type::KeyType;
use super::{keys, rotation};
use crate::answer::object;
use crate::{pem, secret_serde};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_crypto::keypair::{KeyError, KeyKind, OaepHash, PrivateKey, PublicKey};
use strongroom_crypto::token::{decode_base64, encode_base64};
use strongroom_crypto::wrap;
use strongroom_kernel::{Call, Error, ErrorKind, Record, Response, Table};
use strongroom_secret::SecretBytes;

const WRAPPING: Table = Table(4);
/// What stands before a backup's JSON, so that it is known again.
const BACKUP_FORMAT: &str = "strongroom-transit-1";

/// The mount's key pair under which keys are brought.
#[derive(Serialize, Deserialize)]
struct WrappingKey {
    #[serde(with = "secret_serde")]
    pkcs8: SecretBytes,
}

impl Record for WrappingKey {}

fn broken(error: KeyError) -> Error {
    Error::internal(format!("a transit key cannot be written: {error}"))
}

/// A version's public key as answers show it: base64 for Ed25519 and ML-DSA, PEM for the others.
pub(super) fn public_text(key_type: KeyType, version: &Version) -> Result<String, Error> {
    if key_type == KeyType::Ed25519 {
        let public = PublicKey::from_spki(&version.public).map_err(broken)?;
        return Ok(encode_base64(public.ed25519_bytes().unwrap_or_default()));
    }
    Ok(pem::encode("PUBLIC KEY", &version.public))
}

/// A version's certificates in PEM; empty without any.
pub(super) fn chain_text(version: &Version) -> String {
    let texts: Vec<_> =
        version.certificates.iter().map(|der| pem::encode("CERTIFICATE", &der.0).trim().to_owned()).collect();
    texts.join("\n")
}

/// How an exported key is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    /// As fits the type.
    Usual,
    Raw,
    Der,
    Pem,
}

impl Format {
    fn of(call: &Call<'_>) -> Result<Self, Error> {
        match call.fields().text("format")?.as_deref() {
            None | Some("") => Ok(Self::Usual),
            Some("raw") => Ok(Self::Raw),
            Some("der") => Ok(Self::Der),
            Some("pem") => Ok(Self::Pem),
            Some(_) => Err(Error::invalid("invalid format: it must be raw, der or pem")),
        }
    }
}

pub(super) fn export(call: &mut Call<'_>) -> Result<Response, Error> {
    let (what, name) = (call.capture("type").to_owned(), call.capture("name").to_owned());
    let format = Format::of(call)?;
    let key = key::read(call, &name)?.ok_or_else(Error::not_found)?;
    let can = match what.as_str() {
        "encryption-key" => key.key_type.encrypts(),
        "signing-key" | "public-key" | "certificate-chain" => key.key_type.signs(),
        "hmac-key" => true,
        "cmac-key" => key.key_type.makes_cmacs(),
        _ => return Err(Error::invalid("invalid export type")),
    };
    let is_public = matches!(what.as_str(), "public-key" | "certificate-chain");
    if !key.settings.exportable && !is_public {
        return Err(Error::invalid("private key material is not exportable"));
    }
    key.check_not_deleted()?;
    if !can {
        let what = what.trim_end_matches("-key");
        return Err(Error::invalid(format!("{what} not supported for the key")));
    }
    let mut shown = Map::new();
    for (number, version) in versions_asked(call, &key)? {
        let text = exported(&key, version, &what, format)?;
        shown.insert(number.to_string(), Value::String(text));
    }
    Ok(object(json!({ "name": key.name, "type": key.key_type.name(), "keys": shown })))
}

/// The versions that the route names: one, the latest, or all that may be used.
fn versions_asked<'k>(call: &Call<'_>, key: &'k TransitKey) -> Result<Vec<(u64, &'k Version)>, Error> {
    let number = match call.capture("version") {
        "" => return Ok(key.usable().collect()),
        "latest" => key.latest,
        text => text.trim_start_matches('v').parse().map_err(|_| Error::invalid("invalid key version"))?,
    };
    if number < key.min_decryption {
        return Err(Error::invalid("version for export is below minimum decryption version"));
    }
    let version = key.versions.get(&number);
    let version = version.ok_or_else(|| Error::invalid("version does not exist or cannot be found"))?;
    Ok(vec![(number, version)])
}

fn exported(key: &TransitKey, version: &Version, what: &str, format: Format) -> Result<String, Error> {
    let raw_only = || match format {
        Format::Usual | Format::Raw => Ok(()),
        Format::Der | Format::Pem => Err(Error::invalid("this key can be exported in the raw format alone")),
    };
    match what {
        "hmac-key" => {
            raw_only()?;
            let source = if key.key_type == KeyType::Hmac { &version.material } else { &version.hmac };
            Ok(encode_base64(source.expose()))
        }
        "public-key" => match (key.key_type, format) {
            (KeyType::Ed25519, Format::Usual | Format::Raw) | (_, Format::Usual) => {
                public_text(key.key_type, version)
            }
            (_, Format::Raw) => Err(Error::invalid("this key can be exported as der or pem, not raw")),
            (_, Format::Der) => Ok(encode_base64(&version.public)),
            (_, Format::Pem) => Ok(pem::encode("PUBLIC KEY", &version.public)),
        },
        "certificate-chain" if version.certificates.is_empty() => {
            Err(Error::invalid("selected key version does not have a certificate chain imported"))
        }
        "certificate-chain" => Ok(chain_text(version)),
        _ if key.key_type.pair().is_none() => {
            raw_only()?;
            Ok(encode_base64(version.material.expose()))
        }
        _ => exported_pair(key.key_type, version, format),
    }
}

fn exported_pair(key_type: KeyType, version: &Version, format: Format) -> Result<String, Error> {
    let pkcs8 = version.material.expose();
    let Some(kind) = key_type.pair().filter(|_| !pkcs8.is_empty()) else { return Ok(String::new()) };
    match format {
        Format::Der => Ok(encode_base64(pkcs8)),
        Format::Pem => Ok(pem::encode("PRIVATE KEY", pkcs8)),
        Format::Usual | Format::Raw => {
            let pair = PrivateKey::from_pkcs8(kind, pkcs8).map_err(broken)?;
            if let Some(seed) = pair.seed() {
                // As Go keeps such a key: the seed and the public key.
                let public = pair.public().map_err(broken)?;
                let both = [&seed.expose()[..], public.ed25519_bytes().unwrap_or_default()].concat();
                return Ok(encode_base64(SecretBytes::new(both).expose()));
            }
            if format == Format::Raw {
                return Err(Error::invalid("this key can be exported as der or pem, not raw"));
            }
            let label = if kind.is_rsa() { "RSA PRIVATE KEY" } else { "EC PRIVATE KEY" };
            match pair.to_traditional_der().map_err(broken)? {
                Some(der) => Ok(pem::encode(label, der.expose())),
                None => Ok(pem::encode("PRIVATE KEY", pkcs8)),
            }
        }
    }
}

/// A key under the public key of another, as its own server imports it.
pub(super) fn export_wrapped(call: &mut Call<'_>) -> Result<Response, Error> {
    let (destination, source) = (call.capture("destination").to_owned(), call.capture("source").to_owned());
    let hash = oaep_hash(call)?;
    let destination = key::find(call, &destination)?
        .ok_or_else(|| Error::invalid("no such destination key to export to"))?;
    destination.key.check_not_deleted()?;
    if !destination.key.key_type.is_rsa() {
        return Err(Error::invalid("the destination must be an RSA key"));
    }
    let source = key::read(call, &source)?.ok_or_else(|| Error::invalid("no such source key for export"))?;
    source.check_not_deleted()?;
    if !source.settings.exportable {
        return Err(Error::invalid("key is not exportable"));
    }
    let (_, wrapping) = destination.pair(destination.key.latest)?;
    let mut shown = Map::new();
    for (number, version) in versions_asked(call, &source)? {
        let wrapped = wrap::wrap_key(wrapping, hash, call.entropy(), version.material.expose())
            .map_err(|error| Error::invalid(error.to_string()))?;
        shown.insert(number.to_string(), Value::String(encode_base64(&wrapped)));
    }
    Ok(object(json!({ "name": source.name, "type": source.key_type.name(), "keys": shown })))
}

/// What Vault answers with a 500, and clients expect so.
fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Internal, message)
}

#[derive(Serialize, Deserialize)]
struct Backup {
    format: String,
    key: TransitKey,
}

pub(super) fn backup(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut key = key::read(call, &name)?.ok_or_else(|| Error::invalid("no such key to back up"))?;
    key.check_not_deleted()?;
    if !key.settings.exportable {
        return Err(refused("exporting is disallowed on the policy"));
    }
    if !key.settings.plaintext_backup {
        return Err(refused("plaintext backup is disallowed on the policy"));
    }
    key.backup = Some((call.now, key.latest));
    key::write(call, &key)?;
    let text = serde_json::to_vec(&Backup { format: BACKUP_FORMAT.to_owned(), key })
        .map_err(|error| Error::internal(format!("a key cannot be written: {:?}", error.classify())))?;
    Ok(object(json!({ "backup": encode_base64(SecretBytes::new(text).expose()) })))
}

pub(super) fn restore(call: &mut Call<'_>) -> Result<Response, Error> {
    let fields = call.fields();
    let malformed = || Error::invalid("the backup is malformed, or was made by another program");
    let text = decode_base64(&fields.required_text("backup")?).ok_or_else(malformed)?;
    let Backup { format, mut key } = serde_json::from_slice(text.expose()).map_err(|_| malformed())?;
    if format != BACKUP_FORMAT || !key.versions.contains_key(&key.latest) {
        return Err(malformed());
    }
    let force = fields.boolean("force")?.unwrap_or_default();
    let name = match call.capture("name") {
        "" => key.name.clone(),
        name => name.to_owned(),
    };
    key.name = keys::checked_name(&name)?.to_owned();
    if let Some(existing) = key::read(call, &name)? {
        if !force {
            return Err(refused(&format!("key {name:?} already exists")));
        }
        rotation::remove(call, &existing)?;
    }
    key.restored = Some((call.now, key.latest));
    rotation::reindex(call, None, &key)?;
    key::write(call, &key)?;
    Ok(Response::default())
}

/// The mount's wrapping key; made when it is first asked for.
fn wrapping_pair(call: &mut Call<'_>) -> Result<PrivateKey, Error> {
    let row = call.table(WRAPPING);
    if let Some(stored) = call.tx.record::<WrappingKey>(&row)? {
        return PrivateKey::from_pkcs8(KeyKind::Rsa(4096), stored.pkcs8.expose()).map_err(broken);
    }
    let pair = PrivateKey::generate(KeyKind::Rsa(4096), call.entropy()).map_err(broken)?;
    call.tx.put_record(&row, &WrappingKey { pkcs8: pair.to_pkcs8().map_err(broken)? })?;
    Ok(pair)
}

pub(super) fn wrapping_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let public = wrapping_pair(call)?.public().map_err(broken)?;
    Ok(object(json!({ "public_key": pem::encode("PUBLIC KEY", public.spki()) })))
}

fn oaep_hash(call: &Call<'_>) -> Result<OaepHash, Error> {
    let name = call.fields().text("hash_function")?.or(call.fields().text("hash")?).unwrap_or_default();
    match name.to_ascii_uppercase().as_str() {
        "SHA1" => Ok(OaepHash::Sha1),
        "" | "SHA256" => Ok(OaepHash::Sha2_256),
        "SHA384" => Ok(OaepHash::Sha2_384),
        "SHA512" => Ok(OaepHash::Sha2_512),
        _ => Err(Error::invalid("unknown hash function: it must be SHA1, SHA256, SHA384 or SHA512")),
    }
}

/// The key that a request brings: wrapped, or a public key alone.
fn brought(call: &mut Call<'_>, key_type: KeyType) -> Result<Version, Error> {
    let fields = call.fields();
    let ciphertext = fields.text("ciphertext")?.filter(|text| !text.is_empty());
    let public_key = fields.text("public_key")?.filter(|text| !text.is_empty());
    let (material, public) = match (ciphertext, public_key) {
        (Some(ciphertext), _) => {
            let hash = oaep_hash(call)?;
            let wrapped =
                decode_base64(&ciphertext).ok_or_else(|| Error::invalid("ciphertext is not base64"))?;
            let bytes = wrap::unwrap_key(&wrapping_pair(call)?, hash, wrapped.expose()).map_err(|_| {
                Error::invalid("the key cannot be unwrapped: is it wrapped under this mount's wrapping_key?")
            })?;
            brought_private(key_type, bytes)?
        }
        (None, Some(text)) => (SecretBytes::default(), brought_public(key_type, &text)?),
        (None, None) => {
            return Err(Error::invalid(
                "one of the following fields, ciphertext and public_key, must be set",
            ));
        }
    };
    let mut hmac = vec![0; 32];
    call.entropy().fill(&mut hmac);
    Ok(Version { created: call.now, material, hmac: hmac.into(), public, certificates: Vec::new() })
}

fn brought_private(key_type: KeyType, bytes: SecretBytes) -> Result<(SecretBytes, Vec<u8>), Error> {
    let Some(kind) = key_type.pair() else {
        let length = bytes.expose().len();
        let fits = match key_type {
            KeyType::Hmac => (32..=512).contains(&length),
            other => Some(length) == other.symmetric_bytes(),
        };
        if !fits {
            return Err(Error::invalid(format!(
                "invalid key size {length} bytes for key type {}",
                key_type.name()
            )));
        }
        return Ok((bytes, Vec::new()));
    };
    let pair = PrivateKey::from_der(bytes.expose())
        .map_err(|_| Error::invalid("the key is not a private key in PKCS #8"))?;
    check_kind(pair.kind(), kind)?;
    let public = pair.public().map_err(broken)?.spki().to_vec();
    Ok((pair.to_pkcs8().map_err(broken)?, public))
}

fn brought_public(key_type: KeyType, text: &str) -> Result<Vec<u8>, Error> {
    let kind =
        key_type.pair().ok_or_else(|| Error::invalid("provided type does not support public_key import"))?;
    let der = pem::decode_one(text, "PUBLIC KEY")
        .ok_or_else(|| Error::invalid("public_key is not a public key in PEM"))?;
    let public = PublicKey::from_spki(&der).map_err(|error| Error::invalid(error.to_string()))?;
    check_kind(public.kind(), kind)?;
    Ok(der)
}

fn check_kind(given: KeyKind, wanted: KeyKind) -> Result<(), Error> {
    if given != wanted {
        return Err(Error::invalid(format!("invalid key type: expected {wanted:?}, got {given:?}")));
    }
    Ok(())
}

pub(super) fn import(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = keys::checked_name(call.capture("name"))?.to_owned();
    let fields = call.fields();
    let set = fields.text("parameter_set")?.unwrap_or_default();
    let type_name = fields.text("type")?.unwrap_or_else(|| "aes256-gcm96".to_owned()).to_ascii_lowercase();
    let key_type = KeyType::parse(&type_name, &set)
        .ok_or_else(|| Error::invalid(format!("unknown key type {type_name:?}")))?;
    let rotates_imported = fields.boolean("allow_rotation")?.unwrap_or_default();
    let settings: Settings = keys::settings_of(call)?;
    if settings.convergent {
        return Err(Error::invalid("import cannot be used on keys with convergent encryption enabled"));
    }
    if !settings.auto_rotate_period.is_zero() && !rotates_imported {
        return Err(Error::invalid("allow_rotation must be set to true if auto-rotation is enabled"));
    }
    keys::check_settings(key_type, &settings)?;
    if key::read(call, &name)?.is_some() {
        return Err(Error::invalid(
            "the import path cannot be used with an existing key; use import_version to rotate an existing imported key",
        ));
    }
    let version = brought(call, key_type)?;
    let mut made = TransitKey::new(&name, key_type, settings);
    (made.is_imported, made.rotates_imported) = (true, rotates_imported);
    made.push(version);
    rotation::reindex(call, None, &made)?;
    key::write(call, &made)?;
    Ok(Response::default())
}

pub(super) fn import_version(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut key = key::read(call, &name)?.ok_or_else(|| {
        Error::invalid(format!(
            "no key found with name {name}; to import a new key, use the import/ endpoint"
        ))
    })?;
    if !key.is_imported {
        return Err(Error::invalid("the import_version endpoint can only be used with an imported key"));
    }
    let before = key.next_rotation;
    let version = brought(call, key.key_type)?;
    match version_to_complete(call, &key, &version)? {
        Some(number) => {
            let existing =
                key.versions.get_mut(&number).ok_or_else(|| Error::invalid("no such key version"))?;
            if existing.public != version.public {
                return Err(Error::invalid("cannot import key, key pair does not match"));
            }
            existing.material = version.material;
        }
        None => {
            keys::check_room(&key)?;
            key.push(version);
        }
    }
    rotation::reindex(call, before, &key)?;
    key::write(call, &key)?;
    Ok(Response::default())
}

/// The version that gets its private half by this import: the one named, or the latest if it has none and it fits.
fn version_to_complete(call: &Call<'_>, key: &TransitKey, version: &Version) -> Result<Option<u64>, Error> {
    let is_missing = |number: u64| {
        key.key_type.pair().is_some()
            && key.versions.get(&number).is_some_and(|version| version.material.expose().is_empty())
    };
    if let Some(number) = call.fields().count("version")? {
        if version.material.expose().is_empty() || !is_missing(number) {
            return Err(Error::invalid("only a version without a private key can be given one"));
        }
        return Ok(Some(number));
    }
    let fits = key.versions.get(&key.latest).is_some_and(|latest| latest.public == version.public);
    Ok(Some(key.latest).filter(|latest| is_missing(*latest) && fits && !version.material.expose().is_empty()))
}
