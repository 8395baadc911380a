//! Certificates: made, read, checked against their issuer.

use super::extensions::extension;
use super::signature::verify;
use super::{AccessUrls, AlternativeNames, Purposes, SignatureScheme, X509Error, time, timestamp};
use crate::hash::sha1;
use crate::keypair::{PrivateKey, PublicKey};
use strongroom_secret::Timestamp;
use x509_cert::certificate::{Certificate, TbsCertificate, Version};
use x509_cert::der::asn1::OctetString;
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

/// Who signs.
pub struct Issuer<'a> {
    pub name: Name,
    pub key: &'a PrivateKey,
    pub scheme: SignatureScheme,
    /// The subject key identifier of its certificate; empty for none.
    pub key_id: Vec<u8>,
}

/// What a certificate is to say.
pub struct Template<'a> {
    /// Positive, at most 20 bytes, big endian.
    pub serial: &'a [u8],
    pub subject: Name,
    pub names: &'a AlternativeNames,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// SubjectPublicKeyInfo of the key that it is for.
    pub public_key: &'a [u8],
    /// Computed from the key where it is not given.
    pub subject_key_id: Option<Vec<u8>>,
    pub purposes: &'a Purposes,
    pub urls: &'a AccessUrls,
    /// Taken over as they are.
    pub extra: Vec<Extension>,
}

/// The identifier of a key that certificates carry: SHA-1 of the key's bits (RFC 5280, section 4.2.1.2, method 1).
pub fn key_id(spki: &[u8]) -> Result<Vec<u8>, X509Error> {
    let info = SubjectPublicKeyInfoOwned::from_der(spki)?;
    Ok(sha1(info.subject_public_key.raw_bytes()).to_vec())
}

/// Makes a certificate; DER.
pub fn certificate(template: Template<'_>, issuer: &Issuer<'_>) -> Result<Vec<u8>, X509Error> {
    let Template { subject, names, purposes, urls, .. } = &template;
    let subject_key_id = match &template.subject_key_id {
        Some(id) => id.clone(),
        None => key_id(template.public_key)?,
    };
    let mut extensions = purposes.extensions()?;
    extensions.push(extension(&SubjectKeyIdentifier(OctetString::new(subject_key_id)?), false)?);
    if !issuer.key_id.is_empty() {
        extensions.push(extension(&authority_key_id(&issuer.key_id)?, false)?);
    }
    extensions.extend(names.extension(subject.is_empty())?);
    extensions.extend(urls.extensions()?);
    for extra in template.extra {
        if !extensions.iter().any(|known| known.extn_id == extra.extn_id) {
            extensions.push(extra);
        }
    }
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(template.serial)?,
        signature: issuer.scheme.identifier()?,
        issuer: issuer.name.clone(),
        validity: Validity { not_before: time(template.not_before)?, not_after: time(template.not_after)? },
        subject: template.subject,
        subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(template.public_key)?,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    };
    signed(tbs, issuer)
}

pub(super) fn authority_key_id(id: &[u8]) -> Result<AuthorityKeyIdentifier, X509Error> {
    Ok(AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(id)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    })
}

fn signed(tbs: TbsCertificate, issuer: &Issuer<'_>) -> Result<Vec<u8>, X509Error> {
    let signature = issuer.scheme.sign(issuer.key, &tbs.to_der()?)?;
    let certificate =
        Certificate { signature_algorithm: tbs.signature.clone(), tbs_certificate: tbs, signature };
    Ok(certificate.to_der()?)
}

/// The same certificate under another issuer: what a self-signed one becomes in a cross-signing. Issuer, authority key
/// identifier, URLs and signature are new.
pub fn sign_again(
    certificate: &ReadCertificate,
    issuer: &Issuer<'_>,
    urls: &AccessUrls,
) -> Result<Vec<u8>, X509Error> {
    let mut tbs = certificate.parsed.tbs_certificate.clone();
    tbs.issuer = issuer.name.clone();
    tbs.signature = issuer.scheme.identifier()?;
    let authority = extension(&authority_key_id(&issuer.key_id)?, false)?;
    let mut renewed = urls.extensions()?;
    if !issuer.key_id.is_empty() {
        renewed.push(authority);
    }
    let mut extensions = tbs.extensions.take().unwrap_or_default();
    extensions.retain(|old| !renewed.iter().any(|new| new.extn_id == old.extn_id));
    extensions.extend(renewed);
    tbs.extensions = Some(extensions);
    signed(tbs, issuer)
}

/// A certificate that was read.
#[derive(Debug, Clone)]
pub struct ReadCertificate {
    parsed: Certificate,
    der: Vec<u8>,
    tbs: Vec<u8>,
}

impl ReadCertificate {
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let parsed = Certificate::from_der(der)?;
        Ok(Self { parsed, der: der.to_vec(), tbs: signed_part(der)? })
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Big endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        without_zeros(self.parsed.tbs_certificate.serial_number.as_bytes())
    }

    pub fn subject(&self) -> &Name {
        &self.parsed.tbs_certificate.subject
    }

    pub fn issuer(&self) -> &Name {
        &self.parsed.tbs_certificate.issuer
    }

    pub fn not_before(&self) -> Timestamp {
        timestamp(self.parsed.tbs_certificate.validity.not_before)
    }

    pub fn not_after(&self) -> Timestamp {
        timestamp(self.parsed.tbs_certificate.validity.not_after)
    }

    /// SubjectPublicKeyInfo.
    pub fn spki(&self) -> Result<Vec<u8>, X509Error> {
        Ok(self.parsed.tbs_certificate.subject_public_key_info.to_der()?)
    }

    pub fn public_key(&self) -> Result<PublicKey, X509Error> {
        Ok(PublicKey::from_spki(&self.spki()?)?)
    }

    /// The bits of the public key alone, as OCSP hashes them.
    pub fn key_bits(&self) -> &[u8] {
        self.parsed.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes()
    }

    /// The subject key identifier; computed where the certificate has none.
    pub fn key_id(&self) -> Vec<u8> {
        match self.parsed.tbs_certificate.get::<SubjectKeyIdentifier>() {
            Ok(Some((_, id))) => id.0.as_bytes().to_vec(),
            _ => sha1(self.key_bits()).to_vec(),
        }
    }

    /// Whether it is an authority, and how many may follow below it.
    pub fn constraints(&self) -> (bool, Option<u8>) {
        match self.parsed.tbs_certificate.get::<BasicConstraints>() {
            Ok(Some((_, constraints))) => (constraints.ca, constraints.path_len_constraint),
            _ => (false, None),
        }
    }

    /// Whether its key may be used so: everything is allowed where the certificate does not say.
    pub fn allows(&self, usage: KeyUsages) -> bool {
        match self.parsed.tbs_certificate.get::<KeyUsage>() {
            Ok(Some((_, usages))) => usages.0.contains(usage),
            _ => true,
        }
    }

    pub fn names(&self) -> Result<AlternativeNames, X509Error> {
        AlternativeNames::read(self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default())
    }

    /// An extension's content, and whether it is critical.
    pub fn extension(&self, kind: &str) -> Option<(bool, &[u8])> {
        let extensions = self.parsed.tbs_certificate.extensions.as_deref().unwrap_or_default();
        let found = extensions.iter().find(|one| one.extn_id.to_string() == kind)?;
        Some((found.critical, found.extn_value.as_bytes()))
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.issuer() == self.subject()
    }

    /// Whether `issuer` signed it: by name and by signature.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        if self.issuer() != issuer.subject() {
            return false;
        }
        let Ok(public) = issuer.public_key() else { return false };
        verify(&public, &self.parsed.signature_algorithm, &self.tbs, &self.parsed.signature) == Ok(true)
    }
}

/// A number's bytes without the zeros that they start with.
pub(super) fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The bytes that a signature is over: the first element of what is signed, as it was written.
pub(super) fn signed_part(der: &[u8]) -> Result<Vec<u8>, X509Error> {
    let mut reader = SliceReader::new(der)?;
    let part = reader.sequence(|inner| {
        let part = inner.tlv_bytes()?.to_vec();
        inner.read_slice(inner.remaining_len())?;
        Ok(part)
    })?;
    Ok(part)
}
