//! `ocsp`: answers about single certificates (RFC 6960), by GET and by POST.

use super::certificates::raw;
use super::settings;
use super::store::{self, damaged};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto::x509::{
    OcspAnswer, OcspFailure, OcspQuestion, OcspStatus, ReadCertificate, Responder, ocsp_answer, ocsp_failure,
    ocsp_questions,
};
use strongroom_kernel::{Call, Error, Response};

const CONTENT_TYPE: &str = "application/ocsp-response";
/// A request with a handful of certificates and a nonce is far smaller.
const REQUEST_BYTES_MAX: usize = 2048;

fn refused(failure: OcspFailure) -> Response {
    let status = match failure {
        OcspFailure::Malformed => 400,
        OcspFailure::Unauthorized => 401,
        OcspFailure::Internal => 500,
    };
    Response { status: Some(status), ..raw(CONTENT_TYPE, ocsp_failure(failure)) }
}

pub(super) fn by_get(call: &mut Call<'_>) -> Result<Response, Error> {
    match STANDARD.decode(call.capture("request")) {
        Ok(request) => Ok(answer(call, &request)),
        Err(_) => Ok(refused(OcspFailure::Malformed)),
    }
}

pub(super) fn by_post(call: &mut Call<'_>) -> Result<Response, Error> {
    let request = call.request.body.0.clone();
    Ok(answer(call, &request))
}

fn answer(call: &mut Call<'_>, request: &[u8]) -> Response {
    if request.len() > REQUEST_BYTES_MAX {
        return refused(OcspFailure::Malformed);
    }
    let Ok(questions) = ocsp_questions(request) else { return refused(OcspFailure::Malformed) };
    match respond(call, &questions) {
        Ok(Some(der)) => raw(CONTENT_TYPE, der),
        Ok(None) => refused(OcspFailure::Unauthorized),
        Err(_) => refused(OcspFailure::Internal),
    }
}

/// Signs with the issuer that all questions are about. None if there is none here, or it may not.
fn respond(call: &mut Call<'_>, questions: &[OcspQuestion]) -> Result<Option<Vec<u8>>, Error> {
    let settings = settings::crl(call)?;
    if settings.ocsp_disable {
        return Ok(None);
    }
    for issuer in store::issuers(call)? {
        let certificate = ReadCertificate::from_der(&issuer.der).map_err(damaged)?;
        if !questions.iter().all(|question| question.is_about(&certificate))
            || !issuer.usage.ocsp_signing
            || issuer.key_id.is_empty()
        {
            continue;
        }
        let mut answers = Vec::new();
        for question in questions {
            let revoked = store::revocation(call, question.serial())?.filter(|one| one.issuer == issuer.id);
            let status = revoked.map_or(OcspStatus::Good, |one| OcspStatus::Revoked(one.at));
            answers.push(OcspAnswer { question, status });
        }
        let authority = store::authority(call, issuer)?;
        let responder = Responder {
            issuer: &authority.revocation_issuer()?,
            certificate: &certificate,
            now: call.now,
            lifetime: settings.ocsp_lifetime(),
        };
        return ocsp_answer(&answers, &responder).map(Some).map_err(damaged);
    }
    Ok(None)
}
