//! `revoke-cert` (RFC 8555, section 7.6): by the account that got the certificate, or by its own key.

use super::jws::payload;
use super::problem::{Kind, Problem};
use super::{CERTIFICATE_OWNERS, Reply, Session, Signer};
use crate::secrets::pki::{revocation, store};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;
use strongroom_crypto::x509::ReadCertificate;

/// The reasons of RFC 5280, section 5.3.1: 7 is not used, and 8 is for delta lists.
const REASONS: [i64; 9] = [0, 1, 2, 3, 4, 5, 6, 9, 10];

pub(super) fn revoke(session: &mut Session<'_, '_>) -> Result<Reply, Problem> {
    let payload = payload(&session.payload)?;
    let text = payload.get("certificate").and_then(Value::as_str).unwrap_or_default();
    let der = BASE64.decode(text).ok().and_then(|der| ReadCertificate::from_der(&der).ok());
    let shown =
        der.ok_or_else(|| Kind::Malformed.told("the payload has no certificate in base64 for URLs"))?;
    if let Some(reason) = payload.get("reason").filter(|reason| !reason.is_null())
        && !reason.as_i64().is_some_and(|reason| REASONS.contains(&reason))
    {
        return Err(Kind::BadRevocationReason.told("the reason is none of RFC 5280's"));
    }
    let known = store::certificate(session.call, shown.serial())?;
    let certificate = known
        .filter(|known| known.der() == shown.der())
        .ok_or_else(|| Kind::NotFound.told("the certificate is not from here"))?;
    let may_revoke = match &session.signer {
        Signer::Key(key) => Some(&key.thumbprint) == thumbprint_of(&certificate).as_ref(),
        Signer::Account(account) => {
            let id = account.id.clone();
            let serial = hex::encode(certificate.serial());
            let owner = session.call.tx.id_key(&session.call.table(CERTIFICATE_OWNERS), serial.as_bytes());
            session.call.tx.get(&owner)?.is_some_and(|owner| owner.expose() == id.as_bytes())
        }
    };
    if !may_revoke {
        return Err(Kind::Unauthorized
            .told("the certificate is revoked by the account that got it, or by its own key"));
    }
    if store::revocation(session.call, certificate.serial())?.is_some() {
        return Err(Kind::AlreadyRevoked.told("the certificate is revoked already"));
    }
    revocation::revoke_certificate(session.call, &certificate)?;
    Ok(Reply::empty())
}

/// A certificate's key as a JSON Web Key is named.
fn thumbprint_of(certificate: &ReadCertificate) -> Option<String> {
    certificate.public_key().ok()?.thumbprint().ok()
}
