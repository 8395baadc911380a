//! External account bindings (RFC 8555, section 7.3.4): somebody with a token takes a key for somebody who has none.

use super::jws::{PublicKey, SignedText};
use super::problem::{Kind, Problem};
use super::{EAB_KEYS, Session, directory_of};
use crate::answer::object;
use crate::secret_serde;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use strongroom_crypto::hash::HashAlgorithm;
use strongroom_crypto::mac::hmac;
use strongroom_crypto::token::uuid_v4;
use strongroom_kernel::{Call, Data, Error, Key, Record, Response};
use strongroom_secret::{SecretBytes, SecretString, Timestamp};

const KEY_BYTES: usize = 32;

/// A key that was not used yet.
#[derive(Debug, Serialize, Deserialize)]
struct EabKey {
    id: String,
    #[serde(with = "secret_serde")]
    key: SecretBytes,
    directory: String,
    created: Timestamp,
}

impl Record for EabKey {}

fn key_of(call: &Call<'_>, id: &str) -> Key {
    call.tx.name_key(&call.table(EAB_KEYS), id)
}

/// `acme/new-eab`, for callers with a token.
pub(super) fn create(call: &mut Call<'_>) -> Result<Response, Error> {
    let mut key = vec![0; KEY_BYTES];
    call.entropy().fill(&mut key);
    let record = EabKey {
        id: uuid_v4(call.entropy()),
        key: SecretBytes::new(key),
        directory: directory_of(call),
        created: call.now,
    };
    let place = key_of(call, &record.id);
    call.tx.put_record(&place, &record)?;
    let text = SecretString::from(BASE64.encode(record.key.expose()));
    Ok(object(json!({
        "id": record.id,
        "key_type": "hs",
        "key": text.expose(),
        "acme_directory": format!("{}directory", record.directory),
        "created_on": record.created.rfc3339(),
    })))
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let table = call.table(EAB_KEYS);
    let records: Vec<EabKey> = call.tx.records(&table)?;
    let mut response = Response::keys(records.iter().map(|record| record.id.clone()).collect())?;
    let known = records.into_iter().map(|record| {
        let shown = json!({
            "key_type": "hs",
            "acme_directory": format!("{}directory", record.directory),
            "created_on": record.created.rfc3339(),
        });
        (record.id, shown)
    });
    if let Data::Map(data) = &mut response.data {
        data.insert("key_info".to_owned(), known.collect::<Map<_, _>>().into());
    }
    Ok(response)
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let key = key_of(call, call.capture("key_id"));
    match call.tx.record::<EabKey>(&key)? {
        Some(_) => call.tx.delete(&key)?,
        None => return Ok(Response::default().with_warning("No key id found with that id")),
    }
    Ok(Response::default())
}

/// Checks a binding and removes its key, which counts once. Says its id.
pub(super) fn use_up(
    session: &mut Session<'_, '_>,
    binding: &Value,
    account_key: &PublicKey,
) -> Result<String, Problem> {
    let refused =
        |why: &str| Kind::Unauthorized.told(format!("the external account binding is refused: {why}"));
    let signed = SignedText::parse_inner(binding)?;
    if signed.text("url") != Some(session.request_url.as_str()) {
        return Err(refused("its url is another one than the request's"));
    }
    let hash = match signed.text("alg") {
        Some("HS256") => HashAlgorithm::Sha2_256,
        Some("HS384") => HashAlgorithm::Sha2_384,
        Some("HS512") => HashAlgorithm::Sha2_512,
        _ => return Err(Kind::BadSignatureAlgorithm.told("the binding's alg must be HS256, HS384 or HS512")),
    };
    let id = signed.text("kid").unwrap_or_default().to_owned();
    let place = key_of(session.call, &id);
    let unknown = || refused("its key is unknown, was used before, or is for another directory");
    let record: EabKey = session.call.tx.record(&place)?.ok_or_else(unknown)?;
    if record.directory != session.directory {
        return Err(unknown());
    }
    let expected = SecretBytes::new(hmac(hash, record.key.expose(), signed.message()));
    if expected != SecretBytes::new(signed.signature().to_vec()) {
        return Err(refused("its signature is wrong"));
    }
    let bound = super::jws::payload(&signed.payload)?;
    if PublicKey::of_any_algorithm(&bound)?.thumbprint != account_key.thumbprint {
        return Err(refused("it is for another key"));
    }
    session.call.tx.delete(&place)?;
    Ok(id)
}
