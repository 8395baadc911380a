//! Certificate revocation lists (RFC 5280, section 5).

use super::certificate::authority_key_id;
use super::extensions::extension;
use super::{Issuer, X509Error, time};
use strongroom_secret::Timestamp;
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::Encode;
use x509_cert::der::asn1::Uint;
use x509_cert::ext::pkix::{BaseCrlNumber, CrlNumber};
use x509_cert::serial_number::SerialNumber;
use x509_cert::{Version, ext::Extension};

/// A certificate that is no longer good.
#[derive(Debug, Clone)]
pub struct Revoked {
    pub serial: Vec<u8>,
    pub at: Timestamp,
}

/// What a list is to say.
pub struct RevocationList<'a> {
    pub number: u64,
    /// For a delta: the number of the complete list that it continues.
    pub base: Option<u64>,
    pub this_update: Timestamp,
    pub next_update: Timestamp,
    pub revoked: &'a [Revoked],
}

/// Makes a list; DER.
pub fn revocation_list(list: &RevocationList<'_>, issuer: &Issuer<'_>) -> Result<Vec<u8>, X509Error> {
    let number = |number: u64| Uint::new(&number.to_be_bytes());
    let mut extensions: Vec<Extension> = Vec::new();
    if !issuer.key_id.is_empty() {
        extensions.push(extension(&authority_key_id(&issuer.key_id)?, false)?);
    }
    extensions.push(extension(&CrlNumber(number(list.number)?), false)?);
    if let Some(base) = list.base {
        extensions.push(extension(&BaseCrlNumber(number(base)?), true)?);
    }
    let revoked = list
        .revoked
        .iter()
        .map(|one| {
            Ok(RevokedCert {
                serial_number: SerialNumber::new(&one.serial)?,
                revocation_date: time(one.at)?,
                crl_entry_extensions: None,
            })
        })
        .collect::<Result<Vec<_>, X509Error>>()?;
    let tbs = TbsCertList {
        version: Version::V2,
        signature: issuer.scheme.identifier()?,
        issuer: issuer.name.clone(),
        this_update: time(list.this_update)?,
        next_update: Some(time(list.next_update)?),
        revoked_certificates: Some(revoked).filter(|revoked| !revoked.is_empty()),
        crl_extensions: Some(extensions),
    };
    let signature = issuer.scheme.sign(issuer.key, &tbs.to_der()?)?;
    let list = CertificateList { signature_algorithm: tbs.signature.clone(), tbs_cert_list: tbs, signature };
    Ok(list.to_der()?)
}
