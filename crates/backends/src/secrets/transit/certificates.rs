//! `keys/…/csr` and `keys/…/set-certificate`: certificates for keys that stay here.

use super::key::{self, PublicBytes, TransitKey};
use super::keys;
use crate::answer::object;
use crate::pem;
use serde_json::json;
use strongroom_crypto::x509::{ReadCertificate, SignatureScheme, X509Error, request_like};
use strongroom_kernel::{Call, Error, Response};

/// Certificates in one chain.
const CHAIN_MAX: usize = 16;

/// The version that a request names: the latest by default.
fn version(call: &Call<'_>, key: &TransitKey) -> Result<u64, Error> {
    let asked = call.fields().count("version")?.filter(|version| *version > 0).unwrap_or(key.latest);
    if asked < key.min_decryption || !key.versions.contains_key(&asked) {
        return Err(Error::invalid("no such key version, or it is below the minimum"));
    }
    Ok(asked)
}

fn unusable(error: X509Error) -> Error {
    Error::invalid(error.to_string())
}

pub(super) fn request(call: &mut Call<'_>) -> Result<Response, Error> {
    let ready = keys::required(call, "key not found")?;
    ready.key.check_not_deleted()?;
    if !ready.key.key_type.signs() {
        return Err(ready.unsupported("signing"));
    }
    if ready.key.settings.derived {
        return Err(Error::invalid("operation not supported on keys with derivation enabled"));
    }
    let number = version(call, &ready.key)?;
    let (private, _) = ready.pair(number)?;
    let private = private.ok_or_else(|| Error::invalid("the key version has no private part"))?;
    let template = match call.fields().text("csr")?.filter(|text| !text.is_empty()) {
        Some(text) => Some(
            pem::decode_one(&text, "CERTIFICATE REQUEST")
                .ok_or_else(|| Error::invalid("csr is no certificate request in PEM"))?,
        ),
        None => None,
    };
    let scheme = SignatureScheme::for_key(private.kind(), 0, false).map_err(unusable)?;
    let der = request_like(private, scheme, template.as_deref()).map_err(unusable)?;
    Ok(object(json!({
        "name": ready.key.name,
        "type": ready.key.key_type.name(),
        "csr": pem::encode("CERTIFICATE REQUEST", &der),
    })))
}

pub(super) fn set(call: &mut Call<'_>) -> Result<Response, Error> {
    let name = call.capture("name").to_owned();
    let mut key = key::read(call, &name)?.ok_or_else(|| Error::invalid("key not found"))?;
    key.check_not_deleted()?;
    if !key.key_type.signs() {
        return Err(Error::invalid(format!(
            "key type {} does not support certificates",
            key.key_type.name()
        )));
    }
    let number = version(call, &key)?;
    let text = call.fields().required_text("certificate_chain")?;
    let blocks = pem::decode_all(&text).unwrap_or_default();
    if blocks.is_empty() || blocks.len() > CHAIN_MAX || blocks.iter().any(|(label, _)| label != "CERTIFICATE")
    {
        return Err(Error::invalid(format!(
            "certificate_chain must be 1 to {CHAIN_MAX} certificates in PEM"
        )));
    }
    let chain: Vec<_> = blocks
        .iter()
        .map(|(_, der)| ReadCertificate::from_der(der).map_err(unusable))
        .collect::<Result<_, _>>()?;
    let version = key.versions.get_mut(&number).ok_or_else(|| Error::invalid("no such key version"))?;
    let own = chain.first().map(ReadCertificate::spki).transpose().map_err(unusable)?;
    if own.as_ref() != Some(&version.public) {
        return Err(Error::invalid("the first certificate's public key is not this key version's"));
    }
    for pair in chain.windows(2) {
        if let [below, above] = pair
            && !below.is_signed_by(above)
        {
            return Err(Error::invalid("the certificates are not a chain: each must be signed by the next"));
        }
    }
    version.certificates = blocks.into_iter().map(|(_, der)| PublicBytes(der)).collect();
    key::write(call, &key)?;
    Ok(Response::default())
}
