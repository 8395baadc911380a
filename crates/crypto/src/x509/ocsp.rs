//! Questions about single certificates, and signed answers (OCSP, RFC 6960).

use super::certificate::without_zeros;
use super::{Issuer, ReadCertificate, X509Error};
use crate::hash::{HashAlgorithm, sha1};
use std::time::Duration;
use strongroom_secret::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::asn1::{GeneralizedTime, Null, OctetString};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::spki::ObjectIdentifier;
use x509_ocsp::{
    AsResponseBytes, BasicOcspResponse, CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse,
    ResponderId, ResponseData, RevokedInfo, SingleResponse, Version,
};

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
/// Certificates asked about at once, and the longest nonce (RFC 8954): what is larger is refused.
const QUESTIONS_MAX: usize = 16;
const NONCE_BYTES_MAX: usize = 64;

/// A certificate that is asked about.
#[derive(Debug, Clone)]
pub struct OcspQuestion {
    id: CertId,
    nonce: Option<Extension>,
}

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspStatus {
    Good,
    Revoked(Timestamp),
    Unknown,
}

/// A question with what is known.
pub struct OcspAnswer<'q> {
    pub question: &'q OcspQuestion,
    pub status: OcspStatus,
}

/// Who answers, from when to when it counts.
pub struct Responder<'a> {
    pub issuer: &'a Issuer<'a>,
    pub certificate: &'a ReadCertificate,
    pub now: Timestamp,
    pub lifetime: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OcspFailure {
    Malformed,
    Internal,
    Unauthorized,
}

/// Reads a request.
pub fn ocsp_questions(der: &[u8]) -> Result<Vec<OcspQuestion>, X509Error> {
    let request = OcspRequest::from_der(der)?.tbs_request;
    let nonce = request.request_extensions.iter().flatten().find(|extension| extension.extn_id == NONCE);
    let nonce = nonce.filter(|nonce| nonce.extn_value.as_bytes().len() <= NONCE_BYTES_MAX + 2).cloned();
    if request.request_list.is_empty() || request.request_list.len() > QUESTIONS_MAX {
        return Err(X509Error::Algorithm);
    }
    Ok(request
        .request_list
        .into_iter()
        .map(|one| OcspQuestion { id: one.req_cert, nonce: nonce.clone() })
        .collect())
}

impl OcspQuestion {
    /// Big endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        without_zeros(self.id.serial_number.as_bytes())
    }

    /// Whether it is about a certificate of this issuer.
    pub fn is_about(&self, issuer: &ReadCertificate) -> bool {
        let hash: fn(&[u8]) -> Vec<u8> = match self.id.hash_algorithm.oid {
            SHA1 => |bytes| sha1(bytes).to_vec(),
            SHA256 => |bytes| HashAlgorithm::Sha2_256.digest(bytes),
            SHA384 => |bytes| HashAlgorithm::Sha2_384.digest(bytes),
            SHA512 => |bytes| HashAlgorithm::Sha2_512.digest(bytes),
            _ => return false,
        };
        let Ok(name) = issuer.subject().to_der() else { return false };
        self.id.issuer_name_hash.as_bytes() == hash(&name)
            && self.id.issuer_key_hash.as_bytes() == hash(issuer.key_bits())
    }
}

/// Signs an answer; DER.
pub fn ocsp_answer(answers: &[OcspAnswer<'_>], responder: &Responder<'_>) -> Result<Vec<u8>, X509Error> {
    let now = generalized(responder.now)?;
    let until = generalized(responder.now.plus(responder.lifetime))?;
    let responses = answers
        .iter()
        .map(|answer| {
            Ok(SingleResponse {
                cert_id: answer.question.id.clone(),
                cert_status: match answer.status {
                    OcspStatus::Good => CertStatus::Good(Null),
                    OcspStatus::Unknown => CertStatus::Unknown(Null),
                    OcspStatus::Revoked(at) => CertStatus::Revoked(RevokedInfo {
                        revocation_time: generalized(at)?,
                        revocation_reason: None,
                    }),
                },
                this_update: now,
                next_update: Some(until),
                single_extensions: None,
            })
        })
        .collect::<Result<_, X509Error>>()?;
    let nonce = answers.first().and_then(|answer| answer.question.nonce.clone());
    let data = ResponseData {
        version: Version::V1,
        responder_id: ResponderId::ByKey(OctetString::new(sha1(responder.certificate.key_bits()))?),
        produced_at: now,
        responses,
        response_extensions: nonce.map(|nonce| vec![nonce]),
    };
    let issuer = responder.issuer;
    let signature = issuer.scheme.sign(issuer.key, &data.to_der()?)?;
    let basic = BasicOcspResponse {
        signature_algorithm: issuer.scheme.identifier()?,
        tbs_response_data: data,
        signature,
        certs: Some(vec![Certificate::from_der(responder.certificate.der())?]),
    };
    let bytes = basic.to_response_bytes()?;
    let response = OcspResponse {
        response_status: x509_ocsp::OcspResponseStatus::Successful,
        response_bytes: Some(bytes),
    };
    Ok(response.to_der()?)
}

/// An answer that says why there is none; DER.
pub fn ocsp_failure(failure: OcspFailure) -> Vec<u8> {
    let response = match failure {
        OcspFailure::Malformed => OcspResponse::malformed_request(),
        OcspFailure::Internal => OcspResponse::internal_error(),
        OcspFailure::Unauthorized => OcspResponse::unauthorized(),
    };
    response.to_der().unwrap_or_default()
}

fn generalized(at: Timestamp) -> Result<OcspGeneralizedTime, X509Error> {
    let seconds = u64::try_from(at.seconds()).map_err(|_| X509Error::Time)?;
    Ok(OcspGeneralizedTime(GeneralizedTime::from_unix_duration(Duration::from_secs(seconds))?))
}
