//! `keys/` and `key/`: the private keys of authorities.

use super::issue::{self, Format};
use super::settings;
use super::store::{self, KeyRecord, damaged};
use crate::answer::object;
use crate::pem;
use serde_json::{Map, Value, json};
use strongroom_crypto::keypair::PrivateKey;
use strongroom_crypto::x509::X509Error;
use strongroom_kernel::{Call, Error, Response};

pub(super) fn list(call: &mut Call<'_>) -> Result<Response, Error> {
    let default = settings::defaults(call)?.key;
    let keys = store::keys(call)?;
    if keys.is_empty() {
        return Err(Error::not_found());
    }
    let info: Map<String, Value> = keys
        .iter()
        .map(|key| (key.id.clone(), json!({ "key_name": key.name, "is_default": key.id == default })))
        .collect();
    let ids: Vec<_> = keys.into_iter().map(|key| key.id).collect();
    Ok(object(json!({ "keys": ids, "key_info": info })))
}

fn shown(call: &Call<'_>, record: &KeyRecord) -> Result<Value, Error> {
    let key = store::open_key(call, record)?;
    Ok(json!({
        "key_id": record.id,
        "key_name": record.name,
        "key_type": issue::key_type(key.kind()),
        "subject_key_id": subject_key_id(&key)?,
    }))
}

fn subject_key_id(key: &PrivateKey) -> Result<String, Error> {
    let public = key.public().map_err(|error| damaged(X509Error::Key(error)))?;
    let id = strongroom_crypto::x509::key_id(public.spki()).map_err(damaged)?;
    Ok(store::serial_text(&id))
}

pub(super) fn read(call: &mut Call<'_>) -> Result<Response, Error> {
    let reference = call.capture("key").to_owned();
    let record = store::find_key(call, &reference)?;
    Ok(object(shown(call, &record)?))
}

pub(super) fn write(call: &mut Call<'_>) -> Result<Response, Error> {
    let reference = call.capture("key").to_owned();
    let mut record = store::find_key(call, &reference)?;
    if let Some(name) = call.fields().text("key_name")? {
        let known = store::keys(call)?;
        let others = known.iter().filter(|key| key.id != record.id).map(|key| key.name.as_str());
        store::check_name(&name, others, "key")?;
        record.name = name;
        store::save_key(call, &record)?;
    }
    Ok(object(shown(call, &record)?))
}

pub(super) fn delete(call: &mut Call<'_>) -> Result<Response, Error> {
    let reference = call.capture("key").to_owned();
    let record = store::find_key(call, &reference)?;
    store::remove_key(call, &record.id)?;
    store::relink(call)?;
    let mut defaults = settings::defaults(call)?;
    let mut response = Response::default();
    if defaults.key == record.id {
        defaults.key.clear();
        settings::set_defaults(call, &defaults)?;
        response = response.with_warning(format!(
            "Deleted key {} (via key_ref {reference}); this was configured as the default key. Operations without an \
             explicit key will not work until a new default is configured.",
            record.id
        ));
    }
    Ok(response)
}

pub(super) fn generate(call: &mut Call<'_>) -> Result<Response, Error> {
    let is_exported = match call.capture("exported") {
        "internal" => false,
        "exported" => true,
        _ => return Err(Error::invalid("the path must end in internal or exported")),
    };
    let fields = call.fields();
    let key_type =
        fields.text("key_type")?.filter(|text| !text.is_empty()).unwrap_or_else(|| "rsa".to_owned());
    let bits = u32::try_from(fields.count("key_bits")?.unwrap_or(0)).unwrap_or(u32::MAX);
    let name = fields.text("key_name")?.unwrap_or_default();
    let kind = issue::key_kind(&key_type, bits)?;
    let key = PrivateKey::generate(kind, call.entropy()).map_err(|error| damaged(X509Error::Key(error)))?;
    let (id, _) = store::add_key(call, &key, &name)?;
    let mut data = json!({ "key_id": id, "key_name": name, "key_type": key_type });
    if is_exported && let Some(data) = data.as_object_mut() {
        data.insert("private_key".to_owned(), Format::Pem.private_key(call, &key)?.into());
    }
    Ok(object(data))
}

pub(super) fn import(call: &mut Call<'_>) -> Result<Response, Error> {
    let fields = call.fields();
    let text = fields.required_text("pem_bundle")?;
    let name = fields.text("key_name")?.unwrap_or_default();
    let blocks = pem::decode_all(&text).unwrap_or_default();
    let keys: Vec<_> = blocks.iter().filter(|(label, _)| label.ends_with("PRIVATE KEY")).collect();
    let [(_, der)] = keys.as_slice() else {
        return Err(Error::invalid("only a single key can be present within the pem_bundle for importing"));
    };
    let key = PrivateKey::from_der(der).map_err(|error| Error::invalid(error.to_string()))?;
    let (id, is_new) = store::add_key(call, &key, &name)?;
    store::relink(call)?;
    let response = object(json!({ "key_id": id, "key_name": name, "key_type": issue::key_type(key.kind()) }));
    Ok(if is_new {
        response
    } else {
        response.with_warning("Key already imported, use key/ endpoint to update name.")
    })
}
