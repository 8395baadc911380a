//! X.509: certificates and requests made and read (RFC 5280, RFC 2986), revocation lists, OCSP (RFC 6960). The forms are
//! those of the `x509-cert` and `x509-ocsp` crates, the signatures come from [`crate::keypair`].

mod certificate;
mod extensions;
mod ocsp;
mod request;
mod revocation;
mod signature;

pub use certificate::{Issuer, ReadCertificate, Template, certificate, key_id, sign_again};
pub use extensions::{AccessUrls, AlternativeNames, OtherName, Purposes};
pub use ocsp::{
    OcspAnswer, OcspFailure, OcspQuestion, OcspStatus, Responder, ocsp_answer, ocsp_failure, ocsp_questions,
};
pub use request::{ReadRequest, request, request_like};
pub use revocation::{RevocationList, Revoked, revocation_list};
pub use signature::SignatureScheme;

use crate::keypair::KeyError;
use std::time::Duration;
use strongroom_secret::Timestamp;
use thiserror::Error;
use x509_cert::der::asn1::{GeneralizedTime, UtcTime};
use x509_cert::time::Time;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum X509Error {
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("malformed DER: {0}")]
    Der(#[from] x509_cert::der::Error),
    #[error("the name {0:?} cannot stand in a certificate")]
    Name(String),
    #[error("this signature algorithm is not supported")]
    Algorithm,
    #[error("the time lies outside of what certificates can say")]
    Time,
}

/// UTCTime up to 2049, GeneralizedTime from then on (RFC 5280, section 4.1.2.5).
fn time(at: Timestamp) -> Result<Time, X509Error> {
    let seconds = u64::try_from(at.seconds()).map_err(|_| X509Error::Time)?;
    let since = Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since) {
        Ok(time) => Ok(Time::UtcTime(time)),
        Err(_) => Ok(Time::GeneralTime(GeneralizedTime::from_unix_duration(since)?)),
    }
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_seconds(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
