//! Looking whether a challenge is met (RFC 8555, section 8; RFC 8737; RFC 8738).

use super::authorizations::{
    self, Authorization, ChallengeKind, Identifier, Pending, Status, problem_of, put_pending,
};
use super::config::AcmeSettings;
use super::{PENDING, accounts, config};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;
use strongroom_crypto::hash::sha256;
use strongroom_crypto::x509::{AlternativeNames, ReadCertificate};
use strongroom_kernel::{Call, Error, Key, Look, Probe, ProbeError, ProbeRequest, Seen};
use strongroom_secret::Timestamp;

/// For one look, redirects and all.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Looks at one challenge, until it is given up.
const ATTEMPTS_MAX: u32 = 5;
/// Before the second look; each further one comes later by as much.
const RETRY_DELAY: Duration = Duration::from_secs(3);
/// Looks that one round takes up.
const PER_ROUND: usize = 32;
/// id-pe-acmeIdentifier (RFC 8737, section 6.1).
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";
/// An OCTET STRING of 32 bytes, in DER.
const OCTETS_32: [u8; 2] = [0x04, 0x20];

/// The challenges whose time to be looked at has come.
pub(in crate::secrets::pki) fn looks(call: &mut Call<'_>) -> Result<Vec<Look>, Error> {
    let table = call.table(PENDING);
    let now = u64::try_from(call.now.nanoseconds()).unwrap_or(0);
    let mut due = Vec::new();
    call.tx.entries(&table, &mut |rest, _| {
        let at = rest.first_chunk::<8>().map_or(0, |time| u64::from_be_bytes(*time));
        if at > now || due.len() >= PER_ROUND {
            return Ok(ControlFlow::Break(()));
        }
        due.push(rest.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let settings = config::load(call)?;
    let mut looks = Vec::new();
    for rest in due {
        let key = call.tx.entry_key(&table, &rest);
        let Some(pending) = call.tx.record::<Pending>(&key)? else { continue };
        looks.push(look(call, &settings, key, pending)?);
    }
    Ok(looks)
}

/// What there is to see for one challenge, and what follows.
fn look(call: &mut Call<'_>, settings: &AcmeSettings, row: Key, pending: Pending) -> Result<Look, Error> {
    let account = accounts::find(call, &pending.account)?;
    let authorization = authorizations::find(call, &pending.account, &pending.authorization)?;
    let challenge = authorization
        .as_ref()
        .and_then(|found| found.challenges.iter().find(|challenge| challenge.kind == pending.kind));
    let (Some(account), Some(authorization), Some(challenge)) = (&account, &authorization, challenge) else {
        // It is gone: the row goes too, whatever the look for nothing comes to.
        return Ok(Look { request: nothing(), conclude: Box::new(move |call, _| call.tx.delete(&row)) });
    };
    let proof = format!("{}.{}", challenge.token, account.thumbprint);
    let request = ProbeRequest {
        probe: probe(authorization, settings, &challenge.token, pending.kind),
        resolver: settings.resolver()?,
        allowed: settings.networks()?,
        timeout: TIMEOUT,
    };
    let identifier = authorization.identifier.clone();
    Ok(Look {
        request,
        conclude: Box::new(move |call, seen| {
            let judged = judge(pending.kind, &identifier, &proof, seen);
            conclude(call, &row, &pending, judged)
        }),
    })
}

fn nothing() -> ProbeRequest {
    let probe = Probe::Texts { name: String::new() };
    ProbeRequest { probe, resolver: None, allowed: Vec::new(), timeout: Duration::ZERO }
}

fn probe(authorization: &Authorization, settings: &AcmeSettings, token: &str, kind: ChallengeKind) -> Probe {
    let host = match &authorization.identifier {
        Identifier::Dns(name) => name.clone(),
        Identifier::Ip(address) => address.to_string(),
    };
    match kind {
        ChallengeKind::Http => Probe::Http {
            host,
            port: settings.http01_port,
            path: format!(".well-known/acme-challenge/{token}"),
        },
        ChallengeKind::Dns => Probe::Texts { name: format!("_acme-challenge.{host}") },
        ChallengeKind::TlsAlpn => {
            let server_name = match &authorization.identifier {
                Identifier::Dns(name) => name.clone(),
                Identifier::Ip(address) => reverse_name(*address),
            };
            Probe::Certificate { host, port: settings.tls_alpn01_port, server_name }
        }
    }
}

/// TLS has no server names for addresses: their names in the reverse zones stand for them (RFC 8738, section 6).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = address.octets().into_iter().rev().flat_map(|byte| [byte & 0xf, byte >> 4]);
            let digits: Vec<_> = digits.map(|digit| format!("{digit:x}.")).collect();
            format!("{}ip6.arpa", digits.concat())
        }
    }
}

/// Whether what was seen proves it.
fn judge(kind: ChallengeKind, identifier: &Identifier, proof: &str, seen: &Seen) -> Result<(), ProbeError> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return Err(error.clone()),
    };
    let is_met = match kind {
        ChallengeKind::Http => seen.iter().any(|body| body.trim_ascii_end() == proof.as_bytes()),
        ChallengeKind::Dns => {
            let digest = BASE64.encode(sha256(proof.as_bytes()));
            seen.iter().any(|text| text == digest.as_bytes())
        }
        ChallengeKind::TlsAlpn => {
            return seen
                .iter()
                .find_map(|der| ReadCertificate::from_der(der).ok())
                .ok_or_else(|| ProbeError::Tls("the server shows no certificate".to_owned()))
                .and_then(|shown| judge_certificate(&shown, identifier, proof));
        }
    };
    match is_met {
        true => Ok(()),
        false => Err(ProbeError::Answer(match kind {
            ChallengeKind::Dns => "no TXT record of the name is the digest of this challenge".to_owned(),
            _ => "the file's content is not the key authorization of this challenge".to_owned(),
        })),
    }
}

/// RFC 8737, section 3: the name alone, and the digest in a critical extension.
fn judge_certificate(
    shown: &ReadCertificate,
    identifier: &Identifier,
    proof: &str,
) -> Result<(), ProbeError> {
    let wrong = |what: &str| Err(ProbeError::Answer(format!("the certificate that the server shows {what}")));
    let expected = match identifier {
        Identifier::Dns(name) => AlternativeNames { dns: vec![name.clone()], ..AlternativeNames::default() },
        Identifier::Ip(address) => {
            AlternativeNames { addresses: vec![*address], ..AlternativeNames::default() }
        }
    };
    let Ok(mut names) = shown.names() else { return wrong("has no names that can be read") };
    names.dns.iter_mut().for_each(|name| name.make_ascii_lowercase());
    if names != expected {
        return wrong("is not for this name alone");
    }
    let digest = [&OCTETS_32[..], &sha256(proof.as_bytes())].concat();
    match shown.extension(ACME_IDENTIFIER) {
        Some((true, content)) if content == digest => Ok(()),
        Some((false, _)) => wrong("has an acmeIdentifier that is not critical"),
        Some(_) => wrong("has the acmeIdentifier of something else"),
        None => wrong("has no acmeIdentifier"),
    }
}

fn conclude(
    call: &mut Call<'_>,
    row: &Key,
    pending: &Pending,
    judged: Result<(), ProbeError>,
) -> Result<(), Error> {
    // Another process may have been quicker.
    if call.tx.get(row)?.is_none() {
        return Ok(());
    }
    call.tx.delete(row)?;
    let found = authorizations::find(call, &pending.account, &pending.authorization)?;
    let Some(mut authorization) = found.filter(|found| found.status == Status::Pending) else {
        return Ok(());
    };
    let now = Timestamp::from_seconds(call.now.seconds());
    let challenge = authorization.challenges.iter_mut().find(|challenge| challenge.kind == pending.kind);
    let Some(challenge) = challenge.filter(|challenge| challenge.status == Status::Processing) else {
        return Ok(());
    };
    let mut again = None;
    match judged {
        Ok(()) => {
            challenge.status = Status::Valid;
            challenge.validated = Some(now);
            challenge.error = None;
            authorization.status = Status::Valid;
            authorization.expires = now.plus(authorizations::LIFETIME);
        }
        Err(error) => {
            challenge.failures += 1;
            challenge.error = Some(problem_of(&error));
            if challenge.failures >= ATTEMPTS_MAX {
                challenge.status = Status::Invalid;
                authorization.status = Status::Invalid;
            } else {
                again = Some(call.now.plus(RETRY_DELAY * challenge.failures));
            }
        }
    }
    authorizations::save(call, &authorization)?;
    match again {
        Some(at) => put_pending(call, at, &authorization, pending.kind),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_names_for_tls() {
        let name = |text: &str| reverse_name(text.parse().unwrap());
        assert_eq!(name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            name("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }
}
