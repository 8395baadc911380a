//! Certificate requests (PKCS #10, RFC 2986).

use super::certificate::signed_part;
use super::signature::verify;
use super::{AlternativeNames, Purposes, SignatureScheme, X509Error};
use crate::keypair::{PrivateKey, PublicKey};
use x509_cert::attr::Attributes;
use x509_cert::der::asn1::SetOfVec;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

/// Makes a request for a certificate of this key; DER.
pub fn request(
    key: &PrivateKey,
    scheme: SignatureScheme,
    subject: Name,
    names: &AlternativeNames,
    purposes: &Purposes,
) -> Result<Vec<u8>, X509Error> {
    let mut extensions = purposes.extensions()?;
    extensions.extend(names.extension(subject.is_empty())?);
    let mut attributes: Attributes = SetOfVec::new();
    if !extensions.is_empty() {
        attributes.insert(ExtensionReq(extensions).try_into()?)?;
    }
    let public_key = SubjectPublicKeyInfoOwned::from_der(key.public()?.spki())?;
    let info = CertReqInfo { version: Version::V1, subject, public_key, attributes };
    let signature = scheme.sign(key, &info.to_der()?)?;
    Ok(CertReq { info, algorithm: scheme.identifier()?, signature }.to_der()?)
}

/// A request for a certificate of this key that asks for what another request does; for nothing without one. DER.
pub fn request_like(
    key: &PrivateKey,
    scheme: SignatureScheme,
    template: Option<&[u8]>,
) -> Result<Vec<u8>, X509Error> {
    let (subject, attributes) = match template {
        Some(der) => {
            let info = CertReq::from_der(der)?.info;
            (info.subject, info.attributes)
        }
        None => (Name::default(), SetOfVec::new()),
    };
    let public_key = SubjectPublicKeyInfoOwned::from_der(key.public()?.spki())?;
    let info = CertReqInfo { version: Version::V1, subject, public_key, attributes };
    let signature = scheme.sign(key, &info.to_der()?)?;
    Ok(CertReq { info, algorithm: scheme.identifier()?, signature }.to_der()?)
}

/// A request that was read, and whose signature is its own key's.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    parsed: CertReq,
    extensions: Vec<Extension>,
    public_key: PublicKey,
}

impl ReadRequest {
    /// Reads a request. Its signature must prove that whoever asks has the private key.
    pub fn from_der(der: &[u8]) -> Result<Self, X509Error> {
        let parsed = CertReq::from_der(der)?;
        let public_key = PublicKey::from_spki(&parsed.info.public_key.to_der()?)?;
        if !verify(&public_key, &parsed.algorithm, &signed_part(der)?, &parsed.signature)? {
            return Err(X509Error::Algorithm);
        }
        let mut extensions = Vec::new();
        for attribute in parsed.info.attributes.iter().filter(|one| one.oid == ExtensionReq::OID) {
            for value in attribute.values.iter() {
                extensions.extend(ExtensionReq::from_der(&value.to_der()?)?.0);
            }
        }
        Ok(Self { parsed, extensions, public_key })
    }

    pub fn subject(&self) -> &Name {
        &self.parsed.info.subject
    }

    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    pub fn names(&self) -> Result<AlternativeNames, X509Error> {
        AlternativeNames::read(&self.extensions)
    }

    /// The extensions that are asked for.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }
}
