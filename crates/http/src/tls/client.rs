//! Client certificates that are asked for and not judged.
//!
//! Vault's listeners ask every client for a certificate and take whatever comes; the cert auth method judges it at
//! login. So neither the chain, nor the dates, nor even the version may end a handshake: X.509 v1 certificates are out
//! there. What is checked is the one thing that only the handshake can: that the client holds the key.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

#[derive(Debug)]
pub(super) struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyCertificate {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }

    /// The signature that proves possession of the key. A certificate that cannot be read proves nothing: the
    /// handshake goes on, and [`is_readable`] keeps it from being passed on.
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let Some(key) = public_key(certificate) else { return Ok(HandshakeSignatureValid::assertion()) };
        let bad_signature = || Error::InvalidCertificate(CertificateError::BadSignature);
        let algorithm = key.algorithm.to_der().map_err(|_| bad_signature())?;
        let algorithm = sequence_content(&algorithm).ok_or_else(bad_signature)?;
        let candidates = self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
        let valid = candidates
            .flat_map(|(_, candidates)| candidates.iter())
            .filter(|candidate| candidate.public_key_alg_id().as_ref() == algorithm)
            .any(|candidate| {
                candidate
                    .verify_signature(key.subject_public_key.raw_bytes(), message, signed.signature())
                    .is_ok()
            });
        if valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad_signature()) }
    }
}

/// Whether a certificate can be read well enough for its holder to have proved anything.
pub(super) fn is_readable(certificate: &CertificateDer<'_>) -> bool {
    public_key(certificate).is_some()
}

fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoOwned> {
    Certificate::from_der(certificate).ok().map(|parsed| parsed.tbs_certificate.subject_public_key_info)
}

/// The inside of a DER sequence, which is the form in which rustls has algorithm identifiers.
fn sequence_content(der: &[u8]) -> Option<&[u8]> {
    let mut reader = x509_cert::der::SliceReader::new(der).ok()?;
    let header = x509_cert::der::Header::decode(&mut reader).ok()?;
    der.len().checked_sub(u32::from(header.length) as usize).and_then(|start| der.get(start..))
}

impl ClientCertVerifier for AnyCertificate {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _rest: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
