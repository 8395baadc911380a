//! `encrypt/`, `decrypt/`, `rewrap/` and `datakey/`.

use super::batch::{Input, Item};
use super::key::{Settings, TransitKey};
use super::key_type::KeyType;
use super::ready::{Ready, Sealing};
use super::{key, keys, settings};
use crate::answer;
use serde::Serialize;
use std::sync::Arc;
use strongroom_crypto::cipher::Cipher;
use strongroom_crypto::token::encode_base64;
use strongroom_kernel::{Call, Error, Response};
use strongroom_secret::SecretBytes;

const NOT_FOUND: &str = "encryption key not found";

#[derive(Serialize)]
struct Encrypted {
    ciphertext: String,
    key_version: u64,
}

#[derive(Serialize)]
struct Decrypted {
    plaintext: String,
}

/// Random nonces for a whole request, asked for at once.
struct Nonces {
    bytes: Vec<u8>,
    length: usize,
}

impl Nonces {
    fn new(call: &Call<'_>, key: &Ready, count: usize) -> Self {
        let length = key.key.key_type.cipher().map_or(0, Cipher::nonce_bytes);
        let mut bytes = vec![0; length * count];
        call.entropy().fill(&mut bytes);
        Self { bytes, length }
    }

    fn get(&self, position: usize) -> &[u8] {
        self.bytes.chunks_exact(self.length.max(1)).nth(position).unwrap_or_default()
    }
}

pub(super) fn encrypt(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let has_context = Input::of(call)?.has_context()?;
    let ready = match key::find(call, &name)? {
        Some(ready) => ready,
        None => create(call, &name, has_context)?,
    };
    ready.key.check_not_deleted()?;
    if !ready.key.key_type.encrypts() {
        return Err(ready.unsupported("message encryption"));
    }
    let input = Input::of(call)?;
    let nonces = Nonces::new(call, &ready, input.items().len());
    input.answer(call, |position, item| encrypt_item(&ready, item, nonces.get(position)))
}

/// The key that a first encryption makes.
fn create(call: &mut Call<'_>, name: &str, has_context: bool) -> Result<Arc<Ready>, Error> {
    if !settings::may_upsert(call)? {
        return Err(Error::invalid(NOT_FOUND));
    }
    let fields = call.fields();
    let convergent = fields.boolean("convergent_encryption")?.unwrap_or_default();
    if convergent && !has_context {
        return Err(Error::invalid(
            "convergent encryption requires derivation to be enabled, so context is required",
        ));
    }
    let type_name = fields.text("type")?.filter(|name| !name.is_empty());
    let type_name = type_name.unwrap_or_else(|| "aes256-gcm96".to_owned());
    let key_type = KeyType::parse(&type_name, "")
        .ok_or_else(|| Error::invalid(format!("unknown key type {type_name:?}")))?;
    if key_type.cipher().is_none() {
        return Err(Error::invalid(format!("key type {type_name} not supported for this operation")));
    }
    // The snapshot of a read cannot be written: the kernel runs this again in a transaction.
    let made: TransitKey = keys::make(
        call,
        name,
        key_type,
        Settings { derived: has_context, convergent, ..Settings::default() },
    )?;
    Ok(Arc::new(Ready::new(made)))
}

fn encrypt_item(ready: &Ready, item: Item<'_>, nonce: &[u8]) -> Result<Encrypted, Error> {
    let plaintext = item.required_bytes("plaintext", "missing plaintext to encrypt")?;
    seal(ready, item, &plaintext, nonce)
}

fn seal(ready: &Ready, item: Item<'_>, plaintext: &SecretBytes, nonce: &[u8]) -> Result<Encrypted, Error> {
    let number = ready.version_to_write(item.integer("key_version")?, "encryption")?;
    if item.text("nonce").is_some_and(|nonce| !nonce.is_empty()) {
        return Err(Error::invalid("nonce provided when not allowed"));
    }
    let (context, additional_data) = (item.bytes("context")?, associated_data(ready, item)?);
    let parts = Sealing { context: context.expose(), additional_data: additional_data.expose(), nonce };
    let ciphertext = ready.encrypt(number, plaintext.expose(), &parts)?;
    Ok(Encrypted { ciphertext, key_version: number })
}

fn associated_data(ready: &Ready, item: Item<'_>) -> Result<SecretBytes, Error> {
    let data = item.bytes("associated_data")?;
    if !data.expose().is_empty() && ready.key.key_type.cipher().is_none() {
        return Err(Error::invalid(format!(
            "'associated_data' provided for non-AEAD cipher suite {}",
            ready.key.key_type.name()
        )));
    }
    Ok(data)
}

pub(super) fn decrypt(call: &mut Call<'_>) -> Result<Response, Error> {
    let ready = decrypting_key(call)?;
    let input = Input::of(call)?;
    input.has_context()?;
    input.answer(call, |_, item| {
        Ok(Decrypted { plaintext: encode_base64(decrypt_item(&ready, item)?.expose()) })
    })
}

fn decrypting_key(call: &mut Call<'_>) -> Result<Arc<Ready>, Error> {
    let ready = keys::required(call, NOT_FOUND)?;
    ready.key.check_not_deleted()?;
    if !ready.key.key_type.encrypts() {
        return Err(ready.unsupported("message decryption"));
    }
    Ok(ready)
}

fn decrypt_item(ready: &Ready, item: Item<'_>) -> Result<SecretBytes, Error> {
    let ciphertext = item.text("ciphertext").filter(|text| !text.is_empty());
    let ciphertext = ciphertext.ok_or_else(|| Error::invalid("missing ciphertext to decrypt"))?;
    let (context, additional_data) = (item.bytes("context")?, associated_data(ready, item)?);
    ready.decrypt(ciphertext, context.expose(), additional_data.expose())
}

pub(super) fn rewrap(call: &mut Call<'_>) -> Result<Response, Error> {
    let ready = decrypting_key(call)?;
    let input = Input::of(call)?;
    input.has_context()?;
    let nonces = Nonces::new(call, &ready, input.items().len());
    input.answer(call, |position, item| {
        let plaintext = decrypt_item(&ready, item)?;
        seal(&ready, item, &plaintext, nonces.get(position))
    })
}

#[derive(Serialize)]
struct DataKey {
    #[serde(flatten)]
    encrypted: Encrypted,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<String>,
}

pub(super) fn data_key(call: &mut Call<'_>) -> Result<Response, Error> {
    let shows_plaintext = match call.capture("plaintext") {
        "plaintext" => true,
        "wrapped" => false,
        _ => return Err(Error::invalid("Invalid path, must be 'plaintext' or 'wrapped'")),
    };
    let ready = keys::required(call, NOT_FOUND)?;
    ready.key.check_not_deleted()?;
    if !ready.key.key_type.encrypts() {
        return Err(ready.unsupported("message encryption"));
    }
    let bytes = match call.fields().count("bits")?.unwrap_or(256) {
        128 => 16,
        256 => 32,
        512 => 64,
        _ => return Err(Error::invalid("invalid bit length: bits must be 128, 256 or 512")),
    };
    let mut key = vec![0; bytes];
    call.entropy().fill(&mut key);
    let key = SecretBytes::new(key);
    let nonces = Nonces::new(call, &ready, 1);
    let encrypted = seal(&ready, Item::of_fields(call), &key, nonces.get(0))?;
    let plaintext = shows_plaintext.then(|| encode_base64(key.expose()));
    answer::text(&DataKey { encrypted, plaintext })
}
