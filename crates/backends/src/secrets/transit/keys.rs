//! `keys/`: making, reading, configuring, rotating, trimming and removing keys.

use super::batch::Item;
use super::key::{self, KEYS, Settings, TransitKey, Version};
use super::key_type::KeyType;
use super::ready::Ready;
use super::{Memory, rotation};
use crate::answer::object;
use crate::listing::page;
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_crypto::keypair::PrivateKey;
use strongroom_crypto::token::encode_base64;
use strongroom_kernel::{Call, Error, Response};
use strongroom_secret::{Entropy, SecretBytes, Timestamp};

/// The shortest period of automatic rotation.
const ROTATION_PERIOD_MIN: Duration = Duration::from_secs(3600);
const HMAC_KEY_BYTES: usize = 32;
const HMAC_KEY_BYTES_MAX: usize = 512;
/// Versions that one key may have: all of them are in one row.
const VERSIONS_MAX: u64 = 5000;
const NAME_BYTES_MAX: usize = 256;

/// The name of a new key, as Vault's routes take one.
pub(super) fn checked_name(name: &str) -> Result<&str, Error> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let ends_well = name.starts_with(is_word) && name.ends_with(is_word);
    if !ends_well || name.len() > NAME_BYTES_MAX || !name.chars().all(|c| is_word(c) || c == '-' || c == '.')
    {
        return Err(Error::invalid(
            "a key's name is made of letters, digits, '_', '-' and '.', and starts and ends with a letter, a digit \
             or '_'",
        ));
    }
    Ok(name)
}

/// A fresh key of a type.
pub(super) fn new_version(
    key_type: KeyType,
    key_size: Option<usize>,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<Version, Error> {
    let failed = |error: strongroom_crypto::keypair::KeyError| Error::internal(error.to_string());
    let (material, public) = match key_type.pair() {
        Some(kind) => {
            let pair = PrivateKey::generate(kind, entropy).map_err(failed)?;
            let public = pair.public().map_err(failed)?.spki().to_vec();
            (pair.to_pkcs8().map_err(failed)?, public)
        }
        None => {
            let bytes = key_size.or(key_type.symmetric_bytes()).unwrap_or(HMAC_KEY_BYTES);
            (random(entropy, bytes), Vec::new())
        }
    };
    let hmac = random(entropy, HMAC_KEY_BYTES);
    Ok(Version { created: now, material, hmac, public, certificates: Vec::new() })
}

fn random(entropy: &dyn Entropy, length: usize) -> SecretBytes {
    let mut bytes = vec![0; length];
    entropy.fill(&mut bytes);
    bytes.into()
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<bool, Error> {
    let row_key = key::row_key(call, call.capture("name"));
    Ok(call.tx.get(&row_key)?.is_some())
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(KEYS);
    let names = call.tx.children(&table)?;
    page(call, names)
}

/// The key that the route names, to be used.
pub(super) fn required(call: &mut Call<'_>, missing: &str) -> Result<std::sync::Arc<Ready>, Error> {
    let name = call.capture("name").to_owned();
    key::find(call, &name)?.ok_or_else(|| Error::invalid(missing))
}

/// The key that the route names, to be changed.
fn to_change(call: &mut Call<'_>) -> Result<TransitKey, Error> {
    let name = call.capture("name").to_owned();
    key::read(call, &name)?
        .ok_or_else(|| Error::invalid(format!("no existing key named {name} could be found")))
}

pub(super) fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = checked_name(call.capture("name"))?.to_owned();
    let settings = settings_of(call)?;
    let fields = call.fields();
    let set = fields.text("parameter_set")?.unwrap_or_default();
    let type_name = fields.text("type")?.filter(|name| !name.is_empty());
    let type_name = type_name.unwrap_or_else(|| "aes256-gcm96".to_owned());
    let key_type = KeyType::parse(&type_name, &set)
        .ok_or_else(|| Error::invalid(format!("unknown key type {type_name:?}")))?;
    check_settings(key_type, &settings)?;
    if let Some(existing) = key::read(call, &name)? {
        return Ok(describe(&existing, &[])?.with_warning(format!("key {name} already existed")));
    }
    let made = make(call, &name, key_type, settings)?;
    describe(&made, &[])
}

/// Makes a key with its first version.
pub(super) fn make(
    call: &mut Call<'_>,
    name: &str,
    key_type: KeyType,
    settings: Settings,
) -> Result<TransitKey, Error> {
    let mut made = TransitKey::new(checked_name(name)?, key_type, settings);
    let version = new_version(key_type, made.settings.key_size, call.entropy(), call.now)?;
    made.push(version);
    rotation::reindex(call, None, &made)?;
    key::write(call, &made)?;
    Ok(made)
}

/// The settings of a request that makes a key.
pub(super) fn settings_of(call: &Call<'_>) -> Result<Settings, Error> {
    let fields = call.fields();
    let flag = |name| fields.boolean(name).map(Option::unwrap_or_default);
    Ok(Settings {
        derived: flag("derived")?,
        convergent: flag("convergent_encryption")?,
        exportable: flag("exportable")?,
        plaintext_backup: flag("allow_plaintext_backup")?,
        deletion_allowed: false,
        auto_rotate_period: rotation_period(call)?.unwrap_or_default(),
        key_size: fields
            .count("key_size")?
            .filter(|size| *size > 0)
            .map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
    })
}

fn rotation_period(call: &Call<'_>) -> Result<Option<Duration>, Error> {
    let period = call.fields().duration("auto_rotate_period")?;
    if period.is_some_and(|period| !period.is_zero() && period < ROTATION_PERIOD_MIN) {
        return Err(Error::invalid("auto rotate period must be 0 to disable or at least an hour"));
    }
    Ok(period)
}

pub(super) fn check_settings(key_type: KeyType, settings: &Settings) -> Result<(), Error> {
    if settings.convergent && !settings.derived {
        return Err(Error::invalid("convergent encryption requires derivation to be enabled"));
    }
    if settings.derived && !key_type.derives() {
        return Err(Error::invalid(format!("key derivation not supported for key type {}", key_type.name())));
    }
    if settings.convergent && key_type.cipher().is_none() {
        return Err(Error::invalid(format!(
            "convergent encryption not supported for keys of type {}",
            key_type.name()
        )));
    }
    match settings.key_size {
        Some(_) if key_type != KeyType::Hmac => {
            Err(Error::invalid(format!("key_size is not valid for algorithm {}", key_type.name())))
        }
        Some(size) if !(HMAC_KEY_BYTES..=HMAC_KEY_BYTES_MAX).contains(&size) => Err(Error::invalid(format!(
            "invalid key_size {size}: it must be from {HMAC_KEY_BYTES} to {HMAC_KEY_BYTES_MAX} bytes"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let ready = key::find(call, &name)?.ok_or_else(Error::not_found)?;
    let context = Item::of_fields(call).bytes("context")?;
    if ready.key.settings.derived && ready.key.key_type == KeyType::Ed25519 {
        return describe_derived(&ready, context.expose());
    }
    describe(&ready.key, &[])
}

/// The public keys of a derived key belong to a context.
fn describe_derived(ready: &Ready, context: &[u8]) -> Result<Response, Error> {
    let mut publics = Vec::new();
    for (number, _) in ready.key.usable() {
        let public = match context {
            [] => String::new(),
            context => {
                let pair = ready.derive_pair(number, context)?;
                let public = pair.public().map_err(|error| Error::internal(error.to_string()))?;
                encode_base64(public.ed25519_bytes().unwrap_or_default())
            }
        };
        publics.push((number, public));
    }
    describe(&ready.key, &publics)
}

/// A key as answers show it. `publics` stand in place of the versions' own public keys.
pub(super) fn describe(key: &TransitKey, publics: &[(u64, String)]) -> Result<Response, Error> {
    let settings = &key.settings;
    let mut data = json!({
        "name": key.name,
        "type": key.key_type.name(),
        "derived": settings.derived,
        "deletion_allowed": settings.deletion_allowed,
        "min_available_version": key.min_available,
        "min_decryption_version": key.min_decryption,
        "min_encryption_version": key.min_encryption,
        "latest_version": key.latest,
        "exportable": settings.exportable,
        "allow_plaintext_backup": settings.plaintext_backup,
        "supports_encryption": key.key_type.encrypts(),
        "supports_decryption": key.key_type.encrypts(),
        "supports_signing": key.key_type.signs(),
        "supports_derivation": key.key_type.derives(),
        "auto_rotate_period": settings.auto_rotate_period.as_secs(),
        "imported_key": key.is_imported,
        "soft_deleted": key.is_soft_deleted,
        "keys": versions(key, publics)?,
    });
    let mut add =
        |name: &str, value: Value| drop(data.as_object_mut().map(|data| data.insert(name.into(), value)));
    if let Some(size) = settings.key_size {
        add("key_size", size.into());
    }
    if let Some(set) = key.key_type.parameter_set() {
        add("parameter_set", set.into());
    }
    if key.is_imported {
        add("imported_key_allow_rotation", key.rotates_imported.into());
    }
    if settings.derived {
        add("kdf", "hkdf_sha256".into());
        add("convergent_encryption", settings.convergent.into());
    }
    if settings.convergent {
        // Vault says -1 for keys whose versions say it themselves; what they do is version 3.
        add("convergent_encryption_version", (-1).into());
    }
    for (name, event) in [("backup_info", &key.backup), ("restore_info", &key.restored)] {
        if let Some((time, version)) = event {
            add(name, json!({ "time": time.rfc3339(), "version": version }));
        }
    }
    Ok(object(data))
}

fn versions(key: &TransitKey, publics: &[(u64, String)]) -> Result<Value, Error> {
    let mut shown = Map::new();
    for (number, version) in key.usable() {
        let value = if key.key_type.pair().is_some() {
            let own = || super::transfer::public_text(key.key_type, version);
            let derived = publics.iter().find(|(of, _)| *of == number).map(|(_, text)| text.clone());
            json!({
                "name": key.key_type.version_name(),
                "public_key": derived.map_or_else(own, Ok)?,
                "creation_time": version.created.rfc3339(),
                "certificate_chain": super::transfer::chain_text(version),
            })
        } else {
            version.created.seconds().into()
        };
        shown.insert(number.to_string(), value);
    }
    Ok(Value::Object(shown))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let refuse = |reason: &str| Error::invalid(format!("error deleting policy {name}: {reason}"));
    let Some(key) = key::read(call, &name)? else {
        return Err(refuse("could not delete key; not found"));
    };
    if !key.settings.deletion_allowed {
        return Err(refuse("deletion is not allowed for this key: set deletion_allowed in its config first"));
    }
    rotation::remove(call, &key)?;
    let row_key = key::row_key(call, &name);
    call.tx.delete(&row_key)?;
    if let Some(memory) = call.mount.memory.downcast_ref::<Memory>() {
        memory.forget(&name);
    }
    Ok(Response::default())
}

pub(super) fn configure(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut key = to_change(call)?;
    let before = key.next_rotation;
    let mut warning = None;
    let fields = call.fields();
    if let Some(version) = fields.count("min_decryption_version")? {
        if version == 0 {
            warning = Some("transit key numbering starts at 1; forcing minimum to 1");
        }
        let version = version.max(1);
        check_minimum("decryption", version, &key)?;
        key.min_decryption = version;
    }
    if let Some(version) = fields.count("min_encryption_version")? {
        check_minimum("encryption", version, &key)?;
        key.min_encryption = version;
    }
    if key.min_encryption > 0 && key.min_encryption < key.min_decryption {
        return Err(Error::invalid(format!(
            "cannot set min encryption/decryption values; min encryption version of {} must be greater than or equal \
             to min decryption version of {}",
            key.min_encryption, key.min_decryption
        )));
    }
    if let Some(allowed) = fields.boolean("deletion_allowed")? {
        key.settings.deletion_allowed = allowed;
    }
    // Who once could export a key may have it: these two are never taken back.
    key.settings.exportable |= fields.boolean("exportable")?.unwrap_or_default();
    key.settings.plaintext_backup |= fields.boolean("allow_plaintext_backup")?.unwrap_or_default();
    if let Some(period) = rotation_period(call)? {
        if key.is_imported && !key.rotates_imported && !period.is_zero() {
            return Err(Error::invalid("imported key does not allow rotation within the server"));
        }
        key.settings.auto_rotate_period = period;
        let created = key.versions.get(&key.latest).map_or(call.now, |version| version.created);
        key.next_rotation = Some(created.plus(period)).filter(|_| !period.is_zero());
    }
    rotation::reindex(call, before, &key)?;
    key::write(call, &key)?;
    let response = describe(&key, &[])?;
    Ok(match warning {
        Some(warning) => response.with_warning(warning),
        None => response,
    })
}

fn check_minimum(purpose: &str, version: u64, key: &TransitKey) -> Result<(), Error> {
    if version > key.latest {
        return Err(Error::invalid(format!(
            "cannot set min {purpose} version of {version}, latest key version is {}",
            key.latest
        )));
    }
    if version > 0 && version < key.min_available {
        return Err(Error::invalid(format!(
            "cannot set min {purpose} version of {version}, versions below {} are trimmed",
            key.min_available
        )));
    }
    Ok(())
}

pub(super) fn rotate(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut key = key::read(call, &name)?.ok_or_else(|| Error::invalid("key not found"))?;
    rotate_key(call, &mut key)?;
    describe(&key, &[])
}

/// Adds a fresh version and writes the key.
pub(super) fn rotate_key(call: &mut Call<'_>, key: &mut TransitKey) -> Result<(), Error> {
    key.check_not_deleted()?;
    if key.is_imported && !key.rotates_imported {
        return Err(Error::invalid("imported key does not allow rotation within the server"));
    }
    check_room(key)?;
    let before = key.next_rotation;
    let version = new_version(key.key_type, key.settings.key_size, call.entropy(), call.now)?;
    key.push(version);
    rotation::reindex(call, before, key)?;
    key::write(call, key)
}

/// A key's row does not grow for ever.
pub(super) fn check_room(key: &TransitKey) -> Result<(), Error> {
    if key.versions.len() as u64 >= VERSIONS_MAX {
        return Err(Error::invalid(format!(
            "the key has {VERSIONS_MAX} versions: rewrap what the oldest encrypted and trim them first"
        )));
    }
    Ok(())
}

pub(super) fn trim(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut key = key::read(call, &name)?.ok_or_else(|| Error::invalid("invalid key name"))?;
    let minimum = call
        .fields()
        .count("min_available_version")?
        .ok_or_else(|| Error::invalid("missing min_available_version"))?;
    let refusal = match minimum {
        0 => Some("minimum available version should be positive"),
        m if m < key.min_available => Some("minimum available version cannot be decremented"),
        _ if key.min_encryption == 0 => {
            Some("minimum available version cannot be set when minimum encryption version is not set")
        }
        m if m > key.min_encryption => {
            Some("minimum available version cannot be greater than minimum encryption version")
        }
        m if m > key.min_decryption => {
            Some("minimum available version cannot be greater than minimum decryption version")
        }
        _ => None,
    };
    if let Some(refusal) = refusal {
        return Err(Error::invalid(refusal));
    }
    key.min_available = minimum;
    key.versions = key.versions.split_off(&minimum);
    key::write(call, &key)?;
    describe(&key, &[])
}

pub(super) fn soft_delete(call: &mut Call<'_>) -> Result<Response, Error> {
    mark_deleted(call, true, "key was already marked as soft deleted")
}

pub(super) fn soft_restore(call: &mut Call<'_>) -> Result<Response, Error> {
    mark_deleted(call, false, "key was not marked as soft deleted")
}

fn mark_deleted(call: &mut Call<'_>, is_deleted: bool, unchanged: &str) -> Result<Response, Error> {
    let mut key = to_change(call)?;
    let was = std::mem::replace(&mut key.is_soft_deleted, is_deleted);
    key::write(call, &key)?;
    let response = describe(&key, &[])?;
    Ok(if was == is_deleted { response.with_warning(unchanged) } else { response })
}
